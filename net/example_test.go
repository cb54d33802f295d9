package net_test

import (
	"context"
	"errors"
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
	for _, l := range plan.Nodes {
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

// A network with normalisation and dropout, of the data that CIFAR-10 has.
func ExampleNetwork() {
	n := &net.Network{Name: "small", Input: net.Shape{C: 3, H: 32, W: 32}, Layers: []net.Layer{
		&net.Conv{Filters: 16, Kernel: net.Square(3), Padding: net.PadSame, NoBias: true},
		&net.BatchNorm{},
		&net.Activation{Func: net.ReLU},
		&net.Pool{Kernel: net.Square(2)},
		&net.Conv{Filters: 32, Kernel: net.Pair{H: 3, W: 5}, Stride: net.Square(2)},
		&net.Activation{Func: net.Tanh},
		&net.Flatten{},
		&net.Dropout{Rate: 0.5},
		&net.Dense{Units: 10},
	}}
	plan, err := n.Plan()
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range plan.Params {
		fmt.Println(p.Name, p.Dims)
	}
	fmt.Printf("%d weights, %d classes\n", plan.Weights(), plan.Classes)
	// Output:
	// conv1.weight [16 3 3 3]
	// batchnorm1.weight [16]
	// batchnorm1.bias [16]
	// batchnorm1.running_mean [16]
	// batchnorm1.running_var [16]
	// conv2.weight [32 16 3 5]
	// conv2.bias [32]
	// dense1.weight [10 1344]
	// dense1.bias [10]
	// 21626 weights, 10 classes
}

// Samples that a program has in slices, with the names of their classes.
func ExampleNewDataset() {
	rows := [][]float32{{-3, 1}, {2, 2}, {-1, 0}, {4, -1}}
	labels := []string{"left", "right", "left", "right"}
	data, err := net.NewDataset("points", net.Shape{C: 2, H: 1, W: 1}, rows, labels)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(data.Len(), "samples of", data.ClassNames, data.Labels)
	// Output: 4 samples of [left right] [0 1 0 1]
}

// What a network answers, and its weights, as Go slices.
func ExampleProbabilities() {
	n := &net.Network{Input: net.Shape{C: 2, H: 1, W: 1}, Layers: []net.Layer{
		&net.Dense{Units: 2, WeightInit: net.Initializer{Method: net.Identity}},
	}}
	data, err := net.NewDataset("points", n.Input, [][]float32{{0, 0}, {0, 3}}, []string{"left", "right"})
	if err != nil {
		log.Fatal(err)
	}
	program, err := reference.New().Compile(n, net.Options{Batch: 2, Optimizer: net.SGDDefault(0.1)})
	if err != nil {
		log.Fatal(err)
	}
	defer program.Close()
	rows, err := net.Probabilities(program, net.Batch{Data: data, Indices: []int32{0, 1}})
	if err != nil {
		log.Fatal(err)
	}
	for _, row := range rows {
		fmt.Printf("%s %.2f, %s %.2f\n", data.ClassNames[0], row[0], data.ClassNames[1], row[1])
	}
	state, err := program.State()
	if err != nil {
		log.Fatal(err)
	}
	weights, dims := net.Values(state.Params["dense1.weight"])
	fmt.Println(weights, dims)
	// Output:
	// left 0.50, right 0.50
	// left 0.05, right 0.95
	// [1 0 0 1] [2 2]
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
		Recipe: net.Recipe{Epochs: 5, Batch: 10, Optimizer: net.SGDDefault(0.1), Seed: 1},
		Train:  data,
	}
	n := &net.Network{Input: data.Shape, Layers: []net.Layer{&net.Dense{Units: 2}}}
	prog, err := reference.New().Compile(n, cfg.Options())
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

// An observer is told what happens, and may end the run: what its error is, Train
// returns.
func ExampleObserver() {
	enough := errors.New("good enough")
	watch := net.ObserverFunc(func(e net.Event) error {
		switch e := e.(type) {
		case net.Started:
			fmt.Printf("%d samples, %d steps an epoch\n", e.Train, e.StepsPerEpoch)
		case net.EpochDone:
			fmt.Printf("epoch %d: %.2f\n", e.Epoch, e.Accuracy)
			if e.Accuracy > 0.99 {
				return enough
			}
		}
		return nil
	})

	data := &net.Dataset{
		Name: "numbers", Shape: net.Shape{C: 1, H: 1, W: 1}, Classes: 2,
		Values: []float32{-3, -2, -1, 1, 2, 3},
		Labels: []int32{0, 0, 0, 1, 1, 1},
	}
	cfg := net.Config{
		Recipe:    net.Recipe{Epochs: 100, Batch: 2, Optimizer: net.SGDDefault(0.1), Seed: 5},
		Train:     data,
		Observers: []net.Observer{watch},
	}
	n := &net.Network{Input: data.Shape, Layers: []net.Layer{&net.Dense{Units: 2}}}
	prog, err := reference.New().Compile(n, cfg.Options())
	if err != nil {
		log.Fatal(err)
	}
	_, err = net.Train(context.Background(), prog, cfg)
	fmt.Println(err, errors.Is(err, enough))
	// Output:
	// 6 samples, 3 steps an epoch
	// epoch 1: 0.00
	// epoch 2: 0.33
	// epoch 3: 1.00
	// training stopped in epoch 4 after step 0: observer: good enough; there is no checkpoint to go on from true
}
