package net_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/gputrain/gputrain/internal/testenv"
	"github.com/gputrain/gputrain/net"
)

// killDir is the variable that makes the test binary a run to be killed; it
// names the checkpoint folder.
const killDir = "GPUTRAIN_TEST_KILL_DIR"

// killRun has 150 steps and a checkpoint every three of them and every epoch.
func killRun(dir string) net.Config {
	cfg := smallRun()
	cfg.Recipe.Epochs, cfg.Interval = 30, 1
	cfg.Saving = net.Saving{Dir: dir, EverySteps: 3}
	return cfg
}

// TestRunToBeKilled is the child of TestKilledRunsResume: it trains, going on
// where the folder's last checkpoint stands, and prints a line for each step.
func TestRunToBeKilled(t *testing.T) {
	dir := os.Getenv(killDir)
	if dir == "" {
		t.Skip("only TestKilledRunsResume runs this, in a process of its own")
	}
	cfg := killRun(dir)
	c, err := net.LoadCheckpoint(dir)
	if err == nil {
		cfg.Resume = c
	} else if !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err) // a kill left something that is not whole
	}
	cfg.Observers = []net.Observer{net.ObserverFunc(func(e net.Event) error {
		if _, ok := e.(net.Progress); ok {
			fmt.Println("step")
		}
		return nil
	})}
	train(t, cfg)
}

// startRun starts a child on the folder and returns it with its output.
func startRun(t *testing.T, dir string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestRunToBeKilled$", "-test.v")
	cmd.Env = append(os.Environ(), killDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewScanner(out)
}

// TestKilledRunsResume kills a run at ten random moments, the writing of a
// checkpoint among them, and lets it go on each time. Its files must equal those
// of a run left alone, byte for byte.
func TestKilledRunsResume(t *testing.T) {
	alone := t.TempDir()
	train(t, killRun(alone))

	rng := testenv.Rand(t)
	dir := t.TempDir()
	for range 10 {
		cmd, out := startRun(t, dir)
		// At most 12 steps and what a few milliseconds give: ten times that is less
		// than the run, so none ends before it is killed.
		for steps := rng.IntN(12); steps > 0 && out.Scan(); {
			if bytes.HasSuffix(out.Bytes(), []byte("step")) {
				steps--
			}
		}
		time.Sleep(time.Duration(rng.IntN(2000)) * time.Microsecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for out.Scan() {
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) || runtime.GOOS != "windows" && exit.ExitCode() != -1 {
			t.Errorf("a run ended before it was killed: %v", err)
		}
	}
	at := "the start"
	if c, err := net.LoadCheckpoint(dir); err == nil {
		at = fmt.Sprintf("step %d of 150", c.State.Step)
	}
	t.Logf("after ten kills at %s", at)

	cmd, out := startRun(t, dir)
	var text []byte
	for out.Scan() {
		text = append(append(text, out.Bytes()...), '\n')
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for _, name := range []string{net.LastCheckpoint, net.BestCheckpoint} {
		if !bytes.Equal(read(t, filepath.Join(dir, name)), read(t, filepath.Join(alone, name))) {
			t.Errorf("%s differs from that of a run left alone", name)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("the folder holds %v (%v), want two checkpoints", entries, err)
	}
}
