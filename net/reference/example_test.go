package reference_test

import (
	"fmt"
	"log"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// Four points of the plane, of which those off the diagonal are class 1, are
// learnt by a network of two dense layers.
func Example() {
	points := &net.Dataset{
		Name: "xor", Shape: net.Shape{C: 2, H: 1, W: 1}, Classes: 2,
		Values: []float32{0, 0, 0, 1, 1, 0, 1, 1},
		Labels: []int32{0, 1, 1, 0},
	}
	network := &net.Network{Input: points.Shape, Layers: []net.Layer{
		&net.Dense{Units: 8}, &net.Activation{Func: net.Tanh}, &net.Dense{Units: 2},
	}}
	program, err := reference.New().Compile(network, net.Options{Batch: 4, Optimizer: net.AdamDefault(0.05), Seed: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer program.Close()

	batch := net.Batch{Data: points, Indices: []int32{0, 1, 2, 3}}
	for range 200 {
		if err := program.Step(batch); err != nil {
			log.Fatal(err)
		}
	}
	metrics, err := program.Evaluate(batch)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("accuracy %.2f, loss below 0.1: %v\n", metrics.Accuracy(), metrics.MeanLoss() < 0.1)
	// Output: accuracy 1.00, loss below 0.1: true
}
