//go:build chromium

package serve

import (
	"encoding/base64"
	"fmt"
	"image"
	"image/color"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/gputrain/gputrain/picture/picturetest"
)

// plainFile is a picture of one colour, larger than the network's input and not square.
func plainFile(t *testing.T, c color.Color) []byte {
	img := image.NewNRGBA(image.Rect(0, 0, 90, 60))
	for i := range 90 * 60 {
		img.Set(i%90, i/90, c)
	}
	return picturetest.Encoded(t, "png", img)
}

var (
	red   = color.NRGBA{250, 5, 5, 255}
	green = color.NRGBA{5, 250, 5, 255}
	blue  = color.NRGBA{5, 5, 250, 255}
)

// transfer is JavaScript for files of these names and contents, in a DataTransfer.
func transfer(named ...any) string {
	var b strings.Builder
	b.WriteString(`(() => { const d = new DataTransfer();`)
	for i := 0; i+1 < len(named); i += 2 {
		fmt.Fprintf(&b, `d.items.add(new File([Uint8Array.from(atob(%q), (c) => c.charCodeAt(0))], %q, {type: %q}));`,
			base64.StdEncoding.EncodeToString(named[i+1].([]byte)), named[i], map[bool]string{true: "image/png", false: "text/plain"}[strings.HasSuffix(named[i].(string), ".png")])
	}
	b.WriteString(`return d; })()`)
	return b.String()
}

func drop(transfer string) chromedp.Action {
	return chromedp.Evaluate(`document.querySelector("main").dispatchEvent(new DragEvent("drop", {dataTransfer: `+transfer+`, bubbles: true, cancelable: true}))`, nil)
}

func paste(transfer string) chromedp.Action {
	return chromedp.Evaluate(`document.body.dispatchEvent(new ClipboardEvent("paste", {clipboardData: `+transfer+`, bubbles: true, cancelable: true}))`, nil)
}

// says waits until the page shows a class.
func (p *tab) says(t *testing.T, how, class string) {
	t.Helper()
	if err := chromedp.Run(p.ctx, chromedp.Poll(fmt.Sprintf(`!busy && document.getElementById("best").textContent === %q`, class), nil, chromedp.WithPollingTimeout(20*time.Second))); err != nil {
		var best, problem string
		p.run(t, chromedp.Text("#best", &best), chromedp.Evaluate(`document.getElementById("problem").textContent`, &problem))
		t.Errorf("%s: the page says %q, want %q (%v); problem %q", how, best, class, err, problem)
	}
}

