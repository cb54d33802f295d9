package net

import "time"

// Phase is a part of a training step.
type Phase string

// The phases, in the order of a step.
const (
	Gather   Phase = "gather"   // samples from the data set
	Forward  Phase = "forward"  // a layer's output
	Loss     Phase = "loss"     // probabilities, loss, hits and the gradient by the logits
	Backward Phase = "backward" // a layer's gradients
	Update   Phase = "update"   // the optimiser
)

// Part is a piece of a training step and the time that it took.
type Part struct {
	Phase  Phase
	Layers []int // indices of the layers that were computed as one; none where it isn't a layer's
	Time   time.Duration
}

// Profiler is a Program that can tell where a step's time goes. Programs need not
// be Profilers.
type Profiler interface {
	Program
	// ProfileStep trains on a mini-batch as Step does, waits for the device, and
	// returns the step's parts in the order in which they ran: together they took
	// the step's time, but for the timing itself, which may slow a step down by a
	// few per cent.
	ProfileStep(Batch) ([]Part, error)
}
