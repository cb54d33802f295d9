package main

import (
	"os"
	"strings"
)

// invocation is how this program is started from where the user stands, for
// command lines that are shown to be typed.
func invocation() string {
	exe, err := os.Executable()
	if err != nil {
		return "gputrain"
	}
	return invocationOf(exe)
}

// invocationOf returns the invocation of an executable. One in a folder of the Go
// tool's was started by "go run".
func invocationOf(exe string) string {
	if strings.Contains(exe, "go-build") && !strings.HasSuffix(strings.TrimSuffix(exe, ".exe"), ".test") {
		return "go run ./cmd/gputrain"
	}
	return "gputrain"
}
