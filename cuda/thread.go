//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"fmt"
	"runtime"
)

// thread is the one operating-system thread that talks to the GPU. It is needed because a context is current to a
// thread, not to a goroutine.
type thread struct {
	work chan func() error
	done chan outcome // the outcome of each piece of work
}

// outcome says how a piece of work ended.
type outcome struct {
	err      error
	panicked any
}

func newThread() *thread {
	t := &thread{work: make(chan func() error), done: make(chan outcome)}
	go func() {
		// It is never unlocked: the thread ends with its goroutine, and so does the context's binding to the thread.
		runtime.LockOSThread()
		for f := range t.work {
			t.done <- attempt(f)
		}
	}()
	return t
}

func attempt(f func() error) (o outcome) {
	defer func() { o.panicked = recover() }()
	o.err = f()
	return o
}

// do runs f on the thread and waits for it. If f panics there, do panics here. It allocates nothing.
func (t *thread) do(f func() error) error {
	t.work <- f
	o := <-t.done
	if o.panicked != nil {
		panic(fmt.Sprintf("%v (on the GPU's thread)", o.panicked))
	}
	return o.err
}

// stop ends the thread.
func (t *thread) stop() { close(t.work) }
