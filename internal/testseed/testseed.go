// Package testseed gives random tests their seed. Each prints it, and the environment's GPUTRAIN_TEST_SEED sets it, so that
// a failure can be repeated. A test of this package finds tests that draw random numbers without it.
package testseed

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// Variable names the environment variable that sets the seed of random tests.
const Variable = "GPUTRAIN_TEST_SEED"

// most is below what a signed 64-bit seed may be, and few digits to type.
const most = 1_000_000_000

// Fresh returns the seed that the environment sets, or another one in each run, and prints it.
//
// The limits of a test that takes it should be so wide that not one seed in a million fails by chance.
func Fresh(t testing.TB) uint64 {
	t.Helper()
	return Or(t, rand.Uint64N(most))
}

// Or returns the seed that the environment sets, or otherwise the one given, and prints it.
func Or(t testing.TB, otherwise uint64) uint64 {
	t.Helper()
	seed := otherwise
	if text := os.Getenv(Variable); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s=%s: want a whole number of at least 0", Variable, text)
		}
	}
	t.Logf("%s=%d", Variable, seed)
	return seed
}

// Rand returns a source of random numbers that starts from [Fresh].
func Rand(t testing.TB) *rand.Rand {
	t.Helper()
	return rand.New(rand.NewPCG(Fresh(t), 0))
}
