package main

import (
	"io"
	"os"

	"golang.org/x/term"
)

// stream is standard output or standard error. After a write has failed it
// ignores the rest, so that only the first failure is reported.
type stream struct {
	w        io.Writer
	terminal bool
	escapes  bool // it is a terminal that understands escape sequences, so lines can be drawn again
	colour   bool
	failed   error
	onFail   func(error)
}

func newStream(w io.Writer, onFail func(error)) *stream {
	s := &stream{w: w, onFail: onFail}
	if f, ok := w.(*os.File); ok {
		s.terminal = term.IsTerminal(int(f.Fd()))
	}
	s.escapes = s.terminal && os.Getenv("TERM") != "dumb"
	s.colour = s.escapes && os.Getenv("NO_COLOR") == ""
	return s
}

// Write writes to the stream. It never returns an error; see failed.
func (s *stream) Write(p []byte) (int, error) {
	if s.failed == nil {
		if _, s.failed = s.w.Write(p); s.failed != nil && s.onFail != nil {
			s.onFail(s.failed)
		}
	}
	return len(p), nil
}

// width returns the present number of columns of the terminal. It is 80 if that
// is unknown.
func (s *stream) width() int {
	if f, ok := s.w.(*os.File); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			return w
		}
	}
	return 80
}

// The colours in use, as codes of the ANSI sequence "select graphic rendition".
const (
	red   = "31"
	green = "32"
)

// paint colours a text if the stream shows colours.
func (s *stream) paint(colour, text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}
