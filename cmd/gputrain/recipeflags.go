package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/net"
)

// The choices of flags with a few.
var (
	optimizerNames = methodNames()
	scheduleNames  = []string{"constant", "step", "cosine", "one-cycle", "linear", "exponential"}
	watchNames     = []string{string(net.WatchLoss), string(net.WatchAccuracy)}
)

// Words that some flags take besides their usual values.
const (
	oneView  = "one"
	balanced = "balanced"
	noChange = "none"
)

// recipeFlag is a flag that overrides one setting of a recipe.
type recipeFlag struct {
	flag cli.Flag
	// set fails for a value that it can't read. Recipe.Check decides whether the value
	// is in range.
	set func(*cli.Context, *net.Recipe) error
	// only names the optimisers or schedules that have the setting; empty: all have
	// it.
	only []string
}

// recipeAndModelFlags returns the flags that select what is trained and with which
// recipe.
func recipeAndModelFlags() []cli.Flag {
	const training = "Training"
	return []cli.Flag{
		&cli.StringFlag{Name: "recipe", Value: net.Recipes()[0].Name, EnvVars: env("recipe"), Category: training, DefaultText: net.Recipes()[0].Name + ", or " + pictureRecipe + " where the model is " + pictureModel + " by default", Usage: "settings to start from, by `NAME`: " + strings.Join(recipeNames(), ", ") + ", or a JSON file"},
		&cli.StringFlag{Name: "model", Value: net.Models()[0].Name, EnvVars: env("model"), Category: training, DefaultText: "the recipe's; without --recipe " + net.Models()[0].Name + ", or " + pictureModel + " for other than 28 x 28 grey images", Usage: "`MODEL`: a built-in model's name, or a JSON file"},
	}
}

