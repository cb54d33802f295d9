//go:build cuda

package cuda_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/cuda/sim"
	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/devicetest"
)

// augmented is a source of mini-batches whose samples are moved and mixed.
func augmented(data *net.Dataset, in net.Shape) *net.Source {
	a, _ := net.AugmentationNamed("strong")
	a.Saturation, a.Mixup, a.CutMix = 0, 0.4, 1 // the images are grey
	if data.Pixels == nil {
		a.Brightness, a.Contrast = 0, 0
	}
	return &net.Source{Data: data, Augment: a, Seed: 7, Input: in}
}

// trainViewed makes steps on augmented mini-batches.
func trainViewed(t *testing.T, p net.Program, data *net.Dataset, steps, batch int) {
	t.Helper()
	source := augmented(data, p.Plan().Network.Input)
	for s := range steps {
		indices := make([]int32, batch)
		for i := range indices {
			indices[i] = int32((s*batch + i) % data.Len())
		}
		if err := p.Step(source.Batch(s, indices)); err != nil {
			t.Fatalf("step %d: %v", s, err)
		}
	}
}

// TestViewsCostNothing compares what steps with augmentation ask of the driver with what plain ones do: no more copies, and at
// most one kernel more.
func TestViewsCostNothing(t *testing.T) {
	const batch, steps = 4, 64
	data := images(48)
	counts := func(t *testing.T, viewed bool) map[string]int64 {
		m, train := sim.Start(t), train
		if viewed {
			train = trainViewed
		}
		_, p := compile(t, strict, batch)
		take := func(steps int) {
			train(t, p, data, steps, batch)
			if _, err := p.TakeMetrics(); err != nil {
				t.Fatal(err)
			}
		}
		take(2) // the second captures
		before := m.Counters()
		take(steps)
		after := m.Counters()
		b := augmented(data, p.Plan().Network.Input).Batch(0, []int32{3, 1, 2, 0})
		if !viewed {
			b.Views = nil
		}
		if n := testing.AllocsPerRun(steps, func() {
			if err := p.Step(b); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%v allocations of Go memory a step", n)
		}
		take(1)
		for name := range after {
			after[name] -= before[name]
		}
		return after
	}
	var plain, viewed map[string]int64
	t.Run("plain", func(t *testing.T) { plain = counts(t, false) })
	t.Run("viewed", func(t *testing.T) { viewed = counts(t, true) })
	if plain["graph launches"] != steps || plain["graph nodes run"] == 0 {
		t.Fatalf("plain steps: %v", plain)
	}
	if most := plain["graph nodes run"] + steps; viewed["graph nodes run"] > most {
		t.Errorf("%d nodes run with views, %d without", viewed["graph nodes run"], plain["graph nodes run"])
	}
	names := maps.Clone(plain)
	maps.Copy(names, viewed)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if name != "graph nodes run" && len(name) > 5 && name[:5] == "call." && viewed[name] > plain[name] {
			t.Errorf("%s: %d times with views, %d without", name, viewed[name], plain[name])
		}
	}
	for _, name := range []string{"allocations", "pinned allocations", "call.cuLaunchKernel"} {
		if viewed[name] != 0 {
			t.Errorf("%s: %d times with views", name, viewed[name])
		}
	}
}

