//go:build !windows

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestBashCompletion completes lines, each up to its last word, in bash.
func TestBashCompletion(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash to complete words in")
	}
	binary := build(t)
	cases := []struct {
		line string // a space at the end begins an empty word
		want string
	}{
		{"gputrain ev", "eval"},
		{"gputrain models show l", "lenet5"},
		{"gputrain train --device ", "auto cpu reference cuda"},
		{"gputrain train --device c", "cpu cuda"},
		{"gputrain train --epo", "--epochs"},
		{"gputrain train --data ", ""}, // bash completes files
		{"gputrain train --run ", ""},
		{"gputrain train --checkpoint", "--checkpoint-every"},
		{"gputrain train --model min", ""},
		{"gputrain predict --verbose ", ""},
		// bash's own words: it breaks at =.
		{"gputrain train --device =", "auto cpu reference cuda"},
		{"gputrain train --device = c", "cpu cuda"},
		{"gputrain train --device = cpu --recipe ", strings.Join(recipeNames(), " ")},
		{"gputrain recipes show cifar9", "cifar94 cifar95 cifar96"},
		{"gputrain train --device = cpu --epo", "--epochs"},
		// Where = is taken out of COMP_WORDBREAKS.
		{"gputrain train --device=c", "--device=cpu --device=cuda"},
		{"gputrain train --data = min", ""},
		{"gputrain bench --to-acc", "--to-accuracy"},
		{"gputrain bench --to-accuracy 94 --recipe tut", "tutorial"},
		{"gputrain help mod", "models"},
		{"gputrain help models ", "show"},
		{"gputrain completion ", "bash fish zsh"},
	}
	// One shell for all: starting one takes longer than completing a word.
	script := `source <(gputrain completion bash)
		completed() {
			COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
			_gputrain
			echo "${COMPREPLY[@]}"
		}
`
	for _, c := range cases {
		script += "completed '" + strings.Join(strings.Split(c.line, " "), "' '") + "'\n"
	}
	shell := exec.Command(bash, "-c", script)
	shell.Env = append(os.Environ(), "PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"))
	out, err := shell.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(lines) != len(cases) {
		t.Fatalf("%d answers to %d lines:\n%s", len(lines), len(cases), out)
	}
	for i, c := range cases {
		got, want := strings.Fields(lines[i]), strings.Fields(c.want)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%q completes to %q, want %q", c.line, got, want)
		}
	}
}
