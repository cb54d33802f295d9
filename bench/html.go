package bench

import (
	"html/template"
	"io"
	"strings"

	"github.com/gputrain/gputrain/internal/page"
)

var reportBody = template.Must(template.New("").Parse(`<h1>gputrain bench</h1>
<div class="scroll"><table><tbody>
{{range .Facts}}<tr><th scope="row">{{index . 0}}</th><td>{{index . 1}}</td></tr>
{{end}}</tbody></table></div>
{{if .Interrupted}}<p class="bad">Interrupted: this is what was measured by then.</p>
{{end}}{{range .Sections}}<h2>{{.Title}}</h2>
{{range .Text}}<p>{{.}}</p>
{{end}}{{if .Plots}}<div class="figures">
{{range .Plots}}<figure>{{.}}</figure>
{{end}}</div>
{{end}}{{range .Tables}}<div class="scroll"><table>{{if .Title}}<caption>{{.Title}}</caption>{{end}}
<thead><tr>{{$t := .}}{{range $i, $h := .Head}}<th scope="col"{{if $t.Right $i}} class="number"{{end}}>{{$h}}</th>{{end}}</tr></thead>
<tbody>
{{range .Rows}}<tr>{{range $i, $c := .}}<td{{if $t.Right $i}} class="number"{{end}}>{{$c}}</td>{{end}}</tr>
{{end}}</tbody></table></div>
{{end}}{{end}}<h2>How to read it</h2>
<ul>
{{range .Legend}}<li>{{.}}</li>
{{end}}</ul>
`))

// section is a section of the page: a heading and what stands below it.
type section struct {
	Title  string
	Text   []string
	Plots  []template.HTML
	Tables []Table
}

// Right reports whether a column is aligned to the right.
func (t Table) Right(column int) bool { return t.Align[column] == 'r' }

// WriteHTML writes the report as a page that loads nothing.
func (r *Report) WriteHTML(w io.Writer) error {
	plots := map[string][]template.HTML{}
	for _, p := range r.Plots() {
		kind, _, _ := strings.Cut(p.Name, "-")
		if kind == "ratio" {
			kind = "throughput"
		}
		plots[kind] = append(plots[kind], p.Drawing.SVG())
	}
	throughput := section{Title: "Throughput", Plots: plots["throughput"]}
	layers := section{Title: "Where the time goes", Plots: append(plots["layers"], plots["roofline"]...)}
	if len(plots["roofline"]) > 0 {
		layers.Text = []string{"In a roofline, points are parts of a training step; those with a ring are backward passes. The line is what memory (left) and arithmetic (right) allow; a device that skips products with zero may be above it."}
	}
	for _, group := range r.groups() {
		throughput.Tables = append(throughput.Tables, throughputTable(group))
	}
	for _, m := range r.profiled() {
		layers.Tables = append(layers.Tables, partTable(m))
	}
	var sections []section
	if len(r.Suite) > 0 {
		sections = append(sections, section{Title: "Time over gputrain's", Tables: r.Tables(), Text: r.Legend()})
	}
	sections = append(sections, throughput)
	if len(layers.Tables) > 0 {
		sections = append(sections, layers)
	}
	simulated := section{Title: "Simulated devices"}
	for _, m := range r.Measurements {
		if t := countTable(m); len(t.Rows) > 0 {
			simulated.Tables = append(simulated.Tables, t)
		}
	}
	if len(simulated.Tables) > 0 {
		sections = append(sections, simulated)
	}
	checked := checkTable(r.Measurements)
	sections = append(sections, section{Title: checked.Title, Tables: []Table{{Align: checked.Align, Head: checked.Head, Rows: checked.Rows}}})
	return reportPage{"Throughput of training and inference", r.Facts(), r.Interrupted, sections, r.Legend()}.write(w)
}

// reportPage is a report as a page.
type reportPage struct {
	description string
	Facts       [][2]string
	Interrupted bool
	Sections    []section
	Legend      []string
}

func (p reportPage) write(w io.Writer) error {
	var body strings.Builder
	if err := reportBody.Execute(&body, p); err != nil {
		return err
	}
	return page.Page{Title: "gputrain bench", Description: p.description,
		Style: "th[scope=row] { white-space: nowrap; }\n", Body: template.HTML(body.String())}.Write(w)
}
