package onnx_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/mnist"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
	"github.com/gputrain/gputrain/onnx"
)

// kinds is a network with every kind of layer, window and padding, but no two behind one another that could hide an error.
func kinds() *net.Network {
	return &net.Network{Name: "kinds", Input: net.Shape{C: 3, H: 17, W: 14}, Layers: []net.Layer{
		&net.Conv{Filters: 5, Kernel: net.Pair{H: 3, W: 4}, Stride: net.Pair{H: 1, W: 2}, Padding: net.PadSame},
		&net.BatchNorm{Epsilon: 1e-3},
		&net.Activation{Func: net.LeakyReLU, Slope: new(0.2)},
		&net.Conv{Filters: 6, Kernel: net.Square(3), Dilation: net.Square(2), Padding: net.Pad(2, 1, 0, 3), NoBias: true},
		&net.Activation{Func: net.Tanh},
		&net.Pool{Kernel: net.Square(3), Stride: net.Square(1), Padding: net.PadSame},
		&net.Pool{Mode: net.MeanPool, Kernel: net.Square(3), Stride: net.Square(2), Padding: net.PadSame},
		&net.Pool{Mode: net.L2Pool, Kernel: net.Square(2), Stride: net.Square(1), Padding: net.Pad(1, 0, 0, 1)},
		&net.Activation{Func: net.ReLU},
		&net.Dropout{Rate: 0.5},
		&net.Flatten{},
		&net.Dense{Units: 9, NoBias: true},
		&net.BatchNorm{},
		&net.Activation{Func: net.Sigmoid},
		&net.Dense{Units: 4},
	}}
}

// networks are the built-in models and kinds.
func networks() []*net.Network { return append(net.Models(), kinds()) }

// weightsOf draws weights, and running statistics that change something.
func weightsOf(plan *net.Plan) map[string]*tensor.Dense {
	weights := net.InitialState(plan, 5, nil).Params
	random := rand.New(rand.NewPCG(5, 5))
	for _, p := range plan.Params {
		if p.Role == net.RunningMean || p.Role == net.RunningVar {
			for i := range weights[p.Name].Float32s() {
				weights[p.Name].Float32s()[i] = 0.5 + random.Float32()
			}
		}
	}
	return weights
}

func write(t *testing.T, n *net.Network, o onnx.Options) (*net.Plan, map[string]*tensor.Dense, []byte) {
	t.Helper()
	plan, err := n.Plan()
	if err != nil {
		t.Fatal(err)
	}
	weights := weightsOf(plan)
	var b bytes.Buffer
	if err := onnx.Write(&b, plan, weights, o); err != nil {
		t.Fatal(err)
	}
	return plan, weights, b.Bytes()
}

// fields takes a message apart: the contents of each field, in order.
func fields(t *testing.T, m []byte) map[protowire.Number][][]byte {
	t.Helper()
	out := map[protowire.Number][][]byte{}
	for len(m) > 0 {
		field, kind, n := protowire.ConsumeTag(m)
		if n < 0 {
			t.Fatal(protowire.ParseError(n))
		}
		m = m[n:]
		n = protowire.ConsumeFieldValue(field, kind, m)
		if n < 0 {
			t.Fatal(protowire.ParseError(n))
		}
		v := m[:n]
		if kind == protowire.BytesType {
			v, _ = protowire.ConsumeBytes(v)
		}
		out[field] = append(out[field], v)
		m = m[n:]
	}
	return out
}

// TestModel reads models back: operators, weights and metadata.
func TestModel(t *testing.T) {
	want := map[string]string{
		"tutorial": "Conv Relu MaxPool Conv Relu MaxPool Flatten Gemm Relu Gemm Softmax",
		"kinds":    "Conv BatchNormalization LeakyRelu Conv Tanh MaxPool AveragePool LpPool Relu Flatten Gemm BatchNormalization Sigmoid Gemm Softmax",
	}
	for _, n := range networks() {
		t.Run(n.Name, func(t *testing.T) {
			plan, weights, b := write(t, n, onnx.Options{Producer: "me", Metadata: map[string]string{"classes": "a b"}})
			model := fields(t, b)
			if got := string(model[2][0]); got != "me" {
				t.Errorf("producer %q", got)
			}
			if got := fields(t, model[14][0]); string(got[1][0]) != "classes" || string(got[2][0]) != "a b" {
				t.Errorf("metadata %q", got)
			}
			graph := fields(t, model[7][0])
			var ops []string
			for _, node := range graph[1] {
				ops = append(ops, string(fields(t, node)[4][0]))
			}
			if got := strings.Join(ops, " "); want[n.Name] != "" && got != want[n.Name] {
				t.Errorf("operators %s, want %s", got, want[n.Name])
			}
			if len(graph[5]) < len(plan.Params) {
				t.Fatalf("%d tensors, want at least %d", len(graph[5]), len(plan.Params))
			}
			for i, p := range plan.Params {
				tensor := fields(t, graph[5][i])
				var raw []byte
				for _, v := range weights[p.Name].Float32s() {
					raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
				}
				if string(tensor[8][0]) != p.Name || !bytes.Equal(tensor[9][0], raw) {
					t.Errorf("tensor %d is not %s", i, p.Name)
				}
			}
		})
	}
}

