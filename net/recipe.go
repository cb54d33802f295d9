package net

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Watch is the name of the validation figure that decides which epoch is best.
type Watch string

// The figures to watch.
const (
	WatchLoss     Watch = "loss"     // the least mean loss; the default
	WatchAccuracy Watch = "accuracy" // the greatest accuracy
)

// Recipe says how a network is trained. Checkpoints record it. It holds no lengths in
// steps, so that it fits data sets of any size. Where Optimizer and Lookahead have lengths
// in steps, these must be 0; OptimizerFor and Options fill them in.
type Recipe struct {
	Name         string    `json:"name,omitempty"`
	Epochs       int       `json:"epochs"`
	Batch        int       `json:"batch"`                // samples in a mini-batch; the last one of an epoch may be smaller
	Accumulate   int       `json:"accumulate,omitempty"` // mini-batches whose gradients make one update; the last update of an epoch may have fewer; 0 means 1
	Optimizer    Optimizer `json:"optimizer"`
	WarmupEpochs float64   `json:"warmup_epochs,omitempty"` // length of Schedule.Warmup, in epochs
	StepEpochs   float64   `json:"step_epochs,omitempty"`   // length of Schedule.Every, in epochs; for StepRate only
	Seed         uint64    `json:"seed"`                    // decides initial values, shuffles, dropout and augmentation
	// EvaluateEvery is how many epochs lie between two evaluations. The last epoch is always evaluated. 0 means 1.
	EvaluateEvery int       `json:"evaluate_every,omitempty"`
	Patience      int       `json:"patience,omitempty"` // training stops after this many epochs without a better validation figure; 0 means never
	Watch         Watch     `json:"watch,omitempty"`    // which validation figure; "" means WatchLoss
	Loss          Criterion `json:"loss,omitzero"`
	Balance       bool      `json:"balance,omitempty"`   // class weights are the BalancedWeights of the training set; then Loss must have none
	DropLast      bool      `json:"drop_last,omitempty"` // an epoch leaves out its last samples if they don't fill an update
	// LocalStatistics lets each member of a group take batch normalisation's statistics from its own part of a mini-batch,
	// without waiting for the others. Then the result depends on the number of members. Alone it changes nothing.
	LocalStatistics bool      `json:"local_statistics,omitempty"`
	Average         float64   `json:"average,omitempty"`  // decay of the weights' moving averages, which evaluations use, see Options; 0 keeps none
	Lookahead       Lookahead `json:"lookahead,omitzero"` // its Total must be 0
	Augment         Augment   `json:"augment,omitzero"`
	Views           Views     `json:"views,omitempty"` // the views in which evaluations see each sample
}

// maxEpochs keeps every count of steps far from overflow.
const maxEpochs = 1_000_000

// Check returns an error for settings outside their ranges.
func (r Recipe) Check() error {
	s := r.Optimizer.Schedule
	switch {
	case r.Epochs < 1 || r.Epochs > maxEpochs:
		return fmt.Errorf("recipe: epochs must be from 1 to %d, got %d", maxEpochs, r.Epochs)
	case r.Batch < 1 || r.Batch > maxElements:
		return fmt.Errorf("recipe: batch size must be from 1 to %d, got %d", maxElements, r.Batch)
	case r.Accumulate < 0 || r.Accumulate > maxElements/r.Batch:
		return fmt.Errorf("recipe: mini-batches to accumulate must be from 1 to %d, got %d", maxElements/r.Batch, r.Accumulate)
	case r.EvaluateEvery < 0 || r.EvaluateEvery > maxEpochs:
		return fmt.Errorf("recipe: epochs between evaluations must be from 1 to %d, got %d", maxEpochs, r.EvaluateEvery)
	case r.Patience < 0:
		return fmt.Errorf("recipe: patience must be at least 0 epochs, got %d", r.Patience)
	case r.Watch != "" && r.Watch != WatchLoss && r.Watch != WatchAccuracy:
		return fmt.Errorf("recipe: unknown figure to watch %q (want loss or accuracy)", r.Watch)
	case r.Balance && r.Loss.ClassWeights != nil:
		return errors.New("recipe: class weights are either given or balanced")
	case !(r.Average >= 0 && r.Average < 1):
		return fmt.Errorf("recipe: the decay of the weights' moving average must be at least 0 and less than 1, got %v", r.Average)
	case r.Average > 0 && r.Lookahead.Every > 0:
		return errors.New("recipe: average and lookahead exclude each other")
	case r.Lookahead.Total != 0:
		return errors.New("recipe: lookahead's total is the length of the run")
	case s.Warmup != 0 || s.Total != 0 || s.Every != 0:
		return errors.New("recipe: a schedule's lengths are set in epochs (warmup_epochs, step_epochs), not in steps")
	case !(r.WarmupEpochs >= 0 && r.WarmupEpochs < float64(r.Epochs)):
		return fmt.Errorf("recipe: warm-up must be at least 0 and less than the %d epochs, got %v", r.Epochs, r.WarmupEpochs)
	case s.Method == StepRate && !(r.StepEpochs > 0 && r.StepEpochs <= maxEpochs):
		return fmt.Errorf("recipe: schedule step needs step_epochs above 0 and at most %d, got %v", maxEpochs, r.StepEpochs)
	case s.Method != StepRate && r.StepEpochs != 0:
		return errors.New("recipe: step_epochs is for schedule step only")
	}
	if r.Optimizer.Steps != 0 || slices.ContainsFunc(r.Optimizer.Groups, func(g Group) bool { return g.Steps != 0 }) {
		return errors.New("recipe: how long a group learns is set in epochs, not in steps")
	}
	for _, err := range []error{r.lookaheadFor(1).check(), r.Loss.Check(), r.Augment.Check(), r.Views.Check()} {
		if err != nil {
			return fmt.Errorf("recipe: %w", err)
		}
	}
	// With that many steps in an epoch, rounding can't make the warm-up as long as the run.
	if err := r.OptimizerFor(maxElements).Check(); err != nil {
		return fmt.Errorf("recipe: %w", err)
	}
	return nil
}

