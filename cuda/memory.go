//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"errors"
	"fmt"
	"slices"

	"gorgonia.org/cu"

	"github.com/gputrain/gputrain/cuda/driver"
)

// ErrOutOfMemory means that there is no room for an allocation on a GPU, or within the limit set for it. Compare with
// errors.Is.
var ErrOutOfMemory = errors.New("out of GPU memory")

// OutOfMemoryError says what did not fit. Sizes of memory are in bytes.
type OutOfMemoryError struct {
	What      string // what the memory was for: "conv1's output"
	Bytes     int64  // how much was asked for
	Free      int64  // how much was free on the GPU at that time
	Reserved  int64  // how much this pool had reserved
	Limit     int64  // the most that this pool may reserve; 0 is no limit
	BatchSize int    // the batch size for which the network is compiled; 0 if not known
	Fits      int    // a batch size that would fit; 0 if none would, or if it isn't known
}

func (e *OutOfMemoryError) Error() string {
	text := fmt.Sprintf("%v: %s needs %s, %s is free", ErrOutOfMemory, e.What, megabytes(e.Bytes), megabytes(e.Free))
	if e.Limit > 0 {
		text += fmt.Sprintf(" and %s of the limit of %s is taken", megabytes(e.Reserved), megabytes(e.Limit))
	}
	switch {
	case e.Fits > 0:
		text += fmt.Sprintf("; a batch size of %d would fit (now %d)", e.Fits, e.BatchSize)
	case e.BatchSize > 0:
		text += "; no batch size would fit"
	}
	return text
}

// Unwrap returns ErrOutOfMemory.
func (e *OutOfMemoryError) Unwrap() error { return ErrOutOfMemory }

