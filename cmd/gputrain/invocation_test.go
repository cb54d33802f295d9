package main

import "testing"

func TestInvocation(t *testing.T) {
	for exe, want := range map[string]string{
		"/usr/local/bin/gputrain":                         "gputrain",
		"/home/me/.cache/go-build/b9/b916-d/gputrain":     "go run ./cmd/gputrain",
		"/tmp/go-build416/b001/exe/gputrain":              "go run ./cmd/gputrain",
		`C:\Users\me\AppData\go-build1\b001\gputrain.exe`: "go run ./cmd/gputrain",
		"/tmp/go-build416/b001/gputrain.test":             "gputrain",
		`C:\Users\me\AppData\go-build1\gputrain.test.exe`: "gputrain",
	} {
		if got := invocationOf(exe); got != want {
			t.Errorf("started as %s: %q, want %q", exe, got, want)
		}
	}
}
