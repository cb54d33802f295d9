package bench

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/gputrain/gputrain/bench/peers"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/onnx"
)

// company describes the conditions under which a peer runs: the place and the number of threads of one or more
// subjects.
type company struct {
	place   peers.Place
	threads int // 0 on a GPU
	with    int // the first subject at that place; peers' losses must agree with its losses
	tier    string
}

// companies returns the conditions for peers, each once. On a CPU there is one for each number of threads. Subjects
// that are not timed have none, nor have those on a CPU whose number of threads can't be chosen.
func (r *run) companies() []company {
	var out []company
	first := map[peers.Place]int{}
	for i, s := range r.Subjects {
		place := s.place()
		if s.Simulated != "" {
			continue
		}
		if _, ok := first[place]; !ok {
			first[place] = i
		}
		c := company{place: place, threads: s.Threads, with: first[place], tier: s.Tier}
		if (c.threads > 0 || place.GPU()) && !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	return out
}

// startPeers starts the peers for a work. It notes which of them can't take part.
func (r *run) startPeers(j *job) (out []*contender, err error) {
	if len(r.Peers) == 0 {
		return nil, nil
	}
	for _, s := range r.Subjects {
		if s.Simulated != "" {
			r.note("There are no peers on %s: %s.", s.Name, s.Simulated)
		}
	}
	companies := r.companies()
	if len(companies) == 0 {
		return nil, nil
	}
	dir, err := os.MkdirTemp("", "gputrain-bench-")
	if err != nil {
		return nil, err
	}
	// Peers have read all files by the time that they have shown their losses.
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	work, err := peers.WriteInputs(dir, j.plan.Network, r.Optimizer, j.state, j.batches[0].Data, len(j.batches)*j.Batch)
	if err != nil {
		return nil, err
	}
	if j.Mode == peers.Infer {
		work.ONNX = "model.onnx"
		if err := j.writeONNX(filepath.Join(dir, work.ONNX)); err != nil {
			return nil, err
		}
	}
	work.Mode, work.Batch, work.Check = j.Mode, j.Batch, len(j.batches)
	losses := map[int][]float64{} // by subject
	for i, c := range companies {
		work.Place, work.Threads, work.Tier = c.place, max(c.threads, 1), c.tier
		path := filepath.Join(dir, fmt.Sprintf("job-%d.json", i))
		if err := work.Write(path); err != nil {
			return out, err
		}
		if losses[c.with] == nil {
			if losses[c.with], err = r.ourLosses(j, c.with, work); err != nil {
				return out, err
			}
		}
		for _, name := range r.Peers {
			if err := r.ctx.Err(); err != nil {
				return out, err
			}
			key := peerKey{name, c.place}
			unable := inability{key, j.plan.Network, j.Mode}
			if r.unavailable[unable] {
				continue
			}
			r.step(0, fmt.Sprintf("starting %s: %v", key, j.Work))
			p, err := r.startPeer(j, key, path, c, losses[c.with])
			switch {
			case errors.Is(err, peers.ErrUnavailable):
				r.note("Not timed: %s.", firstLine(err))
				r.unavailable[unable] = true
			case err != nil:
				r.note("Not timed (%v): %s.", j.Work, firstLine(err))
			default:
				out = append(out, p)
			}
		}
	}
	return out, nil
}

// peerKey identifies a peer by its name and the place where it computes.
type peerKey struct {
	name  string
	place peers.Place
}

// inability identifies what a peer can't do.
type inability struct {
	peerKey
	network *net.Network
	mode    peers.Mode
}

// String returns the peer's name in tables.
func (k peerKey) String() string {
	if k.place.GPU() {
		return fmt.Sprintf("%s (%s)", k.name, k.place.Device)
	}
	return k.name
}

// startPeer starts a peer, and checks that its losses agree with ours.
func (r *run) startPeer(j *job, key peerKey, path string, with company, ours []float64) (*contender, error) {
	p, end, err := r.peer(key, path)
	if err != nil {
		return nil, err
	}
	if with.tier != "" {
		r.limited(key.String(), p.Tier == with.tier)
	}
	tolerance := with.place.Tolerance()
	if err := peers.Agree(ours, p.Losses, tolerance); err != nil {
		tolerance, err = r.toleranceOf(j, with, ours, p.Losses, err)
		if err != nil {
			return nil, errors.Join(err, end())
		}
	}
	c := &contender{place: with.place, close: end, m: Measurement{Work: j.Work, Who: key.String(), Version: p.Version, Peer: true, Threads: with.threads,
		Settings: p.Settings, MulAdds: batchMulAdds(j.plan, j.Work), Check: Check{Against: "gputrain on " + r.Subjects[with.with].Name,
			What: fmt.Sprintf("losses of %d batches", len(ours)), Distance: peers.Distance(ours, p.Losses), Tolerance: tolerance}}}
	c.repeat = func(n int) (float64, error) {
		got, err := p.Repeat(n)
		c.m.PeakRSS, c.m.DeviceMemory = max(c.m.PeakRSS, got.PeakRSS), max(c.m.DeviceMemory, got.DeviceMemory)
		return got.Seconds, err
	}
	return c, nil
}

// limited remembers whether a peer keeps to the instructions that gputrain uses.
func (r *run) limited(peer string, is bool) {
	to := &r.unlimited
	if is {
		to = &r.keeping
	}
	if !slices.Contains(*to, peer) {
		*to = append(*to, peer)
	}
}

// writeONNX writes the job's network and weights as an ONNX model.
func (j *job) writeONNX(path string) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return onnx.Write(f, j.plan, j.state.Params, onnx.Options{Producer: "gputrain"})
}

