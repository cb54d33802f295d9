package main

import (
	"fmt"
	"time"

	"github.com/gputrain/gputrain/bench"
)

// benchProgress shows on standard error how far a benchmark is: as a bar on a terminal, otherwise as a line now and
// then. Between two calls it does nothing, so it takes no time from what is measured.
type benchProgress struct {
	app      *app
	bar      *progressLine
	what     string
	lastLine time.Time
}

func (b *benchProgress) show(p bench.Progress) {
	if p.What != "" {
		b.what = p.What
	}
	if !b.app.err.escapes {
		if p.What == "" || time.Since(b.lastLine) < lineEvery {
			return
		}
		b.lastLine = time.Now()
		fmt.Fprintf(b.app.err, "%3d %%: %s\n", 100*p.Done/max(p.Total, 1), b.text(p))
		return
	}
	if b.bar == nil {
		b.bar = b.app.err.newProgressLine(p.Total)
	}
	b.bar.show(p.Done, b.text(p))
}

// text says what is done, and about how long the rest takes if that is long.
func (b *benchProgress) text(p bench.Progress) string {
	if p.Left < time.Minute {
		return b.what
	}
	return fmt.Sprintf("%s; about %v left", b.what, roundTime(p.Left))
}

// close clears the bar.
func (b *benchProgress) close() {
	if b.bar != nil {
		b.bar.clear()
	}
}
