package main

import (
	"fmt"
	"time"
)

// countBar shows on standard error how far long work is: as a bar on a
// terminal, otherwise as a line now and then.
type countBar struct {
	app      *app
	what     string
	all      int
	bar      *progressLine
	lastLine time.Time
}

func (a *app) newCountBar(what string, all int) *countBar {
	b := &countBar{app: a, what: what, all: all, lastLine: time.Now()}
	if a.err.escapes {
		b.bar = a.err.newProgressLine(all)
	}
	return b
}

// barEvery is the least time between two drawings of a count's bar.
const barEvery = 100 * time.Millisecond

// set tells how much is done.
func (b *countBar) set(done int) {
	if b.bar != nil {
		if done == b.all || time.Since(b.lastLine) >= barEvery {
			b.lastLine = time.Now()
			b.bar.show(done, b.what)
		}
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
		b.bar.clear()
	}
}
