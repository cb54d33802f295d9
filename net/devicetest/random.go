package devicetest

import (
	"math"
	"math/rand/v2"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/net"
)

// widths holds numbers of channels, units and inputs that are near the widths
// of vector registers.
var widths = []int{1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33}

// random draws random networks and data.
type random struct{ rng *rand.Rand }

// newRandom returns a source that depends only on seed.
func newRandom(seed uint64) random { return random{rand.New(rand.NewPCG(seed, 0))} }

func (r random) between(lo, hi int) int { return lo + r.rng.IntN(hi-lo+1) }

// one returns true once in n times on average.
func (r random) one(n int) bool { return r.rng.IntN(n) == 0 }

func choose[T any](r random, list ...T) T { return list[r.rng.IntN(len(list))] }

func pick[T any](e *env, list ...T) T { return choose(e.random, list...) }

// RandomData returns n samples of a shape, with normally distributed values and
// random labels. It depends only on its arguments.
func RandomData(seed uint64, s net.Shape, classes, n int) *net.Dataset {
	return newRandom(seed).randomData(s, classes, n)
}

func (r random) randomData(s net.Shape, classes, n int) *net.Dataset {
	d := &net.Dataset{Name: "random", Shape: s, Classes: classes, Values: make([]float32, n*s.Size()), Labels: make([]int32, n)}
	for i := range d.Values {
		d.Values[i] = float32(r.rng.NormFloat64())
	}
	for i := range d.Labels {
		d.Labels[i] = int32(r.rng.IntN(classes))
	}
	return d
}

// randomPixels returns n samples of bytes, with random labels.
func (e *env) randomPixels(s net.Shape, classes, n int) *net.Dataset {
	d := &net.Dataset{Name: "random", Shape: s, Classes: classes, Scale: 1.0 / 255, Pixels: make([]uint8, n*s.Size()), Labels: make([]int32, n)}
	for i := range d.Pixels {
		d.Pixels[i] = uint8(e.rng.IntN(256))
	}
	for i := range d.Labels {
		d.Labels[i] = int32(e.rng.IntN(classes))
	}
	return d
}

// span returns a batch of the samples lo to hi-1.
func span(d *net.Dataset, lo, hi int) net.Batch {
	b := net.Batch{Data: d}
	for i := lo; i < hi; i++ {
		b.Indices = append(b.Indices, int32(i))
	}
	return b
}

// randomState returns a state in which every parameter and moment has an
// effect: no bias and no running mean is 0, and no scale is 1.
func (e *env) randomState(p *net.Plan, o net.Optimizer) net.State {
	st := net.State{Step: e.rng.Int64N(1000), Params: map[string]*tensor.Dense{}, Optimizer: map[string]*tensor.Dense{}}
	fill := func(q net.Param, draw func() float64) *tensor.Dense {
		values := make([]float32, q.Size())
		for i := range values {
			values[i] = float32(draw())
		}
		return tensor.New(tensor.WithShape(q.Dims...), tensor.WithBacking(values))
	}
	away := func() float64 { return math.Copysign(0.5+e.rng.Float64(), e.rng.Float64()-0.5) }
	for _, q := range p.Params {
		draw := e.rng.NormFloat64
		switch {
		case q.Role == net.RunningVar:
			draw = func() float64 { return 0.5 + e.rng.Float64() }
		case q.Role == net.Weight && len(q.Dims) == 1: // of batch normalisation
			draw = away
		case q.Role == net.Weight:
			draw = func() float64 { return e.rng.NormFloat64() / math.Sqrt(float64(q.FanIn)) }
		case q.Role == net.Bias:
			draw = func() float64 { return away() / 2 }
		}
		st.Params[q.Name] = fill(q, draw)
	}
	for _, q := range p.Trained() {
		one := o.For(p, q)
		for k, m := range one.Moments() {
			draw := func() float64 { return 0.1 * away() }
			if k == 1 { // of Adam, the mean of squares
				draw = func() float64 { return 0.01 * (0.5 + e.rng.Float64()) }
			}
			st.Optimizer[q.Name+"."+m] = fill(q, draw)
		}
	}
	return st
}

// headed returns a chain that ends in a flat vector of logits. If the chain's
// output is flat already, a flatten layer follows half of the time.
func (e *env) headed(in net.Shape, layers ...net.Layer) *net.Network {
	n := &net.Network{Input: in, Layers: append(layers, &net.Flatten{}, &net.Dense{Units: e.between(2, 5)})}
	if e.rng.IntN(2) == 0 {
		bare := &net.Network{Input: in, Layers: append(append([]net.Layer{}, layers...), n.Layers[len(layers)+1])}
		if _, err := bare.Plan(); err == nil {
			return bare
		}
	}
	return n
}

// fits reports whether a network is valid and small enough to test quickly.
func fits(n *net.Network) bool {
	p, err := n.Plan()
	if err != nil {
		return false
	}
	const most = 60_000 // multiply-adds for one sample
	for _, l := range p.Nodes {
		if l.Out.Size() > 4000 {
			return false
		}
	}
	return p.MulAdds() <= most
}

// randomPadding returns any padding mode. Explicit padding is asymmetric.
func (r random) randomPadding(kernel, dilation net.Pair) net.Padding {
	switch r.rng.IntN(3) {
	case 0:
		return net.PadValid
	case 1:
		return net.PadSame
	}
	h, w := (kernel.H-1)*dilation.H+1, (kernel.W-1)*dilation.W+1
	return net.Pad(r.rng.IntN(h), r.rng.IntN(h), r.rng.IntN(w), r.rng.IntN(w))
}

func (r random) randomShape(channels int) net.Shape {
	return net.Shape{C: channels, H: r.between(1, 9), W: r.between(1, 9)}
}

func (r random) randomPair(lo, hi int) net.Pair {
	return net.Pair{H: r.between(lo, hi), W: r.between(lo, hi)}
}

func (r random) randomConv() *net.Conv {
	c := &net.Conv{
		Filters: choose(r, widths...), Kernel: r.randomPair(1, 5), Stride: r.randomPair(1, 4),
		Dilation: choose(r, net.Square(1), net.Square(1), r.randomPair(1, 3)), NoBias: r.rng.IntN(4) == 0,
	}
	c.Padding = r.randomPadding(c.Kernel, c.Dilation)
	return c
}

func (r random) randomPool(mode net.PoolMode) *net.Pool {
	p := &net.Pool{Mode: mode, Kernel: r.randomPair(1, 4)}
	if r.rng.IntN(3) > 0 {
		p.Stride = r.randomPair(1, 4)
	}
	p.Padding = r.randomPadding(p.Kernel, net.Square(1))
	return p
}

// randomNetwork returns a network of RandomNetwork with a random seed.
func (e *env) randomNetwork() *net.Network { return RandomNetwork(e.rng.Uint64()) }
