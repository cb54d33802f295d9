//go:build cuda

package cuda_test

import (
	"testing"

	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/cuda/sim"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/devicetest"
)

// TestLookaheadSetsFactors looks at a program right after lookahead has set its weights, in each form. It must compute what it
// computes when the same weights are set by SetState: the factors of products are these weights, not those before.
func TestLookaheadSetsFactors(t *testing.T) {
	for _, f := range forms {
		t.Run(f.name, func(t *testing.T) {
			sim.Start(t)
			d, err := cuda.Open(f.options)
			if err != nil {
				t.Fatal(err)
			}
			defer closeDevice(t, d)
			n := devicetest.Residuals(net.Shape{C: 3, H: 6, W: 5}, 8)
			p, err := d.Compile(n, net.Options{Batch: 4, Optimizer: net.SGDDefault(0.5), Lookahead: net.Lookahead{Every: 2, Start: 0.25, Final: 0.25}})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			data := devicetest.RandomData(1, n.Input, 4, 20)
			loss := func() float64 {
				t.Helper()
				m, err := p.Evaluate(net.Batch{Data: data, Indices: []int32{5, 7, 11}})
				if err != nil {
					t.Fatal(err)
				}
				return m.MeanLoss()
			}
			before := loss()
			for i := range 6 {
				updateOnce(t, p, data, i)
				after := loss()
				if err := p.SetState(stateOf(t, p)); err != nil {
					t.Fatal(err)
				}
				if again := loss(); again != after {
					t.Errorf("after update %d the loss is %v, and %v when the same weights are set", i+1, after, again)
				}
				if after == before {
					t.Errorf("update %d leaves the loss at %v", i+1, after)
				}
				before = after
			}
		})
	}
}
