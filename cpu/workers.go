package cpu

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/gputrain/gputrain/cpu/asm"
)

// maxThreads is the most that Options.Threads may be: far more than processors
// have.
const maxThreads = 4096

// worker holds what one thread works with.
type worker struct {
	id     int
	kernel *asm.Kernels
	panel  []float32 // a packed panel; see multiply
	tile   []float32 // a tile for a panel that is not full
	room   []float32 // an image as vectors; see reserve
	spare  []float32 // values that are added to something else; see reserveSpare
	taps   []tap     // for a row of the network's input; see reserveTaps
	wake   chan struct{}
}

// workers are threads that wait for work. The first is the calling goroutine.
type workers struct {
	all      []*worker
	body     func(w *worker, task int)
	tasks    int64
	next     atomic.Int64 // the first task that nobody has taken
	busy     sync.WaitGroup
	alive    sync.WaitGroup
	panicked atomic.Pointer[string]
	watch    func(tasks int) // called by do before it begins; for tests
}

func newWorkers(threads int, ks *asm.Kernels) *workers {
	ws := &workers{}
	for id := range threads {
		w := &worker{id: id, kernel: ks, wake: make(chan struct{}, 1)}
		w.panel = newBuffer(panelDepth * ks.Vectors * ks.Lanes)
		for vectors := 1; vectors <= ks.Vectors; vectors++ {
			w.tile = make([]float32, max(len(w.tile), ks.Rows(vectors)*vectors*ks.Lanes))
		}
		ws.all = append(ws.all, w)
		if id > 0 {
			ws.alive.Go(func() {
				for range w.wake {
					ws.work(w)
					ws.busy.Done()
				}
			})
		}
	}
	return ws
}

// reserve makes sure that each worker's room has at least n values.
func (ws *workers) reserve(n int) {
	for _, w := range ws.all {
		if len(w.room) < n {
			w.room = make([]float32, n)
		}
	}
}

// reserveSpare makes sure that each worker's spare has at least n values.
func (ws *workers) reserveSpare(n int) {
	for _, w := range ws.all {
		if len(w.spare) < n {
			w.spare = make([]float32, n)
		}
	}
}

// reserveTaps makes sure that each worker's taps are enough for rows of n
// values.
func (ws *workers) reserveTaps(n int) {
	for _, w := range ws.all {
		if len(w.taps) < n {
			w.taps = make([]tap, n)
		}
	}
}

// do runs body for each task in [0, tasks), in any order, and waits for all of
// them. Tasks must not depend on each other, and what they write must not
// depend on the worker. A panic in a task becomes one of do.
func (ws *workers) do(tasks int, body func(w *worker, task int)) {
	if ws.watch != nil {
		ws.watch(tasks)
	}
	ws.body, ws.tasks = body, int64(tasks)
	ws.next.Store(0)
	for _, w := range ws.all[1:max(1, min(tasks, len(ws.all)))] {
		ws.busy.Add(1)
		w.wake <- struct{}{}
	}
	ws.work(ws.all[0])
	ws.busy.Wait()
	ws.body = nil
	if p := ws.panicked.Swap(nil); p != nil {
		panic(*p)
	}
}

// work takes tasks until there are none. A panic ends the work of all workers,
// so that do can raise it where a caller sees it.
func (ws *workers) work(w *worker) {
	defer func() {
		if r := recover(); r != nil {
			text := fmt.Sprintf("BUG: a worker failed: %v", r)
			ws.panicked.CompareAndSwap(nil, &text)
			ws.next.Store(ws.tasks)
		}
	}()
	for {
		task := ws.next.Add(1) - 1
		if task >= ws.tasks {
			return
		}
		ws.body(w, int(task))
	}
}

// stop ends the goroutines and waits for them.
func (ws *workers) stop() {
	for _, w := range ws.all[1:] {
		close(w.wake)
	}
	ws.alive.Wait()
}
