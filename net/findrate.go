package net

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// RateRange is the range of learning rates that FindRate tries.
type RateRange struct {
	From, To float64 // the rates of the first and the last step; 0 < From < To
	Steps    int     // number of steps, at least 10
}

// Check returns an error for a range that FindRate cannot go through.
func (r RateRange) Check() error {
	switch {
	case !(r.From > 0 && r.From < r.To && r.To <= math.MaxFloat32):
		return fmt.Errorf("range of learning rates: want more than 0 and rising, got %v to %v", r.From, r.To)
	case r.Steps < 10 || r.Steps > maxElements:
		return fmt.Errorf("range of learning rates: want at least 10 steps, got %d", r.Steps)
	}
	return nil
}

// RateRangeFor returns the usual range for an optimiser: from 1e-6 to 0.1 for Adam and
// AdamW, from 1e-7 to 0.01 for Lion, from 1e-5 to 10 for SGD and Muon, in 150 steps.
func RateRangeFor(m Method) RateRange {
	switch m {
	case SGD, Muon:
		return RateRange{From: 1e-5, To: 10, Steps: 150}
	case Lion:
		return RateRange{From: 1e-7, To: 0.01, Steps: 150}
	}
	return RateRange{From: 1e-6, To: 0.1, Steps: 150}
}

// RatePoint is one step of a learning-rate range test.
type RatePoint struct {
	Rate   float64 `json:"rate"`
	Loss   float64 `json:"loss"`   // mean over the step's samples, before its update
	Smooth float64 `json:"smooth"` // weighted mean of the losses of this step and its neighbours
}

// RateTest is the result of a learning-rate range test.
type RateTest struct {
	Points   []RatePoint `json:"points"`   // one for each step, until the loss diverged
	Diverged bool        `json:"diverged"` // whether the loss diverged before the last step
	// Steepest is the index of the point where the smoothed loss falls fastest. Least is
	// the index of the point where it is least: at higher rates it rises. Both are -1 if
	// the loss never fell.
	Steepest int `json:"steepest"`
	Least    int `json:"least"`
}

// SteepestRate is the learning rate at which the loss falls fastest. It is 0 if the loss
// never fell.
func (t *RateTest) SteepestRate() float64 {
	if t.Steepest < 0 {
		return 0
	}
	return t.Points[t.Steepest].Rate
}

// LeastTenth is a tenth of the learning rate at which the loss is least. That keeps some
// distance from the rates at which it rises. It is 0 if the loss never fell.
func (t *RateTest) LeastTenth() float64 {
	if t.Least < 0 {
		return 0
	}
	return t.Points[t.Least].Rate / 10
}

// Suggestion is the lower one of SteepestRate and LeastTenth. A rate that is too low takes
// longer, but one that is too high doesn't learn. It is 0 if the loss never fell.
func (t *RateTest) Suggestion() float64 { return min(t.SteepestRate(), t.LeastTenth()) }

// divergence is the bound on the loss, in multiples of its least value: a range test ends
// when the loss is greater. fastai and PyTorch Lightning use the same bound.
const divergence = 4

