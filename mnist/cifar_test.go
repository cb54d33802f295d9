package mnist

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/gputrain/gputrain/net"
)

// cifarFile encodes images whose pixels are drawn from a simple recurrence.
func cifarFile(labels ...byte) []byte {
	var b []byte
	x := byte(len(labels))
	for _, l := range labels {
		b = append(b, l)
		for range cifarImage {
			x = 5*x + l + 1
			b = append(b, x)
		}
	}
	return b
}

func TestReadCIFAR10(t *testing.T) {
	file := cifarFile(6, 9, 0)
	d, err := ReadCIFAR10(iotest.HalfReader(bytes.NewReader(file)), "batch")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Check(); err != nil {
		t.Fatal(err)
	}
	if d.Name != "batch" || d.Len() != 3 || d.Classes != 10 || d.Shape != (net.Shape{C: 3, H: 32, W: 32}) {
		t.Errorf("got %s: %d samples of %v in %d classes", d.Name, d.Len(), d.Shape, d.Classes)
	}
	if got := encodeCIFAR10(d); !bytes.Equal(got, file) {
		t.Error("what was read does not encode to the file")
	}
}

// encodeCIFAR10 is the inverse of ReadCIFAR10.
func encodeCIFAR10(d *net.Dataset) []byte {
	var b []byte
	for i, l := range d.Labels {
		b = append(b, byte(l))
		b = append(b, d.Pixels[i*cifarImage:(i+1)*cifarImage]...)
	}
	return b
}

func TestReadCIFAR10Errors(t *testing.T) {
	broken := errors.New("input/output error")
	file := cifarFile(6, 9, 0)
	for _, c := range []struct {
		name    string
		r       io.Reader
		is      error
		message string
	}{
		{"empty", bytes.NewReader(nil), ErrTruncated,
			"f: byte 0: record 0: file is truncated: 0 of its 3073 bytes; fetch or copy it again"},
		{"truncated", bytes.NewReader(file[:len(file)-1]), ErrTruncated,
			"f: byte 6146: record 2: file is truncated: 3072 of its 3073 bytes; fetch or copy it again"},
		{"trailing byte", bytes.NewReader(append(cifarFile(1), 3)), ErrTruncated,
			"f: byte 3073: record 1: file is truncated: 1 of its 3073 bytes; fetch or copy it again"},
		{"label", bytes.NewReader(cifarFile(1, 10)), ErrLabel,
			"f: byte 3073: record 1: label outside the classes: label 10 is not from 0 to 9"},
		{"device", io.MultiReader(bytes.NewReader(file[:4000]), iotest.ErrReader(broken)), broken,
			"f: byte 3073: record 1: input/output error"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ReadCIFAR10(c.r, "f")
			wantError(t, err, c.is, c.message)
		})
	}
}

// cifar100File encodes images as CIFAR-100 does: a group's label comes before the class's.
func cifar100File(labels ...byte) []byte {
	var b []byte
	for _, l := range labels {
		b = append(b, 19-l%20, l)
		b = append(b, bytes.Repeat([]byte{l}, cifarImage)...)
	}
	return b
}

func TestLoadCIFAR100(t *testing.T) {
	files := map[string][]byte{
		"train.bin": cifar100File(0, 99, 0, 99, 31), "test.bin": cifar100File(99, 31),
	}
	s := mustLoad(t, writeFiles(t, "cifar-100-binary", files))
	if want := []int32{99, 31}; !slices.Equal(s.Test.Labels, want) || s.Test.Pixels[0] != 99 || s.Test.Pixels[cifarImage] != 31 {
		t.Errorf("test labels %v, want %v", s.Test.Labels, want)
	}
	if n := s.ClassNames; len(n) != 100 || n[0] != "apple" || n[31] != "elephant" || n[99] != "worm" || !slices.IsSorted(n) || s.Test.Name != "CIFAR-100 test" {
		t.Errorf("%s: names %q", s.Test.Name, n)
	}
	err := s.CheckLabels(90)
	if err == nil || !strings.HasSuffix(err.Error(), "train.bin: byte 3075: label: label outside the classes: label 99 of image 1 is not from 0 to 89; of 5 labels it is one of 2") {
		t.Errorf("error %v", err)
	}
	files["fine_label_names.txt"] = []byte(strings.Join(cifar100.names[1:], "\n") + "\nzebra\n")
	if s = mustLoad(t, writeFiles(t, "d", files)); s.ClassNames[99] != "zebra" {
		t.Errorf("names %q, want those of the file", s.ClassNames)
	}
	files["test_batch.bin"] = cifarFile(1)
	dir := writeFiles(t, "d", files)
	_, err = Load(dir, FirstTenth)
	wantError(t, err, ErrAmbiguous, "data directory "+dir+": more than one data set found: CIFAR-10 and CIFAR-100 files, keep one kind in the directory")
	delete(files, "test_batch.bin")
	delete(files, "train.bin")
	dir = writeFiles(t, "d", files)
	_, err = Load(dir, FirstTenth)
	wantError(t, err, fs.ErrNotExist, filepath.Join(dir, "train.bin")+": file does not exist")
}

// FuzzReadCIFAR reads files of any labels with some bytes cut off the end, and
// knows what must come of each. Labels and cut are fuzzed, not the file: nearly
// all of its bytes are pixels, of which one is as good as another.
func FuzzReadCIFAR(f *testing.F) {
	f.Add([]byte{}, uint16(0))
	f.Add([]byte{0}, uint16(0))
	f.Add([]byte{9, 3}, uint16(0))
	f.Add([]byte{10}, uint16(0))
	f.Add([]byte{4, 255, 1}, uint16(1))
	f.Add([]byte{1, 2}, uint16(3072))
	f.Add([]byte{1, 2}, uint16(3073))
	f.Add([]byte{7, 8, 9}, uint16(65535))
	f.Fuzz(func(t *testing.T, labels []byte, cut uint16) {
		file := cifarFile(labels[:min(len(labels), 16)]...)
		file = file[:max(len(file)-int(cut), 0)]
		d, err := ReadCIFAR10(bytes.NewReader(file), "f")

		var is error // what must be wrong, and in which record
		record := 0
		for ; is == nil && (len(file) > record*cifar10.record() || record == 0); record++ {
			switch rest := file[record*cifar10.record():]; {
			case len(rest) < cifar10.record():
				is = ErrTruncated
			case rest[0] > 9:
				is = ErrLabel
			}
		}
		var format *FormatError
		switch {
		case is == nil && err != nil:
			t.Fatalf("error %q for a good file", err)
		case is == nil:
			if err := d.Check(); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(encodeCIFAR10(d), file) {
				t.Fatal("what was read does not encode to the file")
			}
		case !errors.Is(err, is) || !errors.As(err, &format) || format.File != "f" || format.Offset != int64(record-1)*int64(cifar10.record()):
			t.Fatalf("error %v, want %v in record %d", err, is, record-1)
		}
	})
}
