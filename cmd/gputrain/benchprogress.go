package main

import (
	"fmt"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/gputrain/gputrain/bench"
)

// benchProgress tells on standard error how far a benchmark is: a bar on a terminal, else a line now and then. Between two
// calls it does nothing, so that it takes no time from what is measured.
type benchProgress struct {
	app      *app
	bar      *progressbar.ProgressBar
	what     string
	lastLine time.Time
}

func (b *benchProgress) show(p bench.Progress) {
	if p.What != "" {
		b.what = p.What
	}
	if !b.app.err.terminal {
		if p.What == "" || time.Since(b.lastLine) < lineEvery {
			return
		}
		b.lastLine = time.Now()
		fmt.Fprintf(b.app.err, "%3d %%: %s\n", 100*p.Done/max(p.Total, 1), b.what)
		return
	}
	if b.bar == nil {
		b.bar = progressbar.NewOptions(p.Total,
			progressbar.OptionSetWriter(b.app.err),
			progressbar.OptionSetWidth(min(max(b.app.err.width()-60, 3), 40)),
			progressbar.OptionShowDescriptionAtLineEnd(),
			progressbar.OptionSetPredictTime(false),
			progressbar.OptionSetElapsedTime(false),
			progressbar.OptionUseANSICodes(true),
			progressbar.OptionSetTheme(progressbar.Theme{Saucer: "━", SaucerPadding: "─", BarStart: "", BarEnd: ""}))
	}
	text := []rune(b.what)
	if most := max(b.app.err.width()-20, 20); len(text) > most {
		text = append(text[:most-1], '…')
	}
	b.bar.Describe(string(text))
	_ = b.bar.Set(p.Done)
}

// close clears the bar.
func (b *benchProgress) close() {
	if b.bar != nil {
		_ = b.bar.Clear()
	}
}
