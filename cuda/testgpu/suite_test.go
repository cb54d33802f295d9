package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// machines are what `gputrain devices --json` says of them, and how they are refused.
var machines = map[string]struct{ json, refusal string }{
	"none": {`{"available":false,"note":"no NVIDIA driver","libraries":[{"library":"CUDA driver","problem":"none","to_do":"install it"}]}`,
		"there is no GPU to test: no NVIDIA driver; CUDA driver: install it; docs/gpu.md says more"},
	"no GPU":    {`{"available":false,"note":"no GPU (100)","to_do":"nvidia-smi has to list it"}`, "there is no GPU to test: no GPU (100); nvidia-smi has to list it"},
	"simulated": {`{"available":true,"gpus":[{"name":"NVIDIA A100 (simulated)","simulated":true}]}`, "is software that simulates a GPU"},
	"old": {`{"available":true,"gpus":[{"name":"K80","problem":"too old"},{"name":"T4"}]}`,
		"GPU 0, K80: too old; CUDA_VISIBLE_DEVICES chooses another one"},
	"good": {`{"available":true,"gpus":[{"name":"NVIDIA H100","compute_capability":"9.0","memory":85899345920}],"libraries":[
		{"library":"CUDA driver","version":"12.4"}]}`, ""},
}

// TestMachinesAreRefused runs the steps up to the GPU's with a program in gputrain's place.
func TestMachinesAreRefused(t *testing.T) {
	for name, m := range machines {
		t.Run(name, func(t *testing.T) {
			s := &suite{programs: t.TempDir(), scratch: t.TempDir(), built: true, size: full}
			script := "#!/bin/sh\ncat <<'E'\n" + m.json + "\nE\n"
			if err := os.WriteFile(filepath.Join(s.programs, product), []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
			steps := s.steps()
			gpu := slices.IndexFunc(steps, func(s step) bool { return s.name == "gpu" })
			text, err := runSteps(t, context.Background(), false, steps[:gpu+1]...)
			if (err == nil) != (m.refusal == "") || !strings.Contains(text, m.refusal) {
				t.Errorf("%v, and no %q in\n%s", err, m.refusal, text)
			}
			if m.refusal == "" && !strings.Contains(text, "NVIDIA H100, compute capability 9.0, 80.0 GiB") {
				t.Errorf("the GPU isn't named:\n%s", text)
			}
		})
	}
}

// TestFoldersWithGPUTests finds the tests that can run on a GPU: those that start the simulator elsewhere.
func TestFoldersWithGPUTests(t *testing.T) {
	root, err := moduleRoot()
	if err != nil {
		t.Skipf("the tests' sources are not here: %v", err)
	}
	found, err := exec.Command("git", "-C", root, "grep", "-l", `"github.com/gputrain/gputrain/cuda/sim"`, "--", "*_test.go").Output()
	if err != nil {
		t.Skipf("no git: %v", err)
	}
	for _, file := range strings.Fields(string(found)) {
		folder := filepath.ToSlash(filepath.Dir(file))
		// This package's test and the command's run programs on the simulator; so do benches, which count its work.
		if testPrograms[folder] == "" && !slices.Contains([]string{"cuda/testgpu", "cmd/gputrain", "bench"}, folder) {
			t.Errorf("the tests in %s use cuda/sim and don't run on a GPU", folder)
		}
	}
}

func TestCountTests(t *testing.T) {
	const out = `=== RUN   TestA
=== RUN   TestA/x
    a_test.go:1: only the simulated machine has counters
=== RUN   TestA/y
--- PASS: TestA (0.00s)
    --- SKIP: TestA/x (0.00s)
    --- PASS: TestA/y (0.00s)
=== RUN   TestB
    b_test.go:7: first
    b_test.go:8: wrong
--- FAIL: TestB (0.00s)
`
	n := countTests(out)
	if got, want := n.String(), "2 tests passed, 1 failed, 1 skipped (1: only the simulated machine has counters)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := n.check(); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{
		"", "ok", strings.ReplaceAll(out, "only the simulated machine has counters", "not in the mood"),
		"--- PASS: TestA (0.00s)\n--- SKIP: TestB (0.00s)\n",
	} {
		if err := countTests(bad).check(); err == nil {
			t.Errorf("taken: %q", bad)
		}
	}
}

