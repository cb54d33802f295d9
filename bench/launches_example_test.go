package bench_test

import (
	"fmt"
	"log"

	"github.com/gputrain/gputrain/bench"
	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/net"
)

// A step of the smallest network that recognises digits is 6 launches, each of which an H100 cannot do in less than the floor,
// on paper: one image takes as long as fifty.
func ExampleLaunches() {
	linear := &net.Network{Name: "linear", Input: net.Shape{C: 1, H: 28, W: 28}, Layers: []net.Layer{&net.Flatten{}, &net.Dense{Units: 10}}}
	plan, err := linear.Plan()
	if err != nil {
		log.Fatal(err)
	}
	adam, h100 := net.Options{Optimizer: net.AdamDefault(1e-4)}, bench.GPUs[0]
	for _, l := range bench.Launches(plan, adam, cuda.FormOf(cuda.TF32, false), 50) {
		time, bound := h100.Time(l, cuda.TF32, bench.NodeFloor)
		fmt.Printf("%-8s %-22s %v, %s\n", l.Phase, l.Call, time, bound)
	}
	for _, batch := range []int{1, 50, 1024} {
		fmt.Printf("%4d images: %v\n", batch, h100.StepTime(plan, adam, batch, cuda.TF32, bench.NodeFloor))
	}
	// Output:
	// gather   gather_bytes           2µs, launch
	// forward  cublasLtMatmul         2µs, launch
	// loss     softmax_cross_entropy  2µs, launch
	// backward cublasLtMatmul         2µs, launch
	// update   adam                   2µs, launch
	// loss     add_metrics            2µs, launch
	//    1 images: 12µs
	//   50 images: 12µs
	// 1024 images: 12µs
}
