package cuda

import (
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/lower"
)

// Fuser says which layers a GPU computes as one, in every build. It is what the
// device itself asks.
type Fuser struct{}

// Fuses reports whether the device computes nodes, which follow the pattern, as one:
// the ReLU, and the max pooling of 2x2 blocks, take part in the kernel that adds the
// biases, so there must be some.
func (Fuser) Fuses(p lower.Pattern, nodes []net.Node) bool {
	biased := false
	for _, q := range nodes[0].Params {
		biased = biased || q.Role == net.Bias
	}
	switch p {
	case lower.ConvReLU, lower.DenseReLU:
		return biased
	case lower.ConvReLUPool:
		w := nodes[len(nodes)-1].Window
		return biased && w.KernelH == 2 && w.KernelW == 2 && w.StrideH == 2 && w.StrideW == 2 && w.Top == 0 && w.Left == 0
	}
	return false
}
