//go:build cuda

package cuda

import (
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/gputrain/gputrain/cuda/driver"
	"github.com/gputrain/gputrain/cuda/sim"
	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// u is half a unit in the last place of a float32 of 1: the most by which one rounding changes a number, relative to it.
const u = 1.0 / (1 << 24)

// kernelRig launches single kernels, with operands that lie anywhere and grids of any size.
type kernelRig struct {
	*testing.T
	random  *rand.Rand
	device  *Device // as far as a launch needs it
	real    kernels.Device
	held    []cu.DevicePtr
	skewed  bool                     // operands begin anywhere, not where 16 bytes can move at once
	started map[*kernels.Kernel]bool // kernels that have been launched
}

// newKernelRig makes the device current on the test's thread.
func newKernelRig(t *testing.T, m *sim.Machine, started map[*kernels.Kernel]bool) *kernelRig {
	t.Helper()
	r := &kernelRig{T: t, random: rand.New(rand.NewPCG(uint64(m.Seed()), uint64(len(t.Name())))), started: started}
	_, err := driver.Open()
	r.must(err)
	device, err := cu.GetDevice(0)
	r.must(err)
	context, err := device.RetainPrimaryCtx()
	r.must(err)
	t.Cleanup(func() { r.must(device.ReleasePrimaryCtx()) })
	r.must(cu.SetCurrentContext(context))
	t.Cleanup(func() { r.must(cu.SetCurrentContext(cu.CUContext{})) })
	stream, err := cu.MakeStream(cu.NonBlocking)
	r.must(err)
	t.Cleanup(func() { r.must(stream.Destroy()) })
	set, err := newKernelSet(device)
	r.must(err)
	t.Cleanup(func() { r.must(set.close()) })
	r.device, r.real = &Device{stream: stream, kernels: set}, set.device
	return r
}

func (r *kernelRig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// trial draws where operands lie and how large grids are, for one or more launches, and frees what they took.
func (r *kernelRig) trial(test func()) {
	r.Helper()
	r.skewed = r.random.IntN(2) == 0
	r.device.kernels.device = r.real
	if r.random.IntN(3) > 0 { // few threads, so that they go round more than once
		r.device.kernels.device = kernels.Device{Multiprocessors: 1 + r.random.IntN(3), ThreadsPerMultiprocessor: 32 << r.random.IntN(4),
			ThreadsPerBlock: 32 << r.random.IntN(6)}
	}
	test()
	r.must(r.device.stream.Synchronize())
	for _, p := range r.held {
		r.must(cu.MemFree(p))
	}
	r.held = nil
}

// launch puts a kernel on the stream.
func (r *kernelRig) launch(k kernels.Launcher) {
	r.Helper()
	l, err := k.Launch(r.device.kernels.device)
	r.must(err)
	r.started[l.Kernel] = true
	if err := r.device.launch(k); err != nil {
		r.Fatalf("%+v: %v", k, err)
	}
}

// count draws a number of values: mostly few, with every tail.
func (r *kernelRig) count() int { return 1 + r.random.IntN([]int{8, 70, 3000}[r.random.IntN(3)]) }

// about draws a number from 1 to most.
func (r *kernelRig) about(most int) int { return 1 + r.random.IntN(most) }

// values draws n numbers from -1 to 1.
func (r *kernelRig) values(n int) []float32 {
	return drawn(n, func() float32 { return 2*r.random.Float32() - 1 })
}

// wholes draws n whole numbers from -most to most, as float32: their sums are exact in any order.
func (r *kernelRig) wholes(n, most int) []float32 {
	return drawn(n, func() float32 { return float32(r.random.IntN(2*most+1) - most) })
}

// positive draws n numbers from 0.1 to 1.1.
func (r *kernelRig) positive(n int) []float32 {
	return drawn(n, func() float32 { return 0.1 + r.random.Float32() })
}

func drawn[T any](n int, draw func() T) []T {
	all := make([]T, n)
	for i := range all {
		all[i] = draw()
	}
	return all
}

// operand is values in device memory. They end where their allocation ends, so that the simulator sees what reaches beyond
// them, and begin behind up to three others, that nothing may change and that are NaN as floats.
type operand[T any] struct {
	rig    *kernelRig
	base   cu.DevicePtr
	before int // values
	count  int
}

// poison is what no kernel leaves: floats of it are NaN.
const poison = 0xa5

// poisonOf is a value that consists of poison, but for floats, of which it is a NaN.
func poisonOf[T any]() (v T) {
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(&v)), unsafe.Sizeof(v))
	for i := range bytes {
		bytes[i] = poison
	}
	switch any(v).(type) {
	case float32, float64:
		copy(bytes[len(bytes)-2:], []byte{0xf8, 0x7f})
	}
	return v
}

