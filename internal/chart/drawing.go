package chart

import (
	"fmt"
	"html/template"
	"io"
	"math"
	"strconv"
	"strings"
)

// Drawing is a chart in SVG.
type Drawing struct {
	title, description string
	width, height      float64
	body               strings.Builder
}

// seriesColours holds the colours of series on a light background, from series 1
// on. Each has a contrast of at least 3 to 1 with white.
var seriesColours = []string{"#1f6fb4", "#c2540a", "#00805e", "#a23b8f", "#8a6a00", "#4b4fb8", "#b3263a", "#50616f"}

// The other colours on a light background.
const (
	inkColour   = "#1d2329"
	mutedColour = "#57616b"
	gridColour  = "#dfe3e7"
	paperColour = "#ffffff"
	font        = `system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif`
)

// seriesNumber returns the number of the colour of series i, from 1. After the last
// colour the first comes again.
func seriesNumber(i int) int { return i%len(seriesColours) + 1 }

// usualWidth is the width of a drawing if none is set.
const usualWidth = 460.0

func newDrawing(title, description string, width, height float64) *Drawing {
	return &Drawing{title: title, description: description, width: width, height: height}
}

// SVG returns the drawing as an element of an HTML page. It has no background, and
// fills its place. A drawing that is wider than usual may be wider than its place,
// which must then scroll.
func (d *Drawing) SVG() template.HTML { return template.HTML(d.element("")) }

// WriteFile writes the drawing as an SVG file, on white.
func (d *Drawing) WriteFile(w io.Writer) error {
	_, err := io.WriteString(w, `<?xml version="1.0" encoding="UTF-8"?>`+"\n"+d.element(paperColour)+"\n")
	return err
}

func (d *Drawing) element(background string) string {
	var b strings.Builder
	label := d.title
	if d.description != "" {
		label += ". " + d.description
	}
	// In a page, text is legible down to four fifths of its size. So a drawing that
	// is wider than a narrow page scrolls. A small drawing is not enlarged much.
	const least, most = 0.8, 1.4
	size := fmt.Sprintf(` style="max-width:%spx"`, num(most*d.width))
	if d.width > usualWidth {
		size = fmt.Sprintf(` style="max-width:%spx;min-width:%spx"`, num(most*d.width), num(least*d.width))
	}
	back := ""
	if background != "" {
		size = fmt.Sprintf(` width="%s" height="%s"`, num(d.width), num(d.height))
		back = fmt.Sprintf(`<title>%s</title><rect width="100%%" height="100%%" fill="%s"/>`, escape(d.title), background)
	}
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 %s %s"%s role="img" aria-label="%s" font-family="%s" font-size="%s">%s`,
		num(d.width), num(d.height), size, escape(label), escape(font), num(textSize), back)
	b.WriteString(d.body.String())
	b.WriteString("</svg>")
	return b.String()
}

// add writes an element.
func (d *Drawing) add(format string, a ...any) { fmt.Fprintf(&d.body, format, a...) }

// anchor tells which part of a text is at its place.
type anchor string

const (
	start  anchor = "start"
	middle anchor = "middle"
	end    anchor = "end"
)

// text writes a text in the muted colour. Its baseline is at y.
func (d *Drawing) text(x, y float64, a anchor, s string) {
	d.add(`<text class="chart-text" x="%s" y="%s" text-anchor="%s" fill="%s">%s</text>`, num(x), num(y), a, mutedColour, escape(s))
}

// turned writes a text that reads upwards. Its anchor is at y.
func (d *Drawing) turned(x, y float64, a anchor, s string) {
	d.add(`<text class="chart-text" transform="translate(%s %s) rotate(-90)" text-anchor="%s" fill="%s">%s</text>`, num(x), num(y), a, mutedColour, escape(s))
}

// head writes the title. It returns the y at which the drawing goes on below it.
func (d *Drawing) head() float64 {
	y := 4.0
	for _, line := range lines(d.title, titleSize, d.width-8) {
		y += titleSize + 3
		d.add(`<text class="chart-title" x="2" y="%s" font-size="%s" font-weight="600" fill="%s">%s</text>`, num(y), num(titleSize), inkColour, escape(line))
	}
	return y + 8
}

// rule draws a line of the grid.
func (d *Drawing) rule(x1, y1, x2, y2 float64) {
	d.add(`<line class="chart-grid" x1="%s" y1="%s" x2="%s" y2="%s" stroke="%s"/>`, num(x1), num(y1), num(x2), num(y2), gridColour)
}

// key writes the names of the series, in rows as wide as the drawing, from y on. It
// returns the y at which the drawing goes on below. mark draws the sign of series i
// at the middle of its place, which is markWidth wide.
func (d *Drawing) key(y float64, names []string, mark func(i int, x, y float64)) float64 {
	const markWidth, gap = 26.0, 16.0
	x := 2.0
	y += textSize
	for i, name := range names {
		if name == "" {
			continue
		}
		short := shortened(name, textSize, d.width-markWidth-8)
		w := markWidth + textWidth(short, textSize)
		if x > 2 && x+w > d.width-2 {
			x, y = 2, y+textSize+6
		}
		mark(i, x+markWidth/2-3, y-textSize*0.34)
		d.add(`<g>`)
		if short != name {
			d.add(`<title>%s</title>`, escape(name))
		}
		d.text(x+markWidth, y, start, short)
		d.add(`</g>`)
		x += w + gap
	}
	return y + 10
}

// num writes a coordinate, rounded to a hundredth.
func num(x float64) string {
	return strconv.FormatFloat(math.Round(x*100)/100, 'f', -1, 64)
}

func escape(s string) string { return template.HTMLEscapeString(valid(s)) }
