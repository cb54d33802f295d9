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

// Kernels that add biases and reduce by channel, and those of batch normalisation. They take values of both types in both
// layouts.

// placing is how the values of a tensor lie in device memory.
type placing struct {
	kind  kernels.Type
	last  bool // channels last
	shape net.Shape
	batch int
}

// placing draws a small tensor: with few or many channels, which often are a multiple of what moves at once.
func (r *kernelRig) placing() placing {
	p := placing{kind: r.kind, last: r.last, shape: r.shape(), batch: r.about(9)}
	switch r.random.IntN(4) {
	case 0:
		p.shape = net.Shape{C: []int{1, 8}[r.random.IntN(2)] * r.about(150), H: 1, W: 1} // as after a dense layer
	case 1:
		p.shape.C = 8 * r.about(20)
		p.shape.H, p.shape.W = r.about(4), r.about(4)
	case 2:
		p.shape.H, p.shape.W = 8, r.about(8) // runs in which 16 bytes can move at once
	}
	return p
}

func (p placing) count() int { return p.batch * p.shape.Size() }

// rows returns how kernels see the tensor: a batch of channels of extent values.
func (p placing) rows() (batch, channels, extent uint32) {
	n, c, area := uint32(p.batch), uint32(p.shape.C), uint32(p.shape.H*p.shape.W)
	if p.last {
		return n * area, c, 1
	}
	return n, c, area
}

// channel returns the channel of value i in the order of the reference, NCHW.
func (p placing) channel(i int) int { return i / (p.shape.H * p.shape.W) % p.shape.C }

// place returns where value i lies.
func (p placing) place(i int) int {
	if !p.last {
		return i
	}
	area := p.shape.H * p.shape.W
	n, c, at := i/area/p.shape.C, p.channel(i), i%area
	return (n*area+at)*p.shape.C + c
}

// fit rounds values to those of the type.
func (p placing) fit(values []float32) []float32 {
	if p.kind == kernels.BF16 {
		for i, v := range values {
			values[i] = nearestBFloat16(v).Float32()
		}
	}
	return values
}

// tolerance is what a tolerance is for results of the type: bfloat16, with eight bits, is rounded once more.
func (p placing) tolerance(t approx.Tolerance) approx.Tolerance {
	if p.kind == kernels.BF16 {
		t.Rel += 1. / (1 << 8)
	}
	return t
}

// placed is a tensor in device memory.
type placed struct {
	placing
	single operand[float32]
	narrow operand[kernels.BFloat16]
}

// placed brings values, in the order of the reference, to the device. They have to be values of the type, or NaN.
func (r *kernelRig) placed(p placing, values []float32) placed {
	r.Helper()
	lie := make([]float32, len(values))
	for i, v := range values {
		lie[p.place(i)] = v
	}
	if p.kind == kernels.Float32 {
		return placed{placing: p, single: put(r, lie)}
	}
	var narrow []kernels.BFloat16
	for _, v := range lie {
		if math.IsNaN(float64(v)) {
			narrow = append(narrow, 0x7fc1)
		} else {
			narrow = append(narrow, nearestBFloat16(v))
		}
	}
	return placed{placing: p, narrow: put(r, narrow)}
}

// unwritten makes a tensor that a kernel has to write.
func (r *kernelRig) unwritten(p placing) placed {
	r.Helper()
	return r.placed(p, drawn(p.count(), func() float32 { return float32(math.NaN()) }))
}

func (t placed) held() kernels.Values {
	if t.kind == kernels.BF16 {
		return held(t.narrow)
	}
	return held(t.single)
}

// get returns the tensor's values in the order of the reference.
func (t placed) get() []float64 {
	var lie []float64
	if t.kind == kernels.BF16 {
		for _, v := range t.narrow.get() {
			lie = append(lie, ofBFloat16(v))
		}
	} else {
		lie = doubles(t.single.get())
	}
	values := make([]float64, len(lie))
	for i := range values {
		values[i] = lie[t.place(i)]
	}
	return values
}

