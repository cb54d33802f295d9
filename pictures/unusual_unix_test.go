//go:build unix

package pictures

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// unusual makes what is no file, with pictures' names, and returns what is to be said
// of each.
func unusual(t *testing.T, dir string) map[string]string {
	pipe, link, round, socket := filepath.Join(dir, "pipe.png"), filepath.Join(dir, "link.png"), filepath.Join(dir, "round.png"), filepath.Join(dir, "null.png")
	err := errors.Join(syscall.Mkfifo(pipe, 0o644), os.Symlink(filepath.Join(dir, "nowhere.png"), link), os.Symlink(round, round), os.Symlink(os.DevNull, socket))
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		pipe: "a named pipe, not a file", link: "a link that leads nowhere", round: "a link that leads nowhere", socket: "a device or socket, not a file",
	}
}

// TestLinks follows links to pictures and folders, but not round in circles.
func TestLinks(t *testing.T) {
	root, elsewhere := t.TempDir(), t.TempDir()
	numbers := tree(t, root, "a/1.png", "a/2.png", "a/3.png", "b/1.png", "b/2.png", "b/deep/3.png")
	put(t, filepath.Join(elsewhere, "c", "x.png"), numbered(300))
	put(t, filepath.Join(elsewhere, "c", "y.png"), numbered(301))
	put(t, filepath.Join(elsewhere, "c", "z.png"), numbered(302))
	for from, to := range map[string]string{
		filepath.Join(root, "c"):               filepath.Join(elsewhere, "c"),
		filepath.Join(root, "b", "4.png"):      filepath.Join(root, "a", "2.png"),
		filepath.Join(root, "b", "deep", "up"): filepath.Join(root, "b"),
		filepath.Join(root, "b", "top"):        root, // else pictures of a are of b, too
	} {
		if err := os.Symlink(to, from); err != nil {
			t.Fatal(err)
		}
	}
	for name, n := range map[string]int{"c/x.png": 300, "c/y.png": 301, "c/z.png": 302, "b/4.png": numbers[filepath.Join(root, "a", "2.png")]} {
		numbers[filepath.Join(root, name)] = n
	}
	s := open(t, root, Options{})
	contents(t, s, root, numbers)
	if n := s.Train.Len() + s.Validation.Len() + s.Test.Len(); n != 10 || !slices.Equal(s.ClassNames, []string{"a", "b", "c"}) {
		t.Errorf("%d pictures of %q, want 10 of a, b and c", n, s.ClassNames)
	}
	if notes := strings.Join(s.Notes, "\n"); !strings.Contains(notes, filepath.Join("b", "deep", "up")+" leads back to a folder that it is in, left out") {
		t.Errorf("notes\n%s", notes)
	} else if !strings.Contains(notes, filepath.Join("b", "top")+" leads back to a folder that it is in, left out") {
		t.Errorf("notes\n%s", notes)
	}
	if want := "1 picture is there with another class too, such as "; len(s.Warnings) != 2 || !strings.HasPrefix(s.Warnings[1], want) {
		t.Errorf("warnings %q", s.Warnings)
	}
	// Out of the folder train, too: else test pictures of a are training pictures of b.
	root = t.TempDir()
	numbers = tree(t, root, "train/a/1.png", "train/b/1.png", "val/a/2.png", "val/b/2.png", "test/a/3.png", "test/b/3.png")
	if err := os.Symlink(root, filepath.Join(root, "train", "b", "top")); err != nil {
		t.Fatal(err)
	}
	s = open(t, root, Options{})
	contents(t, s, root, numbers)
	if notes := strings.Join(s.Notes, "\n"); !strings.Contains(notes, filepath.Join("b", "top")+" leads back to a folder that it is in, left out") {
		t.Errorf("notes\n%s", notes)
	}
}

// TestMended reads a picture that could not be read, and now can, though neither its
// size nor its time tell.
func TestMended(t *testing.T) {
	root, cache := t.TempDir(), t.TempDir()
	numbers := tree(t, root, slices.Concat(series("a/%d.png", 3), series("b/%d.png", 3))...)
	one := filepath.Join(root, "a", "0.png")
	whole, err := os.ReadFile(one)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(one)
	if err != nil {
		t.Fatal(err)
	}
	at := func(content []byte) {
		put(t, one, content)
		if err := os.Chtimes(one, info.ModTime(), info.ModTime()); err != nil {
			t.Fatal(err)
		}
	}
	at(make([]byte, len(whole)))
	if s := open(t, root, Options{CacheDir: cache, SkipBad: true}); len(s.Bad) != 1 {
		t.Fatalf("bad: %v", s.Bad)
	}
	at(whole)
	s, err := Open(context.Background(), root, Options{CacheDir: cache})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	contents(t, s, root, numbers)
}
