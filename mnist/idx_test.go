package mnist

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// idxFile encodes an IDX file. The data are a slice of the type's values.
func idxFile(t ElementType, dims []int, data any) []byte {
	b := []byte{0, 0, byte(t), byte(len(dims))}
	for _, d := range dims {
		b = binary.BigEndian.AppendUint32(b, uint32(d))
	}
	b, err := binary.Append(b, binary.BigEndian, data)
	if err != nil {
		panic(err)
	}
	return b
}

// gzipped compresses b.
func gzipped(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		panic(err)
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// wantError checks an error's reason and its whole message.
func wantError(t *testing.T, err, sentinel error, message string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %q", message)
	}
	if !errors.Is(err, sentinel) {
		t.Errorf("error %q is not %q", err, sentinel)
	}
	if err.Error() != message {
		t.Errorf("error\n got %q\nwant %q", err, message)
	}
}

func TestReadIDXTypes(t *testing.T) {
	for _, c := range []struct {
		typ  ElementType
		data any
		want []float64
	}{
		{Uint8, []uint8{0, 1, 128, 255}, []float64{0, 1, 128, 255}},
		{Int8, []int8{0, 1, -128, 127}, []float64{0, 1, -128, 127}},
		{Int16, []int16{0, 258, -32768, 32767}, []float64{0, 258, -32768, 32767}},
		{Int32, []int32{0, 0x01020304, math.MinInt32, math.MaxInt32}, []float64{0, 0x01020304, math.MinInt32, math.MaxInt32}},
		{Float32, []float32{0, -1.5, math.MaxFloat32, float32(math.Inf(-1))}, []float64{0, -1.5, math.MaxFloat32, math.Inf(-1)}},
		{Float64, []float64{0, -1.5, math.MaxFloat64, math.SmallestNonzeroFloat64}, []float64{0, -1.5, math.MaxFloat64, math.SmallestNonzeroFloat64}},
	} {
		t.Run(c.typ.String(), func(t *testing.T) {
			raw := idxFile(c.typ, []int{2, 1, 2}, c.data)
			for form, file := range map[string][]byte{
				"raw": raw, "gzip": gzipped(raw),
				"parts":  slices.Concat(gzipped(raw[:5]), gzipped(nil), gzipped(raw[5:])),
				"zeros":  append(gzipped(raw), make([]byte, 1000)...), // as tapes leave them
				"a line": append(gzipped(raw), "\r\n"...),
			} {
				// A reader that gives a byte at a time must make no difference.
				a, err := ReadIDX(iotest.OneByteReader(bytes.NewReader(file)), "x")
				if err != nil {
					t.Fatalf("%s: %v", form, err)
				}
				if a.Type != c.typ || !slices.Equal(a.Dims, []int{2, 1, 2}) || a.Len() != len(c.want) {
					t.Errorf("%s: got %v %v of %d elements", form, a.Type, a.Dims, a.Len())
				}
				for i, want := range c.want {
					// Every element type's values are float64s exactly.
					if got := a.At(i); got != want {
						t.Errorf("%s: element %d is %v, want %v", form, i, got, want)
					}
				}
			}
		})
	}
}

// TestReadIDXLarge reads more than the first piece of memory holds.
func TestReadIDXLarge(t *testing.T) {
	data := make([]byte, 300_007)
	for i := range data {
		data[i] = byte(i * i >> 3)
	}
	raw := idxFile(Uint8, []int{len(data)}, data)
	for _, file := range [][]byte{raw, gzipped(raw)} {
		a, err := ReadIDX(bytes.NewReader(file), "x")
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a.Data, data) {
			t.Error("the data differ from the file's")
		}
	}
}

func TestReadIDXEmpty(t *testing.T) {
	a, err := ReadIDX(bytes.NewReader(idxFile(Int16, []int{0, 28, 28}, []int16{})), "x")
	if err != nil {
		t.Fatal(err)
	}
	if a.Len() != 0 {
		t.Errorf("%d elements, want 0", a.Len())
	}
}

