//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"unsafe"

	"gorgonia.org/cu"
	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
)

// program is a compiled network. Its exported methods hand their work to the device's thread, where all the others run.
type program struct {
	device  *Device
	plan    *net.Plan
	options net.Options
	closed  bool
	failed  error // the first error after which nothing can be trusted

	chain       []operation    // chain[i] makes activations[i+1]
	names       []passNames    // of the chain
	activations []*activations // [0] is the input
	views       []view         // by layer
	lowest      int            // the first operation with trained parameters; len(chain): none

	parameters []*parameter // as in Plan.Params
	flat       flat
	memory     []Buffer // that activations, gradients and masks share; and single ones
	saved      int64    // bytes that sharing saves
	perSample  int64    // bytes that a sample of the mini-batch needs; 0: not planned yet
	slack      int64    // bytes that alignment may cost

	labels, losses, hits, probabilities Buffer
	sums, clip, squares                 Buffer
	result                              pinned // where sums and probabilities arrive

	workspace  Buffer
	queue      *queue
	graphs     map[work]*graph
	warm       map[work]bool // has run once without a graph
	capturing  bool
	graphError error // why this program's work isn't captured, though it should be
	step       int64 // updates made or queued

	// What the device's thread is to do next, and that as functions made once: a step allocates nothing.
	task     func() error
	batch    net.Batch
	perform  func() error
	stepping func() error
}

// flat holds all trained parameters, in buffers without holes but for alignment, those that decay first: so that one
// launch updates all of them. Holes hold zeros, which every optimiser leaves alone.
type flat struct {
	values, grads  Buffer
	rounded        Buffer // in bfloat16: the values as products take them
	moments        []Buffer
	count, decayed int64 // values
}

// Bytes of the structures that kernels share with the host.
const (
	stateBytes = int64(unsafe.Sizeof(kernels.StepState{}))
	ratesBytes = int64(unsafe.Sizeof(kernels.Rates{}))
	sumsBytes  = int64(unsafe.Sizeof(kernels.Sums{}))
)

// newProgram plans the chain and its memory.
func newProgram(d *Device, plan *net.Plan, opts net.Options) (p *program, err error) {
	p = &program{device: d, plan: plan, options: opts, graphs: map[work]*graph{}, warm: map[work]bool{}}
	p.perform, p.stepping = p.performTask, p.queueStep
	defer func() {
		if err != nil {
			err = errors.Join(d.explain(p.fits(err)), p.release())
			p = nil
		}
	}()
	if err := p.takeParameters(); err != nil {
		return p, err
	}
	p.link()
	if err := p.takeMemory(); err != nil {
		return p, err
	}
	if p.queue, err = newQueue(p); err != nil {
		return p, err
	}
	if err := p.chooseAlgorithms(); err != nil {
		return p, err
	}
	return p, p.setState(net.InitialState(plan, opts.Seed))
}

// chooseAlgorithms chooses those of mini-batches of the full size now, so that data sets don't take the room for workspaces;
// nor, if it can be helped, workspaces the room in which a data set is streamed that has none.
func (p *program) chooseAlgorithms() (err error) {
	pool := p.device.pool
	margin, err := pool.take(int64(p.options.Batch)*p.staged(), "the samples of mini-batches on their way")
	if err != nil && !errors.Is(err, ErrOutOfMemory) {
		return err
	}
	defer func() { err = errors.Join(err, pool.give(margin)) }()
	for _, op := range p.chain {
		if c, ok := op.(*convolve); ok && c.needs() != [directions]bool{} {
			if _, err := c.at(p.options.Batch); err != nil {
				return err
			}
		}
	}
	return nil
}

// staged is how many bytes a sample of the mini-batch takes in the smallest stage, as float32.
func (p *program) staged() int64 { return 2 * 4 * (int64(p.plan.Network.Input.Size()) + 1) }

