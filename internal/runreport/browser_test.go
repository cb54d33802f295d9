package runreport

import (
	"bytes"
	"context"
	"fmt"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// measure says in the title of the page around this one what stands out of its place: texts out of their
// charts, and what makes the page wider than the window.
const measure = `<script>
const out = [];
for (const svg of document.querySelectorAll("svg")) {
  const s = svg.getBoundingClientRect();
  for (const text of svg.querySelectorAll("text")) {
    const t = text.getBoundingClientRect();
    if (t.left < s.left - 1 || t.right > s.right + 1 || t.top < s.top - 1 || t.bottom > s.bottom + 1) out.push("text " + text.textContent);
  }
}
const page = document.documentElement;
if (page.scrollWidth > page.clientWidth) out.push("the page is " + page.scrollWidth + " wide, the window " + page.clientWidth);
parent.document.title = "measured " + page.clientWidth + ": " + out.join("; ");
</script>`

// TestInBrowser opens pages in Chromium, wide and narrow: nothing stands out of its
// place, and the page's own policy finds nothing to refuse. make check-report sets
// the program.
func TestInBrowser(t *testing.T) {
	chromium := os.Getenv("GPUTRAIN_CHROMIUM")
	if chromium == "" {
		t.Skip("GPUTRAIN_CHROMIUM names no browser; make check-report does")
	}
	dir := t.TempDir()
	browse := func(page string) (dom, log string) {
		path := filepath.Join(dir, "page.html")
		if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		c := exec.CommandContext(ctx, chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
			"--disable-component-update", "--disable-sync", "--enable-logging=stderr", "--user-data-dir="+filepath.Join(dir, "profile"),
			"--window-size=1600,1000", "--hide-scrollbars", "--dump-dom", "file://"+path)
		var out, errors bytes.Buffer
		c.Stdout, c.Stderr = &out, &errors
		if err := c.Run(); err != nil {
			t.Fatalf("%v: %s", err, errors.String())
		}
		return out.String(), errors.String()
	}
	for name, r := range pages(t) {
		var b bytes.Buffer
		if err := r.WritePage(&b); err != nil {
			t.Fatal(err)
		}
		if _, log := browse(b.String()); strings.Contains(log, "CONSOLE") {
			t.Errorf("%s: the browser complains: %s", name, log)
		}
		// To measure, a script must run, which the page's policy forbids. A window may
		// not be narrow, a frame may.
		policy := regexp.MustCompile(`<meta http-equiv="Content-Security-Policy"[^>]*>`)
		open := strings.Replace(policy.ReplaceAllString(b.String(), ""), "</body>", measure+"</body>", 1)
		for _, width := range []int{390, 1400} {
			dom, _ := browse(fmt.Sprintf(`<!DOCTYPE html><iframe style="border: 0; width: %dpx; height: 900px" srcdoc="%s"></iframe>`, width, html.EscapeString(open)))
			title := regexp.MustCompile(`<title>(measured[^<]*)`).FindStringSubmatch(dom)
			if want := fmt.Sprintf("measured %d: ", width); title == nil || title[1] != want {
				t.Errorf("%s in %d pixels: %s", name, width, html.UnescapeString(fmt.Sprint(title)))
			}
		}
	}
}