// recipeFlags returns the flags that override settings of a recipe, in the order in
// which they apply.
func recipeFlags() []recipeFlag {
	const training, pictures, optimizer, schedule = "Training", "Pictures and loss", "Optimiser", "Learning rate schedule"
	whole := func(name, category, usage string, at func(*net.Recipe) *int, only ...string) recipeFlag {
		return recipeFlag{
			flag: &cli.IntFlag{Name: name, EnvVars: env(name), Category: category, DefaultText: recipesOwn, Usage: usage},
			set:  func(c *cli.Context, r *net.Recipe) error { *at(r) = c.Int(name); return nil },
			only: only,
		}
	}
	number := func(name, category, usage string, at func(*net.Recipe) *float64, only ...string) recipeFlag {
		return recipeFlag{
			flag: &cli.Float64Flag{Name: name, EnvVars: env(name), Category: category, DefaultText: recipesOwn, Usage: usage},
			set:  func(c *cli.Context, r *net.Recipe) error { *at(r) = c.Float64(name); return nil },
			only: only,
		}
	}
	word := func(name, category, usage string, set func(string, *net.Recipe) error) recipeFlag {
		return recipeFlag{
			flag: &cli.StringFlag{Name: name, EnvVars: env(name), Category: category, DefaultText: recipesOwn, Usage: usage},
			set:  func(c *cli.Context, r *net.Recipe) error { return set(c.String(name), r) },
		}
	}
	yes := func(name, category, usage string, at func(*net.Recipe) *bool, only ...string) recipeFlag {
		return recipeFlag{
			flag: &cli.BoolFlag{Name: name, EnvVars: env(name), Category: category, Usage: usage},
			set:  func(c *cli.Context, r *net.Recipe) error { *at(r) = c.Bool(name); return nil },
			only: only,
		}
	}
	// also adds an alias to a flag: the name that other programs have for it.
	also := func(alias string, f recipeFlag) recipeFlag {
		switch flag := f.flag.(type) {
		case *cli.IntFlag:
			flag.Aliases, flag.EnvVars = append(flag.Aliases, alias), append(flag.EnvVars, env(alias)...)
		case *cli.Float64Flag:
			flag.Aliases, flag.EnvVars = append(flag.Aliases, alias), append(flag.EnvVars, env(alias)...)
		default:
			panic(fmt.Sprintf("BUG: an alias of a %T", flag))
		}
		return f
	}
	return []recipeFlag{
		whole("epochs", training, "train for `N` epochs", func(r *net.Recipe) *int { return &r.Epochs }),
		also("batch-size", whole("batch", training, "put `N` images in a mini-batch", func(r *net.Recipe) *int { return &r.Batch })),
		{
			flag: &cli.IntFlag{Name: "accumulate", EnvVars: env("accumulate"), Category: training, DefaultText: recipesOwn, Usage: "update the weights after `N` mini-batches, as with one N times as large, in the memory of one"},
			set: func(c *cli.Context, r *net.Recipe) error {
				if r.Accumulate = c.Int("accumulate"); r.Accumulate == 1 {
					r.Accumulate = 0 // the same as without the flag
				}
				return nil
			},
		},
		yes("drop-last", training, "leave out the images of an epoch that don't fill its last update", func(r *net.Recipe) *bool { return &r.DropLast }),
		yes("local-statistics", training, "in a group, take batch normalisation's statistics from each member's part: faster, and the result depends on the number of members", func(r *net.Recipe) *bool { return &r.LocalStatistics }),
		{
			flag: &cli.Uint64Flag{Name: "seed", EnvVars: env("seed"), Category: training, DefaultText: recipesOwn, Usage: "`N`: decides initial weights, shuffles, dropout and augmentation"},
			set:  func(c *cli.Context, r *net.Recipe) error { r.Seed = c.Uint64("seed"); return nil },
		},
		number("average", training, "keep moving averages of the weights (EMA) of decay `X`, such as 0.999, and evaluate, save and export these; 0 keeps none", func(r *net.Recipe) *float64 { return &r.Average }),
		{
			flag: &cli.IntFlag{Name: "lookahead", EnvVars: env("lookahead"), Category: training, DefaultText: recipesOwn, Usage: "keep slow weights, which go half of the way to the weights after every `N` updates, and set the weights to them; 0 keeps none"},
			set: func(c *cli.Context, r *net.Recipe) error {
				r.Lookahead = net.Lookahead{}
				if n := c.Int("lookahead"); n != 0 {
					r.Lookahead = net.Lookahead{Every: n, Start: 0.5, Final: 0.5}
				}
				return nil
			},
		},
		whole("evaluate-every", training, "evaluate after every `N` epochs, and after the last", func(r *net.Recipe) *int { return &r.EvaluateEvery }),
		whole("patience", training, "stop after `N` epochs that are no better on the validation set; 0 never", func(r *net.Recipe) *int { return &r.Patience }),
		word("watch", training, "the `FIGURE` on the validation set by which one epoch is better: loss or accuracy", setWatch),

		word("augment", pictures, "change the training images at random, anew each epoch, by `NAME`: none, light (digits), standard (photos), strong, or a JSON file", setAugment),
		number("label-smoothing", pictures, "expect of each image's class 1 - `X`, and X of all classes together, such as 0.1", func(r *net.Recipe) *float64 { return &r.Loss.Smoothing }),
		word("class-weights", pictures, "weigh the loss by class: balanced (rare classes more), none, or `W`: numbers such as 1,2,0.5", setClassWeights),
		word("views", pictures, "evaluate each image in `NAME`: one view, mirror (two) or six (shifted, too), and average the answers", setViews),

		word("optimizer", optimizer, "`NAME`: "+orList(optimizerNames), setOptimizer),
		also("lr", recipeFlag{
			flag: &cli.Float64Flag{Name: "learning-rate", EnvVars: env("learning-rate"), Category: optimizer, DefaultText: recipesOwn, Usage: "`X`: the step size; gputrain find-rate suggests one"},
			set: func(c *cli.Context, r *net.Recipe) error {
				r.Optimizer.SetRate(c.Float64("learning-rate"))
				return nil
			},
		}),
		{
			flag: &cli.StringSliceFlag{Name: "rate-factor", EnvVars: env("rate-factor"), Category: optimizer, DefaultText: recipesOwn, Usage: "multiply the rate of some parameters, as `NAMES=X`: batchnorm.bias=64, dense2.*=10, or @body=0.1 (all layers but the last); may be repeated, the first that fits counts"},
			set:  func(c *cli.Context, r *net.Recipe) error { return setFactors(c.StringSlice("rate-factor"), r) },
		},
		number("momentum", optimizer, "`X`: from 0 to 1; sgd, muon", func(r *net.Recipe) *float64 { return &r.Optimizer.Lead().Momentum }, having("momentum")...),
		yes("nesterov", optimizer, "Nesterov's form of momentum; sgd, muon", func(r *net.Recipe) *bool { return &r.Optimizer.Lead().Nesterov }, having("nesterov")...),
		number("beta1", optimizer, "`X`: decay of the first moment; adam, adamw, lion", func(r *net.Recipe) *float64 { return &r.Optimizer.Lead().Beta1 }, having("beta1")...),
		number("beta2", optimizer, "`X`: decay of the second moment, of lion's only one; adam, adamw, lion", func(r *net.Recipe) *float64 { return &r.Optimizer.Lead().Beta2 }, having("beta2")...),
		number("epsilon", optimizer, "`X`: added to the root of the second moment; adam, adamw", func(r *net.Recipe) *float64 { return &r.Optimizer.Lead().Epsilon }, having("epsilon")...),
		whole("iterations", optimizer, "make a matrix's directions alike in `N` iterations; muon (5)", func(r *net.Recipe) *int { return &r.Optimizer.Lead().Iterations }, having("iterations")...),
		yes("rescale", optimizer, "scale a layer's weights to a mean square of 1 per filter before each update; muon", func(r *net.Recipe) *bool { return &r.Optimizer.Lead().Rescale }, having("rescale")...),
		also("wd", number("weight-decay", optimizer, "`X`: decay of convolution and dense weights (of muon's alone): L2 (added to the gradient) in sgd and adam, decoupled in others", func(r *net.Recipe) *float64 { return &r.Optimizer.Lead().WeightDecay })),
		number("clip-norm", optimizer, "scale gradients down to a norm of `X`; 0 does not", func(r *net.Recipe) *float64 { return &r.Optimizer.ClipNorm }),

		word("schedule", schedule, "`NAME`: "+orList(scheduleNames), setSchedule),
		number("warmup-epochs", schedule, "rise from 0 over the first `X` epochs", func(r *net.Recipe) *float64 { return &r.WarmupEpochs }),
		number("step-epochs", schedule, "`X`: epochs between two steps; step (a third of all)", func(r *net.Recipe) *float64 { return &r.StepEpochs }, "step"),
		number("step-factor", schedule, "`X`: factor of a step; step (0.1)", func(r *net.Recipe) *float64 { return &r.Optimizer.Schedule.Factor }, "step"),
		number("start-rate", schedule, "begin at `X` times the learning rate; one-cycle (0.1), linear (0.1), exponential (1)", func(r *net.Recipe) *float64 { return &r.Optimizer.Schedule.Start }, "one-cycle", "linear", "exponential"),
		number("peak", schedule, "`X`: share of the steps after warm-up before the highest rate; one-cycle (0.25), linear (0.25)", func(r *net.Recipe) *float64 { return &r.Optimizer.Schedule.Peak }, "one-cycle", "linear"),
		number("final-rate", schedule, "end at `X` times the learning rate; cosine (0), one-cycle (0.01), linear (0), exponential (0.01)", func(r *net.Recipe) *float64 { return &r.Optimizer.Schedule.Final }, "cosine", "one-cycle", "linear", "exponential"),
	}
}

