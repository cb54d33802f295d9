// Package cuda trains and runs networks on one NVIDIA GPU: its [Device] is a device of package net. It uses cuDNN,
// cuBLAS and the kernels of package kernels.
//
// A network is compiled to operations. Package lower divides the layers into groups, and each group becomes one
// operation. The memory for all of them is planned once. The second time a training step runs, it is captured as a
// CUDA graph. From then on one call launches it. What changes from step to step (which samples, the learning rate) is
// in device memory. All calls to the driver come from one thread, which the device owns.
//
// Values between layers are float32 with channels first or, in [BF16], bfloat16 with channels last; see [Form]. Weights and
// states are float32 and in the order of package net for whoever uses this package.
//
// The package needs the build tag cuda, cgo, and Linux on amd64 or arm64. Without them Open returns
// driver.ErrNotBuilt.
package cuda
