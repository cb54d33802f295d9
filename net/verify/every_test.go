package verify_test

import (
	"slices"
	"testing"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/devicetest"
	"github.com/gputrain/gputrain/net/reference"
	"github.com/gputrain/gputrain/net/verify"
)

// TestEveryKind: the network has what the tables have, for small and large images,
// and the reference passes on it.
func TestEveryKind(t *testing.T) {
	for _, in := range []net.Shape{{C: 1, H: 1, W: 1}, {C: 3, H: 9, W: 12}} {
		n := verify.EveryKind(in, 5)
		for _, k := range net.Kinds() {
			if !slices.ContainsFunc(n.Layers, func(l net.Layer) bool { return l.Kind() == k.Name }) {
				t.Errorf("there is no layer of kind %s", k.Name)
			}
		}
		for _, f := range net.Functions() {
			if !slices.ContainsFunc(n.Layers, func(l net.Layer) bool { a, ok := l.(*net.Activation); return ok && a.Func == f.Name }) {
				t.Errorf("there is no function %s", f.Name)
			}
		}
		r, err := verify.Network(t.Context(), reference.New(), n, devicetest.RandomData(1, in, 5, 40), verify.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if !r.OK() {
			t.Errorf("%v: %d comparisons, of which fail %+v", in, len(r.Checks()), r.Failures())
		}
	}
}
