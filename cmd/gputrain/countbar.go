package main

import (
	"fmt"
	"time"

	"github.com/schollz/progressbar/v3"
)

// countBar shows on standard error how far long work has come: as a bar on a
// terminal, else as a line now and then.
type countBar struct {
	app      *app
	what     string
	all      int
	bar      *progressbar.ProgressBar
	lastLine time.Time
}

func (a *app) newCountBar(what string, all int) *countBar {
	b := &countBar{app: a, what: what, all: all, lastLine: time.Now()}
	if a.err.terminal {
		b.bar = a.err.newBar(all, min(max(a.err.width()-len(what)-4, 3), 40))
		b.bar.Describe(what)
	}
	return b
}

// set says how much is done.
func (b *countBar) set(done int) {
	if b.bar != nil {
		_ = b.bar.Set(done)
		return
	}
	if time.Since(b.lastLine) >= lineEvery {
		b.lastLine = time.Now()
		fmt.Fprintf(b.app.err, "%s: %s of %s\n", b.what, thousands(done), thousands(b.all))
	}
}

// close clears the bar.
func (b *countBar) close() {
	if b.bar != nil {
		_ = b.bar.Clear()
	}
}
