package kernels

// BiasAdd adds a bias to every channel, in place: x[n][c][i] += bias[c]. X has Count values, and Extent values in each
// channel of a sample. For NCHW, Extent is H*W. After a dense layer the channels are its units, and Extent is 1.
type BiasAdd struct {
	X        Values
	Bias     Pointer[float32] // Channels values; must not overlap X
	Count    uint32
	Channels uint32
	Extent   uint32
}

var biasAdd = newForms("bias_add", 256, BiasAdd{})

// Launch returns the launch of this kernel on a device. It fails for a null or misaligned pointer, for Channels or
// Extent of 0, for more than 2^31 values, and for a device without multiprocessors.
func (k BiasAdd) Launch(d Device) (Launch, error) {
	return newChannelwise(biasAdd[k.X.Type], d, k, k.Count, k.Channels, k.Extent)
}

// BiasReLU adds a bias as [BiasAdd] does, and then applies ReLU: x = max(x + bias[channel], 0).
type BiasReLU struct {
	X        Values
	Bias     Pointer[float32]
	Count    uint32
	Channels uint32
	Extent   uint32
}

var biasReLU = newForms("bias_relu", 256, BiasReLU{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k BiasReLU) Launch(d Device) (Launch, error) {
	return newChannelwise(biasReLU[k.X.Type], d, k, k.Count, k.Channels, k.Extent)
}
