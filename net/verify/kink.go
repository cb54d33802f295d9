package verify

import (
	"math"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// markNarrow sets narrow[i] for each sample i in which the layer decides within
// the error ex of its input x: on which side of 0 a value lies, or which of a
// window is the greatest. Exact zeros and exact ties are clear: they come from
// zeros and copies upstream, which every device has alike. An L2 norm counts as
// narrow where it is so small that its gradient, x/y, means little.
func markNarrow(l *reference.Layer, n int, x []float64, ex float64, y []float64, narrow []bool) {
	if ex == 0 {
		return
	}
	mark := func(values []float64, limit float64) {
		each := len(values) / n
		for i, v := range values {
			if v != 0 && math.Abs(v) <= limit {
				narrow[i/each] = true
			}
		}
	}
	switch d := l.Layer.(type) {
	case *net.Activation:
		if d.Func == net.ReLU || d.Func == net.LeakyReLU {
			mark(x, ex)
		}
	case *net.Pool:
		switch d.PoolMode() {
		case net.MaxPool:
			area := l.In.H * l.In.W
			for plane := range n * l.In.C {
				if nearTie(l.Window, l.In, x[plane*area:(plane+1)*area], 2*ex) {
					narrow[plane/l.In.C] = true
				}
			}
		case net.L2Pool:
			mark(y, 8*ex)
		}
	}
}

// nearTie reports whether some window's greatest value in a channel's plane x
// leads another, unequal one by no more than gap.
func nearTie(w net.Window, in net.Shape, x []float64, gap float64) bool {
	for oh := range w.OutH {
		top := oh*w.StrideH - w.Top
		for ow := range w.OutW {
			left := ow*w.StrideW - w.Left
			first, second := math.Inf(-1), math.Inf(-1)
			for ih := max(top, 0); ih < min(top+w.KernelH, in.H); ih++ {
				for iw := max(left, 0); iw < min(left+w.KernelW, in.W); iw++ {
					switch v := x[ih*in.W+iw]; {
					case v > first:
						first, second = v, first
					case v < first && v > second:
						second = v
					}
				}
			}
			if first-second <= gap {
				return true
			}
		}
	}
	return false
}