func TestReadIDXErrors(t *testing.T) {
	good := idxFile(Uint8, []int{2, 2, 3}, []byte("0123456789ab"))
	packed := gzipped(good)
	damaged := func(b []byte, at int, to byte) []byte {
		b = slices.Clone(b)
		b[at] = to
		return b
	}
	for _, c := range []struct {
		name    string
		file    []byte
		is      error
		message string
	}{
		{"empty file", nil, ErrTruncated,
			"f: byte 0: magic number: file is truncated: 0 of 4 bytes; fetch or copy it again"},
		{"one byte", good[:1], ErrTruncated,
			"f: byte 0: magic number: file is truncated: 1 of 4 bytes; fetch or copy it again"},
		{"wrong magic", []byte("\x89PNG\r\n\x1a\n"), ErrNotIDX,
			"f: byte 0: magic number: not an IDX file: it begins with 89 50 4e 47, not with 00 00"},
		{"wrong first byte", damaged(good, 0, 1), ErrNotIDX,
			"f: byte 0: magic number: not an IDX file: it begins with 01 00 08 03, not with 00 00"},
		{"wrong second byte", damaged(good, 1, 8), ErrNotIDX,
			"f: byte 0: magic number: not an IDX file: it begins with 00 08 08 03, not with 00 00"},
		{"unknown type", damaged(good, 2, 0x0A), ErrElementType,
			"f: byte 2: element type: wrong element type: code 0x0A is unknown"},
		{"no dimensions", damaged(good, 3, 0), ErrDimensions,
			"f: byte 3: number of dimensions: wrong dimensions: there are none"},
		{"truncated header", good[:14], ErrTruncated,
			"f: byte 12: dimension 3 of 3: file is truncated: 2 of 4 bytes; fetch or copy it again"},
		{"header alone", good[:16], ErrTruncated,
			"f: byte 16: data: file is truncated: the header claims 12 bytes of data (2 x 2 x 3 uint8), the file holds 0; fetch or copy it again"},
		{"truncated", good[:len(good)-1], ErrTruncated,
			"f: byte 27: data: file is truncated: the header claims 12 bytes of data (2 x 2 x 3 uint8), the file holds 11; fetch or copy it again"},
		{"truncated element", idxFile(Int32, []int{2}, []byte("1234567")), ErrTruncated,
			"f: byte 15: data: file is truncated: the header claims 8 bytes of data (2 int32), the file holds 7; fetch or copy it again"},
		{"trailing byte", append(slices.Clone(good), 0), ErrTrailing,
			"f: byte 28: end of data: file goes on after its data: 2 x 2 x 3 uint8 need 12 bytes"},
		{"dimension too large", idxFile(Uint8, []int{1 << 31}, []byte{}), ErrDimensions,
			"f: byte 4: dimension 1 of 1: wrong dimensions: 2147483648, with the dimensions before it, is more than 2147483647 elements"},
		{"dimension too large in an empty array", idxFile(Uint8, []int{0, 1 << 31}, []byte{}), ErrDimensions,
			"f: byte 8: dimension 2 of 2: wrong dimensions: 2147483648, with the dimensions before it, is more than 2147483647 elements"},
		{"product overflows 64 bits", idxFile(Uint8, []int{65536, 32767, 2, 1 << 31, 2, 1 << 30}, []byte{}), ErrDimensions,
			"f: byte 12: dimension 3 of 6: wrong dimensions: 2, with the dimensions before it, is more than 2147483647 elements"},
		{"truncated in compressed file", gzipped(good[:20]), ErrTruncated,
			"f: byte 20 of the decompressed data: data: file is truncated: the header claims 12 bytes of data (2 x 2 x 3 uint8), the file holds 4"},
		{"trailing bytes in compressed file", gzipped(append(slices.Clone(good), "xyz"...)), ErrTrailing,
			"f: byte 28 of the decompressed data: end of data: file goes on after its data: 2 x 2 x 3 uint8 need 12 bytes"},
		{"wrong magic in compressed file", gzipped([]byte("%PDF-1.4")), ErrNotIDX,
			"f: byte 0 of the decompressed data: magic number: not an IDX file: it begins with 25 50 44 46, not with 00 00"},
		{"gzip header", packed[:5], ErrGzip,
			"f: byte 0 of the decompressed data: gzip header: cannot decompress, fetch or copy the file again: unexpected EOF"},
		{"gzip method", damaged(packed, 2, 7), ErrGzip,
			"f: byte 0 of the decompressed data: gzip header: cannot decompress, fetch or copy the file again: gzip: invalid header"},
		{"gzip block type", damaged(packed, 10, 0xff), ErrGzip,
			"f: byte 0 of the decompressed data: magic number: cannot decompress, fetch or copy the file again: flate: corrupt input before offset 1"},
		{"gzip checksum", damaged(packed, len(packed)-8, packed[len(packed)-8]+1), ErrGzip,
			"f: byte 28 of the decompressed data: end of data: cannot decompress, fetch or copy the file again: gzip: invalid checksum"},
		{"gzip trailer missing", packed[:len(packed)-8], ErrGzip,
			"f: byte 28 of the decompressed data: end of data: cannot decompress, fetch or copy the file again: unexpected EOF"},
		{"bytes after gzip", append(slices.Clone(packed), "more bytes"...), ErrTrailing,
			"f: byte 28 of the decompressed data: end of data: file goes on after its data: what follows the compressed data is not gzip's"},
		{"another part that is cut short", slices.Concat(packed, packed[:5]), ErrGzip,
			"f: byte 28 of the decompressed data: end of data: cannot decompress, fetch or copy the file again: unexpected EOF"},
		{"another part", slices.Concat(packed, []byte{0, 0, '\n'}, gzipped([]byte("more"))), ErrTrailing,
			"f: byte 28 of the decompressed data: end of data: file goes on after its data: 2 x 2 x 3 uint8 need 12 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, err := ReadIDX(bytes.NewReader(c.file), "f")
			wantError(t, err, c.is, c.message)
			if a != nil {
				t.Error("an array beside the error")
			}
			var format *FormatError
			if !errors.As(err, &format) || format.File != "f" {
				t.Errorf("error %#v is not a *FormatError of file f", err)
			}
		})
	}
}

