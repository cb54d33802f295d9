package cpufeat

import (
	"slices"
	"strings"
	"testing"
)

func TestChoose(t *testing.T) {
	few, all := []Tier{Portable, AVX2}, []Tier{Portable, AVX2, AVX512}
	for _, c := range []struct {
		name      string
		available []Tier
		want      Tier
		err       string
	}{
		{"", all, AVX512, ""},
		{"", few, AVX2, ""},
		{"portable", all, Portable, ""},
		{"avx2", all, AVX2, ""},
		{"avx512", few, 0, "GPUTRAIN_CPU=avx512: kernel tier is not available on this processor or in this build; use one of portable, avx2"},
		{"neon", few, 0, "GPUTRAIN_CPU=neon: kernel tier is unknown; use one of portable, avx2"},
	} {
		got, err := choose(c.name, c.available)
		if c.err == "" {
			if err != nil || got != c.want {
				t.Errorf("choose(%q, %v) = %v, %v; want %v", c.name, c.available, got, err, c.want)
			}
		} else if err == nil || !strings.Contains(err.Error(), c.err) {
			t.Errorf("choose(%q, %v): error %v; want %q", c.name, c.available, err, c.err)
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
	t.Setenv(Env, "sse")
	if _, err := Select(); err == nil {
		t.Errorf("%s=sse: no error", Env)
	}
}
