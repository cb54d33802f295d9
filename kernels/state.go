package kernels

// StepState is what a training step finds in device memory of where it stands, so that one captured graph serves every
// step. Behind it, in buffers of their own or the same, lie one [Queued] and the indices of a mini-batch for each of the
// steps that were uploaded together.
type StepState struct {
	Step int64  // updates made so far
	Slot uint32 // which of the uploaded steps is next
	_    uint32
}

// Queued are the numbers of one step that was uploaded.
type Queued struct {
	Update float32 // SGD: the learning rate; Adam, AdamW: net.Optimizer.AdamRate
	Decay  float32 // AdamW: learning rate * weight decay
	Weight float32 // of a sample's gradient: 1 / the samples of the update
	First  uint32  // samples of the update that came before this mini-batch: dropout counts from there
	// Average is how far moving averages move towards the weights: net.AverageRate.
	Average float32
}

// Sums are the metrics since the host last read them.
type Sums struct {
	Loss     float64
	Hits     int64
	Samples  int64
	FirstBad int64 // 1 + step of the first training step with a NaN or infinite loss; 0: none
}
