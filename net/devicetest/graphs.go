package devicetest

import (
	"os"
	"strconv"
	"testing"

	"github.com/gputrain/gputrain/internal/testenv"
)

// Graphs returns how many random graphs a test should take, and the seed of the
// first one for [RandomNetwork]. The seeds of the others follow it. Usually the
// number is few, and the first seed is 0. The environment variable
// GPUTRAIN_TEST_GRAPHS sets another number. Then the first seed differs in every
// run. GPUTRAIN_TEST_SEED sets the seed in both cases.
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
