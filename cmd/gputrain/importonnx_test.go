package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
)

// TestImportONNX makes runs of a model of PyTorch, with and without class names, and of what it was exported as.
func TestImportONNX(t *testing.T) {
	path, err := filepath.Abs("../../onnx/testdata/models/mobile.onnx")
	if err != nil {
		t.Fatal(err)
	}
	inFolder(t)
	write(t, "names.txt", "ant\r\nbee\r\ncat\r\ndog\r\n")
	if text := must(t, "import", path, "--explain"); !strings.Contains(text, "from images of 3 x 9 x 9 to 4 classes") || !strings.Contains(text, `written by "pytorch 2.15.0`) {
		t.Errorf("got %s", text)
	}
	if _, err := os.Stat("runs"); err == nil {
		t.Error("--explain began a run")
	}
	var told exported
	if err := json.Unmarshal([]byte(must(t, "import", path, "--run", "first", "--labels", "names.txt", "--mean", "0.1,0.2,0.3", "--std", "2,2,4", "--json")), &told); err != nil || told.Network != "mobile" || told.Format != formatCheckpoint {
		t.Errorf("got %+v, %v", told, err)
	}
	must(t, "export", "--run", "first", "--output", "again.onnx")
	must(t, "import", "again.onnx", "--run", "second")
	first, second := checkpointOf(t, "runs/first"), checkpointOf(t, "runs/second")
	if s := second.Subject; strings.Join(s.ClassNames, " ") != "ant bee cat dog" || s.Scale != 1./255 || s.Prepare != "crop" || second.Train.Samples != 0 {
		t.Errorf("got %+v, %+v", s, second.Train)
	}
	for name, want := range first.Weights() {
		if got := second.Weights()[name]; got == nil {
			t.Errorf("no weights %s", name)
		} else {
			approx.Check(t, name, got.Float32s(), want.Float32s(), approx.Tolerance{})
		}
	}
	approx.Check(t, "normalisation", first.Weights()["normalize.weight"].Float32s(), []float32{0.5, 0.5, 0.25}, approx.Tolerance{})

	old, err := os.ReadFile(filepath.Join(filepath.Dir(path), "old.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, "hard.onnx", string(bytes.ReplaceAll(bytes.ReplaceAll(old, []byte("Softmax"), []byte("Hardmax")), []byte("\x07MaxPool"), []byte("\x07RoiPool"))))
	write(t, "cut.onnx", string(old[:len(old)/2]))
	write(t, "three.txt", "ant\nbee\ncat\n")
	fails := func(status int, want string, args ...string) {
		t.Helper()
		if o := gputrain(t, args...); o.status != status || !strings.Contains(o.errors, want) || strings.Count(o.errors, "\n") != 1 {
			t.Errorf("%v: want status %d and one line with %q, got %+v", args, status, want, o)
		}
	}
	fails(exitFailed, `node "most" (RoiPool): no layer computes this operator; and 1 more (gputrain import --explain lists all)`, "import", "hard.onnx")
	if o := gputrain(t, "import", "hard.onnx", "--explain"); o.status != exitFailed || strings.Count(o.out, "\n") != 2 || !strings.Contains(o.errors, "2 nodes can't be read") {
		t.Errorf("got %+v", o)
	}
	fails(exitFailed, "cut.onnx: not a usable ONNX model", "import", "cut.onnx")
	fails(exitFailed, "three.txt: 3 names for 4 classes", "import", path, "--labels", "three.txt")
	fails(exitFailed, "no such file", "import", "none.onnx")
	fails(exitUsage, "--model is for safetensors", "import", path, "--model", "mlp")
	fails(exitUsage, "--explain is for ONNX models", "import", "weights.safetensors", "--explain")
	fails(exitFailed, "say with --data", "eval", "--run", "first")
	fails(exitFailed, "train --from", "train", "--resume", "--run", "first")
}

// checkpointOf loads a run's checkpoint.
func checkpointOf(t *testing.T, run string) *net.Checkpoint {
	t.Helper()
	c, err := net.LoadCheckpoint(filepath.Join(run, net.LastCheckpoint))
	if err != nil {
		t.Fatal(err)
	}
	return c
}
