package serve

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/picture"
	"github.com/gputrain/gputrain/picture/picturetest"
)

var (
	colourNames  = []string{"red", "green", "blue", "yellow", "cyan", "magenta", "white", "black", "grey", "orange"}
	colourValues = [][3]uint8{{255, 0, 0}, {0, 255, 0}, {0, 0, 255}, {255, 255, 0}, {0, 255, 255}, {255, 0, 255}, {255, 255, 255}, {0, 0, 0}, {128, 128, 128}, {255, 128, 0}}
)

// colours is a network that finds the colour which is nearest to a picture's mean, and
// a picture of each.
func colours(t testing.TB) (*net.Checkpoint, *net.Dataset) {
	t.Helper()
	network, err := net.ParseNetwork(strings.NewReader(`{"name": "colours", "input": {"channels": 3, "height": 32, "width": 32}, "layers": [
		{"type": "pool", "mode": "mean", "kernel": 32}, {"type": "flatten"}, {"type": "dense", "units": 10}]}`))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := network.Plan()
	if err != nil {
		t.Fatal(err)
	}
	const area = 32 * 32
	state := net.InitialState(plan, 1, nil)
	weights, bias := state.Params["dense1.weight"], state.Params["dense1.bias"].Float32s()
	outputs := weights.Shape()[0] == 10
	data := &net.Dataset{Name: "colours training", Shape: network.Input, Classes: 10, Scale: 1. / 255, Pixels: make([]uint8, 10*3*area)}
	for k, c := range colourValues {
		data.Labels = append(data.Labels, int32(k))
		bias[k] = 0
		for channel, v := range c {
			x := float32(v) / 255
			at := channel*10 + k
			if outputs {
				at = k*3 + channel
			}
			weights.Float32s()[at] = 20 * x // of -10 |x - c|^2, what depends on c
			bias[k] -= 10 * x * x
			for i := range area {
				data.Pixels[(k*3+channel)*area+i] = v
			}
		}
	}
	return &net.Checkpoint{
		Network: network, Recipe: net.Recipes()[0].Recipe, Train: data.ID(), State: state,
		Subject: &net.Subject{Data: "a chart of colours", ClassNames: colourNames, Scale: 1. / 255, Prepare: "stretch"},
	}, data
}

