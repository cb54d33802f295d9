// Package shown reduces a layer's output to what a page shows of it.
package shown

import (
	"math"
	"slices"
)

// The most that is shown of a layer: channels of a map, rows and columns of each,
// and values of a flat one.
const (
	channels = 64
	side     = 64
	values   = 4096
)

// Values are the values that are shown, a byte for each, by channel, row and column.
type Values struct {
	C, H, W   int     // their shape
	Low, High float64 // what bytes of 0 and of 255 stand for
	Data      []byte
}

// Of returns what is shown of an output of c channels, h rows and w columns: not all channels of many, and every n-th row
// and column of large ones. 0 is among what the bytes stand for.
func Of(output []float32, c, h, w int) Values {
	step := (max(h, w) + side - 1) / side
	v := Values{C: min(c, channels), H: (h + step - 1) / step, W: (w + step - 1) / step}
	if h*w == 1 {
		v.C = min(c, values)
	}
	picked := make([]float32, 0, v.C*v.H*v.W)
	for k := range v.C {
		for y := 0; y < h; y += step {
			for x := 0; x < w; x += step {
				picked = append(picked, output[(k*h+y)*w+x])
			}
		}
	}
	v.Low, v.High = min(0, float64(slices.Min(picked))), max(0, float64(slices.Max(picked)))
	v.Data = make([]byte, len(picked))
	if v.High > v.Low {
		for i, p := range picked {
			v.Data[i] = byte(math.Round(255 * (float64(p) - v.Low) / (v.High - v.Low)))
		}
	}
	return v
}
