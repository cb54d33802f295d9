package devicetest

import (
	"fmt"

	"github.com/gputrain/gputrain/net"
)

// RandomNetwork returns a small random network that is a graph. It may contain
// branches, values with several uses, sums of sums, layers that take a value twice,
// concatenations with odd channel counts, grouped and depthwise convolutions,
// gates, every activation function, frozen layers and frozen parameters. It depends
// only on the seed.
func RandomNetwork(seed uint64) *net.Network {
	r := newRandom(seed)
	for {
		g := &graph{random: r, shapes: map[string]net.Shape{}, used: map[string]bool{}}
		n := g.draw()
		if n != nil && fits(n) {
			n.Name = fmt.Sprintf("random-%d", seed)
			return n
		}
	}
}

// graph is a network that is being drawn.
type graph struct {
	random
	n        net.Network
	values   []string             // the network's input and the outputs so far
	shapes   map[string]net.Shape // of values
	used     map[string]bool
	norms    int  // number of batch normalisations
	products int  // number of multiplications of images
	bad      bool // a layer didn't fit
}

// Limits, because beyond them no float32 device could be checked from end to end.
// Batch normalisations of few values, and products of products, amplify rounding
// errors without limit.
const (
	leastNormalised = 6
	mostNorms       = 2
	mostProducts    = 2
)

// draw returns a network, or nil if a layer did not fit.
func (g *graph) draw() *net.Network {
	g.n.Input = g.randomShape(choose(g.random, 1, 2, 3, 4, 6, 7, 8))
	g.values, g.shapes["input"] = []string{"input"}, g.n.Input
	for range g.between(2, 12) {
		g.layer()
	}
	g.head()
	if g.bad {
		return nil
	}
	return &g.n
}

// put adds a layer with the given inputs, and returns its name.
func (g *graph) put(l net.Layer, from ...string) string {
	var in []net.Shape
	for _, f := range from {
		in = append(in, g.shapes[f])
	}
	shape, err := outputShape(l, in)
	if g.bad = g.bad || err != nil; g.bad {
		return "input"
	}
	name := fmt.Sprintf("%s-%d", l.Kind(), len(g.values))
	place := from
	if last := g.values[len(g.values)-1]; len(from) == 1 && from[0] == last {
		place = nil
	}
	g.n.Layers = append(g.n.Layers, connected(l, name, place))
	for _, f := range from {
		g.used[f] = true
	}
	g.values, g.shapes[name] = append(g.values, name), shape
	return name
}

// value chooses a value at random, mostly the last one.
func (g *graph) value() string {
	if g.rng.IntN(10) < 7 {
		return g.values[len(g.values)-1]
	}
	return choose(g.random, g.values...)
}

// like returns the values whose shapes fit that of x. x itself is one of them.
func (g *graph) like(x string, fit func(a, b net.Shape) bool) []string {
	var list []string
	for _, v := range g.values {
		if fit(g.shapes[v], g.shapes[x]) {
			list = append(list, v)
		}
	}
	return list
}

