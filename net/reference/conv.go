package reference

import "github.com/gputrain/gputrain/net"

// convForward returns y[n,k,out] = bias[k] + sum over channels c and taps of
// weight[k,c,kernel] * x[n,c,in]. A nil bias is 0.
func convForward(w net.Window, in, out net.Shape, weight, bias, x []float64, n int) []float64 {
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
			for c := range in.C {
				xc, wkc := plane(x, in, i, c), filter(weight, w, in, k, c)
				for _, t := range list {
					yk[t.out] += wkc[t.kernel] * xc[t.in]
				}
			}
		}
	}
	return y
}

// convBackward returns the gradients of convForward, term by term: where
// y += w*x, there dw += dy*x and dx += dy*w.
func convBackward(w net.Window, in, out net.Shape, weight, x, dy []float64, n int) (dx, dw, db []float64) {
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
			for c := range in.C {
				xc, wkc := plane(x, in, i, c), filter(weight, w, in, k, c)
				dxc, dwkc := plane(dx, in, i, c), filter(dw, w, in, k, c)
				for _, t := range list {
					dwkc[t.kernel] += dyk[t.out] * xc[t.in]
					dxc[t.in] += dyk[t.out] * wkc[t.kernel]
				}
			}
		}
	}
	return dx, dw, db
}

// filter returns the elements of filter k for input channel c.
func filter(weight []float64, w net.Window, in net.Shape, k, c int) []float64 {
	size := w.KernelH * w.KernelW
	from := (k*in.C + c) * size
	return weight[from : from+size]
}
