package asm

import "fmt"

// An image in blocks of channels is planes of vectors. A plane holds a block of as
// many channels as a vector has lanes: the values of one position stand side by side.
// The last block may have lanes without a channel.

// A Tap is a place of a convolution's kernel in one block of channels: where its
// values lie, seen from the position that is computed, and how many channels it takes
// there, which is at least 1.
type Tap struct{ Offset, Depth int32 }

// Convolution says what [Kernels.Convolve] does with a sum besides storing it.
type Convolution int64

// The choices can be combined.
const (
	ConvolveAdd  Convolution = 1 // add it to what is there
	ConvolveReLU Convolution = 2 // then replace what is below 0 by 0
)

// Positions returns how many positions Convolve computes at most, if it computes the
// given number of vectors of filters.
func (ks *Kernels) Positions(vectors int) int { return ks.positions[vectors-1] }

// ConvolveVectors returns how many vectors of filters Convolve computes at most.
func (ks *Kernels) ConvolveVectors() int { return len(ks.positions) }

// Convolve computes a tile of a convolution: for i in [0, positions), v in [0,
// vectors) and each lane j,
//
//	y[i*yStep+v*distance+j] = bias[v*Lanes+j] + sum over t and c of
//		x[i*xStep+taps[t].Offset+c] * w[(k*vectors+v)*Lanes+j]
//
// where c is below taps[t].Depth, and k counts the pairs of t and c. That is the order
// of the sum, too. vectors must be from 1 to ConvolveVectors, and positions from 1 to
// Positions(vectors).
func (ks *Kernels) Convolve(positions, vectors int, y []float32, yStep, distance int, x []float32, xStep int, taps []Tap, w, bias []float32, how Convolution) {
	if vectors < 1 || vectors > len(ks.positions) || positions < 1 || positions > ks.positions[vectors-1] || len(taps) == 0 || len(bias) < vectors*ks.Lanes {
		panic(fmt.Sprintf("BUG: convolution of %d positions, %d vectors, %d taps, %d biases", positions, vectors, len(taps), len(bias)))
	}
	last := taps[len(taps)-1] // of the last block, so its offset is the greatest
	_, _ = y[(positions-1)*yStep+(vectors-1)*distance+ks.Lanes-1], x[(positions-1)*xStep+int(last.Offset+last.Depth)-1]
	ks.convolve(positions, vectors, &y[0], yStep, distance, &x[0], xStep, &taps[0].Offset, len(taps), &w[0], &bias[0], int(how))
}

// Correlations returns how many rows Correlate computes at most, if it computes the
// given number of vectors of filters.
func (ks *Kernels) Correlations(vectors int) int { return ks.correlations[vectors-1] }

// CorrelateVectors returns how many vectors of filters Correlate computes at most.
func (ks *Kernels) CorrelateVectors() int { return len(ks.correlations) }

// Correlate computes the gradient of some weights, one for each offset and filter. For
// each i below len(offsets), v in [0, vectors) and each lane j,
//
//	sums[(i*vectors+v)*Lanes+j] = sum over h below height and p below width of
//		x[h*(width*xStep+xSkip)+p*xStep+offsets[i]] * dy[(h*width+p)*Lanes+v*distance+j]
//
// in this order. If add is set, the sum begins with what is there. vectors must be from
// 1 to CorrelateVectors, and len(offsets) from 1 to Correlations(vectors).
func (ks *Kernels) Correlate(vectors int, sums, x []float32, offsets []int32, xStep, xSkip int, dy []float32, distance, height, width int, add bool) {
	rows := len(offsets)
	if vectors < 1 || vectors > len(ks.correlations) || rows < 1 || rows > ks.correlations[vectors-1] || height < 1 || width < 1 {
		panic(fmt.Sprintf("BUG: correlation of %d rows, %d vectors, %dx%d positions", rows, vectors, height, width))
	}
	end := (height-1)*(width*xStep+xSkip) + (width-1)*xStep
	for _, offset := range offsets {
		_ = x[end+int(offset)]
	}
	_, _ = sums[rows*vectors*ks.Lanes-1], dy[(height*width-1)*ks.Lanes+(vectors-1)*distance+ks.Lanes-1]
	ks.correlate(rows, vectors, &sums[0], &x[0], &offsets[0], xStep, xSkip, &dy[0], distance, height, width, add)
}

// Depthwise computes a convolution whose channels have a filter each, for one vector
// of channels. For i in [0, positions) and each lane j,
//
//	y[i*yStep+j] = bias[j] + sum over t of x[i*xStep+taps[t]+j] * w[t*Lanes+j]
//
// in this order. positions must be from 1 to Positions(1).
func (ks *Kernels) Depthwise(positions int, y []float32, yStep int, x []float32, xStep int, taps []int32, w, bias []float32, how Convolution) {
	if positions < 1 || positions > ks.positions[0] || len(taps) == 0 {
		panic(fmt.Sprintf("BUG: depthwise convolution of %d positions, %d taps", positions, len(taps)))
	}
	last := ks.Lanes - 1
	_, _ = y[(positions-1)*yStep+last], x[(positions-1)*xStep+int(taps[len(taps)-1])+last]
	_, _ = w[(len(taps)-1)*ks.Lanes+last], bias[last]
	ks.depthwise(positions, 1, &y[0], yStep, &x[0], xStep, &taps[0], len(taps), &w[0], &bias[0], int(how))
}

// CorrelateChannels computes weight gradients of a depthwise convolution, as Correlate
// does for one vector of filters, but lane j of dy meets lane j of the image:
// x[... + offsets[i] + j].
func (ks *Kernels) CorrelateChannels(sums, x []float32, offsets []int32, xStep, xSkip int, dy []float32, height, width int, add bool) {
	rows := len(offsets)
	if rows < 1 || rows > ks.correlations[0] || height < 1 || width < 1 {
		panic(fmt.Sprintf("BUG: correlation of %d rows, %dx%d positions", rows, height, width))
	}
	end := (height-1)*(width*xStep+xSkip) + (width-1)*xStep + ks.Lanes - 1
	for _, offset := range offsets {
		_ = x[end+int(offset)]
	}
	_, _ = sums[rows*ks.Lanes-1], dy[height*width*ks.Lanes-1]
	ks.channels(rows, 1, &sums[0], &x[0], &offsets[0], xStep, xSkip, &dy[0], 0, height, width, add)
}
