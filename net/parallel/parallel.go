// Package parallel trains one network on several devices at once. Each belongs to a member of
// a group: a goroutine of this process, or a process on this or another machine.
//
//	for _, member := range parallel.Local(2) {
//		go train(parallel.New(device(), member))
//	}
//
// Every member trains on its part of each mini-batch. The result is that of one device
// which trains on the whole of it, except for rounding. So a program needs no other
// settings for a group: mini-batches, learning rates and seeds are those of one device.
package parallel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/net"
)

// New returns a device that is made of all members' devices, of which d is this member's.
// Every member has such a device, and makes the same calls of it and of its programs, in
// the same order and with the same arguments. They get the same answers. Closing it closes
// d, but not g.
//
// Options.Batch is the size of whole mini-batches. Options.Communicator is nil.
func New(d net.Device, g net.Communicator) net.Device { return &device{d, g} }

type device struct {
	own   net.Device
	group net.Communicator
}

// Name returns the number of members and the name of this one's device.
func (d *device) Name() string { return fmt.Sprintf("%d x %s", d.group.Size(), d.own.Name()) }

func (d *device) Close() error { return d.own.Close() }

// Compile prepares the network on all devices. Member 0's values are where all begin.
func (d *device) Compile(n *net.Network, opts net.Options) (net.Program, error) {
	if opts.Communicator != nil {
		return nil, errors.New("parallel: Options.Communicator is set, but the device has one")
	}
	if err := opts.Check(); err != nil {
		return nil, err // before the size of the parts is computed
	}
	own := opts
	own.Communicator, own.Batch = d.group, (opts.Batch+d.group.Size()-1)/d.group.Size()
	compiled, err := d.own.Compile(n, own)
	inner, ok := compiled.(net.GroupProgram)
	if err == nil && !ok {
		err = fmt.Errorf("parallel: %s: %w", d.own.Name(), net.ErrAlone)
	}
	if err := net.Together(d.group, err); err != nil {
		if compiled != nil {
			return nil, errors.Join(err, compiled.Close())
		}
		return nil, err
	}
	opts.Images, opts.Communicator = nil, d.group
	p := &program{own: inner, plan: inner.Plan(), options: opts, group: d.group}
	if err := p.begin(); err != nil {
		return nil, errors.Join(err, inner.Close())
	}
	return p, nil
}

// program is a network on all members' devices.
type program struct {
	own     net.GroupProgram
	plan    *net.Plan
	options net.Options
	group   net.Communicator
	pending bool        // gradients await an update
	apart   bool        // the members' running statistics may differ
	swapped bool        // averages are in the place of weights
	earlier net.Metrics // of steps before settle, which TakeMetrics has not returned yet
}

// Own returns what a program on all members' devices has on this member's: a program that
// can be used by this member alone, between calls that all make. Evaluate, Infer, State and
// Trace don't concern the others. A SwapAverage is to be undone. A program that is on one
// device is its own.
func Own(p net.Program) net.Program {
	if p, ok := p.(*program); ok {
		return p.own
	}
	return p
}

// begin gives all members the values of member 0. They have drawn the same, but processors
// of several kinds may round what is computed from images in several ways.
func (p *program) begin() error {
	st, err := p.own.State()
	if err != nil {
		return err
	}
	values := make([][]float32, 0, len(st.Params))
	for _, q := range p.plan.Params {
		values = append(values, st.Params[q.Name].Float32s())
	}
	var all bytes.Buffer
	for _, v := range values {
		if err := binary.Write(&all, binary.LittleEndian, v); err != nil {
			return err
		}
	}
	if err := p.group.Broadcast(all.Bytes()); err != nil {
		return err
	}
	for _, v := range values {
		if err := binary.Read(&all, binary.LittleEndian, v); err != nil {
			return err
		}
	}
	st.Average = nil // begins at the weights
	return p.own.SetState(st)
}

func (p *program) Plan() *net.Plan { return p.plan }

// Options returns the options of the whole, with this member's Communicator.
func (p *program) Options() net.Options { return p.options }

// part returns which of n samples this member has.
func (p *program) part(n int) (lo, hi int) {
	rank, size := p.group.Rank(), p.group.Size()
	return rank * n / size, (rank + 1) * n / size
}

