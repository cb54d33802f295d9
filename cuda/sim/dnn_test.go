//go:build cuda && cgo && linux && (amd64 || arm64)

package sim_test

import (
	"math"
	"runtime"
	"testing"
	"unsafe"

	"gorgonia.org/cu"
	cublas "gorgonia.org/cu/blas"
	cudnn "gorgonia.org/cu/dnn"

	"github.com/gputrain/gputrain/cuda/sim"
	"github.com/gputrain/gputrain/cuda/sim/internal/calls"
	"github.com/gputrain/gputrain/internal/approx"
)

// memory is device memory as cuDNN's package wants it.
type memory struct{ cu.DevicePtr }

// IsNativelyAccessible says that the CPU can't touch it.
func (memory) IsNativelyAccessible() bool { return false }

// input is upload, and output is buffer, for cuDNN.
func (r *rig) input(v []float32) memory { return memory{r.upload(v)} }
func (r *rig) output(n int) memory      { return memory{r.buffer(n)} }

// workspace allocates bytes, or nothing where none are needed.
func (r *rig) workspace(bytes int64) memory {
	r.Helper()
	if bytes == 0 {
		return memory{}
	}
	return r.output(int(bytes+3) / 4)
}

// dnn makes a handle of cuDNN that works on the rig's stream.
func (r *rig) dnn() *cudnn.Context {
	r.Helper()
	c := cudnn.NewContext()
	r.Cleanup(func() { r.must(c.Close()) })
	r.must(calls.SetDNNStream(c, r.stream))
	return c
}

// keep holds on to one of gorgonia's descriptors, whose finalizer could otherwise free it during a call that uses it.
// At the test's end it lets go, also of what package testing keeps of a cleanup that ran, so that the finalizer frees
// it.
func keep[T any](r *rig, descriptor *T, err error) *T {
	r.Helper()
	r.must(err)
	held := descriptor
	r.Cleanup(func() {
		runtime.KeepAlive(held)
		held = nil
	})
	return descriptor
}

func (r *rig) tensor(shape [4]int) *cudnn.TensorDescriptor {
	r.Helper()
	d, err := cudnn.NewTensorDescriptor(cudnn.NCHW, cudnn.Float, shape[:], nil)
	return keep(r, d, err)
}

func (r *rig) filter(shape [4]int) *cudnn.Filter {
	r.Helper()
	d, err := cudnn.NewFilter(cudnn.Float, cudnn.NCHW, shape[:])
	r.must(err)
	r.Cleanup(func() { r.must(calls.DestroyFilter(d)) })
	return d
}

func size(shape [4]int) int { return shape[0] * shape[1] * shape[2] * shape[3] }

func index(shape [4]int, n, c, h, w int) int { return ((n*shape[1]+c)*shape[2]+h)*shape[3] + w }

// window is what a convolution or a pooling looks at: how far its windows reach and lie apart.
type window struct{ size, stride, padding, dilation [2]int }

// outputs is how many windows fit into a padded image, in each direction.
func (w window) outputs(image [2]int) (n [2]int) {
	for d := range n {
		n[d] = (image[d]+2*w.padding[d]-w.dilation[d]*(w.size[d]-1)-1)/w.stride[d] + 1
	}
	return n
}

// each visits the places of window (p, q) that lie in the image: (r, s) in the window is (h, w) in the image.
func (w window) each(image [2]int, p, q int, visit func(r, s, h, w int)) {
	for r := range w.size[0] {
		for s := range w.size[1] {
			y, x := p*w.stride[0]-w.padding[0]+r*w.dilation[0], q*w.stride[1]-w.padding[1]+s*w.dilation[1]
			if y >= 0 && y < image[0] && x >= 0 && x < image[1] {
				visit(r, s, y, x)
			}
		}
	}
}

// convolution is one problem: shapes of x, filter w and y.
type convolution struct {
	window
	x, w, y [4]int
}

func newConvolution(x [4]int, filters int, w window) convolution {
	out := w.outputs([2]int{x[2], x[3]})
	return convolution{w, x, [4]int{filters, x[1], w.size[0], w.size[1]}, [4]int{x[0], filters, out[0], out[1]}}
}

