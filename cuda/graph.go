//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"fmt"
	"slices"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/lower"
)

// group is a group of layers that one operation computes.
type group struct {
	operation
	out   *activations
	names passNames
}

// visible tells where a trace can read a layer's output and the gradient with respect to it.
type visible struct {
	lower.Visible
	within *slot // the layer's gradient is here after its group's backward pass; nil if it isn't
}

// link makes the graph of operations. Package lower decides which layers are computed as one.
func (p *program) link() error {
	p.lowered = lower.Lower(p.plan, Fuser{})
	for _, v := range p.lowered.Values {
		p.values = append(p.values, newActivations(v.Shape, v.Learns))
	}
	for _, v := range p.lowered.Visible {
		p.visible = append(p.visible, visible{Visible: v})
	}
	if input := p.values[0]; len(p.lowered.Groups) == 0 { // the input is the logits
		input.lies = net.Shape{C: input.shape.Size(), H: 1, W: 1}
	}
	p.shareGradients()
	for i, g := range p.lowered.Groups {
		l := link{program: p, group: i, node: p.lowered.Head(g), inputs: p.inputsOf(g), out: p.values[i+1], parameters: map[net.Role]*parameter{}}
		l.in = l.inputs[0]
		for _, q := range p.parameters {
			if q.Layer == l.node.Index {
				l.parameters[q.Role] = q
			}
		}
		op, err := p.operationOf(g, l, i == len(p.lowered.Groups)-1)
		if err != nil {
			return err
		}
		p.groups = append(p.groups, group{op, l.out, newPassNames(p.nodesOf(g))})
	}
	return nil
}

// shareGradients lets inputs have their gradients where those of sums are. Later sums come first, as their gradients do.
func (p *program) shareGradients() {
	for i, k := range slices.Backward(SharedGradients(p.lowered)) {
		if k >= 0 {
			p.values[p.lowered.Groups[i].Inputs[k].Value].grad = p.values[i+1].grad
		}
	}
}

func (p *program) nodesOf(g lower.Group) (nodes []net.Node) {
	for _, i := range g.Nodes {
		nodes = append(nodes, p.plan.Nodes[i])
	}
	return nodes
}

// inputsOf returns a group's inputs, in the shapes in which its layers take them. Behind a flatten layer these are not
// the shapes of the values.
func (p *program) inputsOf(g lower.Group) (inputs []input) {
	var shapes []net.Shape
	for i, n := range p.nodesOf(g) {
		if i > 0 {
			n.Ins = n.Ins[1:] // the first is the group's layer before this one
		}
		shapes = append(shapes, n.Ins...)
	}
	for i, in := range g.Inputs {
		a := *p.values[in.Value]
		a.shape = shapes[i]
		inputs = append(inputs, input{&a, in.Wanted, in.Wanted && in.Adds})
	}
	return inputs
}

// operationOf makes the operation of a group, and notes what a trace can see of the layers within it. last says that its
// output becomes the logits.
func (p *program) operationOf(g lower.Group, l link, last bool) (operation, error) {
	after := biasOnly
	switch g.Pattern {
	case lower.Single:
	case lower.ConvReLU, lower.DenseReLU:
		after = biasReLU
	case lower.ConvReLUPool:
		after = biasReLUPool
	case lower.NormReLU, lower.NormAddReLU, lower.AddReLU:
	default:
		panic(fmt.Sprintf("BUG: a group of the pattern %q", g.Pattern))
	}
	first := &p.visible[g.Nodes[0]]
	op, grad, err := p.wrap(l, after, last, func(l link) (operation, error) {
		if conv, ok := l.node.Layer.(*net.Conv); ok {
			c := newConvLayer(l, conv, after)
			p.convolutions = append(p.convolutions, c)
			if after == biasReLUPool && c.keepsGradient() {
				first.within = &c.gradient
			}
			return c, nil
		}
		return p.layerOf(l, g, after, last)
	})
	if after == biasReLU && l.out.learns {
		first.within = grad
	}
	return op, err
}

// layerOf makes the operation of a group that doesn't begin with a convolution. last says that its output is the logits.
func (p *program) layerOf(l link, g lower.Group, after tail, last bool) (operation, error) {
	switch layer := l.node.Layer.(type) {
	case *net.Dense:
		return newDense(l, after == biasReLU, last), nil
	case *net.Pool:
		return newPoolLayer(l, layer.PoolMode()), nil
	case *net.Activation:
		return newActivationLayer(l, layer)
	case *net.Dropout:
		return &dropout{link: l, rate: layer.Rate}, nil
	case *net.BatchNorm:
		momentum, epsilon := layer.Settings()
		b := &batchNorm{link: l, momentum: momentum, epsilon: epsilon, settled: layer.Settled()}
		if g.Pattern != lower.Single {
			b.rectifier = rectifierOf(p.lowered.Tail(g))
		}
		p.norms = append(p.norms, b)
		return b, nil
	case *net.Add:
		if g.Pattern == lower.AddReLU {
			return &sumReLU{l}, nil
		}
		return &add{l}, nil
	case *net.Concat:
		return &concat{l}, nil
	case *net.Multiply:
		return &multiply{l}, nil
	case *net.Scale:
		return &scale{l, float32(layer.Factor)}, nil
	}
	panic(fmt.Sprintf("BUG: layer of kind %s", l.node.Layer.Kind()))
}
