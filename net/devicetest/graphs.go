package devicetest

import (
	"os"
	"strconv"
	"testing"

	"github.com/gputrain/gputrain/internal/testenv"
)

// Graphs returns how many random graphs a test is to take, and the seed of the
// first for [RandomNetwork]; the others' follow it. The environment's
// GPUTRAIN_TEST_GRAPHS sets the number, and then the seed is another one in every
// run. Without it the number is few, from seed 0 on. GPUTRAIN_TEST_SEED sets the
// seed in both cases.
func Graphs(tb testing.TB, few int) (number int, seed uint64) {
	tb.Helper()
	text := os.Getenv("GPUTRAIN_TEST_GRAPHS")
	if text == "" {
		return few, testenv.SeedOr(tb, 0)
	}
	number, err := strconv.Atoi(text)
	if err != nil || number < 1 {
		tb.Fatalf("GPUTRAIN_TEST_GRAPHS: %q is no number of graphs", text)
	}
	return number, testenv.Seed(tb)
}
