package net

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// everyLayer has one layer of each kind with every field set, and one of each
// with as few as can be.
func everyLayer() *Network {
	return &Network{Name: "every-layer", Input: Shape{3, 16, 12}, Layers: []Layer{
		&Conv{
			Name: "first", Filters: 4, Kernel: Pair{3, 5}, Stride: Pair{2, 1}, Dilation: Pair{1, 2}, Padding: Pad(1, 2, 3, 4),
			NoBias: true, WeightInit: Initializer{Method: TruncatedNormal, Sigma: 0.5},
		},
		&BatchNorm{Name: "norm", Momentum: new(0.2), Epsilon: 1e-3},
		&Activation{Name: "leaky", Func: LeakyReLU, Slope: new(0.3)},
		&Pool{Name: "mean", Mode: MeanPool, Kernel: Pair{2, 3}, Stride: Pair{1, 2}, Padding: PadSame},
		&Dropout{Name: "drop", Rate: 0.25},
		&Conv{Filters: 2, Kernel: Square(3), BiasInit: Initializer{Method: Constant, Value: 0.5}},
		&BatchNorm{},
		&Activation{Func: Sigmoid},
		&Pool{Kernel: Square(2)},
		&Dropout{},
		&Flatten{Name: "flat"},
		&Dense{Name: "hidden", Units: 7, NoBias: true, WeightInit: Initializer{Method: Glorot}},
		&Activation{Func: Tanh},
		&Flatten{},
		&Dense{Units: 3, WeightInit: Initializer{Method: He}, BiasInit: Initializer{Method: Constant, Value: -1}},
	}}
}

func TestNetworkJSONRoundTrip(t *testing.T) {
	for _, n := range append(builtIn(), everyLayer(), branches()) {
		b, err := json.Marshal(n)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseNetwork(strings.NewReader(string(b)))
		if err != nil {
			t.Fatalf("%s: %v\n%s", n.Name, err, b)
		}
		if !reflect.DeepEqual(back, n) {
			t.Errorf("%s changed on its way through JSON:\n%s", n.Name, b)
		}
	}
}

