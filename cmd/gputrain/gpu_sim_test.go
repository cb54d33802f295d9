//go:build cuda

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/bench"
	"github.com/gputrain/gputrain/bench/peers"
	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/cuda/driver"
	"github.com/gputrain/gputrain/cuda/sim"
	"github.com/gputrain/gputrain/internal/approx"
)

// simulate runs a test on the simulated machine, in a process of its own: libraries stay loaded until a process ends, and
// other tests want none.
func simulate(t *testing.T, test func(t *testing.T, m *sim.Machine)) {
	t.Helper()
	if os.Getenv(ownProcess) != "" {
		test(t, sim.Start(t))
		return
	}
	child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	child.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, driver.SearchVariable+"=") }), ownProcess+"=1", env("algorithm-cache")[0]+"="+filepath.Join(t.TempDir(), "cache"))
	out, err := child.CombinedOutput()
	switch {
	case err != nil:
		t.Fatalf("%v:\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("%s", out)
	case !strings.Contains(string(out), "--- PASS: "+t.Name()):
		t.Fatalf("it didn't run:\n%s", out)
	}
}

// smallData writes a small data set and a model with a convolution for it, and returns the command line that trains.
func smallData(t *testing.T, more ...string) []string {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.Mkdir("small", 0o755); err != nil {
		t.Fatal(err)
	}
	for name, n := range map[string]int{"train": 60, "t10k": 4} {
		var images, labels strings.Builder
		images.WriteString("\x00\x00\x08\x03\x00\x00\x00" + string(rune(n)) + "\x00\x00\x00\x08\x00\x00\x00\x08")
		labels.WriteString("\x00\x00\x08\x01\x00\x00\x00" + string(rune(n)))
		for i := range n {
			images.WriteString(strings.Repeat(string(rune(i+1)), 64))
			labels.WriteByte(byte(i % 2))
		}
		write(t, filepath.Join("small", name+"-images-idx3-ubyte"), images.String())
		write(t, filepath.Join("small", name+"-labels-idx1-ubyte"), labels.String())
	}
	write(t, "small.json", `{"name": "small", "input": {"channels": 1, "height": 8, "width": 8}, "layers": [
		{"type": "conv", "filters": 2, "kernel": 3, "padding": "same"}, {"type": "activation", "func": "relu"},
		{"type": "conv", "filters": 2, "kernel": 3}, {"type": "flatten"}, {"type": "dense", "units": 2}]}`)
	args := []string{"train", "--model", "small.json", "--data", "small", "--epochs", "2", "--batch", "10", "--device", "cuda"}
	return append(args, more...)
}