// watch returns Watch, or WatchLoss if that is empty.
func (r Recipe) watch() Watch {
	if r.Watch == "" {
		return WatchLoss
	}
	return r.Watch
}

// mini returns the number of mini-batches in an update.
func (r Recipe) mini() int { return max(1, r.Accumulate) }

// kept returns the part of the recipe that a resumed run must not change, with defaults
// filled in. Fields that may change are zero.
func (r Recipe) kept(stepsPerEpoch int) Recipe {
	r.Optimizer = r.OptimizerFor(stepsPerEpoch)
	r.WarmupEpochs, r.StepEpochs = 0, 0 // the optimiser's schedule has them in steps
	r.Lookahead = r.lookaheadFor(stepsPerEpoch)
	r.Name, r.Epochs, r.Patience, r.EvaluateEvery = "", 0, 0, max(1, r.EvaluateEvery)
	r.Accumulate, r.Watch = r.mini(), r.watch()
	r.Augment = r.Augment.withoutName()
	return r
}

// SamplesPerStep returns the number of samples in an update. The last update of an epoch
// may have fewer.
func (r Recipe) SamplesPerStep() int { return r.Batch * r.mini() }

// StepsPerEpoch returns the number of updates in an epoch. samples is the size of the
// training set, at least 1. Then the result is at least 1. Check must accept the recipe.
func (r Recipe) StepsPerEpoch(samples int) int {
	if n := samples / r.SamplesPerStep(); r.DropLast && n > 0 {
		return n
	}
	return (samples + r.SamplesPerStep() - 1) / r.SamplesPerStep()
}

// SamplesPerEpoch returns how many samples an epoch uses. samples is the size of the
// training set. Only with DropLast, an epoch may use fewer samples than that.
func (r Recipe) SamplesPerEpoch(samples int) int {
	return min(samples, r.StepsPerEpoch(samples)*r.SamplesPerStep())
}

// LossFor returns the loss. If Balance is set, its class weights are the
// [BalancedWeights] of train.
func (r Recipe) LossFor(train *Dataset) Criterion {
	l := r.Loss
	if r.Balance {
		l.ClassWeights = BalancedWeights(train)
	}
	return l
}

// OptimizerFor returns the optimiser with the lengths of its Schedule, and those of its
// groups, filled in.
// stepsPerEpoch is the number of updates in an epoch.
func (r Recipe) OptimizerFor(stepsPerEpoch int) Optimizer {
	o := r.Optimizer
	steps := func(epochs float64) int64 { return int64(math.Round(epochs * float64(stepsPerEpoch))) }
	o.Schedule.Warmup = steps(r.WarmupEpochs)
	switch o.Schedule.Method {
	case StepRate:
		o.Schedule.Every = max(1, steps(r.StepEpochs))
	case CosineRate, OneCycleRate, LinearRate, ExponentialRate:
		o.Schedule.Total = int64(r.Epochs) * int64(stepsPerEpoch)
	}
	o.Groups = slices.Clone(o.Groups)
	for i := range o.Groups {
		if g := &o.Groups[i]; g.Epochs > 0 {
			g.Steps, g.Epochs = max(1, steps(g.Epochs)), 0
		}
	}
	return o
}

// lookaheadFor returns the lookahead with its Total filled in.
func (r Recipe) lookaheadFor(stepsPerEpoch int) Lookahead {
	l := r.Lookahead
	if l.Every > 0 && l.Start != l.Final {
		l.Total = int64(r.Epochs) * int64(stepsPerEpoch)
	}
	return l
}

// averages reports whether a run keeps averages of the weights, which evaluations use.
func (r Recipe) averages() bool {
	return Options{Average: r.Average, Lookahead: r.Lookahead}.Averages()
}
