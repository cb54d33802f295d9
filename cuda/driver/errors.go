package driver

import (
	"errors"
	"fmt"
	"strings"
)

// What can be wrong. Compare with errors.Is.
var (
	// ErrNoLibrary: a library can't be found or can't be loaded, or this build has no CUDA at all.
	ErrNoLibrary = errors.New("library not found")
	// ErrNoDevice: the driver works, but there is no GPU that can be used.
	ErrNoDevice = errors.New("no usable GPU")
	// ErrMissingSymbol: a library was found, but it lacks a function that is needed.
	ErrMissingSymbol = errors.New("missing function")
	// ErrVersionTooOld: a library was found, but it is too old to work, or older than another library needs.
	ErrVersionTooOld = errors.New("version too old")

	// ErrNotBuilt: this program was built without CUDA. It wraps ErrNoLibrary.
	ErrNotBuilt = fmt.Errorf("this build has no CUDA (it needs -tags cuda, cgo and Linux on amd64 or arm64): %w", ErrNoLibrary)
)

// A LibraryError says why a library can't be used. It wraps one of the errors above.
type LibraryError struct {
	Kind   Kind
	Path   string // the file's path; empty if no file was found
	Symbol string // the first missing function; empty if none is missing
	Detail string // what was tried, or what the system said; may be empty
	Err    error
}

func (e *LibraryError) Error() string {
	var b strings.Builder
	b.WriteString(e.Kind.String())
	if e.Path != "" {
		fmt.Fprintf(&b, " (%s)", e.Path)
	}
	fmt.Fprintf(&b, ": %v", e.Err)
	if e.Symbol != "" {
		b.WriteString(" " + e.Symbol)
	}
	if e.Detail != "" {
		b.WriteString(": " + e.Detail)
	}
	return b.String()
}

func (e *LibraryError) Unwrap() error { return e.Err }

// An Error says which call to a library failed, and with which status.
type Error struct {
	Op     string // the function's name, for example cudnnConvolutionForward
	Status Status
	Detail string // the library's own explanation; empty if there is none
}

func (e *Error) Error() string {
	text := e.Op + ": " + e.Status.Error()
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

func (e *Error) Unwrap() error { return e.Status }

// A Status is a Result, a DNNStatus, a BLASStatus or an NCCLStatus.
type Status interface {
	error
	Code() int
	Name() string // the constant's name in NVIDIA's headers, or "" for an unknown code
}

// Result is a status of the driver (CUresult).
type Result int

// DNNStatus is a status of cuDNN (cudnnStatus_t). The codes of cuDNN 8 and 9 don't overlap, so one type holds both.
type DNNStatus int

// BLASStatus is a status of cuBLAS (cublasStatus_t).
type BLASStatus int

// NCCLStatus is a status of NCCL (ncclResult_t).
type NCCLStatus int

// Code returns the driver's number for the status.
func (s Result) Code() int { return int(s) }

// Code returns cuDNN's number for the status.
func (s DNNStatus) Code() int { return int(s) }

// Code returns cuBLAS's number for the status.
func (s BLASStatus) Code() int { return int(s) }

// Code returns NCCL's number for the status.
func (s NCCLStatus) Code() int { return int(s) }

// Name returns the status as NVIDIA's headers name it, or "" if it is unknown.
func (s Result) Name() string { return resultNames[int(s)] }

// Name returns the status as NVIDIA's headers name it, or "" if it is unknown.
func (s DNNStatus) Name() string { return dnnNames[int(s)] }

// Name returns the status as NVIDIA's headers name it, or "" if it is unknown.
func (s BLASStatus) Name() string { return blasNames[int(s)] }

// Name returns the status as NVIDIA's headers name it, or "" if it is unknown.
func (s NCCLStatus) Name() string { return ncclNames[int(s)] }

// Error returns name, number and meaning in one line, and what to do where that is known.
func (s Result) Error() string { return statusText("CUDA", s, resultAdvice[int(s)]) }

// Error returns name, number and meaning in one line, and what to do where that is known.
func (s DNNStatus) Error() string { return statusText("cuDNN", s, dnnAdvice[int(s)]) }

// Error returns name, number and meaning in one line, and what to do where that is known.
func (s BLASStatus) Error() string { return statusText("cuBLAS", s, blasAdvice[int(s)]) }

// Error returns name, number and meaning in one line.
func (s NCCLStatus) Error() string {
	if text := ncclTexts[int(s)]; text != "" {
		return fmt.Sprintf("%s (%d): %s", s.Name(), int(s), text)
	}
	return statusText("NCCL", s, "")
}

// Is makes errors.Is recognise the sentinel errors that a status stands for.
func (s Result) Is(target error) bool {
	switch target {
	case ErrNoDevice:
		return s == resultNoDevice || s == resultInvalidDevice
	case ErrVersionTooOld:
		return s == resultDriverMismatch || s == resultNeedsNewerDriver || s == resultUnsupportedPTX
	}
	return false
}

// Is makes errors.Is recognise the sentinel errors that a status stands for.
func (s DNNStatus) Is(target error) bool {
	return target == ErrVersionTooOld && s == dnnIncompatibleDriver
}

// Check returns an error for a status of the driver function op, or nil for success.
func Check(op string, code int) error {
	if code == 0 {
		return nil
	}
	return &Error{Op: op, Status: Result(code)}
}

// CheckDNN returns an error for a status of the cuDNN function op, or nil for success.
func CheckDNN(op string, code int) error {
	if code == 0 {
		return nil
	}
	return &Error{Op: op, Status: DNNStatus(code), Detail: dnnDetail()}
}

// CheckBLAS returns an error for a status of the cuBLAS function op, or nil for success.
func CheckBLAS(op string, code int) error {
	if code == 0 {
		return nil
	}
	return &Error{Op: op, Status: BLASStatus(code)}
}

// CheckNCCL returns an error for a status of the NCCL function op, or nil for success.
func CheckNCCL(op string, code int) error {
	if code == 0 {
		return nil
	}
	return &Error{Op: op, Status: NCCLStatus(code), Detail: ncclDetail()}
}

// statusText returns, for example, "CUDA_ERROR_NO_DEVICE (100): no device". The words are taken from the status's
// name. The advice follows if it isn't empty.
func statusText(library string, s Status, advice string) string {
	name := s.Name()
	if name == "" {
		return fmt.Sprintf("unknown %s status %d", library, s.Code())
	}
	words := name
	for _, prefix := range []string{"CUDA_ERROR_", "CUDA_", "CUDNN_STATUS_", "CUBLAS_STATUS_"} {
		if rest, found := strings.CutPrefix(words, prefix); found {
			words = rest
			break
		}
	}
	text := fmt.Sprintf("%s (%d): %s", name, s.Code(), strings.ToLower(strings.ReplaceAll(words, "_", " ")))
	if advice != "" {
		text += "; " + advice
	}
	return text
}
