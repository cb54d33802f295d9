// Package testenv holds what the environment says to tests. GPUTRAIN_TEST_SEED sets the seed of random tests. Each prints its
// seed, so that a failure can be repeated; a test of this package finds tests that draw random numbers without it.
// GPUTRAIN_TEST_LONG=1 has tests run in their long form (make test-long).
package testenv

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// SeedVariable names the environment variable that sets the seed of random tests.
const SeedVariable = "GPUTRAIN_TEST_SEED"

// most is below what a signed 64-bit seed may be, and few digits to type.
const most = 1_000_000_000

// Seed returns the seed that the environment sets, or another one in each run, and prints it.
//
// The limits of a test that takes it should be so wide that not one seed in a million fails by chance.
func Seed(t testing.TB) uint64 {
	t.Helper()
	return SeedOr(t, rand.Uint64N(most))
}

// SeedOr returns the seed that the environment sets, or otherwise the one given, and prints it.
func SeedOr(t testing.TB, otherwise uint64) uint64 {
	t.Helper()
	seed := otherwise
	if text := os.Getenv(SeedVariable); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s=%s: want a whole number of at least 0", SeedVariable, text)
		}
	}
	t.Logf("%s=%d", SeedVariable, seed)
	return seed
}

// Rand returns a source of random numbers that starts from [Seed].
func Rand(t testing.TB) *rand.Rand {
	t.Helper()
	return rand.New(rand.NewPCG(Seed(t), 0))
}

// Long reports whether tests that have a long form take it. CI runs them once so.
func Long() bool { return os.Getenv("GPUTRAIN_TEST_LONG") != "" }
