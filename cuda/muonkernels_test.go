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

// Kernels of Muon.

// matrices is a stack of matrices in a trial.
type matrices struct {
	kernels.Stack
	rows int
}

// matrices draws a stack: few matrices, of which large ones have several parts. Often they begin where 16 bytes can move at
// once.
func (r *kernelRig) matrices() matrices {
	rows, columns := r.about(9), r.count()/4+1
	if r.random.IntN(4) == 0 {
		columns += 4096 * r.about(2) / rows
	}
	size := uint64(rows * columns)
	stride := []uint64{size, size + r.random.Uint64N(9), (size + 3) / 4 * 4}[r.random.IntN(3)]
	return matrices{kernels.Stack{Size: size, Stride: stride, Matrices: uint32(r.about(4)), Parts: kernels.SquareSumsOf(size)}, rows}
}

// each calls do with the place of each matrix.
func (m matrices) each(do func(i, from, to int)) {
	for i := range int(m.Matrices) {
		from := i * int(m.Stride)
		do(i, from, from+int(m.Size))
	}
}

// total returns how many values there are, with the gaps between matrices.
func (m matrices) total() int { return int(m.Stride)*int(m.Matrices-1) + int(m.Size) }

// expect returns values that a launch leaves: the given ones, in which each matrix is what of returns.
func (m matrices) expect(values []float32, of func(i int, values []float64) []float64) []float64 {
	want := doubles(values)
	m.each(func(i, from, to int) { copy(want[from:to], of(i, want[from:to:to])) })
	return want
}

// gaps is what lies between matrices that a launch has to write: it must stay.
func (m matrices) gaps() []float32 {
	values := drawn(m.total(), func() float32 { return 7 })
	m.each(func(_, from, to int) { copy(values[from:to], drawn(to-from, poisonOf[float32])) })
	return values
}

// partial draws partial sums of squares for each matrix, and returns their roots too.
func (r *kernelRig) partial(m matrices) (partial []float64, norms []float64) {
	for range m.Matrices {
		var sum float64
		for range m.Parts {
			partial = append(partial, 0.1+r.random.Float64())
			sum += partial[len(partial)-1]
		}
		norms = append(norms, math.Sqrt(sum))
	}
	return partial, norms
}

func tryMuonVelocity(r *kernelRig) {
	m := r.matrices()
	n := m.total()
	o := net.Rule{Method: net.Muon, Momentum: []float64{0, 0.75}[r.random.IntN(2)]}
	o.Nesterov = o.Momentum > 0 && r.random.IntN(2) == 0
	// Small whole numbers, quarters and halves: everything is exact.
	g, v, w, factor := r.wholes(n, 4), r.wholes(n, 4), r.wholes(n, 4), []float32{1, 0.5}[r.random.IntN(2)]
	narrow := 0
	if r.random.IntN(2) == 0 {
		narrow = r.random.IntN(n + 1)
	}
	wantV, wantU := doubles(v), doubles(m.gaps())
	var wantSquares, wantWeights []float64
	m.each(func(_, from, to int) {
		var squares, weights float64
		for i := from; i < to; i++ {
			d := float64(factor) * float64(g[i])
			var after []float64
			if o.Momentum > 0 {
				after = []float64{o.Move(0, d, wantV[i:i+1])}
				wantV[i] = after[0]
			}
			wantU[i] = o.Update(d, nil, after)
			squares += wantU[i] * wantU[i]
			weights += float64(w[i]) * float64(w[i])
		}
		wantSquares, wantWeights = append(wantSquares, squares), append(wantWeights, weights)
	})
	u, velocities := put(r, m.gaps()), put(r, v)
	parts := int(m.Matrices * m.Parts)
	squares, weights := room[float64](r, parts), room[float64](r, parts)
	k := kernels.MuonVelocity{U: at(u), W: at(put(r, w)), Gradients: r.gradients(g, narrow), Squares: at(squares), Stack: m.Stack,
		Clip: updates{factor: factor}.clip(r), Narrow: uint64(narrow), Momentum: float32(o.Momentum), Nesterov: int32(boolInt(o.Nesterov))}
	if o.Momentum > 0 {
		k.V = optionally(&velocities)
	}
	norms := r.random.IntN(2) == 0
	if norms {
		k.Weights = optionally(&weights)
	}
	r.launch(k)
	check(r, "u", u, wantU, exact)
	check(r, "v", velocities, wantV, exact)
	sums := func(o operand[float64]) (all []float64) {
		for i, p := range o.get() {
			if i%int(m.Parts) == 0 {
				all = append(all, 0)
			}
			all[len(all)-1] += p
		}
		return all
	}
	approx.Check(r, "the squares of U", sums(squares), wantSquares, exact)
	if norms {
		approx.Check(r, "the squares of weights", sums(weights), wantWeights, exact)
	}
}

