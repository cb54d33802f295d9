package cpu_test

import (
	"fmt"
	"log"

	"github.com/gputrain/gputrain/cpu"
	"github.com/gputrain/gputrain/net"
)

// Train a tiny network to tell a dark image from a bright one.
func Example() {
	device, err := cpu.New(cpu.Options{Threads: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer device.Close()

	network := &net.Network{Input: net.Shape{C: 1, H: 2, W: 2}, Layers: []net.Layer{
		&net.Conv{Filters: 4, Kernel: net.Square(2)},
		&net.Activation{Func: net.ReLU},
		&net.Flatten{},
		&net.Dense{Units: 2},
	}}
	program, err := device.Compile(network, net.Options{Batch: 2, Optimizer: net.AdamDefault(0.05)})
	if err != nil {
		log.Fatal(err)
	}
	defer program.Close()

	data := &net.Dataset{
		Name: "brightness", Shape: network.Input, Classes: 2, Scale: 1. / 255,
		Pixels: []uint8{10, 0, 20, 5, 250, 240, 255, 230},
		Labels: []int32{0, 1},
	}
	batch := net.Batch{Data: data, Indices: []int32{0, 1}}
	for range 100 {
		if err := program.Step(batch); err != nil {
			log.Fatal(err)
		}
	}
	metrics, err := program.Evaluate(batch)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d of %d right\n", metrics.Hits, metrics.Samples)
	// Output: 2 of 2 right
}
