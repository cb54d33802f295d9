package cpu

import "github.com/gputrain/gputrain/cpu/asm"

// panelDepth is the most rows of a packed panel. With it, a panel stays in the
// caches together with the rows of A that it is multiplied by.
const panelDepth = 256

// A panel is a group of neighbouring columns of a matrix product's right side B,
// as wide as a tile. Element (p, j) of B is in memory at rows[p] + columns[j],
// for any two lists of offsets. So a matrix can be its own right side. A padded
// image can be the right side of a convolution, and is never copied out as a
// matrix.
type panel struct {
	at, n   int // the first column, and the number of columns
	vectors int // vectors that hold n columns
	runs    []asm.Run
}

// newPanels divides columns into panels of at most the given number of vectors.
func newPanels(ks *asm.Kernels, columns []int32, vectors int) []panel {
	var panels []panel
	for at := 0; at < len(columns); {
		p := panel{at: at, n: min(vectors*ks.Lanes, len(columns)-at)}
		p.vectors = (p.n + ks.Lanes - 1) / ks.Lanes
		for j := 0; j < p.n; {
			first, n := columns[at+j], 1
			for n < ks.Lanes && j+n < p.n && columns[at+j+n] == first+int32(n) {
				n++
			}
			p.runs = append(p.runs, asm.Run{Src: first, Dst: int32(j)})
			j += n
		}
		panels = append(panels, p)
		at += p.n
	}
	return panels
}

// consecutive returns the offsets of n rows or columns: 0, step, 2*step, ...
func consecutive(n, step int) []int32 {
	offsets := make([]int32, n)
	for i := range offsets {
		offsets[i] = int32(i * step)
	}
	return offsets
}

// matrix is the left side A of a product. Element (i, p) is at i*rowStride +
// p*columnStride.
type matrix struct {
	data                    []float32
	rows                    int
	rowStride, columnStride int
}

// multiply computes the columns of c that belong to panel p: c[i*ldc+j] = sum
// over k of A[i,k]*B[k,j]. If accumulate is set, it adds that to c. rows holds
// the offsets of B's rows in b. Each element is summed in the order of k, in
// blocks that depend only on len(rows).
func (w *worker) multiply(a matrix, b []float32, rows []int32, p *panel, c []float32, ldc int, accumulate bool) {
	ks := w.kernel
	width := p.vectors * ks.Lanes
	blocks := (len(rows) + panelDepth - 1) / panelDepth
	for block := range blocks {
		lo, hi := block*len(rows)/blocks, (block+1)*len(rows)/blocks
		depth := hi - lo
		ks.Pack(w.panel, width, b, rows[lo:hi], p.runs)
		most := ks.Rows(p.vectors)
		for i := 0; i < a.rows; i += most {
			tileRows := min(most, a.rows-i)
			left := a.data[i*a.rowStride+lo*a.columnStride:]
			if p.n == width {
				ks.Gemm(tileRows, p.vectors, depth, left, a.rowStride, a.columnStride, w.panel, width, c[i*ldc+p.at:], ldc, accumulate || block > 0)
				continue
			}
			ks.Gemm(tileRows, p.vectors, depth, left, a.rowStride, a.columnStride, w.panel, width, w.tile, width, false)
			for r := range tileRows {
				from, to := w.tile[r*width:][:p.n], c[(i+r)*ldc+p.at:][:p.n]
				if accumulate || block > 0 {
					ks.Add(to, from)
				} else {
					copy(to, from)
				}
			}
		}
	}
}
