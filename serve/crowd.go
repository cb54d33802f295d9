package serve

import "time"

// crowd is how many images there are at a time: clients that ask again as soon as
// they are answered come together each time, and it pays to wait for all of them,
// because small batches cost more an image, and two halves of a crowd that take
// turns on the device disturb each other. Whether they do come is seen by waiting;
// each time in a row that they don't, the next try is twice as far off.
type crowd struct {
	size     int           // images of the latest batch and those that came while it was computed, as far as a batch takes them
	computed time.Time     // when the latest batch was done
	took     time.Duration // its time
	missed   int           // waits in vain, in a row
	pause    int           // batches before the next try
}

// mostMissed bounds a pause to 1<<mostMissed - 1 batches.
const mostMissed = 7

// batch tells of a batch that is done, how many images wait then, and how many a batch takes at most.
func (c *crowd) batch(images, waiting, most int, now time.Time, took time.Duration) {
	c.size, c.computed, c.took = min(images+waiting, most), now, took
	c.pause = max(0, c.pause-1)
}

// missing reports whether it pays to wait for more than those that wait.
func (c *crowd) missing(waiting int) bool { return c.pause == 0 && waiting < c.size }

// until returns when to wait no longer, for images the first of which came at a
// time. A wait of more than half a batch would cost more than it brings.
func (c *crowd) until(first time.Time, most time.Duration) time.Time {
	if first.Before(c.computed) {
		first = c.computed // none was kept from the device before
	}
	return first.Add(min(most, c.took/2))
}

// waited tells what came of a wait.
func (c *crowd) waited(waiting int) {
	if waiting >= c.size {
		c.missed = 0
		return
	}
	c.missed = min(c.missed+1, mostMissed)
	c.pause = 1<<c.missed - 1
}