// TestViewsSameBytes trains on mini-batches with views, without, in shares and with updates of their own, by every way of
// running: all must end with the same weights. Data sets that are streamed bring partners too.
func TestViewsSameBytes(t *testing.T) {
	const batch, count = 8, 4000
	pixels := images(count)
	scattered := pixels.Select(slices.Concat(upTo(count, 3), upTo(count, 2)))
	run := func(t *testing.T, p net.Program, data *net.Dataset) []byte {
		t.Helper()
		trainViewed(t, p, data, 40, batch)
		train(t, p, data, 3, batch)
		source := augmented(data, p.Plan().Network.Input)
		for s := range 5 {
			b := source.Batch(s, []int32{1, int32(data.Len() - 1 - s), 7, 7, 200, 6})
			if err := errors.Join(p.Gradients(b.Part(0, 4), net.Share{Total: 6}), p.Gradients(b.Part(4, 6), net.Share{First: 4, Total: 6}), p.Update()); err != nil {
				t.Fatal(err)
			}
		}
		b := source.Batch(9, []int32{5, 3, 1, 900, 4, 3, 2, 1, 0, 17, 33}) // in two pieces
		score, err := p.Evaluate(b)
		if err != nil {
			t.Fatal(err)
		}
		answers, err := p.Infer(b)
		if err != nil {
			t.Fatal(err)
		}
		trainViewed(t, p, data, 2, 5)
		m, err := p.TakeMetrics()
		if err != nil {
			t.Fatal(err)
		}
		trace, err := p.(net.Tracer).Trace(source.Batch(3, []int32{0, 5}), net.Training)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Appendf(weights(t, p), "%v %v %v %v", score, m, answers.Data(), trace.Layers[0].Output.Data())
	}
	for _, data := range []*net.Dataset{pixels, asFloats(pixels), scattered} {
		kind := fmt.Sprintf("%T rows=%v", data.Values, data.Rows != nil)
		if data.Pixels != nil {
			kind = fmt.Sprintf("%T rows=%v", data.Pixels, data.Rows != nil)
		}
		var want []byte
		same := func(t *testing.T, got []byte) {
			t.Helper()
			if want == nil {
				want = got
			}
			if !bytes.Equal(got, want) {
				t.Error("other weights, sums, answers or input than the first run's")
			}
		}
		for _, noGraph := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s NoGraph=%v", kind, noGraph), func(t *testing.T) {
				sim.Start(t)
				o := strict
				o.NoGraph = noGraph
				d, err := cuda.Open(o)
				if err != nil {
					t.Fatal(err)
				}
				defer closeDevice(t, d)
				p, err := d.Compile(perceptronNetwork(), perceptronOptions(batch))
				if err != nil {
					t.Fatal(err)
				}
				same(t, run(t, p, data))
			})
		}
		for _, room := range []int64{64 << 10, 400 << 10} {
			t.Run(fmt.Sprintf("%s in %d bytes", kind, room), func(t *testing.T) {
				sim.Seeds(t, some(3, 2), func(t *testing.T, m *sim.Machine) {
					// The room for views is among what is needed.
					d, p := perceptron(t, 0, batch)
					trainViewed(t, p, images(1), 1, batch)
					base := d.Memory().Peak
					if err := d.Close(); err != nil {
						t.Fatal(err)
					}
					d, p = perceptron(t, base+room, batch)
					same(t, run(t, p, data))
					if used := d.Memory().Peak; used > base+room {
						t.Errorf("%d bytes in use, of %d", used, base+room)
					}
					if streams := m.Counters()["call.cuStreamCreate"]; streams < 3 {
						t.Errorf("%d streams: the data set is not streamed", streams)
					}
				})
			})
		}
	}
}

// upTo returns the numbers 0, by, 2*by ... below n, the last first.
func upTo(n, by int) (numbers []int32) {
	for i := 0; i < n; i += by {
		numbers = append(numbers, int32(i))
	}
	slices.Reverse(numbers)
	return numbers
}

// TestViewsAreBounded compiles for mini-batches of which 32 would need far more memory for their views than is worth it.
func TestViewsAreBounded(t *testing.T) {
	const batch = 4000
	sim.Start(t)
	d, p := perceptron(t, 0, batch)
	data := images(64)
	before := d.Memory().InUse
	trainViewed(t, p, data, 1, 8)
	if used := d.Memory().InUse - before; used < 4<<20 || used > 12<<20 {
		t.Errorf("views take %d bytes, want about 8 MB", used)
	}
	// Every tenth of them goes up by itself, and the last before the sums are read.
	trainViewed(t, p, data, 20, 8)
	if m, err := p.TakeMetrics(); err != nil || m.Samples != 21*8 {
		t.Errorf("%+v, %v: want %d samples", m, err, 21*8)
	}
}

