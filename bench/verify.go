package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/bench/peers"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// ErrWrong means that a device computes something else than the reference. Such a device is not timed.
var ErrWrong = errors.New("computes something else than the reference")

const (
	// checkSteps is how many losses are compared. The first loss checks the forward pass. Each later one checks the
	// updates before it. The reference takes seconds for each step.
	checkSteps = 3
	// checkImages is how many images have their probabilities compared. They are spread over a mini-batch.
	checkImages = 16
	// differentImages is the most different images in a mini-batch whose loss is compared; see [job.checked].
	differentImages = 8
	// checkTolerance is the tolerance for float32. Its losses of the built-in models differ from the reference's by
	// less than 1e-6 after three steps. If an update leaves out the biases of one convolution, they differ by more
	// than 1e-5.
	checkTolerance = 1e-5
	// shake is how far the parameters are moved to see how far that moves the losses, relative to their root mean
	// square: about as far as roundings shift what a device computes. If a loss moves by more than the tolerance, the
	// network turns tiny differences into large ones. Then another loss may differ by shakenTimes as much, but by no
	// more than mostShaken. Deep networks with batch normalisation of few images are like that, and networks whose
	// values lie exactly at a kink. One shake may move nothing where another one does, so there are several.
	shake       = 1.0 / (1 << 22)
	shakes      = 5
	shakenTimes = 4
	mostShaken  = 2e-2
)

// verdict holds what the reference computes for a work.
type verdict struct {
	values []float64 // the losses of the steps in training, or else the probabilities of the images
	images []int     // places in the first mini-batch
}

// judge does all works on the reference, at the same time.
func judge(ctx context.Context, jobs []*job) ([]*verdict, error) {
	verdicts, errs := make([]*verdict, len(jobs)), make([]error, len(jobs))
	var all sync.WaitGroup
	for i, j := range jobs {
		all.Go(func() { verdicts[i], errs[i] = j.refer(ctx) })
	}
	all.Wait()
	return verdicts, errors.Join(errs...)
}

// refer does one work on the reference.
func (j *job) refer(ctx context.Context) (v *verdict, err error) {
	device := reference.New()
	p, err := j.program(device)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Close(), device.Close()) }()
	v = &verdict{}
	if j.Mode == peers.Train {
		v.values, err = j.losses(ctx, p, j.different())
		return v, err
	}
	n := min(j.Batch, checkImages)
	some := net.Batch{Data: j.batches[0].Data}
	for i := range n {
		at := i * (j.Batch - 1) / max(n-1, 1)
		v.images = append(v.images, at)
		some.Indices = append(some.Indices, j.batches[0].Indices[at])
	}
	probabilities, err := p.Infer(some)
	if err == nil {
		for _, q := range probabilities.Float32s() {
			v.values = append(v.values, float64(q))
		}
	}
	return v, err
}

// shaken returns how far some values of a program move if its parameters, which are state at first, are shaken. For each
// value it is the most that this value or one before it moves. values must return what comes of the parameters that
// the program has. The program is left with other parameters than before.
func (j *job) shaken(p net.Program, state net.State, values func() ([]float64, error)) ([]float64, error) {
	var still, moved []float64
	for n := range shakes + 1 {
		if err := p.SetState(j.shake(state, n)); err != nil {
			return nil, err
		}
		got, err := values()
		if err != nil {
			return nil, err
		}
		if n == 0 {
			still, moved = got, make([]float64, len(got))
			continue
		}
		var most float64
		for i := range got {
			most = max(most, math.Abs(got[i]-still[i])) // max keeps NaN
			moved[i] = max(moved[i], most)
		}
	}
	return moved, nil
}

// shakenTolerance returns how far a value may differ that moves so far when the parameters are shaken. least is always
// allowed.
func shakenTolerance(least, moved float64) float64 {
	return max(least, min(shakenTimes*moved, mostShaken))
}

// shake returns a state with parameters that are moved a little at random. n decides how; 0 leaves them as they are.
func (j *job) shake(state net.State, n int) net.State {
	out := net.State{Params: map[string]*tensor.Dense{}}
	rng := rand.New(rand.NewPCG(uint64(n), 2))
	var all []float32
	for _, q := range j.plan.Params {
		all = append(all, state.Params[q.Name].Float32s()...)
	}
	most := rootMeanSquare(all)
	for _, q := range j.plan.Params {
		out.Params[q.Name] = state.Params[q.Name].Clone().(*tensor.Dense)
		if n == 0 || q.Role == net.RunningMean || q.Role == net.RunningVar { // a variance must stay above 0
			continue
		}
		values := out.Params[q.Name].Float32s()
		size := rootMeanSquare(values)
		if size == 0 {
			size = most
		}
		for i := range values {
			values[i] += float32(shake * size * rng.NormFloat64())
		}
	}
	return out
}

