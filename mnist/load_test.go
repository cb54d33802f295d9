package mnist

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
)

// writeFiles writes files to a directory called name, and returns its path.
func writeFiles(t *testing.T, name string, files map[string][]byte) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for f, b := range files {
		if err := os.WriteFile(filepath.Join(dir, f), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// smallIDX returns the files of a data set of 1 x 2 x 3 images in 4 classes, 12
// to train and 2 to test, under MNIST's names. Pixel i of all is byte i.
func smallIDX() map[string][]byte {
	pixels := make([]byte, 14*6)
	for i := range pixels {
		pixels[i] = byte(i)
	}
	return map[string][]byte{
		"train-images-idx3-ubyte": idxFile(Uint8, []int{12, 2, 3}, pixels[:72]),
		"train-labels-idx1-ubyte": idxFile(Uint8, []int{12}, []byte{0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3}),
		"t10k-images-idx3-ubyte":  idxFile(Uint8, []int{2, 2, 3}, pixels[72:]),
		"t10k-labels-idx1-ubyte":  idxFile(Uint8, []int{2}, []byte{3, 0}),
	}
}

// renamed returns the files with every name changed.
func renamed(files map[string][]byte, change func(string) string) map[string][]byte {
	out := map[string][]byte{}
	for name, b := range files {
		out[change(name)] = b
	}
	return out
}

func mustLoad(t *testing.T, dir string) *Split {
	t.Helper()
	s, err := Load(dir, FirstTenth)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []*net.Dataset{s.Train, s.Validation, s.Test} {
		if err := d.Check(); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestLoadIDXNames(t *testing.T) {
	same := func(name string) string { return name }
	for _, c := range []struct {
		name   string
		rename func(string) string
		pack   bool
		want   string // data set's name
	}{
		{"MNIST's", same, false, "small"},
		{"compressed", func(n string) string { return n + ".gz" }, true, "small"},
		{"compressed without .gz", same, true, "small"},
		{"plain with .gz", func(n string) string { return n + ".gz" }, false, "small"},
		{"dots", func(n string) string { return strings.Replace(n, "-idx", ".idx", 1) }, false, "small"},
		{"test for t10k", func(n string) string { return strings.Replace(n, "t10k", "test", 1) }, false, "small"},
		{"prefix", func(n string) string { return "kana-" + n }, false, "kana"},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := renamed(smallIDX(), c.rename)
			if c.pack {
				for n, b := range files {
					files[n] = gzipped(b)
				}
			}
			files["README.txt"] = []byte("not data")
			s := mustLoad(t, writeFiles(t, "small", files))
			if s.Train.Name != c.want+" training" || s.Validation.Name != c.want+" validation" || s.Test.Name != c.want+" test" {
				t.Errorf("names %q, %q, %q, want %q and the part's", s.Train.Name, s.Validation.Name, s.Test.Name, c.want)
			}
			// A tenth of 12, rounded up, is 2.
			if s.Train.Len() != 10 || s.Validation.Len() != 2 || s.Test.Len() != 2 {
				t.Errorf("%d, %d and %d samples, want 10, 2 and 2", s.Train.Len(), s.Validation.Len(), s.Test.Len())
			}
			if want := (net.Shape{C: 1, H: 2, W: 3}); s.Train.Shape != want || s.Test.Shape != want {
				t.Errorf("shapes %v and %v, want %v", s.Train.Shape, s.Test.Shape, want)
			}
			all := slices.Concat(s.Validation.Pixels, s.Train.Pixels, s.Test.Pixels)
			for i, b := range all {
				if int(b) != i {
					t.Fatalf("pixel %d is %d: the parts are not validation, training, test in the files' order", i, b)
				}
			}
			labels := slices.Concat(s.Validation.Labels, s.Train.Labels, s.Test.Labels)
			if want := []int32{0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 3, 0}; !slices.Equal(labels, want) {
				t.Errorf("labels %v, want %v", labels, want)
			}
			if want := []string{"0", "1", "2", "3"}; s.Test.Classes != 4 || !slices.Equal(s.ClassNames, want) {
				t.Errorf("%d classes %q, want %q", s.Test.Classes, s.ClassNames, want)
			}
		})
	}
}

// TestLoadPrefersThePlainFile keeps a file beside its compressed form, as
// gunzip -k does; the compressed one is damaged to show which is read.
func TestLoadPrefersThePlainFile(t *testing.T) {
	files := smallIDX()
	for _, n := range slices.Collect(maps.Keys(files)) {
		files[n+".gz"] = []byte("damaged")
	}
	mustLoad(t, writeFiles(t, "both", files))
}

func TestLoadSkipsFolders(t *testing.T) {
	files := renamed(smallIDX(), func(n string) string { return strings.Replace(n, "-idx", ".idx", 1) })
	dir := writeFiles(t, "zip", files)
	if err := os.Mkdir(filepath.Join(dir, "train-images-idx3-ubyte"), 0o755); err != nil {
		t.Fatal(err)
	}
	mustLoad(t, dir)
}

// TestLoadEMNIST stores an image transposed and wants it upright, and labels that
// begin with 1 as they are.
func TestLoadEMNIST(t *testing.T) {
	train := []byte{
		1, 2, 3,
		4, 5, 6,
		11, 12, 13,
		14, 15, 16,
	}
	s := mustLoad(t, writeFiles(t, "gzip", map[string][]byte{
		"emnist-letters-train-images-idx3-ubyte.gz": gzipped(idxFile(Uint8, []int{2, 2, 3}, train)),
		"emnist-letters-train-labels-idx1-ubyte.gz": gzipped(idxFile(Uint8, []int{2}, []byte{1, 26})),
		"emnist-letters-test-images-idx3-ubyte.gz":  gzipped(idxFile(Uint8, []int{1, 2, 3}, train[:6])),
		"emnist-letters-test-labels-idx1-ubyte.gz":  gzipped(idxFile(Uint8, []int{1}, []byte{26})),
		"emnist-letters-mapping.txt":                []byte("1 65 97\n"),
	}))
	upright := []byte{
		1, 4,
		2, 5,
		3, 6,
	}
	if !slices.Equal(s.Validation.Pixels, upright) || !slices.Equal(s.Test.Pixels, upright) {
		t.Errorf("pixels %v and %v, want %v", s.Validation.Pixels, s.Test.Pixels, upright)
	}
	if want := []byte{11, 14, 12, 15, 13, 16}; !slices.Equal(s.Train.Pixels, want) {
		t.Errorf("pixels %v, want %v", s.Train.Pixels, want)
	}
	if want := (net.Shape{C: 1, H: 3, W: 2}); s.Train.Shape != want || s.Test.Shape != want {
		t.Errorf("shapes %v and %v, want %v", s.Train.Shape, s.Test.Shape, want)
	}
	if s.Train.Classes != 27 || s.Train.Labels[0] != 26 || s.Validation.Labels[0] != 1 {
		t.Errorf("%d classes, labels %v and %v; want 27, 26 and 1", s.Train.Classes, s.Train.Labels, s.Validation.Labels)
	}
	if s.Train.Name != "emnist-letters training" {
		t.Errorf("name %q", s.Train.Name)
	}
}

// TestLoadValues loads images of every element type but bytes, with four
// dimensions, and labels of every integer type.
func TestLoadValues(t *testing.T) {
	values := map[ElementType]any{
		Int8:    []int8{-128, 127, 0, 1},
		Int16:   []int16{-32768, 32767, 0, 1},
		Int32:   []int32{math.MinInt32, math.MaxInt32, 0, 1},
		Float32: []float32{-1.5, 0.1, 0, 1},
		Float64: []float64{-1.5, 0.1, 0, 1},
	}
	want := map[ElementType][]float64{
		Int8:    {-128, 127, 0, 1},
		Int16:   {-32768, 32767, 0, 1},
		Int32:   {math.MinInt32, math.MaxInt32, 0, 1},
		Float32: {-1.5, 0.1, 0, 1},
		Float64: {-1.5, 0.1, 0, 1},
	}
	labels := map[ElementType]any{
		Int8:    []int8{0, 1},
		Int16:   []int16{0, 1},
		Int32:   []int32{0, 1},
		Float32: []uint8{0, 1},
		Float64: []uint8{0, 1},
	}
	for typ := range values {
		t.Run(typ.String(), func(t *testing.T) {
			labelType := typ
			if typ == Float32 || typ == Float64 {
				labelType = Uint8
			}
			s := mustLoad(t, writeFiles(t, "values", map[string][]byte{
				"train-images-idx4-any": idxFile(typ, []int{2, 2, 1, 1}, values[typ]),
				"train-labels-idx1-any": idxFile(labelType, []int{2}, labels[typ]),
				"test-images-idx4-any":  idxFile(typ, []int{2, 2, 1, 1}, values[typ]),
				"test-labels-idx1-any":  idxFile(labelType, []int{2}, labels[typ]),
			}))
			if want := (net.Shape{C: 2, H: 1, W: 1}); s.Test.Shape != want || s.Test.Pixels != nil {
				t.Errorf("shape %v, %d pixels; want %v and none", s.Test.Shape, len(s.Test.Pixels), want)
			}
			// One rounding to float32.
			approx.Check(t, "test values", s.Test.Values, want[typ], approx.Tolerance{Rel: 0x1p-24})
			approx.Check(t, "validation values", s.Validation.Values, want[typ][:2], approx.Tolerance{Rel: 0x1p-24})
		})
	}
}

// TestLoadValidationSize loads data sets of one-pixel images in many sizes.
func TestLoadValidationSize(t *testing.T) {
	for _, c := range []struct{ training, validation int }{
		{2, 1}, {10, 1}, {11, 2}, {49_990, 4999}, {50_000, 5000}, {60_000, 5000}, {112_800, 5000},
	} {
		files := smallIDX()
		files["train-images-idx3-ubyte"] = idxFile(Uint8, []int{c.training, 1, 1}, make([]byte, c.training))
		files["train-labels-idx1-ubyte"] = idxFile(Uint8, []int{c.training}, make([]byte, c.training))
		files["t10k-images-idx3-ubyte"] = idxFile(Uint8, []int{1, 1, 1}, []byte{0})
		files["t10k-labels-idx1-ubyte"] = idxFile(Uint8, []int{1}, []byte{1})
		s := mustLoad(t, writeFiles(t, "sizes", files))
		if s.Validation.Len() != c.validation || s.Train.Len() != c.training-c.validation {
			t.Errorf("%d images: %d for validation and %d for training, want %d and the others", c.training, s.Validation.Len(), s.Train.Len(), c.validation)
		}
		if s.Train.Classes != 2 {
			t.Errorf("%d classes where every training label is 0, want 2", s.Train.Classes)
		}
	}
}

// smallCIFAR returns eleven training images in files, in the order that their
// labels show, and one test image.
func smallCIFAR() map[string][]byte {
	files := map[string][]byte{
		"test_batch.bin":   cifarFile(8),
		"batches.meta.txt": []byte("airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nboat\ntruck\n\n"),
		"readme.html":      []byte("<html>"),
	}
	for i := range 11 {
		files[fmt.Sprintf("data_batch_%d.bin", i+1)] = cifarFile(byte(i % 10))
	}
	return files
}

func TestLoadCIFAR10(t *testing.T) {
	s := mustLoad(t, writeFiles(t, "cifar-10-batches-bin", smallCIFAR()))
	if want := []int32{0, 1}; !slices.Equal(s.Validation.Labels, want) {
		t.Errorf("validation labels %v, want %v", s.Validation.Labels, want)
	}
	// Batch 10, by number, comes after batch 9.
	if want := []int32{2, 3, 4, 5, 6, 7, 8, 9, 0}; !slices.Equal(s.Train.Labels, want) {
		t.Errorf("training labels %v, want %v", s.Train.Labels, want)
	}
	if want := []int32{8}; !slices.Equal(s.Test.Labels, want) || s.ClassNames[8] != "boat" || len(s.ClassNames) != 10 {
		t.Errorf("test labels %v, class names %q", s.Test.Labels, s.ClassNames)
	}
	if want := (net.Shape{C: 3, H: 32, W: 32}); s.Train.Shape != want {
		t.Errorf("shape %v, want %v", s.Train.Shape, want)
	}
	if s.Train.Name != "CIFAR-10 training" {
		t.Errorf("name %q", s.Train.Name)
	}
	if want := cifarFile(2)[1:]; !slices.Equal(s.Train.Pixels[:cifarImage], want) {
		t.Error("the first training image is not the file's")
	}
}

func TestLoadErrors(t *testing.T) {
	type change func(files map[string][]byte)
	put := func(name string, b []byte) change { return func(f map[string][]byte) { f[name] = b } }
	remove := func(name string) change { return func(f map[string][]byte) { delete(f, name) } }
	for _, c := range []struct {
		name    string
		files   map[string][]byte
		change  change
		is      error
		message string // DIR stands for the directory
	}{
		{"training images missing", smallIDX(), remove("train-images-idx3-ubyte"), fs.ErrNotExist,
			"DIR/train-images-idx3-ubyte: file does not exist"},
		{"training labels missing", smallIDX(), remove("train-labels-idx1-ubyte"), fs.ErrNotExist,
			"DIR/train-labels-idx1-ubyte: file does not exist"},
		{"test images missing", smallIDX(), remove("t10k-images-idx3-ubyte"), fs.ErrNotExist,
			"DIR/t10k-images-idx3-ubyte: file does not exist"},
		{"test labels missing", smallIDX(), remove("t10k-labels-idx1-ubyte"), fs.ErrNotExist,
			"DIR/t10k-labels-idx1-ubyte: file does not exist"},
		{"EMNIST labels missing", renamed(smallIDX(), func(n string) string {
			return "emnist-digits-" + strings.Replace(n, "t10k", "test", 1)
		}), remove("emnist-digits-test-labels-idx1-ubyte"), fs.ErrNotExist,
			"DIR/emnist-digits-test-labels-idx1-ubyte: file does not exist"},
		{"damaged file", smallIDX(), put("t10k-labels-idx1-ubyte", []byte("<html>")), ErrNotIDX,
			"DIR/t10k-labels-idx1-ubyte: byte 0: magic number: not an IDX file: it begins with 3c 68 74 6d, not with 00 00"},
		{"fewer labels than images", smallIDX(), put("train-labels-idx1-ubyte", idxFile(Uint8, []int{11}, make([]byte, 11))), ErrCount,
			"DIR/train-labels-idx1-ubyte: byte 4: number of labels: images and labels differ in number: 11 labels, but DIR/train-images-idx3-ubyte holds 12 images"},
		{"more labels than images", smallIDX(), put("t10k-labels-idx1-ubyte", idxFile(Uint8, []int{3}, make([]byte, 3))), ErrCount,
			"DIR/t10k-labels-idx1-ubyte: byte 4: number of labels: images and labels differ in number: 3 labels, but DIR/t10k-images-idx3-ubyte holds 2 images"},
		{"test label outside the classes", smallIDX(), put("t10k-labels-idx1-ubyte", idxFile(Int16, []int{2}, []int16{3, 4})), ErrLabel,
			"DIR/t10k-labels-idx1-ubyte: byte 10: label data: label outside the classes: label 4 of image 1 is not from 0 to 3"},
		{"negative label", smallIDX(), put("t10k-labels-idx1-ubyte", idxFile(Int8, []int{2}, []int8{-1, 0})), ErrLabel,
			"DIR/t10k-labels-idx1-ubyte: byte 8: label data: label outside the classes: label -1 of image 0 is not from 0 to 65535"},
		{"enormous label", smallIDX(), put("train-labels-idx1-ubyte", idxFile(Int32, []int{12}, []int32{11: math.MaxInt32})), ErrLabel,
			"DIR/train-labels-idx1-ubyte: byte 52: label data: label outside the classes: label 2147483647 of image 11 is not from 0 to 65535"},
		{"fractional labels", smallIDX(), put("t10k-labels-idx1-ubyte", idxFile(Float32, []int{2}, []float32{0, 1})), ErrElementType,
			"DIR/t10k-labels-idx1-ubyte: byte 2: element type: wrong element type: labels are integers, got float32"},
		{"labels of two dimensions", smallIDX(), put("t10k-labels-idx1-ubyte", idxFile(Uint8, []int{2, 1}, []byte{0, 1})), ErrDimensions,
			"DIR/t10k-labels-idx1-ubyte: byte 3: number of dimensions: wrong dimensions: labels have 1, got 2"},
		{"images of two dimensions", smallIDX(), put("t10k-images-idx3-ubyte", idxFile(Uint8, []int{2, 6}, make([]byte, 12))), ErrDimensions,
			"DIR/t10k-images-idx3-ubyte: byte 3: number of dimensions: wrong dimensions: images have 3 (N, rows, columns) or 4 (N, channels, rows, columns), got 2"},
		{"no images", smallIDX(), put("t10k-images-idx3-ubyte", idxFile(Uint8, []int{0, 2, 3}, []byte{})), ErrDimensions,
			"DIR/t10k-images-idx3-ubyte: byte 4: dimensions: wrong dimensions: 0 x 2 x 3 uint8 hold no image"},
		{"images without columns", smallIDX(), put("train-images-idx3-ubyte", idxFile(Uint8, []int{12, 2, 0}, []byte{})), ErrDimensions,
			"DIR/train-images-idx3-ubyte: byte 4: dimensions: wrong dimensions: 12 x 2 x 0 uint8 hold no image"},
		{"test images of another size", smallIDX(), put("t10k-images-idx3-ubyte", idxFile(Uint8, []int{2, 3, 2}, make([]byte, 12))), ErrDimensions,
			"DIR/t10k-images-idx3-ubyte: byte 8: image size: wrong dimensions: 1 x 3 x 2, but the training images are 1 x 2 x 3"},
		{"test images of another type", smallIDX(), put("t10k-images-idx3-ubyte", idxFile(Int8, []int{2, 2, 3}, make([]int8, 12))), ErrElementType,
			"DIR/t10k-images-idx3-ubyte: byte 2: element type: wrong element type: int8, but the training images are uint8"},
		{"NaN", smallIDX(), put("train-images-idx3-ubyte", idxFile(Float32, []int{12, 2, 3}, slices.Concat(make([]float32, 71), []float32{float32(math.NaN())}))), ErrValue,
			"DIR/train-images-idx3-ubyte: byte 300: image data: value is not a finite float32: NaN"},
		{"beyond float32", smallIDX(), put("t10k-images-idx3-ubyte", idxFile(Float64, []int{2, 2, 3}, []float64{11: -1e300})), ErrValue,
			"DIR/t10k-images-idx3-ubyte: byte 104: image data: value is not a finite float32: -1e+300"},
		{"one training image", smallIDX(), func(f map[string][]byte) {
			f["train-images-idx3-ubyte"] = idxFile(Uint8, []int{1, 2, 3}, make([]byte, 6))
			f["train-labels-idx1-ubyte"] = idxFile(Uint8, []int{1}, []byte{3})
		}, ErrTooFew,
			"data directory DIR: too few training images: 1, want a class with two: one to train, one to validate"},
		{"two data sets", smallIDX(), put("emnist-digits-train-images-idx3-ubyte.gz", nil), ErrAmbiguous,
			`data directory DIR: more than one data set found: t10k-images-idx3-ubyte and emnist-digits-train-images-idx3-ubyte.gz, keep one set in the directory`},
		{"two kinds of data set", smallIDX(), put("test_batch.bin", nil), ErrAmbiguous,
			"data directory DIR: more than one data set found: IDX and CIFAR-10 files, keep one kind in the directory"},
		{"empty directory", map[string][]byte{}, nil, ErrNoDataSet,
			"data directory DIR: no data set found: the directory holds no files"},
		{"other files", map[string][]byte{"cat.png": nil, "data_batch_1": nil, "train-images": nil}, nil, ErrNoDataSet,
			"data directory DIR: no data set found: want IDX files such as train-images-idx3-ubyte.gz, or CIFAR-10's data_batch_1.bin"},
		{"CIFAR-10 batch missing", smallCIFAR(), remove("data_batch_3.bin"), fs.ErrNotExist,
			"DIR/data_batch_3.bin: file does not exist"},
		{"CIFAR-10 without training", map[string][]byte{"test_batch.bin": cifarFile(1)}, nil, fs.ErrNotExist,
			"DIR/data_batch_1.bin: file does not exist"},
		{"CIFAR-10 without test", smallCIFAR(), remove("test_batch.bin"), fs.ErrNotExist,
			"DIR/test_batch.bin: file does not exist"},
		{"CIFAR-10 truncated", smallCIFAR(), put("data_batch_7.bin", cifarFile(1, 2)[:5000]), ErrTruncated,
			"DIR/data_batch_7.bin: byte 3073: record 1: file is truncated: 1927 of its 3073 bytes; fetch or copy it again"},
		{"CIFAR-10 test label", smallCIFAR(), put("test_batch.bin", cifarFile(99)), ErrLabel,
			"DIR/test_batch.bin: byte 0: record 0: label outside the classes: label 99 is not from 0 to 9"},
		{"CIFAR-10 with one training image", map[string][]byte{"data_batch_1.bin": cifarFile(1), "test_batch.bin": cifarFile(1)}, nil, ErrTooFew,
			"data directory DIR: too few training images: 1, want a class with two: one to train, one to validate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.change != nil {
				c.change(c.files)
			}
			dir := writeFiles(t, "d", c.files)
			_, err := Load(dir, FirstTenth)
			wantError(t, err, c.is, strings.ReplaceAll(strings.ReplaceAll(c.message, "DIR/", dir+string(filepath.Separator)), "DIR", dir))
		})
	}
}

