package lockstep

import (
	"math"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/devicetest"
)

// CheckLocalStatistics tests Options.LocalStatistics of a group of two devices, by one such device alone. It closes both.
func CheckLocalStatistics(t *testing.T, alone, group net.Device) {
	t.Helper()
	n := &net.Network{Name: "normalised", Input: net.Shape{C: 2, H: 4, W: 4}, Layers: []net.Layer{
		&net.Conv{Name: "conv", Filters: 4, Kernel: net.Square(3)}, &net.BatchNorm{Name: "norm"}, &net.Activation{Func: net.ReLU}, &net.Flatten{}, &net.Dense{Units: 3}}}
	data := devicetest.RandomData(5, n.Input, 3, 4)
	const batch = 4
	o := net.Options{Batch: batch, Seed: 1, Optimizer: net.SGDDefault(0.1), Average: 0.9, LocalStatistics: true}
	train := func(d net.Device, o net.Options, batches ...[]int32) net.State {
		t.Helper()
		p, err := d.Compile(n, o)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		for _, indices := range batches {
			if err := p.Step(net.Batch{Data: data, Indices: indices}); err != nil {
				t.Fatal(err)
			}
		}
		st, err := p.State()
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	same := [][]int32{{0, 1, 0, 1}, {2, 3, 2, 3}, {0}} // of the last one, one member has no sample
	want, got := train(alone, o, same...), train(group, o, same...)
	for name, values := range want.Params {
		if strings.HasPrefix(name, "norm.running") {
			continue // the mean over the members: unbiased by other numbers of values, and one had no sample last
		}
		var w []float64
		for _, v := range values.Float32s() {
			w = append(w, float64(v))
		}
		approx.Check(t, name, got.Params[name].Float32s(), w, approx.Tolerance{Abs: 1e-5})
	}
	other := []int32{0, 1, 2, 3}
	local := train(group, o, other).Params["conv.weight"].Float32s()
	o.LocalStatistics = false
	joint := train(group, o, other).Params["conv.weight"].Float32s()
	most := 0.
	for i := range local {
		most = max(most, math.Abs(float64(local[i]-joint[i])))
	}
	if most < 1e-4 {
		t.Errorf("with local statistics the weights are within %v of those without", most)
	}
	for _, d := range []net.Device{alone, group} {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}
