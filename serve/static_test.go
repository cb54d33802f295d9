package serve

import (
	"encoding/base64"
	"encoding/json"
	"image/png"
	"net/http"
	"strings"
	"testing"
)

// TestStaticPage compares a page without a server with that of a server: the same scripts and styles, and an index that
// differs by what a page without a server needs.
func TestStaticPage(t *testing.T) {
	c, data := colours(t)
	static, err := StaticPage(c, Options{Examples: data})
	if err != nil {
		t.Fatal(err)
	}
	server, err := New(newDevice(t), c, Options{Examples: data})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	for name, there := range map[string]string{"page.css": "page.css", "page.js": "page.js", "index.html": ""} {
		want := do(t, server, http.MethodGet, "/"+there, "", nil).Body.String()
		got := string(static.Files[name])
		if name == "index.html" {
			for _, line := range strings.SplitAfter(got, "\n") {
				switch {
				case strings.Contains(line, "Content-Security-Policy"), strings.Contains(line, `src="model.js"`), strings.Contains(line, `src="engine.js"`):
					got = strings.Replace(got, line, "", 1)
				case strings.Contains(line, "<footer"):
					if !strings.Contains(line, "Made by <code>gputrain export</code>") {
						t.Errorf("the page ends with %q", line)
					}
					got = strings.Replace(got, line, "", 1)
				}
			}
			before, rest, _ := strings.Cut(want, "<footer")
			_, after, _ := strings.Cut(rest, "\n")
			want = before + after
		}
		if got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	m := static.Model
	if len(static.Files) != 3 || m.Subject != kindPicture || m.Preparation != "stretch" || len(m.Examples) != data.Len() || !m.Activations || !m.Loaded.IsZero() {
		text, err := json.Marshal(m)
		t.Errorf("%d files, model %s %v", len(static.Files), text, err)
	}
	for i, e := range m.Examples {
		encoded, ok := strings.CutPrefix(e.Image, "data:image/png;base64,")
		img, err := png.Decode(base64.NewDecoder(base64.StdEncoding, strings.NewReader(encoded)))
		if !ok || err != nil || img.Bounds().Dx() != m.Input.W || img.Bounds().Dy() != m.Input.H {
			t.Fatalf("example %d: %.40s..., %v", i, e.Image, err)
		}
	}
	c.Subject.Scale = 0
	if _, err := StaticPage(c, Options{}); err == nil || err.Error() != "the network takes no pictures, so a page has nothing to show it" {
		t.Errorf("of a network that takes no pictures: %v", err)
	}
}