// each visits every product that a convolution adds up: the indices of its y, x and w.
func (c convolution) each(visit func(y, x, w int)) {
	for n := range c.y[0] {
		for k := range c.y[1] {
			for p := range c.y[2] {
				for q := range c.y[3] {
					for channel := range c.x[1] {
						c.window.each([2]int{c.x[2], c.x[3]}, p, q, func(r, s, i, j int) {
							visit(index(c.y, n, k, p, q), index(c.x, n, channel, i, j), index(c.w, k, channel, r, s))
						})
					}
				}
			}
		}
	}
}

var convolutions = map[string]convolution{
	"5x5 same": newConvolution([4]int{2, 3, 7, 6}, 4, window{
		size: [2]int{5, 5}, stride: [2]int{1, 1}, padding: [2]int{2, 2}, dilation: [2]int{1, 1},
	}),
	"3x2 strided": newConvolution([4]int{2, 2, 8, 7}, 3, window{
		size: [2]int{3, 2}, stride: [2]int{2, 1}, padding: [2]int{1, 0}, dilation: [2]int{1, 1},
	}),
	"3x3 dilated": newConvolution([4]int{1, 3, 9, 9}, 2, window{
		size: [2]int{3, 3}, stride: [2]int{1, 2}, padding: [2]int{0, 1}, dilation: [2]int{2, 1},
	}),
	"1x1, one channel": newConvolution([4]int{3, 1, 4, 5}, 2, window{
		size: [2]int{1, 1}, stride: [2]int{1, 1}, dilation: [2]int{1, 1},
	}),
}

// The algorithms of forward, and of the gradients with respect to x and w. The first of each takes every shape, the others want
// dilations of 1.
var (
	forwardAlgorithms = []cudnn.ConvolutionFwdAlgo{
		cudnn.ConvolutionFwdAlgoImplicitGemm, cudnn.ConvolutionFwdAlgoImplicitPrecompGemm, cudnn.ConvolutionFwdAlgoGemm,
	}
	dataAlgorithms = []cudnn.ConvolutionBwdDataAlgo{
		cudnn.ConvolutionBwdDataAlgo0, cudnn.ConvolutionBwdDataAlgo1,
	}
	filterAlgorithms = []cudnn.ConvolutionBwdFilterAlgo{
		cudnn.ConvolutionBwdFilterAlgo0, cudnn.ConvolutionBwdFilterAlgo1,
	}
)

// which cuts a list of algorithms to those that take the convolution.
func which[A any](c convolution, algorithms []A) []A {
	if c.dilation != [2]int{1, 1} {
		return algorithms[:1]
	}
	return algorithms
}

// Forward and the two gradients, by several algorithms.
func TestConvolution(t *testing.T) {
	for name, c := range convolutions {
		t.Run(name, func(t *testing.T) {
			sim.Seeds(t, schedules, func(t *testing.T, m *sim.Machine) { testConvolution(newRig(t, m), c) })
		})
	}
}

func testConvolution(r *rig, c convolution) {
	x, w, dy := r.values(size(c.x)), r.values(size(c.w)), r.values(size(c.y))
	y, dx := make([]float64, size(c.y)), make([]float64, size(c.x))
	dw := make([]float64, size(c.w))
	c.each(func(i, j, k int) {
		y[i] += float64(x[j]) * float64(w[k])
		dx[j] += float64(dy[i]) * float64(w[k])
		dw[k] += float64(dy[i]) * float64(x[j])
	})

	handle := r.dnn()
	xDesc, yDesc, wDesc := r.tensor(c.x), r.tensor(c.y), r.filter(c.w)
	descriptor, err := cudnn.NewConvolution(cudnn.FmaMath, 1, c.padding[:], c.stride[:], c.dilation[:],
		cudnn.CrossCorrelation, cudnn.Float)
	conv := keep(r, descriptor, err)
	r.must(calls.SetMath(conv))
	xs, ws, dys := r.input(x), r.input(w), r.input(dy)

	for _, algorithm := range which(c, forwardAlgorithms) {
		bytes, err := calls.ForwardWorkspace(handle, xDesc, wDesc, conv, yDesc, algorithm)
		r.must(err)
		out := r.output(len(y))
		r.must(handle.ConvolutionForward(1, xDesc, xs, wDesc, ws, conv, algorithm,
			r.workspace(bytes), uintptr(bytes), 0, yDesc, out))
		r.check("y", out.DevicePtr, y, sumOf(size(c.w)/c.w[0]))
	}
	for _, algorithm := range which(c, dataAlgorithms) {
		bytes, err := calls.DataWorkspace(handle, wDesc, yDesc, conv, xDesc, algorithm)
		r.must(err)
		out := r.output(len(dx))
		r.must(handle.ConvolutionBackwardData(1, wDesc, ws, yDesc, dys, conv, algorithm,
			r.workspace(bytes), uintptr(bytes), 0, xDesc, out))
		r.check("dx", out.DevicePtr, dx, sumOf(size(c.w)/c.w[1]))
	}
	for _, algorithm := range which(c, filterAlgorithms) {
		bytes, err := calls.FilterWorkspace(handle, xDesc, yDesc, conv, wDesc, algorithm)
		r.must(err)
		out := r.output(len(dw))
		r.must(handle.ConvolutionBackwardFilter(1, xDesc, xs, yDesc, dys, conv, algorithm,
			r.workspace(bytes), uintptr(bytes), 0, wDesc, out))
		r.check("dw", out.DevicePtr, dw, sumOf(size(c.y)/c.y[1]))
	}
}

