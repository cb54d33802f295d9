package main

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/net"
)

// The choices of flags with a few.
var (
	optimizerNames = []string{string(net.SGD), string(net.Adam), string(net.AdamW)}
	scheduleNames  = []string{"constant", "step", "cosine", "one-cycle"}
	watchNames     = []string{string(net.WatchLoss), string(net.WatchAccuracy)}
)

// recipeFlag is a flag that overrides one setting of a recipe.
type recipeFlag struct {
	flag cli.Flag
	set  func(*cli.Context, *net.Recipe)
	// only names the optimisers or schedules that have the setting; empty is all.
	only []string
}

// recipeFlags returns the flags that override a recipe's settings, in the order
// in which they apply.
func recipeFlags() []recipeFlag {
	const training, optimizer, schedule = "Training", "Optimiser", "Learning rate schedule"
	whole := func(name, category, usage string, at func(*net.Recipe) *int) recipeFlag {
		return recipeFlag{
			flag: &cli.IntFlag{Name: name, EnvVars: env(name), Category: category, DefaultText: recipesOwn, Usage: usage},
			set:  func(c *cli.Context, r *net.Recipe) { *at(r) = c.Int(name) },
		}
	}
	number := func(name, category, usage string, at func(*net.Recipe) *float64, only ...string) recipeFlag {
		return recipeFlag{
			flag: &cli.Float64Flag{Name: name, EnvVars: env(name), Category: category, DefaultText: recipesOwn, Usage: usage},
			set:  func(c *cli.Context, r *net.Recipe) { *at(r) = c.Float64(name) },
			only: only,
		}
	}
	word := func(name, category, usage string, set func(string, *net.Recipe)) recipeFlag {
		return recipeFlag{
			flag: &cli.StringFlag{Name: name, EnvVars: env(name), Category: category, DefaultText: recipesOwn, Usage: usage},
			set:  func(c *cli.Context, r *net.Recipe) { set(c.String(name), r) },
		}
	}
	sgd, adam, adamw := string(net.SGD), string(net.Adam), string(net.AdamW)
	return []recipeFlag{
		whole("epochs", training, "train for `N` epochs", func(r *net.Recipe) *int { return &r.Epochs }),
		whole("batch", training, "put `N` images in a mini-batch", func(r *net.Recipe) *int { return &r.Batch }),
		{
			flag: &cli.IntFlag{Name: "accumulate", EnvVars: env("accumulate"), Category: training, DefaultText: recipesOwn, Usage: "update the weights after `N` mini-batches, as with one N times as large, in the memory of one"},
			set: func(c *cli.Context, r *net.Recipe) {
				if r.Accumulate = c.Int("accumulate"); r.Accumulate == 1 {
					r.Accumulate = 0 // as without the flag
				}
			},
		},
		{
			flag: &cli.Uint64Flag{Name: "seed", EnvVars: env("seed"), Category: training, DefaultText: recipesOwn, Usage: "`N`: decides initial weights, shuffles and dropout"},
			set:  func(c *cli.Context, r *net.Recipe) { r.Seed = c.Uint64("seed") },
		},
		whole("patience", training, "stop after `N` epochs that are no better on the validation set; 0 never", func(r *net.Recipe) *int { return &r.Patience }),
		word("watch", training, "the `FIGURE` on the validation set by which one epoch is better: loss or accuracy", setWatch),

		word("optimizer", optimizer, "`NAME`: sgd, adam or adamw", setOptimizer),
		number("learning-rate", optimizer, "`X`: the step size", func(r *net.Recipe) *float64 { return &r.Optimizer.LearningRate }),
		number("momentum", optimizer, "`X`: from 0 to 1; sgd", func(r *net.Recipe) *float64 { return &r.Optimizer.Momentum }, sgd),
		{
			flag: &cli.BoolFlag{Name: "nesterov", EnvVars: env("nesterov"), Category: optimizer, Usage: "Nesterov's form of momentum; sgd"},
			set:  func(c *cli.Context, r *net.Recipe) { r.Optimizer.Nesterov = c.Bool("nesterov") },
			only: []string{sgd},
		},
		number("beta1", optimizer, "`X`: decay of the first moment; adam, adamw", func(r *net.Recipe) *float64 { return &r.Optimizer.Beta1 }, adam, adamw),
		number("beta2", optimizer, "`X`: decay of the second moment; adam, adamw", func(r *net.Recipe) *float64 { return &r.Optimizer.Beta2 }, adam, adamw),
		number("epsilon", optimizer, "`X`: added to the root of the second moment; adam, adamw", func(r *net.Recipe) *float64 { return &r.Optimizer.Epsilon }, adam, adamw),
		number("weight-decay", optimizer, "`X`: decay of convolution and dense weights", func(r *net.Recipe) *float64 { return &r.Optimizer.WeightDecay }),
		number("clip-norm", optimizer, "scale gradients down to a norm of `X`; 0 does not", func(r *net.Recipe) *float64 { return &r.Optimizer.ClipNorm }),

		word("schedule", schedule, "`NAME`: constant, step, cosine or one-cycle", setSchedule),
		number("warmup-epochs", schedule, "rise from 0 over the first `X` epochs", func(r *net.Recipe) *float64 { return &r.WarmupEpochs }),
		number("step-epochs", schedule, "`X`: epochs between two steps; step (a third of all)", func(r *net.Recipe) *float64 { return &r.StepEpochs }, "step"),
		number("step-factor", schedule, "`X`: factor of a step; step (0.1)", func(r *net.Recipe) *float64 { return &r.Optimizer.Schedule.Factor }, "step"),
		number("start-rate", schedule, "begin at `X` times the learning rate; one-cycle (0.1)", func(r *net.Recipe) *float64 { return &r.Optimizer.Schedule.Start }, "one-cycle"),
		number("peak", schedule, "`X`: share of the run before the highest rate; one-cycle (0.25)", func(r *net.Recipe) *float64 { return &r.Optimizer.Schedule.Peak }, "one-cycle"),
		number("final-rate", schedule, "end at `X` times the learning rate; cosine (0), one-cycle (0.01)", func(r *net.Recipe) *float64 { return &r.Optimizer.Schedule.Final }, "cosine", "one-cycle"),
	}
}

