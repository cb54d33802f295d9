package pictures

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gputrain/gputrain/internal/testenv"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/picture"
)

// plain is a PNG file of w x h pixels of one colour.
func plain(w, h int, c color.Color) []byte {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for i := range w * h {
		img.Set(i%w, i/w, c)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// numbered is a picture that has its number in its colour.
func numbered(n int) []byte { return plain(8, 8, colourOf(n)) }

func colourOf(n int) color.NRGBA { return color.NRGBA{uint8(n), uint8(n >> 8), 200, 255} }

// numberOf reads the number back from a sample in colour.
func numberOf(d *net.Dataset, i int) int {
	area := d.Shape.H * d.Shape.W
	row := d.Pixels[d.Row(int32(i))*d.Shape.Size():]
	return int(row[0]) + int(row[area])<<8
}

// tree writes files: those whose names end in a picture's suffix become pictures, each of a colour of its own
// from 1 on, others text. It returns the pictures' numbers.
func tree(t testing.TB, root string, names ...string) map[string]int {
	t.Helper()
	numbers := map[string]int{}
	for _, name := range names {
		path := filepath.Join(root, name)
		content := []byte("text")
		if isPicture(name) {
			numbers[path] = len(numbers) + 1
			content = numbered(len(numbers))
		}
		put(t, path, content)
	}
	return numbers
}

func put(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// series returns names with numbers in them: %d becomes 0 ... n-1.
func series(format string, n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf(format, i))
	}
	return names
}

// open opens a set with a cache of its own unless the options name one.
func open(t testing.TB, path string, o Options) *Set {
	t.Helper()
	if o.CacheDir == "" {
		o.CacheDir = t.TempDir()
	}
	s, err := Open(context.Background(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// contents returns the files of each part, by class, after checking that every
// sample is what its file holds.
func contents(t *testing.T, s *Set, root string, numbers map[string]int) (out [parts]map[string][]string) {
	t.Helper()
	for part, d := range []*net.Dataset{s.Train, s.Validation, s.Test} {
		if err := d.Check(); err != nil {
			t.Fatal(err)
		}
		out[part] = map[string][]string{}
		for i := range d.Len() {
			file := s.File(d, i)
			if got, want := numberOf(d, i), numbers[file]; got != want {
				t.Errorf("%s: the sample has number %d, want %d", file, got, want)
			}
			name, err := filepath.Rel(root, file)
			if err != nil {
				t.Fatal(err)
			}
			class := s.ClassNames[d.Labels[i]]
			out[part][class] = append(out[part][class], filepath.ToSlash(name))
		}
	}
	return out
}

func TestFoldersWithParts(t *testing.T) {
	root := t.TempDir()
	numbers := tree(t, root,
		"Train/10/a.png", "Train/10/b.JPG", "Train/10/.hidden.png", "Train/10/._b.JPG", "Train/10/Thumbs.db", "Train/10/README.txt",
		"Train/2/deep/er/a.webp", "Train/2/z.gif", "Train/cat/x.png", "Train/empty/none.txt", "Train/stray.png",
		"VAL/2/v.png", "VAL/10/v.png", "test/cat/t.bmp", "test/2/t.tiff", "other/x.png", "notes.md")
	s := open(t, root, Options{})
	if want := []string{"2", "10", "cat"}; !slices.Equal(s.ClassNames, want) {
		t.Errorf("classes %q, want %q", s.ClassNames, want)
	}
	got := contents(t, s, root, numbers)
	want := [parts]map[string][]string{
		{"10": {"Train/10/a.png", "Train/10/b.JPG"}, "2": {"Train/2/deep/er/a.webp", "Train/2/z.gif"}, "cat": {"Train/cat/x.png"}},
		{"10": {"VAL/10/v.png"}, "2": {"VAL/2/v.png"}},
		{"2": {"test/2/t.tiff"}, "cat": {"test/cat/t.bmp"}},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("contents\n%v, want\n%v", got, want)
	}
	notes := strings.Join(s.Notes, "\n")
	for _, want := range []string{
		filepath.Join("Train", "empty") + " has no pictures, left out", "beside the folder Train, left out: other",
		"1 picture in no class's folder, left out: " + filepath.Join("Train", "stray.png"),
		"3 files are no pictures by their names, left out: " + filepath.Join("Train", "10", "README.txt") + ", " + filepath.Join("Train", "empty", "none.txt") + ", notes.md",
	} {
		if !strings.Contains(notes, want) {
			t.Errorf("the notes lack %q:\n%s", want, notes)
		}
	}
	if s.Train.Shape != (net.Shape{C: 3, H: 8, W: 8}) || s.Train.Scale != 1./255 || s.Train.Name != filepath.Base(root)+" training" {
		t.Errorf("shape %v, scale %v, name %s", s.Train.Shape, s.Train.Scale, s.Train.Name)
	}
}

// TestFoldersOfClasses splits what comes without parts.
func TestFoldersOfClasses(t *testing.T) {
	root := t.TempDir()
	// A folder called train that holds pictures is a class.
	numbers := tree(t, root, slices.Concat(series("bus/%d.png", 40), series("train/%d.png", 20), series("car/%d.png", 100))...)
	s := open(t, root, Options{Seed: 7})
	all := map[string]bool{}
	for part, d := range contents(t, s, root, numbers) {
		want := [parts]map[string]int{{"bus": 32, "car": 80, "train": 16}, {"bus": 4, "car": 10, "train": 2}, {"bus": 4, "car": 10, "train": 2}}[part]
		for class, files := range d {
			if len(files) != want[class] {
				t.Errorf("%s: %d of class %s, want %d", partNames[part], len(files), class, want[class])
			}
			for _, f := range files {
				if all[f] {
					t.Errorf("%s is in two parts", f)
				}
				all[f] = true
			}
		}
	}
	if len(all) != len(numbers) {
		t.Errorf("%d pictures in the parts, want %d", len(all), len(numbers))
	}
	again, other := open(t, root, Options{Seed: 7}), open(t, root, Options{Seed: 8})
	if !slices.Equal(again.Test.Rows, s.Test.Rows) || !slices.Equal(again.Validation.Rows, s.Validation.Rows) {
		t.Error("the same seed splits otherwise")
	}
	if slices.Equal(other.Test.Rows, s.Test.Rows) {
		t.Error("another seed splits alike")
	}
	if n := len(s.Notes); n != 2 {
		t.Errorf("notes %q, want one for each split", s.Notes)
	}
}

func TestCSV(t *testing.T) {
	root := t.TempDir()
	numbers := tree(t, root, "pics/a.png", "pics/b.png", "pics/c.png", "d.png", "e.png", "f.dat.png")
	text := "\xef\xbb\xbfLabel,id,path,split\r\n" +
		"dog,1,pics/a.png, train \r\ncat ,2,\"pics/b.png\",\ncat,3," + filepath.Join(root, "pics/c.png") + ",train\n" +
		"dog,4,d.png,test\ncat,5,e.png,valid\ndog,6,f.dat.png,Training\n"
	want := [parts]map[string][]string{
		{"cat": {"pics/b.png", "pics/c.png"}, "dog": {"pics/a.png", "f.dat.png"}}, {"cat": {"e.png"}}, {"dog": {"d.png"}},
	}
	for _, comma := range []string{",", ";", "\t"} { // as spreadsheets write it
		put(t, filepath.Join(root, "labels.csv"), []byte(strings.ReplaceAll(text, ",", comma)))
		s := open(t, filepath.Join(root, "labels.csv"), Options{})
		got := contents(t, s, root, numbers)
		if fmt.Sprint(got) != fmt.Sprint(want) || !slices.Equal(s.ClassNames, []string{"cat", "dog"}) {
			t.Errorf("%q: contents\n%v, want\n%v", comma, got, want)
		}
	}
}

// TestSetAbove finds the set that a class's folder is in, and tells sets from other folders.
func TestSetAbove(t *testing.T) {
	root := t.TempDir()
	tree(t, root, "plain/cat/1.png", "plain/dog/1.png", "parts/train/cat/1.png", "parts/train/dog/1.png", "parts/test/cat/1.png", "parts/test/dog/1.png",
		"lone/cat/1.png", "lone/notes/x.txt", "test/cat/1.png", "test/dog/1.png", "deep/a/b/c/1.png")
	for path, want := range map[string]string{
		"plain/cat": "plain", "plain/cat/": "plain", "parts/train/cat": "parts", "parts/test/dog": "parts",
		"lone/cat": "", "test/cat": "test", "plain": "", "nowhere": "",
	} {
		if want != "" {
			want = filepath.Join(root, want)
		}
		if got := SetAbove(root + "/" + path); got != want {
			t.Errorf("the set above %s: %q, want %q", path, got, want)
		}
	}
	for path, want := range map[string]bool{"plain": true, "plain/cat": true, "parts": true, "lone/notes": false, "deep/a": true, "deep": false, "nowhere": false} {
		if got := Holds(filepath.Join(root, path)); got != want {
			t.Errorf("%s holds pictures: %v, want %v", path, got, want)
		}
	}
	t.Chdir(filepath.Join(root, "plain", "cat"))
	if got := SetAbove("."); got != ".." {
		t.Errorf("the set above this folder: %q, want ..", got)
	}
}

// TestRefusals checks what is said of sets that can't be.
func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		files []string
		csv   string
		want  string
	}{
		"nothing":       {files: []string{"a/x.txt"}, want: "no pictures found, but 1 other file (" + filepath.Join("a", "x.txt") + "); want a folder for each class"},
		"phone":         {files: []string{"a/x.heic", "b/y.AVIF"}, want: "(" + filepath.Join("a", "x.heic") + ", " + filepath.Join("b", "y.AVIF") + "); HEIC and AVIF can't be read: convert such files to JPEG or PNG first"},
		"no folders":    {files: []string{"x.png", "y.png"}, want: "no pictures found in folders of classes, but 2 pictures beside them (x.png, y.png)"},
		"one class":     {files: []string{"a/x.png", "a/y.png"}, want: "all pictures are of one class, a, want at least two"},
		"one too deep":  {files: []string{"set/train/a/x.png", "set/train/b/y.png"}, want: "or is ROOT/set the folder that is meant?"},
		"no train":      {files: []string{"test/a/x.png", "val/b/y.png"}, want: "there is no folder train beside val"},
		"unknown class": {files: []string{"train/a/x.png", "train/b/x.png", "test/c/x.png"}, want: `class "c" has pictures for test but none for training, such as ROOT/test/c/x.png`},
		"two vals":      {files: []string{"train/a/x.png", "train/b/x.png", "val/a/x.png", "valid/a/x.png"}, want: "ROOT/val and ROOT/valid: both are for validation; keep one"},
		"too few":       {files: []string{"a/x.png", "b/x.png"}, want: "too few pictures to take some for validation; want at least 3 of a class"},

		"csv: header":    {csv: "file:label\n", want: `the first line, "file:label", has no columns path and label; want path,label or path,label,split`},
		"csv: empty":     {csv: "\n", want: "empty; want a first line path,label"},
		"csv: twice":     {csv: "path,path,label\n", want: "two columns are called path"},
		"csv: split":     {csv: "path,label,split\nx.png,a,tst\n", want: `line 2: split "tst" is not train, validation or test`},
		"csv: columns":   {csv: "path,label\nx.png,a\nx.png\n", want: "line 3: more or fewer columns than the first line has"},
		"csv: no end":    {csv: "path,label\nx.png,\"a\ny.png,b\n", want: "line 2: a quote begins that does not end where its value ends"},
		"csv: bare":      {csv: "path,label\nx.png,a\"b\n", want: "line 2: a quote in the middle of a value"},
		"csv: no label":  {csv: "path,label\nx.png,\n", want: "line 2: want a path and a label"},
		"csv: one class": {csv: "path,label\nx.png,a\n", want: "1 label of training pictures, want at least two"},
		"csv: class":     {csv: "path,label,split\nx.png,a,\nx.png,b,\nx.png,c,test\n", want: `class "c" has pictures for test but none for training`},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			path := root
			tree(t, root, c.files...)
			if c.csv != "" {
				path = filepath.Join(root, "labels.csv")
				put(t, path, []byte(c.csv))
			}
			_, err := Open(context.Background(), path, Options{NoCache: true})
			if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), root, "ROOT"), c.want) || !strings.HasPrefix(err.Error(), root) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
	if _, err := Open(context.Background(), filepath.Join(t.TempDir(), "nowhere"), Options{}); err == nil || !strings.Contains(err.Error(), "there is no such file") {
		t.Errorf("no folder: %v", err)
	}
	for _, o := range []Options{{Height: 3}, {Height: 5000, Width: 5000}, {Channels: 2}, {Prepare: "digit"}} {
		if _, err := Open(context.Background(), t.TempDir(), o); err == nil || strings.Contains(err.Error(), "pictures found") {
			t.Errorf("options %+v: error %v", o, err)
		}
	}
}

