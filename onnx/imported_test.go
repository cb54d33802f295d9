package onnx_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/cpu"
	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
	"github.com/gputrain/gputrain/onnx"
)

// modelsVariable names a folder that testdata/models.py has filled; `make check-import` sets it.
const modelsVariable = "GPUTRAIN_ONNX_MODELS"

// casesVariable names a folder of testdata/models.py with the cases of single operators.
const casesVariable = "GPUTRAIN_ONNX_CASES"

// foreign is a model that another program wrote, with images and what ONNX Runtime makes of them.
type foreign struct {
	name   string
	path   string
	images *net.Dataset
	output []float32
}

// foreigners reads a folder of testdata/models.py.
func foreigners(t *testing.T, folder string) []foreign {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, "list"))
	if err != nil {
		t.Fatal(err)
	}
	var list []foreign
	for line := range strings.Lines(string(text)) {
		var f foreign
		var in net.Shape
		if _, err := fmt.Sscan(line, &f.name, &in.C, &in.H, &in.W); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		f.path = filepath.Join(folder, f.name+".onnx")
		f.images = &net.Dataset{Name: f.name, Shape: in, Classes: 2, Values: floatsOf(t, filepath.Join(folder, f.name+".images"))}
		f.images.Labels = make([]int32, len(f.images.Values)/in.Size())
		f.output = floatsOf(t, filepath.Join(folder, f.name+".output"))
		list = append(list, f)
	}
	return list
}

