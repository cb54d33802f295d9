package cpu

import (
	"fmt"
	"math"

	"github.com/gputrain/gputrain/cpu/asm"
	"github.com/gputrain/gputrain/internal/memlimit"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/lower"
)

// Fuses reports whether the device computes nodes, which follow the pattern, as one;
// see lower.Fuser. A ReLU is computed with the convolution or fully connected layer
// before it. Max pooling is computed with a convolution if there are kernels for
// gradients through both.
func (f fuser) Fuses(p lower.Pattern, nodes []net.Node) bool {
	switch p {
	case lower.ConvReLU, lower.DenseReLU:
		return true
	case lower.ConvPool, lower.ConvReLUPool:
		kernels, _ := patchesThrough(f.kernels, nodes[0], nodes[len(nodes)-1])
		return kernels != nil
	}
	return false
}

// newProgram plans a program's operations and allocates its memory. Without
// prepareTraining the program can only run forward, on weights that SetState gives it.
func newProgram(d *device, plan *net.Plan, opts net.Options) (*program, error) {
	lowered := lower.Lower(plan, d.fuser)
	if err := d.checkSizes(lowered, opts); err != nil {
		return nil, err
	}
	p := &program{device: d, plan: plan, options: opts}
	p.options.Images = nil
	p.takeParameters()
	p.takeOperations(lowered)
	p.sections = sectionsOf(p.operations)
	logits := p.operations[len(p.operations)-1].out
	p.loss = newLoss(d.workers, &p.pass, logits, opts.Batch, opts.Loss)
	p.forwardTask = p.forwardSample
	return p, nil
}

// learner is an operation that prepares something for its backward pass.
type learner interface{ planGradients(batch int) }

// prepareTraining makes what only training needs. Nothing else in a program refers to
// backward passes, so the linker leaves them out of programs that don't call
// prepareTraining.
func (p *program) prepareTraining() {
	for _, op := range p.operations {
		var l learner
		if op.sample != nil {
			l, _ = op.sample.(learner)
		} else {
			l, _ = op.batch.(learner)
		}
		if op.learns && l != nil {
			l.planGradients(p.options.Batch)
		}
	}
	p.optimizer = newOptimizer(p.device.workers, p.plan, p.options, p.params)
	p.backwardTask = p.backwardSample
}

// checkSizes returns an error if an int32 can't number the values of a mini-batch
// between two layers. It also returns one if the program can't fit in the machine's
// memory, because there Go would end the process. Sizes are multiplied as float64,
// which can't overflow.
func (d *device) checkSizes(lowered *lower.Program, opts net.Options) error {
	plan, batch := lowered.Plan, float64(opts.Batch)
	for _, node := range plan.Nodes {
		most := float64(max(node.In.Size(), node.Out.Size())) * batch
		if _, ok := node.Layer.(*net.Conv); ok {
			source, gradient := spreads(node)
			most = max(most, source.floatSize()*batch, gradient.floatSize())
		}
		if most > math.MaxInt32-asm.Slack {
			return fmt.Errorf("cpu: layer %d (%s) needs %.3g values for a mini-batch of %d, more than %d: take a smaller batch or smaller layers",
				node.Index, node.Name, most, opts.Batch, math.MaxInt32-asm.Slack)
		}
	}
	values := d.memory(lowered, opts)
	if total, whose := memlimit.Total(); total > 0 && 4*values > total {
		return fmt.Errorf("cpu: the network needs about %.1f GB for a mini-batch of %d, more than %s %.1f GB: take a smaller batch or smaller layers",
			4*values/1e9, opts.Batch, whose, total/1e9)
	}
	return nil
}

// memory returns roughly how many values a program takes memory for: parameters, the
// values between and inside groups with their gradients, and what operations keep of a
// sample for their backward pass.
func (d *device) memory(lowered *lower.Program, opts net.Options) float64 {
	plan, batch := lowered.Plan, float64(opts.Batch)
	// Every parameter has a value. A trained one also has a gradient and moments.
	values := float64(plan.Parameters()) + float64(plan.Weights())*float64(1+len(opts.Optimizer.Moments()))
	if opts.Average > 0 {
		values += float64(plan.Parameters())
	}
	take := func(s net.Shape, learns bool) {
		values += float64(s.Size()) * batch
		if learns {
			values += float64(s.Size()) * batch
		}
	}
	for _, v := range lowered.Values {
		take(v.Shape, v.Learns)
	}
	for _, g := range lowered.Groups {
		head, tail := lowered.Head(g), lowered.Tail(g)
		switch layer := head.Layer.(type) {
		case *net.Conv:
			if g.Pattern == lower.ConvPool || g.Pattern == lower.ConvReLUPool {
				take(head.Out, head.Learns)
				take(tail.Out, head.Learns) // where the maxima are, and the lists of gradients
			}
			if head.Weights() > 0 {
				source, _ := spreads(head)
				values += source.floatSize() * batch
			}
			if k := head.Window.KernelW; layer.GroupCount() == 1 && head.Window.KernelH == k && d.kernels.Winograd(k) != nil {
				values += winogradProducts * float64(head.In.C) * float64(head.Out.C) // transformed weights
			}
		case *net.Pool, *net.Dropout:
			take(head.Out, false)
		}
	}
	return values
}

// takeParameters takes the memory of all parameters.
func (p *program) takeParameters() {
	for _, q := range p.plan.Params {
		n := q.Size()
		r := &parameter{Param: q, value: newBuffer(n)[:n]}
		if p.options.Average > 0 {
			r.average = make([]float32, n)
		}
		if q.Trained {
			r.grad = make([]float32, n)
			for range p.options.Optimizer.Moments() {
				r.moments = append(r.moments, make([]float32, n))
			}
		}
		p.params = append(p.params, r)
	}
}

