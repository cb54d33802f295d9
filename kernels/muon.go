package kernels

import "fmt"

// Stack is matrices of one shape that the same launches of Muon's kernels update. Matrix i of Matrices has Size values, from
// value i*Stride of each buffer on. Parts blocks share each matrix: it must be [SquareSumsOf](Size).
type Stack struct {
	Size     uint64
	Stride   uint64
	Matrices uint32
	Parts    uint32
}

// launch makes the launch of a kernel whose blocks share matrices.
func (s Stack) launch(k *Kernel, d Device, parameters any) (Launch, error) {
	rows, err := countPlaces(k, s.Matrices, s.Parts)
	if err != nil {
		return Launch{}, err
	}
	if rows < 1 || s.Stride < s.Size {
		return Launch{}, fmt.Errorf("kernels: %s: %d matrices of %d values, %d apart: want 1 or more, no values shared", k.Name, s.Matrices, s.Size, s.Stride)
	}
	if s.Parts != SquareSumsOf(s.Size) {
		return Launch{}, fmt.Errorf("kernels: %s: %d parts of %d values: want %d", k.Name, s.Parts, s.Size, SquareSumsOf(s.Size))
	}
	return newRows(k, d, rows, quads((s.Size+uint64(s.Parts)-1)/uint64(s.Parts)), parameters)
}

// MuonVelocity moves the velocities V of matrices by their [Gradients], and writes the matrices U of Muon before they are
// divided by their norms: V, with Nesterov the gradients plus Momentum*V, or the gradients if V is null. Clip points to one
// factor for all gradients, or is null. Squares gets Parts partial sums of each matrix, of the squares of U. Weights gets
// those of the weights W, or is null. For the formulas see net.Muon.
type MuonVelocity struct {
	U Pointer[float32]
	W Pointer[float32]
	Gradients
	V       Optional[float32]
	Clip    Optional[float32]
	Squares Pointer[float64]
	Weights Optional[float64]
	Stack
	Narrow   uint64
	Momentum float32
	Nesterov int32
}

var muonVelocity = newKernel("muon_velocity", 256, MuonVelocity{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k MuonVelocity) Launch(d Device) (Launch, error) {
	if err := k.check(muonVelocity, k.Narrow); err != nil {
		return Launch{}, err
	}
	return k.launch(muonVelocity, d, k)
}

// MuonScale divides each matrix of U by its L2 norm plus Least. Squares holds the partial sums that [MuonVelocity] writes.
type MuonScale struct {
	U       Pointer[float32]
	Squares Pointer[float64]
	Stack
	Least float32
}

var muonScale = newKernel("muon_scale", 256, MuonScale{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k MuonScale) Launch(d Device) (Launch, error) { return k.launch(muonScale, d, k) }

// MuonPolynomial sets square matrices P to Unit*I + Linear*A + Square*P. Before, P is A*A. There are Matrices of them with
// Rows rows, one after the other without gaps.
type MuonPolynomial struct {
	P        Pointer[float32]
	A        Pointer[float32]
	Rows     uint32
	Matrices uint32
	Unit     float32
	Linear   float32
	Square   float32
}

var muonPolynomial = newKernel("muon_polynomial", 256, MuonPolynomial{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k MuonPolynomial) Launch(d Device) (Launch, error) {
	count, err := countPlaces(muonPolynomial, k.Matrices, k.Rows, k.Rows)
	if err != nil {
		return Launch{}, err
	}
	return newLaunch(muonPolynomial, d, quads(count), k)
}

// MuonApply subtracts the matrices U, times Scale and the learning rate, from the weights W. Before, it multiplies W by 1
// less the decay, if Decays isn't 0. If Weights isn't null, it also multiplies each matrix by sqrt(Rows)/(its L2 norm plus
// Least), from the partial sums that [MuonVelocity] writes. Where W16 isn't null, the new weights go there too, as bfloat16. The rule's
// numbers are Rates[State.slot].
type MuonApply struct {
	W       Pointer[float32]
	W16     Optional[BFloat16]
	U       Pointer[float32]
	Weights Optional[float64]
	State   Pointer[StepState]
	Rates   Pointer[Rates]
	Stack
	Rows   uint32
	Decays int32
	Scale  float32
	Least  float32
}

var muonApply = newKernel("muon_apply", 256, MuonApply{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k MuonApply) Launch(d Device) (Launch, error) { return k.launch(muonApply, d, k) }
