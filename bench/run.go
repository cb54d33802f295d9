package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
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
	// Random gives a network that Data doesn't fit random images and labels. Otherwise such a network is an error.
	Random bool
	// Suite makes the report's tables of all networks, one a mode.
	Suite bool
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
	Left        time.Duration // about how long the rest takes; 0 while that isn't known
}

// pause is the time before each repeat in which nothing runs, so that idle threads of the repeat before go to sleep.
const pause = 50 * time.Millisecond

// Run measures one network after another. First it checks every subject against the reference, and measures the memory
// that each needs. If a subject is wrong, the network is not timed; the other networks are, and then Run returns
// ErrWrong. Then it times each work: all subjects, and the peers that agree with them, take turns with one repeat each.
// If there are peers, all compute without dropout. When ctx ends, Run returns what it has and the context's error.
func Run(ctx context.Context, c Config) (*Report, error) {
	r := &run{Config: c, ctx: ctx, began: time.Now(), report: &Report{Machine: c.Machine, Measurements: []Measurement{}, Notes: []string{}}, limits: map[int]*net.Limits{},
		waiting: map[peerKey]*peers.Peer{}, unavailable: map[inability]bool{}}
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
	began  time.Time
	at     string // which network it is at, for the progress; empty if there is one
	done   int
	total  int
	limits map[int]*net.Limits // by subject
	busy   disturbance

	waiting     map[peerKey]*peers.Peer // peers on GPUs that wait for the next work
	unavailable map[inability]bool
	// The peers that are limited to gputrain's instructions where it doesn't use all, and those that can't be.
	keeping, unlimited []string
}

// checkWeight is how many repeats a check counts as in the progress.
const checkWeight = 10

func (r *run) do() error {
	r.report.Machine.CPU, r.report.Machine.Date = cpuName(), time.Now()
	var all [][]*job
	for _, n := range r.Networks {
		jobs, err := r.jobs(n)
		if err != nil {
			return err
		}
		all = append(all, jobs)
		for _, j := range jobs {
			r.total += r.parts(j)
		}
	}
	r.step(0, "measuring the machine's limits")
	if err := r.measureLimits(); err != nil {
		return err
	}
	var wrong error
	for i, jobs := range all {
		if err := r.network(i, jobs); errors.Is(err, ErrWrong) {
			r.note("Not timed: %s.", firstLine(err))
			wrong = errors.Join(wrong, err)
		} else if err != nil {
			return err
		}
		all[i] = nil // the images may take much memory
	}
	if wrong != nil && len(r.report.Measurements) == 0 {
		return wrong
	}
	// Measure once more, because something else may have run the first time. A machine never does more than it can.
	return errors.Join(wrong, r.measureLimits())
}

// network does all that there is to do with one network, the one of the given number.
func (r *run) network(number int, jobs []*job) error {
	r.at = ""
	if len(r.Networks) > 1 {
		r.at = fmt.Sprintf("%d of %d: ", number+1, len(r.Networks))
	}
	end := r.done // of this network's parts
	for _, j := range jobs {
		end += r.parts(j)
	}
	defer func() { r.done = end }()
	for _, j := range jobs {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		if j.calibrated() {
			if err := j.calibrate(r.Subjects[0].Device, j.options.Images); err != nil {
				return fmt.Errorf("%s: %w", r.Subjects[0].Device.Name(), err)
			}
		}
	}
	r.step(0, "computing what is right, on the reference: "+jobs[0].Model)
	verdicts, err := judge(r.ctx, jobs)
	if err != nil {
		return err
	}
	r.step(len(jobs)*checkWeight, "")
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
	return nil
}

// jobs returns what there is to do with a network, training first.
func (r *run) jobs(n *net.Network) ([]*job, error) {
	if len(r.Peers) > 0 {
		var changed bool
		if n, changed = withoutDropout(n); changed {
			r.note("%s is timed without its dropout, here and in the peers: each framework draws other numbers, so losses could not be compared.", n.Name)
		}
	}
	plan, err := n.Plan()
	if err != nil {
		return nil, err
	}
	var works []Work
	most := 1 // samples
	for _, size := range r.Train {
		works = append(works, Work{Model: n.Name, Mode: peers.Train, Batch: size})
	}
	for _, size := range r.Infer {
		works = append(works, Work{Model: n.Name, Mode: peers.Infer, Batch: size})
	}
	for _, w := range works {
		most = max(most, w.Batch*batchesOf(plan, w, agreementBatches*w.Batch))
	}
	data := r.Data
	if r.Random && !fits(data, plan) {
		data = randomSamples(plan, r.Seed, most)
	}
	var out []*job
	for _, w := range works {
		j, err := newJob(w, plan, data, r.Config)
		if err != nil {
			return nil, err
		}
		out = append(out, j)
	}
	return out, nil
}

// parts returns how many parts of the progress a job has. Works that need much have more.
func (r *run) parts(j *job) int {
	return checkWeight + len(r.Subjects)*checkWeight + r.contenders()*r.Repeats*r.turn(j)
}

// contenders returns how many take turns at most.
func (r *run) contenders() int { return len(r.Subjects) + len(r.Peers)*len(r.companies()) }

// turn returns how many parts of the progress a repeat is. A repeat of a large network is one batch, which may take
// longer than a repeat must.
func (r *run) turn(j *job) int {
	const mulAdds = 5e10 // a second
	return max(1, int(float64(batchMulAdds(j.plan, j.Work))/mulAdds/r.Least.Seconds()))
}

// step reports the progress. An empty text leaves the last text in place.
func (r *run) step(more int, what string) {
	r.done = min(r.done+more, r.total)
	if r.Progress == nil {
		return
	}
	if what != "" {
		what = r.at + what
	}
	p := Progress{Done: r.done, Total: r.total, What: what}
	if r.done > 0 && r.done < r.total {
		p.Left = time.Duration(float64(time.Since(r.began)) / float64(r.done) * float64(r.total-r.done))
	}
	r.Progress(p)
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
	r.step((r.contenders()-len(all))*r.Repeats*r.turn(j), "") // those that don't take part
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
			r.step(r.turn(j), j.String())
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
	if r.Suite {
		var models []string
		for _, n := range r.Networks {
			models = append(models, n.Name)
		}
		r.report.Suite = r.report.suiteTables(models)
	}
	if len(r.keeping) > 0 {
		r.note("Limited to AVX2, as gputrain is here: %s.", strings.Join(r.keeping, ", "))
	}
	if len(r.unlimited) > 0 {
		r.note("Not limited to AVX2, since there is no setting for it: %s.", strings.Join(r.unlimited, ", "))
	}
	if cpus, ok := r.busy.cpus(); ok && cpus > 0.05 {
		r.note("The machine was not idle: while gputrain was timed, other processes took %.2f CPUs on average.", cpus)
	}
}
