package prepare

import (
	"errors"
	"image"
	"image/color"
	"image/draw"
	"math"
	"slices"
)

// ink holds the distance of each pixel's colour from the background's. The greatest
// distance is 65535. A byte would not do: thin strokes in a large image keep less than a
// 255th of their ink when they are made smaller.
type ink struct {
	width, height int
	values        []uint16 // row by row
}

// inkOf finds an image's background and the distance of each pixel from it.
func inkOf(img image.Image) (*ink, error) {
	img, turn := stored(img)
	out, err := inkOfStored(img)
	if err != nil || turn == upright {
		return out, err
	}
	to := &ink{width: out.width, height: out.height, values: make([]uint16, len(out.values))}
	if turn.Swaps() {
		to.width, to.height = to.height, to.width
	}
	first, column, row := turn.steps(out.width, out.height, to.width)
	for i, v := range out.values {
		to.values[first+i%out.width*column+i/out.width*row] = v
	}
	return to, nil
}

// inkOfStored is inkOf for images as they are stored.
func inkOfStored(img image.Image) (*ink, error) {
	if _, grey := img.(*image.Gray); !grey {
		img = opaque(img, backdrop(img))
	}
	const layers = 4 // a frame on a card on a table, and one more
	return inkWithin(img, layers)
}

// inkWithin is inkOf for an *image.Gray or *image.RGBA. If the ink is a frame or a card, it
// looks for the ink inside. layers is how often it may do so.
func inkWithin(img image.Image, layers int) (*ink, error) {
	var out *ink
	var err error
	if grey, ok := img.(*image.Gray); ok {
		out, err = inkOfGrey(grey)
	} else {
		out, err = inkOfColours(img.(*image.RGBA))
	}
	if err != nil || layers == 0 {
		return out, err
	}
	inside, what := out.inside()
	if what == "" {
		return out, nil
	}
	var part image.Image
	if grey, ok := img.(*image.Gray); ok {
		part = grey.SubImage(inside.Add(grey.Rect.Min))
	} else {
		smaller := image.NewRGBA(image.Rect(0, 0, inside.Dx(), inside.Dy()))
		draw.Draw(smaller, smaller.Rect, img, inside.Min, draw.Src)
		part = smaller
	}
	in, err := inkWithin(part, layers-1)
	switch {
	case err == nil:
		return in, nil
	case what == frame:
		return nil, errors.New("there is nothing to see in the frame")
	}
	return out, nil // a filled shape
}

// What ink may be other than a digit.
const (
	frame = "frame" // lines around the digit
	card  = "card"  // a surface of one colour behind the digit
)

// inside returns the rectangle in which to look for a digit if the ink is a frame or a card.
// what says which, and is "" if it is neither.
func (n *ink) inside() (r image.Rectangle, what string) {
	box := n.box()
	short, long := min(box.Dx(), box.Dy()), max(box.Dx(), box.Dy())
	const least = 16 // pixels: nothing smaller holds a digit that can be read
	if short < least || long > 3*short {
		return box, ""
	}
	// The shares of ink along the four sides of the box, further and further inside.
	depth := short / 8
	lowest, highest := make([]float64, depth), make([]float64, depth)
	for k := range depth {
		lowest[k], highest[k] = n.along(box.Inset(k))
	}
	const full, empty = 0.95, 0.1
	begins := slices.IndexFunc(lowest, func(share float64) bool { return share >= full })
	if begins < 0 {
		return box, ""
	}
	// The lines of a frame end before the depth.
	if ends := slices.IndexFunc(highest[begins:], func(share float64) bool { return share <= empty }); ends >= 0 {
		return box.Inset(begins + ends), frame
	}
	// A digit takes less from a card than a digit's holes take from the digit's box.
	if n.share(box) < 0.7 {
		return box, ""
	}
	return box.Inset(begins + 1 + short/50), card // away from a blurred edge
}

