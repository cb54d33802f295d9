package cpu

import (
	"slices"
	"time"

	"github.com/gputrain/gputrain/net"
)

// profile collects how long the parts of one step take. The operations of a
// section run on a few samples at a time, so their times are added up for
// each thread. The section's time is then divided in these proportions. Time in
// which one operation had all threads to itself is counted apart.
type profile struct {
	parts []net.Part
	busy  [][]time.Duration // by worker and operation
	own   []time.Duration   // by operation: the time in which it had all threads to itself
	began time.Time
}

// ProfileStep trains as Step does, and returns where the time went. Other calls
// time nothing.
func (p *program) ProfileStep(b net.Batch) ([]net.Part, error) {
	f := &profile{busy: make([][]time.Duration, len(p.device.workers.all)), own: make([]time.Duration, len(p.training.operations))}
	for i := range f.busy {
		f.busy[i] = make([]time.Duration, len(p.training.operations))
	}
	p.profile = f
	defer func() { p.profile = nil }()
	if err := p.Step(b); err != nil {
		return nil, err
	}
	return f.parts, nil
}

// begin starts the clock of a section, or of work that belongs to no layer. On a
// nil profile begin, end and share do nothing, and alone only runs its work.
func (f *profile) begin() {
	if f == nil {
		return
	}
	for _, b := range f.busy {
		clear(b)
	}
	clear(f.own)
	f.began = time.Now()
}

// end adds a part that took the time since begin.
func (f *profile) end(phase net.Phase, layers []int) {
	if f != nil {
		f.add(net.Part{Phase: phase, Layers: layers, Time: time.Since(f.began)})
	}
}

// add adds a part. If it goes on with the last one's layers, it becomes one with that:
// so a change of layout belongs to the layers for which it is made.
func (f *profile) add(p net.Part) {
	if n := len(f.parts); n > 0 && f.parts[n-1].Phase == p.Phase && slices.Equal(f.parts[n-1].Layers, p.Layers) {
		f.parts[n-1].Time += p.Time
		return
	}
	f.parts = append(f.parts, p)
}

// share divides the time since begin among a section's operations on samples.
// Forward these are all operations, backward only those that learn.
func (f *profile) share(phase net.Phase, operations []operation, s section) {
	if f == nil {
		return
	}
	took := time.Since(f.began)
	busy := make([]time.Duration, len(operations))
	var all time.Duration
	for i := s.first; i < s.end; i++ {
		for _, b := range f.busy {
			busy[i] += b[i]
		}
		all += busy[i]
		took -= f.own[i]
	}
	for i := s.first; i < s.end; i++ {
		at := i
		if phase == net.Backward {
			at = s.first + s.end - 1 - i
		}
		op := operations[at]
		if phase == net.Backward && !op.learns {
			continue
		}
		part := net.Part{Phase: phase, Layers: op.layers}
		if len(op.layers) == 0 {
			part.Phase = net.Gather
		}
		part.Time = time.Duration(float64(took)*float64(busy[at])/float64(max(all, 1))) + f.own[at]
		f.add(part)
	}
}

// alone runs work that an operation does with all threads before or after the
// samples.
func (f *profile) alone(operation int, run func()) {
	if f == nil {
		run()
		return
	}
	start := time.Now()
	run()
	f.own[operation] += time.Since(start)
}

// timed runs the work of one operation for some samples, on one worker.
func (f *profile) timed(w *worker, operation int, run func()) {
	start := time.Now()
	run()
	f.busy[w.id][operation] += time.Since(start)
}
