//go:build cuda

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gputrain/gputrain/cuda/driver"
	"github.com/gputrain/gputrain/cuda/sim"
	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
)

// gpuModel is a small network with batch normalisation and dropout.
const gpuModel = `{"name": "small", "input": {"channels": 1, "height": 28, "width": 28}, "layers": [
	{"type": "conv", "filters": 4, "kernel": 3, "stride": 2, "padding": "same"}, {"type": "batchnorm"}, {"type": "activation", "func": "relu"},
	{"type": "pool", "kernel": 2}, {"type": "flatten"}, {"type": "dropout", "rate": 0.2}, {"type": "dense", "units": 10}]}`

// gpuFlags are for a run of a few seconds on simulated GPUs.
var gpuFlags = []string{"train", "--model", "small.json", "--limit", "60", "--epochs", "3", "--batch", "8", "--optimizer", "sgd", "--lr", "0.01",
	"--augment", "light", "--precision", "fp32", "--deterministic", "--checkpoint-every", "3", "--run", "group"}

// onSimulated returns a command that runs gputrain on so many simulated GPUs, in a folder with the model.
func onSimulated(t *testing.T, ctx context.Context, dir string, gpus int, args ...string) *exec.Cmd {
	t.Helper()
	libraries := sim.Libraries(t)
	write(t, filepath.Join(dir, "small.json"), gpuModel)
	cmd := exec.CommandContext(ctx, program(t), args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), driver.SearchVariable+"="+libraries, fmt.Sprint("GPUTRAIN_SIM=devices=", gpus))
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// startsProcesses builds what a test starts, before its time runs. With -short it skips the test.
func startsProcesses(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("it starts processes, which -short leaves to the long run")
	}
	program(t)
	sim.Libraries(t)
}

// TestAllGPUs: one command trains on all GPUs of the machine, as on one.
func TestAllGPUs(t *testing.T) {
	startsProcesses(t)
	weights := func(gpus int, device string) ([]float32, string) {
		dir := t.TempDir()
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		out, err := onSimulated(t, ctx, dir, gpus, append(slices.Clone(gpuFlags), "--device", device)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if left := membersOf(t, dir); len(left) > 0 {
			t.Errorf("processes are left over: %v", left)
		}
		return loadedWeights(t, filepath.Join(dir, "runs", "group", net.LastCheckpoint)), string(out)
	}
	one, _ := weights(1, "cuda")
	all, out := weights(3, allGPUs)
	approx.Check(t, "weights of three GPUs", all, one, approx.Tolerance{Abs: 1e-4})
	if !strings.HasPrefix(out, "Device  3 x cuda (") || !strings.Contains(out, "connected by NCCL 2.21.3\n") || strings.Count(out, "Final test accuracy") != 1 {
		t.Errorf("the output is\n%s", out)
	}
	if single, out := weights(1, allGPUs); !slices.Equal(single, one) || !strings.HasPrefix(out, "Device  cuda:0 (") {
		t.Errorf("with one GPU, %s is another device, or gives other weights:\n%s", allGPUs, out)
	}
}

// TestGPUsByHand: where a launcher starts one process on each of two machines, each of them starts those for its other GPUs.
func TestGPUsByHand(t *testing.T) {
	startsProcesses(t)
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var all []*exec.Cmd
	var outs [2]strings.Builder
	for machine := range outs {
		cmd := onSimulated(t, ctx, dir, 2, append(slices.Clone(gpuFlags), "--device", allGPUs)...)
		cmd.Env = append(cmd.Env, fmt.Sprint("RANK=", machine), "WORLD_SIZE=2", "MASTER_ADDR=127.0.0.1", "MASTER_PORT=29931")
		cmd.Stdout, cmd.Stderr = &outs[machine], &outs[machine]
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		all = append(all, cmd)
	}
	for machine, cmd := range all {
		if err := cmd.Wait(); err != nil || strings.HasPrefix(outs[machine].String(), "Device  4 x cuda (") != (machine == 0) || machine > 0 && outs[machine].Len() > 0 {
			t.Errorf("machine %d: %v\n%s", machine, err, outs[machine].String())
		}
	}
	alone := t.TempDir()
	if out, err := onSimulated(t, ctx, alone, 1, append(slices.Clone(gpuFlags), "--device", "cuda")...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	last := filepath.Join("runs", "group", net.LastCheckpoint)
	approx.Check(t, "weights", loadedWeights(t, filepath.Join(dir, last)), loadedWeights(t, filepath.Join(alone, last)), approx.Tolerance{Abs: 1e-4})
}

// TestAllGPUsKilled: as TestGroupKilled, on GPUs.
func TestAllGPUsKilled(t *testing.T) {
	startsProcesses(t)
	flags := append(slices.Clone(gpuFlags), "--device", allGPUs)
	resume := []string{"train", "--resume", "group", "--deterministic", "--precision", "fp32", "--device", allGPUs}
	survives(t, flags, resume, func(ctx context.Context, dir string, args []string) *exec.Cmd {
		return onSimulated(t, ctx, dir, 3, args...)
	})
}

// TestAllGPUsErrors: an error is told once, with an exit status, and no process is left.
func TestAllGPUsErrors(t *testing.T) {
	startsProcesses(t)
	for _, c := range []struct {
		args, env []string
		want      string
		each      bool // each process has its own error
	}{
		{[]string{"--device", allGPUs, "--data", "nothing"}, nil, "nothing", false},
		{[]string{"--device", allGPUs}, []string{"GPUTRAIN_SIM=devices=2,memory=1M"}, "out of GPU memory", false},
		{[]string{"--device", allGPUs}, []string{"GPUTRAIN_SIM=devices=2,fault=ncclCommInitRank@1=2"}, "ncclSystemError (2)", true},
		{[]string{"--device", "cuda:1"}, []string{"RANK=0", "WORLD_SIZE=1", "LOCAL_RANK=0"}, "", false},
	} {
		dir := t.TempDir()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		cmd := onSimulated(t, ctx, dir, 2, append(slices.Clone(gpuFlags), c.args...)...)
		cmd.Env = append(cmd.Env, c.env...)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		switch {
		case c.want == "" && err == nil:
		case !errors.As(err, &exit) || ctx.Err() != nil || !c.each && strings.Count(string(out), "gputrain: ") != 1 || !strings.Contains(string(out), c.want):
			t.Errorf("%v %v: %v, want one error with %q:\n%s", c.args, c.env, err, c.want, out)
		}
		cancel()
		if left := membersOf(t, dir); len(left) > 0 {
			t.Errorf("%v: processes are left over: %v", c.args, left)
		}
	}
}
