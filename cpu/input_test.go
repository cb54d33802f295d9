package cpu

import (
	"fmt"
	"testing"
	"time"

	"github.com/gputrain/gputrain/net"
)

// BenchmarkAugment times training steps with augmented samples. Its percentage is what
// drawing the views and gathering the samples take of a step, measured by doing them
// once more, on as many threads, in the same run.
func BenchmarkAugment(b *testing.B) {
	for _, model := range []string{"resnet20", "tutorial"} {
		n := net.BuiltIn(model)
		data := randomImages(n.Input, 10, 5000)
		for _, name := range []string{"none", "light", "standard", "strong"} {
			augment, _ := net.AugmentationNamed(name)
			if n.Input.C != 3 {
				augment.Saturation = 0
			}
			b.Run(fmt.Sprintf("%s/batch=128/%s", model, name), func(b *testing.B) {
				d, err := New(Options{Threads: 2})
				if err != nil {
					b.Fatal(err)
				}
				defer d.Close()
				p := compile(b, d, n, 128)
				defer p.Close()
				source := net.Source{Data: data, Augment: augment, Seed: 1, Input: n.Input}
				order := make([]int32, data.Len())
				net.Shuffle(1, 0, order)
				gather := p.all.operations[0].sample.forward
				var gathering, whole time.Duration
				for step := 0; b.Loop(); step++ {
					began := time.Now()
					batch := source.Batch(step, order[128*(step%39):][:128])
					p.pass = pass{Batch: batch}
					p.device.workers.do(batch.Len(), gather)
					gathered := time.Now()
					if err := p.Step(batch); err != nil {
						b.Fatal(err)
					}
					gathering += gathered.Sub(began)
					whole += time.Since(gathered)
				}
				b.ReportMetric(100*gathering.Seconds()/whole.Seconds(), "%gathering")
				b.ReportMetric(1e3*gathering.Seconds()/float64(b.N), "ms/gathering")
			})
		}
	}
}
