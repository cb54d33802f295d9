package net

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/internal/testenv"
)

func TestWindows(t *testing.T) {
	one := Square(1)
	for _, c := range []struct {
		name                     string
		h, w                     int
		kernel, stride, dilation Pair
		pad                      Padding
		outH, outW               int
		top, bottom, left, right int
	}{
		{"same keeps the size", 28, 28, Square(5), one, one, PadSame, 28, 28, 2, 2, 2, 2},
		{"same halves", 28, 28, Square(2), Square(2), one, PadSame, 14, 14, 0, 0, 0, 0},
		{"5x5 under 2x2/2 gives 3x3, the row of padding after", 5, 5, Square(2), Square(2), one, PadSame, 3, 3, 0, 1, 0, 1},
		{"an odd total: the smaller half before", 6, 6, Square(4), one, one, PadSame, 6, 6, 1, 2, 1, 2},
		{"an odd total on one axis", 7, 8, Square(3), Square(2), one, PadSame, 4, 4, 1, 1, 0, 1},
		{"a stride beyond the kernel needs no padding", 5, 5, one, Square(3), one, PadSame, 2, 2, 0, 0, 0, 0},
		{"same, dilated: extent 5", 7, 7, Square(3), one, Square(2), PadSame, 7, 7, 2, 2, 2, 2},
		{"same, kernel beyond the input", 2, 2, Square(5), one, one, PadSame, 2, 2, 2, 2, 2, 2},
		{"valid", 28, 28, Square(5), one, one, PadValid, 24, 24, 0, 0, 0, 0},
		{"valid leaves a tail", 8, 7, Square(3), Square(2), one, PadValid, 3, 3, 0, 0, 0, 0},
		{"valid, dilated: extent 7", 9, 9, Square(3), Square(2), Square(3), PadValid, 2, 2, 0, 0, 0, 0},
		{"valid, kernel as large as the input", 4, 4, Square(4), Square(3), one, PadValid, 1, 1, 0, 0, 0, 0},
		{"oblong", 10, 6, Pair{3, 2}, Pair{1, 2}, one, PadValid, 8, 3, 0, 0, 0, 0},
		{"explicit", 5, 6, Square(3), Square(2), one, Pad(1, 2, 0, 1), 3, 3, 1, 2, 0, 1},
	} {
		win, err := resolveWindow(c.h, c.w, c.kernel, c.stride, c.dilation, c.pad)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got := [6]int{win.OutH, win.OutW, win.Top, win.Bottom, win.Left, win.Right}
		if want := [6]int{c.outH, c.outW, c.top, c.bottom, c.left, c.right}; got != want {
			t.Errorf("%s: output and padding are %v, want %v", c.name, got, want)
		}
	}
}

// TestPaddingFormulas holds the resolved windows to the formulas as they are
// published, in ceilings, on random sizes.
func TestPaddingFormulas(t *testing.T) {
	ceil := func(a, b int) int {
		n := a / b
		if n*b < a {
			n++
		}
		return n
	}
	rng := testenv.Rand(t)
	for range 2000 {
		in, k, stride := 1+rng.IntN(40), 1+rng.IntN(7), 1+rng.IntN(4)
		same, err := resolveWindow(in, in, Square(k), Square(stride), Square(1), PadSame)
		if err != nil {
			t.Fatal(err)
		}
		out := ceil(in, stride)
		total := max((out-1)*stride+k-in, 0)
		if same.OutH != out || same.Top+same.Bottom != total || same.Bottom-same.Top != total%2 {
			t.Errorf("same: input %d, kernel %d, stride %d: %+v, want %d out and %d padding", in, k, stride, same, out, total)
		}
		valid, err := resolveWindow(in, in, Square(k), Square(stride), Square(1), PadValid)
		if k > in {
			if err == nil {
				t.Errorf("valid: input %d accepts kernel %d", in, k)
			}
		} else if want := ceil(in-k+1, stride); err != nil || valid.OutW != want {
			t.Errorf("valid: input %d, kernel %d, stride %d: %d out (%v), want %d", in, k, stride, valid.OutW, err, want)
		}
	}
}

