// Package kernels holds our CUDA kernels. Their PTX is compiled from the .cu files in this folder, and committed. Each
// kernel has a Go struct, whose fields are the kernel's parameters. The struct's method Launch computes a launch: the
// numbers of blocks and threads, and the packed parameters. The package needs no CUDA and no driver: package cuda
// loads the PTX and launches the kernels.
//
//	launch, err := kernels.BiasAdd{X: x, Bias: bias, Count: 50 * 32 * 784, Channels: 32, Extent: 784}.Launch(device)
//
// With gorgonia.org/cu the launch is made like this, where function is what the driver found by the name
// launch.Kernel.Name:
//
//	function.Launch(launch.Blocks, 1, 1, launch.Threads, 1, 1, 0, stream, launch.Pointers())
package kernels

import (
	"embed"
	"fmt"
	"reflect"
	"unicode"
)

//go:embed ptx/*.ptx
var files embed.FS

// Module is one PTX text and the kernels that are in it.
type Module struct {
	Name    string // the name of the .cu file, without ".cu"
	Kernels []*Kernel
}

var modules = []Module{
	{Name: "activation", Kernels: []*Kernel{activation, activationBackward, reluBackward}},
	{Name: "batch", Kernels: []*Kernel{gatherBytes, gatherFloats}},
	{Name: "bias", Kernels: []*Kernel{biasAdd, biasReLU}},
	{Name: "branch", Kernels: []*Kernel{add, scale, multiply, multiplyRows, multiplyRowsGate, copyBlocks}},
	{Name: "channel", Kernels: []*Kernel{
		biasGradient, columnSums, batchnormStatistics, batchnormRunning, batchnorm, batchnormGradients, batchnormBackward,
	}},
	{Name: "conv", Kernels: []*Kernel{convBiasReLUPool, convReLUPoolGradients}},
	{Name: "convert", Kernels: []*Kernel{toBF16, fromBF16}},
	{Name: "dropout", Kernels: []*Kernel{dropout}},
	{Name: "loss", Kernels: []*Kernel{softmaxCrossEntropy, addMetrics}},
	{Name: "optimizer", Kernels: []*Kernel{sgd, adam, moveAverage, exchange, squareSums, clipFactor}},
	{Name: "pool", Kernels: []*Kernel{biasReLUPool, biasReLUPoolBackward, poolForward, maxPoolBackward, poolBackward, pad, crop}},
	{Name: "view", Kernels: []*Kernel{viewBytes, viewFloats}},
}

// Modules returns every module, in an order that does not change.
func Modules() []Module {
	return append([]Module(nil), modules...)
}

// PTX returns the module's PTX text, which the driver compiles. cuModuleLoadData wants a zero byte after it. The text
// is for compute capability 7.5 or higher, and drivers from version 520 on load it.
func (m Module) PTX() string {
	text, err := files.ReadFile("ptx/" + m.Name + ".ptx")
	if err != nil {
		panic("BUG: kernels: " + err.Error())
	}
	return string(text)
}

// Kernel is the signature of a kernel. There is exactly one value for each kernel, so its pointer can be a key, for
// example in a map of loaded functions. Callers must not change it.
type Kernel struct {
	Name       string // the name that the PTX exports
	Params     []Param
	MaxThreads int // the most threads in a block: the kernel's __launch_bounds__
}

// Param is one parameter of a kernel.
type Param struct {
	Name string       // its name in the .cu file
	Type reflect.Type // float32, float64, int32, uint32, uint64, a Pointer or an Optional

	index []int // the index of the struct's field
}

// PTX returns the parameter's type in PTX. Pointers and 64-bit integers are both "u64".
func (p Param) PTX() string {
	switch p.Type.Kind() {
	case reflect.Float32:
		return "f32"
	case reflect.Float64:
		return "f64"
	case reflect.Int32, reflect.Uint32:
		return "u32"
	case reflect.Uint64:
		return "u64"
	default:
		panic(fmt.Sprintf("BUG: kernels: a parameter of type %v", p.Type))
	}
}

// newKernel makes a kernel's signature from a struct whose fields are the parameters.
func newKernel(name string, maxThreads int, parameters any) *Kernel {
	k := &Kernel{Name: name, MaxThreads: maxThreads}
	for _, f := range reflect.VisibleFields(reflect.TypeOf(parameters)) {
		if f.Anonymous {
			continue // its fields come next
		}
		letters := []rune(f.Name)
		letters[0] = unicode.ToLower(letters[0])
		k.Params = append(k.Params, Param{Name: string(letters), Type: f.Type, index: f.Index})
	}
	return k
}
