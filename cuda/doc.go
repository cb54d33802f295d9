// Package cuda is a device of package net: one NVIDIA GPU, through cuDNN, cuBLAS and kernels of our own.
//
// A network is compiled to operations, one for each group of layers that package lower makes, over memory that is planned
// once. A training step is captured as a CUDA graph the second time it runs and launched with one call from then on; what changes from step to step (which samples, the
// learning rate) lies in device memory. All calls to the driver come from one thread that the device owns.
//
// The package needs the build tag cuda, cgo and Linux on amd64 or arm64; without them Open answers driver.ErrNotBuilt.
package cuda
