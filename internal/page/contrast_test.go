package page

import (
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"
)

// TestContrast holds the style's colours, light and dark, against WCAG 2.2: 4.5 to
// 1 for text, 3 to 1 for lines and bars.
func TestContrast(t *testing.T) {
	light, dark, found := strings.Cut(style, "prefers-color-scheme: dark")
	if !found {
		t.Fatal("no dark colours")
	}
	for name, css := range map[string]string{"light": light, "dark": dark[:strings.Index(dark, "*,")]} {
		colours := map[string]string{}
		for _, m := range regexp.MustCompile(`--([a-z0-9-]+): (#[0-9a-f]{6});`).FindAllStringSubmatch(css, -1) {
			colours[m[1]] = m[2]
		}
		check := func(front, back string, least float64) {
			t.Helper()
			if c := contrast(t, colours[front], colours[back]); c < least {
				t.Errorf("%s: %s on %s has a contrast of %.2f, want %v", name, front, back, c, least)
			}
		}
		for _, text := range []string{"ink", "muted", "accent", "good", "bad"} {
			check(text, "paper", 4.5)
			check(text, "card", 4.5)
		}
		check("ink", "cell", 4.5)
		for i := range 8 {
			series := fmt.Sprintf("series-%d", i+1)
			check(series, "paper", 3)
			check("on-full", series, 4.5)
		}
	}
}

// contrast is the ratio of WCAG 2.2's "contrast ratio" of two colours.
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	luminance := func(colour string) float64 {
		var r, g, b uint8
		if _, err := fmt.Sscanf(colour, "#%02x%02x%02x", &r, &g, &b); err != nil {
			t.Fatalf("%q: %v", colour, err)
		}
		linear := func(v uint8) float64 {
			x := float64(v) / 255
			if x <= 0.04045 {
				return x / 12.92
			}
			return math.Pow((x+0.055)/1.055, 2.4)
		}
		return 0.2126*linear(r) + 0.7152*linear(g) + 0.0722*linear(b)
	}
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}
