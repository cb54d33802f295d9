package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/launch"
	"github.com/gputrain/gputrain/internal/testenv"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/parallel/mpi/mpitest"
)

func TestThreadsOf(t *testing.T) {
	for _, c := range []struct {
		local, usable int
		online        string
		want          int
	}{
		{0, 8, "0-7", 8}, {1, 8, "0-7", 8}, {2, 8, "0-7\n", 4}, {3, 8, "0-7", 2}, {16, 8, "0-7", 1},
		{2, 4, "0-7", 4}, // the launcher has bound it to some
		{2, 6, "0-3,8,10", 3}, {2, 6, "", 3},
	} {
		if got := threadsOf(launch.Place{LocalSize: c.local}, c.usable, c.online); got != c.want {
			t.Errorf("%d processes on %s, of which %d can be used: %d threads, want %d", c.local, c.online, c.usable, got, c.want)
		}
	}
}

// startGroup starts members processes of gputrain with a launcher, in a folder.
func startGroup(t *testing.T, ctx context.Context, launcher []string, dir string, members int, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(ctx, launcher[0], slices.Concat(launcher[1:], []string{"-n", fmt.Sprint(members), program(t)}, args)...)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// withLaunchers runs a test with each launcher that is here.
func withLaunchers(t *testing.T, f func(t *testing.T, launcher []string)) {
	if out, err := exec.Command("go", "env", "CGO_ENABLED").Output(); err != nil || strings.TrimSpace(string(out)) != "1" {
		t.Skipf("programs are built without cgo here, and so without MPI (%v)", err)
	}
	mpitest.Each(t, f)
}

// program returns the path of gputrain.
func program(t *testing.T) string {
	t.Helper()
	binary, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// loadedWeights returns the weights of a checkpoint, one behind the other.
func loadedWeights(t *testing.T, path string) []float32 {
	t.Helper()
	c, err := net.LoadCheckpoint(path)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := c.Network.Plan()
	if err != nil {
		t.Fatal(err)
	}
	var all []float32
	for _, q := range plan.Params {
		all = append(all, c.State.Params[q.Name].Float32s()...)
	}
	return all
}

// groupFlags are for a run of a few seconds, on few images of digits.
var groupFlags = []string{"train", "--device", "cpu", "--threads", "1", "--model", "digits-s", "--limit", "600", "--epochs", "3", "--batch", "50", "--optimizer", "sgd", "--lr", "0.001", "--augment", "light", "--checkpoint-every", "5", "--run", "group"}

// TestGroups: processes that mpirun starts train one network, as one process does. Member 0
// speaks for all.
func TestGroups(t *testing.T) {
	withLaunchers(t, func(t *testing.T, launcher []string) {
		dir, alone := t.TempDir(), t.TempDir()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		cmd := startGroup(t, ctx, launcher, dir, 3, append(slices.Clone(groupFlags), "--json")...)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v\n%s\n%s", err, stderr.String(), out)
		}
		done := 0
		for line := range strings.Lines(string(out)) {
			var e struct{ Event, Device string }
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			if e.Event == "started" && !strings.HasPrefix(e.Device, "3 x cpu (") {
				t.Errorf("the device is %s", e.Device)
			}
			if e.Event == "done" {
				done++
			}
		}
		if done != 1 || stderr.String() != "" {
			t.Errorf("%d processes say that they are done; and: %s", done, stderr.String())
		}
		one := exec.Command(program(t), groupFlags...)
		one.Dir = alone
		if out, err := one.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		last := filepath.Join("runs", "group", net.LastCheckpoint)
		approx.Check(t, "weights", loadedWeights(t, filepath.Join(dir, last)), loadedWeights(t, filepath.Join(alone, last)), approx.Tolerance{Abs: 1e-4})
	})
}

// TestGroupErrors: an error is told once, with an exit status.
func TestGroupErrors(t *testing.T) {
	withLaunchers(t, func(t *testing.T, launcher []string) {
		dir := t.TempDir()
		for _, c := range []struct {
			args []string
			want string
		}{
			{[]string{"train", "--device", "reference"}, "several processes train together on CPUs or on GPUs"},
			{[]string{"train", "--device", "cpu", "--data", "nothing"}, "nothing"},
			{[]string{"train", "--device", "cpu", "--resume"}, "no run"},
			{[]string{"train", "--device", "cpu", "--epochs", "0"}, "epochs"},
			{[]string{"train", "--device", "cpu", "--limit", "600", "--run", filepath.Join(program(t), "below")}, "not a directory"},
		} {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			out, err := startGroup(t, ctx, launcher, dir, 2, c.args...).CombinedOutput()
			cancel()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || ctx.Err() == context.DeadlineExceeded {
				t.Errorf("%v: %v\n%s", c.args, err, out)
			}
			if n := strings.Count(string(out), "gputrain: "); n != 1 || !strings.Contains(string(out), c.want) {
				t.Errorf("%v: %d errors, want one with %q:\n%s", c.args, n, c.want, out)
			}
		}
	})
}

// TestGroupKilled: if a process is killed at any moment, the others end soon, and the run
// goes on from its checkpoint to the weights that it would have had.
func TestGroupKilled(t *testing.T) {
	withLaunchers(t, func(t *testing.T, launcher []string) {
		survives(t, groupFlags, []string{"train", "--resume", "group", "--device", "cpu", "--threads", "1"},
			func(ctx context.Context, dir string, args []string) *exec.Cmd {
				return startGroup(t, ctx, launcher, dir, 3, args...)
			})
	})
}

// survives kills processes of a run with the name group, one at a time, and resumes it. start
// makes the command that starts all of them in a folder, with the command line begin or
// resume. GPUTRAIN_TEST_KILLS is the number of kills.
func survives(t *testing.T, begin, resume []string, start func(ctx context.Context, dir string, args []string) *exec.Cmd) {
	t.Helper()
	kills := 1
	if many, err := strconv.Atoi(os.Getenv("GPUTRAIN_TEST_KILLS")); err == nil {
		kills = many
	}
	random := testenv.Rand(t)
	whole := t.TempDir()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	began := time.Now()
	if out, err := start(ctx, whole, begin).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	took := time.Since(began)
	last := filepath.Join("runs", "group", net.LastCheckpoint)
	want := loadedWeights(t, filepath.Join(whole, last))
	dir := t.TempDir()
	next := func() []string {
		if _, err := os.Stat(filepath.Join(dir, last)); err == nil {
			return resume
		}
		if err := os.RemoveAll(filepath.Join(dir, "runs")); err != nil {
			t.Fatal(err)
		}
		return begin
	}
	killed := 0
	for try := 0; killed < kills && try < 5*kills; try++ {
		cmd := start(ctx, dir, next())
		var out strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case <-time.After(time.Duration(random.Float64() * float64(took))):
		case <-ended: // before the kill: begin again
			if err := os.RemoveAll(filepath.Join(dir, "runs")); err != nil {
				t.Fatal(err)
			}
			continue
		}
		processes := membersOf(t, dir)
		if len(processes) == 0 {
			<-ended
			continue
		}
		if err := syscall.Kill(processes[random.IntN(len(processes))], syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatal(err)
		}
		killed++
		struck := time.Now()
		select {
		case <-ended:
		case <-time.After(30 * time.Second):
			t.Fatalf("still running 30 s after a process was killed:\n%s", out.String())
		}
		for len(membersOf(t, dir)) > 0 {
			if time.Since(struck) > 30*time.Second {
				t.Fatalf("30 s after a process was killed, some are left: %v", membersOf(t, dir))
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Logf("kill %d: all had ended after %v", killed, time.Since(struck).Round(time.Millisecond))
	}
	if killed < kills {
		t.Errorf("only %d of %d kills met a running process", killed, kills)
	}
	if out, err := start(ctx, dir, next()).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := loadedWeights(t, filepath.Join(dir, last)); !slices.Equal(got, want) {
		t.Error("after kills, the run ends with other weights")
	}
}

// awaitFile waits a minute at most until there is a file.
func awaitFile(t *testing.T, path string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no %s in a minute", path)
		}
	}
}

