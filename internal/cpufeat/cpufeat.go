// Package cpufeat tells which kernel tiers this processor can run.
//
// A tier is an instruction set that kernels are written for. Tiers are
// available if the processor and the operating system support them. The
// environment variable [Env] forces one tier. The build tag noasm leaves only
// [Portable].
package cpufeat

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// Env is the environment variable that forces a tier by its name. If it is
// unset or empty, the widest available tier is used.
const Env = "GPUTRAIN_CPU"

// Tier is an instruction set. Of those that one processor has, a higher one has wider instructions.
type Tier int

// The tiers.
const (
	Portable Tier = iota // plain Go
	AVX2                 // AVX2 and FMA
	AVX512               // AVX-512 F, BW, DQ and VL
	NEON                 // Advanced SIMD of arm64
)

var names = [...]string{Portable: "portable", AVX2: "avx2", AVX512: "avx512", NEON: "neon"}

// String returns the tier's name, as it is written in Env.
func (t Tier) String() string { return names[t] }

// Available returns the tiers that can run here, from the plainest to the
// widest.
func Available() []Tier {
	tiers := []Tier{Portable}
	for _, t := range []Tier{AVX2, AVX512, NEON} {
		if supported(t) {
			tiers = append(tiers, t)
		}
	}
	return tiers
}

// Select returns the tier that Env names. If Env is unset or empty, it returns
// the widest available tier. Its errors are those of [Parse].
func Select() (Tier, error) {
	name := os.Getenv(Env)
	if name == "" {
		available := Available()
		return available[len(available)-1], nil
	}
	t, err := Parse(name)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", Env, err)
	}
	return t, nil
}

// Parse returns the tier with the given name. It fails if the name is unknown,
// or if the tier is not available here.
func Parse(name string) (Tier, error) { return parse(name, Available()) }

func parse(name string, available []Tier) (Tier, error) {
	var usable []string
	for _, t := range available {
		if t.String() == name {
			return t, nil
		}
		usable = append(usable, t.String())
	}
	why := "unknown"
	if slices.Contains(names[:], name) {
		why = "not available on this processor or in this build"
	}
	return 0, fmt.Errorf("kernel tier %q is %s: use one of %s", name, why, strings.Join(usable, ", "))
}
