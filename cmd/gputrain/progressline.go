package main

import (
	"fmt"
	"strings"

	"github.com/rivo/uniseg"
)

// progressLine is a line on a terminal that shows how far long work has come. It is drawn anew
// over itself, within the width that the terminal has then.
type progressLine struct {
	out   *stream
	steps int
}

// The columns of the bar, without the text behind it.
const (
	leastBar = 3
	mostBar  = 40
)

func (s *stream) newProgressLine(steps int) *progressLine {
	return &progressLine{out: s, steps: max(steps, 1)}
}

// show draws a bar, with a text behind it that is cut where there is no room.
// The cursor stays at the beginning of the line: if the terminal gets narrower, and
// breaks the line in two, what is cleared next begins there too.
func (b *progressLine) show(done int, text string) {
	done = min(done, b.steps)
	room := b.out.width() - 1 // in the last column some terminals go to the next line
	share := fmt.Sprintf(" %3d%% ", 100*done/b.steps)
	width := min(max(room-len(share)-uniseg.StringWidth(text), leastBar), mostBar)
	full := width * done / b.steps
	line := strings.Repeat("━", full) + strings.Repeat("─", width-full) + share + text
	fmt.Fprintf(b.out, "\r\x1b[J%s\r", fitted(line, room))
}

// clear takes the line off the terminal.
func (b *progressLine) clear() { fmt.Fprint(b.out, "\r\x1b[J") }

// fitted cuts a text to so many columns of a terminal.
func fitted(text string, columns int) string {
	if uniseg.StringWidth(text) <= columns {
		return text
	}
	var out strings.Builder
	left := columns - 1 // for the ellipsis
	for g := uniseg.NewGraphemes(text); g.Next() && g.Width() <= left; left -= g.Width() {
		out.WriteString(g.Str())
	}
	if columns < 1 {
		return ""
	}
	return out.String() + "…"
}
