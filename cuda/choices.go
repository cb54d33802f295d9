package cuda

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gputrain/gputrain/net"
)

// choiceKey holds everything that the speed of a convolution's algorithms depends on.
type choiceKey struct {
	GPU               string    `json:"gpu"`
	ComputeCapability string    `json:"compute_capability"`
	Multiprocessors   int       `json:"multiprocessors"`
	Memory            uint64    `json:"memory"` // bytes
	Driver            string    `json:"driver"` // the newest CUDA version that the driver supports
	DNN               string    `json:"cudnn"`
	Precision         Precision `json:"precision"`
	ChannelsLast      bool      `json:"channels_last"`
	Workspace         int64     `json:"workspace"` // the most bytes that an algorithm may use
	Batch             int       `json:"batch"`
	In                net.Shape `json:"in"`
	Out               net.Shape `json:"out"`
	Groups            int       `json:"groups"`
	Kernel            [2]int    `json:"kernel"` // height and width, as in the fields below
	Stride            [2]int    `json:"stride"`
	Dilation          [2]int    `json:"dilation"`
	Padding           [2]int    `json:"padding"`  // at each end
	Products          [3]bool   `json:"products"` // forward, backward data, backward filter: whether cuDNN or our own kernels compute it
	Own               bool      `json:"own"`      // whether our own kernels were measured too
}

// measuredAlgorithm is an algorithm that was measured with one arithmetic. ID and Math are cuDNN's numbers. That of the
// algorithm depends on the direction; our own kernels have the last one.
type measuredAlgorithm struct {
	ID            int     `json:"algorithm"`
	Math          int     `json:"math"`
	Deterministic bool    `json:"deterministic"`
	Milliseconds  float64 `json:"milliseconds"`
}

// measuredWays holds all algorithms that can compute a convolution, by direction, the fastest first. A direction that
// cuDNN does not compute has none.
type measuredWays [3][]measuredAlgorithm

// choiceFile is the content of one file of the cache: the measured algorithms of one convolution.
type choiceFile struct {
	Format int          `json:"format"`
	Key    choiceKey    `json:"key"`
	Ways   measuredWays `json:"algorithms"`
}

// choiceFormat is the version of choiceFile. Files of other versions are measured and written anew.
const choiceFormat = 4

// mostAlgorithms is above the number of algorithms that cuDNN has for any direction, with our own. mostMaths is above the number
// of its arithmetics.
const (
	mostAlgorithms = 16
	mostMaths      = 8
)

// mostChoiceBytes is above the size of every file of the cache.
const mostChoiceBytes = 1 << 16

// choiceCache keeps measured algorithms in a folder, so that later programs need not measure again. Each convolution
// has its own file, and a file is always replaced as a whole. So processes that write at the same time don't disturb
// each other: the last one's file stays. A nil cache keeps nothing.
type choiceCache struct {
	folder string
	err    error // the last failure to write; measuring goes on without the cache
}

// newChoiceCache returns the cache in a folder. The folder is made when something is written. For an empty name the
// cache is nil.
func newChoiceCache(folder string) *choiceCache {
	if folder == "" {
		return nil
	}
	return &choiceCache{folder: folder}
}

// path returns the file name for a key.
func (c *choiceCache) path(key choiceKey) string {
	text, err := json.Marshal(key)
	if err != nil {
		panic(fmt.Sprintf("BUG: a key that JSON can't hold: %v", err))
	}
	return filepath.Join(c.folder, fmt.Sprintf("%.16x.json", sha256.Sum256(text)))
}

// load returns what was measured for a key. A file that can't be used counts as missing, and store replaces it.
func (c *choiceCache) load(key choiceKey) (ways measuredWays, ok bool) {
	if c == nil {
		return ways, false
	}
	path := c.path(key)
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return ways, false
	}
	f, err := os.Open(path)
	if err != nil {
		return ways, false
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, mostChoiceBytes+1))
	if err != nil {
		return ways, false
	}
	ways, err = parseChoices(text, key)
	return ways, err == nil
}

// parseChoices reads the text of a cache file. It fails if the file is for another key.
func parseChoices(text []byte, key choiceKey) (measuredWays, error) {
	var f choiceFile
	if len(text) > mostChoiceBytes {
		return f.Ways, fmt.Errorf("longer than %d bytes", mostChoiceBytes)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&f); err != nil {
		return measuredWays{}, err
	}
	if _, err := d.Token(); err != io.EOF {
		return measuredWays{}, errors.New("something behind the object")
	}
	if f.Format != choiceFormat {
		return measuredWays{}, fmt.Errorf("format %d, not %d", f.Format, choiceFormat)
	}
	if f.Key != key {
		return measuredWays{}, errors.New("of another convolution, GPU or library")
	}
	for i, ways := range f.Ways {
		if (len(ways) > 0) != key.Products[i] || len(ways) > mostAlgorithms {
			return measuredWays{}, fmt.Errorf("%d algorithms for a direction", len(ways))
		}
		seen := [mostAlgorithms][mostMaths]bool{}
		for _, a := range ways {
			if a.ID < 0 || a.ID >= mostAlgorithms || a.Math < 0 || a.Math >= mostMaths || seen[a.ID][a.Math] || a.Milliseconds < 0 {
				return measuredWays{}, fmt.Errorf("algorithm %d, arithmetic %d with %g ms", a.ID, a.Math, a.Milliseconds)
			}
			seen[a.ID][a.Math] = true
		}
	}
	return f.Ways, nil
}

// store writes what was measured for a key. A failure is remembered and not returned, because it only makes the next
// start slower.
func (c *choiceCache) store(key choiceKey, ways measuredWays) {
	if c == nil {
		return
	}
	if c.err = c.write(c.path(key), choiceFile{choiceFormat, key, ways}); c.err != nil {
		c.err = fmt.Errorf("measured algorithms can't be kept: %w", c.err)
	}
}

func (c *choiceCache) write(path string, file choiceFile) (err error) {
	text, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.folder, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(c.folder, ".*.tmp")
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err == nil { // no sync: a lost file is measured again
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		if e := os.Remove(f.Name()); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// problem returns why the last choice could not be stored, or "" if it was.
func (c *choiceCache) problem() string {
	if c == nil || c.err == nil {
		return ""
	}
	return c.err.Error()
}