const recipesOwn = "the recipe's"

func setAugment(name string, r *net.Recipe) (err error) {
	r.Augment, err = augmentation(name)
	return err
}

// augmentNames returns the built-in choices of --augment.
func augmentNames() []string {
	var names []string
	for _, a := range net.Augmentations() {
		names = append(names, a.Name)
	}
	return names
}

// augmentation returns the built-in augmentation with the given name, or that in a
// file. For an empty name there is no augmentation.
func augmentation(name string) (a net.Augment, err error) {
	if a, ok := net.AugmentationNamed(name); ok || name == "" {
		return a, nil
	}
	err = readSetting("--augment", name, augmentNames(), func(f io.Reader) (err error) {
		if a, err = net.ParseAugment(f); a.Name == "" {
			a.Name = fileTitle(name)
		}
		return err
	})
	return a, err
}

// readSetting reads the file that is named instead of one of the choices.
func readSetting(what, name string, choices []string, parse func(io.Reader) error) error {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		if filepath.Ext(name) == ".json" {
			return fmt.Errorf("%s: there is no file %s", what, name)
		}
		return usagef("%s: unknown %q%s; want %s, or a JSON file", what, name, suggest(name, choices), orList(choices))
	}
	if err != nil {
		return fileError(name, err)
	}
	defer f.Close()
	if err := parse(f); err != nil {
		return fileError(name, err)
	}
	return nil
}

// fileTitle returns a file's name without folder and extension.
func fileTitle(path string) string {
	return strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
}

