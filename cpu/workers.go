package cpu

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gputrain/gputrain/cpu/asm"
)

// maxThreads is the most that Options.Threads may be: far more than processors
// have.
const maxThreads = 4096

// worker holds what one thread works with.
type worker struct {
	id     int
	kernel *asm.Kernels
	panel  []float32  // a packed panel; see multiply
	tile   []float32  // a tile of Gemm or Convolve, for a panel that is not full
	depth  [1]asm.Tap // of a fully connected layer, in evaluation
	room   []float32  // images with a border; see reserve
	spare  []float32  // values that are added to something else; see reserveSpare
	taps   []tap      // for a row of the network's input; see reserveTaps
	tiles  tileRoom   // for Winograd's method; see reserveTiles
	pass   int        // inEvaluation, inTraining or inTrace
	row    int        // of brief activations, in which the worker computes
	first  int        // the sample to which the first of them belong
	call   atomic.Int32
	wake   chan struct{}
}

// The values of a worker's call.
const (
	uncalled = iota // it looks for work
	called          // there is work
	asleep          // it waits for wake, which is sent when it is called
	ended           // it ends
)

// workers are threads that wait for work. The first is the calling goroutine. The
// others look for work for a while before they fall asleep, because to wake a thread
// takes as long as a layer of a small network.
type workers struct {
	all      []*worker
	patience time.Duration // how long a thread looks before it falls asleep
	body     func(w *worker, task int)
	tasks    int64
	next     atomic.Int64 // the first task that nobody has taken
	busy     atomic.Int64 // workers that were called and have not finished
	waiting  atomic.Bool  // do is asleep until the last of them has finished
	finished chan struct{}
	alive    sync.WaitGroup
	panicked atomic.Pointer[string]
	sums     []float32       // room that tasks share; each writes its own part
	watch    func(tasks int) // called by do before it begins; for tests
}

// mostPatience is long enough for what lies between two layers or two mini-batches.
const mostPatience = 100 * time.Microsecond

func newWorkers(threads int, ks *asm.Kernels) *workers {
	ws := &workers{finished: make(chan struct{}, 1)}
	if threads <= runtime.GOMAXPROCS(0) { // otherwise those that look would keep others from working
		ws.patience = mostPatience
	}
	for id := range threads {
		w := &worker{id: id, kernel: ks, wake: make(chan struct{}, 1)}
		w.panel = newBuffer(panelDepth * ks.Vectors * ks.Lanes)
		tile := 0
		for vectors := 1; vectors <= ks.Vectors; vectors++ {
			tile = max(tile, ks.Rows(vectors)*vectors*ks.Lanes)
		}
		for vectors := 1; vectors <= ks.ConvolveVectors(); vectors++ {
			tile = max(tile, ks.Positions(vectors)*vectors*ks.Lanes)
		}
		w.tile = make([]float32, tile)
		ws.all = append(ws.all, w)
		if id > 0 {
			ws.alive.Go(func() {
				for ws.await(w) {
					ws.work(w)
					if ws.busy.Add(-1) == 0 && ws.waiting.CompareAndSwap(true, false) {
						ws.finished <- struct{}{}
					}
				}
			})
		}
	}
	return ws
}

// await returns true when w is called, and false when it is to end.
func (ws *workers) await(w *worker) bool {
	for {
		switch ws.look(func() bool { return w.call.Load() != uncalled }); w.call.Load() {
		case ended:
			return false
		case called:
			if w.call.CompareAndSwap(called, uncalled) {
				return true
			}
		default:
			if w.call.CompareAndSwap(uncalled, asleep) {
				<-w.wake
			}
		}
	}
}

// look waits until there returns true, or until the patience is at its end.
func (ws *workers) look(there func() bool) {
	if ws.patience == 0 || there() {
		return
	}
	for start := time.Now(); time.Since(start) < ws.patience; runtime.Gosched() {
		for range 32 {
			if there() {
				return
			}
		}
	}
}

// tell changes the call of a worker, and wakes it if it is asleep.
func (w *worker) tell(call int32) {
	if w.call.Swap(call) == asleep {
		w.wake <- struct{}{}
	}
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

// tileRoom is what a worker needs for Winograd's method.
type tileRoom struct {
	filter  []float32 // (kernel area, filters of a vector)
	edges   []float32 // rows of an image or a gradient, and columns of one, some of which are 0
	columns []float32 // a row of tiles, transformed downwards: (6, columns, lanes)
	images  []float32 // tiles of images: (points, blocks of channels, tiles, lanes)
	filters []float32 // products, or tiles of gradients: (points, vectors of filters, tiles, lanes)
}

// reserveTiles makes sure that each worker has room for so many values.
func (ws *workers) reserveTiles(filter, edges, columns, images, filters int) {
	for _, w := range ws.all {
		t := &w.tiles
		for _, r := range []struct {
			room *[]float32
			n    int
		}{{&t.filter, filter}, {&t.edges, edges}, {&t.columns, columns}, {&t.images, images}, {&t.filters, filters}} {
			if len(*r.room) < r.n {
				*r.room = newBuffer(r.n)
			}
		}
	}
}

// reserveSums makes sure that there is room for n sums that all workers share.
func (ws *workers) reserveSums(n int) {
	if len(ws.sums) < n {
		ws.sums = newBuffer(n)
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
// them. Tasks must not depend on each other, and the values that they compute must not
// depend on the worker. A panic in a task becomes one of do.
func (ws *workers) do(tasks int, body func(w *worker, task int)) {
	if ws.watch != nil {
		ws.watch(tasks)
	}
	ws.body, ws.tasks = body, int64(tasks)
	ws.next.Store(0)
	helpers := ws.all[1:max(1, min(tasks, len(ws.all)))]
	ws.busy.Store(int64(len(helpers)))
	for _, w := range helpers {
		w.tell(called)
	}
	ws.work(ws.all[0])
	for _, w := range helpers {
		if w.call.CompareAndSwap(called, uncalled) { // it came too late
			ws.busy.Add(-1)
		}
	}
	none := func() bool { return ws.busy.Load() == 0 }
	for ws.look(none); !none(); {
		ws.waiting.Store(true)
		if none() && ws.waiting.CompareAndSwap(true, false) {
			break
		}
		<-ws.finished
	}
	ws.body = nil
	if p := ws.panicked.Swap(nil); p != nil {
		panic(*p)
	}
}

// tasksShare says how many neighbouring tasks a thread takes at once: of those that are
// left, the part that this many times the number of threads would get. So threads seldom
// take turns at the counter, and what one of them has computed is in its cache for the next
// task. Tasks become single ones towards the end, so that threads end at the same time.
const tasksShare = 4

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
		n := max(1, (ws.tasks-ws.next.Load())/int64(tasksShare*len(ws.all)))
		end := ws.next.Add(n)
		first := end - n
		if first >= ws.tasks {
			return
		}
		for task := first; task < min(end, ws.tasks) && ws.panicked.Load() == nil; task++ {
			ws.body(w, int(task))
		}
	}
}

// stop ends the goroutines and waits for them.
func (ws *workers) stop() {
	for _, w := range ws.all[1:] {
		w.tell(ended)
	}
	ws.alive.Wait()
}
