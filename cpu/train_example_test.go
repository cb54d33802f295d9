package cpu_test

import (
	"context"
	"fmt"
	"log"

	"github.com/gputrain/gputrain/cpu"
	"github.com/gputrain/gputrain/mnist"
	"github.com/gputrain/gputrain/net"
)

// Example_train trains a built-in network on some of the embedded MNIST images.
func Example_train() {
	data, err := mnist.Tutorial()
	if err != nil {
		log.Fatal(err)
	}
	device, err := cpu.New(cpu.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer device.Close()

	cfg := net.Config{
		Recipe: net.Recipe{Epochs: 2, Batch: 50, Optimizer: net.AdamDefault(1e-3), Seed: 1},
		Train:  data.Train.Slice(0, 10000),
		Test:   data.Test,
	}
	program, err := device.Compile(net.BuiltIn("mlp"), cfg.Options())
	if err != nil {
		log.Fatal(err)
	}
	defer program.Close()
	result, err := net.Train(context.Background(), program, cfg)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Epochs[1].Test.Accuracy > 0.9)
	// Output: true
}
