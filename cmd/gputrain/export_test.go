package main

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/onnx"
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
		if !strings.HasPrefix(out, layout+": safetensors, network quick of runs/run-1, 500 weights, ") {
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

// TestStandardOutput has files written to standard output, which then has nothing else.
func TestStandardOutput(t *testing.T) {
	inFolder(t)
	must(t, quick("--epochs", "1")...)
	for _, c := range []struct {
		line, file, begins string // how the output begins; "" is the same bytes as in a file
		tells              string
	}{
		{"export -o", "f.onnx", "", "standard output: ONNX, network quick of runs/run-1, 500 weights, "},
		{"export --format safetensors -o", "f.safetensors", "", "standard output: safetensors, network quick"},
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
		if runtime.GOOS != "windows" {
			for _, name := range []string{"/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"} {
				if same := gputrain(t, append(args, name)...); same.status != exitOK || len(same.out) != len(o.out) || !strings.Contains(same.errors, c.tells) {
					t.Errorf("%s %s: status %d, %d bytes, want those of -, %d; told %s", c.line, name, same.status, len(same.out), len(o.out), same.errors)
				}
			}
		}
		if isThere(labelsFile) {
			t.Errorf("%s -: there is a %s", c.line, labelsFile)
		}
		must(t, append(args, c.file)...)
		_ = os.Remove(labelsFile) // of export to a file
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

// TestOutputEndings: the end of a file's name chooses the format of export, and no command
// writes a format under the name of another.
func TestOutputEndings(t *testing.T) {
	inFolder(t)
	must(t, quick("--epochs", "1")...)
	for _, c := range []struct{ args, format string }{
		{"-o a.safetensors", formatSafetensors}, {"-o A.SAFETENSORS", formatSafetensors}, {"-o a.onnx", formatONNX}, {"-o plain", formatONNX},
		{"-o b.safetensors --format safetensors", formatSafetensors}, {"-o weights.bin --format safetensors", formatSafetensors}, {"-o c.safetensors --layout channels-last", formatSafetensors},
	} {
		var e exported
		if err := json.Unmarshal([]byte(must(t, append([]string{"export", "--json"}, strings.Fields(c.args)...)...)), &e); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(e.File)
		if err != nil {
			t.Fatal(err)
		}
		if is := map[bool]string{true: formatONNX, false: formatSafetensors}[b[0] == 0x08 && b[2] != 0]; e.Format != c.format || is != c.format {
			t.Errorf("export %s wrote %s and calls it %s, want %s", c.args, is, e.Format, c.format)
		}
	}
	if out := must(t, "export", "-o", "d.safetensors"); !strings.HasPrefix(out, "d.safetensors: safetensors, network quick of runs/run-1, 500 weights, ") {
		t.Errorf("export says %q", out)
	}
	t.Run("environment", func(t *testing.T) {
		t.Setenv("GPUTRAIN_FORMAT", formatSafetensors)
		if out := must(t, "export", "-o", "e.onnx"); !strings.Contains(out, ": ONNX,") {
			t.Errorf("export says %q", out)
		}
	})
	const no = ": export writes .onnx and .safetensors files, none that end in "
	for _, ending := range []string{".pt", ".h5", ".keras", ".zip", ".json"} {
		refuses(t, exitUsage, "--output x"+ending+no+ending+"; name the file so, or say with --format what to write to it", "export", "-o", "x"+ending)
	}
	refuses(t, exitUsage, "--format safetensors and --output x.onnx contradict each other: leave --format out, or let the name end in .safetensors", "export", "--format", "safetensors", "-o", "x.onnx")
	refuses(t, exitUsage, "--logits is for --format onnx: safetensors hold weights alone", "export", "--logits", "-o", "x.safetensors")
	refuses(t, exitUsage, "--output x.pdf: it writes no .pdf file; let the name end in .html", "report", "--output", "x.pdf")
	refuses(t, exitUsage, "--png x.jpg: it writes no .jpg file; let the name end in .png", "data", "--png", "x.jpg")
	refuses(t, exitUsage, "--html x.png: it writes no .png file; let the name end in .html", "data", "--html", "x.png")
	refuses(t, exitUsage, "--svg x.png: it writes no .png file; let the name end in .svg", "models", "show", "lenet5", "--svg", "x.png")
	refuses(t, exitUsage, "--csv x.json: it writes no .json file; let the name end in .csv", "find-rate", "--csv", "x.json")
	refuses(t, exitUsage, "--html x.json: it writes no .json file; let the name end in .html", "bench", "--html", "x.json")
}

// TestOutputLinks writes through links, which must lead to a folder.
func TestOutputLinks(t *testing.T) {
	inFolder(t)
	must(t, quick("--epochs", "1")...)
	for name, target := range map[string]string{"good.onnx": "new.onnx", "bad.onnx": filepath.Join("nowhere", "x.onnx"), "round.onnx": "round.onnx", "gone.png": "seven.png"} {
		if err := os.Symlink(target, name); err != nil {
			t.Skipf("there are no links: %v", err)
		}
	}
	must(t, "export", "-o", "good.onnx")
	if b, err := os.ReadFile("new.onnx"); err != nil || len(b) == 0 {
		t.Errorf("behind the link: %d bytes (%v)", len(b), err)
	}
	refuses(t, exitFailed, "--output bad.onnx: a link to "+filepath.Join("nowhere", "x.onnx")+", but there is no folder nowhere", "export", "-o", "bad.onnx")
	refuses(t, exitFailed, "--output round.onnx: too many symbolic links", "export", "-o", "round.onnx")
	if o := gputrain(t, "predict", "gone.png"); o.status != exitFailed || o.errors != "gputrain: gone.png: a link to seven.png, which is not there\n" {
		t.Errorf("a link to no picture: status %d, %s", o.status, o.errors)
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

// TestExportEight writes eight bits: the file is smaller, the accuracies are told, and what is read back is as accurate.
func TestExportEight(t *testing.T) {
	inFolder(t)
	must(t, quick("--epochs", "1")...)
	var plain, e exported
	for _, c := range []struct {
		args []string
		into *exported
	}{{nil, &plain}, {[]string{"--quantize", "int8", "--calibrate", "40", "--output", "eight.onnx"}, &e}} {
		if err := json.Unmarshal([]byte(must(t, append([]string{"export", "--json"}, c.args...)...)), c.into); err != nil {
			t.Fatal(err)
		}
	}
	if q := e.Eight; plain.Eight != nil || q == nil || q.How != "int8" || q.Calibrate != 40 || q.Images == 0 || math.Abs(q.Accuracy-q.Before) > 0.1 || e.Weights != 500 {
		t.Errorf("export says %+v, and without --quantize %+v", e, plain)
	}
	accuracy := func(args ...string) float64 {
		t.Helper()
		var of evaluation
		if err := json.Unmarshal([]byte(must(t, append([]string{"eval", "--json", "--data="}, args...)...)), &of); err != nil {
			t.Fatal(err)
		}
		return of.Accuracy
	}
	if got := accuracy("--run", runsFolder+"/run-1"); got != e.Eight.Before {
		t.Errorf("eval says %v, export %v", got, e.Eight.Before)
	}
	must(t, "import", "eight.onnx", "--run", "eight")
	if got := accuracy("--run", runsFolder+"/eight"); math.Abs(got-e.Eight.Accuracy) > 0.02 {
		t.Errorf("with weights of eight bits alone the accuracy is %v, with values too %v", got, e.Eight.Accuracy)
	}
	for line, want := range map[string]string{
		"--quantize float16":                       "int8",
		"--quantize int8 --output new.safetensors": "--quantize is for --format onnx",
		"--quantize int8 --calibrate 0":            "at least 1",
		"--calibrate 10":                           "--calibrate is for --quantize",
		"--data .":                                 "--data is for --quantize",
		"--quantize int8 --data no-such-folder":    "no-such-folder",
	} {
		if !strings.Contains(line, "--output") {
			line += " --output new.onnx"
		}
		o := gputrain(t, append([]string{"export"}, strings.Fields(line)...)...)
		if o.status == exitOK || !strings.Contains(o.errors, want) || isThere("new.onnx") || isThere("new.safetensors") {
			t.Errorf("export %s: status %d, told %q, want %q", line, o.status, o.errors, want)
		}
	}
}

// TestCheckONNX changes a model as if the exporter had a fault: the check finds it.
func TestCheckONNX(t *testing.T) {
	plan, err := net.BuiltIn("mlp").Plan()
	if err != nil {
		t.Fatal(err)
	}
	weights := net.InitialState(plan, 1, nil).Params
	var b bytes.Buffer
	if err := onnx.Write(&b, plan, weights, onnx.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := checkONNX(b.Bytes(), plan, weights, onnx.Options{}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, changed, want string }{
		{"Relu", "Tanh", "probability"}, {"Gemm", "Gomm", "Gomm"}, {"images", "imagos", ""},
	} {
		model := bytes.ReplaceAll(b.Bytes(), []byte(c.old), []byte(c.changed))
		if err := checkONNX(model, plan, weights, onnx.Options{}); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s in the place of %s: %v", c.changed, c.old, err)
		}
	}
	if err := checkONNX(b.Bytes(), plan, weights, onnx.Options{Logits: true}); err == nil || !strings.Contains(err.Error(), "softmax") {
		t.Errorf("with a softmax that shouldn't be there: %v", err)
	}
}
