//go:build chromium

package serve

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/gputrain/gputrain/mnist"
	"github.com/gputrain/gputrain/net"
)

// TestPage draws digits of the test set on the page in Chromium, by pointer events,
// and reads what it says. It needs a trained checkpoint, which GPUTRAIN_TEST_CHECKPOINT
// names; with GPUTRAIN_TEST_SCREENSHOTS it keeps pictures of the page in that folder.
func TestPage(t *testing.T) {
	c, err := net.LoadCheckpoint(os.Getenv("GPUTRAIN_TEST_CHECKPOINT"))
	if err != nil {
		t.Fatal(err)
	}
	split, err := mnist.Tutorial()
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(newDevice(t), c, Options{ClassNames: split.ClassNames, Examples: split.Test.Slice(0, 20)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	allocator, cancel := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, chromedp.Flag("disable-component-update", true), chromedp.UserDataDir(t.TempDir()))...)
	defer cancel()
	ctx, cancel := chromedp.NewContext(allocator)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	run := func(actions ...chromedp.Action) {
		t.Helper()
		if err := chromedp.Run(ctx, actions...); err != nil {
			t.Fatal(err)
		}
	}
	run(chromedp.EmulateViewport(1400, 1000), chromedp.Navigate(server.URL), chromedp.WaitVisible("#bars li"))

	const digits = 20
	hits := 0
	for i := range digits {
		hits += count(drawn(t, ctx, split.Test, i) == fmt.Sprint(split.Test.Labels[i]))
	}
	t.Logf("%d of %d digits drawn on the canvas are recognised", hits, digits)
	// A pen along the strokes' middles does not draw the digits themselves; most must stay what they are.
	if hits < digits*9/10 {
		t.Errorf("%d of %d digits drawn on the canvas are recognised, want %d", hits, digits, digits*9/10)
	}

	// The keyboard alone: a straight line down is a 1.
	run(chromedp.Click("#clear"), chromedp.Focus("#pad"))
	for range 7 {
		run(chromedp.KeyEvent(kb.ArrowUp))
	}
	run(chromedp.KeyEvent(" "))
	for range 14 {
		run(chromedp.KeyEvent(kb.ArrowDown))
	}
	if got := verdict(t, ctx); got != "1" {
		t.Errorf("a line drawn by the keyboard is a %s, want 1", got)
	}
	var said string
	run(chromedp.Sleep(time.Second), chromedp.Text("#said", &said))
	if !strings.HasPrefix(said, "1, ") {
		t.Errorf("a screen reader is told %q, want a 1", said)
	}
	folder := os.Getenv("GPUTRAIN_TEST_SCREENSHOTS")
	if folder == "" {
		return
	}
	drawn(t, ctx, split.Test, 3)
	drawn(t, ctx, split.Test, 18)
	for _, view := range []struct {
		name   string
		width  int64
		scheme string
	}{{"wide-light", 1400, "light"}, {"wide-dark", 1400, "dark"}, {"narrow-light", 390, "light"}, {"narrow-dark", 390, "dark"}} {
		var shot []byte
		run(chromedp.EmulateViewport(view.width, 900),
			emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: view.scheme}}),
			chromedp.Sleep(500*time.Millisecond), chromedp.FullScreenshot(&shot, 100))
		if err := os.WriteFile(fmt.Sprintf("%s/serve-%s.png", folder, view.name), shot, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func count(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// drawn draws a digit of a data set on the canvas, along the middle of its strokes
// as a pen would, and returns what the page says.
func drawn(t *testing.T, ctx context.Context, d *net.Dataset, i int) string {
	t.Helper()
	line := thinned(d.Pixels[i*784:][:784])
	var box struct{ Left, Top, Width float64 }
	if err := chromedp.Run(ctx, chromedp.Click("#clear"), chromedp.ScrollIntoView("#pad"), chromedp.Evaluate(
		`(() => { const b = document.getElementById("pad").getBoundingClientRect(); return {Left: b.left, Top: b.top, Width: b.width}; })()`, &box)); err != nil {
		t.Fatal(err)
	}
	at := func(p int) (x, y float64) {
		return box.Left + (float64(p%28)+0.5)/28*box.Width, box.Top + (float64(p/28)+0.5)/28*box.Width
	}
	err := chromedp.Run(ctx, chromedp.ActionFunc(func(ctx context.Context) error {
		for p := range line {
			for _, to := range []int{1, 27, 28, 29} { // right, and the three below
				if !line[p] || p+to >= len(line) || !line[p+to] {
					continue
				}
				x0, y0 := at(p)
				x1, y1 := at(p + to)
				for _, e := range []*input.DispatchMouseEventParams{
					input.DispatchMouseEvent(input.MousePressed, x0, y0).WithButton(input.Left).WithButtons(1).WithClickCount(1),
					input.DispatchMouseEvent(input.MouseMoved, x1, y1).WithButton(input.Left).WithButtons(1),
					input.DispatchMouseEvent(input.MouseReleased, x1, y1).WithButton(input.Left).WithClickCount(1),
				} {
					if err := e.Do(ctx); err != nil {
						return err
					}
				}
			}
		}
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	return verdict(t, ctx)
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

// verdict waits until the page has asked all, and returns what it says.
func verdict(t *testing.T, ctx context.Context) string {
	t.Helper()
	var best string
	if err := chromedp.Run(ctx, chromedp.Poll(`!busy && !stale`, nil), chromedp.Text("#best", &best)); err != nil {
		t.Fatal(err)
	}
	return best
}
