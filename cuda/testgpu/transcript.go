package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// transcript records for the report what a step did and saw.
type transcript struct {
	text   strings.Builder
	report *report
}

// top adds a line to the top of the report.
func (t *transcript) top(name, text string) {
	t.report.machine = append(t.report.machine, name+"\t"+text)
}

func (t *transcript) printf(format string, args ...any) { fmt.Fprintf(&t.text, format, args...) }

// A command is a program to run, and how its folder and environment differ from this process's.
type command struct {
	args []string
	dir  string
	env  []string
	keep func(line string) bool // selects lines of its output for the report; nil: all
}

// longest is the most bytes of one command's output in the report. The middle of longer output is left out.
const longest = 200_000

// run runs a command and returns what it printed. The error tells how it ended.
func (t *transcript) run(ctx context.Context, c command) (string, error) {
	for _, v := range c.env {
		t.printf("\n%s \\", v)
	}
	t.printf("\n$ %s\n", strings.Join(c.args, " "))
	process := exec.CommandContext(ctx, c.args[0], c.args[1:]...)
	process.Dir = c.dir
	process.Env = append(environment(), c.env...)
	// A training run that is interrupted saves what it has. A program that doesn't end then is killed.
	process.Cancel = func() error { return process.Process.Signal(os.Interrupt) }
	process.WaitDelay = 5 * time.Second
	var out bytes.Buffer
	process.Stdout, process.Stderr = &out, &out
	began := time.Now()
	err := process.Run()
	t.printf("%s", shortened(out.String(), c.keep))
	var exit *exec.ExitError
	switch {
	case err == nil:
		t.printf("(%s)\n", seconds(time.Since(began)))
	case errors.As(err, &exit):
		t.printf("(%s, %v)\n", seconds(time.Since(began)), exit)
		err = fmt.Errorf("%s: %v: %s", name(c.args), exit, lastLine(out.String()))
	default:
		t.printf("(%v)\n", err)
	}
	return out.String(), err
}

// name returns what errors call a command.
func name(args []string) string {
	base := args[0][strings.LastIndexByte(args[0], '/')+1:]
	if len(args) > 1 && !strings.HasPrefix(args[1], "-") {
		base += " " + args[1]
	}
	return base
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// environment returns this process's environment without the variables for gputrain's flags, so that tests are the
// same for everyone.
func environment() []string {
	var kept []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "GPUTRAIN_") || strings.HasPrefix(v, "GPUTRAIN_CUDA_LIBS=") {
			kept = append(kept, v)
		}
	}
	return kept
}

// shortened returns the lines of text to keep. It leaves out the middle if they are too long.
func shortened(text string, keep func(string) bool) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if keep == nil || keep(line) {
			b.WriteString(line)
		}
	}
	text = b.String()
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	if len(text) <= longest {
		return text
	}
	head, tail := text[:longest/2], text[len(text)-longest/2:]
	return fmt.Sprintf("%s\n... %d bytes left out ...\n%s", head, len(text)-longest, tail)
}
