package bench

import (
	"fmt"
	"slices"

	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/lower"
)

// Launch is one node of the graph that package cuda makes of a training step. It is a kernel of ours, or a call of cuDNN
// or cuBLAS, which may launch more than one kernel.
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

// Launches returns the nodes of a training step on a mini-batch, in order. form is that of the precision in which the step
// computes. Launches assumes byte samples without views. With views, view_bytes takes the place of gather_bytes.
func Launches(plan *net.Plan, options net.Options, form cuda.Form, batch int) []Launch {
	s := &step{Form: form, plan: plan, batch: batch, averages: options.Averages(), narrow: map[int]bool{}}
	in, samples := s.values(plan.Network.Input), int64(batch)
	// It reads pixels, indices and labels, and writes values and labels.
	s.add(Launch{Phase: net.Gather, Call: "gather_bytes", Bytes: in + s.bytes(in, 3*samples)})

	program := lower.Lower(plan, cuda.Fuser{})
	s.lower(program)
	for _, op := range s.operations {
		s.layer, s.phase = op.head.Name, net.Forward
		op.run(s)
	}
	s.layer = ""
	s.loss(options.Loss)
	early, groups := 0, cuda.GroupsOf(program)
	if turns := cuda.Turns(program, options.Optimizer, 1); len(turns) > 1 {
		early = turns[0]
	}
	for i, op := range slices.Backward(s.operations) {
		if op.tail.Learns {
			s.layer, s.phase = op.head.Name, net.Backward
			op.differentiate(s)
		}
		if i == early && early > 0 {
			s.optimize(options.Optimizer, func(q net.Param) bool { return groups[q.Layer] >= early })
		}
	}
	s.optimize(options.Optimizer, func(q net.Param) bool { return early == 0 || groups[q.Layer] < early })
	s.average(options)
	s.phase = net.Loss
	// It reads losses and hits, and adds to the sums of both and to the number of samples.
	s.add(Launch{Call: "add_metrics", Bytes: 2*4*samples + 2*3*8})
	return s.launches
}

// step collects launches.
type step struct {
	cuda.Form
	plan       *net.Plan
	batch      int
	averages   bool // averages of the weights are kept
	operations []operation
	narrow     map[int]bool // the layers, by index, whose weight gradient is bfloat16 until the optimiser reads it
	layer      string
	phase      net.Phase
	launches   []Launch
}

// values returns how many values a mini-batch of the given shape has.
func (s *step) values(of net.Shape) int64 { return int64(s.batch) * int64(of.Size()) }

// bytes returns the bytes of values between layers and of float32 numbers.
func (s *step) bytes(values, floats int64) int64 { return s.Type.Bytes()*values + 4*floats }

func (s *step) add(l Launch) {
	if l.Phase == "" {
		l.Layer, l.Phase = s.layer, s.phase
	}
	s.launches = append(s.launches, l)
}

// call adds a launch that moves some values between layers, and some float32 numbers.
func (s *step) call(call string, values, floats int64) {
	s.add(Launch{Call: call, Bytes: s.bytes(values, floats)})
}

// loss adds the softmax with the loss and its gradient. It reads logits, labels and the last layer's bias, and writes
// losses, hits and the gradient.
func (s *step) loss(loss net.Criterion) {
	last := s.operations[len(s.operations)-1]
	logits, classes := s.values(last.tail.Out), int64(s.plan.Classes)
	floats, gradient := logits+3*int64(s.batch), int64(0)
	if last.late() {
		floats += classes
	}
	if last.tail.Learns {
		gradient = logits
	}
	if loss.ClassWeights != nil {
		floats += classes
	}
	s.add(Launch{Phase: net.Loss, Call: "softmax_cross_entropy", Bytes: s.bytes(gradient, floats)})
}

