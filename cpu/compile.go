package cpu

import (
	"fmt"
	"math"
	"slices"

	"github.com/gputrain/gputrain/cpu/asm"
	"github.com/gputrain/gputrain/internal/memlimit"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/lower"
	"github.com/gputrain/gputrain/net/quantize"
)

// Fuses reports whether the device computes nodes, which follow the pattern, as one;
// see lower.Fuser. A ReLU is computed with the convolution, fully connected layer, batch
// normalisation or sum before it. So is a ReLU6 with the batch normalisation, and a sum of
// two values with the batch normalisation that gives the first of them. Max pooling is
// computed with a convolution if there are kernels for gradients through both, except if
// Winograd's method needs no more multiplications than they do. A value that is rounded
// comes last, except before max pooling, which gives the same if it is rounded alike.
func (f fuser) Fuses(p lower.Pattern, nodes []net.Node) bool {
	for i, n := range nodes[:len(nodes)-1] {
		next := nodes[i+1]
		rounded, ok := f.eight[n.Name]
		if _, pool := next.Layer.(*net.Pool); ok && !(pool && f.eight[next.Name] == rounded) {
			return false
		}
	}
	switch p {
	case lower.ConvReLU, lower.DenseReLU, lower.NormReLU, lower.AddReLU:
		return true
	case lower.NormAddReLU:
		return len(nodes[1].Ins) == 2
	case lower.ConvPool, lower.ConvReLUPool:
		conv, pooled := nodes[0], nodes[len(nodes)-1]
		kernels, _ := patchesThrough(f.kernels, conv, pooled)
		return kernels != nil && !winogradBeforePool(f.kernels, conv, pooled)
	}
	return false
}

// winogradBeforePool reports whether Winograd's method needs no more multiplications for a
// convolution's gradients than are needed if they are computed only at those positions at
// which max pooling lets them through: one for each output of the pooling.
func winogradBeforePool(ks *asm.Kernels, conv, pooled net.Node) bool {
	g := winogradTiles(ks, conv, conv.In, conv.Out, false)
	if g == nil || !g.pays(ks.Lanes) || conv.In.C <= mostNarrow { // images of few channels have a layout of their own
		return false
	}
	positions := (conv.Out.H / pooled.Out.H) * (conv.Out.W / pooled.Out.W) // of the convolution for one of the pooling
	return winogradProducts*positions <= g.size*g.size*g.kernel.Outputs*g.kernel.Outputs
}

// mostAreaTogether is about the largest area of images that are computed several at once. Larger
// images go together only if they have at most mostValuesTogether values, and if a layer before
// or behind them prefers it.
const (
	mostAreaTogether   = 256
	mostValuesTogether = 16 << 10
)

// large reports whether images of a layout are computed one by one.
func (l layout) large() bool { return l.area() > mostAreaTogether && l.size() > mostValuesTogether }

// newProgram plans a program's operations and allocates its memory. The program can only
// run forward, on weights that SetState gives it, until prepareTraining is called. training
// tells whether that will be; the check of the machine's memory counts on it.
func newProgram(d *device, plan *net.Plan, opts net.Options, training bool) (*program, error) {
	lowered := lower.Lower(plan, d.fuser)
	steps, values := planSteps(lowered, d.kernels.Lanes, d.eight)
	if err := d.checkSizes(lowered, steps, opts, training); err != nil {
		return nil, err
	}
	p := &program{device: d, plan: plan, options: opts}
	p.options.Images = nil
	if opts.Communicator != nil && training {
		p.sums = &sums{group: opts.Communicator}
	}
	p.takeParameters()
	p.takeOperations(lowered, steps, values)
	p.takeEvaluationValues()
	logits := p.all.operations[len(p.all.operations)-1].out
	p.loss = newLoss(d.workers, &p.pass, logits, opts.Batch, opts.Loss)
	p.forwardTask, p.singleTask, p.cutTask = p.forwardSamples, p.forwardSingle, p.forwardPart
	return p, nil
}

// trainer is an operation that takes memory for the forward pass of training.
type trainer interface{ planTraining(batch int) }

// learner is an operation that prepares something for its backward pass.
type learner interface{ planGradients(batch int) }

