package pictures

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/picture"
)

// sums are the checksums of a set's samples, by part.
func sums(s *Set) (out [parts]string) {
	for part, d := range []*net.Dataset{s.Train, s.Validation, s.Test} {
		out[part] = d.ID().SHA256
	}
	return out
}

// TestSources opens the same pictures as a folder, in a file system of Go's and as
// images in memory: the sets are the same.
func TestSources(t *testing.T) {
	root := filepath.Join(t.TempDir(), "birds")
	numbers := tree(t, root, slices.Concat(series("train/tit 10/%d.png", 9), series("train/tit 2/%d.png", 8), series("val/tit 2/%d.png", 2), series("test/tit 10/%d.png", 2), []string{"train/tit 2/readme.md"})...)
	o := Options{Height: 6, Width: 5, Prepare: picture.Fit, Seed: 4}
	want := open(t, root, o)
	if s := want.Subject(); !reflect.DeepEqual(s, &net.Subject{Data: "birds", Folder: root, ClassNames: []string{"tit 2", "tit 10"}, Scale: 1. / 255, Prepare: "fit"}) {
		t.Errorf("a folder's subject is %+v", s)
	}

	var images []Labelled
	for _, file := range slices.Sorted(slices.Values(filesOf(want))) {
		img, err := png.Decode(bytes.NewReader(numbered(numbers[file])))
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Dir(file)
		images = append(images, Labelled{img, filepath.Base(dir), filepath.Base(filepath.Dir(dir))})
	}
	inFS, err := OpenFS(context.Background(), os.DirFS(root), "birds", o)
	if err != nil {
		t.Fatal(err)
	}
	inMemory, err := FromImages(context.Background(), images, "birds", o)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Set{inFS, inMemory} {
		if sums(s) != sums(want) || !slices.Equal(s.ClassNames, want.ClassNames) || s.Train.Name != "birds training" {
			t.Errorf("%s: other samples, or classes %v", s.Train.Name, s.ClassNames)
		}
		if s.Subject().Folder != "" || s.CacheFile != "" || s.Close() != nil {
			t.Errorf("subject %+v, cache %q", s.Subject(), s.CacheFile)
		}
	}
	if got, want := inFS.File(inFS.Validation, 0), "val/tit 2/0.png"; got != want {
		t.Errorf("the file is %q, want %q", got, want)
	}
	if got := inMemory.File(inMemory.Train, 0); images[9].Image == nil || !strings.HasPrefix(got, "image ") || inMemory.Originals.Formats["in memory"] != len(images) {
		t.Errorf("the image is called %q, formats %v", got, inMemory.Originals.Formats)
	}

	// Without parts, the seed splits by names: as in the folder.
	root = filepath.Join(t.TempDir(), "fish")
	tree(t, root, slices.Concat(series("cod/%d.png", 30), series("eel/%d.png", 25))...)
	inFS, err = OpenFS(context.Background(), os.DirFS(root), "fish", o)
	if want := open(t, root, o); err != nil || sums(inFS) != sums(want) {
		t.Errorf("split by the seed: error %v, or another split than the folder's", err)
	}
}

// filesOf are the files of all samples.
func filesOf(s *Set) (files []string) {
	for _, d := range []*net.Dataset{s.Train, s.Validation, s.Test} {
		for i := range d.Len() {
			files = append(files, s.File(d, i))
		}
	}
	return files
}

func TestSourceErrors(t *testing.T) {
	grey := image.NewGray(image.Rect(0, 0, 4, 4))
	of := func(class, part string) Labelled { return Labelled{grey, class, part} }
	for want, images := range map[string][]Labelled{
		"birds: image 1: part \"exam\" is not train":                   {of("a", ""), of("a", "exam")},
		"birds: image 0 has no class":                                  {of("", "")},
		"birds: 1 class of training images, want at least two":         {of("a", ""), of("a", "train")},
		"birds: 0 classes of training images":                          nil,
		"class \"b\" has pictures for test but none for training":      {of("a", ""), of("b", "test")},
		"birds: 1 picture of 3 pictures can't be read\nimage 1: there": {of("a", ""), {nil, "b", ""}, of("b", "")},
		"\nimage 2: the image has no pixels":                           {of("a", ""), of("b", ""), {image.NewGray(image.Rectangle{}), "b", ""}},
		"birds: too few pictures":                                      {of("a", ""), of("b", "")},
	} {
		if _, err := FromImages(context.Background(), images, "birds", Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	for want, files := range map[string]fstest.MapFS{
		"birds: no pictures found; want a folder for each class":                            {},
		"birds: all pictures are of one class, eel":                                         {"eel/1.png": {Data: numbered(1)}},
		"birds: no pictures found in folders of classes, but 1 picture beside them (1.png)": {"1.png": {Data: numbered(1)}},
		"birds: there is no folder train beside val":                                        {"val/eel/1.png": {Data: numbered(1)}},
		"\neel/2.png: damaged PNG image: ":                                                  {"eel/2.png": {Data: numbered(1)[:40]}, "cod/1.png": {Data: numbered(1)}},
		"\neel/2.png: the file is empty":                                                    {"eel/2.png": {}, "cod/1.png": {Data: numbered(1)}},
	} {
		if _, err := OpenFS(context.Background(), files, "birds", Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := OpenFS(ctx, fstest.MapFS{"a/1.png": {Data: numbered(1)}}, "birds", Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	for _, open := range []func(o Options) (*Set, error){
		func(o Options) (*Set, error) { return FromImages(t.Context(), nil, "birds", o) },
		func(o Options) (*Set, error) { return OpenFS(t.Context(), fstest.MapFS{}, "birds", o) },
	} {
		if _, err := open(Options{Channels: 2}); err == nil || !strings.Contains(err.Error(), "1 or 3 channels") {
			t.Errorf("wrong options: %v", err)
		}
	}
}
