//go:build chromium

package elsewhere_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"image"
	"image/color"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/gputrain/gputrain/cpu"
	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/elsewhere"
	"github.com/gputrain/gputrain/mnist"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/picture"
	"github.com/gputrain/gputrain/picture/picturetest"
	"github.com/gputrain/gputrain/serve"
)

// tab is a page in Chromium.
type tab struct {
	ctx      context.Context
	problems *[]string // that the browser logged
}

func (p *tab) run(t *testing.T, actions ...chromedp.Action) {
	t.Helper()
	if err := chromedp.Run(p.ctx, actions...); err != nil {
		t.Fatalf("%v; the browser says %q", err, *p.problems)
	}
}

// settled waits until the page has asked all.
func settled() chromedp.Action { return chromedp.Poll(`model && !busy && !stale`, nil) }

// keep takes pictures of the page, wide and narrow, light and dark, into the folder that GPUTRAIN_TEST_SCREENSHOTS names,
// if it does.
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
				chromedp.Sleep(500*time.Millisecond), settled(), chromedp.FullScreenshot(&shot, 100))
			if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%s-%d-%s.png", name, width, scheme)), shot, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// answers compares the page's answer for a picture with the wanted probabilities of the digits.
func (p *tab) answers(t *testing.T, name string, want []float32, tolerance float64) {
	t.Helper()
	var classes []net.Ranked
	p.run(t, chromedp.Poll(fmt.Sprintf(`!busy && picture && picture.name === %q && picture.answer`, name), nil), chromedp.Evaluate(`picture.answer.classes`, &classes))
	got := make([]float64, len(want))
	for _, r := range classes {
		k, err := strconv.Atoi(r.Class)
		if err != nil {
			t.Fatal(err)
		}
		got[k] = r.Probability
	}
	approx.Check(t, name, got, want, approx.Tolerance{Abs: tolerance})
}

// drop drops files on the page: their names and contents, one after the other.
func (p *tab) drop(t *testing.T, named ...any) {
	t.Helper()
	var files strings.Builder
	for i := 0; i < len(named); i += 2 {
		fmt.Fprintf(&files, `d.items.add(new File([Uint8Array.from(atob(%q), (c) => c.charCodeAt(0))], %q));`, base64.StdEncoding.EncodeToString(named[i+1].([]byte)), named[i])
	}
	p.run(t, chromedp.Evaluate(`document.querySelector("main").dispatchEvent(new DragEvent("drop", {bubbles: true, cancelable: true,
		dataTransfer: (() => { const d = new DataTransfer(); `+files.String()+` return d; })()}))`, nil))
}

// lying returns an image as a JPEG file, turned by a quarter to the left. Its Exif data say that it is to be turned back.
func lying(t *testing.T, upright image.Image) []byte {
	size := upright.Bounds().Size()
	img := image.NewNRGBA(image.Rect(0, 0, size.Y, size.X))
	for y := range size.Y {
		for x := range size.X {
			img.Set(y, size.X-1-x, upright.At(upright.Bounds().Min.X+x, upright.Bounds().Min.Y+y))
		}
	}
	file := picturetest.Encoded(t, "jpeg", img)
	const orientation = "\xff\xe1\x00\x22Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00"
	return slices.Concat(file[:2], []byte(orientation), file[2:])
}

