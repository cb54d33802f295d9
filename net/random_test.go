package net

import (
	"slices"
	"testing"
)

// TestPhiloxKnownAnswers uses the vectors that Random123, the authors' library,
// publishes for philox4x32 with ten rounds.
func TestPhiloxKnownAnswers(t *testing.T) {
	const f = 0xffffffff
	for _, c := range []struct {
		counter [4]uint32
		key     [2]uint32
		want    [4]uint32
	}{
		{[4]uint32{}, [2]uint32{}, [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{[4]uint32{f, f, f, f}, [2]uint32{f, f}, [4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{ // the digits of pi
			[4]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, [2]uint32{0xa4093822, 0x299f31d0},
			[4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1},
		},
	} {
		if got := Philox(c.key, c.counter); got != c.want {
			t.Errorf("Philox(%x, %x) = %x, want %x", c.key, c.counter, got, c.want)
		}
	}
}

func TestShuffleIsAPermutation(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 100, 55_000} {
		order := make([]int32, n)
		Shuffle(7, 3, order)
		slices.Sort(order)
		for i, v := range order {
			if int(v) != i {
				t.Fatalf("of %d: %d stands where %d should", n, v, i)
			}
		}
	}
}

func TestShuffleDependsOnSeedAndEpochOnly(t *testing.T) {
	shuffled := func(seed uint64, epoch int) []int32 {
		order := make([]int32, 50)
		for i := range order {
			order[i] = -7 // what was there does not matter
		}
		Shuffle(seed, epoch, order)
		return order
	}
	base := shuffled(1, 0)
	if !slices.Equal(base, shuffled(1, 0)) {
		t.Error("the same seed and epoch give another order")
	}
	for name, other := range map[string][]int32{
		"epoch": shuffled(1, 1), "seed": shuffled(2, 0), "high word of the seed": shuffled(1+1<<32, 0),
	} {
		if slices.Equal(base, other) {
			t.Errorf("another %s gives the same order", name)
		}
	}
}

// TestShuffleIsUniform counts the 24 permutations of four samples. Chi-squared
// with 23 degrees of freedom has mean 23 and deviation 6.8; both limits lie where
// less than one seed in a million would fall, and the seeds are fixed.
func TestShuffleIsUniform(t *testing.T) {
	const draws, cells = 24_000, 24
	count := map[[4]int32]int{}
	var order [4]int32
	for i := range draws {
		Shuffle(uint64(i/100), i%100, order[:])
		count[order]++
	}
	var chi2 float64
	for _, n := range count {
		d := float64(n) - draws/cells
		chi2 += d * d / (draws / cells)
	}
	if len(count) != cells || chi2 > 75 || chi2 < 3 {
		t.Errorf("%d permutations of %d, chi-squared %.1f", len(count), cells, chi2)
	}
}

// TestBelowIsUniform draws below a bound that does not divide 2^32, where a
// plain remainder or product would favour some values.
func TestBelowIsUniform(t *testing.T) {
	const n, draws = 3 << 30, 30_000
	s := newStream(5, ForInit, 0)
	var third [3]int
	for range draws {
		v := s.below(n)
		if v >= n {
			t.Fatalf("%d is not below %d", v, uint32(n))
		}
		third[v%3]++
	}
	// Five deviations of a binomial count: 5*sqrt(30000*1/3*2/3) = 408. Without
	// the redraw the multiples of three would get half of all, 15000.
	for i, c := range third {
		if c < draws/3-408 || c > draws/3+408 {
			t.Errorf("remainder %d has %d of %d draws", i, c, draws)
		}
	}
}

func TestDropoutKeep(t *testing.T) {
	const n = 40_000
	for _, rate := range []float64{0, 0.1, 0.5, 0.9} {
		kept := 0
		for i := range n {
			if DropoutKeep(11, 2, 1<<33+5, rate, i) {
				kept++
			}
		}
		// Five deviations of a binomial count are at most 5*sqrt(40000/4) = 500.
		if want := (1 - rate) * n; float64(kept) < want-500 || float64(kept) > want+500 || rate == 0 && kept != n {
			t.Errorf("rate %v keeps %d of %d", rate, kept, n)
		}
	}
	mask := func(seed uint64, layer int, step int64) (m [64]bool) {
		for i := range m {
			m[i] = DropoutKeep(seed, layer, step, 0.5, i)
		}
		return m
	}
	base := mask(1, 2, 3)
	for name, other := range map[string][64]bool{
		"seed": mask(2, 2, 3), "layer": mask(1, 3, 3), "step": mask(1, 2, 4), "high word of the step": mask(1, 2, 3+1<<32),
	} {
		if other == base {
			t.Errorf("another %s gives the same mask", name)
		}
	}
	w := Philox([2]uint32{11, 0}, [4]uint32{9, 5, 2, 3<<24 | 2})
	for i := range 4 {
		if got, want := DropoutKeep(11, 2, 2<<32+5, 0.25, 36+i), w[i] >= 1<<30; got != want {
			t.Errorf("value %d is kept: %v, but its word is %x", 36+i, got, w[i])
		}
	}
}
