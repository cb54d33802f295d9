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
	// shake is how far the parameters of a second reference are from those of the first, relative to their root mean
	// square: about as far as a device's roundings shift what it computes. If that moves the loss of a step by more
	// than the tolerance, the network turns tiny differences into large ones. Then a device's loss may differ by
	// shakenTimes as much, but by no more than mostShaken. Deep networks with batch normalisation of few images are
	// like that, and networks whose values lie exactly at a kink.
	shake       = 1.0 / (1 << 22)
	shakenTimes = 4
	mostShaken  = 1e-2
)

// verdict holds what the reference computes for a work.
type verdict struct {
	losses        []float64
	shaken        []float64 // how far the losses move, relatively, if the parameters are shaken
	images        []int     // places in the first mini-batch
	probabilities *tensor.Dense
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
		if v.losses, err = j.losses(ctx, p, j.different()); err != nil {
			return v, err
		}
		v.shaken, err = j.shaken(ctx, device, v.losses)
		return v, err
	}
	n := min(j.Batch, checkImages)
	some := net.Batch{Data: j.batches[0].Data}
	for i := range n {
		at := i * (j.Batch - 1) / max(n-1, 1)
		v.images = append(v.images, at)
		some.Indices = append(some.Indices, j.batches[0].Indices[at])
	}
	v.probabilities, err = p.Infer(some)
	return v, err
}

// shaken returns how far the reference's losses move, relatively, if its parameters are shaken at first.
func (j *job) shaken(ctx context.Context, reference net.Device, losses []float64) (moved []float64, err error) {
	p, err := reference.Compile(j.plan.Network, j.options)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	state, err := p.State()
	if err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(1, 2))
	var values []float32
	for _, q := range j.plan.Params {
		values = append(values, state.Params[q.Name].Float32s()...)
	}
	all := rootMeanSquare(values)
	for _, q := range j.plan.Params {
		values := state.Params[q.Name].Float32s()
		size := rootMeanSquare(values)
		if size == 0 {
			size = all
		}
		for i := range values {
			values[i] += float32(shake * size * rng.NormFloat64())
		}
	}
	if err := p.SetState(state); err != nil {
		return nil, err
	}
	got, err := j.losses(ctx, p, j.different())
	for i := range got {
		moved = append(moved, math.Abs(got[i]-losses[i])/math.Abs(losses[i]))
	}
	return moved, err
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
	if j.Mode == peers.Train {
		got, err := j.losses(ctx, p, j.Batch)
		if err != nil {
			return c, err
		}
		c.What = fmt.Sprintf("losses of %d steps, relative", checkSteps)
		if n := j.different(); n < j.Batch {
			c.What += fmt.Sprintf("; %d images, each %d times", n, j.Batch/n)
		}
		for i, want := range v.losses {
			d := math.Abs(got[i]-want) / math.Abs(want)
			c.Tolerance = max(c.Tolerance, min(shakenTimes*v.shaken[i], mostShaken))
			if c.Distance = max(c.Distance, d); !(d <= c.Tolerance) { // NaN is wrong too
				return c, fmt.Errorf("%s %w (%v): the loss of step %d is %.7g, not %.7g; gputrain verify tells where they part",
					s.Device.Name(), ErrWrong, j.Work, i+1, got[i], want)
			}
		}
		return c, nil
	}
	got, err := p.Infer(j.batches[0])
	if err != nil {
		return c, err
	}
	c.What = fmt.Sprintf("probabilities of %d images", len(v.images))
	classes := j.plan.Classes
	for i, at := range v.images {
		for k := range classes {
			g, want := float64(got.Float32s()[at*classes+k]), float64(v.probabilities.Float32s()[i*classes+k])
			d := math.Abs(g - want)
			if c.Distance = max(c.Distance, d); !(d <= c.Tolerance) {
				return c, fmt.Errorf("%s %w (%v): image %d is of class %d with a probability of %.7g, not %.7g; gputrain verify tells where they part",
					s.Device.Name(), ErrWrong, j.Work, at, k, g, want)
			}
		}
	}
	return c, nil
}
