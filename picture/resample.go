package picture

import (
	"encoding/binary"
	"image"
	"math"
)

// resampled scales an image, moves it, and returns side x side of its values: what
// lies at x in it comes to scale*x + left, and 0 to where nothing does. It is
// bilinear, over all pixels that a smaller one covers where it scales down.
// golang.org/x/image/draw does the same for every kind of colour, and took most of a
// digit's preparation so.
func resampled(img *image.Gray16, scale, left, top float64, side int) []float64 {
	width, height := img.Rect.Dx(), img.Rect.Dy()
	columns, rows := windows(side, width, scale, left), windows(side, height, scale, top)
	out := make([]float64, side*side)
	line := make([]float64, width)
	for y, row := range rows {
		clear(line)
		for k, weight := range row.weights {
			pix := img.Pix[(row.first+k)*img.Stride:][:2*width]
			for x := range line {
				line[x] += weight * float64(binary.BigEndian.Uint16(pix[2*x:]))
			}
		}
		for x, column := range columns {
			sum := 0.0
			for k, weight := range column.weights {
				sum += weight * line[column.first+k]
			}
			out[y*side+x] = math.Round(sum) // so that what is symmetric stays so
		}
	}
	return out
}

// window is the pixels along one axis of which a new one is made, and their shares.
type window struct {
	first   int
	weights []float64 // that sum to 1; none beyond the image
}

// windows returns the windows of n new pixels on size old ones.
func windows(n, size int, scale, offset float64) []window {
	reach := max(1, 1/scale) // from a pixel's middle
	out := make([]window, n)
	weights := make([]float64, 0, n*(2*int(reach)+3)) // of all of them
	for i := range out {
		middle := (float64(i) + 0.5 - offset) / scale
		if middle < 0 || middle >= float64(size) {
			continue
		}
		w := window{first: max(0, int(math.Floor(middle-reach+0.5)))}
		last := min(size-1, int(math.Ceil(middle+reach-0.5)))
		start, sum := len(weights), 0.0
		for k := w.first; k <= last; k++ {
			weight := max(0, 1-math.Abs(float64(k)+0.5-middle)/reach)
			weights = append(weights, weight)
			sum += weight
		}
		w.weights = weights[start:]
		for k := range w.weights {
			w.weights[k] /= sum
		}
		out[i] = w
	}
	return out
}
