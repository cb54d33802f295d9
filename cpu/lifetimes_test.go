package cpu

import (
	"math"
	"slices"
	"testing"
	"unsafe"

	"github.com/gputrain/gputrain/net"
)

// weightsOf returns the values of all parameters of a program.
func weightsOf(t *testing.T, p *program) []float32 {
	t.Helper()
	state, err := p.State()
	if err != nil {
		t.Fatal(err)
	}
	var values []float32
	for _, q := range p.plan.Params {
		values = append(values, state.Params[q.Name].Float32s()...)
	}
	return values
}

// TestGradientsShareMemory trains with gradients that share memory and with ones that don't: the weights must be the same bytes.
// A chain of layers of one size needs two buffers, however long it is.
func TestGradientsShareMemory(t *testing.T) {
	conv := func(name, from string) net.Layer {
		c := &net.Conv{Name: name, Filters: 20, Kernel: net.Square(3), Padding: net.PadSame}
		if from != "" {
			c.From = net.From{from}
		}
		return c
	}
	bn := func(name string) net.Layer { return &net.BatchNorm{Name: name} }
	relu := &net.Activation{Func: net.ReLU}
	var chain, branches []net.Layer
	for range 6 {
		chain = append(chain, conv("", ""), bn(""), relu)
	}
	branches = append(branches, conv("a", ""), bn("ab"), conv("b", "ab"), bn("bb"), conv("c", "bb"), bn("cb"),
		&net.Add{Name: "s", From: net.From{"cb", "ab"}}, relu, &net.Pool{Name: "p", Kernel: net.Square(2)}, conv("d", "p"), bn("db"),
		conv("e", "p"), bn("eb"), &net.Concat{From: net.From{"db", "eb", "p"}}, bn(""), &net.Activation{Func: net.Tanh})
	// Every other row of this one's input gets no gradient: there the buffer must be cleared, in all of several groups of planes.
	gaps := []net.Layer{&net.Conv{Filters: 200, Kernel: net.Square(1)}, bn(""),
		&net.Conv{Filters: 200, Kernel: net.Pair{H: 1, W: 3}, Stride: net.Square(2), Padding: net.PadSame, Groups: 200}, bn(""), relu, conv("", "")}
	for _, c := range []struct {
		layers  []net.Layer
		buffers int // at most, with those of the logits
	}{{chain, 4}, {branches, 12}, {gaps, 4}} {
		n := &net.Network{Input: net.Shape{C: 3, H: 8, W: 10}, Layers: append(c.layers, &net.Flatten{}, &net.Dense{Units: 3})}
		batch := net.Batch{Data: randomImages(n.Input, 3, 6), Indices: []int32{0, 1, 2, 3, 4, 5}}
		var want []float32
		for _, separate := range []bool{true, false} {
			d := open(tiers()[0], 2)(t)
			p := compile(t, d, n, 6)
			if separate {
				p.separateGradients()
			}
			buffers, gradients := map[*float32]bool{}, 0
			for _, op := range p.all.operations {
				if op.out.learns {
					buffers[unsafe.SliceData(op.out.grad)] = true
					gradients++
				}
			}
			if separate != (len(buffers) == gradients) || !separate && len(buffers) > c.buffers {
				t.Errorf("%d gradients have %d buffers", gradients, len(buffers))
			}
			for range 3 {
				if err := p.Step(batch); err != nil {
					t.Fatal(err)
				}
			}
			got := weightsOf(t, p)
			if want == nil {
				want = got
			} else if !slices.Equal(got, want) {
				t.Error("the weights differ")
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestValuesShareMemory plans an evaluation: what samples pass through has a few buffers, however long a chain is and however large
// the mini-batch, and only what leaves a section has memory by sample. Results are the same bytes on any number of threads, for
// few samples too, and no forward pass takes what training left.
func TestValuesShareMemory(t *testing.T) {
	conv := func(name, from string, size int) net.Layer {
		c := &net.Conv{Name: name, Filters: 20, Kernel: net.Square(size), Padding: net.PadSame}
		if from != "" {
			c.From = net.From{from}
		}
		return c
	}
	relu := &net.Activation{Func: net.ReLU}
	var chain []net.Layer
	for range 6 {
		chain = append(chain, conv("", "", 1), &net.BatchNorm{}, relu)
	}
	branches := []net.Layer{conv("a", "", 3), &net.BatchNorm{Name: "an"}, conv("b", "an", 1), &net.BatchNorm{Name: "bn"},
		&net.Add{Name: "s", From: net.From{"bn", "an"}}, relu, &net.Pool{Name: "p", Kernel: net.Square(2)}, &net.BatchNorm{Name: "pn"},
		conv("c", "pn", 3), conv("d", "pn", 1), &net.Concat{From: net.From{"c", "d", "p"}}, &net.BatchNorm{}, &net.Activation{Func: net.Tanh},
		&net.Pool{Kernel: net.Square(2)}, conv("", "", 1), conv("", "", 1)} // small images, which go together
	const samples = 42
	for _, c := range []struct {
		layers  []net.Layer
		buffers int // at most
		long    int // values with memory by sample, at most
	}{{chain, 3, 2}, {branches, 6, 6}} {
		n := &net.Network{Input: net.Shape{C: 3, H: 8, W: 10}, Layers: append(c.layers, &net.Flatten{}, &net.Dense{Units: 3})}
		batch := net.Batch{Data: randomImages(n.Input, 3, samples)}
		for i := range samples {
			batch.Indices = append(batch.Indices, int32(i))
		}
		for _, tier := range tiers() {
			var want []float32
			memory := map[int]int{} // of two threads, by mini-batch
			for _, threads := range []int{1, 2, 5} {
				for _, size := range []int{samples, samples / 3, 6, 1} { // 6 samples are cut for 5 threads
					d := open(tier, threads)(t)
					p := compile(t, d, n, size)
					buffers, long := map[*float32]int{}, 0
					for _, op := range p.evaluation.operations {
						values := op.out.brief[inEvaluation].values
						if values == nil {
							long++
							continue
						}
						buffers[unsafe.SliceData(values)] = len(values)
						for i := range op.out.value {
							op.out.value[i] = float32(math.NaN())
						}
					}
					if len(buffers) > c.buffers || long > c.long {
						t.Errorf("%v, %d threads, mini-batches of %d: %d buffers, %d values by sample", tier, threads, size, len(buffers), long)
					}
					for _, values := range buffers {
						if threads == 2 {
							memory[size] += values
						}
					}
					out, err := p.Infer(batch)
					if err != nil {
						t.Fatal(err)
					}
					if got := out.Float32s(); want == nil {
						want = got
					} else if !slices.Equal(got, want) {
						t.Errorf("%v, %d threads, mini-batches of %d: other probabilities", tier, threads, size)
					}
					if err := d.Close(); err != nil {
						t.Error(err)
					}
				}
			}
			if memory[samples] == 0 || memory[samples] > 2*memory[samples/3] {
				t.Errorf("%v: values in memory, by mini-batch: %v", tier, memory)
			}
		}
	}
}

// TestSectionsOfSmallLayers checks which samples go together in evaluation: small fully connected layers take a few, with the layers
// around them. Images of many values go one by one. A large fully connected layer takes the whole mini-batch.
func TestSectionsOfSmallLayers(t *testing.T) {
	relu, pool := &net.Activation{Func: net.ReLU}, &net.Pool{Mode: net.MeanPool, Kernel: net.Square(16), Stride: net.Square(16)}
	for _, c := range []struct {
		input  net.Shape
		layers []net.Layer
		want   []int // samples in a group, by section; 0 where an operation takes the mini-batch
	}{
		{net.Shape{C: 1, H: 28, W: 28}, []net.Layer{&net.Flatten{}, &net.Dense{Units: 100}, relu, &net.Dense{Units: 10}}, []int{mostTogether}},
		{net.Shape{C: 3, H: 96, W: 96}, []net.Layer{pool, &net.Flatten{}, &net.Dense{Units: 10}}, []int{1, mostTogether}},
		{net.Shape{C: 1, H: 28, W: 28}, []net.Layer{&net.Flatten{}, &net.Dense{Units: 400}, relu, &net.Dense{Units: 10}}, []int{0, 0, mostTogether}},
	} {
		d := open(tiers()[0], 1)(t)
		p := compile(t, d, &net.Network{Input: c.input, Layers: c.layers}, 20)
		var got []int
		for _, s := range p.evaluation.sections {
			got = append(got, s.group)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%v: groups of %v samples, want %v", c.input, got, c.want)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}
