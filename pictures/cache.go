package pictures

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/gofrs/flock"

	"github.com/gputrain/gputrain/internal/replacefile"
	"github.com/gputrain/gputrain/net"
)

// A cache file is a header of one page, the samples, and meta as JSON. Each start verifies
// the checksums of the header and of meta, and the file's length. It does not read the
// samples: the file came to its place complete and synced.
const (
	magic       = "gputrain pictures"
	format      = 2    // version of the file's form, and of the way pictures are decoded
	samplesAt   = 4096 // offset of the samples: one page, so that they begin at a page
	cacheSuffix = ".pictures"
	lockSuffix  = ".lock"
)

// key is a hash of everything that a cache file is made from.
type key [sha256.Size]byte

// meta is what a cache file says about its samples.
type meta struct {
	Shape     net.Shape `json:"shape"`
	Count     int       `json:"count"`            // of rows, also those of bad pictures
	Bad       []badRow  `json:"bad,omitempty"`    // in order
	Chosen    string    `json:"chosen,omitempty"` // why this shape, in words
	Warnings  []string  `json:"warnings,omitempty"`
	Repeated  int       `json:"repeated,omitempty"` // as in Twins
	Originals Originals `json:"originals"`
}

// badRow is the row of a picture that can't be read.
type badRow struct {
	Row int    `json:"row"`
	Why string `json:"why"`
}

func (m *meta) bytes() int64 { return int64(m.Count) * int64(m.Shape.Size()) }

// fileHeader is the beginning of a cache file, little-endian.
type fileHeader struct {
	Magic    [24]byte
	Format   uint32
	MetaSize uint32
	Key      key
	Samples  int64 // bytes
	Meta     [sha256.Size]byte
}

// sealed returns the header's bytes, followed by their checksum.
func (h *fileHeader) sealed() []byte {
	var b bytes.Buffer
	if err := binary.Write(&b, binary.LittleEndian, h); err != nil {
		panic(fmt.Sprintf("BUG: cache header: %v", err))
	}
	sum := sha256.Sum256(b.Bytes())
	return append(b.Bytes(), sum[:]...)
}

// errStale means that a cache file is missing, damaged, or made from something else. It
// must be made again.
var errStale = errors.New("no usable cache file")

// openCache maps the cache file of a key into memory. The caller unmaps file.
func openCache(path string, k key) (m *meta, file []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, errStale // making it will tell what is wrong
	}
	defer f.Close()
	var h fileHeader
	size := binary.Size(&h)
	head := make([]byte, size+sha256.Size)
	if _, err := io.ReadFull(f, head); err != nil {
		return nil, nil, errStale
	}
	if err := binary.Read(bytes.NewReader(head), binary.LittleEndian, &h); err != nil {
		panic(fmt.Sprintf("BUG: cache header: %v", err))
	}
	if !bytes.Equal(h.sealed(), head) || !bytes.HasPrefix(h.Magic[:], []byte(magic)) || h.Format != format || h.Key != k || h.Samples < 0 {
		return nil, nil, errStale
	}
	info, err := f.Stat()
	if err != nil || info.Size() != samplesAt+h.Samples+int64(h.MetaSize) {
		return nil, nil, errStale
	}
	text := make([]byte, h.MetaSize)
	if _, err := f.ReadAt(text, samplesAt+h.Samples); err != nil || sha256.Sum256(text) != h.Meta {
		return nil, nil, errStale
	}
	m = new(meta)
	if err := json.Unmarshal(text, m); err != nil || m.bytes() != h.Samples {
		return nil, nil, errStale
	}
	if file, err = mapped(f, samplesAt+h.Samples); err != nil {
		return nil, nil, fmt.Errorf("cache file %s can't be mapped into memory: %w", path, err)
	}
	return m, file, nil
}

// writeCache makes a cache file. fill writes the samples, from samplesAt on, and returns
// their meta.
func writeCache(path string, k key, fill func(*os.File) (*meta, error)) error {
	err := replacefile.WriteFile(path, func(f *os.File) error {
		m, err := fill(f)
		if err != nil {
			return err
		}
		text, err := json.Marshal(m)
		if err != nil {
			return err
		}
		h := fileHeader{Format: format, MetaSize: uint32(len(text)), Key: k, Samples: m.bytes(), Meta: sha256.Sum256(text)}
		copy(h.Magic[:], magic)
		if err := f.Truncate(samplesAt + h.Samples); err != nil {
			return err
		}
		if _, err := f.WriteAt(text, samplesAt+h.Samples); err != nil {
			return err
		}
		_, err = f.WriteAt(h.sealed(), 0)
		return err
	})
	if errors.Is(err, replacefile.ErrNotSynced) {
		return nil // it is in place, but after a power cut it may have to be made again
	}
	return err
}

// NoCacheError says why decoded pictures can't be kept. Options.CacheDir can name another
// folder, and Options.NoCache does without one.
type NoCacheError struct {
	why  string // what can't be kept where, and why
	size int64  // of the samples, in bytes; 0 if it isn't known yet
}

// Error says what can't be kept where, and why.
func (e *NoCacheError) Error() string { return e.why }

// noRoom returns the error for a folder that can't hold the cache file. size is that of the
// samples, in bytes, or 0 if it isn't known yet.
func noRoom(dir string, size int64, err error) error {
	what, why := "the decoded pictures", reason(err)
	if size > 0 {
		what += " (" + humanize.IBytes(uint64(size)) + ")"
	}
	switch {
	case errors.Is(err, syscall.ENOSPC):
		why = "no space left on its disk"
	case errors.Is(err, fs.ErrPermission):
		why = "no permission to write there"
	}
	return &NoCacheError{fmt.Sprintf("%s can't be kept in %s: %s", what, dir, why), size}
}

