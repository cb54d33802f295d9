package asm

import "unsafe"

func convolvePortable(positions, vectors int, y *float32, yStep, distance int, x *float32, xStep int, taps *int32, n int, w, bias *float32, flags int) {
	list := unsafe.Slice((*Tap)(unsafe.Pointer(taps)), n)
	for i := range positions {
		for v := range vectors {
			convolvePosition((*[4]float32)(unsafe.Pointer(element(y, i*yStep+v*distance))), element(x, i*xStep), list,
				element(w, 4*v), vectors, (*[4]float32)(unsafe.Pointer(element(bias, 4*v))), Convolution(flags))
		}
	}
}

// convolvePosition computes a vector of filters at one position.
func convolvePosition(y *[4]float32, x *float32, taps []Tap, w *float32, vectors int, bias *[4]float32, how Convolution) {
	s0, s1, s2, s3 := bias[0], bias[1], bias[2], bias[3]
	at := 0
	for _, tap := range taps {
		for _, v := range unsafe.Slice(element(x, int(tap.Offset)), tap.Depth) {
			w := (*[4]float32)(unsafe.Pointer(element(w, at)))
			s0 += v * w[0]
			s1 += v * w[1]
			s2 += v * w[2]
			s3 += v * w[3]
			at += 4 * vectors
		}
	}
	if how&ConvolveAdd != 0 {
		s0, s1, s2, s3 = s0+y[0], s1+y[1], s2+y[2], s3+y[3]
	}
	*y = [4]float32{s0, s1, s2, s3}
	if how&ConvolveReLU != 0 {
		addBiasReLUPortable(y[:], 0)
	}
}

func correlatePortable(rows, vectors int, sums, x *float32, offsets *int32, xStep, xSkip int, dy *float32, distance, height, width int, add bool) {
	for i, offset := range unsafe.Slice(offsets, rows) {
		for v := range vectors {
			to := (*[4]float32)(unsafe.Pointer(element(sums, 4*(i*vectors+v))))
			var s0, s1, s2, s3 float32
			if add {
				s0, s1, s2, s3 = to[0], to[1], to[2], to[3]
			}
			for h := range height {
				for p := range width {
					x := *element(x, h*(width*xStep+xSkip)+p*xStep+int(offset))
					dy := (*[4]float32)(unsafe.Pointer(element(dy, 4*(h*width+p)+v*distance)))
					s0 += x * dy[0]
					s1 += x * dy[1]
					s2 += x * dy[2]
					s3 += x * dy[3]
				}
			}
			*to = [4]float32{s0, s1, s2, s3}
		}
	}
}

func depthwisePortable(positions, _ int, y *float32, yStep int, x *float32, xStep int, taps *int32, n int, w, bias *float32, flags int) {
	for i := range positions {
		y := (*[4]float32)(unsafe.Pointer(element(y, i*yStep)))
		sum := *(*[4]float32)(unsafe.Pointer(bias))
		for t, offset := range unsafe.Slice(taps, n) {
			x, w := (*[4]float32)(unsafe.Pointer(element(x, i*xStep+int(offset)))), (*[4]float32)(unsafe.Pointer(element(w, 4*t)))
			for j := range sum {
				sum[j] += x[j] * w[j]
			}
		}
		if Convolution(flags)&ConvolveAdd != 0 {
			addPortable(sum[:], y[:])
		}
		*y = sum
		if Convolution(flags)&ConvolveReLU != 0 {
			addBiasReLUPortable(y[:], 0)
		}
	}
}

func channelsPortable(rows, _ int, sums, x *float32, offsets *int32, xStep, xSkip int, dy *float32, _, height, width int, add bool) {
	for i, offset := range unsafe.Slice(offsets, rows) {
		to := (*[4]float32)(unsafe.Pointer(element(sums, 4*i)))
		var sum [4]float32
		if add {
			sum = *to
		}
		for h := range height {
			for p := range width {
				x := (*[4]float32)(unsafe.Pointer(element(x, h*(width*xStep+xSkip)+p*xStep+int(offset))))
				dy := (*[4]float32)(unsafe.Pointer(element(dy, 4*(h*width+p))))
				for j := range sum {
					sum[j] += x[j] * dy[j]
				}
			}
		}
		*to = sum
	}
}
