package kernels

import (
	"fmt"
	"math"
	"reflect"
	"unsafe"
)

// Pointer is the address of values of type T in device memory. For Go it is a number, so it keeps no memory alive.
type Pointer[T element] uint64

// Optional is a Pointer that may be null.
type Optional[T element] uint64

type element interface {
	float32 | float64 | BFloat16 | int32 | uint32 | uint8 | StepState | Queued | Rates | Sums | View
}

// Element returns the type of the values that it points to.
func (Pointer[T]) Element() reflect.Type { return reflect.TypeFor[T]() }

// Element returns the type of the values that it points to.
func (Optional[T]) Element() reflect.Type { return reflect.TypeFor[T]() }

func (Pointer[T]) null() bool  { return false }
func (Optional[T]) null() bool { return true }

type pointer interface {
	Element() reflect.Type
	null() bool // may be null
}

// Type is a type of the values between a network's layers.
type Type uint8

// The types.
const (
	Float32 Type = iota
	BF16         // bfloat16
)

// Bytes returns the size of a value in bytes.
func (t Type) Bytes() int64 { return [...]int64{4, 2}[t] }

// At returns the values of this type at an address.
func (t Type) At(address uint64) Values { return Values{address, t} }

func (t Type) String() string { return [...]string{"float32", "bfloat16"}[t] }

// Values is the address of values in device memory, which are of one of two types. A kernel has a form for each type, and
// all its Values have the same. Some may be null.
type Values struct {
	Address uint64
	Type    Type
}

// Launcher is a kernel with its parameters, ready to be launched.
type Launcher interface {
	// Launch returns the launch that suits the device: the numbers of blocks and threads, and the packed parameters.
	// It returns an error for parameters that the kernel can't take.
	Launch(Device) (Launch, error)
}

// Device holds the properties of a device that decide how kernels are launched. cuDeviceGetAttribute returns them.
type Device struct {
	Multiprocessors          int // attribute 16, MULTIPROCESSOR_COUNT
	ThreadsPerMultiprocessor int // attribute 39, MAX_THREADS_PER_MULTIPROCESSOR
	ThreadsPerBlock          int // attribute 1, MAX_THREADS_PER_BLOCK
}

const warp = 32

// blocksAtOnce returns how many blocks with the given number of threads the device runs at once.
func (d Device) blocksAtOnce(threads int) uint64 {
	return uint64(d.Multiprocessors) * uint64(max(1, d.ThreadsPerMultiprocessor/threads))
}

// Launch describes one launch of a kernel, on a one-dimensional grid and without dynamic shared memory.
type Launch struct {
	Kernel  *Kernel
	Blocks  int // number of blocks in the grid
	Threads int // number of threads in a block
	// Slots holds the parameters, each from the first byte of its own eight bytes. A driver reads only as many bytes
	// as a parameter has; gorgonia.org/cu's Launch reads all eight.
	Slots []uint64
}

// Pointers returns a pointer to each slot. cuLaunchKernel and gorgonia.org/cu take parameters in this form. Mind that Launch of
// gorgonia.org/cu v0.9.6 stores Go pointers in memory of malloc that it hasn't cleared: seldom, that ends the program while Go
// collects garbage. Package cuda calls cuLaunchKernel itself.
func (l Launch) Pointers() []unsafe.Pointer {
	pointers := make([]unsafe.Pointer, len(l.Slots))
	for i := range l.Slots {
		pointers[i] = unsafe.Pointer(&l.Slots[i])
	}
	return pointers
}

// newLaunch makes a launch for a kernel whose threads share the items, whatever their number. There are as many
// threads as items, but no more blocks than the device runs at once: a block that has to wait for another to end would
// only cost its start.
func newLaunch(k *Kernel, d Device, items uint64, parameters any) (Launch, error) {
	if d.Multiprocessors < 1 || d.ThreadsPerMultiprocessor < warp || d.ThreadsPerBlock < warp {
		return Launch{}, fmt.Errorf("kernels: %s: no such device: %+v", k.Name, d)
	}
	slots, err := pack(k, parameters)
	if err != nil {
		return Launch{}, fmt.Errorf("kernels: %s: %w", k.Name, err)
	}
	threads := min(k.MaxThreads, d.ThreadsPerBlock)
	blocks := d.blocksAtOnce(threads)
	if items < blocks*uint64(threads) {
		blocks = max(1, (items+uint64(threads)-1)/uint64(threads))
	}
	return Launch{Kernel: k, Blocks: int(blocks), Threads: threads, Slots: slots}, nil
}

// mostValues is the most values for kernels that divide indices to find a value's place. They use 32 bits, which is
// several times as fast as 64.
const mostValues = 1 << 31

// countPlaces returns the product of sizes. It returns an error if the product is more than mostValues.
func countPlaces(k *Kernel, sizes ...uint32) (uint64, error) {
	total := uint64(1)
	for _, n := range sizes {
		if total *= uint64(n); total > mostValues {
			return 0, fmt.Errorf("kernels: %s: %v are more than %d values", k.Name, sizes, mostValues)
		}
	}
	return total, nil
}

// quads returns how many groups of four values there are, the last perhaps not full. They are the items of kernels
// that move 16 bytes at a time.
func quads(count uint64) uint64 { return count/4 + min(count%4, 1) }

