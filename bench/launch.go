package bench

import (
	"fmt"

	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
)

// Launch is one node of the graph that package cuda makes of a training step in float32 or TF32: a kernel of ours, or a
// call of cuDNN or cuBLAS, which may launch more than one kernel.
type Launch struct {
	Layer string // its name; "" for what isn't a layer's
	Phase net.Phase
	Call  string // the kernel's name, or the library's function
	// MulAdds are the multiply-adds that the network asks for. Computed are those that are done where every position of a
	// filter is multiplied, padding too, as implicit matrix products do. Both are 0 where memory is what counts.
	MulAdds, Computed int64
	Float32           bool // they are in float32 in every precision
	// Bytes is what must move at least: each operand once.
	Bytes int64
}

// Launches returns the nodes of a training step of a mini-batch, in order. Samples are bytes.
func Launches(plan *net.Plan, o net.Optimizer, batch int) []Launch {
	s := &step{batch: int64(batch)}
	in := s.values(plan.Network.Input)
	indices, scalars := 4*s.batch, 4*s.batch
	s.add(Launch{Phase: net.Gather, Call: "gather_bytes", Bytes: in + indices + 2*scalars + 4*in})

	chain := chainOf(plan)
	for _, op := range chain {
		s.layer, s.phase = op.name, net.Forward
		op.forward(s)
	}
	s.layer = ""
	logits := 4 * s.batch * int64(plan.Classes)
	s.add(Launch{Phase: net.Loss, Call: "softmax_cross_entropy", Bytes: 2*logits + 3*scalars})
	lowest := len(chain) // below the first operation with weights nobody needs a gradient
	for i := len(chain) - 1; i >= 0; i-- {
		if chain[i].layers[0].Weights() > 0 {
			lowest = i
		}
	}
	for i := len(chain) - 1; i >= lowest; i-- {
		s.layer, s.phase = chain[i].name, net.Backward
		chain[i].backward(s, i > lowest)
	}
	s.layer = ""
	if weights := int64(plan.Weights()); weights > 0 {
		if o.ClipNorm > 0 {
			s.add(Launch{Phase: net.Update, Call: "square_sums", Bytes: 4 * weights})
			s.add(Launch{Phase: net.Update, Call: "clip_factor"})
		}
		call, moments := "adam", int64(len(o.Moments()))
		if o.Method == net.SGD {
			call = "sgd"
		}
		// Reads the weights, their gradients and moments; writes all but the gradients.
		s.add(Launch{Phase: net.Update, Call: call, Bytes: 4 * weights * (3 + 2*moments)})
	}
	s.add(Launch{Phase: net.Loss, Call: "add_metrics", Bytes: 2 * scalars})
	return s.launches
}

// step collects launches.
type step struct {
	batch    int64
	layer    string
	phase    net.Phase
	launches []Launch
}

// values returns how many values a mini-batch has of a shape.
func (s *step) values(of net.Shape) int64 { return s.batch * int64(of.Size()) }

func (s *step) add(l Launch) {
	if l.Phase == "" {
		l.Layer, l.Phase = s.layer, s.phase
	}
	s.launches = append(s.launches, l)
}

// call adds a launch that moves so many float32.
func (s *step) call(call string, values int64) { s.add(Launch{Call: call, Bytes: 4 * values}) }

// operation is a layer, or several that are computed as one: a convolution or dense layer may have the ReLU and the 2x2
// max pooling behind it.
type operation struct {
	name       string // of its first layer
	layers     []net.PlannedLayer
	relu, pool bool
	chunk      uint32 // of channels in kernels of ours that compute the convolution too; 0: cuDNN does
	in, out    net.Shape
}

// chainOf groups the layers as package cuda does. Flatten costs nothing and is left out.
func chainOf(plan *net.Plan) []operation {
	var chain []operation
	layers := plan.Layers
	is := func(i int, kind func(net.PlannedLayer) bool) bool { return i < len(layers) && kind(layers[i]) }
	for i := 0; i < len(layers); i++ {
		l := layers[i]
		if _, ok := l.Layer.(*net.Flatten); ok {
			continue
		}
		op := operation{name: l.Name, layers: layers[i : i+1], in: l.In}
		_, conv := l.Layer.(*net.Conv)
		_, dense := l.Layer.(*net.Dense)
		if (conv || dense) && biased(l) && is(i+1, isReLU) {
			op.relu, op.layers = true, layers[i:i+2]
			if conv && is(i+2, isHalving) {
				op.pool, op.layers = true, layers[i:i+3]
				op.chunk = chunkOf(l, layers[i+2].Out)
			}
		}
		i += len(op.layers) - 1
		op.out = layers[i].Out
		chain = append(chain, op)
	}
	return chain
}

