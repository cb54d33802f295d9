package serve

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"strconv"
	"strings"

	"github.com/gputrain/gputrain/internal/page"
	"github.com/gputrain/gputrain/net"
)

//go:embed page openapi.yaml
var files embed.FS

// policy lets the page load what is here, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// permissions lets the page use the camera, and nothing else of the machine.
const permissions = "camera=(self), microphone=(), geolocation=(), display-capture=(), usb=(), serial=(), bluetooth=(), payment=()"

// pageRoutes adds the page and what it loads.
func (s *Server) pageRoutes(route func(pattern string, h handling)) {
	read := func(name string) []byte {
		b, err := files.ReadFile(name)
		if err != nil {
			panic(fmt.Sprintf("BUG: %v", err))
		}
		return b
	}
	route("/{$}", func(w http.ResponseWriter, r *http.Request) error {
		m := s.use()
		defer s.giveBack(m)
		return static("text/html; charset=utf-8", m.page)(w, r)
	})
	route("/page.css", static("text/css; charset=utf-8", append([]byte(page.Style()), read("page/page.css")...)))
	route("/page.js", static("text/javascript; charset=utf-8", read("page/page.js")))
	route("/openapi.yaml", static("application/yaml", read("openapi.yaml")))
	route("/examples/{file}", s.example)
}

// static answers with a file. A browser may keep it, but must ask each time whether it
// is still the same.
func static(kind string, content []byte) handling {
	tag := fmt.Sprintf(`"%x"`, sha256.Sum256(content))
	return func(w http.ResponseWriter, r *http.Request) error {
		h := w.Header()
		h.Set("Content-Type", kind)
		h.Set("Content-Security-Policy", policy)
		h.Set("Permissions-Policy", permissions)
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache")
		h.Set("ETag", tag)
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
		_, err := w.Write(content)
		return err
	}
}

// example answers with an image that the page offers.
func (s *Server) example(w http.ResponseWriter, r *http.Request) error {
	d := s.options.Examples
	name, isPNG := strings.CutSuffix(r.PathValue("file"), ".png")
	i, err := strconv.Atoi(name)
	if d == nil || !isPNG || err != nil || i < 0 || i >= d.Len() {
		return problemf(http.StatusNotFound, "there is no such example")
	}
	b, err := pngOf(d.Pixels[d.Row(int32(i))*d.Shape.Size():][:d.Shape.Size()], d.Shape)
	if err != nil {
		return err
	}
	return static("image/png", b)(w, r)
}

// pngOf is a sample of one or three channels as a PNG file.
func pngOf(pixels []uint8, shape net.Shape) ([]byte, error) {
	area := shape.H * shape.W
	img := image.NewNRGBA(image.Rect(0, 0, shape.W, shape.H))
	for k := range area {
		c := color.NRGBA{pixels[k], pixels[k], pixels[k], 255}
		if shape.C == 3 {
			c.G, c.B = pixels[area+k], pixels[2*area+k]
		}
		img.SetNRGBA(k%shape.W, k/shape.W, c)
	}
	var b bytes.Buffer
	err := png.Encode(&b, img)
	return b.Bytes(), err
}