func tryMuonScale(r *kernelRig) {
	m := r.matrices()
	partial, norms := r.partial(m)
	least := []float32{0, 1}[r.random.IntN(2)]
	values := r.values(m.total())
	scaled := put(r, values)
	r.launch(kernels.MuonScale{U: at(scaled), Squares: at(put(r, partial)), Stack: m.Stack, Least: least})
	check(r, "u", scaled, m.expect(values, func(i int, one []float64) []float64 {
		for k := range one {
			one[k] /= norms[i] + float64(least)
		}
		return one
	}), approx.Tolerance{Rel: 3 * u}) // the factor and a product
}

func tryMuonPolynomial(r *kernelRig) {
	rows, count := r.about([]int{3, 8, 40}[r.random.IntN(3)]), r.about(3)
	n := rows * rows * count
	a, square := r.values(n), r.values(n)
	unit, linear, quadratic := r.random.Float32(), r.random.Float32(), r.random.Float32()
	want := make([]float64, n)
	for i := range want {
		want[i] = float64(linear)*float64(a[i]) + float64(quadratic)*float64(square[i])
		if row, column := i/rows%rows, i%rows; row == column {
			want[i] += float64(unit)
		}
	}
	p := put(r, square)
	r.launch(kernels.MuonPolynomial{P: at(p), A: at(put(r, a)), Rows: uint32(rows), Matrices: uint32(count), Unit: unit, Linear: linear, Square: quadratic})
	check(r, "p", p, want, approx.Tolerance{Abs: 10 * u}) // three numbers of at most 1, and their sums
}

func tryMuonApply(r *kernelRig) {
	m := r.matrices()
	o := net.Optimizer{Rule: net.Rule{Method: net.Muon, LearningRate: r.random.Float64(), Rescale: r.random.IntN(2) == 0, WeightDecay: r.random.Float64()}}
	decays := r.random.IntN(2) == 0
	values, changes := r.values(m.total()), r.values(m.total())
	var partial []float64 // sums of the weights' squares
	zeros := r.random.IntN(2) == 0
	m.each(func(i, from, to int) {
		if zeros && i == 0 {
			clear(values[from:to])
		}
		norm := reference.Norm(doubles(values[from:to]))
		for range m.Parts {
			partial = append(partial, norm*norm/float64(m.Parts))
		}
	})
	rates, slot := o.Rates(0), r.random.IntN(3)
	w := put(r, values)
	w16, w16At := r.rounding(m.total())
	k := kernels.MuonApply{W: at(w), W16: w16At, U: at(put(r, changes)), State: at(r.state(0, slot)), Rates: at(r.rates(slot, rates)),
		Stack: m.Stack, Rows: uint32(m.rows), Decays: int32(boolInt(decays)), Least: net.MuonLeast}
	sums := put(r, partial)
	if o.Rescale {
		k.Weights = optionally(&sums)
	}
	scale, _ := reference.MuonScales(o.Rule, m.rows, doubles(values[:m.Size]))
	k.Scale = float32(scale)
	r.launch(k)
	largest := 1.0
	want := m.expect(values, func(i int, w []float64) []float64 {
		_, rescale := reference.MuonScales(o.Rule, m.rows, w)
		keep := rescale
		if decays {
			keep *= 1 - rates.Decay
		}
		if reference.Norm(w) > 0 {
			largest = max(largest, keep)
		}
		largest = max(largest, scale)
		for k, u := range changes[i*int(m.Stride):][:m.Size] {
			w[k] = keep*w[k] - rates.Update*scale*float64(u)
		}
		return w
	})
	check(r, "w", w, want, approx.Tolerance{Abs: 6 * largest * u}) // two products, whose factors are rounded too, and a sum
	if w16At == 0 {
		return
	}
	rounded, after := w16.get(), w.get()
	m.each(func(i, from, to int) {
		var want []kernels.BFloat16
		for _, v := range after[from:to] {
			want = append(want, nearestBFloat16(v))
		}
		if !slices.Equal(rounded[from:to], want) {
			r.Errorf("rounded weights of matrix %d: %v, want %v", i, rounded[from:to], want)
		}
	})
}