// chunkOf decides as package cuda does whether kernels of ours compute a convolution with the ReLU and pooling behind it.
func chunkOf(l net.PlannedLayer, out net.Shape) uint32 {
	w := l.Window
	if w.StrideH != 1 || w.StrideW != 1 || w.DilationH != 1 || w.DilationW != 1 || !filtering(l).Few() {
		return 0
	}
	return filtering(l).Chunk(uint32(out.H), uint32(out.W))
}

// filtering is a convolution as our kernels take it.
func filtering(l net.PlannedLayer) kernels.Filtering {
	w := l.Window
	return kernels.Filtering{Filters: uint32(l.Out.C), Channels: uint32(l.In.C), H: int32(l.In.H), W: int32(l.In.W),
		KernelH: int32(w.KernelH), KernelW: int32(w.KernelW), Top: int32(w.Top), Left: int32(w.Left)}
}

func isReLU(l net.PlannedLayer) bool {
	a, ok := l.Layer.(*net.Activation)
	return ok && a.Func == net.ReLU
}

// isHalving reports whether a layer takes the maxima of 2x2 blocks, without padding before them.
func isHalving(l net.PlannedLayer) bool {
	p, ok := l.Layer.(*net.Pool)
	w := l.Window
	return ok && p.PoolMode() == net.MaxPool && w.KernelH == 2 && w.KernelW == 2 && w.StrideH == 2 && w.StrideW == 2 && w.Top == 0 && w.Left == 0
}

func biased(l net.PlannedLayer) bool { return len(l.Params) == 2 }

func (op operation) forward(s *step) {
	l := op.layers[0]
	in, made, out := s.values(l.In), s.values(l.Out), s.values(op.out)
	switch layer := l.Layer.(type) {
	case *net.Conv:
		if op.chunk > 0 {
			p := product(l, s.batch, "conv_bias_relu_pool")
			p.Float32, p.Bytes = true, 4*(in+int64(l.Weights())+out)+out // a byte of mask for each value
			s.add(p)
			return
		}
		if padded(l) != l.In {
			s.call("pad", in+s.values(padded(l)))
		}
		s.add(product(l, s.batch, "cudnnConvolutionForward"))
		bias := int64(l.Out.C)
		switch {
		case op.pool: // and a byte of mask for each value
			s.add(Launch{Call: "bias_relu_pool", Bytes: 4*(made+bias+out) + out})
		case op.relu:
			s.call("bias_relu", 2*made+bias)
		case biased(l):
			s.call("bias_add", 2*made+bias)
		}
	case *net.Dense:
		s.add(product(l, s.batch, "cublasSgemm"))
		switch bias := int64(l.Out.C); {
		case op.relu:
			s.call("bias_relu", 2*made+bias)
		case biased(l):
			s.call("bias_add", 2*made+bias)
		}
	case *net.Pool:
		call := "pool_forward"
		if poolsInCuDNN(l, layer.PoolMode()) {
			call = "cudnnPoolingForward"
		}
		s.call(call, in+out)
	case *net.Activation:
		s.call("activation", in+out)
	case *net.Dropout:
		s.call("dropout", in+out)
	case *net.BatchNorm:
		statistics := int64(6 * l.In.C)
		s.call("batchnorm_statistics", in+statistics)
		s.call("batchnorm", in+out+int64(4*l.In.C))
	default:
		panic(fmt.Sprintf("BUG: layer of kind %s", l.Layer.Kind()))
	}
}

