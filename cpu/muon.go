package cpu

import (
	"math"

	"github.com/gputrain/gputrain/cpu/asm"
	"github.com/gputrain/gputrain/net"
)

// muon updates the matrices whose rule is Muon, one after the other. Threads share each of
// its products.
type muon struct {
	optimizer *optimizer
	matrices  []muonMatrix
	products  [3][]float32 // A, then A*A and the polynomial of A; all of the largest size
	chunks    []float64    // sums of squares of U and of the weights, by task

	m       *muonMatrix  // the one at hand
	product *muonProduct // likewise
	sgd     asm.SGD      // of its velocities

	velocityTask, scaleTask, polynomialTask, productTask, applyTask func(w *worker, task int)
	factor, keep, subtract                                          float32 // of U; of the weights and U
}

// muonMatrix is one parameter as a matrix U, as in [net.Muon].
type muonMatrix struct {
	*parameter
	rows, columns, small int       // small is the lesser of both: A is a square matrix of this size
	u, next              []float32 // U, and where the next U goes; exchanged after each iteration
	gram, square, step   muonProduct
}

// muonProduct is a product of two matrices, cut into tasks by columns and rows.
type muonProduct struct {
	left   matrix
	right  []float32
	depth  []int32 // offsets of the right side's rows
	panels []panel
	result []float32
	width  int // columns of the result
	blocks int // tasks by rows
}

// muonRows is how many rows of a result a task computes. Each task packs its columns.
const muonRows = 128

func newMuon(o *optimizer, parameters []*parameter) *muon {
	m := &muon{optimizer: o}
	most, square, chunks := 0, 0, 0
	for _, p := range parameters {
		rows := p.Dims[0]
		one := muonMatrix{parameter: p, rows: rows, columns: p.Size() / rows}
		one.small = min(one.rows, one.columns)
		most, square, chunks = max(most, p.Size()), max(square, one.small*one.small), max(chunks, chunksOf(p.Size()))
		m.matrices = append(m.matrices, one)
	}
	u, next := newBuffer(most), newBuffer(most)
	for i := range m.products {
		m.products[i] = newBuffer(square)
	}
	m.chunks = make([]float64, 2*chunks)
	ks := o.workers.all[0].kernel
	for i := range m.matrices {
		one := &m.matrices[i]
		n := one.small
		one.u, one.next = u, next
		// Element (i, k) of U, or of U' if that has fewer rows.
		row, column, depth := one.columns, 1, one.columns
		if one.rows > one.columns {
			row, column, depth = 1, one.columns, one.rows
		}
		one.gram = newMuonProduct(n, row, column, consecutive(depth, column), newPanels(ks, consecutive(n, row), ks.Vectors), n)
		one.square = newMuonProduct(n, n, 1, consecutive(n, n), newPanels(ks, consecutive(n, 1), ks.Vectors), n)
		// U' * (the polynomial of A) or the other way round, so that the result lies as U does.
		if one.rows > one.columns {
			one.step = newMuonProduct(one.rows, one.columns, 1, consecutive(n, n), newPanels(ks, consecutive(n, 1), ks.Vectors), n)
		} else {
			one.step = newMuonProduct(n, n, 1, consecutive(n, one.columns), newPanels(ks, consecutive(one.columns, 1), ks.Vectors), one.columns)
		}
	}
	m.velocityTask, m.scaleTask, m.polynomialTask, m.productTask, m.applyTask = m.velocity, m.scale, m.polynomial, m.multiply, m.apply
	return m
}

// chunksOf returns how many tasks the values of a parameter are.
func chunksOf(n int) int { return (n + updateChunk - 1) / updateChunk }

func newMuonProduct(rows, rowStride, columnStride int, depth []int32, panels []panel, width int) muonProduct {
	return muonProduct{
		left: matrix{rows: rows, rowStride: rowStride, columnStride: columnStride}, depth: depth, panels: panels, width: width,
		blocks: (rows + muonRows - 1) / muonRows,
	}
}