// put brings values to the device.
func put[T any](r *kernelRig, values []T) operand[T] {
	r.Helper()
	o := operand[T]{rig: r, count: len(values)}
	if r.skewed {
		o.before = r.random.IntN(4)
	}
	all := append(drawn(o.before, poisonOf[T]), values...)
	var err error
	o.base, err = cu.MemAlloc(o.bytes())
	r.must(err)
	r.held = append(r.held, o.base)
	r.must(cu.MemcpyHtoDAsync(o.base, unsafe.Pointer(unsafe.SliceData(all)), o.bytes(), r.device.stream))
	return o
}

// room makes an operand for n values that a kernel has to write, all of them.
func room[T any](r *kernelRig, n int) operand[T] {
	r.Helper()
	return put(r, drawn(n, poisonOf[T]))
}

func (o operand[T]) bytes() int64 {
	var v T
	return int64(unsafe.Sizeof(v)) * int64(o.before+o.count)
}

// at is the operand's address.
func (o operand[T]) at() cu.DevicePtr {
	var v T
	return o.base + cu.DevicePtr(o.before)*cu.DevicePtr(unsafe.Sizeof(v))
}

// get waits for the device and returns the values.
func (o operand[T]) get() []T {
	r := o.rig
	r.Helper()
	all := make([]T, o.before+o.count)
	r.must(cu.MemcpyDtoHAsync(unsafe.Pointer(unsafe.SliceData(all)), o.base, o.bytes(), r.device.stream))
	r.must(r.device.stream.Synchronize())
	var v T
	before := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(all))), o.before*int(unsafe.Sizeof(v)))
	want := drawn(o.before, poisonOf[T])
	if string(before) != string(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(want))), len(before))) {
		r.Errorf("what lies before the operand has changed to %v", all[:o.before])
	}
	return all[o.before:]
}

// Addresses, as kernels take them.
func at[T interface {
	float32 | float64 | kernels.BFloat16 | int32 | uint8 | kernels.StepState | kernels.Queued | kernels.Sums | kernels.View
}](o operand[T]) kernels.Pointer[T] {
	return kernels.Pointer[T](o.at())
}

// held is an operand's address, as kernels take it that have forms.
func held[T interface{ float32 | kernels.BFloat16 }](o operand[T]) kernels.Values {
	var v T
	if _, narrow := any(v).(kernels.BFloat16); narrow {
		return kernels.BF16.At(uint64(o.at()))
	}
	return kernels.Float32.At(uint64(o.at()))
}

func optionally[T interface{ float32 | int32 }](o *operand[T]) kernels.Optional[T] {
	if o == nil {
		return 0
	}
	return kernels.Optional[T](o.at())
}

// state brings what a step finds in device memory: it is number `step`, and finds its numbers and indices in row `slot`.
func (r *kernelRig) state(step int64, slot int) operand[kernels.StepState] {
	r.Helper()
	return r.begins([]kernels.StepState{{Step: step, Slot: uint32(slot)}})
}

// begins puts what always begins a buffer.
func (r *kernelRig) begins(s []kernels.StepState) operand[kernels.StepState] {
	r.Helper()
	skewed := r.skewed
	defer func() { r.skewed = skewed }()
	r.skewed = false
	return put(r, s)
}

// doubles widens values.
func doubles[T float32 | float64](values []T) []float64 {
	all := make([]float64, len(values))
	for i, v := range values {
		all[i] = float64(v)
	}
	return all
}

// singles rounds values.
func singles(values []float64) []float32 {
	all := make([]float32, len(values))
	for i, v := range values {
		all[i] = float32(v)
	}
	return all
}