// optimize adds the optimiser over some of the parameters.
func (s *step) optimize(o net.Optimizer, over func(net.Param) bool) {
	s.layer, s.phase = "", net.Update
	rates := s.rates(o, over)
	if o.ClipNorm > 0 && len(rates) > 0 {
		var parts int64
		for _, r := range rates {
			sums := int64(kernels.SquareSumsOf(uint64(r.count)))
			s.add(Launch{Call: "square_sums", Bytes: 4*r.count - 2*r.narrow + 8*sums})
			parts += sums
		}
		s.add(Launch{Call: "clip_factor", Bytes: 8*parts + 4})
	}
	for _, r := range rates {
		if r.Method == net.Muon {
			s.muon(r)
			continue
		}
		call, ok := optimizerKernels[r.Method]
		if !ok {
			panic(fmt.Sprintf("BUG: an optimiser %q", r.Method))
		}
		// It reads weights, gradients and moments, and writes weights and moments.
		bytes := 4*r.count*(3+2*int64(len(r.Moments()))) - 2*r.narrow
		if s.Type == kernels.BF16 {
			bytes += 2 * r.count // the weights are also written as factors of products
		}
		s.add(Launch{Call: call, Bytes: bytes})
	}
}

// optimizerKernels holds the kernel of each method that updates all weights with one rule in one launch.
var optimizerKernels = map[net.Method]string{net.SGD: "sgd", net.Adam: "adam", net.AdamW: "adam", net.Lion: "lion"}

// muon adds the launches that update matrices.
func (s *step) muon(r trainedWeights) {
	for _, t := range r.stacks {
		count := int64(t.count)
		values, n := count*int64(t.Rows)*int64(t.Columns), int64(t.Least())
		grams := count * n * n
		sums := 8 * count * int64(kernels.SquareSumsOf(uint64(t.Rows)*uint64(t.Columns)))
		// Reads gradients, weights for the norm, and velocities, and writes velocities, U and sums.
		bytes := 4*values*(2+2*int64(len(r.Moments()))) + sums
		if t.narrow {
			bytes -= 2 * values
		}
		if r.Rescale {
			bytes += 4*values + sums
		}
		s.add(Launch{Call: "muon_velocity", Bytes: bytes})
		s.add(Launch{Call: "muon_scale", Bytes: 8*values + sums})
		product := func(m, n, k, floats int64) {
			work := count * m * n * k
			s.add(Launch{Call: "cublasGemmStridedBatchedEx", MulAdds: work, Computed: work, Bytes: 4 * floats})
		}
		for range r.Iterations {
			product(n, n, int64(max(t.Rows, t.Columns)), values+grams)
			product(n, n, n, 2*grams)
			s.add(Launch{Call: "muon_polynomial", Bytes: 4 * 3 * grams})
			product(int64(t.Rows), int64(t.Columns), n, 2*values+grams)
		}
		bytes = 4 * 3 * values
		if r.Rescale {
			bytes += sums
		}
		if s.Type == kernels.BF16 {
			bytes += 2 * values
		}
		s.add(Launch{Call: "muon_apply", Bytes: bytes})
	}
}

// average adds what moves the averages. Lookahead moves nothing in most steps, so its bytes are those of the mean step.
func (s *step) average(options net.Options) {
	if !options.Averages() || len(s.plan.Params) == 0 {
		return
	}
	var all int64
	for _, q := range s.plan.Params {
		all += int64(q.Size())
	}
	bytes := 4 * 3 * all
	if every := int64(options.Lookahead.Every); every > 0 {
		bytes += 4 * all // the weights are written too
		if s.Type == kernels.BF16 {
			bytes += 2 * all
		}
		bytes /= every
	}
	s.add(Launch{Call: "move_average", Bytes: bytes})
}

// trainedWeights are those with one rule. The gradients of some are narrow: bfloat16.
type trainedWeights struct {
	net.Rule
	count, narrow int64
	stacks        []stack // if the rule is for matrices
}

// stack is matrices of one shape that the same launches update.
type stack struct {
	cuda.MatrixShape
	narrow bool // their gradients are bfloat16
	count  int
}