func TestCheckLabels(t *testing.T) {
	damaged := smallIDX()
	damaged["train-labels-idx1-ubyte"][8+7] = 200
	packed := smallIDX()
	packed["train-labels-idx1-ubyte"] = gzipped(idxFile(Int16, []int{12}, []int16{5: 300, 11: 3}))
	cifar := map[string][]byte{"data_batch_1.bin": cifarFile(1, 2), "data_batch_2.bin": cifarFile(0, 8, 7), "test_batch.bin": cifarFile(1, 0, 9)}
	for _, c := range []struct {
		name    string
		files   map[string][]byte
		classes int
		message string
	}{
		{"all fit", smallIDX(), 4, ""},
		{"damaged", damaged, 201, ""},
		{"damaged", damaged, 10, "DIR/train-labels-idx1-ubyte: byte 15: label data: label outside the classes: label 200 of image 7 is not from 0 to 9"},
		{"few classes", smallIDX(), 2, "DIR/train-labels-idx1-ubyte: byte 10: label data: label outside the classes: label 2 of image 2 is not from 0 to 1; of 12 labels it is one of 6"},
		{"compressed", packed, 10, "DIR/train-labels-idx1-ubyte: byte 18 of the decompressed data: label data: label outside the classes: label 300 of image 5 is not from 0 to 9"},
		{"CIFAR-10", cifar, 10, ""},
		{"CIFAR-10", cifar, 8, "DIR/data_batch_2.bin: byte 3073: label: label outside the classes: label 8 of image 1 is not from 0 to 7"},
		{"CIFAR-10's test", cifar, 9, "DIR/test_batch.bin: byte 6146: label: label outside the classes: label 9 of image 2 is not from 0 to 8"},
	} {
		dir := writeFiles(t, "d", c.files)
		err := mustLoad(t, dir).CheckLabels(c.classes)
		if c.message == "" {
			if err != nil {
				t.Errorf("%s, %d classes: %v", c.name, c.classes, err)
			}
			continue
		}
		wantError(t, err, ErrLabel, strings.ReplaceAll(c.message, "DIR/", dir+string(filepath.Separator)))
	}
}

