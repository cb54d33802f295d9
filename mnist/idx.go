package mnist

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strings"
)

// ElementType is the type of an IDX file's elements. Its value is the code in the file.
type ElementType uint8

// The element types of IDX files. In the file they are big-endian.
const (
	Uint8   ElementType = 0x08
	Int8    ElementType = 0x09
	Int16   ElementType = 0x0B
	Int32   ElementType = 0x0C
	Float32 ElementType = 0x0D
	Float64 ElementType = 0x0E
)

var elementTypes = map[ElementType]struct {
	name string
	size int
}{
	Uint8:   {"uint8", 1},
	Int8:    {"int8", 1},
	Int16:   {"int16", 2},
	Int32:   {"int32", 4},
	Float32: {"float32", 4},
	Float64: {"float64", 8},
}

// String returns the name of the same type in Go, such as "uint8".
func (t ElementType) String() string {
	if e, ok := elementTypes[t]; ok {
		return e.name
	}
	return fmt.Sprintf("element type 0x%02X", uint8(t))
}

// Size returns the size of one element in bytes, or 0 if t is unknown.
func (t ElementType) Size() int { return elementTypes[t].size }

// MaxElements is the greatest number of elements that an IDX file may have, so
// that every index fits an int32.
const MaxElements = math.MaxInt32

// Array is the content of an IDX file, as [ReadIDX] returns it: an array with any number
// of dimensions.
type Array struct {
	Type ElementType
	Dims []int  // the last dimension changes fastest
	Data []byte // the elements as they are in the file, big-endian

	file string
	gzip bool
}

// Len returns the number of elements.
func (a *Array) Len() int { return len(a.Data) / a.Type.Size() }

// At returns element i of the flat array. A float64 holds every value of every
// element type.
func (a *Array) At(i int) float64 {
	switch a.Type {
	case Uint8:
		return float64(a.Data[i])
	case Int8:
		return float64(int8(a.Data[i]))
	case Int16:
		return float64(int16(binary.BigEndian.Uint16(a.Data[2*i:])))
	case Int32:
		return float64(int32(binary.BigEndian.Uint32(a.Data[4*i:])))
	case Float32:
		return float64(math.Float32frombits(binary.BigEndian.Uint32(a.Data[4*i:])))
	case Float64:
		return math.Float64frombits(binary.BigEndian.Uint64(a.Data[8*i:]))
	}
	panic(fmt.Sprintf("BUG: array of %v", a.Type))
}

// Offsets of an IDX file's fields.
const (
	magicOffset = 0
	typeOffset  = 2
	rankOffset  = 3
	dimsOffset  = 4 // of the first dimension; each is a 32-bit integer
)

// headerSize returns the offset of element 0.
func (a *Array) headerSize() int64 { return dimsOffset + 4*int64(len(a.Dims)) }

// elementOffset returns the offset of element i.
func (a *Array) elementOffset(i int) int64 {
	return a.headerSize() + int64(i)*int64(a.Type.Size())
}

// fail returns the error for a wrong field of a's file.
func (a *Array) fail(offset int64, field string, err error) error {
	return &FormatError{File: a.file, Gzip: a.gzip, Offset: offset, Field: field, Err: err}
}

// short returns the error for a file that ends too early. It does not advise to fetch a
// compressed file again: that was decompressed without an error, so it was written so.
func (a *Array) short(format string, details ...any) error {
	if !a.gzip {
		format += "; fetch or copy it again"
	}
	return reason(ErrTruncated, format, details...)
}

// describe returns dimensions and type: "60000 x 28 x 28 uint8".
func (a *Array) describe() string {
	s := make([]string, len(a.Dims))
	for i, d := range a.Dims {
		s[i] = fmt.Sprint(d)
	}
	return strings.Join(s, " x ") + " " + a.Type.String()
}

// ReadIDX reads an IDX file, plain or compressed by gzip, to its end. name is the file's
// name in errors, which are [*FormatError]s. Memory is allocated as data arrive. It stays
// within a small multiple of their size, whatever the header claims. Of a compressed file,
// no more is decompressed than the header claims.
//
// The format is two bytes of 0, the element type, the number of dimensions, each dimension
// as a 32-bit integer, and the elements in row-major order. Everything is big-endian
// (Y. LeCun, yann.lecun.com/exdb/mnist).
func ReadIDX(r io.Reader, name string) (*Array, error) {
	a := &Array{file: name}
	in, err := a.decompress(r)
	if err != nil {
		return nil, err
	}
	n, err := a.readHeader(in)
	if err != nil {
		return nil, err
	}
	size := n * int64(a.Type.Size())
	a.Data, err = readGrowing(in, size)
	end := a.headerSize() + int64(len(a.Data))
	if err == io.ErrUnexpectedEOF {
		err = a.short("the header claims %d bytes of data (%s), the file holds %d", size, a.describe(), len(a.Data))
	}
	if err != nil {
		return nil, a.fail(end, "data", err)
	}
	// Reading on to the end of the file also checks gzip's checksum.
	switch _, err := io.ReadFull(in, make([]byte, 1)); err {
	case io.EOF:
		return a, nil
	case nil:
		return nil, a.fail(end, "end of data", reason(ErrTrailing, "%s need %d bytes", a.describe(), size))
	default:
		return nil, a.fail(end, "end of data", err)
	}
}

