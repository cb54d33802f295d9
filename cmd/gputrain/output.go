package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

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
		if isStandardOutput(path) {
			path = standardOutput
			if err := c.Set(flag, path); err != nil {
				return err
			}
		}
		switch {
		case path == "":
			continue
		case path != standardOutput:
			if err := checkOutput(c, flag, path); err != nil {
				return err
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

// isStandardOutput reports whether a path is one of the system's names for standard
// output.
func isStandardOutput(path string) bool {
	return runtime.GOOS != "windows" && slices.Contains([]string{"/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"}, filepath.Clean(path))
}

// checkOutput returns an error if a file can't be written because of its folder, or if
// its name ends like one of another format than that of the flag.
func checkOutput(c *cli.Context, flag, path string) error {
	if dir := filepath.Dir(path); !isFolder(dir) {
		return fmt.Errorf("--%s %s: there is no folder %s", flag, path, dir)
	}
	if isFolder(path) {
		return fmt.Errorf("--%s %s: a folder, want a file in it", flag, path)
	}
	target, err := replacefile.Target(path)
	var system *fs.PathError
	if errors.As(err, &system) {
		return fmt.Errorf("--%s %s: %w", flag, path, system.Err)
	}
	if dir := filepath.Dir(target); !isFolder(dir) {
		return fmt.Errorf("--%s %s: a link to %s, but there is no folder %s", flag, path, target, dir)
	}
	ending := strings.ToLower(filepath.Ext(path))
	if suitable := endingsOf(c, flag); suitable == nil || writes(c, flag, path) || !slices.Contains(knownEndings, ending) || replacefile.IsStream(path) {
		return nil
	} else if c.Command.Name != "export" { // which has several formats
		return usagef("--%s %s: it writes no %s file; let the name end in %s", flag, path, ending, suitable[0])
	}
	return nil
}

// knownEndings are ends of file names that stand for a format.
var knownEndings = strings.Fields(".html .htm .svg .png .jpg .jpeg .gif .webp .bmp .tif .tiff .pdf .csv .tsv .json .jsonl .txt .md .doc .docx .xls .xlsx .zip .onnx .safetensors")

// endingsOf returns how names of files end that a flag writes, the usual one first. It
// returns nil if they may end in any way.
func endingsOf(c *cli.Context, flag string) []string {
	switch {
	case flag == "output" && c.Command.Name == "export":
		return []string{"." + formatONNX, "." + formatSafetensors}
	case flag == "output" && c.Command.Name == "report", flag == "html":
		return []string{".html", ".htm"}
	case flag == "svg", flag == "png":
		return []string{"." + flag}
	case flag == "csv":
		return []string{".csv", ".txt"}
	}
	return nil
}

// writes reports whether a path ends like the files that a flag of the command writes.
func writes(c *cli.Context, flag, path string) bool {
	return slices.Contains(endingsOf(c, flag), strings.ToLower(filepath.Ext(path)))
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