func setClassWeights(text string, r *net.Recipe) error {
	r.Balance, r.Loss.ClassWeights = text == balanced, nil
	if text == balanced || text == noChange {
		return nil
	}
	for _, word := range strings.Split(text, ",") {
		w, err := strconv.ParseFloat(strings.TrimSpace(word), 64)
		if err != nil {
			return usagef("--class-weights: %q is neither %s, %s nor numbers with commas between them, one a class", text, balanced, noChange)
		}
		r.Loss.ClassWeights = append(r.Loss.ClassWeights, w)
	}
	return nil
}

func setViews(name string, r *net.Recipe) error {
	if r.Views = net.Views(name); name == oneView {
		r.Views = net.OneView
	}
	return nil
}

// methodNames returns the choices of --optimizer.
func methodNames() []string {
	var names []string
	for _, m := range net.Methods() {
		names = append(names, string(m))
	}
	return names
}

// having returns the optimisers that have a setting.
func having(setting string) []string {
	var names []string
	for _, m := range net.Methods() {
		if slices.Contains(m.Settings(), setting) {
			names = append(names, string(m))
		}
	}
	return names
}

// setFactors sets factors of the learning rate from texts such as "dense2.*=10". Groups
// with rules of their own stay.
func setFactors(texts []string, r *net.Recipe) error {
	own := slices.DeleteFunc(slices.Clone(r.Optimizer.Groups), func(g net.Group) bool { return g.Method == "" })
	r.Optimizer.Groups = nil
	defer func() { r.Optimizer.Groups = append(r.Optimizer.Groups, own...) }()
	for _, text := range texts {
		names, number, ok := strings.Cut(text, "=")
		x, err := strconv.ParseFloat(number, 64)
		if !ok || err != nil {
			return usagef("--rate-factor: %q is not names of parameters and a factor, such as dense2.*=10", text)
		}
		r.Optimizer.Groups = append(r.Optimizer.Groups, net.Group{Params: names, Factor: x})
	}
	return nil
}

// setOptimizer changes to another optimiser with its usual settings, for all parameters. The
// learning rate, its factors, weight decay and clipping stay.
func setOptimizer(name string, r *net.Recipe) error {
	if err := choose("optimizer", name, optimizerNames); err != nil {
		return err
	}
	o, was := &r.Optimizer, *r.Optimizer.Lead()
	if string(was.Method) == name {
		return nil
	}
	groups := slices.DeleteFunc(slices.Clone(o.Groups), func(g net.Group) bool { return g.Method != "" })
	fresh := net.Method(name).Usual(was.LearningRate)
	fresh.ClipNorm, fresh.Schedule, fresh.Groups = o.ClipNorm, o.Schedule, append(groups, fresh.Groups...)
	*o = fresh
	r.Optimizer.Lead().WeightDecay = was.WeightDecay
	return nil
}

// setWatch sets what the recipe watches. The default has no name, so it stays unnamed.
func setWatch(name string, r *net.Recipe) error {
	if r.Watch = net.Watch(name); r.Watch == net.WatchLoss {
		r.Watch = ""
	}
	return nil
}

// scheduleMethod returns the method for a choice of --schedule.
func scheduleMethod(name string) net.ScheduleMethod {
	return net.ScheduleMethod(strings.ReplaceAll(name, "-", "_"))
}

// scheduleName returns the choice of --schedule for a method.
func scheduleName(m net.ScheduleMethod) string {
	if m == "" {
		m = net.ConstantRate
	}
	return strings.ReplaceAll(string(m), "_", "-")
}

// setSchedule changes to another schedule with its usual settings.
func setSchedule(name string, r *net.Recipe) error {
	if scheduleName(r.Optimizer.Schedule.Method) == name {
		return nil
	}
	s := net.Schedule{Method: scheduleMethod(name)}
	r.StepEpochs = 0
	switch s.Method {
	case net.StepRate:
		s.Factor, r.StepEpochs = 0.1, max(1, float64(r.Epochs)/3)
	case net.OneCycleRate:
		s.Start, s.Peak, s.Final = 0.1, 0.25, 0.01
	case net.LinearRate:
		s.Start, s.Peak = 0.1, 0.25
	case net.ExponentialRate:
		s.Start, s.Final = 1, 0.01
	}
	r.Optimizer.Schedule = s
	return nil
}

