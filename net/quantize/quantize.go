// Package quantize turns trained networks into networks of eight bits, for programs that
// compute with them: post-training quantisation with static ranges (Nagel et al., "A White
// Paper on Neural Network Quantization", 2021).
//
// Whole numbers from -128 to 127 stand for weights and values. A weight is a whole number
// times a step. Each filter of a convolution, and each unit of a dense layer, has a step of
// its own. A value is the step of its layer's output times the difference between a whole
// number and a zero point, which stands for 0. So padding is exact. A bias is a whole number
// of 32 bits times the product of both steps, as the sums inside a convolution are. The logits
// are not rounded.
package quantize

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/net"
)

// The least and the greatest whole number that stands for a value.
const (
	Least = -128
	Most  = 127
)

// mostWeight is the greatest magnitude of a weight's whole number, unless zero points are 0.
// Processors without VNNI add two products of a value, from 0 to 255, and a weight in 16 bits,
// which hold no more than 32,767. Greater weights would give wrong sums there.
const mostWeight = 64

// Scale says what whole numbers q stand for: (q - Zero) * Step.
type Scale struct {
	Step float32 // above 0
	Zero int8
}

// Network is a network of eight bits.
type Network struct {
	Plan *net.Plan // the network after [net.Fold]
	// Weights are by the names of the plan's parameters. Those of convolutions and dense layers are multiples of their
	// filter's step.
	Weights map[string]*tensor.Dense
	Filters map[string][]float32 // the steps of a weight's filters, by the parameter's name
	Values  map[string]Scale     // of layers' outputs, by their names; "" is the network's input; others are not rounded
	// Symmetric says that all zero points are 0.
	Symmetric bool
}

// Options say how ranges are found.
type Options struct {
	// Images are some that the network was trained on, a few hundred of all classes.
	Images *net.Dataset
	// Symmetric makes all zero points 0, as TensorRT wants it. Then values that are never negative, such as those behind a
	// ReLU, have half as many steps.
	Symmetric bool
	Batch     int // how many are computed at once; 0 means 16
	// Progress is called with the number of images that are done, of all that there are to do. It may be nil.
	Progress func(done, all int)
}

// New rounds a network's weights, and finds the ranges of its values from images, on a device
// whose programs are [net.Tracer]s. Each range is the one with the least squared error.
// Weights are float32, by the names of the plan's parameters.
func New(ctx context.Context, device net.Device, n *net.Network, weights map[string]*tensor.Dense, o Options) (*Network, error) {
	if o.Images == nil || o.Images.Len() == 0 {
		return nil, errors.New("quantize: no images to find the ranges of values")
	}
	folded, params, err := net.Fold(n, weights)
	if err != nil {
		return nil, err
	}
	q := &Network{Weights: map[string]*tensor.Dense{}, Filters: map[string][]float32{}, Symmetric: o.Symmetric}
	if q.Plan, err = folded.Plan(); err != nil {
		return nil, err
	}
	if q.Values, err = scales(ctx, device, q.Plan, params, o); err != nil {
		return nil, err
	}
	for _, p := range q.Plan.Params {
		q.Weights[p.Name] = params[p.Name]
	}
	for _, node := range q.Plan.Nodes {
		switch node.Layer.(type) {
		case *net.Conv, *net.Dense:
			q.round(node)
		}
	}
	return q, nil
}

// round rounds the parameters of a convolution or dense layer.
func (q *Network) round(node net.Node) {
	weight := node.Params[0]
	from := q.Weights[weight.Name].Float32s()
	filters := weight.Dims[0]
	size := len(from) / filters
	to, steps := make([]float32, len(from)), make([]float32, filters)
	limit := float32(mostWeight)
	if q.Symmetric {
		limit = Most
	}
	var bias []float32
	var in float64 // the step of the layer's input
	if len(node.Params) > 1 {
		bias = slices.Clone(q.Weights[node.Params[1].Name].Float32s())
		in = float64(q.Values[q.value(node.Inputs[0])].Step)
	}
	for k := range filters {
		filter := from[k*size:][:size]
		steps[k] = weightStep(filter, limit)
		if bias != nil { // must fit into 32 bits
			// The product of both steps must be no less than float32 can hold well.
			steps[k] = max(steps[k], float32(math.Abs(float64(bias[k]))/in/(1<<30)), float32(1e-30/in))
		}
		if steps[k] == 0 {
			steps[k] = 1
		}
		for i, w := range filter {
			to[k*size+i] = cut(w, steps[k], limit) * steps[k]
		}
		if bias != nil {
			by := in * float64(steps[k])
			bias[k] = float32(math.RoundToEven(float64(bias[k])/by) * by)
		}
	}
	q.Filters[weight.Name] = steps
	q.Weights[weight.Name] = tensor.New(tensor.WithShape(weight.Dims...), tensor.WithBacking(to))
	if bias != nil {
		q.Weights[node.Params[1].Name] = tensor.New(tensor.WithShape(filters), tensor.WithBacking(bias))
	}
}

// weightStep returns the step by which the rounded weights of a filter have the least squared
// error, if whole numbers are from -limit to limit.
func weightStep(filter []float32, limit float32) float32 {
	most := float32(0)
	for _, w := range filter {
		most = max(most, w, -w)
	}
	const tries = 20 // down to half of the range
	best, least := float32(0), math.Inf(1)
	for try := range tries {
		step := most / limit * (1 - float32(try)/(2*tries))
		if step == 0 {
			break
		}
		sum := 0.0
		for _, w := range filter {
			e := float64(w - cut(w, step, limit)*step)
			sum += e * e
		}
		if sum < least {
			best, least = step, sum
		}
	}
	return best
}