// prepareTraining makes what only training needs. Nothing else in a program refers to
// backward passes, so the linker leaves them out of programs that don't call
// prepareTraining.
func (p *program) prepareTraining() {
	for _, op := range p.all.operations {
		if l, ok := op.computes().(learner); ok && op.learns {
			l.planGradients(p.options.Batch)
		}
	}
	p.planTraining()
	p.all = newSequence(p.all.operations) // again: the gradients may prefer other groups of samples
	operations, ins := p.fold(true)
	p.training, p.trainingIns = newSequence(operations), ins
	p.takeTrainingValues()
	p.takeGradients()
	p.optimizer = newOptimizer(p.device.workers, p.plan, p.options, p.params)
	p.backwardTask = p.backwardSamples
}

// planTraining takes the memory that operations need for the forward pass of training, and of
// traces. It does so once.
func (p *program) planTraining() {
	if p.planned {
		return
	}
	p.planned = true
	for _, op := range p.all.operations {
		if t, ok := op.computes().(trainer); ok {
			t.planTraining(p.options.Batch)
		}
	}
}

// keepAllValues takes memory for the values of all layers at once, as traces need it. It does
// so once.
func (p *program) keepAllValues() {
	if !p.keepsAll {
		p.keepsAll = true
		p.planTraining()
		p.takeAllValues()
	}
}

// checkSizes returns an error if an int32 can't number the values of a mini-batch
// between two layers. It also returns one if the program can't fit in the machine's
// memory, because there Go would end the process. Sizes are multiplied as float64,
// which can't overflow.
func (d *device) checkSizes(lowered *lower.Program, steps []step, opts net.Options, training bool) error {
	plan, batch := lowered.Plan, float64(opts.Batch)
	for _, node := range plan.Nodes {
		most := float64(max(node.In.Size(), node.Out.Size())) * batch
		if _, ok := node.Layer.(*net.Conv); ok {
			in, out := inBlocks(node.In, d.kernels.Lanes), inBlocks(node.Out, d.kernels.Lanes)
			g := node.Window // images with their border, also of the output gradient
			border := float64(node.In.H+g.KernelH*g.DilationH) * float64(node.In.W+g.KernelW*g.DilationW) * float64(d.kernels.Lanes)
			most = max(most, float64(in.size())*batch, float64(out.size())*batch, paddingOf(node).floatSize()*batch, border*float64(max(in.blocks(), out.blocks())))
		}
		if most > math.MaxInt32-asm.Slack {
			return fmt.Errorf("cpu: layer %d (%s) needs %.3g values for a mini-batch of %d, more than %d: take a smaller batch or smaller layers",
				node.Index, node.Name, most, opts.Batch, math.MaxInt32-asm.Slack)
		}
	}
	values := d.memory(lowered, steps, opts, training)
	if total, whose := memlimit.Total(); total > 0 && 4*values > total {
		return fmt.Errorf("cpu: the network needs about %.1f GB for a mini-batch of %d, more than %s %.1f GB: take a smaller batch or smaller layers",
			4*values/1e9, opts.Batch, whose, total/1e9)
	}
	return nil
}

