package cpu

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/cpufeat"
	"github.com/gputrain/gputrain/internal/memlimit"
	"github.com/gputrain/gputrain/net"
)

func TestNew(t *testing.T) {
	t.Setenv(cpufeat.Env, "portable")
	for _, c := range []struct {
		opts Options
		name string // or
		err  string
	}{
		{Options{Threads: 1}, "cpu (portable, 1 thread)", ""},
		{Options{Threads: 3}, "cpu (portable, 3 threads)", ""},
		{Options{Threads: 3, Kernels: "portable"}, "cpu (portable, 3 threads)", ""},
		{Options{Threads: -1}, "", "cpu: threads must be from 1 to 4096, or 0 for all, got -1"},
		{Options{Threads: 5000}, "", "got 5000"},
		{Options{Kernels: "sse"}, "", `cpu: kernel tier "sse" is unknown: use one of portable`},
	} {
		d, err := New(c.opts)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("New(%+v): error %v, want %q", c.opts, err, c.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("New(%+v): %v", c.opts, err)
			continue
		}
		if d.Name() != c.name {
			t.Errorf("New(%+v) is called %q, want %q", c.opts, d.Name(), c.name)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Setenv(cpufeat.Env, "sse")
	if _, err := New(Options{}); err == nil || !strings.HasPrefix(err.Error(), "cpu: GPUTRAIN_CPU: ") {
		t.Errorf("%s=sse: error %v", cpufeat.Env, err)
	}
}

func TestClose(t *testing.T) {
	d := open(cpufeat.Portable, 5)(t)
	p, err := d.Compile(net.BuiltIn("mlp"), net.Options{Batch: 1, Optimizer: net.SGDDefault(0.1)})
	if err != nil {
		t.Fatal(err)
	}
	var ran atomic.Int64
	ws := d.(*device).workers
	ws.do(5, func(*worker, int) {
		ran.Add(1)
		for ran.Load() < 5 { // each thread must take one task
			runtime.Gosched()
		}
	})
	for range 2 { // a second Close does nothing
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	ws.alive.Wait() // hangs if a thread lives on
	if _, err := p.State(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("State on a closed device: %v, want ErrClosed", err)
	}
	if _, err := d.Compile(net.BuiltIn("mlp"), net.Options{Batch: 1, Optimizer: net.SGDDefault(0.1)}); err == nil || err.Error() != "cpu: device is closed" {
		t.Errorf("Compile on a closed device: %v", err)
	}
}

// TestWorkerPanic: a failure in a task must reach the caller, neither end the
// process from another goroutine nor wait for ever.
func TestWorkerPanic(t *testing.T) {
	d := open(cpufeat.Portable, 3)(t).(*device)
	defer d.Close()
	for bad := range 20 {
		func() {
			defer func() {
				text, _ := recover().(string)
				if !strings.HasPrefix(text, "BUG: ") || !strings.Contains(text, "task failed") {
					t.Errorf("task %d panics: recovered %q", bad, text)
				}
			}()
			d.workers.do(20, func(_ *worker, task int) {
				if task == bad {
					panic("task failed")
				}
			})
		}()
	}
	done := make([]bool, 100)
	d.workers.do(len(done), func(_ *worker, task int) { done[task] = true })
	for i, ok := range done {
		if !ok {
			t.Fatalf("after a panic task %d was not run", i)
		}
	}
}

func TestCompileTooLarge(t *testing.T) {
	d := open(cpufeat.Portable, 1)(t)
	defer d.Close()
	image := net.Shape{C: 1, H: 40000, W: 40000}
	for _, n := range []*net.Network{
		{Input: image, Layers: []net.Layer{&net.Pool{Kernel: net.Square(40000)}, &net.Flatten{}, &net.Dense{Units: 2}}},
		{Input: net.Shape{C: 1, H: 2, W: 2}, Layers: []net.Layer{
			&net.Conv{Filters: 2, Kernel: net.Square(2), Dilation: net.Square(60000), Padding: net.PadSame}, &net.Flatten{},
		}},
	} {
		p, err := d.Compile(n, net.Options{Batch: 2, Optimizer: net.SGDDefault(0.1)})
		if p != nil || err == nil || !strings.Contains(err.Error(), "smaller batch") {
			t.Errorf("Compile: program %v, error %v, want no program and an error that asks for a smaller batch", p, err)
		}
	}
	if total, _ := memlimit.Total(); total > 0 { // 2,000 layers of 1.6 GB each, in values and gradients
		deep := &net.Network{Input: net.Shape{C: 1, H: 20000, W: 20000}, Layers: []net.Layer{&net.Conv{Filters: 1, Kernel: net.Square(1)}}} // learns, so values are kept
		for range 2000 {
			deep.Layers = append(deep.Layers, &net.Activation{Func: net.Tanh})
		}
		deep.Layers = append(deep.Layers, &net.Pool{Kernel: net.Square(20000)}, &net.Flatten{}, &net.Dense{Units: 2})
		_, err := d.Compile(deep, net.Options{Batch: 1, Optimizer: net.SGDDefault(0.1)})
		if err == nil || !strings.Contains(err.Error(), "more than the machine's") {
			t.Errorf("Compile: error %v, want one that tells the machine's memory", err)
		}
	}
	mlp := net.BuiltIn("mlp")
	if _, err := d.Compile(mlp, net.Options{Batch: math.MaxInt32, Optimizer: net.SGDDefault(0.1)}); err == nil {
		t.Error("Compile with the largest batch: no error")
	}
}

// TestPieces: how a large batch is cut into pieces changes nothing but the order
// of sums in dense layers, which are taken otherwise for few samples: some float32
// roundoffs of 6e-8 of a probability.
func TestPieces(t *testing.T) {
	for _, tier := range tiers() {
		d := open(tier, 2)(t)
		data := randomImages(net.BuiltIn("lenet5").Input, 10, 20)
		indices := []int32{3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 19, 0}
		var first []float32
		var loss float64
		for _, batch := range []int{1, 3, 16, 17, 40} {
			p, err := d.Compile(net.BuiltIn("lenet5"), net.Options{Batch: batch, Optimizer: net.SGDDefault(0.1), Seed: 3})
			if err != nil {
				t.Fatal(err)
			}
			b := net.Batch{Data: data, Indices: indices}
			probabilities, err := p.Infer(b)
			if err != nil {
				t.Fatal(err)
			}
			m, err := p.Evaluate(b)
			if err != nil {
				t.Fatal(err)
			}
			got := probabilities.Data().([]float32)
			if first == nil {
				first, loss = got, m.Loss
			}
			what, tolerance := fmt.Sprintf("%v: pieces of %d", tier, batch), approx.Tolerance{Rel: 1e-6}
			approx.Check(t, what+": probabilities", got, first, tolerance)
			approx.Check(t, what+": loss", []float64{m.Loss}, []float64{loss}, tolerance)
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestStepAllocatesNothing, for built-in models (the compliance suite looks at the
// other layers), nor does a mini-batch in parts, after the first one.
func TestStepAllocatesNothing(t *testing.T) {
	for _, name := range smallModels {
		model := net.BuiltIn(name)
		d := open(cpufeat.Available()[len(cpufeat.Available())-1], 2)(t)
		optimizer := net.AdamDefault(1e-3)
		optimizer.ClipNorm = 1
		p, err := d.Compile(model, net.Options{Batch: 4, Optimizer: optimizer})
		if err != nil {
			t.Fatal(err)
		}
		b := net.Batch{Data: randomImages(model.Input, 10, 4), Indices: []int32{0, 1, 2, 3}}
		if n := testing.AllocsPerRun(5, func() {
			if err := p.Step(b); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: a step makes %v allocations", model.Name, n)
		}
		if n := testing.AllocsPerRun(5, func() {
			for first := range 2 {
				if err := p.Gradients(b, net.Share{First: 4 * first, Total: 8}); err != nil {
					t.Fatal(err)
				}
			}
			if err := p.Update(); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: a step in two parts makes %v allocations", model.Name, n)
		}
		if err := errors.Join(p.Close(), d.Close()); err != nil {
			t.Error(err)
		}
	}
}
