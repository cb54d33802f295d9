//go:build !cuda || !cgo || !linux || !(amd64 || arm64)

package driver

import "os"

// Built reports whether this program was built with CUDA.
const Built = false

// Describe looks for the libraries and GPUs as [Open] does, but never fails. In this build its answer is that there is
// no CUDA.
func Describe() *Libraries {
	l := &Libraries{Search: os.Getenv(SearchVariable), err: ErrNotBuilt}
	for _, k := range Kinds {
		l.library(k).Kind = k
	}
	return l
}

func dnnDetail() string { return "" }

func ncclDetail() string { return "" }
