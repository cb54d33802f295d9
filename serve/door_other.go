//go:build !unix

package serve

import "errors"

// readDescriptor finds nothing: a socket can't be read there without waiting.
func readDescriptor(uintptr, []byte) (int, error) { return 0, errors.ErrUnsupported }