// rates returns the weights of some of the parameters, by the rules that update them.
func (s *step) rates(o net.Optimizer, over func(net.Param) bool) (rates []trainedWeights) {
	rules, of := cuda.Rules(s.plan, o)
	at := make([]int, len(rules)) // 1 + the index
	for i, q := range s.plan.Params {
		if !q.Trained || !over(q) {
			continue
		}
		if at[of[i]] == 0 {
			rates = append(rates, trainedWeights{Rule: rules[of[i]].Rule})
			at[of[i]] = len(rates)
		}
		r := &rates[at[of[i]]-1]
		narrow := q.Role == net.Weight && s.narrow[q.Layer]
		if r.count += int64(q.Size()); narrow {
			r.narrow += int64(q.Size())
		}
		if shape := cuda.MatrixOf(r.Rule, q); shape != (cuda.MatrixShape{}) {
			i := slices.IndexFunc(r.stacks, func(t stack) bool { return t.MatrixShape == shape && t.narrow == narrow })
			if i < 0 {
				i = len(r.stacks)
				r.stacks = append(r.stacks, stack{MatrixShape: shape, narrow: narrow})
			}
			r.stacks[i].count++
		}
	}
	return rates
}

// operation is a group of layers as package cuda computes it.
type operation struct {
	head, tail net.Node
	pattern    lower.Pattern
	inputs     []input
	out        net.Shape // of the value that it makes
	last       bool      // its output becomes the logits
	shared     int       // the number of the input whose gradient is where the operation's is; -1: there is none
	// A dense layer that alone takes the output of another one's ReLU computes that ReLU's gradient too, from a mask.
	masks, takes bool // it keeps the mask of its ReLU; it takes that of its input
	// The kernels of ours that compute the convolution too, if the chunk isn't 0.
	filtering kernels.Filtering
	chunk     uint32
}

// input is what an operation takes.
type input struct {
	lower.Input
	shape net.Shape // as the operation sees it
	moved bool      // it is put in order first, and its gradient is put back
}

// lower makes the operations. It follows the order of values behind flatten layers, as cuda/rearrange.go does.
func (s *step) lower(p *lower.Program) {
	shared := cuda.SharedGradients(p)
	var lies []net.Shape // of the values: the shape in which they lie
	for _, v := range p.Values {
		lies = append(lies, v.Shape)
	}
	for i, g := range p.Groups {
		op := operation{head: p.Head(g), tail: p.Tail(g), pattern: g.Pattern, out: p.Values[i+1].Shape, last: i == len(p.Groups)-1, shared: shared[i]}
		if g.Pattern == lower.ConvReLUPool {
			op.filtering, op.chunk = cuda.Fuser{}.Convolves(op.head, op.tail.Out)
		}
		anyOrder := false
		switch op.head.Layer.(type) {
		case *net.Dense:
			anyOrder = true
		case *net.Dropout, *net.Activation, *net.Scale:
			if anyOrder = !op.last; anyOrder {
				lies[i+1] = lies[g.Inputs[0].Value]
			}
		}
		var shapes []net.Shape
		for k, node := range g.Nodes {
			ins := s.plan.Nodes[node].Ins
			if k > 0 {
				ins = ins[1:] // the first is the group's layer before this one
			}
			shapes = append(shapes, ins...)
		}
		for k, in := range g.Inputs {
			of := lies[in.Value]
			op.inputs = append(op.inputs, input{in, shapes[k], !anyOrder && shapes[k] != of && !s.Ordered(of)})
		}
		if made := g.Inputs[0].Value - 1; made >= 0 && op.dense() && op.wanted(0) && len(p.Values[made+1].Uses) == 1 {
			maker := &s.operations[made]
			op.takes = maker.pattern == lower.DenseReLU
			maker.masks = op.takes
		}
		s.operations = append(s.operations, op)
	}
}

// run adds the launches of the forward pass, with those that change the order of values.
func (op operation) run(s *step) {
	for _, in := range op.inputs {
		if in.moved {
			s.call("permute", 2*s.values(in.shape), 0)
		}
	}
	op.forward(s)
	if !op.last || op.makesLogits() {
		return
	}
	if op.apart(s) {
		s.call("permute", 2*s.values(op.out), 0)
	}
	if s.Type == kernels.BF16 {
		s.call("from_bf16", s.values(op.out), s.values(op.out))
	}
}