// check compares the tensor with what it has to hold. t is the tolerance before the values are rounded to their type.
func (t placed) check(r *kernelRig, what string, want []float64, tolerance approx.Tolerance) {
	r.Helper()
	if !approx.Check(r, what, t.get(), want, t.tolerance(tolerance)) {
		r.Logf("%+v", t.placing)
	}
}

// aim is a tensor that a kernel is to write or, for an `add` of 1, to add to; it adds what is there to `want`. To be
// written, it may be one of the tensors `over`.
func (r *kernelRig) aim(p placing, want []float64, over ...placed) (to placed, add int32) {
	r.Helper()
	switch k := r.random.IntN(2 + len(over)); {
	case k == 0:
		return r.unwritten(p), 0
	case k > 1:
		return over[k-2], 0
	}
	before := p.fit(r.values(len(want)))
	for i := range want {
		want[i] += float64(before[i])
	}
	return r.placed(p, before), 1
}

// biased draws what a bias is added to, and returns the sums too.
func (r *kernelRig) biased() (x placed, bias []float32, sums []float64) {
	p := r.placing()
	values, bias := p.fit(r.values(p.count())), r.values(p.shape.C)
	for i, v := range values {
		sums = append(sums, float64(v)+float64(bias[p.channel(i)]))
	}
	return r.placed(p, values), bias, sums
}

func tryBiasAdd(r *kernelRig) {
	x, bias, want := r.biased()
	_, channels, extent := x.rows()
	r.launch(kernels.BiasAdd{X: x.held(), Bias: at(put(r, bias)), Count: uint32(x.count()), Channels: channels, Extent: extent})
	x.check(r, "x", want, approx.Tolerance{Rel: u}) // one sum
}

func tryBiasReLU(r *kernelRig) {
	x, bias, want := r.biased()
	for i := range want {
		want[i] = max(want[i], 0)
	}
	_, channels, extent := x.rows()
	r.launch(kernels.BiasReLU{X: x.held(), Bias: at(put(r, bias)), Count: uint32(x.count()), Channels: channels, Extent: extent})
	x.check(r, "x", want, approx.Tolerance{Rel: u})
}

// channelSums are the sums of values over everything but channels.
func channelSums(values []float32, s net.Shape) []float64 {
	sums := make([]float64, s.C)
	for i, v := range values {
		sums[i/(s.H*s.W)%s.C] += float64(v)
	}
	return sums
}

// parts draws into how many parts a reduction of a tensor is divided.
func (r *kernelRig) parts(p placing) uint32 {
	return []uint32{1, kernels.ReductionParts(p.rows()), uint32(r.about(9)), uint32(r.about(70))}[r.random.IntN(4)]
}

// Sums of whole numbers need no rounding, so that they are the same in every order. Up to 256 they are values of bfloat16.

func tryBiasGradient(r *kernelRig) {
	p := r.placing()
	parts := r.parts(p)
	batch, channels, extent := p.rows()
	dy := r.wholes(p.count(), 100)
	sums := room[float32](r, int(parts)*p.shape.C)
	r.launch(kernels.BiasGradient{Db: at(sums), Dy: r.placed(p, dy).held(), Batch: batch, Channels: channels, Extent: extent, Parts: parts})
	check(r, "the parts' sums", put(r, singles(channelSums(sums.get(), net.Shape{C: p.shape.C, H: 1, W: 1}))), channelSums(dy, p.shape), exact)
	db := room[float32](r, p.shape.C)
	r.launch(kernels.ColumnSums{Db: optionally(&db), Dy: held(sums), Batch: parts, Channels: channels, Split: channels})
	check(r, "db", db, channelSums(dy, p.shape), exact)
}

