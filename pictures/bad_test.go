package pictures

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/picture"
	"github.com/gputrain/gputrain/picture/picturetest"
)

// TestBadPictures wants the name of every picture that can't be read, and one line that
// says why.
func TestBadPictures(t *testing.T) {
	root, cache := t.TempDir(), t.TempDir()
	numbers := tree(t, root, slices.Concat(series("a/%d.png", 5), series("b/%d.png", 5))...)
	want := map[string]string{}
	for _, f := range picturetest.Broken() {
		path := filepath.Join(root, "a", f.Name)
		put(t, path, f.Data)
		if want[path] = f.Want; !isPicture(f.Name) {
			t.Errorf("%s would be passed over by its name", f.Name)
		}
	}
	folder := filepath.Join(root, "b", "folder.png")
	put(t, filepath.Join(folder, "inner.png"), numbered(1))
	want[folder] = "a folder with a picture's name"
	for path, why := range unusual(t, filepath.Join(root, "b")) {
		want[path] = why
	}
	// A wrong suffix is no reason: what a file is stands in it.
	put(t, filepath.Join(root, "b", "really a png.jpg"), numbered(77))
	numbers[filepath.Join(root, "b", "really a png.jpg")] = 77

	_, err := Open(context.Background(), root, Options{CacheDir: cache})
	bad, ok := errors.AsType[*BadError](err)
	if !ok {
		t.Fatalf("error %v, want a BadError", err)
	}
	if bad.Of != len(want)+11 {
		t.Errorf("%d of %d pictures", len(bad.Pictures), bad.Of)
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 12 || !strings.HasPrefix(lines[11], "and ") || !strings.Contains(lines[0], root+": ") {
		t.Errorf("the error should have the first ten, and how many more there are:\n%v", err)
	}
	check := func(list []Bad) {
		t.Helper()
		for _, b := range list {
			why, ok := want[b.Path]
			if !ok || !strings.Contains(b.Why, why) || strings.ContainsAny(b.Why, "\n\r") || len(b.Why) > 200 {
				t.Errorf("%s, want %q", b, why)
			}
		}
		if len(list) != len(want) {
			t.Errorf("%d are bad, want %d", len(list), len(want))
		}
	}
	check(bad.Pictures)
	s := open(t, root, Options{CacheDir: cache, SkipBad: true})
	if s.Decoded {
		t.Error("what was decoded before the error is lost")
	}
	check(s.Bad)
	contents(t, s, root, numbers)
	if n := s.Train.Len() + s.Validation.Len() + s.Test.Len(); n != 11 {
		t.Errorf("%d pictures are left, want 11", n)
	}
}

// TestOnlyBad skips all there is.
func TestOnlyBad(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"a/1.png", "b/2.png"} {
		put(t, filepath.Join(root, name), []byte("text"))
	}
	_, err := Open(context.Background(), root, Options{NoCache: true, SkipBad: true})
	if bad, ok := errors.AsType[*BadError](err); !ok || len(bad.Pictures) != 2 {
		t.Errorf("error %v", err)
	}
}

// TestTooLargeFile doesn't read a file that is too large.
func TestTooLargeFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.png")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(picture.MaxBytes+1), f.Close()); err != nil {
		t.Fatal(err)
	}
	of := file{path: path}
	if of.stat(); of.bad != "larger than 64 MiB; make it smaller" {
		t.Errorf("%q", of.bad)
	}
}
