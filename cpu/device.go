package cpu

import (
	"errors"
	"fmt"

	"github.com/gputrain/gputrain/cpu/asm"
	"github.com/gputrain/gputrain/internal/cpufeat"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/quantize"
)

// Options select how a device uses the processor. The zero Options are valid.
type Options struct {
	Threads int    // the number of threads; 0: one for each fast core, at most as many as Go uses (GOMAXPROCS)
	Kernels string // "avx512", "avx2", "neon" or "portable"; empty: what GPUTRAIN_CPU names, otherwise the best
	// Eight rounds the outputs of layers, by their names, to what eight bits stand for. "" is the network's input. Then the
	// device only evaluates and infers.
	Eight map[string]quantize.Scale
}

// device is the processor with some threads. It implements lower.Fuser.
type device struct {
	fuser
	workers *workers
	closed  bool
}

// fuser tells which layers some kernels compute as one.
type fuser struct {
	kernels *asm.Kernels
	eight   map[string]quantize.Scale // as in Options
}

// New returns a device that computes on the processor. It starts threads, which
// Close stops. The device also implements lower.Fuser: it tells which layers it
// computes as one.
func New(opts Options) (net.Device, error) {
	d, err := newDevice(opts)
	if err != nil {
		return nil, err // not a nil *device in an interface
	}
	return d, nil
}

func newDevice(opts Options) (*device, error) {
	threads := opts.Threads
	if threads == 0 {
		threads = cpufeat.Threads()
	}
	if threads < 1 || threads > maxThreads {
		return nil, fmt.Errorf("cpu: threads must be from 1 to %d, or 0 for all, got %d", maxThreads, threads)
	}
	var tier cpufeat.Tier
	var err error
	if opts.Kernels != "" {
		tier, err = cpufeat.Parse(opts.Kernels)
	} else {
		tier, err = cpufeat.Select()
	}
	if err != nil {
		return nil, fmt.Errorf("cpu: %w", err)
	}
	ks := asm.For(tier)
	return &device{fuser: fuser{ks, opts.Eight}, workers: newWorkers(threads, ks)}, nil
}

// Name returns the kernels and the number of threads, for example "cpu (avx512,
// 2 threads)".
func (d *device) Name() string {
	plural := "s"
	if len(d.workers.all) == 1 {
		plural = ""
	}
	return fmt.Sprintf("cpu (%v, %d thread%s)", d.kernels.Tier, len(d.workers.all), plural)
}

// Compile prepares a network for training and inference, and allocates the memory for it;
// see [net.Device].
func (d *device) Compile(n *net.Network, opts net.Options) (net.Program, error) {
	if d.closed {
		return nil, errors.New("cpu: device is closed")
	}
	plan, err := n.Plan()
	if err != nil {
		return nil, err
	}
	if err := opts.CheckFor(plan); err != nil {
		return nil, err
	}
	if len(d.eight) > 0 && !opts.Inference {
		return nil, errors.New("cpu: a device that rounds values only evaluates and infers")
	}
	p, err := newProgram(d, opts.PlanFor(plan), opts, !opts.Inference)
	if err != nil {
		return nil, err // not a nil *program in an interface
	}
	p.given = plan
	if !opts.Inference {
		p.prepareTraining()
	}
	if err := p.SetState(net.InitialState(plan, opts.Seed, opts.Images)); err != nil {
		return nil, fmt.Errorf("cpu: initial state: %w", err)
	}
	return p, nil
}

// Close stops the threads.
func (d *device) Close() error {
	if !d.closed {
		d.closed = true
		d.workers.stop()
	}
	return nil
}
