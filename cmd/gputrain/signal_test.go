//go:build !windows

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gputrain/gputrain/internal/runfolder"
	"github.com/gputrain/gputrain/internal/testenv"
	"github.com/gputrain/gputrain/net"
)

// TestInterrupt stops a run in the middle of an epoch with each signal, goes on
// by the command line that it prints, and compares the weights with those of a
// run that was left alone.
func TestInterrupt(t *testing.T) {
	binary := build(t)
	inFolder(t)
	args := quick("--limit", "50000", "--epochs", "2")
	must(t, append(args, "--run", "whole")...)
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		dir := signal.String() + " run"
		p := startProcess(t, binary, append(args, "--run", dir, "--json")...)
		p.await(t, `"event":"progress"`)
		times := 1
		if signal == syscall.SIGHUP {
			times = 3 // as from a terminal that closes: of the system and of the shell
		}
		for range times {
			if err := p.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
		}
		status, killed := p.wait(t)
		if status != exitFailed || killed != 0 {
			t.Errorf("%v: status %d, killed by %d; want status %d", signal, status, killed, exitFailed)
		}
		before, command, ok := strings.Cut(p.errors.String(), "go on with: ")
		want := "gputrain train --resume '" + filepath.Join(runsFolder, dir) + "' --epochs 2 --json\n"
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

// TestHangupIgnored: what nohup started goes on when its terminal is closed.
func TestHangupIgnored(t *testing.T) {
	binary := build(t)
	inFolder(t)
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no shell to ignore the signal")
	}
	p := startProcess(t, sh, append([]string{"-c", `trap '' HUP; exec "$@"`, "sh", binary}, quick("--limit", "50000", "--run", "run", "--json")...)...)
	p.await(t, `"event":"progress"`)
	if err := p.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.await(t, `"event":"done"`)
	if status, killed := p.wait(t); status != exitOK || killed != 0 {
		t.Errorf("status %d, killed by %d: %s", status, killed, p.errors.String())
	}
}

