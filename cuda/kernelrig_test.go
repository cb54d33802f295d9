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

// u16 is the same for bfloat16, which has eight bits with the leading one.
const u16 = 1.0 / (1 << 8)

// kernelRig launches single kernels, with operands that lie anywhere and grids of any size.
type kernelRig struct {
	*testing.T
	random  *rand.Rand
	trials  int          // so far
	kind    kernels.Type // of the trial's values between layers
	last    bool         // they are (N, H, W, C) in this trial, otherwise (N, C, H, W)
	device  *Device      // as far as a launch needs it
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
	r.device, r.real = &Device{lane: lane{stream: stream}, kernels: set}, set.device
	return r
}

func (r *kernelRig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// trial draws where operands lie and how large grids are, for one or more launches, and frees what they took. Any four
// trials one after the other are in both types and in both layouts.
func (r *kernelRig) trial(test func()) {
	r.Helper()
	r.kind, r.last = kernels.Type(r.trials%2), r.trials/2%2 == 1
	r.trials++
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

// values draws n numbers from -1 to 1, which the trial's type has.
func (r *kernelRig) values(n int) []float32 {
	return r.rounded(drawn(n, func() float32 { return 2*r.random.Float32() - 1 }))
}

// wholes draws n whole numbers from -most to most, which the trial's type has: their sums are exact in any order.
func (r *kernelRig) wholes(n, most int) []float32 {
	return r.rounded(drawn(n, func() float32 { return float32(r.random.IntN(2*most+1) - most) }))
}

// positive draws n numbers from 0.1 to 1.1, which the trial's type has.
func (r *kernelRig) positive(n int) []float32 {
	return r.rounded(drawn(n, func() float32 { return 0.1 + r.random.Float32() }))
}

// rounded rounds values, in place, to the trial's type. It returns them.
func (r *kernelRig) rounded(values []float32) []float32 {
	if r.kind == kernels.BF16 {
		for i, v := range values {
			values[i] = nearestBFloat16(v).Float32()
		}
	}
	return values
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
	float32 | float64 | kernels.BFloat16 | int32 | uint8 | kernels.StepState | kernels.Queued | kernels.Rates | kernels.Sums | kernels.View
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

// layerValues are values between layers in device memory: an operand of the trial's type.
type layerValues struct {
	kind   kernels.Type
	single operand[float32]
	brain  operand[kernels.BFloat16]
}

// put brings values to the device, in the trial's type. It rounds the given ones to it, in place.
func (r *kernelRig) put(values []float32) (t layerValues) {
	r.Helper()
	r.rounded(values)
	if t.kind = r.kind; t.kind == kernels.Float32 {
		t.single = put(r, values)
		return t
	}
	brains := make([]kernels.BFloat16, len(values))
	for i, v := range values {
		brains[i] = nearestBFloat16(v)
	}
	t.brain = put(r, brains)
	return t
}

// room makes room for n values that a kernel has to write, all of them.
func (r *kernelRig) room(n int) (t layerValues) {
	r.Helper()
	if t.kind = r.kind; t.kind == kernels.Float32 {
		t.single = room[float32](r, n)
	} else {
		t.brain = room[kernels.BFloat16](r, n)
	}
	return t
}

// at is the values' address, as kernels take it.
func (t layerValues) at() kernels.Values { return t.from(0) }

// from is the address of value number i.
func (t layerValues) from(i int) kernels.Values {
	v := held(t.single)
	if t.kind == kernels.BF16 {
		v = held(t.brain)
	}
	v.Address += uint64(i) * uint64(t.kind.Bytes())
	return v
}

// get waits for the device and returns the values.
func (t layerValues) get() []float32 {
	if t.kind == kernels.Float32 {
		t.single.rig.Helper()
		return t.single.get()
	}
	t.brain.rig.Helper()
	var values []float32
	for _, b := range t.brain.get() {
		values = append(values, b.Float32())
	}
	return values
}

// check compares values with what they have to be. The tolerance is that of what the kernel computes in float32. A
// bfloat16 is rounded once more, at the end. What is exact is the nearest bfloat16 then.
func (r *kernelRig) check(what string, t layerValues, want []float64, tolerance approx.Tolerance) {
	r.Helper()
	if t.kind == kernels.BF16 && tolerance == exact {
		want = doubles(r.rounded(singles(want)))
	} else if t.kind == kernels.BF16 {
		tolerance = approx.Tolerance{Abs: tolerance.Abs * (1 + u16), Rel: tolerance.Rel*(1+u16) + u16}
	}
	approx.Check(r, what, t.get(), want, tolerance)
}

// target is values that a kernel is to write or, for an `add` of 1, to add to; it adds what is there to `want`.
func (r *kernelRig) target(want []float64) (to layerValues, add int32) {
	r.Helper()
	if r.random.IntN(2) == 0 {
		return r.room(len(want)), 0
	}
	before := r.values(len(want))
	for i := range want {
		want[i] += float64(before[i])
	}
	return r.put(before), 1
}

// planes is how kernels take n images of c channels in the trial's layout: as so many images with so many interleaved
// channels.
func (r *kernelRig) planes(n, c int) (planes, channels uint32) {
	if r.last {
		return uint32(n), uint32(c)
	}
	return uint32(n * c), 1
}

// lastOf returns values (rows, channels, extent) as they lie in the trial's layout.
func lastOf[T any](r *kernelRig, values []T, rows, channels int) []T {
	if !r.last || len(values) == 0 {
		return values
	}
	extent := len(values) / rows / channels
	moved := make([]T, len(values))
	for i, v := range values {
		n, c, p := i/extent/channels, i/extent%channels, i%extent
		moved[(n*extent+p)*channels+c] = v
	}
	return moved
}

// channels draws how many channels images have, often so many that they move at once, and at most `most`.
func (r *kernelRig) channels(most int) int {
	if r.random.IntN(2) == 0 {
		return r.about(most)
	}
	wide := 16 / int(r.kind.Bytes()) * (1 + r.random.IntN(2)) // 8 floats are as wide as a block of conv.cu
	return max(1, wide*r.about(max(1, most/wide)))
}

func optionally[T interface{ float32 | float64 | int32 }](o *operand[T]) kernels.Optional[T] {
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
		return kernels.Queued{Weight: r.random.Float32(), First: r.random.Uint32(), Average: r.random.Float32(), Back: r.random.Uint32N(2)}
	})
	rows[slot] = numbers
	return put(r, rows)
}

// rates are the numbers of a rule in some steps, of which those in row `slot` matter.
func (r *kernelRig) rates(slot int, of net.Rates) operand[kernels.Rates] {
	r.Helper()
	rows := drawn(slot+1, func() kernels.Rates { return kernels.Rates{Update: r.random.Float32(), Decay: r.random.Float32()} })
	rows[slot] = kernels.Rates{Update: float32(of.Update), Decay: float32(of.Decay)}
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
				t.Errorf("no trial launches %s of %v", k.Name, k.Type)
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
	{"bias_add", tryBiasAdd}, {"bias_relu", tryBiasReLU}, {"bias_gradient", tryBiasGradient}, {"bias_relu_gradient", tryBiasReLUGradient}, {"column_sums", tryColumnSums},
	{"batchnorm_statistics", tryBatchnormStatistics}, {"batchnorm_joint", tryBatchnormJoint}, {"batchnorm", tryBatchnorm}, {"batchnorm_backward", tryBatchnormBackward},
	{"batchnorm of NaN", tryBatchnormNaN},
	{"to_bf16", tryToBF16}, {"from_bf16", tryFromBF16},
	{"softmax_cross_entropy", trySoftmax}, {"add_metrics", tryAddMetrics},
	{"sgd", trySGD}, {"adam", tryAdam}, {"lion", tryLion}, {"lion of NaN", tryLionNaN}, {"clipping", tryClipping},
	{"muon_velocity", tryMuonVelocity}, {"muon_scale", tryMuonScale}, {"muon_polynomial", tryMuonPolynomial}, {"muon_apply", tryMuonApply},
	{"move_average", tryMoveAverage}, {"exchange", tryExchange},
	{"conv", tryConvolution}, {"conv_data", tryConvolutionData}, {"conv_filter", tryConvolutionFilter},
	{"conv_bias_relu_pool", tryFused}, {"conv_bias_relu_pool of NaN", tryFusedNaN},
	{"bias_relu_pool", tryBiasReLUPool}, {"bias_relu_pool_backward", tryBiasReLUPoolBackward}, {"bias_relu_pool_gradient", tryBiasReLUPoolGradient}, {"bias_relu_pool_gradients", tryBiasReLUPoolGradients},
	{"pooling", tryPooling}, {"pooling of NaN", tryPoolingNaN}, {"pad", tryPad}, {"permute", tryPermute},
	{"add", tryAdd}, {"add_relu", tryAddReLU}, {"add_relu of NaN", tryAddReLUNaN}, {"scale", tryScale}, {"multiply", tryMultiply},
	{"multiply_rows", tryMultiplyRows}, {"copy_blocks", tryCopyBlocks},
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
