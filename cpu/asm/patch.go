package asm

import "unsafe"

// Patches holds the kernels for patches of an image. A patch has Rows x Columns vectors. The kernels compute gradients
// of a convolution whose output gradient is 0 at most positions, from a list of the other positions. A value of the
// image is a vector of channels. If Columns is 1 it is a single value, and a vector holds it and the values beside it.
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

// Sum adds up patches of x: for each of the offsets, it adds to sums the patch that begins there, times the value that
// belongs to it. sums is a patch too. In x the rows of a patch are pitch values apart, and its columns one vector. It
// reads x up to the last vector of the patch that begins furthest. It checks only that the first and the last patch of
// the list lie within x.
func (p *Patches) Sum(sums, x, values []float32, offsets []int32, pitch int) {
	if len(values) == 0 {
		return
	}
	p.check(sums, x, values, offsets, pitch)
	p.sum(&sums[0], &x[0], &values[0], &offsets[0], len(values), pitch)
}

// Add is the reverse of Sum, with the same layout: for each of the offsets, it adds patch, times the value that
// belongs to it, to x there.
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

// patchesPortable returns the kernels in plain Go, for vectors of four values.
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
