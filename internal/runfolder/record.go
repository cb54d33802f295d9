// Package runfolder writes and reads what a training run leaves in its folder
// beside its checkpoints: recipe.json, which says what is trained and how, and
// metrics.jsonl, which says how it goes.
package runfolder

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gputrain/gputrain/internal/regularfile"
	"github.com/gputrain/gputrain/internal/replacefile"
	"github.com/gputrain/gputrain/net"
)

// The names of the files.
const (
	RecordFile  = "recipe.json"
	MetricsFile = "metrics.jsonl"
)

// Record says what a run trains, and how: the contents of recipe.json.
type Record struct {
	Network *net.Network `json:"network"`
	Recipe  net.Recipe   `json:"recipe"`
	Data    Data         `json:"data"`
	// Flags are settings that no recipe has, such as how many checkpoints to keep, by the
	// names of the flags that set them. A resumed run keeps them.
	Flags map[string]string `json:"flags,omitempty"`
	Parts []Part            `json:"parts"` // the run's beginning, and each time that it was resumed
}

// Data names the data of a run. Checkpoints hold the contents' checksums.
type Data struct {
	Name       string `json:"name"`
	Folder     string `json:"folder,omitempty"`     // "" for the built-in MNIST
	Train      int    `json:"train"`                // samples
	Validation int    `json:"validation,omitempty"` // samples
	Test       int    `json:"test,omitempty"`       // samples
}

// Part is what was trained by one process.
type Part struct {
	Began   time.Time `json:"began"`
	Version string    `json:"version"` // of the program
	Device  string    `json:"device"`
	Command []string  `json:"command,omitempty"` // the command line
	Resumed *Place    `json:"resumed,omitempty"` // where it went on; nil for the beginning
}

// Place is a place in a run.
type Place struct {
	Epoch int `json:"epoch"` // epochs done
	Step  int `json:"step"`  // steps done in the next one
}

// Write writes recipe.json, whole or not at all. A record whose last part was
// resumed keeps the parts of the one that is there.
func (r Record) Write(dir string) error {
	if n := len(r.Parts); n > 0 && r.Parts[n-1].Resumed != nil {
		before, err := ReadRecord(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		r.Parts = append(before.Parts, r.Parts...)
	}
	path := filepath.Join(dir, RecordFile)
	err := replacefile.Write(path, func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// Unsaved returns the record of a run that was ended before its first checkpoint, as by a
// kill: nothing of it can be gone on with. ok is false where that is not so, or where a
// process trains the run now.
func Unsaved(dir string) (r Record, ok bool) {
	r, err := ReadRecord(dir)
	if err != nil {
		return r, false
	}
	files, err := os.ReadDir(dir)
	if err != nil || slices.ContainsFunc(files, func(f fs.DirEntry) bool { return filepath.Ext(f.Name()) == filepath.Ext(net.LastCheckpoint) }) {
		return r, false
	}
	entries, err := ReadMetrics(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return r, false
	}
	for _, e := range entries {
		if _, epoch := e.Event.(net.EpochDone); epoch {
			return r, false // its checkpoints were removed
		}
	}
	release, err := Lock(dir)
	if err != nil {
		return r, false
	}
	return r, release() == nil
}

// ReadRecord reads a run's recipe.json. Without one the error wraps
// fs.ErrNotExist.
func ReadRecord(dir string) (Record, error) {
	path := filepath.Join(dir, RecordFile)
	b, err := regularfile.Read(path)
	if err != nil {
		return Record{}, err
	}
	var r Record
	if err := json.Unmarshal(b, &r); err != nil {
		return Record{}, fmt.Errorf("%s: damaged, or no record of a run: %w", path, err)
	}
	return r, nil
}
