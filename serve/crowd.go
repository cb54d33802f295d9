package serve

import "time"

// crowd estimates how many images come together. Clients that ask again as soon as
// they are answered do so at the same time. It pays to wait for all of them: an
// image costs more in a small batch, and two halves of a crowd that take turns on
// the device slow each other down. Whether they come is found out by waiting. After
// each wait in vain, twice as many batches pass before the next try.
type crowd struct {
	size     int           // images of the latest batch, and those that came while it was computed; at most what a batch holds
	computed time.Time     // when the latest batch was done
	took     time.Duration // its time
	missed   int           // waits in vain, in a row
	pause    int           // batches before the next try
}

// mostMissed bounds a pause to 1<<mostMissed - 1 batches.
const mostMissed = 7

// batch is called when a batch is done. images is the number of images in it, waiting is how many images wait then, most
// is how many a batch can hold, took is how long the batch took.
func (c *crowd) batch(images, waiting, most int, now time.Time, took time.Duration) {
	c.size, c.computed, c.took = min(images+waiting, most), now, took
	c.pause = max(0, c.pause-1)
}

// missing reports whether it pays to wait for more images than the ones that wait now.
func (c *crowd) missing(waiting int) bool { return c.pause == 0 && waiting < c.size }

// waitEnds returns when waiting for more images ends. first is when the first of
// the images that wait now came, most is the longest wait allowed. Waiting longer
// than half a batch takes would cost more time than it saves.
func (c *crowd) waitEnds(first time.Time, most time.Duration) time.Time {
	if first.Before(c.computed) {
		first = c.computed // the device was busy until then, so no image has waited for nothing
	}
	return first.Add(min(most, c.took/2))
}

// waited is called when a wait has ended. waiting is how many images wait then.
func (c *crowd) waited(waiting int) {
	if waiting >= c.size {
		c.missed = 0
		return
	}
	c.missed = min(c.missed+1, mostMissed)
	c.pause = 1<<c.missed - 1
}
