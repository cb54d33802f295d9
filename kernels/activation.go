package kernels

import "fmt"

// ActivationFunction is an activation function that [Activation] and [ActivationBackward] compute.
type ActivationFunction struct {
	Name        string
	Number      uint32 // the function's number in the kernels
	ReadsOutput bool   // the backward pass reads the output y; otherwise it reads the input x
	InCuDNN     bool   // cuDNN has it too, and package cuda leaves it to cuDNN
}

// activationFunctions lists the functions in the order of their numbers, as the table in activation.cu does.
var activationFunctions = numbered([]ActivationFunction{
	{Name: "relu", ReadsOutput: true, InCuDNN: true},
	{Name: "leaky_relu"}, // the parameter is the slope below 0
	{Name: "tanh", ReadsOutput: true, InCuDNN: true},
	{Name: "sigmoid", ReadsOutput: true, InCuDNN: true},
	{Name: "gelu"},      // exact, with the error function
	{Name: "gelu_tanh"}, // the approximation with tanh
	{Name: "silu"},
	{Name: "relu6", ReadsOutput: true},
	{Name: "hard_swish"},
	{Name: "hard_sigmoid", ReadsOutput: true},
	{Name: "elu"}, // the parameter is alpha; the limit towards minus infinity is -alpha
	{Name: "mish"},
})

func numbered(functions []ActivationFunction) []ActivationFunction {
	for i := range functions {
		functions[i].Number = uint32(i)
	}
	return functions
}

// ActivationFunctions returns all functions, in an order that does not change.
func ActivationFunctions() []ActivationFunction {
	return append([]ActivationFunction(nil), activationFunctions...)
}

// FindActivation returns the function with the given name, and whether there is one.
func FindActivation(name string) (ActivationFunction, bool) {
	for _, f := range activationFunctions {
		if f.Name == name {
			return f, true
		}
	}
	return ActivationFunction{}, false
}

func launchActivation(k *Kernel, d Device, parameters any, count uint64, function uint32) (Launch, error) {
	if function >= uint32(len(activationFunctions)) {
		return Launch{}, fmt.Errorf("kernels: %s: there is no function %d", k.Name, function)
	}
	return newLaunch(k, d, packs(k.Type, count), parameters)
}

// Activation computes y = f(x) for Count values. Function is f's Number. P is its parameter; functions without one
// ignore it. Y may be X.
type Activation struct {
	Y        Values
	X        Values
	Count    uint64
	Function uint32
	P        float32
}

var activation = newForms("activation", 256, Activation{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k Activation) Launch(d Device) (Launch, error) {
	return launchActivation(activation[k.Y.Type], d, k, k.Count, k.Function)
}

// ActivationBackward computes dx = dy*f', or dx += dy*f' where Add is not 0. Read is the output or the input of
// [Activation], as the function's ReadsOutput says. Dx may be Dy.
type ActivationBackward struct {
	Dx       Values
	Dy       Values
	Read     Values
	Count    uint64
	Function uint32
	P        float32
	Add      int32
}

var activationBackward = newForms("activation_backward", 256, ActivationBackward{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k ActivationBackward) Launch(d Device) (Launch, error) {
	return launchActivation(activationBackward[k.Dx.Type], d, k, k.Count, k.Function)
}

// ReLUBackward computes the input gradient of ReLU from its output: dx = dy where y > 0, and dx = 0*dy elsewhere,
// which keeps a NaN. Dx may be Dy.
type ReLUBackward struct {
	Dx    Values
	Dy    Values
	Y     Values
	Count uint64
}

var reluBackward = newForms("relu_backward", 256, ReLUBackward{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k ReLUBackward) Launch(d Device) (Launch, error) {
	return newLaunch(reluBackward[k.Dx.Type], d, packs(k.Dx.Type, k.Count), k)
}
