// Command gputrain trains convolutional networks and uses them. For its commands see gputrain --help.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/gputrain/gputrain/internal/memlimit"
	"github.com/gputrain/gputrain/internal/replacefile"
)

func main() {
	// Ignoring the signal turns writing to a closed pipe into an error instead of a sudden end. So training still
	// saves its checkpoint if its reader goes away.
	signal.Ignore(syscall.SIGPIPE)
	// Near the limit of a container's memory garbage is collected more often, so that it isn't what the system ends
	// the process for.
	if total, _ := memlimit.Total(); total > 0 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(0.9 * total))
	}
	ctx := signalled(func() {
		fmt.Fprintf(os.Stderr, "gputrain: %v\n", errInterrupted)
		replacefile.Abandon()
		os.Exit(exitFailed)
	})
	os.Exit(run(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr))
}
