package tensorboard_test

import (
	"testing"
	"time"

	"github.com/gputrain/gputrain/cpu"
	"github.com/gputrain/gputrain/mnist"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/tensorboard"
)

// BenchmarkObserving times what an observer costs an epoch of the tutorial: 100
// intervals and an epoch's end. epoch-% is that as a share of the time of the
// epoch's 1,100 steps, which 20 of them stand for.
func BenchmarkObserving(b *testing.B) {
	data, err := mnist.Tutorial()
	if err != nil {
		b.Fatal(err)
	}
	recipe, _ := net.RecipeNamed("tutorial")
	cfg := net.Config{Recipe: recipe.Recipe, Train: data.Train, Validation: data.Validation, Test: data.Test}
	d, err := cpu.New(cpu.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	p, err := d.Compile(net.BuiltIn("tutorial"), cfg.Options())
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	board := tensorboard.New(p, cfg, tensorboard.Options{Dir: b.TempDir()})
	defer board.Close()
	observe := func(e net.Event) {
		if err := board.Observe(e); err != nil {
			b.Fatal(err)
		}
	}
	steps := recipe.StepsPerEpoch(data.Train.Len())
	observe(net.Started{Train: 1, Validation: 1, Test: 1, StepsPerEpoch: steps})
	var stepping, watching time.Duration
	for b.Loop() {
		start := time.Now()
		for i := range 20 {
			batch := net.Batch{Data: data.Train}
			for k := range recipe.Batch {
				batch.Indices = append(batch.Indices, int32(i*recipe.Batch+k))
			}
			if err := p.Step(batch); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := p.TakeMetrics(); err != nil {
			b.Fatal(err)
		}
		between := time.Now()
		for i := range 100 {
			observe(net.Progress{Epoch: 1, Step: steps * (i + 1) / 100, Loss: 1, Accuracy: 0.5})
		}
		observe(net.EpochDone{EpochResult: net.EpochResult{Epoch: 1, Validation: &net.Score{}, Test: &net.Score{}}})
		stepping += between.Sub(start)
		watching += time.Since(between)
	}
	b.ReportMetric(float64(watching.Milliseconds())/float64(b.N), "observing-ms/epoch")
	b.ReportMetric(100*float64(watching)/(float64(stepping)*float64(steps)/20), "epoch-%")
}