// memory returns roughly how many values a program takes memory for: parameters, the
// values between and inside groups with their gradients, and what operations keep of a
// sample for their backward pass. It counts gradients as if none shared memory, so it may
// be nearly twice too high. An evaluation's brief values are estimated. Without training,
// the other values are those that large fully connected layers take or give.
func (d *device) memory(lowered *lower.Program, steps []step, opts net.Options, training bool) float64 {
	plan, batch := lowered.Plan, float64(opts.Batch)
	// Every parameter has a value. A trained one also has a gradient and moments.
	values, most := float64(plan.Parameters()), 0
	for _, q := range plan.Trained() {
		o := opts.Optimizer.For(plan, q)
		if values += float64(q.Size()) * float64(1+len(o.Moments())); o.Matrix() {
			most = max(most, q.Size())
		}
	}
	values += 5 * float64(most) // of the largest matrix: see muon
	if opts.Averages() {
		values += float64(plan.Parameters())
	}
	var sums, rooms float64 // gradients of parts of the mini-batch, and tiles: in room that all convolutions share
	take := func(size int, learns bool) {
		values += float64(size) * batch
		if learns {
			values += float64(size) * batch
		}
	}
	kept := map[*activations]bool{} // values that training keeps for a backward pass, or that take or come from a whole mini-batch
	for _, s := range steps {
		whole := false
		if s.group != nil {
			switch layer := lowered.Head(*s.group).Layer.(type) {
			case *net.Dense:
				whole = true
			case *net.BatchNorm:
				whole = !layer.Settled()
			}
		}
		if training && (whole || s.out.learns) {
			kept[s.out] = true
			for _, in := range s.ins {
				kept[in.activations] = true
			}
		}
	}
	brief := 0 // the most values of a section's samples that a thread computes at once
	for _, s := range steps {
		together := 1
		if !s.out.layout.large() {
			together = min(opts.Batch, mostTogether)
		}
		brief = max(brief, together*s.out.size)
		if kept[s.out] {
			take(s.out.size, s.out.learns)
		}
		if s.group == nil {
			continue
		}
		g := *s.group
		head, tail := lowered.Head(g), lowered.Tail(g)
		switch layer := head.Layer.(type) {
		case *net.Conv:
			if g.Pattern == lower.ConvPool || g.Pattern == lower.ConvReLUPool {
				take(head.Out.Size(), false)
				take(tail.Out.Size(), head.Learns) // where the maxima are, and the lists of gradients
				if head.Weights() > 0 {
					values += paddingOf(head).floatSize() * batch
				}
			} else {
				channels, area := groupingOf(head), head.Window.KernelH*head.Window.KernelW
				packed := area * channels.weights(d.kernels.Lanes)
				// Weights that batch normalisation is folded into, and packed ones, also for the input's gradient.
				values += float64(head.Weights() + 2*packed)
				if head.Learns {
					values += float64(area * channels.turned().weights(d.kernels.Lanes))
					sums = max(sums, gradientSums(opts.Batch, channels.leastPanels(3, d.kernels.Lanes), packed))
				}
			}
			if k := head.Window.KernelW; layer.GroupCount() == 1 && head.Window.KernelH == k && d.kernels.Winograd(k) != nil {
				// Transformed weights for the output, the same folded, and for the input's gradient.
				weights := winogradProducts * float64(head.In.C) * float64(head.Out.C)
				values += 2 * weights
				if head.Learns {
					values += weights
					pieces := (head.In.C/pieceChannels + 1) * (head.Out.C/pieceChannels + 1)
					sums = max(sums, gradientSums(opts.Batch, pieces, winogradProducts*head.In.C*head.Out.C))
				}
				rooms = max(rooms, winogradProducts*float64(max(mostTiles, head.Out.W))*float64(head.In.C+head.Out.C))
			}
		case *net.Dense:
			packed := packedDense(head.In.Size(), head.Out.Size(), d.kernels.Lanes)
			values += float64(packed)
			if training || packed > smallWeights { // transposed values and products, or values that aren't brief
				take(head.In.Size()+head.Out.Size(), false)
			}
		case *net.Pool, *net.Dropout:
			if training {
				take(head.Out.Size(), false)
			}
		}
	}
	const buffers = 3 // of brief values, as many as a chain with shortcuts needs
	threads := float64(len(d.workers.all))
	return values + sums + rooms*threads + buffers*float64(brief)*min(threads, float64(opts.Batch))
}

// takeParameters takes the memory of all parameters.
func (p *program) takeParameters() {
	trained := 0
	for _, q := range p.plan.Trained() {
		trained += q.Size()
	}
	p.gradients = make([]float32, trained)
	gradients := p.gradients
	for _, q := range p.plan.Params {
		n := q.Size()
		r := &parameter{Param: q, value: newBuffer(n)[:n]}
		if p.options.Averages() {
			r.average = make([]float32, n)
		}
		if q.Trained {
			r.grad, gradients = gradients[:n:n], gradients[n:]
			for range p.options.Optimizer.For(p.plan, q).Moments() {
				r.moments = append(r.moments, make([]float32, n))
			}
		}
		p.params = append(p.params, r)
	}
}

