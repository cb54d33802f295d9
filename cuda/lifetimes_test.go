//go:build cuda

package cuda

import (
	"testing"

	"github.com/gputrain/gputrain/internal/testenv"
)

// TestPlace draws values with random sizes and lifetimes: those that live at the same time may not share a byte, and the
// whole is no larger than all of them apart, nor smaller than the most that lives at once.
func TestPlace(t *testing.T) {
	random := testenv.Rand(t)
	for range 300 {
		var values []*value
		var apart int64
		at := make([]int64, 40)
		for range 1 + random.IntN(30) {
			v := &value{bytes: 1 + random.Int64N(5000), first: random.IntN(len(at))}
			v.last = v.first + random.IntN(len(at)-v.first)
			values = append(values, v)
			apart += aligned(v.bytes)
			for i := v.first; i <= v.last; i++ {
				at[i] += aligned(v.bytes)
			}
		}
		total := place(values)
		var most int64
		for _, n := range at {
			most = max(most, n)
		}
		if total < most || total > apart {
			t.Fatalf("%d bytes for values of %d at once and %d apart", total, most, apart)
		}
		for i, a := range values {
			if a.offset%alignment != 0 || a.offset+a.bytes > total {
				t.Fatalf("%+v in %d bytes", a, total)
			}
			for _, b := range values[:i] {
				if a.first <= b.last && b.first <= a.last && a.offset < b.offset+b.bytes && b.offset < a.offset+a.bytes {
					t.Fatalf("%+v and %+v share memory", a, b)
				}
			}
		}
	}
}

// TestPlaceSharesMemory needs no more than two of a chain's values at a time.
func TestPlaceSharesMemory(t *testing.T) {
	var chain []*value
	for i := range 10 {
		chain = append(chain, &value{bytes: 1024, first: i, last: i + 1})
	}
	if total := place(chain); total != 2048 {
		t.Errorf("a chain of ten takes %d bytes, want two values' 2048", total)
	}
}
