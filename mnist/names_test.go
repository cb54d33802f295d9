package mnist

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/gputrain/gputrain/net"
)

// blankSet returns the files of a data set of black images, 28 x 28, of which each
// class has two to train and one to test.
func blankSet(classes int) map[string][]byte {
	labels := make([]byte, 0, 2*classes)
	for i := range 2 * classes {
		labels = append(labels, byte(i%classes))
	}
	return map[string][]byte{
		"train-images-idx3-ubyte": idxFile(Uint8, []int{2 * classes, 28, 28}, make([]byte, 2*classes*784)),
		"train-labels-idx1-ubyte": idxFile(Uint8, []int{2 * classes}, labels),
		"t10k-images-idx3-ubyte":  idxFile(Uint8, []int{classes, 28, 28}, make([]byte, classes*784)),
		"t10k-labels-idx1-ubyte":  idxFile(Uint8, []int{classes}, labels[:classes]),
	}
}

func TestNames(t *testing.T) {
	prefixed := func(prefix string, files map[string][]byte) map[string][]byte {
		return renamed(files, func(n string) string { return prefix + "-" + strings.Replace(n, "t10k", "test", 1) })
	}
	with := func(files map[string][]byte, name, text string) map[string][]byte {
		files[name] = []byte(text)
		return files
	}
	for _, c := range []struct {
		folder      string
		files       map[string][]byte
		classes     int
		first, last string
		digits      bool
	}{
		{"fashion-mnist", blankSet(10), 10, "T-shirt/top", "Ankle boot", false},
		{"Fashion", blankSet(9), 9, "0", "8", false}, // the name alone isn't believed
		{"data", prefixed("kmnist", blankSet(10)), 10, "o お", "wo を", false},
		{"MNIST small", blankSet(10), 10, "0", "9", true},
		{"qmnist", blankSet(10), 10, "0", "9", true},
		{"notmnist", blankSet(10), 10, "0", "9", false},
		{"clothes", blankSet(10), 10, "0", "9", false},
		{"emnist", prefixed("emnist-letters", blankSet(27)), 27, "none", "Z", true},
		{"emnist", prefixed("emnist-balanced", blankSet(47)), 47, "0", "t", true},
		{"emnist", prefixed("emnist-byclass", blankSet(62)), 62, "0", "z", true},
		{"emnist", prefixed("emnist-digits", blankSet(10)), 10, "0", "9", true},
		{"emnist", with(prefixed("emnist-letters", blankSet(27)), "emnist-letters-mapping.txt", "1 97 65\n26 122 90\n"), 27, "none", "z", true},
		{"fashion", with(blankSet(10), "labels.txt", "\xef\xbb\xbfa\r\nb\nc\nd\ne\nf\ng\nh\ni\n j \n\n"), 10, "a", "j", false},
		{"pets", with(with(blankSet(2), "labels.txt", "a\nb"), "classes.txt", "cat\ndog\n"), 2, "cat", "dog", false},
		{"pets", with(blankSet(2), "classes.txt", "cat\ndog\nguinea pig\n"), 3, "cat", "guinea pig", false},
		{"pets", with(with(blankSet(2), "t10k-labels-idx1-ubyte", string(idxFile(Uint8, []int{2}, []byte{0, 2}))), "labels.txt", "cat\ndog\nguinea pig\n"), 3, "cat", "guinea pig", false},
	} {
		s := mustLoad(t, writeFiles(t, c.folder, c.files))
		names := s.ClassNames
		if len(names) != c.classes || names[0] != c.first || names[len(names)-1] != c.last || s.Digits != c.digits {
			t.Errorf("%s: names %q, digits %v; want %d from %s to %s, %v", c.folder, names, s.Digits, c.classes, c.first, c.last, c.digits)
		}
		for _, d := range []*net.Dataset{s.Train, s.Validation, s.Test} {
			if d.Classes != c.classes || !slices.Equal(d.ClassNames, names) {
				t.Errorf("%s: %d classes %q", d.Name, d.Classes, d.ClassNames)
			}
		}
	}
}

