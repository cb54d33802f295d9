package chart

import "math"

// Bars is a chart of values by name. Each value is a bar, from left to right.
type Bars struct {
	Title       string
	Description string // what the chart shows, for people who don't see it
	X           Axis   // begins at 0, unless it is logarithmic, has a Min, or there are negative values
	Names       []string
	Series      []BarSeries // each name has a bar of every series
	Mark        *float64    // a line across all bars, for example at ratio 1; nil: none
	Width       float64     // 0: 460
}

// BarSeries holds the bars of one kind. A value of NaN has no bar.
type BarSeries struct {
	Name      string
	Values    []float64
	Low, High []float64 // the range in which a value may lie; nil: unknown
	Text      []string  // texts beside the bars; nil: the values
	Colour    int       // index in the palette, from 0
}

// Draw draws the chart.
func (c Bars) Draw() *Drawing {
	const thick, gap, between = 15.0, 2.0, 9.0
	width := c.Width
	if width == 0 {
		width = usualWidth
	}
	d := newDrawing(c.Title, c.Description, width, 0)
	top := d.head()
	if len(c.Series) > 1 {
		names := make([]string, len(c.Series))
		for i, s := range c.Series {
			names[i] = s.Name
		}
		top = d.key(top, names, func(i int, x, y float64) { d.bar(c.Series[i].Colour, x-10, y-5, 20, 10) })
	}
	left := min(widest(c.Names, textSize)+10, width*0.42)
	var values []float64
	var right float64 // the widest text beside a bar
	for _, s := range c.Series {
		for _, more := range [][]float64{s.Values, s.Low, s.High} {
			values = append(values, more...)
		}
		for i := range s.Values {
			right = max(right, textWidth(c.label(s, i), textSize)+12)
		}
	}
	axis := c.X
	if axis.Min == nil && !axis.Log {
		values = append(values, 0)
		if least := smallest(values); least >= 0 {
			axis.Min = At(0)
		}
	}
	if c.Mark != nil {
		values = append(values, *c.Mark)
	}
	x := axis.layout(values, left, max(width-right, left+60))
	group := float64(len(c.Series))*(thick+gap) + between
	bottom := top + group*float64(len(c.Names))
	d.height = bottom + textSize + 12
	if c.X.Label != "" {
		d.height += textSize + 4
	}
	for i, v := range x.ticks {
		at := x.place(v)
		d.rule(at, top, at, bottom)
		d.text(at, bottom+textSize+4, middle, x.labels[i])
	}
	if c.X.Label != "" {
		d.text((x.from+x.to)/2, d.height-5, middle, c.X.Label)
	}
	base := x.from
	if !c.X.Log && x.lo < 0 {
		base = x.place(0)
	}
	for i, name := range c.Names {
		y := top + group*float64(i) + between/2
		short := shortened(name, textSize, left-8)
		d.add(`<g>`)
		if short != name {
			d.add(`<title>%s</title>`, escape(name))
		}
		d.text(left-8, y+(group-between)/2+textSize*0.3, end, short)
		d.add(`</g>`)
		for _, s := range c.Series {
			c.draw(d, s, i, x, base, y, thick)
			y += thick + gap
		}
	}
	if c.Mark != nil && axis.drawable(*c.Mark) {
		at := x.place(*c.Mark)
		d.add(`<line class="chart-axis" x1="%s" y1="%s" x2="%[1]s" y2="%[3]s" stroke="%[4]s" stroke-dasharray="4 3"/>`, num(at), num(top), num(bottom), mutedColour)
	}
	return d
}

// draw draws bar i of a series.
func (c Bars) draw(d *Drawing, s BarSeries, i int, x *scale, base, y, thick float64) {
	v := s.Values[i]
	if !c.X.drawable(v) {
		return
	}
	tip := x.place(v)
	text := c.label(s, i)
	about := c.Names[i]
	if s.Name != "" {
		about += ", " + s.Name
	}
	d.add(`<g><title>%s</title>`, escape(about+": "+text))
	d.bar(s.Colour, min(base, tip), y, math.Abs(tip-base), thick)
	beside := max(base, tip)
	if i < len(s.Low) && i < len(s.High) && c.X.drawable(s.Low[i]) && c.X.drawable(s.High[i]) {
		lo, hi, at := x.place(s.Low[i]), x.place(s.High[i]), y+thick/2
		d.add(`<path class="chart-whisker" d="M%s %sV%sM%[1]s %[4]sH%[5]sM%[5]s %[2]sV%[3]s" fill="none" stroke="%[6]s"/>`,
			num(lo), num(at-3), num(at+3), num(at), num(hi), inkColour)
		beside = max(beside, hi)
	}
	d.text(beside+5, y+thick-3.5, start, text)
	d.add(`</g>`)
}

// label returns the text beside bar i of a series.
func (c Bars) label(s BarSeries, i int) string {
	switch {
	case i < len(s.Text):
		return s.Text[i]
	case c.X.Format != nil:
		return c.X.Format(s.Values[i])
	}
	return Number(s.Values[i], -1)
}

// bar draws a bar in the colour of a series.
func (d *Drawing) bar(colour int, x, y, w, h float64) {
	class := seriesNumber(colour)
	d.add(`<rect class="series-%d" x="%s" y="%s" width="%s" height="%s" rx="2" fill="%s"/>`, class, num(x), num(y), num(w), num(h), seriesColours[class-1])
}

func smallest(values []float64) float64 {
	least := math.Inf(1)
	for _, v := range values {
		if v < least {
			least = v
		}
	}
	return least
}