// takeOperations makes the operations of the steps, and what else they need.
func (p *program) takeOperations(lowered *lower.Program, steps []step, values []*activations) {
	params := make([]map[net.Role]*parameter, len(p.plan.Nodes))
	for _, q := range p.params {
		if params[q.Layer] == nil {
			params[q.Layer] = map[net.Role]*parameter{}
		}
		params[q.Layer][q.Role] = q
	}
	for _, v := range lowered.Visible {
		p.visible = append(p.visible, visible{values[v.Value], v.Output, v.Gradient})
	}
	ws, in := p.device.workers, p.plan.Network.Input
	ws.reserveSpare(in.Size())
	ws.reserveTaps(in.W)
	var operations []operation
	var ins [][]operand
	for i, s := range steps {
		op := operation{out: s.out, layers: s.layers, learns: s.out.learns}
		switch {
		case i == 0:
			op.sample = &input{&p.pass, in, s.out}
		case s.round.Step > 0:
			op.sample = &rounding{s.round, s.ins[0], s.out}
		case s.group == nil:
			if s.ins[0].adds {
				ws.reserveSpare(s.ins[0].size)
			}
			op.sample = &conversion{s.ins[0], s.out}
		default:
			p.makeGroup(&op, lowered, *s.group, s.ins, params)
		}
		operations, ins = append(operations, op), append(ins, s.ins)
	}
	p.all, p.ins, p.folded = newSequence(operations), ins, map[*blockConv]*folded{}
	operations, p.evaluationIns = p.fold(false)
	p.evaluation = newSequence(operations)
}

// step is an operation before it is made: what it takes and gives.
type step struct {
	group  *lower.Group   // nil for the first, which gathers the network's input, for a change of layout, and for rounding
	round  quantize.Scale // how it rounds; the zero Scale if it does not
	layers []int          // indices of the layers for which it is done; none for the first
	ins    []operand
	out    *activations
}

// planSteps plans the operations, and decides about layouts: each group gets its inputs
// in the layout that it wants, by a conversion where that isn't a value's own. round has
// the scales of the layers' outputs that are rounded. It also returns the values in the order
// of lowered.Values. They have no memory yet.
func planSteps(lowered *lower.Program, lanes int, round map[string]quantize.Scale) (steps []step, values []*activations) {
	converted := map[*activations][]*activations{}
	as := func(from *activations, l layout, layers []int) *activations {
		if from.layout.same(l) {
			return from
		}
		for _, c := range converted[from] {
			if c.layout.same(l) {
				return c
			}
		}
		to := newActivations(l, from.learns)
		converted[from] = append(converted[from], to)
		steps = append(steps, step{layers: layers, ins: []operand{{activations: from, wanted: from.learns}}, out: to})
		return to
	}
	rounded := func(from *activations, node int) *activations {
		var name string // of the network's input
		var layers []int
		if node != net.NetworkInput {
			name, layers = lowered.Plan.Nodes[node].Name, []int{node}
		}
		by, ok := round[name]
		if !ok {
			return from
		}
		to := newActivations(from.layout, false)
		steps = append(steps, step{round: by, layers: layers, ins: []operand{{activations: from}}, out: to})
		return to
	}
	input := newActivations(planar(lowered.Values[0].Shape), lowered.Values[0].Learns)
	steps = []step{{out: input}}
	values = []*activations{rounded(input, net.NetworkInput)}
	for i := range lowered.Groups {
		g := &lowered.Groups[i]
		var have []layout
		for _, in := range g.Inputs {
			have = append(have, values[in.Value].layout)
		}
		want, out := layoutsOf(lowered, *g, have, lanes)
		var ins []operand
		for k, in := range g.Inputs {
			from := values[in.Value]
			if from.layout.lanes > 1 && want[k].lanes > 1 && !from.layout.same(want[k]) { // its shape is another, after a flatten layer
				from = as(from, planar(from.layout.shape), g.Nodes)
			}
			ins = append(ins, operand{activations: as(from, want[k], g.Nodes), wanted: in.Wanted})
		}
		to := newActivations(out, lowered.Values[i+1].Learns)
		steps = append(steps, step{group: g, layers: g.Nodes, ins: ins, out: to})
		values = append(values, rounded(to, lowered.Tail(*g).Index))
	}
	last := values[len(values)-1]
	as(last, planar(last.layout.shape), steps[len(steps)-1].layers) // for the loss
	// The backward pass goes through the steps, and through the inputs of each, from the
	// last to the first. The first that it meets writes the gradient of a value, the
	// others add theirs.
	written := map[*activations]bool{}
	for i := len(steps) - 1; i >= 0; i-- {
		for k := len(steps[i].ins) - 1; k >= 0; k-- {
			if in := &steps[i].ins[k]; in.wanted {
				in.adds = written[in.activations]
				written[in.activations] = true
			}
		}
	}
	return steps, values
}

