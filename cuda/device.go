//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"errors"
	"fmt"
	"slices"

	"gorgonia.org/cu"

	"github.com/gputrain/gputrain/cuda/driver"
	"github.com/gputrain/gputrain/net"
)

// Device is one GPU. It implements [net.Device]. All its calls run on one operating-system thread, which it owns. So
// it may be used from any goroutine, but only by one at a time.
type Device struct {
	options   Options
	form      Form
	libraries *driver.Libraries
	gpu       driver.Device
	thread    *thread
	closed    bool
	gone      bool // the GPU was lost: no call can succeed any more
	programs  []*program

	// Only the thread uses the fields below.
	device  cu.Device
	context cu.CUContext
	lane    // the lane to which work goes now
	lanes   [lanes]lane
	done    cu.Event // see sleep
	lt      ltHandle
	kernels *kernelSet
	pool    *Pool
	data    []*deviceData
	choices *choiceCache
	ranges  *ranges
	group   *Group // nil if the device trains alone
}

// Open loads NVIDIA's libraries and prepares a GPU. Its errors are those of [driver.Open], [driver.Error],
// [ErrPrecision] and [ErrOutOfMemory].
func Open(o Options) (*Device, error) {
	libraries, err := driver.Open()
	if err != nil {
		return nil, err
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(libraries.Devices, func(d driver.Device) bool { return d.Index == o.Index })
	if i < 0 {
		return nil, fmt.Errorf("%w: there is no GPU %d, only %d of them (from 0 on)", driver.ErrNoDevice, o.Index, len(libraries.Devices))
	}
	gpu := libraries.Devices[i]
	if gpu.Err != nil {
		return nil, fmt.Errorf("GPU %d (%s): %w", gpu.Index, gpu.Name, gpu.Err)
	}
	if (o.Precision == TF32 || o.Precision == BF16) && gpu.Major < 8 {
		return nil, fmt.Errorf("%w: GPU %d (%s) has no %s, which came with compute capability 8.0 (this one: %d.%d)", ErrPrecision,
			gpu.Index, gpu.Name, o.Precision, gpu.Major, gpu.Minor)
	}
	d := &Device{options: o, libraries: libraries, gpu: gpu, thread: newThread(), choices: newChoiceCache(o.AlgorithmCache), ranges: newRanges()}
	d.form = FormOf(d.Precision(), o.ChannelsLast)
	d.pool = &Pool{limit: o.MemoryLimit, single: o.SingleAllocations, stats: MemoryStats{Limit: o.MemoryLimit}}
	if err := d.thread.do(func() error { return d.explain(d.start()) }); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// check returns an error for options outside their ranges.
func (o Options) check() error {
	if !slices.Contains([]Precision{"", FP32, TF32, BF16}, o.Precision) {
		return fmt.Errorf("unknown precision %q (want %q, %q or %q)", o.Precision, FP32, TF32, BF16)
	}
	if !slices.Contains([]OwnConvolutions{OwnMeasured, OwnAlways, OwnNever}, o.OwnConvolutions) {
		return fmt.Errorf("unknown choice of convolutions %q (want %q, %q or %q)", o.OwnConvolutions, OwnMeasured, OwnAlways, OwnNever)
	}
	if o.MemoryLimit < 0 || o.Workspace < 0 {
		return fmt.Errorf("limits of memory must be at least 0, got %d and %d bytes", o.MemoryLimit, o.Workspace)
	}
	return nil
}

// start makes the context current to the thread, and makes everything that lives as long as the device.
func (d *Device) start() (err error) {
	if d.device, err = cu.GetDevice(d.gpu.Index); err != nil {
		return call("cuDeviceGet", err)
	}
	// The primary context: cuDNN and cuBLAS live there too.
	if d.context, err = d.device.RetainPrimaryCtx(); err != nil {
		d.context = cu.CUContext{}
		return call("cuDevicePrimaryCtxRetain", err)
	}
	if err = cu.SetCurrentContext(d.context); err != nil {
		return call("cuCtxSetCurrent", err)
	}
	if d.done, err = cu.MakeEvent(waited); err != nil {
		return call("cuEventCreate", err)
	}
	for i := range sumLane { // that one comes with a group
		d.lanes[i], err = d.newLane(i)
		d.lane = d.lanes[mainLane]
		if err != nil {
			return err
		}
	}
	if d.lt, err = newLt(d.libraries); err != nil {
		return err
	}
	d.kernels, err = newKernelSet(d.device)
	return err
}

// Precision returns the arithmetic of convolutions and dense layers: the one that Options names, otherwise TF32 if the
// GPU has it, otherwise FP32.
func (d *Device) Precision() Precision {
	switch {
	case d.options.Precision != "":
		return d.options.Precision
	case d.gpu.Major >= 8:
		return TF32
	}
	return FP32
}

// Name returns a name such as "cuda:0 (NVIDIA H100, TF32)", or in a group "cuda (NVIDIA H100, TF32)".
func (d *Device) Name() string {
	names := map[Precision]string{FP32: "float32", TF32: "TF32", BF16: "bfloat16"}
	if d.group != nil { // each member has a number of its own
		return fmt.Sprintf("cuda (%s, %s)", d.gpu.Name, names[d.Precision()])
	}
	return fmt.Sprintf("cuda:%d (%s, %s)", d.gpu.Index, d.gpu.Name, names[d.Precision()])
}

// Memory returns how much memory the device's pool has, and how much of it is in use.
func (d *Device) Memory() (stats MemoryStats) {
	if d.closed {
		return d.pool.stats
	}
	_ = d.thread.do(func() error { stats = d.pool.stats; return nil })
	return stats
}

// Compile compiles a network for the GPU; see [net.Device].
func (d *Device) Compile(n *net.Network, opts net.Options) (net.Program, error) {
	if d.closed {
		return nil, net.ErrClosed
	}
	plan, err := n.Plan()
	if err != nil {
		return nil, err
	}
	if err := opts.CheckFor(plan); err != nil {
		return nil, err
	}
	if g, ok := opts.Communicator.(*Group); opts.Communicator != nil && (!ok || g != d.group) {
		return nil, fmt.Errorf("%w, except in a group that it has joined: Device.Join", net.ErrAlone)
	}
	var p *program
	err = d.thread.do(func() (err error) {
		p, err = newProgram(d, plan, opts)
		return err
	})
	if err != nil {
		return nil, err
	}
	d.programs = append(d.programs, p)
	return p, nil
}

// Close closes the programs that are still open. Then it gives back the memory and the context.
func (d *Device) Close() error {
	if d.closed {
		return nil
	}
	var errs []error
	for _, p := range slices.Clone(d.programs) {
		errs = append(errs, p.Close())
	}
	d.closed = true
	errs = append(errs, d.thread.do(d.end))
	d.thread.stop()
	return errors.Join(errs...)
}

func (d *Device) end() error {
	var errs []error
	for _, x := range d.data {
		errs = append(errs, x.close(d.pool))
	}
	if d.group != nil {
		errs = append(errs, d.group.close())
	}
	if d.kernels != nil {
		errs = append(errs, d.kernels.close())
	}
	if d.lt != nil {
		errs = append(errs, closeLt(d.lt))
	}
	if d.done != (cu.Event{}) {
		errs = append(errs, call("cuEventDestroy", cu.DestroyEvent(&d.done)))
	}
	for _, l := range d.lanes {
		errs = append(errs, l.close(d.pool))
	}
	d.lane, d.lanes = lane{}, [lanes]lane{} // nobody may ask a stream that is gone
	errs = append(errs, d.pool.trim())
	if d.context != (cu.CUContext{}) {
		errs = append(errs, call("cuCtxSetCurrent", cu.SetCurrentContext(cu.CUContext{})), call("cuDevicePrimaryCtxRelease", d.device.ReleasePrimaryCtx()))
	}
	return d.ended(errs...)
}

// synchronize waits until the current lane has done all its work. It keeps the core busy, which gets the answer some ten
// microseconds earlier, so it is for short waits.
func (d *Device) synchronize() error {
	d.ranges.begin(rangeWait)
	defer d.ranges.end()
	if d.group != nil {
		return d.awaitLane(d.lane, true)
	}
	return call("cuStreamSynchronize", d.stream.Synchronize())
}

// quiet waits for earlier work, if some of it may wait for other members of a group. It comes before copies of memory that isn't
// pinned: in these the driver waits by itself, without looking whether the others are still there.
func (d *Device) quiet() error {
	if d.group == nil {
		return nil
	}
	return d.synchronize()
}

// synchronizeLanes waits until all lanes have done their work.
func (d *Device) synchronizeLanes() error {
	var errs []error
	for _, l := range d.lanes {
		switch {
		case l.stream == (cu.Stream{}):
		case d.group != nil:
			errs = append(errs, d.awaitLane(l, true))
		default:
			errs = append(errs, call("cuStreamSynchronize", l.stream.Synchronize()))
		}
	}
	return errors.Join(errs...)
}

// sleep waits until the current lane has done all its work. It leaves the core to others, so it is for waits that may
// take many steps.
func (d *Device) sleep() error {
	d.ranges.begin(rangeWait)
	defer d.ranges.end()
	return d.awaitLane(d.lane, false)
}

// awaitLane waits until a lane has done all its work. A short wait keeps the core busy.
func (d *Device) awaitLane(l lane, short bool) error {
	if err := call("cuEventRecord", d.done.Record(l.stream)); err != nil {
		return err
	}
	return d.await(d.done, short)
}

// await waits for an event. In a group it may depend on other members, so the host also looks whether they are still there.
func (d *Device) await(e cu.Event, short bool) error {
	if d.group != nil {
		return d.group.await(e, short)
	}
	return call("cuEventSynchronize", e.Synchronize())
}
