//go:build cuda

package cuda

import (
	"math"
	"slices"

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
	criterion, others, shares := r.criterion(batch, classes)
	slot := r.random.IntN(3)
	k := kernels.SoftmaxCrossEntropy{Batch: uint32(batch), Classes: uint32(classes), State: at(r.state(0, slot)),
		Queued: at(r.queued(slot, kernels.Queued{Weight: float32(1 / float64(batch))})),
		Spread: float32(criterion.Smoothing / float64(classes)), Kept: float32(1 - criterion.Smoothing)}
	var targets []float64
	for i, label := range labels {
		other, share := label, 1.0
		if others != nil {
			other, share = others[i], float64(shares[i])
		}
		targets = append(targets, criterion.Target(classes, label, other, share)...)
	}
	for i := range logits { // what is not expected may be impossible
		if targets[i] == 0 && i%classes > 0 && r.random.IntN(20) == 0 {
			logits[i] = float32(math.Inf(-1))
		}
	}
	k.Logits = at(put(r, logits))
	if r.random.IntN(2) == 0 { // eighths too, so that the sums are exact
		given, bias := slices.Clone(logits), drawn(classes, func() float32 { return float32(r.random.IntN(97)-48) / 8 })
		for i := range given {
			given[i] -= bias[i%classes]
		}
		b := put(r, bias)
		k.Logits, k.Bias = at(put(r, given)), optionally(&b)
	}
	want := reference.CrossEntropy(doubles(logits), targets, labels, classes)
	var wantLosses []float64
	var wantHits []int32
	for i, label := range labels {
		row := func(of []float64) []float64 { return of[i*classes : (i+1)*classes] }
		one := reference.CrossEntropy(row(doubles(logits)), row(targets), []int32{label}, classes)
		wantLosses, wantHits = append(wantLosses, one.Sum), append(wantHits, int32(one.Hits))
	}
	if others != nil {
		o, s := put(r, others), put(r, shares)
		k.Others, k.Shares = optionally(&o), optionally(&s)
	}
	if criterion.ClassWeights != nil {
		o := put(r, singles(criterion.ClassWeights))
		k.ClassWeights = optionally(&o)
	}
	var probabilities, losses *operand[float32]
	var gradient *layerValues
	var hits *operand[int32]
	if r.random.IntN(3) > 0 {
		o := room[float32](r, len(logits))
		probabilities, k.Probabilities = &o, optionally(&o)
	}
	if r.random.IntN(3) > 0 {
		l, h := room[float32](r, batch), room[int32](r, batch)
		losses, hits, k.Losses, k.Hits = &l, &h, optionally(&l), optionally(&h)
	}
	if r.kind == kernels.BF16 || r.random.IntN(3) > 0 { // without a gradient the kernel has no type
		o := r.room(len(logits))
		gradient, k.Gradient = &o, o.at()
	}
	if losses != nil || gradient != nil {
		o := put(r, labels)
		k.Labels = optionally(&o)
	}
	r.launch(k)
	// A thread sums at most a 32nd of a row one by one; an exponential is off by the roundoff of its argument, which is at
	// most 12, and its own. Targets are at most 1.5. Smoothed, their sum and that of their losses are over the row too.
	tolerance, sums := approx.Tolerance{Rel: (64 + float64(classes)/32) * u}, 2*u
	if criterion.Smoothing > 0 {
		sums = tolerance.Rel
	}
	if probabilities != nil {
		check(r, "probabilities", *probabilities, want.Probabilities, tolerance)
	}
	if gradient != nil {
		r.check("gradient", *gradient, want.Gradient, approx.Tolerance{Abs: 3 * tolerance.Rel / float64(batch)})
	}
	if losses != nil {
		check(r, "losses", *losses, wantLosses, approx.Tolerance{Abs: 1.5 * tolerance.Rel, Rel: sums})
		checkWhole(r, "hits", *hits, wantHits)
	}
}

// criterion draws what training expects: plain cross-entropy, or smoothed labels, weights of the classes, of which some are 0,
// and samples that are mixed with others, of which some have the same label.
func (r *kernelRig) criterion(batch, classes int) (l net.Criterion, others []int32, shares []float32) {
	if r.random.IntN(2) == 0 {
		l.Smoothing = r.random.Float64() / 2
	}
	if r.random.IntN(2) == 0 {
		l.ClassWeights = doubles(drawn(classes, func() float32 { return max(0, 2*r.random.Float32()-0.5) }))
	}
	if r.random.IntN(2) == 0 {
		others = drawn(batch, func() int32 { return r.random.Int32N(int32(classes)) })
		shares = drawn(batch, func() float32 { return min(1, 1.25*r.random.Float32()) })
	}
	return l, others, shares
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
	narrow         int // gradients that are bfloat16
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
	s.narrow = r.narrowed(s.g)
	return s
}