// layoutsOf returns the layouts in which a group takes its inputs, and in which it gives
// its output. have holds the layouts that the inputs have.
func layoutsOf(lowered *lower.Program, g lower.Group, have []layout, lanes int) (want []layout, out layout) {
	head, tail := lowered.Head(g), lowered.Tail(g)
	all := func(l layout) []layout { return slices.Repeat([]layout{l}, len(have)) }
	switch g.Pattern {
	case lower.ConvPool, lower.ConvReLUPool, lower.DenseReLU:
		return []layout{planar(head.In)}, planar(tail.Out)
	}
	switch head.Layer.(type) {
	case *net.Conv:
		out = inBlocks(head.Out, lanes).canonical()
		if g.Inputs[0].Value == 0 && !lowered.Values[0].Learns && head.In.C <= mostNarrow && head.Layer.(*net.Conv).GroupCount() == 1 && head.Out.C > 1 {
			return []layout{narrow(head.In)}, out
		}
		return []layout{inBlocks(head.In, lanes).canonical()}, out
	case *net.BatchNorm, *net.Pool:
		want = []layout{inBlocks(head.In, lanes).canonical()}
		out = inBlocks(head.Out, lanes).canonical()
		if g.Pattern == lower.NormAddReLU {
			want = append(want, out)
		}
		return want, out
	case *net.Activation, *net.Scale, *net.Add, *net.Multiply:
		for _, in := range head.Ins {
			if in != head.Out { // one factor for each channel
				x := inBlocks(head.Out, lanes).canonical()
				return []layout{x, inBlocks(in, lanes).canonical()}, x
			}
		}
		for _, l := range have { // value by value: in a layout that an input has
			if l.lanes > 1 && l.shape == head.Out {
				return all(l), l
			}
		}
	case *net.Concat:
		out := inBlocks(head.Out, lanes).canonical()
		for i, in := range head.Ins {
			want = append(want, inBlocks(in, lanes).canonical())
			if i+1 < len(head.Ins) && in.C%lanes != 0 {
				out = planar(head.Out)
			}
		}
		if out.lanes > 1 && slices.ContainsFunc(have, func(l layout) bool { return l.lanes > 1 }) {
			return want, out
		}
		want = nil
		for _, in := range head.Ins {
			want = append(want, planar(in))
		}
		return want, planar(head.Out)
	}
	return all(planar(head.In)), planar(head.Out)
}

// makeGroup makes the operation of a group of layers.
func (p *program) makeGroup(op *operation, lowered *lower.Program, g lower.Group, ins []operand, params []map[net.Role]*parameter) {
	ws, batch := p.device.workers, p.options.Batch
	head, tail := lowered.Head(g), lowered.Tail(g)
	switch g.Pattern {
	case lower.Single:
		p.singleLayer(op, tail, ins, params[tail.Index])
	case lower.ConvReLU:
		op.sample = newBlockConv(ws, &p.pass, head, ins[0], op.out, batch, params[head.Index], rectifierOf(tail))
		p.showReLU(tail, head)
	case lower.NormReLU:
		op.takeNorm(newBatchNorm(ws, &p.pass, head, ins[0], nil, op.out, params[head.Index], rectifierOf(tail), p.statistics()))
		p.showReLU(tail, head)
	case lower.NormAddReLU:
		op.takeNorm(newBatchNorm(ws, &p.pass, head, ins[0], &ins[1], op.out, params[head.Index], rectifierOf(tail), p.statistics()))
		p.showReLU(tail, head, p.plan.Nodes[g.Nodes[1]])
	case lower.AddReLU:
		op.sample = &add{ins, op.out, true}
		p.showReLU(tail, head)
	case lower.ConvPool, lower.ConvReLUPool:
		op.sample = p.pooledConv(g, ins[0], op.out, params[head.Index])
	case lower.DenseReLU:
		op.batch = newDense(ws, &p.pass, head, ins[0], op.out, batch, params[head.Index], true)
		p.showReLU(tail, head)
	default:
		panic(fmt.Sprintf("BUG: group of pattern %q", g.Pattern))
	}
}

