//go:build !(cgo && (linux || darwin))

package mpi

import "fmt"

// Open gives ErrNoMPI: this program was built without cgo, or for another system.
func Open(Family, int) (Communicator, error) {
	return nil, fmt.Errorf("%w: this program was built without a C compiler (CGO_ENABLED=1), or for a system other than Linux and macOS", ErrNoMPI)
}
