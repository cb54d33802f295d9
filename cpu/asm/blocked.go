package asm

import "fmt"

// An image in blocks of channels is planes of vectors. A plane holds a block of as
// many channels as a vector has lanes: the values of one position stand side by side.
// The last block may have lanes without a channel.

// blockKernels are the kernels of images in blocks of channels.
type blockKernels struct {
	convolve          func(positions, vectors int, y *float32, yStep, distance int, x *float32, xStep, count, yNext, xNext int, taps *int32, n int, w, bias *float32, flags int) // n Taps
	copyRows          func(to, from *float32, width, height, planes, rowSkip, planeSkip int)
	correlate         func(rows, vectors int, sums, x *float32, offsets *int32, xStep, xSkip int, dy *float32, distance, height, width int, add bool)
	correlateBlock    func(rows, vectors int, sums, x *float32, xStep, xSkip, xNext int, dy *float32, distance, skip, next, images, height, width int, add bool)
	depthwise         func(positions, vectors int, y *float32, yStep int, x *float32, xStep, count, yNext, xNext, ySkip, xSkip int, taps *int32, n int, w, bias *float32, flags int)
	correlateChannels func(rows, vectors int, sums, x *float32, offsets *int32, xStep, xSkip int, dy *float32, distance, height, width int, add bool)

	moments             func(sums, x, shift *float32, n int)
	gradientMoments     func(sums, dy, x, shift *float32, n int)
	sumVectors          func(sums, x *float32, n int)
	gradientMomentsReLU func(sums, dy, y, x, shift *float32, n int)

	normalize                       [4]normalizer // by Normalization
	normalizeBack, normalizeBackAdd func(dx, dy, x, c *float32, n int)

	max      func(y *float32, chosen *int32, x *float32, xStep, pitch, rows, columns, n int, at, atStep, rowStep int32)
	maxBack  func(dx, dy *float32, chosen *int32, xStep, pitch, rows, columns, n int, at, atStep, rowStep int32)
	mean     func(y, x *float32, factor float32, xStep, pitch, rows, columns, n int)
	meanBack func(dx, dy *float32, factor float32, xStep, pitch, rows, columns, n int)
	norm     func(y, x *float32, factor float32, xStep, pitch, rows, columns, n int)
	normBack func(dx, dy, y, x *float32, xStep, pitch, rows, columns, n int)
}

// normalizer is a kernel of NormalizeVectors. It may ignore more.
type normalizer = func(y, x, more, c *float32, n int)

// A Tap is a place of a convolution's kernel in one block of channels: where its
// values lie, seen from the position that is computed, and how many channels it takes
// there, which is at least 1.
type Tap struct{ Offset, Depth int32 }

// Convolution says what [Kernels.Convolve] does with a sum besides storing it.
type Convolution int64

// The choices can be combined.
const (
	ConvolveAdd   Convolution = 1 // add it to what is there
	ConvolveReLU  Convolution = 2 // then replace what is below 0 by 0
	ConvolveReLU6 Convolution = 4 // with ConvolveReLU: then replace what is above 6 by 6
)

// Positions returns how many positions Convolve computes at most, if it computes the
// given number of vectors of filters.
func (ks *Kernels) Positions(vectors int) int { return ks.positions[vectors-1] }

// ConvolveVectors returns how many vectors of filters Convolve computes at most.
func (ks *Kernels) ConvolveVectors() int { return len(ks.positions) }

// Tiles are Count tiles of a convolution's output, of one size: Positions by Vectors of
// filters. A position's values lie YStep values behind those of the position before it, and
// take those of the input that lie XStep behind. The same holds for a tile and the one
// before it, with YNext and XNext. Vectors lie Distance apart in the output. In depthwise
// convolutions their inputs lie XDistance apart; in others it is 0.
type Tiles struct {
	Positions, Vectors, Count int
	YStep, YNext, Distance    int
	XStep, XNext, XDistance   int
}

// check panics if a value lies outside y or x. What a position takes lies within reach
// values of x.
func (t *Tiles) check(ks *Kernels, y, x []float32, reach int) {
	_ = y[(t.Count-1)*t.YNext+(t.Positions-1)*t.YStep+(t.Vectors-1)*t.Distance+ks.Lanes-1]
	_ = x[(t.Count-1)*t.XNext+(t.Positions-1)*t.XStep+(t.Vectors-1)*t.XDistance+reach-1]
}

