//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

/*
#include "cudnn.h"
*/
import "C"

import (
	"errors"
	"runtime"
	"unsafe"

	cudnn "gorgonia.org/cu/dnn"

	"github.com/gputrain/gputrain/cuda/driver"
)

// destroy ends descriptors of gorgonia.org/cu/dnn now, and takes away the finalizers that would do it at some time and on
// some thread. The descriptor is the first field of each of its structs. Nil ones are nothing.
func destroy(all ...any) error {
	var errs []error
	check := func(op string, status C.cudnnStatus_t) { errs = append(errs, driver.CheckDNN(op, int(status))) }
	for _, d := range all {
		switch d := d.(type) {
		case *cudnn.TensorDescriptor:
			if d != nil {
				runtime.SetFinalizer(d, nil)
				check("cudnnDestroyTensorDescriptor", C.cudnnDestroyTensorDescriptor(*(*C.cudnnTensorDescriptor_t)(unsafe.Pointer(d))))
			}
		case *cudnn.Filter:
			if d != nil { // it has no finalizer
				check("cudnnDestroyFilterDescriptor", C.cudnnDestroyFilterDescriptor(*(*C.cudnnFilterDescriptor_t)(unsafe.Pointer(d))))
			}
		case *cudnn.Convolution:
			if d != nil {
				runtime.SetFinalizer(d, nil)
				check("cudnnDestroyConvolutionDescriptor", C.cudnnDestroyConvolutionDescriptor(*(*C.cudnnConvolutionDescriptor_t)(unsafe.Pointer(d))))
			}
		case *cudnn.Activation:
			if d != nil {
				runtime.SetFinalizer(d, nil)
				check("cudnnDestroyActivationDescriptor", C.cudnnDestroyActivationDescriptor(*(*C.cudnnActivationDescriptor_t)(unsafe.Pointer(d))))
			}
		case *cudnn.Pooling:
			if d != nil {
				runtime.SetFinalizer(d, nil)
				check("cudnnDestroyPoolingDescriptor", C.cudnnDestroyPoolingDescriptor(*(*C.cudnnPoolingDescriptor_t)(unsafe.Pointer(d))))
			}
		}
	}
	return errors.Join(errs...)
}
