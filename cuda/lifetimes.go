//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"cmp"
	"slices"
)

// value is something that a step computes and keeps for a while: an activation, a gradient, a mask. It lives from
// position first to position last of the step's list of operations, both included.
type value struct {
	bytes       int64
	first, last int
	offset      int64 // set by place
}

// extend makes the value live at least until position last.
func (v *value) extend(last int) { v.last = max(v.last, last) }

// place gives every value an offset, so that values that live at the same time do not overlap. It returns how many
// bytes all of them need together. It places the largest value first, each at the lowest offset that is free during
// its lifetime: "greedy by size" (Pisarchyk and Lee, "Efficient memory management for deep neural net inference",
// 2020).
func place(values []*value) (total int64) {
	order := slices.Clone(values)
	slices.SortStableFunc(order, func(a, b *value) int { return cmp.Compare(b.bytes, a.bytes) })
	var placed []*value // sorted by offset
	for _, v := range order {
		var offset int64
		for _, o := range placed {
			if o.last < v.first || v.last < o.first {
				continue
			}
			if offset+aligned(v.bytes) <= o.offset {
				break
			}
			offset = max(offset, o.offset+aligned(o.bytes))
		}
		v.offset = offset
		total = max(total, offset+aligned(v.bytes))
		i, _ := slices.BinarySearchFunc(placed, offset, func(o *value, at int64) int { return cmp.Compare(o.offset, at) })
		placed = slices.Insert(placed, i, v)
	}
	return total
}