// narrowed draws how many gradients are bfloat16, and rounds these.
func (r *kernelRig) narrowed(g []float32) int {
	narrow := []int{0, r.random.IntN(len(g) + 1), r.random.IntN(len(g)+1) / 4 * 4}[r.random.IntN(3)]
	for i := range narrow {
		g[i] = nearestBFloat16(g[i]).Float32()
	}
	return narrow
}

// gradients brings gradients to the device, each to the buffer of its type.
func (r *kernelRig) gradients(g []float32, narrow int) kernels.Gradients {
	wide := slices.Clone(g)
	var brief []kernels.BFloat16
	for i := range narrow {
		brief = append(brief, nearestBFloat16(g[i]))
		wide[i] = float32(math.NaN())
	}
	on := kernels.Gradients{G: at(put(r, wide))}
	if narrow > 0 {
		on.G16 = kernels.Optional[kernels.BFloat16](put(r, brief).at())
	}
	return on
}

// rounding is a buffer for rounded weights, or none.
func (r *kernelRig) rounding(count int) (operand[kernels.BFloat16], kernels.Optional[kernels.BFloat16]) {
	o := room[kernels.BFloat16](r, count)
	if r.random.IntN(2) == 0 {
		return o, 0
	}
	return o, kernels.Optional[kernels.BFloat16](o.at())
}

// checkRounding compares rounded weights, where there are any, with the weights.
func (r *kernelRig) checkRounding(o operand[kernels.BFloat16], at kernels.Optional[kernels.BFloat16], w operand[float32]) {
	r.Helper()
	if at == 0 {
		return
	}
	var want []kernels.BFloat16
	for _, v := range w.get() {
		want = append(want, nearestBFloat16(v))
	}
	checkWhole(r, "rounded weights", o, want)
}

// want returns weights and moments as the reference leaves them.
func (s updates) want() (w, m, v []float64) {
	w, m, v = doubles(s.w), doubles(s.m), doubles(s.v)
	g := doubles(s.g)
	for i := range g {
		g[i] *= float64(s.factor)
	}
	plain := s.o
	plain.WeightDecay = 0
	for _, part := range []struct {
		o        net.Optimizer
		from, to int
	}{{s.o, 0, s.decayed}, {plain, s.decayed, s.count}} {
		a, b := part.from, part.to
		reference.Update(part.o, s.step, 1, w[a:b], g[a:b], map[string][]float64{"m": m[a:b], "v": v[a:b]})
	}
	return w, m, v
}

// rates are the numbers of the step.
func (s updates) rates(r *kernelRig) operand[kernels.Rates] {
	return r.rates(s.slot, s.o.Rates(s.step))
}

func (s updates) clip(r *kernelRig) kernels.Optional[float32] {
	if s.factor == 1 {
		return 0
	}
	o := put(r, []float32{s.factor})
	return optionally(&o)
}

