//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"slices"
	"unsafe"

	"gorgonia.org/cu"
	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
)

// pieces calls f for at most Options.Batch samples of b at a time.
func (p *program) pieces(b net.Batch, f func(piece net.Batch) error) error {
	for indices := range slices.Chunk(b.Indices, p.options.Batch) {
		if err := f(net.Batch{Data: b.Data, Indices: indices}); err != nil {
			return err
		}
	}
	return nil
}

// Evaluate queues forward passes in evaluation mode.
func (p *program) Evaluate(b net.Batch) error {
	if err := p.check(b, 0); err != nil {
		return err
	}
	return p.do(func() error {
		return p.pieces(b, func(piece net.Batch) error { return p.queue.add(evaluating, piece, kernels.Rates{}) })
	})
}

// Infer returns class probabilities.
func (p *program) Infer(b net.Batch) (*tensor.Dense, error) {
	if err := p.check(b, 0); err != nil {
		return nil, err
	}
	var out []float32
	err := p.do(func() error {
		return p.pieces(b, func(piece net.Batch) error {
			if err := p.queue.add(inferring, piece, kernels.Rates{}); err != nil {
				return err
			}
			if err := p.queue.flush(); err != nil {
				return err
			}
			count := piece.Len() * p.plan.Classes
			if err := p.read(p.probabilities, 4*int64(count), p.device.synchronize); err != nil {
				return err
			}
			out = append(out, slice[float32](p.result, 0, count)...)
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return tensor.New(tensor.WithShape(b.Len(), p.plan.Classes), tensor.WithBacking(out)), nil
}

// read copies the beginning of a buffer to p.result and waits until it is there.
func (p *program) read(from Buffer, bytes int64, wait func() error) error {
	if err := call("cuMemcpyDtoHAsync", cu.MemcpyDtoHAsync(p.result.pointer, from.Address, bytes, p.device.stream)); err != nil {
		return err
	}
	return wait()
}

// Metrics waits for the device and returns the sums since the last call.
func (p *program) Metrics() (m net.Metrics, err error) {
	err = p.do(func() error {
		if err := p.queue.flush(); err != nil {
			return err
		}
		if err := p.read(p.sums, sumsBytes, p.device.sleep); err != nil {
			return err
		}
		s := slice[kernels.Sums](p.result, 0, 1)[0]
		m = net.Metrics{Samples: s.Samples, Loss: s.Loss, Hits: s.Hits, FirstBad: s.FirstBad}
		return p.device.zero(p.sums.part(0, int64(unsafe.Offsetof(s.FirstBad)))) // the first bad step stays
	})
	return m, err
}
