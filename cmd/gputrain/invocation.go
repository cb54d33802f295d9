package main

import (
	"os"
	"strings"
)

// invocation returns the words that start this program from the current folder. It is for command lines that the user
// may type.
func invocation() string {
	exe, err := os.Executable()
	if err != nil {
		return "gputrain"
	}
	return invocationOf(exe)
}

// invocationOf returns the invocation of an executable. If the executable is in a temporary folder of the Go tool, it
// was started by "go run".
func invocationOf(exe string) string {
	if strings.Contains(exe, "go-build") && !strings.HasSuffix(strings.TrimSuffix(exe, ".exe"), ".test") {
		return "go run ./cmd/gputrain"
	}
	return "gputrain"
}