func rootMeanSquare(values []float32) float64 {
	var sum float64
	for _, v := range values {
		sum += float64(v) * float64(v)
	}
	return math.Sqrt(sum / float64(max(len(values), 1)))
}

// different returns how many different images are in a mini-batch whose loss is compared. It is the greatest divisor
// of the batch size that is at most differentImages. It is the whole batch if that divisor is small. It is also the
// whole batch if a layer treats an image by its place in the batch, as dropout does.
func (j *job) different() int {
	n := min(j.Batch, differentImages)
	for j.Batch%n != 0 {
		n--
	}
	dropout := slices.ContainsFunc(j.plan.Network.Layers, func(l net.Layer) bool { d, is := l.(*net.Dropout); return is && d.Rate > 0 })
	if n < differentImages/2 || dropout {
		return j.Batch
	}
	return n
}

// checked returns the i-th mini-batch whose loss is compared. It has the given number of images, in which the
// different ones take turns. In a batch of j.Batch images each different image occurs equally often. So its mean loss,
// its gradients and each channel's mean and variance are the same as in a batch with each image once. So a device is
// checked at the size at which it is timed, while the reference, which may take 60 ms of a core for an image, has
// little to do.
func (j *job) checked(i, images int) net.Batch {
	from := j.batches[i%len(j.batches)]
	b := net.Batch{Data: from.Data, Indices: make([]int32, images)}
	for k := range b.Indices {
		b.Indices[k] = from.Indices[k%j.different()]
	}
	return b
}

// losses trains for checkSteps steps with the given number of images each. It returns the loss of each step before its
// update.
func (j *job) losses(ctx context.Context, p net.Program, images int) ([]float64, error) {
	var out []float64
	for i := range checkSteps {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := p.Step(j.checked(i, images)); err != nil {
			return nil, err
		}
		m, err := p.TakeMetrics()
		if err != nil {
			return nil, err
		}
		out = append(out, m.MeanLoss())
	}
	return out, nil
}

// try compares a subject's program, at its initial weights, with the reference. If the program is wrong, the error
// wraps ErrWrong.
func (v *verdict) try(ctx context.Context, s Subject, j *job, p net.Program) (Check, error) {
	c := Check{Against: "reference", Tolerance: s.Tolerance}
	if c.Tolerance == 0 {
		c.Tolerance = checkTolerance
	}
	state, err := p.State()
	if err != nil {
		return c, err
	}
	trains := j.Mode == peers.Train
	values := func(images int) (out []float64, err error) {
		if trains {
			return j.losses(ctx, p, images)
		}
		all, err := p.Infer(j.batches[0])
		for _, at := range v.images {
			for k := 0; err == nil && k < j.plan.Classes; k++ {
				out = append(out, float64(all.Float32s()[at*j.plan.Classes+k]))
			}
		}
		return out, err
	}
	got, err := values(j.Batch)
	if err != nil {
		return c, err
	}
	c.What = fmt.Sprintf("probabilities of %d images", len(v.images))
	if trains {
		c.What = fmt.Sprintf("losses of %d steps, relative", checkSteps)
		if n := j.different(); n < j.Batch {
			c.What += fmt.Sprintf("; %d images, each %d times", n, j.Batch/n)
		}
	}
	least, shaken := c.Tolerance, []float64(nil)
	// Each loss has a limit of its own; the highest is shown.
	for i, want := range v.values {
		size := 1.0
		if trains {
			size = math.Abs(want)
		}
		d := math.Abs(got[i]-want) / size
		allowed := least
		if !(d <= allowed) && shaken == nil {
			if shaken, err = j.shaken(p, state, func() ([]float64, error) { return values(j.different()) }); err != nil {
				return c, err
			}
		}
		switch {
		case shaken != nil && trains:
			allowed = shakenTolerance(least, shaken[i]/size)
		case shaken != nil: // probabilities have no order
			allowed = shakenTolerance(least, slices.Max(shaken))
		}
		c.Tolerance = max(c.Tolerance, allowed)
		if c.Distance = max(c.Distance, d); d <= allowed {
			continue
		}
		what := fmt.Sprintf("the loss of step %d is", i+1)
		if !trains {
			what = fmt.Sprintf("image %d is of class %d with a probability of", v.images[i/j.plan.Classes], i%j.plan.Classes)
		}
		return c, fmt.Errorf("%s %w (%v): %s %.7g, not %.7g; gputrain verify tells where they part", s.Device.Name(), ErrWrong, j.Work, what, got[i], want)
	}
	return c, nil
}