// packs returns how many groups of values there are that move 16 bytes at a time, the last perhaps not full.
func packs(t Type, count uint64) uint64 {
	wide := 16 / uint64(t.Bytes())
	return count/wide + min(count%wide, 1)
}

// newChannelwise makes a launch for a kernel that treats each of count values in the same way, with numbers of its
// channel.
func newChannelwise(k *Kernel, d Device, parameters any, count, channels, extent uint32) (Launch, error) {
	if channels < 1 || extent < 1 || channels > mostValues || extent > mostValues {
		return Launch{}, fmt.Errorf("kernels: %s: %d channels of %d values: want 1 to %d", k.Name, channels, extent, mostValues)
	}
	total, err := countPlaces(k, count)
	if err != nil {
		return Launch{}, err
	}
	return newLaunch(k, d, packs(k.Type, total), parameters)
}

// newSamples makes a launch for a kernel that moves a batch of samples with size values each. A sample has one block,
// or several if it has more values than a block's threads move at once.
func newSamples(k *Kernel, d Device, parameters any, batch, size, channels uint32) (Launch, error) {
	total, err := countPlaces(k, batch, size)
	if err != nil {
		return Launch{}, err
	}
	if total < 1 || channels < 1 || size%channels != 0 {
		return Launch{}, fmt.Errorf("kernels: %s: %d samples of %d values in %d channels: want 1 or more", k.Name, batch, size, channels)
	}
	return newShared(k, d, parameters, batch, quads(uint64(size)))
}

// newShared makes a launch for a kernel that has the given number of items for each sample of a batch. A sample has
// one block or several.
func newShared(k *Kernel, d Device, parameters any, batch uint32, items uint64) (Launch, error) {
	l, err := newRows(k, d, uint64(batch), items, parameters)
	if err != nil {
		return Launch{}, err
	}
	each := (items + uint64(l.Threads) - 1) / uint64(l.Threads)
	l.Blocks = int(min(uint64(batch)*each, d.blocksAtOnce(l.Threads)))
	return l, nil
}

// newViewed makes a launch for a kernel that makes images of height x width from pictures of another size. A thread
// makes one place in all channels.
func newViewed(k *Kernel, d Device, parameters any, batch, channels, height, width, fromHeight, fromWidth uint32) (Launch, error) {
	total, err := countPlaces(k, batch, channels, height, width)
	if err != nil {
		return Launch{}, err
	}
	from, err := countPlaces(k, channels, fromHeight, fromWidth)
	if err != nil {
		return Launch{}, err
	}
	if total < 1 || from < 1 {
		return Launch{}, fmt.Errorf("kernels: %s: %d samples of %d x %d x %d of %d x %d: want 1 or more", k.Name, batch, channels, height, width,
			fromHeight, fromWidth)
	}
	return newShared(k, d, parameters, batch, uint64(height)*uint64(width))
}

// newRows makes a launch for a kernel that gives each row to one block, whose threads share the row's items.
func newRows(k *Kernel, d Device, rows, items uint64, parameters any) (Launch, error) {
	l, err := newLaunch(k, d, items, parameters)
	if err != nil {
		return Launch{}, err
	}
	l.Blocks = int(min(rows, 1<<16))
	for l.Threads >= 2*warp && items <= uint64(l.Threads/2) {
		l.Threads /= 2
	}
	return l, nil
}

// pack writes a struct's fields to slots. A slot's low bytes come first: CUDA runs on no big-endian machine.
func pack(k *Kernel, parameters any) ([]uint64, error) {
	fields := reflect.ValueOf(parameters)
	slots := make([]uint64, len(k.Params))
	for i, param := range k.Params {
		v := fields.FieldByIndex(param.index)
		switch v.Kind() {
		case reflect.Float32:
			slots[i] = uint64(math.Float32bits(float32(v.Float())))
		case reflect.Float64:
			slots[i] = math.Float64bits(v.Float())
		case reflect.Int32:
			slots[i] = uint64(uint32(v.Int()))
		case reflect.Uint32, reflect.Uint64:
			slots[i] = v.Uint()
		case reflect.Struct:
			values := v.Interface().(Values)
			slots[i] = values.Address
			if param.optional && values.Address == 0 {
				continue
			}
			if err := checkValues(values, k.Type); err != nil {
				return nil, fmt.Errorf("%s: %w", param.Name, err)
			}
			continue
		default:
			panic(fmt.Sprintf("BUG: kernels: a parameter of type %v", v.Type()))
		}
		if p, ok := v.Interface().(pointer); ok && !(p.null() && slots[i] == 0) {
			if err := checkPointer(slots[i], p.Element()); err != nil {
				return nil, fmt.Errorf("%s: %w", param.Name, err)
			}
		}
	}
	return slots, nil
}

func checkPointer(address uint64, element reflect.Type) error {
	if address == 0 {
		return fmt.Errorf("null pointer")
	}
	if address%uint64(element.Align()) != 0 {
		return fmt.Errorf("%#x is not aligned for %v", address, element)
	}
	return nil
}

func checkValues(v Values, t Type) error {
	switch {
	case v.Type != t:
		return fmt.Errorf("%v values among others of %v", v.Type, t)
	case v.Address == 0:
		return fmt.Errorf("null pointer")
	case v.Address%uint64(t.Bytes()) != 0:
		return fmt.Errorf("%#x is not aligned for %v", v.Address, t)
	}
	return nil
}
