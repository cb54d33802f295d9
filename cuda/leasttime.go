//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"errors"

	"gorgonia.org/cu"
)

// measurings is how often algorithms are measured. The least time of each counts: others may use the GPU meanwhile, its
// clocks rise only after a while, and a kernel may have to be loaded first.
const measurings = 2

// timedRuns is how often an algorithm runs between two events: one run takes some microseconds, as long as the events.
const timedRuns = 3

// leastTime measures what run puts on the current lane, and returns the least time in milliseconds. ok is false if run fails.
func (d *Device) leastTime(run func() error) (least float64, ok bool, err error) {
	var events [2]cu.Event
	for i := range events {
		if events[i], err = cu.MakeEvent(cu.DefaultEvent); err != nil {
			return 0, false, call("cuEventCreate", err)
		}
		defer func() { err = errors.Join(err, call("cuEventDestroy", cu.DestroyEvent(&events[i]))) }()
	}
	for round := range measurings {
		if err := call("cuEventRecord", events[0].Record(d.stream)); err != nil {
			return 0, false, err
		}
		for range timedRuns {
			if err := run(); err != nil {
				return 0, false, d.lost()
			}
		}
		if err := call("cuEventRecord", events[1].Record(d.stream)); err != nil {
			return 0, false, err
		}
		if err := d.synchronize(); err != nil {
			return 0, false, err
		}
		taken, err := events[0].Elapsed(events[1])
		if err != nil {
			return 0, false, call("cuEventElapsedTime", err)
		}
		if taken /= timedRuns; round == 0 || taken < least {
			least = taken
		}
	}
	return least, true, nil
}
