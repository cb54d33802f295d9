package net_test

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/gputrain/gputrain/net"
)

func TestRank(t *testing.T) {
	got, err := net.Rank([]float32{0.125, 0.5, 0.125, 0.25}, []string{"a", "b", "c"})
	want := []net.Ranked{{Class: "b", Probability: 0.5}, {Class: "3", Probability: 0.25}, {Class: "a", Probability: 0.125}, {Class: "c", Probability: 0.125}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v and %v, want %v", got, err, want)
	}
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), -0.5, 1.5} {
		if got, err := net.Rank([]float32{0, bad}, nil); !errors.Is(err, net.ErrNotFinite) {
			t.Errorf("%v: got %v and %v, want ErrNotFinite", bad, got, err)
		}
	}
}
