package net

import (
	"bytes"
	"encoding/json"
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
	})
}

// FuzzLoadCheckpoint also fixes up the checksum, so that what lies behind it is
// reached.
func FuzzLoadCheckpoint(f *testing.F) {
	b, header := file(f)
	f.Add(b)
	f.Add(b[:header])
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