// takeOperations makes the operations and their memory. The first operation gathers
// the network's input. Each of the others computes a group of layers. The output of
// operation i is value i.
func (p *program) takeOperations(lowered *lower.Program) {
	params := make([]map[net.Role]*parameter, len(p.plan.Nodes))
	for _, q := range p.params {
		if params[q.Layer] == nil {
			params[q.Layer] = map[net.Role]*parameter{}
		}
		params[q.Layer][q.Role] = q
	}
	for _, v := range lowered.Visible {
		p.visible = append(p.visible, visible{value: v.Output, grad: v.Gradient})
	}
	values := make([]*activations, len(lowered.Values))
	for i, v := range lowered.Values {
		values[i] = newActivations(v.Shape.Size(), p.options.Batch, v.Learns)
	}
	for i, v := range lowered.Visible {
		p.visible[i].activations = values[v.Value]
	}
	in := p.plan.Network.Input
	p.device.workers.reserveSpare(in.Size())
	p.device.workers.reserveTaps(in.W)
	p.operations = []operation{{sample: &input{&p.pass, in, values[0]}, out: values[0]}}
	for i, g := range lowered.Groups {
		tail := lowered.Tail(g)
		var ins []operand
		for _, in := range g.Inputs {
			ins = append(ins, operand{values[in.Value], in.Wanted, in.Adds})
		}
		op := operation{out: values[i+1], layers: g.Nodes, learns: tail.Learns}
		switch g.Pattern {
		case lower.Single:
			p.singleLayer(&op, tail, ins, params[tail.Index])
		case lower.ConvReLU, lower.ConvPool, lower.ConvReLUPool:
			op.sample = p.fusedConv(g, ins[0], op.out, params[g.Nodes[0]])
		case lower.DenseReLU:
			head := lowered.Head(g)
			op.batch = newDense(p.device.workers, &p.pass, head, ins[0], op.out, p.options.Batch, params[head.Index], true)
			p.showReLU(head, tail)
		default:
			panic(fmt.Sprintf("BUG: group of pattern %q", g.Pattern))
		}
		p.operations = append(p.operations, op)
	}
}

// singleLayer makes the operation of a layer that is a group by itself.
func (p *program) singleLayer(op *operation, node net.Node, ins []operand, params map[net.Role]*parameter) {
	ws, batch, in, out := p.device.workers, p.options.Batch, ins[0], op.out
	switch layer := node.Layer.(type) {
	case *net.Conv:
		op.sample = newConv(ws, &p.pass, node, in, out, batch, params, false)
	case *net.Dense:
		op.batch = newDense(ws, &p.pass, node, in, out, batch, params, false)
	case *net.Pool:
		op.sample = newPool(layer.PoolMode(), node, in, out, batch)
	case *net.Activation:
		op.sample = newActivation(p.device.kernels, layer, in, out)
	case *net.Dropout:
		if in.adds {
			ws.reserveSpare(in.size)
		}
		op.sample = newDropout(&p.pass, node, layer.Rate, p.options.Seed, in, out, batch)
	case *net.BatchNorm:
		op.batch = newBatchNorm(ws, &p.pass, node, in, out, batch, params)
	case *net.Add:
		op.sample = &add{ins, out}
	case *net.Concat:
		op.sample = &concat{ins, out}
	case *net.Multiply:
		op.sample = newMultiply(node.Ins, ins, out)
	case *net.Scale:
		op.sample = &scale{float32(layer.Factor), in, out}
	default:
		panic(fmt.Sprintf("BUG: layer of kind %s", node.Layer.Kind()))
	}
}

// fusedConv makes the operation of a convolution and the layers that follow it in its
// group.
func (p *program) fusedConv(g lower.Group, in operand, out *activations, params map[net.Role]*parameter) *conv {
	ws, batch := p.device.workers, p.options.Batch
	head, second, tail := p.plan.Nodes[g.Nodes[0]], p.plan.Nodes[g.Nodes[1]], p.plan.Nodes[g.Nodes[len(g.Nodes)-1]]
	relu, pooled := g.Pattern != lower.ConvPool, g.Pattern != lower.ConvReLU
	own := out // the output of the convolution, with its ReLU
	if pooled {
		own = newActivations(head.Out.Size(), batch, head.Learns)
		p.visible[head.Index] = visible{own, true, head.Learns}
		if relu {
			p.visible[second.Index] = p.visible[head.Index]
		}
	}
	op := newConv(ws, &p.pass, head, in, own, batch, params, relu)
	if pooled {
		pool := newPool(net.MaxPool, tail, operand{own, head.Learns, false}, out, batch)
		op.poolInto(pool, tail)
	}
	if relu {
		p.showReLU(head, second)
	}
	return op
}

// showReLU corrects what is visible of a layer and the ReLU that is computed with it.
// The layer's own output never exists, and its gradient takes the place of the
// gradient of the ReLU's output.
func (p *program) showReLU(head, relu net.Node) {
	shared := p.visible[relu.Index].activations
	for i := range p.visible {
		if p.visible[i].activations == shared {
			p.visible[i].grad = false // also that of a flatten layer after the ReLU
		}
	}
	p.visible[head.Index] = visible{shared, false, head.Learns}
}

// sectionsOf groups neighbouring operations that treat each sample by itself.
func sectionsOf(operations []operation) []section {
	var sections []section
	for i, op := range operations {
		if i > 0 && op.sample != nil && operations[i-1].sample != nil {
			sections[len(sections)-1].end++
			continue
		}
		sections = append(sections, section{i, i + 1})
	}
	return sections
}
