//go:build cuda

package cuda

import (
	"math"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// Kernels of the loss, the metrics and the optimisers.

func trySoftmax(r *kernelRig) {
	classes := 2 + r.random.IntN([]int{4, 40, 130, 1200}[r.random.IntN(4)])
	batch := r.about(max(1, min(40, 4000/classes)))
	if r.random.IntN(20) == 0 {
		batch, classes = 2, 100_000-r.random.IntN(4)
	}
	logits := drawn(batch*classes, func() float32 { return float32(r.random.IntN(97)-48) / 8 }) // some are equal
	labels := drawn(batch, func() int32 { return r.random.Int32N(int32(classes)) })
	want, slot := reference.SoftmaxCrossEntropy(doubles(logits), labels, classes), r.random.IntN(3)
	var wantLosses []float64
	var wantHits []int32
	for i, label := range labels {
		one := reference.SoftmaxCrossEntropy(doubles(logits[i*classes:(i+1)*classes]), []int32{label}, classes)
		wantLosses, wantHits = append(wantLosses, one.Sum), append(wantHits, int32(one.Hits))
	}
	k := kernels.SoftmaxCrossEntropy{Logits: at(put(r, logits)), Batch: uint32(batch), Classes: uint32(classes),
		State: at(r.state(0, slot)), Queued: at(r.queued(slot, kernels.Queued{Weight: float32(1 / float64(batch))}))}
	var probabilities, losses, gradient *operand[float32]
	var hits *operand[int32]
	if r.random.IntN(3) > 0 {
		o := room[float32](r, len(logits))
		probabilities, k.Probabilities = &o, optionally(&o)
	}
	if r.random.IntN(3) > 0 {
		l, h := room[float32](r, batch), room[int32](r, batch)
		losses, hits, k.Losses, k.Hits = &l, &h, optionally(&l), optionally(&h)
	}
	if r.random.IntN(3) > 0 {
		o := room[float32](r, len(logits))
		gradient, k.Gradient = &o, optionally(&o)
	}
	if losses != nil || gradient != nil {
		o := put(r, labels)
		k.Labels = optionally(&o)
	}
	r.launch(k)
	// A thread sums at most a 32nd of a row one by one; an exponential is off by the roundoff of its argument, which is at
	// most 12, and its own.
	tolerance := approx.Tolerance{Rel: (64 + float64(classes)/32) * u}
	if probabilities != nil {
		check(r, "probabilities", *probabilities, want.Probabilities, tolerance)
	}
	if gradient != nil {
		check(r, "gradient", *gradient, want.Gradient, approx.Tolerance{Abs: tolerance.Rel / float64(batch)})
	}
	if losses != nil {
		check(r, "losses", *losses, wantLosses, approx.Tolerance{Abs: tolerance.Rel, Rel: 2 * u})
		checkWhole(r, "hits", *hits, wantHits)
	}
}

func tryAddMetrics(r *kernelRig) {
	batch, training, updates := r.about(600), int32(r.random.IntN(2)), r.random.Uint32N(2)
	if r.random.IntN(8) == 0 {
		batch = 0 // an update alone
	}
	losses, hits := r.values(batch), drawn(batch, func() int32 { return r.random.Int32N(2) })
	sums := kernels.Sums{Loss: r.random.Float64(), Hits: r.random.Int64N(1 << 40), Samples: r.random.Int64N(1 << 40)}
	state := kernels.StepState{Step: r.random.Int64N(1 << 40), Slot: r.random.Uint32N(32)}
	if r.random.IntN(3) == 0 {
		sums.FirstBad = 1 + r.random.Int64N(9)
	}
	finite := batch == 0 || r.random.IntN(3) > 0
	if !finite {
		losses[r.random.IntN(batch)] = float32(math.Inf(1 - 2*r.random.IntN(2)))
	}
	wantSums, wantState := sums, state
	for i := range losses {
		wantSums.Loss += float64(losses[i])
		wantSums.Hits += int64(hits[i])
		wantSums.Samples++
	}
	wantState.Slot++
	wantState.Step += int64(updates)
	if training == 1 && !finite && sums.FirstBad == 0 {
		wantSums.FirstBad = state.Step + 1
	}
	s, at0 := put(r, []kernels.Sums{sums}), put(r, []kernels.StepState{state})
	// Of no samples there are losses all the same: nothing reads them.
	r.launch(kernels.AddMetrics{Sums: at(s), State: at(at0), Losses: at(put(r, append(losses, 1))), Hits: at(put(r, append(hits, 1))), Batch: uint32(batch),
		Training: training, Updates: updates})
	got := s.get()[0]
	// Each of the sums in float64 is rounded by 2^-53 of at most 600.
	approx.Check(r, "loss", []float64{got.Loss}, []float64{wantSums.Loss}, approx.Tolerance{Abs: 600 * 600 * math.Ldexp(1, -53)})
	got.Loss, wantSums.Loss = 0, 0
	if got != wantSums {
		r.Errorf("sums %+v, want %+v", got, wantSums)
	}
	if got := at0.get()[0]; got != wantState {
		r.Errorf("state %+v, want %+v", got, wantState)
	}
}

// updates is a step of an optimiser over weights of which some decay.
type updates struct {
	o              net.Optimizer
	step           int64
	slot           int
	count, decayed int
	w, g           []float32
	factor         float32 // of clipping; 1: none
	m, v           []float32
}

func (r *kernelRig) updates(o net.Optimizer) updates {
	s := updates{o: o, step: r.random.Int64N(1000), slot: r.random.IntN(3), count: r.count(), factor: 1}
	s.decayed = r.random.IntN(s.count + 1)
	s.w, s.g, s.m, s.v = r.values(s.count), r.values(s.count), r.values(s.count), r.positive(s.count)
	if r.random.IntN(2) == 0 {
		s.factor = r.random.Float32()
	}
	return s
}

// want returns weights and moments as the reference leaves them.
func (s updates) want() (w, m, v []float64) {
	w, m, v = doubles(s.w), doubles(s.m), doubles(s.v)
	g := doubles(s.g)
	for i := range g {
		g[i] *= float64(s.factor)
	}
	for _, part := range []struct{ from, to int }{{0, s.decayed}, {s.decayed, s.count}} {
		a, b := part.from, part.to
		reference.Update(s.o, s.step, net.Param{Decayed: a == 0 && b == s.decayed}, w[a:b], g[a:b], map[string][]float64{"m": m[a:b], "v": v[a:b]})
	}
	return w, m, v
}

// queued are the numbers of the step.
func (s updates) queued(r *kernelRig, update float64) operand[kernels.Queued] {
	return r.queued(s.slot, kernels.Queued{Update: float32(update), Decay: float32(s.o.Rate(s.step) * s.o.WeightDecay)})
}

func (s updates) clip(r *kernelRig) kernels.Optional[float32] {
	if s.factor == 1 {
		return 0
	}
	o := put(r, []float32{s.factor})
	return optionally(&o)
}

func trySGD(r *kernelRig) {
	o := net.Optimizer{Method: net.SGD, LearningRate: r.random.Float64(), WeightDecay: r.random.Float64()}
	if r.random.IntN(2) == 0 {
		o.Momentum, o.Nesterov = r.random.Float64(), r.random.IntN(2) == 0
	}
	s := r.updates(o)
	wantW, _, wantV := s.want()
	w, v := put(r, s.w), put(r, s.v)
	k := kernels.SGD{W: at(w), G: at(put(r, s.g)), State: at(r.state(s.step, s.slot)), Queued: at(s.queued(r, o.Rate(s.step))), Clip: s.clip(r),
		Count: uint64(s.count), Decayed: uint64(s.decayed), Momentum: float32(o.Momentum), Nesterov: int32(boolInt(o.Nesterov)),
		WeightDecay: float32(o.WeightDecay)}
	if o.Momentum > 0 {
		k.V = optionally(&v)
	}
	r.launch(k)
	// Gradients with decay are at most 2, velocities 3.1 and what is taken from a weight 5.1; each has up to nine roundings, with
	// those of the constants.
	tolerance := approx.Tolerance{Abs: 50 * u}
	check(r, "w", w, wantW, tolerance)
	check(r, "v", v, wantV, tolerance)
}

func tryAdam(r *kernelRig) {
	o := net.AdamDefault(0.1 * r.random.Float64())
	o.WeightDecay, o.Beta1, o.Beta2 = r.random.Float64(), r.random.Float64(), 0.5+0.49*r.random.Float64()
	if r.random.IntN(2) == 0 {
		o.Method = net.AdamW
	}
	s := r.updates(o)
	s.step += 3 // so that the correction of the moments' bias is not far from 1
	wantW, wantM, wantV := s.want()
	w, m, v := put(r, s.w), put(r, s.m), put(r, s.v)
	r.launch(kernels.Adam{W: at(w), G: at(put(r, s.g)), M: at(m), V: at(v), State: at(r.state(s.step, s.slot)), Queued: at(s.queued(r, o.AdamRate(s.step))),
		Clip: s.clip(r), Count: uint64(s.count), Decayed: uint64(s.decayed), Beta1: float32(o.Beta1), OneLessBeta1: float32(1 - o.Beta1),
		Beta2: float32(o.Beta2), OneLessBeta2: float32(1 - o.Beta2), Epsilon: float32(o.Epsilon), WeightDecay: float32(o.WeightDecay),
		Apart: int32(boolInt(o.Method == net.AdamW))})
	// First moments are at most 3, second ones from 0.05 to 5: a weight changes by at most a rate of 0.3 times 3/sqrt(0.05), and
	// each has up to ten roundings, with those of the constants.
	tolerance := approx.Tolerance{Abs: 50 * u}
	check(r, "m", m, wantM, tolerance)
	check(r, "v", v, wantV, tolerance)
	check(r, "w", w, wantW, tolerance)
}

func tryClipping(r *kernelRig) {
	n := []int{r.count(), 4096 * r.about(5), 4096*r.about(4) + 1}[r.random.IntN(3)]
	g := r.wholes(n, 30) // whose squares' sum is exact
	parts := kernels.SquareSumsOf(uint64(n))
	partial := room[float64](r, int(parts))
	r.launch(kernels.SquareSums{Partial: at(partial), G: at(put(r, g)), Count: uint64(n)})
	var sum, want float64
	for _, v := range g {
		want += float64(v) * float64(v)
	}
	for _, p := range partial.get() {
		sum += p
	}
	approx.Check(r, "the sum of squares", []float64{sum}, []float64{want}, exact)
	most := float32(math.Sqrt(want) * 2 * r.random.Float64())
	clip := room[float32](r, 1)
	r.launch(kernels.ClipFactor{Clip: at(clip), Partial: at(partial), Parts: parts, Most: most})
	one := [][]float64{{1}}
	if want > 0 {
		one[0][0] = math.Min(1, float64(most)/math.Sqrt(want))
	}
	check(r, "clip", clip, one[0], approx.Tolerance{Rel: 2 * u}) // a division
}