func TestCUDAVerbose(t *testing.T) {
	simulate(t, func(t *testing.T, m *sim.Machine) {
		train := smallData(t)
		out := must(t, append(train, "--verbose", "--memory-limit", "400MB", "--run", "run")...)
		for _, want := range []string{
			"\nGPU memory  ", " reserved by ", ", of 400 MB allowed\nData", "\nPlanning    saves ", " captured; a training step is one launch of ",
			"\nAlgorithms  for batch 10, chosen by measuring\n", "\nconv1  forward          ", "\n       backward filter  ", "\nconv2  forward", "\n       backward data    ",
		} {
			if !strings.Contains(out, want) {
				t.Errorf("train --verbose lacks %q:\n%s", want, out)
			}
		}
		if strings.Count(out, "backward data") != 1 {
			t.Errorf("the first layer's input needs no gradient:\n%s", out)
		}
		if out := must(t, append(train, "--verbose")...); !strings.Contains(out, "\nAlgorithms  for batch 10, chosen by measuring in an earlier run\n") {
			t.Errorf("the second run's algorithms are not the first one's:\n%s", out)
		}
		if out := must(t, append(train, "--algorithm-cache", "off", "-v")...); !strings.Contains(out, "\nAlgorithms  for batch 10, chosen by measuring\n") {
			t.Errorf("--algorithm-cache off:\n%s", out)
		}
		if out := must(t, train...); strings.Contains(out, "GPU memory") || strings.Contains(out, "Graphs") {
			t.Errorf("train without --verbose:\n%s", out)
		}

		var last struct {
			Event string
			cuda.Statistics
		}
		lines := strings.Split(strings.TrimSpace(must(t, append(train, "-v", "--json", "--deterministic", "--workspace", "64kB")...)), "\n")
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
			t.Fatal(err)
		}
		if last.Event != "gpu" || last.Memory.InUse == 0 || last.Graphs.Nodes == 0 || len(last.Convolutions) != 5 {
			t.Errorf("the last line of --json --verbose is %+v", last)
		}
		for _, c := range last.Convolutions {
			if c.Chosen != cuda.Heuristic || c.Workspace > 64_000 {
				t.Errorf("--deterministic --workspace 64kB took %+v", c)
			}
		}

		eval := []string{"eval", "--run", "run", "--data", "small", "--device", "cuda"}
		var result struct{ GPU *cuda.Statistics }
		if err := json.Unmarshal([]byte(must(t, append(eval, "-v", "--json")...)), &result); err != nil {
			t.Fatal(err)
		}
		if result.GPU == nil || result.GPU.Memory.Reserved == 0 {
			t.Errorf("eval --verbose --json has the GPU's statistics %+v", result.GPU)
		}
		if out := must(t, append(eval, "-v")...); !strings.Contains(out, "\n\nGPU memory  ") {
			t.Errorf("eval --verbose:\n%s", out)
		}
		predict := must(t, "predict", "test:0", "--run", "run", "--data", "small", "--device", "cuda", "-v", "--json")
		if !strings.Contains(predict, "\n{\"gpu\":{\"memory\":{\"in_use\":") {
			t.Errorf("predict --verbose --json:\n%s", predict)
		}
		for _, precision := range []string{"fp32", "tf32", "bf16"} {
			verify := must(t, "verify", "--model", "small.json", "--data", "small", "--device", "cuda", "--precision", precision, "-v")
			if !strings.Contains(verify, "PASS") || !strings.Contains(verify, "\nGPU memory  ") {
				t.Errorf("verify --precision %s:\n%s", precision, verify)
			}
		}
		cpu := must(t, "verify", "--model", "small.json", "--data", "small", "--device", "cpu", "--precision", "bf16")
		if !strings.Contains(cpu, "; --precision bf16 is for GPUs\n") {
			t.Errorf("verify --device cpu --precision bf16:\n%s", cpu)
		}
		if o := gputrain(t, append(train, "--memory-limit", "1MB")...); o.status != exitFailed || !strings.Contains(o.errors, "of the limit of 1.0 MB") {
			t.Errorf("--memory-limit 1MB: status %d, %s", o.status, o.errors)
		}
	})
}

// TestCUDACaptureFails wants it told once that steps run kernel by kernel.
func TestCUDACaptureFails(t *testing.T) {
	simulate(t, func(t *testing.T, m *sim.Machine) {
		train := smallData(t)
		const unknown = 999
		for _, args := range [][]string{append(train, "--run", "run"), {"eval", "--run", "run", "--data", "small", "--split", "train", "--device", "cuda"}} {
			m.Set(sim.Fault("cuStreamBeginCapture_v2", 1, unknown))
			o := gputrain(t, args...)
			if o.status != exitOK || strings.Count(o.errors, "slower than it could be") != 1 || !strings.Contains(o.errors, "cuStreamBeginCapture") {
				t.Errorf("gputrain %s: status %d, %s", args[0], o.status, o.errors)
			}
		}
	})
}

// TestCUDABench wants counts of a simulated GPU, beside the CPU's times.
func TestCUDABench(t *testing.T) {
	simulate(t, func(t *testing.T, m *sim.Machine) {
		smallData(t)
		out := must(t, "bench", "--model", "small.json", "--data", "small", "--batch", "10", "--infer-batch", "4", "--repeats", "3", "--repeat-time", "1ms", "--device", "cpu,cuda", "--precision", "fp32")
		for _, want := range []string{"counts, because software simulates this GPU", "\nkernels and library calls a step ", "\nnodes in a training step's graph ", " on it  ", "Training, small\n"} {
			if !strings.Contains(out, want) {
				t.Errorf("bench lacks %q:\n%s", want, out)
			}
		}
		if n := strings.Count(out, "simulated\n"); n != 2 {
			t.Errorf("%d rows without times, want 2:\n%s", n, out)
		}
	})
}

