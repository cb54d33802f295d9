package bench

import (
	"fmt"
	"time"

	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/lower"
)

// Scaling describes data-parallel training on several equal GPUs, of which each computes its part of every mini-batch. Report
// computes how long a step takes. Nothing is measured.
type Scaling struct {
	Network   *net.Network
	Optimizer net.Optimizer
	Precision cuda.Precision // empty: cuda.TF32
	// Batch is how many images each GPU has in a step (weak scaling). GlobalBatch is how many all of them have together (strong
	// scaling). One of the two is set.
	Batch, GlobalBatch int
	GPUs               []int         // the numbers of GPUs
	GPU                GPU           // what each of them is
	Floor              time.Duration // the least time of a launch; 0: NodeFloor
	Interconnect       Interconnect
	LocalStatistics    bool // batch normalisation has no sums; see [net.Options]
	// Measured is how many images a second one GPU has been measured to train, alone and with the same batch. It scales the times of all
	// launches by one factor. 0: the times are those of [GPU.Time], which no GPU reaches.
	Measured float64
}

// ScalingReport is what to expect of training on several GPUs. It is computed, not measured.
type ScalingReport struct {
	Note        string         `json:"note"` // that it is computed
	Model       string         `json:"model"`
	Parameters  int            `json:"parameters"`
	Precision   cuda.Precision `json:"precision"`
	Optimizer   net.Method     `json:"optimizer"`
	Batch       int            `json:"batch,omitempty"`        // of each GPU; 0 for strong scaling
	GlobalBatch int            `json:"global_batch,omitempty"` // of all GPUs; 0 for weak scaling
	GPU         string         `json:"gpu"`
	Measured    float64        `json:"measured_images_per_second,omitempty"`
	// LocalStatistics says that batch normalisation has no sums.
	LocalStatistics bool           `json:"local_statistics,omitempty"`
	Interconnect    Interconnect   `json:"interconnect"`
	Points          []ScalingPoint `json:"points"`
}

// ScalingPoint is what to expect of one number of GPUs.
type ScalingPoint struct {
	GPUs   int     `json:"gpus"`
	Batch  int     `json:"batch"` // of each GPU, the largest if they differ
	Images float64 `json:"images_per_second"`
	Step   float64 `json:"step_seconds"`
	// Exposed is how long a GPU waits for sums in a step, in seconds.
	Exposed float64 `json:"exposed_seconds"`
	// Hidden is the share of the time of the gradients' sums in which the backward pass computes something. It is 0 without sums.
	Hidden float64 `json:"hidden"`
	// Efficiency is the images a second, divided by those of one GPU times the number of GPUs.
	Efficiency float64 `json:"efficiency"`
	// The sums of a step: how many are of gradients, and of batch normalisation, and how many bytes each GPU has in both. Bytes of
	// gradients include gaps: each parameter begins at a multiple of 256 bytes.
	GradientSums  int   `json:"gradient_sums"`
	GradientBytes int64 `json:"gradient_bytes"`
	NormSums      int   `json:"norm_sums"`
	NormBytes     int64 `json:"norm_bytes"`
}

// computedOnly is what a report says of itself.
const computedOnly = "computed, not measured"

// Report computes what to expect.
func (s Scaling) Report() (*ScalingReport, error) {
	plan, err := s.check()
	if err != nil {
		return nil, err
	}
	if s.Precision == "" {
		s.Precision = cuda.TF32
	}
	if s.Floor == 0 {
		s.Floor = NodeFloor
	}
	r := &ScalingReport{Note: computedOnly, Model: s.Network.Name, Parameters: plan.Parameters(), Precision: s.Precision, Optimizer: s.Optimizer.Method,
		Batch: s.Batch, GlobalBatch: s.GlobalBatch, GPU: s.GPU.Name, Measured: s.Measured, LocalStatistics: s.LocalStatistics, Interconnect: s.Interconnect}
	// The step of one GPU decides how all times are scaled, and is what the others are compared with.
	alone := max(s.Batch, s.GlobalBatch)
	single := s.schedule(plan, alone, 1)
	one, factor := float64(alone)/single.compute(), 1.0
	if s.Measured > 0 {
		one, factor = s.Measured, one/s.Measured
	}
	for _, gpus := range s.GPUs {
		p := ScalingPoint{GPUs: gpus, Batch: s.Batch}
		images := gpus * s.Batch
		if s.GlobalBatch > 0 {
			p.Batch, images = (s.GlobalBatch+gpus-1)/gpus, s.GlobalBatch
		}
		c := s.schedule(plan, p.Batch, gpus)
		c.scale(factor)
		t := c.run(func(bytes int64) float64 { seconds, _ := s.Interconnect.SumTime(bytes, gpus); return seconds })
		p.Step, p.Exposed, p.Hidden = t.step, t.waited, t.hidden
		p.Images = float64(images) / p.Step
		p.Efficiency = p.Images / (one * float64(gpus))
		for _, part := range c.parts {
			switch {
			case part.sum == nil:
			case part.sum.turn < 0:
				p.NormSums++
				p.NormBytes += part.sum.bytes
			default:
				p.GradientSums++
				p.GradientBytes += part.sum.bytes
			}
		}
		r.Points = append(r.Points, p)
	}
	return r, nil
}