func tryBiasReLUGradient(r *kernelRig) {
	p := r.placing()
	parts := r.parts(p)
	batch, channels, extent := p.rows()
	dy, y := r.wholes(p.count(), 100), p.fit(r.values(p.count()))
	want := make([]float32, len(dy))
	for i, d := range dy {
		if y[i] = max(y[i], 0); y[i] > 0 {
			want[i] = d
		}
	}
	sums, dx := room[float32](r, int(parts)*p.shape.C), r.placed(p, dy)
	from := dx // in place
	if r.random.IntN(2) == 0 {
		dx = r.unwritten(p)
	}
	r.launch(kernels.BiasReLUGradient{Db: at(sums), Dx: dx.held(), Dy: from.held(), Y: r.placed(p, y).held(), Batch: batch, Channels: channels,
		Extent: extent, Parts: parts})
	dx.check(r, "dx", doubles(want), exact)
	check(r, "the parts' sums", put(r, singles(channelSums(sums.get(), net.Shape{C: p.shape.C, H: 1, W: 1}))), channelSums(want, p.shape), exact)
}

func tryColumnSums(r *kernelRig) {
	p := placing{kind: r.kind, shape: net.Shape{C: r.about(300), H: 1, W: 1}, batch: r.about(300)}
	dy := r.wholes(p.count(), 100)
	want, split := channelSums(dy, p.shape), r.random.IntN(p.shape.C+1)
	first, rest := room[float32](r, split+1), room[float32](r, p.shape.C-split+1) // of which the last are not written
	brain := room[kernels.BFloat16](r, split+1)
	k := kernels.ColumnSums{Dy: r.placed(p, dy).held(), Batch: uint32(p.batch), Channels: uint32(p.shape.C), Split: uint32(split)}
	both := r.random.IntN(3)
	if both != 1 {
		k.Db = optionally(&first)
	}
	if both != 2 {
		k.Rest = optionally(&rest)
	}
	if r.random.IntN(2) == 0 {
		k.Brain = kernels.Optional[kernels.BFloat16](at(brain))
	}
	r.launch(k)
	if k.Brain != 0 {
		approx.Check(r, "the first sums, rounded", widenedAll(brain.get()[:split]), want[:split], approx.Tolerance{Rel: u16})
	}
	if k.Db != 0 {
		approx.Check(r, "the first sums", first.get()[:split], want[:split], exact)
	}
	if k.Rest != 0 {
		approx.Check(r, "the other sums", rest.get()[:p.shape.C-split], want[split:], exact)
	}
}

func widenedAll(values []kernels.BFloat16) []float32 {
	all := make([]float32, len(values))
	for i, v := range values {
		all[i] = v.Float32()
	}
	return all
}

// normalised is batch normalisation on random values: the reference's layer, and what kernels are given.
type normalised struct {
	*reference.Layer
	placing
	x                 []float32
	momentum, epsilon float64
	weight, bias      []float32
	mean, inverse     []float64 // of the batch
	variance          []float64
}

// normalised draws it. With an epsilon of 0.1 or more, 1/sqrt(variance + epsilon) is at most 3.2, and normalised values are
// at most 6.4, because no value is further than 2 from its channel's mean.
func (r *kernelRig) normalised(p placing, x []float32) normalised {
	b := normalised{placing: p, x: x, momentum: r.random.Float64(), epsilon: 0.1 + r.random.Float64()}
	b.Layer = r.judgeOf(p.shape, &net.BatchNorm{Momentum: &b.momentum, Epsilon: b.epsilon})
	b.weight, b.bias = r.values(p.shape.C), r.values(p.shape.C)
	b.Params[net.RunningMean], b.Params[net.RunningVar] = doubles(r.values(p.shape.C)), doubles(r.positive(p.shape.C))
	b.mean, b.variance, b.inverse = channelSums(b.x, p.shape), make([]float64, p.shape.C), make([]float64, p.shape.C)
	m := b.places()
	for c := range b.mean {
		b.mean[c] /= m
	}
	for i, v := range b.x {
		c := p.channel(i)
		b.variance[c] += (float64(v) - b.mean[c]) * (float64(v) - b.mean[c]) / m
	}
	for c, v := range b.variance {
		b.inverse[c] = 1 / math.Sqrt(v+b.epsilon)
	}
	return b
}

