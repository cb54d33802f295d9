//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"fmt"

	"github.com/gputrain/gputrain/net"
)

// view says where a layer's output and its gradient can be seen.
type view struct {
	at     int   // of the activations
	value  bool  // they are the layer's output
	grad   bool  // their gradient is that of the layer's output
	within *slot // or this is it, once the operation behind has run its backward pass
	after  bool  // or their gradient is, once it has
}

// link makes the chain.
func (p *program) link() {
	in := newActivations(p.plan.Network.Input)
	p.activations = []*activations{in}
	p.lowest = -1
	seen := view{at: 0, value: true}
	parameters := p.parameters
	layers := p.plan.Layers
	for i := 0; i < len(layers); i++ {
		l := layers[i]
		of := map[net.Role]*parameter{}
		for range l.Params {
			of[parameters[0].Role] = parameters[0]
			parameters = parameters[1:]
		}
		if _, ok := l.Layer.(*net.Flatten); ok {
			// The same values in the same order; only their shape is another.
			in = &activations{l.Out, in.value, in.grad}
			p.views = append(p.views, seen)
			continue
		}
		at := len(p.chain) + 1
		out := newActivations(l.Out)
		place := link{program: p, layer: l, in: in, out: out, parameters: of}
		var op operation
		seen = view{at: at, value: true, grad: true}
		views := []view{seen}
		switch layer := l.Layer.(type) {
		case *net.Conv:
			t := p.tailOf(i)
			if t == biasReLUPool {
				out.shape = layers[i+2].Out
			}
			c := newConvolve(place, t, p.lowest >= 0)
			op = c
			switch t {
			case biasReLU:
				views = []view{{at: at, after: true}, {at: at, value: true, grad: true}}
			case biasReLUPool:
				views = []view{{at: at}, {at: at}, {at: at, value: true, grad: true}}
				if c.keepsGradient() {
					views[0].within = &c.gradient
				}
			}
		case *net.Dense:
			d := &dense{link: place, relu: p.tailOf(i) == biasReLU}
			op = d
			if d.relu {
				views = []view{{at: at, after: true}, {at: at, value: true, grad: true}}
			}
		case *net.Pool:
			op = newSubsample(place, layer.PoolMode())
		case *net.Activation:
			op = newActivate(place, layer)
		case *net.Dropout:
			op = &dropout{link: place, rate: layer.Rate}
		case *net.BatchNorm:
			momentum, epsilon := layer.Settings()
			op = &batchNorm{link: place, momentum: momentum, epsilon: epsilon}
		default:
			panic(fmt.Sprintf("BUG: layer of kind %s", l.Layer.Kind()))
		}
		if len(of) > 0 && p.lowest < 0 {
			p.lowest = len(p.chain)
		}
		p.chain = append(p.chain, op)
		p.names = append(p.names, newPassNames(p.plan.Layers[i:i+len(views)]))
		p.activations = append(p.activations, out)
		p.views = append(p.views, views...)
		seen = views[len(views)-1]
		i += len(views) - 1
		in = out
	}
	if p.lowest < 0 {
		p.lowest = len(p.chain)
	}
}

// tailOf says what can be done in one kernel behind layer i: it needs a bias.
func (p *program) tailOf(i int) tail {
	layers := p.plan.Layers
	biased := len(layers[i].Params) == 2
	relu := func(i int) bool {
		if i >= len(layers) {
			return false
		}
		a, ok := layers[i].Layer.(*net.Activation)
		return ok && a.Func == net.ReLU
	}
	if !biased || !relu(i+1) {
		return biasOnly
	}
	if _, dense := layers[i].Layer.(*net.Dense); dense || i+2 >= len(layers) {
		return biasReLU
	}
	pool, ok := layers[i+2].Layer.(*net.Pool)
	if !ok || pool.PoolMode() != net.MaxPool {
		return biasReLU
	}
	if w := layers[i+2].Window; w.KernelH != 2 || w.KernelW != 2 || w.StrideH != 2 || w.StrideW != 2 || w.Top != 0 || w.Left != 0 {
		return biasReLU
	}
	return biasReLUPool
}
