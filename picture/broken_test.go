package picture

import (
	"errors"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/picture/picturetest"
)

// TestBroken reads pictures that can't be read: each gives one clear line, and is of a
// kind that callers can tell.
func TestBroken(t *testing.T) {
	broken := picturetest.Broken()
	if len(broken) < 30 {
		t.Errorf("%d broken pictures, want 30 or more", len(broken))
	}
	names := map[string]bool{}
	for _, b := range broken {
		if names[b.Name] {
			t.Errorf("%s: twice", b.Name)
		}
		names[b.Name] = true
		img, err := Decode(b.Data, nil)
		if err == nil {
			t.Errorf("%s: decoded as %T of %v", b.Name, img, img.Bounds())
			continue
		}
		text := err.Error()
		if !strings.Contains(text, b.Want) {
			t.Errorf("%s: %q, want %q", b.Name, text, b.Want)
		}
		if strings.ContainsAny(text, "\n\x00") || len(text) > 150 {
			t.Errorf("%s: %q is not one clear line", b.Name, text)
		}
		kinds := 0
		for _, kind := range []error{ErrFormat, ErrDamaged, ErrUnsupported, ErrTooLarge} {
			if errors.Is(err, kind) {
				kinds++
			}
		}
		if kinds != 1 {
			t.Errorf("%s: %q is of %d kinds", b.Name, text, kinds)
		}
		t.Logf("%s: %s", b.Name, text)
	}
}