// places returns how many values a channel has.
func (b normalised) places() float64 { return float64(b.count() / b.shape.C) }

// ready gives the reference weight and bias.
func (b normalised) ready() {
	b.Params[net.Weight], b.Params[net.Bias] = doubles(b.weight), doubles(b.bias)
}

// farNormalised draws values of which some trials have a mean that is large beside their deviation.
func (r *kernelRig) farNormalised(p placing) normalised {
	values, far := r.values(p.count()), r.wholes(p.shape.C, 1000)
	if r.random.IntN(2) == 0 {
		for i := range values {
			values[i] += far[p.channel(i)]
		}
	}
	b := r.normalised(p, p.fit(values))
	b.ready()
	return b
}

// Mean and variance, also of values whose mean is large beside their deviation.
func tryBatchnormStatistics(r *kernelRig) {
	p := r.placing()
	b := r.farNormalised(p)
	batch, channels, extent := p.rows()
	parts := r.parts(p)
	means, squares := room[float32](r, int(parts)*p.shape.C), room[float32](r, int(parts)*p.shape.C)
	r.launch(kernels.BatchnormMoments{Means: at(means), Squares: at(squares), X: r.placed(p, b.x).held(), Batch: batch, Channels: channels,
		Extent: extent, Parts: parts})
	mean, inverse := room[float32](r, p.shape.C), room[float32](r, p.shape.C)
	runningMean, runningVar := put(r, singles(b.Params[net.RunningMean])), put(r, singles(b.Params[net.RunningVar]))
	k := kernels.BatchnormStatistics{Mean: at(mean), Inverse: at(inverse), Means: at(means), Squares: at(squares), Batch: batch, Channels: channels,
		Extent: extent, Parts: parts, Momentum: b.momentum, Epsilon: b.epsilon}
	moves := r.random.IntN(3) > 0
	wantMean, wantVar := b.Params[net.RunningMean], b.Params[net.RunningVar]
	if moves {
		k.RunningMean, k.RunningVar = optionally(&runningMean), optionally(&runningVar)
		b.Forward([][]float64{doubles(b.x)}, b.batch, net.Training, reference.Place{})
		wantMean, wantVar = b.RunningStatistics()
	}
	r.launch(k)
	b.checkStatistics(r, mean, inverse, runningMean, runningVar, wantMean, wantVar)
}

// checkStatistics compares what kernels found with the statistics of b.
func (b normalised) checkStatistics(r *kernelRig, mean, inverse, runningMean, runningVar operand[float32], wantMean, wantVar []float64) {
	r.Helper()
	// A thread's mean is rounded once for each four values, which are 32 threads' or more, and then as threads and parts
	// are merged. Each of the four has had three roundings. These errors are relative to the largest value; those of the
	// deviations add to them. The variance's are twice the product with the deviations, and those of its own sum.
	var meanLimits, inverseLimits, runningLimits, varLimits []float64
	for c, variance := range b.variance {
		var most float64
		for i, v := range b.x {
			if b.channel(i) == c {
				most = max(most, math.Abs(float64(v)))
			}
		}
		roundings := 16 + b.places()/128
		limit := roundings * u * most
		ofVariance := 2*math.Sqrt(variance)*limit + limit*limit + roundings*u*variance
		meanLimits = append(meanLimits, limit)
		inverseLimits = append(inverseLimits, b.inverse[c]*(ofVariance/(variance+b.epsilon)/2+2*u))
		runningLimits = append(runningLimits, limit+2*u*math.Abs(wantMean[c]))
		varLimits = append(varLimits, 2*ofVariance+2*u*wantVar[c]) // unbiased it is at most twice the variance
	}
	r.checkEach("mean", mean, b.mean, meanLimits)
	r.checkEach("inverse", inverse, b.inverse, inverseLimits)
	r.checkEach("running mean", runningMean, wantMean, runningLimits)
	r.checkEach("running variance", runningVar, wantVar, varLimits)
}

