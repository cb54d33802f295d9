package verify_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/devicetest"
	"github.com/gputrain/gputrain/net/reference"
	"github.com/gputrain/gputrain/net/verify"
)

// TestKinds walks the table of kinds, and with it that of functions: the judge knows
// each, lets the reference pass, and sees an output or an input gradient that is off
// by two ten-thousandths.
func TestKinds(t *testing.T) {
	for _, k := range net.Kinds() {
		for i, ex := range k.Examples {
			t.Run(fmt.Sprintf("%s/%d", k.Name, i), func(t *testing.T) { judgeExample(t, ex) })
		}
	}
}

func judgeExample(t *testing.T, ex net.Example) {
	n := devicetest.ExampleNetwork(ex)
	opts := net.Options{Batch: 3, Optimizer: net.SGDDefault(0.1), Seed: 3}
	judge, err := verify.NewJudge(n, opts)
	if err != nil {
		t.Fatal(err)
	}
	program, err := reference.New().Compile(n, opts)
	if err != nil {
		t.Fatal(err)
	}
	st, err := program.State()
	if err != nil {
		t.Fatal(err)
	}
	data := devicetest.RandomData(5, n.Input, 3, 30)
	b, err := judge.Choose(st, net.Batch{Data: data, Indices: []int32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}}, 3)
	if err != nil {
		t.Fatal(err)
	}
	nodes := judge.Plan().Nodes
	at := slices.IndexFunc(nodes, func(n net.Node) bool { return n.Name == devicetest.ExampleName })
	inputs := nodes[at].Inputs
	fails := func(spoil func(*net.Trace), layer int, what string) bool {
		t.Helper()
		tr, err := program.(net.Tracer).Trace(b, net.Training)
		if err != nil {
			t.Fatal(err)
		}
		spoil(tr)
		failed := false
		for _, c := range judge.Trace(st, b, net.Training, tr) {
			switch {
			case c.OK:
			case c.Layer == layer && c.What == what:
				failed = true
			case what == "":
				t.Errorf("layer %d: %s: %s", c.Layer, c.What, c.Detail)
			}
		}
		return failed
	}
	more := func(values []float32) {
		for i := range values {
			values[i] *= 1.0002
		}
	}
	fails(func(*net.Trace) {}, -1, "")
	if !fails(func(tr *net.Trace) { more(tr.Layers[at].Output.Float32s()) }, at, "output") {
		t.Errorf("a wrong output of %s passes", ex.Layer.Kind())
	}
	for _, from := range inputs {
		if !fails(func(tr *net.Trace) { more(tr.Layers[from].OutputGrad.Float32s()) }, from, "output gradient") {
			t.Errorf("a wrong gradient of input %s of %s passes", nodes[from].Name, ex.Layer.Kind())
		}
	}
	for _, q := range nodes[at].Params {
		if q.Trained && !fails(func(tr *net.Trace) { more(tr.Layers[at].ParamGrads[q.Role].Float32s()) }, at, string(q.Role)+" gradient") {
			t.Errorf("a wrong gradient of %s passes", q.Name)
		}
	}
	tr, err := program.(net.Tracer).Trace(b, net.Training)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range judge.EndToEnd(st, b, net.Training, tr) {
		if !c.OK || c.Tolerance > 1e-2 {
			t.Errorf("from the batch: layer %d: %s: tolerance %v, %s", c.Layer, c.What, c.Tolerance, c.Detail)
		}
	}
}
