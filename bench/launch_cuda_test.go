//go:build cuda

package bench_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/bench"
	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/cuda/sim"
	"github.com/gputrain/gputrain/internal/testenv"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/devicetest"
)

// everything has each kind of layer, in each of the ways that launch differently.
func everything() *net.Network {
	return &net.Network{Name: "everything", Input: net.Shape{C: 2, H: 12, W: 12}, Layers: []net.Layer{
		&net.Pool{Kernel: net.Square(1)}, &net.BatchNorm{},
		&net.Conv{Filters: 3, Kernel: net.Square(4), Padding: net.PadSame}, &net.Activation{Func: net.ReLU}, &net.Pool{Kernel: net.Square(2)},
		&net.Conv{Filters: 3, Kernel: net.Square(3), Padding: net.PadSame}, &net.Activation{Func: net.ReLU}, &net.Dropout{Rate: 0.25},
		&net.Conv{Filters: 3, Kernel: net.Square(3), Padding: net.PadSame, NoBias: true}, &net.Activation{Func: net.ReLU}, &net.BatchNorm{},
		&net.Conv{Filters: 3, Kernel: net.Square(3), Padding: net.PadSame}, &net.Activation{Func: net.LeakyReLU},
		&net.Pool{Kernel: net.Square(3), Stride: net.Square(1), Padding: net.PadSame, Mode: net.MeanPool},
		&net.Pool{Kernel: net.Square(3), Stride: net.Square(2), Padding: net.PadSame, Mode: net.MaxPool},
		&net.Pool{Kernel: net.Square(2), Stride: net.Square(1), Mode: net.L2Pool},
		&net.Flatten{}, &net.Dense{Units: 8, NoBias: true}, &net.Activation{Func: net.Tanh}, &net.Dense{Units: 8}, &net.Activation{Func: net.ReLU},
		&net.Dense{Units: 3},
	}}
}

// large has so many values a channel that reductions by channel are done in parts.
func large() *net.Network {
	return &net.Network{Name: "large", Input: net.Shape{C: 1, H: 96, W: 96}, Layers: []net.Layer{
		&net.Conv{Filters: 2, Kernel: net.Square(1)}, &net.BatchNorm{}, &net.Conv{Filters: 16, Kernel: net.Square(1)}, &net.Activation{Func: net.ReLU},
		&net.Conv{Filters: 16, Kernel: net.Square(3)}, &net.Activation{Func: net.ReLU}, &net.Pool{Kernel: net.Square(2)},
		&net.Pool{Kernel: net.Square(47)}, &net.Flatten{}, &net.Dense{Units: 3},
	}}
}

// rearranged takes values behind a flatten layer in every way: with channels last they lie in another order.
func rearranged() *net.Network {
	conv := func(name string, from ...string) net.Layer {
		return &net.Conv{Name: name, From: from, Filters: 3, Kernel: net.Square(3), Padding: net.PadSame}
	}
	return &net.Network{Name: "rearranged", Input: net.Shape{C: 2, H: 15, W: 12}, Layers: []net.Layer{
		conv("a"), conv("b", "input"), &net.Flatten{Name: "f"}, &net.Dropout{Name: "d", Rate: 0.3}, &net.Activation{Name: "g", Func: net.SiLU},
		&net.Flatten{Name: "e", From: net.From{"a"}}, &net.BatchNorm{Name: "n"},
		&net.Add{Name: "s", From: net.From{"g", "n", "e"}}, &net.Add{Name: "twice", From: net.From{"e", "e"}}, &net.Activation{Name: "r", Func: net.ReLU},
		&net.Multiply{Name: "m", From: net.From{"s", "e"}}, &net.Add{Name: "t", From: net.From{"d", "g"}},
		&net.Conv{Name: "one", From: net.From{"f"}, Filters: 5, Kernel: net.Square(1)}, &net.Flatten{Name: "o"},
		&net.Concat{From: net.From{"m", "o", "t", "r"}}, &net.Dense{Units: 3},
	}}
}

