// Package driver finds NVIDIA's libraries at run time and makes their functions callable, so that one binary starts
// with or without them, and building it needs no CUDA.
//
// Assembly defines every function that gorgonia.org/cu, cu/dnn, cu/blas and this module's cgo call, each a jump through
// a slot. Open loads libcuda, libcudnn and libcublas and fills the slots; a slot without a function returns the
// library's own "not initialised" or "not supported", so no call ever ends the process. The list of functions is
// functions.txt; include holds our declarations of the API, for which a build sets CGO_CFLAGS=-I.../cuda/driver/include.
//
// All this is behind the build tag cuda (and needs cgo, and Linux on amd64 or arm64). A build without it has the same
// functions, and they answer ErrNotBuilt.
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