// differentiate adds the launches of the backward pass, with those that change the order of gradients.
func (op operation) differentiate(s *step) {
	if op.apart(s) {
		s.call("permute", 2*s.values(op.out), 0)
	}
	inner := op
	inner.inputs = slices.Clone(op.inputs)
	for i, in := range op.inputs {
		if in.moved {
			inner.inputs[i].Adds = false
			if i == op.shared {
				inner.shared = -1
			}
		}
	}
	inner.backward(s)
	for i, in := range slices.Backward(op.inputs) {
		if in.moved && in.Wanted {
			s.call("permute", 2*s.values(in.shape)+op.added(s, i), 0)
		}
	}
}

// apart reports whether the logits are in another order than the values that the operation makes.
func (op operation) apart(s *step) bool {
	return op.last && !op.makesLogits() && !s.Ordered(op.out)
}

// makesLogits reports whether the operation writes logits itself if it is the last: in order, and as float32.
func (op operation) makesLogits() bool { return op.dense() && op.pattern == lower.Single }

func (op operation) dense() bool {
	_, dense := op.head.Layer.(*net.Dense)
	return dense
}

// added returns how many values are read because the gradient of an input is added to them.
func (op operation) added(s *step, input int) int64 {
	if in := op.inputs[input]; in.Wanted && in.Adds {
		return s.values(in.shape)
	}
	return 0
}

// late reports whether the loss adds the bias.
func (op operation) late() bool { return op.last && op.makesLogits() && biased(op.head) }

func (op operation) relu() bool {
	return op.pattern == lower.ConvReLU || op.pattern == lower.DenseReLU || op.pattern == lower.ConvReLUPool
}

func (op operation) pools() bool { return op.pattern == lower.ConvReLUPool }

// wanted reports whether the gradient of an input is computed.
func (op operation) wanted(input int) bool { return op.inputs[input].Wanted }

// same reports whether the first two inputs are the same value. Kernels read it once, and its gradient can't be written and
// added to at once. Where they are put in order, each is a value of its own.
func (op operation) same() bool {
	return len(op.inputs) > 1 && op.inputs[0].Value == op.inputs[1].Value && !op.inputs[0].moved
}