// tryBatchnormJoint divides a mini-batch among the members of a group, of which one counts nothing.
func tryBatchnormJoint(r *kernelRig) {
	p := r.placing()
	b := r.farNormalised(p)
	runningMean, runningVar := put(r, singles(b.Params[net.RunningMean])), put(r, singles(b.Params[net.RunningVar]))
	_, channels, _ := p.rows()
	sums := make([]float64, 2*p.shape.C+1)
	cut := r.random.IntN(p.batch)
	for _, member := range []struct {
		from, to int
		counts   int32
	}{{0, cut, 1}, {cut, p.batch, 1}, {0, 1, 0}} {
		own := p
		if own.batch = member.to - member.from; own.batch == 0 {
			continue
		}
		batch, _, extent := own.rows()
		parts := r.parts(own)
		means, squares := room[float32](r, int(parts)*p.shape.C), room[float32](r, int(parts)*p.shape.C)
		r.launch(kernels.BatchnormMoments{Means: at(means), Squares: at(squares), X: r.placed(own, b.x[member.from*p.shape.Size():member.to*p.shape.Size()]).held(),
			Batch: batch, Channels: channels, Extent: extent, Parts: parts})
		shares := room[float64](r, len(sums))
		r.launch(kernels.BatchnormShare{Shares: at(shares), Pivot: at(runningMean), Means: at(means), Squares: at(squares), Batch: batch,
			Channels: channels, Extent: extent, Parts: parts, Counts: member.counts})
		for i, v := range shares.get() {
			if member.counts == 0 && v != 0 {
				r.Errorf("number %d of a share that counts nothing is %v", i, v)
			}
			sums[i] += v
		}
	}
	if n := sums[len(sums)-1]; n != b.places() {
		r.Errorf("the members have %v values of a channel, want %v", n, b.places())
	}
	mean, inverse := room[float32](r, p.shape.C), room[float32](r, p.shape.C)
	k := kernels.BatchnormJoint{Mean: at(mean), Inverse: at(inverse), RunningMean: at(runningMean), RunningVar: at(runningVar), Shares: at(put(r, sums)),
		Channels: channels, Momentum: b.momentum, Epsilon: b.epsilon}
	wantMean, wantVar := b.Params[net.RunningMean], b.Params[net.RunningVar]
	if k.Moves = int32(r.random.IntN(2)); k.Moves != 0 {
		b.Forward([][]float64{doubles(b.x)}, b.batch, net.Training, reference.Place{})
		wantMean, wantVar = b.RunningStatistics()
	}
	r.launch(k)
	b.checkStatistics(r, mean, inverse, runningMean, runningVar, wantMean, wantVar)
}

// rectified is what a rectifier makes of z, and its slope there.
func rectified(f kernels.Rectifier, z float64) (y, slope float64) {
	switch {
	case f == kernels.NoRectifier:
		return z, 1
	case z <= 0:
		return 0, 0
	case f == kernels.ReLU6 && z >= 6:
		return 6, 0
	}
	return z, 1
}

// rectifier draws one. For ReLU6, bias moves the normalised values so that many are near its two ends.
func (r *kernelRig) rectifier(b normalised) kernels.Rectifier {
	f := kernels.Rectifier(r.random.IntN(3))
	if f == kernels.ReLU6 {
		for c := range b.bias {
			b.bias[c] = 3 + 3*b.bias[c]
		}
	}
	return f
}

