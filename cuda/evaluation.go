//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"errors"
	"math/bits"
	"slices"
	"unsafe"

	"gorgonia.org/cu"
	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
)

// pieces divides b into pieces of at most Options.Batch samples, and calls f for each.
func (p *program) pieces(b net.Batch, f func(piece net.Batch) error) error {
	for lo := 0; lo < b.Len(); lo += p.options.Batch {
		if err := f(b.Part(lo, min(lo+p.options.Batch, b.Len()))); err != nil {
			return err
		}
	}
	return nil
}

// Evaluate runs forward passes in evaluation mode, waits for them and returns their sums.
func (p *program) Evaluate(b net.Batch) (m net.Metrics, err error) {
	if err := p.check(b, 0); err != nil {
		return m, err
	}
	err = p.do(func() error {
		if err := p.device.zero(p.scores); err != nil {
			return err
		}
		err := p.pieces(b, func(piece net.Batch) error {
			return p.queue.add(work{kind: evaluating}, piece, numbersOf(net.Whole(piece.Len())))
		})
		// Flush after an error too: what is queued would add to the next evaluation's sums.
		if err := errors.Join(err, p.queue.flush()); err != nil {
			return err
		}
		m, err = p.readSums(p.scores)
		return err
	})
	return m, err
}

// padded returns a piece of a batch with some of its first samples once more at the end, so that the number of samples
// is a power of two, or Options.Batch. So a program meets few sizes, whatever it is asked: for each it has algorithms and
// a graph.
func (p *program) padded(b net.Batch) net.Batch {
	n := 1 << bits.Len(uint(b.Len()-1))
	if n = min(n, p.options.Batch); n == b.Len() {
		return b
	}
	more := n - b.Len() // less than b.Len()
	b.Indices = slices.Concat(b.Indices, b.Indices[:more])
	if b.Views != nil {
		b.Views = slices.Concat(b.Views, b.Views[:more])
	}
	return b
}

// Infer returns the class probabilities, (b.Len(), classes). The caller owns the tensor.
func (p *program) Infer(b net.Batch) (*tensor.Dense, error) {
	if err := p.check(b, 0); err != nil {
		return nil, err
	}
	var out []float32
	err := p.do(func() error {
		return p.pieces(b, func(piece net.Batch) error {
			if err := p.queue.add(work{kind: inferring}, p.padded(piece), kernels.Queued{}); err != nil {
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

// read copies the first bytes of a buffer to p.result, and waits until they are there.
func (p *program) read(from Buffer, bytes int64, wait func() error) error {
	if err := call("cuMemcpyDtoHAsync", cu.MemcpyDtoHAsync(p.result.pointer, from.Address, bytes, p.device.stream)); err != nil {
		return err
	}
	return wait()
}

// readSums waits for the device and returns the sums in a buffer.
func (p *program) readSums(from Buffer) (net.Metrics, error) {
	if err := p.read(from, sumsBytes, p.device.sleep); err != nil {
		return net.Metrics{}, err
	}
	s := slice[kernels.Sums](p.result, 0, 1)[0]
	return net.Metrics{Samples: s.Samples, Loss: s.Loss, Hits: s.Hits, FirstBad: s.FirstBad}, nil
}

// TakeMetrics waits for the device, returns the sums of training since the last call, and sets them to 0. FirstBad
// stays.
func (p *program) TakeMetrics() (m net.Metrics, err error) {
	err = p.do(func() error {
		if err := p.queue.flush(); err != nil {
			return err
		}
		if m, err = p.readSums(p.sums); err != nil {
			return err
		}
		return p.device.zero(p.sums.part(0, int64(unsafe.Offsetof(kernels.Sums{}.FirstBad)))) // FirstBad stays
	})
	return m, err
}
