package kernels

// Transform tells how a picture becomes an input; see net.Transform.
type Transform struct {
	Matrix   [6]float32
	Reflect  uint32 // 1: the picture's mirror image is around it; 0: zeros are
	Coloured uint32 // 1: Colour is applied
	Colour   [12]float32
	Erase    [4]int32 // left, top, right, bottom
}

// View tells which sample a place of a mini-batch shows, and how; see net.View. Row and OtherRow are rows of the
// device's memory, where the samples may be in other rows than in the data set.
type View struct {
	Own, Other Transform
	Row, Label int32
	// OtherRow and OtherLabel are the partner's. Without a partner, OtherRow is -1 and OtherLabel is the sample's own
	// label.
	OtherRow, OtherLabel int32
	Box                  [4]int32
	Share                float32
	_                    [3]uint32
}

// ViewBytes makes a mini-batch of float32 inputs from byte samples, as their views show them. X is (Batch, Channels,
// Height, Width), or (Batch, Height, Width, Channels) where Last is not 0. Rows of Pixels are (Channels, FromHeight, FromWidth), and a byte b means b*Scale. Label, Other and
// Share (Batch) are what the loss is computed from. Views has rows of Capacity views, and row State.slot is for this
// mini-batch.
type ViewBytes struct {
	X          Values
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
	Last       int32
	Scale      float32
}

var viewBytes = newForms("view_bytes", 256, ViewBytes{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k ViewBytes) Launch(d Device) (Launch, error) {
	return newViewed(viewBytes[k.X.Type], d, k, k.Batch, k.Channels, k.Height, k.Width, k.FromHeight, k.FromWidth)
}

// ViewFloats does the same as [ViewBytes] for samples that are float32 already.
type ViewFloats struct {
	X          Values
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
	Last       int32
}

var viewFloats = newForms("view_floats", 256, ViewFloats{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k ViewFloats) Launch(d Device) (Launch, error) {
	return newViewed(viewFloats[k.X.Type], d, k, k.Batch, k.Channels, k.Height, k.Width, k.FromHeight, k.FromWidth)
}
