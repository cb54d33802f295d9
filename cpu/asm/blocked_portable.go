package asm

import (
	"math"
	"unsafe"
)

// vector is a vector of the portable tier.
type vector = [4]float32

func vectorAt(p *float32, i int) *vector { return (*vector)(unsafe.Pointer(element(p, 4*i))) }

var blocksPortable = blockKernels{
	convolve: convolvePortable, copyRows: copyRowsPortable, correlate: correlatePortable, correlateBlock: correlateBlockPortable, depthwise: depthwisePortable, correlateChannels: correlateChannelsPortable,
	moments: func(sums, x, shift *float32, n int) {
		var sum, square vector
		for i := range n {
			for j, v := range vectorAt(x, i) {
				v -= vectorAt(shift, 0)[j]
				sum[j] += v
				square[j] += v * v
			}
		}
		*vectorAt(sums, 0), *vectorAt(sums, 1) = sum, square
	},
	gradientMoments: gradientMomentsPortable,
	sumVectors: func(sums, x *float32, n int) {
		var sum vector
		for i := range n {
			for j, v := range vectorAt(x, i) {
				sum[j] += v
			}
		}
		*vectorAt(sums, 0) = sum
	},
	gradientMomentsReLU: func(sums, dy, y, x, shift *float32, n int) {
		most := vectorAt(shift, 1)
		for i := range n {
			for j, v := range vectorAt(y, i) {
				if !(v > 0 && v < most[j]) {
					vectorAt(dy, i)[j] = 0
				}
			}
		}
		gradientMomentsPortable(sums, dy, x, shift, n)
	},
	normalize: [...]normalizer{
		normalizerPortable(0), normalizerPortable(NormalizeAdd), normalizerPortable(NormalizeReLU), normalizerPortable(NormalizeAdd | NormalizeReLU),
	},
	normalizeBack:    func(dx, dy, x, c *float32, n int) { normalizeBackPortable(dx, dy, x, c, n, false) },
	normalizeBackAdd: func(dx, dy, x, c *float32, n int) { normalizeBackPortable(dx, dy, x, c, n, true) },
	max: func(y *float32, chosen *int32, x *float32, xStep, pitch, rows, columns, n int, at, atStep, rowStep int32) {
		for i := range n {
			best, places := *vectorAt(element(x, i*xStep), 0), (*[4]int32)(unsafe.Pointer(vectorAt((*float32)(unsafe.Pointer(chosen)), i)))
			first := at + int32(i)*atStep
			*places = [4]int32{first, first, first, first}
			for r := range rows {
				for c := range columns {
					place := first + int32(r)*(rowStep+int32(columns)) + int32(c)
					for j, v := range vectorAt(element(x, i*xStep+r*pitch), c) {
						if v > best[j] || v != v && best[j] == best[j] {
							best[j], places[j] = v, place
						}
					}
				}
			}
			*vectorAt(y, i) = best
		}
	},
	maxBack: func(dx, dy *float32, chosen *int32, xStep, pitch, rows, columns, n int, at, atStep, rowStep int32) {
		for i := range n {
			places := (*[4]int32)(unsafe.Pointer(vectorAt((*float32)(unsafe.Pointer(chosen)), i)))
			for j, place := range places {
				place -= at + int32(i)*atStep
				r := place / (rowStep + int32(columns))
				c := place % (rowStep + int32(columns))
				vectorAt(element(dx, i*xStep+int(r)*pitch), int(c))[j] += vectorAt(dy, i)[j]
			}
		}
	},
	mean: func(y, x *float32, factor float32, xStep, pitch, rows, columns, n int) {
		for i := range n {
			to := vectorAt(y, i)
			*to = sumWindow(element(x, i*xStep), pitch, rows, columns, false)
			for j := range to {
				to[j] *= factor
			}
		}
	},
	meanBack: func(dx, dy *float32, factor float32, xStep, pitch, rows, columns, n int) {
		for i := range n {
			for r := range rows {
				for c := range columns {
					to := vectorAt(element(dx, i*xStep+r*pitch), c)
					for j, v := range vectorAt(dy, i) {
						to[j] += v * factor
					}
				}
			}
		}
	},
	norm: func(y, x *float32, factor float32, xStep, pitch, rows, columns, n int) {
		for i := range n {
			to := vectorAt(y, i)
			*to = sumWindow(element(x, i*xStep), pitch, rows, columns, true)
			for j, v := range to {
				to[j] = float32(math.Sqrt(float64(v * factor)))
			}
		}
	},
	normBack: func(dx, dy, y, x *float32, xStep, pitch, rows, columns, n int) {
		for i := range n {
			var ratio vector
			for j, v := range vectorAt(y, i) {
				if v != 0 {
					ratio[j] = vectorAt(dy, i)[j] / v
				}
			}
			for r := range rows {
				for c := range columns {
					at := i*xStep + r*pitch
					to := vectorAt(element(dx, at), c)
					for j, v := range vectorAt(element(x, at), c) {
						to[j] += ratio[j] * v
					}
				}
			}
		}
	},
}

func gradientMomentsPortable(sums, dy, x, shift *float32, n int) {
	var sum, product vector
	for i := range n {
		for j, v := range vectorAt(dy, i) {
			sum[j] += v
			product[j] += v * (vectorAt(x, i)[j] - vectorAt(shift, 0)[j])
		}
	}
	*vectorAt(sums, 0), *vectorAt(sums, 1) = sum, product
}

