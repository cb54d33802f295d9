package main

import (
	"time"

	"github.com/gputrain/gputrain/net"
)

// runClock estimates from a run's events how long the run still takes.
type runClock struct {
	now   func() time.Time
	began time.Time

	// Sums over the steps so far, in which older steps count less and less.
	steps, seconds float64

	epochAt, stepAt int       // epoch and step of the last progress
	trained         time.Time // when the last epoch's steps were done
	testing         time.Duration
}

// forgets is the factor by which earlier measurements are multiplied at each progress.
// There are about four a second, so the clock looks back about ten seconds.
const forgets = 0.975

// progress counts the steps of an event, each with the given number of samples.
func (k *runClock) progress(e net.Progress, samples int) {
	steps := e.Step
	if e.Epoch == k.epochAt {
		steps -= k.stepAt
	}
	k.epochAt, k.stepAt = e.Epoch, e.Step
	if e.ImagesPerSecond > 0 {
		k.steps = forgets*k.steps + float64(steps)
		k.seconds = forgets*k.seconds + float64(steps)*float64(samples)/e.ImagesPerSecond
	}
	if e.Step == e.Steps {
		k.trained = k.now()
	}
}

// epoch measures how long evaluations take: the time from an epoch's last step to its end.
func (k *runClock) epoch() {
	if !k.trained.IsZero() {
		k.testing = k.now().Sub(k.trained)
	}
}

// left returns the time that the rest of the run takes. Once an evaluation has been
// measured, it includes those of the remaining epochs. If most is not 0, the run may take
// only that long, and the result is at most what is left of it.
func (k *runClock) left(e net.Progress, epochs int, most time.Duration) time.Duration {
	if k.steps == 0 {
		return 0
	}
	steps := float64(epochs-e.Epoch)*float64(e.Steps) + float64(e.Steps-e.Step)
	left := time.Duration(steps*k.seconds/k.steps*float64(time.Second)) + time.Duration(epochs-e.Epoch+1)*k.testing
	if most > 0 {
		left = max(0, min(left, most-k.now().Sub(k.began)))
	}
	return left
}