func TestParseNetworkRefusals(t *testing.T) {
	const input = `"input":{"channels":1,"height":8,"width":8}`
	network := func(layers string) string { return "{" + input + `,"layers":[` + layers + "]}" }
	ok := network(`{"type":"flatten"},{"type":"dense","units":2}`)
	if _, err := ParseNetwork(strings.NewReader(ok)); err != nil {
		t.Fatalf("the network the others derive from: %v", err)
	}
	for _, c := range []struct{ name, json, want string }{
		{"empty", "", "network: not valid JSON: there is nothing in it"},
		{"not JSON", "conv", `network: not valid JSON: line 1 has an unexpected "conv"`},
		{"a comma too many", "{" + input + ",\n\"layers\": [],\n}", `network: not valid JSON: line 3 has an unexpected "}"`},
		{"cut short", ok[:len(ok)-4] + "\n\n", "network: not valid JSON: it ends too early, in line 1"},
		{"another value", "[1]", "network: want an object, got a list"},
		{"null", "null", "input shape"},
		{"garbage after", ok + "x", "network: data after the JSON value"},
		{"a second value after", ok + ok, "network: data after the JSON value"},
		{"unknown field", `{"colour":1,` + ok[1:], `unknown field "colour"`},
		{"unknown layer field", network(`{"type":"dense","units":2,"unit":3}`), `layer 0 (dense): unknown field "unit" (did you mean units?)`},
		{"unknown field of an initialiser", network(`{"type":"dense","units":2,"bias_init":{"method":"he","mean":1}}`), `unknown field "mean"`},
		{"unknown field of the input", strings.Replace(ok, `"width":8`, `"width":8,"depth":1`, 1), `unknown field "depth"`},
		{"unknown type", network(`{"type":"lstm"}`), `layer 0: unknown type "lstm"`},
		{"no type", network(`{"units":2}`), `layer 0: unknown type ""`},
		{"null layer", network(`null`), `layer 0: unknown type ""`},
		{"layer of another type", network(`3`), "layer 0: want an object, got a number"},
		{"fraction", network(`{"type":"dense","units":2.5}`), "layer 0 (dense): units: want a whole number, got 2.5"},
		{"no layers", network(""), "at least one layer"},
		{"stride", network(`{"type":"conv","filters":1,"kernel":3,"stride":0}`), "layer 0 (conv): stride: want at least 1, got 0"},
		{"text for a number", network(`{"type":"dense","units":"10"}`), "layer 0 (dense): units: want a whole number, got text"},
		{"text for an initialiser", network(`{"type":"dense","units":10,"weight_init":"he"}`), "weight_init: want an object, got text"},
		{"text for a truth", network(`{"type":"dense","units":10,"no_bias":"yes"}`), "no_bias: want true or false, got text"},
		{"from nothing", network(`{"type":"flatten","from":null}`), "from: want a layer's name"},
		{"a name that moves the cursor", `{"name":"a\u001b[31m",` + ok[1:], "control characters"},
		{"plan", network(`{"type":"dense","units":2}`), "layer 0 (dense1): a dense layer needs a flat input"},
	} {
		_, err := ParseNetwork(strings.NewReader(c.json))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "network") {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}

func TestStrictUnmarshalRefusesWhatFollows(t *testing.T) {
	var n Network
	err := n.UnmarshalJSON([]byte(`{"input":{"channels":1,"height":1,"width":1},"layers":[]} {}`))
	if err == nil || !strings.Contains(err.Error(), "after the JSON value") {
		t.Errorf("error %v", err)
	}
}

type reader struct{}

func (reader) Read([]byte) (int, error) { return 0, errors.New("cable pulled") }

func TestParseNetworkReadError(t *testing.T) {
	if _, err := ParseNetwork(reader{}); err == nil || !strings.Contains(err.Error(), "cable pulled") {
		t.Errorf("error %v", err)
	}
}

func TestWrongNetworksNameLayerAndShapes(t *testing.T) {
	flat, ten := &Flatten{}, &Dense{Units: 10}
	image := Shape{1, 28, 28}
	for _, c := range []struct {
		name   string
		input  Shape
		layers []Layer
		want   []string // all of them in the message
	}{
		{"kernel too large", image, []Layer{&Pool{Kernel: Square(14)}, &Conv{Name: "big", Filters: 1, Kernel: Square(5)}},
			[]string{"layer 1 (big)", "a kernel that spans 5 rows does not fit 2", "; input pool1 1 x 2 x 2", "no output shape"}},
		{"dense on an image", image, []Layer{&Activation{Func: ReLU}, ten},
			[]string{"layer 1 (dense1)", "put a flatten layer before it", "; input relu1 1 x 28 x 28", "no output shape"}},
		{"image as logits", image, []Layer{&Conv{Filters: 4, Kernel: Square(3)}},
			[]string{"layer 0 (conv1)", "flat vector of at least 2 logits", "; input 1 x 28 x 28", "output 4 x 26 x 26"}},
		{"one logit", image, []Layer{flat, &Dense{Units: 1}},
			[]string{"layer 1 (dense1)", "at least 2 logits", "; input flatten1 784", "output 1"}},
		{"no filters", image, []Layer{&Conv{Kernel: Square(3)}}, []string{"layer 0 (conv1)", "filters must be at least 1, got 0"}},
		{"no units", image, []Layer{flat, &Dense{}}, []string{"layer 1 (dense1)", "units must be at least 1, got 0"}},
		{"no kernel", image, []Layer{&Pool{}}, []string{"layer 0 (pool1)", "kernel must be from 1", "got 0x0"}},
		{"pooling mode", image, []Layer{&Pool{Mode: "median", Kernel: Square(2)}}, []string{`unknown pooling mode "median"`}},
		{"activation", image, []Layer{&Activation{Func: "swish"}}, []string{"layer 0 (swish1)", `unknown activation "swish"`}},
		{"slope", image, []Layer{&Activation{Func: LeakyReLU, Slope: new(2.0)}}, []string{"slope must be from 0 to 1, got 2"}},
		{"dropout of all", image, []Layer{&Dropout{Rate: 1}}, []string{"layer 0 (dropout1)", "less than 1, got 1"}},
		{"momentum", image, []Layer{&BatchNorm{Momentum: new(1.5)}}, []string{"layer 0 (batchnorm1)", "momentum"}},
		{"epsilon", image, []Layer{&BatchNorm{Epsilon: -1}}, []string{"epsilon must be a float32 above 0, got -1"}},
		{"nil layer", image, []Layer{flat, nil}, []string{"layer 1 (nil)"}},
		{"same name", image, []Layer{&Flatten{Name: "x"}, &Dense{Name: "x", Units: 3}}, []string{"layer 1 (x)", "layer 0 has the same name"}},
		{"inputs that differ", image, []Layer{&Conv{Name: "a", Filters: 2, Kernel: Square(3)}, &Pool{Name: "b", Kernel: Square(2)}, &Add{From: From{"a", "b"}}},
			[]string{"layer 2 (add1)", "must have one shape", "inputs a 2 x 26 x 26, b 2 x 13 x 13"}},
		{"rows that differ", image, []Layer{&Conv{Name: "a", Filters: 2, Kernel: Square(3)}, &Concat{From: From{"a", "input"}}},
			[]string{"layer 1 (concat1)", "the same rows", "inputs a 2 x 26 x 26, input 1 x 28 x 28"}},
		{"a gate of other channels", image, []Layer{&Conv{Name: "a", Filters: 2, Kernel: Square(3)}, &Pool{Name: "g", Mode: MeanPool, Global: true, From: From{"input"}}, &Multiply{From: From{"a", "g"}}},
			[]string{"layer 2 (multiply1)", "a gate of 2", "g 1, no"}},
		{"one input", image, []Layer{&Add{}}, []string{"layer 0 (add1)", "name its 2 inputs"}},
		{"one named input", image, []Layer{&Add{From: From{"input"}}}, []string{"layer 0 (add1)", "at least 2 inputs, got 1"}},
		{"two inputs", image, []Layer{&Flatten{From: From{"input", "input"}}}, []string{"layer 0 (flatten1)", "takes 1, not 2"}},
		{"a later layer", image, []Layer{&Flatten{From: From{"x"}}, &Dense{Name: "x", Units: 2}}, []string{"layer 0 (flatten1)", `layer "x" does not stand before it`}},
		{"no such layer", image, []Layer{&Flatten{From: From{"y"}}, &Dense{Name: "x", Units: 2}}, []string{"layer 0 (flatten1)", `no layer before it is named "y"`}},
		{"an epsilon that is 0 in float32", image, []Layer{&BatchNorm{Epsilon: 1e-60}}, []string{"above 0, got 1e-60"}},
		{"an output that nobody takes", image, []Layer{flat, &Dense{Units: 3, From: From{"flatten1"}}, &Dense{Units: 2, From: From{"flatten1"}}}, []string{"layer 1 (dense1)", "no layer takes its output"}},
		{"groups", image, []Layer{&Conv{Filters: 4, Kernel: Square(3), Groups: 2}}, []string{"groups must divide the 1 input channels and the 4 filters, got 2"}},
		{"a kernel of global pooling", image, []Layer{&Pool{Global: true, Kernel: Square(2)}}, []string{"takes no kernel"}},
		{"factor", image, []Layer{&Scale{}}, []string{"layer 0 (scale1)", "other than 0"}},
		{"a slope of ReLU", image, []Layer{&Activation{Func: ReLU, Slope: new(0.1)}}, []string{"relu has no slope"}},
		{"frozen nothing", image, []Layer{&Conv{Filters: 4, Kernel: Square(3), NoBias: true, Frozen: Frozen{Roles: []Role{Bias}}}}, []string{"frozen: it has no bias to train"}},
		{"whitening inside", image, []Layer{&Activation{Func: ReLU}, &Conv{Filters: 4, Kernel: Square(3), WeightInit: Initializer{Method: Whitening}}}, []string{"on the network's input"}},
		{"whitening of a bias alone", image, []Layer{&Conv{Filters: 4, Kernel: Square(3), BiasInit: Initializer{Method: Whitening}}}, []string{"whose weights are whitening, too"}},
		{"too much whitening", image, []Layer{&Conv{Filters: 20, Kernel: Square(3), WeightInit: Initializer{Method: Whitening}}}, []string{"at most 18, got 20"}},
		{"a name with a dot", image, []Layer{&Flatten{Name: "a.b"}}, []string{`name "a.b": use letters`}},
		{"sigma", image, []Layer{flat, &Dense{Units: 2, WeightInit: Initializer{Method: TruncatedNormal}}}, []string{"layer 1 (dense1)", "weight", "sigma"}},
		{"initialiser", image, []Layer{flat, &Dense{Units: 2, BiasInit: Initializer{Method: "two"}}}, []string{"bias", `unknown method "two"`}},
		{"no input", Shape{}, []Layer{flat, ten}, []string{"input shape", "at least 1, got 0 x 0 x 0"}},
		{"input too large", Shape{1 << 16, 1 << 16, 1}, []Layer{flat, ten}, []string{"input shape", "more than 2147483647 values"}},
		{"input that overflows", Shape{1 << 62, 1 << 62, 1 << 62}, []Layer{flat, ten}, []string{"input shape", "more than"}},
		{"output too large", image, []Layer{&Conv{Filters: 1 << 30, Kernel: Square(5), Padding: PadSame}}, []string{"layer 0 (conv1)", "more than"}},
		{"weights too large", Shape{1 << 16, 1, 1}, []Layer{&Dense{Units: 1 << 16}}, []string{"layer 0 (dense1)", "weight: more than", "output 65536"}},
		{"kernel that overflows", Shape{1 << 10, 1, 1}, []Layer{&Conv{Filters: 1, Kernel: Pair{1 << 30, 1 << 30}, Padding: PadSame}}, []string{"layer 0 (conv1)", "more than"}},
	} {
		_, err := (&Network{Input: c.input, Layers: c.layers}).Plan()
		if err == nil {
			t.Errorf("%s: accepted", c.name)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %q lacks %q", c.name, err, want)
			}
		}
		var layer *LayerError
		if strings.HasPrefix(c.want[0], "layer") && !errors.As(err, &layer) {
			t.Errorf("%s: %T is no *LayerError", c.name, err)
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: more than one line: %q", c.name, err)
		}
	}
}

