//go:build !openblas

package main

// blas says which BLAS multiplies matrices.
const blas = "gonum's, in Go"

func setBLAS() {}
