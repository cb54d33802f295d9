package cuda_test

import (
	"errors"
	"fmt"
	"log"

	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/cuda/driver"
	"github.com/gputrain/gputrain/net"
)

// On the first GPU, in float32, with at most 1 GiB of its memory.
func Example() {
	device, err := cuda.Open(cuda.Options{Precision: cuda.FP32, MemoryLimit: 1 << 30})
	if errors.Is(err, driver.ErrNotBuilt) {
		fmt.Println("go build -tags cuda, for a program with CUDA")
		return
	}
	if err != nil {
		log.Fatal(err) // says which library or GPU is missing
	}
	defer device.Close()

	program, err := device.Compile(net.BuiltIn("tutorial"), net.Options{Batch: 50, Optimizer: net.AdamDefault(1e-4), Seed: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer program.Close()
	// From here on as on the CPU: net.Train, or program.Step by step.
}
