package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/cpu"
	"github.com/gputrain/gputrain/internal/elsewhere"
	"github.com/gputrain/gputrain/internal/regularfile"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/serve"
)

// folderFormats are the formats of export that are a folder of files.
var folderFormats = []string{formatGo, formatPage}

// exportFormats are all formats of export.
var exportFormats = append([]string{formatONNX, formatSafetensors}, folderFormats...)

// exportFolder writes a trained network as a folder.
func (a *app) exportFolder(c *cli.Context, named, format string) error {
	for _, flag := range []string{"logits", "layout", "labels", "quantize", "calibrate"} {
		if a.given(c, flag) {
			return usagef("--%s is not for --format %s", flag, format)
		}
	}
	if c.IsSet("package") && format != formatGo {
		return usagef("--package is for --format %s", formatGo)
	}
	dir := c.String("output")
	switch {
	case writes(c, "output", dir):
		return usagef("--format %s and --output %s contradict each other: name a folder", format, dir)
	case dir == "":
		return usagef("--format %s writes a folder: name it with --output DIR", format)
	case dir == standardOutput || isStandardOutput(dir):
		return usagef("--format %s writes a folder, which standard output can't take: name it with --output DIR", format)
	case !isFolder(dir) && !isFolder(filepath.Dir(filepath.Clean(dir))):
		return fmt.Errorf("--output %s: there is no folder %s", dir, filepath.Dir(filepath.Clean(dir)))
	}
	if _, err := os.Stat(dir); err == nil && !isFolder(dir) {
		return fmt.Errorf("--output %s: a file, want a folder", dir)
	}
	checkpoint, path, err := loadRun(c, named, "--run RUN")
	if err != nil {
		return err
	}
	var o serve.Options
	if err := a.subjectOptions(c, &o, checkpoint, path); err != nil {
		return err
	}
	if c.Bool("no-examples") {
		o.Examples = nil
	}
	m, err := elsewhere.NewModel(checkpoint, o.ClassNames)
	if err != nil {
		return err
	}
	var files map[string][]byte
	mark := elsewhere.PageMark
	if format == formatGo {
		mark = elsewhere.GoMark
		files, err = goPackage(c, m, checkpoint, o.Examples, dir)
	} else {
		files, err = elsewhere.Page(checkpoint, o)
	}
	if err != nil {
		return err
	}
	size, err := a.writeFolder(dir, mark, files)
	if err != nil {
		return err
	}
	err = a.tellExported(c, exported{File: dir, Format: format, From: path, Network: checkpoint.Network.Name, Weights: m.Plan.Parameters(), Bytes: size})
	if err != nil || c.Bool("json") {
		return err
	}
	try := "open " + quoted(filepath.Join(dir, elsewhere.PageMark.File)) + " in a browser"
	if format == formatGo {
		try = "go -C " + quoted(dir) + " test"
	}
	_, err = fmt.Fprintf(a.out, "Try it: %s\n", try)
	return err
}

// goPackage returns the files of a Go package for a folder.
func goPackage(c *cli.Context, m *elsewhere.Model, checkpoint *net.Checkpoint, examples *net.Dataset, dir string) (map[string][]byte, error) {
	full, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	name := c.String("package")
	if name == "" {
		if name, err = elsewhere.PackageName(filepath.Base(full)); err != nil {
			return nil, fmt.Errorf("--output %s: %w: give one with --package", dir, err)
		}
	} else if err := elsewhere.CheckPackageName(name); err != nil {
		return nil, usagef("--package: %v", err)
	}
	const most = 3
	samples, err := m.Samples(examples, most)
	if err != nil {
		return nil, err
	}
	probabilities, err := onCPU(checkpoint, m.Plan, samples)
	if err != nil {
		return nil, err
	}
	files, err := m.GoPackage(name, samples, probabilities)
	if err == nil && !inModule(full) {
		files["go.mod"] = elsewhere.GoModule(name)
	}
	return files, err
}

// onCPU returns the class probabilities that the CPU device computes for samples.
func onCPU(checkpoint *net.Checkpoint, plan *net.Plan, samples [][]float32) ([][]float32, error) {
	n, err := cpu.NewInferrer(checkpoint, len(samples), cpu.Options{})
	if err != nil {
		return nil, err
	}
	d := &net.Dataset{Name: "samples", Shape: plan.Network.Input, Classes: plan.Classes, Values: slices.Concat(samples...), Labels: make([]int32, len(samples))}
	var indices []int32
	for i := range samples {
		indices = append(indices, int32(i))
	}
	rows, err := net.Probabilities(n, net.Batch{Data: d, Indices: indices})
	return rows, errors.Join(err, n.Close())
}

// inModule reports whether a folder, which need not exist, lies in a Go module.
func inModule(dir string) bool {
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return true
		}
		up := filepath.Dir(dir)
		if up == dir {
			return false
		}
		dir = up
	}
}

// writeFolder writes files into a folder, which it makes. Files that are there are replaced if the one called mark.File is
// there and has mark.Text: then all are of an earlier export. Otherwise that is an error. If a file can't be written, none is
// replaced. It returns the sum of the files' sizes.
func (a *app) writeFolder(dir string, mark elsewhere.Mark, files map[string][]byte) (size int64, err error) {
	first, missing := regularfile.Read(filepath.Join(dir, mark.File))
	ours := missing == nil && bytes.Contains(first, []byte(mark.Text))
	// The one with the mark is the last here, and so the first in its place: what was interrupted is known again.
	names := slices.SortedFunc(maps.Keys(files), func(x, y string) int {
		switch {
		case x == mark.File:
			return 1
		case y == mark.File:
			return -1
		}
		return bytes.Compare([]byte(x), []byte(y))
	})
	for _, name := range names {
		path := filepath.Join(dir, filepath.FromSlash(name))
		switch _, err := os.Lstat(path); {
		case err == nil && !ours:
			return 0, fmt.Errorf("%s is there, and not from an export: write to another folder with --output", quoted(path))
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return 0, err
		}
	}
	var made []string // folders
	for _, name := range names {
		if err == nil {
			err = makeFolder(filepath.Dir(filepath.Join(dir, filepath.FromSlash(name))), &made)
		}
	}
	if err == nil {
		err = a.writeAll(dir, names, files)
	}
	if err != nil {
		for _, folder := range slices.Backward(made) {
			_ = os.Remove(folder) // fails unless it is empty
		}
		return 0, err
	}
	for _, b := range files {
		size += int64(len(b))
	}
	return size, nil
}

// makeFolder makes a folder and those above it, and appends those that weren't there.
func makeFolder(dir string, made *[]string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	if up := filepath.Dir(dir); up != dir {
		if err := makeFolder(up, made); err != nil {
			return err
		}
	}
	err := os.Mkdir(dir, 0o777)
	if err == nil {
		*made = append(*made, dir)
	}
	return err
}

// writeAll writes the files that are named into a folder. They come into their places once all are written, the last one first.
func (a *app) writeAll(dir string, names []string, files map[string][]byte) error {
	if len(names) == 0 {
		return nil
	}
	path := filepath.Join(dir, filepath.FromSlash(names[0]))
	var others error
	_, err := a.writeOutput(path, func(w io.Writer) error {
		if _, err := w.Write(files[names[0]]); err != nil {
			return err
		}
		others = a.writeAll(dir, names[1:], files)
		return others
	})
	if others != nil {
		return others
	}
	return err
}
