package devicetest

import (
	"github.com/gputrain/gputrain/net"
)

// checkKinds judges the example of each kind of layer: by itself, and with other uses of
// its inputs, so that their gradients are sums.
func checkKinds(e *env) {
	for _, k := range net.Kinds() {
		for i, ex := range k.Examples {
			e.judgeAll(around(ex, alone))
			if !e.short || i == 0 {
				e.judgeAll(around(ex, before), 3, 2)
				e.judgeAll(around(ex, behind), 3, 2)
			}
		}
	}
}

// checkUses judges values with several uses, in forms that occur in networks.
func checkUses(e *env) {
	conv := func(name string, filters int, from ...string) net.Layer {
		return &net.Conv{Name: name, From: from, Filters: filters, Kernel: net.Square(3), Padding: net.PadSame}
	}
	act := func(name string, f net.ActivationFunc, from ...string) net.Layer {
		return &net.Activation{Name: name, From: from, Func: f}
	}
	add := func(name string, from ...string) net.Layer { return &net.Add{Name: name, From: from} }
	concat := func(name string, from ...string) net.Layer { return &net.Concat{Name: name, From: from} }
	times := func(name string, from ...string) net.Layer { return &net.Multiply{Name: name, From: from} }
	norm := func(name string) net.Layer { return &net.BatchNorm{Name: name} }
	pool := func(name string, from ...string) net.Layer {
		return &net.Pool{Name: name, From: from, Kernel: net.Square(2)}
	}
	for _, layers := range [][]net.Layer{
		// A layer takes a value twice, or more often.
		{conv("a", 3), add("", "a", "a")},
		{conv("a", 3), add("", "a", "a", "a")},
		{conv("a", 3), times("", "a", "a")},
		{conv("a", 3), concat("", "a", "a")},
		{conv("a", 3), act("b", net.Tanh), add("c", "b", "a", "b"), concat("", "c", "b", "c")},
		// No gradient with respect to the network's input is wanted.
		{add("", "input", "input"), conv("", 2)},
		{conv("a", 2), concat("", "input", "a", "input")},
		{act("gate", net.Sigmoid), times("", "input", "gate"), conv("", 3)},
		// Sums of sums.
		{conv("a", 3), conv("b", 3), add("c", "a", "b"), conv("d", 3), add("f", "c", "d"), add("", "f", "a")},
		// Residual blocks: with the value itself, with a projection, before and after the function.
		{conv("a", 4), norm("n"), act("b", net.ReLU), conv("c", 4), act("d", net.ReLU), conv("f", 4), add("g", "f", "b"), act("", net.ReLU)},
		{conv("a", 4), act("b", net.ReLU), conv("c", 5), act("d", net.ReLU), conv("p", 5, "b"), add("", "d", "p")},
		// A convolution's output goes to a function and elsewhere, so they are no group.
		{conv("a", 4), act("b", net.ReLU), add("", "b", "a")},
		{conv("a", 4), act("b", net.ReLU), pool("c"), pool("d", "b"), add("f", "c", "d"), pool("g", "a"), concat("", "f", "g")},
		{conv("a", 3), pool("b"), act("c", net.ReLU, "b"), act("d", net.Tanh, "b"), concat("", "c", "d", "b")},
		// Dense blocks: concatenations of concatenations, of odd channel counts.
		{conv("a", 3), conv("b", 5), concat("c", "a", "b"), conv("d", 7), concat("f", "c", "d"), act("", net.ReLU)},
		{conv("a", 3), concat("b", "a", "input"), conv("c", 1), concat("", "c", "b", "a")},
		// A gate that is computed from the value that it multiplies.
		{conv("a", 5), &net.Pool{Mode: net.MeanPool, Global: true}, &net.Conv{Filters: 2, Kernel: net.Square(1)}, act("", net.ReLU), &net.Conv{Filters: 5, Kernel: net.Square(1)}, act("g", net.HardSigmoid), times("", "a", "g")},
		{conv("a", 5), &net.Pool{Name: "m", Global: true}, times("", "a", "m")},
		// A depthwise convolution between two of 1x1, and the value before them.
		{conv("a", 3), &net.Conv{Filters: 9, Kernel: net.Square(1)}, act("", net.ReLU6), &net.Conv{Filters: 9, Kernel: net.Square(3), Padding: net.PadSame, Groups: 9}, act("", net.ReLU6), &net.Conv{Name: "z", Filters: 3, Kernel: net.Square(1)}, add("", "z", "a")},
		// A flat view of a value, and the value itself, have uses of their own.
		{conv("a", 2), &net.Flatten{Name: "f"}, &net.Dense{Name: "b", Units: 3}, &net.Dense{Name: "c", From: net.From{"f"}, Units: 3}, &net.Flatten{Name: "g", From: net.From{"a"}}, &net.Dense{Name: "d", Units: 3}, add("", "b", "c", "d")},
		{conv("a", 2), &net.Flatten{Name: "f"}, &net.Flatten{Name: "g"}, add("", "f", "g")},
		{&net.Flatten{Name: "f"}, &net.Dense{Name: "b", Units: 3}, &net.Dense{Name: "c", From: net.From{"f"}, Units: 2}, concat("", "b", "c", "f")},
	} {
		in := net.Shape{C: 3, H: e.between(4, 6), W: e.between(4, 6)}
		e.judgeAll(e.headed(in, layers...))
	}
	// Logits out of each.
	in := net.Shape{C: 4, H: 1, W: 1}
	for _, layers := range [][]net.Layer{
		{&net.Dense{Name: "a", Units: 3}, add("", "a", "a")},
		{&net.Dense{Name: "a", Units: 3}, concat("", "a", "input")},
		{&net.Dense{Name: "a", Units: 4}, times("", "a", "input")},
		{&net.Dense{Name: "a", Units: 3}, &net.Scale{Factor: 1.0 / 9}},
	} {
		e.judgeAll(&net.Network{Input: in, Layers: layers})
	}
}