// TestReadIDXTruncatedGzip cuts a compressed file at every byte.
func TestReadIDXTruncatedGzip(t *testing.T) {
	packed := gzipped(idxFile(Uint8, []int{500}, bytes.Repeat([]byte("0123456789"), 50)))
	for n := 2; n < len(packed); n++ {
		if _, err := ReadIDX(bytes.NewReader(packed[:n]), "f"); !errors.Is(err, ErrGzip) {
			t.Errorf("cut after %d of %d bytes: error %v, want %v", n, len(packed), err, ErrGzip)
		}
	}
}

func TestReadIDXDeviceError(t *testing.T) {
	broken := errors.New("input/output error")
	good := idxFile(Uint8, []int{4}, []byte("0123"))
	for _, c := range []struct {
		after   int
		message string
	}{
		{0, "f: byte 0: magic number: input/output error"},
		{6, "f: byte 4: dimension 1 of 1: input/output error"},
		{10, "f: byte 10: data: input/output error"},
		{12, "f: byte 12: end of data: input/output error"},
	} {
		r := io.MultiReader(bytes.NewReader(good[:c.after]), iotest.ErrReader(broken))
		_, err := ReadIDX(r, "f")
		wantError(t, err, broken, c.message)
	}
}

// allocated returns the bytes that f takes from the heap, in all.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestReadIDXTakesNoMemoryOnTheHeadersWord gives headers that claim the greatest
// size there may be.
func TestReadIDXTakesNoMemoryOnTheHeadersWord(t *testing.T) {
	raw := idxFile(Float64, []int{MaxElements}, []float64{1, 2, 3})
	const message = "data: file is truncated: the header claims 17179869176 bytes of data (2147483647 float64), the file holds 24"
	for want, file := range map[string][]byte{
		"f: byte 32: " + message + "; fetch or copy it again": raw,
		"f: byte 32 of the decompressed data: " + message:     gzipped(raw),
	} {
		var err error
		// 64 KiB of input buffer, 64 KiB of first data, gzip's window and tables.
		const limit = 512 << 10
		if got := allocated(func() { _, err = ReadIDX(bytes.NewReader(file), "f") }); got > limit {
			t.Errorf("%d bytes were allocated for %d bytes of input, want at most %d", got, len(file), limit)
		}
		wantError(t, err, ErrTruncated, want)
	}
}

