package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/gputrain/gputrain/bench/peers"
	"github.com/gputrain/gputrain/net"
)

// Config tells what to measure.
type Config struct {
	Networks  []*net.Network
	Train     []int // mini-batch sizes of training steps
	Infer     []int // mini-batch sizes of inference
	Optimizer net.Optimizer
	Seed      uint64
	Data      *net.Dataset
	// Subjects are the devices to time, at least one. A peer without a device with the same number of threads is
	// compared with the first.
	Subjects []Subject
	Repeats  int // how often each is timed, at least 3; very slow ones are timed less often
	Least    time.Duration
	// Peers lists the names of the peers to time. They take turns with the subjects. On the CPU they run with each
	// number of threads that a subject has there. They also run on each GPU that a subject runs on. PeersDir is the
	// folder of package bench/peers.
	Peers    []string
	PeersDir string
	Machine  Machine        // a description; Run fills in what it finds out
	Progress func(Progress) // may be nil
}

// Progress tells how far a run is.
type Progress struct {
	Done, Total int // parts that are done, and the number of all parts; each takes about the same time
	What        string
}

// pause is the time before each repeat in which nothing runs, so that idle threads of the repeat before go to sleep.
const pause = 50 * time.Millisecond

// Run measures. First it checks every subject against the reference, and measures the memory that each needs. If a
// subject is wrong, the run ends with ErrWrong. Then it times each work: all subjects, and the peers that agree with
// them, take turns with one repeat each. When ctx ends, Run returns what it has and the context's error.
func Run(ctx context.Context, c Config) (*Report, error) {
	r := &run{Config: c, ctx: ctx, report: &Report{Machine: c.Machine, Measurements: []Measurement{}, Notes: []string{}}, limits: map[int]*net.Limits{},
		waiting: map[peerKey]*peers.Peer{}, unavailable: map[peerKey]bool{}}
	err := r.do()
	err = errors.Join(err, r.closePeers())
	r.finish()
	if ctx.Err() != nil {
		r.report.Interrupted = true
		err = ctx.Err()
	}
	return r.report, err
}

// run is the state of a run.
type run struct {
	Config
	ctx    context.Context
	report *Report
	done   int
	total  int
	limits map[int]*net.Limits // by subject
	busy   disturbance

	waiting     map[peerKey]*peers.Peer // peers on GPUs that wait for the next work
	unavailable map[peerKey]bool
}

// checkWeight is how many repeats a check counts as in the progress.
const checkWeight = 10

func (r *run) do() error {
	r.report.Machine.CPU, r.report.Machine.Date = cpuName(), time.Now()
	jobs, err := r.jobs()
	if err != nil {
		return err
	}
	r.total = len(jobs) * (checkWeight + len(r.Subjects)*checkWeight + (len(r.Subjects)+len(r.Peers)*len(r.companies()))*r.Repeats)
	r.step(0, "computing what is right, on the reference")
	verdicts, err := judge(r.ctx, jobs)
	if err != nil {
		return err
	}
	r.step(len(jobs)*checkWeight, "measuring the machine's limits")
	if err := r.measureLimits(); err != nil {
		return err
	}
	examined := make([][]Measurement, len(jobs))
	for i, j := range jobs {
		for _, s := range r.Subjects {
			if err := r.ctx.Err(); err != nil {
				return err
			}
			r.step(0, fmt.Sprintf("checking %s: %v", s.Name, j.Work))
			m, err := j.examine(r.ctx, s, verdicts[i])
			if err != nil {
				return err
			}
			examined[i] = append(examined[i], m)
			r.step(checkWeight, "")
		}
	}
	for i, j := range jobs {
		if err := r.time(j, examined[i]); err != nil {
			return err
		}
	}
	// Measure once more, because something else may have run the first time. A machine never does more than it can.
	return r.measureLimits()
}

// jobs returns what there is to do, training first.
func (r *run) jobs() ([]*job, error) {
	var out []*job
	for _, n := range r.Networks {
		for _, mode := range []peers.Mode{peers.Train, peers.Infer} {
			sizes := r.Train
			if mode == peers.Infer {
				sizes = r.Infer
			}
			for _, size := range sizes {
				j, err := newJob(Work{Model: n.Name, Mode: mode, Batch: size}, n, r.Config)
				if err != nil {
					return nil, err
				}
				out = append(out, j)
			}
		}
	}
	return out, nil
}

