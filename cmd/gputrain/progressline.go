package main

import (
	"fmt"
	"strings"

	"github.com/rivo/uniseg"
)

// progressLine is a line on a terminal that shows how far long work is. Each time
// it is drawn over itself, within the terminal's present width.
type progressLine struct {
	out   *stream
	steps int
}

// The widths of the bar in columns, without the text after it.
const (
	leastBar = 3
	mostBar  = 40
)

func (s *stream) newProgressLine(steps int) *progressLine {
	return &progressLine{out: s, steps: max(steps, 1)}
}

// show draws a bar and a text after it, which is cut if there is no room. The
// cursor stays at the beginning of the line. So if the terminal gets narrower and
// breaks the line in two, clearing begins there too.
func (b *progressLine) show(done int, text string) {
	done = min(done, b.steps)
	room := b.out.width() - 1 // after the last column some terminals go to the next line
	share := fmt.Sprintf(" %3d%% ", 100*done/b.steps)
	width := min(max(room-len(share)-uniseg.StringWidth(text), leastBar), mostBar)
	full := width * done / b.steps
	line := strings.Repeat("━", full) + strings.Repeat("─", width-full) + share + text
	fmt.Fprintf(b.out, "\r\x1b[J%s\r", fitted(line, room))
}

// clear removes the line from the terminal.
func (b *progressLine) clear() { fmt.Fprint(b.out, "\r\x1b[J") }

// fitted cuts a text to the given number of columns of a terminal.
func fitted(text string, columns int) string {
	if uniseg.StringWidth(text) <= columns {
		return text
	}
	var out strings.Builder
	left := columns - 1 // one column is for the ellipsis
	for g := uniseg.NewGraphemes(text); g.Next() && g.Width() <= left; left -= g.Width() {
		out.WriteString(g.Str())
	}
	if columns < 1 {
		return ""
	}
	return out.String() + "…"
}
