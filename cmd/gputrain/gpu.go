package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/net"
)

// verboseFlag returns the flag of commands that can tell how they used a GPU.
func verboseFlag() cli.Flag {
	return &cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, EnvVars: env("verbose"), Usage: "tell of a GPU's memory, graphs and algorithms too"}
}

// sizeOf reads a flag's size in bytes. It is 0 if the flag isn't set.
func sizeOf(c *cli.Context, flag string) (int64, error) {
	text := c.String(flag)
	if text == "" && !c.IsSet(flag) {
		return 0, nil
	}
	n, err := humanize.ParseBytes(text)
	if err != nil || n < 1 || n > math.MaxInt64 {
		return 0, usagef("--%s: %q is not a size such as 512MB, 2GiB or 1000000 (bytes)", flag, text)
	}
	return int64(n), nil
}

// cacheFolder returns the folder that --algorithm-cache names. It is "" if nothing should be stored, or if nothing can
// be, because the user has no cache folder.
func cacheFolder(flag string) (string, error) {
	switch flag {
	case "off":
		return "", nil
	case "":
		dir, err := os.UserCacheDir()
		if err != nil {
			return "", nil
		}
		return filepath.Join(dir, "gputrain", "algorithms"), nil
	}
	dir, err := filepath.Abs(flag)
	if err != nil {
		return "", fmt.Errorf("--algorithm-cache: %w", err)
	}
	return dir, nil
}

// gpuStatistics returns how a program runs on a GPU. It is nil if the program runs on another device.
func gpuStatistics(p net.Program) *cuda.Statistics {
	on, ok := p.(interface{ Statistics() cuda.Statistics })
	if !ok {
		return nil
	}
	s := on.Statistics()
	return &s
}

// captureWatch tells once, on standard error, that a GPU's work can't run as graphs. The work is then right, but
// slower.
type captureWatch struct {
	app   *app
	clear func() // clears the last line of standard error; nil: nothing is there
	told  bool
}

func (w *captureWatch) look(p net.Program) {
	on, ok := p.(interface{ GraphError() error })
	if !ok || w.told || on.GraphError() == nil {
		return
	}
	w.told = true
	if w.clear != nil {
		w.clear()
	}
	fmt.Fprintf(w.app.err, "gputrain: slower than it could be: the GPU runs kernel by kernel, as its work can't be captured as a graph: %s\n",
		oneLine(on.GraphError().Error()))
}

// printGPU prints how a GPU was used, below earlier output. Without a GPU it prints nothing.
func (a *app) printGPU(s *cuda.Statistics) {
	if s == nil {
		return
	}
	fmt.Fprintln(a.out)
	var f facts
	f.add("GPU memory", describeMemory(s.Memory))
	if s.Memory.Planned > 0 {
		f.add("Planning", "saves "+byteSize(s.Memory.Planned)+", as values that never live together share memory")
	}
	f.add("Graphs", describeGraphs(s.Graphs))
	if len(s.Convolutions) > 0 {
		f.add("Workspace", byteSize(s.Workspace)+", which all convolutions share")
		f.add("Algorithms", describeChoices(s.Convolutions))
	}
	if s.CacheError != "" {
		f.add("Note", oneLine(s.CacheError))
	}
	f.write(a.out)
	if len(s.Convolutions) == 0 {
		return
	}
	fmt.Fprintln(a.out)
	t := table{align: "lllrr"}
	t.add("Layer", "Direction", "Algorithm", "Workspace", "Time")
	layer := ""
	for _, c := range s.Convolutions {
		name, workspace, time := c.Layer, "-", "-"
		if name == layer {
			name = ""
		}
		layer = c.Layer
		if c.Workspace > 0 {
			workspace = byteSize(c.Workspace)
		}
		if c.Milliseconds > 0 {
			time = fmt.Sprintf("%.3f ms", c.Milliseconds)
		}
		algorithm := c.Algorithm
		if c.Dropped > 0 {
			algorithm += fmt.Sprintf(" (%d dropped)", c.Dropped)
		}
		t.add(name, c.Direction, algorithm, workspace, time)
	}
	t.write(a.out)
}

func describeMemory(m cuda.MemoryStats) string {
	text := fmt.Sprintf("%s in use, %s at most; %s reserved by %s", byteSize(m.InUse), byteSize(m.Peak), byteSize(m.Reserved),
		counted(m.Allocations, "allocation"))
	if m.Limit > 0 {
		text += ", of " + byteSize(m.Limit) + " allowed"
	}
	return text
}

func describeGraphs(g cuda.GraphStats) string {
	switch {
	case g.Error != "":
		return "none: kernel by kernel, as capturing failed: " + oneLine(g.Error)
	case g.Off:
		return "off: kernel by kernel"
	case g.Captured == 0:
		return "none: too few steps of a kind to capture one"
	case g.Nodes == 0:
		return fmt.Sprintf("%d captured", g.Captured)
	}
	return fmt.Sprintf("%d captured; a training step is one launch of %s", g.Captured, counted(g.Nodes, "node"))
}

// describeChoices tells for which mini-batch algorithms were chosen, and how.
func describeChoices(all []cuda.Choice) string {
	choices := slices.DeleteFunc(slices.Clone(all), func(c cuda.Choice) bool { return c.Chosen == cuda.Fused })
	if len(choices) == 0 {
		return "our own"
	}
	by := map[cuda.Chooser]int{}
	for _, c := range choices {
		by[c.Chosen]++
	}
	var parts []string
	for _, kind := range []struct {
		by   cuda.Chooser
		text string
	}{{cuda.Measured, "chosen by measuring"}, {cuda.Cached, "chosen by measuring in an earlier run"}, {cuda.Heuristic, "chosen by cuDNN's heuristic"}} {
		if n := by[kind.by]; n == len(choices) {
			parts = append(parts, kind.text)
		} else if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, kind.text))
		}
	}
	return fmt.Sprintf("for batch %d, %s", choices[0].Batch, strings.Join(parts, ", "))
}

// byteSize formats a number of bytes, for example 12 MB.
func byteSize(n int64) string { return humanize.Bytes(uint64(max(n, 0))) }
