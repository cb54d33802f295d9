package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
	"github.com/gputrain/gputrain/net/verify"
)

// tracedDevice is the reference device with a hand in its traces.
type tracedDevice struct {
	net.Device
	onTrace func(*net.Trace)
}

func (d tracedDevice) Compile(n *net.Network, o net.Options) (net.Program, error) {
	p, err := d.Device.Compile(n, o)
	if err != nil {
		return nil, err
	}
	return tracedProgram{p.(net.Tracer), d.onTrace}, nil
}

type tracedProgram struct {
	net.Tracer
	onTrace func(*net.Trace)
}

func (p tracedProgram) Trace(b net.Batch, m net.Mode) (*net.Trace, error) {
	t, err := p.Tracer.Trace(b, m)
	if err == nil {
		p.onTrace(t)
	}
	return t, err
}

// verifyTraced verifies a device with a hand in its traces on the quick model.
func verifyTraced(t *testing.T, ctx context.Context, asJSON bool, onTrace func(*net.Trace)) (string, error) {
	t.Helper()
	network, err := net.ParseNetwork(strings.NewReader(quickModel))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	a := &app{out: newStream(&out, nil), err: newStream(io.Discard, nil)}
	device := tracedDevice{reference.New(), onTrace}
	err = a.verifyDevice(ctx, device, []*net.Network{network}, &dataset{train: testDigits(t)}, verify.Options{Seed: 1}, asJSON)
	return out.String(), err
}

// TestVerifyFails checks that a device with a wrong output is an error, in both
// forms of the output.
func TestVerifyFails(t *testing.T) {
	wrong := func(tr *net.Trace) { tr.Layers[0].Output.Float32s()[0] += 0.1 }
	for _, c := range []struct {
		asJSON bool
		want   string
	}{
		{false, "FAIL\n"},
		{true, `"what":"output","error":`},
	} {
		out, err := verifyTraced(t, t.Context(), c.asJSON, wrong)
		want := regexp.MustCompile(fmt.Sprintf(`^[1-9]\d* of \d+ comparisons failed: don't trust what %s computes$`, regexp.QuoteMeta(reference.New().Name())))
		if err == nil || !want.MatchString(err.Error()) {
			t.Errorf("JSON %v: error %v, want %v", c.asJSON, err, want)
		}
		if !strings.Contains(out, c.want) || strings.Contains(out, "PASS") {
			t.Errorf("JSON %v: got\n%s", c.asJSON, out)
		}
	}
	if out, err := verifyTraced(t, t.Context(), false, func(*net.Trace) {}); err != nil || !strings.Contains(out, "PASS") {
		t.Errorf("the device untouched: %v\n%s", err, out)
	}
}

// TestVerifyNarrow verifies a network of which no sample keeps clear of the kinks: its
// layers are printed, it passes, and both forms of the output say what wasn't judged.
func TestVerifyNarrow(t *testing.T) {
	third := net.Initializer{Method: net.Constant, Value: 1.0 / 3}
	n := &net.Network{Name: "narrow", Input: net.Shape{C: 1, H: 1, W: 1}, Layers: []net.Layer{
		&net.Conv{Filters: 2, Kernel: net.Square(1), WeightInit: third, BiasInit: net.Initializer{Method: net.Constant, Value: -1}},
		&net.Activation{Func: net.ReLU}, &net.Dense{Units: 2},
	}}
	data := &net.Dataset{Name: "threes", Shape: n.Input, Classes: 2, Values: []float32{3, 3}, Labels: []int32{0, 1}}
	for _, asJSON := range []bool{false, true} {
		var out bytes.Buffer
		a := &app{out: newStream(&out, nil), err: newStream(io.Discard, nil)}
		err := a.verifyDevice(t.Context(), reference.New(), []*net.Network{n}, &dataset{train: data}, verify.Options{Optimizer: net.SGDDefault(0)}, asJSON)
		wants := []string{"\nconv1 ", "The whole chain can't be judged from training on", "\nPASS", "can't be judged of narrow, see above"}
		if asJSON {
			wants = []string{`"layer":"conv1"`, `"phase":"chain","what":"whole chain","skipped":true`, "none of 2 samples"}
		}
		for _, want := range wants {
			if err != nil || !strings.Contains(out.String(), want) {
				t.Errorf("JSON %v: error %v, want %q in\n%s", asJSON, err, want, out.String())
			}
		}
	}
}

func TestVerifyInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	if out, err := verifyTraced(t, ctx, false, func(*net.Trace) { cancel() }); !errors.Is(err, errInterrupted) || out != "" {
		t.Errorf("error %v, want %v; printed %q", err, errInterrupted, out)
	}
}
