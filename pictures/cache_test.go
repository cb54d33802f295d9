package pictures

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/gputrain/gputrain/internal/testenv"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/picture"
)

// TestSecondStart checks when the cache is used, and when it is made anew.
func TestSecondStart(t *testing.T) {
	root, cache := t.TempDir(), t.TempDir()
	numbers := tree(t, root, slices.Concat(series("a/%d.png", 20), series("b/%d.png", 20))...)
	decodes := func(what string, want bool, o Options) *Set {
		t.Helper()
		o.CacheDir = cache
		told := 0
		o.Progress = func(done, all int) { told = done }
		s := open(t, root, o)
		if s.Decoded != want {
			t.Errorf("%s: decoded is %v, want %v", what, s.Decoded, want)
		}
		if want != (told > 0) {
			t.Errorf("%s: progress was told of %d pictures", what, told)
		}
		contents(t, s, root, numbers)
		return s
	}
	first := decodes("the first start", true, Options{})
	second := decodes("the second start", false, Options{})
	if !bytes.Equal(first.Train.Pixels, second.Train.Pixels) {
		t.Error("other samples at the second start")
	}
	decodes("another seed", false, Options{Seed: 3})
	decodes("what was chosen, asked for", false, Options{Height: 8, Width: 8, Channels: 3})
	decodes("another size", true, Options{Height: 9, Width: 8})
	decodes("that size with its channels", false, Options{Height: 9, Width: 8, Channels: 3})
	decodes("another preparation", true, Options{Height: 9, Width: 8, Prepare: "fit"})
	decodes("the first one again", false, Options{})

	// The same folder by other names.
	t.Chdir(filepath.Dir(root))
	name := filepath.Base(root)
	for _, path := range []string{name, "./" + name, name + "/", root + "/"} {
		s, err := Open(context.Background(), path, Options{CacheDir: cache})
		if err != nil {
			t.Fatal(err)
		}
		if s.Decoded {
			t.Errorf("as %s it was decoded again", path)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}

	one := filepath.Join(root, "a", "0.png")
	if err := os.Chtimes(one, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	decodes("another time", true, Options{})
	put(t, one, numbered(1234))
	numbers[one] = 1234
	decodes("another content", true, Options{})
	// The set that was opened before still has what it had.
	if numberOf(second.Train, 0) == 1234 || numberOf(first.Train, 0) == 1234 {
		t.Error("an open set has changed")
	}
	put(t, filepath.Join(root, "b", "new.png"), numbered(1000))
	numbers[filepath.Join(root, "b", "new.png")] = 1000
	decodes("one more", true, Options{})
	if err := os.Remove(one); err != nil {
		t.Fatal(err)
	}
	decodes("one less", true, Options{})
	decodes("nothing changed", false, Options{})
	// One file for each of the three kinds of options.
	if found, _ := filepath.Glob(filepath.Join(cache, "*"+cacheSuffix)); len(found) != 3 {
		t.Errorf("cache files %q, want 3", found)
	}
}

// TestDamagedCache damages a cache file in every way that is noticed, one after the
// other: it must be made anew.
func TestDamagedCache(t *testing.T) {
	root, cache := t.TempDir(), t.TempDir()
	numbers := tree(t, root, slices.Concat(series("a/%d.png", 3), series("b/%d.png", 3))...)
	s := open(t, root, Options{CacheDir: cache})
	file := s.CacheFile
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	samples := len(whole) - samplesAt - int(s.Train.Shape.Size()*6)
	if samples <= 0 {
		t.Fatalf("%d bytes of meta", samples)
	}
	r := testenv.Rand(t)
	damages := map[string][]byte{
		"empty": {}, "header alone": whole[:200], "cut": whole[:len(whole)-1], "longer": append(bytes.Clone(whole), 0),
		"zeros": make([]byte, len(whole)), "text": []byte("hello"),
	}
	for range 30 {
		at := r.IntN(16 + 8 + 4 + 4 + 32 + 8 + 32 + 32)
		if r.IntN(2) == 0 {
			at = len(whole) - 1 - r.IntN(samples)
		}
		b := bytes.Clone(whole)
		b[at] ^= byte(1 + r.IntN(255))
		damages[fmt.Sprintf("byte %d", at)] = b
	}
	for name, b := range damages {
		put(t, file, b)
		s := open(t, root, Options{CacheDir: cache})
		if !s.Decoded {
			t.Errorf("%s: was used", name)
		}
		contents(t, s, root, numbers)
		if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, whole) {
			t.Errorf("%s: not as it was before: %v", name, err)
		}
	}
}

// killed makes the test binary a process to be killed: it names folder and cache, with
// a line break between.
const killed = "GPUTRAIN_TEST_KILL_PICTURES"

// TestToBeKilled is the child of TestKilled.
func TestToBeKilled(t *testing.T) {
	root, cache, ok := strings.Cut(os.Getenv(killed), "\n")
	if !ok {
		t.Skip("only TestKilled runs this, in a process of its own")
	}
	fmt.Println("begins")
	s, err := Open(context.Background(), root, Options{CacheDir: cache})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("decoded=%v\n", s.Decoded)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestKilled kills a process at ten moments of making the cache, from its begin to its
// end. Nobody may find a file that isn't whole, and nothing of the killed ones may stay.
func TestKilled(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("has no SIGKILL")
	}
	root := t.TempDir()
	numbers := tree(t, root, slices.Concat(series("a/%d.png", 800), series("b/%d.png", 800))...)
	child := func(cache string) *exec.Cmd {
		c := exec.Command(os.Args[0], "-test.run=^TestToBeKilled$", "-test.v")
		c.Env = append(os.Environ(), killed+"="+root+"\n"+cache)
		return c
	}
	begin := time.Now()
	if out, err := child(t.TempDir()).CombinedOutput(); err != nil || !strings.Contains(string(out), "decoded=true") {
		t.Fatalf("%v: %s", err, out)
	}
	whole := time.Since(begin)
	cache := t.TempDir()
	atWork, done := 0, 0
	for i := range 10 {
		c := child(cache)
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for lines.Scan() && lines.Text() != "begins" {
		}
		time.Sleep(whole * time.Duration(i) / 10)
		temporary, err := filepath.Glob(filepath.Join(cache, "*.tmp"))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = c.Wait() // it was killed
		files, err := filepath.Glob(filepath.Join(cache, "*"+cacheSuffix))
		if err != nil {
			t.Fatal(err)
		}
		atWork += len(temporary)
		done += len(files)
		for _, file := range files {
			// Whatever is in place is whole.
			s := open(t, root, Options{CacheDir: cache})
			if s.Decoded || s.CacheFile != file {
				t.Errorf("kill %d: %s was not used", i, file)
			}
			contents(t, s, root, numbers)
			if err := os.Remove(file); err != nil { // the next is to be killed while it makes it
				t.Fatal(err)
			}
		}
	}
	t.Logf("of 10 kills within %v, %d met a file in the making; %d files were whole", whole, atWork, done)
	if atWork == 0 {
		t.Error("no process was killed while it made the file")
	}
	s := open(t, root, Options{CacheDir: cache})
	contents(t, s, root, numbers)
	if left, err := filepath.Glob(filepath.Join(cache, "*.tmp")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q %v", left, err)
	}
}

// TestAtOnce opens a set several times at once: one makes the cache, the others wait
// for it.
func TestAtOnce(t *testing.T) {
	root, cache := t.TempDir(), t.TempDir()
	numbers := tree(t, root, slices.Concat(series("a/%d.png", 500), series("b/%d.png", 500))...)
	var all sync.WaitGroup
	var sets [4]*Set
	for i := range sets {
		all.Go(func() {
			var err error
			if sets[i], err = Open(context.Background(), root, Options{CacheDir: cache}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	decoded := 0
	for _, s := range sets {
		if s == nil {
			continue
		}
		if s.Decoded {
			decoded++
		}
		contents(t, s, root, numbers)
		if err := errors.Join(s.Close(), s.Close()); err != nil {
			t.Error(err)
		}
	}
	if decoded != 1 {
		t.Errorf("%d of 4 decoded the pictures, want 1", decoded)
	}
}

func TestClearCache(t *testing.T) {
	cache := t.TempDir()
	var roots []string
	for range 2 {
		root := t.TempDir()
		tree(t, root, slices.Concat(series("a/%d.png", 3), series("b/%d.png", 3))...)
		open(t, root, Options{CacheDir: cache})
		open(t, root, Options{CacheDir: cache, Channels: 1})
		roots = append(roots, root)
	}
	put(t, filepath.Join(cache, "mine.txt"), nil)
	left := func(want int) {
		t.Helper()
		entries, err := os.ReadDir(cache)
		if err != nil || len(entries) != want {
			t.Errorf("%d files, want %d (%v): %v", len(entries), want, err, entries)
		}
	}
	left(9)
	if n, size, err := ClearCache(cache, roots[0]); n != 2 || size < 1000 || err != nil {
		t.Errorf("%d files of %d bytes: %v", n, size, err)
	}
	left(5)
	if open(t, roots[1], Options{CacheDir: cache}).Decoded {
		t.Error("the other set's cache is gone")
	}
	if n, _, err := ClearCache(cache, ""); n != 2 || err != nil {
		t.Errorf("%d files: %v", n, err)
	}
	left(1)
	if n, _, err := ClearCache(filepath.Join(cache, "nowhere"), ""); n != 0 || err != nil {
		t.Errorf("%d files: %v", n, err)
	}
}

// TestNoPlace wants to keep the cache where it can't be.
func TestNoPlace(t *testing.T) {
	root := t.TempDir()
	tree(t, root, slices.Concat(series("a/%d.png", 3), series("b/%d.png", 3))...)
	file := filepath.Join(t.TempDir(), "file")
	put(t, file, nil)
	_, err := Open(context.Background(), root, Options{CacheDir: filepath.Join(file, "cache")})
	if err == nil || !strings.Contains(err.Error(), "can't be kept in "+file) || !strings.HasSuffix(err.Error(), "not a directory") {
		t.Errorf("error %v", err)
	}
	// The folder that nobody named isn't needed.
	for _, name := range []string{"HOME", "XDG_CACHE_HOME", "LocalAppData"} { // Linux and macOS, Linux, Windows
		t.Setenv(name, file)
	}
	s, err := Open(context.Background(), root, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if s.Train.Len() != 2 || !s.Decoded || s.CacheFile != "" || !strings.Contains(s.CacheError, "can't be kept in "+file) || !strings.HasSuffix(s.CacheError, "not a directory") {
		t.Errorf("%d pictures, cache error %q, file %q", s.Train.Len(), s.CacheError, s.CacheFile)
	}
}

func BenchmarkOpen(b *testing.B) {
	root := os.Getenv("GPUTRAIN_TEST_FOLDER")
	if root == "" {
		root = b.TempDir()
		tree(b, root, slices.Concat(series("a/%d.png", 3000), series("b/%d.png", 3000))...)
	}
	cache := b.TempDir()
	run := func(fresh bool) func(b *testing.B) {
		return func(b *testing.B) {
			n := 0
			for b.Loop() {
				if fresh {
					if _, _, err := ClearCache(cache, root); err != nil {
						b.Fatal(err)
					}
				}
				s, err := Open(context.Background(), root, Options{CacheDir: cache})
				if err != nil {
					b.Fatal(err)
				}
				if s.Decoded != fresh {
					b.Fatalf("decoded is %v", s.Decoded)
				}
				n = s.Train.Len() + s.Validation.Len() + s.Test.Len()
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "pictures/s")
		}
	}
	b.Run("first", run(true))
	b.Run("second", run(false))
}

// TestCancelledInTheLastPicture checks that a picture that waited for memory when the
// context ended doesn't count as one that can't be read.
func TestCancelledInTheLastPicture(t *testing.T) {
	root := t.TempDir()
	tree(t, root, "a/0.png", "b/0.png")
	l, err := list(t.Context(), root, 1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	b := &builder{
		files: l.all(), shape: net.Shape{C: 1, H: 8, W: 8}, prepare: picture.Crop,
		out: &memoryWriter{make([]uint8, 2*8*8)}, originals: make([]original, 2), room: semaphore.NewWeighted(1),
	}
	if err := b.room.Acquire(ctx, 1); err != nil {
		t.Fatal(err)
	}
	b.files = b.files[:1]
	time.AfterFunc(50*time.Millisecond, cancel)
	if err := b.decodeAll(ctx, Options{Workers: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v (the picture: %q)", err, b.originals[0].why)
	}
}
