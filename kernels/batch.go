package kernels

// GatherBytes brings a mini-batch of byte samples to float32: X[n][i] = Pixels[row(index[n])][i]*Scale and Label[n] =
// Labels[index[n]], for n < Batch and i < Size. The indices are row State.slot of Indices, rows of Capacity. Sample i
// stands in row Rows[i] of Pixels, or in row i where Rows is null.
type GatherBytes struct {
	X        Pointer[float32]
	Label    Pointer[int32]
	Pixels   Pointer[uint8]
	Labels   Pointer[int32]
	Rows     Optional[int32]
	State    Pointer[StepState]
	Indices  Pointer[int32]
	Batch    uint32
	Capacity uint32
	Size     uint32
	Scale    float32
}

var gatherBytes = newKernel("gather_bytes", 256, GatherBytes{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k GatherBytes) Launch(d Device) (Launch, error) {
	return newSamples(gatherBytes, d, k, k.Batch, k.Size)
}

// GatherFloats is GatherBytes for samples that are float32 already.
type GatherFloats struct {
	X        Pointer[float32]
	Label    Pointer[int32]
	Values   Pointer[float32]
	Labels   Pointer[int32]
	Rows     Optional[int32]
	State    Pointer[StepState]
	Indices  Pointer[int32]
	Batch    uint32
	Capacity uint32
	Size     uint32
}

var gatherFloats = newKernel("gather_floats", 256, GatherFloats{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k GatherFloats) Launch(d Device) (Launch, error) {
	return newSamples(gatherFloats, d, k, k.Batch, k.Size)
}
