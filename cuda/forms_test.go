//go:build cuda

package cuda_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/cuda/sim"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/devicetest"
	"github.com/gputrain/gputrain/net/verify"
)

// flats are networks in which values behind a flatten layer meet every kind of layer, and whose logits come from layers of
// every kind. With channels last such values lie in another order than the layers' own.
func flats() []*net.Network {
	in := net.Shape{C: 2, H: 5, W: 4}
	conv := func(name string, filters int, from ...string) net.Layer {
		return &net.Conv{Name: name, From: from, Filters: filters, Kernel: net.Square(3), Padding: net.PadSame}
	}
	network := func(name string, layers ...net.Layer) *net.Network {
		return &net.Network{Name: name, Input: in, Layers: layers}
	}
	flat := &net.Flatten{Name: "flat"}
	return []*net.Network{
		network("any order", conv("a", 3), flat, &net.Dropout{Name: "d", Rate: 0.3}, &net.Activation{Func: net.SiLU}, &net.Scale{Factor: 0.5},
			&net.Dense{Units: 4}, &net.Activation{Func: net.ReLU}, &net.Dense{Units: 3}),
		network("own order", conv("a", 3), flat, &net.BatchNorm{Name: "n"},
			&net.Add{Name: "s", From: net.From{"flat", "n", "flat"}}, &net.Multiply{Name: "m", From: net.From{"s", "flat"}},
			&net.Concat{Name: "c", From: net.From{"m", "flat"}},
			&net.Conv{Name: "one", From: net.From{"flat"}, Filters: 5, Kernel: net.Square(1)}, &net.Flatten{Name: "g"},
			&net.Concat{From: net.From{"c", "g"}}, &net.Dense{Units: 3}),
		network("flat sum", conv("a", 3), conv("b", 3, "input"), &net.Flatten{Name: "f", From: net.From{"a"}}, &net.Flatten{Name: "g", From: net.From{"b"}},
			&net.Add{From: net.From{"f", "g"}}, &net.Activation{Func: net.ReLU}, &net.Dense{Units: 3}),
		network("logits of dropout", conv("a", 2), flat, &net.Dropout{Rate: 0.2}),
		network("logits of a sum", conv("a", 2), conv("b", 2, "a"), flat, &net.Flatten{Name: "g", From: net.From{"a"}}, &net.Add{From: net.From{"flat", "g"}}),
		network("logits of a convolution", conv("a", 2), flat),
		network("logits of ReLU", conv("a", 2), &net.Activation{Func: net.ReLU}, flat),
		network("logits of a dense layer with ReLU", conv("a", 2), flat, &net.Dense{Units: 3}, &net.Activation{Func: net.ReLU}),
		network("logits of pooling", conv("a", 4), &net.Pool{Mode: net.MeanPool, Global: true}, &net.Flatten{}),
		network("logits of batch normalisation", conv("a", 3), &net.BatchNorm{}, &net.Activation{Func: net.ReLU}, flat),
	}
}

// residuals is small.
func residuals() *net.Network { return devicetest.Residuals(net.Shape{C: 3, H: 6, W: 5}, 8) }

// ownKernels makes our kernels for tensor cores compute all convolutions that they can.
var ownKernels = cuda.Options{Precision: cuda.BF16, Deterministic: true, NoFusion: true, OwnConvolutions: cuda.OwnAlways}

// forms are ways in which values may lie, with the unit roundoff that they are verified with.
var forms = []struct {
	name     string
	options  cuda.Options
	roundoff float64
}{
	{"NCHW", cuda.Options{Precision: cuda.FP32, Deterministic: true}, verify.Roundoff},
	{"NHWC", cuda.Options{Precision: cuda.FP32, Deterministic: true, ChannelsLast: true}, verify.Roundoff},
	{"bfloat16", cuda.Options{Precision: cuda.BF16, Deterministic: true}, 1. / (1 << 8)},
	{"bfloat16 by our kernels", ownKernels, 1. / (1 << 8)},
}

// TestForms compares networks whose values change their order with the reference, in every form.
func TestForms(t *testing.T) {
	for _, f := range forms {
		for _, n := range append(flats(), branches(), residuals()) {
			t.Run(fmt.Sprint(f.name, "/", n.Name), func(t *testing.T) {
				sim.Start(t)
				verifyGraph(t, f.options, n, f.roundoff)
			})
		}
	}
}

// TestMeasuredArithmetic puts those algorithms first that were measured without tensor cores. Then TF32 must be as exact as
// float32: the arithmetic that runs is the one that was measured.
func TestMeasuredArithmetic(t *testing.T) {
	sim.Start(t)
	conv := &net.Conv{Filters: 5, Kernel: net.Square(3), Padding: net.PadSame}
	n := &net.Network{Name: "convolutions", Input: net.Shape{C: 3, H: 6, W: 6}, Layers: []net.Layer{ // dense layers are not cuDNN's
		conv, &net.Activation{Func: net.ReLU}, conv, &net.Pool{Mode: net.MeanPool, Global: true}, &net.Flatten{},
	}}
	o := cuda.Options{Precision: cuda.TF32, AlgorithmCache: filepath.Join(t.TempDir(), "cache")}
	verifyGraph(t, o, n, 1./(1<<11)) // measures
	files, err := filepath.Glob(filepath.Join(o.AlgorithmCache, "*.json"))
	if err != nil || len(files) < 2 {
		t.Fatalf("files %v (%v), want 2 or more", files, err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var file map[string]any
		if err := json.Unmarshal(text, &file); err != nil {
			t.Fatal(err)
		}
		ways := file["algorithms"].([]any)
		for i, way := range ways {
			if way == nil {
				continue
			}
			const fma = 3. // cudnnMathType_t
			all := way.([]any)
			exact := func(a any) bool { return a.(map[string]any)["math"] == fma }
			slices.SortStableFunc(all, func(a, b any) int {
				if exact(a) == exact(b) {
					return 0
				} else if exact(a) {
					return -1
				}
				return 1
			})
			if !exact(all[0]) || exact(all[len(all)-1]) {
				t.Fatal("either all algorithms use tensor cores or none: the test shows nothing")
			}
			ways[i] = all
		}
		if text, err = json.Marshal(file); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	verifyGraph(t, o, n, verify.Roundoff)
}
