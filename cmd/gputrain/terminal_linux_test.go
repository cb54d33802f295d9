package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rivo/uniseg"
	"golang.org/x/sys/unix"
)

// pseudoTerminal is a terminal without a screen.
type pseudoTerminal struct {
	master, slave *os.File

	mu     sync.Mutex
	screen strings.Builder
}

func newPseudoTerminal(t *testing.T, columns int) *pseudoTerminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("there are no pseudo-terminals: %v", err)
	}
	t.Cleanup(func() { _ = master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	p := &pseudoTerminal{master: master}
	if p.slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	p.resize(t, columns)
	go func() {
		buffer := make([]byte, 4096)
		for {
			n, err := master.Read(buffer)
			p.mu.Lock()
			p.screen.Write(buffer[:n])
			p.mu.Unlock()
			if err != nil { // EIO once nobody has the slave open
				return
			}
		}
	}()
	return p
}

func (p *pseudoTerminal) resize(t *testing.T, columns int) {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(p.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: uint16(columns)}); err != nil {
		t.Fatal(err)
	}
}

// written returns all that was written so far.
func (p *pseudoTerminal) written() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.screen.String()
}

// await waits until what comes after place has a match, and returns the place behind all
// that was written until then.
func (p *pseudoTerminal) await(t *testing.T, place int, want *regexp.Regexp) int {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if text := p.written(); want.MatchString(text[place:]) {
			return len(text)
		}
	}
	text := p.written()[place:]
	t.Fatalf("no %v after 30 s, at last %q", want, text[max(0, len(text)-300):])
	return 0
}

// TestTerminal trains on a terminal that gets narrower, on one that is closed, and on one
// that understands no escape sequences.
func TestTerminal(t *testing.T) {
	binary := build(t)
	inFolder(t)
	drawn := func(times int) *regexp.Regexp {
		return regexp.MustCompile(fmt.Sprintf(`(?s)(\x1b\[J[━─].*\r.*){%d}`, times))
	}
	start := func(t *testing.T, kind string) (*pseudoTerminal, *exec.Cmd) {
		terminal := newPseudoTerminal(t, 100)
		cmd := exec.Command(binary, quick("--epochs", "1000", "--limit", "3000")...)
		cmd.Env = append(os.Environ(), "TERM="+kind)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal.slave, terminal.slave, terminal.slave
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill() }) // fails where it has ended, as it should
		if err := terminal.slave.Close(); err != nil {
			t.Fatal(err)
		}
		return terminal, cmd
	}
	interrupt := func(t *testing.T, terminal *pseudoTerminal, cmd *exec.Cmd) {
		if _, err := io.WriteString(terminal.master, "\x03"); err != nil { // Ctrl-C
			t.Fatal(err)
		}
		if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != exitFailed {
			t.Errorf("Ctrl-C ended it with %v", err)
		}
		terminal.await(t, 0, regexp.MustCompile(`gputrain: interrupted in epoch .*; go on with: gputrain train --resume`))
	}
	t.Run("narrower", func(t *testing.T) {
		terminal, cmd := start(t, "xterm")
		terminal.await(t, 0, drawn(2))
		for _, columns := range []int{60, 30, 8} {
			terminal.resize(t, columns)
			place := len(terminal.written())
			place = terminal.await(t, place, drawn(1)) // which may have been on its way
			terminal.await(t, place, drawn(3))
			for _, line := range regexp.MustCompile(`\x1b\[J([━─][^\r]*)\r`).FindAllStringSubmatch(terminal.written()[place:], -1) {
				if n := uniseg.StringWidth(line[1]); n >= columns {
					t.Errorf("in %d columns a line of %d: %q", columns, n, line[1])
				}
			}
		}
		interrupt(t, terminal, cmd)
	})
	t.Run("closed", func(t *testing.T) {
		terminal, cmd := start(t, "xterm")
		terminal.await(t, 0, regexp.MustCompile(`Epoch: 1  cost`))
		dir := regexp.MustCompile(`Run +(\S+)`).FindStringSubmatch(terminal.written())[1]
		if err := terminal.master.Close(); err != nil {
			t.Fatal(err)
		}
		err := cmd.Wait()
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); err == nil || !ok || status.Signaled() || status.ExitStatus() != exitFailed {
			t.Errorf("a closed terminal ended it with %v", err)
		}
		if c := load(t, dir); c.Position.Epoch < 1 {
			t.Errorf("saved at %+v", c.Position)
		}
	})
	t.Run("dumb", func(t *testing.T) {
		terminal, cmd := start(t, "dumb")
		terminal.await(t, 0, regexp.MustCompile(`Epoch: 2  cost`))
		interrupt(t, terminal, cmd)
		if strings.Contains(terminal.written(), "\x1b") {
			t.Errorf("escape sequences for what understands none: %q", terminal.written())
		}
	})
}