// floatsOf reads a file of float32.
func floatsOf(t *testing.T, path string) []float32 {
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

// agree fails unless a model's network gives the probabilities that the model gives in ONNX Runtime.
func (f foreign) agree(t *testing.T, device net.Device, m *onnx.Model) {
	t.Helper()
	plan, err := m.Network.Plan()
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Clone(f.output)
	if !m.Softmax || slices.Min(want) < 0 { // logits, or logarithms of probabilities
		softmax(want, plan.Classes)
	}
	near := map[string]float64{"eight": 1e-3, "rounded": 1e-2}[f.name] // these round values
	if near == 0 {
		near = 1e-4
	}
	approx.Check(t, "probabilities", infer(t, device, plan, m.Weights, f.images), want, approx.Tolerance{Abs: near})
}

// TestImported reads large models of other programs, runs them on the CPU, trains them for 20 steps, writes them and runs that in
// ONNX Runtime. `make check-import` brings models and ONNX Runtime.
func TestImported(t *testing.T) {
	folder := os.Getenv(modelsVariable)
	if folder == "" {
		t.Skip("needs models of other programs: make check-import")
	}
	for _, f := range foreigners(t, folder) {
		t.Run(f.name, func(t *testing.T) {
			m, err := onnx.ReadFile(f.path, onnx.ReadOptions{})
			if err != nil {
				t.Skip("refused: ", err)
			}
			t.Logf("opset %d of %s; %s", m.Opset, m.Producer, strings.Join(m.Notes, "; "))
			device, err := cpu.New(cpu.Options{})
			if err != nil {
				t.Fatal(err)
			}
			f.agree(t, device, m)

			const batch, steps = 2, 20
			plan, err := m.Network.Plan()
			if err != nil {
				t.Fatal(err)
			}
			f.images.Classes = plan.Classes
			for i := range f.images.Labels {
				f.images.Labels[i] = int32(i % plan.Classes)
			}
			if device, err = cpu.New(cpu.Options{}); err != nil {
				t.Fatal(err)
			}
			defer device.Close()
			program, err := device.Compile(m.Network, net.Options{Batch: batch, Optimizer: net.SGDDefault(1e-6)})
			if err != nil {
				t.Fatal(err)
			}
			defer program.Close()
			state := net.InitialState(plan, 1, nil)
			state.Params = m.Weights
			if err := program.SetState(state); err != nil {
				t.Fatal(err)
			}
			for i := range steps {
				if err := program.Step(net.Batch{Data: f.images, Indices: []int32{int32(2 * i % f.images.Len()), int32((2*i + 1) % f.images.Len())}}); err != nil {
					t.Fatal(err)
				}
			}
			metrics, err := program.TakeMetrics()
			if err != nil || metrics.FirstBad != 0 || metrics.Samples != batch*steps {
				t.Fatalf("%+v, %v", metrics, err)
			}
			if state, err = program.State(); err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if err := onnx.Write(&b, plan, state.Params, onnx.Options{}); err != nil {
				t.Fatal(err)
			}
			few := f.images.Slice(0, 3)
			probabilities, err := program.Infer(net.Batch{Data: few, Indices: indices(few.Len())})
			if err != nil {
				t.Fatal(err)
			}
			outputs := runtime(t, []task{{"trained", plan, b.Bytes(), few}})
			approx.Check(t, "probabilities after training, in ONNX Runtime", outputs[0], probabilities.Float32s(), approx.Tolerance{Abs: 1e-4})
			t.Logf("loss of 20 steps %.3f", metrics.Loss/float64(metrics.Samples))
		})
	}
}

// TestSmallModels reads the models of testdata/tiny.py.
func TestSmallModels(t *testing.T) {
	for _, f := range foreigners(t, "testdata/models") {
		t.Run(f.name, func(t *testing.T) {
			m, err := onnx.ReadFile(f.path, onnx.ReadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			f.agree(t, reference.New(), m)
		})
	}
}

// refused are the cases of single operators in the package onnx that no layer computes, with a part of the reason.
var refused = map[string]string{
	"test_ConstantPad2d": "zeros around an image are", "test_ReflectionPad2d": `padding by "reflect"`, "test_ReplicationPad2d": `padding by "edge"`,
	"test_operator_pad":    `padding by "reflect"`,
	"test_ConvTranspose2d": "no transposed convolution", "test_ConvTranspose2d_no_bias": "no transposed convolution", "test_operator_convtranspose": "no transposed convolution",
	"test_Embedding": "no tensor of floats", "test_Embedding_sparse": "no tensor of floats", "test_operator_non_float_params": "no tensor of floats",
	"test_MaxPool2d_stride_padding_dilation": "pooling with dilation", "test_PReLU_2d_multiparam": "one slope", "test_PixelShuffle": "transposed",
	"test_PoissonNLLLLoss_no_reduce": "(Exp)", "test_operator_exp": "(Exp)", "test_Softmin": "(Neg)", "test_Softplus": "(Softplus)", "test_operator_selu": "(Selu)",
	"test_operator_sqrt": "(Sqrt)", "test_operator_clip": "between -0.5 and 0.5", "test_operator_symbolic_override": "instance normalisation",
	"test_log_softmax_dim3": "over axis 3", "test_softmax_functional_dim3": "over axis 3",
	"test_operator_params":       "on values of [2]", // another number for each sample
	"test_operator_reduced_mean": "over the axes [2]", "test_operator_reduced_mean_keepdim": "over the axes [2]",
	"test_operator_reduced_sum": "(ReduceSum)", "test_operator_reduced_sum_keepdim": "(ReduceSum)", "test_operator_repeat": "(Tile)", "test_operator_repeat_dim_overflow": "(Tile)",
}

// TestOperators reads the cases of single operators in the package onnx, with what the package says that comes of them.
func TestOperators(t *testing.T) {
	folder := os.Getenv(casesVariable)
	if folder == "" {
		t.Skip("needs the cases of the package onnx: make check-import")
	}
	for _, f := range foreigners(t, folder) {
		if f.name == "test_operator_addconstant" {
			continue // its images are infinite
		}
		t.Run(f.name, func(t *testing.T) {
			m, err := onnx.ReadFile(f.path, onnx.ReadOptions{})
			why, no := refused[f.name]
			switch {
			case no && (err == nil || !strings.Contains(err.Error(), why)):
				t.Errorf("want it refused with %q, got %v", why, err)
			case no:
			case err != nil:
				t.Error(err)
			default:
				f.agree(t, reference.New(), m)
			}
		})
	}
}
