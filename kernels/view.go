package kernels

// Transform says how a picture becomes an input, as net.Transform does.
type Transform struct {
	Matrix   [6]float32
	Reflect  uint32 // 1: around the picture is its mirror image; 0: nothing
	Coloured uint32 // 1: Colour counts
	Colour   [12]float32
	Erase    [4]int32 // left, top, right, bottom
}

// View says how one sample of a mini-batch is seen, as net.View does, and which one it is. Where the values have been
// copied to, they may stand in other rows than in the data set.
type View struct {
	Own, Other Transform
	Row, Label int32
	// OtherRow and OtherLabel are the partner's. Without one they are -1, and the sample's own label.
	OtherRow, OtherLabel int32
	Box                  [4]int32
	Share                float32
	_                    [3]uint32
}

// ViewBytes brings a mini-batch of byte samples to float32 as views show them: X (Batch, Channels, Height, Width) of
// rows (Channels, FromHeight, FromWidth) of Pixels, a byte b being b*Scale; and Label, Other and Share (Batch), from
// which the loss is computed. The views are row State.slot of Views, rows of Capacity.
type ViewBytes struct {
	X          Pointer[float32]
	Label      Pointer[int32]
	Other      Pointer[int32]
	Share      Pointer[float32]
	Pixels     Pointer[uint8]
	State      Pointer[StepState]
	Views      Pointer[View]
	Batch      uint32
	Capacity   uint32
	Channels   uint32
	Height     uint32
	Width      uint32
	FromHeight uint32
	FromWidth  uint32
	Scale      float32
}

var viewBytes = newKernel("view_bytes", 256, ViewBytes{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k ViewBytes) Launch(d Device) (Launch, error) {
	return newViewed(viewBytes, d, k, k.Batch, k.Channels, k.Height, k.Width, k.FromHeight, k.FromWidth)
}

// ViewFloats is ViewBytes for samples that are float32 already.
type ViewFloats struct {
	X          Pointer[float32]
	Label      Pointer[int32]
	Other      Pointer[int32]
	Share      Pointer[float32]
	Values     Pointer[float32]
	State      Pointer[StepState]
	Views      Pointer[View]
	Batch      uint32
	Capacity   uint32
	Channels   uint32
	Height     uint32
	Width      uint32
	FromHeight uint32
	FromWidth  uint32
}

var viewFloats = newKernel("view_floats", 256, ViewFloats{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k ViewFloats) Launch(d Device) (Launch, error) {
	return newViewed(viewFloats, d, k, k.Batch, k.Channels, k.Height, k.Width, k.FromHeight, k.FromWidth)
}
