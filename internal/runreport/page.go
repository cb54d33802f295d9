package runreport

import (
	_ "embed"
	"fmt"
	"html/template"
	"image"
	"io"
	"strconv"
	"strings"

	"github.com/gputrain/gputrain/internal/chart"
	"github.com/gputrain/gputrain/internal/page"
	"github.com/gputrain/gputrain/internal/raster"
	"github.com/gputrain/gputrain/net"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

var pageTemplate = template.Must(template.New("").Parse(pageHTML))

// WritePage writes the report as an HTML page that needs nothing else.
func (r *Report) WritePage(w io.Writer) error {
	v, err := r.view()
	if err != nil {
		return err
	}
	var body strings.Builder
	if err := pageTemplate.ExecuteTemplate(&body, "page", v); err != nil {
		return err
	}
	return page.Page{Title: v.Title, Description: v.Description, Style: template.CSS(pageCSS), Body: template.HTML(body.String())}.Write(w)
}

// pageView holds what the page's template shows.
type pageView struct {
	Title, Description string // title and description of the document
	Heading            string
	Only               *runView // the run, if there is only one
	Contents           []link
	Runs               []*runView
	Curves             []template.HTML
	Begun              bool // an epoch is done, or a part of one is known
	Ringed             bool // a curve marks the best epoch
	Program, Made      string
}

type link struct{ ID, Text string }

func (r *Report) view() (*pageView, error) {
	v := &pageView{Program: r.Program, Made: r.Made.Format("2 January 2006, 15:04 MST")}
	for _, c := range r.curves() {
		v.Curves = append(v.Curves, c.Draw().SVG())
		for _, s := range c.Series {
			v.Ringed = v.Ringed || s.Ring > 0
		}
	}
	for i := range r.Runs {
		run, err := r.runView(i)
		if err != nil {
			return nil, err
		}
		v.Runs = append(v.Runs, run)
		v.Begun = v.Begun || len(r.Runs[i].Checkpoint.History)+len(r.Runs[i].Steps) > 0
	}
	v.Contents = []link{{"curves", "Learning curves"}}
	if len(v.Runs) == 1 {
		v.Only = v.Runs[0]
		v.Heading = fmt.Sprintf("%s on %s", v.Only.Network, v.Only.Data)
		v.Title = v.Only.Name + ": " + v.Heading
		v.Only.Status = "Run " + v.Only.Name + ". " + v.Only.Status
		v.Description = v.Only.Status
		v.Contents = append(v.Contents, v.Only.contents()...)
		return v, nil
	}
	v.Heading = fmt.Sprintf("%d runs side by side", len(v.Runs))
	v.Title = v.Heading
	for _, run := range v.Runs {
		v.Contents = append(v.Contents, link{run.ID, run.Name})
	}
	return v, nil
}

// contents lists the parts of a run that are on the page.
func (v *runView) contents() []link {
	var out []link
	add := func(there bool, id, text string) {
		if there {
			out = append(out, link{v.Anchor(id), text})
		}
	}
	add(v.Evaluation != nil, "confusion", "What it takes for what")
	add(v.Evaluation != nil, "mistakes", "Mistakes")
	add(len(v.Filters) > 0, "filters", "Filters")
	add(v.Image != nil, "image", "One image's way")
	add(true, "layers", "Layers")
	add(true, "recipe", "Recipe and versions")
	return out
}

// pixels writes an image as an element. Each of its pixels is size pixels wide
// on the screen.
func pixels(img image.Image, size int, alt, title string) (template.HTML, error) {
	uri, err := raster.URI(img)
	if err != nil {
		return "", err
	}
	about := ""
	if title != "" {
		about = fmt.Sprintf(` title="%s"`, template.HTMLEscapeString(title))
	}
	b := img.Bounds()
	return template.HTML(fmt.Sprintf(`<img class="pixels" src="%s" width="%d" height="%d" alt="%s"%s>`,
		uri, size*b.Dx(), size*b.Dy(), template.HTMLEscapeString(alt), about)), nil
}

// tileRow writes many small pictures as one element. alt describes it for people
// who don't see it. title returns the text that is shown when the pointer rests
// on a picture.
func tileRow(tiles []image.Image, about int, alt string, title func(int) string) (template.HTML, error) {
	var b strings.Builder
	fmt.Fprintf(&b, `<div class="tiles" role="img" aria-label="%s">`, template.HTMLEscapeString(alt))
	for i, t := range tiles {
		img, err := pixels(t, enlarged(t, about), "", title(i))
		if err != nil {
			return "", err
		}
		b.WriteString(string(img))
	}
	b.WriteString("</div>")
	return template.HTML(b.String()), nil
}

// legend writes a scale's colours between its ends. The scale for values from 0
// on begins at 0, so black means 0.
func legend(s raster.Scale) (template.HTML, error) {
	least := 0.0
	if s.Signed {
		least = -s.Max
	}
	img, err := pixels(s.Legend(64, 1), 1, "", "")
	if err != nil {
		return "", err
	}
	return template.HTML(fmt.Sprintf(`<span class="legend">%s %s %s</span>`, short(least), img, short(s.Max))), nil
}

// short writes a value with as many digits as a legend needs.
func short(v float64) string {
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 2, 64), 64)
	if err != nil {
		panic(fmt.Sprintf("BUG: %v can't be read back: %v", v, err))
	}
	return chart.Number(rounded, -1)
}

// whole writes an integer with commas between thousands.
func whole[I int | int64](n I) string { return chart.Number(float64(n), 0) }

// percent writes a share of 1 as a percentage with two decimals, without a line
// break. NaN becomes a dash.
func percent(share float64) string {
	if share != share {
		return "–"
	}
	return fmt.Sprintf("%.2f\u00a0%%", 100*share)
}

// scores writes a loss or an accuracy of an epoch. If there is none, it is a
// dash.
func scores(e net.EpochResult, f figure) string {
	v := f.value(e)
	switch {
	case v != v:
		return "–"
	case f.axis.Format != nil:
		return percent(v)
	}
	return fmt.Sprintf("%.4f", v)
}
