package bench_test

import (
	"context"
	"fmt"
	"time"

	"github.com/gputrain/gputrain/bench"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

func ExampleRun() {
	network := &net.Network{Name: "small", Input: net.Shape{C: 1, H: 4, W: 4}, Layers: []net.Layer{&net.Flatten{}, &net.Dense{Units: 2}}}
	data := &net.Dataset{Name: "two", Shape: network.Input, Classes: 2, Scale: 1. / 255, Pixels: make([]uint8, 2*16), Labels: []int32{0, 1}}
	report, err := bench.Run(context.Background(), bench.Config{
		Networks: []*net.Network{network}, Train: []int{2}, Optimizer: net.AdamDefault(1e-3), Data: data,
		Subjects: []bench.Subject{{Name: "reference", Device: reference.New()}},
		Repeats:  5, Least: time.Millisecond,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	m := report.Measurements[0]
	fmt.Println(m.Work, "on", m.Who)
	fmt.Println(len(m.Seconds), "repeats, faster than an image a second:", m.Images.Median > 1)
	// Output:
	// small, training, batch 2 on reference
	// 5 repeats, faster than an image a second: true
}