func TestPooling(t *testing.T) {
	for name, mode := range map[string]cudnn.PoolingMode{
		"max": cudnn.MaxPooling, "max deterministic": cudnn.MaxDeterministic,
		"average with padding":    cudnn.AverageCountIncludePadding,
		"average without padding": cudnn.AverageCountExcludePadding,
	} {
		for shape, w := range map[string]window{
			"2x2":            {[2]int{2, 2}, [2]int{2, 2}, [2]int{0, 0}, [2]int{1, 1}},
			"3x2 overlapped": {[2]int{3, 2}, [2]int{2, 1}, [2]int{1, 1}, [2]int{1, 1}},
		} {
			t.Run(name+" "+shape, func(t *testing.T) {
				sim.Seeds(t, schedules, func(t *testing.T, m *sim.Machine) { testPooling(newRig(t, m), mode, w) })
			})
		}
	}
}

func testPooling(r *rig, mode cudnn.PoolingMode, w window) {
	xShape := [4]int{2, 3, 7, 6}
	out := w.outputs([2]int{xShape[2], xShape[3]})
	yShape := [4]int{xShape[0], xShape[1], out[0], out[1]}
	x, dy := r.values(size(xShape)), r.values(size(yShape))
	y, dx := pool(mode, w, xShape, yShape, x, dy)

	handle := r.dnn()
	xDesc, yDesc := r.tensor(xShape), r.tensor(yShape)
	descriptor, err := cudnn.NewPooling(mode, cudnn.NotPropagateNan, w.size[:], w.stride[:], w.padding[:])
	pooling := keep(r, descriptor, err)
	xs, dys, ys, dxs := r.input(x), r.input(dy), r.output(len(y)), r.output(len(dx))
	r.must(handle.PoolingForward(pooling, 1, xDesc, xs, 0, yDesc, ys))
	r.check("y", ys.DevicePtr, y, sumOf(w.size[0]*w.size[1]))
	r.must(handle.PoolingBackward(pooling, 1, yDesc, ys, yDesc, dys, xDesc, xs, 0, xDesc, dxs))
	r.check("dx", dxs.DevicePtr, dx, sumOf(w.size[0]*w.size[1]))
}

// pool computes a pooling's output and gradient.
func pool(mode cudnn.PoolingMode, w window, xShape, yShape [4]int, x, dy []float32) (y, dx []float64) {
	y, dx = make([]float64, size(yShape)), make([]float64, size(xShape))
	for n := range yShape[0] {
		for c := range yShape[1] {
			for p := range yShape[2] {
				for q := range yShape[3] {
					var places []int
					w.each([2]int{xShape[2], xShape[3]}, p, q, func(_, _, h, w int) {
						places = append(places, index(xShape, n, c, h, w))
					})
					at := index(yShape, n, c, p, q)
					if mode == cudnn.MaxPooling || mode == cudnn.MaxDeterministic {
						best := places[0]
						for _, i := range places {
							if x[i] > x[best] {
								best = i
							}
						}
						y[at] = float64(x[best])
						dx[best] += float64(dy[at])
						continue
					}
					count := float64(len(places))
					if mode == cudnn.AverageCountIncludePadding {
						count = float64(w.size[0] * w.size[1])
					}
					for _, i := range places {
						y[at] += float64(x[i]) / count
						dx[i] += float64(dy[at]) / count
					}
				}
			}
		}
	}
	return y, dx
}

