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
	Name    string // the PTX file's name, without ".ptx"
	Source  string // the name of the .cu file
	Kernels []*Kernel
}

// sources lists the .cu files, without ".cu", and their kernels. A file's kernels either all have Values or none has. Those
// that use tensor cores exist for bfloat16 alone.
var sources = []struct {
	name    string
	kernels []*Kernel
	forms   []forms
	brain   []*Kernel // for bfloat16 alone
}{
	{name: "activation", forms: []forms{activation, activationBackward, reluBackward}},
	{name: "batch", forms: []forms{gatherBytes, gatherFloats}},
	{name: "bias", forms: []forms{biasAdd, biasReLU}},
	{name: "branch", forms: []forms{add, addReLU, addReLUBackward, scale, multiply, multiplyRows, multiplyRowsGate, copyBlocks}},
	{name: "channel", forms: []forms{biasGradient, biasReLUGradient, columnSums}},
	{name: "conv", forms: []forms{convBiasReLUPool, convReLUPoolGradients}},
	{name: "convert", kernels: []*Kernel{toBF16, fromBF16}},
	{name: "dropout", forms: []forms{dropout}},
	{name: "loss", forms: []forms{softmaxCrossEntropy}},
	{name: "metrics", kernels: []*Kernel{addMetrics}},
	{name: "muon", kernels: []*Kernel{muonVelocity, muonScale, muonPolynomial, muonApply}},
	{name: "norm", forms: []forms{batchnormMoments, batchnorm, batchnormGradients, batchnormBackward}},
	{name: "optimizer", kernels: []*Kernel{sgd, adam, lion, moveAverage, exchange, squareSums, clipFactor}},
	{name: "permute", forms: []forms{permute}},
	{name: "pool", forms: []forms{biasReLUPool, biasReLUPoolBackward, biasReLUPoolGradient, biasReLUPoolGradients, poolForward, maxPoolBackward, poolBackward, pad, crop}},
	{name: "product_data", brain: convolutionsData.kernels()},
	{name: "product_filter", brain: convolutionsFilter.kernels()},
	{name: "product_forward", brain: convolutions.kernels()},
	{name: "statistics", kernels: []*Kernel{batchnormStatistics, batchnormShare, batchnormJoint, batchnormRunning, batchnormGradientSums}},
	{name: "view", forms: []forms{viewBytes, viewFloats}},
}

// Modules returns every module, in an order that does not change.
func Modules() (modules []Module) {
	for _, s := range sources {
		file := s.name + ".cu"
		if s.kernels != nil {
			modules = append(modules, Module{s.name, file, s.kernels})
			continue
		}
		single, brain := Module{Name: s.name, Source: file}, Module{Name: s.name + "_bf16", Source: file, Kernels: s.brain}
		if s.brain != nil {
			modules = append(modules, brain)
			continue
		}
		for _, f := range s.forms {
			single.Kernels, brain.Kernels = append(single.Kernels, f[Float32]), append(brain.Kernels, f[BF16])
		}
		modules = append(modules, single, brain)
	}
	return modules
}

// PTX returns the module's PTX text, which the driver compiles. cuModuleLoadData wants a zero byte after it. The text
// is for compute capability 7.5 or higher, or 8.0 or higher if its kernels take bfloat16. Drivers from version 520 on load
// it.
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
	MaxThreads int  // the most threads in a block: the kernel's __launch_bounds__
	Type       Type // of its parameters that are Values
}

// Param is one parameter of a kernel.
type Param struct {
	Name string       // its name in the .cu file
	Type reflect.Type // float32, float64, int32, uint32, uint64, Values, a Pointer or an Optional

	optional bool // Values that may be null

	index []int // the index of the struct's field
}

// PTX returns the parameter's type in PTX. Pointers, Values and 64-bit integers are all "u64".
func (p Param) PTX() string {
	switch p.Type.Kind() {
	case reflect.Float32:
		return "f32"
	case reflect.Float64:
		return "f64"
	case reflect.Int32, reflect.Uint32:
		return "u32"
	case reflect.Uint64, reflect.Struct:
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
		k.Params = append(k.Params, Param{Name: string(letters), Type: f.Type, index: f.Index, optional: f.Tag.Get("values") == "optional"})
	}
	return k
}

// forms holds a kernel's signature for each type of its Values.
type forms [2]*Kernel

// newForms makes a kernel's signatures from a struct whose fields are the parameters.
func newForms(name string, maxThreads int, parameters any) (f forms) {
	for t := range f {
		f[t] = newKernel(name, maxThreads, parameters)
		f[t].Type = Type(t)
	}
	return f
}