// TestSubject checks what a network's model and its page, before any script has run,
// say of what it is about.
func TestSubject(t *testing.T) {
	garments := strings.Fields("T-shirt Trouser Pullover Dress Coat Sandal Shirt Sneaker Bag Boot")
	letters := strings.Split("abcdefghij", "")
	subject := func(prepare string, scale float32, names []string) *net.Subject {
		return &net.Subject{Data: "things", ClassNames: names, Prepare: prepare, Scale: scale}
	}
	small := func(s *net.Subject) *net.Checkpoint {
		c := checkpoint(t, 1)
		c.Subject = s
		return c
	}
	garments28 := small(nil)
	garments28.Train.Name = "garments training"
	colour, _ := colours(t)
	for _, c := range []struct {
		name          string
		checkpoint    *net.Checkpoint
		options       Options
		kind, prepare string
		heading       string
		draws         bool
	}{
		{"nothing remembered", small(nil), Options{}, "digit", "digit", "Draw a digit", true},
		{"nothing remembered but other data", garments28, Options{}, "drawing", "digit", "Draw something", true},
		{"nothing remembered, other data, digits asked for", garments28, Options{Preparation: picture.Digit}, "digit", "digit", "Draw a digit", true},
		{"digits", small(subject("digit", 1./255, nil)), Options{}, "digit", "digit", "Draw a digit", true},
		{"garments", small(subject("resize", 1./255, garments)), Options{}, "picture", "stretch", "Show a picture", false},
		{"garments, digits asked for", small(subject("fit", 1./255, garments)), Options{Preparation: picture.Digit}, "drawing", "digit", "Draw something", true},
		{"letters", small(subject("digit", 1./255, letters)), Options{}, "character", "digit", "Draw a character", true},
		{"names of the options", small(nil), Options{ClassNames: letters}, "character", "digit", "Draw a character", true},
		{"no bytes", small(subject("", 0, nil)), Options{}, "values", "auto", "No network for pictures", false},
		{"colours", colour, Options{}, "picture", "stretch", "Show a picture", false},
		{"colours, cropped", colour, Options{Preparation: picture.Crop}, "picture", "crop", "Show a picture", false},
	} {
		s, err := New(newDevice(t), c.checkpoint, c.options)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var m Model
		if err := json.Unmarshal(do(t, s, "GET", "/v1/model", "", nil).Body.Bytes(), &m); err != nil {
			t.Fatal(err)
		}
		if m.Subject != c.kind || m.Preparation != c.prepare {
			t.Errorf("%s: a network of %s, prepared by %s; want %s, %s", c.name, m.Subject, m.Preparation, c.kind, c.prepare)
		}
		if r := c.checkpoint.Subject; r != nil && (m.Data != r.Data || len(r.ClassNames) > 0 && fmt.Sprint(m.Classes) != fmt.Sprint(r.ClassNames)) {
			t.Errorf("%s: classes %v of %q, want %v of %q", c.name, m.Classes, m.Data, r.ClassNames, r.Data)
		}
		w := do(t, s, "GET", "/", "", nil)
		page := w.Body.String()
		if !strings.Contains(page, "<h1 id=\"title\">"+c.heading+"</h1>") || strings.Contains(page, "<canvas") != c.draws {
			t.Errorf("%s: the page is not headed %q, or its drawing area is wrong:\n%s", c.name, c.heading, page)
		}
		if c.kind != "digit" && strings.Contains(strings.ToLower(page), "digit") {
			t.Errorf("%s: the page says digit", c.name)
		}
		for _, name := range m.Classes {
			if len(name) > 6 && strings.Contains(page, name) {
				t.Errorf("%s: the page, for which nobody needs a token, tells of %q", c.name, name)
			}
		}
		if got := w.Header().Get("Permissions-Policy"); !strings.Contains(got, "camera=(self)") || !strings.Contains(got, "microphone=()") {
			t.Errorf("the page may use %q", got)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	colour.Subject.Prepare = "boiled"
	if _, err := New(newDevice(t), colour, Options{}); err == nil || !strings.Contains(err.Error(), "boiled") {
		t.Errorf("an unknown preparation: %v", err)
	}
}

// TestScale checks that pictures become values as those that the network was trained
// on, and that a network whose values nobody knows refuses them.
func TestScale(t *testing.T) {
	c := checkpoint(t, 1)
	c.Subject = &net.Subject{Data: "digits", Scale: 0.01, Prepare: "stretch"}
	s, err := New(newDevice(t), c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	pixels := digits(t).Pixels[:784]
	values := make([]float32, 784)
	numbers := make([]int, 784)
	for i, p := range pixels {
		values[i], numbers[i] = float32(p)*0.01, int(p)
	}
	body := func(field string, v any) []byte {
		b, err := json.Marshal(map[string]any{field: []any{v}})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	want := byClass(t, predictions(t, do(t, s, "POST", "/v1/predict", "application/json", body("values", values)))[0].Classes)
	got := byClass(t, predictions(t, do(t, s, "POST", "/v1/predict", "application/json", body("pixels", numbers)))[0].Classes)
	approx.Check(t, "bytes", got, want, tolerance)
	got = byClass(t, predictions(t, do(t, s, "POST", "/v1/predict", "", digitFile(t, 0)))[0].Classes)
	approx.Check(t, "file", got, want, tolerance)

	c = checkpoint(t, 1)
	c.Subject = &net.Subject{Data: "measurements"}
	if err := s.Replace(c); err != nil {
		t.Fatal(err)
	}
	for kind, b := range map[string][]byte{"image/png": digitFile(t, 0), "application/json": body("pixels", numbers)} {
		if w := do(t, s, "POST", "/v1/predict", kind, b); w.Code != 422 || !strings.Contains(w.Body.String(), "not bytes") {
			t.Errorf("%s: status %d, %s; want 422", kind, w.Code, w.Body)
		}
	}
	if w := do(t, s, "POST", "/v1/predict", "application/json", body("values", values)); w.Code != 200 {
		t.Errorf("values: status %d", w.Code)
	}
}

// TestReplacedSubject checks that the names and examples of one data set are not shown to a
// network of another.
func TestReplacedSubject(t *testing.T) {
	about := func(seed uint64, data string, names []string) *net.Checkpoint {
		c := checkpoint(t, seed)
		c.Subject = &net.Subject{Data: data, ClassNames: names, Scale: 1. / 255, Prepare: "stretch"}
		return c
	}
	letters, signs := strings.Split("abcdefghij", ""), strings.Split("+-*/=<>()!", "")
	colour, _ := colours(t)
	s, err := New(newDevice(t), about(1, "letters", nil), Options{ClassNames: letters, Examples: digits(t).Slice(0, 5)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, c := range []struct {
		name       string
		checkpoint *net.Checkpoint // nil for the first
		class      string
		examples   int
	}{
		{"first", nil, "a", 5},
		{"trained anew", about(2, "letters", nil), "a", 5},
		{"the same with names of its own", about(3, "letters", letters), "a", 5},
		{"other names", about(4, "letters", signs), "+", 0},
		{"other data", about(5, "signs", signs), "+", 0},
		{"other data without names", about(6, "signs", nil), "0", 0},
		{"another network", colour, "red", 0},
		{"back again", about(1, "letters", nil), "a", 5},
	} {
		if c.checkpoint != nil {
			if err := s.Replace(c.checkpoint); err != nil {
				t.Fatal(err)
			}
		}
		if m := s.Model(); m.Classes[0] != c.class || len(m.Examples) != c.examples || c.examples > 0 && m.Examples[0].Class != m.Classes[7] {
			t.Errorf("%s: classes %q, examples %v; want %d of them and %q first", c.name, m.Classes, m.Examples, c.examples, c.class)
		}
		if p := predictions(t, do(t, s, "POST", "/v1/predict", "", digitFile(t, 0))); len(p) != 1 || len(p[0].Classes) != 10 {
			t.Errorf("%s: answers %v", c.name, p)
		}
	}
}

// TestSeen checks the picture that the network sees.
func TestSeen(t *testing.T) {
	c, data := colours(t)
	s, err := New(newDevice(t), c, Options{Examples: data})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	orange := do(t, s, "GET", "/examples/9.png", "", nil).Body.Bytes()
	check := func(what, uri string) {
		t.Helper()
		text, found := strings.CutPrefix(uri, "data:image/png;base64,")
		file, err := base64.StdEncoding.DecodeString(text)
		if !found || err != nil {
			t.Fatalf("%s: %.40q, %v", what, uri, err)
		}
		img, err := png.Decode(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		r, g, b, _ := img.At(31, 31).RGBA()
		if img.Bounds() != image.Rect(0, 0, 32, 32) || r>>8 != 255 || g>>8 != 128 || b != 0 {
			t.Errorf("%s: %v, with a pixel of %d, %d, %d; want orange", what, img.Bounds(), r>>8, g>>8, b>>8)
		}
	}
	p := predictions(t, do(t, s, "POST", "/v1/predict?seen=true", "", orange))[0]
	if p.Classes[0].Class != "orange" {
		t.Errorf("an orange picture is %q", p.Classes[0].Class)
	}
	check("prediction", p.Seen)
	var a Activations
	if err := json.Unmarshal(do(t, s, "POST", "/v1/activations?seen=true", "", orange).Body.Bytes(), &a); err != nil {
		t.Fatal(err)
	}
	check("activations", a.Seen)
	big := picturetest.Encoded(t, "png", image.NewGray(image.Rect(0, 0, 70, 50)))
	if p := predictions(t, do(t, s, "POST", "/v1/predict", "", big))[0]; p.Seen != "" || p.Classes[0].Class != "black" {
		t.Errorf("a black picture is %q, seen %.20q; want black, and nothing seen", p.Classes[0].Class, p.Seen)
	}
	if w := do(t, s, "POST", "/v1/predict?seen=perhaps", "", big); w.Code != 400 {
		t.Errorf("seen=perhaps: status %d", w.Code)
	}
}
