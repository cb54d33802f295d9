//go:build !windows

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gputrain/gputrain/cuda/driver"
)

// process is a gputrain process under test.
type process struct {
	*exec.Cmd
	lines  chan string // of standard output
	errors bytes.Buffer
}

func startProcess(t testing.TB, binary string, args ...string) *process {
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

// await waits for a line with a text and returns it.
func (p *process) await(t testing.TB, text string) string {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				t.Fatalf("ended without %q: %s", text, p.errors.String())
			}
			if strings.Contains(line, text) {
				return line
			}
		case <-deadline:
			t.Fatalf("no line with %q after 30 s", text)
		}
	}
}

// wait waits for the end and returns the exit status, or the signal that killed.
func (p *process) wait(t testing.TB) (status int, killed syscall.Signal) {
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

// builtFolder holds the program, once a test has asked for it.
var builtFolder string

// built builds the program where it is first asked for, with CUDA if the tests have it.
var built = sync.OnceValues(func() (binary string, err error) {
	if builtFolder, err = os.MkdirTemp("", "gputrain-built-"); err != nil {
		return "", err
	}
	binary = filepath.Join(builtFolder, "gputrain")
	args := []string{"build", "-o", binary}
	if driver.Built {
		args = append(args, "-tags", "cuda")
	}
	if out, err := exec.Command("go", append(args, "github.com/gputrain/gputrain/cmd/gputrain")...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return binary, nil
})

// ownProcess is set in the environment of a test that runs alone in its process.
const ownProcess = "GPUTRAIN_TEST_OWN_PROCESS"

func TestMain(m *testing.M) {
	// What a script starts in its background ignores SIGINT, and so would all that the tests start.
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGHUP} {
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
	// CUDA's libraries stay loaded until a process ends, so the first test that looks for them would decide for all. Here
	// none is found, whatever the machine has. Tests of a GPU, real or simulated, run in processes of their own.
	empty, err := os.MkdirTemp("", "gputrain-no-cuda")
	if err != nil {
		panic(err)
	}
	if os.Getenv(ownProcess) == "" {
		os.Setenv(driver.SearchVariable, empty)
	}
	status := m.Run()
	_ = os.Remove(empty) // in the system's folder of what may go
	if builtFolder != "" {
		_ = os.RemoveAll(builtFolder) // in the system's folder of what may go
	}
	os.Exit(status)
}

// build returns the path of the program, which all tests share. It is called before a
// test leaves the module.
func build(t testing.TB) string {
	t.Helper()
	binary, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// startServe starts gputrain serve at a free port, and returns it with the address
// of its page.
func startServe(t testing.TB, binary string, args ...string) (p *process, page string) {
	t.Helper()
	p = startProcess(t, binary, append([]string{"serve", "--device", "cpu", "--address", "127.0.0.1:0"}, args...)...)
	return p, strings.TrimSpace(strings.TrimPrefix(p.await(t, "http://"), "Page"))
}
