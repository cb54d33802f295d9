package main

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/cpu"
	"github.com/gputrain/gputrain/net"
)

// wideModel has so large values between its layers that the CPU takes it in
// small batches only.
const wideModel = `{"name": "wide", "input": {"channels": 1, "height": 28, "width": 28}, "layers": [
	{"type": "conv", "filters": 12000, "kernel": 1}, {"type": "pool", "mode": "max", "kernel": 28}, {"type": "flatten"},
	{"type": "dense", "units": 10}]}`

// TestEvalBatch checks that a network is evaluated in batches no larger than it
// was trained in, and what is said where those are too large too.
func TestEvalBatch(t *testing.T) {
	inFolder(t)
	network, err := net.ParseNetwork(strings.NewReader(wideModel))
	if err != nil {
		t.Fatal(err)
	}
	device, err := cpu.New(cpu.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	program, err := device.Compile(network, net.Options{Batch: 1, Optimizer: net.SGDDefault(0)})
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	state, err := program.State()
	if err != nil {
		t.Fatal(err)
	}
	recipe := net.Recipes()[0]
	ended, cancel := context.WithCancel(t.Context())
	cancel() // a look at the first batch would take long
	for _, c := range []struct {
		batch int
		want  string
	}{
		{1, "gputrain: interrupted\n"},
		{250, "gputrain: cpu: "},
	} {
		recipe.Batch = c.batch
		checkpoint := &net.Checkpoint{Network: network, Recipe: recipe.Recipe, Train: testDigits(t).ID(), State: state}
		if err := net.SaveCheckpoint("wide.safetensors", checkpoint); err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		status := run(ended, []string{"gputrain", "eval", "--device", "cpu", "--run", "wide.safetensors"}, nil, &out, &errs)
		if status != exitFailed || !strings.HasPrefix(errs.String(), c.want) || strings.Count(errs.String(), "\n") != 1 {
			t.Errorf("trained in batches of %d: status %d, %q; want %q", c.batch, status, errs.String(), c.want)
		}
	}
}

// TestPredictNamesRun: who names no checkpoint is told which one answered.
func TestPredictNamesRun(t *testing.T) {
	inFolder(t)
	must(t, quick("--epochs", "1")...)
	want := "Checkpoint  " + filepath.Join(runsFolder, "run-1") + ": quick at epoch 1\n\ntest:0: "
	if out := must(t, "predict", "test:0"); !strings.HasPrefix(out, want) {
		t.Errorf("got\n%swant\n%s", out, want)
	}
	if out := must(t, "predict", "test:0", "--run", "run-1"); !strings.HasPrefix(out, "test:0: ") {
		t.Errorf("a checkpoint that was named is named again:\n%s", out)
	}
}