// Convolve computes tiles of a convolution: for t in [0, Count), i in [0, Positions), v in
// [0, Vectors) and each lane j,
//
//	y[t*YNext+i*YStep+v*Distance+j] = bias[v*Lanes+j] + sum over s and c of
//		x[t*XNext+i*XStep+taps[s].Offset+c] * w[(k*Vectors+v)*Lanes+j]
//
// where c is below taps[s].Depth, and k counts the pairs of s and c. That is the order of
// the sum, too. Vectors must be from 1 to ConvolveVectors, and Positions from 1 to
// Positions(Vectors).
func (ks *Kernels) Convolve(t Tiles, y, x []float32, taps []Tap, w, bias []float32, how Convolution) {
	if t.Vectors < 1 || t.Vectors > len(ks.positions) || t.Positions < 1 || t.Positions > ks.positions[t.Vectors-1] || t.Count < 1 || len(taps) == 0 {
		panic(fmt.Sprintf("BUG: convolution of %+v with %d taps", t, len(taps)))
	}
	last := taps[len(taps)-1] // of the last block, so its offset is the greatest
	t.check(ks, y, x, int(last.Offset+last.Depth))
	_ = bias[t.Vectors*ks.Lanes-1]
	ks.blocks.convolve(t.Positions, t.Vectors, &y[0], t.YStep, t.Distance, &x[0], t.XStep, t.Count, t.YNext, t.XNext,
		&taps[0].Offset, len(taps), &w[0], &bias[0], int(how))
}

// Rows are rows of Width vectors, Height of them in a plane. Row is the distance of a row's
// first value from that of the row before it, and Plane is the same for planes.
type Rows struct{ Planes, Height, Width, Row, Plane int }

// CopyRows copies vectors that follow one another without a gap to the given rows.
func (ks *Kernels) CopyRows(to, from []float32, r Rows) {
	if r.Planes < 1 || r.Height < 1 || r.Width < 1 {
		panic(fmt.Sprintf("BUG: %+v", r))
	}
	_, _ = to[(r.Planes-1)*r.Plane+(r.Height-1)*r.Row+r.Width*ks.Lanes-1], from[r.Planes*r.Height*r.Width*ks.Lanes-1]
	ks.blocks.copyRows(&to[0], &from[0], r.Width, r.Height, r.Planes, r.Row-r.Width*ks.Lanes, r.Plane-r.Height*r.Row)
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
	ks.blocks.correlate(rows, vectors, &sums[0], &x[0], &offsets[0], xStep, xSkip, &dy[0], distance, height, width, add)
}

// BlockCorrelations returns how many rows CorrelateBlock computes at most, if it computes
// the given number of vectors of filters.
func (ks *Kernels) BlockCorrelations(vectors int) int { return ks.blockRows[vectors-1] }

// Positions are positions of some images: Width in a row, and Height rows. A position
// takes a value of an image, which is Step values behind that of the position before it.
// Row is the same for a position and that below it, and Next for one of the next image.
// The gradients of a row stand side by side; GradientRow and GradientNext say how far
// apart those of rows and images are.
type Positions struct {
	Images, Height, Width     int
	Step, Row, Next           int
	GradientRow, GradientNext int
}

// CorrelateBlock computes the gradient of some weights, for neighbouring channels of a
// block. For i below rows, v in [0, vectors) and each lane j,
//
//	sums[(i*vectors+v)*Lanes+j] = sum over n below Images, h below Height and p below Width of
//		x[n*Next+h*Row+p*Step+i] * dy[n*GradientNext+h*GradientRow+p*Lanes+v*distance+j]
//
// in this order, or with the positions of a row by turns in several sums, which are added at the
// end. If add is set, the sum begins with what is there. vectors must be from 1
// to CorrelateVectors, and rows from 1 to BlockCorrelations(vectors).
func (ks *Kernels) CorrelateBlock(rows, vectors int, sums, x, dy []float32, distance int, p Positions, add bool) {
	if vectors < 1 || vectors > len(ks.blockRows) || rows < 1 || rows > ks.blockRows[vectors-1] || p.Images < 1 || p.Height < 1 || p.Width < 1 {
		panic(fmt.Sprintf("BUG: correlation of %d rows, %d vectors, %d times %dx%d positions", rows, vectors, p.Images, p.Height, p.Width))
	}
	_ = x[(p.Images-1)*p.Next+(p.Height-1)*p.Row+(p.Width-1)*p.Step+rows-1]
	_ = dy[(p.Images-1)*p.GradientNext+(p.Height-1)*p.GradientRow+p.Width*ks.Lanes-1+(vectors-1)*distance]
	_ = sums[rows*vectors*ks.Lanes-1]
	ks.blocks.correlateBlock(rows, vectors, &sums[0], &x[0], p.Step, p.Row-p.Width*p.Step, p.Next-p.Height*p.Row,
		&dy[0], distance, p.GradientRow-p.Width*ks.Lanes, p.GradientNext-p.Height*p.GradientRow, p.Images, p.Height, p.Width, add)
}

