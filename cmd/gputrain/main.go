// Command gputrain trains convolutional networks and uses them. For its commands see gputrain --help.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/gputrain/gputrain/internal/replacefile"
)

func main() {
	// Ignoring the signal turns writing to a closed pipe into an error instead of a sudden end. So training still
	// saves its checkpoint if its reader goes away.
	signal.Ignore(syscall.SIGPIPE)
	ctx := signalled(func() {
		fmt.Fprintf(os.Stderr, "gputrain: %v\n", errInterrupted)
		replacefile.Abandon()
		os.Exit(exitFailed)
	})
	os.Exit(run(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr))
}
