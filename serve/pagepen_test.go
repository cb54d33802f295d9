//go:build chromium

package serve

import (
	"context"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"github.com/gputrain/gputrain/net"
)

// pen draws a line from one point of the page to another.
type pen func(ctx context.Context, x0, y0, x1, y1 float64) error

func mouse(ctx context.Context, x0, y0, x1, y1 float64) error {
	for _, e := range []*input.DispatchMouseEventParams{
		input.DispatchMouseEvent(input.MousePressed, x0, y0).WithButton(input.Left).WithButtons(1).WithClickCount(1),
		input.DispatchMouseEvent(input.MouseMoved, x1, y1).WithButton(input.Left).WithButtons(1),
		input.DispatchMouseEvent(input.MouseReleased, x1, y1).WithButton(input.Left).WithClickCount(1),
	} {
		if err := e.Do(ctx); err != nil {
			return err
		}
	}
	return nil
}

func finger(ctx context.Context, x0, y0, x1, y1 float64) error {
	for _, e := range []*input.DispatchTouchEventParams{
		input.DispatchTouchEvent(input.TouchStart, []*input.TouchPoint{{X: x0, Y: y0}}),
		input.DispatchTouchEvent(input.TouchMove, []*input.TouchPoint{{X: x1, Y: y1}}),
		input.DispatchTouchEvent(input.TouchEnd, []*input.TouchPoint{}),
	} {
		if err := e.Do(ctx); err != nil {
			return err
		}
	}
	return nil
}

// draw draws a digit of a data set on the canvas, along the middle of its strokes,
// and returns what the page says.
func (p *tab) draw(t *testing.T, with pen, d *net.Dataset, i int) string {
	t.Helper()
	line := thinned(d.Pixels[i*784:][:784])
	var box struct{ Left, Top, Width float64 }
	p.run(t, chromedp.Click("#clear"), chromedp.ScrollIntoView("#pad"), chromedp.Evaluate(
		`(() => { const b = document.getElementById("pad").getBoundingClientRect(); return {Left: b.left, Top: b.top, Width: b.width}; })()`, &box))
	at := func(k int) (x, y float64) {
		return box.Left + (float64(k%28)+0.5)/28*box.Width, box.Top + (float64(k/28)+0.5)/28*box.Width
	}
	p.run(t, chromedp.ActionFunc(func(ctx context.Context) error {
		for k := range line {
			for _, to := range []int{1, 27, 28, 29} { // right, and the three below
				if !line[k] || k+to >= len(line) || !line[k+to] {
					continue
				}
				x0, y0 := at(k)
				x1, y1 := at(k + to)
				if err := with(ctx, x0, y0, x1, y1); err != nil {
					return err
				}
			}
		}
		return nil
	}))
	return p.verdict(t)
}

// thinned is the middle of a digit's strokes (Zhang and Suen, "A fast parallel
// algorithm for thinning digital patterns", 1984).
func thinned(pixels []uint8) []bool {
	ink := make([]bool, len(pixels))
	for i, p := range pixels {
		ink[i] = p >= 100
	}
	around := []int{-28, -27, 1, 29, 28, 27, -1, -29} // clockwise from above
	for changed := true; changed; {
		changed = false
		for pass := range 2 {
			var gone []int
			for y := 1; y < 27; y++ {
				for x := 1; x < 27; x++ {
					p := y*28 + x
					n, turns := 0, 0
					for k, a := range around {
						n += count(ink[p+a])
						turns += count(!ink[p+a] && ink[p+around[(k+1)%8]])
					}
					at := func(k int) bool { return ink[p+around[k]] }
					first, second := at(0) && at(2) && at(4), at(2) && at(4) && at(6)
					if pass == 1 {
						first, second = at(0) && at(2) && at(6), at(0) && at(4) && at(6)
					}
					if ink[p] && n >= 2 && n <= 6 && turns == 1 && !first && !second {
						gone = append(gone, p)
					}
				}
			}
			for _, p := range gone {
				ink[p], changed = false, true
			}
		}
	}
	return ink
}

func count(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
