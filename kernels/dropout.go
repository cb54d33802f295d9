package kernels

// Dropout drops values: each of Count values becomes 0 or is scaled. Which, net.DropoutKeep decides for the step in
// State. Value i is number First*Size + i of the values of the update, where First is that of Queued[State.slot]. Last
// is the last word of the random numbers' counter. The backward pass uses the same kernel. Where Add is not 0, the
// results are added to Y. Y may be X.
type Dropout struct {
	Y         Pointer[float32]
	X         Pointer[float32]
	State     Pointer[StepState]
	Queued    Pointer[Queued]
	Count     uint64
	Size      uint64 // values of one sample
	KeyLow    uint32
	KeyHigh   uint32
	Last      uint32
	Threshold uint32
	Scale     float32
	Add       int32
}

var dropout = newKernel("dropout", 256, Dropout{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k Dropout) Launch(d Device) (Launch, error) {
	return newLaunch(dropout, d, quads(k.Count), k)
}
