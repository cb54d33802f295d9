// Package driver finds NVIDIA's libraries at run time and makes their functions callable. So one program runs with or
// without the libraries, and building it needs no CUDA.
//
// Programs call CUDA's functions through gorgonia.org/cu, cu/dnn, cu/blas and this module's cgo. Here these functions
// are defined in assembly. Each of them jumps to the address in its slot. [Open] loads libcuda, libcudnn,
// libcublas and libcublasLt, and writes the addresses of their functions to the slots. A function without an address returns the
// library's own "not initialised" or "not supported". So no call ever ends the process.
//
// The functions are listed in functions.txt. The folder include holds our declarations of the API. A build finds them
// by CGO_CFLAGS=-I.../cuda/driver/include.
//
// All this needs the build tag cuda, cgo, and Linux on amd64 or arm64. Other builds have the same Go functions, which
// return [ErrNotBuilt].
package driver

//go:generate go run generate.go

// Open loads the libraries and looks for GPUs. It fails unless at least one GPU and all libraries except libcublasLt can be
// used. Its error holds everything that is wrong; see [Libraries.Err]. A library is loaded once for the process. After
// a failure Open may be called again.
//
// Open must be called before any other function of CUDA, and also before functions of gorgonia.org/cu and its
// packages.
func Open() (*Libraries, error) {
	l := Describe()
	if err := l.Err(); err != nil {
		return nil, err
	}
	return l, nil
}
