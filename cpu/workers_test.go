package cpu

import (
	"testing"

	"github.com/gputrain/gputrain/mnist"
	"github.com/gputrain/gputrain/net"
)

// TestPiecesForManyThreads counts the pieces that the loops of a training step are cut into, because a machine with few
// cores can't time many. Pieces of a loop are about equal: of 64 threads with 98 pieces 30 wait while 34 do a second one, so
// that the loop takes the time of 2 pieces where 98/64 would do, a share of 77 %. The loops that take long must reach 70 %.
func TestPiecesForManyThreads(t *testing.T) {
	data, err := mnist.Tutorial()
	if err != nil {
		t.Fatal(err)
	}
	const batch = 128
	indices := make([]int32, batch)
	for i := range indices {
		indices[i] = int32(i)
	}
	for _, tier := range tiers() {
		t.Run(tier.String(), func(t *testing.T) {
			d := open(tier, 1)(t).(*device)
			p, err := d.Compile(net.BuiltIn("tutorial"), net.Options{Batch: batch, Optimizer: net.AdamDefault(1e-4)})
			if err != nil {
				t.Fatal(err)
			}
			var loops []int
			d.workers.watch = func(tasks int) { loops = append(loops, tasks) }
			if err := p.Step(net.Batch{Data: data.Train, Indices: indices}); err != nil {
				t.Fatal(err)
			}
			d.workers.watch = nil
			// From dense1 forward on, in the order of a step; the others are short.
			names := []string{"", "dense1 forward", "", "", "", "", "", "", "", "", "dense1 by its input", "dense1 by its weights",
				"", "convolutions by their inputs", "conv1 by its weights", "", "conv2 by its weights", "", "update"}
			samples, loops := loops[:len(loops)-len(names)], loops[len(loops)-len(names):]
			check := func(name string, pieces int) {
				for threads := 2; threads <= 64; threads *= 2 {
					rounds := (pieces + threads - 1) / threads
					if share := float64(pieces) / float64(rounds*threads); share < 0.7 {
						t.Errorf("%s: %d pieces are %.0f %% of the work that %d threads could do", name, pieces, 100*share, threads)
					}
				}
			}
			check("convolutions forward", samples[len(samples)-1])
			for i, name := range names {
				if name != "" {
					check(name, loops[i])
				}
			}
		})
	}
}