// peer returns a peer that has begun a job, and the function that ends it after this work. On the CPU a process does
// one job, so its memory is that of this job. Starting on a GPU takes many seconds, so there one process does all
// jobs, until closePeers.
func (r *run) peer(key peerKey, path string) (p *peers.Peer, end func() error, err error) {
	p = r.waiting[key]
	if p == nil {
		if p, err = peers.Start(r.ctx, r.PeersDir, key.name, path); err != nil {
			return nil, nil, err
		}
		if !key.place.GPU() {
			return p, p.Close, nil
		}
		r.waiting[key] = p
	} else if err := p.Next(path); err != nil {
		delete(r.waiting, key)
		return nil, nil, errors.Join(err, p.Close())
	}
	return p, func() error { return nil }, nil
}

// closePeers ends the peers that wait for another work.
func (r *run) closePeers() (err error) {
	for _, p := range r.waiting {
		err = errors.Join(err, p.Close())
	}
	return err
}

// toleranceOf returns the tolerance with which a peer's losses agree with ours if it is as wide as our own losses move
// when our parameters are shaken. Otherwise it returns disagree.
func (r *run) toleranceOf(j *job, with company, ours, theirs []float64, disagree error) (most float64, err error) {
	if len(ours) != len(theirs) {
		return 0, disagree
	}
	p, err := j.compile(r.Subjects[with.with])
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	work := peers.Job{Mode: j.Mode, Batch: j.Batch, Check: len(ours)}
	moved, err := j.shaken(p, j.state, func() ([]float64, error) { return work.Losses(p, j.batches[0].Data) })
	if err != nil {
		return 0, err
	}
	for i := range ours {
		allowed := shakenTolerance(with.place.Tolerance(), moved[i])
		if most = max(most, allowed); !(math.Abs(ours[i]-theirs[i]) <= allowed) {
			return 0, disagree
		}
	}
	return most, nil
}

// ourLosses returns a subject's losses. The losses of peers must agree with them.
func (r *run) ourLosses(j *job, subject int, work peers.Job) (losses []float64, err error) {
	p, err := j.compile(r.Subjects[subject])
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	return work.Losses(p, j.batches[0].Data)
}