func TestTutorialPlan(t *testing.T) {
	plan, err := BuiltIn("tutorial").Plan()
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		name    string
		out     string
		weights int
		mulAdds int64
	}
	// Taps along an axis of conv1: 28*5 less 2+1 at each end; conv2: 14*5 likewise.
	want := []row{
		{"conv1", "32 x 28 x 28", 800 + 32, 134 * 134 * 32},
		{"relu1", "32 x 28 x 28", 0, 0},
		{"pool1", "32 x 14 x 14", 0, 0},
		{"conv2", "64 x 14 x 14", 51_200 + 64, 64 * 64 * 32 * 64},
		{"relu2", "64 x 14 x 14", 0, 0},
		{"pool2", "64 x 7 x 7", 0, 0},
		{"flatten", "3136", 0, 0},
		{"dense1", "1000", 3_136_000 + 1000, 3_136_000},
		{"relu3", "1000", 0, 0},
		{"dense2", "10", 10_000 + 10, 10_000},
	}
	var got []row
	for _, l := range plan.Nodes {
		got = append(got, row{l.Name, l.Out.String(), l.Weights(), l.MulAdds()})
	}
	if !slices.Equal(got, want) {
		t.Errorf("plan is\n%v, want\n%v", got, want)
	}
	if plan.Weights() != 3_199_106 || plan.MulAdds() != 12_109_200 || plan.Classes != 10 {
		t.Errorf("%d weights, %d multiply-adds, %d classes", plan.Weights(), plan.MulAdds(), plan.Classes)
	}
}

