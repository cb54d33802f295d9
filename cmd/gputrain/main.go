// Command gputrain trains convolutional networks and tries them out: see
// gputrain --help.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// Writing to a closed pipe becomes an error instead of a sudden end, so that
	// training whose reader goes away still saves its checkpoint.
	signal.Ignore(syscall.SIGPIPE)
	ctx := signalled(func() {
		fmt.Fprintf(os.Stderr, "gputrain: %v\n", errInterrupted)
		os.Exit(exitFailed)
	})
	os.Exit(run(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr))
}
