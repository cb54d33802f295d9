package onnx_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/devicetest"
	"github.com/gputrain/gputrain/onnx"
)

// same fails unless two networks are the same in evaluation: the same layers with the same weights. Dropout may be missing in
// got, because models don't have it, and so may a layer that flattens an image of one pixel, because models flatten such
// images in other places, too. A window's padding may be said otherwise. Got may also have layers of the names in more.
func same(t *testing.T, got, want *net.Plan, weights, wanted map[string]*tensor.Dense, more ...string) {
	t.Helper()
	gone := map[string]string{} // the inputs of layers that are left out
	list := func(p *net.Plan) (kept []net.Node, inputs [][]string) {
		for _, n := range p.Nodes {
			var from []string
			for _, i := range n.Inputs {
				name := p.InputName(i)
				if other, ok := gone[name]; ok {
					name = other
				}
				from = append(from, name)
			}
			if slices.Contains(more, n.Name) || n.Layer.Kind() == "dropout" || n.Layer.Kind() == "flatten" && n.In.H == 1 && n.In.W == 1 {
				gone[n.Name] = from[0]
				continue
			}
			kept, inputs = append(kept, n), append(inputs, from)
		}
		return kept, inputs
	}
	a, from := list(got)
	b, wantFrom := list(want)
	if len(a) != len(b) {
		t.Fatalf("%d layers, want %d", len(a), len(b))
	}
	for i, n := range b {
		g := a[i]
		if g.Name != n.Name || g.Layer.Kind() != n.Layer.Kind() || g.Out != n.Out || g.Window != n.Window || !slices.Equal(from[i], wantFrom[i]) {
			t.Errorf("layer %d: got %s (%s of %v) %v %+v, want %s (%s of %v) %v %+v", i, g.Name, g.Layer.Kind(), from[i], g.Out, g.Window, n.Name, n.Layer.Kind(), wantFrom[i], n.Out, n.Window)
		}
		if settings, wantSettings := settingsOf(t, g.Layer), settingsOf(t, n.Layer); settings != wantSettings {
			t.Errorf("layer %s: got %s, want %s", n.Name, settings, wantSettings)
		}
		for _, p := range n.Params {
			if x, y := weights[p.Name], wanted[p.Name]; x == nil || !slices.Equal(x.Shape(), y.Shape()) || !slices.Equal(x.Float32s(), y.Float32s()) {
				t.Errorf("%s has other values", p.Name)
			}
		}
	}
}

// settingsOf are a layer's settings that a model has, and that a plan doesn't say.
func settingsOf(t *testing.T, l net.Layer) string {
	switch l := l.(type) {
	case *net.Activation:
		b, err := json.Marshal([]any{l.Func, l.Parameter()})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	case *net.BatchNorm:
		momentum, epsilon := l.Settings()
		b, err := json.Marshal([]any{momentum, epsilon})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	case *net.Pool:
		return string(l.PoolMode())
	case *net.Scale:
		b, err := json.Marshal(float32(l.Factor)) // 1/9 has no short form
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	return ""
}

// TestReadBack writes networks, and random ones, and reads them: they are the same, and so is what is written again.
func TestReadBack(t *testing.T) {
	list := networks()
	count, seed := devicetest.Graphs(t, 20)
	for i := range uint64(count) {
		list = append(list, devicetest.RandomNetwork(seed+i))
	}
	for _, n := range list {
		for _, logits := range []bool{false, true} {
			t.Run(n.Name, func(t *testing.T) {
				plan, weights, b := write(t, n, onnx.Options{Logits: logits, Metadata: map[string]string{"classes": "a b"}, Producer: "me", Version: "1.2"})
				m, err := onnx.Read(b, onnx.ReadOptions{})
				if err != nil {
					t.Fatal(err)
				}
				if m.Producer != "me 1.2" || m.Metadata["classes"] != "a b" || m.Opset != onnx.Opset || m.Network.Name != n.Name || m.Network.Input != n.Input || m.Softmax == logits || len(m.Notes) > 0 {
					t.Errorf("got %+v", m)
				}
				again, err := m.Network.Plan()
				if err != nil {
					t.Fatal(err)
				}
				same(t, again, plan, m.Weights, weights)
				var first, second bytes.Buffer
				if err := onnx.Write(&first, again, m.Weights, onnx.Options{Logits: true}); err != nil {
					t.Fatal(err)
				}
				if m, err = onnx.Read(first.Bytes(), onnx.ReadOptions{}); err != nil {
					t.Fatal(err)
				}
				if again, err = m.Network.Plan(); err != nil {
					t.Fatal(err)
				}
				if err := onnx.Write(&second, again, m.Weights, onnx.Options{Logits: true}); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
					t.Errorf("written, read and written again, it is another model (%v)", err)
				}
			})
		}
	}
}
