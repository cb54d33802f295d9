package devicetest

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// Graphs returns how many random graphs a test should take, and the seed of the
// first one for [RandomNetwork]. The seeds of the others follow it. Usually the
// number is few, and the first seed is 0. The environment variable
// GPUTRAIN_TEST_GRAPHS sets another number. Then the first seed differs in every
// run, unless GPUTRAIN_TEST_SEED sets it, and the test prints it.
func Graphs(tb testing.TB, few int) (number int, seed uint64) {
	tb.Helper()
	text := os.Getenv("GPUTRAIN_TEST_GRAPHS")
	if text == "" {
		return few, 0
	}
	number, err := strconv.Atoi(text)
	if err != nil || number < 1 {
		tb.Fatalf("GPUTRAIN_TEST_GRAPHS: %q is no number of graphs", text)
	}
	seed = rand.Uint64()
	if text := os.Getenv("GPUTRAIN_TEST_SEED"); text != "" {
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			tb.Fatalf("GPUTRAIN_TEST_SEED: %v", err)
		}
	}
	tb.Logf("GPUTRAIN_TEST_SEED=%d", seed)
	return number, seed
}
