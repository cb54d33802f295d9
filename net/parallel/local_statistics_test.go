package parallel_test

import (
	"testing"

	"github.com/gputrain/gputrain/cpu"
	"github.com/gputrain/gputrain/net/parallel/lockstep"
)

// TestLocalStatistics: members with the same samples compute what one device computes with all of them. With other samples
// they don't, but end with the same state.
func TestLocalStatistics(t *testing.T) {
	alone, err := cpu.New(cpu.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	lockstep.CheckLocalStatistics(t, alone, processors(t, 2))
}