// TestCUDATensorBoard wants the weights of a run to be the same, bit by bit, with
// TensorBoard's files and without: what they show is asked between graph launches.
// TestCUDABenchToAccuracy trains the same on the simulated GPU, after its warm-up, as on the CPU.
func TestCUDABenchToAccuracy(t *testing.T) {
	simulate(t, func(t *testing.T, m *sim.Machine) {
		smallData(t)
		var epochs [][]peers.Epoch
		for _, device := range []string{"cpu", "cuda"} {
			var r bench.AccuracyReport
			// 60 images in mini-batches of 25, so the last one is smaller.
			out := must(t, "bench", "--to-accuracy", "90", "--model", "small.json", "--data", "small", "--epochs", "3", "--batch", "25", "--lr", "0.01", "--average", "0.9", "--views", "mirror",
				"--runs", "1", "--device", device, "--precision", "fp32", "--json")
			if err := json.Unmarshal([]byte(out), &r); err != nil || len(r.Results) != 1 || r.Results[0].Who != device {
				t.Fatalf("%v: %s", err, out)
			}
			epochs = append(epochs, r.Results[0].Runs[0].Epochs)
		}
		for i, cpu := range epochs[0] {
			gpu := epochs[1][i]
			// Both are float32, and sum in orders of their own.
			approx.Check(t, "losses", []float64{gpu.Loss, gpu.Test.Loss}, []float64{cpu.Loss, cpu.Test.Loss}, approx.Tolerance{Rel: 1e-4})
		}
		if m.Counters()["graph launches"] == 0 {
			t.Error("no graph was launched")
		}
	})
}

func TestCUDATensorBoard(t *testing.T) {
	simulate(t, func(t *testing.T, m *sim.Machine) {
		train := append(smallData(t), "--deterministic")
		must(t, append(train, "--run", "watched")...)
		must(t, append(train, "--run", "alone", "--tensorboard=false")...)
		if files, err := filepath.Glob(filepath.Join(runsFolder, "watched", "train", "events.*")); err != nil || len(files) != 1 {
			t.Errorf("event files %v, %v", files, err)
		}
		sameWeights(t, filepath.Join(runsFolder, "watched"), filepath.Join(runsFolder, "alone"))
	})
}

// TestCUDALost loses the GPU in the second epoch: training stops and says why, and goes on from its last checkpoint once the
// GPU is back.
func TestCUDALost(t *testing.T) {
	simulate(t, func(t *testing.T, m *sim.Machine) {
		train := smallData(t, "--deterministic")
		must(t, append(train, "--run", "whole")...)
		launches := int(m.Counters()["call.cuGraphLaunch"])
		const ecc = 214
		m.Set(sim.Fault("cuGraphLaunch", launches*4/5, ecc))
		o := gputrain(t, append(train, "--run", "lost")...)
		for _, want := range []string{"training stopped in epoch 2", "the GPU was lost (its memory had an error that could not be corrected",
			"cuGraphLaunch: CUDA_ERROR_ECC_UNCORRECTABLE (214)", "runs/lost"} {
			if o.status != exitFailed || !strings.Contains(o.errors, want) {
				t.Errorf("status %d, and nothing of %q in %s", o.status, want, o.errors)
			}
		}
		must(t, "train", "--resume", "lost", "--data", "small", "--device", "cuda", "--deterministic")
		whole, err := os.ReadFile(filepath.Join("runs", "whole", "last.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		resumed, err := os.ReadFile(filepath.Join("runs", "lost", "last.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		if string(whole) != string(resumed) {
			t.Error("the resumed run's last checkpoint is not the uninterrupted one's")
		}
	})
}