// loadRecipe returns the recipe that --recipe names: a built-in one, or one in a file.
func loadRecipe(name string) (r net.RecipeFile, err error) {
	if r, ok := net.RecipeNamed(name); ok {
		return r, nil
	}
	err = readSetting("recipe", name, recipeNames(), func(f io.Reader) (err error) {
		if r, err = net.ParseRecipe(f); r.Name == "" {
			r.Name = fileTitle(name)
		}
		if _, builtIn := net.ModelNamed(r.Model); r.Model != "" && !builtIn && !filepath.IsAbs(r.Model) {
			r.Model = filepath.Join(filepath.Dir(name), r.Model)
		}
		return err
	})
	return r, err
}

// checkOptimizer returns an error if the flags change to an optimiser that needs another
// learning rate, but keep the recipe's.
func checkOptimizer(c *cli.Context, r *net.Recipe) error {
	alike := func(m net.Method) net.Method {
		if m == net.AdamW {
			return net.Adam
		}
		return m
	}
	was := r.Optimizer.Lead()
	if o := c.String("optimizer"); c.IsSet("optimizer") && !c.IsSet("learning-rate") && slices.Contains(optimizerNames, o) &&
		alike(net.Method(o)) != alike(was.Method) {
		return usagef("--optimizer %s needs another learning rate than the recipe's %v for %s: set --learning-rate too", o, was.LearningRate, was.Method)
	}
	return nil
}

// overrideRecipe applies the flags that are set to a recipe. Then it checks the
// recipe.
func overrideRecipe(c *cli.Context, r *net.Recipe) error {
	for flag, choices := range map[string][]string{"optimizer": optimizerNames, "schedule": scheduleNames, "watch": watchNames, "views": viewNames} {
		if c.IsSet(flag) {
			if err := choose(flag, c.String(flag), choices); err != nil {
				return err
			}
		}
	}
	if n := c.Int("accumulate"); c.IsSet("accumulate") && n < 1 {
		return usagef("--accumulate must be at least 1, got %d", n)
	}
	for _, f := range recipeFlags() {
		name := f.flag.Names()[0]
		if !c.IsSet(name) {
			continue
		}
		if err := f.fits(name, r); err != nil {
			return err
		}
		if err := f.set(c, r); err != nil {
			return err
		}
	}
	if err := r.Check(); err != nil {
		return usagef("%s; %s", strings.TrimPrefix(err.Error(), "recipe: "), helpHint(c))
	}
	return nil
}

// fits returns an error if the flag is for a setting that the recipe's optimiser or
// schedule doesn't have.
func (f recipeFlag) fits(name string, r *net.Recipe) error {
	optimizer, schedule := string(r.Optimizer.Lead().Method), scheduleName(r.Optimizer.Schedule.Method)
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

// contradiction returns an error for the first flag that contradicts the recipe of the
// run to be resumed. Epochs and patience may change. Where they may not, net.Train
// returns an error.
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
		if err := f.set(c, &asked); err != nil {
			return err
		}
		if !sameSettings(asked, saved) {
			return fmt.Errorf("%w: --%s %s is not what the run began with; leave the flag out, or begin a new run with its weights: --from in place of --resume", net.ErrResume, name, flagText(c, name))
		}
	}
	return nil
}

// sameSettings reports whether two recipes are equal, except for their names and the
// names of their augmentation.
func sameSettings(a, b net.Recipe) bool {
	if !a.Augment.Same(b.Augment) {
		return false
	}
	a.Name, b.Name, a.Augment, b.Augment = "", "", net.Augment{}, net.Augment{}
	return reflect.DeepEqual(a, b)
}

// flagText returns a flag's value as it would stand in a command line.
func flagText(c *cli.Context, name string) string {
	if list, ok := c.Value(name).(cli.StringSlice); ok {
		return strings.Join(list.Value(), ",")
	}
	return fmt.Sprint(c.Value(name))
}

// contradictsRecipe returns an error if --recipe names another recipe than that of the
// run to be resumed. For a built-in recipe the name counts. For a file the settings
// count, with the flags that are set.
func contradictsRecipe(c *cli.Context, saved net.Recipe) error {
	if !c.IsSet("recipe") {
		return nil
	}
	file, err := loadRecipe(c.String("recipe"))
	if err != nil {
		return err
	}
	asked := file.Recipe
	if _, builtIn := net.RecipeNamed(c.String("recipe")); builtIn || asked.Name != saved.Name {
		if asked.Name != saved.Name {
			return fmt.Errorf("%w: the run began with --recipe %s, not %s; leave the flag out, or begin a new run with its weights: --from in place of --resume", net.ErrResume, saved.Name, asked.Name)
		}
		return nil
	}
	if err := overrideRecipe(c, &asked); err != nil {
		return err
	}
	if asked.Epochs, asked.Patience = saved.Epochs, saved.Patience; !sameSettings(asked, saved) {
		return fmt.Errorf("%w: the settings of --recipe %s are not those that the run began with; leave the flag out, or begin a new run with its weights: --from in place of --resume", net.ErrResume, c.String("recipe"))
	}
	return nil
}

