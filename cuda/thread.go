//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"fmt"
	"runtime"
)

// thread is the one operating-system thread that talks to the GPU: a context is current to a thread, not to a goroutine.
type thread struct {
	work chan func()
	idle chan struct{} // answers when a piece of work is done
}

func newThread() *thread {
	t := &thread{work: make(chan func()), idle: make(chan struct{})}
	go func() {
		// Never unlocked: the thread ends with its goroutine, and the context's binding with the thread.
		runtime.LockOSThread()
		for f := range t.work {
			f()
			t.idle <- struct{}{}
		}
	}()
	return t
}

// do runs f on the thread and waits for it. A panic there becomes one here.
func (t *thread) do(f func() error) (err error) {
	var panicked any
	t.work <- func() {
		defer func() { panicked = recover() }()
		err = f()
	}
	<-t.idle
	if panicked != nil {
		panic(fmt.Sprintf("%v (on the GPU's thread)", panicked))
	}
	return err
}

// stop ends the thread.
func (t *thread) stop() { close(t.work) }
