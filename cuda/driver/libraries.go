package driver

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// SearchVariable names an environment variable. If it is set, the libraries are looked for only in the folder that it holds,
// or in several folders, separated as in PATH. Otherwise they are looked for where the system looks for libraries.
const SearchVariable = "GPUTRAIN_CUDA_LIBS"

// Libraries describes what a machine has for CUDA: the three libraries and the GPUs. Where something can't be used, it says why.
type Libraries struct {
	Search  string // the value of GPUTRAIN_CUDA_LIBS
	Driver  Library
	DNN     Library
	BLAS    Library
	Devices []Device

	err error // of the driver's start, or why there is no library at all
}

// A Library describes one of the three libraries, as it was found.
type Library struct {
	Kind    Kind
	Path    string   // the file; empty if none was loaded
	Version Version  // the version that the library reports
	Missing []string // optional functions that it lacks; calls to them return "not supported"
	Passed  []error  // an error for each file that was tried before Path, and can't be used
	Err     error    // why no file can be used; nil if one can
}

// A Device is a GPU.
type Device struct {
	Index           int // as CUDA counts them
	Name            string
	Major, Minor    int    // compute capability
	Memory          uint64 // bytes
	Multiprocessors int
	PCI             string // bus address
	Err             error  // why it can't be used
}

// The oldest compute capability that works: the target of the PTX in package kernels.
const minimumMajor, minimumMinor = 7, 5

// A symbol is a function that fills a slot.
type symbol struct {
	name     string
	kind     Kind
	required bool
}

// Err returns all reasons why CUDA can't be used, joined, or nil where a GPU can train. It wraps those of ErrNoLibrary,
// ErrNoDevice, ErrMissingSymbol and ErrVersionTooOld that apply.
func (l *Libraries) Err() error {
	return errors.Join(l.Driver.Err, l.err, l.DNN.Err, l.BLAS.Err)
}

// library gives the field for a kind.
func (l *Libraries) library(k Kind) *Library {
	switch k {
	case Driver:
		return &l.Driver
	case DNN:
		return &l.DNN
	}
	return &l.BLAS
}

// Has reports whether a function was found. Its name is the one that the library exports: cuMemAlloc_v2, for example.
func (l *Libraries) Has(symbol string) bool {
	for _, s := range symbols {
		if s.name == symbol {
			lib := l.library(s.kind)
			return lib.Path != "" && lib.Err == nil && !slices.Contains(lib.Missing, symbol)
		}
	}
	return false
}

// judge decides whether a device can be used, with what the driver said of its compute mode.
func (d *Device) judge(prohibited bool) {
	switch {
	case d.Major < minimumMajor || d.Major == minimumMajor && d.Minor < minimumMinor:
		d.Err = fmt.Errorf("compute capability %d.%d is below %d.%d", d.Major, d.Minor, minimumMajor, minimumMinor)
	case prohibited:
		d.Err = errors.New("its compute mode is prohibited (nvidia-smi --compute-mode)")
	}
}

func (d Device) String() string {
	text := fmt.Sprintf("%s, compute capability %d.%d, %d multiprocessors, %.1f GiB", d.Name, d.Major, d.Minor,
		d.Multiprocessors, float64(d.Memory)/(1<<30))
	if d.PCI != "" {
		text += ", " + d.PCI
	}
	if d.Err != nil {
		text += ": not usable: " + d.Err.Error()
	}
	return text
}

// String lists everything that was found, a line each, and what is wrong.
func (l *Libraries) String() string {
	var b strings.Builder
	if l.Search != "" {
		fmt.Fprintf(&b, "%s=%s\n", SearchVariable, l.Search)
	}
	for _, k := range Kinds {
		lib := l.library(k)
		for _, passed := range lib.Passed {
			fmt.Fprintf(&b, "%-12s passed over: %v\n", k, passed)
		}
		if lib.Path != "" && lib.Err == nil {
			fmt.Fprintf(&b, "%-12s %-8s %s", k, lib.Version, lib.Path)
			if n := len(lib.Missing); n > 0 {
				fmt.Fprintf(&b, " (without %d optional functions)", n)
			}
			b.WriteByte('\n')
		}
	}
	for _, d := range l.Devices {
		fmt.Fprintf(&b, "%-12s %v\n", fmt.Sprintf("GPU %d", d.Index), d)
	}
	if err := l.Err(); err != nil {
		for _, line := range strings.Split(err.Error(), "\n") {
			fmt.Fprintf(&b, "not usable:  %s\n", line)
		}
	}
	return b.String()
}
