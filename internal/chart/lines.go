package chart

import (
	"fmt"
	"math"
	"strings"
)

// Lines is a chart of values over other values, as curves or as points.
type Lines struct {
	Title       string
	Description string // what the chart shows, for people who don't see it
	X, Y        Axis
	Series      []Series
	Width       float64 // 0: 460
	Height      float64 // 0: 300
}

// Series is one line of a chart.
type Series struct {
	Name   string
	X, Y   []float64 // of equal length; a NaN in Y interrupts the line
	Colour int       // index in the palette, from 0; series of the same colour should differ in Dash
	Dash   Dash
	Points Points
	Faint  bool // thinner and paler than the others
	// Ring is 1 plus the index of a point with a ring, such as the best epoch;
	// 0: none. RingText tells what that point is.
	Ring     int
	RingText string
}

// Dash is the form of a line.
type Dash int

// The forms.
const (
	Solid Dash = iota
	Dashed
	Dotted
	NoLine // points only
)

// Points says whether a series' points are drawn.
type Points int

// The choices.
const (
	SomePoints Points = iota // only if there are few
	AllPoints
	NoPoints
)

// fewPoints is the most points of a series that are drawn with SomePoints.
const fewPoints = 40

// Draw draws the chart.
func (c Lines) Draw() *Drawing {
	width, height := c.Width, c.Height
	if width == 0 {
		width = usualWidth
	}
	if height == 0 {
		height = 300
	}
	d := newDrawing(c.Title, c.Description, width, height)
	top := d.head()
	names := make([]string, len(c.Series))
	for i, s := range c.Series {
		names[i] = s.Name
	}
	if strings.Join(names, "") != "" {
		top = d.key(top, names, func(i int, x, y float64) { c.Series[i].sign(d, x, y) })
	}
	// A large key makes the drawing higher, not the plot lower.
	if usual := titleSize + 3 + 12 + textSize + 10; top > usual {
		d.height += top - usual
	}
	var xs, ys []float64
	for _, s := range c.Series {
		for i := range s.X {
			if c.X.drawable(s.X[i]) && c.Y.drawable(s.Y[i]) {
				xs, ys = append(xs, s.X[i]), append(ys, s.Y[i])
			}
		}
	}
	y := c.Y.scaleOf(ys, 5)
	left := widest(y.labels, textSize) + 12
	if c.Y.Label != "" {
		left += textSize + 6
	}
	bottom := d.height - textSize - 12
	if c.X.Label != "" {
		bottom -= textSize + 4
	}
	y.from, y.to = bottom, top+6
	x := c.X.layout(xs, left, width)
	d.frame(c.X, c.Y, x, y)
	if len(xs) == 0 {
		d.text((x.from+x.to)/2, (y.from+y.to)/2, middle, "nothing to show yet")
	}
	for _, s := range c.Series {
		c.curve(d, s, x, y)
	}
	return d
}

// layout lays out a horizontal axis, with as many marks as there is room for.
func (a Axis) layout(values []float64, left, width float64) *scale {
	for n := 8; ; n-- {
		s := a.scaleOf(values, n)
		s.from, s.to = left, width-8
		room, fits := 0.0, true
		for i, v := range s.ticks {
			half := textWidth(s.labels[i], textSize) / 2
			x := s.place(v)
			fits = fits && (i == 0 || x-half >= room)
			room = x + half + 6
		}
		if k := len(s.ticks); k > 0 { // keep the last label inside the drawing
			over := s.place(s.ticks[k-1]) + textWidth(s.labels[k-1], textSize)/2 - (width - 2)
			s.to -= max(0, over)
		}
		if fits || n <= 1 {
			return s
		}
	}
}

// frame draws the axes of a plot.
func (d *Drawing) frame(ax, ay Axis, x, y *scale) {
	for i, v := range y.ticks {
		at := y.place(v)
		d.rule(x.from, at, x.to, at)
		d.text(x.from-6, at+textSize*0.35, end, y.labels[i])
	}
	d.add(`<line class="chart-axis" x1="%s" y1="%s" x2="%s" y2="%s" stroke="%s"/>`, num(x.from), num(y.from), num(x.to), num(y.from), mutedColour)
	for i, v := range x.ticks {
		at := x.place(v)
		d.add(`<line class="chart-axis" x1="%s" y1="%s" x2="%s" y2="%s" stroke="%s"/>`, num(at), num(y.from), num(at), num(y.from+4), mutedColour)
		d.text(at, y.from+textSize+7, middle, x.labels[i])
	}
	if ax.Label != "" {
		d.text((x.from+x.to)/2, d.height-5, middle, ax.Label)
	}
	if ay.Label != "" {
		d.turned(textSize, (y.from+y.to)/2, middle, ay.Label)
	}
}

