package cpu

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/gputrain/gputrain/net"
)

// randomImages returns a data set of byte images with random labels.
func randomImages(shape net.Shape, classes, n int) *net.Dataset {
	rng := rand.New(rand.NewPCG(1, 2))
	d := &net.Dataset{Name: "random", Shape: shape, Classes: classes, Scale: 1. / 255, Pixels: make([]uint8, n*shape.Size()), Labels: make([]int32, n)}
	for i := range d.Pixels {
		d.Pixels[i] = uint8(rng.Uint32())
	}
	for i := range d.Labels {
		d.Labels[i] = int32(rng.IntN(classes))
	}
	return d
}

// smallModels are built-in models for small images.
var smallModels = []string{"tutorial", "lenet5", "mlp", "resnet20"}

// compile makes a program that trains with Adam.
func compile(tb testing.TB, d net.Device, n *net.Network, batch int) *program {
	tb.Helper()
	p, err := d.Compile(n, net.Options{Batch: batch, Optimizer: net.AdamDefault(1e-4)})
	if err != nil {
		tb.Fatal(err)
	}
	return p.(*program)
}

// BenchmarkStep times training steps of the built-in models for small images.
func BenchmarkStep(b *testing.B) {
	for _, name := range smallModels {
		model := net.BuiltIn(name)
		for _, batch := range []int{50, 128} {
			for _, threads := range []int{1, 2} {
				b.Run(fmt.Sprintf("%s/batch=%d/threads=%d", model.Name, batch, threads), func(b *testing.B) {
					d, err := New(Options{Threads: threads})
					if err != nil {
						b.Fatal(err)
					}
					defer d.Close()
					p := compile(b, d, model, batch)
					defer p.Close()
					indices := make([]int32, batch)
					for i := range indices {
						indices[i] = int32(i)
					}
					data := net.Batch{Data: randomImages(model.Input, 10, batch), Indices: indices}
					for b.Loop() {
						if err := p.Step(data); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(batch)*float64(b.N)/b.Elapsed().Seconds(), "images/s")
				})
			}
		}
	}
}

// BenchmarkInfer times single images.
func BenchmarkInfer(b *testing.B) {
	for _, name := range smallModels {
		for _, threads := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/threads=%d", name, threads), func(b *testing.B) {
				d, err := New(Options{Threads: threads})
				if err != nil {
					b.Fatal(err)
				}
				defer d.Close()
				model := net.BuiltIn(name)
				p := compile(b, d, model, 1)
				defer p.Close()
				data := net.Batch{Data: randomImages(model.Input, 10, 1), Indices: []int32{0}}
				for b.Loop() {
					if _, err := p.Infer(data); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkFreezing times training steps of a network, of which the first four fifths of the layers are frozen, beside steps in which
// all learns: in turns, so that both have the same conditions. MB are what the programs take.
func BenchmarkFreezing(b *testing.B) {
	for _, name := range []string{"resnet20", "mobilenetv2"} {
		model, ok := net.ModelNamed(name)
		if !ok {
			b.Fatal("no model " + name)
		}
		b.Run(name, func(b *testing.B) {
			const batch = 32
			n, err := model.Build(net.Shape{C: 3, H: 32, W: 32}, 10)
			if err != nil {
				b.Fatal(err)
			}
			plan, err := n.Plan()
			if err != nil {
				b.Fatal(err)
			}
			frozen, err := n.Freeze(".." + plan.Nodes[len(plan.Nodes)*4/5-1].Name)
			if err != nil {
				b.Fatal(err)
			}
			d := open(tiers()[len(tiers())-1], 2)(b)
			defer d.Close()
			var programs [2]*program
			var memory [2]int64
			for i, n := range []*net.Network{n, frozen} {
				before := heap()
				programs[i] = compile(b, d, n, batch)
				memory[i] = heap() - before
			}
			data := net.Batch{Data: randomImages(n.Input, 10, batch)}
			for i := range batch {
				data.Indices = append(data.Indices, int32(i))
			}
			var took [2]time.Duration
			var ratios []float64
			for i := 0; b.Loop(); i++ {
				var now [2]time.Duration
				for k, p := range programs {
					start := time.Now()
					if err := p.Step(data); err != nil {
						b.Fatal(err)
					}
					now[k] = time.Since(start)
					took[k] += now[k]
				}
				ratios = append(ratios, float64(now[1])/float64(now[0]))
			}
			slices.Sort(ratios)
			b.ReportMetric(float64(memory[0])/1e6, "MB")
			b.ReportMetric(float64(memory[1])/1e6, "MB-frozen")
			b.ReportMetric(took[0].Seconds()*1000/float64(b.N), "ms")
			b.ReportMetric(took[1].Seconds()*1000/float64(b.N), "ms-frozen")
			b.ReportMetric(ratios[len(ratios)/2], "ratio")
		})
	}
}

// heap returns how many bytes are in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