// Depthwise computes tiles of a convolution whose channels have a filter each. For t in [0,
// Count), i in [0, Positions), v in [0, Vectors) and each lane j,
//
//	y[t*YNext+i*YStep+v*Distance+j] = bias[v*Lanes+j] + sum over s of
//		x[t*XNext+i*XStep+v*XDistance+taps[s]+j] * w[(v*len(taps)+s)*Lanes+j]
//
// in this order. Positions must be from 1 to Positions(1).
func (ks *Kernels) Depthwise(t Tiles, y, x []float32, taps []int32, w, bias []float32, how Convolution) {
	if t.Positions < 1 || t.Positions > ks.positions[0] || t.Count < 1 || t.Vectors < 1 || len(taps) == 0 {
		panic(fmt.Sprintf("BUG: depthwise convolution of %+v with %d taps", t, len(taps)))
	}
	t.check(ks, y, x, int(taps[len(taps)-1])+ks.Lanes)
	_, _ = w[t.Vectors*len(taps)*ks.Lanes-1], bias[t.Vectors*ks.Lanes-1]
	ks.blocks.depthwise(t.Positions, t.Vectors, &y[0], t.YStep, &x[0], t.XStep, t.Count, t.YNext, t.XNext,
		t.Distance-(t.Count-1)*t.YNext, t.XDistance-(t.Count-1)*t.XNext, &taps[0], len(taps), &w[0], &bias[0], int(how))
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
	ks.blocks.correlateChannels(rows, 1, &sums[0], &x[0], &offsets[0], xStep, xSkip, &dy[0], 0, height, width, add)
}

// vectorsOf returns how many vectors x holds, and checks that the others hold as many.
func (ks *Kernels) vectorsOf(x []float32, others ...[]float32) int {
	n := len(x) / ks.Lanes
	same := n > 0 && len(x) == n*ks.Lanes
	for _, o := range others {
		same = same && len(o) == len(x)
	}
	if !same {
		panic(fmt.Sprintf("BUG: %d values are not vectors of %d, or as many as other values", len(x), ks.Lanes))
	}
	return n
}

// Moments sets sums to the sum of x-shift over all vectors of x, lane by lane, and behind
// it the sum of its square. The sums are in float32, so x should have a few hundred
// vectors at most. sums has 2*Lanes values, shift has Lanes.
func (ks *Kernels) Moments(sums, x, shift []float32) {
	_, _ = sums[2*ks.Lanes-1], shift[ks.Lanes-1]
	ks.blocks.moments(&sums[0], &x[0], &shift[0], ks.vectorsOf(x))
}

// GradientMoments sets sums to the sum of dy over all vectors, lane by lane, and behind it
// the sum of dy*(x-shift), as Moments does.
func (ks *Kernels) GradientMoments(sums, dy, x, shift []float32) {
	_, _ = sums[2*ks.Lanes-1], shift[ks.Lanes-1]
	ks.blocks.gradientMoments(&sums[0], &dy[0], &x[0], &shift[0], ks.vectorsOf(x, dy))
}

// GradientMomentsReLU sets dy to 0 where y isn't above 0 or isn't below the upper bound, and
// then does what GradientMoments does. shift holds the shift and behind it the upper bound,
// of Lanes values each. The bound is infinite for a ReLU, so an infinite y lets no gradient
// through. It is 6 for a ReLU6.
func (ks *Kernels) GradientMomentsReLU(sums, dy, y, x, shift []float32) {
	_, _ = sums[2*ks.Lanes-1], shift[2*ks.Lanes-1]
	ks.blocks.gradientMomentsReLU(&sums[0], &dy[0], &y[0], &x[0], &shift[0], ks.vectorsOf(x, dy, y))
}

// SumVectors sets sums, of Lanes values, to the sum of all vectors of x.
func (ks *Kernels) SumVectors(sums, x []float32) {
	_ = sums[ks.Lanes-1]
	ks.blocks.sumVectors(&sums[0], &x[0], ks.vectorsOf(x))
}

// Normalization says what [Kernels.NormalizeVectors] does besides.
type Normalization int

// The choices can be combined.
const (
	NormalizeAdd  Normalization = 1 // add the values of more
	NormalizeReLU Normalization = 2 // then replace what is below 0 by 0, and what is above the upper bound by that
)

