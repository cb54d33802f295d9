package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/internal/replacefile"
)

// standardOutput is the name that stands for standard output where a file name is
// expected.
const standardOutput = "-"

// takeOutputs checks the files that flags name, before anything takes time. Their
// folders must exist, and at most one file may be standard output. If one is, texts
// for people go to standard error instead.
func (a *app) takeOutputs(c *cli.Context, flags ...string) error {
	taken := ""
	for _, flag := range flags {
		path := c.String(flag)
		switch {
		case path == "":
			continue
		case path != standardOutput:
			if dir := filepath.Dir(path); !isFolder(dir) {
				return fmt.Errorf("--%s %s: there is no folder %s", flag, path, dir)
			}
			if isFolder(path) {
				return fmt.Errorf("--%s %s: a folder, want a file in it", flag, path)
			}
			continue
		case a.stdout.terminal:
			return usagef("--%s -: standard output is a terminal; send it to a file or a program (> FILE, | PROGRAM)", flag)
		}
		for _, other := range []string{taken, "json", "csv"} {
			if on, isSwitch := c.Value(other).(bool); other != "" && (other == taken || isSwitch && on) {
				return usagef("--%s - and --%s both want standard output", flag, other)
			}
		}
		taken = flag
		a.out = a.err
	}
	return nil
}

// isFolder reports whether there is a folder at a path.
func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// writeOutput writes a file whole or not at all, or writes to standard output if path
// says so. It returns how many bytes it wrote.
func (a *app) writeOutput(path string, write func(io.Writer) error) (size int64, err error) {
	counted := func(w io.Writer) error {
		n := &countWriter{w: w}
		defer func() { size = n.n }()
		return write(n)
	}
	if path == standardOutput {
		return size, counted(a.stdout)
	}
	err = replacefile.Write(path, counted)
	switch system := (*fs.PathError)(nil); {
	case err == nil:
	case errors.Is(err, fs.ErrPermission):
		err = fmt.Errorf("%s: no permission to write it", path)
	case errors.As(err, &system):
		err = fmt.Errorf("%s: %w", path, system.Err) // its text names the file again, or a temporary one
	default:
		err = fmt.Errorf("%s: %w", path, err)
	}
	return size, err
}

// outputName returns how messages call a file that was written.
func outputName(path string) string {
	if path == standardOutput {
		return "standard output"
	}
	return path
}

// countWriter counts the bytes that are written through it.
type countWriter struct {
	w io.Writer
	n int64
}

func (w *countWriter) Write(b []byte) (int, error) {
	n, err := w.w.Write(b)
	w.n += int64(n)
	return n, err
}
