package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/internal/launch"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/parallel"
	"github.com/gputrain/gputrain/net/parallel/mpi"
)

// members is this process's connection to the others that a launcher has started with it. A
// nil *members is a process alone.
type members struct {
	mpi.Communicator
	place launch.Place
}

// join connects this process with those that were started together. Alone it returns nil.
func (a *app) join() (*members, error) {
	place, err := launch.Find(os.LookupEnv)
	if err != nil {
		return nil, usagef("%v", err)
	}
	if place.Size == 1 {
		return nil, nil
	}
	var family mpi.Family
	switch place.Launcher {
	case launch.OpenMPI:
		family = mpi.OpenMPI
	case launch.MPICH:
		family = mpi.MPICH
	case launch.Slurm:
	default:
		return nil, fmt.Errorf("%s has started %d processes, which are to train one network; gputrain connects processes on CPUs by MPI: start them with mpirun or srun", place.Launcher, place.Size)
	}
	c, err := mpi.Open(family, place.Size)
	if err != nil {
		return nil, fmt.Errorf("%s has started %d processes, which can't be connected: %w", place.Launcher, place.Size, err)
	}
	if c.Rank() > 0 {
		// Member 0 speaks for all.
		a.out, a.stdout, a.err = newStream(io.Discard, nil), newStream(io.Discard, nil), newStream(io.Discard, nil)
	}
	return &members{c, place}, nil
}

// leads reports whether this process speaks for all, and writes files.
func (m *members) leads() bool { return m == nil || m.Rank() == 0 }

// agree returns this process's error or, if only others have one, another error.
func (m *members) agree(err error) error {
	if m == nil {
		return err
	}
	return net.Together(m, err)
}

// leave ends the connection after all that this process does, whose error it is given. If
// the others don't know of the error, it ends them. It returns the error to print.
func (m *members) leave(stderr io.Writer, err error) error {
	if m == nil {
		return err
	}
	var broken *net.BrokenError
	if errors.As(err, &broken) {
		fmt.Fprintf(stderr, "gputrain: %s\n", oneLine(m.named(err).Error()))
		m.Abort(exitFailed)
	}
	if closed := m.Close(); err == nil {
		return closed
	}
	var peer *net.PeerError
	if errors.As(err, &peer) {
		return errSilent // the other one tells it
	}
	return m.named(err)
}

// errSilent is an error that another process prints.
var errSilent = errors.New("another process has failed")

// named says whose the error is, except that of member 0, to which all is said.
func (m *members) named(err error) error {
	if m.leads() {
		return err
	}
	host, hostErr := os.Hostname()
	if hostErr != nil {
		host = "an unknown machine"
	}
	return fmt.Errorf("process %d of %d, on %s: %w", m.Rank(), m.Size(), host, err)
}

// openDevice opens the device that the flags ask for and, in a group, makes a device of all.
func (m *members) openDevice(c *cli.Context) (net.Device, string, error) {
	if m == nil {
		return openDevice(c)
	}
	if _, err := gpuOptions(c); err != nil {
		return nil, "", err
	}
	name := c.String("device")
	if name == "auto" && !lookForCUDA().Usable {
		name = "cpu"
	}
	if name != "cpu" {
		return nil, "", usagef("--device %s: several processes train together on CPUs only so far: --device cpu", name)
	}
	threads := c.Int("threads")
	if c.IsSet("threads") && threads < 1 {
		return nil, "", usagef("--threads must be at least 1, got %d", threads)
	}
	if !c.IsSet("threads") {
		online, _ := os.ReadFile("/sys/devices/system/cpu/online") // on Linux
		threads = threadsOf(m.place, runtime.NumCPU(), string(online))
	}
	d, _, err := openDeviceNamed(name, threads, cuda.Options{})
	if err != nil {
		return nil, "", err
	}
	version, _ := m.Library()
	return parallel.New(d, m), "connected by " + version, nil
}

// threadsOf returns how many threads a process takes: its part of the machine's processors,
// unless the launcher has given it some of them for itself. usable is how many it may run on.
// online lists those of the machine, such as "0-3,6"; "" if that is unknown.
func threadsOf(p launch.Place, usable int, online string) int {
	all := 0
	for _, piece := range strings.Split(strings.TrimSpace(online), ",") {
		first, last, ranged := strings.Cut(piece, "-")
		if !ranged {
			last = first
		}
		lo, loErr := strconv.Atoi(first)
		hi, hiErr := strconv.Atoi(last)
		if loErr == nil && hiErr == nil {
			all += hi - lo + 1
		}
	}
	if p.LocalSize > 1 && usable >= all {
		return max(1, usable/p.LocalSize)
	}
	return usable
}
