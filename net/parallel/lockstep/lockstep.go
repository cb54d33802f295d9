// Package lockstep does with all members of a group at once what is done with one device. It is for tests of such groups:
// the answers of all members must be the same.
package lockstep

import (
	"errors"
	"fmt"
	"reflect"
	"sync"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/net"
)

// lockstep is a device that does with all members what is done with it. Their answers must
// be the same.
type lockstep struct{ members []net.Device }

// Open returns a device of n members, whose devices open returns; it is called for all of them at once. Where the answers of
// two members differ, the device panics.
func Open(n int, open func(member int) (net.Device, error)) (net.Device, error) {
	numbers := make([]int, n)
	for i := range numbers {
		numbers[i] = i
	}
	l := lockstep{make([]net.Device, n)}
	_, err := each(numbers, func(i int) (_ struct{}, err error) {
		l.members[i], err = open(i)
		return none(err)
	})
	return l, err
}

// each calls f for each of the members at once. It panics if they don't agree.
func each[M, T any](members []M, f func(M) (T, error)) (T, error) {
	answers, errs := make([]T, len(members)), make([]error, len(members))
	var wg sync.WaitGroup
	for i, m := range members {
		wg.Go(func() { answers[i], errs[i] = f(m) })
	}
	wg.Wait()
	for i := range members {
		var peer *net.PeerError
		if errors.As(errs[i], &peer) && peer.Rank == 0 {
			errs[i] = peer.Own // which member 0 has, too
		}
		if fmt.Sprint(errs[i]) != fmt.Sprint(errs[0]) {
			panic(fmt.Sprintf("member 0 gives error %v, member %d gives %v", errs[0], i, errs[i]))
		}
	}
	return answers[0], errs[0]
}

// same is each for answers that can be compared.
func same[M, T any](members []M, f func(M) (T, error)) (T, error) {
	var mu sync.Mutex
	var first *T
	return each(members, func(m M) (T, error) {
		t, err := f(m)
		mu.Lock()
		defer mu.Unlock()
		if first == nil {
			first = &t
		} else if fmt.Sprint(*first) != fmt.Sprint(t) { // NaN equals NaN here
			panic(fmt.Sprintf("one member says %v, another %v", *first, t))
		}
		return t, err
	})
}

func none(err error) (struct{}, error) { return struct{}{}, err }

func (l lockstep) Name() string { return l.members[0].Name() }

func (l lockstep) Close() error {
	_, err := each(l.members, func(m net.Device) (struct{}, error) { return none(m.Close()) })
	return err
}

func (l lockstep) Compile(n *net.Network, opts net.Options) (net.Program, error) {
	programs := make([]net.Tracer, len(l.members))
	numbers := make([]int, len(l.members))
	for i := range numbers {
		numbers[i] = i
	}
	_, err := each(numbers, func(i int) (struct{}, error) {
		p, err := l.members[i].Compile(n, opts)
		if err == nil {
			programs[i] = p.(net.Tracer)
		}
		return none(err)
	})
	if err != nil {
		return nil, err
	}
	return lockprogram{programs}, nil
}

type lockprogram struct{ members []net.Tracer }

func (p lockprogram) Plan() *net.Plan { return p.members[0].Plan() }

// Options returns the options without a Communicator: who uses all members at once is alone.
func (p lockprogram) Options() net.Options {
	o := p.members[0].Options()
	o.Communicator = nil
	return o
}

func (p lockprogram) do(f func(net.Tracer) error) error {
	_, err := each(p.members, func(m net.Tracer) (struct{}, error) { return none(f(m)) })
	return err
}

func (p lockprogram) Step(b net.Batch) error {
	return p.do(func(m net.Tracer) error { return m.Step(b) })
}

func (p lockprogram) Gradients(b net.Batch, s net.Share) error {
	return p.do(func(m net.Tracer) error { return m.Gradients(b, s) })
}

func (p lockprogram) Update() error      { return p.do(net.Tracer.Update) }
func (p lockprogram) SwapAverage() error { return p.do(net.Tracer.SwapAverage) }
func (p lockprogram) Close() error       { return p.do(net.Tracer.Close) }

func (p lockprogram) SetState(s net.State) error {
	return p.do(func(m net.Tracer) error { return m.SetState(s) })
}

func (p lockprogram) Evaluate(b net.Batch) (net.Metrics, error) {
	return same(p.members, func(m net.Tracer) (net.Metrics, error) { return m.Evaluate(b) })
}

func (p lockprogram) TakeMetrics() (net.Metrics, error) {
	return same(p.members, net.Tracer.TakeMetrics)
}

func (p lockprogram) Infer(b net.Batch) (*tensor.Dense, error) {
	return each(p.members, func(m net.Tracer) (*tensor.Dense, error) { return m.Infer(b) })
}

func (p lockprogram) Trace(b net.Batch, mode net.Mode) (*net.Trace, error) {
	return each(p.members, func(m net.Tracer) (*net.Trace, error) { return m.Trace(b, mode) })
}

func (p lockprogram) State() (net.State, error) {
	var mu sync.Mutex
	var first *net.State
	return each(p.members, func(m net.Tracer) (net.State, error) {
		st, err := m.State()
		mu.Lock()
		defer mu.Unlock()
		if first == nil {
			first = &st
		} else if err == nil && !SameBits(*first, st) {
			panic("the members' states differ")
		}
		return st, err
	})
}

// SameBits reports whether two states are equal to the last bit, except that NaN equals NaN.
func SameBits(a, b net.State) bool {
	for _, m := range []struct{ a, b map[string]*tensor.Dense }{{a.Params, b.Params}, {a.Optimizer, b.Optimizer}, {a.Average, b.Average}} {
		if len(m.a) != len(m.b) {
			return false
		}
		for name := range m.a {
			v, w := m.a[name].Float32s(), m.b[name].Float32s()
			for i := range v {
				if v[i] != w[i] && (v[i] == v[i] || w[i] == w[i]) {
					return false
				}
			}
		}
	}
	return reflect.DeepEqual(a.Step, b.Step)
}
