package onnx_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/devicetest"
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

// ranks are networks in which vectors and images of one pixel meet.
func ranks() []*net.Network {
	one, vector := net.Shape{C: 3, H: 1, W: 1}, []net.Layer{&net.Flatten{Name: "vector"}}
	network := func(name string, in net.Shape, layers ...net.Layer) *net.Network {
		return &net.Network{Name: name, Input: in, Layers: layers}
	}
	image := net.Shape{C: 2, H: 6, W: 5}
	return []*net.Network{
		network("an image into a dense layer", image, &net.Conv{Filters: 4, Kernel: net.Square(3)},
			&net.Activation{Func: net.ReLU}, &net.Pool{Mode: net.MeanPool, Global: true}, &net.Dense{Units: 3}),
		network("an image at the end", image, &net.Conv{Filters: 4, Kernel: net.Square(3)}, &net.Conv{Filters: 3, Kernel: net.Pair{H: 4, W: 3}}),
		network("a vector into a convolution", image, &net.Flatten{}, &net.Dense{Units: 5}, &net.Conv{Filters: 3, Kernel: net.Square(1)}),
		network("a vector into pooling", image, &net.Flatten{}, &net.Dense{Units: 4}, &net.Pool{Kernel: net.Square(1)}, &net.BatchNorm{}),
		network("a vector and an image", one, append(vector,
			&net.Add{From: net.From{"vector", "input"}}, &net.Concat{From: net.From{"input", "vector", "add1"}},
			&net.Dense{Units: 4}, &net.Multiply{From: net.From{"dense1", "dense1"}}, &net.Scale{Factor: 0.5})...),
		network("vectors", one, append(vector,
			&net.BatchNorm{}, &net.Add{From: net.From{"vector", "batchnorm1", "vector"}}, &net.Concat{From: net.From{"vector", "add1"}},
			&net.Activation{Func: net.GELU}, &net.Dropout{Rate: 0.5})...),
		network("a gate", image, &net.Conv{Name: "stem", Filters: 4, Kernel: net.Square(3)}, &net.Pool{Mode: net.MeanPool, Global: true},
			&net.Dense{Units: 4}, &net.Activation{Name: "gate", Func: net.HardSigmoid}, &net.Multiply{From: net.From{"stem", "gate"}},
			&net.Pool{Mode: net.L2Pool, Global: true}),
		network("dropout alone", one, &net.Dropout{Rate: 0.5}),
		network("names", one, &net.Conv{Name: "images", Filters: 2, Kernel: net.Square(1)}, &net.Scale{Name: "constants", Factor: 2},
			&net.Activation{Name: "softmax", Func: net.SiLU}, &net.Dense{Name: "probabilities", Units: 3}, &net.Activation{Name: "logits", Func: net.SiLU}),
	}
}

// examples are networks with each example of each kind of layer.
func examples() []*net.Network {
	var list []*net.Network
	for _, k := range net.Kinds() {
		for i, e := range k.Examples {
			n := devicetest.ExampleNetwork(e)
			n.Name += fmt.Sprintf(" %d", i+1)
			list = append(list, n)
		}
	}
	return list
}

// networks are all of these and built-in models, those for large images for smaller ones.
func networks() []*net.Network {
	list := slices.Concat([]*net.Network{kinds()}, ranks(), examples())
	for _, name := range []string{"tutorial", "lenet5", "mlp", "resnet20", "squeezenet", "airbench94"} {
		m, _ := net.ModelNamed(name)
		n, err := m.Build(m.Input, m.Classes)
		if m.Input.H > 64 {
			n, err = m.Build(net.Shape{C: 3, H: 64, W: 64}, 10)
		}
		if err != nil {
			panic(err)
		}
		list = append(list, n)
	}
	return list
}

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
	plan, err := net.BuiltIn("mlp").Plan()
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

// TestGraphs wants every name to be unique, every input to be there before it is taken, and ranks that the operators
// know, of every network.
func TestGraphs(t *testing.T) {
	for _, n := range networks() {
		for _, logits := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/logits=%v", n.Name, logits), func(t *testing.T) {
				plan, _, b := write(t, n, onnx.Options{Logits: logits})
				graph := fields(t, fields(t, b)[7][0])
				ranks, names := map[string]int{}, map[string]bool{}
				take := func(name string, rank int) {
					if _, ok := ranks[name]; ok || name == "" {
						t.Errorf("value %q is there twice", name)
					}
					ranks[name] = rank
				}
				for _, c := range graph[5] {
					dims := 0 // a list of numbers below 128 has a byte each; others are longer
					f := fields(t, c)
					for d := f[1][0]; len(d) > 0; dims++ {
						_, n := protowire.ConsumeVarint(d)
						d = d[n:]
					}
					take(string(f[8][0]), dims)
				}
				take(string(fields(t, graph[11][0])[1][0]), 4)
				for _, b := range graph[1] {
					f := fields(t, b)
					name, op := string(f[3][0]), string(f[4][0])
					if names[name] || name == "" {
						t.Errorf("node %q is there twice", name)
					}
					names[name] = true
					var in []int
					for _, v := range f[1] {
						rank, ok := ranks[string(v)]
						if !ok {
							t.Errorf("%s takes %s, which is not there yet", name, v)
						}
						in = append(in, rank)
					}
					out := in[0]
					switch wants := map[string]int{"Conv": 4, "MaxPool": 4, "AveragePool": 4, "LpPool": 4, "GlobalMaxPool": 4,
						"GlobalAveragePool": 4, "GlobalLpPool": 4, "Gemm": 2, "Unsqueeze": 2, "Softmax": 2}[op]; {
					case wants > 0 && in[0] != wants:
						t.Errorf("%s, a %s, takes a value of rank %d", name, op, in[0])
					case op == "Flatten":
						out = 2
					case op == "Unsqueeze":
						out = 4
					case op == "Add" || op == "Sum" || op == "Mul" || op == "Concat":
						for _, rank := range in {
							if out = max(out, rank); rank != in[0] && rank != 0 && in[0] != 0 {
								t.Errorf("%s, a %s, takes values of ranks %v", name, op, in)
							}
						}
					}
					take(string(f[2][0]), out)
				}
				output := string(fields(t, graph[12][0])[1][0])
				if rank := ranks[output]; rank != 2 {
					t.Errorf("%s is of rank %d", output, rank)
				}
				for _, l := range plan.Nodes {
					if _, dropout := l.Layer.(*net.Dropout); !dropout && !names[l.Name] {
						t.Errorf("no node is named %s", l.Name)
					}
				}
			})
		}
	}
}