// frozen has layers of which only the weights learn, only the biases, or nothing, with everything that is fused with them.
func frozen() *net.Network {
	conv := func(name string, kernel, filters int, frozen ...net.Role) net.Layer {
		return &net.Conv{Name: name, Filters: filters, Kernel: net.Square(kernel), Padding: net.PadSame, Frozen: net.Frozen{Roles: frozen}}
	}
	relu, halving := &net.Activation{Func: net.ReLU}, &net.Pool{Kernel: net.Square(2)}
	weight, bias := net.Weight, net.Bias
	return &net.Network{Name: "frozen", Input: net.Shape{C: 3, H: 32, W: 32}, Layers: []net.Layer{
		conv("a", 5, 4, weight, bias), relu, conv("b", 3, 4, weight), relu, halving, // of few values, so ours
		conv("c", 3, 8, bias), relu, halving, conv("d", 4, 8, weight, bias), relu, halving,
		conv("e", 5, 8, bias), relu, &net.Pool{Kernel: net.Square(2), Padding: net.PadSame}, conv("f", 4, 8, weight), relu, conv("g", 3, 8, bias),
		&net.Flatten{}, &net.Dense{Units: 8, Frozen: net.Frozen{Roles: []net.Role{weight}}}, relu,
		&net.Dense{Units: 8, Frozen: net.Frozen{Roles: []net.Role{bias}}}, relu, &net.Dense{Units: 3, Frozen: net.Frozen{Roles: []net.Role{bias}}},
	}}
}

// settled has batch normalisation that is frozen as a whole, at the beginning, where nothing learns, and behind layers that do.
func settled() *net.Network {
	all := net.Frozen{All: true}
	conv := func(name string, f net.Frozen) net.Layer {
		return &net.Conv{Name: name, Filters: 8, Kernel: net.Square(3), Padding: net.PadSame, Frozen: f}
	}
	norm := func(name string, from ...string) net.Layer {
		return &net.BatchNorm{Name: name, From: from, Frozen: all}
	}
	sum := func(from ...string) net.Layer { return &net.Add{From: from} }
	relu := &net.Activation{Func: net.ReLU}
	return &net.Network{Name: "settled", Input: net.Shape{C: 3, H: 16, W: 16}, Layers: []net.Layer{
		conv("a", all), norm("an"), relu, conv("b", all), norm("bn"), sum("bn", "a"), relu,
		conv("c", net.Frozen{}), norm("cn"), norm("cm", "c"), relu, norm("cl"), sum("cl", "cn"), &net.Activation{Func: net.ReLU6},
		norm("dn"), sum("dn", "relu61"), relu, &net.Pool{Mode: net.MeanPool, Global: true}, &net.Flatten{}, &net.Dense{Units: 3},
	}}
}

// biases has first layers of which only the biases learn, so that nothing wants the gradients of their own outputs.
func biases() *net.Network {
	return &net.Network{Name: "biases", Input: net.Shape{C: 4, H: 24, W: 24}, Layers: []net.Layer{
		&net.Conv{Name: "a", Filters: 8, Kernel: net.Square(5), Frozen: net.Frozen{Roles: []net.Role{net.Weight}}},
		&net.Activation{Name: "r", Func: net.ReLU}, &net.Pool{Name: "p", Kernel: net.Square(2)}, // odd sizes, and too many values for ours
		&net.Flatten{Name: "f"},
		&net.Conv{Name: "b", From: net.From{"input"}, Filters: 8, Kernel: net.Square(1), Frozen: net.Frozen{Roles: []net.Role{net.Weight}}},
		&net.Activation{Func: net.ReLU}, &net.Flatten{Name: "g"},
		&net.Concat{From: net.From{"f", "g"}}, &net.Dense{Units: 3}, &net.Activation{Func: net.ReLU},
	}}
}

// ending returns a network whose logits come from a layer that isn't fully connected.
func ending(name string, last ...net.Layer) *net.Network {
	layers := []net.Layer{&net.Conv{Filters: 4, Kernel: net.Square(3)}}
	return &net.Network{Name: "ends with " + name, Input: net.Shape{C: 2, H: 6, W: 6}, Layers: append(append(layers, last...), &net.Flatten{})}
}

