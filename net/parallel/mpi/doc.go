// Package mpi connects processes by MPI, on one machine or on several, as a
// [net.Communicator]:
//
//	mpirun -n 4 program
//
// [Open] finds the library at run time, so a program that is built with this package runs
// without it too. Open MPI, MPICH and those with MPICH's binary interface (Intel MPI, MVAPICH,
// Cray MPICH), and libraries with the standard interface of MPI 5 can be used. The package
// needs cgo, and Linux or macOS. Without these, Open gives [ErrNoMPI].
package mpi

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gputrain/gputrain/net"
)

// Communicator is this process's connection to the processes that were started with it.
type Communicator interface {
	net.Communicator
	// Family returns whose binary interface the library has.
	Family() Family
	// Library returns the library's own name and version, and the name by which it was found.
	Library() (version, path string)
	// Abort ends all processes, this one too, with an exit status. It does not return.
	Abort(status int)
	// Close leaves the group. It returns when all processes have called it. After it, MPI
	// can't be opened again.
	Close() error
}

// LibraryVariable names the environment variable with the path or file name of the library
// that Open takes.
const LibraryVariable = "GPUTRAIN_MPI"

// ErrNoMPI means that there is no MPI that can be used.
var ErrNoMPI = errors.New("no MPI")

// Family says whose binary interface a library has.
type Family string

// The families.
const (
	OpenMPI  Family = "Open MPI"
	MPICH    Family = "MPICH"
	Standard Family = "MPI 5's standard interface"
)

// names returns the file names to look for: those of a family first, or if it is "" those
// that are most common. A launcher can start programs with the standard interface too.
func names(first Family, suffix func(string) string) []string {
	all := map[Family][]string{
		OpenMPI:  {"libmpi.so.40"},
		MPICH:    {"libmpich.so.12", "libmpi.so.12"},
		Standard: {"libmpi_abi.so.1", "libmpi_abi.so.0"},
	}
	var list []string
	order := []Family{OpenMPI, MPICH, Standard}
	if first != "" {
		order = []Family{first, Standard, OpenMPI, MPICH}
	}
	for _, f := range order {
		for _, name := range all[f] {
			list = append(list, suffix(name))
		}
		delete(all, f)
	}
	return list
}

// notFound returns the error for libraries that could not be opened, each with its reason.
func notFound(tried []string) error {
	return fmt.Errorf("%w: %s. Install Open MPI (Debian and Ubuntu: apt-get install openmpi-bin) or MPICH (apt-get install mpich), or name a library in %s",
		ErrNoMPI, strings.Join(tried, "; "), LibraryVariable)
}

// shortVersion returns the name and the number of what a library says of its version, such as
// "Open MPI v4.1.4, package: ..." or "MPICH Version:	4.0.2".
func shortVersion(s string) string {
	s, _, _ = strings.Cut(strings.TrimRight(s, "\x00"), "\n")
	s, _, _ = strings.Cut(s, ",")
	return strings.Join(strings.Fields(strings.Replace(s, "Version:", "", 1)), " ")
}
