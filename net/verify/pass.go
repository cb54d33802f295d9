package verify

import (
	"fmt"
	"math"
	"slices"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// Check is the outcome of one comparison.
type Check struct {
	Layer int    // index of the layer; -1 for the whole network
	What  string // "output", "output gradient", "weight gradient", "loss", ...
	// Fused says that nothing was compared, because the device fuses layers and has no
	// such values in memory. OK is true then.
	Fused bool
	// Error is the greatest |got-want|, and Tolerance the greatest that is allowed. Both
	// are relative to the greatest value of want, or to the greatest partial sum.
	Error, Tolerance float64
	OK               bool
	Detail           string // what is wrong; "" if OK
}

// Loose reports whether the tolerance is as large as the values that are compared. Then a
// pass says little. An example is a parameter whose true gradient is 0, such as a bias
// before batch normalisation: its update is rounding divided by rounding.
func (c Check) Loose() bool { return !c.Fused && c.Tolerance >= 1 }

// compare compares got with want, within a bound.
func compare[G approx.Float](layer int, what string, got []G, want []float64, b bound) Check {
	limit := safety*b.err + least
	r := approx.Compare(got, want, approx.Tolerance{Abs: limit})
	c := Check{Layer: layer, What: what, Error: r.MaxAbs, Tolerance: limit, OK: r.OK}
	if b.scale > 0 {
		c.Error, c.Tolerance = c.Error/b.scale, c.Tolerance/b.scale
	}
	if !r.OK {
		c.Detail = r.String()
		c.Error = math.Inf(1)
		if len(got) == len(want) && b.scale > 0 {
			c.Error = r.MaxAbs / b.scale
		}
	}
	return c
}

// compareTensor checks a tensor's type and dimensions too.
func compareTensor(layer int, what string, got *tensor.Dense, want []float64, b bound, dims ...int) Check {
	if fault := misfit(got, dims); fault != "" {
		return Check{Layer: layer, What: what, Error: math.Inf(1), Detail: fault}
	}
	return compare(layer, what, got.Float32s(), want, b)
}

// misfit says why a tensor is no float32 tensor of these dimensions. It is "" if it is one.
func misfit(t *tensor.Dense, dims []int) string {
	switch {
	case t == nil:
		return "missing"
	case t.Dtype() != tensor.Float32:
		return fmt.Sprintf("has type %v, want float32", t.Dtype())
	case !slices.Equal([]int(t.Shape()), dims):
		return fmt.Sprintf("has dimensions %v, want %v", []int(t.Shape()), dims)
	}
	return ""
}

// pass is one run of a network in float64 over a batch, with bounds on how far a float32
// device may differ. A pass that is led by a trace goes on from the trace's values
// wherever there are any. There the bounds start again from 0.
type pass struct {
	unit   float64
	plan   *net.Plan
	n      int
	mode   net.Mode
	labels []int32
	led    *net.Trace // nil for a pass that uses its own values only
	layers []*reference.Layer
	in     [][][]float64 // inputs of each layer
	ein    [][]float64   // the greatest error of each input
	out    [][]float64   // output, as computed here
	eout   []bound
	narrow []bool // for each sample, whether it is too near a kink
	exact  bool   // a value lies exactly at a kink, see markNarrow

	loss       reference.Loss
	probBound  bound
	lossBound  bound
	gradBound  bound
	outGrads   [][]float64 // as computed here, summed over all uses; nil for layers that learn nothing
	outBounds  []bound
	params     []map[net.Role][]float64
	paramBound []map[net.Role]bound
}

// run computes a pass over a share of a mini-batch: forward, loss and, in Training
// mode, backward. Gradients are weighted by the share's part of the samples.
func (j *Judge) run(st net.State, b net.Batch, share net.Share, mode net.Mode, led *net.Trace) *pass {
	p := j.forward(st, b, share.First, mode, led, false)
	logits, ez := p.logits()
	p.loss = reference.SoftmaxCrossEntropy(logits, p.labels, j.plan.Classes)
	greatest := 1.0 // weight of a sample's loss
	if mode == net.Training && (b.Views != nil || !j.opts.Loss.Plain()) {
		targets := reference.Targets(j.opts.Loss, b, j.plan.Classes)
		p.loss = reference.CrossEntropy(logits, targets, p.labels, j.plan.Classes)
		greatest = greatestSum(targets, j.plan.Classes)
	}
	p.probBound, p.lossBound, p.gradBound = lossBounds(j.unit, logits, ez, p.n, j.plan.Classes, p.loss.Sum/float64(p.n), greatest)
	weight := float64(p.n) / float64(share.Total)
	for i := range p.loss.Gradient {
		p.loss.Gradient[i] *= weight
	}
	p.gradBound = bound{p.gradBound.err * weight, p.gradBound.scale * weight}
	if mode == net.Training {
		p.backward()
	}
	return p
}

// forward computes the outputs of a pass. first is the number of samples before the batch
// in its mini-batch. With stopAtKink it stops at the first layer with a narrow sample.
func (j *Judge) forward(st net.State, b net.Batch, first int, mode net.Mode, led *net.Trace, stopAtKink bool) *pass {
	count := len(j.plan.Nodes)
	p := &pass{
		unit: j.unit, plan: j.plan, n: b.Len(), mode: mode, led: led, narrow: make([]bool, b.Len()),
		in: make([][][]float64, count), ein: make([][]float64, count), out: make([][]float64, count), eout: make([]bound, count),
		outGrads: make([][]float64, count), outBounds: make([]bound, count),
		params: make([]map[net.Role][]float64, count), paramBound: make([]map[net.Role]bound, count),
	}
	for _, i := range b.Indices {
		p.labels = append(p.labels, b.Data.Labels[i])
	}
	input, einput := reference.Input(b, j.plan.Network.Input), inputError(j.unit, b, j.plan.Network.Input)
	shown := make([][]float64, count) // outputs that the pass goes on from
	for i, node := range j.plan.Nodes {
		l := &reference.Layer{Node: node, Params: map[net.Role][]float64{}, Seed: j.opts.Seed}
		for _, q := range node.Params {
			l.Params[q.Role] = widen(st.Params[q.Name].Float32s())
		}
		p.layers = append(p.layers, l)
		for _, from := range node.Inputs {
			x, ex := input, einput
			switch {
			case from == net.NetworkInput:
			case shown[from] != nil:
				x, ex = shown[from], 0
			default:
				x, ex = p.out[from], p.eout[from].err
			}
			p.in[i], p.ein[i] = append(p.in[i], x), append(p.ein[i], ex)
		}
		y := l.Forward(p.in[i], p.n, mode, reference.Place{Step: st.Step, First: first})
		p.out[i], shown[i] = y, p.ledOutput(i)
		p.eout[i] = forwardBound(j.unit, l, mode, p.n, p.in[i], p.ein[i], y)
		p.exact = markNarrow(j.unit, l, p.n, p.in[i][0], p.ein[i][0], y, p.narrow) || p.exact
		if stopAtKink && slices.Contains(p.narrow, true) {
			break
		}
	}
	return p
}

// ledOutput returns layer i's output in the leading trace, or nil if it has none.
func (p *pass) ledOutput(i int) []float64 {
	if p.led == nil || i >= len(p.led.Layers) || misfit(p.led.Layers[i].Output, p.dims(i)) != "" {
		return nil
	}
	return widen(p.led.Layers[i].Output.Float32s())
}

// ledOutputGrad returns the gradient with respect to layer i's output in the leading trace,
// or nil if it has none.
func (p *pass) ledOutputGrad(i int) []float64 {
	if p.led == nil || i >= len(p.led.Layers) || misfit(p.led.Layers[i].OutputGrad, p.dims(i)) != "" {
		return nil
	}
	return widen(p.led.Layers[i].OutputGrad.Float32s())
}

// dims returns the dimensions of layer i's output.
func (p *pass) dims(i int) []int {
	s := p.plan.Nodes[i].Out
	return []int{p.n, s.C, s.H, s.W}
}

// backward computes the gradients of a pass. The gradient with respect to an output is the
// sum over its uses, which all come later in the plan.
func (p *pass) backward() {
	last := len(p.layers) - 1
	p.outGrads[last], p.outBounds[last] = p.loss.Gradient, p.gradBound
	for i := last; i >= 0; i-- {
		l := p.layers[i]
		if !l.Learns {
			continue
		}
		dy, edy := p.outGrads[i], p.outBounds[i].err
		if values := p.ledOutputGrad(i); values != nil {
			dy, edy = values, 0
		}
		var dx [][]float64
		dx, p.params[i] = l.Backward(dy)
		p.follow(i, dy, dx[0])
		var bounds []bound
		bounds, p.paramBound[i] = backwardBound(p.unit, l, p.n, p.in[i], p.out[i], p.ein[i], dy, edy, dx, p.params[i])
		for k, from := range l.Inputs {
			if from != net.NetworkInput && p.layers[from].Learns {
				p.addGradient(from, dx[k], bounds[k])
			}
		}
	}
}

// addGradient adds the gradient dx of one use to that of layer i's output.
func (p *pass) addGradient(i int, dx []float64, b bound) {
	if p.outGrads[i] == nil {
		p.outGrads[i], p.outBounds[i] = slices.Clone(dx), b
		return
	}
	for k, v := range dx {
		p.outGrads[i][k] += v
	}
	p.outBounds[i] = sumBound(p.unit, p.outGrads[i], p.outBounds[i], b)
}

// lossChecks compares a batch's mean loss and hits.
func (p *pass) lossChecks(loss float64, hits int64) []Check {
	return lossChecks([]*pass{p}, loss, hits)
}

// lossChecks compares the mean loss and the hits of batches taken together.
func lossChecks(passes []*pass, loss float64, hits int64) []Check {
	var sum float64
	var samples int
	var sure, possible int64
	var b bound
	for _, p := range passes {
		sum, samples = sum+p.loss.Sum, samples+p.n
		b = bound{max(b.err, p.lossBound.err), max(b.scale, p.lossBound.scale)}
		low, high := p.hits()
		sure, possible = sure+low, possible+high
	}
	checks := []Check{compare(-1, "loss", []float64{loss}, []float64{sum / float64(samples)}, b)}
	c := Check{Layer: -1, What: "hits", OK: hits >= sure && hits <= possible}
	if !c.OK {
		c.Error = math.Inf(1)
		c.Detail = fmt.Sprintf("got %d, want %d", hits, sure)
		if possible > sure {
			c.Detail += fmt.Sprintf(" to %d", possible)
		}
	}
	return append(checks, c)
}

// hits returns how many samples are surely hits, and how many may be hits within the error
// of the logits.
func (p *pass) hits() (sure, possible int64) {
	logits, gap := p.logits()
	gap *= 2
	classes := p.plan.Classes
	for i, label := range p.labels {
		z := logits[i*classes : (i+1)*classes]
		hit, maybe := true, true
		for c, v := range z {
			if c == int(label) {
				continue
			}
			lead := z[label] - v
			hit = hit && (lead > gap || lead == 0 && gap == 0 && int(label) < c)
			maybe = maybe && (lead > -gap || lead == 0 && int(label) < c)
		}
		if hit {
			sure++
		}
		if hit || maybe {
			possible++
		}
	}
	return sure, possible
}

// logits returns the last layer's output and its greatest error. The output is the leading
// trace's if there is one.
func (p *pass) logits() (values []float64, err float64) {
	last := len(p.layers) - 1
	if values := p.ledOutput(last); values != nil {
		return values, 0
	}
	return p.out[last], p.eout[last].err
}

func widen(values []float32) []float64 {
	wide := make([]float64, len(values))
	for i, v := range values {
		wide[i] = float64(v)
	}
	return wide
}
