//go:build !windows

package main

import (
	"bufio"
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gputrain/gputrain/internal/runfolder"
	"github.com/gputrain/gputrain/net"
)

// process is a gputrain process under test.
type process struct {
	*exec.Cmd
	lines  chan string // of standard output
	errors bytes.Buffer
}

func startProcess(t *testing.T, binary string, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(binary, args...), lines: make(chan string, 1000)}
	p.Stderr = &p.errors
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Process.Kill() }) // fails where it has ended, as it should
	go func() {
		defer close(p.lines)
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			p.lines <- scanner.Text()
		}
	}()
	return p
}

// await waits for a line with a text.
func (p *process) await(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				t.Fatalf("ended without %q: %s", text, p.errors.String())
			}
			if strings.Contains(line, text) {
				return
			}
		case <-deadline:
			t.Fatalf("no line with %q after 30 s", text)
		}
	}
}

// wait waits for the end and returns the exit status, or the signal that killed.
func (p *process) wait(t *testing.T) (status int, killed syscall.Signal) {
	t.Helper()
	for range p.lines { // all of it is read before Wait, which closes the pipe
	}
	var exit *exec.ExitError
	if err := p.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	state := p.ProcessState.Sys().(syscall.WaitStatus)
	if state.Signaled() {
		return -1, state.Signal()
	}
	return state.ExitStatus(), 0
}

func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "gputrain")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return binary
}

// TestInterrupt stops a run in the middle of an epoch with each signal, goes on
// by the command line that it prints, and compares the weights with those of a
// run that was left alone.
func TestInterrupt(t *testing.T) {
	binary := build(t)
	inFolder(t)
	args := quick("--limit", "50000", "--epochs", "2")
	must(t, append(args, "--run", "whole")...)
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		dir := signal.String() + " run"
		p := startProcess(t, binary, append(args, "--run", dir, "--json")...)
		p.await(t, `"event":"progress"`)
		if err := p.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		status, killed := p.wait(t)
		if status != exitFailed || killed != 0 {
			t.Errorf("%v: status %d, killed by %d; want status %d", signal, status, killed, exitFailed)
		}
		before, command, ok := strings.Cut(p.errors.String(), "go on with: ")
		want := "gputrain train --resume '" + filepath.Join(runsFolder, dir) + "' --epochs 2 --limit 50000 --json\n"
		if !ok || !strings.HasPrefix(before, "gputrain: interrupted in epoch ") || command != want {
			t.Fatalf("%v: %q, want a command line %q", signal, p.errors.String(), want)
		}
		shell := exec.Command("sh", "-c", command)
		shell.Env = append(os.Environ(), "PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"))
		if out, err := shell.CombinedOutput(); err != nil || !bytes.Contains(out, []byte(`"resumed":`)) {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
		sameWeights(t, filepath.Join(runsFolder, "whole"), filepath.Join(runsFolder, dir))
	}
}

// TestKilledRun kills a run at random moments, lets it go on each time, and compares
// what is left in its folder with what a run leaves that was left alone.
func TestKilledRun(t *testing.T) {
	binary := build(t)
	inFolder(t)
	args := quick("--limit", "20000", "--epochs", "6", "--checkpoint-every", "37", "--json")
	must(t, append(args, "--run", "whole")...)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	killed := filepath.Join(runsFolder, "killed")
	args = append(args, "--run", "killed")
	for range 5 {
		p := startProcess(t, binary, args...)
		p.await(t, `"event":"checkpoint"`)
		time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond)
		if err := p.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		p.wait(t)
		if _, err := runfolder.ReadMetrics(killed); err != nil {
			t.Error(err)
		}
		if _, err := runfolder.ReadRecord(killed); err != nil {
			t.Error(err)
		}
		t.Logf("killed at step %d", load(t, killed).State.Step)
		args = []string{"train", "--resume", "killed", "--limit", "20000", "--checkpoint-every", "37", "--json"}
	}
	must(t, args...)
	whole := filepath.Join(runsFolder, "whole")
	sameWeights(t, whole, killed)
	if got, want := history(t, killed), history(t, whole); !slices.Equal(got, want) {
		t.Errorf("metrics\n%s, want\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestSecondInterrupt checks that a second Ctrl-C stops at once: the first one's
// orderly end is kept from finishing by a device that is slow.
func TestSecondInterrupt(t *testing.T) {
	binary := build(t)
	inFolder(t)
	// A step of so many images by plain loops takes far longer than the test
	// waits.
	p := startProcess(t, binary, "train", "--device", "reference", "--model", "tutorial", "--batch", "200", "--run", "run")
	p.await(t, "Run ")
	for range 2 {
		time.Sleep(200 * time.Millisecond)
		if err := p.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
	}
	if status, killed := p.wait(t); killed != syscall.SIGINT {
		t.Errorf("status %d, killed by %d; want killed by %d", status, killed, syscall.SIGINT)
	}
	if _, err := os.Stat(filepath.Join(runsFolder, "run", net.LastCheckpoint)); err == nil {
		t.Error("there is a checkpoint, so that the first Ctrl-C was waited for")
	}
}
