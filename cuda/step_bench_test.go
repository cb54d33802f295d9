//go:build cuda

package cuda_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/cuda/driver"
	"github.com/gputrain/gputrain/mnist"
	"github.com/gputrain/gputrain/net"
)

// BenchmarkStep times training steps on this machine's GPU, with our kernels for convolutions and with cuDNN's alone.
func BenchmarkStep(b *testing.B) {
	split, err := mnist.Tutorial()
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range digitModels() {
		for _, precision := range []cuda.Precision{cuda.FP32, cuda.TF32, cuda.BF16} {
			for _, batch := range []int{50, 128, 1024} {
				for _, alone := range []bool{false, true} {
					kind := map[bool]string{false: "fused", true: "cudnn"}[alone]
					b.Run(fmt.Sprintf("%s/%s/%d/%s", n.Name, precision, batch, kind), func(b *testing.B) {
						benchmarkStep(b, n, cuda.Options{Precision: precision, NoFusion: alone}, batch, split.Train)
					})
				}
			}
		}
	}
}

func benchmarkStep(b *testing.B, n *net.Network, o cuda.Options, batch int, data *net.Dataset) {
	d, err := cuda.Open(o)
	if errors.Is(err, driver.ErrNoLibrary) || errors.Is(err, driver.ErrNoDevice) || errors.Is(err, cuda.ErrPrecision) {
		b.Skip(err)
	}
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	p, err := d.Compile(n, net.Options{Batch: batch, Optimizer: net.AdamDefault(1e-4), Seed: 1})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	indices := make([]int32, data.Len()/batch*batch)
	for i := range indices {
		indices[i] = int32(i)
	}
	step := 0
	run := func(steps int) {
		for range steps {
			at := step * batch % len(indices)
			if err := p.Step(net.Batch{Data: data, Indices: indices[at : at+batch]}); err != nil {
				b.Fatal(err)
			}
			step++
		}
		if _, err := p.TakeMetrics(); err != nil {
			b.Fatal(err)
		}
	}
	run(3) // chooses algorithms and captures the graph
	b.ResetTimer()
	run(b.N)
	b.ReportMetric(float64(batch)*float64(b.N)/b.Elapsed().Seconds(), "images/s")
}
