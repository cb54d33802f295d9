package main

import (
	"context"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

// orderlyKey is the context's key of the mark that a command sets which ends by itself
// when it is interrupted.
type orderlyKey struct{}

// endsInOrder marks a command as one that has something to save or to finish when it is
// interrupted, and takes its time for that. Others may wait for a file or a pipe without
// an end: they are ended, see signalled.
func endsInOrder(ctx context.Context) {
	if mark, ok := ctx.Value(orderlyKey{}).(*atomic.Bool); ok {
		mark.Store(true)
	}
}

// graceTime is how long a command with nothing to save may take to end.
const graceTime = 2 * time.Second

// signalled returns a context that ends with the first SIGINT or SIGTERM. From then on a
// second one kills. A command that has not ended graceTime later is ended, unless it has
// called endsInOrder. A signal that is ignored, as in a shell that traps it by nothing, stays
// ignored.
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
		return ctx // NotifyContext takes none for all
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

// endAtHangup returns a context that ends, too, when the terminal is closed (SIGHUP).
// Until stop is called no further hangup kills: shells and the system send several. What
// was started to outlive its terminal, as by nohup, goes on.
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