// TestGroupVanished: if a machine vanishes, the processes on all others end within 30 seconds.
func TestGroupVanished(t *testing.T) {
	vanish := strings.Fields(os.Getenv("GPUTRAIN_TEST_VANISH"))
	if len(vanish) == 0 {
		t.Skip("there are no machines that could vanish; net/parallel/mpi/machines makes some")
	}
	l := mpitest.Launchers()[1] // MPICH's: it waits for ever
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := startGroup(t, ctx, l, dir, 3, append(slices.Clone(groupFlags), "--epochs", "10000")...)
	out, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // the launcher may not have noticed anything
		_ = cmd.Wait()
	}()
	last := filepath.Join(dir, "runs", "group", net.LastCheckpoint)
	awaitFile(t, last)
	if text, err := exec.Command(vanish[0], vanish[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	began := time.Now()
	for len(membersOf(t, dir)) > 0 {
		if time.Since(began) > 30*time.Second {
			t.Fatalf("30 s later, these still run: %v", membersOf(t, dir))
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Logf("all had ended after %v", time.Since(began).Round(time.Second/10))
	loadedWeights(t, last) // it is whole
}

// byHand is the name of a library of MPICH's, which processes need that no mpirun has started.
const byHand = "libmpich.so.12"

// TestGroupByHand: processes that find their places in the environment train together. If one
// is killed, the others end, and say which it was.
func TestGroupByHand(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts processes, which -short leaves to the long run")
	}
	if out, err := exec.Command("ldconfig", "-p").Output(); !strings.Contains(string(out), byHand) {
		if os.Getenv("GPUTRAIN_TEST_MPI") != "" {
			t.Fatalf("no %s (%v)", byHand, err)
		}
		t.Skipf("this machine has no %s (make check-mpi installs it)", byHand)
	}
	const members = 3
	start := func(dir string, port int, args ...string) (all []*exec.Cmd, outs []*strings.Builder) {
		for rank := range members {
			cmd, out := exec.Command(program(t), args...), &strings.Builder{}
			cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
			cmd.Env = append(os.Environ(), fmt.Sprint("RANK=", rank), fmt.Sprint("WORLD_SIZE=", members), "MASTER_ADDR=127.0.0.1", fmt.Sprint("MASTER_PORT=", port))
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = cmd.Process.Kill() }) // fails where it has ended, as it should
			all, outs = append(all, cmd), append(outs, out)
		}
		return all, outs
	}
	dir := t.TempDir()
	all, outs := start(dir, 29871, groupFlags...)
	for rank, cmd := range all {
		if err := cmd.Wait(); err != nil || (rank == 0) != strings.Contains(outs[rank].String(), "Final test accuracy") {
			t.Errorf("process %d: %v\n%s", rank, err, outs[rank])
		}
	}
	// One is interrupted.
	all, outs = start(dir, 29881, append(slices.Clone(groupFlags), "--run", "interrupted", "--epochs", "1000")...)
	awaitFile(t, filepath.Join(dir, "runs", "interrupted", net.LastCheckpoint))
	if err := all[2].Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for rank, cmd := range all {
		err := cmd.Wait()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != exitFailed || rank == 0 && !strings.Contains(outs[rank].String(), "gputrain: interrupted in epoch") || rank > 0 && outs[rank].Len() > 0 {
			t.Errorf("process %d, after process 2 was interrupted: %v\n%s", rank, err, outs[rank])
		}
	}
	// The loss becomes infinite.
	all, outs = start(dir, 29891, append(slices.Clone(groupFlags), "--run", "diverged", "--lr", "1e30")...)
	for rank, cmd := range all {
		if err := cmd.Wait(); err == nil || strings.Contains(outs[rank].String(), "NaN or infinite") != (rank == 0) {
			t.Errorf("process %d, where the loss diverges: %v\n%s", rank, err, outs[rank])
		}
	}
	// One is killed.
	all, outs = start(dir, 29901, append(slices.Clone(groupFlags), "--run", "killed", "--epochs", "1000")...)
	awaitFile(t, filepath.Join(dir, "runs", "killed", net.LastCheckpoint))
	if err := all[1].Process.Kill(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for rank, cmd := range all {
		err := cmd.Wait()
		var exit *exec.ExitError
		want := fmt.Sprintf("gputrain: process %d of 3 ends: process 1 of 3, on %s, has ended", rank, host)
		if rank != 1 && (!errors.As(err, &exit) || exit.ExitCode() != exitFailed || !strings.Contains(outs[rank].String(), want)) {
			t.Errorf("process %d: %v, want %q:\n%s", rank, err, want, outs[rank])
		}
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("that took %v", took)
	}
}

// membersOf returns the processes that run gputrain in a folder.
func membersOf(t *testing.T, dir string) []int {
	t.Helper()
	folders, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var all []int
	for _, f := range folders {
		cwd, cwdErr := os.Readlink(filepath.Join(f, "cwd"))
		exe, exeErr := os.Readlink(filepath.Join(f, "exe"))
		pid, err := strconv.Atoi(filepath.Base(f))
		if err == nil && cwdErr == nil && exeErr == nil && cwd == dir && exe == program(t) {
			all = append(all, pid)
		}
	}
	return all
}

// TestToStart: which launchers leave it to a process to start those for other GPUs.
func TestToStart(t *testing.T) {
	for _, c := range []struct {
		device, env string
		want        int
		err         string
	}{
		{allGPUs, "", 8, ""}, {"cuda", "", 1, ""}, {"auto", "", 1, ""},
		{allGPUs, "SLURM_PROCID=0 SLURM_NTASKS=1 SLURM_LOCALID=0", 8, ""},
		{allGPUs, "OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=1 OMPI_COMM_WORLD_LOCAL_RANK=0 OMPI_COMM_WORLD_LOCAL_SIZE=1", 8, ""},
		{allGPUs, "RANK=1 WORLD_SIZE=2 LOCAL_RANK=0 LOCAL_WORLD_SIZE=1", 8, ""}, {"cuda", "RANK=1 WORLD_SIZE=2 LOCAL_RANK=0 LOCAL_WORLD_SIZE=1", 1, ""},
		{allGPUs, "RANK=1 WORLD_SIZE=2 LOCAL_RANK=1 LOCAL_WORLD_SIZE=2", 1, ""}, // as its other processes have it
		{allGPUs, "RANK=1 WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=1", 8, ""},
		{allGPUs, "SLURM_PROCID=1 SLURM_NTASKS=2 SLURM_LOCALID=0 SLURM_STEP_TASKS_PER_NODE=1(x2)", 8, ""},
		{allGPUs, "SLURM_PROCID=1 SLURM_NTASKS=3 SLURM_LOCALID=0 SLURM_STEP_TASKS_PER_NODE=2,1", 0, "Slurm's srun doesn't say how many processes"},
		{"cuda", "SLURM_PROCID=1 SLURM_NTASKS=3 SLURM_LOCALID=0 SLURM_STEP_TASKS_PER_NODE=2,1", 1, ""},
		{"cuda", "PET_NODE_RANK=1 PET_NNODES=2 PET_NPROC_PER_NODE=4", 4, ""}, {"cuda", "PET_NODE_RANK=0 PET_NNODES=1 PET_NPROC_PER_NODE=auto", 8, ""},
		{allGPUs, "PET_NODE_RANK=1 PET_NNODES=2 PET_NPROC_PER_NODE=1", 8, ""}, {"cuda", "PET_NODE_RANK=1 PET_NNODES=2 PET_NPROC_PER_NODE=1", 1, ""},
	} {
		place, err := launch.Find(func(name string) (string, bool) {
			for _, v := range strings.Fields(c.env) {
				if n, value, _ := strings.Cut(v, "="); n == name {
					return value, true
				}
			}
			return "", false
		})
		if err != nil {
			t.Fatalf("%s: %v", c.env, err)
		}
		got, err := toStart(c.device, place, 8)
		if got != c.want || (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("--device %s, %s: %d processes, %v, want %d, %q", c.device, c.env, got, err, c.want, c.err)
		}
	}
}
