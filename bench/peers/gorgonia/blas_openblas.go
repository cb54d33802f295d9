//go:build openblas

package main

// #cgo LDFLAGS: -lopenblas
// void openblas_set_num_threads(int n);
import "C"

import (
	"runtime"

	"gonum.org/v1/netlib/blas/netlib"
	"gorgonia.org/gorgonia"
)

// blas names the BLAS that multiplies matrices.
const blas = "OpenBLAS"

func setBLAS() {
	C.openblas_set_num_threads(C.int(runtime.GOMAXPROCS(0)))
	gorgonia.Use(netlib.Implementation{})
}
