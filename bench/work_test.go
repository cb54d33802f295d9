package bench

import (
	"testing"

	"github.com/gputrain/gputrain/bench/peers"
	"github.com/gputrain/gputrain/net"
)

// TestMulAddsOfAStep counts by hand: conv1 has 28x28 places of which the 5x5 filter meets padding at the border, so that
// rows see 3, 4 or 5 of its rows.
func TestMulAddsOfAStep(t *testing.T) {
	along := func(n int64) int64 { return 5*n - 2*(2+1) } // positions of a 5-wide filter within n values, at stride 1, SAME
	conv1 := along(28) * along(28) * 32
	conv2 := along(14) * along(14) * 32 * 64
	dense := int64(7*7*64*1000 + 1000*10)
	plan, err := net.BuiltIn("tutorial").Plan()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := batchMulAdds(plan, Work{Mode: peers.Infer, Batch: 3}), 3*(conv1+conv2+dense); got != want {
		t.Errorf("inference takes %d, want %d", got, want)
	}
	if got, want := batchMulAdds(plan, Work{Mode: peers.Train, Batch: 3}), 3*(2*conv1+3*conv2+3*dense); got != want {
		t.Errorf("training takes %d, want %d", got, want)
	}
}

// TestPartsMakeTheStep wants the parts' multiply-adds to sum up to the step's, however layers are joined.
func TestPartsMakeTheStep(t *testing.T) {
	for _, n := range net.Models() {
		plan, err := n.Network().Plan()
		if err != nil {
			t.Fatal(err)
		}
		for _, joined := range []int{1, 3} {
			var sum Cost
			for first := 0; first < len(plan.Nodes); first += joined {
				var layers []int
				for i := first; i < min(first+joined, len(plan.Nodes)); i++ {
					layers = append(layers, i)
				}
				for _, phase := range []net.Phase{net.Forward, net.Backward} {
					c := partCost(plan, net.AdamDefault(1e-4), net.Part{Phase: phase, Layers: layers}, 7)
					if c.Bytes <= 0 {
						t.Errorf("%s, %s of %v moves nothing", n.Name, phase, layers)
					}
					sum.MulAdds += c.MulAdds
				}
			}
			if want := batchMulAdds(plan, Work{Mode: peers.Train, Batch: 7}); sum.MulAdds != want {
				t.Errorf("%s: parts take %d, the step %d", n.Name, sum.MulAdds, want)
			}
		}
	}
}

func TestBytesOfAPart(t *testing.T) {
	plan, err := net.BuiltIn("tutorial").Plan()
	if err != nil {
		t.Fatal(err)
	}
	weights := int64(3136*1000 + 1000)
	o := net.AdamDefault(1e-4)
	for name, c := range map[string]struct {
		part net.Part
		want int64
	}{
		"dense1 forward":  {net.Part{Phase: net.Forward, Layers: []int{7, 8}}, 4 * (2*(3136+1000) + weights)},
		"dense1 backward": {net.Part{Phase: net.Backward, Layers: []int{7, 8}}, 4 * (2*(3136+1000+3136) + 2*weights)},
		"conv1 backward":  {net.Part{Phase: net.Backward, Layers: []int{0, 1}}, 4 * (2*(784+784*32) + 32*25 + 32)},
		"gather":          {net.Part{Phase: net.Gather}, 2 * 784 * 5},
		"loss":            {net.Part{Phase: net.Loss}, 2 * 10 * 8},
		"update":          {net.Part{Phase: net.Update}, 4 * 7 * int64(plan.Weights())},
	} {
		if got := partCost(plan, o, c.part, 2).Bytes; got != c.want {
			t.Errorf("%s moves %d bytes, want %d", name, got, c.want)
		}
	}
}

// TestBytesOfBranches has a value with two uses, one that is taken twice, a frozen layer and one that nothing learns
// before.
func TestBytesOfBranches(t *testing.T) {
	n := &net.Network{Input: net.Shape{C: 2, H: 3, W: 3}, Layers: []net.Layer{
		&net.Conv{Filters: 4, Kernel: net.Square(1)},                                // 12 weights
		&net.Conv{Filters: 4, Kernel: net.Square(1), Frozen: net.Frozen{All: true}}, // 20
		&net.Add{From: net.From{"conv1", "conv2", "conv1"}},
		&net.Concat{From: net.From{"input", "add1"}},
		&net.Flatten{}, &net.Dense{Units: 3},
	}}
	plan, err := n.Plan()
	if err != nil {
		t.Fatal(err)
	}
	const in, image, logits, dense = 2 * 9, 4 * 9, 3, 6*9*3 + 3
	for _, c := range []struct {
		phase          net.Phase
		layers         []int
		bytes, mulAdds int64
	}{
		{net.Forward, []int{1}, 4 * (2*2*image + 20), 2 * 16 * 9},
		{net.Backward, []int{0}, 4 * (2*(in+image) + 12), 2 * 8 * 9},
		{net.Backward, []int{1}, 4 * (2*3*image + 20), 2 * 16 * 9},
		{net.Forward, []int{2}, 4 * 2 * 3 * image, 0},
		{net.Backward, []int{2}, 4 * 2 * 5 * image, 0},
		{net.Forward, []int{1, 2}, 4 * (2*2*image + 20), 2 * 16 * 9},
		{net.Backward, []int{3}, 4 * 2 * (in + 2*image + in + image), 0},
		{net.Backward, []int{5}, 4 * (2*(2*(in+image)+logits) + 2*dense), 2 * 2 * 6 * 9 * 3},
	} {
		got := partCost(plan, net.AdamDefault(1e-4), net.Part{Phase: c.phase, Layers: c.layers}, 2)
		if got.Bytes != c.bytes || got.MulAdds != c.mulAdds {
			t.Errorf("%s of %v: %d bytes and %d multiply-adds, want %d and %d", c.phase, c.layers, got.Bytes, got.MulAdds, c.bytes, c.mulAdds)
		}
	}
	if got, want := batchMulAdds(plan, Work{Mode: peers.Train, Batch: 1}), plan.MulAdds()+8*9+16*9+2*6*9*3; got != int64(want) {
		t.Errorf("training takes %d, want %d", got, want)
	}
}
