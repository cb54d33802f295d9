package kernels

import "fmt"

// The kernels of branch.cu write their result. Where a field Add is not 0, they add it to what is there instead,
// because the gradient of a value with several uses is a sum.

// Add computes y = a + b for Count values. Y may be A or B: with Y = A it computes y += b.
type Add struct {
	Y     Values
	A     Values
	B     Values
	Count uint64
}

var add = newForms("add", 256, Add{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k Add) Launch(d Device) (Launch, error) {
	return newLaunch(add[k.Y.Type], d, packs(k.Y.Type, k.Count), k)
}

// AddReLU computes y = ReLU(a + b) for Count values. Y may be A or B.
type AddReLU struct {
	Y     Values
	A     Values
	B     Values
	Count uint64
}

var addReLU = newForms("add_relu", 256, AddReLU{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k AddReLU) Launch(d Device) (Launch, error) {
	return newLaunch(addReLU[k.Y.Type], d, packs(k.Y.Type, k.Count), k)
}

// AddReLUBackward computes the gradients of the two inputs of [AddReLU] from its output Y. They are the same: dy where
// y > 0, and 0*dy elsewhere, which keeps a NaN. Each is written, or added where its Add is not 0. Da or Db may be null,
// but not both. Da or Db may be Dy, if nothing is added to it.
type AddReLUBackward struct {
	Da    Values `values:"optional"`
	Db    Values `values:"optional"`
	Dy    Values
	Y     Values
	Count uint64
	AddA  int32
	AddB  int32
}

var addReLUBackward = newForms("add_relu_backward", 256, AddReLUBackward{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k AddReLUBackward) Launch(d Device) (Launch, error) {
	kernel := addReLUBackward[k.Dy.Type]
	if k.Da.Address == 0 && k.Db.Address == 0 {
		return Launch{}, fmt.Errorf("kernels: %s: no gradient is wanted", kernel.Name)
	}
	return newLaunch(kernel, d, packs(kernel.Type, k.Count), k)
}

// Scale computes y = Factor*x for Count values, or y += Factor*x where Add is not 0. Y may be X.
type Scale struct {
	Y      Values
	X      Values
	Count  uint64
	Factor float32
	Add    int32
}

var scale = newForms("scale", 256, Scale{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k Scale) Launch(d Device) (Launch, error) {
	return newLaunch(scale[k.Y.Type], d, packs(k.Y.Type, k.Count), k)
}

// Multiply computes y = a*b for Count values, or y += a*b where Add is not 0. The gradients da = dy*b and db = dy*a
// are products too, so the same kernel computes them. Y may be A or B.
type Multiply struct {
	Y     Values
	A     Values
	B     Values
	Count uint64
	Add   int32
}

var multiply = newForms("multiply", 256, Multiply{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k Multiply) Launch(d Device) (Launch, error) {
	return newLaunch(multiply[k.Y.Type], d, packs(k.Y.Type, k.Count), k)
}

// MultiplyRows computes y[r][i][c] = x[r][i][c]*gate[r][c] for Rows rows of Extent pixels with Channels channels, or
// adds that to y where Add is not 0. For x (N, C, H, W) and gate (N, C, 1, 1) there are N*C rows, and Channels is 1. For x
// (N, H, W, C) there are N rows, and Channels is C. In both cases Extent is H*W. It computes the gradient of x too: dx =
// dy*gate. Y may be X.
type MultiplyRows struct {
	Y        Values
	X        Values
	Gate     Values
	Rows     uint32
	Extent   uint32
	Channels uint32
	Add      int32
}

var multiplyRows = newForms("multiply_rows", 256, MultiplyRows{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k MultiplyRows) Launch(d Device) (Launch, error) {
	kernel := multiplyRows[k.Y.Type]
	total, err := countRows(kernel, k.Rows, k.Extent, k.Channels)
	if err != nil {
		return Launch{}, err
	}
	if k.Channels == 1 {
		return newLaunch(kernel, d, packs(k.Y.Type, total), k)
	}
	return newLaunch(kernel, d, total/channelsAtOnce(k.Y.Type, k.Channels), k)
}

// countRows returns how many values there are in rows of `extent` pixels with some channels.
func countRows(k *Kernel, rows, extent, channels uint32) (uint64, error) {
	total, err := countPlaces(k, rows, extent, channels)
	if err == nil && total < 1 {
		err = fmt.Errorf("kernels: %s: %d rows of %d pixels with %d channels: want 1 or more", k.Name, rows, extent, channels)
	}
	return total, err
}

// MultiplyRowsGate computes the gradient of the gate of [MultiplyRows]: dgate[r][c] = sum over i of
// dy[r][i][c]*x[r][i][c]. It adds that to dgate where Add is not 0. The order of the sums is fixed.
type MultiplyRowsGate struct {
	Dgate    Values
	Dy       Values
	X        Values
	Rows     uint32
	Extent   uint32
	Channels uint32
	Add      int32
}

var multiplyRowsGate = newForms("multiply_rows_gate", 256, MultiplyRowsGate{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k MultiplyRowsGate) Launch(d Device) (Launch, error) {
	kernel := multiplyRowsGate[k.Dgate.Type]
	if _, err := countRows(kernel, k.Rows, k.Extent, k.Channels); err != nil {
		return Launch{}, err
	}
	sums, items := uint64(k.Rows), packs(k.Dgate.Type, uint64(k.Extent))
	if k.Channels > 1 {
		tiles, threads := gateTiles(k.Dgate.Type, k.Channels)
		sums, items = sums*tiles, uint64(k.Extent)*threads
	}
	l, err := newRows(kernel, d, sums, items, k)
	if err != nil {
		return Launch{}, err
	}
	l.Blocks = min(l.Blocks, int(d.blocksAtOnce(l.Threads)))
	return l, nil
}

// gateTiles returns how many blocks share the channels of a row, and how many threads of each share a pixel. GateTile in
// branch.cu has the same numbers for buffers that are aligned.
func gateTiles(t Type, channels uint32) (tiles, threads uint64) {
	wide := channelsAtOnce(t, channels)
	packs, most := uint64(channels)/wide, uint64(32)
	if wide > 1 {
		most = 4
	}
	for threads = 1; threads < most && threads < packs; {
		threads *= 2
	}
	return (packs + threads - 1) / threads, threads
}

// CopyBlocks copies some channels of each sample: y[n*YPitch + i] = x[n*XPitch + i] for n < Blocks and i < Count. It
// adds instead where Add is not 0. Y and X point to the first of these channels in the first sample. Count is the
// number of values of these channels. A pitch is the number of values of a whole sample. Y and X must not overlap.
type CopyBlocks struct {
	Y      Values
	X      Values
	Blocks uint32
	Count  uint32
	YPitch uint32
	XPitch uint32
	Add    int32
}

var copyBlocks = newForms("copy_blocks", 256, CopyBlocks{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k CopyBlocks) Launch(d Device) (Launch, error) {
	for _, pitch := range []uint32{k.YPitch, k.XPitch} {
		if _, err := countPlaces(copyBlocks[k.Y.Type], k.Blocks, pitch); err != nil {
			return Launch{}, err
		}
	}
	if k.Blocks < 1 || k.Count < 1 || k.Count > min(k.YPitch, k.XPitch) {
		return Launch{}, fmt.Errorf("kernels: copy_blocks: %d blocks of %d values out of %d to %d: want 1 or more, and no more than there are",
			k.Blocks, k.Count, k.XPitch, k.YPitch)
	}
	return newLaunch(copyBlocks[k.Y.Type], d, packs(k.Y.Type, uint64(k.Blocks)*uint64(k.Count)), k)
}