// decompress returns the decompressed content of r. If r does not begin like a gzip file,
// it returns the content as it is. An IDX file never begins like a gzip file.
func (a *Array) decompress(r io.Reader) (io.Reader, error) {
	in := bufio.NewReaderSize(r, 1<<16)
	if magic, _ := in.Peek(2); !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return in, nil
	}
	a.gzip = true
	z, err := gzip.NewReader(in)
	if err != nil {
		return nil, a.fail(0, "gzip header", fmt.Errorf("%w: %w", ErrGzip, err))
	}
	z.Multistream(false)
	return &gunzip{z, in}, nil
}

// gunzip decompresses a file. It wraps a failure to decompress, which may be
// io.ErrUnexpectedEOF, to tell it from the end of the data. Like the program gzip, it reads
// several compressed parts as one. It skips zeros and white space after them, because
// tapes, file systems and editors leave some.
type gunzip struct {
	z  *gzip.Reader
	in *bufio.Reader
}

func (g *gunzip) Read(p []byte) (int, error) {
	n, err := g.z.Read(p)
	for n == 0 && err == io.EOF && g.next() {
		switch err = g.z.Reset(g.in); err {
		case nil:
			g.z.Multistream(false)
			n, err = g.z.Read(p)
		case gzip.ErrHeader:
			return 0, reason(ErrTrailing, "what follows the compressed data is not gzip's")
		}
	}
	if n > 0 && err == io.EOF {
		err = nil // the next Read returns it
	}
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%w: %w", ErrGzip, err)
	}
	return n, err
}

// next reports whether something follows that should be another part.
func (g *gunzip) next() bool {
	for {
		b, err := g.in.ReadByte()
		if err != nil {
			return false
		}
		if b != 0 && !bytes.ContainsRune([]byte(" \t\r\n"), rune(b)) {
			return g.in.UnreadByte() == nil
		}
	}
}

// readHeader reads element type and dimensions and returns the number of
// elements.
func (a *Array) readHeader(r io.Reader) (int64, error) {
	field := func(offset int64, name string) (b [4]byte, err error) {
		n, err := io.ReadFull(r, b[:])
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			err = a.short("%d of 4 bytes", n)
		}
		if err != nil {
			err = a.fail(offset, name, err)
		}
		return b, err
	}
	magic, err := field(magicOffset, "magic number")
	if err != nil {
		return 0, err
	}
	if magic[0] != 0 || magic[1] != 0 {
		return 0, a.fail(magicOffset, "magic number", reason(ErrNotIDX, "it begins with % x, not with 00 00", magic))
	}
	a.Type = ElementType(magic[2])
	if a.Type.Size() == 0 {
		return 0, a.fail(typeOffset, "element type", reason(ErrElementType, "code 0x%02X is unknown", magic[2]))
	}
	rank := int(magic[3])
	if rank == 0 {
		return 0, a.fail(rankOffset, "number of dimensions", reason(ErrDimensions, "there are none"))
	}
	elements := int64(1)
	for i := range rank {
		offset, name := dimsOffset+4*int64(i), fmt.Sprintf("dimension %d of %d", i+1, rank)
		b, err := field(offset, name)
		if err != nil {
			return 0, err
		}
		d := int64(binary.BigEndian.Uint32(b[:]))
		if d > MaxElements || d > 0 && elements > MaxElements/d {
			return 0, a.fail(offset, name, reason(ErrDimensions, "%d, with the dimensions before it, is more than %d elements", d, MaxElements))
		}
		elements *= d
		a.Dims = append(a.Dims, int(d))
	}
	return elements, nil
}

// readGrowing reads n bytes. If there are fewer, it returns these and io.ErrUnexpectedEOF.
// It allocates memory as bytes arrive.
func readGrowing(r io.Reader, n int64) ([]byte, error) {
	var b []byte
	for int64(len(b)) < n {
		at := len(b)
		step := int(min(n-int64(at), int64(max(at, 1<<16))))
		b = append(make([]byte, 0, at+step), b...)[:at+step]
		got, err := io.ReadFull(r, b[at:])
		b = b[:at+got]
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return b, err
		}
	}
	return b, nil
}
