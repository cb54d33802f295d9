package asm

import "unsafe"

// Patches are the kernels for patches of an image: Rows x Columns vectors, whose rows lie a pitch apart. They compute the
// gradients of a convolution whose output's gradient is 0 at most positions, from a list of the others. Values of the
// image are vectors of channels, or, where Columns is 1, single values, of which a vector takes those beside it too.
type Patches struct {
	Rows, Columns int
	lanes         int

	sum func(sums, x, values *float32, offsets *int32, n, pitch int)
	add func(x, patch, values *float32, offsets *int32, n, pitch int)
}

// Patches returns the kernels for patches of rows x columns vectors, or nil if there are none.
func (ks *Kernels) Patches(rows, columns int) *Patches {
	for i := range ks.patches {
		if p := &ks.patches[i]; p.Rows == rows && p.Columns == columns {
			return p
		}
	}
	return nil
}

// Sum adds to sums, a patch, the patches of x that begin at the offsets, each times its value. The rows of a patch are
// pitch values apart in x, its columns a vector. It reads x up to the last vector of the patch that begins furthest, and
// checks that the list's first and last patch lie within.
func (p *Patches) Sum(sums, x, values []float32, offsets []int32, pitch int) {
	if len(values) == 0 {
		return
	}
	p.check(sums, x, values, offsets, pitch)
	p.sum(&sums[0], &x[0], &values[0], &offsets[0], len(values), pitch)
}

// Add adds a patch, times the value of each offset, to x there: the reverse of Sum, with its layout.
func (p *Patches) Add(x, patch, values []float32, offsets []int32, pitch int) {
	if len(values) == 0 {
		return
	}
	p.check(patch, x, values, offsets, pitch)
	p.add(&x[0], &patch[0], &values[0], &offsets[0], len(values), pitch)
}

func (p *Patches) check(patch, x, values []float32, offsets []int32, pitch int) {
	sameLength(len(values), len(offsets))
	sameLength(len(patch), p.Rows*p.Columns*p.lanes)
	span := (p.Rows-1)*pitch + p.Columns*p.lanes
	_, _ = x[int(offsets[0])+span-1], x[int(offsets[len(offsets)-1])+span-1]
}

// patchesPortable are the kernels in plain Go, of vectors of four values.
func patchesPortable(rows, columns int) Patches {
	return Patches{
		Rows: rows, Columns: columns, lanes: 4,
		sum: func(sums, x, values *float32, offsets *int32, n, pitch int) {
			for i := range rows * columns {
				to := (*[4]float32)(unsafe.Pointer(element(sums, 4*i)))
				from := i/columns*pitch + i%columns*4
				s0, s1, s2, s3 := to[0], to[1], to[2], to[3]
				at := unsafe.Slice(offsets, n)
				for j, v := range unsafe.Slice(values, n) {
					p := (*[4]float32)(unsafe.Pointer(element(x, int(at[j])+from)))
					s0 += v * p[0]
					s1 += v * p[1]
					s2 += v * p[2]
					s3 += v * p[3]
				}
				*to = [4]float32{s0, s1, s2, s3}
			}
		},
		add: func(x, patch, values *float32, offsets *int32, n, pitch int) {
			for i := range rows * columns {
				w := *(*[4]float32)(unsafe.Pointer(element(patch, 4*i)))
				to := i/columns*pitch + i%columns*4
				at := unsafe.Slice(offsets, n)
				for j, v := range unsafe.Slice(values, n) {
					p := (*[4]float32)(unsafe.Pointer(element(x, int(at[j])+to)))
					p[0] += v * w[0]
					p[1] += v * w[1]
					p[2] += v * w[2]
					p[3] += v * w[3]
				}
			}
		},
	}
}
