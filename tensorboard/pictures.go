package tensorboard

import (
	"fmt"
	"image"
	"image/draw"
	"math"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"

	"github.com/gputrain/gputrain/internal/raster"
	"github.com/gputrain/gputrain/internal/runreport"
	"github.com/gputrain/gputrain/net"
)

// filterSize is the approximate width of a filter's picture, in pixels.
const filterSize = 56

// firstFilters draws the filters of the layer that takes the images. It returns nil if they
// have no picture.
func firstFilters(plan *net.Plan, state net.State) (picture image.Image, layer string) {
	all := runreport.FiltersOf(plan, state.Params)
	if len(all) == 0 || len(all[0].Tiles) == 0 {
		return nil, ""
	}
	tiles := all[0].Tiles
	columns := int(math.Ceil(math.Sqrt(float64(len(tiles)))))
	return raster.Sheet(tiles, columns, 1, max(1, filterSize/tiles[0].Bounds().Dx())), all[0].Layer.Name
}

// A mistake's picture: the sample, and two lines of text below it. Four side by side
// are as wide as TensorBoard shows a picture.
const (
	sampleSize   = 84 // 12 letters
	lineHeight   = 13
	mistakeGap   = 3
	mistakesWide = 4 // pictures in a row
)

// mistakesSheet draws mistakes side by side, each with its class and the class that the
// network took it for.
func mistakesSheet(e *runreport.Evaluation, names []string) image.Image {
	var cells []image.Image
	for _, m := range e.Mistakes {
		cell := image.NewNRGBA(image.Rect(0, 0, sampleSize, sampleSize+2*lineHeight+3))
		draw.Draw(cell, cell.Bounds(), image.White, image.Point{}, draw.Src)
		sample := runreport.SampleOf(e.Data, m.Index)
		b := sample.Bounds()
		scaled := raster.Sheet([]image.Image{sample}, 1, 0, max(1, sampleSize/max(b.Dx(), b.Dy())))
		at := image.Pt((sampleSize-scaled.Bounds().Dx())/2, 0)
		draw.Draw(cell, scaled.Bounds().Add(at), scaled, image.Point{}, draw.Over)
		caption(cell, sampleSize+lineHeight, "is "+net.ClassName(names, m.Label), "")
		caption(cell, sampleSize+2*lineHeight, net.ClassName(names, m.Predicted), fmt.Sprintf(" %.0f %%", 100*m.Probability))
		cells = append(cells, cell)
	}
	return raster.Sheet(cells, mistakesWide, mistakeGap, 1)
}

// caption writes name and rest as a line of text in the middle, with its foot at y. If there
// is not enough room, it cuts the name.
func caption(img draw.Image, y int, name, rest string) {
	face := basicfont.Face7x13
	letters := []rune(name)
	letters = letters[:max(0, min(len(letters), img.Bounds().Dx()/face.Advance-len(rest)))]
	text := string(letters) + rest
	x := (img.Bounds().Dx() - (len(letters)+len(rest))*face.Advance) / 2
	d := font.Drawer{Dst: img, Src: image.Black, Face: face, Dot: fixed.P(x, y)}
	d.DrawString(text)
}
