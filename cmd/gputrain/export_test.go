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
		out := must(t, "export", "--checkpoint", runsFolder+"/run-1", "--format", "safetensors", "--layout", layout, "-o", layout)
		if !strings.HasPrefix(out, layout+": network quick of runs/run-1, 500 weights, ") {
			t.Errorf("export says %q", out)
		}
		must(t, "import", layout, "--layout", layout, "--model", "quick.json", "--run", "imported-"+layout)
		if got := accuracy("--checkpoint", "imported-"+layout); got != want {
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

// TestStandardOutput has files written to standard output, which then has nothing else.
func TestStandardOutput(t *testing.T) {
	inFolder(t)
	must(t, quick("--epochs", "1")...)
	for _, c := range []struct {
		line, file, begins string // how the output begins; "" is the same bytes as in a file
		tells              string
	}{
		{"export -o", "f.onnx", "", "standard output: network quick of runs/run-1, 500 weights, "},
		{"export --format safetensors -o", "f.safetensors", "", "standard output: network quick"},
		{"models show lenet5 --svg", "f.svg", "", ""},
		{"data --samples 4 --png", "f.png", "", "standard output: 4 samples of each class"},
		{"find-rate --model quick.json --device cpu --steps 10 --from 1e-4 --to 1 --csv", "f.csv", "", "The loss"},
		{"report --device cpu --output", "f.html", "<!DOCTYPE html>", "standard output: run-1, "},
	} {
		args := strings.Fields(c.line)
		o := gputrain(t, append(args, "-")...)
		if o.status != exitOK || !strings.Contains(o.errors, c.tells) {
			t.Errorf("%s -: status %d, told %s", c.line, o.status, o.errors)
		}
		must(t, append(args, c.file)...)
		b, err := os.ReadFile(c.file)
		if err != nil {
			t.Fatal(err)
		}
		if c.begins == "" && o.out != string(b) || len(o.out) == 0 || !strings.HasPrefix(o.out, c.begins) {
			t.Errorf("%s -: %d bytes, %d in a file", c.line, len(o.out), len(b))
		}
	}
	if _, err := os.Lstat("-"); err == nil {
		t.Error("there is a file called -")
	}
	refuses(t, exitUsage, "--output - and --json both want standard output", "export", "--output", "-", "--json")
	refuses(t, exitUsage, "--csv - and --svg both want standard output", "find-rate", "--svg", "-", "--csv", "-")
	refuses(t, exitFailed, "--html nowhere/x.html: there is no folder nowhere", "data", "--html", "nowhere/x.html")
	refuses(t, exitFailed, "--output runs: a folder, want a file in it", "report", "--output", "runs")
}

// TestExportRefuses has nothing to write, or contradictions.
func TestExportRefuses(t *testing.T) {
	inFolder(t)
	refuses(t, exitFailed, "there is no run in runs/: train one first ("+invocation()+" train), or say where it is: --checkpoint RUN", "export")
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
