// Package kernels holds our CUDA kernels. Their PTX is compiled from the .cu files in this folder, and committed. For
// each kernel there is a Go struct, whose fields are the kernel's parameters. Its method Launch computes a launch. The
// package needs no CUDA and no driver: package cuda loads the PTX and makes the launches.
//
//	launch, err := kernels.BiasAdd{X: x, Bias: bias, Count: 50 * 32 * 784, Channels: 32, Extent: 784}.Launch(device)
//
// With gorgonia.org/cu, function being what the driver found under launch.Kernel.Name:
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
	Name    string // of the .cu file, without ".cu"
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

// PTX returns the module's text, for the driver's compiler (cuModuleLoadData wants a zero byte after it). It is for
// compute capability 7.5 and loads on drivers from 520 on.
func (m Module) PTX() string {
	text, err := files.ReadFile("ptx/" + m.Name + ".ptx")
	if err != nil {
		panic("BUG: kernels: " + err.Error())
	}
	return string(text)
}

// Kernel is the signature of a kernel. There is one value for each, so a pointer to it can stand for the kernel, as the
// key of a map of loaded functions for one. Callers must not change it.
type Kernel struct {
	Name       string // the name that the PTX exports
	Params     []Param
	MaxThreads int // most threads in a block: the kernel's __launch_bounds__
}

// Param is one parameter of a kernel.
type Param struct {
	Name string       // as the .cu file calls it
	Type reflect.Type // float32, float64, int32, uint32, uint64, a Pointer or an Optional

	index []int // of the field
}

// PTX returns the type that the parameter has in PTX, which writes pointers and 64-bit integers alike: "u64".
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

// newKernel makes the signature whose parameters are the fields of the struct.
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