// cuBLAS counts columns first: element (i, j) of a matrix of m rows is at i + j*m. gorgonia's package passes slices,
// whose first element's address here is the device's.
func TestSgemm(t *testing.T) {
	const m, n, k = 7, 5, 11
	const alpha, beta = 0.5, -2
	for name, trans := range map[string][2]bool{
		"NN": {false, false}, "TN": {true, false}, "NT": {false, true}, "TT": {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			sim.Seeds(t, schedules, func(t *testing.T, machine *sim.Machine) {
				r := newRig(t, machine)
				a, b, c := r.values(m*k), r.values(k*n), r.values(m*n)
				at := func(v []float32, rows, columns, i, j int, transposed bool) float64 {
					if transposed {
						return float64(v[j+i*columns])
					}
					return float64(v[i+j*rows])
				}
				want := make([]float64, m*n)
				for i := range m {
					for j := range n {
						want[i+j*m] = beta * float64(c[i+j*m])
						for l := range k {
							want[i+j*m] += alpha * at(a, m, k, i, l, trans[0]) * at(b, k, n, l, j, trans[1])
						}
					}
				}
				var handle cublas.Standard
				r.must(handle.Init())
				t.Cleanup(func() { r.must(handle.Close()) })
				r.must(calls.SetBLASStream(&handle, r.stream))
				as, bs, cs := r.upload(a), r.upload(b), r.upload(c)
				plain, transposed := operations(handle.Sgemm)
				tA, lda, tB, ldb := plain, m, plain, k
				if trans[0] {
					tA, lda = transposed, k
				}
				if trans[1] {
					tB, ldb = transposed, n
				}
				handle.Sgemm(tA, tB, m, n, k, alpha, floats(as, m*k), lda, floats(bs, k*n), ldb,
					beta, floats(cs, m*n), m)
				r.must(handle.Err())
				r.check("c", cs, want, sumOf(k+2))
			})
		})
	}
}

// operations gives Sgemm's values for a matrix as it is and a transposed one, whose type is of a package that this
// module doesn't require itself.
func operations[T ~byte](func(tA, tB T, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int,
	beta float32, c []float32, ldc int)) (plain, transposed T) {
	return 'N', 'T'
}

// floats is device memory as a slice, not to be looked into.
func floats(p cu.DevicePtr, n int) []float32 {
	return unsafe.Slice(*(**float32)(unsafe.Pointer(&p)), n)
}

func TestActivation(t *testing.T) {
	for name, c := range map[string]struct {
		mode             cudnn.ActivationMode
		forward, derived func(x float64) float64
	}{
		"ReLU": {cudnn.ReLU, func(x float64) float64 { return max(x, 0) }, func(x float64) float64 {
			if x > 0 {
				return 1
			}
			return 0
		}},
		"sigmoid": {cudnn.Sigmoid, sigmoid, func(x float64) float64 { return sigmoid(x) * (1 - sigmoid(x)) }},
		"tanh":    {cudnn.Tanh, math.Tanh, func(x float64) float64 { return 1 - math.Tanh(x)*math.Tanh(x) }},
	} {
		t.Run(name, func(t *testing.T) {
			sim.Seeds(t, schedules, func(t *testing.T, m *sim.Machine) {
				r := newRig(t, m)
				shape := [4]int{2, 3, 5, 7}
				x, dy := r.values(size(shape)), r.values(size(shape))
				y, dx := make([]float64, len(x)), make([]float64, len(x))
				for i := range x {
					y[i] = c.forward(float64(x[i]))
					dx[i] = float64(dy[i]) * c.derived(float64(x[i]))
				}
				handle, tensor := r.dnn(), r.tensor(shape)
				descriptor, err := cudnn.NewActivation(c.mode, cudnn.NotPropagateNan, 0)
				activation := keep(r, descriptor, err)
				xs, dys, ys, dxs := r.input(x), r.input(dy), r.output(len(x)), r.output(len(x))
				r.must(handle.ActivationForward(activation, 1, tensor, xs, 0, tensor, ys))
				// A few roundings of numbers up to 1.
				few := approx.Tolerance{Abs: 4.0 / (1 << 24)}
				r.check("y", ys.DevicePtr, y, few)
				r.must(handle.ActivationBackward(activation, 1, tensor, ys, tensor, dys, tensor, xs, 0, tensor, dxs))
				r.check("dx", dxs.DevicePtr, dx, few)
			})
		})
	}
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
