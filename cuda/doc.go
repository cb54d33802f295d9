// Package cuda is a device of package net: one NVIDIA GPU. It uses cuDNN, cuBLAS and the kernels of package kernels.
//
// A network is compiled to operations, one for each group of layers that package lower makes. Their memory is planned once.
// A training step is captured as a CUDA graph the second time it runs, and launched with one call from then on. What
// changes from step to step (which samples, the learning rate) is in device memory. All calls to the driver come from one
// thread that the device owns.
//
// The package needs the build tag cuda, cgo, and Linux on amd64 or arm64. Without them Open returns driver.ErrNotBuilt.
package cuda
