//go:build noasm || !(amd64 || arm64)

package asm

import "github.com/gputrain/gputrain/internal/cpufeat"

// tiers holds the kernels of each tier in this build: only the portable ones.
var tiers = [...]*Kernels{cpufeat.Portable: portable, cpufeat.NEON: nil}
