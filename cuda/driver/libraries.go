package driver

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// SearchVariable names an environment variable with one or several folders, separated as in PATH. If it is set, the
// libraries are looked for only there. Otherwise they are looked for where the system looks for libraries, and where
// CUDA's installers put them.
const SearchVariable = "GPUTRAIN_CUDA_LIBS"

// Libraries describes what a machine has for CUDA: the libraries and the GPUs. It says why something can't be used.
type Libraries struct {
	Search  string // the value of GPUTRAIN_CUDA_LIBS; empty if it isn't set
	Driver  Library
	DNN     Library
	BLAS    Library
	BLASLt  Library // GPUs can be used without it
	NCCL    Library // one GPU can be used without it
	Devices []Device

	err error // why no GPU can be used, or why there is no library at all
}

// A Library describes one of the libraries as it was found.
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
	Index           int // as CUDA counts the GPUs, from 0
	Name            string
	Major, Minor    int    // compute capability
	Memory          uint64 // bytes
	Multiprocessors int
	PCI             string // bus address; empty if it isn't known
	Err             error  // why it can't be used; nil if it can
}

// The lowest compute capability that works: the target of the PTX in package kernels.
const minimumMajor, minimumMinor = 7, 5

// A symbol is a function of a library, which fills a slot.
type symbol struct {
	name     string
	kind     Kind
	required bool
}

// Err returns all reasons why CUDA can't be used, joined. It returns nil if a GPU can train. The error wraps those of
// ErrNoLibrary, ErrNoDevice, ErrMissingSymbol and ErrVersionTooOld that apply. A library that programs can do without is
// no reason.
func (l *Libraries) Err() error {
	return errors.Join(l.Driver.Err, l.err, l.DNN.Err, l.BLAS.Err)
}

// library returns the field for a kind.
func (l *Libraries) library(k Kind) *Library {
	switch k {
	case Driver:
		return &l.Driver
	case DNN:
		return &l.DNN
	case BLASLt:
		return &l.BLASLt
	case NCCL:
		return &l.NCCL
	}
	return &l.BLAS
}

// Has reports whether a function was found. Its name is the one that the library exports, for example cuMemAlloc_v2.
func (l *Libraries) Has(symbol string) bool {
	for _, s := range symbols {
		if s.name == symbol {
			lib := l.library(s.kind)
			return lib.Path != "" && lib.Err == nil && !slices.Contains(lib.Missing, symbol)
		}
	}
	return false
}

// judge sets Err if the device can't be used. prohibited is what the driver says about its compute mode.
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

// String lists what was found, one line each, and what is wrong.
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
	if l.BLASLt.Err != nil && l.BLAS.Err == nil {
		fmt.Fprintf(&b, "%-12s not used: %v\n", BLASLt, l.BLASLt.Err)
	}
	if l.NCCL.Err != nil && l.BLAS.Err == nil {
		fmt.Fprintf(&b, "%-12s not used, and needed only for several GPUs: %v\n", NCCL, l.NCCL.Err)
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
