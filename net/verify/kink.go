package verify

import (
	"fmt"
	"math"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// markNarrow sets narrow[i] for each sample i in which the layer decides within
// the error ex of its input x: on which side of a kink a value lies, or which of a
// window is the greatest. Values exactly at a kink and exact ties are clear: they
// come from zeros and copies upstream, which most devices have alike. For one that
// has not (it convolves by FFT, say) layers are judged by what it chose (see
// follow), but not what is judged from the batch alone: there the bias gradient of
// a convolution without biases behind it would differ, and the device would fail
// though nobody is wrong. Near a kink that is not at 0 a device may lose a few
// roundings even of an exact input, where it adds to it first. An L2 norm counts as
// narrow where it is so small that its gradient, x/y, means little.
func markNarrow(unit float64, l *reference.Layer, n int, x []float64, ex float64, y []float64, narrow []bool) {
	mark := func(values []float64, kink, limit float64) {
		each := len(values) / n
		for i, v := range values {
			if v != kink && math.Abs(v-kink) <= limit {
				narrow[i/each] = true
			}
		}
	}
	switch d := l.Layer.(type) {
	case *net.Activation:
		f, _ := net.FunctionNamed(d.Func)
		for _, kink := range f.Kinks {
			if limit := ex + safety*unit*math.Abs(kink); limit > 0 {
				mark(x, kink, limit)
			}
		}
	case *net.Pool:
		switch {
		case ex == 0:
		case d.PoolMode() == net.MaxPool:
			area := l.In.H * l.In.W
			for plane := range n * l.In.C {
				if nearTie(l.Window, l.In, x[plane*area:(plane+1)*area], 2*ex) {
					narrow[plane/l.In.C] = true
				}
			}
		case d.PoolMode() == net.L2Pool:
			mark(y, 0, 8*ex)
		}
	case *net.Conv, *net.Dense, *net.Dropout, *net.BatchNorm, *net.Flatten, *net.Add, *net.Concat, *net.Multiply, *net.Scale:
		// Smooth.
	default:
		panic(fmt.Sprintf("BUG: layer %s is a %T", l.Name, l.Layer))
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

// follow lets the gradient dx of layer i's input go where the device sent it,
// where that is as right as where the reference did. Equal patches of an image
// give equal values in float64, and in float32 if each is summed alike; an FFT
// or Winograd's filtering rounds each place differently, and so may find another
// one of a window's equal values the greatest, or 0 a little above 0. Where the
// device has shown the layer's input, it decided on these values, and nothing is
// left open.
func (p *pass) follow(i int, dy, dx []float64) {
	if p.ein[i][0] == 0 {
		return
	}
	shown := p.shownBefore(i)
	if shown == nil {
		return
	}
	l, x := p.layers[i], p.in[i][0]
	switch d := l.Layer.(type) {
	case *net.Activation:
		f, _ := net.FunctionNamed(d.Func)
		for _, kink := range f.Kinks {
			right := f.Derivative(math.Nextafter(kink, math.Inf(1)), d.Parameter())
			left := f.Derivative(math.Nextafter(kink, math.Inf(-1)), d.Parameter())
			for k, v := range x {
				if v != kink {
					continue
				}
				for _, other := range []float64{right * dy[k], left * dy[k]} {
					if math.Abs(shown[k]-other) < math.Abs(shown[k]-dx[k]) {
						dx[k] = other
					}
				}
			}
		}
	case *net.Pool:
		w := l.Window
		if d.PoolMode() != net.MaxPool || (w.StrideH < w.KernelH && w.OutH > 1) || (w.StrideW < w.KernelW && w.OutW > 1) {
			return // where windows overlap, what each of them gave can't be told apart
		}
		area := l.In.H * l.In.W
		for plane := range p.n * l.In.C {
			part := func(values []float64) []float64 { return values[plane*area : (plane+1)*area] }
			followTies(w, l.In, part(x), part(shown), part(dx))
		}
	case *net.Conv, *net.Dense, *net.Dropout, *net.BatchNorm, *net.Flatten, *net.Add, *net.Concat, *net.Multiply, *net.Scale:
		// These decide nothing.
	default:
		panic(fmt.Sprintf("BUG: layer %s is a %T", l.Name, l.Layer))
	}
}

// shownBefore returns the gradient that the device shows of layer i's first input,
// or of an input before it that elementwise layers alone part from it; nil if it
// shows none. A value of several uses is no such input: what is shown of it is the
// sum of what all of them give.
func (p *pass) shownBefore(i int) []float64 {
	for {
		if i = p.plan.Nodes[i].Inputs[0]; i == net.NetworkInput || len(p.plan.Nodes[i].Uses) != 1 {
			return nil
		}
		if values := p.ledOutputGrad(i); values != nil {
			return values
		}
		if _, elementwise := p.layers[i].Layer.(*net.Activation); !elementwise {
			return nil
		}
	}
}

// followTies moves, in a channel's plane, the gradient that a window gave to the
// first of its equal greatest values to the one of them for which the device shows
// the greatest.
func followTies(w net.Window, in net.Shape, x, shown, dx []float64) {
	for oh := range w.OutH {
		top := oh*w.StrideH - w.Top
		for ow := range w.OutW {
			left := ow*w.StrideW - w.Left
			first, chosen := -1, -1
			for ih := max(top, 0); ih < min(top+w.KernelH, in.H); ih++ {
				for iw := max(left, 0); iw < min(left+w.KernelW, in.W); iw++ {
					at := ih*in.W + iw
					switch {
					case first < 0 || x[at] > x[first]:
						first, chosen = at, at
					case x[at] == x[first] && math.Abs(shown[at]) > math.Abs(shown[chosen]):
						chosen = at
					}
				}
			}
			if first != chosen {
				dx[first], dx[chosen] = dx[chosen], dx[first]
			}
		}
	}
}
