package bench

import "time"

// disturbance adds up the processor time that other programs take.
type disturbance struct {
	from, others, wall time.Duration
	known              bool
	at                 time.Time
}

func (d *disturbance) begin() {
	d.from, d.known = foreign()
	d.at = time.Now()
}

func (d *disturbance) end() {
	if to, ok := foreign(); ok && d.known {
		d.others += to - d.from
		d.wall += time.Since(d.at)
	}
}

// cpus returns how many CPUs other programs kept busy on average, and whether that is known.
func (d *disturbance) cpus() (float64, bool) {
	return float64(d.others) / float64(max(d.wall, 1)), d.wall > 0
}
