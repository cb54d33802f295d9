package kernels

// BiasAdd adds a bias to every channel, in place: x[n][c][i] += bias[c], for Count values X, Extent to a channel. For NCHW
// the extent is H*W; after a dense layer the channels are its units and the extent is 1.
type BiasAdd struct {
	X        Pointer[float32]
	Bias     Pointer[float32] // Channels values, none of them in X
	Count    uint32
	Channels uint32
	Extent   uint32
}

var biasAdd = newKernel("bias_add", 256, BiasAdd{})

// Launch makes the launch for a device. It fails for a null or misaligned pointer, channels of nothing, more than 2^31
// values and a device without multiprocessors.
func (k BiasAdd) Launch(d Device) (Launch, error) {
	return newChannelwise(biasAdd, d, k, k.Count, k.Channels, k.Extent)
}

// BiasReLU is BiasAdd with ReLU after it: x = max(x + bias[channel], 0).
type BiasReLU struct {
	X        Pointer[float32]
	Bias     Pointer[float32]
	Count    uint32
	Channels uint32
	Extent   uint32
}

var biasReLU = newKernel("bias_relu", 256, BiasReLU{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k BiasReLU) Launch(d Device) (Launch, error) {
	return newChannelwise(biasReLU, d, k, k.Count, k.Channels, k.Extent)
}
