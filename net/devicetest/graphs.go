package devicetest

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// Graphs returns how many random graphs a test is to take, and the seed of the
// first for [RandomNetwork]; the others' follow it. The environment's
// GPUTRAIN_TEST_GRAPHS sets the number, and then the seed is another one in every
// run, which the test prints, or that of GPUTRAIN_TEST_SEED. Without it the number
// is few, from seed 0 on.
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