// batchText tells how large a mini-batch is, and how many of them make an update.
func batchText(r net.Recipe) string {
	if r.SamplesPerStep() == r.Batch {
		return fmt.Sprintf("batch %d", r.Batch)
	}
	return fmt.Sprintf("batch %d x %d", r.SamplesPerStep()/r.Batch, r.Batch)
}

// describeRecipe tells in one line how a network is trained. Settings that are the usual ones of their method are left out.
func describeRecipe(r net.Recipe) string {
	o := r.Optimizer
	parts := append([]string{
		fmt.Sprintf("%s, %s", counted(r.Epochs, "epoch"), batchText(r)),
		fmt.Sprintf("%s, learning rate %v", leadMethod(o), o.Lead().LearningRate),
	}, stepSettings(r)...)
	if s := o.Schedule; scheduleName(s.Method) != "constant" {
		parts = append(parts, scheduleName(s.Method)+" schedule"+describeShares(r))
	}
	if r.WarmupEpochs != 0 {
		parts = append(parts, "warm-up of "+epochsText(r.WarmupEpochs))
	}
	if r.DropLast {
		parts = append(parts, "last images dropped")
	}
	if r.LocalStatistics {
		parts = append(parts, "local statistics")
	}
	if l := r.Lookahead; l.Every != 0 {
		share := fmt.Sprint(l.Start)
		if l.Final != l.Start {
			share = fmt.Sprintf("%v to %v", l.Start, l.Final)
		}
		if l.Power != 0 && l.Power != 1 {
			share += fmt.Sprintf(", power %v", l.Power)
		}
		parts = append(parts, fmt.Sprintf("lookahead every %s (%s)", counted(l.Every, "step"), share))
	}
	if r.Average != 0 {
		parts = append(parts, fmt.Sprintf("averaged weights %v", r.Average))
	}
	switch {
	case r.EvaluateEvery >= r.Epochs && r.Epochs > 1:
		parts = append(parts, "evaluated at the end")
	case r.EvaluateEvery > 1:
		parts = append(parts, fmt.Sprintf("evaluated every %d epochs", r.EvaluateEvery))
	}
	if r.Views != net.OneView {
		parts = append(parts, map[net.Views]string{net.MirrorView: "two views", net.SixViews: "six views"}[r.Views])
	}
	if r.Patience != 0 {
		parts = append(parts, fmt.Sprintf("patience %d", r.Patience))
	}
	if r.Watch != "" {
		parts = append(parts, fmt.Sprintf("best epoch by %s", r.Watch))
	}
	return strings.Join(append(parts, fmt.Sprintf("seed %d", r.Seed)), ", ")
}

// epochsText returns a number of epochs in words.
func epochsText(x float64) string {
	if x == 1 {
		return "1 epoch"
	}
	return fmt.Sprintf("%v epochs", x)
}

// leadMethod returns the method of the optimiser's leading rule, and for how long it learns if that isn't the whole run.
func leadMethod(o net.Optimizer) string {
	method := string(o.Lead().Method)
	for _, g := range o.Groups {
		if g.Params == net.HiddenMatrices && g.Method != "" {
			if g.Epochs > 0 {
				method += " for " + epochsText(g.Epochs)
			}
			break
		}
	}
	return method
}