// TestSize checks what size and how many channels samples get.
func TestSize(t *testing.T) {
	grey, blue := color.Gray{90}, color.NRGBA{0, 0, 200, 255}
	for name, c := range map[string]struct {
		sizes  [][2]int
		colour color.Color
		o      Options
		want   net.Shape
		chosen string
	}{
		"one size":         {[][2]int{{12, 20}}, blue, Options{}, net.Shape{C: 3, H: 20, W: 12}, ""},
		"grey":             {[][2]int{{12, 20}}, grey, Options{}, net.Shape{C: 1, H: 20, W: 12}, ""},
		"grey as colour":   {[][2]int{{12, 20}}, grey, Options{Channels: 3}, net.Shape{C: 3, H: 20, W: 12}, ""},
		"colour as grey":   {[][2]int{{12, 20}}, blue, Options{Channels: 1}, net.Shape{C: 1, H: 20, W: 12}, ""},
		"large":            {[][2]int{{300, 200}}, blue, Options{}, net.Shape{C: 3, H: 64, W: 64}, "pictures of 300 x 200 become samples of 64 x 64"},
		"several":          {[][2]int{{30, 50}, {40, 30}, {29, 90}}, blue, Options{}, net.Shape{C: 3, H: 32, W: 32}, "pictures of several sizes become samples of 32 x 32"},
		"tiny and several": {[][2]int{{2, 2}, {3, 2}}, blue, Options{}, net.Shape{C: 3, H: 8, W: 8}, "pictures of several sizes become samples of 8 x 8"},
		"asked for":        {[][2]int{{30, 50}, {40, 30}}, blue, Options{Height: 5, Width: 6}, net.Shape{C: 3, H: 5, W: 6}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for i, class := range []string{"a", "b"} {
				for k := range 6 {
					size := c.sizes[(i+k)%len(c.sizes)]
					put(t, filepath.Join(root, class, fmt.Sprint(k)+".png"), plain(size[0], size[1], c.colour))
				}
			}
			s := open(t, root, c.o)
			if s.Train.Shape != c.want {
				t.Errorf("shape %v, want %v", s.Train.Shape, c.want)
			}
			if got := strings.Join(s.Notes, "\n"); !strings.Contains(got, c.chosen) || c.chosen == "" && strings.Contains(got, "become") {
				t.Errorf("notes %q, want %q in them", got, c.chosen)
			}
			if c.want.C == 1 {
				want := uint8(90)
				if c.colour == blue {
					want = 23 // a blue of 200, in BT.601's shares
				}
				if got := s.Train.Pixels[len(s.Train.Pixels)-1]; got != want {
					t.Errorf("grey %d, want %d", got, want)
				}
			}
		})
	}
}