// takeParameters takes the memory of all parameters.
func (p *program) takeParameters() error {
	pool := p.device.pool
	for _, q := range p.plan.Params {
		p.parameters = append(p.parameters, &parameter{Param: q})
	}
	order := slices.Clone(p.parameters)
	slices.SortStableFunc(order, func(a, b *parameter) int {
		return -cmp.Compare(boolInt(a.Decayed), boolInt(b.Decayed))
	})
	const pad = alignment / 4
	offsets := map[*parameter]int64{}
	for _, q := range order {
		if !q.Trained {
			continue
		}
		offsets[q] = p.flat.count
		p.flat.count += (int64(q.Size()) + pad - 1) / pad * pad
		if q.Decayed {
			p.flat.decayed = p.flat.count
		}
	}
	take := func(into *Buffer, count int64, what string) (err error) {
		if *into, err = pool.take(4*count, what); err != nil {
			return err
		}
		return p.device.zero(*into)
	}
	err := firstError(take(&p.flat.values, p.flat.count, "the weights"), take(&p.flat.grads, p.flat.count, "the weights' gradients"))
	for _, m := range p.options.Optimizer.Moments() {
		p.flat.moments = append(p.flat.moments, Buffer{})
		err = firstError(err, take(&p.flat.moments[len(p.flat.moments)-1], p.flat.count, "the optimiser's "+m))
	}
	if p.device.bf16() && err == nil {
		p.flat.rounded, err = pool.take(2*p.flat.count, "the weights in bfloat16")
	}
	if err != nil {
		return err
	}
	for _, q := range p.parameters {
		if !q.Trained {
			if err := take(&q.value, int64(q.Size()), q.Name); err != nil {
				return err
			}
			continue
		}
		at, bytes := 4*offsets[q], 4*int64(q.Size())
		q.value, q.grad = p.flat.values.part(at, bytes), p.flat.grads.part(at, bytes)
		q.factor = q.value
		if p.device.bf16() {
			q.factor = p.flat.rounded.part(at/2, bytes/2)
		}
		for _, m := range p.flat.moments {
			q.moments = append(q.moments, m.part(at, bytes))
		}
	}
	return nil
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// view says where a layer's output and its gradient can be seen.
type view struct {
	at     int   // of the activations
	value  bool  // they are the layer's output
	grad   bool  // their gradient is that of the layer's output
	within *slot // or this is it, once the operation behind has run its backward pass
	after  bool  // or their gradient is, once it has
}

// link makes the chain.
func (p *program) link() {
	in := newActivations(p.plan.Network.Input)
	p.activations = []*activations{in}
	p.lowest = -1
	seen := view{at: 0, value: true}
	parameters := p.parameters
	layers := p.plan.Layers
	for i := 0; i < len(layers); i++ {
		l := layers[i]
		of := map[net.Role]*parameter{}
		for range l.Params {
			of[parameters[0].Role] = parameters[0]
			parameters = parameters[1:]
		}
		if _, ok := l.Layer.(*net.Flatten); ok {
			// The same values in the same order; only their shape is another.
			in = &activations{l.Out, in.value, in.grad}
			p.views = append(p.views, seen)
			continue
		}
		at := len(p.chain) + 1
		out := newActivations(l.Out)
		place := link{program: p, layer: l, in: in, out: out, parameters: of}
		var op operation
		seen = view{at: at, value: true, grad: true}
		views := []view{seen}
		switch layer := l.Layer.(type) {
		case *net.Conv:
			t := p.tailOf(i)
			if t == biasReLUPool {
				out.shape = layers[i+2].Out
			}
			c := newConvolve(place, t, p.lowest >= 0)
			op = c
			switch t {
			case biasReLU:
				views = []view{{at: at, after: true}, {at: at, value: true, grad: true}}
			case biasReLUPool:
				views = []view{{at: at}, {at: at}, {at: at, value: true, grad: true}}
				if c.keepsGradient() {
					views[0].within = &c.gradient
				}
			}
		case *net.Dense:
			d := &dense{link: place, relu: p.tailOf(i) == biasReLU}
			op = d
			if d.relu {
				views = []view{{at: at, after: true}, {at: at, value: true, grad: true}}
			}
		case *net.Pool:
			op = newSubsample(place, layer.PoolMode())
		case *net.Activation:
			op = newActivate(place, layer)
		case *net.Dropout:
			op = &dropout{link: place, rate: layer.Rate}
		case *net.BatchNorm:
			momentum, epsilon := layer.Settings()
			op = &batchNorm{link: place, momentum: momentum, epsilon: epsilon}
		default:
			panic(fmt.Sprintf("BUG: layer of kind %s", l.Layer.Kind()))
		}
		if len(of) > 0 && p.lowest < 0 {
			p.lowest = len(p.chain)
		}
		p.chain = append(p.chain, op)
		p.names = append(p.names, newPassNames(p.plan.Layers[i:i+len(views)]))
		p.activations = append(p.activations, out)
		p.views = append(p.views, views...)
		seen = views[len(views)-1]
		i += len(views) - 1
		in = out
	}
	if p.lowest < 0 {
		p.lowest = len(p.chain)
	}
}

// tailOf says what can be done in one kernel behind layer i: it needs a bias.
func (p *program) tailOf(i int) tail {
	layers := p.plan.Layers
	biased := len(layers[i].Params) == 2
	relu := func(i int) bool {
		if i >= len(layers) {
			return false
		}
		a, ok := layers[i].Layer.(*net.Activation)
		return ok && a.Func == net.ReLU
	}
	if !biased || !relu(i+1) {
		return biasOnly
	}
	if _, dense := layers[i].Layer.(*net.Dense); dense || i+2 >= len(layers) {
		return biasReLU
	}
	pool, ok := layers[i+2].Layer.(*net.Pool)
	if !ok || pool.PoolMode() != net.MaxPool {
		return biasReLU
	}
	if w := layers[i+2].Window; w.KernelH != 2 || w.KernelW != 2 || w.StrideH != 2 || w.StrideW != 2 || w.Top != 0 || w.Left != 0 {
		return biasReLU
	}
	return biasReLUPool
}

// mostValues bounds the values of a mini-batch between two layers: kernels, and cuDNN's, number them with 32 bits.
const mostValues = 1 << 31

// takeMemory plans when each value lives and takes the memory for all of them.
func (p *program) takeMemory() error {
	batch := int64(p.options.Batch)
	loss := len(p.chain) + 1 // positions: 0 is the input, then the chain, the loss, and the chain backwards
	back := func(op int) int { return 2*loss - (op + 1) }
	var slots []*slot
	for i, a := range p.activations {
		count := batch * int64(a.shape.Size())
		*a.value, *a.grad = newSlot(count, i, i+1), newSlot(count, back(i), back(i-1))
		slots = append(slots, a.value)
		if i > p.lowest {
			slots = append(slots, a.grad)
		}
	}
	for i, op := range p.chain {
		need := op.claim(i+1, back(i))
		if need.input {
			p.activations[i].value.extend(back(i))
		}
		if need.output {
			p.activations[i+1].value.extend(back(i))
		}
		slots = append(slots, need.own...)
	}
	for _, s := range slots {
		if s.bytes > 4*mostValues {
			return fmt.Errorf("a mini-batch of %d has %d values between two layers, more than %d: use a smaller one", batch, s.bytes/4, int64(mostValues))
		}
	}
	if err := p.takeSlots(slots); err != nil {
		return err
	}
	for _, b := range []struct {
		into  *Buffer
		bytes int64
		what  string
	}{
		{&p.labels, 4 * batch, "labels"}, {&p.losses, 4 * batch, "losses"}, {&p.hits, 4 * batch, "hits"},
		{&p.probabilities, 4 * batch * int64(p.plan.Classes), "probabilities"},
		{&p.sums, sumsBytes, "sums"}, {&p.clip, 4, "the clipping factor"}, {&p.squares, 8 * kernels.MostSquareSums, "sums of squares"},
	} {
		var err error
		if *b.into, err = p.device.pool.take(b.bytes, b.what); err != nil {
			return err
		}
	}
	var err error
	if p.result, err = takePinned(max(sumsBytes, p.probabilities.Bytes)); err != nil {
		return err
	}
	return p.device.zero(p.sums)
}

// takeSlots places the slots in one buffer, or in one each where every buffer is to be an allocation.
func (p *program) takeSlots(slots []*slot) error {
	var values []*value
	var apart int64
	for _, s := range slots {
		values = append(values, &s.value)
		apart += aligned(s.bytes)
	}
	total := place(values)
	what := "activations and their gradients (most of it for " + p.largest() + ")"
	if p.device.options.SingleAllocations {
		total = apart
	}
	batch := int64(p.options.Batch)
	p.perSample = (total+batch-1)/batch + 12 + 4*int64(p.plan.Classes) + 4*stepsAhead + p.staged()
	p.slack = alignment * int64(len(slots)+8)
	if p.device.options.SingleAllocations {
		for _, s := range slots {
			b, err := p.device.pool.take(s.bytes, what)
			if err != nil {
				return err
			}
			s.Buffer = b
			p.memory = append(p.memory, b)
		}
		return nil
	}
	all, err := p.device.pool.take(total, what)
	if err != nil {
		return err
	}
	p.memory = append(p.memory, all)
	p.saved = apart - total
	p.device.pool.stats.Planned += p.saved
	for _, s := range slots {
		s.Buffer = all.part(s.offset, s.bytes)
	}
	return nil
}

// largest names the layer with the largest output.
func (p *program) largest() string {
	return slices.MaxFunc(p.plan.Layers, func(a, b net.PlannedLayer) int { return cmp.Compare(a.Out.Size(), b.Out.Size()) }).Name
}

// reserveWorkspace sees to it that the workspace has so many bytes. Graphs that hold a smaller one's address are captured
// again.
func (p *program) reserveWorkspace(bytes int64, what string) error {
	if bytes <= p.workspace.Bytes {
		return nil
	}
	b, err := p.device.pool.take(bytes, what)
	if err != nil {
		return p.fits(err)
	}
	old := p.workspace
	p.workspace = b
	if old.Bytes == 0 {
		return nil
	}
	return errors.Join(p.forgetGraphs(), p.device.pool.give(old))
}

// fits adds to an error of memory which mini-batch would fit.
func (p *program) fits(err error) error {
	var e *OutOfMemoryError
	if !errors.As(err, &e) {
		return err
	}
	e.BatchSize = p.options.Batch
	if p.perSample == 0 {
		return err // not even the parameters have room
	}
	room, pieces, e2 := p.device.pool.room()
	if e2 != nil {
		return errors.Join(err, e2)
	}
	if p.device.options.SingleAllocations {
		room = pieces
	}
	perSample := p.perSample
	if len(p.memory) > 0 { // the activations had room, so it is a workspace that has not
		perSample += e.Bytes / int64(e.BatchSize)
		room += p.workspace.Bytes
	}
	for _, b := range p.memory {
		room += b.Bytes
	}
	e.Fits = int(min(max((room-p.slack)/perSample, 0), int64(e.BatchSize-1)))
	return err
}

func (p *program) state() kernels.Pointer[kernels.StepState] {
	return kernels.Pointer[kernels.StepState](p.queue.block.Address)
}

// run enqueues one piece of work as it stands in the block's next slot.
func (p *program) run(w work) error {
	ranges := p.device.ranges
	ranges.begin(rangeGather)
	err := p.gather(w)
	ranges.end()
	if err != nil {
		return err
	}
	m := &pass{n: w.n, training: w.kind == training}
	for i, op := range p.chain {
		ranges.begin(p.names[i].forward)
		err := op.forward(m)
		ranges.end()
		if err != nil {
			return err
		}
	}
	ranges.begin(rangeLoss)
	err = p.judge(w)
	ranges.end()
	if err != nil || w.kind != training {
		return err
	}
	for i := len(p.chain) - 1; i >= p.lowest; i-- {
		ranges.begin(p.names[i].backward)
		err := p.chain[i].backward(m, i > p.lowest)
		ranges.end()
		if err != nil {
			return err
		}
	}
	ranges.begin(rangeUpdate)
	defer ranges.end()
	if err := p.update(); err != nil {
		return err
	}
	if err := p.roundWeights(); err != nil {
		return err
	}
	return p.addMetrics(w.n, true)
}

// judge computes what the work wants of probabilities, losses and the logits' gradient.
func (p *program) judge(w work) error {
	switch w.kind {
	case inferring:
		return p.softmax(w.n, true, false, false)
	case evaluating:
		if err := p.softmax(w.n, false, true, false); err != nil {
			return err
		}
		return p.addMetrics(w.n, false)
	}
	return p.softmax(w.n, false, true, p.lowest < len(p.chain))
}

// gather brings the samples of the slot to the input.
func (p *program) gather(w work) error {
	x, label := floats(p.activations[0].value.Buffer), kernels.Pointer[int32](p.labels.Address)
	from, labelsFrom := w.data.samples, w.data.labels
	if w.data.streamed {
		from, labelsFrom = p.queue.stage.samples, p.queue.stage.labels
	}
	labels, indices := kernels.Pointer[int32](labelsFrom.Address), kernels.Pointer[int32](p.queue.indices())
	batch, capacity, size := uint32(w.n), uint32(p.options.Batch), uint32(p.activations[0].shape.Size())
	if w.data.of.pixels {
		return p.device.launch(kernels.GatherBytes{X: x, Label: label, Pixels: kernels.Pointer[uint8](from.Address),
			Labels: labels, State: p.state(), Indices: indices, Batch: batch, Capacity: capacity, Size: size, Scale: w.data.of.scale})
	}
	return p.device.launch(kernels.GatherFloats{X: x, Label: label, Values: floats(from), Labels: labels, State: p.state(),
		Indices: indices, Batch: batch, Capacity: capacity, Size: size})
}

// softmax computes probabilities, losses and hits, and the gradient of the mean loss, as asked for.
func (p *program) softmax(n int, probabilities, losses, gradient bool) error {
	last := p.activations[len(p.activations)-1]
	k := kernels.SoftmaxCrossEntropy{Logits: floats(last.value.Buffer), Batch: uint32(n), Classes: uint32(p.plan.Classes),
		Scale: float32(1 / float64(n))}
	if probabilities {
		k.Probabilities = optional(p.probabilities)
	}
	if losses {
		k.Losses = optional(p.losses)
		k.Labels, k.Hits = kernels.Optional[int32](p.labels.Address), kernels.Optional[int32](p.hits.Address)
	}
	if gradient {
		k.Gradient = optional(last.grad.Buffer)
	}
	return p.device.launch(k)
}

func (p *program) addMetrics(n int, training bool) error {
	return p.device.launch(kernels.AddMetrics{Sums: kernels.Pointer[kernels.Sums](p.sums.Address), State: p.state(), Losses: floats(p.losses),
		Hits: kernels.Pointer[int32](p.hits.Address), Batch: uint32(n), Training: int32(boolInt(training))})
}

// update runs the optimiser over all trained parameters.
func (p *program) update() error {
	f, o := &p.flat, p.options.Optimizer
	if f.count == 0 {
		return nil
	}
	var clip kernels.Optional[float32]
	if o.ClipNorm > 0 {
		clip = optional(p.clip)
		squares := kernels.Pointer[float64](p.squares.Address)
		err := p.device.launch(kernels.SquareSums{Partial: squares, G: floats(f.grads), Count: uint64(f.count)})
		if err != nil {
			return err
		}
		if err := p.device.launch(kernels.ClipFactor{Clip: floats(p.clip), Partial: squares, Parts: kernels.SquareSumsOf(uint64(f.count)), Most: float32(o.ClipNorm)}); err != nil {
			return err
		}
	}
	rates := kernels.Pointer[kernels.Rates](p.queue.rates())
	if o.Method == net.SGD {
		k := kernels.SGD{W: floats(f.values), G: floats(f.grads), State: p.state(), Rates: rates, Clip: clip, Count: uint64(f.count),
			Decayed: uint64(f.decayed), Momentum: float32(o.Momentum), Nesterov: int32(boolInt(o.Nesterov)), WeightDecay: float32(o.WeightDecay)}
		if len(f.moments) > 0 {
			k.V = optional(f.moments[0])
		}
		return p.device.launch(k)
	}
	return p.device.launch(kernels.Adam{W: floats(f.values), G: floats(f.grads), M: floats(f.moments[0]), V: floats(f.moments[1]),
		State: p.state(), Rates: rates, Clip: clip, Count: uint64(f.count), Decayed: uint64(f.decayed),
		Beta1: float32(o.Beta1), OneLessBeta1: float32(1 - o.Beta1), Beta2: float32(o.Beta2), OneLessBeta2: float32(1 - o.Beta2),
		Epsilon: float32(o.Epsilon), WeightDecay: float32(o.WeightDecay), Apart: int32(boolInt(o.Method == net.AdamW))})
}

// do runs f on the device's thread, unless the program is closed or an earlier error has left it worthless.
func (p *program) do(f func() error) error {
	if p.closed || p.device.closed {
		return net.ErrClosed
	}
	if p.failed != nil {
		return p.failed
	}
	p.task = f
	return p.device.thread.do(p.perform)
}

// performTask runs the task. A GPU that is lost with it makes the program worthless.
func (p *program) performTask() error {
	err := p.task()
	if err != nil && p.failed == nil {
		if err = p.device.explain(err); errors.Is(err, ErrDeviceLost) {
			p.failed = err
		}
	}
	return err
}

// check refuses a batch that does not fit; most bounds it, 0 does not.
func (p *program) check(b net.Batch, most int) error {
	if p.closed || p.device.closed {
		return net.ErrClosed
	}
	if err := b.Check(p.plan); err != nil {
		return err
	}
	if most > 0 && b.Len() > most {
		return fmt.Errorf("%w: %d samples, compiled for %d", net.ErrBatchSize, b.Len(), most)
	}
	return nil
}

// Step queues one training step. Steps go to the device several at once.
func (p *program) Step(b net.Batch) error {
	if err := p.check(b, p.options.Batch); err != nil {
		return err
	}
	p.batch = b
	return p.do(p.stepping)
}

// queueStep queues a training step on p.batch.
func (p *program) queueStep() error {
	o := p.options.Optimizer
	r := kernels.Rates{Update: float32(o.Rate(p.step)), Decay: float32(o.Rate(p.step) * o.WeightDecay)}
	if o.Method != net.SGD {
		r.Update = float32(o.AdamRate(p.step))
	}
	if err := p.queue.add(training, p.batch, r); err != nil {
		return err
	}
	p.step++
	return nil
}

// pieces calls f for at most Options.Batch samples of b at a time.
func (p *program) pieces(b net.Batch, f func(piece net.Batch) error) error {
	for indices := range slices.Chunk(b.Indices, p.options.Batch) {
		if err := f(net.Batch{Data: b.Data, Indices: indices}); err != nil {
			return err
		}
	}
	return nil
}

// Evaluate queues forward passes in evaluation mode.
func (p *program) Evaluate(b net.Batch) error {
	if err := p.check(b, 0); err != nil {
		return err
	}
	return p.do(func() error {
		return p.pieces(b, func(piece net.Batch) error { return p.queue.add(evaluating, piece, kernels.Rates{}) })
	})
}

// Infer returns class probabilities.
func (p *program) Infer(b net.Batch) (*tensor.Dense, error) {
	if err := p.check(b, 0); err != nil {
		return nil, err
	}
	var out []float32
	err := p.do(func() error {
		return p.pieces(b, func(piece net.Batch) error {
			if err := p.queue.add(inferring, piece, kernels.Rates{}); err != nil {
				return err
			}
			if err := p.queue.flush(); err != nil {
				return err
			}
			count := piece.Len() * p.plan.Classes
			if err := p.read(p.probabilities, 4*int64(count), p.device.synchronize); err != nil {
				return err
			}
			out = append(out, slice[float32](p.result, 0, count)...)
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return tensor.New(tensor.WithShape(b.Len(), p.plan.Classes), tensor.WithBacking(out)), nil
}

// read copies the beginning of a buffer to p.result and waits until it is there.
func (p *program) read(from Buffer, bytes int64, wait func() error) error {
	if err := call("cuMemcpyDtoHAsync", cu.MemcpyDtoHAsync(p.result.pointer, from.Address, bytes, p.device.stream)); err != nil {
		return err
	}
	return wait()
}

// Metrics waits for the device and returns the sums since the last call.
func (p *program) Metrics() (m net.Metrics, err error) {
	err = p.do(func() error {
		if err := p.queue.flush(); err != nil {
			return err
		}
		if err := p.read(p.sums, sumsBytes, p.device.sleep); err != nil {
			return err
		}
		s := slice[kernels.Sums](p.result, 0, 1)[0]
		m = net.Metrics{Samples: s.Samples, Loss: s.Loss, Hits: s.Hits, FirstBad: s.FirstBad}
		return p.device.zero(p.sums.part(0, int64(unsafe.Offsetof(s.FirstBad)))) // the first bad step stays
	})
	return m, err
}

// momentName is the name of a parameter's moment in a State.
func momentName(q net.Param, moment string) string { return q.Name + "." + moment }

// State returns a copy of weights and optimiser state.
func (p *program) State() (net.State, error) {
	s := net.State{Params: map[string]*tensor.Dense{}, Optimizer: map[string]*tensor.Dense{}}
	err := p.do(func() error {
		if err := p.queue.flush(); err != nil {
			return err
		}
		s.Step = p.step
		for _, q := range p.parameters {
			t, err := p.download(q.value, q.Dims...)
			if err != nil {
				return err
			}
			s.Params[q.Name] = t
			for i, m := range q.moments {
				if s.Optimizer[momentName(q.Param, p.options.Optimizer.Moments()[i])], err = p.download(m, q.Dims...); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return net.State{}, err
	}
	return s, nil
}

// download waits for the device and copies a buffer to a tensor.
func (p *program) download(b Buffer, dims ...int) (*tensor.Dense, error) {
	count := 1
	for _, n := range dims {
		count *= n
	}
	out := make([]float32, count)
	err := call("cuMemcpyDtoHAsync", cu.MemcpyDtoHAsync(unsafe.Pointer(unsafe.SliceData(out)), b.Address, 4*int64(count), p.device.stream))
	if err != nil {
		return nil, err
	}
	if err := p.device.synchronize(); err != nil {
		return nil, err
	}
	return tensor.New(tensor.WithShape(dims...), tensor.WithBacking(out)), nil
}

// SetState takes over a copy of s.
func (p *program) SetState(s net.State) error {
	return p.do(func() error {
		if err := s.Check(p.plan, p.options.Optimizer); err != nil {
			return err
		}
		if err := p.queue.flush(); err != nil {
			return err
		}
		return p.setState(s)
	})
}

func (p *program) setState(s net.State) error {
	upload := func(to Buffer, t *tensor.Dense) error {
		if t == nil {
			return p.device.zero(to)
		}
		values := t.Data().([]float32)
		return call("cuMemcpyHtoDAsync", cu.MemcpyHtoDAsync(to.Address, unsafe.Pointer(unsafe.SliceData(values)), 4*int64(len(values)), p.device.stream))
	}
	for _, q := range p.parameters {
		if err := upload(q.value, s.Params[q.Name]); err != nil {
			return err
		}
		for i, m := range q.moments {
			if err := upload(m, s.Optimizer[momentName(q.Param, p.options.Optimizer.Moments()[i])]); err != nil {
				return err
			}
		}
	}
	if err := p.roundWeights(); err != nil {
		return err
	}
	p.step = s.Step
	bad := int64(unsafe.Offsetof(kernels.Sums{}.FirstBad))
	if err := p.device.zero(p.sums.part(bad, 8)); err != nil {
		return err
	}
	return p.device.synchronize() // the caller may change its tensors
}

// GraphError returns why work could not be captured as a graph: then it runs kernel by kernel, right but slower. It is nil
// where nothing has failed.
func (p *program) GraphError() error { return p.graphError }

// Close gives back all memory.
func (p *program) Close() error {
	if p.closed {
		return nil
	}
	p.closed = true
	p.device.programs = slices.DeleteFunc(p.device.programs, func(q *program) bool { return q == p })
	return p.device.thread.do(p.release)
}

// release gives back whatever has been taken.
func (p *program) release() error {
	pool := p.device.pool
	errs := []error{p.device.synchronize()}
	for _, g := range p.graphs {
		errs = append(errs, g.close())
	}
	for _, op := range p.chain {
		errs = append(errs, op.close())
	}
	if p.queue != nil {
		errs = append(errs, p.queue.close())
	}
	buffers := append(append([]Buffer{p.flat.values, p.flat.grads, p.flat.rounded, p.labels, p.losses, p.hits, p.probabilities, p.sums, p.clip, p.squares},
		p.flat.moments...), append(p.memory, p.workspace)...)
	for _, q := range p.parameters {
		if !q.Trained {
			buffers = append(buffers, q.value)
		}
	}
	for _, b := range buffers {
		errs = append(errs, pool.give(b))
	}
	pool.stats.Planned -= p.saved
	return p.device.ended(append(errs, p.result.close())...)
}
