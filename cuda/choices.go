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

// choiceKey is all that the speed of a convolution's algorithms depends on.
type choiceKey struct {
	GPU               string    `json:"gpu"`
	ComputeCapability string    `json:"compute_capability"`
	Multiprocessors   int       `json:"multiprocessors"`
	Memory            uint64    `json:"memory"` // bytes
	Driver            string    `json:"driver"` // the newest CUDA that it supports
	DNN               string    `json:"cudnn"`
	Precision         Precision `json:"precision"`
	Workspace         int64     `json:"workspace"` // most bytes that an algorithm may have
	Batch             int       `json:"batch"`
	In                net.Shape `json:"in"`
	Out               net.Shape `json:"out"`
	Groups            int       `json:"groups"`
	Kernel            [2]int    `json:"kernel"` // height and width, as in all that follow
	Stride            [2]int    `json:"stride"`
	Dilation          [2]int    `json:"dilation"`
	Padding           [2]int    `json:"padding"`  // at each end
	Products          [3]bool   `json:"products"` // forward, backward data, backward filter: those that cuDNN has to compute
}

// measuredAlgorithm is one that was measured, as cuDNN numbers them by direction.
type measuredAlgorithm struct {
	ID            int     `json:"algorithm"`
	Deterministic bool    `json:"deterministic"`
	Milliseconds  float64 `json:"milliseconds"`
}

// measuredWays are all algorithms that could compute a convolution, by direction, the fastest first; none for what cuDNN did
// not have to compute.
type measuredWays [3][]measuredAlgorithm

// choiceFile is a file of the cache: one convolution's measured algorithms.
type choiceFile struct {
	Format int          `json:"format"`
	Key    choiceKey    `json:"key"`
	Ways   measuredWays `json:"algorithms"`
}

// choiceFormat is the version of choiceFile. Files of others are written anew.
const choiceFormat = 2

// mostAlgorithms is more than cuDNN has for any direction.
const mostAlgorithms = 16

// mostChoiceBytes is more than a file of the cache ever has.
const mostChoiceBytes = 1 << 16

// choiceCache keeps algorithms that were measured in a folder, for programs to come. Each convolution has a file of its own,
// replaced whole, so processes that write at the same time don't disturb each other: the last one stays. A nil cache keeps
// nothing.
type choiceCache struct {
	folder string
	err    error // the last failure to write; measuring goes on without
}

// newChoiceCache returns the cache in a folder, which is made when something is written; nil without one.
func newChoiceCache(folder string) *choiceCache {
	if folder == "" {
		return nil
	}
	return &choiceCache{folder: folder}
}

// path names the file of a key.
func (c *choiceCache) path(key choiceKey) string {
	text, err := json.Marshal(key)
	if err != nil {
		panic(fmt.Sprintf("BUG: a key that JSON can't hold: %v", err))
	}
	return filepath.Join(c.folder, fmt.Sprintf("%.16x.json", sha256.Sum256(text)))
}

// load returns what was measured for a key. A file that can't be used counts as none: store replaces it.
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

// parseChoices reads a file of the cache, which must be of the key.
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
		seen := [mostAlgorithms]bool{}
		for _, a := range ways {
			if a.ID < 0 || a.ID >= mostAlgorithms || seen[a.ID] || a.Milliseconds < 0 {
				return measuredWays{}, fmt.Errorf("algorithm %d with %g ms", a.ID, a.Milliseconds)
			}
			seen[a.ID] = true
		}
	}
	return f.Ways, nil
}

// store keeps what was measured for a key. That it fails is remembered, not returned: only the next start is slower for it.
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
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err == nil { // of a file lost in a power cut nothing is missed
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		if e := os.Remove(f.Name()); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// problem says why the last choice could not be kept, or "".
func (c *choiceCache) problem() string {
	if c == nil || c.err == nil {
		return ""
	}
	return c.err.Error()
}