// TestAnyWorkers decodes noise on several numbers of workers, into memory and into a
// cache file, and wants the same bytes; in a size of which 64 rows go into a piece
// and in one of which few do.
func TestAnyWorkers(t *testing.T) {
	r := testenv.Rand(t)
	root := t.TempDir()
	noise := func() []byte {
		img := image.NewGray(image.Rect(0, 0, 9, 7))
		for i := range img.Pix {
			img.Pix[i] = uint8(r.IntN(256))
		}
		var b bytes.Buffer
		if err := png.Encode(&b, img); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	for _, name := range slices.Concat(series("a/%d.png", 70), series("b/%d.png", 70)) {
		put(t, filepath.Join(root, name), noise())
	}
	for _, o := range []Options{{}, {Height: 300, Width: 200}} {
		var first []uint8
		for _, workers := range []int{1, 3, 8} {
			o.Workers = workers
			o.NoCache = workers == 3
			s := open(t, root, o)
			if s.Train.Shape.C != 1 {
				t.Fatalf("shape %v", s.Train.Shape)
			}
			if first == nil {
				first = bytes.Clone(s.Train.Pixels)
				direct, err := picture.Crop.Pixels(must(t, s.File(s.Train, 5)), s.Train.Shape)
				row := s.Train.Row(5) * s.Train.Shape.Size()
				if err != nil || !bytes.Equal(direct, first[row:row+len(direct)]) {
					t.Errorf("sample 5 is not its picture: %v", err)
				}
			} else if !bytes.Equal(first, s.Train.Pixels) {
				t.Errorf("%d workers make other samples", workers)
			}
		}
	}
}

func must(t *testing.T, path string) image.Image {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := picture.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// TestTwins checks what is said of pictures that are there several times.
func TestTwins(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]int // pictures by their numbers
		want  []string
	}{
		"none": {map[string]int{"train/a/1.png": 1, "train/b/2.png": 2, "val/a/3.png": 3, "test/b/4.png": 4}, nil},
		"in both": {map[string]int{"train/a/1.png": 1, "train/b/2.png": 2, "train/b/5.png": 5, "val/b/2.png": 2, "test/a/1.png": 1, "test/b/2.png": 2}, []string{
			"2 test pictures are training pictures too, such as test/a/1.png and train/a/1.png: the test accuracy will look better than it is",
			"1 validation picture is a training picture too, such as val/b/2.png and train/b/2.png: the validation accuracy will look better than it is",
			"1 test picture is a validation picture too, such as test/b/2.png and val/b/2.png: the test set is not only for the end",
		}},
		"two classes": {map[string]int{"train/a/1.png": 1, "train/b/1.png": 1, "train/b/2.png": 2, "val/a/3.png": 3, "test/b/4.png": 4}, []string{
			"1 picture is there with another class too, such as train/a/1.png and train/b/1.png: one of the two is wrong",
		}},
		"same folders": {map[string]int{"train/a/1.png": 1, "train/a/2.png": 2, "train/b/x.png": 2, "train/b/y.png": 1, "train/c/9.png": 9, "val/a/3.png": 3, "test/b/4.png": 4},
			[]string{"classes a and b have the same pictures"}},
		"split by the seed": {map[string]int{"a/1.png": 1, "a/2.png": 1, "a/3.png": 1, "b/1.png": 2, "b/2.png": 3, "b/3.png": 4}, []string{
			"1 test picture is a training picture too, such as a/3.png and a/2.png: the test accuracy will look better than it is",
			"1 validation picture is a training picture too, such as a/1.png and a/2.png: the validation accuracy will look better than it is",
			"1 test picture is a validation picture too, such as a/3.png and a/1.png: the test set is not only for the end",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for file, number := range c.files {
				put(t, filepath.Join(root, file), numbered(number))
			}
			o := Options{CacheDir: t.TempDir()}
			for range 2 { // the second time out of the cache
				s := open(t, root, o)
				got := strings.Split(strings.ReplaceAll(strings.Join(s.Warnings, "\n"), root+string(filepath.Separator), ""), "\n")
				if len(s.Warnings) == 0 {
					got = nil
				}
				if !slices.Equal(got, c.want) {
					t.Errorf("warnings %q, want %q", got, c.want)
				}
				direct := FindTwins(s.Train, s.Validation, s.Test)
				if again := direct.Warnings(s.ClassNames, func(part string, i int) string {
					return s.File(map[string]*net.Dataset{"train": s.Train, "validation": s.Validation, "test": s.Test}[part], i)
				}); !slices.Equal(again, s.Warnings) {
					t.Errorf("FindTwins warns %q, Open %q", again, s.Warnings)
				}
			}
		})
	}
}

