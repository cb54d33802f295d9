package cpu

import (
	"fmt"
	"slices"
	"testing"

	"github.com/gputrain/gputrain/internal/cpufeat"
	"github.com/gputrain/gputrain/net"
)

// TestSharedSamples evaluates fewer samples than there are threads, so that threads share out each one's output: the bytes must be
// those of one thread, and of a larger mini-batch.
func TestSharedSamples(t *testing.T) {
	relu := &net.Activation{Func: net.ReLU}
	convolution := func(filters, kernel, stride, groups int) *net.Conv {
		return &net.Conv{Filters: filters, Kernel: net.Square(kernel), Stride: net.Square(stride), Padding: net.PadSame, Groups: groups}
	}
	n := &net.Network{Name: "shared", Input: net.Shape{C: 3, H: 42, W: 40}, Layers: []net.Layer{
		convolution(48, 5, 1, 1), relu, &net.Pool{Kernel: net.Square(2)}, // pooled with the convolution, which few channels make direct
		&net.BatchNorm{}, // not folded
		&net.Conv{Filters: 100, Kernel: net.Square(3), Padding: net.PadSame, Dilation: net.Pair{H: 2, W: 1}}, relu, // minimal filtering of rows that lie between others
		convolution(70, 5, 1, 1), relu, &net.Pool{Kernel: net.Square(2)}, // pooled with the convolution, by minimal filtering
		convolution(70, 3, 1, 1), &net.BatchNorm{}, relu, // minimal filtering by rows, with tiles that lie over others
		convolution(70, 3, 1, 70), &net.BatchNorm{}, &net.Activation{Func: net.ReLU6}, // a filter for each channel
		convolution(100, 1, 1, 1), &net.Pool{Kernel: net.Square(3), Stride: net.Square(1)}, convolution(50, 3, 2, 2), relu, // tiles, pooling, groups
		&net.Flatten{}, &net.Dense{Units: 200}, relu, &net.Dense{Units: 3},
	}}
	data := randomImages(n.Input, 3, 6)
	for _, tier := range tiers() {
		var want []float32
		for _, c := range []struct{ threads, batch int }{{1, 6}, {1, 1}, {2, 1}, {5, 1}, {5, 3}} {
			d := open(tier, c.threads)(t).(*device)
			p := compile(t, d, n, c.batch)
			var got []float32
			for i := 0; i < 6; i += c.batch {
				b := net.Batch{Data: data}
				for k := range c.batch {
					b.Indices = append(b.Indices, int32(i+k))
				}
				out, err := p.Infer(b)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, out.Float32s()...)
			}
			if want == nil {
				want = got
			}
			if !slices.Equal(got, want) {
				t.Errorf("%v: %d threads and batches of %d compute something else", tier, c.threads, c.batch)
			}
			var cut []string
			for _, op := range p.evaluation.operations {
				if op, ok := op.sample.(cutOp); ok && op.parts() > 1 {
					kind := fmt.Sprintf("%T", op)
					if c, ok := op.(*conv); ok && c.winograd != nil {
						kind += " by minimal filtering"
					}
					cut = append(cut, kind)
				}
			}
			kinds := []string{"*cpu.conv", "*cpu.settledNorm", "*cpu.blockConv", "*cpu.conv by minimal filtering", "*cpu.folded", "*cpu.blockConv", "*cpu.blockConv", "cpu.denseSamples"}
			if tier == cpufeat.Portable { // which has no direct kernels
				kinds = kinds[1:]
			}
			if !slices.Equal(cut, kinds) {
				t.Errorf("%v: what can be cut is %v, want %v", tier, cut, kinds)
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestSmallImages trains and evaluates a network whose convolutions compute several samples together. On any number of threads,
// which divide a mini-batch into other groups, weights and probabilities must be the same bytes. So must they be if samples are
// computed one by one.
func TestSmallImages(t *testing.T) {
	relu := &net.Activation{Func: net.ReLU}
	conv := func(name, from string, filters, kernel, stride int) *net.Conv {
		c := &net.Conv{Name: name, Filters: filters, Kernel: net.Square(kernel), Stride: net.Square(stride), Padding: net.PadSame}
		if from != "" {
			c.From = net.From{from}
		}
		return c
	}
	n := &net.Network{Name: "small", Input: net.Shape{C: 5, H: 9, W: 8}, Layers: []net.Layer{
		conv("a", "", 40, 3, 1), relu, conv("b", "", 33, 3, 1), // minimal filtering, whose tiles lie over others
		conv("c", "", 48, 3, 2), &net.BatchNorm{}, &net.Activation{Name: "cr", Func: net.ReLU6}, // 5x4
		conv("d", "", 64, 3, 2),                             // 3x2; its input's gradient has four phases
		conv("e", "cr", 64, 2, 2),                           // the same from the same
		&net.Add{Name: "f", From: net.From{"d", "e"}}, relu, // so that a gradient is added
		&net.Conv{Filters: 64, Kernel: net.Square(1), Groups: 4}, conv("g", "", 50, 1, 1), relu,
		&net.Pool{Mode: net.MeanPool, Global: true}, conv("h", "", 30, 1, 1), &net.Flatten{}, &net.Dense{Units: 3},
	}}
	const batch = 33 // 3, 4 or 5 groups
	data := randomImages(n.Input, 3, batch)
	all := net.Batch{Data: data}
	for i := range batch {
		all.Indices = append(all.Indices, int32(i))
	}
	for _, tier := range tiers() {
		var want, wantWeights []float32
		for _, threads := range []int{0, 1, 2, 5} { // 0 is one by one, on one thread
			d := open(tier, max(1, threads))(t).(*device)
			p := compile(t, d, n, batch)
			for i := range p.training.sections {
				if threads == 0 {
					p.training.sections[i].group = 1
				}
			}
			for range 3 {
				if err := p.Step(all); err != nil {
					t.Fatal(err)
				}
			}
			out, err := p.Infer(all)
			if err != nil {
				t.Fatal(err)
			}
			got := slices.Clone(out.Float32s())
			weights := weightsOf(t, p)
			if want == nil {
				want, wantWeights = got, weights
			}
			if !slices.Equal(got, want) || !slices.Equal(weights, wantWeights) {
				t.Errorf("%v: %d threads compute something else", tier, threads)
			}
			for i := range batch {
				one, err := p.Infer(net.Batch{Data: data, Indices: []int32{int32(i)}})
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(one.Float32s(), want[3*i:3*i+3]) {
					t.Errorf("%v, %d threads: sample %d by itself is something else", tier, threads, i)
				}
			}
			together := 0
			for _, op := range p.all.operations {
				if op, ok := op.sample.(groupOp); ok && op.group() > 1 {
					together++
				}
			}
			if together < 6 {
				t.Errorf("%v: only %d operations compute samples together", tier, together)
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestNarrowInput verifies first convolutions, whose input of few channels has a layout of its own, with strides, dilations and
// padding.
func TestNarrowInput(t *testing.T) {
	for _, tier := range tiers() {
		for channels := 1; channels <= mostNarrow; channels++ {
			c := &net.Conv{Filters: 20, Kernel: net.Pair{H: 5, W: 3}, Stride: net.Pair{H: 1 + channels%2, W: 2}, Padding: net.PadSame}
			if channels > 2 {
				c.Stride, c.Dilation = net.Square(1), net.Square(2)
			}
			layers := []net.Layer{c, &net.Activation{Func: net.Tanh}, &net.Conv{Filters: 6, Kernel: net.Square(3)}, &net.Flatten{}, &net.Dense{Units: 3}}
			input := net.Shape{C: channels, H: 14, W: 13}
			verifyLayers(t, tier, 3, input, layers...)
			d := open(tier, 1)(t).(*device)
			p, err := newProgram(d, planOf(t, input, layers), net.Options{Batch: 2, Optimizer: net.SGDDefault(1)}, true)
			if err != nil {
				t.Fatal(err)
			}
			narrows := 0
			for _, op := range p.all.operations {
				if b, ok := op.sample.(*blockConv); ok && b.narrow() {
					narrows++
				}
			}
			if want := min(1, d.workers.all[0].kernel.Lanes-channels); narrows != want {
				t.Errorf("%v, %d channels: %d convolutions have a narrow input, want %d", tier, channels, narrows, want)
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestDepthwisePlanes verifies depthwise convolutions whose padded planes don't fit into the room for them all at once, with a
// stride, so that the gradient has several phases. Where the stride is larger than the filter, some positions get no gradient.
func TestDepthwisePlanes(t *testing.T) {
	for _, tier := range tiers() {
		verifyLayers(t, tier, 2, net.Shape{C: 3, H: 17, W: 14},
			&net.Conv{Filters: 70, Kernel: net.Square(1)},
			&net.Conv{Filters: 70, Kernel: net.Square(3), Padding: net.PadSame, Groups: 70}, &net.Activation{Func: net.Tanh},
			&net.Conv{Filters: 70, Kernel: net.Pair{H: 1, W: 3}, Stride: net.Square(2), Padding: net.PadSame, Groups: 70},
			&net.Conv{Filters: 70, Kernel: net.Square(5), Padding: net.PadSame, Groups: 70}, &net.Flatten{}, &net.Dense{Units: 3})
	}
}
