package cpufeat

import (
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	few, all, arm := []Tier{Portable, AVX2}, []Tier{Portable, AVX2, AVX512}, []Tier{Portable, NEON}
	for _, c := range []struct {
		name      string
		available []Tier
		want      Tier
		err       string
	}{
		{"portable", all, Portable, ""},
		{"avx2", all, AVX2, ""},
		{"avx512", few, 0, "kernel tier \"avx512\" is not available on this processor or in this build: use one of portable, avx2"},
		{"neon", arm, NEON, ""},
		{"neon", few, 0, "kernel tier \"neon\" is not available on this processor or in this build: use one of portable, avx2"},
		{"sve", few, 0, "kernel tier \"sve\" is unknown: use one of portable, avx2"},
	} {
		got, err := parse(c.name, c.available)
		if c.err == "" {
			if err != nil || got != c.want {
				t.Errorf("parse(%q, %v) = %v, %v; want %v", c.name, c.available, got, err, c.want)
			}
		} else if err == nil || !strings.Contains(err.Error(), c.err) {
			t.Errorf("parse(%q, %v): error %v; want %q", c.name, c.available, err, c.err)
		}
	}
}

func TestSelect(t *testing.T) {
	available := Available()
	if !slices.Contains(available, Portable) || !slices.IsSorted(available) {
		t.Fatalf("Available() = %v; want portable first, in order", available)
	}
	for _, tier := range available {
		t.Setenv(Env, tier.String())
		if got, err := Select(); got != tier || err != nil {
			t.Errorf("%s=%v: Select() = %v, %v", Env, tier, got, err)
		}
	}
	t.Setenv(Env, "")
	if got, err := Select(); got != available[len(available)-1] || err != nil {
		t.Errorf("%s empty: Select() = %v, %v; want the widest of %v", Env, got, err, available)
	}
	t.Setenv(Env, "sse")
	if _, err := Select(); err == nil || !strings.HasPrefix(err.Error(), Env+": ") {
		t.Errorf("%s=sse: error %v", Env, err)
	}
}
