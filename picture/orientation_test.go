package picture

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"slices"
	"testing"

	"golang.org/x/image/draw"

	"github.com/gputrain/gputrain/picture/picturetest"
)

// withExif puts an Exif segment with an orientation behind a JPEG file's start.
func withExif(file []byte, order binary.AppendByteOrder, name string, o orientation) []byte {
	tiff := order.AppendUint16([]byte(name), 42)
	tiff = order.AppendUint32(tiff, 8)
	tiff = order.AppendUint16(tiff, 2)                                    // entries
	for _, entry := range [][2]uint16{{0x0100, 7}, {0x0112, uint16(o)}} { // width and orientation
		tiff = order.AppendUint16(tiff, entry[0])
		tiff = order.AppendUint16(tiff, 3) // 16 bits
		tiff = order.AppendUint32(tiff, 1)
		tiff = order.AppendUint16(tiff, entry[1])
		tiff = append(tiff, 0, 0)
	}
	body := append([]byte("Exif\x00\x00"), tiff...)
	segment := binary.BigEndian.AppendUint16([]byte("\xff\xe1"), uint16(2+len(body)))
	return slices.Concat(file[:2], segment, body, file[2:])
}

// TestOrientation looks at the corners of an image of two rows of three fields,
// the first black, the one at its right grey, in all orientations.
func TestOrientation(t *testing.T) {
	const field = 16 // of two JPEG blocks, so that neighbours don't mix
	img := image.NewGray(image.Rect(0, 0, 3*field, 2*field))
	draw.Draw(img, img.Bounds(), image.White, image.Point{}, draw.Src)
	draw.Draw(img, image.Rect(0, 0, field, field), image.Black, image.Point{}, draw.Src)
	draw.Draw(img, image.Rect(field, 0, 2*field, field), image.NewUniform(color.Gray{128}), image.Point{}, draw.Src)
	file := picturetest.Encoded(t, "jpeg", img)
	for o, want := range map[orientation]struct{ black, grey, size image.Point }{
		1: {image.Pt(0, 0), image.Pt(1, 0), image.Pt(3, 2)},
		2: {image.Pt(2, 0), image.Pt(1, 0), image.Pt(3, 2)},
		3: {image.Pt(2, 1), image.Pt(1, 1), image.Pt(3, 2)},
		4: {image.Pt(0, 1), image.Pt(1, 1), image.Pt(3, 2)},
		5: {image.Pt(0, 0), image.Pt(0, 1), image.Pt(2, 3)},
		6: {image.Pt(1, 0), image.Pt(1, 1), image.Pt(2, 3)},
		7: {image.Pt(1, 2), image.Pt(1, 1), image.Pt(2, 3)},
		8: {image.Pt(0, 2), image.Pt(0, 1), image.Pt(2, 3)},
		9: {image.Pt(0, 0), image.Pt(1, 0), image.Pt(3, 2)}, // unknown
	} {
		for _, f := range [][]byte{withExif(file, binary.BigEndian, "MM", o), withExif(file, binary.LittleEndian, "II", o)} {
			got, err := Read(bytes.NewReader(f))
			if err != nil {
				t.Fatal(err)
			}
			if got.Bounds().Size() != want.size.Mul(field) {
				t.Errorf("orientation %d: size %v, want %v", o, got.Bounds().Size(), want.size.Mul(field))
			}
			level := func(p image.Point) int {
				p = p.Mul(field).Add(image.Pt(field/2, field/2))
				return int(color.GrayModel.Convert(got.At(p.X, p.Y)).(color.Gray).Y)
			}
			// JPEG at quality 70 keeps even fields within a few levels.
			if black, grey := level(want.black), level(want.grey); black > 5 || grey < 123 || grey > 133 {
				t.Errorf("orientation %d: %d at %v and %d at %v, want black and grey", o, black, want.black, grey, want.grey)
			}
		}
	}
	// Whatever its end cuts off, a file is read without a panic.
	whole := withExif(file, binary.LittleEndian, "II", 6)
	for n := range whole {
		if o := orientationOfJPEG(whole[:n]); o != upright && o != 6 {
			t.Errorf("%d bytes: orientation %d", n, o)
		}
	}
	exif := whole[12 : 12+8+2+2*12]
	for n := range exif {
		if o := orientationInTIFF(exif[:n]); o != upright {
			t.Errorf("%d bytes of Exif: orientation %d", n, o)
		}
	}
	if o := orientationInTIFF(exif); o != 6 {
		t.Errorf("Exif data: orientation %d, want 6", o)
	}
}

// FuzzOrientation reads the orientation of any bytes: always one of the eight.
func FuzzOrientation(f *testing.F) {
	f.Add([]byte("\xff\xd8"))
	f.Add(withExif([]byte("\xff\xd8\xff\xda"), binary.LittleEndian, "II", 6))
	f.Add(withExif([]byte("\xff\xd8\xff\xda"), binary.BigEndian, "MM", 3))
	f.Fuzz(func(t *testing.T, file []byte) {
		if o := orientationOfJPEG(file); o < 1 || o > 8 {
			t.Errorf("orientation %d", o)
		}
	})
}
