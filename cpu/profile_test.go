package cpu

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/gputrain/gputrain/net"
)

// TestProfileStep trains two programs alike, one of them profiled: the same
// weights, and parts that are the step's, in order, and take its time.
func TestProfileStep(t *testing.T) {
	d, err := New(Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	network := net.BuiltIn("tutorial")
	const batch = 8
	plain, profiled := compile(t, d, network, batch), compile(t, d, network, batch)
	b := net.Batch{Data: randomImages(network.Input, 10, batch), Indices: []int32{0, 1, 2, 3, 4, 5, 6, 7}}
	var parts []net.Part
	var wall time.Duration
	for range 3 {
		if err := plain.Step(b); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if parts, err = net.Profiler(profiled).ProfileStep(b); err != nil {
			t.Fatal(err)
		}
		wall = time.Since(start)
	}
	var got []string
	var sum time.Duration
	for _, part := range parts {
		got = append(got, fmt.Sprint(part.Phase, part.Layers))
		sum += part.Time
		if part.Time <= 0 {
			t.Errorf("%s of layers %v took %v", part.Phase, part.Layers, part.Time)
		}
	}
	want := []string{"gather[]", "forward[0 1 2]", "forward[3 4 5]", "forward[7 8]", "forward[9]", "loss[]",
		"backward[9]", "backward[7 8]", "backward[3 4 5]", "backward[0 1 2]", "update[]"}
	if !slices.Equal(got, want) {
		t.Errorf("parts are %v, want %v", got, want)
	}
	if sum > wall || sum < wall/2 {
		t.Errorf("the parts took %v, the step %v", sum, wall)
	}
	states := [2]net.State{}
	for i, p := range []*program{plain, profiled} {
		if states[i], err = p.State(); err != nil {
			t.Fatal(err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	for name, w := range states[0].Params {
		if !reflect.DeepEqual(w.Data(), states[1].Params[name].Data()) {
			t.Errorf("%s differs where steps were profiled", name)
		}
	}
}

// TestLimits measures what any processor of this century has; a mistaken unit
// is further off.
func TestLimits(t *testing.T) {
	d, err := New(Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	l, err := d.(net.Limiter).Limits()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%.3g multiply-adds, %.3g bytes a second", l.MulAdds, l.Bandwidth)
	if l.MulAdds < 1e8 || l.MulAdds > 1e13 || l.Bandwidth < 1e8 || l.Bandwidth > 1e13 {
		t.Errorf("limits are %+v", l)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.(net.Limiter).Limits(); err == nil {
		t.Error("a closed device measures")
	}
}

// TestProfileSharesAStage has two operations of which one works on samples alone
// and the other beside them: neither pays for the other.
func TestProfileSharesAStage(t *testing.T) {
	operations := []operation{{layers: []int{0}, learns: true}, {layers: []int{1}, learns: true}}
	all := section{0, 2, 0}
	f := &profile{busy: [][]time.Duration{make([]time.Duration, 2)}, own: make([]time.Duration, 2)}
	f.begin()
	f.timed(&worker{}, 1, func() {})
	f.alone(0, func() {})
	f.began = f.began.Add(-time.Second) // as if it had taken so long
	f.busy[0][1], f.own[0] = time.Millisecond, 600*time.Millisecond
	f.share(net.Backward, operations, all)
	second, first := f.parts[0], f.parts[1]
	if fmt.Sprint(first.Layers, second.Layers) != "[0] [1]" || first.Time != 600*time.Millisecond || second.Time < 400*time.Millisecond {
		t.Errorf("parts are %+v", f.parts)
	}
	f.begin()
	f.busy[0][1] = time.Millisecond
	f.share(net.Backward, operations, all)
	if f.parts[3].Time != 0 {
		t.Errorf("what ran in the section before counts again: %+v", f.parts[3])
	}
	operations[0].learns = false
	f.share(net.Backward, operations, all)
	if len(f.parts) != 5 || f.parts[4].Layers[0] != 1 {
		t.Errorf("what learns nothing has a backward pass: %+v", f.parts[4:])
	}
}