// TestViewsWithLittleRoom fills the memory with a data set before the first views: for a few mini-batches ahead there is room
// left, or the data set makes room.
func TestViewsWithLittleRoom(t *testing.T) {
	const batch, view = 256, 240
	var limit, used int64 // used besides data sets
	t.Run("room needed", func(t *testing.T) {
		sim.Start(t)
		d, p := perceptron(t, 0, batch)
		train(t, p, images(1), 1, batch)
		limit, used = d.Memory().Peak, d.Memory().InUse-2*256
	})
	for _, c := range []struct {
		name   string
		left   int64 // beside the data set
		copies int64 // at most, of 20 steps: three of a data set that is streamed
	}{{"for some", 3 * batch * view, 10}, {"for none", 9 << 10, 60}} {
		t.Run(c.name, func(t *testing.T) {
			m := sim.Start(t)
			d, p := perceptron(t, limit, batch)
			data := images(int((limit - used - c.left) / (144 + 4)))
			train(t, p, data, 3, batch)
			if left := limit - d.Memory().InUse; left > c.left || left < c.left-4096 {
				t.Fatalf("%d bytes left beside the data set, want about %d", left, c.left)
			}
			if _, err := p.TakeMetrics(); err != nil {
				t.Fatal(err)
			}
			before := m.Counters()
			trainViewed(t, p, data, 20, 16)
			if m, err := p.TakeMetrics(); err != nil || m.Samples != 20*16 {
				t.Errorf("%+v, %v", m, err)
			}
			const copies = "call.cuMemcpyHtoDAsync_v2"
			if n := m.Counters()[copies] - before[copies]; n > c.copies {
				t.Errorf("%d copies for 20 steps, want at most %d", n, c.copies)
			}
		})
	}
}

// TestSharedRows trains and evaluates on data sets that share their pixels: these go up once, or, of large ones of which few
// samples are used, these samples alone. The answers are those of data sets of their own.
func TestSharedRows(t *testing.T) {
	const batch, count = 8, 4000
	all := images(count)
	of := func(first, by int) *net.Dataset {
		var indices []int32
		for i := first; i < count; i += by {
			indices = append(indices, int32(i))
		}
		slices.Reverse(indices)
		return all.Select(indices)
	}
	own := func(d *net.Dataset) *net.Dataset {
		out := *d
		out.Rows, out.Pixels = nil, nil
		n := d.Shape.Size()
		for i := range d.Labels {
			out.Pixels = append(out.Pixels, d.Pixels[d.Row(int32(i))*n:(d.Row(int32(i))+1)*n]...)
		}
		return &out
	}
	for _, c := range []struct {
		name    string
		data    []*net.Dataset
		samples int64 // rows that go up
	}{
		{"once", []*net.Dataset{of(0, 1), of(1, 10), of(2, 10)}, count},
		{"few alone", []*net.Dataset{of(0, 10), of(1, 10)}, 2 * count / 10},
		{"few before all", []*net.Dataset{of(0, 10), of(0, 1), of(1, 10)}, count + count/10},
	} {
		t.Run(c.name, func(t *testing.T) {
			run := func(t *testing.T, change func(*net.Dataset) *net.Dataset) (all []byte, used int64) {
				sim.Start(t)
				d, p := perceptron(t, 0, batch)
				trainViewed(t, p, images(1), 1, batch) // takes what views need
				before := d.Memory().InUse
				for _, data := range c.data {
					data = change(data)
					train(t, p, data, 2, batch)
					trainViewed(t, p, data, 2, batch)
					score, err := p.Evaluate(net.Batch{Data: data, Indices: []int32{0, 1, int32(data.Len() - 1)}})
					if err != nil {
						t.Fatal(err)
					}
					all = fmt.Appendf(all, "%v ", score)
				}
				return append(all, weights(t, p)...), d.Memory().InUse - before
			}
			var want, got []byte
			var used int64
			t.Run("of their own", func(t *testing.T) { want, _ = run(t, own) })
			t.Run("shared", func(t *testing.T) { got, used = run(t, func(d *net.Dataset) *net.Dataset { return d }) })
			if !bytes.Equal(got, want) {
				t.Error("other weights or scores than of data sets of their own")
			}
			var labels int64
			for _, d := range c.data {
				labels += 8 * int64(d.Len()) // and rows
			}
			if least := c.samples * int64(all.Shape.Size()); used < least || used > least+labels+4096 {
				t.Errorf("%d bytes in use, want %d and up to %d for labels and rows", used, least, labels)
			}
		})
	}
}