// takeNorm makes the operation a batch normalisation. One that is frozen as a whole treats
// each sample by itself in training too.
func (op *operation) takeNorm(norm *batchNorm) {
	if norm.settled {
		op.sample = &settledNorm{norm}
	} else {
		op.batch = norm
	}
}

// singleLayer makes the operation of a layer that is a group by itself.
func (p *program) singleLayer(op *operation, node net.Node, ins []operand, params map[net.Role]*parameter) {
	ws, batch, in, out := p.device.workers, p.options.Batch, ins[0], op.out
	switch layer := node.Layer.(type) {
	case *net.Conv:
		op.sample = newBlockConv(ws, &p.pass, node, in, out, batch, params, rectifier{})
	case *net.Dense:
		op.batch = newDense(ws, &p.pass, node, in, out, batch, params, false)
	case *net.Pool:
		op.sample = newPool(ws, &p.pass, layer.PoolMode(), node, in, out)
	case *net.Activation:
		op.sample = newActivation(p.device.kernels, layer, in, out)
	case *net.Dropout:
		if in.adds {
			ws.reserveSpare(in.size)
		}
		op.sample = newDropout(&p.pass, node, layer.Rate, p.options.Seed, in, out)
	case *net.BatchNorm:
		op.takeNorm(newBatchNorm(ws, &p.pass, node, in, nil, out, params, rectifier{}, p.statistics()))
	case *net.Add:
		op.sample = &add{ins, out, false}
	case *net.Concat:
		op.sample = &concat{ins, out}
	case *net.Multiply:
		if node.Ins[0] == node.Ins[1] {
			op.sample = &multiply{[2]operand(ins), out}
		} else {
			op.sample = newGate(ws, node.Out, ins[0], ins[1], out)
		}
	case *net.Scale:
		op.sample = &scale{float32(layer.Factor), in, out}
	default:
		panic(fmt.Sprintf("BUG: layer of kind %s", node.Layer.Kind()))
	}
}

// pooledConv makes the operation of a convolution and of the max pooling after it.
func (p *program) pooledConv(g lower.Group, in operand, out *activations, params map[net.Role]*parameter) *conv {
	batch, relu := p.options.Batch, g.Pattern == lower.ConvReLUPool
	head, second, tail := p.plan.Nodes[g.Nodes[0]], p.plan.Nodes[g.Nodes[1]], p.plan.Nodes[g.Nodes[len(g.Nodes)-1]]
	own := newActivations(planar(head.Out), head.Learns) // the output of the convolution, with its ReLU
	p.visible[head.Index] = visible{own, true, head.Learns}
	if relu {
		p.visible[second.Index] = p.visible[head.Index]
	}
	op := newConv(p.device.workers, &p.pass, head, in, own, batch, params, relu)
	op.poolInto(newMaxPool(tail, operand{own, head.Learns, false}, out, batch), tail)
	if relu {
		p.showReLU(second, head)
	}
	return op
}

// showReLU corrects what is visible of a ReLU and the layers that are computed with it.
// Their own outputs never exist, and their gradients take the place of the gradient of
// the ReLU's output.
func (p *program) showReLU(relu net.Node, before ...net.Node) {
	shared := p.visible[relu.Index].activations
	for i := range p.visible {
		if p.visible[i].activations == shared {
			p.visible[i].grad = false // also that of a flatten layer after the ReLU
		}
	}
	for _, node := range before {
		p.visible[node.Index] = visible{shared, false, node.Learns}
	}
}

// newSequence groups neighbouring operations that treat each sample by itself, and that
// all compute samples one by one, or all several together. So the values of the samples
// stay in the caches from one operation to the next.
func newSequence(operations []operation) sequence {
	var sections []section
	for i, op := range operations {
		group := 0 // no matter
		switch op := op.sample.(type) {
		case groupOp:
			group = op.group()
		case *conv: // whose images are large, usually
			group = 1
		}
		if group == 0 && op.sample != nil && op.out.layout.large() {
			group = 1
		}
		if i > 0 && op.sample != nil && operations[i-1].sample != nil {
			s := &sections[len(sections)-1]
			if group == 0 || s.group == 0 || group > 1 == (s.group > 1) {
				s.end, s.group = s.end+1, max(s.group, group)
				continue
			}
		}
		sections = append(sections, section{i, i + 1, group})
	}
	return sequence{operations, sections}
}
