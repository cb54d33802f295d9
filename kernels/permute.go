package kernels

import "fmt"

// Permute exchanges the last two dimensions: Y (Batch, Columns, Rows) = X (Batch, Rows, Columns). Where Add is not 0, it
// adds to Y. From NHWC to NCHW, Rows is H*W and Columns is C. From NCHW to NHWC, Rows is C and Columns is H*W. Y and X
// must not overlap.
type Permute struct {
	Y       Values
	X       Values
	Batch   uint32
	Rows    uint32
	Columns uint32
	Add     int32
}

var permute = newForms("permute", 256, Permute{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k Permute) Launch(d Device) (Launch, error) {
	kernel := permute[k.Y.Type]
	total, err := countPlaces(kernel, k.Batch, k.Rows, k.Columns)
	if err != nil {
		return Launch{}, err
	}
	if total < 1 {
		return Launch{}, fmt.Errorf("kernels: permute: %d times %d rows of %d values: want 1 or more", k.Batch, k.Rows, k.Columns)
	}
	const side = 32 // of a block's tile
	tiles := uint64(k.Batch) * uint64((k.Rows+side-1)/side) * uint64((k.Columns+side-1)/side)
	return newLaunch(kernel, d, tiles*uint64(kernel.MaxThreads), k)
}
