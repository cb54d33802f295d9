package onnx_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/cpu"
	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/mnist"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/devicetest"
	"github.com/gputrain/gputrain/net/reference"
	"github.com/gputrain/gputrain/onnx"
)

// pythonVariable names a Python that has the packages of testdata/requirements.txt; `make check-onnx` sets it.
const pythonVariable = "GPUTRAIN_ONNX_PYTHON"

// task is a network to run in ONNX Runtime.
type task struct {
	name   string // of its files
	plan   *net.Plan
	model  []byte
	images *net.Dataset
}

// runtime runs models in ONNX Runtime and returns their outputs.
func runtime(t *testing.T, tasks []task) [][]float32 {
	t.Helper()
	python := os.Getenv(pythonVariable)
	if python == "" {
		t.Skip("needs ONNX Runtime: make check-onnx")
	}
	dir := t.TempDir()
	var list strings.Builder
	files := map[string][]byte{}
	for _, k := range tasks {
		in := k.plan.Network.Input
		fmt.Fprintln(&list, k.name, in.C, in.H, in.W)
		x := make([]float32, k.images.Len()*in.Size())
		k.images.Gather(x, indices(k.images.Len()))
		files[k.name+".onnx"], files[k.name+".images"] = k.model, raw(x)
	}
	files["list"] = []byte(list.String())
	for name, contents := range files {
		if err := os.WriteFile(filepath.Join(dir, name), contents, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := exec.Command(python, filepath.Join("testdata", "infer.py"), dir).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, text)
	}
	outputs := make([][]float32, len(tasks))
	for i, k := range tasks {
		b, err := os.ReadFile(filepath.Join(dir, k.name+".output"))
		if err != nil {
			t.Error(err) // what went wrong has been told
			continue
		}
		for word := range slices.Chunk(b, 4) {
			outputs[i] = append(outputs[i], math.Float32frombits(binary.LittleEndian.Uint32(word)))
		}
	}
	return outputs
}

// TestRuntime runs every network in ONNX Runtime: probabilities and logits are the reference's. Without an ONNX Runtime it
// is skipped; `make check-onnx` brings one.
func TestRuntime(t *testing.T) {
	data, err := mnist.Tutorial()
	if err != nil {
		t.Fatal(err)
	}
	var tasks []task
	var weights []map[string]*tensor.Dense
	for i, n := range networks() {
		images := noise(n.Input, 3)
		if n.Input == data.Test.Shape {
			images = data.Test.Slice(0, 100)
		}
		for _, logits := range []bool{false, true} {
			plan, w, b := write(t, n, onnx.Options{Producer: "test", Logits: logits})
			tasks = append(tasks, task{fmt.Sprintf("%d-logits=%v", i, logits), plan, b, images})
			weights = append(weights, w)
		}
	}
	outputs := runtime(t, tasks)
	var want []float32 // probabilities, of both tasks of a network
	for i, k := range tasks {
		t.Run(fmt.Sprintf("%s/%s", k.plan.Network.Name, k.name), func(t *testing.T) {
			got := outputs[i]
			if i%2 == 0 {
				want = infer(t, reference.New(), k.plan, weights[i], k.images)
			} else { // the reference gives probabilities
				softmax(got, k.plan.Classes)
			}
			approx.Check(t, "probabilities", got, want, approx.Tolerance{Abs: 1e-5})
		})
	}
}

// TestRuntimeOfRandomGraphs runs random networks in ONNX Runtime: their probabilities are the CPU's.
func TestRuntimeOfRandomGraphs(t *testing.T) {
	count, seed := devicetest.Graphs(t, 20)
	var tasks []task
	var weights []map[string]*tensor.Dense
	for i := range uint64(count) {
		n := devicetest.RandomNetwork(seed + i)
		plan, w, b := write(t, n, onnx.Options{Producer: "test"})
		tasks = append(tasks, task{n.Name, plan, b, noise(n.Input, 8)})
		weights = append(weights, w)
	}
	outputs := runtime(t, tasks)
	for i, k := range tasks {
		device, err := cpu.New(cpu.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if !approx.Check(t, k.name, outputs[i], infer(t, device, k.plan, weights[i], k.images), approx.Tolerance{Abs: 1e-5}) {
			description, err := json.Marshal(k.plan.Network)
			t.Logf("%s %v", description, err)
		}
	}
}

// noise is a data set of random values.
func noise(shape net.Shape, count int) *net.Dataset {
	random := rand.New(rand.NewPCG(1, 9))
	d := &net.Dataset{Name: "noise", Shape: shape, Classes: 2, Labels: make([]int32, count)}
	for range count * shape.Size() {
		d.Values = append(d.Values, float32(random.NormFloat64()))
	}
	return d
}

func indices(n int) []int32 {
	out := make([]int32, n)
	for i := range out {
		out[i] = int32(i)
	}
	return out
}

func raw(values []float32) []byte {
	var out []byte
	for _, v := range values {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
	}
	return out
}

// infer asks a device, and closes it.
func infer(t *testing.T, device net.Device, plan *net.Plan, weights map[string]*tensor.Dense, images *net.Dataset) []float32 {
	t.Helper()
	defer device.Close()
	program, err := device.Compile(plan.Network, net.Options{Batch: min(images.Len(), 8), Optimizer: net.SGDDefault(0), Inference: true})
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	if err := program.SetState(net.State{Params: weights}); err != nil {
		t.Fatal(err)
	}
	out, err := program.Infer(net.Batch{Data: images, Indices: indices(images.Len())})
	if err != nil {
		t.Fatal(err)
	}
	return out.Float32s()
}

// softmax turns logits into probabilities, row by row.
func softmax(z []float32, classes int) {
	for row := range slices.Chunk(z, classes) {
		most, sum := slices.Max(row), 0.0
		for _, v := range row {
			sum += math.Exp(float64(v - most))
		}
		for i, v := range row {
			row[i] = float32(math.Exp(float64(v-most)) / sum)
		}
	}
}
