package prepare

import (
	"image"
	"image/color"
)

// colours says what a resampler's planes hold.
type colours int

const (
	grey   colours = iota // one plane, from 0 to 255
	grey16                // one plane, from 0 to 65535
	rgb16                 // red, green and blue, from 0 to 65535
	ycc                   // Y, Cb and Cr, from 0 to 255
)

// image resamples a part of an image into the planes. The planes are grey if wantGrey is
// set or if the image has no colour.
//
// A JPEG file's Y, Cb and Cr are resampled as they are stored, before the conversion to
// red, green and blue. That is faster: most files store only a quarter of the Cb and Cr
// values, and grey needs none of them. The conversion is linear, so the order does not
// matter, except that colours beyond the range of red, green and blue are clamped later.
// Enlarged Cb and Cr are the same as those of libjpeg's "fancy upsampling".
func (s *resampler) image(img image.Image, x, y span, wantGrey bool) colours {
	b := img.Bounds()
	w, h := b.Dx(), b.Dy()
	switch img := img.(type) {
	case *image.Gray:
		resample(s, bytes8, 0, 1, w, h, x, y, func(r int) [3][]uint8 { return [3][]uint8{img.Pix[r*img.Stride:][:w]} })
		return grey
	case *image.YCbCr:
		first := img.YOffset(b.Min.X, b.Min.Y)
		resample(s, bytes8, 0, 1, w, h, x, y, func(r int) [3][]uint8 { return [3][]uint8{img.Y[first+r*img.YStride:][:w]} })
		if wantGrey {
			return grey
		}
		nx, ny := subsampling(img.SubsampleRatio)
		first = img.COffset(b.Min.X, b.Min.Y)
		px, py := b.Min.X%nx, b.Min.Y%ny
		cw, ch := (px+w+nx-1)/nx, (py+h+ny-1)/ny
		resample(s, bytes8, 1, 2, cw, ch, x.subsampled(nx, px), y.subsampled(ny, py), func(r int) [3][]uint8 {
			at := first + r*img.CStride
			return [3][]uint8{img.Cb[at:][:cw], img.Cr[at:][:cw]}
		})
		return ycc
	}
	s.readPalette(img)
	if wantGrey || img.ColorModel() == color.Gray16Model {
		resample(s, words16, 0, 1, w, h, x, y, func(r int) [3][]uint16 {
			s.convert(img, r)
			line := s.rows[0]
			for i, red := range line {
				// color.Gray's weights of red, green and blue.
				line[i] = uint16((19595*uint32(red) + 38470*uint32(s.rows[1][i]) + 7471*uint32(s.rows[2][i]) + 1<<15) >> 16)
			}
			return [3][]uint16{line}
		})
		return grey16
	}
	resample(s, words16, 0, 3, w, h, x, y, func(r int) [3][]uint16 {
		s.convert(img, r)
		return s.rows
	})
	return rgb16
}

// subsampling returns how many pixels along each axis share a value of Cb and Cr.
func subsampling(r image.YCbCrSubsampleRatio) (x, y int) {
	switch r {
	case image.YCbCrSubsampleRatio444:
		return 1, 1
	case image.YCbCrSubsampleRatio422:
		return 2, 1
	case image.YCbCrSubsampleRatio420:
		return 2, 2
	case image.YCbCrSubsampleRatio440:
		return 1, 2
	case image.YCbCrSubsampleRatio411:
		return 4, 1
	case image.YCbCrSubsampleRatio410:
		return 4, 2
	}
	panic("BUG: subsampling " + r.String())
}

// readPalette reads the image's palette, if it has one. Transparent colours are put on
// white.
func (s *resampler) readPalette(img image.Image) {
	if p, ok := img.(*image.Paletted); ok {
		clear(s.palette[:])
		for i, c := range p.Palette[:min(len(p.Palette), len(s.palette))] {
			s.palette[i][0], s.palette[i][1], s.palette[i][2] = onWhite(c.RGBA())
		}
	}
}

// onWhite puts a colour on a white background. The colour is as [color.Color] returns it.
func onWhite(red, green, blue, alpha uint32) (r, g, b uint16) {
	const full = 0xffff
	if alpha == full {
		return uint16(red), uint16(green), uint16(blue)
	}
	// A file may hold a colour that is brighter than its alpha allows.
	return uint16(min(red+full-alpha, full)), uint16(min(green+full-alpha, full)), uint16(min(blue+full-alpha, full))
}

// convert converts an image's row to red, green and blue. Transparent parts become white.
func (s *resampler) convert(img image.Image, row int) {
	b := img.Bounds()
	for k := range s.rows {
		s.rows[k] = resized(s.rows[k], b.Dx())
	}
	red, green, blue := s.rows[0], s.rows[1][:b.Dx()], s.rows[2][:b.Dx()]
	switch img := img.(type) {
	case *image.Paletted:
		for i, k := range img.Pix[row*img.Stride:][:len(red)] {
			c := &s.palette[k]
			red[i], green[i], blue[i] = c[0], c[1], c[2]
		}
	case *image.NRGBA:
		pix := img.Pix[row*img.Stride:][:4*len(red)]
		for i := range red {
			p := pix[4*i:][:4]
			if p[3] == 0xff {
				red[i], green[i], blue[i] = 257*uint16(p[0]), 257*uint16(p[1]), 257*uint16(p[2])
			} else {
				red[i], green[i], blue[i] = onWhite(color.NRGBA{p[0], p[1], p[2], p[3]}.RGBA())
			}
		}
	case *image.RGBA:
		pix := img.Pix[row*img.Stride:][:4*len(red)]
		for i := range red {
			p := pix[4*i:][:4]
			red[i], green[i], blue[i] = onWhite(257*uint32(p[0]), 257*uint32(p[1]), 257*uint32(p[2]), 257*uint32(p[3]))
		}
	case image.RGBA64Image: // the others of package image
		for i := range red {
			c := img.RGBA64At(b.Min.X+i, b.Min.Y+row)
			red[i], green[i], blue[i] = onWhite(uint32(c.R), uint32(c.G), uint32(c.B), uint32(c.A))
		}
	default:
		for i := range red {
			red[i], green[i], blue[i] = onWhite(img.At(b.Min.X+i, b.Min.Y+row).RGBA())
		}
	}
}

// rounded returns a plane's value from 0 to 255 as a byte.
func rounded(v uint64) uint8 { return uint8((v + 1<<(pointBits-1)) >> pointBits) }

// rounded16 returns a plane's value from 0 to 65535 as a byte.
func rounded16(v uint64) uint8 { return uint8((v + 257<<(pointBits-1)) / (257 << pointBits)) }

// toRGB converts a colour as the JPEG standard says (ITU-T T.871, section 7).
func toRGB(y, cb, cr uint64) (red, green, blue uint8) {
	const middle = 128 << valueBits
	luma := int64(y>>weightBits)<<16 + 1<<(16+valueBits-1)
	b, r := int64(cb>>weightBits)-middle, int64(cr>>weightBits)-middle
	// 1.402, 0.344136, 0.714136 and 1.772, times 65536.
	return clamped(luma + 91881*r), clamped(luma - 22554*b - 46802*r), clamped(luma + 116130*b)
}

func clamped(v int64) uint8 { return uint8(max(0, min(255, v>>(16+valueBits)))) }
