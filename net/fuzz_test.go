package net

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func FuzzParseNetwork(f *testing.F) {
	for _, n := range append(builtIn(), everyLayer(), branches()) {
		b, err := json.Marshal(n)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(graphText))
	f.Add([]byte("\ufeff" + graphText))
	f.Add([]byte(strings.Replace(graphText, `"from":["batchnorm1"`, `"from":["add1"`, 1))) // a cycle
	f.Add([]byte(`{"input":{"channels":1,"height":1,"width":2147483647},"layers":[{"type":"pool","kernel":[1,2147483647],"padding":"same"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := ParseNetwork(bytes.NewReader(b))
		if err != nil {
			return
		}
		out, err := json.Marshal(n)
		if err != nil {
			t.Fatalf("a network that was read is not written: %v", err)
		}
		back, err := ParseNetwork(bytes.NewReader(out))
		if err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		again, err := json.Marshal(back)
		if err != nil || !bytes.Equal(again, out) {
			t.Fatalf("written as %s, then as %s (%v)", out, again, err)
		}
		plan, err := n.Plan()
		if err != nil {
			t.Fatal(err)
		}
		if plan.Weights() < 0 || plan.Classes < 2 {
			t.Fatalf("%d weights, %d classes", plan.Weights(), plan.Classes)
		}
		for i, node := range plan.Nodes {
			for _, from := range node.Inputs {
				if from >= i || from < NetworkInput || from != NetworkInput && !slices.Contains(plan.Nodes[from].Uses, i) {
					t.Fatalf("node %d takes the output of %d", i, from)
				}
			}
		}
	})
}

// FuzzLoadCheckpoint also fixes up the checksum, so that what lies behind it is
// reached.
func FuzzLoadCheckpoint(f *testing.F) {
	b, header := file(f)
	f.Add(b)
	f.Add(b[:header])
	averaged, err := encodeCheckpoint(averagedCheckpoint(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(averaged)
	// A recipe whose updates have 2^64 samples.
	large := someCheckpoint(f)
	large.Recipe.Accumulate = 1 << 62
	overflow, err := encodeCheckpoint(large)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(overflow)
	f.Add(withHeader(`{"__metadata__":{"format":"gputrain","version":"1"}}`, nil))
	f.Add(withHeader(`{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"__metadata__":{"format":"gputrain","version":"1"}}`, make([]byte, 4)))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, try := range [][]byte{b, withChecksum(b)} {
			c, err := decodeCheckpoint(try)
			if err != nil {
				continue
			}
			if err := c.check(); err != nil {
				t.Fatalf("accepted: %v", err)
			}
			if _, err := encodeCheckpoint(c); err != nil {
				t.Fatalf("read but not written: %v", err)
			}
		}
	})
}
