package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/gputrain/gputrain/bench/peers"
	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/net"
)

// Subject is a device to measure. The caller opens it, and closes it after the run.
type Subject struct {
	Name    string // short: "cpu", "cuda:0"
	Device  net.Device
	Threads int // 0 if it can't be chosen
	// Tolerance is the largest allowed relative difference of losses, and the largest difference of probabilities;
	// 0: that for float32.
	Tolerance float64
	// Peers is the place where peers run beside this subject: the CPU for a CPU, or the same GPU in the same
	// precision. The zero Place is the CPU.
	Peers peers.Place
	// Tier is "avx2" if the subject computes with AVX2 though the processor has more. Its peers are then limited to
	// AVX2 too, as far as they can be.
	Tier      string
	Simulated string // why its times would mean nothing; "" if it is timed
	// Inspect returns how many bytes of the device's own memory a program holds, and counts of what it does. It may be
	// nil.
	Inspect func(net.Program) (memory int64, counts []Count)
}

// place returns where the subject's peers compute.
func (s Subject) place() peers.Place {
	if s.Peers == (peers.Place{}) {
		return peers.CPU
	}
	return s.Peers
}

// job is a work with everything that is needed to do it.
type job struct {
	Work
	plan    *net.Plan
	options net.Options
	batches []net.Batch
	// state has the weights that everybody starts from.
	state net.State
}

// batchesOf returns how many different mini-batches of so many samples are used: as many as the check of peers
// compares, or as many as there are. In inference each batch is independent of the others, so there are fewer large
// ones. A network that needs much work has fewer too, so that a slow peer's check takes seconds.
func batchesOf(plan *net.Plan, w Work, samples int) int {
	n := min(agreementBatches, samples/w.Batch, max(fewestBatches, int(agreementMulAdds/batchMulAdds(plan, w))))
	if w.Mode == peers.Infer {
		n = min(n, max(2, 2000/w.Batch))
	}
	return n
}

const (
	// agreementBatches is how many of a peer's losses are compared with ours, fewestBatches how many at least.
	agreementBatches = 20
	fewestBatches    = 5
	// agreementMulAdds is about how many multiply-adds the comparison may take. A fast peer does so many in seconds.
	agreementMulAdds = 1e11
)

func newJob(w Work, plan *net.Plan, data *net.Dataset, c Config) (*job, error) {
	n := plan.Network
	switch {
	case data.Shape != n.Input:
		return nil, fmt.Errorf("model %s takes samples of %v, but data set %s has %v", n.Name, n.Input, data.Name, data.Shape)
	case data.Classes > plan.Classes:
		return nil, fmt.Errorf("model %s tells %d classes apart, but data set %s has %d", n.Name, plan.Classes, data.Name, data.Classes)
	case data.Len() < w.Batch:
		return nil, fmt.Errorf("a batch of %d needs as many samples, data set %s has %d", w.Batch, data.Name, data.Len())
	}
	j := &job{Work: w, plan: plan, options: net.Options{Batch: w.Batch, Optimizer: c.Optimizer, Seed: c.Seed, Images: data},
		state: net.InitialState(plan, c.Seed, data)}
	j.batches = peers.Job{Batch: w.Batch, Check: batchesOf(plan, w, data.Len())}.Batches(data)
	return j, nil
}

// compile compiles the job's network for a subject's device.
func (j *job) compile(s Subject) (net.Program, error) {
	p, err := j.program(s.Device)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Device.Name(), err)
	}
	return p, nil
}

