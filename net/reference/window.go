package reference

import "github.com/gputrain/gputrain/net"

// tap is one place where a sliding window meets one channel of the input. It holds the
// output position, the kernel's element and the input position, as row-major indices.
type tap struct{ out, kernel, in int }

// taps lists every tap that lies inside the input, by output position and then
// kernel element, both in row-major order. Padding has no taps.
func taps(w net.Window, in net.Shape) []tap {
	var list []tap
	for oh := range w.OutH {
		for ow := range w.OutW {
			for r := range w.KernelH {
				for s := range w.KernelW {
					ih := oh*w.StrideH - w.Top + r*w.DilationH
					iw := ow*w.StrideW - w.Left + s*w.DilationW
					if ih < 0 || ih >= in.H || iw < 0 || iw >= in.W {
						continue
					}
					list = append(list, tap{
						out:    oh*w.OutW + ow,
						kernel: r*w.KernelW + s,
						in:     ih*in.W + iw,
					})
				}
			}
		}
	}
	return list
}

// plane returns the values of channel c of sample n.
func plane(values []float64, shape net.Shape, n, c int) []float64 {
	size := shape.H * shape.W
	from := (n*shape.C + c) * size
	return values[from : from+size]
}
