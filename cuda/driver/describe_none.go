//go:build !cuda || !cgo || !linux || !(amd64 || arm64)

package driver

import "os"

// Built reports whether this program was built with CUDA.
const Built = false

// Describe tells what this machine has of CUDA, like Open, but never fails: what is wrong is part of the answer.
func Describe() *Libraries {
	l := &Libraries{Search: os.Getenv(SearchVariable), err: ErrNotBuilt}
	for _, k := range Kinds {
		l.library(k).Kind = k
	}
	return l
}

func dnnDetail() string { return "" }
