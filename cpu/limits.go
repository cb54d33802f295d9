package cpu

import (
	"errors"
	"time"

	"github.com/gputrain/gputrain/net"
)

// limitsValues is the number of values in each of the three arrays with which
// bandwidth is measured: 64 MiB an array, more than most caches hold.
const limitsValues = 16 << 20

// Limits measures the rate of multiply-adds and the memory's bandwidth. It
// returns the best of several tries of each, because other programs can only
// make them slower.
func (d *device) Limits() (net.Limits, error) {
	if d.closed {
		return net.Limits{}, errors.New("cpu: device is closed")
	}
	const tries, rounds = 8, 1 << 23
	threads := len(d.workers.all)
	var l net.Limits
	for range tries {
		done := make([]int64, threads)
		start := time.Now()
		d.workers.do(threads, func(w *worker, i int) { done[i] = w.kernel.MulAdds(rounds) })
		took := time.Since(start).Seconds()
		l.MulAdds = max(l.MulAdds, float64(threads)*float64(done[0])/took)
	}
	var arrays [3][]float32
	for i := range arrays {
		arrays[i] = make([]float32, limitsValues)
	}
	part := func(array, i int) []float32 {
		return arrays[array][i*limitsValues/threads : (i+1)*limitsValues/threads]
	}
	// The system may map memory that nobody has written to one page of zeros,
	// over and over. So it is written first.
	d.workers.do(threads, func(w *worker, i int) {
		for array := range arrays {
			w.kernel.AddBias(part(array, i), 1)
		}
	})
	task := func(w *worker, i int) { w.kernel.Triad(part(0, i), part(1, i), part(2, i), 0.5) }
	for range tries {
		start := time.Now()
		d.workers.do(threads, task)
		l.Bandwidth = max(l.Bandwidth, 12*limitsValues/time.Since(start).Seconds())
	}
	return l, nil
}
