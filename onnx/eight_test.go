package onnx_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/cpu"
	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/devicetest"
	"github.com/gputrain/gputrain/net/quantize"
	"github.com/gputrain/gputrain/onnx"
)

// inEight makes a network of eight bits, with weights that are drawn, and writes it.
func inEight(t *testing.T, n *net.Network, symmetric bool) (*quantize.Network, []byte) {
	t.Helper()
	plan, err := n.Plan()
	if err != nil {
		t.Fatal(err)
	}
	device, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	q, err := quantize.New(t.Context(), device, n, weightsOf(plan), quantize.Options{Images: noise(n.Input, 16), Symmetric: symmetric})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := onnx.Write(&b, q.Plan, q.Weights, onnx.Options{Eight: q}); err != nil {
		t.Fatal(err)
	}
	return q, b.Bytes()
}

// TestEight writes networks of eight bits and reads them: they have the same layers with the same weights.
func TestEight(t *testing.T) {
	list := slices.Concat([]*net.Network{kinds()}, ranks(), examples())
	count, seed := devicetest.Graphs(t, 10)
	for i := range uint64(count) {
		list = append(list, devicetest.RandomNetwork(seed+i))
	}
	for i, n := range list {
		t.Run(n.Name, func(t *testing.T) {
			q, b := inEight(t, n, i%2 == 1)
			m, err := onnx.Read(b, onnx.ReadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if rounds := slices.ContainsFunc(m.Notes, func(note string) bool { return strings.Contains(note, "rounds values") }); rounds != (len(q.Values) > 0) {
				t.Errorf("%d values are rounded, and the notes are %q", len(q.Values), m.Notes)
			}
			plan, err := m.Network.Plan()
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range plan.Params { // a bias of 32 bits isn't quite what float32 makes of it
				if got, want := m.Weights[p.Name], q.Weights[p.Name]; p.Role == net.Bias && want != nil {
					approx.Check(t, p.Name, got.Float32s(), want.Float32s(), approx.Tolerance{Rel: 1e-6, Abs: 1e-30})
					m.Weights[p.Name] = want
				}
			}
			// Where the images happened to give no value below 0, no number stands for one. That is a ReLU.
			var more []string
			for _, l := range plan.Nodes {
				a, ok := l.Layer.(*net.Activation)
				if ok && a.Func == net.ReLU && l.Inputs[0] >= 0 && !slices.ContainsFunc(q.Plan.Nodes, func(own net.Node) bool { return own.Name == l.Name }) && q.Values[plan.Nodes[l.Inputs[0]].Name].Zero == quantize.Least {
					more = append(more, l.Name)
				}
			}
			same(t, plan, q.Plan, m.Weights, q.Weights, more...)
		})
	}
}

// TestRuntimeOfEight runs networks of eight bits in ONNX Runtime, which computes with whole numbers. The probabilities are near
// those of the CPU, which rounds values of float32: a value in the middle between two whole numbers may become the other one.
func TestRuntimeOfEight(t *testing.T) {
	list := networks()
	count, seed := devicetest.Graphs(t, 20)
	for i := range uint64(count) {
		list = append(list, devicetest.RandomNetwork(seed+i))
	}
	var tasks []task
	var eights []*quantize.Network
	for i, n := range list {
		q, b := inEight(t, n, i%2 == 1)
		tasks = append(tasks, task{fmt.Sprint(i), q.Plan, b, noise(n.Input, 8)})
		eights = append(eights, q)
	}
	outputs := runtime(t, tasks)
	for i, k := range tasks {
		device, err := cpu.New(cpu.Options{Eight: eights[i].Values})
		if err != nil {
			t.Fatal(err)
		}
		want := infer(t, device, k.plan, eights[i].Weights, k.images)
		approx.Check(t, list[i].Name, outputs[i], want, approx.Tolerance{Abs: 1e-3})
	}
}
