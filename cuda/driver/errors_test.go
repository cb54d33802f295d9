package driver

import (
	"errors"
	"strings"
	"testing"
)

func TestErrorText(t *testing.T) {
	for want, err := range map[string]error{
		"cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY (2): out of memory; a smaller batch needs less": Check("cuMemAlloc", 2),
		"cuX: unknown CUDA status 4242":                                                               Check("cuX", 4242),
		"cudnnX: CUDNN_STATUS_BAD_PARAM (3): bad param":                                               &Error{Op: "cudnnX", Status: DNNStatus(3)},
		"cudnnX: CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH (2008): bad param shape mismatch: x is 4 wide": &Error{Op: "cudnnX", Status: DNNStatus(2008), Detail: "x is 4 wide"},
		"cublasSgemm: CUBLAS_STATUS_INVALID_VALUE (7): invalid value":                                 CheckBLAS("cublasSgemm", 7),
		"cuDNN (/a/libcudnn.so.9): missing function cudnnCreate: and 2 more":                          &LibraryError{Kind: DNN, Path: "/a/libcudnn.so.9", Symbol: "cudnnCreate", Detail: "and 2 more", Err: ErrMissingSymbol},
		"CUDA driver: library not found: looked for libcuda.so.1":                                     &LibraryError{Kind: Driver, Detail: "looked for libcuda.so.1", Err: ErrNoLibrary},
		"cuBLAS (/a/libcublas.so.12): version too old: it is 1.0 and must be 11.0 or newer":           &LibraryError{Kind: BLAS, Path: "/a/libcublas.so.12", Detail: "it is 1.0 and must be 11.0 or newer", Err: ErrVersionTooOld},
	} {
		if got := err.Error(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestErrorsMean(t *testing.T) {
	for _, c := range []struct {
		err, target error
		want        bool
	}{
		{Check("cuInit", 100), ErrNoDevice, true},
		{Check("cuInit", 100), Result(100), true},
		{Check("cuInit", 999), ErrNoDevice, false},
		{Check("cuInit", 803), ErrVersionTooOld, true},
		{Check("cuModuleLoadDataEx", 222), ErrVersionTooOld, true},
		{&Error{Op: "cudnnCreate", Status: DNNStatus(3005)}, ErrVersionTooOld, true},
		{CheckBLAS("cublasCreate", 1), ErrNoDevice, false},
		{&LibraryError{Kind: BLAS, Err: ErrMissingSymbol}, ErrMissingSymbol, true},
		{ErrNotBuilt, ErrNoLibrary, true},
	} {
		if got := errors.Is(c.err, c.target); got != c.want {
			t.Errorf("errors.Is(%v, %v) is %t", c.err, c.target, got)
		}
	}
	for _, err := range []error{Check("f", 0), CheckDNN("f", 0), CheckBLAS("f", 0)} {
		if err != nil {
			t.Errorf("success is an error: %v", err)
		}
	}
	var e *Error
	if err := error(Check("cuLaunchKernel", 700)); !errors.As(err, &e) || e.Op != "cuLaunchKernel" || e.Status.Code() != 700 {
		t.Errorf("the operation and the code are lost: %#v", e)
	}
}

func TestVersions(t *testing.T) {
	for got, want := range map[Version]string{
		driverVersion(12040): "12.4", driverVersion(11080): "11.8", driverVersion(13000): "13.0",
		dnnVersion(8907): "8.9.7", dnnVersion(90100): "9.1", dnnVersion(92800): "9.28", dnnVersion(7605): "7.6.5",
	} {
		if got.String() != want {
			t.Errorf("got %v, want %s", got, want)
		}
	}
	order := []Version{{8, 9, 7}, {9, 0, 0}, {9, 1, 0}, {9, 1, 1}, {10, 0, 0}}
	for i, a := range order {
		for j, b := range order {
			if a.Less(b) != (i < j) {
				t.Errorf("%v older than %v: %t", a, b, a.Less(b))
			}
		}
	}
}

func TestDevicesAreJudged(t *testing.T) {
	for _, c := range []struct {
		major, minor int
		prohibited   bool
		want         string
	}{
		{7, 5, false, ""}, {9, 0, false, ""}, {12, 0, false, ""},
		{7, 0, false, "compute capability 7.0 is below 7.5"},
		{6, 1, true, "compute capability 6.1 is below 7.5"},
		{8, 0, true, "its compute mode is prohibited"},
	} {
		d := Device{Major: c.major, Minor: c.minor}
		d.judge(c.prohibited)
		if (d.Err == nil) != (c.want == "") || d.Err != nil && !strings.HasPrefix(d.Err.Error(), c.want) {
			t.Errorf("%d.%d, prohibited %t: %v, want %q", c.major, c.minor, c.prohibited, d.Err, c.want)
		}
	}
}

func TestLibrariesAsText(t *testing.T) {
	l := &Libraries{
		Search: "/opt/libs",
		Driver: Library{Kind: Driver, Path: "/opt/libs/libcuda.so.1", Version: Version{12, 4, 0}},
		DNN:    Library{Kind: DNN, Path: "/opt/libs/libcudnn.so.8", Version: Version{8, 9, 7}, Missing: []string{"cudnnGetLastErrorString"}},
		BLAS:   Library{Kind: BLAS, Err: &LibraryError{Kind: BLAS, Err: ErrNoLibrary}},
		Devices: []Device{{Index: 0, Name: "NVIDIA A100", Major: 8, Minor: 0, Memory: 40 << 30, Multiprocessors: 108,
			PCI: "0000:01:00.0"}},
	}
	want := `GPUTRAIN_CUDA_LIBS=/opt/libs
CUDA driver  12.4     /opt/libs/libcuda.so.1
cuDNN        8.9.7    /opt/libs/libcudnn.so.8 (without 1 optional functions)
GPU 0        NVIDIA A100, compute capability 8.0, 108 multiprocessors, 40.0 GiB, 0000:01:00.0
not usable:  cuBLAS: library not found
`
	if got := l.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if !l.Has("cuMemAlloc_v2") || l.Has("cudnnGetLastErrorString") || l.Has("cublasSgemm_v2") || l.Has("noSuchFunction") {
		t.Error("Has is wrong about what was found")
	}
	l.BLAS.Err = nil
	if err := l.Err(); err != nil {
		t.Errorf("all is well, but: %v", err)
	}
}
