package kernels

// LeakyReLU is y = Slope*x for x < 0, else x, for Count values.
type LeakyReLU struct {
	Y     Pointer[float32]
	X     Pointer[float32]
	Count uint64
	Slope float32
}

var leakyReLU = newKernel("leaky_relu", 256, LeakyReLU{})

// Launch makes the launch for a device.
func (k LeakyReLU) Launch(d Device) (Launch, error) {
	return newLaunch(leakyReLU, d, quads(k.Count), k)
}

// LeakyReLUBackward is dx = dy where x > 0, else Slope*dy.
type LeakyReLUBackward struct {
	Dx    Pointer[float32]
	Dy    Pointer[float32]
	X     Pointer[float32]
	Count uint64
	Slope float32
}

var leakyReLUBackward = newKernel("leaky_relu_backward", 256, LeakyReLUBackward{})

// Launch makes the launch for a device.
func (k LeakyReLUBackward) Launch(d Device) (Launch, error) {
	return newLaunch(leakyReLUBackward, d, quads(k.Count), k)
}

// ReLUBackward is dx = dy where y > 0, else 0*dy, which keeps a NaN. Dx may be Dy.
type ReLUBackward struct {
	Dx    Pointer[float32]
	Dy    Pointer[float32]
	Y     Pointer[float32]
	Count uint64
}

var reluBackward = newKernel("relu_backward", 256, ReLUBackward{})

// Launch makes the launch for a device.
func (k ReLUBackward) Launch(d Device) (Launch, error) {
	return newLaunch(reluBackward, d, quads(k.Count), k)
}

// Dropout sets values to 0 or scales them, as net.DropoutKeep decides for the step in State. Last is the last word of
// its counter. Forward and backward pass are the same. Y may be X.
type Dropout struct {
	Y         Pointer[float32]
	X         Pointer[float32]
	State     Pointer[StepState]
	Count     uint64
	KeyLow    uint32
	KeyHigh   uint32
	Last      uint32
	Threshold uint32
	Scale     float32
}

var dropout = newKernel("dropout", 256, Dropout{})

// Launch makes the launch for a device.
func (k Dropout) Launch(d Device) (Launch, error) {
	return newLaunch(dropout, d, quads(k.Count), k)
}
