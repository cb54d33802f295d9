package net

// Models returns the built-in models, the default one first. Each call returns
// fresh copies.
func Models() []*Network {
	return []*Network{tutorial(), lenet5(), mlp()}
}

// Model returns a fresh copy of the built-in model of that name, or nil.
func Model(name string) *Network {
	for _, n := range Models() {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// mnistShape is a sample of MNIST: one grey image of 28 by 28.
var mnistShape = Shape{1, 28, 28}

// tutorial is the network of the TensorFlow tutorial that the project starts
// from: two 5x5 convolutions with ReLU and 2x2 max pooling, two dense layers;
// truncated normal weights with the tutorial's deviations. 3,199,106 parameters.
func tutorial() *Network {
	w, convBias, denseBias := truncated(0.03), truncated(1), truncated(0.01)
	conv := func(name string, filters int) Layer {
		return &Conv{Name: name, Filters: filters, Kernel: Square(5), Padding: PadSame, WeightInit: w, BiasInit: convBias}
	}
	pool := func(name string) Layer {
		return &Pool{Name: name, Mode: MaxPool, Kernel: Square(2), Stride: Square(2), Padding: PadSame}
	}
	dense := func(name string, units int) Layer {
		return &Dense{Name: name, Units: units, WeightInit: w, BiasInit: denseBias}
	}
	return &Network{Name: "tutorial", Input: mnistShape, Layers: []Layer{
		conv("conv1", 32), &Activation{Func: ReLU}, pool("pool1"),
		conv("conv2", 64), &Activation{Func: ReLU}, pool("pool2"),
		&Flatten{Name: "flatten"},
		dense("dense1", 1000), &Activation{Func: ReLU},
		dense("dense2", 10),
	}}
}

// lenet5 is LeNet-5 (LeCun et al., 1998) in today's usual form: tanh, mean
// pooling, full connection between the second convolution and its input.
func lenet5() *Network {
	glorot := Initializer{Method: Glorot}
	conv := func(name string, filters int, pad Padding) Layer {
		return &Conv{Name: name, Filters: filters, Kernel: Square(5), Padding: pad, WeightInit: glorot}
	}
	dense := func(name string, units int) Layer {
		return &Dense{Name: name, Units: units, WeightInit: glorot}
	}
	tanh := func() Layer { return &Activation{Func: Tanh} }
	pool := func(name string) Layer { return &Pool{Name: name, Mode: MeanPool, Kernel: Square(2)} }
	return &Network{Name: "lenet5", Input: mnistShape, Layers: []Layer{
		conv("conv1", 6, PadSame), tanh(), pool("pool1"),
		conv("conv2", 16, PadValid), tanh(), pool("pool2"),
		&Flatten{Name: "flatten"},
		dense("dense1", 120), tanh(),
		dense("dense2", 84), tanh(),
		dense("dense3", 10),
	}}
}

// mlp is a plain network without convolutions, for comparison: 784-300-10.
func mlp() *Network {
	return &Network{Name: "mlp", Input: mnistShape, Layers: []Layer{
		&Flatten{Name: "flatten"},
		&Dense{Name: "dense1", Units: 300, WeightInit: truncated(0.03), BiasInit: truncated(0.03)},
		&Activation{Func: ReLU},
		&Dense{Name: "dense2", Units: 10, WeightInit: truncated(0.03), BiasInit: truncated(0.03)},
	}}
}
