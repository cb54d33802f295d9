package kernels

// StepState tells a training step which step it is. It is in device memory, so one captured graph serves every step.
// Several steps are uploaded at once. For each of them there is a [Queued], a [Rates] for each rule of the optimiser, and
// the indices of a mini-batch, in the same buffer or in others.
type StepState struct {
	Step int64  // updates made so far
	Slot uint32 // which of the uploaded steps is next
	_    uint32
}

// Queued holds the numbers of one uploaded step.
type Queued struct {
	Weight float32 // the factor of each sample's gradient: 1 / samples of the update
	First  uint32  // the place of the mini-batch's first sample in the update; dropout's random numbers depend on it
	// Average tells how far averages move towards the weights, from 0 to 1. If Back isn't 0, the weights are then set to
	// the averages. See net.Options.AverageMove.
	Average float32
	Back    uint32
}

// Rates holds the numbers of one rule of the optimiser in one uploaded step. The numbers of several steps lie one after the
// other. See net.Rates.
type Rates struct {
	Update float32 // what an update is multiplied by
	Decay  float32 // the learning rate times the weight decay, if that is apart from the gradient
}

// Sums holds the metrics since the host last read them.
type Sums struct {
	Loss     float64
	Hits     int64
	Samples  int64
	FirstBad int64 // 1 + the first training step with a NaN or infinite loss; 0: none
}