// TestExportedPage uses an exported page in Chromium, opened as a file and from a server of files. It needs a trained
// checkpoint on MNIST, which GPUTRAIN_TEST_CHECKPOINT names.
func TestExportedPage(t *testing.T) {
	c, err := net.LoadCheckpoint(os.Getenv("GPUTRAIN_TEST_CHECKPOINT"))
	if err != nil {
		t.Fatal(err)
	}
	split, err := mnist.Tutorial()
	if err != nil {
		t.Fatal(err)
	}
	files, err := elsewhere.Page(c, serve.Options{ClassNames: split.ClassNames, Examples: split.Test.Slice(0, 20)})
	if err != nil {
		t.Fatal(err)
	}
	// The images of the test set, and one of another size and colours.
	drawn := picturetest.Redrawn(picturetest.Digit(split.Test, 0), 5, 160, 200, 20, 30, color.RGBA{20, 30, 120, 255}, color.RGBA{250, 245, 230, 255})
	pixels, err := picture.Digit.Pixels(drawn, picture.DigitShape)
	if err != nil {
		t.Fatal(err)
	}
	d := split.Test.Slice(0, 20)
	all := *d
	all.Rows, all.Labels, all.Pixels = nil, make([]int32, 21), slices.Concat(d.Pixels[:20*28*28], pixels)
	device, err := cpu.NewInferrer(c, 21, cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = device.Close() })
	batch := net.Batch{Data: &all}
	for i := range int32(21) {
		batch.Indices = append(batch.Indices, i)
	}
	want, err := net.Probabilities(device, batch)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// A page whose network is broken says so.
	broken := t.TempDir()
	for name, content := range files {
		if name == "model.js" {
			content = bytes.Replace(content, []byte(`weights: "`), []byte(`weights: "" && "`), 1)
		}
		if err := os.WriteFile(filepath.Join(broken, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(server.Close)
	allocator, cancel := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, chromedp.Flag("disable-component-update", true), chromedp.UserDataDir(t.TempDir()))...)
	t.Cleanup(cancel)
	browser, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	if err := chromedp.Run(browser); err != nil {
		t.Fatal(err)
	}
	t.Run("broken", func(t *testing.T) {
		ctx, cancel := chromedp.NewContext(browser)
		t.Cleanup(cancel)
		ctx, cancel = context.WithTimeout(ctx, time.Minute)
		t.Cleanup(cancel)
		p := &tab{ctx, new([]string)}
		var problem string
		p.run(t, chromedp.Navigate("file://"+filepath.ToSlash(broken)+"/index.html"), chromedp.WaitVisible("#problem"), chromedp.Text("#problem", &problem))
		if problem != "The network does not answer: the weights are not those of this network: too few" {
			t.Errorf("a page without weights says %q", problem)
		}
	})
	for name, address := range map[string]string{"file": "file://" + filepath.ToSlash(dir) + "/index.html", "server": server.URL + "/"} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := chromedp.NewContext(browser)
			t.Cleanup(cancel)
			ctx, cancel = context.WithTimeout(ctx, 2*time.Minute)
			t.Cleanup(cancel)
			p := &tab{ctx, new([]string)}
			chromedp.ListenTarget(ctx, func(event any) {
				if e, ok := event.(*log.EventEntryAdded); ok {
					*p.problems = append(*p.problems, e.Entry.Text)
				}
			})
			p.run(t, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(address), chromedp.WaitVisible("#examples button"))
			// What the page says of the test images is what the CPU device says.
			for i := range 20 {
				p.run(t, chromedp.Click(fmt.Sprintf("#examples button:nth-child(%d)", i+1)))
				p.answers(t, fmt.Sprintf("Test image %d: %d", i, split.Test.Labels[i]), want[i], 1e-5)
			}
			// The same for a file that the page prepares.
			p.drop(t, "drawn.png", picturetest.Encoded(t, "png", drawn))
			p.answers(t, "drawn.png", want[20], 1e-5)
			// A camera that was held upright stores its pictures lying. Browsers decode JPEG a little differently.
			p.drop(t, "turned.jpg", lying(t, drawn))
			p.answers(t, "turned.jpg", want[20], 0.02)
			p.drop(t, "drawn.png", picturetest.Encoded(t, "png", drawn), "text.txt", []byte("hello"))
			p.answers(t, "drawn.png", want[20], 1e-5)
			p.keep(t, "exported-file-"+name)
			var problem string
			p.run(t, settled(), chromedp.Click("#pictures li:nth-child(2) button"), chromedp.WaitVisible("#problem"), chromedp.Text("#problem", &problem))
			if problem != "text.txt: not a picture that this browser can read" {
				t.Errorf("of a file of text the page says %q", problem)
			}
			// A straight line, drawn from above.
			p.run(t, chromedp.Click("#clear"), chromedp.Focus("#pad"))
			for _, key := range strings.Split(strings.Repeat(kb.ArrowUp, 7)+" "+strings.Repeat(kb.ArrowDown, 14), "") {
				p.run(t, chromedp.KeyEvent(key))
			}
			var best string
			if p.run(t, settled(), chromedp.Text("#best", &best)); best != "1" {
				t.Errorf("a line is a %s, want 1", best)
			}
			p.keep(t, "exported-line-"+name)
			if len(*p.problems) > 0 {
				t.Errorf("the browser says %q", *p.problems)
			}
		})
	}
}