// check returns an error for a batch that isn't for this network or, with a most above 0,
// too large. So no member begins what another refuses.
func (p *program) check(b net.Batch, most int) error {
	if err := b.Check(p.plan); err != nil {
		return err
	}
	if most > 0 && b.Len() > most {
		return fmt.Errorf("%w: %d samples, compiled for %d", net.ErrBatchSize, b.Len(), most)
	}
	return nil
}

// shareOf returns this member's part of a batch that is a share of a mini-batch. If there
// are fewer samples than members, some get the first sample with an empty share. They do
// what the others do, so that all meet the same errors, and all take part in the sums.
func (p *program) shareOf(b net.Batch, share net.Share) (net.Batch, net.Share) {
	lo, hi := p.part(b.Len())
	if lo == hi {
		return b.Part(0, 1), net.Share{First: share.Total, Total: share.Total, Together: b.Len()}
	}
	return b.Part(lo, hi), net.Share{First: share.First + lo, Total: share.Total, Together: b.Len()}
}

// Step trains on one mini-batch.
func (p *program) Step(b net.Batch) error {
	if p.pending {
		return fmt.Errorf("%w: an update is due before the next step", net.ErrUnfinished)
	}
	if err := p.check(b, p.options.Batch); err != nil {
		return err
	}
	p.apart = p.options.LocalStatistics
	return p.own.StepShare(p.shareOf(b, net.Whole(b.Len())))
}

// settle gives all members the mean of their running statistics, if these may differ.
func (p *program) settle() error {
	if !p.apart || p.swapped || p.pending {
		return nil
	}
	// SetState forgets which step was the first bad one.
	m, err := p.own.TakeMetrics()
	if err != nil {
		return err
	}
	p.earlier.Add(m)
	st, err := p.own.State()
	if err != nil {
		return err
	}
	var all []float64
	each := func(f func(v []float32)) {
		for _, values := range []map[string]*tensor.Dense{st.Params, st.Average} {
			for _, q := range p.plan.Params {
				if t := values[q.Name]; t != nil && (q.Role == net.RunningMean || q.Role == net.RunningVar) {
					f(t.Float32s())
				}
			}
		}
	}
	each(func(v []float32) {
		for _, x := range v {
			all = append(all, float64(x)/float64(p.group.Size()))
		}
	})
	if err := p.group.SumFloat64(all); err != nil {
		return err
	}
	each(func(v []float32) {
		for i := range v {
			v[i] = float32(all[i])
		}
		all = all[len(v):]
	})
	p.apart = false
	return p.own.SetState(st)
}

// Gradients computes the gradients of a share of a mini-batch, of which each member has a
// part.
func (p *program) Gradients(b net.Batch, share net.Share) error {
	if err := p.check(b, p.options.Batch); err != nil {
		return err
	}
	if err := share.Check(b.Len()); err != nil {
		return err
	}
	p.apart = p.options.LocalStatistics
	if err := p.own.Gradients(p.shareOf(b, share)); err != nil {
		return err
	}
	p.pending = true
	return nil
}

func (p *program) Update() error {
	if err := p.own.Update(); err != nil {
		return err
	}
	p.pending = false
	return nil
}

func (p *program) SwapAverage() error {
	if err := p.settle(); err != nil {
		return err
	}
	if err := p.own.SwapAverage(); err != nil {
		return err
	}
	p.swapped = !p.swapped
	return nil
}

// Evaluate returns loss and hits of the batch, of which each member computes a part.
func (p *program) Evaluate(b net.Batch) (net.Metrics, error) {
	if err := p.check(b, 0); err != nil {
		return net.Metrics{}, err
	}
	if err := p.settle(); err != nil {
		return net.Metrics{}, err
	}
	part, share := p.shareOf(b, net.Whole(b.Len()))
	m, err := p.own.Evaluate(part)
	if err != nil {
		return net.Metrics{}, err
	}
	if share.Empty() {
		m = net.Metrics{}
	}
	return p.sum(m)
}