// backward adds what computes the gradients, the input's where wanted is set.
func (op operation) backward(s *step, wanted bool) {
	l := op.layers[0]
	in, made, out := s.values(l.In), s.values(l.Out), s.values(op.out)
	if op.chunk > 0 {
		parts := int64(kernels.ConvGradientParts(uint32(s.batch), filtering(l), op.chunk))
		weights, bias := int64(l.Params[0].Size()), int64(l.Out.C)
		taps := weights / bias
		// Of each window one place is multiplied.
		s.add(Launch{Call: "conv_relu_pool_gradients", MulAdds: out * taps, Computed: out * taps, Float32: true,
			Bytes: 4*(in+out+parts*(weights+bias)) + out})
		if parts > 1 {
			s.call("column_sums", (parts+1)*weights)
			s.call("column_sums", (parts+1)*bias)
		}
		if !wanted {
			return
		}
	}
	_, conv := l.Layer.(*net.Conv)
	if _, dense := l.Layer.(*net.Dense); conv || dense {
		switch {
		case op.pool:
			s.add(Launch{Call: "bias_relu_pool_backward", Bytes: 4*(out+made) + out})
		case op.relu:
			s.call("relu_backward", 3*made)
		}
		if biased(l) && op.chunk == 0 {
			channels, sums := int64(l.Out.C), made // that column_sums adds up
			if extent := l.Out.H * l.Out.W; extent > 1 {
				parts := int64(kernels.BiasGradientParts(uint32(s.batch), uint32(l.Out.C), uint32(extent)))
				s.call("bias_gradient", made+parts*channels)
				if sums = parts * channels; parts == 1 {
					sums = 0
				}
			}
			if sums > 0 {
				s.call("column_sums", sums+channels)
			}
		}
	}
	switch layer := l.Layer.(type) {
	case *net.Conv:
		if op.chunk == 0 {
			s.add(product(l, s.batch, "cudnnConvolutionBackwardFilter"))
		}
		if !wanted {
			return
		}
		s.add(product(l, s.batch, "cudnnConvolutionBackwardData"))
		if padded(l) != l.In {
			s.call("crop", in+s.values(padded(l)))
		}
	case *net.Dense:
		s.add(product(l, s.batch, "cublasSgemm"))
		if wanted {
			s.add(product(l, s.batch, "cublasSgemm"))
		}
	case *net.Pool:
		switch mode := layer.PoolMode(); {
		case mode == net.MeanPool && poolsInCuDNN(l, mode):
			s.call("cudnnPoolingBackward", in+out)
		case mode == net.MaxPool:
			s.call("max_pool_backward", 2*in+2*out)
		default:
			s.call("pool_backward", 2*in+2*out)
		}
	case *net.Activation:
		s.call("activation_backward", 3*in)
	case *net.Dropout:
		s.call("dropout", 2*in)
	case *net.BatchNorm:
		s.call("batchnorm_gradients", 2*in+int64(4*l.In.C))
		if wanted {
			s.call("batchnorm_backward", 3*in+int64(5*l.In.C))
		}
	}
}

// product is one of the three products of a convolution or dense layer: of input, weights and output two are read and the
// third is written, whichever it is, with the same multiply-adds.
func product(l net.PlannedLayer, batch int64, call string) Launch {
	in := padded(l)
	computed := l.MulAdds()
	if _, ok := l.Layer.(*net.Conv); ok {
		computed = int64(l.Out.Size()) * int64(l.In.C*l.Window.KernelH*l.Window.KernelW)
	}
	return Launch{
		Call: call, MulAdds: batch * l.MulAdds(), Computed: batch * computed,
		Bytes: 4 * (batch*int64(in.Size()+l.Out.Size()) + int64(l.Params[0].Size())),
	}
}

// padded is a convolution's input as cuDNN sees it: cuDNN pads both ends alike, so a kernel pads where they differ.
func padded(l net.PlannedLayer) net.Shape {
	s, w := l.In, l.Window
	if w.Top != w.Bottom || w.Left != w.Right {
		s.H += w.Top + w.Bottom
		s.W += w.Left + w.Right
	}
	return s
}

// poolsInCuDNN reports whether cuDNN computes a pooling layer.
func poolsInCuDNN(l net.PlannedLayer, mode net.PoolMode) bool {
	w := l.Window
	return mode != net.L2Pool && w.Top == w.Bottom && w.Left == w.Right && w.Top < w.KernelH && w.Left < w.KernelW
}
