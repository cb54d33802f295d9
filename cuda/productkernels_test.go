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

// Convolutions by tensor cores: bfloat16, with channels last.

// convolving is a convolution drawn for a trial, with the reference's form.
type convolving struct {
	*reference.Layer
	kernels.Convolving
	n int
}

// convolving draws a convolution. Any eight trials one after the other have few and many columns of the product, multiples of
// eight channels and filters and other numbers, and few and many multiprocessors, so that every kernel has its turn.
func (r *kernelRig) convolving() (c convolving) {
	r.kind, r.last = kernels.BF16, true
	trial := r.trials
	r.device.kernels.device = kernels.Device{Multiprocessors: []int{1, 1000}[trial/4%2], ThreadsPerMultiprocessor: 2048, ThreadsPerBlock: 1024}
	channels := func(most int) int {
		if trial/2%2 == 0 {
			return 8 * r.about(most/8)
		}
		return r.about(most)
	}
	in := net.Shape{C: channels(32), H: r.about(11), W: r.about(11)}
	conv := &net.Conv{Filters: channels(32), Kernel: net.Pair{H: r.about(4), W: r.about(4)}, Stride: net.Pair{H: r.about(3), W: r.about(3)},
		Dilation: net.Pair{H: r.about(2), W: r.about(2)}}
	if trial%2 == 1 { // more than one tile beside the other, in each direction
		conv.Filters += 40
		in.C += 40
	}
	if trial <= 8 { // enough for large tiles
		in.H, in.W, conv.Kernel, conv.Stride = 11, 11, net.Square(r.about(2)), net.Square(1)
	}
	if trial/2%2 == 0 {
		r.skewed = r.trials > 8 && r.random.IntN(4) == 0
	}
	pads := func(size, kernel, dilation int) (before, after int) {
		sees := (kernel-1)*dilation + 1
		before = r.random.IntN(sees)
		return before, max(sees-size-before, r.random.IntN(sees))
	}
	top, bottom := pads(in.H, conv.Kernel.H, conv.Dilation.H)
	left, right := pads(in.W, conv.Kernel.W, conv.Dilation.W)
	conv.Padding = net.Pad(top, bottom, left, right)
	c.Layer, c.n = r.judgeOf(in, conv), r.about(3)
	c.Convolving = convolvingOf(c.In, c.Out, c.Window, c.n)
	return c
}

// convolve is the reference's convolution, without a bias.
func (c convolving) convolve(x, weight []float64) []float64 {
	c.Params[net.Weight], c.Params[net.Bias] = weight, make([]float64, c.Out.C)
	return c.Forward([][]float64{x}, c.n, net.Training, reference.Place{})
}

// gradients are the reference's gradients of the last convolution.
func (c convolving) gradients(dy []float64) (dx, dw []float64) {
	dxs, grads := c.Backward(dy)
	return dxs[0], grads[net.Weight]
}

func (c convolving) taps() int { return c.Window.KernelH * c.Window.KernelW }

// sumLimits is how far sums of `steps` products may be from the exact ones, for each the sum of the products' absolute values.
// The products of two bfloat16 are exact. A tensor core adds 16 of them to a sum: it aligns all to the greatest of the 17, and
// cuts off what is below its last bit. One that cuts at a float32's last bit, of 2u, loses at most 17*2u of the sum of the
// absolute values each time, which is 2.2u a step. A few steps more stand for the first 16 and for sums over parts.
func sumLimits(absolute []float64, steps int) []float64 {
	limits := make([]float64, len(absolute))
	for i, v := range absolute {
		limits[i] = 3 * u * float64(steps+16) * math.Abs(v)
	}
	return limits
}

// roundedLimits are the limits for results that are rounded to bfloat16 in the end.
func roundedLimits(limits, want []float64) []float64 {
	all := make([]float64, len(limits))
	for i, l := range limits {
		all[i] = l + u16*(math.Abs(want[i])+l)
	}
	return all
}

