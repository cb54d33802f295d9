package pictures

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestUnreadable asks for a picture and for a folder without the permission to read it. Root may read
// all, so the thread becomes another user as far as files are concerned.
func TestUnreadable(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "x.png")
	put(t, path, numbered(1))
	tree(t, root, "a/1.png", "b/1.png", "b/deep/1.png")
	deep := filepath.Join(root, "b", "deep")
	if err := errors.Join(os.Chmod(path, 0o200), os.Chmod(deep, 0), os.Chmod(filepath.Dir(root), 0o755)); err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if os.Geteuid() == 0 {
		as := func(user int) {
			if _, err := unix.SetfsuidRetUid(user); err != nil {
				t.Fatal(err)
			}
		}
		as(65534)
		defer as(0)
	}
	f := file{path: path, size: 1}
	b := builder{files: []file{f}, originals: make([]original, 1)}
	b.decode(context.Background(), 0, make([]uint8, 3))
	if got := b.originals[0].why; got != "no permission to read it" {
		t.Errorf("%q", got)
	}
	l, err := list(context.Background(), root, 1)
	if err != nil {
		t.Fatal(err)
	}
	if files := l.files[train]; len(files) != 3 || files[2].path != deep || files[2].bad != "a folder that can't be opened: no permission to read it" {
		t.Errorf("%+v", files)
	}
}

// TestFullDisk makes a cache on a disk without room for it.
func TestFullDisk(t *testing.T) {
	root, disk := t.TempDir(), t.TempDir()
	tree(t, root, "a/1.png", "a/2.png", "a/3.png", "b/1.png", "b/2.png", "b/3.png")
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("a disk of its own needs root: mount: %v", err)
	}
	defer func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	}()
	_, err := Open(context.Background(), root, Options{CacheDir: disk, Height: 400, Width: 400})
	if want := "the decoded pictures (2.7 MiB) can't be kept in " + disk + "/: no space left on its disk"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want one with %q", err, want)
	}
	if left, err := filepath.Glob(filepath.Join(disk, "*[^k]")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
	s, err := Open(context.Background(), root, Options{CacheDir: disk})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil { // or the disk stays in use
		t.Error(err)
	}
}

// anonymous returns the process's memory that is no file's, in bytes.
func anonymous(t *testing.T) int64 {
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`RssAnon:\s+(\d+) kB`).FindSubmatch(text)
	if m == nil {
		t.Skip("the system doesn't tell RssAnon")
	}
	kb, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kb << 10
}

// TestMemory opens many small pictures: memory must not grow with the samples, only by
// what the pictures' names and places take. GPUTRAIN_TEST_PICTURES sets how many.
func TestMemory(t *testing.T) {
	n := 4000
	if s := os.Getenv("GPUTRAIN_TEST_PICTURES"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	root, cache := t.TempDir(), t.TempDir()
	// A few files under many names.
	var sources []string
	for i := range 8 {
		path := filepath.Join(root, ".source", fmt.Sprint(i))
		put(t, path, numbered(i))
		sources = append(sources, path)
	}
	for i := range 10 {
		if err := os.MkdirAll(filepath.Join(root, fmt.Sprint(i)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		err := os.Link(sources[i%len(sources)], filepath.Join(root, fmt.Sprint(i%10), fmt.Sprintf("%06d.png", i)))
		if errors.Is(err, syscall.EMLINK) { // so many names and no more
			path := filepath.Join(root, ".source", fmt.Sprintf("%d-%d", i%len(sources), i))
			put(t, path, numbered(i%len(sources)))
			sources[i%len(sources)] = path
			err = os.Link(path, filepath.Join(root, fmt.Sprint(i%10), fmt.Sprintf("%06d.png", i)))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	// A sample has 12 kB, the names and places of a picture some hundred bytes.
	const most = 600
	o := Options{CacheDir: cache, Height: 64, Width: 64}
	before := anonymous(t)
	for _, decoded := range []bool{true, false} {
		begin := time.Now()
		s, err := Open(context.Background(), root, o)
		if err != nil {
			t.Fatal(err)
		}
		took := time.Since(begin)
		sum := 0
		for i := 0; i < s.Train.Len(); i++ { // reads every page
			sum += numberOf(s.Train, i)
		}
		grown := anonymous(t) - before
		t.Logf("%d pictures, decoded %v: %v, %d kB of memory that is no file's", n, s.Decoded, took.Round(time.Millisecond), grown>>10)
		if s.Decoded != decoded || sum == 0 {
			t.Errorf("decoded %v, sum %d", s.Decoded, sum)
		}
		if limit := int64(n)*most + 24<<20; grown > limit {
			t.Errorf("memory grew by %d bytes, at most %d are wanted", grown, limit)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
