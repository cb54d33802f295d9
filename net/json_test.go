package net

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// TestJSONForms reads and writes the fields that have forms of their own.
func TestJSONForms(t *testing.T) {
	// A field of T, as it stands in a layer.
	forms := func(t *testing.T, cases map[string]any, refused []string, read func(string) (any, error)) {
		t.Helper()
		for text, want := range cases {
			got, err := read(text)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s is read as %#v (%v), want %#v", text, got, err, want)
				continue
			}
			written, err := json.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			if back, err := read(string(written)); err != nil || !reflect.DeepEqual(back, want) {
				t.Errorf("%s is written as %s and read as %#v (%v)", text, written, back, err)
			}
		}
		for _, text := range refused {
			if got, err := read(text); err == nil {
				t.Errorf("%s is read as %#v", text, got)
			}
		}
	}
	t.Run("from", func(t *testing.T) {
		forms(t, map[string]any{
			`"a"`: From{"a"}, `["a"]`: From{"a"}, `["a","b"]`: From{"a", "b"}, `["a","a"]`: From{"a", "a"},
		}, []string{`[]`, `3`, `{"a":1}`, `["a",3]`, `true`}, readAs[From])
		if b, err := json.Marshal(From{"a"}); string(b) != `"a"` {
			t.Errorf("one name is written as %s (%v)", b, err)
		}
	})
	t.Run("frozen", func(t *testing.T) {
		forms(t, map[string]any{
			`"always"`: Frozen{Always: true}, `true`: Frozen{All: true}, `false`: Frozen{}, `["weight"]`: Frozen{Roles: []Role{Weight}}, `["weight","bias"]`: Frozen{Roles: []Role{Weight, Bias}},
		}, []string{`"weight"`, `1`, `0`, `{"all":true}`, `[true]`}, readAs[Frozen])
	})
	t.Run("pair", func(t *testing.T) {
		forms(t, map[string]any{
			`3`: Square(3), `[3,3]`: Square(3), `[2,5]`: Pair{2, 5},
		}, []string{`0`, `-1`, `[3]`, `[1,2,3]`, `[0,1]`, `[1,0]`, `"3"`, `2.5`, `null`}, readAs[Pair])
		if b, err := json.Marshal(Square(3)); string(b) != `3` {
			t.Errorf("a square is written as %s (%v)", b, err)
		}
	})
	// What nothing is said of is not written.
	b, err := json.Marshal(&Conv{Filters: 1, Kernel: Square(1)})
	if err != nil || string(b) != `{"filters":1,"kernel":1}` {
		t.Errorf("a convolution is written as %s (%v)", b, err)
	}
}

func readAs[T any](text string) (any, error) {
	var v T
	err := json.Unmarshal([]byte(text), &v)
	return v, err
}

// TestByteOrderMark reads what editors of Windows write.
func TestByteOrderMark(t *testing.T) {
	const text = `{"name":"bom","input":{"channels":1,"height":28,"width":28},"layers":[{"type":"flatten"},{"type":"dense","units":10}]}`
	plain, err := ParseNetwork(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	marked, err := ParseNetwork(strings.NewReader("\ufeff" + text))
	if err != nil || !reflect.DeepEqual(plain, marked) {
		t.Errorf("with a byte-order mark: %v", err)
	}
	for _, bad := range []string{"\ufeff", "\ufeff\ufeff" + text, text + "\ufeff", "\xef\xbb" + text} {
		if _, err := ParseNetwork(strings.NewReader(bad)); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// TestFieldsInCapitals: encoding/json reads them, and so a network's file may have
// them. The guard against zeros must not take them for numbers that were lost.
func TestFieldsInCapitals(t *testing.T) {
	network := func(layer string) string {
		return `{"input":{"channels":1,"height":8,"width":8},"layers":[{"type":"flatten"},` + layer + `]}`
	}
	n, err := ParseNetwork(strings.NewReader(network(`{"type":"dense","Units":3}`)))
	if err != nil || n.Layers[1].(*Dense).Units != 3 {
		t.Errorf("error %v", err)
	}
	_, err = ParseNetwork(strings.NewReader(network(`{"type":"dense","units":3},{"type":"batchnorm","Epsilon":0}`)))
	if err == nil || !strings.Contains(err.Error(), "layer 2 (batchnorm): Epsilon must not be 0") {
		t.Errorf("error %v", err)
	}
}

// TestGraphInJSON reads a graph as people write it.
func TestGraphInJSON(t *testing.T) {
	n, err := ParseNetwork(strings.NewReader(graphText))
	if err != nil {
		t.Fatal(err)
	}
	want := &Network{Name: "residual", Input: Shape{2, 6, 6}, Layers: []Layer{
		&Conv{Name: "stem", Filters: 4, Kernel: Square(3), Padding: PadSame, Frozen: Frozen{All: true}},
		&BatchNorm{Frozen: Frozen{Roles: []Role{Weight}}},
		&Conv{Name: "side", From: From{"input"}, Filters: 4, Kernel: Square(1)},
		&Add{From: From{"batchnorm1", "stem", "side"}},
		&Pool{Mode: MeanPool, Global: true},
		&Dense{Units: 3},
	}}
	if !reflect.DeepEqual(n, want) {
		t.Errorf("read as %+v", n)
	}
}

const graphText = `{"name":"residual","input":{"channels":2,"height":6,"width":6},"layers":[
	{"type":"conv","name":"stem","filters":4,"kernel":3,"padding":"same","frozen":true},
	{"type":"batchnorm","frozen":["weight"]},
	{"type":"conv","name":"side","from":"input","filters":4,"kernel":1,"frozen":false},
	{"type":"add","from":["batchnorm1","stem","side"]},
	{"type":"pool","mode":"mean","global":true},
	{"type":"dense","units":3}]}`