// TestPageOfPictures uses the page of a network for pictures in colour, whose classes
// have names, in Chromium.
func TestPageOfPictures(t *testing.T) {
	checkpoint, data := colours(t)
	browser := browse(t)
	p := open(t, browser, checkpoint, Options{Examples: data})
	p.run(t, chromedp.WaitVisible("#examples button"))
	p.keep(t, "pictures-empty")

	t.Run("words", func(t *testing.T) {
		var title, page, shown string
		p.run(t, chromedp.Text("#title", &title), chromedp.OuterHTML("html", &page), chromedp.Text("#examples button:nth-child(2)", &shown))
		if title != "Show a picture" {
			t.Errorf("title %q", title)
		}
		for _, word := range []string{"digit", "draw", "mnist", "<canvas id"} {
			if strings.Contains(strings.ToLower(page), word) {
				t.Errorf("the page says %q", word)
			}
		}
		if shown != colourNames[1] {
			t.Errorf("the second example is called %q, want %q", shown, colourNames[1])
		}
	})
	t.Run("examples", func(t *testing.T) {
		for i, name := range colourNames {
			p.run(t, chromedp.Click(fmt.Sprintf("#examples button:nth-child(%d)", i+1)))
			p.says(t, "example", name)
		}
	})
	t.Run("drop", func(t *testing.T) {
		p.run(t, drop(transfer("a.png", plainFile(t, green))))
		p.says(t, "dropped", "green")
		// What was sent and what the network saw of it, in colour and in the input's size.
		var seen struct {
			Width, Height int
			Pixel         []int
			Sent          int
		}
		p.run(t, chromedp.Poll(`document.getElementById("seen").complete && document.getElementById("sent").complete`, nil), chromedp.Evaluate(`(() => {
			const image = document.getElementById("seen"), c = new OffscreenCanvas(image.naturalWidth, image.naturalHeight).getContext("2d");
			c.drawImage(image, 0, 0);
			return {Width: image.naturalWidth, Height: image.naturalHeight, Pixel: [...c.getImageData(9, 9, 1, 1).data], Sent: document.getElementById("sent").naturalWidth};
		})()`, &seen))
		if fmt.Sprint(seen) != "{32 32 [5 250 5 255] 90}" {
			t.Errorf("shown: %v", seen)
		}
		// The classes are ranked, by name.
		var names []string
		p.run(t, chromedp.Evaluate(`[...document.querySelectorAll("#bars .name")].map((e) => e.textContent)`, &names))
		if len(names) != 10 || names[0] != "green" || names[9] != "magenta" {
			t.Errorf("classes in the order %v; want green first, magenta last", names)
		}
		p.beside(t, "#sent")
	})
	t.Run("several", func(t *testing.T) {
		p.run(t, drop(transfer("a.png", plainFile(t, red), "b.png", plainFile(t, green), "text.txt", []byte("hello"), "c.png", plainFile(t, blue))))
		p.says(t, "the first of several", "red")
		var texts []string
		p.run(t, chromedp.Poll(`!busy`, nil), chromedp.Evaluate(`[...document.querySelectorAll("#pictures button")].map((b) => b.getAttribute("aria-label").replace(/, .*/, "") + (b.ariaPressed === "true" ? "!" : ""))`, &texts))
		if got := strings.Join(texts, "; "); got != "a.png: red!; b.png: green; text.txt: no answer; c.png: blue" {
			t.Errorf("the list says %q", got)
		}
		// The keyboard chooses.
		p.run(t, chromedp.Focus("#pictures li:nth-child(4) button"), chromedp.KeyEvent(kb.Enter))
		p.says(t, "the fourth", "blue")
		p.beside(t, "#sent")
		p.keep(t, "pictures-several")
		var problem string
		p.run(t, chromedp.Click("#pictures li:nth-child(3) button"), chromedp.WaitVisible("#problem"), chromedp.Text("#problem", &problem))
		if !strings.HasPrefix(problem, "text.txt: not a ") {
			t.Errorf("of a file of text the page says %q", problem)
		}
		p.keep(t, "pictures-problem")
		p.run(t, chromedp.Click("#clear"), chromedp.WaitNotVisible("#problem"), chromedp.WaitVisible("#invitation"), chromedp.WaitNotVisible("#pictures"))
	})
	t.Run("paste", func(t *testing.T) {
		p.run(t, paste(transfer("pasted.png", plainFile(t, blue))))
		p.says(t, "pasted", "blue")
		var problem string
		p.run(t, paste(transfer()), chromedp.WaitVisible("#problem"), chromedp.Text("#problem", &problem))
		if problem != "There is no picture on the clipboard." {
			t.Errorf("pasting nothing: %q", problem)
		}
	})
	t.Run("file choice", func(t *testing.T) {
		folder := t.TempDir()
		var paths []string
		for name, c := range map[string]color.Color{"1.png": green, "2.png": green} {
			paths = append(paths, filepath.Join(folder, name))
			if err := os.WriteFile(paths[len(paths)-1], plainFile(t, c), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		p.run(t, chromedp.SetUploadFiles("#file", paths))
		p.says(t, "chosen", "green")
		p.run(t, chromedp.WaitVisible("#pictures li:nth-child(2)"), chromedp.WaitNotVisible("#problem"))
	})
	t.Run("large", func(t *testing.T) {
		small := open(t, browser, checkpoint, Options{MaxPixels: 2000})
		small.run(t, chromedp.Poll(`model`, nil), drop(transfer("a.png", plainFile(t, blue))))
		small.says(t, "larger than the server takes", "blue")
		var note string
		small.run(t, chromedp.Text("#note", &note))
		if !strings.Contains(note, "made smaller") {
			t.Errorf("note %q", note)
		}
	})
	t.Run("camera", func(t *testing.T) {
		p.run(t, chromedp.Click("#photo"), chromedp.WaitVisible("#camera"), chromedp.Poll(`document.getElementById("view").videoWidth > 0`, nil))
		p.keep(t, "pictures-camera")
		p.run(t, chromedp.Click("#shutter"), chromedp.WaitNotVisible("#camera"), chromedp.Poll(`!busy && picture && picture.name === "photo.jpg" && picture.answer`, nil))
		var off bool
		if p.run(t, chromedp.Evaluate(`stream === null`, &off)); !off {
			t.Error("the camera is on after the photo")
		}
		// Without permission there are words.
		p.run(t, chromedp.Evaluate(`navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("no", "NotAllowedError"))`, nil),
			chromedp.Click("#photo"), chromedp.WaitVisible("#problem"))
		var problem string
		if p.run(t, chromedp.Text("#problem", &problem)); !strings.Contains(problem, "doesn't let this page use the camera") {
			t.Errorf("without permission: %q", problem)
		}
	})
	t.Run("phone", func(t *testing.T) {
		phone := open(t, browser, checkpoint, Options{})
		phone.run(t, chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile, chromedp.EmulateTouch), chromedp.Reload(), chromedp.Poll(`model`, nil))
		phone.run(t, chromedp.WaitVisible("#snaplabel"), chromedp.WaitNotVisible("#photo"), chromedp.WaitVisible("#bars li"))
	})
	t.Run("values", func(t *testing.T) {
		c, _ := colours(t)
		c.Subject.Scale = 0
		other := open(t, browser, c, Options{})
		var title, about string
		other.run(t, chromedp.Poll(`model`, nil), chromedp.Sleep(200*time.Millisecond), chromedp.Text("#title", &title), chromedp.Text("#about", &about))
		if title != "No network for pictures" || !strings.Contains(about, "10 classes") {
			t.Errorf("%q; %q", title, about)
		}
		other.keep(t, "values")
	})
}

// TestPageFollows checks that a page that is open becomes another when another kind of
// network is loaded.
func TestPageFollows(t *testing.T) {
	c, data := colours(t)
	s, p := openServer(t, browse(t), c, Options{Examples: data})
	p.run(t, chromedp.WaitVisible("#examples button"), chromedp.Click("#examples button"))
	p.says(t, "before", colourNames[0])
	if err := s.Replace(checkpoint(t, 1)); err != nil {
		t.Fatal(err)
	}
	p.run(t, drop(transfer("a.png", digitFile(t, 0))), chromedp.WaitVisible("#pad"))
	var title string
	if p.run(t, chromedp.Text("#title", &title)); title != "Draw a digit" {
		t.Errorf("title %q", title)
	}
}