// NormalizeVectors sets y to (x-mean)*scale + shift, lane by lane, and does what how
// says. c holds mean, scale and shift, of Lanes values each, and with NormalizeReLU behind
// them the upper bound, which is infinite for a ReLU. y may be x or more. Without NormalizeAdd,
// more is not used.
func (ks *Kernels) NormalizeVectors(y, x, more, c []float32, how Normalization) {
	_ = c[3*ks.Lanes-1]
	if how&NormalizeReLU != 0 {
		_ = c[4*ks.Lanes-1]
	}
	n := ks.vectorsOf(y, x)
	if how&NormalizeAdd == 0 {
		more = x
	}
	_ = more[len(y)-1]
	ks.blocks.normalize[how](&y[0], &x[0], &more[0], &c[0], n)
}

// NormalizeVectorsBack sets dx to scale*(dy - shift - (x-mean)*slope), lane by lane, or
// adds that to dx where add is set. c holds mean, scale, shift and slope, of Lanes values
// each. dx may be dy or x.
func (ks *Kernels) NormalizeVectorsBack(dx, dy, x, c []float32, add bool) {
	_ = c[4*ks.Lanes-1]
	back := ks.blocks.normalizeBack
	if add {
		back = ks.blocks.normalizeBackAdd
	}
	back(&dx[0], &dy[0], &x[0], &c[0], ks.vectorsOf(dx, dy, x))
}

// Windows are N windows of Rows x Columns vectors of an image. The next window begins
// Step values behind the one before it, and the next row of a window Pitch values behind
// the one before it.
type Windows struct{ N, Rows, Columns, Step, Pitch int }

// check fails if the windows are not all in an image.
func (w Windows) check(ks *Kernels, x []float32, others ...[]float32) {
	if w.N < 1 || w.Rows < 1 || w.Columns < 1 {
		panic(fmt.Sprintf("BUG: %d windows of %dx%d", w.N, w.Rows, w.Columns))
	}
	_ = x[(w.N-1)*w.Step+(w.Rows-1)*w.Pitch+w.Columns*ks.Lanes-1]
	for _, o := range others {
		_ = o[w.N*ks.Lanes-1]
	}
}

// Places number the values of an image, for the kernels of max pooling: the first value
// of the first window has the number First, that of the next window Step more, and the
// first value of a window's next row Row more than that of the row before it. Values of
// a row follow one another.
type Places struct{ First, Step, Row int }

// MaxWindows sets the vectors of y to the greatest values of windows of x, lane by lane,
// and chosen to their places. A NaN counts as greater than all others. If several are
// equally great, the first one counts.
func (ks *Kernels) MaxWindows(y []float32, chosen []int32, x []float32, w Windows, p Places) {
	w.check(ks, x, y)
	_ = chosen[w.N*ks.Lanes-1]
	ks.blocks.max(&y[0], &chosen[0], &x[0], w.Step, w.Pitch, w.Rows, w.Columns, w.N, int32(p.First), int32(p.Step), int32(p.Row-w.Columns))
}

// MaxWindowsBack adds the gradient dy of MaxWindows' y to dx, at the places that were
// chosen.
func (ks *Kernels) MaxWindowsBack(dx, dy []float32, chosen []int32, w Windows, p Places) {
	w.check(ks, dx, dy)
	_ = chosen[w.N*ks.Lanes-1]
	ks.blocks.maxBack(&dx[0], &dy[0], &chosen[0], w.Step, w.Pitch, w.Rows, w.Columns, w.N, int32(p.First), int32(p.Step), int32(p.Row-w.Columns))
}

// MeanWindows sets the vectors of y to the sums of windows of x, times factor.
func (ks *Kernels) MeanWindows(y, x []float32, factor float32, w Windows) {
	w.check(ks, x, y)
	ks.blocks.mean(&y[0], &x[0], factor, w.Step, w.Pitch, w.Rows, w.Columns, w.N)
}

// MeanWindowsBack adds dy times factor to all values of the windows in dx.
func (ks *Kernels) MeanWindowsBack(dx, dy []float32, factor float32, w Windows) {
	w.check(ks, dx, dy)
	ks.blocks.meanBack(&dx[0], &dy[0], factor, w.Step, w.Pitch, w.Rows, w.Columns, w.N)
}

// NormWindows sets the vectors of y to the square roots of the sums of squares of windows
// of x.
func (ks *Kernels) NormWindows(y, x []float32, w Windows) {
	w.check(ks, x, y)
	ks.blocks.norm(&y[0], &x[0], 1, w.Step, w.Pitch, w.Rows, w.Columns, w.N)
}

// NormWindowsBack adds the gradients of NormWindows, dy*x/y, to dx. Where y is 0 it adds
// 0*x.
func (ks *Kernels) NormWindowsBack(dx, dy, y, x []float32, w Windows) {
	w.check(ks, dx, dy, y)
	w.check(ks, x)
	ks.blocks.normBack(&dx[0], &dy[0], &y[0], &x[0], w.Step, w.Pitch, w.Rows, w.Columns, w.N)
}