const recipesOwn = "the recipe's"

// setOptimizer changes to another optimiser at its usual settings; the learning
// rate, decay and clipping stay.
func setOptimizer(name string, r *net.Recipe) {
	o := &r.Optimizer
	if string(o.Method) == name {
		return
	}
	fresh := net.SGDDefault(o.LearningRate)
	if name != string(net.SGD) {
		fresh = net.AdamDefault(o.LearningRate)
	}
	fresh.Method = net.Method(name)
	fresh.WeightDecay, fresh.ClipNorm, fresh.Schedule = o.WeightDecay, o.ClipNorm, o.Schedule
	*o = fresh
}

// setWatch leaves the default, which has no name, unnamed.
func setWatch(name string, r *net.Recipe) {
	if r.Watch = net.Watch(name); r.Watch == net.WatchLoss {
		r.Watch = ""
	}
}

// scheduleMethod is the method that a choice of --schedule stands for.
func scheduleMethod(name string) net.ScheduleMethod {
	return net.ScheduleMethod(strings.ReplaceAll(name, "-", "_"))
}

// scheduleName is the choice of --schedule that stands for a method.
func scheduleName(m net.ScheduleMethod) string {
	if m == "" {
		m = net.ConstantRate
	}
	return strings.ReplaceAll(string(m), "_", "-")
}

// setSchedule changes to another schedule at its usual settings.
func setSchedule(name string, r *net.Recipe) {
	if scheduleName(r.Optimizer.Schedule.Method) == name {
		return
	}
	s := net.Schedule{Method: scheduleMethod(name)}
	r.StepEpochs = 0
	switch s.Method {
	case net.StepRate:
		s.Factor, r.StepEpochs = 0.1, max(1, float64(r.Epochs)/3)
	case net.OneCycleRate:
		s.Start, s.Peak, s.Final = 0.1, 0.25, 0.01
	}
	r.Optimizer.Schedule = s
}