// cachePath returns the path of the cache file in dir for a set and its options.
func cachePath(dir, set string, o Options) (string, error) {
	absolute, err := filepath.Abs(set)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00%s", absolute, o.kind())
	return filepath.Join(dir, cacheName(absolute)+"-"+hex.EncodeToString(h.Sum(nil)[:8])+cacheSuffix), nil
}

// cacheName returns the beginning of the names of a set's cache files.
func cacheName(absolute string) string {
	sum := sha256.Sum256([]byte(absolute))
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, filepath.Base(absolute))
	return name[:min(len(name), 40)] + "-" + hex.EncodeToString(sum[:8])
}

// kind returns the options that decide what a cache file holds, as text.
func (o Options) kind() string {
	return fmt.Sprintf("%d %d %d %s", o.Height, o.Width, o.Channels, o.Prepare)
}

// variants returns all options that may have made a cache file that suits o. A size or
// number of channels that o asks for may be the one that was chosen when the options left
// it open.
func (o Options) variants() []Options {
	out := []Options{o}
	if o.Channels != 0 {
		free := o
		free.Channels = 0
		out = append(out, free)
	}
	if o.Height != 0 {
		for _, free := range slices.Clone(out) {
			free.Height, free.Width = 0, 0
			out = append(out, free)
		}
	}
	return out
}

// suits reports whether samples of a shape are what the options ask for.
func (o Options) suits(s net.Shape) bool {
	return (o.Channels == 0 || o.Channels == s.C) && (o.Height == 0 || o.Height == s.H && o.Width == s.W)
}

// keyOf returns the key for pictures, given by the listing's sum, and options.
func keyOf(pictures [sha256.Size]byte, o Options) key {
	return sha256.Sum256(fmt.Appendf(pictures[:], "%d %s", format, o.kind()))
}

// sum returns a hash of the listing's files. It does not depend on the working directory
// from which the set is named.
func (l *listing) sum() (out [sha256.Size]byte, err error) {
	here, err := os.Getwd()
	if err != nil {
		return out, err
	}
	h := sha256.New()
	for part, files := range l.files {
		fmt.Fprintf(h, "%d %d\n", part, len(files))
		for i := range files {
			files[i].hash(h, here)
		}
	}
	h.Sum(out[:0])
	return out, nil
}

// hash hashes what tells a file from other files, and from its earlier contents. here is
// the folder in which a relative path begins.
func (f *file) hash(h hash.Hash, here string) {
	path := f.path
	if !filepath.IsAbs(path) {
		path = filepath.Join(here, path)
	}
	var b [20]byte
	binary.LittleEndian.PutUint64(b[:], uint64(f.size))
	binary.LittleEndian.PutUint64(b[8:], uint64(f.time))
	binary.LittleEndian.PutUint32(b[16:], uint32(f.label))
	h.Write(b[:])
	io.WriteString(h, path)
	h.Write([]byte{0})
	io.WriteString(h, f.bad)
	h.Write([]byte{0})
}

// lockCache waits until no other process makes the same cache file. If the file system has
// no locks, held is false. Then two processes may make the file twice.
func lockCache(ctx context.Context, path string, waits func()) (release func(), held bool, err error) {
	lock := flock.New(path+lockSuffix, flock.SetPermissions(0o644))
	held, err = lock.TryLock()
	if err == nil && !held {
		if waits != nil {
			waits()
		}
		held, err = lock.TryLockContext(ctx, 100*time.Millisecond)
	}
	if ctx.Err() != nil {
		return nil, false, errors.Join(ctx.Err(), lock.Close())
	}
	if err != nil {
		return func() {}, false, nil
	}
	return func() { _ = lock.Close() }, held, nil // closing always ends the lock
}

// CacheFolder returns the default folder for cache files, which is in the user's cache.
// Options.CacheDir names another one.
func CacheFolder() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", &NoCacheError{fmt.Sprintf("there is no folder for decoded pictures: %s", reason(err)), 0}
	}
	return filepath.Join(dir, "gputrain", "pictures"), nil
}

// ClearCache removes cache files from the folder dir: those of the set at path set, or all
// if set is "". If dir is "", it is [CacheFolder]. Files that a process is making stay.
// ClearCache returns the number of files that it removed, and their size in bytes.
func ClearCache(dir, set string) (files int, bytes int64, err error) {
	if dir == "" {
		if dir, err = CacheFolder(); err != nil {
			return 0, 0, err
		}
	}
	prefix := ""
	if set != "" {
		absolute, err := filepath.Abs(set)
		if err != nil {
			return 0, 0, err
		}
		prefix = cacheName(absolute) + "-"
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, fmt.Errorf("%s: %s", dir, reason(err))
	}
	for _, e := range entries {
		name, isLock := strings.CutSuffix(e.Name(), cacheSuffix+lockSuffix)
		if !isLock || !strings.HasPrefix(name, prefix) {
			continue
		}
		path := filepath.Join(dir, name+cacheSuffix)
		lock := flock.New(path + lockSuffix)
		if held, err := lock.TryLock(); err == nil && !held {
			continue
		}
		info, statErr := os.Stat(path)
		err := errors.Join(removed(path), replacefile.RemoveTemporaries(dir, name+cacheSuffix), lock.Close(), removed(path+lockSuffix))
		if err != nil {
			return files, bytes, err
		}
		if statErr == nil {
			files, bytes = files+1, bytes+info.Size()
		}
	}
	return files, bytes, nil
}

// removed removes a file if it exists.
func removed(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