// read returns how many values the inputs have that a kernel reads which takes one or two.
func (op operation) read(s *step) int64 {
	n := s.values(op.head.In)
	if len(op.inputs) > 1 && !op.same() {
		n += s.values(op.inputs[1].shape)
	}
	return n
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

// trained reports whether a layer's parameter has a gradient.
func trained(l net.Node, r net.Role) bool {
	q, ok := find(l, r)
	return ok && q.Trained
}

// inCuDNN reports whether cuDNN computes an activation layer.
func (s *step) inCuDNN(l *net.Activation) bool {
	f, _ := kernels.FindActivation(string(l.Func))
	return s.ActivatesInCuDNN(f)
}

func (op operation) forward(s *step) {
	l := op.head
	in, made, out, channels := s.values(l.In), s.values(l.Out), s.values(op.out), int64(l.Out.C)
	switch layer := l.Layer.(type) {
	case *net.Conv:
		if op.chunk > 0 {
			p := s.product(l, "conv_bias_relu_pool")
			p.Float32, p.Bytes = true, s.bytes(in+out, int64(l.Parameters()))+out // a byte of mask for each value
			s.add(p)
			return
		}
		if padded(l) != l.In {
			s.call("pad", in+s.values(padded(l)), 0)
		}
		s.add(s.product(l, "cudnnConvolutionForward"))
		switch {
		case op.pools():
			s.add(Launch{Call: "bias_relu_pool", Bytes: s.bytes(made+out, channels) + out})
		case op.relu():
			s.call("bias_relu", 2*made, channels)
		case biased(l):
			s.call("bias_add", 2*made, channels)
		}
	case *net.Dense:
		p := s.product(l, "cublasLtMatmul") // with bias and ReLU
		if op.last && op.makesLogits() {
			p.Bytes += (4 - s.Type.Bytes()) * out // logits are float32
		}
		if biased(l) && !op.late() {
			p.Bytes += s.bytes(channels, 0) // rounded as weights are
		}
		if op.masks {
			p.Bytes += s.mask(l.Out)
		}
		s.add(p)
	case *net.Pool:
		call := "pool_forward"
		if s.PoolsInCuDNN(l.Window, layer.PoolMode()) {
			call = "cudnnPoolingForward"
		}
		s.call(call, in+out, 0)
	case *net.Activation:
		call := "activation"
		if s.inCuDNN(layer) {
			call = "cudnnActivationForward"
		}
		s.call(call, in+out, 0)
	case *net.Dropout:
		s.call("dropout", in+out, 0)
	case *net.BatchNorm:
		if layer.Settled() {
			if s.averages { // otherwise mean and 1/deviation are ready
				s.call("batchnorm_running", 0, 4*channels)
			}
			s.call("batchnorm", op.read(s)+out, 4*channels)
			return
		}
		parts := int64(s.Parts(s.batch, l.In))
		s.call("batchnorm_moments", in, 2*parts*channels)
		// It writes the mini-batch's statistics, and moves the running ones.
		s.call("batchnorm_statistics", 0, (2*parts+6)*channels)
		s.call("batchnorm", op.read(s)+out, 4*channels)
	case *net.Add:
		if op.pattern == lower.AddReLU {
			s.call("add_relu", op.read(s)+out, 0)
			return
		}
		for i := range op.inputs[1:] { // adds two inputs at a time
			if i == 0 && op.same() {
				s.call("add", 2*out, 0)
			} else {
				s.call("add", 3*out, 0)
			}
		}
	case *net.Concat:
		for _, in := range op.inputs {
			s.call("copy_blocks", 2*s.values(in.shape), 0)
		}
	case *net.Multiply:
		call := "multiply"
		if op.gated() {
			call = "multiply_rows"
		}
		s.call(call, op.read(s)+out, 0)
	case *net.Scale:
		s.call("scale", in+out, 0)
	default:
		panic(fmt.Sprintf("BUG: layer of kind %s", l.Layer.Kind()))
	}
}

// gated reports whether a multiplication's second input has one value a channel.
func (op operation) gated() bool { return op.inputs[1].shape != op.head.In }

// backward adds the launches that compute gradients: of trained parameters, and of those inputs where they are wanted,
// from the last input to the first. A launch that adds to a gradient also reads it.
func (op operation) backward(s *step) {
	l := op.head
	in, out := s.values(l.In), s.values(op.out)
	// gradient adds a launch that writes or adds to the gradient of the first input. It also moves the given number of
	// values.
	gradient := func(call string, values int64) { s.call(call, values+op.added(s, 0), 0) }
	switch layer := l.Layer.(type) {
	case *net.Conv:
		op.convBackward(s)
	case *net.Dense:
		both := trained(l, net.Weight) && trained(l, net.Bias)
		op.biasGradient(s, trained(l, net.Bias) && !both, op.relu() && !op.masks)
		if trained(l, net.Weight) {
			p := s.product(l, "cublasLtMatmul")
			p.Bytes += (4 - s.Type.Bytes()) * int64(l.Params[0].Size()) // its gradient is float32
			if both {
				p.Bytes += 4 * int64(l.Out.C)
			}
			s.add(p)
		}
		if op.wanted(0) {
			p := s.product(l, "cublasLtMatmul")
			p.Bytes += s.bytes(op.added(s, 0), 0)
			if op.takes {
				p.Bytes += s.mask(op.inputs[0].shape)
			}
			s.add(p)
		}
	case *net.Pool:
		switch mode := layer.PoolMode(); {
		case mode == net.MaxPool:
			gradient("max_pool_backward", 2*in+2*out)
		case mode == net.L2Pool:
			gradient("pool_backward", 2*in+2*out)
		case s.PoolsInCuDNN(l.Window, mode):
			gradient("cudnnPoolingBackward", in+out)
		default:
			gradient("pool_backward", in+out)
		}
	case *net.Activation:
		call := "activation_backward"
		if s.inCuDNN(layer) {
			call = "cudnnActivationBackward"
		}
		gradient(call, 3*in)
	case *net.Dropout:
		gradient("dropout", 2*in)
	case *net.BatchNorm:
		op.normBackward(s)
	case *net.Add:
		if op.pattern == lower.AddReLU {
			op.sumReLUBackward(s)
			return
		}
		for i, to := range slices.Backward(op.inputs) {
			switch {
			case !to.Wanted, i == op.shared:
			case to.Adds:
				s.call("add", 3*in, 0)
			default:
				s.call("copy_blocks", 2*in, 0)
			}
		}
	case *net.Concat:
		for i, to := range slices.Backward(op.inputs) {
			if to.Wanted {
				s.call("copy_blocks", 2*s.values(to.shape)+op.added(s, i), 0)
			}
		}
	case *net.Multiply:
		second := s.values(op.inputs[1].shape)
		calls := [2]string{"multiply", "multiply"}
		if op.gated() {
			calls = [2]string{"multiply_rows", "multiply_rows_gate"}
		}
		if op.wanted(1) {
			s.call(calls[1], 2*in+second+op.added(s, 1), 0)
		}
		if op.wanted(0) {
			gradient(calls[0], 2*in+second)
		}
	case *net.Scale:
		gradient("scale", 2*in)
	default:
		panic(fmt.Sprintf("BUG: layer of kind %s", l.Layer.Kind()))
	}
}

// convBackward adds the backward pass of a convolution with what is fused with it.
func (op operation) convBackward(s *step) {
	l := op.head
	in, out := s.values(l.In), s.values(op.out)
	trains := trained(l, net.Weight) || trained(l, net.Bias)
	if op.chunk > 0 && trains {
		parts := int64(kernels.ConvGradientParts(uint32(s.batch), op.filtering, op.chunk))
		weights, bias := int64(l.Params[0].Size()), int64(l.Out.C)
		// One place of each window is multiplied.
		muls := out * weights / bias
		s.add(Launch{Call: "conv_relu_pool_gradients", MulAdds: muls, Computed: muls, Float32: true,
			Bytes: s.bytes(in+out, parts*(weights+bias)) + out})
		if parts > 1 {
			sums := parts * (weights + bias)
			if trained(l, net.Weight) {
				sums += weights
			}
			if trained(l, net.Bias) {
				sums += bias
			}
			s.call("column_sums", 0, sums)
		}
	}
	filters := op.chunk == 0 && trained(l, net.Weight)
	if !op.wanted(0) && (op.chunk > 0 || !trains) {
		return
	}
	if op.pools() {
		op.pooledGradients(s, filters || op.wanted(0))
	} else {
		op.biasGradient(s, trained(l, net.Bias), op.relu())
	}
	if filters {
		s.narrow[l.Index] = s.Type == kernels.BF16
		s.add(s.product(l, "cudnnConvolutionBackwardFilter"))
	}
	if !op.wanted(0) {
		return
	}
	p := s.product(l, "cudnnConvolutionBackwardData")
	if padded(l) != l.In {
		s.add(p)
		s.call("crop", 2*in+op.added(s, 0), 0)
		return
	}
	p.Bytes += s.bytes(op.added(s, 0), 0)
	s.add(p)
}

// biasGradient adds the gradients of the bias and of the ReLU after it, as far as kernels of their own compute them.
func (op operation) biasGradient(s *step, bias, relu bool) {
	l := op.head
	made, parts := s.values(l.Out), int64(s.Parts(s.batch, l.Out))
	switch sums := parts * int64(l.Out.C); {
	case bias && relu:
		s.call("bias_relu_gradient", 3*made, sums)
	case bias:
		s.call("bias_gradient", made, sums)
	case relu:
		s.call("relu_backward", 3*made, 0)
		return
	default:
		return
	}
	op.addParts(s, parts)
}

// addParts adds the sum of the parts of a bias gradient.
func (op operation) addParts(s *step, parts int64) {
	if parts > 1 {
		s.call("column_sums", 0, (parts+1)*int64(op.head.Out.C))
	}
}

// pooledGradients adds the gradients of the bias, the ReLU and the 2x2 max pooling. unpools says that the gradient of the
// convolution's own output is wanted.
func (op operation) pooledGradients(s *step, unpools bool) {
	l, made, pooled := op.head, op.head.Out, op.out
	out, unpooled := s.values(pooled), s.values(made)
	bias := trained(l, net.Bias) && op.chunk == 0
	parts := int64(s.Parts(s.batch, pooled))
	sums := parts * int64(made.C)
	covered := pooled.H == (made.H+1)/2 && pooled.W == (made.W+1)/2
	if bias && unpools && s.Last && covered {
		s.add(Launch{Call: "bias_relu_pool_gradients", Bytes: s.bytes(out+unpooled, sums) + out})
	} else {
		if bias {
			s.add(Launch{Call: "bias_relu_pool_gradient", Bytes: s.bytes(out, sums) + out})
		}
		if unpools {
			s.add(Launch{Call: "bias_relu_pool_backward", Bytes: s.bytes(out+unpooled, 0) + out})
		}
	}
	if bias {
		op.addParts(s, parts)
	}
}

// normBackward adds the backward pass of batch normalisation, and of the sum and the rectifier after it.
func (op operation) normBackward(s *step) {
	l := op.head
	in, channels, parts := s.values(l.In), int64(l.In.C), int64(s.Parts(s.batch, l.In))
	read := 2 * in // the output's gradient and the input
	if l.Layer.(*net.BatchNorm).Settled() {
		if read = in; op.pattern != lower.Single {
			read += in // the output
		}
		op.normInputs(s, read, 4*channels) // mean, 1/deviation, weight and bias
		return
	}
	if len(op.inputs) > 1 {
		read += in // the output, which tells where the rectifier's slope is 1
	}
	// The kernels need the mean and 1/deviation of each channel. To find the rectifier's slope without the output they need
	// the weight and the bias too.
	numbers := int64(2)
	if op.pattern == lower.NormReLU {
		numbers = 4
	}
	s.call("batchnorm_gradients", read, (numbers+2*parts)*channels)
	if parts > 1 {
		s.call("batchnorm_gradient_sums", 0, 2*(parts+1)*channels)
	}
	op.normInputs(s, read, (max(3, numbers)+2)*channels) // also the weight, and the gradients of weight and bias
}

// normInputs adds the gradients of batch normalisation's inputs, for which so many values and numbers are read.
func (op operation) normInputs(s *step, read, numbers int64) {
	in := s.values(op.head.In)
	written := in + op.added(s, 0)
	if len(op.inputs) > 1 && op.wanted(1) {
		if other := in + op.added(s, 1); !op.wanted(0) || op.same() {
			s.call("activation_backward", 2*in+other, 0)
		} else {
			written += other
		}
	}
	if op.wanted(0) {
		s.call("batchnorm_backward", read+written, numbers)
	}
}

// sumReLUBackward adds the backward pass of a sum of two inputs with the ReLU after it.
func (op operation) sumReLUBackward(s *step) {
	out := s.values(op.out)
	first, second := int64(0), int64(0) // values that the two gradients move
	if op.wanted(0) {
		first = out + op.added(s, 0)
	}
	if op.wanted(1) {
		second = out + op.added(s, 1)
	}
	if op.wanted(0) && op.same() {
		s.call("add_relu_backward", 2*out+second, 0)
		second = 0
	}
	s.call("add_relu_backward", 2*out+first+second, 0)
}

// mask returns the bytes of a ReLU's mask: a bit for each value, of each sample a multiple of 128.
func (s *step) mask(of net.Shape) int64 { return int64(s.batch) * int64((of.Size()+127)/128*16) }

// product returns the launch of one of the three products of a convolution or dense layer. Each of the three reads two
// of input, weights and output, and writes the third. So they all have the same multiply-adds and bytes. All values count
// with the size of those between layers.
func (s *step) product(l net.Node, call string) Launch {
	batch, computed := int64(s.batch), l.MulAdds()
	if _, ok := l.Layer.(*net.Conv); ok {
		computed = int64(l.Out.Size()) * int64(l.Params[0].Size()/l.Out.C)
	}
	return Launch{
		Call: call, MulAdds: batch * l.MulAdds(), Computed: batch * computed,
		Bytes: s.bytes(s.values(padded(l))+s.values(l.Out)+int64(l.Params[0].Size()), 0),
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
