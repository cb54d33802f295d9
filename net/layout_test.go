package net_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/mnist"
	"github.com/gputrain/gputrain/net"
)

// TestImportedProbabilities takes weights that TensorFlow's order has, of a network
// with batch normalisation behind a flattened image, and wants the probabilities
// that the same weights gave there for the first 40 test images of MNIST.
func TestImportedProbabilities(t *testing.T) {
	f, err := os.Open("testdata/flatten-bn.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n, err := net.ParseNetwork(f)
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]float64
	if err := json.Unmarshal(read(t, "testdata/flatten-bn.expected.json"), &rows); err != nil {
		t.Fatal(err)
	}
	p := compileNetwork(t, n, net.Options{Batch: 1, Optimizer: net.SGDDefault(0)})
	weights, err := net.LoadWeights("testdata/flatten-bn.channels-last.safetensors", p.Plan(), net.ChannelsLast, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.SetState(net.State{Params: weights}); err != nil {
		t.Fatal(err)
	}
	split, err := mnist.Tutorial()
	if err != nil {
		t.Fatal(err)
	}
	b := net.Batch{Data: split.Test}
	var want []float64
	for i, row := range rows {
		b.Indices, want = append(b.Indices, int32(i)), append(want, row...)
	}
	if len(want) != 400 {
		t.Fatalf("%d probabilities, want 400", len(want))
	}
	got, err := p.Infer(b)
	if err != nil {
		t.Fatal(err)
	}
	// They were computed in float32, by sums of at most 49 products.
	approx.Check(t, "probabilities", got.Float32s(), want, approx.Tolerance{Abs: 1e-6, Rel: 1e-4})
}
