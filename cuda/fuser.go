package cuda

import (
	"github.com/gputrain/gputrain/kernels"
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

// Convolves reports whether kernels of ours compute a convolution together with the ReLU and the pooling after it, whose
// output is (N, out). The chunk is how many channels they take at once. If it is 0, cuDNN computes the convolution.
func (Fuser) Convolves(l net.Node, out net.Shape) (f kernels.Filtering, chunk uint32) {
	w, f := l.Window, filtering(l)
	if l.Params[0].Groups > 1 || w.StrideH != 1 || w.StrideW != 1 || w.DilationH != 1 || w.DilationW != 1 || !f.Few() {
		return f, 0
	}
	return f, f.Chunk(uint32(out.H), uint32(out.W))
}

func filtering(l net.Node) kernels.Filtering {
	w := l.Window
	return kernels.Filtering{Filters: uint32(l.Out.C), Channels: uint32(l.In.C), H: int32(l.In.H), W: int32(l.In.W),
		KernelH: int32(w.KernelH), KernelW: int32(w.KernelW), Top: int32(w.Top), Left: int32(w.Left)}
}