// checkEach compares values with what they have to be, each within its own limit. A NaN has to be where one is wanted.
func checkEach[T float32 | float64](r *kernelRig, what string, got []T, want, limits []float64) {
	r.Helper()
	got, want, limits = slices.Clone(got), slices.Clone(want), slices.Clone(limits)
	for i, v := range want {
		if i < len(got) && math.IsNaN(v) && math.IsNaN(float64(got[i])) {
			got[i], want[i], limits[i] = 0, 0, 0
		}
	}
	if result := approx.CompareEach(got, want, limits); !result.OK {
		r.Errorf("%s: %v", what, result)
	}
}

func absolutes[T float32 | float64](values []T) []float64 {
	all := make([]float64, len(values))
	for i, v := range values {
		all[i] = math.Abs(float64(v))
	}
	return all
}

func tryConvolution(r *kernelRig) {
	c := r.convolving()
	x, weight, bias := r.values(c.n*c.In.Size()), r.values(c.Out.C*c.taps()*c.In.C), singles(doubles(drawn(c.Out.C, func() float32 { return 2*r.random.Float32() - 1 })))
	if r.random.IntN(4) == 0 {
		x[r.random.IntN(len(x))] = float32(math.NaN())
	}
	absolute := c.convolve(absolutes(x), absolutes(weight))
	want := c.convolve(doubles(x), doubles(weight))
	k := kernels.Convolution{X: r.brains(lastOf(r, x, c.n, c.In.C)), Weight: r.brains(lastOf(r, weight, c.Out.C, c.In.C)), Convolving: c.Convolving,
		Tail: int32(r.random.IntN(3))}
	area := len(want) / c.n / c.Out.C
	if k.Tail != kernels.ConvolutionOnly {
		k.Bias = kernels.Optional[float32](at(put(r, bias)))
		for i := range want {
			b := float64(bias[i/area%c.Out.C])
			want[i] += b
			absolute[i] += math.Abs(b)
			if k.Tail == kernels.ConvolutionBiasReLU && want[i] <= 0 {
				want[i] = 0
			}
		}
	}
	y := r.room(len(want))
	k.Y = brainsAt(y)
	r.launch(k)
	if r.random.IntN(2) == 0 && k.Tail != kernels.ConvolutionOnly {
		r.tryPooledConvolution(c, k, x, weight, bias)
	}
	limits := roundedLimits(sumLimits(absolute, c.taps()*c.In.C), want)
	checkEach(r, "y", y.get(), lastOf(r, want, c.n, c.Out.C), lastOf(r, limits, c.n, c.Out.C))
	if r.Failed() {
		r.Logf("%+v", k)
	}
}

// brains brings values to the device, and returns their address.
func (r *kernelRig) brains(values []float32) kernels.Pointer[kernels.BFloat16] {
	r.Helper()
	return brainsAt(r.put(values))
}

func brainsAt(t layerValues) kernels.Pointer[kernels.BFloat16] { return at(t.brain) }

func tryConvolutionData(r *kernelRig) {
	c := r.convolving()
	weight, dy := r.values(c.Out.C*c.taps()*c.In.C), r.values(c.n*c.Out.Size())
	if r.random.IntN(4) == 0 {
		dy[r.random.IntN(len(dy))] = float32(math.NaN())
	}
	x := make([]float64, c.n*c.In.Size())
	c.convolve(x, absolutes(weight))
	absolute, _ := c.gradients(absolutes(dy))
	c.convolve(x, doubles(weight))
	want, _ := c.gradients(doubles(dy))
	limits := sumLimits(absolute, c.taps()*c.Out.C)
	lie := lastOf(r, want, c.n, c.In.C)
	dx, add := r.target(lie)
	k := kernels.ConvolutionData{Dx: brainsAt(dx), Dy: r.brains(lastOf(r, dy, c.n, c.Out.C)), Weight: r.brains(lastOf(r, weight, c.Out.C, c.In.C)),
		Convolving: c.Convolving, Add: add}
	r.launch(k)
	limits = lastOf(r, limits, c.n, c.In.C)
	if add != 0 {
		for i := range limits {
			limits[i] += u * math.Abs(lie[i])
		}
	}
	checkEach(r, "dx", dx.get(), lie, roundedLimits(limits, lie))
	if r.Failed() {
		r.Logf("%+v", k)
	}
}