// checkFrozen judges networks in which some parameters are frozen, and some layers learn
// nothing. Judging a step also checks that frozen parameters keep their values.
func checkFrozen(e *env) {
	all := net.Frozen{All: true}
	weight, bias := net.Frozen{Roles: []net.Role{net.Weight}}, net.Frozen{Roles: []net.Role{net.Bias}}
	conv := func(f net.Frozen) net.Layer {
		return &net.Conv{Filters: 4, Kernel: net.Square(3), Padding: net.PadSame, Frozen: f}
	}
	tanh := func() net.Layer { return &net.Activation{Func: net.Tanh} }
	relu := func() net.Layer { return &net.Activation{Func: net.ReLU} }
	max := func() net.Layer { return &net.Pool{Kernel: net.Square(2)} }
	norm := func(f net.Frozen) net.Layer { return &net.BatchNorm{Frozen: f} }
	settled := func(name, from string) net.Layer {
		return &net.BatchNorm{Name: name, From: net.From{from}, Frozen: all}
	}
	add := func(from ...string) net.Layer { return &net.Add{Name: from[0] + "-sum", From: from} }
	dense := func(f net.Frozen) net.Layer { return &net.Dense{Units: 6, Frozen: f} }
	for _, layers := range [][]net.Layer{
		{conv(all), norm(all), tanh(), conv(net.Frozen{})},
		{conv(weight), relu(), max()},
		{conv(bias), relu(), max()},
		{conv(all), relu(), max()},
		{conv(net.Frozen{}), relu(), conv(all), relu(), max(), conv(weight)},
		{norm(weight), tanh(), norm(bias)},
		{conv(net.Frozen{}), norm(all), relu()},
		{conv(net.Frozen{}), norm(net.Frozen{Roles: []net.Role{net.Weight, net.Bias}}), norm(all)},
		// A prefix that learns nothing, with a residual block and pooling.
		{
			conv(all), settled("a", "conv1"), relu(), max(), &net.Conv{Name: "b", Filters: 4, Kernel: net.Square(3), Padding: net.PadSame, NoBias: true, Frozen: all},
			settled("bn", "b"), add("bn", "pool1"), relu(), conv(net.Frozen{}), norm(net.Frozen{}), relu(),
		},
		// Settled layers between those that learn, whose gradients are written and added: alone, with a function, and
		// with a sum before it.
		{conv(net.Frozen{}), settled("a", "conv1"), &net.Activation{Func: net.ReLU6}, settled("b", "conv1"), settled("c", "conv1"), relu(), add("b", "relu61", "relu1")},
		{conv(net.Frozen{}), settled("a", "conv1"), add("a", "conv1"), relu()},
		{conv(net.Frozen{}), relu(), conv(all), settled("a", "conv2"), add("a", "relu1"), &net.Activation{Func: net.ReLU6}},
		{conv(net.Frozen{}), conv(all), settled("a", "conv2"), &net.Conv{Name: "still", From: net.From{"input"}, Filters: 4, Kernel: net.Square(1), Frozen: all}, add("a", "still"), relu()},
		{&net.Flatten{}, dense(all), relu(), dense(weight), tanh(), dense(bias)},
		{conv(net.Frozen{}), &net.Flatten{}, dense(all), relu()},
		// A branch that learns nothing, in a sum with one that does.
		{
			&net.Conv{Name: "still", Filters: 3, Kernel: net.Square(1), Frozen: all}, &net.Conv{Name: "learns", From: net.From{"input"}, Filters: 3, Kernel: net.Square(1)},
			&net.Add{From: net.From{"still", "learns", "still"}}, &net.Multiply{From: net.From{"add1", "still"}}, &net.Concat{From: net.From{"still", "multiply1"}},
		},
	} {
		e.judgeAll(e.headed(net.Shape{C: 2, H: 4, W: 5}, layers...))
	}
	// Nothing at all is trained.
	e.judgeAll(&net.Network{Input: net.Shape{C: 3, H: 1, W: 1}, Layers: []net.Layer{&net.BatchNorm{Frozen: all}, &net.Dense{Units: 3, Frozen: all}}})
}
