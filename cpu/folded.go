package cpu

import "github.com/gputrain/gputrain/net"

// folded is a convolution with the batch normalisation after it, in evaluation. There the
// running statistics are constants, so both are one convolution: with the weights times
// what normalisation multiplies by, and the bias that follows. It is the same in training
// for layers that are frozen, and behind others that are.
type folded struct {
	blockConv
	plain            *blockConv // the convolution by itself
	norm             *batchNorm
	weights, running int64 // versions of what is folded
	folds            int64 // how often that was done
	foldTask         func(w *worker, filter int)
}

// normOf returns the batch normalisation that an operation is, or nil.
func normOf(op operation) *batchNorm {
	switch op := op.computes().(type) {
	case *batchNorm:
		return op
	case *settledNorm:
		return op.norm
	}
	return nil
}

// fold returns the operations of an evaluation that isn't traced or, with training, those of
// a step, and their inputs. They are the program's, but a convolution and the batch
// normalisation after it are folded if nothing else takes the convolution's output, in
// another layout perhaps. In training, both must be frozen, and all before them. In an
// evaluation, another batch normalisation treats each sample by itself, and so does a fully
// connected layer with few weights.
func (p *program) fold(training bool) (out []operation, outIns [][]operand) {
	operations, ins := p.all.operations, p.ins
	convs, uses := map[*activations]*blockConv{}, map[*activations]int{}
	for i, op := range operations {
		if conv, ok := op.sample.(*blockConv); ok && !conv.rectifier.is {
			convs[op.out] = conv
		}
		for _, in := range ins[i] {
			uses[in.activations]++
		}
	}
	folds := map[*activations]bool{} // outputs of convolutions that are folded
	for _, op := range operations {
		norm := normOf(op)
		if norm != nil && convs[norm.in.activations] != nil && uses[norm.in.activations] == 1 && (!training || norm.settled && !op.learns) {
			folds[norm.in.activations] = true
		}
	}
	add := func(op operation, sample sampleOp, in ...operand) {
		out, outIns = append(out, operation{sample: sample, out: op.out, layers: op.layers}), append(outIns, in)
	}
	for i, op := range operations {
		norm := normOf(op)
		full, connected := op.batch.(*dense)
		switch {
		case folds[op.out]:
		case norm != nil && folds[norm.in.activations]:
			conv := convs[norm.in.activations]
			both := p.folded[conv]
			if both == nil {
				both = newFolded(conv, norm)
				p.folded[conv] = both
			}
			add(op, both, conv.in)
			if norm.added != nil {
				add(op, &addTo{norm.added, op.out, norm.rectifier}, *norm.added)
			} else if both.winograd != nil && norm.rectifier.six() { // Winograd's method applies only a ReLU
				add(op, &addTo{nil, op.out, norm.rectifier})
			}
		case training:
			out, outIns = append(out, op), append(outIns, ins[i])
		case norm != nil:
			add(op, &settledNorm{norm}, ins[i]...)
		case connected && full.small():
			add(op, denseSamples{full}, ins[i]...)
		default:
			out, outIns = append(out, op), append(outIns, ins[i])
		}
	}
	return out, outIns
}

// newFolded returns the operation that computes what norm makes of conv's output. What norm
// adds, it leaves out, and the rectifier behind that too.
func newFolded(conv *blockConv, norm *batchNorm) *folded {
	size := len(conv.weight.value)
	params := map[net.Role]*parameter{net.Weight: {value: newBuffer(size)[:size]}, net.Bias: {value: make([]float32, conv.node.Out.C)}}
	var r rectifier
	if norm.added == nil {
		r = norm.rectifier
	}
	op := &folded{blockConv: *newBlockConv(conv.workers, conv.pass, conv.node, conv.in, norm.out, conv.batch, params, r), plain: conv, norm: norm, weights: -1}
	op.foldTask = op.foldFilter
	return op
}

func (op *folded) ready() {
	weights, running := op.pass.version(op.plain.weight, op.plain.bias, op.norm.weight, op.norm.bias), op.pass.running
	if op.norm.settled { // its statistics don't move
		running = 0
	}
	if op.weights == weights && op.running == running {
		return
	}
	op.weights, op.running = weights, running
	op.norm.settle(0, op.node.Out.C)
	op.workers.do(op.node.Out.C, op.foldTask)
	op.folds++
	op.pack(op.folds)
}

// foldFilter folds a filter.
func (op *folded) foldFilter(_ *worker, k int) {
	size := len(op.weight.value) / op.node.Out.C
	scale := float64(op.norm.weight.value[k]) * op.norm.inverse[k]
	from, to := op.plain.weight.value[k*size:][:size], op.weight.value[k*size:][:size]
	for i, v := range from {
		to[i] = float32(float64(v) * scale)
	}
	bias := -op.norm.mean[k]
	if op.plain.bias != nil {
		bias += float64(op.plain.bias.value[k])
	}
	op.bias.value[k] = float32(bias*scale + float64(op.norm.bias.value[k]))
}

// addTo adds a value to the output if there is one, and applies a rectifier.
type addTo struct {
	in        *operand
	out       *activations
	rectifier rectifier
}

func (op *addTo) forward(w *worker, n int) {
	y := op.out.at(w, n)
	if op.in != nil {
		w.kernel.Add(y, op.in.at(w, n))
	}
	op.rectifier.of(w.kernel, y)
}

func (op *addTo) backward(*worker, int) { panic("BUG: what is folded has no gradients") }