func TestLoadWrongPath(t *testing.T) {
	dir := writeFiles(t, "d", smallIDX())
	nowhere := filepath.Join(dir, "nowhere")
	_, err := Load(nowhere, FirstTenth)
	wantError(t, err, fs.ErrNotExist, "data directory "+nowhere+": file does not exist")

	file := filepath.Join(dir, "train-images-idx3-ubyte")
	_, err = Load(file, FirstTenth)
	wantError(t, err, ErrNotDirectory, file+": not a directory, give the directory that holds the file")
}

// TestLoadUnreadable opens a file that cannot be read: a link to itself.
func TestLoadUnreadable(t *testing.T) {
	files := smallIDX()
	delete(files, "t10k-labels-idx1-ubyte")
	dir := writeFiles(t, "d", files)
	link := filepath.Join(dir, "t10k-labels-idx1-ubyte")
	if err := os.Symlink(link, link); err != nil {
		t.Skipf("this system makes no symbolic links: %v", err)
	}
	_, err := Load(dir, FirstTenth)
	var format *FormatError
	if err == nil || errors.As(err, &format) || !strings.HasPrefix(err.Error(), link+": ") || strings.Count(err.Error(), "t10k") != 1 {
		t.Errorf("error %v, want one of the operating system that names %s once", err, link)
	}
}
