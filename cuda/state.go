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
	if p.options.Averages() {
		s.Average = map[string]*tensor.Dense{}
	}
	err := p.do(func() error {
		if err := p.queue.flush(); err != nil {
			return err
		}
		s.Step = p.step
		for _, q := range p.parameters {
			t, err := p.downloadParameter(q, q.value, kernels.Float32)
			if err != nil {
				return err
			}
			s.Params[q.Name] = t
			if p.options.Averages() {
				if s.Average[q.Name], err = p.downloadParameter(q, q.average, kernels.Float32); err != nil {
					return err
				}
			}
			for i, m := range q.moments {
				if s.Optimizer[momentName(q.Param, p.flat.rules[q.rule].Moments()[i])], err = p.downloadParameter(q, m, kernels.Float32); err != nil {
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

// fetch waits for the device and copies values from a buffer.
func fetch[T float32 | kernels.BFloat16](d *Device, b Buffer, count int) ([]T, error) {
	out := make([]T, count)
	if err := d.quiet(); err != nil {
		return nil, err
	}
	bytes := int64(unsafe.Sizeof(out[0])) * int64(count)
	err := call("cuMemcpyDtoHAsync", cu.MemcpyDtoHAsync(unsafe.Pointer(unsafe.SliceData(out)), b.Address, bytes, d.stream))
	if err != nil {
		return nil, err
	}
	return out, d.synchronize()
}

// download waits for the device and copies values of a type from a buffer.
func (p *program) download(b Buffer, kind kernels.Type, count int) ([]float32, error) {
	if kind != kernels.BF16 {
		return fetch[float32](p.device, b, count)
	}
	narrow, err := fetch[kernels.BFloat16](p.device, b, count)
	if err != nil {
		return nil, err
	}
	out := make([]float32, count)
	for i, v := range narrow {
		out[i] = v.Float32()
	}
	return out, nil
}

// downloadParameter waits for the device and copies a parameter, or what lies as it does, to a tensor.
func (p *program) downloadParameter(q *parameter, b Buffer, kind kernels.Type) (*tensor.Dense, error) {
	values, err := p.download(b, kind, q.Size())
	if err != nil {
		return nil, err
	}
	return tensor.New(tensor.WithShape(q.Dims...), tensor.WithBacking(q.lies.toHost(values))), nil
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
	if err := p.device.quiet(); err != nil {
		return err
	}
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
		if p.options.Averages() {
			average := s.Average[q.Name]
			if average == nil { // the average begins at the weights
				average = s.Params[q.Name]
			}
			if err := upload(q, q.average, average); err != nil {
				return err
			}
		}
		for i, m := range q.moments {
			if err := upload(q, m, s.Optimizer[momentName(q.Param, p.flat.rules[q.rule].Moments()[i])]); err != nil {
				return err
			}
		}
	}
	if err := p.roundWeights(0, p.flat.all); err != nil {
		return err
	}
	for _, b := range p.norms {
		if b.constant() { // the running statistics don't change any more
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