func TestWindowRefusals(t *testing.T) {
	one := Square(1)
	for _, c := range []struct {
		kernel, stride, dilation Pair
		pad                      Padding
		want                     string
	}{
		{Square(0), one, one, PadSame, "kernel must be from 1"},
		{Square(2), Pair{1, -1}, one, PadSame, "stride must be from 1"},
		{Square(2), one, Pair{0, 1}, PadSame, "dilation must be from 1"},
		{Square(9), one, one, PadValid, "a kernel that spans 9 rows does not fit 8"},
		{Pair{1, 9}, one, one, PadValid, "a kernel that spans 9 columns does not fit 8"},
		{Square(3), one, Square(4), PadValid, "a kernel that spans 9 rows does not fit 8"},
		{Square(3), one, one, Pad(3, 0, 0, 0), "less than the kernel's extent 3"},
		{Square(3), one, one, Pad(0, 0, 0, -1), "at least 0"},
		{Square(3), one, one, Padding{Mode: "reflect"}, `unknown padding "reflect"`},
		{Square(1 << 20), one, Square(1 << 20), PadSame, "too large"},
		{Square(1 << 40), one, one, PadSame, "kernel must be from 1"},
	} {
		_, err := resolveWindow(8, 8, c.kernel, c.stride, c.dilation, c.pad)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("kernel %v, stride %v, dilation %v, padding %v: error %v, want %q", c.kernel, c.stride, c.dilation, c.pad, err, c.want)
		}
	}
}

func TestTaps(t *testing.T) {
	rng := testenv.Rand(t)
	for range 500 {
		in := Shape{1, 1 + rng.IntN(12), 1 + rng.IntN(12)}
		kernel, stride, dilation := Pair{1 + rng.IntN(5), 1 + rng.IntN(5)}, Pair{1 + rng.IntN(3), 1 + rng.IntN(3)}, Pair{1 + rng.IntN(3), 1 + rng.IntN(3)}
		win, err := resolveWindow(in.H, in.W, kernel, stride, dilation, PadSame)
		if err != nil {
			t.Fatal(err)
		}
		var want int64
		for oh := range win.OutH {
			for ow := range win.OutW {
				for r := range win.KernelH {
					for s := range win.KernelW {
						ih, iw := oh*win.StrideH-win.Top+r*win.DilationH, ow*win.StrideW-win.Left+s*win.DilationW
						if ih >= 0 && ih < in.H && iw >= 0 && iw < in.W {
							want++
						}
					}
				}
			}
		}
		if got := win.Taps(in); got != want {
			t.Errorf("%v under %+v: %d taps, want %d", in, win, got, want)
		}
	}
}

func TestPairAndPaddingJSON(t *testing.T) {
	for _, c := range []struct {
		v    any
		want string
	}{
		{Square(3), "3"},
		{Pair{3, 2}, "[3,2]"},
		{PadSame, `"same"`},
		{PadValid, `"valid"`},
		{Pad(1, 2, 3, 4), "[1,2,3,4]"},
	} {
		b, err := json.Marshal(c.v)
		if err != nil || string(b) != c.want {
			t.Errorf("%#v: JSON %s (%v), want %s", c.v, b, err, c.want)
		}
		var back any
		switch c.v.(type) {
		case Pair:
			var p Pair
			err = json.Unmarshal(b, &p)
			back = p
		case Padding:
			var p Padding
			err = json.Unmarshal(b, &p)
			back = p
		}
		if err != nil || back != c.v {
			t.Errorf("%s: read as %#v (%v), want %#v", b, back, err, c.v)
		}
	}
	for _, bad := range []string{`"3"`, "[1]", "[1,2,3]", "{}", "1.5"} {
		var p Pair
		if err := json.Unmarshal([]byte(bad), &p); err == nil {
			t.Errorf("pair %s is accepted", bad)
		}
	}
	for _, bad := range []string{`"full"`, "[1,2]", "1", `""`, "[1,2,3,4,5]"} {
		var p Padding
		if err := json.Unmarshal([]byte(bad), &p); err == nil {
			t.Errorf("padding %s is accepted", bad)
		}
	}
}

func TestShapeString(t *testing.T) {
	if got := fmt.Sprint(Shape{32, 14, 7}, Shape{10, 1, 1}); got != "32 x 14 x 7 10" {
		t.Error(got)
	}
}
