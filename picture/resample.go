package picture

import "math"

// resampled scales an image, moves it, and returns side x side of its values: what
// lies at x in it comes to scale*x + left, and 0 to where nothing does. It is
// bilinear, over all pixels that a smaller one covers where it scales down.
// golang.org/x/image/draw does the same for every kind of colour, and took most of a
// digit's preparation so.
func (n *ink) resampled(scale, left, top float64, side int) []float64 {
	columns, rows := windows(side, n.width, scale, left), windows(side, n.height, scale, top)
	out := make([]float64, side*side)
	line := make([]float64, n.width)
	for y, row := range rows {
		if len(row.weights) == 0 {
			continue
		}
		clear(line)
		for k, weight := range row.weights {
			for x, v := range n.values[(row.first+k)*n.width:][:len(line)] {
				line[x] += weight * float64(v)
			}
		}
		for x, column := range columns {
			sum := 0.0
			for k, v := range line[column.first:][:len(column.weights)] {
				sum += column.weights[k] * v
			}
			if sum > 0 {
				out[y*side+x] = math.Round(sum) // so that what is symmetric stays so
			}
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
		// Those whose middles are less than reach away.
		w := window{first: max(0, int(math.Floor(middle-reach-0.5))+1)}
		last := min(size-1, int(math.Ceil(middle+reach-0.5))-1)
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