// overrideRecipe applies the flags that are set to a recipe, and checks it.
func overrideRecipe(c *cli.Context, r *net.Recipe) error {
	for flag, choices := range map[string][]string{"optimizer": optimizerNames, "schedule": scheduleNames, "watch": watchNames} {
		if c.IsSet(flag) {
			if err := choose(flag, c.String(flag), choices); err != nil {
				return err
			}
		}
	}
	if n := c.Int("accumulate"); c.IsSet("accumulate") && n < 1 {
		return usagef("--accumulate must be at least 1, got %d", n)
	}
	if o := c.String("optimizer"); c.IsSet("optimizer") && !c.IsSet("learning-rate") &&
		(o == string(net.SGD)) != (r.Optimizer.Method == net.SGD) {
		return usagef("--optimizer %s needs another learning rate than the recipe's %v for %s: set --learning-rate too", o, r.Optimizer.LearningRate, r.Optimizer.Method)
	}
	for _, f := range recipeFlags() {
		name := f.flag.Names()[0]
		if !c.IsSet(name) {
			continue
		}
		if err := f.fits(name, r); err != nil {
			return err
		}
		f.set(c, r)
	}
	if err := r.Check(); err != nil {
		return usagef("%s; %s", strings.TrimPrefix(err.Error(), "recipe: "), helpHint(c))
	}
	return nil
}

// fits refuses a flag for a setting that the recipe's optimiser or schedule
// doesn't have.
func (f recipeFlag) fits(name string, r *net.Recipe) error {
	optimizer, schedule := string(r.Optimizer.Method), scheduleName(r.Optimizer.Schedule.Method)
	for _, o := range f.only {
		if o == optimizer || o == schedule {
			return nil
		}
	}
	switch {
	case len(f.only) == 0:
		return nil
	case slices.Contains(optimizerNames, f.only[0]):
		return usagef("--%s is for %s, the optimiser is %s: set --optimizer, or leave the flag out", name, orList(f.only), optimizer)
	}
	return usagef("--%s is for %s, the schedule is %s: set --schedule, or leave the flag out", name, orList(f.only), schedule)
}

// contradiction refuses the first flag that asks for something else than the
// recipe of the run that is to go on. Epochs and patience may change; where they
// may not, net.Train refuses.
func contradiction(c *cli.Context, saved net.Recipe) error {
	for _, f := range recipeFlags() {
		name := f.flag.Names()[0]
		if !c.IsSet(name) || name == "epochs" || name == "patience" {
			continue
		}
		if err := f.fits(name, &saved); err != nil {
			return err
		}
		asked := saved
		if f.set(c, &asked); !reflect.DeepEqual(asked, saved) {
			return fmt.Errorf("%w: --%s %v is not what the run began with; leave the flag out, or start a new run without --resume", net.ErrResume, name, c.Value(name))
		}
	}
	return nil
}

// batchText says how large a mini-batch is, and how many make an update.
func batchText(r net.Recipe) string {
	if r.SamplesPerStep() == r.Batch {
		return fmt.Sprintf("batch %d", r.Batch)
	}
	return fmt.Sprintf("batch %d x %d", r.SamplesPerStep()/r.Batch, r.Batch)
}

// describeRecipe says in one line how a network is trained.
func describeRecipe(r net.Recipe) string {
	o := r.Optimizer
	parts := []string{
		fmt.Sprintf("%s, %s", counted(r.Epochs, "epoch"), batchText(r)),
		fmt.Sprintf("%s, learning rate %v", o.Method, o.LearningRate),
	}
	if o.Momentum != 0 {
		parts = append(parts, fmt.Sprintf("momentum %v", o.Momentum))
	}
	if o.Nesterov {
		parts = append(parts, "Nesterov")
	}
	if s := scheduleName(o.Schedule.Method); s != "constant" {
		parts = append(parts, s+" schedule")
	}
	if r.WarmupEpochs != 0 {
		parts = append(parts, fmt.Sprintf("warm-up %v", r.WarmupEpochs))
	}
	if o.WeightDecay != 0 {
		parts = append(parts, fmt.Sprintf("weight decay %v", o.WeightDecay))
	}
	if o.ClipNorm != 0 {
		parts = append(parts, fmt.Sprintf("clip norm %v", o.ClipNorm))
	}
	if r.Patience != 0 {
		parts = append(parts, fmt.Sprintf("patience %d", r.Patience))
	}
	return strings.Join(append(parts, fmt.Sprintf("seed %d", r.Seed)), ", ")
}
