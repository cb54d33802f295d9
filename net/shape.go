package net

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// Shape is the shape of one sample at some point of a network: channels C, rows H and
// columns W. A flat vector of n values has shape {n, 1, 1}.
type Shape struct {
	C int `json:"channels"`
	H int `json:"height"`
	W int `json:"width"`
}

// Size returns the number of values in a sample: C*H*W.
func (s Shape) Size() int { return s.C * s.H * s.W }

// String formats s as "C x H x W", or as "C" when it is flat.
func (s Shape) String() string {
	if s.H == 1 && s.W == 1 {
		return fmt.Sprint(s.C)
	}
	return fmt.Sprintf("%d x %d x %d", s.C, s.H, s.W)
}

// maxElements is the most values that one sample may have at any point of a network, and
// the most values of one parameter. So every index fits an int32 and no product of sizes
// overflows.
const maxElements = math.MaxInt32

// check returns an error for a shape with a dimension below 1 or with too many values.
func (s Shape) check() error {
	if s.C < 1 || s.H < 1 || s.W < 1 {
		return fmt.Errorf("every dimension must be at least 1, got %d x %d x %d", s.C, s.H, s.W)
	}
	_, err := product(s.C, s.H, s.W)
	return err
}

// product multiplies positive sizes and refuses a result above maxElements.
func product(sizes ...int) (int, error) {
	p := 1
	for _, n := range sizes {
		if n > 0 && p > maxElements/n {
			return 0, fmt.Errorf("more than %d values", maxElements)
		}
		p *= n
	}
	return p, nil
}

// Pair holds the height and the width of a kernel, a stride or a dilation. In JSON it is
// [height, width], or one number if both are equal. A field with the zero Pair has its
// default.
type Pair struct{ H, W int }

// Square returns the Pair {n, n}.
func Square(n int) Pair { return Pair{n, n} }

// String formats p as "HxW".
func (p Pair) String() string { return fmt.Sprintf("%dx%d", p.H, p.W) }

// or returns p, or d if p is the zero Pair.
func (p Pair) or(d Pair) Pair {
	if p == (Pair{}) {
		return d
	}
	return p
}

// MarshalJSON writes one number if both are equal, else [height, width].
func (p Pair) MarshalJSON() ([]byte, error) {
	if p.H == p.W {
		return json.Marshal(p.H)
	}
	return json.Marshal([2]int{p.H, p.W})
}

// UnmarshalJSON reads one number, or [height, width].
func (p *Pair) UnmarshalJSON(b []byte) error {
	var n int
	var hw []int
	switch {
	case json.Unmarshal(b, &n) == nil:
		*p = Square(n)
	case json.Unmarshal(b, &hw) == nil && len(hw) == 2:
		*p = Pair{hw[0], hw[1]}
	default:
		return fmt.Errorf("want a number or [height, width], got %s", b)
	}
	if p.H < 1 || p.W < 1 {
		return fmt.Errorf("want at least 1, got %s", b)
	}
	return nil
}

// PaddingMode says how an input is padded at its borders.
type PaddingMode string

// The padding modes. The formulas are TensorFlow's ("Neural Network",
// tensorflow.org/api_docs/python/tf/nn, notes on padding).
const (
	// Valid adds no padding: out = ceil((in - k + 1) / stride), where k is the kernel's
	// extent, (kernel-1)*dilation + 1. It is the default.
	Valid PaddingMode = "valid"
	// Same pads so that out = ceil(in / stride). It adds
	// max((out-1)*stride + k - in, 0) in total: the smaller half before (top, left), the
	// larger half after (bottom, right).
	Same PaddingMode = "same"
	// Explicit adds the four numbers of a Padding:
	// out = floor((in + before + after - k) / stride) + 1.
	Explicit PaddingMode = "explicit"
)

// Padding is a padding mode and, for Explicit, the numbers of rows and columns to add. The
// zero Padding is Valid. In JSON it is "valid", "same" or [top, bottom, left, right].
type Padding struct {
	Mode                     PaddingMode // empty means Valid
	Top, Bottom, Left, Right int
}

// PadSame is the padding of mode Same.
var PadSame = Padding{Mode: Same}

// PadValid is the padding of mode Valid. It is the zero Padding.
var PadValid = Padding{}

// Pad returns padding of mode Explicit, in rows and columns.
func Pad(top, bottom, left, right int) Padding {
	return Padding{Explicit, top, bottom, left, right}
}

// String formats p as it stands in JSON.
func (p Padding) String() string {
	switch p.Mode {
	case "", Valid:
		return string(Valid)
	case Explicit:
		return fmt.Sprintf("[%d, %d, %d, %d]", p.Top, p.Bottom, p.Left, p.Right)
	}
	return string(p.Mode)
}

