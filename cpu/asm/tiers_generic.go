//go:build noasm || !amd64

package asm

import "github.com/gputrain/gputrain/internal/cpufeat"

// tiers are the kernels of each tier in this build.
var tiers = [...]*Kernels{cpufeat.Portable: portable, cpufeat.AVX512: nil}
