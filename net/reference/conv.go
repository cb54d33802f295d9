package reference

import "github.com/gputrain/gputrain/net"

// convForward returns y[n,k,out] = bias[k] + sum over channels c and taps of
// weight[k,c,kernel] * x[n,c0+c,in], where c runs over the channels of the
// filter's group and c0 is the first of them. A nil bias is 0.
func convForward(w net.Window, in, out net.Shape, groups int, weight, bias, x []float64, n int) []float64 {
	y := make([]float64, n*out.Size())
	list := taps(w, in)
	for i := range n {
		for k := range out.C {
			yk := plane(y, out, i, k)
			if bias != nil {
				for o := range yk {
					yk[o] = bias[k]
				}
			}
			for c := range in.C / groups {
				xc, wkc := plane(x, in, i, channel(in, out, groups, k, c)), filter(weight, w, in.C/groups, k, c)
				for _, t := range list {
					yk[t.out] += wkc[t.kernel] * xc[t.in]
				}
			}
		}
	}
	return y
}

// convBackward returns the gradients of convForward, term by term: for each y += w*x it
// adds dw += dy*x and dx += dy*w.
func convBackward(w net.Window, in, out net.Shape, groups int, weight, x, dy []float64, n int) (dx, dw, db []float64) {
	dx = make([]float64, len(x))
	dw = make([]float64, len(weight))
	db = make([]float64, out.C)
	list := taps(w, in)
	for i := range n {
		for k := range out.C {
			dyk := plane(dy, out, i, k)
			for _, g := range dyk {
				db[k] += g
			}
			for c := range in.C / groups {
				from := channel(in, out, groups, k, c)
				xc, wkc := plane(x, in, i, from), filter(weight, w, in.C/groups, k, c)
				dxc, dwkc := plane(dx, in, i, from), filter(dw, w, in.C/groups, k, c)
				for _, t := range list {
					dwkc[t.kernel] += dyk[t.out] * xc[t.in]
					dxc[t.in] += dyk[t.out] * wkc[t.kernel]
				}
			}
		}
	}
	return dx, dw, db
}

// channel returns the input channel that filter k sees as its channel c.
func channel(in, out net.Shape, groups, k, c int) int {
	group := k / (out.C / groups)
	return group*(in.C/groups) + c
}

// filter returns the elements of filter k for its channel c. channels is the number of
// channels that a filter sees.
func filter(weight []float64, w net.Window, channels, k, c int) []float64 {
	size := w.KernelH * w.KernelW
	from := (k*channels + c) * size
	return weight[from : from+size]
}