// queued are the numbers of steps, of which those in row `slot` matter.
func (r *kernelRig) queued(slot int, numbers kernels.Queued) operand[kernels.Queued] {
	r.Helper()
	rows := drawn(slot+1, func() kernels.Queued {
		return kernels.Queued{Update: r.random.Float32(), Decay: r.random.Float32(), Weight: r.random.Float32(), First: r.random.Uint32(),
			Average: r.random.Float32()}
	})
	rows[slot] = numbers
	return put(r, rows)
}

// judgeOf is the reference's form of a layer on inputs of a shape.
func (r *kernelRig) judgeOf(in net.Shape, l net.Layer) *reference.Layer {
	r.Helper()
	n := &net.Network{Name: "one", Input: in, Layers: []net.Layer{l, &net.Flatten{}, &net.Dense{Units: 2}}}
	plan, err := n.Plan()
	r.must(err)
	return &reference.Layer{Node: plan.Nodes[0], Params: map[net.Role][]float64{}}
}

// shape draws a shape of few values.
func (r *kernelRig) shape() net.Shape {
	return net.Shape{C: r.about(9), H: r.about(9), W: r.about(12)}
}

// TestEveryKernel launches each of our kernels by itself, with random sizes, on operands that lie anywhere, and compares
// with the reference.
func TestEveryKernel(t *testing.T) {
	started := map[*kernels.Kernel]bool{}
	trials := 60
	if testing.Short() {
		trials = 10
	}
	for _, c := range kernelTrials {
		t.Run(c.name, func(t *testing.T) {
			r := newKernelRig(t, sim.Start(t), started)
			for i := range trials {
				r.trial(func() { c.test(r) })
				if t.Failed() {
					t.Fatalf("in trial %d, on %+v", i, r.device.kernels.device)
				}
			}
		})
	}
	for _, m := range kernels.Modules() {
		for _, k := range m.Kernels {
			if !started[k] && !t.Failed() {
				t.Errorf("no trial launches %s", k.Name)
			}
		}
	}
}

// kernelTrials are the tests of each kernel, or of those that belong together.
var kernelTrials = []struct {
	name string
	test func(r *kernelRig)
}{
	{"activation", tryActivation}, {"activation of NaN", tryActivationNaN}, {"relu_backward", tryReLUBackward}, {"dropout", tryDropout},
	{"gather_bytes", tryGatherBytes}, {"gather_floats", tryGatherFloats},
	{"view_bytes", tryViewBytes}, {"view_floats", tryViewFloats},
	{"bias_add", tryBiasAdd}, {"bias_relu", tryBiasReLU}, {"bias_gradient", tryBiasGradient}, {"column_sums", tryColumnSums},
	{"batchnorm_statistics", tryBatchnormStatistics}, {"batchnorm", tryBatchnorm}, {"batchnorm_backward", tryBatchnormBackward},
	{"batchnorm of NaN", tryBatchnormNaN},
	{"to_bf16", tryToBF16}, {"from_bf16", tryFromBF16},
	{"softmax_cross_entropy", trySoftmax}, {"add_metrics", tryAddMetrics},
	{"sgd", trySGD}, {"adam", tryAdam}, {"clipping", tryClipping},
	{"move_average", tryMoveAverage}, {"exchange", tryExchange},
	{"conv_bias_relu_pool", tryFused}, {"conv_bias_relu_pool of NaN", tryFusedNaN},
	{"bias_relu_pool", tryBiasReLUPool}, {"bias_relu_pool_backward", tryBiasReLUPoolBackward},
	{"pooling", tryPooling}, {"pad", tryPad},
	{"add", tryAdd}, {"add_relu", tryAddReLU}, {"add_relu of NaN", tryAddReLUNaN}, {"scale", tryScale}, {"multiply", tryMultiply}, {"multiply_rows", tryMultiplyRows}, {"copy_blocks", tryCopyBlocks},
}

// check compares an operand with what it has to hold.
func check(r *kernelRig, what string, o operand[float32], want []float64, t approx.Tolerance) {
	r.Helper()
	approx.Check(r, what, o.get(), want, t)
}

// checkWhole does so for whole numbers.
func checkWhole[T int32 | uint8 | kernels.BFloat16](r *kernelRig, what string, o operand[T], want []T) {
	r.Helper()
	if got := o.get(); !slices.Equal(got, want) {
		r.Errorf("%s: %v, want %v", what, got, want)
	}
}

// exact is the tolerance of what is not rounded, or rounded once and the same way.
var exact = approx.Tolerance{}