func trySGD(r *kernelRig) {
	o := net.Optimizer{Rule: net.Rule{Method: net.SGD, LearningRate: r.random.Float64(), WeightDecay: r.random.Float64()}}
	if r.random.IntN(2) == 0 {
		o.Momentum, o.Nesterov = r.random.Float64(), r.random.IntN(2) == 0
	}
	s := r.updates(o)
	wantW, _, wantV := s.want()
	w, v := put(r, s.w), put(r, s.v)
	w16, w16At := r.rounding(s.count)
	k := kernels.SGD{W: at(w), W16: w16At, Gradients: r.gradients(s.g, s.narrow), Narrow: uint64(s.narrow), State: at(r.state(s.step, s.slot)), Rates: at(s.rates(r)), Clip: s.clip(r),
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
	r.checkRounding(w16, w16At, w)
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
	w16, w16At := r.rounding(s.count)
	r.launch(kernels.Adam{W: at(w), W16: w16At, Gradients: r.gradients(s.g, s.narrow), Narrow: uint64(s.narrow), M: at(m), V: at(v), State: at(r.state(s.step, s.slot)), Rates: at(s.rates(r)),
		Clip: s.clip(r), Count: uint64(s.count), Decayed: uint64(s.decayed), Beta1: float32(o.Beta1), OneLessBeta1: float32(1 - o.Beta1),
		Beta2: float32(o.Beta2), OneLessBeta2: float32(1 - o.Beta2), Epsilon: float32(o.Epsilon), WeightDecay: float32(o.WeightDecay),
		Apart: int32(boolInt(o.Method == net.AdamW))})
	// First moments are at most 3, second ones from 0.05 to 5: a weight changes by at most a rate of 0.3 times 3/sqrt(0.05), and
	// each has up to ten roundings, with those of the constants.
	tolerance := approx.Tolerance{Abs: 50 * u}
	check(r, "m", m, wantM, tolerance)
	check(r, "v", v, wantV, tolerance)
	check(r, "w", w, wantW, tolerance)
	r.checkRounding(w16, w16At, w)
}

func tryLion(r *kernelRig) {
	o := net.LionDefault(0.1 * r.random.Float64())
	o.WeightDecay = r.random.Float64()
	// Quarters of moments and gradients: their sums are exact, so that each has the reference's sign, and some are 0.
	o.Beta1, o.Beta2 = 0.25*float64(1+r.random.IntN(3)), r.random.Float64()
	s := r.updates(o)
	s.m, s.g, s.factor = r.wholes(s.count, 2), r.wholes(s.count, 2), []float32{1, 0.5}[r.random.IntN(2)]
	wantW, wantM, _ := s.want()
	w, m := put(r, s.w), put(r, s.m)
	w16, w16At := r.rounding(s.count)
	r.launch(s.lion(r, w, w16At, m))
	tolerance := approx.Tolerance{Abs: 10 * u} // moments are at most 2, and weights 1; each has up to five roundings
	check(r, "m", m, wantM, tolerance)
	check(r, "w", w, wantW, tolerance)
	r.checkRounding(w16, w16At, w)
}

func (s updates) lion(r *kernelRig, w operand[float32], w16 kernels.Optional[kernels.BFloat16], m operand[float32]) kernels.Lion {
	r.Helper()
	return kernels.Lion{W: at(w), W16: w16, Gradients: r.gradients(s.g, s.narrow), Narrow: uint64(s.narrow), M: at(m),
		State: at(r.state(s.step, s.slot)), Rates: at(s.rates(r)), Clip: s.clip(r), Count: uint64(s.count), Decayed: uint64(s.decayed),
		Beta1: float32(s.o.Beta1), OneLessBeta1: float32(1 - s.o.Beta1), Beta2: float32(s.o.Beta2), OneLessBeta2: float32(1 - s.o.Beta2)}
}

// tryLionNaN has gradients that are NaN: a sign must not hide them.
func tryLionNaN(r *kernelRig) {
	s := r.updates(net.LionDefault(0.1))
	s.narrow = 0
	for i := range s.g {
		if r.random.IntN(3) == 0 {
			s.g[i] = float32(math.NaN())
		}
	}
	w := put(r, s.w)
	r.launch(s.lion(r, w, 0, put(r, s.m)))
	for i, v := range w.get() {
		if isNaN := v != v; isNaN != (s.g[i] != s.g[i]) {
			r.Errorf("weight %d is %v after a gradient of %v", i, v, s.g[i])
		}
	}
}

func tryMoveAverage(r *kernelRig) {
	n, slot, rate := r.count(), r.random.IntN(3), r.random.Float32()
	if r.random.IntN(4) == 0 {
		rate = 0
	}
	back := r.random.IntN(2) == 0
	a, w := r.values(n), r.values(n)
	want, wantW := doubles(a), doubles(w)
	for i := range want {
		want[i] += float64(rate) * (wantW[i] - want[i])
	}
	average, weights := put(r, a), put(r, w)
	k := kernels.MoveAverage{A: at(average), W: at(weights), State: at(r.state(0, slot)),
		Queued: at(r.queued(slot, kernels.Queued{Average: rate, Back: uint32(boolInt(back))})), Count: uint64(n)}
	var w16 operand[kernels.BFloat16]
	if back {
		w16, k.W16 = r.rounding(n)
	}
	r.launch(k)
	check(r, "the averages", average, want, approx.Tolerance{Abs: 5 * u}) // a difference of at most 2, its product and a sum
	if back {
		wantW = doubles(average.get())
		r.checkRounding(w16, k.W16, weights)
	}
	check(r, "the weights", weights, wantW, exact)
}

func tryExchange(r *kernelRig) {
	n := r.count()
	a, b := r.values(n), r.values(n)
	first, second := put(r, a), put(r, b)
	r.launch(kernels.Exchange{A: at(first), B: at(second), Count: uint64(n)})
	check(r, "the first", first, doubles(b), exact)
	check(r, "the second", second, doubles(a), exact)
}

func tryClipping(r *kernelRig) {
	n := []int{r.count(), 4096 * r.about(5), 4096*r.about(4) + 1}[r.random.IntN(3)]
	g := r.wholes(n, 30) // whose squares' sum is exact
	parts := kernels.SquareSumsOf(uint64(n))
	partial := room[float64](r, int(parts))
	narrow := r.narrowed(g)
	r.launch(kernels.SquareSums{Partial: at(partial), Gradients: r.gradients(g, narrow), Count: uint64(n), Narrow: uint64(narrow)})
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
