package main

import (
	"time"

	"github.com/gputrain/gputrain/net"
)

// runClock estimates how long a training run still takes, from the events of the run.
type runClock struct {
	now   func() time.Time
	began time.Time

	// Sums over the steps that were told of, in which old ones count ever less.
	steps, seconds float64

	epochAt, stepAt int       // of the last progress
	trained         time.Time // when the last epoch's steps were done
	testing         time.Duration
}

// forgets is the share that what the clock has measured keeps at each progress: of these
// there are about four a second, so that it looks back some ten seconds.
const forgets = 0.975

// progress counts the steps of an event, each of so many samples.
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

// epoch measures what evaluations take: they lie between an epoch's last step and its end.
func (k *runClock) epoch() {
	if !k.trained.IsZero() {
		k.testing = k.now().Sub(k.trained)
	}
}

// left returns the time that the rest of the run takes, with the evaluations of its epochs
// once one has been measured, and at most what is left of the most that it may take;
// most is 0 where that is any.
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
