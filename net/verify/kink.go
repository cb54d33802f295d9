package verify

import (
	"math"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// markNarrow sets narrow[i] for each sample i in which the layer decides within
// the error ex of its input x: on which side of 0 a value lies, or which of a
// window is the greatest. Exact zeros and exact ties are clear: they come from
// zeros and copies upstream, which most devices have alike. For one that has not
// (it convolves by FFT, say) layers are judged by what it chose (see follow), but
// not what is judged from the batch alone: there the bias gradient of a
// convolution without biases behind it would differ, and the device would fail
// though nobody is wrong. An L2 norm counts as narrow where it is so small that
// its gradient, x/y, means little.
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

// follow lets the gradient dx of layer i's input go where the device sent it,
// where that is as right as where the reference did. Equal patches of an image
// give equal values in float64, and in float32 if each is summed alike; an FFT
// or Winograd's filtering rounds each place differently, and so may find another
// one of a window's equal values the greatest, or 0 a little above 0. Where the
// device has shown the layer's input, it decided on these values, and nothing is
// left open.
func (p *pass) follow(i int, dy, dx []float64) {
	if p.ein[i] == 0 {
		return
	}
	shown := p.shownBefore(i)
	if shown == nil {
		return
	}
	l, x := p.layers[i], p.in[i]
	switch d := l.Layer.(type) {
	case *net.Activation:
		if d.Func == net.ReLU || d.Func == net.LeakyReLU {
			for k, v := range x {
				if v == 0 && shown[k] != 0 && math.Abs(shown[k]-dy[k]) < math.Abs(shown[k]-dx[k]) {
					dx[k] = dy[k]
				}
			}
		}
	case *net.Pool:
		w := l.Window
		if d.PoolMode() != net.MaxPool || w.StrideH < w.KernelH || w.StrideW < w.KernelW {
			return // where windows overlap, what each of them gave can't be told apart
		}
		area := l.In.H * l.In.W
		for plane := range p.n * l.In.C {
			part := func(values []float64) []float64 { return values[plane*area : (plane+1)*area] }
			followTies(w, l.In, part(x), part(shown), part(dx))
		}
	}
}

// shownBefore returns the gradient that the device shows of layer i's input, or of
// an input before it that elementwise layers alone part from it; nil if it shows
// none.
func (p *pass) shownBefore(i int) []float64 {
	for k := i - 1; k >= 0; k-- {
		if values := p.ledOutputGrad(k); values != nil {
			return values
		}
		if _, elementwise := p.layers[k].Layer.(*net.Activation); !elementwise {
			return nil
		}
	}
	return nil
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