// TestKnownLabels finds MNIST by its labels wherever it lies, and loses it with one
// label.
func TestKnownLabels(t *testing.T) {
	files := map[string][]byte{}
	for _, name := range []string{"train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"} {
		b, err := fs.ReadFile(embedded, "data/"+name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = b
	}
	dir := writeFiles(t, "mine", files)
	if !mustLoad(t, dir).Digits {
		t.Error("MNIST isn't known by its labels")
	}
	all := tutorialSplit(t)
	labels := slices.Concat(all.Validation.Labels, all.Train.Labels)
	labels[7]++
	damaged := make([]byte, len(labels))
	for i, l := range labels {
		damaged[i] = byte(l)
	}
	if err := os.WriteFile(filepath.Join(dir, "train-labels-idx1-ubyte.gz"), idxFile(Uint8, []int{60000}, damaged), 0o644); err != nil {
		t.Fatal(err)
	}
	if mustLoad(t, dir).Digits {
		t.Error("MNIST with another label is known")
	}
}

// TestFashionMNIST reads the files of Debian's package, where it is installed: their
// names are known by the labels alone.
func TestFashionMNIST(t *testing.T) {
	const installed = "/usr/share/datasets/fashion-mnist"
	if _, err := os.Stat(installed); err != nil {
		t.Skipf("Debian's package dataset-fashion-mnist isn't installed: %v", err)
	}
	dir := filepath.Join(t.TempDir(), "anything")
	if err := os.Symlink(installed, dir); err != nil {
		t.Fatal(err)
	}
	s := mustLoad(t, dir)
	if s.ClassNames[9] != "Ankle boot" || s.Digits {
		t.Errorf("names %q, digits %v", s.ClassNames, s.Digits)
	}
}

func TestNamesErrors(t *testing.T) {
	letters := renamed(blankSet(27), func(n string) string { return "emnist-letters-" + strings.Replace(n, "t10k", "test", 1) })
	letters["emnist-letters-mapping.txt"] = []byte("1 65 97\nA 66\n")
	cifar := smallCIFAR()
	cifar["batches.meta.txt"] = []byte("airplane\n")
	set := func(file, text string) map[string][]byte {
		files := blankSet(3)
		files[file] = []byte(text)
		return files
	}
	const other = "; a line names a class, rename the file if it is for something else"
	for _, c := range []struct {
		files   map[string][]byte
		message string
	}{
		{set("classes.txt", "cat\ndog\n"), "DIR/classes.txt: line 2: wrong names of classes: 2 names, but the labels are 0 to 2" + other},
		{set("labels.txt", ""), "DIR/labels.txt: line 0: wrong names of classes: 0 names, but the labels are 0 to 2" + other},
		{set("labels.txt", "cat\n\ndog\nbird\n"), "DIR/labels.txt: line 2: wrong names of classes: it is empty" + other},
		{set("labels.txt", "cat\ndog\ncat\n"), `DIR/labels.txt: line 3: wrong names of classes: "cat" is the name in line 1 too` + other},
		{set("labels.txt", "cat\ndog\nb\x00rd\n"), `DIR/labels.txt: line 3: wrong names of classes: "b\x00rd" is no name` + other},
		{set("labels.txt", "cat\ndog\nb\xffrd\n"), `DIR/labels.txt: line 3: wrong names of classes: "b\xffrd" is no name` + other},
		{set("labels.txt", strings.Repeat("x", maxNamesFile+1)), "DIR/labels.txt: wrong names of classes: more than 4 MiB"},
		{letters, `DIR/emnist-letters-mapping.txt: line 2: wrong names of classes: want a label from 0 to 26 and the code of a character, got "A 66"`},
		{cifar, "DIR/batches.meta.txt: line 1: wrong names of classes: 1 names, but the labels are 0 to 9" + other},
	} {
		dir := writeFiles(t, "d", c.files)
		_, err := Load(dir, BySeed(1))
		wantError(t, err, ErrNames, strings.ReplaceAll(c.message, "DIR/", dir+string(filepath.Separator)))
	}
}

// TestBySeed splits images that are sorted by class.
func TestBySeed(t *testing.T) {
	d := &net.Dataset{Name: "sorted", Shape: net.Shape{C: 1, H: 1, W: 1}, Classes: 10, Scale: 1}
	for i := range 1000 {
		d.Labels, d.Pixels = append(d.Labels, int32(i/100)), append(d.Pixels, byte(i/100))
	}
	train, validation := BySeed(7)(d)
	for class, n := range histogram(validation.Labels, 10) {
		if n != 10 {
			t.Errorf("class %d has %d of 100 images to validate, want 10", class, n)
		}
	}
	if train.Len()+validation.Len() != 1000 {
		t.Errorf("%d and %d images, want 1000 in all", train.Len(), validation.Len())
	}
	if _, other := BySeed(8)(d); slices.Equal(other.Rows, validation.Rows) {
		t.Error("another seed chooses the same images")
	}
	if _, again := BySeed(7)(d); !slices.Equal(again.Rows, validation.Rows) {
		t.Error("the same seed chooses other images")
	}
	for range 9 {
		d.Labels, d.Pixels = slices.Concat(d.Labels, d.Labels[:1000]), slices.Concat(d.Pixels, d.Pixels[:1000])
	}
	for range 9 {
		d.Labels, d.Pixels = slices.Concat(d.Labels, d.Labels[:10000]), slices.Concat(d.Pixels, d.Pixels[:10000])
	}
	if _, validation := BySeed(7)(d); validation.Len() != maxValidation {
		t.Errorf("%d images of %d to validate, want %d", validation.Len(), d.Len(), maxValidation)
	}
}

// FuzzNames reads files of names: what is taken names each class once, and comes back
// from a file that is written of it.
func FuzzNames(f *testing.F) {
	for _, text := range []string{"", "cat\ndog\n", "\xef\xbb\xbfa\r\n b \n\n\n", "a\na\n", "\x00", "1 65 97\n2 66", "0 48\n0 49\n9 1"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		in := func(name string, b []byte) directory {
			return directory{fsys: fstest.MapFS{name: &fstest.MapFile{Data: b}}, path: "d"}
		}
		names, err := in("classes.txt", text).namedClasses(2, 5)
		if err == nil {
			again, err := in("labels.txt", []byte(strings.Join(names, "\n"))).namedClasses(len(names), len(names))
			if err != nil || !slices.Equal(again, names) || len(names) < 2 || len(names) > 5 {
				t.Fatalf("%q become %q (%v)", names, again, err)
			}
		} else if !errors.Is(err, ErrNames) {
			t.Fatalf("error %v", err)
		}
		names, err = in("emnist-x-mapping.txt", text).mappedNames("emnist-x", 3)
		if err == nil && len(names) != 3 || err != nil && !errors.Is(err, ErrNames) {
			t.Fatalf("%q, error %v", names, err)
		}
	})
}
