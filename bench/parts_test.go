package bench

import (
	"fmt"
	"testing"

	"github.com/gputrain/gputrain/bench/peers"
	"github.com/gputrain/gputrain/cpu"
	"github.com/gputrain/gputrain/net"
)

// BenchmarkParts times every part of training steps on the CPU: GFLOPS of what multiplies, GB/s of what moves memory.
// Together the networks have every layer.
func BenchmarkParts(b *testing.B) {
	const batch = 50
	others := &net.Network{Name: "others", Input: net.Shape{C: 3, H: 32, W: 32}, Layers: []net.Layer{
		&net.Conv{Name: "strided", Filters: 32, Kernel: net.Square(3), Stride: net.Square(2), Padding: net.PadSame, NoBias: true},
		&net.BatchNorm{Name: "batchnorm"}, &net.Activation{Name: "leaky", Func: net.LeakyReLU}, &net.Pool{Name: "mean", Mode: net.MeanPool, Kernel: net.Square(2)},
		&net.Conv{Name: "dilated", Filters: 32, Kernel: net.Square(3), Dilation: net.Square(2), Padding: net.PadSame}, &net.Activation{Name: "sigmoid", Func: net.Sigmoid},
		&net.Pool{Name: "l2", Mode: net.L2Pool, Kernel: net.Square(3), Stride: net.Square(2)}, &net.Dropout{Name: "dropout", Rate: 0.5},
		&net.Flatten{Name: "flatten"}, &net.Dense{Name: "dense", Units: 10},
	}}
	for _, n := range append(rooflineModels(), net.BuiltIn("resnet20"), others) {
		b.Run(fmt.Sprintf("%s/batch=%d", n.Name, batch), func(b *testing.B) {
			plan, err := n.Plan()
			if err != nil {
				b.Fatal(err)
			}
			j, err := newJob(Work{Model: n.Name, Mode: peers.Train, Batch: batch}, plan, randomSamples(plan, 1, batch), Config{Optimizer: net.AdamDefault(1e-4)})
			if err != nil {
				b.Fatal(err)
			}
			device, err := cpu.New(cpu.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer device.Close()
			p, err := j.compile(Subject{Device: device})
			if err != nil {
				b.Fatal(err)
			}
			defer p.Close()
			var parts []PartTime
			sums := map[int]float64{}
			for b.Loop() {
				if parts, err = j.profile(p.(net.Profiler), 1); err != nil {
					b.Fatal(err)
				}
				for i, part := range parts {
					sums[i] += part.Seconds
				}
			}
			for i, part := range parts {
				name := string(part.Phase)
				if len(part.Layers) > 0 {
					name = part.Layers[0] + "-" + name
				}
				switch a := sums[i] / float64(b.N); {
				case part.MulAdds > 0:
					b.ReportMetric(2*float64(part.MulAdds)/a/1e9, name+"-GFLOPS")
				case part.Bytes > 0:
					b.ReportMetric(float64(part.Bytes)/a/1e9, name+"-GB/s")
				}
			}
		})
	}
}
