package kernels

import (
	"fmt"
	"math"
	"reflect"
	"unsafe"
)

// Pointer is the address of values of type T in device memory. In Go it is a number: nothing is kept alive by it.
type Pointer[T float32 | int32 | uint32 | uint8] uint64

// Element returns the type of the values that it points to.
func (Pointer[T]) Element() reflect.Type { return reflect.TypeFor[T]() }

type pointer interface{ Element() reflect.Type }

// Device is what a launch has to know of a device. The driver tells it (cuDeviceGetAttribute).
type Device struct {
	Multiprocessors          int // attribute 16, MULTIPROCESSOR_COUNT
	ThreadsPerMultiprocessor int // attribute 39, MAX_THREADS_PER_MULTIPROCESSOR
	ThreadsPerBlock          int // attribute 1, MAX_THREADS_PER_BLOCK
}

const warp = 32

// Launch is one launch of a kernel, on a grid of one dimension and without dynamic shared memory.
type Launch struct {
	Kernel  *Kernel
	Blocks  int // of the grid
	Threads int // of a block
	// Slots are the parameters, each in eight bytes of its own, from its first byte on: a driver reads the first bytes
	// that a parameter has, gorgonia.org/cu's Launch all eight.
	Slots []uint64
}

// Pointers returns a pointer to each slot, as cuLaunchKernel and gorgonia.org/cu want parameters.
func (l Launch) Pointers() []unsafe.Pointer {
	pointers := make([]unsafe.Pointer, len(l.Slots))
	for i := range l.Slots {
		pointers[i] = unsafe.Pointer(&l.Slots[i])
	}
	return pointers
}

// newLaunch makes a launch for a kernel whose threads share out the items between them, however many there are: as many
// threads as there are items, but no more blocks than the device runs at once. A block that had to wait for another's
// end would cost its start and gain nothing.
func newLaunch(k *Kernel, d Device, items uint64, parameters any) (Launch, error) {
	if d.Multiprocessors < 1 || d.ThreadsPerMultiprocessor < warp || d.ThreadsPerBlock < warp {
		return Launch{}, fmt.Errorf("kernels: %s: no such device: %+v", k.Name, d)
	}
	slots, err := pack(k, parameters)
	if err != nil {
		return Launch{}, fmt.Errorf("kernels: %s: %w", k.Name, err)
	}
	threads := min(k.MaxThreads, d.ThreadsPerBlock)
	atOnce := d.Multiprocessors * max(1, d.ThreadsPerMultiprocessor/threads)
	blocks := atOnce
	if items < uint64(atOnce)*uint64(threads) {
		blocks = max(1, (int(items)+threads-1)/threads)
	}
	return Launch{Kernel: k, Blocks: blocks, Threads: threads, Slots: slots}, nil
}

// pack lays a struct's fields into slots. A slot's low bytes come first: CUDA runs on no big-endian machine.
func pack(k *Kernel, parameters any) ([]uint64, error) {
	fields := reflect.ValueOf(parameters)
	slots := make([]uint64, fields.NumField())
	for i := range slots {
		switch v := fields.Field(i); v.Kind() {
		case reflect.Float32:
			slots[i] = uint64(math.Float32bits(float32(v.Float())))
		case reflect.Int32:
			slots[i] = uint64(uint32(v.Int()))
		case reflect.Uint32, reflect.Uint64:
			slots[i] = v.Uint()
		default:
			panic(fmt.Sprintf("BUG: kernels: a parameter of type %v", v.Type()))
		}
		if p, ok := fields.Field(i).Interface().(pointer); ok {
			if err := checkPointer(slots[i], p.Element()); err != nil {
				return nil, fmt.Errorf("%s: %w", k.Params[i].Name, err)
			}
		}
	}
	return slots, nil
}

func checkPointer(address uint64, element reflect.Type) error {
	if address == 0 {
		return fmt.Errorf("null pointer")
	}
	if address%uint64(element.Size()) != 0 {
		return fmt.Errorf("%#x is not aligned for %v", address, element)
	}
	return nil
}
