package net_test

import (
	"context"
	"fmt"
	"log"
	"strings"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

func ExampleParseNetwork() {
	n, err := net.ParseNetwork(strings.NewReader(`{
		"name": "tiny",
		"input": {"channels": 1, "height": 28, "width": 28},
		"layers": [
			{"type": "conv", "filters": 8, "kernel": 5, "padding": "same"},
			{"type": "activation", "func": "relu"},
			{"type": "pool", "mode": "max", "kernel": 2},
			{"type": "flatten"},
			{"type": "dense", "units": 10}
		]}`))
	if err != nil {
		log.Fatal(err)
	}
	plan, err := n.Plan()
	if err != nil {
		log.Fatal(err)
	}
	for _, l := range plan.Layers {
		fmt.Printf("%-9s %-12v -> %-12v %6d weights\n", l.Name, l.In, l.Out, l.Weights())
	}

	_, err = net.ParseNetwork(strings.NewReader(`{
		"input": {"channels": 1, "height": 28, "width": 28},
		"layers": [{"type": "dense", "units": 10}]}`))
	fmt.Println(err)
	// Output:
	// conv1     1 x 28 x 28  -> 8 x 28 x 28     208 weights
	// relu1     8 x 28 x 28  -> 8 x 28 x 28       0 weights
	// pool1     8 x 28 x 28  -> 8 x 14 x 14       0 weights
	// flatten1  8 x 14 x 14  -> 1568              0 weights
	// dense1    1568         -> 10            15690 weights
	// network: layer 0 (dense1): a dense layer needs a flat input: put a flatten layer before it; input 1 x 28 x 28, no output shape
}

func ExampleTrain() {
	// Points left and right of a line, to be told apart.
	data := &net.Dataset{Name: "points", Shape: net.Shape{C: 2, H: 1, W: 1}, Classes: 2}
	for i := range 100 {
		x, y := float32(i%10)-4.5, float32(i/10)-4.5
		data.Values = append(data.Values, x, y)
		data.Labels = append(data.Labels, int32(i%10/5)) // x < 0, or not
	}
	cfg := net.Config{
		Network: &net.Network{Input: data.Shape, Layers: []net.Layer{&net.Dense{Units: 2}}},
		Recipe:  net.Recipe{Epochs: 5, Batch: 10, Optimizer: net.SGDDefault(0.1), Seed: 1},
		Train:   data,
	}
	prog, err := reference.New().Compile(cfg.Network, cfg.Options())
	if err != nil {
		log.Fatal(err)
	}
	result, err := net.Train(context.Background(), prog, cfg)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("accuracy %.2f\n", result.Epochs[4].Accuracy)
	// Output: accuracy 1.00
}
