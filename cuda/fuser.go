package cuda

import (
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/lower"
)

// Fuser tells which layers a GPU computes as one. It is the same in every build, and the device itself asks it.
type Fuser struct{}

// Fuses reports whether the device computes nodes, which follow the pattern, as one. The kernel that adds the biases
// also computes the ReLU and the max pooling of 2x2 blocks, so the first layer must have biases. Sums must have two
// inputs.
func (Fuser) Fuses(p lower.Pattern, nodes []net.Node) bool {
	biased := false
	for _, q := range nodes[0].Params {
		biased = biased || q.Role == net.Bias
	}
	switch p {
	case lower.ConvReLU, lower.DenseReLU:
		return biased
	case lower.NormReLU:
		return true
	case lower.NormAddReLU, lower.AddReLU:
		sum := nodes[len(nodes)-2]
		return len(sum.Inputs) == 2
	case lower.ConvReLUPool:
		w := nodes[len(nodes)-1].Window
		return biased && w.KernelH == 2 && w.KernelW == 2 && w.StrideH == 2 && w.StrideW == 2 && w.Top == 0 && w.Left == 0
	}
	return false
}
