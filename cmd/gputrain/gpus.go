package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	stdnet "net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/cuda/driver"
	"github.com/gputrain/gputrain/internal/launch"
	"github.com/gputrain/gputrain/internal/rendezvous"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/parallel"
)

// meeting is the connection of processes by TCP, before NCCL connects them. What passes through it is short.
type meeting struct {
	*rendezvous.Group
	place launch.Place
}

func (m meeting) Rank() int                       { return m.place.Rank }
func (m meeting) Size() int                       { return m.place.Size }
func (m meeting) Library() (version, path string) { return "", "" }

// Close does nothing: members.leave closes the group.
func (m meeting) Close() error { return nil }

// Abort ends this process. The others learn that from their connections.
func (m meeting) Abort(status int) { os.Exit(status) }

func (m meeting) Broadcast(data []byte) error {
	all, err := m.Gather(data)
	if err == nil && len(all[0]) != len(data) {
		err = fmt.Errorf("process 0 tells %d bytes, this one expects %d", len(all[0]), len(data))
	}
	if err == nil {
		copy(data, all[0])
	}
	return err
}

func (m meeting) SumFloat64(values []float64) error {
	var own []byte
	for _, v := range values {
		own = binary.LittleEndian.AppendUint64(own, math.Float64bits(v))
	}
	all, err := m.Gather(own)
	if err != nil {
		return err
	}
	clear(values)
	for rank, data := range all {
		if len(data) != len(own) {
			return fmt.Errorf("process %d tells %d numbers, this one %d", rank, len(data)/8, len(values))
		}
		for i := range values {
			values[i] += math.Float64frombits(binary.LittleEndian.Uint64(data[8*i:]))
		}
	}
	return nil
}

func (m meeting) SumFloat32(values []float32) error {
	wide := make([]float64, len(values))
	for i, v := range values {
		wide[i] = float64(v)
	}
	err := m.SumFloat64(wide)
	for i, v := range wide {
		values[i] = float32(v)
	}
	return err
}

// others are the processes that this one has started, one for each further GPU of the machine.
type others struct {
	wg  sync.WaitGroup
	mu  sync.Mutex
	all []*exec.Cmd
}

// toStart returns how many processes this one is to become on its machine: one for each GPU, if --device says so or if the
// launcher leaves that to its processes. Otherwise it returns 1. gpus is how many GPUs of the machine can be used.
func toStart(device string, p launch.Place, gpus int) (int, error) {
	one := p.LocalSize == 1 || p.LocalSize == 0 && p.LocalRank < 0 || p.Size == 1 // the launcher has started one process on this machine
	switch {
	case p.PerNode > 1:
		return p.PerNode, nil
	case device == allGPUs && one, p.PerNode == launch.AllGPUs && one:
		return gpus, nil
	case device == allGPUs && p.LocalSize == 0:
		return 0, usagef("--device %s: %s doesn't say how many processes it has started on this machine. For one process a GPU, say --device cuda", allGPUs, p.Launcher)
	}
	return 1, nil
}

// start starts a process for each further GPU of this machine, with the same command line. Then it meets these and, if a
// launcher has started a process on several machines, all others.
func (m *members) start(ctx context.Context, stderr io.Writer, gpus int) (err error) {
	machines, machine := m.place.Size, m.place.Rank
	m.place = launch.Place{Launcher: m.place.Launcher, Rank: machine * gpus, Size: machines * gpus, LocalSize: gpus, Address: m.place.Address}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	token := ""
	if machines == 1 { // nobody has said where to meet
		token = rand.Text()
		m.meets, err = rendezvous.Begin(ctx, rendezvous.Options{Size: gpus, Address: "127.0.0.1:0", Token: token,
			Waiting: func(text string) { fmt.Fprintln(stderr, text) }})
		if err != nil {
			return err
		}
		m.place.Address = m.meets.Address()
	}
	host, port, err := stdnet.SplitHostPort(m.place.Address)
	if err != nil {
		return usagef("the environment says that this is process %d of %d, but not where process 0 is: MASTER_ADDR and MASTER_PORT", machine, machines)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	m.others = &others{}
	for local := 1; local < gpus; local++ {
		cmd := exec.Command(program, os.Args[1:]...)
		cmd.Env = append(launch.Without(os.Environ()), groupVariable+"="+token, "MASTER_ADDR="+host, "MASTER_PORT="+port,
			fmt.Sprint("RANK=", m.place.Rank+local), fmt.Sprint("WORLD_SIZE=", m.place.Size), fmt.Sprint("LOCAL_RANK=", local), fmt.Sprint("LOCAL_WORLD_SIZE=", gpus))
		cmd.Stderr = os.Stderr
		if err := m.others.run(cmd, func(err error) { cancel(fmt.Errorf("the process for GPU %d has ended: %w", local, err)) }); err != nil {
			m.others.kill()
			return err
		}
	}
	if machines > 1 {
		err = m.meet(ctx, stderr, token)
	} else if err = m.meets.Meet(ctx); err == nil {
		err = m.met()
	}
	if err != nil {
		m.others.kill()
		if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
			err = cause
		}
	}
	return err
}

