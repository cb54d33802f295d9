package cpu

import (
	"fmt"
	"testing"

	"github.com/gputrain/gputrain/internal/cpufeat"
	"github.com/gputrain/gputrain/net/devicetest"
	"github.com/gputrain/gputrain/net/verify"
)

// TestRandomGraphs holds many random graphs to the reference, on every tier that
// this processor has. The compliance suite takes a few of them.
func TestRandomGraphs(t *testing.T) {
	number, seed := devicetest.Graphs(t, 0)
	if number == 0 {
		t.Skip("takes minutes: make check-graphs")
	}
	for _, tier := range cpufeat.Available() {
		t.Run(tier.String(), func(t *testing.T) {
			d := open(tier, 2)(t)
			defer d.Close()
			whole := 0
			for i := range uint64(number) {
				n := devicetest.RandomNetwork(seed + i)
				plan, err := n.Plan()
				if err != nil {
					t.Fatal(err)
				}
				data := devicetest.RandomData(seed+i, n.Input, plan.Classes, 64)
				r, err := verify.Network(t.Context(), d, n, data, verify.Options{Batch: 3, Steps: 2, Seed: seed + i})
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range r.Failures() {
					t.Errorf("seed %d: layer %s: %s: %s", seed+i, name(r, c.Layer), c.What, c.Detail)
				}
				if r.EndToEndSkipped == "" {
					whole++
				}
			}
			t.Logf("%d graphs by layers, %d of them from end to end too", number, whole)
			if 10*whole < 9*number {
				t.Errorf("only %d of %d graphs were judged from end to end", whole, number)
			}
		})
	}
}

func name(r *verify.Report, layer int) string {
	if layer < 0 {
		return "none"
	}
	return fmt.Sprintf("%d (%s)", layer, r.Layers[layer].Name)
}