// builtIn returns all built-in models' networks.
func builtIn() []*Network {
	var all []*Network
	for _, m := range Models() {
		all = append(all, m.Network())
	}
	return all
}

// TestModels holds the models to the numbers of parameters that their papers' and
// frameworks' networks have.
func TestModels(t *testing.T) {
	want := map[string]int{
		"tutorial": 3_199_106, "lenet5": 61_706, "mlp": 784*300 + 300 + 3000 + 10,
		"digits-s": 25*16 + 9*16*32 + 800*128 + 128*10 + 10 + 2*(16+32+128), "digits-m": 25*24 + 9*24*48 + 1200*128 + 128*10 + 10 + 2*(24+48+128),
		"digits-l": 9*(32+32*32+32*64+64*64+64*128+128*128) + 2*2*(32+64+128) + 128*9*10 + 10,
		"resnet20": 272_474, "resnet56": 855_770, "resnet18": 11_689_512, "resnet50": 25_557_032,
		"vgg11": 132_868_840, "vgg16": 138_365_992, "mobilenetv2": 3_504_872, "squeezenet": 1_235_496, "densenet121": 7_978_856,
		"airbench94": 1_972_792, "airbench95": 4_606_520, "airbench96": 9_918_776,
	}
	if Models()[0].Name != "tutorial" || len(Models()) != len(want) {
		t.Errorf("models are %v", Models())
	}
	for _, m := range Models() {
		n, err := m.Build(m.Input, m.Classes)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := n.Plan()
		if err != nil {
			t.Fatal(err)
		}
		if plan.Parameters() != want[m.Name] || plan.Classes != m.Classes {
			t.Errorf("%s has %d parameters and %d classes, want %d and %d", m.Name, plan.Parameters(), plan.Classes, want[m.Name], m.Classes)
		}
		for _, in := range []Shape{{4, 96, 80}, {1, 28, 28}} {
			other, err := m.Build(in, 7)
			if err != nil {
				t.Error(err)
			} else if plan, err := other.Plan(); err != nil || plan.Classes != 7 {
				t.Errorf("%s for %v and 7 classes: %v", m.Name, in, err)
			}
		}
	}
	if _, ok := ModelNamed("resnet"); ok || BuiltIn("resnet") != nil {
		t.Error("a model of no known name")
	}
	if m, _ := ModelNamed("lenet5"); m.Name == "" {
		t.Error("lenet5 is not found")
	} else if _, err := m.Build(Shape{1, 4, 4}, 10); err == nil || !strings.Contains(err.Error(), "model lenet5 for images of 1 x 4 x 4") {
		t.Errorf("too small an image: %v", err)
	}
	one := BuiltIn("mlp")
	one.Layers[0] = nil
	if BuiltIn("mlp").Layers[0] == nil {
		t.Error("copies share their layers")
	}
}