// curve draws a series.
func (c Lines) curve(d *Drawing, s Series, x, y *scale) {
	class := seriesNumber(s.Colour)
	d.add(`<g class="series-%d" stroke="%s" fill="%[2]s">`, class, seriesColours[class-1])
	var path strings.Builder
	begin := true
	for i := range s.X {
		if !c.X.drawable(s.X[i]) || !c.Y.drawable(s.Y[i]) {
			begin = true
			continue
		}
		verb := 'L'
		if begin {
			verb = 'M'
		}
		begin = false
		fmt.Fprintf(&path, "%c%s %s", verb, num(x.place(s.X[i])), num(y.place(s.Y[i])))
	}
	if s.Dash != NoLine && path.Len() > 0 {
		d.add(`<path d="%s" fill="none" stroke-linejoin="round" stroke-linecap="round"%s/>`, path.String(), s.stroke())
	}
	every := s.Points == AllPoints || s.Dash == NoLine || s.Points == SomePoints && len(s.X) <= fewPoints
	for i := range s.X {
		if !c.X.drawable(s.X[i]) || !c.Y.drawable(s.Y[i]) {
			continue
		}
		ring := s.Ring == i+1
		if !every && !ring {
			continue
		}
		px, py := x.place(s.X[i]), y.place(s.Y[i])
		d.add(`<g class="chart-point"><title>%s</title>`, escape(c.tell(s, i)))
		if ring {
			d.add(`<circle class="chart-ring" cx="%s" cy="%s" r="7" fill="none" stroke-width="1.5"/>`, num(px), num(py))
		}
		s.point(d, px, py)
		d.add(`<circle cx="%s" cy="%s" r="9" fill="none" stroke="none" pointer-events="all"/></g>`, num(px), num(py))
	}
	d.add(`</g>`)
}

// tell returns the text of a point: its series, its values, and what its ring
// means.
func (c Lines) tell(s Series, i int) string {
	write := func(a Axis, v float64) string {
		if a.Format != nil {
			return a.Format(v)
		}
		return Number(v, -1)
	}
	text := fmt.Sprintf("%s: %s", strings.TrimSpace(c.X.Label+" "+write(c.X, s.X[i])), write(c.Y, s.Y[i]))
	if s.Name != "" {
		text = s.Name + ", " + text
	}
	if s.Ring == i+1 && s.RingText != "" {
		text += " (" + s.RingText + ")"
	}
	return text
}

// stroke returns the form of a series' line as SVG attributes.
func (s Series) stroke() string {
	form := ` stroke-width="1.75"`
	if s.Faint {
		form = ` stroke-width="1.25" stroke-opacity="0.55"`
	}
	switch s.Dash {
	case Dashed:
		return form + ` stroke-dasharray="6 4"`
	case Dotted:
		return form + ` stroke-dasharray="1 4"`
	}
	return form
}

// sign draws an example of a series, for the key.
func (s Series) sign(d *Drawing, x, y float64) {
	class := seriesNumber(s.Colour)
	d.add(`<g class="series-%d" stroke="%s" fill="%[2]s">`, class, seriesColours[class-1])
	if s.Dash != NoLine {
		d.add(`<path d="M%s %sH%s" fill="none" stroke-linecap="round"%s/>`, num(x-10), num(y), num(x+10), s.stroke())
	}
	if s.Points != NoPoints && (len(s.X) <= fewPoints || s.Points == AllPoints || s.Dash == NoLine) {
		s.point(d, x, y)
	}
	d.add(`</g>`)
}

// point draws a point. Its form depends on the series' colour.
func (s Series) point(d *Drawing, x, y float64) {
	const r = 3.2
	polygon := func(corners int, turn, r float64) {
		d.add(`<polygon stroke="none" points="`)
		for k := range corners {
			a := turn + 2*math.Pi*float64(k)/float64(corners)
			d.add(`%s,%s `, num(x+r*math.Sin(a)), num(y-r*math.Cos(a)))
		}
		d.add(`"/>`)
	}
	switch s.Colour % 5 {
	case 0:
		d.add(`<circle stroke="none" cx="%s" cy="%s" r="%s"/>`, num(x), num(y), num(r))
	case 1:
		polygon(4, math.Pi/4, r*1.25)
	case 2:
		polygon(3, 0, r*1.5)
	case 3:
		polygon(4, 0, r*1.4)
	case 4:
		polygon(3, math.Pi, r*1.5)
	}
}