// run updates all matrices in a step, for which the rates are set.
func (m *muon) run(step int64) {
	ws := m.optimizer.workers
	for i := range m.matrices {
		one := &m.matrices[i]
		r := &m.optimizer.rates[one.rate].settings
		tasks := chunksOf(one.Size())
		m.m, m.sgd = one, m.optimizer.rates[one.rate].sgd
		m.sgd.Rate = -1 // U is what is added to 0
		ws.do(tasks, m.velocityTask)
		var squares, weights float64
		for k := range tasks {
			squares += m.chunks[2*k]
			weights += m.chunks[2*k+1]
		}
		m.factor = float32(1 / (math.Sqrt(squares) + net.MuonLeast))
		ws.do(tasks, m.scaleTask)
		a, b, c := m.products[0], m.products[1], m.products[2]
		for range r.Iterations {
			m.do(&one.gram, one.u, one.u, a)
			m.do(&one.square, a, a, b)
			ws.do(chunksOf(one.small*one.small), m.polynomialTask)
			if one.rows > one.columns {
				m.do(&one.step, one.u, c, one.next)
			} else {
				m.do(&one.step, c, one.u, one.next)
			}
			one.u, one.next = one.next, one.u
		}
		rates := r.Rates(step)
		s, rescale := math.Sqrt(max(1, float64(one.rows)/float64(one.columns))), 1.0
		if r.Rescale {
			s, rescale = 1, math.Sqrt(float64(one.rows))/(math.Sqrt(weights)+net.MuonLeast)
		}
		m.keep, m.subtract = float32(rescale*(1-rates.Decay)), float32(rates.Update*s)
		ws.do(tasks, m.applyTask)
	}
}

// chunkOf returns the values of the parameter that a task has.
func (m *muon) chunkOf(task int) (lo, hi int) {
	return task * updateChunk, min((task+1)*updateChunk, m.m.Size())
}

// velocity makes U, and sums the squares of its values and of the weights.
func (m *muon) velocity(w *worker, task int) {
	lo, hi := m.chunkOf(task)
	u := m.m.u[lo:hi]
	clear(u)
	if len(m.m.moments) > 0 {
		w.kernel.Momentum(u, m.m.grad[lo:hi], m.m.moments[0][lo:hi], &m.sgd)
	} else {
		w.kernel.SGD(u, m.m.grad[lo:hi], &m.sgd)
	}
	m.chunks[2*task] = w.kernel.SumSquares(u)
	m.chunks[2*task+1] = w.kernel.SumSquares(m.m.value[lo:hi])
}

// scale divides U by its norm.
func (m *muon) scale(_ *worker, task int) {
	lo, hi := m.chunkOf(task)
	u := m.m.u[lo:hi]
	for i, v := range u {
		u[i] = m.factor * v
	}
}

// polynomial makes a*I + b*A + c*A*A.
func (m *muon) polynomial(_ *worker, task int) {
	n := m.m.small
	lo, hi := task*updateChunk, min((task+1)*updateChunk, n*n)
	a, square, sum := m.products[0][lo:hi], m.products[1][lo:hi], m.products[2][lo:hi]
	b, c := float32(net.NewtonSchulz[1]), float32(net.NewtonSchulz[2])
	for i, v := range a {
		sum[i] = b*v + c*square[i]
	}
	for i := (lo + n) / (n + 1) * (n + 1); i < hi; i += n + 1 { // the diagonal
		sum[i-lo] += float32(net.NewtonSchulz[0])
	}
}

// do computes a product.
func (m *muon) do(p *muonProduct, left, right, result []float32) {
	p.left.data, p.right, p.result = left, right, result
	m.product = p
	m.optimizer.workers.do(len(p.panels)*p.blocks, m.productTask)
}

func (m *muon) multiply(w *worker, task int) {
	p := m.product
	panel, block := &p.panels[task/p.blocks], task%p.blocks
	left := p.left
	first := block * muonRows
	left.data, left.rows = left.data[first*left.rowStride:], min(muonRows, left.rows-first)
	w.multiply(left, p.right, p.depth, panel, p.result[first*p.width:], p.width, false)
}

// apply subtracts U from the weights.
func (m *muon) apply(_ *worker, task int) {
	lo, hi := m.chunkOf(task)
	u, value := m.m.u[lo:hi], m.m.value[lo:hi]
	for i, v := range value {
		value[i] = m.keep*v - m.subtract*u[i]
	}
}