// along returns the shares of ink along the sides of a rectangle: the lowest and the highest
// of the four.
func (n *ink) along(r image.Rectangle) (lowest, highest float64) {
	lowest = 1
	for _, side := range []image.Rectangle{
		image.Rect(r.Min.X, r.Min.Y, r.Max.X, r.Min.Y+1), image.Rect(r.Min.X, r.Max.Y-1, r.Max.X, r.Max.Y),
		image.Rect(r.Min.X, r.Min.Y, r.Min.X+1, r.Max.Y), image.Rect(r.Max.X-1, r.Min.Y, r.Max.X, r.Max.Y),
	} {
		share := n.share(side)
		lowest, highest = min(lowest, share), max(highest, share)
	}
	return lowest, highest
}

// share returns which share of a rectangle has more than half of the greatest ink.
func (n *ink) share(r image.Rectangle) float64 {
	dark := 0
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for _, v := range n.values[y*n.width+r.Min.X : y*n.width+r.Max.X] {
			if v > math.MaxUint16/2 {
				dark++
			}
		}
	}
	return float64(dark) / float64(r.Dx()*r.Dy())
}

// inkOfColours is inkOf for what [opaque] gives.
func inkOfColours(canvas *image.RGBA) (*ink, error) {
	out := &ink{width: canvas.Rect.Dx(), height: canvas.Rect.Dy()}
	edges := out.edges()
	var background [3]int
	for k := range background {
		var counts [256]int
		for _, at := range edges {
			counts[canvas.Pix[4*at+k]]++
		}
		background[k] = median(&counts)
	}
	squares := make([]int, out.width*out.height) // of distances
	furthest := 0
	for i := range squares {
		for k, b := range background {
			d := int(canvas.Pix[4*i+k]) - b
			squares[i] += d * d
		}
		furthest = max(furthest, squares[i])
	}
	noise := make([]int, len(edges))
	for i, at := range edges {
		noise[i] = squares[at]
	}
	levels, err := levelsBetween(noise, furthest)
	if err != nil {
		return nil, err
	}
	out.values = make([]uint16, len(squares))
	for i, s := range squares {
		out.values[i] = levels.of(s)
	}
	return out, nil
}

// inkOfGrey is inkOf for grey images. It computes the distance of each grey only once.
func inkOfGrey(img *image.Gray) (*ink, error) {
	out := &ink{width: img.Rect.Dx(), height: img.Rect.Dy()}
	pix := img.Pix
	if img.Stride != out.width {
		pix = make([]uint8, 0, out.width*out.height)
		for y := range out.height {
			pix = append(pix, img.Pix[y*img.Stride:][:out.width]...)
		}
	}
	pix = pix[:out.width*out.height]
	edges := out.edges()
	var counts [256]int
	for _, at := range edges {
		counts[pix[at]]++
	}
	background := median(&counts)
	var there [256]bool
	for _, grey := range pix {
		there[grey] = true
	}
	var squares [256]int // by grey
	furthest := 0
	for grey := range squares {
		if there[grey] {
			squares[grey] = 3 * (grey - background) * (grey - background)
			furthest = max(furthest, squares[grey])
		}
	}
	noise := make([]int, len(edges))
	for i, at := range edges {
		noise[i] = squares[pix[at]]
	}
	levels, err := levelsBetween(noise, furthest)
	if err != nil {
		return nil, err
	}
	var values [256]uint16
	for grey, s := range squares {
		values[grey] = levels.of(s)
	}
	out.values = make([]uint16, len(pix))
	for i, grey := range pix {
		out.values[i] = values[grey]
	}
	return out, nil
}

// levels turns distances from the background into ink: 0 up to the floor, all of it at the
// peak.
type levels struct{ floor, peak float64 }