// checkpoint writes a safetensors file.
func checkpoint(t *testing.T, header, values string) string {
	t.Helper()
	all := append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header+values...)
	file := filepath.Join(t.TempDir(), "last.safetensors")
	if err := os.WriteFile(file, all, 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestCompare(t *testing.T) {
	const tensor = `"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}`
	a := checkpoint(t, `{"__metadata__":{"seconds":"1"},`+tensor+`}`, "abcd")
	if _, err := compare(a, checkpoint(t, `{`+tensor+`,"__metadata__":{"seconds":"2"}}`, "abcd")); err != nil {
		t.Error(err)
	}
	for name, other := range map[string]string{
		"values": checkpoint(t, `{`+tensor+`}`, "abce"),
		"names":  checkpoint(t, `{`+strings.Replace(tensor, "w", "v", 1)+`}`, "abcd"),
		"empty":  checkpoint(t, `{}`, ""),
		"no":     filepath.Join(t.TempDir(), "none"),
	} {
		if _, err := compare(a, other); err == nil {
			t.Errorf("other %s are taken for the same", name)
		}
	}
	short := filepath.Join(t.TempDir(), "short")
	if err := os.WriteFile(short, bytes.Repeat([]byte{255}, 9), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := compare(short, short); err == nil {
		t.Error("a file that is cut off is taken")
	}
}

func TestSpeedAndSummary(t *testing.T) {
	const out = "Epoch: 1  cost = 0.4  test accuracy: 0.93  (validation 0.94, 9 images/s)\n" +
		"Epoch: 2  cost = 0.2  test accuracy: 0.95  (validation 0.96, 51234 images/s)\n"
	if got := lastSpeed(out); got != "51234" {
		t.Errorf("the speed is %q", got)
	}
	if got := lastSpeed(""); got != "unknown" {
		t.Errorf("without epochs the speed is %q", got)
	}
	const steps = "BenchmarkStep/tutorial/fp32/50/fused-16 \t 1000\t 250000 ns/op\t 200000 images/s\n" +
		"BenchmarkStep/tutorial/fp32/50/cudnn-16 \t 1000\t 500000 ns/op\t 1.0e+05 images/s\n" +
		"BenchmarkStep/tutorial/fp32/50/one_stream-16 \t 1\t 5 ns/op\t 7 images/s\nBenchmarkStep/resnet20/tf32/128/fused \t 7\t 9 ns/op\t 3 images/s\n" +
		"BenchmarkStep/tutorial/bf16/50/cudnn \t 7\t 9 ns/op\t 4 images/s\n"
	if got, err := speeds(steps); err != nil || got != "tutorial, fp32, batch 50: 200000 images/s (cudnn 100000) (one_stream 7); resnet20, tf32, batch 128: 3 images/s" {
		t.Errorf("the speeds are %q, %v", got, err)
	}
	if _, err := speeds("PASS"); err == nil {
		t.Error("a run without steps has speeds")
	}
	if got, err := sanitizerSummary("=== ERROR SUMMARY: 0 errors"); err != nil || got != "ERROR SUMMARY: 0 errors" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := sanitizerSummary("ok"); err == nil {
		t.Error("no summary is taken")
	}
}

func TestWheelFolders(t *testing.T) {
	empty, full := t.TempDir(), t.TempDir()
	want := []string{}
	for _, file := range []string{"cudnn/lib/libcudnn.so.9", "cu13/lib/libcublas.so.13", "nccl/lib/libnccl.so.2", "other/lib/libother.so.2"} {
		path := filepath.Join(full, "nvidia", file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(file, "other") {
			want = append(want, filepath.Dir(path))
		}
	}
	if got := wheelFoldersIn([]string{empty, full}); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := wheelFoldersIn([]string{empty}); got != nil {
		t.Errorf("an empty folder gives %q", got)
	}
}
