package picture

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/png"
	"math/rand/v2"
	"testing"

	"github.com/gputrain/gputrain/picture/picturetest"
)

// filteredPNG is a grey PNG file whose rows have filters in turns: what the filters
// leave is noise, so that every value of every neighbour comes up.
func filteredPNG(t testing.TB, r *rand.Rand, width, height, filters int) []byte {
	var rows bytes.Buffer
	w := zlib.NewWriter(&rows)
	for y := range height {
		row := []byte{uint8((y + filters - 1) % filters)}
		for range width {
			row = append(row, uint8(r.Uint32()))
		}
		if _, err := w.Write(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	header := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(width)), uint32(height))
	out := []byte("\x89PNG\r\n\x1a\n")
	for _, chunk := range []struct {
		kind string
		data []byte
	}{{"IHDR", append(header, 8, 0, 0, 0, 0)}, {"IDAT", rows.Bytes()}, {"IEND", nil}} {
		out = binary.BigEndian.AppendUint32(out, uint32(len(chunk.data)))
		from := len(out)
		out = append(append(out, chunk.kind...), chunk.data...)
		out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[from:]))
	}
	return out
}

// likePNG checks a file against image/png: what greyPNG reads is the same image, and
// what image/png refuses it refuses. It reports whether it read the file.
func likePNG(t *testing.T, file []byte) bool {
	t.Helper()
	got := greyPNG(file)
	if got == nil {
		return false
	}
	img, err := png.Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatalf("read what image/png refuses: %v", err)
	}
	want, ok := img.(*image.Gray)
	if !ok || got.Rect != want.Rect || !bytes.Equal(got.Pix, want.Pix) {
		t.Fatalf("%v differs from image/png's %v", got.Rect, img.Bounds())
	}
	return true
}

func TestGreyPNG(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	digits := testDigits(t)
	for i := range 100 {
		file := picturetest.Encoded(t, "png", picturetest.Digit(digits, i))
		if !likePNG(t, file) {
			t.Fatalf("test image %d was not read", i)
		}
		file[r.IntN(len(file))] ^= 1 << r.IntN(8)
		likePNG(t, file)
		likePNG(t, file[:r.IntN(len(file))])
	}
	for range 100 {
		if !likePNG(t, filteredPNG(t, r, 1+r.IntN(50), 1+r.IntN(50), 5)) {
			t.Fatal("a file with all filters was not read")
		}
	}
	if likePNG(t, filteredPNG(t, r, 5, 7, 6)) {
		t.Error("read a file with an unknown filter")
	}
	colour := image.NewNRGBA(image.Rect(0, 0, 3, 3))
	if likePNG(t, picturetest.Encoded(t, "png", colour)) {
		t.Error("read a file in colour")
	}
}

// FuzzGreyPNG holds any file to image/png. The sums of its chunks are made right, so
// that what they hold is reached.
func FuzzGreyPNG(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	f.Add(filteredPNG(f, r, 6, 7, 5))
	f.Add(filteredPNG(f, r, 6, 7, 6))
	f.Add(pngOfSize(100, 100))
	f.Fuzz(func(t *testing.T, file []byte) {
		file = bytes.Clone(file)
		for at := 8; at+12 <= len(file); {
			n := int(binary.BigEndian.Uint32(file[at:]))
			if n > len(file)-at-12 {
				break
			}
			binary.BigEndian.PutUint32(file[at+8+n:], crc32.ChecksumIEEE(file[at+4:at+8+n]))
			at += 12 + n
		}
		if config, err := png.DecodeConfig(bytes.NewReader(file)); err != nil || config.Width*config.Height > 1<<20 {
			return // Decode asks first, too
		}
		likePNG(t, file)
	})
}