// program compiles the job's network on a device, with the weights to start from.
func (j *job) program(d net.Device) (net.Program, error) {
	options := j.options
	options.Inference = j.Mode == peers.Infer
	p, err := d.Compile(j.plan.Network, options)
	if err != nil || !j.calibrated() {
		return p, err
	}
	if err := p.SetState(net.State{Params: j.state.Params}); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// calibrated reports whether the job starts from other running statistics than the first ones. Batch normalisation
// with its first running statistics, mean 0 and variance 1, lets values grow from layer to layer. The probabilities
// would be 0 or 1, and nothing could be compared.
func (j *job) calibrated() bool {
	return j.Mode == peers.Infer && slices.ContainsFunc(j.plan.Network.Layers, func(l net.Layer) bool { _, is := l.(*net.BatchNorm); return is })
}

// calibrationImages is how many images running statistics are taken from.
const calibrationImages = 50

// calibrate sets the running statistics to those of some images, which a device computes.
func (j *job) calibrate(d net.Device, data *net.Dataset) (err error) {
	n, _ := withoutDropout(j.plan.Network)
	all := 1.0
	for i, l := range n.Layers {
		if b, ok := l.(*net.BatchNorm); ok {
			moved := *b
			moved.Momentum = &all
			n.Layers[i] = &moved
		}
	}
	b := net.Batch{Data: data}
	for i := range min(calibrationImages, data.Len()) {
		b.Indices = append(b.Indices, int32(i))
	}
	p, err := d.Compile(n, net.Options{Batch: len(b.Indices), Optimizer: net.SGDDefault(0), Seed: j.options.Seed, Images: data})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	if err := p.Step(b); err != nil {
		return err
	}
	if _, err := p.TakeMetrics(); err != nil {
		return err
	}
	state, err := p.State()
	j.state = net.State{Params: state.Params}
	return err
}

// run does n mini-batches. It returns the seconds until the results of the last one are in host memory.
func (j *job) run(p net.Program, n int) (float64, error) {
	start := time.Now()
	for i := range n {
		b := j.batches[i%len(j.batches)]
		var err error
		if j.Mode == peers.Train {
			err = p.Step(b)
		} else {
			_, err = p.Infer(b)
		}
		if err != nil {
			return 0, err
		}
	}
	if j.Mode == peers.Train {
		m, err := p.TakeMetrics()
		if err != nil {
			return 0, err
		}
		if m.FirstBad > 0 {
			return 0, fmt.Errorf("the loss of step %d is not a number", m.FirstBad)
		}
	}
	return time.Since(start).Seconds(), nil
}

// examine checks what a subject computes, and measures the memory that it takes while nothing else runs in the
// process.
func (j *job) examine(ctx context.Context, s Subject, judge *verdict) (m Measurement, err error) {
	m = Measurement{Work: j.Work, Who: s.Name, Threads: s.Threads, Settings: s.Device.Name(), MulAdds: batchMulAdds(j.plan, j.Work), Simulated: s.Simulated}
	runtime.GC()
	debug.FreeOSMemory()
	told := resetPeakRSS()
	p, err := j.compile(s)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	if m.Check, err = judge.try(ctx, s, j, p); err != nil {
		return m, err
	}
	if m.Allocations, m.Allocated, err = j.allocations(p); err != nil {
		return m, err
	}
	if told {
		m.PeakRSS = peakRSS()
	}
	if s.Inspect != nil {
		m.DeviceMemory, m.Counts = s.Inspect(p)
	}
	if s.Simulated == "" {
		m.Counts = nil
		return m, nil
	}
	if j.Mode == peers.Train {
		var all Launch
		launches := Launches(j.plan, j.options, cuda.FormOf(cuda.Precision(s.place().Precision), false), j.Batch)
		for _, l := range launches {
			all.Computed, all.Bytes = all.Computed+l.Computed, all.Bytes+l.Bytes
		}
		m.Counts = append(m.Counts, Count{"kernels and library calls a step", int64(len(launches))},
			Count{"multiply-adds computed a step, with padding's", all.Computed}, Count{"bytes to move a step, at least", all.Bytes})
	}
	return m, nil
}

// allocations returns how often a mini-batch allocates Go memory, and how many bytes. It returns the least of several
// tries, because the Go runtime may allocate memory for itself in between.
func (j *job) allocations(p net.Program) (number, bytes uint64, err error) {
	n, tries := 1, 1
	for try := 0; try < tries; try++ {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		took, err := j.run(p, n)
		if err != nil {
			return 0, 0, err
		}
		runtime.ReadMemStats(&after)
		if try == 0 && took < 0.1 { // fast enough for more tries
			n, tries = 5, 4
			number = math.MaxUint64
			continue
		}
		// Divide to whole numbers: a single allocation in n mini-batches does not count for each.
		if times := (after.Mallocs - before.Mallocs) / uint64(n); try == 0 || times < number {
			number, bytes = times, (after.TotalAlloc-before.TotalAlloc)/uint64(n)
		}
	}
	if number == 0 {
		bytes = 0
	}
	return number, bytes, nil
}

// profile returns where a training step's time goes. The time of each part is the median over the given number of
// steps.
func (j *job) profile(p net.Profiler, steps int) ([]PartTime, error) {
	var times [][]float64
	var parts []net.Part
	for i := range steps {
		var err error
		if parts, err = p.ProfileStep(j.batches[i%len(j.batches)]); err != nil {
			return nil, err
		}
		for len(times) < len(parts) {
			times = append(times, nil)
		}
		for k, part := range parts {
			times[k] = append(times[k], part.Time.Seconds())
		}
	}
	out := make([]PartTime, len(parts))
	var sum float64
	for i, part := range parts {
		out[i] = PartTime{Layers: []string{}, Phase: part.Phase, Seconds: spreadOf(times[i]).Median, Cost: partCost(j.plan, j.options.Optimizer, part, j.Batch)}
		for _, l := range part.Layers {
			out[i].Layers = append(out[i].Layers, j.plan.Nodes[l].Name)
		}
		sum += out[i].Seconds
	}
	for i := range out {
		out[i].Share = out[i].Seconds / sum
	}
	return out, nil
}
