package kernels

import "fmt"

// Dropout drops values: each of Count values becomes 0 or is scaled. Which, net.DropoutKeep decides for the step in
// State. Value i is number First*Size + i of the values of the update, where First is that of Queued[State.slot]. Last
// is the last word of the random numbers' counter. Values are numbered channel after channel; Channels is 1, or how many
// channels are interleaved, and then there are at most 2^31 values. The backward pass uses the same kernel. Where Add is not 0, the
// results are added to Y. Y may be X.
type Dropout struct {
	Y         Values
	X         Values
	State     Pointer[StepState]
	Queued    Pointer[Queued]
	Count     uint64
	Size      uint64 // values of one sample
	Channels  uint32
	KeyLow    uint32
	KeyHigh   uint32
	Last      uint32
	Threshold uint32
	Scale     float32
	Add       int32
}

var dropout = newForms("dropout", 256, Dropout{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k Dropout) Launch(d Device) (Launch, error) {
	kernel := dropout[k.Y.Type]
	if k.Channels == 1 {
		return newLaunch(kernel, d, packs(k.Y.Type, k.Count), k)
	}
	if k.Channels < 1 || k.Size%uint64(k.Channels) != 0 || k.Count > mostValues {
		return Launch{}, fmt.Errorf("kernels: dropout: %d channels among %d values, %d of a sample", k.Channels, k.Count, k.Size)
	}
	return newLaunch(kernel, d, k.Count, k)
}
