package kernels

import "fmt"

// MostSquareSums is the largest number of partial sums that SquareSums writes.
const MostSquareSums = 256

// SquareSumsOf returns how many partial sums SquareSums writes for count values. The number is the same on every
// device, so clipping gives the same bytes everywhere.
func SquareSumsOf(count uint64) uint32 {
	const perBlock = 4096
	return uint32(max(1, min(MostSquareSums, (count+perBlock-1)/perBlock)))
}

// Gradients are those of a kernel that reads all: the first Narrow are bfloat16 in G16, the others float32 in G. Gradient
// i is number i of its buffer. With a Narrow of 0, G16 may be null.
type Gradients struct {
	G   Pointer[float32]
	G16 Optional[BFloat16]
}

// check returns an error if there is no buffer for the gradients that are bfloat16.
func (g Gradients) check(k *Kernel, narrow uint64) error {
	if narrow > 0 && g.G16 == 0 {
		return fmt.Errorf("kernels: %s: g16: null pointer", k.Name)
	}
	return nil
}

// SGD updates Count weights W by their [Gradients]. Where W16 isn't null, the new weights go there too, as bfloat16. With momentum, V holds the velocities; otherwise V is null. Weight
// decay applies to the first Decayed weights. Clip points to one factor for all gradients, or is null. The rule's
// numbers are Rates[State.slot]. For the formulas see net.SGD.
type SGD struct {
	W   Pointer[float32]
	W16 Optional[BFloat16]
	Gradients
	V           Optional[float32]
	State       Pointer[StepState]
	Rates       Pointer[Rates]
	Clip        Optional[float32]
	Count       uint64
	Narrow      uint64
	Decayed     uint64
	Momentum    float32
	Nesterov    int32
	WeightDecay float32
}

var sgd = newKernel("sgd", 256, SGD{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k SGD) Launch(d Device) (Launch, error) {
	if err := k.check(sgd, k.Narrow); err != nil {
		return Launch{}, err
	}
	return newLaunch(sgd, d, quads(k.Count), k)
}

// Adam updates Count weights W by their [Gradients] and moments M and V. Where W16 isn't null, the new weights go
// there too, as bfloat16. Weight decay applies to the first Decayed
// weights. If Apart is 1 it is applied to the weights directly (AdamW), otherwise it is added to the gradients. Clip
// points to one factor for all gradients, or is null. The rule's numbers are Rates[State.slot]. For the formulas see
// net.Adam and net.AdamW.
type Adam struct {
	W   Pointer[float32]
	W16 Optional[BFloat16]
	Gradients
	M            Pointer[float32]
	V            Pointer[float32]
	State        Pointer[StepState]
	Rates        Pointer[Rates]
	Clip         Optional[float32]
	Count        uint64
	Narrow       uint64
	Decayed      uint64
	Beta1        float32
	OneLessBeta1 float32
	Beta2        float32
	OneLessBeta2 float32
	Epsilon      float32
	WeightDecay  float32
	Apart        int32
}

var adam = newKernel("adam", 256, Adam{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k Adam) Launch(d Device) (Launch, error) {
	if err := k.check(adam, k.Narrow); err != nil {
		return Launch{}, err
	}
	return newLaunch(adam, d, quads(k.Count), k)
}

// Lion updates Count weights W by their [Gradients] and moments M. Where W16 isn't null, the new weights go there too, as
// bfloat16. Weight decay applies to the first Decayed weights. Clip points to one factor for all gradients, or is null. The
// rule's numbers are Rates[State.slot]. For the formula see net.Lion.
type Lion struct {
	W   Pointer[float32]
	W16 Optional[BFloat16]
	Gradients
	M            Pointer[float32]
	State        Pointer[StepState]
	Rates        Pointer[Rates]
	Clip         Optional[float32]
	Count        uint64
	Narrow       uint64
	Decayed      uint64
	Beta1        float32
	OneLessBeta1 float32
	Beta2        float32
	OneLessBeta2 float32
}

var lion = newKernel("lion", 256, Lion{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k Lion) Launch(d Device) (Launch, error) {
	if err := k.check(lion, k.Narrow); err != nil {
		return Launch{}, err
	}
	return newLaunch(lion, d, quads(k.Count), k)
}

// MoveAverage moves Count averages A towards the values W: A += rate*(W - A). The rate is the Average of
// Queued[State.slot]. If its Back isn't 0, the values are then set to the averages. Where W16 isn't null, they go there
// too, as bfloat16.
type MoveAverage struct {
	A      Pointer[float32]
	W      Pointer[float32]
	W16    Optional[BFloat16]
	State  Pointer[StepState]
	Queued Pointer[Queued]
	Count  uint64
}

var moveAverage = newKernel("move_average", 256, MoveAverage{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k MoveAverage) Launch(d Device) (Launch, error) {
	return newLaunch(moveAverage, d, quads(k.Count), k)
}

// Exchange exchanges Count values of A and B.
type Exchange struct {
	A     Pointer[float32]
	B     Pointer[float32]
	Count uint64
}

var exchange = newKernel("exchange", 256, Exchange{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k Exchange) Launch(d Device) (Launch, error) {
	return newLaunch(exchange, d, quads(k.Count), k)
}

// SquareSums sums the squares of Count [Gradients]. Each block writes one partial sum: Partial has [SquareSumsOf](Count)
// values.
type SquareSums struct {
	Partial Pointer[float64]
	Gradients
	Count  uint64
	Narrow uint64
}

var squareSums = newKernel("square_sums", 256, SquareSums{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k SquareSums) Launch(d Device) (Launch, error) {
	if err := k.check(squareSums, k.Narrow); err != nil {
		return Launch{}, err
	}
	return newRows(squareSums, d, uint64(SquareSumsOf(k.Count)), quads(k.Count), k)
}

// ClipFactor computes *Clip = min(1, Most/sqrt(s)), where s is the sum of the Parts values of Partial. It is NaN if
// one of them is NaN.
type ClipFactor struct {
	Clip    Pointer[float32]
	Partial Pointer[float64]
	Parts   uint32
	Most    float32
}

var clipFactor = newKernel("clip_factor", 256, ClipFactor{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k ClipFactor) Launch(d Device) (Launch, error) {
	return newRows(clipFactor, d, 1, uint64(k.Parts), k)
}