// check returns the network's plan, or what is wrong.
func (s Scaling) check() (*net.Plan, error) {
	switch c := s.Interconnect; {
	case (s.Batch > 0) == (s.GlobalBatch > 0) || s.Batch < 0 || s.GlobalBatch < 0:
		return nil, fmt.Errorf("bench: want a batch for each GPU or one for all, above 0, got %d and %d", s.Batch, s.GlobalBatch)
	case !(s.Measured >= 0) || s.Measured > 1e12:
		return nil, fmt.Errorf("bench: %v images a second on one GPU", s.Measured)
	case c.GPUsPerMachine < 1 || !(c.Link.Bandwidth > 0) || !(c.Network.Bandwidth > 0):
		return nil, fmt.Errorf("bench: %d GPUs a machine, a link of %v bytes/s and a network of %v bytes/s: all must be above 0",
			c.GPUsPerMachine, c.Link.Bandwidth, c.Network.Bandwidth)
	case c.Link.Hop < 0 || c.Link.Hop >= hops:
		return nil, fmt.Errorf("bench: a link of kind %d", c.Link.Hop)
	case s.Floor < 0 || !(s.GPU.FP32 > 0) || !(s.GPU.TF32 > 0) || !(s.GPU.BF16 > 0) || !(s.GPU.Bandwidth > 0):
		return nil, fmt.Errorf("bench: the GPU %q has no peak or no bandwidth", s.GPU.Name)
	}
	for _, gpus := range s.GPUs {
		if gpus < 1 || s.GlobalBatch > 0 && gpus > s.GlobalBatch {
			return nil, fmt.Errorf("bench: %d GPUs for a batch of %d", gpus, max(s.GlobalBatch, s.Batch))
		}
	}
	return s.Network.Plan()
}

// schedule is what each GPU computes in a step, in order, and the sums over all GPUs between.
type schedule struct {
	parts   []part    // up to the end of the backward pass
	updates []float64 // the time of the optimiser, by turn
	clips   bool      // the optimiser needs the sums of all turns first
	rest    float64   // what comes last
}

// part is a piece of a step. It computes for a time, and then begins a sum.
type part struct {
	seconds float64
	sum     *sum // nil: there is none
}

// sum is a sum over all GPUs.
type sum struct {
	turn  int // which gradients it adds up; -1: numbers of batch normalisation, for which the computation waits
	bytes int64
}

// schedule returns what each of the GPUs computes. Launches stand in the order of a GPU alone, as if they ran one after the
// other, but without the optimiser, whose time depends on the sums. A turn's share of the optimiser's time is that of its weights. What only
// groups compute is left out: a launch or two for each batch normalisation, and in bfloat16 one for each turn, which widens gradients.
func (s Scaling) schedule(plan *net.Plan, batch, gpus int) schedule {
	program := lower.Lower(plan, cuda.Fuser{})
	turns := cuda.Turns(program, s.Optimizer, gpus)
	values := cuda.TurnValues(program, turns)
	group, channels := map[string]int{}, map[string]int64{}
	for i, g := range program.Groups {
		head := program.Head(g)
		group[head.Name], channels[head.Name] = i, int64(head.In.C)
	}
	launches := Launches(plan, net.Options{Optimizer: s.Optimizer}, cuda.FormOf(s.Precision, false), batch)
	// A turn's gradients are known after the last launch of the backward pass that belongs to the turn or to one before it.
	ready, last := make([]int, len(turns)), -1
	for i, l := range launches {
		if l.Phase != net.Backward {
			continue
		}
		last = i
		for turn, from := range turns {
			if group[l.Layer] >= from {
				ready[turn] = i
			}
		}
	}
	out := schedule{updates: make([]float64, len(turns)), clips: s.Optimizer.ClipNorm > 0}
	var now part
	begin := func(turn int, bytes int64) {
		if gpus > 1 && bytes > 0 {
			now.sum = &sum{turn, bytes}
			out.parts = append(out.parts, now)
			now = part{}
		}
	}
	var update float64
	for i, l := range launches {
		time, _ := s.GPU.Time(l, s.Precision, s.Floor)
		seconds := time.Seconds()
		switch {
		case l.Phase == net.Update:
			update += seconds
			continue
		case i > last && l.Call == "add_metrics":
			out.rest += seconds
			continue
		}
		now.seconds += seconds
		if bytes := normSum(launches, i, channels[l.Layer]); bytes > 0 && !s.LocalStatistics {
			begin(-1, bytes)
		}
		for turn := range turns {
			if l.Phase == net.Backward && ready[turn] == i {
				begin(turn, 4*values[turn])
			}
		}
	}
	if now.seconds > 0 {
		out.parts = append(out.parts, now)
	}
	var all int64
	for _, n := range values {
		all += n
	}
	for turn, n := range values {
		if all > 0 {
			out.updates[turn] = update * float64(n) / float64(all)
		}
	}
	return out
}

