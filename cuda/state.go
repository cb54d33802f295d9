//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"runtime"
	"unsafe"

	"gorgonia.org/cu"
	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
)

// momentName is the name of a parameter's moment in a State.
func momentName(q net.Param, moment string) string { return q.Name + "." + moment }

// State returns a copy of the weights and the optimiser's state.
func (p *program) State() (net.State, error) {
	s := net.State{Params: map[string]*tensor.Dense{}, Optimizer: map[string]*tensor.Dense{}}
	if p.options.Average > 0 {
		s.Average = map[string]*tensor.Dense{}
	}
	err := p.do(func() error {
		if err := p.queue.flush(); err != nil {
			return err
		}
		s.Step = p.step
		for _, q := range p.parameters {
			t, err := p.downloadParameter(q, q.value)
			if err != nil {
				return err
			}
			s.Params[q.Name] = t
			if p.options.Average > 0 {
				if s.Average[q.Name], err = p.downloadParameter(q, q.average); err != nil {
					return err
				}
			}
			for i, m := range q.moments {
				if s.Optimizer[momentName(q.Param, p.options.Optimizer.Moments()[i])], err = p.downloadParameter(q, m); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return net.State{}, err
	}
	return s, nil
}

// download waits for the device and copies a buffer to a tensor.
func (p *program) download(b Buffer, dims ...int) (*tensor.Dense, error) {
	count := 1
	for _, n := range dims {
		count *= n
	}
	out := make([]float32, count)
	err := call("cuMemcpyDtoHAsync", cu.MemcpyDtoHAsync(unsafe.Pointer(unsafe.SliceData(out)), b.Address, 4*int64(count), p.device.stream))
	if err != nil {
		return nil, err
	}
	if err := p.device.synchronize(); err != nil {
		return nil, err
	}
	return tensor.New(tensor.WithShape(dims...), tensor.WithBacking(out)), nil
}

// downloadParameter waits for the device and copies a parameter, or what lies as it does, to a tensor.
func (p *program) downloadParameter(q *parameter, b Buffer) (*tensor.Dense, error) {
	t, err := p.download(b, q.Dims...)
	if err != nil {
		return nil, err
	}
	return tensor.New(tensor.WithShape(q.Dims...), tensor.WithBacking(q.lies.toHost(t.Data().([]float32)))), nil
}

// downloadNarrow does what download does for a buffer of bfloat16.
func (p *program) downloadNarrow(b Buffer, dims ...int) (*tensor.Dense, error) {
	count := 1
	for _, n := range dims {
		count *= n
	}
	narrow := make([]kernels.BFloat16, count)
	err := call("cuMemcpyDtoHAsync", cu.MemcpyDtoHAsync(unsafe.Pointer(unsafe.SliceData(narrow)), b.Address, 2*int64(count), p.device.stream))
	if err != nil {
		return nil, err
	}
	if err := p.device.synchronize(); err != nil {
		return nil, err
	}
	out := make([]float32, count)
	for i, v := range narrow {
		out[i] = v.Float32()
	}
	return tensor.New(tensor.WithShape(dims...), tensor.WithBacking(out)), nil
}

// SetState replaces weights and optimiser state with a copy of s.
func (p *program) SetState(s net.State) error {
	return p.do(func() error {
		if err := s.Check(p.plan, p.options.Optimizer); err != nil {
			return err
		}
		if err := p.checkTurn(); err != nil {
			return err
		}
		if err := p.queue.flush(); err != nil {
			return err
		}
		return p.setState(s)
	})
}

func (p *program) setState(s net.State) error {
	var held [][]float32 // until the copies are done
	upload := func(q *parameter, to Buffer, t *tensor.Dense) error {
		if t == nil {
			return p.device.zero(to)
		}
		values := q.lies.toDevice(t.Data().([]float32))
		held = append(held, values)
		return call("cuMemcpyHtoDAsync", cu.MemcpyHtoDAsync(to.Address, unsafe.Pointer(unsafe.SliceData(values)), 4*int64(len(values)), p.device.stream))
	}
	for _, q := range p.parameters {
		if err := upload(q, q.value, s.Params[q.Name]); err != nil {
			return err
		}
		if p.options.Average > 0 {
			average := s.Average[q.Name]
			if average == nil { // the average begins at the weights
				average = s.Params[q.Name]
			}
			if err := upload(q, q.average, average); err != nil {
				return err
			}
		}
		for i, m := range q.moments {
			if err := upload(q, m, s.Optimizer[momentName(q.Param, p.options.Optimizer.Moments()[i])]); err != nil {
				return err
			}
		}
	}
	if err := p.roundWeights(0, p.flat.all); err != nil {
		return err
	}
	if p.options.Inference { // running statistics don't change any more
		for _, b := range p.norms {
			if err := b.normaliseByRunning(); err != nil {
				return err
			}
		}
	}
	p.step, p.pending = s.Step, 0
	bad := int64(unsafe.Offsetof(kernels.Sums{}.FirstBad))
	if err := p.device.zero(p.sums.part(bad, 8)); err != nil {
		return err
	}
	err := p.device.synchronize() // from now on the caller may change its tensors
	runtime.KeepAlive(held)
	return err
}
