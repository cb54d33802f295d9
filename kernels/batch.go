package kernels

// GatherBytes gathers a mini-batch of byte samples and converts them to float32: X[n][i] =
// Pixels[row(index[n])][i]*Scale and Label[n] = Labels[index[n]], for n < Batch and i < Size. Indices has rows of
// Capacity values, and row State.slot holds the indices of this mini-batch. Sample i is in row Rows[i] of Pixels, or
// in row i if Rows is null. Channels is 1, or how many channels are interleaved in X: then samples are (Channels, Size/Channels)
// in Pixels, and (Size/Channels, Channels) in X.
type GatherBytes struct {
	X        Values
	Label    Pointer[int32]
	Pixels   Pointer[uint8]
	Labels   Pointer[int32]
	Rows     Optional[int32]
	State    Pointer[StepState]
	Indices  Pointer[int32]
	Batch    uint32
	Capacity uint32
	Size     uint32
	Channels uint32
	Scale    float32
}

var gatherBytes = newForms("gather_bytes", 256, GatherBytes{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k GatherBytes) Launch(d Device) (Launch, error) {
	return newSamples(gatherBytes[k.X.Type], d, k, k.Batch, k.Size, k.Channels)
}

// GatherFloats does the same as [GatherBytes] for samples that are float32 already.
type GatherFloats struct {
	X        Values
	Label    Pointer[int32]
	Values   Pointer[float32]
	Labels   Pointer[int32]
	Rows     Optional[int32]
	State    Pointer[StepState]
	Indices  Pointer[int32]
	Batch    uint32
	Capacity uint32
	Size     uint32
	Channels uint32
}

var gatherFloats = newForms("gather_floats", 256, GatherFloats{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k GatherFloats) Launch(d Device) (Launch, error) {
	return newSamples(gatherFloats[k.X.Type], d, k, k.Batch, k.Size, k.Channels)
}
