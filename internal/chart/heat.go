package chart

import "fmt"

// Heat is a table whose cells have colours, such as a confusion matrix.
type Heat struct {
	Title                 string
	Description           string // what the chart shows, for people who don't see it
	RowLabel, ColumnLabel string
	Rows, Columns         []string
	Cells                 [][]Cell // by row and column
	CellSize              float64  // 0: as large as fits a width of 460, at least 12 and at most 64
}

// Cell is one field of a heat map.
type Cell struct {
	Share  float64 // strength of the colour: 0 is blank, 1 is the full colour
	Colour int     // index in the palette, from 0
	Text   string  // written in the cell if there is room
	About  string  // shown when the pointer rests on the cell
}

// Draw draws the chart.
func (c Heat) Draw() *Drawing {
	names := widest(c.Rows, textSize)
	left := min(names, 140) + 10
	if c.RowLabel != "" {
		left += textSize + 6
	}
	size := c.CellSize
	if size == 0 {
		size = max(12, (usualWidth-left-4)/float64(max(len(c.Columns), 1)))
		size = min(size, 64)
	}
	// If names of columns have no room side by side, they are written upwards.
	across := widest(c.Columns, textSize) <= size-2
	head := textSize + 8
	if !across {
		head = min(widest(c.Columns, textSize), 140) + 10
	}
	right := left + size*float64(len(c.Columns)) + 4
	d := newDrawing(c.Title, c.Description, max(right, left+120, 200), 0)
	top := d.head()
	if c.ColumnLabel != "" {
		label := shortened(c.ColumnLabel, textSize, d.width-8)
		half := textWidth(label, textSize) / 2
		d.text(min(max((left+right)/2, half+2), d.width-half-2), top+textSize, middle, label)
		top += textSize + 4
	}
	top += head
	bottom := top + size*float64(len(c.Rows))
	d.height = bottom + 4
	if c.RowLabel != "" {
		room := bottom - top
		d.height = max(d.height, top+textWidth("x", textSize))
		d.turned(textSize, (top+bottom)/2, middle, shortened(c.RowLabel, textSize, max(room, 20)))
	}
	for k, name := range c.Columns {
		x := left + size*(float64(k)+0.5)
		short := shortened(name, textSize, 140)
		d.add(`<g>`)
		if short != name {
			d.add(`<title>%s</title>`, escape(name))
		}
		if across {
			d.text(x, top-7, middle, short)
		} else {
			d.turned(x+textSize*0.35, top-6, start, short)
		}
		d.add(`</g>`)
	}
	for i, row := range c.Cells {
		y := top + size*float64(i)
		short := shortened(c.Rows[i], textSize, 140)
		d.add(`<g>`)
		if short != c.Rows[i] {
			d.add(`<title>%s</title>`, escape(c.Rows[i]))
		}
		d.text(left-6, y+size/2+textSize*0.35, end, short)
		d.add(`</g>`)
		for k, cell := range row {
			d.cell(cell, left+size*float64(k), y, size)
		}
	}
	return d
}

// cell draws one field.
func (d *Drawing) cell(c Cell, x, y, size float64) {
	d.add(`<g>`)
	if c.About != "" {
		d.add(`<title>%s</title>`, escape(c.About))
	}
	inner := size - 1
	share := min(max(c.Share, 0), 1)
	d.add(`<rect class="chart-cell" x="%s" y="%s" width="%s" height="%[3]s" rx="2" fill="#eef1f4"/>`, num(x), num(y), num(inner))
	if share > 0 {
		class := seriesNumber(c.Colour)
		d.add(`<rect class="series-%d" x="%s" y="%s" width="%s" height="%[4]s" rx="2" fill="%s" fill-opacity="%s"/>`,
			class, num(x), num(y), num(inner), seriesColours[class-1], num(share))
	}
	if fits := min(textSize, inner*textSize/max(textWidth(c.Text, textSize)+4, 1)); c.Text != "" && fits >= 8 && inner >= fits+1 {
		class, colour := "chart-on-cell", inkColour
		if share > 0.5 {
			class, colour = "chart-on-full", paperColour
		}
		d.add(`<text class="%s" x="%s" y="%s" text-anchor="middle" font-size="%s" fill="%s">%s</text>`,
			class, num(x+inner/2), num(y+inner/2+fits*0.35), num(fits), colour, escape(c.Text))
	}
	d.add(`</g>`)
}

// ShareText writes part as a percentage of whole. If whole is 0, it returns a
// dash.
func ShareText(part, whole int64) string {
	if whole == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(part)/float64(whole))
}
