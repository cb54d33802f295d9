//go:build unix

package serve

import "syscall"

func readDescriptor(fd uintptr, p []byte) (int, error) { return syscall.Read(int(fd), p) }
