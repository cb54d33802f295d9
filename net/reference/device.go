package reference

import (
	"github.com/gputrain/gputrain/net"
)

// New returns the reference device. It needs no Close. Its programs are [net.Tracer]s.
func New() net.Device { return device{} }

type device struct{}

var _ net.Tracer = (*program)(nil)

func (device) Name() string { return "reference (float64)" }

func (device) Close() error { return nil }

func (device) Compile(n *net.Network, opts net.Options) (net.Program, error) {
	plan, err := n.Plan()
	if err != nil {
		return nil, err
	}
	if err := opts.CheckFor(plan); err != nil {
		return nil, err
	}
	if opts.Communicator != nil {
		return nil, net.ErrAlone
	}
	p := &program{given: plan, plan: opts.PlanFor(plan), opts: opts}
	for _, n := range p.plan.Nodes {
		p.layers = append(p.layers, &Layer{Node: n, Seed: opts.Seed})
	}
	p.load(net.InitialState(plan, opts.Seed, opts.Images))
	p.opts.Images = nil
	return p, nil
}
