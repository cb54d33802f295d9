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
	"github.com/gputrain/gputrain/net/devicetest"
)

// BenchmarkStep times training steps on this machine's GPU: as they are, and with one thing changed.
func BenchmarkStep(b *testing.B) {
	split, err := mnist.Tutorial()
	if err != nil {
		b.Fatal(err)
	}
	pictures := devicetest.RandomData(1, net.Shape{C: 3, H: 32, W: 32}, 10, 4096)
	for _, n := range digitModels() {
		benchmarkSteps(b, n, split.Train, []int{50, 128, 1024}, cuda.FP32, cuda.TF32, cuda.BF16)
	}
	for _, name := range []string{"resnet20", "resnet18", "vgg11", "mobilenetv2"} {
		m, ok := net.ModelNamed(name)
		if !ok {
			b.Fatalf("no model %s", name)
		}
		n, err := m.Build(pictures.Shape, pictures.Classes)
		if err != nil {
			b.Fatal(err)
		}
		benchmarkSteps(b, n, pictures, []int{128}, cuda.TF32, cuda.BF16)
	}
}

func benchmarkSteps(b *testing.B, n *net.Network, data *net.Dataset, batches []int, precisions ...cuda.Precision) {
	for _, precision := range precisions {
		for _, batch := range batches {
			for _, c := range []struct {
				way string
				o   cuda.Options
			}{{"fused", cuda.Options{}}, {"cudnn", cuda.Options{NoFusion: true}}, {"one_stream", cuda.Options{OneStream: true}},
				{"nhwc", cuda.Options{ChannelsLast: true}}} {
				if c.way == "nhwc" && precision == cuda.BF16 {
					continue // as it is
				}
				o := c.o
				o.Precision = precision
				b.Run(fmt.Sprintf("%s/%s/%d/%s", n.Name, precision, batch, c.way), func(b *testing.B) { benchmarkStep(b, n, o, batch, data) })
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