// describeShares tells the numbers of a schedule that aren't its usual ones, in brackets; "" if there are none.
func describeShares(r net.Recipe) string {
	s, usual := r.Optimizer.Schedule, net.Recipe{Epochs: r.Epochs}
	if err := setSchedule(scheduleName(s.Method), &usual); err != nil {
		panic("BUG: " + err.Error())
	}
	var parts []string
	if rises := s.Method == net.LinearRate || s.Method == net.OneCycleRate; rises && s.Peak == 0 {
		parts, s.Start, s.Peak = append(parts, "no rise"), usual.Optimizer.Schedule.Start, usual.Optimizer.Schedule.Peak
	}
	for _, n := range []struct {
		name      string
		is, usual float64
	}{
		{"start", s.Start, usual.Optimizer.Schedule.Start}, {"peak", s.Peak, usual.Optimizer.Schedule.Peak}, {"final", s.Final, usual.Optimizer.Schedule.Final},
		{"factor", s.Factor, usual.Optimizer.Schedule.Factor}, {"step epochs", r.StepEpochs, usual.StepEpochs},
	} {
		if n.is != n.usual {
			parts = append(parts, fmt.Sprintf("%s %v", n.name, n.is))
		}
	}
	return inBrackets(parts)
}

// inBrackets returns a list in brackets, after a space; "" for none.
func inBrackets(parts []string) string {
	if parts == nil {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// ruleSettings returns the settings of a rule, beside its learning rate, that differ from those of another.
func ruleSettings(r, than net.Rule) (parts []string) {
	add := func(name string, is, other any) {
		if is != other {
			parts = append(parts, fmt.Sprintf("%s %v", name, is))
		}
	}
	yes := func(name string, is, other bool) {
		switch {
		case is && !other:
			parts = append(parts, name)
		case other && !is:
			parts = append(parts, "no "+name)
		}
	}
	add("momentum", r.Momentum, than.Momentum)
	yes("Nesterov", r.Nesterov, than.Nesterov)
	add("beta1", r.Beta1, than.Beta1)
	add("beta2", r.Beta2, than.Beta2)
	add("epsilon", r.Epsilon, than.Epsilon)
	add("iterations", r.Iterations, than.Iterations)
	yes("rescaled", r.Rescale, than.Rescale)
	add("weight decay", r.WeightDecay, than.WeightDecay)
	return parts
}

// describeSteps tells in one line what makes a step, without the learning rate.
func describeSteps(r net.Recipe) string {
	parts := append([]string{batchText(r), leadMethod(r.Optimizer)}, stepSettings(r)...)
	return strings.Join(append(parts, fmt.Sprintf("seed %d", r.Seed)), ", ")
}

// stepSettings returns the settings of a step other than its size, optimiser and
// learning rate.
func stepSettings(r net.Recipe) (parts []string) {
	o, rule := r.Optimizer, r.Optimizer.Lead()
	usual := rule.Method.Usual(1)
	usually := *usual.Lead()
	usually.Momentum, usually.Nesterov = 0, false // always told
	parts = append(parts, ruleSettings(*rule, usually)...)
	allElse, factors := "", []string(nil)
	for _, g := range o.Groups {
		text := fmt.Sprintf("%s by %s at %v", g.Params, g.Method, g.LearningRate)
		switch {
		case g.Params == net.HiddenMatrices && g.Method != "":
			allElse = fmt.Sprintf("all else by %s at %v", o.Method, o.LearningRate)
			allElse += inBrackets(ruleSettings(o.Rule, o.Method.Usual(1).Rule))
			continue
		case g.Method == "":
			text = fmt.Sprintf("rate of %s x %v", g.Params, g.Factor)
		case g.Method == rule.Method:
			text += inBrackets(ruleSettings(g.Rule, *rule))
		default:
			of := g.Method.Usual(1)
			text += inBrackets(ruleSettings(g.Rule, *of.Lead()))
		}
		if g.Epochs > 0 {
			text += " for " + epochsText(g.Epochs)
		}
		if g.Method == "" {
			factors = append(factors, text)
		} else {
			parts = append(parts, text)
		}
	}
	if allElse != "" {
		parts = append(parts, allElse)
	}
	parts = append(parts, factors...)
	if o.ClipNorm != 0 {
		parts = append(parts, fmt.Sprintf("clip norm %v", o.ClipNorm))
	}
	if !r.Augment.Plain() {
		text := "augmentation" + inBrackets([]string{describeAugmentation(r.Augment)})
		if r.Augment.Name != "" {
			text = r.Augment.Name + " augmentation"
		}
		parts = append(parts, text)
	}
	if r.Loss.Smoothing != 0 {
		parts = append(parts, fmt.Sprintf("label smoothing %v", r.Loss.Smoothing))
	}
	switch {
	case r.Balance:
		parts = append(parts, "balanced classes")
	case r.Loss.ClassWeights != nil:
		parts = append(parts, fmt.Sprintf("class weights %v", r.Loss.ClassWeights))
	}
	return parts
}