// normSum returns how many bytes a batch normalisation adds up over all GPUs after a launch, or 0. These sums are described in
// cuda/norm.go: 2 float64 a channel and the number of values after the statistics, and 2 float32 a channel after the gradients of weight
// and bias.
func normSum(launches []Launch, at int, channels int64) int64 {
	switch call := launches[at].Call; {
	case call == "batchnorm_moments":
		return 8 * (2*channels + 1)
	case call == "batchnorm_gradient_sums",
		call == "batchnorm_gradients" && (at+1 == len(launches) || launches[at+1].Call != "batchnorm_gradient_sums"):
		return 4 * 2 * channels
	}
	return 0
}

// scale multiplies the times of all launches.
func (c *schedule) scale(factor float64) {
	for i := range c.parts {
		c.parts[i].seconds *= factor
	}
	for i := range c.updates {
		c.updates[i] *= factor
	}
	c.rest *= factor
}

// compute returns how long a GPU computes, without any waiting.
func (c *schedule) compute() float64 {
	t := c.rest
	for _, p := range c.parts {
		t += p.seconds
	}
	for _, u := range c.updates {
		t += u
	}
	return t
}

// timeline is how a step goes, in seconds from its beginning.
type timeline struct {
	step, waited float64   // its length, and how much of it a GPU waits
	backward     float64   // the end of the backward pass
	ends         []float64 // of the sums of turns; 0 for those without
	hidden       float64   // the share of the sums of turns during which the backward pass computes
}

// run follows a step. time returns how long a sum of so many bytes takes. Sums are in one order on all GPUs, one at a time: a sum
// begins when its values are known and the sum before it is done. Batch normalisation waits for its own sums, and so also for
// the sums of gradients that have begun before. The optimiser moves a turn's weights when their sum is done, if it doesn't clip. That
// delays the rest of the backward pass, because a GPU does one thing at a time here.
func (c *schedule) run(time func(bytes int64) float64) timeline {
	type span struct{ from, to float64 }
	type update struct{ ready, seconds float64 }
	var computing, summing []span
	var updates []update // those that wait for their sums, which end in this order
	left := 0.0          // the time of the updates that wait for nothing, or for all sums
	for _, u := range c.updates {
		left += u
	}
	t, free := 0.0, 0.0 // now, and when the sums so far are done
	out := timeline{ends: make([]float64, len(c.updates))}
	idle := func(until float64) {
		if until > t {
			out.waited += until - t
			t = until
		}
	}
	next := func() {
		idle(updates[0].ready)
		t += updates[0].seconds
		updates = updates[1:]
	}
	wait := func(until float64) {
		for len(updates) > 0 && updates[0].ready < until {
			next()
		}
		idle(until)
	}
	compute := func(seconds float64) {
		for len(updates) > 0 && updates[0].ready < t+seconds {
			before := max(0, updates[0].ready-t)
			computing = append(computing, span{t, t + before})
			t, seconds = t+before, seconds-before
			next()
		}
		computing = append(computing, span{t, t + seconds})
		t += seconds
	}
	for _, p := range c.parts {
		compute(p.seconds)
		if p.sum == nil {
			continue
		}
		begin := max(t, free)
		free = begin + time(p.sum.bytes)
		if p.sum.turn < 0 {
			wait(free)
			continue
		}
		summing = append(summing, span{begin, free})
		out.ends[p.sum.turn] = free
		if u := c.updates[p.sum.turn]; !c.clips {
			updates = append(updates, update{free, u})
			left -= u
		}
	}
	out.backward = t
	for len(updates) > 0 {
		next()
	}
	idle(free)
	out.step = t + left + c.rest
	all := 0.0
	for _, s := range summing {
		all += s.to - s.from
		for _, b := range computing {
			out.hidden += max(0, min(s.to, b.to)-max(s.from, b.from))
		}
	}
	if all > 0 {
		out.hidden /= all
	}
	return out
}