// tryBatchnorm normalises by the running statistics.
func tryBatchnorm(r *kernelRig) {
	p := r.placing()
	b := r.normalised(p, p.fit(r.values(p.count())))
	f := r.rectifier(b)
	b.ready()
	want := b.Forward([][]float64{doubles(b.x)}, b.batch, net.Evaluation, reference.Place{})
	_, channels, extent := p.rows()
	mean, inverse := room[float32](r, p.shape.C), room[float32](r, p.shape.C)
	r.launch(kernels.BatchnormRunning{Mean: at(mean), Inverse: at(inverse), RunningMean: at(put(r, singles(b.Params[net.RunningMean]))),
		RunningVar: at(put(r, singles(b.Params[net.RunningVar]))), Channels: channels, Epsilon: b.epsilon})
	check(r, "mean", mean, b.Params[net.RunningMean], exact)
	x := r.placed(p, b.x)
	k := kernels.Batchnorm{X: x.held(), Mean: at(mean), Inverse: at(inverse), Weight: at(put(r, b.weight)), Bias: at(put(r, b.bias)),
		Count: uint32(p.count()), Channels: channels, Extent: extent, Rectifier: f}
	y := []placed{x, r.unwritten(p)}
	if r.random.IntN(2) == 0 {
		other := p.fit(r.values(p.count()))
		for i, v := range other {
			want[i] += float64(v)
		}
		y = append(y, r.placed(p, other))
		k.Other = y[2].held()
	}
	for i := range want {
		want[i], _ = rectified(f, want[i])
	}
	to := y[r.random.IntN(len(y))]
	k.Y = to.held()
	r.launch(k)
	to.check(r, "y", want, approx.Tolerance{Abs: 70 * u}) // of at most 13.4, with five roundings
}

// computed returns the bits of the value before the rectifier that kernels compute: its sign is exact, and where it is
// rounded it is that once too often only where float64 makes a tie of it.
func computed(x, mean, inverse, weight, bias float32) float64 {
	centred, scale := float32(float64(x)-float64(mean)), float32(float64(weight)*float64(inverse))
	return float64(float32(float64(centred)*float64(scale) + float64(bias)))
}