// branches has what a chain has not.
func branches() *Network {
	return &Network{Name: "branches", Input: Shape{2, 8, 8}, Layers: []Layer{
		&Conv{Name: "stem", Filters: 4, Kernel: Square(3), Padding: PadSame, Groups: 2, Frozen: Frozen{All: true}},
		&BatchNorm{Name: "bn", Momentum: new(0.0), Frozen: Frozen{Roles: []Role{Weight}}},
		&Pool{Name: "gate", Mode: MaxPool, Global: true, From: From{"stem"}},
		&Add{Name: "sum", From: From{"bn", "stem", "bn"}},
		&Multiply{Name: "gated", From: From{"sum", "gate"}},
		&Concat{Name: "both", From: From{"gated", "input"}},
		&Activation{Name: "elu", Func: ELU, Alpha: new(0.5)},
		&Pool{Name: "all", Mode: MeanPool, Global: true},
		&Dense{Name: "fc", Units: 3, WeightInit: Initializer{Method: Orthogonal}, BiasInit: Initializer{Method: Ones}},
		&Scale{Name: "logits", Factor: 0.25},
	}}
}

// TestGraph follows inputs, uses, shapes and what learns.
func TestGraph(t *testing.T) {
	plan, err := branches().Plan()
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		name         string
		inputs, uses []int
		out          string
		flat, learns bool
	}
	want := []row{
		{"stem", []int{-1}, []int{1, 2, 3}, "4 x 8 x 8", false, false},
		{"bn", []int{0}, []int{3, 3}, "4 x 8 x 8", false, true},
		{"gate", []int{0}, []int{4}, "4", false, false},
		{"sum", []int{1, 0, 1}, []int{4}, "4 x 8 x 8", false, true},
		{"gated", []int{3, 2}, []int{5}, "4 x 8 x 8", false, true},
		{"both", []int{4, -1}, []int{6}, "6 x 8 x 8", false, true},
		{"elu", []int{5}, []int{7}, "6 x 8 x 8", false, true},
		{"all", []int{6}, []int{8}, "6", false, true},
		{"fc", []int{7}, []int{9}, "3", true, true},
		{"logits", []int{8}, nil, "3", true, true},
	}
	for i, w := range want {
		n := plan.Nodes[i]
		if got := (row{n.Name, n.Inputs, n.Uses, n.Out.String(), n.Flat, n.Learns}); !reflect.DeepEqual(got, w) {
			t.Errorf("node %d is %v, want %v", i, got, w)
		}
	}
	if got := plan.Nodes[0].Params[0]; !slices.Equal(got.Dims, []int{4, 1, 3, 3}) || got.FanIn != 9 || got.FanOut != 18 {
		t.Errorf("the grouped convolution's weight: %+v", got)
	}
	var trained []string
	for _, p := range plan.Trained() {
		trained = append(trained, p.Name)
	}
	if want := []string{"bn.bias", "fc.weight", "fc.bias"}; !slices.Equal(trained, want) {
		t.Errorf("trained are %v, want %v", trained, want)
	}
	if plan.Parameters() != 36+4+8+18+3 || plan.Weights() != 4+18+3 || plan.MulAdds() != 22*22*4+18 {
		t.Errorf("%d parameters, %d weights, %d multiply-adds", plan.Parameters(), plan.Weights(), plan.MulAdds())
	}
}

