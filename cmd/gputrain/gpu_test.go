package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/net"
)

// onGPU is a program that says of itself what one on a GPU does.
type onGPU struct {
	net.Program
	stats      cuda.Statistics
	graphError error
}

func (p *onGPU) Statistics() cuda.Statistics { return p.stats }
func (p *onGPU) GraphError() error           { return p.graphError }

var someStatistics = cuda.Statistics{
	Memory: cuda.MemoryStats{
		InUse: 36_400_000, Peak: 304_000_000, Reserved: 335_544_320, Limit: 512_000_000, Allocations: 3, Lent: 90, Planned: 12_300_000,
	},
	Workspace: 1_228_800,
	Convolutions: []cuda.Choice{
		{Layer: "conv1", Direction: "forward", Batch: 50, Algorithm: "implicit precomp GEMM", Workspace: 1_228_800, Chosen: cuda.Measured, Milliseconds: 0.0123},
		{Layer: "conv1", Direction: "backward filter", Batch: 50, Algorithm: "1", Chosen: cuda.Heuristic},
		{Layer: "conv2", Direction: "forward", Batch: 50, Algorithm: "Winograd nonfused", Workspace: 999, Chosen: cuda.Measured, Milliseconds: 12.5, Dropped: 2},
	},
	Graphs: cuda.GraphStats{Captured: 4, Nodes: 23},
}

// TestDescribeChoices leaves out what nobody chose.
func TestDescribeChoices(t *testing.T) {
	ours := cuda.Choice{Layer: "conv1", Direction: "forward", Batch: 50, Chosen: cuda.Fused}
	theirs := cuda.Choice{Layer: "conv2", Direction: "forward", Batch: 128, Chosen: cuda.Measured}
	for want, choices := range map[string][]cuda.Choice{
		"our own":                            {ours, ours},
		"for batch 128, chosen by measuring": {ours, theirs},
	} {
		if got := describeChoices(choices); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestPrintGPU reads what --verbose tells, on a terminal.
func TestPrintGPU(t *testing.T) {
	failed, off, few, inference := someStatistics, cuda.Statistics{}, cuda.Statistics{}, cuda.Statistics{}
	failed.Graphs = cuda.GraphStats{Error: "cuStreamBeginCapture: CUDA_ERROR_UNKNOWN (999)\nand more"}
	off.Graphs.Off = true
	inference.Graphs.Captured = 2
	inference.CacheError = "measured algorithms can't be kept: mkdir /home/someone/.cache/gputrain: permission denied"
	inference.Convolutions = []cuda.Choice{{Layer: "first", Direction: "forward", Batch: 250, Algorithm: "FFT", Chosen: cuda.Cached}}
	var out bytes.Buffer
	a := &app{out: newStream(&out, nil)}
	a.out.terminal = true
	for _, s := range []*cuda.Statistics{&someStatistics, &failed, &off, &few, &inference, nil} {
		a.printGPU(s)
	}
	golden(t, "verbose", out.String())
	for _, line := range strings.Split(out.String(), "\n") {
		if len(line) > 80 {
			t.Errorf("line of %d characters: %s", len(line), line)
		}
	}
	text, err := json.MarshalIndent(someStatistics, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "verbose-json", string(text)+"\n")
}

// TestCaptureWatch wants a capture that failed told once, below the progress bar's line.
func TestCaptureWatch(t *testing.T) {
	var errs bytes.Buffer
	a := &app{err: newStream(&errs, nil)}
	cleared := 0
	w := captureWatch{app: a, clear: func() { cleared++ }}
	p := &onGPU{}
	w.look(p)
	w.look(trainedModel(t).program) // of the CPU
	if errs.Len() > 0 || cleared > 0 {
		t.Errorf("nothing failed, and it says %q", errs.String())
	}
	p.graphError = errors.New("cuStreamBeginCapture: no\nmore")
	w.look(p)
	w.look(p)
	want := "gputrain: slower than it could be: the GPU runs kernel by kernel, as its work can't be captured as a graph: " +
		"cuStreamBeginCapture: no; more\n"
	if errs.String() != want || cleared != 1 {
		t.Errorf("it says %q (the bar cleared %d times), want %q", errs.String(), cleared, want)
	}
}

// TestGPUOptions reads sizes.
func TestGPUOptions(t *testing.T) {
	for text, want := range map[string]int64{"512MB": 512_000_000, "2GiB": 2 << 30, "1.5 kb": 1500, "4096": 4096} {
		set := flag.NewFlagSet("", flag.ContinueOnError)
		for _, f := range deviceFlags() {
			if err := f.Apply(set); err != nil {
				t.Fatal(err)
			}
		}
		if err := set.Parse([]string{"--memory-limit", text, "--workspace", text}); err != nil {
			t.Fatal(err)
		}
		o, err := gpuOptions(cli.NewContext(nil, set, nil))
		if err != nil || o.MemoryLimit != want || o.Workspace != want {
			t.Errorf("%s: limits of %d and %d bytes, want %d (%v)", text, o.MemoryLimit, o.Workspace, want, err)
		}
	}
}

func TestCacheFolder(t *testing.T) {
	home := t.TempDir()
	for _, name := range []string{"HOME", "XDG_CACHE_HOME", "LocalAppData"} { // Linux and macOS, Linux, Windows
		t.Setenv(name, home)
	}
	user, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	here, err := filepath.Abs("here")
	if err != nil {
		t.Fatal(err)
	}
	for flag, want := range map[string]string{"": filepath.Join(user, "gputrain", "algorithms"), "off": "", "here": here, here: here} {
		if got, err := cacheFolder(flag); got != want || err != nil {
			t.Errorf("--algorithm-cache %q is %q (%v), want %q", flag, got, err, want)
		}
	}
	for _, name := range []string{"HOME", "XDG_CACHE_HOME", "LocalAppData"} {
		t.Setenv(name, "")
	}
	if got, err := cacheFolder(""); got != "" || err != nil {
		t.Errorf("without a user's cache it is %q (%v)", got, err)
	}
}

// TestVerboseElsewhere wants nothing more told of a device that isn't a GPU.
func TestVerboseElsewhere(t *testing.T) {
	inFolder(t)
	out := must(t, quick("--epochs", "1", "--device", "cpu", "-v", "--workspace", "1MB")...)
	if strings.Contains(out, "GPU") || !strings.Contains(out, "Device  cpu (") {
		t.Errorf("--verbose on the CPU:\n%s", out)
	}
}
