package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// table is text in columns. Numbers and their headings are right-aligned.
type table struct {
	align string // a letter for each column: l (left) or r (right)
	rows  [][]string
}

// add adds a row.
func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// write writes the rows with two spaces between the columns.
func (t *table) write(w io.Writer) {
	widths := make([]int, len(t.align))
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range t.rows {
		var b strings.Builder
		for i, cell := range row {
			if i > 0 {
				b.WriteString("  ")
			}
			gap := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if t.align[i] == 'r' {
				b.WriteString(gap + cell)
			} else {
				b.WriteString(cell + gap)
			}
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}

// facts holds pairs of a name and a value, one pair a line.
type facts [][2]string

func (f *facts) add(name, value string) { *f = append(*f, [2]string{name, value}) }

// write writes the facts. On a terminal it breaks lines that are too long.
func (f facts) write(s *stream) {
	names := 0
	for _, fact := range f {
		names = max(names, len(fact[0]))
	}
	for _, fact := range f {
		lines := []string{fact[1]}
		if s.terminal {
			lines = wrapped(fact[1], s.width()-names-2)
		}
		for i, line := range lines {
			name := fact[0]
			if i > 0 {
				name = ""
			}
			fmt.Fprintf(s, "%-*s  %s\n", names, name, line)
		}
	}
}

// thousands formats an integer with commas, for example 3,199,106.
func thousands[I int | int64](n I) string {
	s := strconv.FormatInt(int64(n), 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// percent formats a share of 1 as a percentage.
func percent(share float64) string { return fmt.Sprintf("%.2f %%", 100*share) }
