package cpufeat

import "runtime"

// Threads returns how many threads a computation should take: as many as Go uses
// (GOMAXPROCS), but no more than there are fast cores. Many processors for phones and
// laptops have slow cores besides, and some servers do. Their part of the work costs
// more than it saves where all threads wait for the last one, after each layer. What
// isn't known counts as fast.
func Threads() int {
	threads := runtime.GOMAXPROCS(0)
	if n := fastCores(); n > 0 {
		threads = min(threads, n)
	}
	return threads
}