// tryBatchnormBackward takes slopes from what the forward kernel has written, where that tells them, so that both kernels
// have to agree about the bits of every value.
func tryBatchnormBackward(r *kernelRig) {
	p := r.placing()
	b := r.normalised(p, p.fit(r.values(p.count())))
	f := r.rectifier(b)
	for c := range b.weight {
		end := []float32{0, 6}[r.random.IntN(2)]
		switch r.random.IntN(3) {
		case 0: // all values of the channel lie exactly at the end of a slope
			b.weight[c], b.bias[c] = 0, end
		case 1: // one of them lies there but for a rounding
			area := p.shape.H * p.shape.W
			x := b.x[(r.random.IntN(p.batch)*p.shape.C+c)*area+r.random.IntN(area)]
			b.bias[c] = end - float32(computed(x, float32(b.mean[c]), float32(b.inverse[c]), b.weight[c], 0))
		}
	}
	b.ready()
	batch, channels, extent := p.rows()
	mean, inverse := put(r, singles(b.mean)), put(r, singles(b.inverse))
	weight, bias := put(r, b.weight), put(r, b.bias)
	x, y := r.placed(p, b.x), r.unwritten(p)
	forward := kernels.Batchnorm{Y: y.held(), X: x.held(), Mean: at(mean), Inverse: at(inverse), Weight: at(weight), Bias: at(bias),
		Count: uint32(p.count()), Channels: channels, Extent: extent, Rectifier: f}
	hasOther := r.random.IntN(2) == 0
	if hasOther {
		forward.Other = r.placed(p, p.fit(r.values(p.count()))).held()
	}
	r.launch(forward)

	values := p.fit(r.values(p.count()))
	masked := make([]float64, len(values)) // the gradient before the rectifier
	for i, z := range y.get() {
		if c := p.channel(i); !hasOther && p.kind == kernels.BF16 { // y is rounded, the kernels decide by what is not
			z = computed(b.x[i], float32(b.mean[c]), float32(b.inverse[c]), b.weight[c], b.bias[c])
		}
		_, slope := rectified(f, z)
		masked[i] = float64(values[i]) * slope
	}
	b.Forward([][]float64{doubles(b.x)}, b.batch, net.Training, reference.Place{})
	inputs, grads := b.Backward(slices.Clone(masked))
	wantDx := inputs[0]

	parts := r.parts(p)
	dweights, dbiases := room[float32](r, int(parts)*p.shape.C), room[float32](r, int(parts)*p.shape.C)
	dy := r.placed(p, values)
	gradients := kernels.BatchnormGradients{Dweight: at(dweights), Dbias: at(dbiases), Dy: dy.held(), X: x.held(), Mean: at(mean), Inverse: at(inverse),
		Weight: at(weight), Bias: at(bias), Batch: batch, Channels: channels, Extent: extent, Parts: parts, Rectifier: f}
	if hasOther {
		gradients.Y = y.held()
	}
	r.launch(gradients)
	dweight, dbias := room[float32](r, p.shape.C), room[float32](r, p.shape.C)
	sums := kernels.BatchnormGradientSums{Dweight: at(dweight), Dbias: at(dbias), Dweights: at(dweights), Dbiases: at(dbiases), Channels: channels, Parts: parts}
	var total kernels.Optional[float64]
	both := room[float32](r, 2*p.shape.C)
	if grouped := r.random.IntN(2) == 0; grouped { // then the input gradient comes from the copy, and from a given number
		all := put(r, []float64{b.places()})
		sums.Both, total = optionally(&both), optionally(&all)
	}
	r.launch(sums)
	if total != 0 && !slices.Equal(both.get(), slices.Concat(dweight.get(), dbias.get())) {
		r.Errorf("the copy of the gradients is %v, they are %v and %v", both.get(), dweight.get(), dbias.get())
	}
	// Each of the m products is at most 6.4 and has had up to seven roundings. The sums are those of at least 32 threads,
	// merged, and of parts.
	m := b.places()
	roundings := 16 + m/32
	check(r, "dweight", dweight, grads[net.Weight], approx.Tolerance{Abs: 6.4 * m * (7 + roundings) * u})
	check(r, "dbias", dbias, grads[net.Bias], approx.Tolerance{Abs: m * roundings * u})

	sumDw, sumDb := put(r, singles(grads[net.Weight])), put(r, singles(grads[net.Bias]))
	scaled := make([]float64, len(masked)) // the input gradient if mean and inverse are constants
	for i, g := range masked {
		c := p.channel(i)
		scaled[i] = float64(b.weight[c]) * b.inverse[c] * g
	}
	k := kernels.BatchnormBackward{Total: total, Dy: dy.held(), X: x.held(), Y: gradients.Y, Mean: at(mean), Inverse: at(inverse), Weight: at(weight), Bias: at(bias),
		Dweight: optionally(&sumDw), Dbias: optionally(&sumDb), Count: uint32(p.count()), Channels: channels,
		Extent: extent, Rectifier: f}
	dx, add := r.aim(p, wantDx, dy)
	k.Dx, k.Add = dx.held(), add
	dother := dx
	if hasOther {
		over := []placed{dy}
		if k.Dx == k.Dy {
			over = nil
		}
		dother, k.AddOther = r.aim(p, masked, over...)
		k.Dother = dother.held()
	}
	r.launch(k)
	// 3.2 times at most 1 + 1 + 6.4*6.4, with up to eleven roundings.
	dx.check(r, "dx", wantDx, approx.Tolerance{Abs: 1600 * u})
	if hasOther {
		dother.check(r, "dother", masked, approx.Tolerance{Abs: 2 * u}) // of at most 2, with one rounding
	}

	k.Dweight, k.Dbias, k.Total, k.Dother, k.AddOther, k.Dy = 0, 0, 0, kernels.Values{}, 0, r.placed(p, values).held()
	if hasOther || f == kernels.NoRectifier {
		k.X = kernels.Values{}
	}
	dx, add = r.aim(p, scaled)
	k.Dx, k.Add = dx.held(), add
	r.launch(k)
	dx.check(r, "dx by constants", scaled, approx.Tolerance{Abs: 16 * u}) // of at most 3.2, with up to four roundings
}