// levelsBetween returns the levels of an image. noise holds the squares of the distances
// along the image's edges; levelsBetween sorts it. furthest is the square of the greatest
// distance.
func levelsBetween(noise []int, furthest int) (levels, error) {
	// The median distance along the edges is noise. Up to three standard deviations of it
	// are background. The factor turns a median distance into a standard deviation.
	slices.Sort(noise)
	l := levels{3 * 1.4826 * distance(noise[len(noise)/2]), distance(furthest)}
	const least = 16
	switch {
	case l.peak < least:
		return l, errors.New("there is nothing to see: all of the image has one colour")
	case l.peak-l.floor < least:
		return l, errors.New("the image's edges have so many colours that its background can't be told: crop it so that plain background surrounds the digit")
	}
	return l, nil
}

// of returns the ink at a distance, given its square.
func (l levels) of(square int) uint16 {
	if square == 0 { // as for most pixels
		return 0
	}
	return uint16(math.Round(math.MaxUint16 * max(distance(square)-l.floor, 0) / (l.peak - l.floor)))
}

// distance returns the distance of two colours. square is the sum of the squared differences
// of red, green and blue.
func distance(square int) float64 { return math.Sqrt(float64(square) / 3) }

// median returns the median of the counted values, or the upper one of the two in the
// middle.
func median(counts *[256]int) int {
	n := 0
	for _, c := range counts {
		n += c
	}
	seen := 0
	for v, c := range counts {
		if seen += c; seen > n/2 {
			return v
		}
	}
	panic("BUG: median of nothing")
}

// backdrop returns the background to put an image on: black if what isn't transparent is
// light, else white.
func backdrop(img image.Image) color.Color {
	if o, ok := img.(interface{ Opaque() bool }); ok && o.Opaque() {
		return color.White
	}
	b := img.Bounds()
	var light, cover float64
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			red, green, blue, alpha := img.At(x, y).RGBA()
			light += float64(red+green+blue) / 3
			cover += float64(alpha)
		}
	}
	if light > cover/2 {
		return color.Black
	}
	return color.White
}

// edges returns the indices of the pixels along the edges.
func (n *ink) edges() []int {
	out := make([]int, 0, 2*(n.width+n.height))
	for y := range n.height {
		step := max(1, n.width-1)
		if y == 0 || y == n.height-1 {
			step = 1
		}
		for x := 0; x < n.width; x += step {
			out = append(out, y*n.width+x)
		}
	}
	return out
}

// box returns the smallest rectangle with all pixels of at least a fifth of the
// greatest ink.
func (n *ink) box() image.Rectangle {
	box := image.Rectangle{}
	for y := range n.height {
		first, last := n.width, -1
		for x, v := range n.values[y*n.width : (y+1)*n.width] {
			if v >= math.MaxUint16/5 {
				first, last = min(first, x), x
			}
		}
		if last >= 0 {
			box = box.Union(image.Rect(first, y, last+1, y+1))
		}
	}
	return box
}

// resampled scales the ink, moves it, and returns side x side of its values. Column x of the
// ink comes to scale*x + left, row y to scale*y + top. Values outside the ink are 0.
func (n *ink) resampled(scale, left, top float64, side int) []float64 {
	s := resamplers.Get().(*resampler)
	defer resamplers.Put(s)
	along := func(offset float64) span { return span{-offset / scale, float64(side) / scale, side} }
	resample(s, words16, 0, 1, n.width, n.height, along(left), along(top), func(y int) [3][]uint16 {
		return [3][]uint16{n.values[y*n.width:][:n.width]}
	})
	out := make([]float64, side*side)
	for i, v := range s.planes[0] {
		out[i] = float64((v + 1<<(pointBits-1)) >> pointBits) // rounded to the nearest, so that symmetric ink stays symmetric
	}
	return out
}

// opaque draws an image on a background, at the origin.
func opaque(img image.Image, background color.Color) *image.RGBA {
	b := img.Bounds()
	canvas := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	draw.Draw(canvas, canvas.Bounds(), image.NewUniform(background), image.Point{}, draw.Src)
	draw.Draw(canvas, canvas.Bounds(), img, b.Min, draw.Over)
	return canvas
}
