package asm

import "fmt"

// Direct is the kernel of a direct convolution with stride 1. It computes Outputs neighbouring outputs of a row for
// Vectors vectors of filters. The filters have Columns columns.
type Direct struct {
	Columns, Outputs, Vectors int
	lanes                     int
	whole                     bool // for rows with as many outputs as inputs, between columns of padding that are 0

	run func(y *float32, distance int, x, w, bias *float32, rows, pitch, channels, plane int, relu bool)
}

// Direct returns the kernel for filters with the given number of columns, or nil if there is none. Of several kernels
// for rows of the given length it returns the one that computes the most outputs. same says that input rows have the
// same length, and that half of the padding is on each side and is 0. Some kernels need that, and leave the padding
// out.
func (ks *Kernels) Direct(columns, length int, same bool) *Direct {
	var best *Direct
	for i := range ks.directs {
		d := &ks.directs[i]
		if d.Columns != columns || d.Outputs > length || d.whole && !(same && d.Outputs == length) {
			continue
		}
		if best == nil || d.Outputs > best.Outputs || d.whole {
			best = d
		}
	}
	return best
}

// Filters returns how many filters the kernel computes.
func (d *Direct) Filters() int { return d.Vectors * d.lanes }

// Convolve computes outputs and adds the bias. The output of filter f at position i is y[f/lanes*distance + i*lanes +
// f%lanes], where lanes is the number of values in a vector. It is bias[f] plus the sum over rows r, channels c and
// columns s of
//
//	x[r*pitch + c*plane + i+s] * w[((r*channels+c)*Columns+s)*Filters + f]
//
// in this order. If relu is set, an output below 0 becomes 0.
func (d *Direct) Convolve(y []float32, distance int, x, w, bias []float32, rows, pitch, channels, plane int, relu bool) {
	if rows < 1 || channels < 1 || len(bias) != d.Filters() || len(w) != rows*channels*d.Columns*d.Filters() {
		panic(fmt.Sprintf("BUG: direct convolution of %d rows, %d channels, %d weights, %d biases", rows, channels, len(w), len(bias)))
	}
	_, _ = y[(d.Vectors-1)*distance+d.Outputs*d.lanes-1], x[(rows-1)*pitch+(channels-1)*plane+d.Outputs+d.Columns-2]
	d.run(&y[0], distance, &x[0], &w[0], &bias[0], rows, pitch, channels, plane, relu)
}

// PoolVectors pools as MaxPool2 does, but the value of a position is a vector of channels. upper and lower are rows of
// 2*n positions, and y and chosen have n positions. chosen holds int32 values.
func (ks *Kernels) PoolVectors(y []float32, chosen []int32, upper, lower []float32, n, at, width int) {
	_, _, _, _ = y[n*ks.Lanes-1], chosen[n*ks.Lanes-1], upper[2*n*ks.Lanes-1], lower[2*n*ks.Lanes-1]
	ks.poolVectors(&y[0], &chosen[0], &upper[0], &lower[0], n, int32(at), int32(width))
}

// Transpose sets dst[j*distance+i] to src[i*stride+j] for i in [0, rows) and j in [0, columns).
func (ks *Kernels) Transpose(dst []float32, distance int, src []float32, stride, rows, columns int) {
	if rows == 0 || columns == 0 {
		return
	}
	_, _ = dst[(columns-1)*distance+rows-1], src[(rows-1)*stride+columns-1]
	n := ks.Lanes
	if rows < n || columns < n {
		for i := range rows {
			for j := range columns {
				dst[j*distance+i] = src[i*stride+j]
			}
		}
		return
	}
	for i := 0; i < rows; i += n {
		i := min(i, rows-n) // some values may be moved twice
		for j := 0; j < columns; j += n {
			j := min(j, columns-n)
			ks.transpose(&dst[j*distance+i], distance, &src[i*stride+j], stride)
		}
	}
}
