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

// destroy destroys descriptors of gorgonia.org/cu/dnn at once. It removes their finalizers, which would do it at any
// time and on any thread. The descriptor is the first field of each struct. Nil pointers are ignored.
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
