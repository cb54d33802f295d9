package picture

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"io"
)

// Bounds on an image file that Read accepts, so that a small file cannot ask for
// all memory.
const (
	MaxBytes  = 64 << 20
	MaxPixels = 50_000_000
)

// Errors of images; compare with errors.Is. The text of an error says more.
var (
	// ErrFormat means that a file is no image of a format that is read.
	ErrFormat = errors.New("not a JPEG, PNG, GIF, BMP, TIFF or WebP image")
	// ErrDamaged means that a file is empty, cut short, or not what its format allows.
	ErrDamaged = errors.New("damaged image")
	// ErrUnsupported means that a file uses what its format allows and nobody here reads,
	// such as JPEG with arithmetic coding.
	ErrUnsupported = errors.New("an image of a kind that is not read")
	// ErrTooLarge means that a file or an image is larger than allowed.
	ErrTooLarge = errors.New("the image is too large")
)

// fileError is an error of one of the kinds above with a text of its own.
type fileError struct {
	kind error
	text string
}

func (e *fileError) Error() string { return e.text }
func (e *fileError) Unwrap() error { return e.kind }

// Read reads an image file of at most MaxBytes and MaxPixels, see [Decode].
func Read(r io.Reader) (image.Image, error) {
	b, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	if err != nil {
		return nil, err
	}
	if len(b) > MaxBytes {
		return nil, fmt.Errorf("%w: more than %d MiB; make it smaller", ErrTooLarge, MaxBytes>>20)
	}
	return Decode(b, nil)
}

// CheckSize refuses, with ErrTooLarge, an image of more than most pixels.
func CheckSize(width, height, most int) error {
	if height > 0 && width > most/height {
		return fmt.Errorf("%w: %d x %d pixels (at most %g million); make it smaller", ErrTooLarge, width, height, float64(most)/1e6)
	}
	return nil
}

// Info is what an image file's header says.
type Info struct {
	Width, Height int    // size of the upright image
	Channels      int    // 1 for grey images, 3 for coloured ones; transparency is not counted
	Format        string // "JPEG", "PNG", "GIF", "BMP", "TIFF" or "WebP"
}

// Header reads what an image file's header says, without decoding the pixels. The
// file may still turn out to be damaged. Errors are those of [Decode].
func Header(file []byte) (Info, error) {
	f, config, err := readHeader(file)
	if err != nil {
		return Info{}, err
	}
	info := Info{config.Width, config.Height, 3, f.name}
	if f.orientation(file).swaps() {
		info.Width, info.Height = info.Height, info.Width
	}
	if isGrey(f, file, config.ColorModel) {
		info.Channels = 1
	}
	return info, nil
}

// isGrey tells whether a file's pixels can only be grey.
func isGrey(f *format, file []byte, model color.Model) bool {
	if palette, ok := model.(color.Palette); ok {
		for _, c := range palette {
			if r, g, b, _ := c.RGBA(); r != g || g != b {
				return false
			}
		}
		return true
	}
	// Byte 25 of a PNG file is its colour type, of which 4 is grey with transparency:
	// package image has no colour model for that.
	return model == color.GrayModel || model == color.Gray16Model || f.name == "PNG" && file[25] == 4
}

// Decode reads an image file: JPEG, PNG, GIF, BMP, TIFF or WebP, whatever its name.
// It turns the image upright, as Exif's or TIFF's orientation says. Of several
// frames or pages it reads the first. A grey image of 16 bits that uses 12 becomes as
// bright as one that uses all.
//
// It asks admit before it takes memory for the pixels, and gives up with admit's
// error if there is one. A nil admit admits MaxPixels. The decoders take at most some
// 30 bytes a pixel, and up to 150 MB besides for the code tables of a malicious WebP
// file.
//
// Errors are ErrFormat, ErrDamaged and ErrUnsupported, in one line each.
func Decode(file []byte, admit func(width, height int) error) (image.Image, error) {
	f, config, err := readHeader(file)
	if err != nil {
		return nil, err
	}
	if admit == nil {
		admit = func(width, height int) error { return CheckSize(width, height, MaxPixels) }
	}
	if err := admit(config.Width, config.Height); err != nil {
		return nil, err
	}
	r := newFileReader(file)
	img, err := f.decode(r, config)
	if err != nil {
		return nil, f.explain(err, r)
	}
	if img.Bounds().Empty() {
		return nil, &fileError{ErrDamaged, "damaged " + f.name + " image: it has no pixels"}
	}
	if grey, ok := img.(*image.Gray16); ok {
		fillTwelveBits(grey)
	}
	return f.orientation(file).turned(img), nil
}

// fillTwelveBits makes the values of a grey image of 16 bits that uses 12, as cameras and
// scanners of 12 bits write them, 16 times as large. It leaves alone what has a value of
// more than 12 bits, or none of more than 8.
func fillTwelveBits(img *image.Gray16) {
	most := uint16(0)
	for i := 0; i < len(img.Pix); i += 2 {
		most = max(most, uint16(img.Pix[i])<<8|uint16(img.Pix[i+1]))
	}
	if most < 1<<8 || most >= 1<<12 {
		return
	}
	for i := 0; i < len(img.Pix); i += 2 {
		v := uint16(img.Pix[i])<<8 | uint16(img.Pix[i+1])
		v = v<<4 | v>>8 // so that 4095 becomes 65535
		img.Pix[i], img.Pix[i+1] = uint8(v>>8), uint8(v)
	}
}

// readHeader finds a file's format and reads its header.
func readHeader(file []byte) (*format, image.Config, error) {
	f := formatOf(file)
	if f == nil {
		return nil, image.Config{}, unknownFormat(file)
	}
	r := newFileReader(file)
	config, err := f.config(r)
	if err != nil {
		return nil, config, f.explain(err, r)
	}
	return f, config, nil
}

// fileReader reads a file in memory, and remembers whether its end was in the way.
type fileReader struct {
	bytes.Reader
	file  []byte
	ended bool // something wanted bytes behind the end
}

func newFileReader(file []byte) *fileReader {
	r := &fileReader{file: file}
	r.Reader.Reset(file)
	return r
}

func (r *fileReader) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	r.ended = r.ended || err == io.EOF
	return n, err
}

func (r *fileReader) ReadByte() (byte, error) {
	b, err := r.Reader.ReadByte()
	r.ended = r.ended || err == io.EOF
	return b, err
}

func (r *fileReader) ReadAt(b []byte, offset int64) (int, error) {
	n, err := r.Reader.ReadAt(b, offset)
	r.ended = r.ended || err == io.EOF
	return n, err
}
