package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gputrain/gputrain/net"
)

var (
	// ErrClosed means that a Server was used after Close.
	ErrClosed = errors.New("the server is closed")
	// errDevice hides from clients what went wrong on the device; the log has it.
	errDevice = errors.New("the device failed")
)

// fullError refuses samples for which there is no room in the queue.
type fullError struct{ retry time.Duration }

func (e *fullError) Error() string { return "too many images wait already" }

// queue holds the samples that wait for the device, and owns the device: all that
// is done with it, is done by one goroutine.
//
// Samples that wait are computed together. While the device is at work, those that
// come gather for the next batch. An idle device waits for more only while there
// are requests that have been read and are being decoded, or a crowd that mostly
// comes together, and not for long: one client alone is answered at once.
type queue struct {
	most    int           // samples that may wait
	wait    time.Duration // for others to come
	metrics *metrics
	log     *slog.Logger
	failing atomic.Bool // the latest batch failed

	mu      sync.Mutex
	jobs    []*job
	waiting int // samples of jobs
	coming  int // requests that are being decoded
	crowd   crowd
	calls   []func()
	pace    time.Duration // one sample's share of a batch's time, smoothed
	closed  bool

	wake  chan struct{} // holds one signal
	timer *time.Timer   // of the goroutine
	done  chan struct{}
}

// job is the samples of one request.
type job struct {
	ctx    context.Context // once it has ended, nobody waits for the answer
	model  *model
	values []float32
	n      int
	trace  bool // what each layer makes of the one sample, too
	since  time.Time
	answer chan answer // holds one
}

// answer is what the network makes of a job.
type answer struct {
	rows  [][]float32 // probabilities of each sample
	trace *net.Trace
	err   error
}

func newQueue(most int, wait time.Duration, m *metrics, log *slog.Logger) *queue {
	q := &queue{most: most, wait: wait, metrics: m, log: log, wake: make(chan struct{}, 1), timer: time.NewTimer(0), done: make(chan struct{})}
	go q.run()
	return q
}

// entry is a request on its way to the queue.
type entry struct {
	queue *queue
	in    bool
}

// announce tells the queue that a request will ask soon, so that an idle device may
// wait for it. In the end, the caller withdraws the entry.
func (q *queue) announce() *entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.coming++
	return &entry{q, true}
}

// withdraw takes back an announcement that ask has not redeemed.
func (e *entry) withdraw() {
	e.queue.mu.Lock()
	defer e.queue.mu.Unlock()
	e.arrive()
}

// arrive ends the announcement. The caller holds the queue's mu.
func (e *entry) arrive() {
	if e.in {
		e.in = false
		e.queue.coming--
		e.queue.signal()
	}
}

// ask puts samples into the queue and waits for the answer.
func (e *entry) ask(ctx context.Context, m *model, values []float32, n int, trace bool) (answer, error) {
	j := &job{ctx: ctx, model: m, values: values, n: n, trace: trace, answer: make(chan answer, 1)}
	if err := e.queue.put(j, e); err != nil {
		return answer{}, err
	}
	select {
	case a := <-j.answer:
		return a, a.err
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
}

func (q *queue) put(j *job, e *entry) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	defer e.arrive()
	if q.closed {
		return ErrClosed
	}
	if q.waiting+j.n > q.most {
		q.dropForgotten()
	}
	if q.waiting+j.n > q.most {
		return &fullError{time.Duration(q.waiting) * q.pace}
	}
	j.since = time.Now()
	q.jobs = append(q.jobs, j)
	q.waiting += j.n
	return nil
}

// length returns the samples that wait.
func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting
}

// later asks the queue to call f between two batches, and does not wait for that. It
// returns false, and f is never called, if the queue is closed.
func (q *queue) later(f func()) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.calls = append(q.calls, f)
		q.signal()
	}
	return !q.closed
}

// call calls f between two batches and waits for its result.
func (q *queue) call(f func() error) error {
	done := make(chan error, 1)
	if !q.later(func() { done <- guarded(q.log, f) }) {
		return ErrClosed
	}
	return <-done
}

// close has all that wait answered, and ends the queue.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.signal()
	q.mu.Unlock()
	<-q.done
}

