//go:build cuda

package cuda_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/cuda/sim"
	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/devicetest"
)

// TestRequests infers as a server does: each request has a data set of its own, of ever another size. The probabilities are those of
// the images among others. After a few requests each is one launch of a graph, and no algorithm is chosen any more.
func TestRequests(t *testing.T) {
	m := sim.Start(t)
	const batch, classes = 24, 4
	all := images(batch)
	_, p := compile(t, strict, batch)
	indices := make([]int32, batch)
	for i := range indices {
		indices[i] = int32(i)
	}
	probabilities, err := p.Infer(net.Batch{Data: all, Indices: indices})
	if err != nil {
		t.Fatal(err)
	}
	want := probabilities.Float32s()
	size := all.Shape.Size()
	request := func(first, n int, views ...net.View) {
		t.Helper()
		own := *all
		own.Pixels, own.Labels = slices.Clone(all.Pixels[first*size:(first+n)*size]), slices.Clone(all.Labels[first:first+n])
		got, err := p.Infer(net.Batch{Data: &own, Indices: indices[:n], Views: views})
		if err != nil {
			t.Fatal(err)
		}
		var among []float64
		for _, v := range want[first*classes : (first+n)*classes] {
			among = append(among, float64(v))
		}
		approx.Check(t, "probabilities", got.Float32s(), among, approx.Tolerance{Abs: 1e-6})
	}
	each := func() {
		for n := 1; n <= batch; n++ {
			request(batch-n, n)
		}
	}
	each()
	each()
	before := m.Counters()
	each()
	after := m.Counters()
	for name, want := range map[string]int64{
		"call.cuGraphLaunch": batch, "call.cuLaunchKernel": 0, "allocations": 0, "call.cuGraphInstantiateWithFlags": 0,
		"call.cudnnGetConvolutionForwardAlgorithm_v7": 0,
	} {
		if got := after[name] - before[name]; got != want {
			t.Errorf("%d requests: %s %d times, want %d", batch, name, got, want)
		}
	}
	request(2, 3, slices.Repeat([]net.View{net.PlainView()}, 3)...)
	if n := after["call.cuGraphInstantiateWithFlags"]; n == 0 || n > 6 { // 1, 2, 4, 8, 16 and 24
		t.Errorf("%d graphs, want at most 6", n)
	}
}

// TestInference compares what a program for inference takes and does with what one for training does.
func TestInference(t *testing.T) {
	m := sim.Start(t)
	d, err := cuda.Open(cuda.Options{Precision: cuda.BF16})
	if err != nil {
		t.Fatal(err)
	}
	defer closeDevice(t, d)
	batch := net.Batch{Data: devicetest.RandomData(1, residuals().Input, 4, 64), Indices: upTo(64, 1)}
	during := func(f func()) map[string]int64 {
		before := m.Counters()
		f()
		did := m.Counters()
		for name := range did {
			did[name] -= before[name]
		}
		return did
	}
	compile := func(inference bool) (p net.Program, memory, gradients int64) {
		t.Helper()
		used := d.Memory().InUse
		p, err := d.Compile(residuals(), net.Options{Batch: 64, Optimizer: net.AdamDefault(1e-3), Inference: inference})
		if err != nil {
			t.Fatal(err)
		}
		return p, d.Memory().InUse - used, p.(interface{ GradientBytes() int64 }).GradientBytes()
	}
	answer := func(p net.Program) {
		t.Helper()
		if _, err := p.Infer(batch); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Evaluate(batch); err != nil {
			t.Fatal(err)
		}
	}
	p, training, gradients := compile(false)
	if gradients == 0 {
		t.Error("training takes no memory for gradients")
	}
	answers := during(func() { answer(p) })
	step := during(func() {
		if err := p.Step(batch); err != nil {
			t.Fatal(err)
		}
		if _, err := p.TakeMetrics(); err != nil {
			t.Fatal(err)
		}
	})
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	var trains []string // kernels and products that only a step runs
	for name, n := range step {
		if n > 0 && strings.HasPrefix(name, "ran.") && answers[name] == 0 {
			trains = append(trains, name)
		}
	}
	for _, part := range []string{"adam", "batchnorm_backward", "pool_backward"} {
		if !slices.ContainsFunc(trains, func(name string) bool { return strings.HasPrefix(name, "ran."+part) }) {
			t.Errorf("no %s among what only a step runs: %q", part, trains)
		}
	}
	var inference int64
	compiling := during(func() { p, inference, gradients = compile(true) })
	defer p.Close()
	did := during(func() {
		answer(p)
		if err := p.Step(batch); err == nil {
			t.Error("a program for inference makes a step")
		}
	})
	if gradients != 0 {
		t.Errorf("inference takes %d bytes for gradients and the optimiser", gradients)
	}
	if 2*inference > training {
		t.Errorf("inference takes %d bytes, training %d", inference, training)
	}
	gradient := regexp.MustCompile("(?i)backward|conv_data|conv_filter") // products of cuDNN and of our kernels
	for name, n := range compiling {                                     // which measures algorithms
		if n > 0 && gradient.MatchString(name) {
			t.Errorf("%s, %d times, while a program for inference is compiled", name, n)
		}
	}
	for _, name := range trains {
		if n := did[name]; n > 0 {
			t.Errorf("%s, %d times, for inference", name, n)
		}
	}
	norms := 0
	for _, l := range residuals().Layers {
		if _, is := l.(*net.BatchNorm); is {
			norms++
		}
	}
	if n := compiling["ran.batchnorm_running"] + did["ran.batchnorm_running"]; n != int64(norms) {
		t.Errorf("running statistics are looked at %d times, want once for each of %d layers", n, norms)
	}
}
