package picture

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"io"
)

// Limits of the image files that Read accepts. They keep a small file from taking all
// memory.
const (
	MaxBytes  = 64 << 20   // of the file
	MaxPixels = 50_000_000 // of the decoded image
)

// Errors of images. Compare them with errors.Is. The text of an error says more.
var (
	// ErrFormat means that a file is not an image of a format that this package reads.
	ErrFormat = errors.New("not a JPEG, PNG, GIF, BMP, TIFF or WebP image")
	// ErrDamaged means that a file is empty, cut short, or breaks the rules of its format.
	ErrDamaged = errors.New("damaged image")
	// ErrUnsupported means that a file uses a feature of its format that this package does
	// not read, such as JPEG with arithmetic coding.
	ErrUnsupported = errors.New("an image of a kind that is not read")
	// ErrTooLarge means that a file or an image is larger than allowed.
	ErrTooLarge = errors.New("the image is too large")
)

// fileError is an error of one of these kinds, with a text of its own.
type fileError struct {
	kind error
	text string
}

func (e *fileError) Error() string { return e.text }
func (e *fileError) Unwrap() error { return e.kind }

// Read reads an image file of at most MaxBytes and MaxPixels. More gives ErrTooLarge. See
// [Decode].
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

// CheckSize gives ErrTooLarge for an image of more than most pixels.
func CheckSize(width, height, most int) error {
	if height > 0 && width > most/height {
		return fmt.Errorf("%w: %d x %d pixels (at most %g million); make it smaller", ErrTooLarge, width, height, float64(most)/1e6)
	}
	return nil
}

// Info holds what the header of an image file says.
type Info struct {
	Width, Height int    // size of the upright image
	Channels      int    // 1 for grey images, 3 for colour images; transparency doesn't count
	Format        string // "JPEG", "PNG", "GIF", "BMP", "TIFF" or "WebP"
}

// Header reads the header of an image file, without decoding the pixels. The file may
// still turn out to be damaged. Errors are those of [Decode].
func Header(file []byte) (Info, error) {
	f, config, err := readHeader(file)
	if err != nil {
		return Info{}, err
	}
	info := Info{config.Width, config.Height, 3, f.name}
	if f.orientation(file).Swaps() {
		info.Width, info.Height = info.Height, info.Width
	}
	if isGrey(f, file, config.ColorModel) {
		info.Channels = 1
	}
	return info, nil
}

// isGrey reports whether a file can only have grey pixels.
func isGrey(f *format, file []byte, model color.Model) bool {
	if palette, ok := model.(color.Palette); ok {
		for _, c := range palette {
			if r, g, b, _ := c.RGBA(); r != g || g != b {
				return false
			}
		}
		return true
	}
	// Byte 25 of a PNG file is its colour type. Type 4 is grey with transparency, for which
	// package image has no colour model.
	return model == color.GrayModel || model == color.Gray16Model || f.name == "PNG" && file[25] == 4
}

// Decode decodes an image file: JPEG, PNG, GIF, BMP, TIFF or WebP. The contents decide,
// not the name. It turns the image upright, as the orientation in Exif or TIFF says. Of
// several frames or pages it reads the first. A grey image of 16 bits that uses only 12 of
// them becomes as bright as one that uses all.
//
// Decode calls admit with the image's size before it allocates memory for the pixels. If
// admit returns an error, so does Decode. A nil admit allows MaxPixels. The decoders need at
// most some 30 bytes per pixel, and up to 150 MB more for the code tables of a malicious
// WebP file.
//
// Errors are ErrFormat, ErrDamaged, ErrUnsupported and those of admit, or ErrTooLarge if
// admit is nil. Each is one line.
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
	return f.orientation(file).Turned(img), nil
}

// fillTwelveBits multiplies the values of a grey 16-bit image by 16 if they have only 12
// bits, as cameras and scanners of 12 bits write them. It leaves an image as it is if some
// value has more than 12 bits, or if none has more than 8.
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

// fileReader reads a file in memory, and remembers whether somebody read beyond its end.
type fileReader struct {
	bytes.Reader
	file  []byte
	ended bool // somebody tried to read beyond the end
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