// TestOriginals checks the summary of the files.
func TestOriginals(t *testing.T) {
	root := t.TempDir()
	put(t, filepath.Join(root, "a", "1.png"), plain(4, 6, color.Gray{7}))
	put(t, filepath.Join(root, "a", "2.png"), plain(4, 6, color.NRGBA{1, 2, 3, 255}))
	put(t, filepath.Join(root, "a", "3.png"), plain(9, 2, color.NRGBA{1, 2, 3, 255}))
	for _, n := range series("b/%d.png", 3) {
		put(t, filepath.Join(root, n), plain(4, 6, color.Black))
	}
	s := open(t, root, Options{})
	if got, want := fmt.Sprintf("%+v", s.Originals), "{Formats:map[PNG:6] Sizes:[{Width:4 Height:6 Count:5} {Width:9 Height:2 Count:1}] Kinds:2 Least:[4 2] Most:[9 6] Grey:4}"; got != want {
		t.Errorf("%s, want\n%s", got, want)
	}
}

// TestCancelled checks that a cancelled call leaves nothing behind.
func TestCancelled(t *testing.T) {
	root, cache := t.TempDir(), t.TempDir()
	tree(t, root, slices.Concat(series("a/%d.png", 300), series("b/%d.png", 300))...)
	cancelled := 0
	for i := range 10 { // in the middle of it, wherever that is on this machine
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(time.Duration(i)*500*time.Microsecond, cancel)
		s, err := Open(ctx, root, Options{CacheDir: filepath.Join(cache, fmt.Sprint(i))})
		switch {
		case err == nil:
			s.Close()
		case errors.Is(err, context.Canceled):
			cancelled++
		default:
			t.Errorf("error %v", err)
		}
		cancel()
	}
	if cancelled == 0 {
		t.Error("no call was cancelled")
	}
	found, err := filepath.Glob(filepath.Join(cache, "*", "*.tmp"))
	if err != nil || len(found) > 0 {
		t.Errorf("left behind: %v %v", found, err)
	}
}