// model returns a model for small pictures.
func model(t *testing.T, name string) *net.Network {
	t.Helper()
	m, ok := net.ModelNamed(name)
	if !ok {
		t.Fatalf("no model %s", name)
	}
	n, err := m.Build(net.Shape{C: 3, H: 32, W: 32}, 10)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestLaunchesAreTheGraphs compares the launches of a step with the nodes of the graph that the cuda device captures: how
// often each kernel and each call of a library runs, and how many bytes it moves.
func TestLaunchesAreTheGraphs(t *testing.T) {
	adam := net.Options{Batch: 2, Optimizer: net.AdamDefault(1e-4)}
	clipped := net.Options{Batch: 2, Optimizer: net.Optimizer{Rule: net.Rule{Method: net.SGD, LearningRate: 1e-3}, ClipNorm: 1}}
	rich := adam
	rich.Average, rich.Loss = 0.9, net.Criterion{Smoothing: 0.1, ClassWeights: []float64{1, 2}}
	rich.Optimizer.Groups = []net.Group{{Params: "*.bias", Factor: 2}, {Params: "batchnorm.weight", Factor: 0.5}}
	rich.Optimizer.ClipNorm = 1
	momentum := net.Options{Batch: 2, Optimizer: net.Optimizer{Rule: net.Rule{Method: net.SGD, LearningRate: 1e-3, Momentum: 0.9}}}
	lion := net.Options{Batch: 2, Optimizer: net.LionDefault(1e-4), Lookahead: net.Lookahead{Every: 1, Start: 0.5, Final: 0.5}}
	lion.Optimizer.Groups = []net.Group{{Params: "*.bias", Rule: net.SGDDefault(1e-3).Rule}}
	muon := net.Options{Batch: 2, Optimizer: net.MuonDefault(1e-2, 1e-3)}
	muon.Optimizer.ClipNorm = 1
	rescaling := net.Options{Batch: 2, Optimizer: net.SGDDefault(1e-3)}
	rescaling.Optimizer.Groups = []net.Group{{Params: net.HiddenMatrices, Rule: net.Rule{Method: net.Muon, LearningRate: 1e-2, Iterations: 2, Rescale: true}}}
	for _, c := range []struct {
		network *net.Network
		options net.Options
	}{
		{net.BuiltIn("tutorial"), adam}, {net.BuiltIn("lenet5"), adam}, {net.BuiltIn("mlp"), adam},
		{everything(), clipped}, {large(), clipped}, {everything(), rich}, {rearranged(), adam}, {rearranged(), lion}, {everything(), muon}, {model(t, "resnet20"), rescaling}, {devicetest.Residuals(net.Shape{C: 3, H: 24, W: 24}, 16), rich}, {frozen(), adam}, {settled(), adam}, {biases(), clipped},
		{model(t, "resnet20"), momentum}, {model(t, "mobilenetv2"), momentum},
		{ending("a convolution"), adam}, {ending("ReLU", &net.Activation{Func: net.ReLU}), adam}, {ending("normalisation", &net.BatchNorm{}), adam},
		{ending("pooling", &net.Pool{Mode: net.MeanPool, Global: true}), adam}, {ending("dropout", &net.Flatten{}, &net.Dropout{Rate: 0.5}), adam},
	} {
		for _, o := range []cuda.Options{{Precision: cuda.FP32}, {Precision: cuda.TF32}, {Precision: cuda.TF32, ChannelsLast: true}, {Precision: cuda.BF16}} {
			if slices.Contains([]string{"resnet20", "mobilenetv2", "tutorial"}, c.network.Name) && (o.Precision == cuda.TF32 || o.Precision == cuda.FP32 && !testenv.Long()) {
				continue // for time: others show what is special to it
			}
			name := fmt.Sprintf("%s %s %s", c.network.Name, methods(c.options.Optimizer), o.Precision)
			if o.ChannelsLast {
				name += " channels last"
			}
			t.Run(name, func(t *testing.T) { compareWithGraph(t, c.network, o, c.options) })
		}
	}
}

// methods names an optimiser's methods.
func methods(o net.Optimizer) string {
	names := string(o.Method)
	for _, g := range o.Groups {
		if g.Method != "" && !strings.Contains(names, string(g.Method)) {
			names += " and " + string(g.Method)
		}
	}
	return names
}

// compareWithGraph compares the launches of a step with those of a captured graph.
func compareWithGraph(t *testing.T, n *net.Network, o cuda.Options, options net.Options) {
	m := sim.Start(t, sim.Traffic())
	o.Deterministic, o.Heuristic, o.Workspace = true, true, 8<<20 // searches and large workspaces take time, and are no launches of a step
	d, err := cuda.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	p, err := d.Compile(n, options)
	if err != nil {
		t.Fatal(err)
	}
	batch := options.Batch
	data := &net.Dataset{Name: "pixels", Shape: n.Input, Classes: 2, Scale: 1. / 255, Pixels: make([]uint8, batch*n.Input.Size()), Labels: make([]int32, batch)}
	for i := range data.Pixels {
		data.Pixels[i] = uint8(i*i*31 + i*7)
	}
	b := net.Batch{Data: data}
	for i := range batch {
		b.Indices = append(b.Indices, int32(i))
	}
	step := func() {
		t.Helper()
		if err := p.Step(b); err != nil {
			t.Fatal(err)
		}
		if _, err := p.TakeMetrics(); err != nil {
			t.Fatal(err)
		}
	}
	step() // without a graph
	step() // captures
	before, movedBefore := m.Counters(), m.Moved()
	step()
	after, moved := m.Counters(), m.Moved()
	if n := after["graph launches"] - before["graph launches"]; n != 1 {
		t.Fatalf("a step launches %d graphs", n)
	}
	plan, err := n.Plan()
	if err != nil {
		t.Fatal(err)
	}
	launches := bench.Launches(plan, options, cuda.FormOf(o.Precision, o.ChannelsLast), batch)
	if nodes := after["graph nodes run"] - before["graph nodes run"]; nodes != int64(len(launches)) {
		t.Errorf("the graph has %d nodes, want %d", nodes, len(launches))
	}
	got, want := map[string]int64{}, map[string]int64{} // by kernel or library call
	for name, n := range after {
		if call, ok := strings.CutPrefix(name, "ran."); ok && n > before[name] {
			got[strings.TrimSuffix(call, "_v2")] += n - before[name]
		}
	}
	bytes := map[string]int64{}
	for _, l := range launches {
		want[l.Call]++
		bytes[l.Call] += l.Bytes
	}
	if !maps.Equal(got, want) {
		t.Errorf("a step runs\n%v, want\n%v", got, want)
	}
	for name, a := range moved {
		call := strings.TrimSuffix(strings.TrimPrefix(name, "kernel "), "_v2")
		if want[call] == 0 { // a copy of numbers to or from the host
			continue
		}
		got := a.Bytes() - movedBefore[name].Bytes()
		if want, slack := bytes[call], slackOf(call, want[call], bytes[call], plan); got < want || got > want+slack {
			t.Errorf("%s moves %d bytes, want %d to %d", call, got, want, want+slack)
		}
	}
}

// slackOf returns how many more bytes a call may move in so many launches than all its operands have.
func slackOf(call string, launches, bytes int64, plan *net.Plan) int64 {
	// Memory moves in sectors of 32 bytes, so an operand may cost 31 bytes more. No kernel has more than 12 operands.
	slack := 12 * 31 * launches
	// The optimiser's kernels move the gaps between parameters too, which are aligned to 256 bytes.
	var gaps int64
	for _, q := range plan.Params {
		gaps += int64(-q.Size() & 63)
	}
	slack += gaps * map[string]int64{"adam": 30, "sgd": 22, "lion": 22, "square_sums": 4, "move_average": 18}[call]
	if call == "crop" || call == "copy_blocks" { // their rows begin and end within sectors, each of which counts as a whole
		slack += bytes / 2
	}
	if strings.HasPrefix(call, "batchnorm_") { // they may read weights and biases that they don't need
		for _, q := range plan.Params {
			if q.Role == net.RunningMean { // one of each normalisation
				slack += 2 * 4 * int64(q.Size())
			}
		}
	}
	return slack
}
