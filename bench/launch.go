package bench

import (
	"fmt"

	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/lower"
)

// Launch is one node of the graph that package cuda makes of a training step in float32 or TF32. It is a kernel of
// ours, or a call of cuDNN or cuBLAS, which may launch more than one kernel.
type Launch struct {
	Layer string // the layer's name; "" for work that belongs to no layer
	Phase net.Phase
	Call  string // the kernel's name, or the library's function
	// MulAdds counts the multiply-adds that the network asks for. Computed counts those that are done if every place
	// of a filter is multiplied, padding included, as implicit matrix products do. Both are 0 for launches whose time
	// depends only on memory.
	MulAdds, Computed int64
	Float32           bool // it computes in float32 in every precision
	// Bytes is how many bytes must be moved at least: each operand once.
	Bytes int64
}

// Launches returns the nodes of a training step on a mini-batch, in order. It assumes byte samples without views. With
// views, view_bytes takes the place of gather_bytes.
func Launches(plan *net.Plan, options net.Options, batch int) []Launch {
	o := options.Optimizer
	s := &step{batch: int64(batch)}
	in := s.values(plan.Network.Input)
	indices, scalars := 4*s.batch, 4*s.batch
	s.add(Launch{Phase: net.Gather, Call: "gather_bytes", Bytes: in + indices + 2*scalars + 4*in})

	lowered := lower.Lower(plan, cuda.Fuser{})
	var operations []operation
	for _, g := range lowered.Groups {
		op := newOperation(lowered, g)
		operations = append(operations, op)
		s.layer, s.phase = op.head.Name, net.Forward
		op.forward(s)
	}
	s.layer = ""
	logits := 4 * s.batch * int64(plan.Classes)
	s.add(Launch{Phase: net.Loss, Call: "softmax_cross_entropy", Bytes: 2*logits + 3*scalars})
	for i := len(operations) - 1; i >= 0; i-- {
		if op := operations[i]; op.tail.Learns {
			s.layer, s.phase = op.head.Name, net.Backward
			op.backward(s)
		}
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
		// It reads the weights, gradients and moments, and writes the weights and moments.
		for _, weights := range weightsByFactor(plan, o) {
			s.add(Launch{Phase: net.Update, Call: call, Bytes: 4 * weights * (3 + 2*moments)})
		}
	}
	if options.Average > 0 && len(plan.Params) > 0 {
		var all int64
		for _, q := range plan.Params {
			all += int64(q.Size())
		}
		s.add(Launch{Phase: net.Update, Call: "move_average", Bytes: 3 * 4 * all})
	}
	s.add(Launch{Phase: net.Loss, Call: "add_metrics", Bytes: 2 * scalars})
	return s.launches
}

// weightsByFactor returns how many weights belong to each factor of the learning rate.
func weightsByFactor(plan *net.Plan, o net.Optimizer) (weights []int64) {
	at := map[float32]int{}
	for _, q := range plan.Trained() {
		factor := float32(o.Factor(plan, q))
		if _, ok := at[factor]; !ok {
			at[factor] = len(weights)
			weights = append(weights, 0)
		}
		weights[at[factor]] += int64(q.Size())
	}
	return weights
}

// step collects launches.
type step struct {
	batch    int64
	layer    string
	phase    net.Phase
	launches []Launch
}

// values returns how many values a mini-batch of the given shape has.
func (s *step) values(of net.Shape) int64 { return s.batch * int64(of.Size()) }

// parts returns into how many parts reductions by channel are divided, of values of a shape.
func (s *step) parts(of net.Shape) int64 {
	return int64(kernels.ReductionParts(uint32(s.batch), uint32(of.C), uint32(of.H*of.W)))
}

func (s *step) add(l Launch) {
	if l.Phase == "" {
		l.Layer, l.Phase = s.layer, s.phase
	}
	s.launches = append(s.launches, l)
}

