package main

import (
	"context"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

// orderlyKey is the context key of a mark. A command sets this mark if it ends by itself
// when it is interrupted.
type orderlyKey struct{}

// endsInOrder marks a command that has something to save or to finish when it is
// interrupted, and may take time for that. Other commands may be waiting for a file or a
// pipe without an end, so they are ended; see signalled.
func endsInOrder(ctx context.Context) {
	if mark, ok := ctx.Value(orderlyKey{}).(*atomic.Bool); ok {
		mark.Store(true)
	}
}

// graceTime is how long a command with nothing to save may take to end.
const graceTime = 2 * time.Second

// signalled returns a context that ends with the first SIGINT or SIGTERM. After that a
// second signal kills the process. If the command has not ended after graceTime, it is
// ended, unless it has called endsInOrder. If a signal is ignored already, for example
// by a shell's trap, it stays ignored.
func signalled(end func()) context.Context {
	var signals []os.Signal
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		if !signal.Ignored(s) {
			signals = append(signals, s)
		}
	}
	mark := &atomic.Bool{}
	ctx := context.WithValue(context.Background(), orderlyKey{}, mark)
	if len(signals) == 0 {
		return ctx // for NotifyContext no signals would mean all
	}
	ctx, stop := signal.NotifyContext(ctx, signals...)
	context.AfterFunc(ctx, func() {
		stop()
		time.AfterFunc(graceTime, func() {
			if !mark.Load() {
				end()
			}
		})
	})
	return ctx
}

// endAtHangup returns a context that also ends when the terminal is closed (SIGHUP).
// Until stop is called, further hangups do not kill, because shells and the system send
// several. A process that ignores hangups, for example by nohup, goes on.
func endAtHangup(ctx context.Context) (_ context.Context, stop func()) {
	if signal.Ignored(syscall.SIGHUP) {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	go func() {
		select {
		case <-hangup:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(hangup)
		cancel()
	}
}