// A NaN comes out of the forward pass where it went in. One that comes in as a gradient is not swallowed where the slope
// is 0: it comes out for the other tensor, and for all that depends on the channel's sums.
func tryBatchnormNaN(r *kernelRig) {
	p := r.placing()
	b := r.normalised(p, p.fit(r.values(p.count())))
	f := kernels.Rectifier(r.random.IntN(3))
	batch, channels, extent := p.rows()
	nan := r.random.IntN(p.count())
	of := p.channel(nan)
	isNaN := func(what string, got []float64, want func(i int) bool) {
		r.Helper()
		for i, v := range got {
			if math.IsNaN(v) != want(i) {
				r.Errorf("%s: value %d is %v, with a NaN at %d, in channel %d of %+v, before rectifier %d", what, i, v, nan, of, p, f)
				return
			}
		}
	}
	dirty := func(values []float32) placed {
		values[nan] = float32(math.NaN())
		return r.placed(p, values)
	}
	numbers := func() kernels.Pointer[float32] { return at(put(r, r.positive(p.shape.C))) }
	k := kernels.Batchnorm{Mean: numbers(), Inverse: numbers(), Weight: numbers(), Bias: numbers(), Count: uint32(p.count()), Channels: channels,
		Extent: extent, Rectifier: f}
	x, y := r.placed(p, slices.Clone(b.x)), r.unwritten(p)
	if k.Y = y.held(); r.random.IntN(2) == 0 {
		k.X = dirty(p.fit(r.values(p.count()))).held()
	} else {
		k.X, k.Other = x.held(), dirty(p.fit(r.values(p.count()))).held()
	}
	r.launch(k)
	isNaN("y", y.get(), func(i int) bool { return i == nan })

	dy := dirty(p.fit(r.values(p.count())))
	low := r.placed(p, make([]float32, p.count())) // an output at which the slopes are 0
	dweight, dbias := room[float32](r, p.shape.C), room[float32](r, p.shape.C)
	r.launch(kernels.BatchnormGradients{Dweight: at(dweight), Dbias: at(dbias), Dy: dy.held(), X: x.held(), Y: low.held(), Mean: k.Mean, Inverse: k.Inverse,
		Weight: k.Weight, Bias: k.Bias, Batch: batch, Channels: channels, Extent: extent, Parts: 1, Rectifier: f})
	isNaN("dweight", doubles(dweight.get()), func(c int) bool { return c == of })
	isNaN("dbias", doubles(dbias.get()), func(c int) bool { return c == of })
	dx, dother := r.unwritten(p), r.unwritten(p)
	r.launch(kernels.BatchnormBackward{Dx: dx.held(), Dother: dother.held(), Dy: dy.held(), X: x.held(), Y: low.held(), Mean: k.Mean, Inverse: k.Inverse,
		Weight: k.Weight, Bias: k.Bias, Dweight: optionally(&dweight), Dbias: optionally(&dbias), Count: uint32(p.count()), Channels: channels, Extent: extent, Rectifier: f})
	isNaN("dx", dx.get(), func(i int) bool { return p.channel(i) == of })
	isNaN("dother", dother.get(), func(i int) bool { return i == nan })

	means, squares := room[float32](r, p.shape.C), room[float32](r, p.shape.C)
	dirtyX := dirty(slices.Clone(b.x))
	r.launch(kernels.BatchnormMoments{Means: at(means), Squares: at(squares), X: dirtyX.held(), Batch: batch, Channels: channels, Extent: extent, Parts: 1})
	mean, inverse := room[float32](r, p.shape.C), room[float32](r, p.shape.C)
	r.launch(kernels.BatchnormStatistics{Mean: at(mean), Inverse: at(inverse), Means: at(means), Squares: at(squares), Batch: batch, Channels: channels,
		Extent: extent, Parts: 1, Epsilon: 0.1})
	isNaN("mean", doubles(mean.get()), func(c int) bool { return c == of })
	isNaN("inverse", doubles(inverse.get()), func(c int) bool { return c == of })
}
