package serve

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/gputrain/gputrain/cpu"
	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/mnist"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/devicetest"
	"github.com/gputrain/gputrain/net/reference"
	"github.com/gputrain/gputrain/picture/picturetest"
)

const small = `{"name": "small", "input": {"channels": 1, "height": 28, "width": 28}, "layers": [
	{"type": "conv", "filters": 3, "kernel": 5}, {"type": "activation", "func": "tanh"}, {"type": "pool", "mode": "mean", "kernel": 4},
	{"type": "flatten"}, {"type": "dense", "units": 10}]}`

// checkpoint is of a network that has learnt nothing: its answers differ by seed.
func checkpoint(t testing.TB, seed uint64) *net.Checkpoint {
	t.Helper()
	network, err := net.ParseNetwork(strings.NewReader(small))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := network.Plan()
	if err != nil {
		t.Fatal(err)
	}
	recipe := net.Recipes()[0]
	recipe.Seed = seed
	return &net.Checkpoint{Network: network, Recipe: recipe.Recipe, Train: digits(t).ID(), State: net.InitialState(plan, seed, nil)}
}

func newDevice(t testing.TB) net.Device {
	t.Helper()
	d, err := cpu.New(cpu.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() }) // stops its threads
	return d
}

var digits = func() func(testing.TB) *net.Dataset {
	load := sync.OnceValues(mnist.Tutorial)
	return func(t testing.TB) *net.Dataset {
		split, err := load()
		if err != nil {
			t.Fatal(err)
		}
		return split.Test.Slice(0, 100)
	}
}()

