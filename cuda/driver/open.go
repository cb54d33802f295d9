// Package driver finds NVIDIA's libraries at run time and makes their functions callable, so that one binary starts
// with or without them, and building it needs no CUDA.
//
// The functions of CUDA that gorgonia.org/cu, cu/dnn, cu/blas and this module's cgo call are defined in assembly. Each
// of them jumps to the address in its slot. [Open] loads libcuda, libcudnn and libcublas, and writes the addresses of
// their functions to the slots. A slot without an address returns the library's own "not initialised" or "not
// supported". So no call ever ends the process.
//
// The functions are listed in functions.txt. The folder include holds our declarations of the API; a build sets
// CGO_CFLAGS=-I.../cuda/driver/include to find them.
//
// All this needs the build tag cuda, cgo, and Linux on amd64 or arm64. Other builds have the same Go functions, which
// return [ErrNotBuilt].
package driver

//go:generate go run generate.go

// Open loads the libraries, once for the process, and looks at the GPUs. It fails, with everything that is wrong, unless
// all three libraries and at least one GPU can be used; after a failure it may be tried again.
//
// It has to be called before any other function of CUDA, those of gorgonia's packages included.
func Open() (*Libraries, error) {
	l := Describe()
	if err := l.Err(); err != nil {
		return nil, err
	}
	return l, nil
}
