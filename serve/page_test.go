//go:build chromium

package serve

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/gputrain/gputrain/mnist"
	"github.com/gputrain/gputrain/net"
)

// tab is the page of a server, open in Chromium.
type tab struct{ ctx context.Context }

func (p *tab) run(t *testing.T, actions ...chromedp.Action) {
	t.Helper()
	if err := chromedp.Run(p.ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// browse starts Chromium.
func browse(t *testing.T) context.Context {
	t.Helper()
	allocator, cancel := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, chromedp.Flag("use-fake-device-for-media-stream", true), chromedp.Flag("use-fake-ui-for-media-stream", true), chromedp.Flag("disable-component-update", true), chromedp.UserDataDir(t.TempDir()))...)
	t.Cleanup(cancel)
	browser, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	if err := chromedp.Run(browser); err != nil {
		t.Fatal(err)
	}
	return browser
}

// open serves a checkpoint and opens its page in a tab.
func open(t *testing.T, browser context.Context, c *net.Checkpoint, o Options) *tab {
	t.Helper()
	_, p := openServer(t, browser, c, o)
	return p
}

func openServer(t *testing.T, browser context.Context, c *net.Checkpoint, o Options) (*Server, *tab) {
	t.Helper()
	s, err := New(newDevice(t), c, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(cancel)
	p := &tab{ctx}
	p.run(t, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(server.URL))
	return s, p
}

// verdict waits until the page has asked all, and returns what it says.
func (p *tab) verdict(t *testing.T) string {
	t.Helper()
	var best string
	p.run(t, chromedp.Poll(`model && !busy && !stale`, nil), chromedp.Text("#best", &best))
	return best
}

// beside checks that what is asked about and the answer are on a phone's screen at
// the same time, without scrolling.
func (p *tab) beside(t *testing.T, asked string) {
	t.Helper()
	p.run(t, chromedp.EmulateViewport(390, 660), chromedp.Evaluate(`scrollTo(0, 0)`, nil))
	for _, selector := range []string{asked, "#best", "#sure"} {
		var box struct{ Left, Top, Right, Bottom, Width float64 }
		p.run(t, chromedp.Evaluate(fmt.Sprintf(`(() => { const b = document.querySelector(%q).getBoundingClientRect();
			return {Left: b.left, Top: b.top, Right: b.right, Bottom: b.bottom, Width: b.width}; })()`, selector), &box))
		if box.Width == 0 || box.Left < 0 || box.Top < 0 || box.Right > 390 || box.Bottom > 660 {
			t.Errorf("at 390 x 660, %s is at %+v", selector, box)
		}
	}
	var wide float64
	var who string
	p.run(t, chromedp.Evaluate(`document.documentElement.scrollWidth`, &wide),
		chromedp.Evaluate(`[...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > 390).map((e) => e.tagName + "#" + e.id).join(" ")`, &who), chromedp.EmulateViewport(1280, 900))
	if wide > 390 {
		t.Errorf("at 390 px the page is %v wide: %s", wide, who)
	}
}

// keep takes pictures of the page, wide and narrow, light and dark, into the folder
// that GPUTRAIN_TEST_SCREENSHOTS names, if it does.
func (p *tab) keep(t *testing.T, name string) {
	t.Helper()
	folder := os.Getenv("GPUTRAIN_TEST_SCREENSHOTS")
	if folder == "" {
		return
	}
	for _, width := range []int64{1280, 390} {
		for _, scheme := range []string{"light", "dark"} {
			var shot []byte
			p.run(t, chromedp.EmulateViewport(width, 900),
				emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
				chromedp.Sleep(500*time.Millisecond), chromedp.Poll(`!busy && !stale`, nil), chromedp.FullScreenshot(&shot, 100))
			if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%s-%d-%s.png", name, width, scheme)), shot, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestPage uses the page in Chromium: digits of the test set are drawn, with what
// people have. It needs a trained checkpoint, which GPUTRAIN_TEST_CHECKPOINT names.
func TestPage(t *testing.T) {
	c, err := net.LoadCheckpoint(os.Getenv("GPUTRAIN_TEST_CHECKPOINT"))
	if err != nil {
		t.Fatal(err)
	}
	split, err := mnist.Tutorial()
	if err != nil {
		t.Fatal(err)
	}
	browser := browse(t)
	options := Options{ClassNames: split.ClassNames, Examples: split.Test.Slice(0, 20)}
	// A pen along the strokes' middles does not draw the digits themselves; most must
	// stay what they are.
	drawAll := func(t *testing.T, p *tab, with pen, digits int) {
		t.Helper()
		hits := 0
		for i := range digits {
			hits += count(p.draw(t, with, split.Test, i) == fmt.Sprint(split.Test.Labels[i]))
		}
		t.Logf("%d of %d digits drawn on the canvas are recognised", hits, digits)
		if hits < digits*9/10 {
			t.Errorf("%d of %d digits drawn on the canvas are recognised, want %d", hits, digits, digits*9/10)
		}
	}
	t.Run("mouse", func(t *testing.T) {
		p := open(t, browser, c, options)
		p.keep(t, "digits-empty")
		drawAll(t, p, mouse, 20)
		p.draw(t, mouse, split.Test, 18)
		p.beside(t, "#pad")
		p.keep(t, "digits-drawn")
	})
	t.Run("finger", func(t *testing.T) {
		p := open(t, browser, c, options)
		p.run(t, emulation.SetTouchEmulationEnabled(true), chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile, chromedp.EmulateTouch))
		drawAll(t, p, finger, 10)
		var before, after float64
		p.run(t, chromedp.Evaluate(`scrollY`, &before))
		p.draw(t, finger, split.Test, 2)
		p.run(t, chromedp.Evaluate(`scrollY`, &after))
		if before != after {
			t.Errorf("the page moved below the finger, from %v to %v", before, after)
		}
		// A tap draws a dot, and nothing moves below it.
		var top, moved float64
		var dots int
		place := chromedp.Evaluate(`document.getElementById("pad").getBoundingClientRect().top`, &top)
		p.run(t, chromedp.Click("#clear"), place, chromedp.ActionFunc(func(ctx context.Context) error { return finger(ctx, 200, top+150, 200, top+150) }))
		p.verdict(t)
		p.run(t, chromedp.Evaluate(`document.getElementById("pad").getBoundingClientRect().top`, &moved),
			chromedp.Evaluate(`document.getElementById("pad").getContext("2d").getImageData(0, 0, 560, 560).data.filter((v, i) => i % 4 === 3 && v === 255).length`, &dots))
		if moved != top || dots < 1000 {
			t.Errorf("a tap drew %d pixels and moved the page by %v; want a dot, and no move", dots, moved-top)
		}
		var columns int
		p.run(t, chromedp.Evaluate(`getComputedStyle(document.getElementById("layers")).gridTemplateColumns.split(" ").length`, &columns))
		if columns != 2 {
			t.Errorf("%d layers beside each other on a phone, want 2", columns)
		}
	})
	t.Run("keyboard", func(t *testing.T) {
		p := open(t, browser, c, options)
		p.run(t, chromedp.WaitVisible("#bars li"), chromedp.Focus("#pad"))
		for range 7 {
			p.run(t, chromedp.KeyEvent(kb.ArrowUp))
		}
		p.run(t, chromedp.KeyEvent(" "))
		for range 14 {
			p.run(t, chromedp.KeyEvent(kb.ArrowDown))
		}
		if got := p.verdict(t); got != "1" { // a straight line down
			t.Errorf("a line drawn by the keyboard is a %s, want 1", got)
		}
		var said string
		p.run(t, chromedp.Sleep(time.Second), chromedp.Text("#said", &said))
		if !strings.HasPrefix(said, "1, ") {
			t.Errorf("a screen reader is told %q, want a 1", said)
		}
	})
	t.Run("token", func(t *testing.T) {
		locked := options
		locked.Token = "secret"
		p := open(t, browser, c, locked)
		p.run(t, chromedp.WaitVisible("#access"))
		p.keep(t, "token")
		for _, try := range []string{"wrong", "secret"} {
			p.run(t, chromedp.Evaluate(`document.getElementById("token").value = ""`, nil), chromedp.SendKeys("#token", try+kb.Enter))
			if try == "wrong" {
				p.run(t, chromedp.Poll(`document.getElementById("refused").textContent === "This is not its token."`, nil), chromedp.WaitVisible("#access"))
			}
		}
		p.run(t, chromedp.WaitVisible("#bars li"), chromedp.WaitNotVisible("#access"), chromedp.WaitNotVisible("#problem"))
		if got := p.draw(t, mouse, split.Test, 0); got != "7" {
			t.Errorf("drawn with the token: %s, want 7", got)
		}
	})
	t.Run("no activations", func(t *testing.T) {
		closed := options
		closed.NoActivations = true
		p := open(t, browser, c, closed)
		if got := p.draw(t, mouse, split.Test, 0); got != "7" {
			t.Errorf("drawn: %s, want 7", got)
		}
		p.run(t, chromedp.WaitNotVisible("#inside"))
		p.keep(t, "closed")
	})
}
