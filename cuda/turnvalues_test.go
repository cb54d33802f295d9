//go:build cuda

package cuda

import (
	"testing"

	"github.com/gputrain/gputrain/cuda/sim"
	"github.com/gputrain/gputrain/net"
)

// TestTurnValues compares the values of each turn with the piece of the device's buffer that a sum takes.
func TestTurnValues(t *testing.T) {
	sim.Start(t)
	d, err := Open(Options{Precision: FP32})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, name := range []string{"tutorial", "airbench94"} {
		compiled, err := d.Compile(net.BuiltIn(name), net.Options{Batch: 2, Optimizer: net.MuonDefault(1e-2, 1e-3)})
		if err != nil {
			t.Fatal(err)
		}
		p := compiled.(*program)
		want := TurnValues(p.lowered, p.turns)
		if len(p.turns) < 2 && name == "tutorial" {
			t.Errorf("%s has %d turns", name, len(p.turns))
		}
		for turn := range p.turns {
			if _, got := p.turnPart(p.flat.grads, turn); got != want[turn] {
				t.Errorf("%s: turn %d has %d values, want %d", name, turn, got, want[turn])
			}
		}
	}
}