// TestWriteRefuses has weights of another network.
func TestWriteRefuses(t *testing.T) {
	plan, err := net.Model("mlp").Plan()
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(map[string]*tensor.Dense){
		"no weights dense2.bias": func(w map[string]*tensor.Dense) { delete(w, "dense2.bias") },
		"dense2.bias are float32 of (11)": func(w map[string]*tensor.Dense) {
			w["dense2.bias"] = tensor.New(tensor.Of(tensor.Float32), tensor.WithShape(11))
		},
		"dense2.bias are float64": func(w map[string]*tensor.Dense) {
			w["dense2.bias"] = tensor.New(tensor.Of(tensor.Float64), tensor.WithShape(10))
		},
	} {
		weights := weightsOf(plan)
		change(weights)
		var b bytes.Buffer
		if err := onnx.Write(&b, plan, weights, onnx.Options{}); err == nil || !strings.Contains(err.Error(), name) || b.Len() > 0 {
			t.Errorf("want an error with %q and nothing written, got %v and %d bytes", name, err, b.Len())
		}
	}
}

// pythonVariable names a Python that has the packages of testdata/requirements.txt; `make check-onnx` sets it.
const pythonVariable = "GPUTRAIN_ONNX_PYTHON"

// TestRuntime runs every network in ONNX Runtime: probabilities and logits are the reference's. Without an ONNX Runtime it
// is skipped; `make check-onnx` brings one.
func TestRuntime(t *testing.T) {
	python := os.Getenv(pythonVariable)
	if python == "" {
		t.Skip("needs ONNX Runtime: make check-onnx")
	}
	data, err := mnist.Tutorial()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range networks() {
		images, count := data.Test.Slice(0, 1000), 1000
		if n.Input != images.Shape {
			count = 200
			images = noise(n.Input, count)
		}
		var want []float32
		for _, logits := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/logits=%v", n.Name, logits), func(t *testing.T) {
				plan, weights, b := write(t, n, onnx.Options{Producer: "test", Logits: logits})
				dir := t.TempDir()
				model, input, output := filepath.Join(dir, "model.onnx"), filepath.Join(dir, "images"), filepath.Join(dir, "output")
				x := make([]float32, count*n.Input.Size())
				images.Gather(x, indices(count))
				for name, contents := range map[string][]byte{model: b, input: raw(x)} {
					if err := os.WriteFile(name, contents, 0o644); err != nil {
						t.Fatal(err)
					}
				}
				run := exec.Command(python, filepath.Join("testdata", "infer.py"), model, input, output,
					fmt.Sprint(n.Input.C), fmt.Sprint(n.Input.H), fmt.Sprint(n.Input.W))
				if text, err := run.CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, text)
				}
				got := readFloats(t, output)
				if want == nil {
					want = infer(t, n, plan, weights, images)
				}
				if logits { // the reference gives probabilities
					softmax(got, plan.Classes)
				}
				approx.Check(t, "probabilities", got, want, approx.Tolerance{Abs: 1e-5})
			})
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

func readFloats(t *testing.T, path string) []float32 {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []float32
	for word := range slices.Chunk(b, 4) {
		out = append(out, math.Float32frombits(binary.LittleEndian.Uint32(word)))
	}
	return out
}

// infer asks the reference.
func infer(t *testing.T, n *net.Network, plan *net.Plan, weights map[string]*tensor.Dense, images *net.Dataset) []float32 {
	t.Helper()
	device := reference.New()
	defer device.Close()
	program, err := device.Compile(n, net.Options{Batch: 100, Optimizer: net.SGDDefault(0)})
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
