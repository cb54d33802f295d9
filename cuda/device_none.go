//go:build !(cuda && cgo && linux && (amd64 || arm64))

package cuda

import (
	"github.com/gputrain/gputrain/cuda/driver"
	"github.com/gputrain/gputrain/net"
)

// Device is one GPU in builds with CUDA. This build has none.
type Device struct{ net.Device }

// Open returns [driver.ErrNotBuilt]: this build has no CUDA.
func Open(Options) (*Device, error) { return nil, driver.ErrNotBuilt }

// Join returns [driver.ErrNotBuilt].
func (*Device) Join(GroupOptions) (*Group, error) { return nil, driver.ErrNotBuilt }

// Group is a GPU's connection to others in builds with CUDA. This build has none.
type Group struct{ net.Communicator }

// Abort does nothing.
func (*Group) Abort() {}

// NewUniqueID returns [driver.ErrNotBuilt].
func NewUniqueID() (UniqueID, error) { return UniqueID{}, driver.ErrNotBuilt }

// Precision returns the empty one.
func (*Device) Precision() Precision { return "" }