func normalizerPortable(how Normalization) normalizer {
	return func(y, x, more, c *float32, n int) {
		mean, scale, shift := vectorAt(c, 0), vectorAt(c, 1), vectorAt(c, 2)
		for i := range n {
			for j, v := range vectorAt(x, i) {
				v = (v-mean[j])*scale[j] + shift[j]
				if how&NormalizeAdd != 0 {
					v += vectorAt(more, i)[j]
				}
				if how&NormalizeReLU != 0 {
					switch most := vectorAt(c, 3)[j]; { // a NaN stays
					case v < 0:
						v = 0
					case v > most:
						v = most
					}
				}
				vectorAt(y, i)[j] = v
			}
		}
	}
}

func normalizeBackPortable(dx, dy, x, c *float32, n int, add bool) {
	mean, scale, shift, slope := vectorAt(c, 0), vectorAt(c, 1), vectorAt(c, 2), vectorAt(c, 3)
	for i := range n {
		to, x := vectorAt(dx, i), vectorAt(x, i)
		for j, v := range vectorAt(dy, i) {
			v = scale[j] * (v - shift[j] - (x[j]-mean[j])*slope[j])
			if add {
				v += to[j]
			}
			to[j] = v
		}
	}
}

// sumWindow adds the values of a window, or their squares, row by row.
func sumWindow(x *float32, pitch, rows, columns int, squares bool) (total vector) {
	for r := range rows {
		var row vector
		for c := range columns {
			for j, v := range vectorAt(element(x, r*pitch), c) {
				if squares {
					v *= v
				}
				row[j] += v
			}
		}
		for j, v := range row {
			total[j] += v
		}
	}
	return total
}

func convolvePortable(positions, vectors int, y *float32, yStep, distance int, x *float32, xStep, count, yNext, xNext int, taps *int32, n int, w, bias *float32, flags int) {
	list := unsafe.Slice((*Tap)(unsafe.Pointer(taps)), n)
	for t := range count {
		for i := range positions {
			for v := range vectors {
				convolvePosition((*[4]float32)(unsafe.Pointer(element(y, t*yNext+i*yStep+v*distance))), element(x, t*xNext+i*xStep), list,
					element(w, 4*v), vectors, (*[4]float32)(unsafe.Pointer(element(bias, 4*v))), Convolution(flags))
			}
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
	finishPortable(y[:], how)
}

// finishPortable replaces values by ReLU or ReLU6 of them, if that is asked for.
func finishPortable(y []float32, how Convolution) {
	if how&ConvolveReLU != 0 {
		addBiasReLUPortable(y, 0)
	}
	if how&ConvolveReLU6 != 0 {
		for i, v := range y {
			y[i] = min(v, 6) // min keeps NaN
		}
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

func correlateBlockPortable(rows, vectors int, sums, x *float32, xStep, xSkip, xNext int, dy *float32, distance, skip, next, images, height, width int, add bool) {
	for i := range rows {
		for v := range vectors {
			to := (*[4]float32)(unsafe.Pointer(element(sums, 4*(i*vectors+v))))
			var sum [4]float32
			if add {
				sum = *to
			}
			at, from := i, v*distance
			for range images {
				for range height {
					for range width {
						x, dy := *element(x, at), (*[4]float32)(unsafe.Pointer(element(dy, from)))
						for j := range sum {
							sum[j] += x * dy[j]
						}
						at, from = at+xStep, from+4
					}
					at, from = at+xSkip, from+skip
				}
				at, from = at+xNext, from+next
			}
			*to = sum
		}
	}
}

func copyRowsPortable(to, from *float32, width, height, planes, rowSkip, planeSkip int) {
	row := 4*width + rowSkip
	for p := range planes {
		for h := range height {
			copy(unsafe.Slice(element(to, p*(height*row+planeSkip)+h*row), 4*width), unsafe.Slice(element(from, (p*height+h)*4*width), 4*width))
		}
	}
}

func depthwisePortable(positions, vectors int, y *float32, yStep int, x *float32, xStep, count, yNext, xNext, ySkip, xSkip int, taps *int32, n int, w, bias *float32, flags int) {
	list := unsafe.Slice(taps, n)
	yPlane, xPlane := (count-1)*yNext+ySkip, (count-1)*xNext+xSkip
	for v := range vectors {
		for t := range count {
			for i := range positions {
				depthwisePosition((*[4]float32)(unsafe.Pointer(element(y, v*yPlane+t*yNext+i*yStep))), element(x, v*xPlane+t*xNext+i*xStep), list,
					element(w, 4*n*v), (*[4]float32)(unsafe.Pointer(element(bias, 4*v))), Convolution(flags))
			}
		}
	}
}

// depthwisePosition computes a vector of channels at one position.
func depthwisePosition(y *[4]float32, x *float32, taps []int32, w *float32, bias *[4]float32, how Convolution) {
	sum := *bias
	for t, offset := range taps {
		x, w := (*[4]float32)(unsafe.Pointer(element(x, int(offset)))), (*[4]float32)(unsafe.Pointer(element(w, 4*t)))
		for j := range sum {
			sum[j] += x[j] * w[j]
		}
	}
	if how&ConvolveAdd != 0 {
		addPortable(sum[:], y[:])
	}
	*y = sum
	finishPortable(y[:], how)
}

func correlateChannelsPortable(rows, _ int, sums, x *float32, offsets *int32, xStep, xSkip int, dy *float32, _, height, width int, add bool) {
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
