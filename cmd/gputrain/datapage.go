package main

import (
	"fmt"
	"html/template"
	"image"
	"image/color"
	"image/draw"
	"io"
	"strings"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"

	"github.com/gputrain/gputrain/internal/page"
	"github.com/gputrain/gputrain/internal/raster"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// gridEpochs is the number of epochs for which augmented samples are shown.
const gridEpochs = 2

// sampleGrid holds samples of every class.
type sampleGrid struct {
	classes []gridClass
	side    int // how many pixels wide a sample's pixel is on the page
}

// gridClass holds samples of one class: a row of the samples as they are, and a row
// for each epoch of the same samples with augmentation.
type gridClass struct {
	name string
	rows [][]image.Image
}

// gridOf takes n samples of each class, evenly spread over the data set.
func gridOf(d *net.Dataset, n int, source net.Source) *sampleGrid {
	g := &sampleGrid{side: max(1, 64/max(d.Shape.H, d.Shape.W))}
	of := make([][]int32, d.Classes)
	for i, l := range d.Labels {
		of[l] = append(of[l], int32(i))
	}
	lo, hi := valueRange(d, of)
	for k, samples := range of {
		c := gridClass{name: net.ClassName(d.ClassNames, k)}
		var chosen []int32
		for i := range min(n, len(samples)) {
			chosen = append(chosen, samples[i*len(samples)/min(n, len(samples))])
		}
		for epoch := -1; epoch < gridEpochs; epoch++ {
			if epoch >= 0 && source.Augment.Plain() {
				break
			}
			var row []image.Image
			for _, i := range chosen {
				view := net.PlainView()
				if epoch >= 0 {
					view = source.View(epoch, i)
				}
				var values []float32
				for _, v := range reference.See(d, i, view, source.Input) {
					values = append(values, (float32(v)-lo)/(hi-lo))
				}
				row = append(row, raster.Sample(values, d.Shape.C, source.Input.H, source.Input.W))
			}
			c.rows = append(c.rows, row)
		}
		g.classes = append(g.classes, c)
	}
	return g
}

// valueRange returns the values that are drawn in black and in white. For bytes
// they are 0 and 1, otherwise the least and the greatest value of some samples.
func valueRange(d *net.Dataset, of [][]int32) (lo, hi float32) {
	if d.Pixels != nil {
		return 0, 1
	}
	values := make([]float32, d.Shape.Size())
	first := true
	for _, samples := range of {
		for _, i := range samples[:min(len(samples), 10)] {
			d.Gather(values, []int32{i})
			for _, v := range values {
				if first {
					lo, hi, first = v, v, false
				}
				lo, hi = min(lo, v), max(hi, v)
			}
		}
	}
	if hi <= lo {
		hi = lo + 1
	}
	return lo, hi
}

// draw draws the grid as one picture, with names on the left.
func (g *sampleGrid) draw() image.Image {
	const gap, between, line = 2, 8, 14
	face := basicfont.Face7x13
	var sheets [][]image.Image
	names, width, height := 0, 0, between
	for _, c := range g.classes {
		var of []image.Image
		for _, row := range c.rows {
			if len(row) == 0 {
				continue
			}
			sheet := raster.Sheet(row, len(row), gap, g.side)
			of = append(of, sheet)
			width = max(width, sheet.Bounds().Dx())
			height += sheet.Bounds().Dy() + gap
		}
		if len(of) == 0 {
			height += line
		}
		height += between
		sheets = append(sheets, of)
		names = max(names, font.MeasureString(face, gridName(c.name)).Ceil())
	}
	out := image.NewNRGBA(image.Rect(0, 0, names+width+3*between, height))
	draw.Draw(out, out.Rect, image.White, image.Point{}, draw.Src)
	y := between
	for i, c := range g.classes {
		text := font.Drawer{Dst: out, Src: image.NewUniform(color.Gray{40}), Face: face, Dot: fixed.P(between, y+face.Ascent)}
		text.DrawString(gridName(c.name))
		for _, sheet := range sheets[i] {
			at := sheet.Bounds().Add(image.Pt(names+2*between, y))
			draw.Draw(out, at, sheet, image.Point{}, draw.Over)
			y += sheet.Bounds().Dy() + gap
		}
		if len(sheets[i]) == 0 {
			y += line
		}
		y += between
	}
	return out
}

// gridName returns a class's name. It cuts a long name to 24 characters, because only
// these have room beside the pictures.
func gridName(name string) string {
	if runes := []rune(name); len(runes) > 24 {
		return string(runes[:21]) + "..."
	}
	return name
}

var dataPage = template.Must(template.New("data").Parse(`<h1>{{.Name}}</h1>
{{range .Warnings}}<p><strong class="bad">Warning:</strong> {{.}}.</p>
{{end}}<div class="scroll"><table class="facts">
<tbody>
{{range .Facts}}<tr><th scope="row">{{index . 0}}</th><td>{{index . 1}}</td></tr>
{{end}}</tbody>
</table></div>
{{with .Notes}}<ul class="muted">
{{range .}}<li>{{.}}</li>
{{end}}</ul>
{{end}}<h2>Samples</h2>
<p class="muted">{{.Legend}}</p>
{{range .Classes}}<section class="class together">
<h3>{{.Class}}</h3>
<p class="muted">{{.Counts}}</p>
{{range .Rows}}<div class="scroll"><img class="pixels" src="{{.URI}}" width="{{.Width}}" height="{{.Height}}" alt="{{.Alt}}"></div>
{{end}}</section>
{{end}}{{with .Bad}}<h2>Unreadable</h2>
<ul>
{{range .}}<li><code>{{.Path}}</code>: {{.Why}}</li>
{{end}}</ul>
{{end}}`))

const dataStyle = `.facts th { white-space: nowrap; color: var(--muted); }
.facts td { overflow-wrap: anywhere; }
.class { margin: 1.4rem 0; }
.class h3 { margin: 0; }
.class p { margin: 0 0 0.4rem; font-size: 0.9rem; }
.class .scroll { margin: 0 0 4px; }
.class img.pixels { max-width: none; border-radius: 0; }
`

// pageRow is a row of samples on a page.
type pageRow struct {
	URI           template.URL
	Width, Height int
	Alt           string
}

// writePage writes the report as an HTML page that needs nothing else.
func (r *dataReport) writePage(w io.Writer, g *sampleGrid, augment net.Augment) error {
	type class struct {
		Class, Counts string
		Rows          []pageRow
	}
	content := struct {
		*dataReport
		Facts   facts
		Legend  string
		Classes []class
	}{dataReport: r, Facts: r.facts(), Legend: "Of each class some training samples, as the network takes them."}
	if !augment.Plain() {
		name := augment.Name
		if name == "" {
			name = "the settings given"
		}
		content.Legend += fmt.Sprintf(" In the rows below each: the same in the first two epochs, augmented by %s.", name)
	}
	for i, c := range g.classes {
		n := r.Classes[i]
		out := class{Class: c.name, Counts: fmt.Sprintf("%s training, %s validation, %s test", thousands(n.Train), thousands(n.Valid), thousands(n.Test))}
		for k, row := range c.rows {
			if len(row) == 0 {
				continue
			}
			sheet := raster.Sheet(row, len(row), 1, 1)
			uri, err := raster.URI(sheet)
			if err != nil {
				return err
			}
			alt := []string{fmt.Sprintf("%s of class %s", counted(len(row), "sample"), c.name)}
			if k > 0 {
				alt = append(alt, fmt.Sprintf("augmented, epoch %d", k))
			}
			size := sheet.Bounds().Size().Mul(g.side)
			out.Rows = append(out.Rows, pageRow{uri, size.X, size.Y, strings.Join(alt, ", ")})
		}
		content.Classes = append(content.Classes, out)
	}
	var body strings.Builder
	if err := dataPage.Execute(&body, content); err != nil {
		return err
	}
	return page.Page{
		Title: r.Name + " - gputrain data", Description: "The data set " + r.Name + ": classes, counts and samples.",
		Style: dataStyle, Body: template.HTML(body.String()),
	}.Write(w)
}