// call adds a launch that moves the given number of float32 values.
func (s *step) call(call string, values int64) { s.add(Launch{Call: call, Bytes: 4 * values}) }

// operation is a group of layers as package cuda computes it. The ReLU and the 2x2 max pooling after a convolution, or
// the ReLU after a dense layer, may belong to it.
type operation struct {
	head, tail net.Node
	inputs     []lower.Input
	shapes     []net.Shape // shapes of the inputs
	relu, pool bool
	chunk      uint32 // the chunk of channels, if kernels of ours also compute the convolution; 0: cuDNN does
}

func newOperation(p *lower.Program, g lower.Group) operation {
	op := operation{head: p.Head(g), tail: p.Tail(g), inputs: g.Inputs, shapes: p.Head(g).Ins}
	switch g.Pattern {
	case lower.Single:
	case lower.ConvReLU, lower.DenseReLU:
		op.relu = true
	case lower.ConvReLUPool:
		op.relu, op.pool, op.chunk = true, true, chunkOf(op.head, op.tail.Out)
	default:
		panic(fmt.Sprintf("BUG: a GPU computes %s as one", g.Pattern))
	}
	return op
}

// chunkOf decides whether our kernels compute a convolution with the ReLU and pooling after it, as package cuda does.
// It returns the chunk of channels, or 0 if cuDNN computes the convolution.
func chunkOf(l net.Node, out net.Shape) uint32 {
	w := l.Window
	if l.Params[0].Groups > 1 || w.StrideH != 1 || w.StrideW != 1 || w.DilationH != 1 || w.DilationW != 1 || !filtering(l).Few() {
		return 0
	}
	return filtering(l).Chunk(uint32(out.H), uint32(out.W))
}

// filtering returns a convolution's geometry as our kernels take it.
func filtering(l net.Node) kernels.Filtering {
	w := l.Window
	return kernels.Filtering{Filters: uint32(l.Out.C), Channels: uint32(l.In.C), H: int32(l.In.H), W: int32(l.In.W),
		KernelH: int32(w.KernelH), KernelW: int32(w.KernelW), Top: int32(w.Top), Left: int32(w.Left)}
}

// find returns a layer's parameter with the given role, and whether it has one.
func find(l net.Node, r net.Role) (net.Param, bool) {
	for _, q := range l.Params {
		if q.Role == r {
			return q, true
		}
	}
	return net.Param{}, false
}

func biased(l net.Node) bool {
	_, ok := find(l, net.Bias)
	return ok
}

// activationCall returns the call that computes an activation layer by itself: that of cuDNN, or our kernel.
func activationCall(l *net.Activation, inCuDNN, ours string) string {
	if f, _ := kernels.FindActivation(string(l.Func)); f.InCuDNN {
		return inCuDNN
	}
	return ours
}

// trained reports whether a layer's parameter has a gradient.
func trained(l net.Node, r net.Role) bool {
	q, ok := find(l, r)
	return ok && q.Trained
}

