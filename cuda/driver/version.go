package driver

import "fmt"

// A Kind is one of the libraries.
type Kind int

const (
	Driver Kind = iota // libcuda, which comes with NVIDIA's kernel driver
	DNN                // libcudnn
	BLAS               // libcublas
	BLASLt             // libcublasLt, which comes with libcublas; programs can do without it
	NCCL               // libnccl, which connects several GPUs; programs that use one do without it
)

// Kinds lists all kinds, in the order in which the libraries are loaded.
var Kinds = [...]Kind{Driver, DNN, BLAS, BLASLt, NCCL}

func (k Kind) String() string {
	switch k {
	case Driver:
		return "CUDA driver"
	case DNN:
		return "cuDNN"
	case BLAS:
		return "cuBLAS"
	case BLASLt:
		return "cuBLASLt"
	case NCCL:
		return "NCCL"
	}
	return fmt.Sprintf("Kind(%d)", int(k))
}

// A Version is the version that a library reports. For the driver it is the newest version of CUDA that it supports.
type Version struct {
	Major, Minor, Patch int
}

func (v Version) String() string {
	if v.Patch == 0 {
		return fmt.Sprintf("%d.%d", v.Major, v.Minor)
	}
	return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch)
}

// Less reports whether v is older than w.
func (v Version) Less(w Version) bool {
	if v.Major != w.Major {
		return v.Major < w.Major
	}
	if v.Minor != w.Minor {
		return v.Minor < w.Minor
	}
	return v.Patch < w.Patch
}

// driverVersion converts the number of cuDriverGetVersion: 12040 is 12.4.
func driverVersion(n int) Version { return Version{n / 1000, n % 1000 / 10, n % 10} }

// dnnVersion converts the number of cudnnGetVersion: 8907 is 8.9.7 and, from cuDNN 9 on, 90100 is 9.1.0.
func dnnVersion(n int) Version {
	if n < 10000 {
		return Version{n / 1000, n % 1000 / 100, n % 100}
	}
	return Version{n / 10000, n % 10000 / 100, n % 100}
}