// TestReadIDXBoundsDecompression gives a small compressed file that holds far
// more than its header claims.
func TestReadIDXBoundsDecompression(t *testing.T) {
	bomb := gzipped(append(idxFile(Uint8, []int{100}, []byte{}), make([]byte, 8<<20)...))
	in := bytes.NewReader(bomb)
	var err error
	const limit = 512 << 10
	if got := allocated(func() { _, err = ReadIDX(in, "f") }); got > limit {
		t.Errorf("%d bytes were allocated, want at most %d", got, limit)
	}
	wantError(t, err, ErrTrailing, "f: byte 108 of the decompressed data: end of data: file goes on after its data: 100 uint8 need 100 bytes")
}

func TestElementTypeNames(t *testing.T) {
	if got := ElementType(0x0A).String(); got != "element type 0x0A" {
		t.Errorf("unknown type is %q", got)
	}
	if got := Float64.String(); got != "float64" {
		t.Errorf("Float64 is %q", got)
	}
}

func FuzzReadIDX(f *testing.F) {
	for _, typ := range []ElementType{Uint8, Int8, Int16, Int32, Float32, Float64} {
		data := bytes.Repeat([]byte("\x3f\x80\x00\x01\xfe\x02\x7f\xff"), typ.Size())
		raw := idxFile(typ, []int{2, 2, 2}, data)
		f.Add(raw)
		f.Add(gzipped(raw))
		f.Add(raw[:len(raw)-3])
		f.Add(append(slices.Clone(raw), 0))
	}
	f.Add(idxFile(Uint8, []int{3}, []byte{0, 1, 9}))
	f.Add(idxFile(Uint8, []int{2, 3, 2, 2}, make([]byte, 24)))
	f.Add(idxFile(Uint8, []int{0, 28, 28}, []byte{}))
	f.Add(idxFile(Float64, []int{MaxElements}, []byte{1}))
	f.Add(idxFile(Uint8, []int{1 << 31, 1 << 31, 4}, []byte{1}))
	f.Add(gzipped(idxFile(Uint8, []int{4}, make([]byte, 1000))))
	f.Add([]byte{0x1f, 0x8b})
	f.Add([]byte("\x89PNG\r\n\x1a\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		a, err := ReadIDX(bytes.NewReader(file), "f")
		if err != nil {
			var format *FormatError
			if !errors.As(err, &format) || format.File != "f" || format.Field == "" || format.Offset < 0 {
				t.Fatalf("error %#v names no file, offset and field", err)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Fatalf("error %q has more than one line", err)
			}
			return
		}
		elements := 1
		for _, d := range a.Dims {
			elements *= d
		}
		if a.Len() != elements || len(a.Data) != elements*a.Type.Size() {
			t.Fatalf("%d elements in %d bytes for %v %v", a.Len(), len(a.Data), a.Type, a.Dims)
		}
		if !a.gzip && !bytes.Equal(idxFile(a.Type, a.Dims, a.Data), file) {
			t.Fatal("what was read does not encode to the file")
		}
		// A file that reads as images or labels must give a data set of that size.
		if d, err := a.images(); err == nil && len(d.Pixels)+len(d.Values) != a.Len() {
			t.Fatalf("%d pixels and %d values of %d elements", len(d.Pixels), len(d.Values), a.Len())
		}
		if l, err := a.labels(); err == nil && (len(l) != a.Len() || slices.ContainsFunc(l, func(l int32) bool { return l < 0 })) {
			t.Fatalf("labels %v of %d elements", l, a.Len())
		}
	})
}