// TestZerosAreObeyedOrRefused: a number 0 in JSON never stands for a default.
func TestZerosAreObeyedOrRefused(t *testing.T) {
	network := func(layer string) string {
		return `{"input":{"channels":2,"height":8,"width":8},"layers":[` + layer + `,{"type":"flatten"},{"type":"dense","units":2}]}`
	}
	for _, layer := range []string{
		`{"type":"conv","filters":2,"kernel":0}`, `{"type":"conv","filters":2,"kernel":[3,0]}`, `{"type":"conv","filters":2,"kernel":3,"stride":0}`,
		`{"type":"conv","filters":2,"kernel":3,"dilation":0}`, `{"type":"conv","filters":2,"kernel":3,"groups":0}`, `{"type":"conv","filters":0,"kernel":3}`,
		`{"type":"pool","kernel":0}`, `{"type":"pool","kernel":2,"stride":0}`, `{"type":"batchnorm","epsilon":0}`, `{"type":"scale","factor":0}`,
		`{"type":"activation","func":"tanh","slope":0}`,
	} {
		if _, err := ParseNetwork(strings.NewReader(network(layer))); err == nil || !strings.Contains(err.Error(), "layer 0 (") {
			t.Errorf("%s: error %v", layer, err)
		}
	}
	n, err := ParseNetwork(strings.NewReader(network(`{"type":"activation","func":"leaky_relu","slope":0},{"type":"batchnorm","momentum":0},{"type":"activation","func":"elu","alpha":0},{"type":"dropout","rate":0}`)))
	if err != nil {
		t.Fatal(err)
	}
	if got := n.Layers[0].(*Activation).Parameter(); got != 0 {
		t.Errorf("slope %v, want 0", got)
	}
	if got, _ := n.Layers[1].(*BatchNorm).Settings(); got != 0 {
		t.Errorf("momentum %v, want 0", got)
	}
	if got := n.Layers[2].(*Activation).Parameter(); got != 0 {
		t.Errorf("alpha %v, want 0", got)
	}
}

