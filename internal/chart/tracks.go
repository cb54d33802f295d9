package chart

import "fmt"

// Tracks is a drawing of a graph. Its nodes stand one below the other, each in
// its own row. On the left are their connections as lines, and on the right is a
// table. All lines lead down.
type Tracks struct {
	Title  string
	Align  string // alignment of the table's columns, a letter each: l (left) or r (right)
	Rows   []Track
	Groups []TrackGroup
	Kinds  []TrackKind // the key
}

// Track is a node and its row of the table.
type Track struct {
	Cells  []string
	Column int   // the node's column, from 0 on the left; its output line stays in this column
	From   []int // rows of the nodes that lead to it; all are above it
	Series int   // index of its colour in the palette, from 0; -1 is grey
}

// TrackGroup is a bar beside rows that belong together.
type TrackGroup struct {
	Name string
	Rows []int // in order
}

// TrackKind is an entry of the key.
type TrackKind struct {
	Name   string
	Series int
}

// Draw draws the graph, as wide as it needs to be.
func (t *Tracks) Draw() *Drawing {
	const (
		rowHeight, pitch, dot = 24.0, 18.0, 5.0
		left, gap, bar        = 14.0, 20.0, 16.0
	)
	columns := 0
	widths := make([]float64, len(t.Align))
	for _, r := range t.Rows {
		columns = max(columns, r.Column+1)
		for i, cell := range r.Cells {
			widths[i] = max(widths[i], textWidth(cell, textSize))
		}
	}
	table := left + float64(columns)*pitch + bar
	width := table
	for _, w := range widths {
		width += w + gap
	}
	width = max(width, usualWidth)
	d := newDrawing(t.Title, "", width, 0)
	top := d.head()
	names := make([]string, len(t.Kinds))
	for i, k := range t.Kinds {
		names[i] = k.Name
	}
	top = d.key(top, names, func(i int, x, y float64) { d.dot(x, y, dot, t.Kinds[i].Series, "") })
	d.height = top + float64(len(t.Rows))*rowHeight + 10

	x := func(column int) float64 { return left + float64(column)*pitch }
	y := func(row int) float64 { return top + (float64(row)+0.5)*rowHeight }
	for i, r := range t.Rows {
		if i%2 == 1 {
			d.add(`<rect class="chart-band" x="%s" y="%s" width="%s" height="%s" fill="#f6f7f9"/>`, num(table-6), num(y(i)-rowHeight/2), num(width-table+4), num(rowHeight))
		}
		for _, from := range r.From {
			x1, y1, x2, y2 := x(t.Rows[from].Column), y(from), x(r.Column), y(i)
			path := fmt.Sprintf("M%s %sV%s", num(x1), num(y1), num(y2))
			if x1 != x2 {
				bend := y2 - 0.8*rowHeight
				path = fmt.Sprintf("M%s %sV%sC%s %s %s %s %s %s", num(x1), num(y1), num(bend), num(x1), num(y2), num(x2), num(bend), num(x2), num(y2))
			}
			d.add(`<path class="chart-line" d="%s" fill="none" stroke="%s" stroke-width="1.6"/>`, path, mutedColour)
		}
	}
	for _, g := range t.Groups {
		at := table - bar/2 - 4
		first, last := y(g.Rows[0])-rowHeight*0.3, y(g.Rows[len(g.Rows)-1])+rowHeight*0.3
		d.add(`<g><title>%s, as one</title><path class="chart-line" d="M%s %sh-5V%sh5" fill="none" stroke="%s" stroke-width="2"/></g>`, escape(g.Name), num(at+5), num(first), num(last), mutedColour)
	}
	for i, r := range t.Rows {
		d.dot(x(r.Column), y(i), dot, r.Series, r.Cells[0])
		at := table
		for k, cell := range r.Cells {
			place, where := at, start
			if t.Align[k] == 'r' {
				place, where = at+widths[k], end
			}
			if k == 0 {
				d.add(`<text class="chart-title" x="%s" y="%s" fill="%s">%s</text>`, num(place), num(y(i)+textSize*0.35), inkColour, escape(cell))
			} else if cell != "" {
				d.text(place, y(i)+textSize*0.35, where, cell)
			}
			at += widths[k] + gap
		}
	}
	return d
}

// dot draws a node in the colour of a series, or in grey if series is negative.
func (d *Drawing) dot(x, y, r float64, series int, title string) {
	class, colour := "", mutedColour
	if series >= 0 {
		n := seriesNumber(series)
		class, colour = fmt.Sprintf("series-%d ", n), seriesColours[n-1]
	}
	if title != "" {
		title = "<title>" + escape(title) + "</title>"
	}
	// Series beyond the number of colours have a dot with a hole.
	if series >= len(seriesColours) {
		d.add(`<circle class="%schart-ring" cx="%s" cy="%s" r="%s" fill="%s" stroke="%s" stroke-width="2.5">%s</circle>`, class, num(x), num(y), num(r-1), paperColour, colour, title)
		return
	}
	d.add(`<circle class="%schart-dot" cx="%s" cy="%s" r="%s" fill="%s">%s</circle>`, class, num(x), num(y), num(r), colour, title)
}
