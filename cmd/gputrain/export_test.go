package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/net"
)

// TestExportImport takes weights out of a run and back, in both layouts: the imported network is as accurate, and training
// goes on with it.
func TestExportImport(t *testing.T) {
	inFolder(t)
	must(t, quick("--epochs", "1")...)
	accuracy := func(args ...string) float64 {
		t.Helper()
		var e evaluation
		if err := json.Unmarshal([]byte(must(t, append([]string{"eval", "--json"}, args...)...)), &e); err != nil {
			t.Fatal(err)
		}
		return e.Accuracy
	}
	want := accuracy()
	for _, layout := range layoutNames() {
		out := must(t, "export", "--run", runsFolder+"/run-1", "--format", "safetensors", "--layout", layout, "-o", layout)
		if !strings.HasPrefix(out, layout+": network quick of runs/run-1, 500 weights, ") {
			t.Errorf("export says %q", out)
		}
		must(t, "import", layout, "--layout", layout, "--model", "quick.json", "--run", "imported-"+layout)
		if got := accuracy("--run", "imported-"+layout); got != want {
			t.Errorf("%s: accuracy %v, want %v", layout, got, want)
		}
	}
	if out := must(t, "train", "--resume", "imported-channels-last", "--epochs", "1"); strings.Contains(out, "Note") {
		t.Errorf("an import is said to have begun on another device:\n%s", out)
	}
	if c := load(t, runsFolder+"/imported-channels-last"); c.Position.Epoch != 1 {
		t.Errorf("at epoch %d, want 1", c.Position.Epoch)
	}
}

// TestExportONNX writes the file that package onnx makes, and says so in JSON.
func TestExportONNX(t *testing.T) {
	inFolder(t)
	must(t, quick("--epochs", "1")...)
	var e exported
	if err := json.Unmarshal([]byte(must(t, "export", "--json")), &e); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile("model.onnx")
	if err != nil {
		t.Fatal(err)
	}
	if e.File != "model.onnx" || e.Bytes != int64(len(b)) || e.Weights != 500 {
		t.Errorf("export says %+v of %d bytes", e, len(b))
	}
	must(t, "export", "--logits", "--output", "logits.onnx")
	logits, err := os.ReadFile("logits.onnx")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		has  bool
		in   []byte
	}{{"Softmax", true, b}, {"Softmax", false, logits}, {"AveragePool", true, logits}, {"dense1.weight", true, logits}} {
		if bytes.Contains(c.in, []byte(c.name)) != c.has {
			t.Errorf("%s in the model: %v, want %v", c.name, !c.has, c.has)
		}
	}
}

// TestExportRefuses has nothing to write, or contradictions.
func TestExportRefuses(t *testing.T) {
	inFolder(t)
	refuses(t, exitFailed, "there is no run in runs/: train one first ("+invocation()+" train), or say where it is: --run RUN", "export")
	refuses(t, exitUsage, "--layout is for --format safetensors: ONNX has an order of its own", "export", "--layout", "channels-last")
	refuses(t, exitUsage, "--logits is for --format onnx: safetensors hold weights alone", "export", "--format", "safetensors", "--logits")
	refuses(t, exitUsage, `--name: want PARAMETER=TENSOR, once a parameter, as in conv1.weight=layer1_W, got "x"`, "import", "--name", "x", "f")
	write(t, "damaged", "nothing")
	o := gputrain(t, "import", "damaged")
	if o.status != exitFailed || !strings.Contains(o.errors, net.ErrWeights.Error()) {
		t.Errorf("status %d, %s", o.status, o.errors)
	}
	if _, err := os.Stat(runsFolder); err == nil {
		t.Error("a run was begun")
	}
}
