package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/gputrain/gputrain/bench/peers"
	"github.com/gputrain/gputrain/net"
)

// contender is a subject or peer that takes turns.
type contender struct {
	m       Measurement
	program net.Program                  // nil of a peer
	repeat  func(n int) (float64, error) // the seconds of n mini-batches
	close   func() error
	against *contender // the baseline
	batches int        // in a repeat
	turns   int        // how many repeats it does
	rounds  []float64  // seconds a mini-batch by round; NaN where it didn't take part
}

func newSubject(j *job, p net.Program, m Measurement) *contender {
	return &contender{m: m, program: p, repeat: func(n int) (float64, error) {
		s, err := j.run(p, n)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", m.Settings, err)
		}
		return s, nil
	}, close: p.Close}
}

// baseline returns the contender that c is compared with: the first subject of as many threads, or the first of all.
func baseline(all []*contender, c *contender) *contender {
	for _, b := range all {
		if b.program != nil && b.m.Threads > 0 && b.m.Threads == c.m.Threads {
			return b
		}
	}
	return all[0]
}

// warm runs a contender until its repeats take the least time that they should, and decides how many there are.
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
			break // so slow that nothing else is of weight
		}
	}
	// What takes much longer than asked for may do so a few times only.
	c.turns = repeats
	if most := 4 * least * float64(repeats) / took; c.batches == 1 && most < float64(repeats) {
		c.turns = max(fewest, int(most))
	}
	return nil
}

// takesPart reports whether a contender has a turn in a round; turns are spread evenly.
func (c *contender) takesPart(round, rounds int) bool {
	return round*c.turns/rounds != (round+1)*c.turns/rounds
}

// summarise sets the measurement's figures, where there are enough repeats.
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
	if c.m.Peer {
		c.m.Limits = c.against.m.Limits
	}
}

// startPeers starts the peers for a work, and notes which can't take part.
func (r *run) startPeers(j *job) (out []*contender, err error) {
	if len(r.Peers) == 0 {
		return nil, nil
	}
	if j.Model != peers.Model {
		r.note("Peers know the model %s alone: %s is without them.", peers.Model, j.Model)
		return nil, nil
	}
	dir, err := os.MkdirTemp("", "gputrain-bench-")
	if err != nil {
		return nil, err
	}
	// Peers have read all by the time that they have shown their losses.
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	data := j.batches[0].Data
	common, err := peers.WriteInputs(dir, j.plan.Network, r.Optimizer, r.Seed, data, len(j.batches)*j.Batch)
	if err != nil {
		return nil, err
	}
	common.Mode, common.Batch, common.Check = j.Mode, j.Batch, len(j.batches)
	ours, err := r.ourLosses(j, common)
	if err != nil {
		return nil, err
	}
	for _, threads := range r.threads() {
		common.Threads = threads
		path := filepath.Join(dir, fmt.Sprintf("job-%d.json", threads))
		if err := common.Write(path); err != nil {
			return out, err
		}
		for _, name := range r.Peers {
			if err := r.ctx.Err(); err != nil {
				return out, err
			}
			r.step(0, fmt.Sprintf("starting %s: %v", name, j.Work))
			c, err := r.startPeer(j, name, path, threads, ours)
			switch {
			case errors.Is(err, peers.ErrNotInstalled):
				r.note("%s is not installed here: make bench-peers PEERS=%s makes it.", name, name)
			case err != nil:
				r.note("Not timed (%v): %s.", j.Work, firstLine(err))
			default:
				out = append(out, c)
			}
		}
	}
	return out, nil
}

// startPeer starts a peer, which must agree with our losses.
func (r *run) startPeer(j *job, name, path string, threads int, ours []float64) (*contender, error) {
	p, err := peers.Start(r.ctx, r.PeersDir, name, path)
	if err != nil {
		return nil, err
	}
	if err := peers.Agree(ours, p.Losses); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	c := &contender{close: p.Close, m: Measurement{Work: j.Work, Who: name, Version: p.Version, Peer: true, Threads: threads,
		Settings: p.Settings, MulAdds: batchMulAdds(j.plan, j.Work), Check: Check{Against: "gputrain on " + r.Subjects[0].Name,
			What: fmt.Sprintf("losses of %d batches", len(ours)), Distance: peers.Distance(ours, p.Losses), Tolerance: peers.Tolerance}}}
	c.repeat = func(n int) (float64, error) {
		got, err := p.Repeat(n)
		c.m.PeakRSS = max(c.m.PeakRSS, got.PeakRSS)
		return got.Seconds, err
	}
	return c, nil
}

// ourLosses are what peers' losses must agree with: those of the first subject.
func (r *run) ourLosses(j *job, common peers.Job) (losses []float64, err error) {
	p, err := j.compile(r.Subjects[0])
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	return common.Losses(p, j.batches[0].Data)
}
