package chart

import (
	"strings"
	"unicode/utf8"
)

// The sizes of text, in the units of the drawing.
const (
	textSize  = 12.0
	titleSize = 14.0
)

// runeWidth returns the width of a letter in sizes of its font. It is at least
// that of DejaVu Sans and Verdana, which are the widest fonts that browsers use
// for sans-serif.
func runeWidth(r rune) float64 {
	switch {
	case r >= 0x1100:
		if r >= 0x2000 && r < 0x2e80 { // punctuation, arrows, symbols
			return 1
		}
		return 1.1 // scripts whose letters are square
	case strings.ContainsRune("iIjl.,:;'|! ", r):
		return 0.4
	case strings.ContainsRune("ftr()[]/-\"", r):
		return 0.47
	case strings.ContainsRune("mwMW%@&_+=<>", r):
		return 1
	case r >= 'A' && r <= 'Z':
		return 0.78
	}
	return 0.65
}

// textWidth returns the room that a text of the given size needs.
func textWidth(s string, size float64) float64 {
	w := 0.0
	for _, r := range s {
		w += runeWidth(r)
	}
	return w * size
}

// widest returns the room that the widest of some texts needs.
func widest(texts []string, size float64) float64 {
	w := 0.0
	for _, s := range texts {
		w = max(w, textWidth(s, size))
	}
	return w
}

// shortened replaces the middle of a text by … if the text has no room.
func shortened(s string, size, room float64) string {
	if textWidth(s, size) <= room {
		return s
	}
	runes := []rune(s)
	for keep := len(runes) - 1; keep > 0; keep-- {
		head := (keep + 1) / 2
		short := string(runes[:head]) + "…" + string(runes[len(runes)-(keep-head):])
		if textWidth(short, size) <= room {
			return short
		}
	}
	return "…"
}

// lines breaks a text at spaces into lines that fit into room. A single word
// that doesn't fit is shortened.
func lines(s string, size, room float64) []string {
	var out []string
	line := ""
	for _, word := range strings.Fields(s) {
		word = shortened(word, size, room)
		switch {
		case line == "":
			line = word
		case textWidth(line+" "+word, size) <= room:
			line += " " + word
		default:
			out = append(out, line)
			line = word
		}
	}
	if line != "" {
		out = append(out, line)
	}
	return out
}

// valid replaces what XML does not allow: control characters, and bytes that
// are not valid UTF-8.
func valid(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' || r == utf8.RuneError || r == 0xfffe || r == 0xffff {
			return '\ufffd'
		}
		return r
	}, s)
}
