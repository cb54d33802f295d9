//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"errors"
	"fmt"
	"slices"

	"gorgonia.org/cu"

	"github.com/gputrain/gputrain/cuda/driver"
	"github.com/gputrain/gputrain/kernels"
)

// kernelSet holds our kernels. A module is compiled and loaded when the first of its kernels is asked for: a program uses few
// of them.
type kernelSet struct {
	device    kernels.Device
	modules   []cu.Module
	functions map[*kernels.Kernel]cu.Function
}

func newKernelSet(d cu.Device) (*kernelSet, error) {
	k := &kernelSet{functions: map[*kernels.Kernel]cu.Function{}}
	for _, a := range []struct {
		of   cu.DeviceAttribute
		into *int
	}{
		{cu.MultiprocessorCount, &k.device.Multiprocessors},
		{cu.MaxThreadsPerMultiprocessor, &k.device.ThreadsPerMultiprocessor},
		{cu.MaxThreadsPerBlock, &k.device.ThreadsPerBlock},
	} {
		v, err := d.Attribute(a.of)
		if err != nil {
			return k, call("cuDeviceGetAttribute", err)
		}
		*a.into = v
	}
	// A driver that can't compile our kernels is noticed here, with a module that is small and always needed.
	modules := kernels.Modules()
	return k, k.load(modules[slices.IndexFunc(modules, func(m kernels.Module) bool { return m.Name == "metrics" })])
}

// moduleOf holds the module of each kernel.
var moduleOf = func() map[*kernels.Kernel]kernels.Module {
	of := map[*kernels.Kernel]kernels.Module{}
	for _, m := range kernels.Modules() {
		for _, kernel := range m.Kernels {
			of[kernel] = m
		}
	}
	return of
}()

// function returns a kernel, and loads its module if that hasn't been done.
func (k *kernelSet) function(kernel *kernels.Kernel) (cu.Function, error) {
	if f, ok := k.functions[kernel]; ok {
		return f, nil
	}
	if err := k.load(moduleOf[kernel]); err != nil {
		return cu.Function{}, err
	}
	return k.functions[kernel], nil
}

// load gives a module's PTX text to the driver, which compiles and loads it.
func (k *kernelSet) load(m kernels.Module) error {
	loaded, err := loadModule(m.PTX())
	if err != nil {
		return fmt.Errorf("kernels of %s: %w", m.Name, err)
	}
	k.modules = append(k.modules, loaded)
	for _, kernel := range m.Kernels {
		f, err := loaded.Function(kernel.Name)
		if err != nil {
			return fmt.Errorf("kernel %s: %w", kernel.Name, call("cuModuleGetFunction", err))
		}
		k.functions[kernel] = f
	}
	return nil
}

func (k *kernelSet) close() error {
	var errs []error
	for _, m := range k.modules {
		errs = append(errs, call("cuModuleUnload", m.Unload()))
	}
	return errors.Join(errs...)
}

// launch enqueues a kernel on the current lane.
func (d *Device) launch(k kernels.Launcher) error {
	l, err := k.Launch(d.kernels.device)
	if err != nil {
		return err
	}
	f, err := d.kernels.function(l.Kernel)
	if err != nil {
		return err
	}
	if err := launchOn(d.stream, f, l); err != nil {
		return fmt.Errorf("kernel %s: %w", l.Kernel.Name, err)
	}
	return nil
}

// zero fills a buffer with zeros. It does not wait for it.
func (d *Device) zero(b Buffer) error {
	if b.Bytes == 0 {
		return nil
	}
	return call("cuMemsetD8Async", cu.MemsetD8Async(b.Address, 0, b.Bytes, d.stream))
}

// workspaceLimit returns the most bytes that a convolution's workspace may have.
func (d *Device) workspaceLimit() int64 {
	if d.options.Workspace > 0 {
		return d.options.Workspace
	}
	return 256 << 20
}

// lost returns the error that has ended the context: from then on every call returns it. It returns nil if the context
// works.
func (d *Device) lost() error {
	if d.stream == (cu.Stream{}) {
		return nil // there is no way to ask
	}
	return call("cuStreamQuery", ignoreNotReady(d.stream.Query()))
}

func ignoreNotReady(err error) error {
	if errors.Is(err, cu.NotReady) {
		return nil
	}
	return err
}

// ErrDeviceLost means that a GPU failed while it worked: it fell off the bus, its memory had an error that could not
// be corrected, or a kernel ran too long or faulted. Nothing on the GPU can be read any more. Compare with errors.Is.
var ErrDeviceLost = errors.New("the GPU was lost")

// lossAdvice holds the statuses that always end a context, and what to do about each.
var lossAdvice = map[driver.Result]string{
	driver.Result(cu.LaunchTimeout):    "a kernel ran longer than the display's watchdog allows: use a GPU without a display, or smaller batches",
	driver.Result(cu.EccUncorrectable): "its memory had an error that could not be corrected: see nvidia-smi -q -d ECC",
	driver.Result(cu.IllegalAddress):   "a kernel used an address that is not its own: please report this bug",
}

// explain adds ErrDeviceLost to an error if the GPU has been lost with it. Every later call then fails too.
func (d *Device) explain(err error) error {
	if err == nil || errors.Is(err, ErrDeviceLost) {
		return err
	}
	cause := d.lost()
	var status driver.Result
	if errors.As(err, &status) && lossAdvice[status] != "" {
		cause = err
	}
	if cause == nil {
		return err
	}
	text := "it may have fallen off the bus: look for NVRM: Xid in dmesg"
	if errors.As(cause, &status) && lossAdvice[status] != "" {
		text = lossAdvice[status]
	}
	d.gone = true
	if !errors.Is(err, status) {
		err = fmt.Errorf("%w; %w", err, cause)
	}
	return fmt.Errorf("%w (%s): %w", ErrDeviceLost, text, err)
}

// ended returns the errors of giving things back. On a GPU that was known to be lost there is nothing to give back, so
// it returns nil. If one of these errors shows that the GPU has been lost, it returns only that.
func (d *Device) ended(errs ...error) error {
	if d.gone {
		return nil
	}
	errs = slices.DeleteFunc(errs, func(err error) bool { return errors.Is(err, ErrGroup) }) // that was told before
	err := d.explain(firstError(errs...))
	if d.gone {
		return err
	}
	return errors.Join(errs...)
}
