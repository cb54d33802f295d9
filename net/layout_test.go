package net_test

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/mnist"
	"github.com/gputrain/gputrain/net"
)

// TestImportedProbabilities takes weights of other programs, of a network with batch
// normalisation behind a flattened image: in TensorFlow's order, and PyTorch's state
// dict with a counter or another scalar. It wants the probabilities that the same weights
// gave there for the first 40 test images of MNIST. (PyTorch flattens channel by channel,
// so the two programs' networks are not the same one.)
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
	split, err := mnist.Tutorial()
	if err != nil {
		t.Fatal(err)
	}
	b := net.Batch{Data: split.Test}
	for i := range 40 {
		b.Indices = append(b.Indices, int32(i))
	}
	p := compileNetwork(t, n, net.Options{Batch: 1, Optimizer: net.SGDDefault(0)})
	for _, c := range []struct {
		file     string
		layout   net.Layout
		expected string
	}{
		{"flatten-bn.channels-last.safetensors", net.ChannelsLast, "flatten-bn.expected.json"},
		{"flatten-bn.torch.safetensors", net.ChannelsFirst, "flatten-bn.torch.expected.json"},
		{"flatten-bn.scalar.safetensors", net.ChannelsFirst, "flatten-bn.torch.expected.json"},
	} {
		var rows [][]float64
		if err := json.Unmarshal(read(t, "testdata/"+c.expected), &rows); err != nil {
			t.Fatal(err)
		}
		want := slices.Concat(rows...)
		if len(want) != 400 {
			t.Fatalf("%d probabilities, want 400", len(want))
		}
		weights, err := net.LoadWeights("testdata/"+c.file, p.Plan(), c.layout, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.SetState(net.State{Params: weights}); err != nil {
			t.Fatal(err)
		}
		got, err := p.Infer(b)
		if err != nil {
			t.Fatal(err)
		}
		// They were computed in float32, by sums of at most 49 products.
		approx.Check(t, c.file+": probabilities", got.Float32s(), want, approx.Tolerance{Abs: 1e-6, Rel: 1e-4})
	}
}
