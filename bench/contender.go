package bench

import (
	"context"
	"fmt"
	"math"

	"github.com/gputrain/gputrain/bench/peers"
	"github.com/gputrain/gputrain/net"
)

// contender is a subject or a peer that takes turns with the others.
type contender struct {
	m       Measurement
	place   peers.Place
	program net.Program                  // nil for a peer
	repeat  func(n int) (float64, error) // returns the seconds that n mini-batches take
	close   func() error
	against *contender // the baseline
	batches int        // in a repeat
	turns   int        // the number of repeats that it does
	rounds  []float64  // seconds of a mini-batch, by round; NaN where it didn't take part
}

func newSubject(j *job, s Subject, p net.Program, m Measurement) *contender {
	return &contender{m: m, place: s.place(), program: p, repeat: func(n int) (float64, error) {
		s, err := j.run(p, n)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", m.Settings, err)
		}
		return s, nil
	}, close: p.Close}
}

// baseline returns the contender that c is compared with. For a subject it is the first subject with as many threads.
// For a peer it is the first subject at the same place with as many threads. If there is none, it is the first of all.
func baseline(all []*contender, c *contender) *contender {
	for _, b := range all {
		if b.program == nil {
			continue
		}
		if c.program == nil && b.place == c.place && b.m.Threads == c.m.Threads || c.program != nil && b.m.Threads > 0 && b.m.Threads == c.m.Threads {
			return b
		}
	}
	return all[0]
}

// warm runs a contender until one of its repeats takes at least the given seconds. Then it decides how many repeats
// there are.
func (c *contender) warm(ctx context.Context, least float64, repeats int) error {
	c.batches = 1
	var took float64
	for range 3 {
		if err := ctx.Err(); err != nil {
			return err
		}
		s, err := c.repeat(c.batches)
		if err != nil {
			return err
		}
		took = s
		c.batches = max(1, int(math.Ceil(least/s*float64(c.batches))))
		if s > 4*least && c.batches == 1 {
			break // so slow that warming up no longer matters
		}
	}
	// A contender that takes much longer than asked for does only a few repeats.
	c.turns = repeats
	if most := 4 * least * float64(repeats) / took; c.batches == 1 && most < float64(repeats) {
		c.turns = max(fewest, int(most))
	}
	return nil
}

// takesPart reports whether a contender has a turn in a round. Its turns are spread evenly over the rounds.
func (c *contender) takesPart(round, rounds int) bool {
	return round*c.turns/rounds != (round+1)*c.turns/rounds
}

// summarise sets the measurement's figures. If there are too few repeats, it leaves the measurement without times.
func (c *contender) summarise() {
	var ratios []float64
	for i, s := range c.rounds {
		if math.IsNaN(s) {
			continue
		}
		c.m.Seconds = append(c.m.Seconds, s)
		if i < len(c.against.rounds) && !math.IsNaN(c.against.rounds[i]) {
			ratios = append(ratios, s/c.against.rounds[i])
		}
	}
	if len(c.m.Seconds) < fewest || len(ratios) == 0 {
		c.m.Seconds = nil
		return
	}
	c.m.Batches = c.batches
	c.m.Time = spreadOf(c.m.Seconds)
	c.m.Images = c.m.Time.per(float64(c.m.Batch))
	c.m.Ratio = spreadOf(ratios)
	c.m.Baseline = c.against.m.Who
	if c.m.Peer {
		c.m.Limits = c.against.m.Limits
	}
}
