package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gputrain/gputrain/cpu"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/picture/picturetest"
)

// outcome is what a command line came to.
type outcome struct {
	status      int
	out, errors string
}

// gputrain runs a command line in the test's working directory.
func gputrain(t testing.TB, args ...string) outcome {
	t.Helper()
	return gputrainReading(t, nil, args...)
}

func gputrainReading(t testing.TB, stdin []byte, args ...string) outcome {
	t.Helper()
	var out, errors bytes.Buffer
	status := run(t.Context(), append([]string{"gputrain"}, args...), bytes.NewReader(stdin), &out, &errors)
	return outcome{status, out.String(), errors.String()}
}

// must runs a command line that has to succeed and returns its output.
func must(t testing.TB, args ...string) string {
	t.Helper()
	o := gputrain(t, args...)
	if o.status != exitOK {
		t.Fatalf("gputrain %s: status %d, %s", strings.Join(args, " "), o.status, o.errors)
	}
	return o.out
}

// refuses checks that a command line fails with a status and a message, and that
// the message is one line.
func refuses(t testing.TB, status int, want string, args ...string) {
	t.Helper()
	o := gputrain(t, args...)
	line := strings.Join(args, " ")
	if o.status != status {
		t.Errorf("gputrain %s: status %d, want %d", line, o.status, status)
	}
	if o.errors != "gputrain: "+want+"\n" {
		t.Errorf("gputrain %s:\n%swant\ngputrain: %s", line, o.errors, want)
	}
	if o.out != "" {
		t.Errorf("gputrain %s: printed %q on standard output", line, o.out)
	}
}

// quickModel is the smallest model that learns: few sums, no waiting.
const quickModel = `{"name": "quick", "input": {"channels": 1, "height": 28, "width": 28}, "layers": [
	{"type": "pool", "mode": "mean", "kernel": 4}, {"type": "flatten"}, {"type": "dense", "units": 10}]}`

// inFolder moves the test to an empty folder with quick.json in it.
func inFolder(t testing.TB) {
	t.Helper()
	t.Chdir(t.TempDir())
	write(t, "quick.json", quickModel)
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// quick is the command line of a training run of a moment.
func quick(more ...string) []string {
	return append([]string{"train", "--model", "quick.json", "--limit", "1000", "--epochs", "2", "--learning-rate", "0.02"}, more...)
}

// trained is a model that tells digits apart, trained once for all tests.
var trained = trainedOnce("--model", "mlp", "--recipe", "fast", "--epochs", "2", "--limit", "6000")

// trainedOnce trains when it is first asked for.
func trainedOnce(more ...string) func() (*net.Checkpoint, error) {
	return sync.OnceValues(func() (*net.Checkpoint, error) {
		dir, err := os.MkdirTemp("", "gputrain-test-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		var out bytes.Buffer
		args := append([]string{"gputrain", "train", "--run", filepath.Join(dir, "run")}, more...)
		if status := run(context.Background(), args, nil, &out, &out); status != exitOK {
			return nil, &usageError{out.String()}
		}
		return net.LoadCheckpoint(filepath.Join(dir, "run"))
	})
}

// withTrained moves the test to an empty folder with the trained model, as
// trained.safetensors, and test image 0, as seven.png, whose content it returns.
func withTrained(t *testing.T) (seven []byte) {
	t.Helper()
	inFolder(t)
	checkpoint, err := trained()
	if err != nil {
		t.Fatal(err)
	}
	if err := net.SaveCheckpoint("trained.safetensors", checkpoint); err != nil {
		t.Fatal(err)
	}
	seven = picturetest.Encoded(t, "png", picturetest.Digit(testDigits(t), 0))
	write(t, "seven.png", string(seven))
	return seven
}

// compiled compiles a checkpoint's network for inference on the CPU.
func compiled(t testing.TB, checkpoint *net.Checkpoint, batch int) *model {
	t.Helper()
	m := &model{checkpoint: checkpoint, path: "trained"}
	var err error
	if m.plan, err = checkpoint.Network.Plan(); err != nil {
		t.Fatal(err)
	}
	if m.device, err = cpu.New(cpu.Options{}); err != nil {
		t.Fatal(err)
	}
	if m.program, err = checkpoint.Compile(m.device, batch); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// trainedModel compiles the trained model for a test.
func trainedModel(t *testing.T) *model {
	t.Helper()
	checkpoint, err := trained()
	if err != nil {
		t.Fatal(err)
	}
	return compiled(t, checkpoint, 1)
}
