// Package runfolder writes and reads what a training run leaves in its folder beside its
// checkpoints. recipe.json tells what is trained and how, and metrics.jsonl tells how it
// goes.
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

// The names of the files in a run's folder.
const (
	RecordFile  = "recipe.json"
	MetricsFile = "metrics.jsonl"
)

// Record is the content of recipe.json: what a run trains, and how.
type Record struct {
	Network *net.Network `json:"network"`
	Recipe  net.Recipe   `json:"recipe"`
	Data    Data         `json:"data"`
	// Flags holds settings that are not part of a recipe, for example how many
	// checkpoints to keep. The keys are the names of their flags. A resumed run keeps
	// them.
	Flags map[string]string `json:"flags,omitempty"`
	Parts []Part            `json:"parts"` // the beginning of the run, and each time it was resumed
}

// Data names the data of a run. Checkpoints hold the checksums of its contents.
type Data struct {
	Name       string `json:"name"`
	Folder     string `json:"folder,omitempty"`     // "" for the built-in MNIST
	Train      int    `json:"train"`                // samples
	Validation int    `json:"validation,omitempty"` // samples
	Test       int    `json:"test,omitempty"`       // samples
}

// Part is a part of a run that one process trained.
type Part struct {
	Began   time.Time `json:"began"`
	Version string    `json:"version"` // version of the program
	Device  string    `json:"device"`
	Command []string  `json:"command,omitempty"` // the command line
	Resumed *Place    `json:"resumed,omitempty"` // where it was resumed; nil for the beginning
}

// Place is a place in a run.
type Place struct {
	Epoch int `json:"epoch"` // epochs completed
	Step  int `json:"step"`  // steps done in the epoch after these
}

// Write writes recipe.json, whole or not at all. If the record's last part was resumed,
// the parts in the existing file are kept before it.
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

// Unsaved returns the record of a run that ended before its first checkpoint, for example
// by a kill. Such a run can't be resumed. ok is false if the run is not like that, or if
// a process trains it now.
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
			return r, false // it had checkpoints, which were removed
		}
	}
	return r, !InTraining(dir)
}

// ReadRecord reads a run's recipe.json. If there is none, the error wraps fs.ErrNotExist.
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