// signal wakes the goroutine if there may be something to do. The caller holds mu.
func (q *queue) signal() {
	if len(q.jobs) == 0 && len(q.calls) == 0 && !q.closed {
		return
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *queue) run() {
	defer close(q.done)
	for {
		calls, batch := q.next()
		for _, f := range calls {
			f()
		}
		if len(batch) > 0 {
			q.compute(batch)
		}
		if len(calls)+len(batch) == 0 {
			return
		}
	}
}

// next waits for something to do; nothing once the queue is closed and empty.
func (q *queue) next() (calls []func(), batch []*job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	waited := false
	for {
		if calls, q.calls = q.calls, nil; len(calls) > 0 {
			return calls, nil
		}
		q.dropForgotten()
		if len(q.jobs) == 0 {
			if q.closed {
				return nil, nil
			}
			q.sleep(math.MaxInt64)
			continue
		}
		first := q.jobs[0]
		missing := q.crowd.missing(q.waiting)
		left := time.Until(q.crowd.waitEnds(first.since, q.wait))
		if q.closed || first.trace || left <= 0 || q.coming == 0 && !missing || q.waiting >= first.model.batch {
			if waited {
				q.crowd.waited(q.waiting)
			}
			return nil, q.take()
		}
		waited = waited || missing
		q.sleep(left)
	}
}

// sleep waits for a signal, or for as long. The caller holds mu, but not
// meanwhile.
func (q *queue) sleep(d time.Duration) {
	q.mu.Unlock()
	defer q.mu.Lock()
	q.timer.Reset(d)
	select {
	case <-q.wake:
	case <-q.timer.C:
	}
}

// dropForgotten removes the jobs whose answer nobody waits for any more.
func (q *queue) dropForgotten() {
	kept := q.jobs[:0]
	for _, j := range q.jobs {
		if j.ctx.Err() != nil {
			q.waiting -= j.n
			continue
		}
		kept = append(kept, j)
	}
	clear(q.jobs[len(kept):])
	q.jobs = kept
}

// take removes from the queue the jobs that are computed together next: at least one,
// and as many as fit into a batch. All are for one model. A job that is traced is computed
// alone.
func (q *queue) take() []*job {
	first, n, samples := q.jobs[0], 0, 0
	for _, j := range q.jobs {
		if n > 0 && (j.model != first.model || j.trace || first.trace || samples+j.n > first.model.batch) {
			break
		}
		n++
		samples += j.n
	}
	batch := append([]*job(nil), q.jobs[:n]...)
	rest := copy(q.jobs, q.jobs[n:])
	clear(q.jobs[rest:])
	q.jobs = q.jobs[:rest]
	q.waiting -= samples
	return batch
}

// compute asks the network and answers the jobs.
func (q *queue) compute(batch []*job) {
	start := time.Now()
	m := batch[0].model
	var values []float32 // fresh: the device may keep it
	samples := 0
	for _, j := range batch {
		q.metrics.waited.Observe(start.Sub(j.since).Seconds())
		samples += j.n
		if values == nil && len(batch) == 1 {
			values = j.values
		} else {
			values = append(values, j.values...)
		}
	}
	var rows [][]float32
	var trace *net.Trace
	err := guarded(q.log, func() (err error) {
		if !batch[0].trace {
			rows, err = m.infer(values, samples)
			return err
		}
		if trace, err = m.program.(net.Tracer).Trace(m.batchOf(values, samples), net.Evaluation); err == nil {
			rows = [][]float32{trace.Probabilities.Float32s()}
		}
		return err
	})
	took := time.Since(start)
	q.failing.Store(err != nil)
	if err != nil {
		q.log.Error("the device failed", "images", samples, "error", err)
		err = errDevice
	} else {
		q.metrics.computed(samples, took)
		q.computed(samples, m.batch, took)
	}
	for _, j := range batch {
		a := answer{trace: trace, err: err}
		if err == nil {
			a.rows, rows = rows[:j.n], rows[j.n:]
		}
		j.answer <- a
	}
}

// computed tells the crowd that a batch of samples, of at most most, is done. It also
// takes the time of a sample into the mean over about the last ten batches.
func (q *queue) computed(samples, most int, took time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.crowd.batch(samples, q.waiting, most, time.Now(), took)
	sample := took / time.Duration(samples)
	if q.pace == 0 {
		q.pace = sample
	}
	q.pace += (sample - q.pace) / 10
}

// guarded calls f and makes an error of a panic, whose stack the log gets.
func guarded(log *slog.Logger, f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			log.Error("panic", "value", fmt.Sprint(r), "stack", string(debug.Stack()))
			err = errors.New("internal error")
		}
	}()
	return f()
}