// MarshalJSON writes "valid", "same" or [top, bottom, left, right].
func (p Padding) MarshalJSON() ([]byte, error) {
	if p.Mode == Explicit {
		return json.Marshal([4]int{p.Top, p.Bottom, p.Left, p.Right})
	}
	return json.Marshal(p.String())
}

// UnmarshalJSON reads "valid", "same" or [top, bottom, left, right].
func (p *Padding) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) == nil {
		switch m := PaddingMode(s); m {
		case Valid:
			*p = Padding{}
			return nil
		case Same:
			*p = Padding{Mode: m}
			return nil
		}
	} else {
		var n []int
		if json.Unmarshal(b, &n) == nil && len(n) == 4 {
			*p = Pad(n[0], n[1], n[2], n[3])
			return nil
		}
	}
	return fmt.Errorf(`padding: want "same", "valid" or [top, bottom, left, right], got %s`, b)
}

// Window describes a sliding window with all sizes known. Position (oh, ow) of the output
// sees the input's rows ih = oh*StrideH - Top + r*DilationH for r in [0, KernelH), and
// columns iw = ow*StrideW - Left + s*DilationW for s in [0, KernelW). Rows and columns
// outside the input are padding. Top, Bottom, Left and Right count rows and columns of
// padding. OutH and OutW are the size of the output.
type Window struct {
	KernelH, KernelW         int
	StrideH, StrideW         int
	DilationH, DilationW     int
	Top, Bottom, Left, Right int
	OutH, OutW               int
}

var errWindow = errors.New("window")

// resolveWindow computes the window of a kernel over an input of h rows and w
// columns.
func resolveWindow(h, w int, kernel, stride, dilation Pair, pad Padding) (Window, error) {
	for _, p := range []struct {
		what string
		Pair
	}{{"kernel", kernel}, {"stride", stride}, {"dilation", dilation}} {
		if p.H < 1 || p.W < 1 || p.H > maxElements || p.W > maxElements {
			return Window{}, fmt.Errorf("%w: %s must be from 1 to %d, got %v", errWindow, p.what, maxElements, p.Pair)
		}
	}
	win := Window{
		KernelH: kernel.H, KernelW: kernel.W,
		StrideH: stride.H, StrideW: stride.W,
		DilationH: dilation.H, DilationW: dilation.W,
	}
	var err error
	if win.OutH, win.Top, win.Bottom, err = extent("rows", h, kernel.H, stride.H, dilation.H, pad.Mode, pad.Top, pad.Bottom); err != nil {
		return Window{}, err
	}
	if win.OutW, win.Left, win.Right, err = extent("columns", w, kernel.W, stride.W, dilation.W, pad.Mode, pad.Left, pad.Right); err != nil {
		return Window{}, err
	}
	return win, nil
}

// extent computes the output size and the padding of a window along one axis.
func extent(axis string, in, kernel, stride, dilation int, mode PaddingMode, before, after int) (out, padBefore, padAfter int, err error) {
	if kernel > 1 && dilation > maxElements/(kernel-1) {
		return 0, 0, 0, fmt.Errorf("%w: kernel %d with dilation %d is too large", errWindow, kernel, dilation)
	}
	k := (kernel-1)*dilation + 1
	switch mode {
	case "", Valid:
		before, after = 0, 0
	case Same:
		out = (in + stride - 1) / stride
		total := max((out-1)*stride+k-in, 0)
		return out, total / 2, total - total/2, nil
	case Explicit:
		// A window wholly inside the padding would see nothing.
		if before < 0 || after < 0 || before >= k || after >= k {
			return 0, 0, 0, fmt.Errorf("%w: padding %d and %d of the %s must be at least 0 and less than the kernel's extent %d", errWindow, before, after, axis, k)
		}
	default:
		return 0, 0, 0, fmt.Errorf("%w: unknown padding %q", errWindow, mode)
	}
	if in+before+after < k {
		return 0, 0, 0, fmt.Errorf("%w: a kernel that spans %d %s does not fit %d", errWindow, k, axis, in+before+after)
	}
	return (in+before+after-k)/stride + 1, before, after, nil
}

// Taps returns the number of multiply-adds between one input channel of shape in and one
// filter. It counts the pairs of output position and kernel element that lie inside the
// input. Those that lie in padding don't count.
func (w Window) Taps(in Shape) int64 {
	// Along one axis: the elements r with 0 <= start + r*dilation < size.
	count := func(out, k, stride, dilation, before, size int) (n int64) {
		for o := range out {
			start := o*stride - before
			first := max(0, -start+dilation-1) / dilation
			end := min(k, (max(0, size-start)+dilation-1)/dilation)
			n += int64(max(0, end-first))
		}
		return n
	}
	return count(w.OutH, w.KernelH, w.StrideH, w.DilationH, w.Top, in.H) *
		count(w.OutW, w.KernelW, w.StrideW, w.DilationW, w.Left, in.W)
}