func (op operation) forward(s *step) {
	l := op.head
	in, made, out := s.values(l.In), s.values(l.Out), s.values(op.tail.Out)
	bias := func() {
		switch channels := int64(l.Out.C); {
		case op.pool: // and a byte of mask for each value
			s.add(Launch{Call: "bias_relu_pool", Bytes: 4*(made+channels+out) + out})
		case op.relu:
			s.call("bias_relu", 2*made+channels)
		case biased(l):
			s.call("bias_add", 2*made+channels)
		}
	}
	switch layer := l.Layer.(type) {
	case *net.Conv:
		if op.chunk > 0 {
			p := product(l, s.batch, "conv_bias_relu_pool")
			p.Float32, p.Bytes = true, 4*(in+int64(l.Parameters())+out)+out // a byte of mask for each value
			s.add(p)
			return
		}
		if padded(l) != l.In {
			s.call("pad", in+s.values(padded(l)))
		}
		s.add(product(l, s.batch, "cudnnConvolutionForward"))
		bias()
	case *net.Dense:
		s.add(product(l, s.batch, "cublasSgemm"))
		bias()
	case *net.Pool:
		call := "pool_forward"
		if poolsInCuDNN(l, layer.PoolMode()) {
			call = "cudnnPoolingForward"
		}
		s.call(call, in+out)
	case *net.Activation:
		s.call(activationCall(layer, "cudnnActivationForward", "activation"), in+out)
	case *net.Dropout:
		s.call("dropout", in+out)
	case *net.BatchNorm:
		channels, parts := int64(l.In.C), s.parts(l.In)
		s.call("batchnorm_moments", in+2*parts*channels)
		s.call("batchnorm_statistics", 2*parts*channels+6*channels)
		s.call("batchnorm", in+out+4*channels)
	case *net.Add: // adds two inputs at a time
		for range len(op.inputs) - 1 {
			s.call("add", 3*out)
		}
	case *net.Concat:
		for _, shape := range op.shapes {
			s.call("copy_blocks", 2*s.values(shape))
		}
	case *net.Multiply:
		call := "multiply"
		if op.gated() {
			call = "multiply_rows"
		}
		s.call(call, in+s.values(op.shapes[1])+out)
	case *net.Scale:
		s.call("scale", in+out)
	default:
		panic(fmt.Sprintf("BUG: layer of kind %s", l.Layer.Kind()))
	}
}

// gated reports whether a multiplication's second input has one value a channel.
func (op operation) gated() bool { return op.shapes[1] != op.head.In }