// sum adds the metrics of all members. FirstBad is the first of any.
func (p *program) sum(m net.Metrics) (net.Metrics, error) {
	values := append([]float64{float64(m.Samples), m.Loss, float64(m.Hits)}, make([]float64, p.group.Size())...)
	values[3+p.group.Rank()] = float64(m.FirstBad)
	if err := p.group.SumFloat64(values); err != nil {
		return net.Metrics{}, err
	}
	m = net.Metrics{Samples: int64(values[0]), Loss: values[1], Hits: int64(values[2])}
	for _, bad := range values[3:] {
		if bad != 0 && (m.FirstBad == 0 || int64(bad) < m.FirstBad) {
			m.FirstBad = int64(bad)
		}
	}
	return m, nil
}

// TakeMetrics returns the sums of training of all members.
func (p *program) TakeMetrics() (net.Metrics, error) {
	m, err := p.own.TakeMetrics()
	if err != nil {
		return net.Metrics{}, err
	}
	earlier := p.earlier
	earlier.Add(m)
	p.earlier = net.Metrics{FirstBad: earlier.FirstBad}
	return p.sum(earlier)
}

// Infer returns the class probabilities of the batch, of which each member computes a part.
func (p *program) Infer(b net.Batch) (*tensor.Dense, error) {
	if err := p.check(b, 0); err != nil {
		return nil, err
	}
	if err := p.settle(); err != nil {
		return nil, err
	}
	part, _ := p.shareOf(b, net.Whole(b.Len()))
	own, err := p.own.Infer(part)
	if err != nil {
		return nil, err
	}
	return p.rows(own, b.Len(), p.plan.Classes)
}

// rows returns a tensor whose rows are those of all members, one for each of n samples.
// own has this member's. dims are the dimensions behind the first.
func (p *program) rows(own *tensor.Dense, n int, dims ...int) (*tensor.Dense, error) {
	all := tensor.New(tensor.Of(tensor.Float32), tensor.WithShape(append([]int{n}, dims...)...))
	if lo, hi := p.part(n); lo < hi {
		copy(all.Float32s()[all.Size()/n*lo:], own.Float32s())
	}
	return all, p.group.SumFloat32(all.Float32s())
}

// State returns a copy of the state. All members have the same, except for local statistics between Gradients and Update.
func (p *program) State() (net.State, error) {
	if err := p.settle(); err != nil {
		return net.State{}, err
	}
	return p.own.State()
}

// SetState gives all members a state. They have the same.
func (p *program) SetState(s net.State) error {
	if err := p.own.SetState(s); err != nil {
		return err
	}
	p.pending, p.apart, p.swapped, p.earlier = false, false, false, net.Metrics{}
	return nil
}

func (p *program) Close() error { return p.own.Close() }

// Trace returns what all members computed, as if it were one device.
func (p *program) Trace(b net.Batch, mode net.Mode) (*net.Trace, error) {
	own, ok := p.own.(net.GroupTracer)
	if !ok {
		return nil, fmt.Errorf("parallel: a %T shows nothing of what it computes inside", p.own)
	}
	if err := p.check(b, p.options.Batch); err != nil {
		return nil, err
	}
	if mode == net.Evaluation {
		if err := p.settle(); err != nil {
			return nil, err
		}
	}
	n := b.Len()
	part, share := p.shareOf(b, net.Whole(n))
	t, err := own.TraceShare(part, share, mode)
	if err != nil {
		return nil, err
	}
	m := net.Metrics{Samples: int64(share.Counted(part.Len()))}
	if m.Samples > 0 {
		m.Loss, m.Hits = t.Loss*float64(m.Samples), t.Hits
	}
	if m, err = p.sum(m); err != nil {
		return nil, err
	}
	t.Loss, t.Hits = m.MeanLoss(), m.Hits
	if t.Probabilities, err = p.rows(t.Probabilities, n, p.plan.Classes); err != nil {
		return nil, err
	}
	for i := range t.Layers {
		l, out := &t.Layers[i], p.plan.Nodes[i].Out
		for _, values := range []**tensor.Dense{&l.Output, &l.OutputGrad} {
			if *values == nil {
				continue
			}
			if *values, err = p.rows(*values, n, out.C, out.H, out.W); err != nil {
				return nil, err
			}
		}
	}
	for _, q := range p.plan.Params { // a map has no order that all members share
		if g := t.Layers[q.Layer].ParamGrads[q.Role]; g != nil {
			if err := p.group.SumFloat32(g.Float32s()); err != nil {
				return nil, err
			}
		}
	}
	return t, nil
}
