// Package page writes self-contained HTML pages in the project's one style, for
// light and dark, for wide and narrow screens, and for paper. A page loads
// nothing, and forbids the browser to load anything.
package page

import (
	_ "embed"
	"html/template"
	"io"
)

//go:embed style.css
var style string

// Style returns the style that every page has, for callers that make pages in
// other ways. Its variables (--paper, --ink, --muted, --line, --accent, --good,
// --bad, --series-1 to --series-8) have colours for light and dark.
func Style() template.CSS { return template.CSS(style) }

// Page is an HTML page. It loads nothing: images are data URIs in Body.
type Page struct {
	Title       string
	Description string       // for search and previews; may be empty
	Style       template.CSS // style of this page only; may be empty
	Body        template.HTML
}

// The policy forbids the browser to load or run anything, whatever a page may
// contain.
var document = template.Must(template.New("page").Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="generator" content="gputrain">
{{with .Description}}<meta name="description" content="{{.}}">
{{end}}<title>{{.Title}}</title>
<style>
{{.Common}}{{.Style}}</style>
</head>
<body>
{{.Body}}</body>
</html>
`))

// Write writes the page.
func (p Page) Write(w io.Writer) error {
	return document.Execute(w, struct {
		Page
		Common template.CSS
	}{p, Style()})
}
