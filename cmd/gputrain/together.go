package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/internal/launch"
	"github.com/gputrain/gputrain/internal/rendezvous"
	"github.com/gputrain/gputrain/internal/replacefile"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/parallel"
	"github.com/gputrain/gputrain/net/parallel/mpi"
)

// connection is how this process reaches the others of its group.
type connection interface {
	net.Communicator
	// Library names the library that connects them; "" without one.
	Library() (version, path string)
	// Abort ends all processes, this one too, with an exit status. It does not return.
	Abort(status int)
	Close() error
}

// members is this process's connection to the others that train with it. A nil *members is a process alone.
//
// On CPUs, MPI connects them. On GPUs that is NCCL, once each process has a device; until then they talk by TCP or MPI.
type members struct {
	connection
	place  launch.Place
	gpus   bool              // each process trains on a GPU
	meets  *rendezvous.Group // tells when one of them has ended; nil if they can't reach each other
	others *others           // the processes that this one has started; nil if a launcher has started all
	group  *cuda.Group       // nil on CPUs, and before the GPU is open
}

// allGPUs is the name of all of a machine's GPUs as one device.
const allGPUs = "cuda:all"

// onGPUs reports whether a process of a group is to train on a GPU.
func onGPUs(device string) bool {
	name, _, _ := strings.Cut(device, ":")
	return name == "cuda" || name == "auto" && lookForCUDA().Usable
}

// join connects this process with those that were started together, or starts others if it is to train on several GPUs. Alone
// it returns nil.
func (a *app) join(c *cli.Context) (*members, error) {
	place, err := launch.Find(os.LookupEnv)
	if err != nil {
		return nil, usagef("%v", err)
	}
	device := c.String("device")
	m := &members{place: place, gpus: onGPUs(device)}
	gpus := 1
	if m.gpus {
		if gpus, err = toStart(device, place, lookForCUDA().usableGPUs()); err != nil {
			return nil, err
		}
	}
	switch {
	case gpus > 1:
		err = m.start(c.Context, a.err, gpus)
	case place.Size == 1:
		return nil, nil
	default:
		err = m.connect(c.Context, a.err)
	}
	if errors.Is(err, context.Canceled) {
		err = errors.New("interrupted while it waited for the other processes")
	}
	if err != nil {
		return nil, err
	}
	go m.endWithOthers()
	if err := m.sameVersion(); err != nil {
		return nil, m.leave(a.err, err)
	}
	if m.Rank() > 0 {
		// Member 0 speaks for all.
		a.out, a.stdout, a.err = newStream(io.Discard, nil), newStream(io.Discard, nil), newStream(io.Discard, nil)
	}
	return m, nil
}

// connect connects this process with those that a launcher has started with it.
func (m *members) connect(ctx context.Context, stderr io.Writer) (err error) {
	var family mpi.Family
	switch m.place.Launcher {
	case launch.OpenMPI:
		family = mpi.OpenMPI
	case launch.MPICH:
		family = mpi.MPICH
	case launch.Slurm:
	default:
		// Nobody but us can tell MPI's processes of each other, and MPICH's can be told.
		family = mpi.MPICH
		if err := m.meet(ctx, stderr, os.Getenv(groupVariable)); err != nil {
			return err
		}
	}
	if m.gpus && m.meets == nil && m.place.Address != "" { // then they need no MPI
		if err := m.meet(ctx, stderr, ""); err != nil {
			return err
		}
	}
	if m.gpus && m.meets != nil {
		m.connection = meeting{m.meets, m.place}
		return nil
	}
	if m.connection, err = mpi.Open(family, m.place.Size); err != nil {
		if m.meets != nil {
			m.meets.Close()
		}
		err = fmt.Errorf("%s has started %d processes, which can't be connected: %w", m.place.Launcher, m.place.Size, err)
		if m.gpus {
			err = fmt.Errorf("%w. On GPUs they do without MPI if MASTER_ADDR and MASTER_PORT say where process 0 is to listen", err)
		}
		return err
	}
	if m.meets == nil {
		if err := m.watch(ctx); err != nil {
			return err
		}
	}
	gpus := []float64{float64(toByte(m.gpus))}
	if err := m.SumFloat64(gpus); err != nil {
		return err
	}
	return m.sameKind(gpus[0] == float64(m.Size()) || gpus[0] == 0)
}

func toByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// sameKind returns an error unless all processes train on GPUs, or all on CPUs.
func (m *members) sameKind(same bool) error {
	if same {
		return nil
	}
	own := "a CPU"
	if m.gpus {
		own = "a GPU"
	}
	return m.named(fmt.Errorf("some processes would train on GPUs and some on CPUs, this one on %s: say --device cuda or --device cpu", own))
}

// sameVersion returns an error, on all processes, if one has another version of gputrain than process 0.
func (m *members) sameVersion() error {
	return m.sameText(version(), "this is gputrain %s, and process 0 is gputrain %s: install the same version everywhere")
}

// sameText returns an error, on all processes, if one has another text than process 0. The format is for both.
func (m *members) sameText(text, format string) error {
	var own [100]byte
	copy(own[:], text)
	leader := own
	if err := m.Broadcast(leader[:]); err != nil {
		return err
	}
	var err error
	if own != leader {
		err = fmt.Errorf(format, text, strings.TrimRight(string(leader[:]), "\x00"))
	}
	return m.agree(err)
}

// groupVariable names the variable by which processes that belong together know each other, where one gputrain has started
// them.
const groupVariable = "GPUTRAIN_GROUP"