// layer adds one layer, or a few that belong together.
func (g *graph) layer() {
	x := g.value()
	s := g.shapes[x]
	sameShape := func(a, b net.Shape) bool { return a == b }
	sameSize := func(a, b net.Shape) bool { return a.H == b.H && a.W == b.W }
	switch g.rng.IntN(16) {
	case 0, 1, 2, 3:
		x = g.put(g.randomGroups(s), x)
		if g.one(2) {
			x = g.put(g.randomActivation(), x)
		}
		if g.one(4) {
			g.put(g.randomPool(choose(g.random, net.MaxPool, net.MeanPool)), x)
		}
	case 4:
		g.put(g.randomPool(choose(g.random, net.MaxPool, net.MeanPool, net.L2Pool)), x)
	case 5:
		g.put(&net.Pool{Mode: choose(g.random, net.MaxPool, net.MeanPool, net.L2Pool), Global: true}, x)
	case 6, 7:
		g.put(g.randomActivation(), x)
	case 8:
		if g.norms < mostNorms && s.H*s.W >= leastNormalised {
			g.norms++
			g.put(&net.BatchNorm{Momentum: choose(g.random, nil, new(0.5)), Frozen: g.randomFrozen()}, x)
		}
	case 9:
		g.put(&net.Dropout{Rate: choose(g.random, 0.25, 0.5)}, x)
	case 10:
		g.put(&net.Scale{Factor: choose(g.random, 0.125, -0.7, 1.5)}, x)
	case 11, 12: // a sum; if nothing else fits, mostly of a value and a branch from it
		list := g.like(x, sameShape)
		if len(list) == 1 && !g.one(3) {
			list = append(list, g.put(&net.Conv{Filters: s.C, Kernel: net.Square(3), Padding: net.PadSame}, x))
		}
		from := []string{x}
		for range g.between(1, 3) {
			from = append(from, choose(g.random, list...))
		}
		g.put(&net.Add{}, from...)
	case 13:
		list, from := g.like(x, sameSize), []string{x}
		for range g.between(1, 3) {
			from = append(from, choose(g.random, list...))
		}
		g.put(&net.Concat{}, from...)
	case 14: // a gate
		gate := g.put(&net.Pool{Mode: net.MeanPool, Global: true}, x)
		gate = g.put(&net.Conv{Filters: s.C, Kernel: net.Square(1), Frozen: g.randomFrozen()}, gate)
		gate = g.put(&net.Activation{Func: choose(g.random, net.Sigmoid, net.HardSigmoid)}, gate)
		g.put(&net.Multiply{}, x, gate)
	case 15:
		if g.products < mostProducts {
			g.products++
			g.put(&net.Multiply{}, x, choose(g.random, g.like(x, sameShape)...))
		}
	}
}

// head computes logits from all values that no layer has taken.
func (g *graph) head() {
	var vectors []string
	for _, v := range g.values {
		if v == "input" && len(g.values) > 1 || g.used[v] {
			continue
		}
		if s := g.shapes[v]; s.H*s.W > 1 || g.one(3) {
			if s.H*s.W > 1 && g.one(2) {
				v = g.put(&net.Pool{Mode: net.MeanPool, Global: true}, v)
			} else {
				v = g.put(&net.Flatten{}, v)
			}
		}
		vectors = append(vectors, v)
	}
	x := vectors[0]
	if len(vectors) > 1 {
		x = g.put(&net.Concat{}, vectors...)
	}
	if g.one(3) {
		x = g.put(&net.Dense{Units: choose(g.random, widths...), Frozen: g.randomFrozen()}, x)
		x = g.put(g.randomActivation(), x)
	}
	x = g.put(&net.Dense{Units: g.between(2, 5), NoBias: g.one(4)}, x)
	if g.one(4) {
		g.put(&net.Scale{Factor: 0.5}, x)
	}
}

// randomGroups returns a convolution for inputs of shape s. Half of the time it has
// groups, if the channels can be divided.
func (r random) randomGroups(s net.Shape) *net.Conv {
	l := r.randomConv()
	l.Frozen = r.randomFrozen()
	var divisors []int
	for d := 2; d <= s.C; d++ {
		if s.C%d == 0 {
			divisors = append(divisors, d)
		}
	}
	if len(divisors) > 0 && r.one(2) {
		l.Groups = choose(r, append(divisors, s.C)...)
		l.Filters = l.Groups * r.between(1, max(1, 12/l.Groups))
	}
	if l.NoBias && len(l.Frozen.Roles) > 0 {
		l.NoBias = false
	}
	return l
}

// randomActivation returns an activation layer with a random function. ReLU is more
// likely than others.
func (g *graph) randomActivation() *net.Activation {
	f := choose(g.random, net.Functions()...)
	if g.one(3) {
		f, _ = net.FunctionNamed(net.ReLU)
	}
	return activation(f, choose(g.random, nil, new(0.2)))
}

// randomFrozen returns a random Frozen, which mostly freezes nothing.
func (r random) randomFrozen() net.Frozen {
	switch r.rng.IntN(12) {
	case 0:
		return net.Frozen{All: true}
	case 1:
		return net.Frozen{Roles: []net.Role{choose(r, net.Weight, net.Bias)}}
	}
	return net.Frozen{}
}

// activation returns an activation layer with the given function. If the function
// has a parameter, its value is p; nil is the default.
func activation(f net.Function, p *float64) *net.Activation {
	l := &net.Activation{Func: f.Name}
	switch f.Parameter.Name {
	case "":
	case "slope":
		l.Slope = p
	case "alpha":
		l.Alpha = p
	default:
		panic("BUG: no field for parameter " + f.Parameter.Name)
	}
	return l
}
