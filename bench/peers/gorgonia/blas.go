//go:build !openblas

package main

// blas names the BLAS that multiplies matrices.
const blas = "gonum's, in Go"

func setBLAS() {}