// meet brings processes together that no launcher of MPI has started. From then on, this
// process ends soon after any of them.
func (m *members) meet(ctx context.Context, stderr io.Writer, token string) (err error) {
	if m.place.Address == "" {
		return usagef("the environment says that this is process %d of %d, but not where process 0 is: MASTER_ADDR and MASTER_PORT", m.place.Rank, m.place.Size)
	}
	m.meets, err = rendezvous.Join(ctx, rendezvous.Options{
		Rank: m.place.Rank, Size: m.place.Size, Address: m.place.Address, Token: token,
		Taken:   os.Getenv("TORCHELASTIC_USE_AGENT_STORE") == "True", // torchrun's own store listens there
		Waiting: func(text string) { fmt.Fprintln(stderr, text) },
	})
	if err != nil {
		return err
	}
	return m.met()
}

// met follows when all processes are there.
func (m *members) met() error {
	kinds, err := m.meets.Gather([]byte{toByte(m.gpus)})
	if err != nil {
		return err
	}
	m.connection = meeting{m.meets, m.place}
	if err := m.sameKind(!slices.ContainsFunc(kinds, func(k []byte) bool { return !slices.Equal(k, kinds[0]) })); err != nil || m.gpus {
		return err
	}
	for name, value := range m.meets.Environment() {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	return nil
}

// watchWait is how long processes that mpirun has started try to reach each other.
const watchWait = 10 * time.Second

// watch connects processes that MPI has connected once more, to learn of each other's end: a
// launcher may not notice it, or may notice it late. Where they can't reach each other in
// this way, they do without.
func (m *members) watch(ctx context.Context) error {
	var where [4096]byte
	o := rendezvous.Options{Rank: m.Rank(), Size: m.Size(), Wait: watchWait}
	var g *rendezvous.Group
	if m.leads() {
		o.Address, o.Token = ":0", rand.Text()
		var err error
		if g, err = rendezvous.Begin(ctx, o); err == nil {
			var list []string
			if list, err = rendezvous.LocalAddresses(g.Port()); err == nil {
				copy(where[:len(where)-1], strings.Join(append([]string{o.Token}, list...), " "))
			}
		}
	}
	if err := m.Broadcast(where[:]); err != nil {
		return err
	}
	told := strings.Fields(strings.TrimRight(string(where[:]), "\x00"))
	if len(told) < 2 { // process 0 can't listen, or has no address
		return nil
	}
	var err error
	if !m.leads() {
		o.Token, o.Addresses = told[0], told[1:]
		g, err = rendezvous.Begin(ctx, o)
	}
	if err == nil {
		err = g.Meet(ctx)
	}
	failed := []float64{0}
	if err != nil {
		failed[0] = 1
	}
	if err := m.SumFloat64(failed); err != nil {
		return err
	}
	switch {
	case failed[0] == 0:
		m.meets = g
	case err == nil:
		g.Close()
	}
	return nil
}

// endWithOthers ends this process if another one ends, or its machine vanishes.
func (m *members) endWithOthers() {
	if m.meets == nil {
		return
	}
	err := <-m.meets.Lost()
	m.others.kill()
	fmt.Fprintf(os.Stderr, "gputrain: process %d of %d ends: %v\n", m.place.Rank, m.place.Size, err)
	replacefile.Abandon()
	os.Exit(exitFailed)
}

// leads reports whether this process speaks for all, and writes files.
func (m *members) leads() bool { return m == nil || m.Rank() == 0 }

// agree returns this process's error or, if only others have one, another error.
func (m *members) agree(err error) error {
	var broken *net.BrokenError
	var agreed *agreedError
	if m == nil || errors.As(err, &agreed) || errors.As(err, &broken) { // of a broken group nobody hears any more
		return err
	}
	return net.Together(m, err)
}

// agreedError is an error about which all processes have agreed already.
type agreedError struct{ error }

func (e *agreedError) Unwrap() error { return e.error }

// leave ends the connection after all that this process does, whose error it is given. If
// the others don't know of the error, it ends them. It returns the error to print.
func (m *members) leave(stderr io.Writer, err error) error {
	if m == nil {
		return err
	}
	var broken *net.BrokenError
	if errors.As(err, &broken) {
		m.breakUp(stderr, err)
	}
	closed := m.Close()
	if m.meets != nil {
		m.meets.Close()
	}
	if m.others != nil {
		m.others.wait()
	}
	if err == nil {
		return closed
	}
	var peer *net.PeerError
	var diverged *net.DivergedError
	if errors.As(err, &peer) || !m.leads() && (errors.As(err, &diverged) || errors.Is(err, context.Canceled)) {
		return errSilent // another one tells it
	}
	return m.named(err)
}

// breakUp ends this process, and so all others, because of an error of which these don't know.
func (m *members) breakUp(stderr io.Writer, err error) {
	fmt.Fprintf(stderr, "gputrain: %s\n", oneLine(m.named(err).Error()))
	m.others.kill()
	m.Abort(exitFailed)
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
		if c.String("device") == allGPUs { // join has found only one
			gpu, err := gpuOptions(c)
			if err != nil {
				return nil, "", err
			}
			d, err := openGPU(gpu)
			return d, "", err
		}
		return openDevice(c)
	}
	gpu, err := gpuOptions(c)
	if err != nil {
		return nil, "", err
	}
	if m.gpus {
		return m.openGPU(c.String("device"), gpu)
	}
	name := c.String("device")
	if name == "auto" {
		name = "cpu"
	}
	if name != "cpu" {
		return nil, "", usagef("--device %s: several processes train together on CPUs or on GPUs: --device cpu, --device cuda", name)
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