// cut returns the whole number from -limit to limit that stands for a weight.
func cut(w, step, limit float32) float32 {
	return min(max(float32(math.RoundToEven(float64(w/step))), -limit), limit)
}

// value returns the name of a node's output, as in Values.
func (q *Network) value(node int) string {
	if node == net.NetworkInput {
		return ""
	}
	return q.Plan.Nodes[node].Name
}

// BiasSteps returns the steps of the biases of a convolution or dense layer, one for each
// filter.
func (q *Network) BiasSteps(node net.Node) []float32 {
	steps := slices.Clone(q.Filters[node.Params[0].Name])
	for k := range steps {
		steps[k] *= q.Values[q.value(node.Inputs[0])].Step
	}
	return steps
}

// Round returns the whole number that stands for v: v/step, rounded to the nearest, of two
// equally near ones to the even.
func Round(v, step float32) int8 {
	return int8(min(max(math.RoundToEven(float64(v/step)), Least), Most))
}

// scaleOf returns for each node of a plan, and at last for the network's input, the one whose
// scale its output has: itself or, for layers that only choose among values, one before it.
// Those that are not rounded have -2: values behind the last convolution or dense layer, and
// those that only a ReLU takes, which is computed together with the layer before it.
func scaleOf(p *net.Plan) []int {
	of := make([]int, len(p.Nodes)+1)
	at := func(node int) *int {
		if node == net.NetworkInput {
			return &of[len(p.Nodes)]
		}
		return &of[node]
	}
	before := make([]bool, len(p.Nodes)) // a convolution or dense layer comes behind it
	for i, n := range slices.Backward(p.Nodes) {
		for _, u := range n.Uses {
			switch p.Nodes[u].Layer.(type) {
			case *net.Conv, *net.Dense:
				before[i] = true
			}
			before[i] = before[i] || before[u]
		}
	}
	*at(net.NetworkInput) = net.NetworkInput
	for i, n := range p.Nodes {
		of[i] = i
		pool, pools := n.Layer.(*net.Pool)
		switch {
		case !before[i]:
			of[i] = unrounded
		case n.Keeps() || pools && pool.PoolMode() == net.MaxPool:
			of[i] = *at(n.Inputs[0])
		}
		if len(n.Uses) == 1 && of[i] != unrounded {
			if a, active := p.Nodes[n.Uses[0]].Layer.(*net.Activation); active && (a.Func == net.ReLU || a.Func == net.ReLU6) {
				of[i] = unrounded
			}
		}
	}
	return of
}

// unrounded stands for no scale in scaleOf.
const unrounded = -2

// scales finds the scales of all values that are rounded.
func scales(ctx context.Context, device net.Device, plan *net.Plan, weights map[string]*tensor.Dense, o Options) (map[string]Scale, error) {
	batch := o.Batch
	if batch == 0 {
		batch = 16
	}
	p, err := device.Compile(plan.Network, net.Options{Batch: batch, Optimizer: net.SGDDefault(0), Inference: true})
	if err != nil {
		return nil, err
	}
	defer p.Close()
	program, ok := p.(net.Tracer)
	if !ok {
		return nil, fmt.Errorf("quantize: %s shows no values inside networks", device.Name())
	}
	if err := program.SetState(net.State{Params: weights}); err != nil {
		return nil, err
	}
	of := scaleOf(plan)
	ranges := map[int]*histogram{}
	for _, i := range of {
		if i != unrounded && ranges[i] == nil {
			ranges[i] = &histogram{}
		}
	}
	all := o.Images.Len()
	indices := make([]int32, 0, batch)
	pixels := make([]float32, batch*o.Images.Shape.Size())
	for first := 0; first < all; first += batch {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		indices = indices[:0]
		for i := first; i < min(first+batch, all); i++ {
			indices = append(indices, int32(i))
		}
		trace, err := program.Trace(net.Batch{Data: o.Images, Indices: indices}, net.Evaluation)
		if err != nil {
			return nil, err
		}
		for i, h := range ranges {
			if i == net.NetworkInput {
				in := pixels[:len(indices)*o.Images.Shape.Size()]
				o.Images.Gather(in, indices)
				h.add(in)
				continue
			}
			if trace.Layers[i].Output == nil {
				return nil, fmt.Errorf("quantize: %s doesn't show what layer %s computes", device.Name(), plan.Nodes[i].Name)
			}
			h.add(trace.Layers[i].Output.Float32s())
		}
		if o.Progress != nil {
			o.Progress(first+len(indices), all)
		}
	}
	found, values := map[int]Scale{}, map[string]Scale{}
	for i, from := range of {
		if from == unrounded {
			continue
		}
		name := ""
		if i < len(plan.Nodes) {
			name = plan.Nodes[i].Name
		}
		if _, ok := found[from]; !ok {
			if found[from], err = ranges[from].scale(o.Symmetric); err != nil {
				return nil, fmt.Errorf("quantize: the output of layer %s: %w", plan.InputName(from), err)
			}
		}
		values[name] = found[from]
	}
	return values, nil
}