func tryConvolutionFilter(r *kernelRig) {
	c := r.convolving()
	x, dy := r.values(c.n*c.In.Size()), r.values(c.n*c.Out.Size())
	if r.random.IntN(4) == 0 {
		dy[r.random.IntN(len(dy))] = float32(math.NaN())
	}
	weight := make([]float64, c.Out.C*c.taps()*c.In.C)
	c.convolve(absolutes(x), weight)
	_, absolute := c.gradients(absolutes(dy))
	c.convolve(doubles(x), weight)
	_, want := c.gradients(doubles(dy))
	if i := slices.IndexFunc(dy, func(v float32) bool { return math.IsNaN(float64(v)) }); i >= 0 {
		// Its filter's gradient is NaN at the taps outside the image too: that is a product with 0.
		filter, each := i/(c.Window.OutH*c.Window.OutW)%c.Out.C, len(want)/c.Out.C
		for k := range each {
			want[filter*each+k] = math.NaN()
		}
	}
	parts := 1 + r.random.IntN(4)
	if r.random.IntN(2) == 0 {
		parts = int(c.FilterParts())
	}
	dw := room[float32](r, parts*len(weight))
	k := kernels.ConvolutionFilter{Dw: at(dw), X: r.brains(lastOf(r, x, c.n, c.In.C)), Dy: r.brains(lastOf(r, dy, c.n, c.Out.C)),
		Convolving: c.Convolving, Parts: uint32(parts)}
	r.launch(k)
	limits := sumLimits(absolute, c.n*c.Window.OutH*c.Window.OutW+32*parts)
	checkEach(r, "dw", rowSums(dw.get(), parts), lastOf(r, want, c.Out.C, c.In.C), lastOf(r, limits, c.Out.C, c.In.C))
	if r.Failed() {
		r.Logf("%+v", k)
	}
}

// tryPooledConvolution adds a ReLU and pooling to a convolution with a bias. Eighths make sums and maxima exact, so that
// equal ones are equal; but for results, which are rounded.
func (r *kernelRig) tryPooledConvolution(c convolving, k kernels.Convolution, x, weight, bias []float32) {
	r.Helper()
	for _, values := range [][]float32{x, weight, bias} {
		for i, v := range values {
			values[i] = float32(math.Round(float64(4*v))) / 4
		}
	}
	k.X, k.Weight = r.brains(lastOf(r, x, c.n, c.In.C)), r.brains(lastOf(r, weight, c.Out.C, c.In.C))
	k.Bias = kernels.Optional[float32](at(put(r, bias)))
	r.skewed = r.random.IntN(2) == 0
	sums := c.convolve(doubles(x), doubles(weight))
	made := c.Out
	outH, outW := (made.H+r.random.IntN(2))/2, (made.W+r.random.IntN(2))/2
	if outH == 0 || outW == 0 {
		return
	}
	want, mask := make([]float64, c.n*made.C*outH*outW), make([]uint8, c.n*made.C*outH*outW)
	for o := range want {
		plane, h, w := o/(outH*outW), o/outW%outH*2, o%outW*2
		mask[o] = 4 // the ReLU lets nothing through
		for i := range 4 {
			if h+i/2 >= made.H || w+i%2 >= made.W {
				continue
			}
			v := sums[(plane*made.H+h+i/2)*made.W+w+i%2] + float64(bias[plane%made.C])
			if v > want[o] || math.IsNaN(v) {
				want[o], mask[o] = v, uint8(i)
			}
			if math.IsNaN(v) {
				mask[o] += 4
			}
		}
	}
	y, masks := r.room(len(want)), room[uint8](r, len(mask))
	k.Y, k.Mask, k.PooledH, k.PooledW, k.Tail = brainsAt(y), kernels.Optional[uint8](at(masks)), uint32(outH), uint32(outW), kernels.ConvolutionBiasReLUPool
	r.launch(k)
	checkEach(r, "pooled y", y.get(), lastOf(r, want, c.n, made.C), lastOf(r, roundedLimits(make([]float64, len(want)), want), c.n, made.C))
	checkWhole(r, "mask", masks, lastOf(r, mask, c.n, made.C))
}