// run starts a process, and tells how it has ended.
func (o *others) run(cmd *exec.Cmd, ended func(error)) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	o.all = append(o.all, cmd)
	o.wg.Go(func() {
		err := cmd.Wait()
		if err == nil {
			err = errors.New("exit status 0")
		}
		ended(err)
	})
	return nil
}

// endWait is how long a process waits for an orderly end, of itself or of those that it has started.
const endWait = 10 * time.Second

// wait waits until all have ended. It kills those that take too long.
func (o *others) wait() {
	late := time.AfterFunc(endWait, o.kill)
	o.wg.Wait()
	late.Stop()
}

// kill ends all processes at once. A nil *others has none.
func (o *others) kill() {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, cmd := range o.all {
		_ = cmd.Process.Kill() // it may have ended
	}
}

// openGPU opens this process's GPU, and connects it with those of the others. The name is the one in --device.
func (m *members) openGPU(name string, o cuda.Options) (_ net.Device, why string, err error) {
	var d *cuda.Device
	var nccl driver.Library
	open := func() error {
		info := lookForCUDA()
		if !info.Usable {
			return info.refusal()
		}
		found := driver.Describe()
		if nccl = found.NCCL; nccl.Err != nil {
			return fmt.Errorf("several GPUs need %w: %s. On one GPU: --device cuda:0", nccl.Err, libraryAdvice(nccl, found))
		}
		if o.Index, err = m.localGPU(name, info.usableIndices()); err != nil {
			return err
		}
		d, err = cuda.Open(o)
		return err
	}
	err = m.agree(open())
	if err == nil {
		err = m.samePrecision(d.Precision())
	}
	var id cuda.UniqueID
	if err == nil {
		if m.leads() {
			id, err = cuda.NewUniqueID()
		}
		err = m.agree(err)
	}
	if err == nil {
		err = m.Broadcast(id[:])
	}
	if err == nil {
		if m.group, err = d.Join(cuda.GroupOptions{ID: id, Rank: m.Rank(), Size: m.Size()}); err != nil {
			err = &net.BrokenError{Err: err} // the others wait for this one
		}
	}
	if err != nil {
		if d != nil {
			err = errors.Join(err, d.Close())
		}
		return nil, "", &agreedError{err}
	}
	return parallel.New(d, m.group), fmt.Sprintf("connected by NCCL %v", nccl.Version), nil
}

// samePrecision returns an error, on all processes, if they compute in several precisions.
func (m *members) samePrecision(own cuda.Precision) error {
	return m.sameText(string(own), "this process computes in %s, and process 0 in %s: say --precision")
}

// localGPU returns the number of this process's GPU, among those of its machine that can be used.
func (m *members) localGPU(name string, usable []int) (int, error) {
	if _, number, numbered := strings.Cut(name, ":"); numbered && name != allGPUs {
		return 0, usagef("--device cuda:%s: each of several processes takes the GPU of its place on its machine: --device cuda", number)
	}
	switch local := m.place.LocalRank; {
	case len(usable) == 1: // the launcher has given each one for itself, or there is one process
		return usable[0], nil
	case local < 0:
		return 0, usagef("this machine has %d GPUs, and the environment doesn't say which one is for process %d: LOCAL_RANK", len(usable), m.place.Rank)
	case local >= len(usable):
		return 0, usagef("process %d of %d is number %d on its machine, which has %d GPUs: start at most one process for each", m.place.Rank, m.place.Size, local, len(usable))
	default:
		return usable[local], nil
	}
}

// abandon is for a process that has failed in a way of which the others can't know, and which may wait for it: it must end
// soon, whatever may still be closed in order.
func (m *members) abandon(stderr io.Writer, err error) {
	var broken *net.BrokenError
	if m == nil || !m.gpus || !errors.As(err, &broken) {
		return
	}
	if m.group != nil {
		m.group.Abort()
	}
	time.AfterFunc(endWait, func() { m.breakUp(stderr, err) })
}
