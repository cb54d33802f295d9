package driver

import (
	"errors"
	"fmt"
	"strings"
)

// What can be wrong, for errors.Is.
var (
	// ErrNoLibrary: a library can't be found or can't be loaded, or this build has no CUDA at all.
	ErrNoLibrary = errors.New("library not found")
	// ErrNoDevice: the driver works but there is no GPU that can be used.
	ErrNoDevice = errors.New("no usable GPU")
	// ErrMissingSymbol: a library was found and lacks a function that is needed.
	ErrMissingSymbol = errors.New("missing function")
	// ErrVersionTooOld: a library was found and is older than what works, or than what another library needs.
	ErrVersionTooOld = errors.New("version too old")

	// ErrNotBuilt: this program was built without CUDA. It is an ErrNoLibrary too.
	ErrNotBuilt = fmt.Errorf("this build has no CUDA (it needs -tags cuda, cgo and Linux on amd64 or arm64): %w", ErrNoLibrary)
)

// A LibraryError says why a library can't be used. It wraps one of the errors above.
type LibraryError struct {
	Kind   Kind
	Path   string // path of the file, where one was found
	Symbol string // the first missing function
	Detail string // what was tried, or what the system said
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

// An Error is a call that failed: the function and the status that it returned.
type Error struct {
	Op     string // the function, as cudnnConvolutionForward
	Status Status
	Detail string // what the library added, if anything
}

func (e *Error) Error() string {
	text := e.Op + ": " + e.Status.Error()
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

func (e *Error) Unwrap() error { return e.Status }

// A Status is a Result, a DNNStatus or a BLASStatus.
type Status interface {
	error
	Code() int
	Name() string // the constant in NVIDIA's headers, or "" for a code that isn't known
}

// Result is the driver's status, CUresult.
type Result int

// DNNStatus is cuDNN's, cudnnStatus_t. The codes of cuDNN 8 and 9 don't overlap, so one type holds both.
type DNNStatus int

// BLASStatus is cuBLAS's, cublasStatus_t.
type BLASStatus int

// Code returns the status as the driver numbers it.
func (s Result) Code() int { return int(s) }

// Code returns the status as cuDNN numbers it.
func (s DNNStatus) Code() int { return int(s) }

// Code returns the status as cuBLAS numbers it.
func (s BLASStatus) Code() int { return int(s) }

// Name returns the status as NVIDIA's headers name it, or "" if it is unknown.
func (s Result) Name() string { return resultNames[int(s)] }

// Name returns the status as NVIDIA's headers name it, or "" if it is unknown.
func (s DNNStatus) Name() string { return dnnNames[int(s)] }

// Name returns the status as NVIDIA's headers name it, or "" if it is unknown.
func (s BLASStatus) Name() string { return blasNames[int(s)] }

// Error returns name, number and meaning in one line, and what to do where that is known.
func (s Result) Error() string { return statusText("CUDA", s, resultAdvice[int(s)]) }

// Error returns name, number and meaning in one line, and what to do where that is known.
func (s DNNStatus) Error() string { return statusText("cuDNN", s, dnnAdvice[int(s)]) }

// Error returns name, number and meaning in one line, and what to do where that is known.
func (s BLASStatus) Error() string { return statusText("cuBLAS", s, blasAdvice[int(s)]) }

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

// statusText is "CUDA_ERROR_NO_DEVICE (100): no device", the words taken from the name, then what it may help to know.
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