// TestDerivedNames: names that nobody gave are never the same.
func TestDerivedNames(t *testing.T) {
	var layers []Layer
	for range 61 {
		layers = append(layers, &Activation{Func: ReLU})
	}
	layers = append(layers, &Activation{Func: ReLU6}, &Scale{Name: "flatten1", Factor: 2}, &Flatten{}, &Dense{Units: 2})
	plan, err := (&Network{Input: Shape{1, 2, 2}, Layers: layers}).Plan()
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range map[int]string{60: "relu61", 61: "relu62", 63: "flatten2", 64: "dense1"} {
		if got := plan.Nodes[i].Name; got != want {
			t.Errorf("layer %d is named %s, want %s", i, got, want)
		}
	}
}

// TestKinds plans the examples of every kind.
func TestKinds(t *testing.T) {
	for _, k := range Kinds() {
		if k.Name == "" || k.Title == "" || k.Summary == "" || k.New().Kind() != k.Name || len(k.Examples) == 0 {
			t.Errorf("kind %+v", k)
		}
		for _, e := range k.Examples {
			if e.Layer.Kind() != k.Name || len(e.In) < k.Inputs[0] {
				t.Errorf("%s: example %+v", k.Name, e)
			}
			if node := (Node{Layer: e.Layer, In: e.In[0], Out: e.In[0]}); k.Name != "conv" && k.Name != "dense" && node.MulAdds() != 0 {
				t.Errorf("%s has multiply-adds", k.Name)
			}
			if node, err := e.Layer.plan(e.In); err != nil || node.Out.check() != nil {
				t.Errorf("%s: example %+v: %v", k.Name, e, err)
			}
		}
	}
}

func TestPlanOfParameters(t *testing.T) {
	plan, err := everyLayer().Plan()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range plan.Params {
		mark := p.Name
		if p.Trained {
			mark += " trained"
		}
		if p.Decayed {
			mark += " decayed"
		}
		got = append(got, mark)
	}
	want := []string{
		"first.weight trained decayed",
		"norm.weight trained", "norm.bias trained", "norm.running_mean", "norm.running_var",
		"conv2.weight trained decayed", "conv2.bias trained", // the second convolution, though the first has a name
		"batchnorm2.weight trained", "batchnorm2.bias trained", "batchnorm2.running_mean", "batchnorm2.running_var",
		"hidden.weight trained decayed",
		"dense2.weight trained decayed", "dense2.bias trained",
	}
	if !slices.Equal(got, want) {
		t.Errorf("parameters are\n%v, want\n%v", got, want)
	}
	if n := len(plan.Trained()); n != 10 {
		t.Errorf("%d trained parameters, want 10", n)
	}
	conv := plan.Params[0]
	if !slices.Equal(conv.Dims, []int{4, 3, 3, 5}) || conv.FanIn != 3*15 || conv.FanOut != 4*15 {
		t.Errorf("conv's weight: %+v", conv)
	}
}

func TestLayerDefaults(t *testing.T) {
	if m, e := (&BatchNorm{}).Settings(); m != 0.1 || e != 1e-5 {
		t.Errorf("batch normalisation: momentum %v, epsilon %v", m, e)
	}
	if (&Pool{}).PoolMode() != MaxPool || (&Pool{Mode: L2Pool}).PoolMode() != L2Pool {
		t.Error("pooling mode")
	}
	for _, c := range []struct {
		a    Activation
		want float64
	}{
		{Activation{Func: ReLU}, 0}, {Activation{Func: LeakyReLU}, 0.01}, {Activation{Func: LeakyReLU, Slope: new(0.5)}, 0.5},
		{Activation{Func: ELU}, 1}, {Activation{Func: ELU, Alpha: new(0.0)}, 0},
	} {
		if got := c.a.Parameter(); got != c.want {
			t.Errorf("%+v: parameter %v, want %v", c.a, got, c.want)
		}
	}
}
