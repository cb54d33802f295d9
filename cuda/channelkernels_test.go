//go:build cuda

package cuda

import (
	"math"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// Kernels that add biases and sum over channels, and those of batch normalisation.

// biased draws what a bias is added to, and returns the sums too.
func (r *kernelRig) biased() (s net.Shape, x, bias []float32, sums []float64) {
	s = r.shape()
	if r.random.IntN(3) == 0 {
		s = net.Shape{C: r.about(300), H: 1, W: 1} // as after a dense layer
	}
	x, bias = r.values(r.about(6)*s.Size()), r.values(s.C)
	for i, v := range x {
		sums = append(sums, float64(v)+float64(bias[i/(s.H*s.W)%s.C]))
	}
	return s, x, bias, sums
}

// biasing returns how kernels take values of a shape to add a bias: the values and the sums in the trial's layout, and how
// many values a channel has in a row.
func (r *kernelRig) biasing(s net.Shape, values []float32, want []float64) (x layerValues, sums []float64, extent uint32) {
	r.Helper()
	if extent = uint32(s.H * s.W); r.last {
		extent = 1
	}
	n := len(values) / s.Size()
	return r.put(lastOf(r, values, n, s.C)), lastOf(r, want, n, s.C), extent
}

func tryBiasAdd(r *kernelRig) {
	s, values, bias, want := r.biased()
	x, want, extent := r.biasing(s, values, want)
	r.launch(kernels.BiasAdd{X: x.at(), Bias: at(put(r, bias)), Count: uint32(len(values)), Channels: uint32(s.C), Extent: extent})
	r.check("x", x, want, approx.Tolerance{Rel: u}) // one sum
}

func tryBiasReLU(r *kernelRig) {
	s, values, bias, want := r.biased()
	for i := range want {
		want[i] = max(want[i], 0)
	}
	x, want, extent := r.biasing(s, values, want)
	r.launch(kernels.BiasReLU{X: x.at(), Bias: at(put(r, bias)), Count: uint32(len(values)), Channels: uint32(s.C), Extent: extent})
	r.check("x", x, want, approx.Tolerance{Rel: u})
}

// channelSums are the sums of values over everything but channels.
func channelSums(values []float32, s net.Shape) []float64 {
	sums := make([]float64, s.C)
	for i, v := range values {
		sums[i/(s.H*s.W)%s.C] += float64(v)
	}
	return sums
}

// Sums of whole numbers need no rounding, so that they are the same in every order.

func tryBiasGradient(r *kernelRig) {
	s, batch, parts := r.shape(), r.about(30), []int{1, r.about(9)}[r.random.IntN(2)]
	dy := r.wholes(batch*s.Size(), 100)
	sums := room[float32](r, parts*s.C)
	r.launch(kernels.BiasGradient{Db: at(sums), Dy: held(put(r, dy)), Batch: uint32(batch), Channels: uint32(s.C), Extent: uint32(s.H * s.W),
		Parts: uint32(parts)})
	check(r, "the parts' sums", put(r, singles(channelSums(sums.get(), net.Shape{C: s.C, H: 1, W: 1}))), channelSums(dy, s), exact)
	db := room[float32](r, s.C)
	r.launch(kernels.ColumnSums{Db: at(db), Dy: held(sums), Batch: uint32(parts), Channels: uint32(s.C)})
	check(r, "db", db, channelSums(dy, s), exact)
}

func tryColumnSums(r *kernelRig) {
	s, batch := net.Shape{C: r.about(300), H: 1, W: 1}, r.about(80)
	dy := r.wholes(batch*s.C, 100)
	db := room[float32](r, s.C)
	r.launch(kernels.ColumnSums{Db: at(db), Dy: held(put(r, dy)), Batch: uint32(batch), Channels: uint32(s.C)})
	check(r, "db", db, channelSums(dy, s), exact)
}

// normalised is batch normalisation on random values: the reference's layer, and what kernels are given. With an epsilon of
// 0.1 or more, 1/sqrt(variance + epsilon) is at most 3.2, and normalised values at most 6.4.
type normalised struct {
	*reference.Layer
	batch, count      int
	x, dy             []float32
	momentum, epsilon float64
	mean, inverse     []float64 // of the batch
}

func (r *kernelRig) normalised() normalised {
	b := normalised{batch: r.about(9), momentum: r.random.Float64(), epsilon: 0.1 + r.random.Float64()}
	b.Layer = r.judgeOf(r.shape(), &net.BatchNorm{Momentum: &b.momentum, Epsilon: b.epsilon})
	s := b.In
	b.count = b.batch * s.Size()
	b.x, b.dy = r.values(b.count), r.values(b.count)
	b.Params[net.Weight], b.Params[net.Bias] = doubles(r.values(s.C)), doubles(r.values(s.C))
	b.Params[net.RunningMean], b.Params[net.RunningVar] = doubles(r.values(s.C)), doubles(r.positive(s.C))
	b.mean = channelSums(b.x, s)
	squares := make([]float64, s.C)
	m := float64(b.count / s.C)
	for c := range b.mean {
		b.mean[c] /= m
	}
	for i, v := range b.x {
		c := i / (s.H * s.W) % s.C
		squares[c] += (float64(v) - b.mean[c]) * (float64(v) - b.mean[c])
	}
	for _, sum := range squares {
		b.inverse = append(b.inverse, 1/math.Sqrt(sum/m+b.epsilon))
	}
	return b
}

func (b normalised) channels() uint32 { return uint32(b.In.C) }

func tryBatchnormStatistics(r *kernelRig) {
	b := r.normalised()
	c := b.In.C
	mean, inverse := room[float32](r, c), room[float32](r, c)
	runningMean, runningVar := put(r, singles(b.Params[net.RunningMean])), put(r, singles(b.Params[net.RunningVar]))
	k := kernels.BatchnormStatistics{Mean: at(mean), Inverse: at(inverse), X: held(put(r, b.x)), Batch: uint32(b.batch), Channels: b.channels(),
		Extent: uint32(b.In.H * b.In.W), Momentum: b.momentum, Epsilon: b.epsilon}
	moves := r.random.IntN(3) > 0
	wantMean, wantVar := b.Params[net.RunningMean], b.Params[net.RunningVar]
	if moves {
		k.RunningMean, k.RunningVar = optionally(&runningMean), optionally(&runningVar)
		b.Forward([][]float64{doubles(b.x)}, b.batch, net.Training, reference.Place{})
		wantMean, wantVar = b.RunningStatistics()
	}
	r.launch(k)
	// Of values up to 1: sums of four in float32 with three roundings each, the mean's own, and of the squares two more.
	tolerance := approx.Tolerance{Abs: 8 * u, Rel: 8 * u}
	check(r, "mean", mean, b.mean, tolerance)
	check(r, "inverse", inverse, b.inverse, approx.Tolerance{Rel: 16 * u})
	check(r, "running mean", runningMean, wantMean, tolerance)
	check(r, "running variance", runningVar, wantVar, tolerance)
}

// tryBatchnorm normalises by the running statistics.
func tryBatchnorm(r *kernelRig) {
	b := r.normalised()
	c := b.In.C
	want := b.Forward([][]float64{doubles(b.x)}, b.batch, net.Evaluation, reference.Place{})
	mean, inverse := room[float32](r, c), room[float32](r, c)
	r.launch(kernels.BatchnormRunning{Mean: at(mean), Inverse: at(inverse), RunningMean: at(put(r, singles(b.Params[net.RunningMean]))),
		RunningVar: at(put(r, singles(b.Params[net.RunningVar]))), Channels: b.channels(), Epsilon: b.epsilon})
	check(r, "mean", mean, b.Params[net.RunningMean], exact)
	y := room[float32](r, b.count)
	r.launch(kernels.Batchnorm{Y: held(y), X: held(put(r, b.x)), Mean: at(mean), Inverse: at(inverse), Weight: at(put(r, singles(b.Params[net.Weight]))),
		Bias: at(put(r, singles(b.Params[net.Bias]))), Count: uint32(b.count), Channels: b.channels(), Extent: uint32(b.In.H * b.In.W)})
	check(r, "y", y, want, approx.Tolerance{Abs: 40 * u}) // of at most 7.4, with five roundings
}

func tryBatchnormBackward(r *kernelRig) {
	r.kind = kernels.Float32
	b := r.normalised()
	c := b.In.C
	b.Forward([][]float64{doubles(b.x)}, b.batch, net.Training, reference.Place{})
	inputs, grads := b.Backward(doubles(b.dy))
	wantDx := inputs[0]
	mean, inverse, x, dy := put(r, singles(b.mean)), put(r, singles(b.inverse)), put(r, b.x), put(r, b.dy)
	dweight, dbias := room[float32](r, c), room[float32](r, c)
	r.launch(kernels.BatchnormGradients{Dweight: at(dweight), Dbias: at(dbias), Dy: held(dy), X: held(x), Mean: at(mean), Inverse: at(inverse),
		Batch: uint32(b.batch), Channels: b.channels(), Extent: uint32(b.In.H * b.In.W)})
	// Each of the m products is at most 6.4 and has had up to seven roundings.
	m := float64(b.count / c)
	check(r, "dweight", dweight, grads[net.Weight], approx.Tolerance{Abs: 45 * m * u})
	check(r, "dbias", dbias, grads[net.Bias], approx.Tolerance{Abs: 4 * m * u})
	dx, add := r.target(wantDx)
	r.launch(kernels.BatchnormBackward{Dx: dx.at(), Dy: held(dy), X: held(x), Mean: at(mean), Inverse: at(inverse),
		Weight: at(put(r, singles(b.Params[net.Weight]))), Dweight: at(put(r, singles(grads[net.Weight]))),
		Dbias: at(put(r, singles(grads[net.Bias]))), Count: uint32(b.count), Channels: b.channels(), Extent: uint32(b.In.H * b.In.W), Add: add})
	// 3.2 times at most 1 + 1 + 6.4*6.4, with up to eleven roundings.
	r.check("dx", dx, wantDx, approx.Tolerance{Abs: 1600 * u})
}
