package net

import "time"

// Phase is a part of a training step.
type Phase string

// The phases, in the order of a step.
const (
	Gather   Phase = "gather"   // samples from the data set
	Forward  Phase = "forward"  // a layer's output
	Loss     Phase = "loss"     // probabilities, loss, hits and the gradient with respect to the logits
	Backward Phase = "backward" // a layer's gradients
	Update   Phase = "update"   // the optimiser
)

// Part is one part of a training step, and the time that it took.
type Part struct {
	Phase  Phase
	Layers []int // indices of the layers that were computed as one; empty for a part that belongs to no layer
	Time   time.Duration
}

// Profiler is a Program that can measure how long each part of a step takes. Not every
// Program is a Profiler.
type Profiler interface {
	Program
	// ProfileStep trains on a mini-batch as Step does, waits for the device, and returns
	// the step's parts in the order in which they ran. Their times add up to the time of
	// the step. The measurement may slow a step down by a few per cent.
	ProfileStep(Batch) ([]Part, error)
}

// Limits holds the measured peak speeds of the machine that a device runs on.
type Limits struct {
	MulAdds   float64 `json:"multiply_adds"` // multiply-adds a second, in float32, with operands in registers
	Bandwidth float64 `json:"bandwidth"`     // memory bandwidth in bytes a second, for a = b + s*c over arrays larger than the caches
}

// Limiter is a Device that can measure its machine's limits. Not every Device is a
// Limiter.
type Limiter interface {
	Device
	// Limits measures for about a second, with as many threads as programs use.
	Limits() (Limits, error)
}
