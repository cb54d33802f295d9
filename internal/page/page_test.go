package page

import (
	"regexp"
	"strings"
	"testing"
)

func TestPage(t *testing.T) {
	var b strings.Builder
	p := Page{Title: `a <b> & "c"`, Description: `"><script>`, Style: "#own { color: red }", Body: "<p>body</p>"}
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"<title>a &lt;b&gt; &amp; &#34;c&#34;</title>", "#own { color: red }", "<p>body</p>", "prefers-color-scheme: dark",
		"default-src 'none'", `content="&#34;&gt;&lt;script&gt;"`,
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if m := regexp.MustCompile(`(?i)<script|url\(|https?:|@import|<link`).FindString(b.String()); m != "" {
		t.Errorf("the page has %s", m)
	}
}
