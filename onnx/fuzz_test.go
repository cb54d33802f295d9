package onnx_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/onnx"
)

// FuzzRead reads anything. What it can read has a network with weights that fit, which can be written and read again.
func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("testdata/models/*.onnx")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, n := range ranks() {
		plan, err := n.Plan()
		if err != nil {
			f.Fatal(err)
		}
		var b bytes.Buffer
		if err := onnx.Write(&b, plan, weightsOf(plan), onnx.Options{}); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := onnx.Read(b, onnx.ReadOptions{})
		if err != nil {
			if text := err.Error(); text == "" || len(text) > 1<<12 {
				t.Errorf("an error of %d bytes", len(text))
			}
			return
		}
		plan, err := m.Network.Plan()
		if err != nil {
			t.Fatal(err)
		}
		state := net.InitialState(plan, 1, nil)
		state.Params = m.Weights
		if err := state.Check(plan, net.SGDDefault(0)); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := onnx.Write(&out, plan, m.Weights, onnx.Options{}); err != nil {
			t.Fatal(err)
		}
		if again, err := onnx.Read(out.Bytes(), onnx.ReadOptions{}); err != nil {
			var no *onnx.UnsupportedError
			t.Fatalf("what was written can't be read: %v (%v)", err, errors.As(err, &no))
		} else if again.Network.Input != m.Network.Input || len(again.Weights) != len(m.Weights) {
			t.Fatalf("%d weights, want %d", len(again.Weights), len(m.Weights))
		}
	})
}
