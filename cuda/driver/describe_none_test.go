//go:build !cuda || !cgo || !linux || !(amd64 || arm64)

package driver

import (
	"errors"
	"strings"
	"testing"
)

func TestWithoutCUDA(t *testing.T) {
	if Built {
		t.Error("Built is true")
	}
	l, err := Open()
	if l != nil || !errors.Is(err, ErrNotBuilt) || !errors.Is(err, ErrNoLibrary) {
		t.Errorf("Open: %v, %v", l, err)
	}
	if text := Describe().String(); !strings.Contains(text, "this build has no CUDA") {
		t.Errorf("Describe doesn't say so: %s", text)
	}
}
