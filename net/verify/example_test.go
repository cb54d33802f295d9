package verify_test

import (
	"context"
	"fmt"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
	"github.com/gputrain/gputrain/net/verify"
)

func ExampleNetwork() {
	network := &net.Network{Input: net.Shape{C: 1, H: 2, W: 2}, Layers: []net.Layer{
		&net.Conv{Filters: 2, Kernel: net.Square(2)},
		&net.Activation{Func: net.ReLU},
		&net.Dense{Units: 2},
	}}
	data := &net.Dataset{
		Name: "squares", Shape: network.Input, Classes: 2, Scale: 1.0 / 255,
		Pixels: []uint8{0, 50, 100, 150, 200, 30, 70, 90, 10, 255, 20, 80},
		Labels: []int32{0, 1, 0},
	}
	report, err := verify.Network(context.Background(), reference.New(), network, data, verify.Options{Batch: 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("passes:", report.OK())
	for _, l := range report.Layers {
		for _, c := range l.Training {
			fmt.Println(l.Name, l.Out, c.What, c.OK)
		}
	}
	// Output:
	// passes: true
	// conv1 2 output true
	// conv1 2 output gradient true
	// conv1 2 weight gradient true
	// conv1 2 bias gradient true
	// relu1 2 output true
	// relu1 2 output gradient true
	// dense1 2 output true
	// dense1 2 output gradient true
	// dense1 2 weight gradient true
	// dense1 2 bias gradient true
}