// step reports the progress. An empty text leaves the last text in place.
func (r *run) step(more int, what string) {
	r.done = min(r.done+more, r.total)
	if r.Progress != nil {
		r.Progress(Progress{Done: r.done, Total: r.total, What: what})
	}
}

func (r *run) note(format string, a ...any) {
	if text := fmt.Sprintf(format, a...); !slices.Contains(r.report.Notes, text) {
		r.report.Notes = append(r.report.Notes, text)
	}
}

// measureLimits measures what each subject's machine can do, and keeps the best results.
func (r *run) measureLimits() error {
	for i, s := range r.Subjects {
		limiter, ok := s.Device.(net.Limiter)
		if !ok || s.Simulated != "" {
			continue
		}
		if err := r.ctx.Err(); err != nil {
			return err
		}
		got, err := limiter.Limits()
		if err != nil {
			return fmt.Errorf("%s: %w", s.Device.Name(), err)
		}
		if l := r.limits[i]; l != nil {
			got.MulAdds, got.Bandwidth = max(got.MulAdds, l.MulAdds), max(got.Bandwidth, l.Bandwidth)
			*l = got
			continue
		}
		r.limits[i] = &got
	}
	return nil
}

// time times one work. If the context ends, it keeps contenders that have enough repeats for a median.
func (r *run) time(j *job, examined []Measurement) (err error) {
	var all []*contender
	defer func() {
		for _, c := range all {
			err = errors.Join(err, c.close())
		}
	}()
	for i, s := range r.Subjects {
		if s.Simulated != "" {
			continue
		}
		p, err := j.compile(s)
		if err != nil {
			return err
		}
		examined[i].Limits = r.limits[i]
		all = append(all, newSubject(j, s, p, examined[i]))
	}
	more, err := r.startPeers(j)
	all = append(all, more...)
	if err != nil {
		return err
	}
	for _, c := range all {
		c.against = baseline(all, c)
		r.step(0, "warming up: "+j.String())
		if err := c.warm(r.ctx, r.Least.Seconds(), r.Repeats); err != nil {
			return err
		}
	}
	rounds := r.rounds(j, all)
	for _, c := range all {
		if rounds == nil && c.program != nil && j.Mode == peers.Train {
			if p, ok := c.program.(net.Profiler); ok {
				if c.m.Parts, err = j.profile(p, profileSteps); err != nil {
					return err
				}
			}
		}
		c.summarise()
	}
	for i, s := range r.Subjects {
		if s.Simulated != "" && rounds == nil {
			all = slices.Insert(all, min(i, len(all)), &contender{m: examined[i], close: func() error { return nil }})
		}
	}
	for _, c := range all {
		if c.m.Timed() || c.m.Simulated != "" {
			r.report.Measurements = append(r.report.Measurements, c.m)
		}
	}
	return rounds
}

// profileSteps is how many steps are profiled: enough for a median.
const profileSteps = 15

// fewest is the number of repeats that a median needs at least.
const fewest = 3

// rounds runs the repeats, all contenders in turns.
func (r *run) rounds(j *job, all []*contender) error {
	for round := range r.Repeats {
		for _, c := range all {
			if err := r.ctx.Err(); err != nil {
				return err
			}
			r.step(1, j.String())
			if !c.takesPart(round, r.Repeats) {
				c.rounds = append(c.rounds, math.NaN())
				continue
			}
			time.Sleep(pause)
			if c.program != nil {
				r.busy.begin()
			}
			s, err := c.repeat(c.batches)
			if err != nil {
				return err
			}
			if c.program != nil {
				r.busy.end()
			}
			c.rounds = append(c.rounds, s/float64(c.batches))
		}
	}
	return nil
}

// finish adds figures that are known only at the end.
func (r *run) finish() {
	for i := range r.report.Measurements {
		m := &r.report.Measurements[i]
		if m.Limits != nil && m.Timed() {
			m.Share = float64(m.MulAdds) / m.Time.Median / m.Limits.MulAdds
		}
	}
	if cpus, ok := r.busy.cpus(); ok && cpus > 0.05 {
		r.note("The machine was not idle: while gputrain was timed, other processes took %.2f CPUs on average.", cpus)
	}
}