// FindRate makes the learning-rate range test of L. N. Smith ("Cyclical learning rates
// for training neural networks", 2017). It trains the network on cfg.Train for r.Steps
// steps. The rate grows by the same factor from each step to the next, and FindRate
// looks where the loss falls.
//
// It follows cfg.Recipe, such as its batch size, optimiser, loss, augmentation and seed,
// but ignores the recipe's rate, schedule, patience and average. cfg.Observers receive a
// Progress for each step, with steps counted over the whole test. Nothing else in cfg is
// used, and nothing is saved.
//
// The test ends early when the loss diverges or is not finite. That is an error only if
// the loss of the first step is not finite. FindRate closes the program that it compiles
// on the device.
func FindRate(ctx context.Context, d Device, n *Network, cfg Config, r RateRange) (test *RateTest, err error) {
	defer func() {
		if err != nil {
			test, err = nil, fmt.Errorf("find rate: %w", err)
		}
	}()
	if err := r.Check(); err != nil {
		return nil, err
	}
	plan, err := n.Plan()
	if err != nil {
		return nil, err
	}
	// Neither evaluates nor saves.
	cfg = Config{Recipe: cfg.Recipe, Train: cfg.Train, Observers: cfg.Observers}
	recipe := &cfg.Recipe
	o := &recipe.Optimizer
	o.Schedule = Schedule{}
	o.SetRate(r.To)
	recipe.WarmupEpochs, recipe.StepEpochs, recipe.Patience, recipe.Average = 0, 0, 0, 0
	recipe.Lookahead = Lookahead{}
	if err := cfg.check(plan); err != nil {
		return nil, err
	}
	options := cfg.Options()
	// The last of the steps has the rate To.
	options.Optimizer.Schedule = Schedule{Method: ExponentialRate, Start: r.From / r.To, Final: 1, Total: int64(r.Steps) - 1}
	prog, err := d.Compile(n, options)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, prog.Close()) }()
	t := newLoop(prog, cfg, options.Optimizer)
	test = &RateTest{Steepest: -1, Least: -1}
	var smooth, least float64
	for step := range r.Steps {
		began := time.Now()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if t.pos.Step == t.steps {
			t.pos = Position{Epoch: t.pos.Epoch + 1}
		}
		if t.pos.Step == 0 {
			Shuffle(recipe.Seed, t.pos.Epoch, t.order)
		}
		if err := t.step(); err != nil {
			return nil, err
		}
		m, err := prog.TakeMetrics()
		if err != nil {
			return nil, err
		}
		loss := m.MeanLoss()
		if m.FirstBad != 0 || !finite(loss) {
			test.Diverged = true
			break
		}
		rate := options.Optimizer.LeadRate(int64(step))
		test.Points = append(test.Points, RatePoint{Rate: rate, Loss: loss})
		progress := Progress{
			Epoch: t.pos.Epoch + 1, Step: step + 1, Steps: r.Steps, Loss: loss, Accuracy: m.Accuracy(),
			ImagesPerSecond: perSecond(m.Samples, time.Since(began)), LearningRate: rate,
		}
		if err := t.observe(progress); err != nil {
			return nil, err
		}
		// While it runs, only the past is known: a moving average tells when to end.
		const decay = 0.8
		smooth = decay*smooth + (1-decay)*loss
		now := smooth / (1 - math.Pow(decay, float64(step+1)))
		if step == 0 || now < least {
			least = now
		}
		if now > divergence*least && step+1 < r.Steps {
			test.Diverged = true
			break
		}
	}
	if len(test.Points) == 0 {
		return nil, errors.New("the loss of the first mini-batch is NaN or infinite")
	}
	test.judge(r.Steps)
	return test, nil
}

// judge smooths the losses and finds where they fall fastest and where they are least.
// steps is the number of steps of the whole range.
func (t *RateTest) judge(steps int) {
	// Each point takes its neighbours within a twentieth of the range, with weights that
	// fall with the distance. That smooths without a delay.
	width := max(2, steps/20)
	for i := range t.Points {
		var sum, weights float64
		for k := max(0, i-width); k <= min(len(t.Points)-1, i+width); k++ {
			w := float64(width + 1 - max(i-k, k-i))
			sum, weights = sum+w*t.Points[k].Loss, weights+w
		}
		t.Points[i].Smooth = sum / weights
	}
	least := 0
	for i, p := range t.Points {
		if p.Smooth < t.Points[least].Smooth {
			least = i
		}
	}
	if least == 0 || t.Points[0].Smooth-t.Points[least].Smooth < 4*t.noise(least, width) {
		return
	}
	t.Least, t.Steepest = least, 0
	steepest := math.Inf(1)
	for i := 1; i < least; i++ { // the logarithms of the rates are equally far apart
		if slope := t.Points[i+1].Smooth - t.Points[i-1].Smooth; slope < steepest {
			t.Steepest, steepest = i, slope
		}
	}
}

// noise estimates the standard deviation of the smoothed losses up to a point, each
// smoothed over its neighbours within width. Losses differ from mini-batch to mini-batch
// even if nothing is learnt.
func (t *RateTest) noise(upTo, width int) float64 {
	squares := 0.0
	for i := 1; i <= upTo; i++ {
		d := t.Points[i].Loss - t.Points[i-1].Loss
		squares += d * d
	}
	// A difference has twice the variance of a loss. The sum of the squares of the
	// triangle's weights is about 2/(3*width) of their squared sum, and twice that at the
	// ends.
	return math.Sqrt(squares / 2 / float64(upTo) * 4 / (3 * float64(width)))
}
