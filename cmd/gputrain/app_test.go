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
)

// outcome is what a command line came to.
type outcome struct {
	status      int
	out, errors string
}

// gputrain runs a command line in the test's working directory.
func gputrain(t *testing.T, args ...string) outcome {
	t.Helper()
	return gputrainReading(t, nil, args...)
}

func gputrainReading(t *testing.T, stdin []byte, args ...string) outcome {
	t.Helper()
	var out, errors bytes.Buffer
	status := run(t.Context(), append([]string{"gputrain"}, args...), bytes.NewReader(stdin), &out, &errors)
	return outcome{status, out.String(), errors.String()}
}

// must runs a command line that has to succeed and returns its output.
func must(t *testing.T, args ...string) string {
	t.Helper()
	o := gputrain(t, args...)
	if o.status != exitOK {
		t.Fatalf("gputrain %s: status %d, %s", strings.Join(args, " "), o.status, o.errors)
	}
	return o.out
}

// refuses checks that a command line fails with a status and a message, and that
// the message is one line.
func refuses(t *testing.T, status int, want string, args ...string) {
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
func inFolder(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	write(t, "quick.json", quickModel)
}

func write(t *testing.T, path, text string) {
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
var trained = sync.OnceValues(func() (*net.Checkpoint, error) {
	dir, err := os.MkdirTemp("", "gputrain-test-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var out bytes.Buffer
	args := []string{
		"gputrain", "train", "--model", "mlp", "--recipe", "fast", "--epochs", "2", "--limit", "6000",
		"--run", filepath.Join(dir, "run"),
	}
	if status := run(context.Background(), args, nil, &out, &out); status != exitOK {
		return nil, &usageError{out.String()}
	}
	return net.LoadCheckpoint(filepath.Join(dir, "run"))
})

// trainedModel compiles the trained model for a test.
func trainedModel(t *testing.T) *model {
	t.Helper()
	checkpoint, err := trained()
	if err != nil {
		t.Fatal(err)
	}
	m := &model{checkpoint: checkpoint, path: "trained"}
	if m.plan, err = checkpoint.Network.Plan(); err != nil {
		t.Fatal(err)
	}
	if m.device, err = cpu.New(cpu.Options{}); err != nil {
		t.Fatal(err)
	}
	if m.program, err = checkpoint.Compile(m.device, 1); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.close(); err != nil {
			t.Error(err)
		}
	})
	return m
}