func megabytes(n int64) string {
	if n < 1e6 {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}

// blockSize is the smallest allocation that the pool makes, in bytes, if there is room for it.
const blockSize = 32 << 20

// Buffer is a piece of device memory from a [Pool]. It implements the interface Memory of gorgonia.org/cu/dnn.
type Buffer struct {
	Address cu.DevicePtr
	Bytes   int64
}

// Uintptr returns the device address.
func (b Buffer) Uintptr() uintptr { return uintptr(b.Address) }

// IsNativelyAccessible returns false: the host cannot touch device memory.
func (b Buffer) IsNativelyAccessible() bool { return false }

// part returns the given number of bytes from offset on as a buffer of its own.
func (b Buffer) part(offset, bytes int64) Buffer {
	return Buffer{b.Address + cu.DevicePtr(offset), bytes}
}

// Pool divides a few large device allocations into buffers. It lends buffers again that were given back, so a running
// program allocates nothing from the driver. Only the device's thread uses a pool. A buffer that was given back may be
// lent again at once. The work of its next user comes after that of its last one: whenever memory is given back, the main
// lane has waited for the other lanes. The exception is a lane's own workspace: the host has waited for that lane.
type Pool struct {
	limit  int64 // the most bytes that may be reserved; 0: no limit
	single bool  // every buffer is its own allocation, for memory checkers that see only allocations
	blocks []*block
	stats  MemoryStats
}

// block is one allocation from the driver. Its spans cover it without gaps.
type block struct {
	base  cu.DevicePtr
	bytes int64
	spans []span // sorted by offset; two free spans are never neighbours
}

type span struct {
	offset, bytes int64
	free          bool
}

// take lends the given number of bytes. The text what goes into errors. The memory's content is undefined.
func (p *Pool) take(bytes int64, what string) (Buffer, error) {
	size := max(aligned(bytes), alignment)
	if !p.single {
		if b, ok := p.fit(size); ok {
			return p.lend(b, bytes), nil
		}
	}
	if err := p.grow(size, what); err != nil {
		return Buffer{}, err
	}
	b, _ := p.fit(size)
	return p.lend(b, bytes), nil
}

func (p *Pool) lend(address cu.DevicePtr, bytes int64) Buffer {
	p.stats.Lent++
	p.stats.InUse += max(aligned(bytes), alignment)
	p.stats.Peak = max(p.stats.Peak, p.stats.InUse)
	return Buffer{address, bytes}
}

// fit cuts size bytes from the smallest free span that is large enough.
func (p *Pool) fit(size int64) (cu.DevicePtr, bool) {
	var best *block
	at := 0
	for _, b := range p.blocks {
		for i, s := range b.spans {
			if s.free && s.bytes >= size && (best == nil || s.bytes < best.spans[at].bytes) {
				best, at = b, i
			}
		}
	}
	if best == nil {
		return 0, false
	}
	s := best.spans[at]
	best.spans[at] = span{s.offset, size, false}
	if s.bytes > size {
		best.spans = slices.Insert(best.spans, at+1, span{s.offset + size, s.bytes - size, true})
	}
	return best.base + cu.DevicePtr(s.offset), true
}

// grow allocates a block of at least size bytes from the driver. If there is no room for it, grow first gives the idle
// blocks back to the driver, and tries again.
func (p *Pool) grow(size int64, what string) error {
	err := p.allocate(size, what)
	if !errors.Is(err, ErrOutOfMemory) || !slices.ContainsFunc(p.blocks, (*block).idle) {
		return err
	}
	if e := errors.Join(call("cuCtxSynchronize", cu.Synchronize()), p.trim()); e != nil {
		return errors.Join(err, e)
	}
	return p.allocate(size, what)
}

func (p *Pool) allocate(size int64, what string) error {
	sizes := []int64{max(size, blockSize), size} // a large block, or just what is needed if there is no room for that
	if p.single {
		sizes = sizes[1:]
	}
	for _, bytes := range sizes {
		if p.limit > 0 && p.stats.Reserved+bytes > p.limit {
			continue
		}
		base, err := cu.MemAlloc(bytes)
		if err == nil {
			p.blocks = append(p.blocks, &block{base, bytes, []span{{0, bytes, true}}})
			p.stats.Reserved += bytes
			p.stats.Allocations++
			return nil
		}
		if result(err) != driver.Result(cu.OutOfMemory) {
			return call("cuMemAlloc", err)
		}
	}
	free, _, err := cu.MemInfo()
	if err != nil {
		return call("cuMemGetInfo", err)
	}
	return &OutOfMemoryError{What: what, Bytes: size, Free: free, Reserved: p.stats.Reserved, Limit: p.limit}
}

// room returns how many bytes could still be lent, in one piece and altogether.
func (p *Pool) room() (piece, all int64, err error) {
	free, _, err := cu.MemInfo()
	if err != nil {
		return 0, 0, call("cuMemGetInfo", err)
	}
	if p.limit > 0 {
		free = min(free, p.limit-p.stats.Reserved)
	}
	piece = free
	for _, b := range p.blocks {
		for _, s := range b.spans {
			if s.free {
				piece = max(piece, s.bytes)
			}
		}
	}
	return piece, free + p.stats.Reserved - p.stats.InUse, nil
}

// give takes a buffer back. It ignores a zero Buffer.
func (p *Pool) give(b Buffer) error {
	if b.Address == 0 {
		return nil
	}
	for k, owner := range p.blocks {
		offset := int64(b.Address) - int64(owner.base)
		if offset < 0 || offset >= owner.bytes {
			continue
		}
		i, found := slices.BinarySearchFunc(owner.spans, offset, func(s span, o int64) int { return int(s.offset - o) })
		if !found || owner.spans[i].free {
			panic("BUG: a buffer was given back twice")
		}
		p.stats.InUse -= owner.spans[i].bytes
		owner.release(i)
		if p.single {
			p.blocks = slices.Delete(p.blocks, k, k+1)
			p.stats.Reserved -= owner.bytes
			return call("cuMemFree", cu.MemFree(owner.base))
		}
		return nil
	}
	panic("BUG: a buffer of another pool was given back")
}

// release frees span i and joins it with its free neighbours.
func (b *block) release(i int) {
	b.spans[i].free = true
	if i+1 < len(b.spans) && b.spans[i+1].free {
		b.spans[i].bytes += b.spans[i+1].bytes
		b.spans = slices.Delete(b.spans, i+1, i+2)
	}
	if i > 0 && b.spans[i-1].free {
		b.spans[i-1].bytes += b.spans[i].bytes
		b.spans = slices.Delete(b.spans, i, i+1)
	}
}

// idle reports whether no part of the block is lent.
func (b *block) idle() bool { return len(b.spans) == 1 && b.spans[0].free }

// trim gives the idle blocks back to the driver.
func (p *Pool) trim() error {
	var errs []error
	p.blocks = slices.DeleteFunc(p.blocks, func(b *block) bool {
		if !b.idle() {
			return false
		}
		errs = append(errs, call("cuMemFree", cu.MemFree(b.base)))
		p.stats.Reserved -= b.bytes
		return true
	})
	return errors.Join(errs...)
}