// backward adds the launches that compute gradients: of trained parameters, and of those inputs where they are wanted,
// from the last input to the first. A launch that adds to a gradient also reads it.
func (op operation) backward(s *step) {
	l := op.head
	in, made, out := s.values(l.In), s.values(l.Out), s.values(op.tail.Out)
	wanted := op.inputs[0].Wanted
	added := func(i int) int64 {
		if op.inputs[i].Adds {
			return s.values(op.shapes[i])
		}
		return 0
	}
	// gradient adds a launch that writes or adds to the gradient of the first input, and also moves the given number
	// of values.
	gradient := func(call string, values int64) { s.call(call, values+added(0)) }
	parameters := trained(l, net.Weight) || trained(l, net.Bias)
	if op.chunk > 0 && parameters {
		parts := int64(kernels.ConvGradientParts(uint32(s.batch), filtering(l), op.chunk))
		weights, bias := int64(l.Params[0].Size()), int64(l.Out.C)
		taps := weights / bias
		// One place of each window is multiplied.
		s.add(Launch{Call: "conv_relu_pool_gradients", MulAdds: out * taps, Computed: out * taps, Float32: true,
			Bytes: 4*(in+out+parts*(weights+bias)) + out})
		if parts > 1 {
			for _, sums := range []struct {
				of     net.Role
				values int64
			}{{net.Weight, weights}, {net.Bias, bias}} {
				if trained(l, sums.of) {
					s.call("column_sums", (parts+1)*sums.values)
				}
			}
		}
	}
	if op.chunk > 0 && !wanted {
		return
	}
	switch {
	case op.pool:
		s.add(Launch{Call: "bias_relu_pool_backward", Bytes: 4*(out+made) + out})
	case op.relu:
		s.call("relu_backward", 3*made)
	}
	_, conv := l.Layer.(*net.Conv)
	_, dense := l.Layer.(*net.Dense)
	if (conv || dense) && trained(l, net.Bias) && op.chunk == 0 {
		channels, parts := int64(l.Out.C), s.parts(l.Out)
		s.call("bias_gradient", made+parts*channels)
		if parts > 1 {
			s.call("column_sums", (parts+1)*channels)
		}
	}
	switch layer := l.Layer.(type) {
	case *net.Conv:
		if op.chunk == 0 && trained(l, net.Weight) {
			s.add(product(l, s.batch, "cudnnConvolutionBackwardFilter"))
		}
		if !wanted {
			return
		}
		p := product(l, s.batch, "cudnnConvolutionBackwardData")
		if padded(l) != l.In {
			s.add(p)
			gradient("crop", in+s.values(padded(l)))
			return
		}
		p.Bytes += 4 * added(0)
		s.add(p)
	case *net.Dense:
		if trained(l, net.Weight) {
			s.add(product(l, s.batch, "cublasSgemm"))
		}
		if wanted {
			p := product(l, s.batch, "cublasSgemm")
			p.Bytes += 4 * added(0)
			s.add(p)
		}
	case *net.Pool:
		switch mode := layer.PoolMode(); {
		case mode == net.MeanPool && poolsInCuDNN(l, mode):
			gradient("cudnnPoolingBackward", in+out)
		case mode == net.MaxPool:
			gradient("max_pool_backward", 2*in+2*out)
		default:
			gradient("pool_backward", 2*in+2*out)
		}
	case *net.Activation:
		gradient(activationCall(layer, "cudnnActivationBackward", "activation_backward"), 3*in)
	case *net.Dropout:
		gradient("dropout", 2*in)
	case *net.BatchNorm:
		channels, parts := int64(l.In.C), s.parts(l.In)
		s.call("batchnorm_gradients", 2*in+4*channels+2*parts*channels)
		if parts > 1 {
			s.call("batchnorm_gradient_sums", 2*(parts+1)*channels)
		}
		if wanted {
			gradient("batchnorm_backward", 3*in+6*channels)
		}
	case *net.Add:
		for i := len(op.inputs) - 1; i >= 0; i-- {
			switch {
			case !op.inputs[i].Wanted:
			case op.inputs[i].Adds:
				s.call("add", 3*in)
			default:
				s.call("copy_blocks", 2*in)
			}
		}
	case *net.Concat:
		for i := len(op.inputs) - 1; i >= 0; i-- {
			if op.inputs[i].Wanted {
				s.call("copy_blocks", 2*s.values(op.shapes[i])+added(i))
			}
		}
	case *net.Multiply:
		second := s.values(op.shapes[1])
		calls := [2]string{"multiply", "multiply"}
		if op.gated() {
			calls = [2]string{"multiply_rows", "multiply_rows_gate"}
		}
		if op.inputs[1].Wanted {
			s.call(calls[1], 2*in+second+added(1))
		}
		if wanted {
			gradient(calls[0], 2*in+second)
		}
	case *net.Scale:
		gradient("scale", 2*in)
	default:
		panic(fmt.Sprintf("BUG: layer of kind %s", l.Layer.Kind()))
	}
}

// product returns the launch of one of the three products of a convolution or dense layer. Each of the three reads two
// of input, weights and output, and writes the third. So they all have the same multiply-adds and bytes.
func product(l net.Node, batch int64, call string) Launch {
	in := padded(l)
	computed := l.MulAdds()
	if _, ok := l.Layer.(*net.Conv); ok {
		computed = int64(l.Out.Size()) * int64(l.Params[0].Size()/l.Out.C)
	}
	return Launch{
		Call: call, MulAdds: batch * l.MulAdds(), Computed: batch * computed,
		Bytes: 4 * (batch*int64(in.Size()+l.Out.Size()) + int64(l.Params[0].Size())),
	}
}

// padded returns the shape of a convolution's input as cuDNN sees it. cuDNN pads both ends alike, so where they differ
// a kernel pads first.
func padded(l net.Node) net.Shape {
	s, w := l.In, l.Window
	if w.Top != w.Bottom || w.Left != w.Right {
		s.H += w.Top + w.Bottom
		s.W += w.Left + w.Right
	}
	return s
}

// poolsInCuDNN reports whether cuDNN computes a pooling layer.
func poolsInCuDNN(l net.Node, mode net.PoolMode) bool {
	w := l.Window
	return mode != net.L2Pool && w.Top == w.Bottom && w.Left == w.Right && w.Top < w.KernelH && w.Left < w.KernelW
}