// newServer serves a network that has learnt nothing.
func newServer(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := New(newDevice(t), checkpoint(t, 1), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// digitFile is test image i as a PNG file.
func digitFile(t testing.TB, i int) []byte {
	return picturetest.Encoded(t, "png", picturetest.Digit(digits(t), i))
}

// do answers one request, and holds the answer to the description.
func do(t testing.TB, s *Server, method, path, kind string, body []byte, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, path, bytes.NewReader(body))
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	conforms(t, r, body, w.Code, w.Header(), w.Body.Bytes())
	return w
}

// want is what a device computes of test image i as it stands.
func want(t *testing.T, c *net.Checkpoint, i int) []float32 {
	t.Helper()
	p, err := c.Compile(newDevice(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	d, err := p.Infer(net.Batch{Data: digits(t), Indices: []int32{int32(i)}})
	if err != nil {
		t.Fatal(err)
	}
	return d.Float32s()
}

// byClass puts ranked classes into their order by number.
func byClass(t *testing.T, ranked []net.Ranked) []float32 {
	t.Helper()
	out := make([]float32, len(ranked))
	for _, r := range ranked {
		var k int
		if _, err := fmt.Sscan(r.Class, &k); err != nil {
			t.Fatal(err)
		}
		out[k] = float32(r.Probability)
	}
	return out
}

// The same kernels compute the same sums, but batches may order them otherwise.
var tolerance = approx.Tolerance{Abs: 1e-6, Rel: 1e-6}

func predictions(t *testing.T, w *httptest.ResponseRecorder) []Prediction {
	t.Helper()
	var p Predictions
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != 200 {
		t.Fatalf("status %d, %v: %s", w.Code, err, w.Body)
	}
	return p.Predictions
}

func TestPredict(t *testing.T) {
	s := newServer(t, Options{})
	c := checkpoint(t, 1)
	// A file, resized to the size that it has, and arrays are the image as it stands.
	file := predictions(t, do(t, s, "POST", "/v1/predict?prepare=stretch", "image/png", digitFile(t, 3)))
	approx.Check(t, "file", byClass(t, file[0].Classes), want(t, c, 3), tolerance)

	var flat []int
	for _, p := range digits(t).Pixels[3*784:][:784] {
		flat = append(flat, int(p))
	}
	var rows [][]int
	for y := range 28 {
		rows = append(rows, flat[28*y:28*y+28])
	}
	body, err := json.Marshal(map[string]any{"pixels": []any{flat, rows, [][][]int{rows}}})
	if err != nil {
		t.Fatal(err)
	}
	arrays := predictions(t, do(t, s, "POST", "/v1/predict", "application/json", body))
	if len(arrays) != 3 {
		t.Fatalf("%d predictions, want 3", len(arrays))
	}
	for i, p := range arrays {
		approx.Check(t, fmt.Sprintf("array %d", i), byClass(t, p.Classes), want(t, c, 3), tolerance)
	}

	marked := predictions(t, do(t, s, "POST", "/v1/predict", "application/json", append([]byte("\xef\xbb\xbf"), body...)))
	approx.Check(t, "with a byte-order mark", byClass(t, marked[0].Classes), want(t, c, 3), tolerance)

	var form bytes.Buffer
	m := multipart.NewWriter(&form)
	// A field of text, one for a file that none was chosen for, and an image without a
	// name: a browser's form may have all of them.
	if err := m.WriteField("title", "two digits"); err != nil {
		t.Fatal(err)
	}
	if _, err := m.CreateFormFile("none", ""); err != nil {
		t.Fatal(err)
	}
	if err := m.WriteField("nameless", string(digitFile(t, 2))); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		part, err := m.CreateFormFile("x", fmt.Sprintf("%d.png", i))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := part.Write(digitFile(t, i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	files := predictions(t, do(t, s, "POST", "/v1/predict?prepare=stretch&top=2", m.FormDataContentType(), form.Bytes()))
	if len(files) != 3 || files[0].Image != "nameless" || files[2].Image != "1.png" || len(files[2].Classes) != 2 {
		t.Errorf("got %+v, want two classes each of the nameless image, of 0.png and of 1.png", files)
	}
}

func TestActivations(t *testing.T) {
	s := newServer(t, Options{})
	w := do(t, s, "POST", "/v1/activations?prepare=stretch", "", digitFile(t, 3))
	var a Activations
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || w.Code != 200 {
		t.Fatalf("status %d, %v: %s", w.Code, err, w.Body)
	}
	approx.Check(t, "classes", byClass(t, a.Classes), want(t, checkpoint(t, 1), 3), tolerance)
	if seen, err := base64.StdEncoding.DecodeString(a.Input.Data); err != nil || len(seen) != 784 {
		t.Errorf("input of %d bytes, %v", len(seen), err)
	}
	var names, from []string
	for _, l := range a.Layers {
		from = append(from, l.From...)
		data, err := base64.StdEncoding.DecodeString(l.Data)
		if err != nil || len(data) != l.Shown.Size() || l.Low > 0 || l.High < 0 {
			t.Errorf("layer %s: %d bytes of %v, from %v to %v, %v", l.Name, len(data), l.Shown, l.Low, l.High, err)
		}
		names = append(names, l.Name)
	}
	if got := strings.Join(names, " "); got != "conv1 tanh1 pool1 dense1" {
		t.Errorf("layers %s", got)
	}
	if got := strings.Join(from, " "); got != "input conv1 tanh1 pool1" {
		t.Errorf("they are computed from %s", got)
	}
	if w := do(t, newServer(t, Options{NoActivations: true}), "POST", "/v1/activations", "", digitFile(t, 3)); w.Code != 404 {
		t.Errorf("switched off: status %d", w.Code)
	}
}

// TestActivationsOfGraphs asks each example of each kind of layer for its way, and a
// network with branches.
func TestActivationsOfGraphs(t *testing.T) {
	way := func(n *net.Network, hidden ...int) map[string]Activation {
		t.Helper()
		device := reference.New()
		p, err := device.Compile(n, net.Options{Batch: 1, Optimizer: net.SGDDefault(0)})
		if err != nil {
			t.Fatal(err)
		}
		image := &net.Dataset{Name: "ones", Shape: n.Input, Classes: 2, Labels: []int32{0}, Values: make([]float32, n.Input.Size())}
		for i := range image.Values {
			image.Values[i] = 1
		}
		trace, err := p.(net.Tracer).Trace(net.Batch{Data: image, Indices: []int32{0}}, net.Evaluation)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range hidden {
			trace.Layers[i].Output = nil
		}
		layers := map[string]Activation{}
		for _, l := range activationsOf(p.Plan(), trace) {
			layers[l.Name] = l
		}
		return layers
	}
	for _, k := range net.Kinds() {
		for _, e := range k.Examples {
			n := devicetest.ExampleNetwork(e)
			plan, err := n.Plan()
			if err != nil {
				t.Fatal(err)
			}
			layers := way(n)
			for _, l := range plan.Nodes {
				a, ok := layers[l.Name]
				if same := l.Layer.Kind() == "flatten" || l.Layer.Kind() == "dropout"; ok == same {
					t.Errorf("%s of %s: shown: %v", l.Name, n.Name, ok)
				}
				if ok && (a.Type != l.Layer.Kind() || a.Shape != l.Out || len(a.From) != len(l.Inputs)) {
					t.Errorf("%s of %s: %s of %v from %v", l.Name, n.Name, a.Type, a.Shape, a.From)
				}
			}
		}
	}
	layers := way(&net.Network{Input: net.Shape{C: 2, H: 3, W: 3}, Layers: []net.Layer{
		&net.Conv{Filters: 2, Kernel: net.Square(1)}, &net.Activation{Func: net.ReLU}, &net.Dropout{Rate: 0.5},
		&net.Add{From: net.From{"dropout1", "input", "relu1"}}, &net.Flatten{}, &net.Dense{Units: 2},
	}}, 0)
	for name, want := range map[string]string{"relu1": "input", "add1": "relu1 input", "dense1": "add1"} {
		if got := strings.Join(layers[name].From, " "); got != want {
			t.Errorf("%s is computed from %q, want %q", name, got, want)
		}
	}
	if _, ok := layers["conv1"]; ok {
		t.Error("a layer without an output is shown")
	}
}
