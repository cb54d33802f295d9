//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"math"

	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
)

// Muon updates matrices. Each has a row for each filter or unit. With channels last, a matrix has its columns in another order
// than the network does. Then U*U' is the same, U'*U has rows and columns in the device's order, and the next U has its columns
// in that order again.
//
// Muon's matrices and products are float32. In the precisions TF32 and BF16, products round their factors as TF32 does. For
// bfloat16 factors, further launches would have to round the matrices first, and small products take no longer than a launch.

// stack is matrices of one shape, which the same launches update. They are count matrices, each stride values of flat behind
// the one before, from value number from on.
type stack struct {
	MatrixShape
	decayed, narrow bool
	from, stride    int64
	count           int
}

// pile adds a parameter that lies at the given place to the part's last stack, or to a new one.
func (r *part) pile(q *parameter, from, stride int64) {
	s := stack{MatrixShape: q.matrix, decayed: q.decayed, narrow: q.narrow, from: from, stride: stride}
	if n := len(r.stacks); n == 0 || r.stacks[n-1].MatrixShape != s.MatrixShape || r.stacks[n-1].decayed != s.decayed || r.stacks[n-1].narrow != s.narrow {
		r.stacks = append(r.stacks, s)
	}
	r.stacks[len(r.stacks)-1].count++
}

// shape returns the stack as kernels see it.
func (s *stack) shape() kernels.Stack {
	size := uint64(s.Rows) * uint64(s.Columns)
	return kernels.Stack{Size: size, Stride: uint64(s.stride), Matrices: uint32(s.count), Parts: kernels.SquareSumsOf(size)}
}

// muon is memory that Muon works in, one stack after the other: the matrices U, where the next ones go, the square matrices A
// and A*A, and sums of squares of U and of the weights.
type muon struct{ all, u, next, gram, square, squares, weights Buffer }

// takeMuon takes the memory that Muon works in, if it updates any matrices.
func (p *program) takeMuon() (err error) {
	var values, grams, sums int64
	early := false
	for _, r := range p.flat.parts {
		for _, s := range r.stacks {
			k := s.shape()
			values = max(values, s.stride*int64(s.count))
			grams = max(grams, int64(s.count)*int64(s.Least())*int64(s.Least()))
			sums = max(sums, int64(k.Matrices)*int64(k.Parts))
			early = early || p.early(r.turn)
		}
	}
	if values == 0 {
		return nil
	}
	if early {
		if err := p.device.giveBLAS(updateLane); err != nil {
			return err
		}
	}
	m := &p.muon
	buffers := []struct {
		into  *Buffer
		bytes int64
	}{{&m.u, 4 * values}, {&m.next, 4 * values}, {&m.gram, 4 * grams}, {&m.square, 4 * grams}, {&m.squares, 8 * sums}, {&m.weights, 8 * sums}}
	var all int64
	for _, b := range buffers {
		all += aligned(b.bytes)
	}
	if m.all, err = p.device.pool.take(all, "Muon's matrices"); err != nil {
		return err
	}
	at := int64(0)
	for _, b := range buffers {
		*b.into = m.all.part(at, b.bytes)
		at += aligned(b.bytes)
	}
	return nil
}

// optimizeStack updates matrices of one shape of a part.
func (p *program) optimizeStack(r part, s stack, clip kernels.Optional[float32]) error {
	o, m, all := &p.flat.rules[r.rule], &p.muon, s.stride*int64(s.count)
	velocity := kernels.MuonVelocity{U: floats(m.u), W: floats(p.flat.values.part(4*s.from, 4*all)), Clip: clip,
		Squares: kernels.Pointer[float64](m.squares.Address), Stack: s.shape(), Momentum: float32(o.Momentum), Nesterov: int32(boolInt(o.Nesterov))}
	own := part{from: s.from, count: all}
	if s.narrow && r.narrow > 0 {
		own.narrow = all
	}
	velocity.Gradients, velocity.Narrow = p.gradients(own), uint64(own.narrow)
	if len(r.moments) > 0 {
		velocity.V = optional(r.moments[0].part(4*(s.from-r.from), 4*all))
	}
	apply := kernels.MuonApply{W: velocity.W, State: p.state(), Rates: p.queue.rates(r.rule), Stack: s.shape(), Rows: uint32(s.Rows),
		Decays: int32(boolInt(s.decayed)), Scale: float32(math.Sqrt(max(1, float64(s.Rows)/float64(s.Columns))))}
	if p.flat.rounded.Bytes > 0 {
		apply.W16 = kernels.Optional[kernels.BFloat16](p.flat.rounded.part(2*s.from, 2*all).Address)
	}
	if o.Rescale {
		apply.Scale, apply.Least = 1, net.MuonLeast
		velocity.Weights = kernels.Optional[float64](m.weights.Address)
		apply.Weights = velocity.Weights
	}
	if err := p.device.launch(velocity); err != nil {
		return err
	}
	if err := p.device.launch(kernels.MuonScale{U: velocity.U, Squares: velocity.Squares, Stack: s.shape(), Least: net.MuonLeast}); err != nil {
		return err
	}
	u, err := p.orthogonalize(s, o.Iterations)
	if err != nil {
		return err
	}
	apply.U = floats(u)
	return p.device.launch(apply)
}

// orthogonalize applies Newton and Schulz's iteration to a stack of matrices. It returns where these are then.
func (p *program) orthogonalize(s stack, iterations int) (u Buffer, err error) {
	d, m := p.device, &p.muon
	u, next := m.u, m.next
	n := s.Least()
	wide := s.Rows <= s.Columns // A = U*U', otherwise U'*U
	grams := func(b Buffer) stacked { return stacked{b, int64(n) * int64(n), false} }
	matrices := func(b Buffer, transposed bool) stacked { return stacked{b, s.stride, transposed} }
	polynomial := kernels.MuonPolynomial{P: floats(m.square), A: floats(m.gram), Rows: uint32(n), Matrices: uint32(s.count),
		Unit: float32(net.NewtonSchulz[0]), Linear: float32(net.NewtonSchulz[1]), Square: float32(net.NewtonSchulz[2])}
	multiply := d.blas.multiplyStack
	for range iterations {
		if err := multiply(grams(m.gram), matrices(u, !wide), matrices(u, wide), n, n, max(s.Rows, s.Columns), s.count); err != nil {
			return u, err
		}
		if err := multiply(grams(m.square), grams(m.gram), grams(m.gram), n, n, n, s.count); err != nil {
			return u, err
		}
		if err := d.launch(polynomial); err != nil {
			return u, err
		}
		if wide {
			err = multiply(matrices(next, false), grams(m.square), matrices(u, false), n, s.Columns, n, s.count)
		} else {
			err = multiply(matrices(next, false), matrices(u, false), grams(m.square), s.Rows, n, n, s.count)
		}
		if err != nil {
			return u, err
		}
		u, next = next, u
	}
	return u, nil
}