// TestKilledRun kills a run at random moments, lets it go on each time, and compares
// what is left in its folder with what a run leaves that was left alone.
func TestKilledRun(t *testing.T) {
	binary := build(t)
	inFolder(t)
	args := quick("--limit", "20000", "--epochs", "6", "--checkpoint-every", "37", "--json")
	must(t, append(args, "--run", "whole")...)
	rng := testenv.Rand(t)
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

// TestKilledBeforeCheckpoint kills a run before its first checkpoint: it can be begun
// again under its name, and nothing goes on with an older one in silence.
func TestKilledBeforeCheckpoint(t *testing.T) {
	binary := build(t)
	inFolder(t)
	must(t, quick("--epochs", "1", "--run", "older")...)
	args := quick("--limit", "50000", "--epochs", "2", "--checkpoint-every", "0", "--run", "mine")
	p := startProcess(t, binary, append(args, "--json")...)
	p.await(t, `"event":"progress"`)
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.wait(t)
	dir := filepath.Join(runsFolder, "mine")
	again := "the run in " + dir + " was ended before its first checkpoint; begin it again with: " + invocation() + " " + strings.Join(args, " ") + " --json"
	refuses(t, exitFailed, again, "train", "--resume", "mine")
	refuses(t, exitFailed, again, "eval", "--run", "mine")
	// No older run is gone on with in silence.
	o := gputrain(t, "train", "--resume", "--limit", "1000", "--epochs", "2")
	if want := "note: this goes on with " + filepath.Join(runsFolder, "older") + ": " + again + "\n"; o.status != exitOK || !strings.Contains(o.errors, want) {
		t.Errorf("status %d, %swant %s", o.status, o.errors, want)
	}
	must(t, append(args, "--epochs", "1", "--limit", "1000")...)
	if files, err := filepath.Glob(filepath.Join(dir, "train", "*")); err != nil || len(files) != 1 {
		t.Errorf("event files %q (%v), want those of the second beginning", files, err)
	}
	if lines := history(t, dir); len(lines) == 0 || slices.Contains(lines[1:], lines[0]) {
		t.Errorf("the metrics are of two beginnings:\n%s", strings.Join(lines, "\n"))
	}
	// A run that is being trained is left alone.
	p = startProcess(t, binary, append(quick("--limit", "50000", "--epochs", "2", "--checkpoint-every", "0", "--run", "busy"), "--json")...)
	p.await(t, `"event":"progress"`)
	if _, ended := runfolder.Unsaved(filepath.Join(runsFolder, "busy")); ended {
		t.Error("a run that is being trained is said to have ended")
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

// TestEndlessInputs names pipes that nobody writes to and devices without an end where a
// file is asked for: they are refused, or read up to a limit, or waited for until the
// first signal.
func TestEndlessInputs(t *testing.T) {
	binary := build(t)
	inFolder(t)
	if err := syscall.Mkfifo("pipe", 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, quick("--epochs", "1")...)
	const device = "/dev/zero"
	for _, c := range []struct{ line, want string }{
		{"eval --checkpoint pipe", "is a named pipe, not a regular file"},
		{"serve --checkpoint " + device, "is a device or a socket, not a regular file"},
		{"import pipe", "is a named pipe, not a regular file"},
		{"import " + device, "is a device or a socket, not a regular file"},
		{"models show " + device, "more than 16 MiB"},
		{"train --recipe " + device, "more than 16 MiB"},
		{"train --augment " + device, "more than 16 MiB"},
		{"serve --token-file " + device, "want a token on one line"},
		{"data " + device, "not a directory"},
	} {
		o := gputrain(t, strings.Fields(c.line)...)
		if o.status == exitOK || !strings.Contains(o.errors, c.want) || strings.Count(o.errors, "\n") != 1 {
			t.Errorf("%s: status %d, %swant %s", c.line, o.status, o.errors, c.want)
		}
	}
	for _, line := range []string{"models show pipe", "train --model pipe", "predict pipe"} {
		p := startProcess(t, binary, strings.Fields(line)...)
		time.Sleep(200 * time.Millisecond) // until it waits for the pipe; if it doesn't yet, it ends as well
		if err := p.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if status, killed := p.wait(t); killed != 0 && killed != syscall.SIGTERM || killed == 0 && (status != exitFailed || p.errors.String() != "gputrain: interrupted\n") {
			t.Errorf("%s: status %d, killed by %d: %s", line, status, killed, p.errors.String())
		}
	}
}

// TestExportIntoPipe writes a network into a pipe: its name chooses no format, and no file
// with the classes' names is put beside it.
func TestExportIntoPipe(t *testing.T) {
	inFolder(t)
	must(t, quick("--epochs", "1")...)
	must(t, "export", "-o", "model.onnx", "--labels=")
	want, err := os.ReadFile("model.onnx")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir("pipes", 0o755); err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join("pipes", "model.pt")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	got := make(chan []byte)
	go func() {
		b, _ := os.ReadFile(pipe)
		got <- b
	}()
	must(t, "export", "-o", pipe)
	if b := <-got; !bytes.Equal(b, want) {
		t.Errorf("%d bytes came out of the pipe, want %d", len(b), len(want))
	}
	if entries, err := os.ReadDir("pipes"); err != nil || len(entries) != 1 {
		t.Errorf("beside the pipe there are %v (%v)", entries, err)
	}
}

// TestIgnoredInterrupt has a shell ignore Ctrl-C for what it starts: that goes on.
func TestIgnoredInterrupt(t *testing.T) {
	binary := build(t)
	inFolder(t)
	p := startProcess(t, "sh", append([]string{"-c", `trap '' INT; exec "$@"`, "sh", binary}, quick("--epochs", "100", "--json")...)...)
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		p.await(t, `"event":"epoch"`)
		if err := p.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
	}
	if status, killed := p.wait(t); status != exitFailed || killed != 0 || !strings.Contains(p.errors.String(), "go on with: ") {
		t.Errorf("status %d, killed by %d: %s", status, killed, p.errors.String())
	}
}
