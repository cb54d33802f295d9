package verify

import (
	"fmt"
	"math"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// markNarrow sets narrow[i] for each sample i whose decisions are within the error ex of
// the layer's input x. A decision is on which side of a kink a value lies, or which value
// of a window is the greatest.
//
// Values exactly at a kink, and exact ties, are not narrow. They come from zeros and
// copies in earlier layers, which most devices compute exactly. A device that does not
// (because it convolves by FFT or Winograd's filtering, say) is judged layer by layer with
// its own choice, see follow. That does not help where the batch alone is judged: there
// such a device may fail although it is right. So markNarrow also reports whether there is
// any such value, unless the layer's input is exact.
//
// Near a kink that is not at 0, a device may add to an exact input first and so lose a few
// roundings. An L2 norm is narrow if it is so small that its gradient, x/y, means little.
func markNarrow(unit float64, l *reference.Layer, n int, x []float64, ex float64, y []float64, narrow []bool) (exact bool) {
	mark := func(values []float64, kink, limit float64) {
		each := len(values) / n
		for i, v := range values {
			switch {
			case v == kink:
				exact = exact || ex > 0
			case math.Abs(v-kink) <= limit:
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
				near, tie := nearTie(l.Window, l.In, x[plane*area:(plane+1)*area], 2*ex)
				narrow[plane/l.In.C] = narrow[plane/l.In.C] || near
				exact = exact || tie
			}
		case d.PoolMode() == net.L2Pool:
			mark(y, 0, 8*ex)
		}
	case *net.Conv, *net.Dense, *net.Dropout, *net.BatchNorm, *net.Flatten, *net.Add, *net.Concat, *net.Multiply, *net.Scale:
		// Smooth.
	default:
		panic(fmt.Sprintf("BUG: layer %s is a %T", l.Name, l.Layer))
	}
	return exact
}

// nearTie reports whether the greatest value of some window exceeds the next smaller one by
// no more than gap, and whether the greatest value of some window stands there twice. x is a
// channel's plane.
func nearTie(w net.Window, in net.Shape, x []float64, gap float64) (near, tie bool) {
	for oh := range w.OutH {
		top := oh*w.StrideH - w.Top
		for ow := range w.OutW {
			left := ow*w.StrideW - w.Left
			first, second, twice := math.Inf(-1), math.Inf(-1), false
			for ih := max(top, 0); ih < min(top+w.KernelH, in.H); ih++ {
				for iw := max(left, 0); iw < min(left+w.KernelW, in.W); iw++ {
					switch v := x[ih*in.W+iw]; {
					case v > first:
						first, second, twice = v, first, false
					case v == first:
						twice = true
					case v < first && v > second:
						second = v
					}
				}
			}
			near, tie = near || first-second <= gap, tie || twice
		}
	}
	return near, tie
}

// follow changes the gradient dx of layer i's input to agree with the device's choice,
// where that is as right as the reference's choice. Equal patches of an image give equal
// values in float64, and also in float32 if each is summed in the same order. But an FFT or
// Winograd's filtering rounds each place differently. So a device may choose another one of
// a window's equal values as the greatest, or compute a value a little above 0 instead of 0.
// With coarse roundings it may also choose otherwise where values are only nearly equal, or
// near a kink. If the device has shown the layer's input, it decided on these values, and
// there is no choice.
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
			near := p.ein[i][0] + safety*p.unit*math.Abs(kink)
			for k, v := range x {
				if math.Abs(v-kink) > near {
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
			return // windows overlap: what each of them gave can't be told apart
		}
		area := l.In.H * l.In.W
		for plane := range p.n * l.In.C {
			part := func(values []float64) []float64 { return values[plane*area : (plane+1)*area] }
			followTies(w, l.In, 2*p.ein[i][0], part(x), part(shown), part(dx))
		}
	case *net.Conv, *net.Dense, *net.Dropout, *net.BatchNorm, *net.Flatten, *net.Add, *net.Concat, *net.Multiply, *net.Scale:
		// These decide nothing.
	default:
		panic(fmt.Sprintf("BUG: layer %s is a %T", l.Name, l.Layer))
	}
}

// shownBefore returns the device's gradient with respect to layer i's first input. If the
// device does not show it, it is that of an earlier value, as long as only elementwise
// layers lie between. It is nil if the device shows none. A value with several uses does
// not count, because its gradient is the sum over all uses.
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

// followTies moves gradients in a channel's plane dx. The reference gave a window's
// gradient to the first of its greatest values. Of the values that are smaller than that
// by no more than gap, followTies moves it to the one whose gradient is greatest on the
// device.
func followTies(w net.Window, in net.Shape, gap float64, x, shown, dx []float64) {
	each := func(oh, ow int, visit func(at int)) {
		top, left := oh*w.StrideH-w.Top, ow*w.StrideW-w.Left
		for ih := max(top, 0); ih < min(top+w.KernelH, in.H); ih++ {
			for iw := max(left, 0); iw < min(left+w.KernelW, in.W); iw++ {
				visit(ih*in.W + iw)
			}
		}
	}
	for oh := range w.OutH {
		for ow := range w.OutW {
			first := -1
			each(oh, ow, func(at int) {
				if first < 0 || x[at] > x[first] {
					first = at
				}
			})
			chosen := first
			each(oh, ow, func(at int) {
				if x[at] >= x[first]-gap && math.Abs(shown[at]) > math.Abs(shown[chosen]) {
					chosen = at
				}
			})
			if first != chosen {
				dx[first], dx[chosen] = dx[chosen], dx[first]
			}
		}
	}
}