// TestForgottenRows lets data sets that share pixels make room for others: the pixels stay while one of them does.
func TestForgottenRows(t *testing.T) {
	sim.Start(t)
	all := images(400)
	d, p := perceptron(t, 0, 8)
	infer := func(data *net.Dataset) []float32 {
		t.Helper()
		out, err := p.Infer(net.Batch{Data: data, Indices: []int32{3, 1}})
		if err != nil {
			t.Fatal(err)
		}
		return out.Float32s()
	}
	first, second := all.Select(upTo(400, 1)), all.Select(append(upTo(400, 1), 0))
	want := infer(first)
	infer(second)
	used := d.Memory().InUse
	for range 3 { // others than are kept push out first, and not second, which is asked about again
		for range 4 {
			infer(images(9)) // more than a mini-batch, so they are uploaded
			if got := infer(second); !slices.Equal(got, want) {
				t.Fatalf("%v, want %v", got, want)
			}
		}
	}
	for range 9 {
		infer(images(9)) // more than a mini-batch, so they are uploaded
	}
	if now := d.Memory().InUse; now > used-int64(len(all.Pixels)/2) {
		t.Errorf("%d bytes in use, of %d with the pixels that they should be without", now, used)
	}
	if got := infer(first); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestSwapAverage compares the answers of averages in the place of weights with those of a program whose weights they are, in
// each precision, and changes back.
func TestSwapAverage(t *testing.T) {
	for _, precision := range []cuda.Precision{cuda.FP32, cuda.BF16} {
		t.Run(string(precision), func(t *testing.T) {
			m := sim.Start(t)
			o := strict
			o.Precision = precision
			d, err := cuda.Open(o)
			if err != nil {
				t.Fatal(err)
			}
			defer closeDevice(t, d)
			data := images(24)
			options := net.Options{Batch: 8, Optimizer: net.SGDDefault(0.05), Average: 0.9, Seed: 3}
			p, err := d.Compile(branches(), options)
			if err != nil {
				t.Fatal(err)
			}
			b := net.Batch{Data: data, Indices: []int32{3, 1, 4, 1, 5, 9, 2, 6}}
			infer := func(p net.Program) []float32 {
				t.Helper()
				out, err := p.Infer(b)
				if err != nil {
					t.Fatal(err)
				}
				return out.Float32s()
			}
			train(t, p, data, 6, 8)
			before := m.Counters()
			train(t, p, data, 4, 8)
			weights := infer(p)
			if after := m.Counters(); after["graph launches"]-before["graph launches"] < 4 {
				t.Error("steps with averages are not captured")
			}
			s, err := p.State()
			if err != nil {
				t.Fatal(err)
			}
			if err := p.SwapAverage(); err != nil {
				t.Fatal(err)
			}
			averages := infer(p)
			if slices.Equal(averages, weights) {
				t.Fatal("weights and averages give the same answers: the test shows nothing")
			}
			if err := p.Step(b); !errors.Is(err, net.ErrUnfinished) {
				t.Errorf("a step on averages: %v", err)
			}
			if err := p.SwapAverage(); err != nil {
				t.Fatal(err)
			}
			if got := infer(p); !slices.Equal(got, weights) {
				t.Errorf("%v after changing back, want %v", got, weights)
			}
			other, err := d.Compile(branches(), net.Options{Batch: 8, Optimizer: options.Optimizer})
			if err != nil {
				t.Fatal(err)
			}
			if err := other.SetState(net.State{Step: s.Step, Params: s.Average}); err != nil {
				t.Fatal(err)
			}
			approx.Check(t, "answers of the averages", averages, infer(other), approx.Tolerance{})
		})
	}
}

// TestVerifyPictures compares a network whose pictures have another size and three channels with the reference.
func TestVerifyPictures(t *testing.T) {
	sim.Start(t)
	n := &net.Network{Name: "pictures", Input: net.Shape{C: 3, H: 6, W: 9}, Layers: []net.Layer{
		&net.Conv{Filters: 4, Kernel: net.Square(3), Padding: net.PadSame}, &net.Activation{Func: net.Tanh}, &net.Flatten{}, &net.Dense{Units: 4},
	}}
	verifyGraph(t, strict, n, 1./(1<<24))
	// And without a judge, of pictures of another size.
	d, err := cuda.Open(strict)
	if err != nil {
		t.Fatal(err)
	}
	defer closeDevice(t, d)
	p, err := d.Compile(n, net.Options{Batch: 8, Optimizer: net.AdamDefault(1e-3)})
	if err != nil {
		t.Fatal(err)
	}
	data := devicetest.RandomData(1, net.Shape{C: 3, H: 11, W: 7}, 4, 24)
	source := &net.Source{Data: data, Input: n.Input}
	for s := range 3 {
		if err := p.Step(source.Batch(s, upTo(24, 3))); err != nil {
			t.Fatal(err)
		}
	}
	if m, err := p.TakeMetrics(); err != nil || m.Samples != 24 {
		t.Errorf("%+v, %v", m, err)
	}
}
