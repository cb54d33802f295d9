package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/internal/runfolder"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/parallel"
	"github.com/gputrain/gputrain/tensorboard"
)

func (a *app) trainCommand() *cli.Command {
	flags := recipeAndModelFlags()
	for _, f := range recipeFlags() {
		flags = append(flags, f.flag)
	}
	run := newRunFlag("Run").(*cli.StringFlag)
	run.Aliases, run.EnvVars = []string{"output"}, append(run.EnvVars, env("output")...)
	flags = append(flags,
		dataFlag(),
		&cli.IntFlag{Name: "limit", EnvVars: env("limit"), Category: "Data", DefaultText: "all, or the resumed run's", Usage: "take `N` images of each part at most, of all classes alike: a quick look"},
		&cli.IntFlag{Name: "top", EnvVars: env("top"), Category: "Pictures and loss", DefaultText: "1", Usage: "tell how often the right class is among the `N` most probable ones, too"},
		run,
		&cli.DurationFlag{Name: "max-time", EnvVars: env("max-time"), Category: "Run", DefaultText: "none", Usage: "stop and save after a `TIME` such as 10m or 1h30m, wherever training is"},
		&cli.StringFlag{Name: "checkpoint-every", Value: "1m", EnvVars: env("checkpoint-every"), Category: "Run", Usage: "save every `N` steps, or time such as 90s or 5m, besides each epoch's end; 0 does not"},
		&cli.IntFlag{Name: "keep", EnvVars: env("keep"), Category: "Run", DefaultText: "last and best", Usage: "keep the checkpoints of the last `N` epochs too"},
		&cli.BoolFlag{Name: "tensorboard", Value: true, EnvVars: env("tensorboard"), Category: "Run", Usage: "write TensorBoard's files; --tensorboard=false does not"},
		&cli.BoolFlag{Name: "resume", EnvVars: env("resume"), Category: "Run", Usage: "go on with the run that --run names, or that stands behind --resume, or the latest"},
		&cli.BoolFlag{Name: "auto-resume", EnvVars: env("auto-resume"), Category: "Run", Usage: "go on with the run that --run names if it has a checkpoint, or else begin it: for jobs that are started again"},
		&cli.StringFlag{Name: "from", Aliases: []string{"weights"}, EnvVars: append(env("from"), env("weights")...), Category: "Fine-tuning", DefaultText: "drawn by --seed", Usage: "begin a new run with the weights, the data and the settings of `RUN`, unless other flags say otherwise"},
		&cli.StringFlag{Name: "head", EnvVars: env("head"), Category: "Fine-tuning", DefaultText: "the run's", Usage: "a new last layer for `N` classes; auto: as many as the data have; keep: the run's, though the data's classes have other names"},
		&cli.StringSliceFlag{Name: "freeze", EnvVars: env("freeze"), Category: "Fine-tuning", DefaultText: "what the run has frozen", Usage: "don't train layers, by `NAMES`: @body (all but the last), ..conv5 (up to it), conv*, batchnorm.weight; none: train all; may be repeated"},
		&cli.BoolFlag{Name: "json", EnvVars: env("json"), Usage: "print one JSON object a line"},
		verboseFlag(),
	)
	return &cli.Command{
		Name:      "train",
		Usage:     "train a network",
		UsageText: "gputrain train [FLAGS]\ngputrain train --resume [RUN]",
		Description: `Without flags: the tutorial's network on MNIST by the tutorial's recipe, on the
best device there is. Flags override the recipe where they are set.

Ctrl-C ends the step in progress, saves a checkpoint and says how to go on; a
second Ctrl-C stops at once. So do a terminal that is closed, and --max-time
when the time is up. A resumed run goes on as if never interrupted.

Each run has a folder, runs/run-1 and so on, or runs/NAME with --run NAME.

"cost" is what the tutorial calls the mean training loss of an epoch. Each image
counts with the loss that it had at its own step, with dropout and augmentation.
The best epoch is the one with the least loss on the validation set, or with
--watch accuracy the highest accuracy. The last lines show its figure.
` + a.further(`
A run's folder has
  recipe.json         the network, the recipe, data, device and version
  metrics.jsonl       a JSON object a line for each event, as --json prints
  last.safetensors    the latest checkpoint
  best.safetensors    that of the epoch that did best on the validation set
  epoch-N.safetensors with --keep
and TensorBoard's files in train, validation and test.
`) + `
Examples:
  gputrain train
  gputrain train --recipe fast
  gputrain train --model lenet5 --optimizer sgd --learning-rate 0.05
  gputrain train --data fashion-mnist --epochs 20 --patience 3
  gputrain train --data flowers --augment standard --max-time 30m
  gputrain train --limit 500 --epochs 1                # a quick look
  gputrain train --run wide --model wide.json --keep 3
  gputrain train --resume                              # the latest run
  gputrain train --resume run-1 --epochs 20            # longer than planned
  gputrain train --run job --auto-resume               # begin it, or go on
  gputrain train --from run-1 --epochs 5 --lr 1e-5     # a new run on top
  gputrain train --from run-1 --data flowers --head auto --freeze @body
  gputrain train --from run-2 --freeze none --rate-factor @body=0.1
  gputrain train --device cuda:all                     # all GPUs
  mpirun -n 4 gputrain train --device cpu              # several processes
  tensorboard --logdir runs                            # watch all runs` + a.further(`

Processes that mpirun, srun, torchrun, or the variables RANK, WORLD_SIZE,
MASTER_ADDR and MASTER_PORT make a group, train one network, each with a part of
every mini-batch, on its CPUs or on a GPU of its own. --device cuda:all starts a
process for each GPU by itself. Process 0 writes and prints. See docs/scale.md.

--json prints an object for each event; "event" is started, progress, epoch,
checkpoint, done or, with --verbose on a GPU, gpu. Losses are means an image,
accuracies from 0 to 1.
  started     network, recipe, device, weights, frozen, train, validation,
              test, steps_per_epoch, resumed
  progress    epoch, step, steps, loss, accuracy, images_per_second,
              learning_rate
  epoch       epoch, cost, accuracy, validation and test (each loss, accuracy
              and, with --top, top), best, seconds, images_per_second
  checkpoint  path, reason, epoch, step
  done        epochs (as in epoch), best, early_stopped, time_up, seconds,
              last_checkpoint, best_checkpoint
  gpu         memory, workspace (bytes), convolutions, graphs`),
		Flags:  append(flags, groupDeviceFlags()...),
		Action: a.train,
	}
}

func (a *app) train(c *cli.Context) error {
	stderr := a.err
	together, err := a.join(c)
	if err != nil {
		return err
	}
	return together.leave(stderr, a.trainWith(c, together, stderr))
}

// trainWith trains in this process, together with others if there are any. An error before
// the training is told to all of them.
func (a *app) trainWith(c *cli.Context, together *members, stderr io.Writer) (err error) {
	device, why, err := together.openDevice(c)
	if err := together.agree(err); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, device.Close()) }()
	run, err := a.planRun(c)
	if err := together.agree(err); err != nil {
		return err
	}
	run.config.Device = device.Name()
	program, err := device.Compile(run.plan.Network, run.config.Options())
	if err == nil {
		defer func() { err = errors.Join(err, program.Close()) }()
		if run.weights != nil {
			err = run.setWeights(program)
		}
	}
	if err := together.agree(err); err != nil {
		return err
	}
	defer func() { together.abandon(stderr, err) }() // before program and device are closed
	var beside attendance
	defer func() { err = errors.Join(err, beside.close()) }()
	if together.leads() {
		err = a.attend(c, run, program, withReason(device, why), &beside)
	}
	if err := together.agree(err); err != nil {
		return err
	}
	endsInOrder(c.Context)
	ctx, stop := endAtHangup(c.Context)
	defer stop()
	_, err = net.Train(ctx, program, run.config)
	if s := gpuStatistics(program); s != nil && c.Bool("verbose") && (err == nil || errors.Is(err, context.Canceled)) {
		if c.Bool("json") {
			err = errors.Join(err, a.printJSON(struct {
				Event string `json:"event"`
				*cuda.Statistics
			}{"gpu", s}, ""))
		} else {
			a.printGPU(s)
		}
	}
	var stopped *net.StoppedError
	switch {
	case !errors.As(err, &stopped) || !together.leads():
		return err
	case errors.Is(err, context.Canceled):
		return interrupted(c, stopped)
	case stopped.Checkpoint == "":
		return err
	}
	return fmt.Errorf("%w; go on with: %s", err, resumeCommand(c, filepath.Dir(stopped.Checkpoint)))
}

// setWeights gives a program the weights with which the run begins. Those of a new last layer
// stay as they are drawn.
func (run *trainingRun) setWeights(program net.Program) error {
	params := maps.Clone(run.weights.Weights())
	if len(run.head) > 0 {
		drawn, err := program.State()
		if err != nil {
			return err
		}
		for _, q := range run.plan.Params {
			if slices.Contains(run.head, run.plan.Nodes[q.Layer].Name) {
				params[q.Name] = drawn.Params[q.Name]
			}
		}
	}
	if err := program.SetState(net.State{Params: params}); err != nil {
		return fmt.Errorf("--from %s: its network, %s, is not %s: %w", run.from, run.weights.Network.Name, run.plan.Network.Name, err)
	}
	return nil
}

// attendance is what happens beside a training run: its files are written, and its progress
// is shown.
type attendance struct{ closers []func() error }

// close ends it, in the reverse order.
func (b *attendance) close() error {
	var errs []error
	for _, f := range slices.Backward(b.closers) {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

// attend makes and locks the folder of a run, and sets the observers of its Config. The
// caller closes beside, also after an error.
func (a *app) attend(c *cli.Context, run *trainingRun, program net.Program, device string, beside *attendance) (err error) {
	cfg := &run.config
	if !run.resumed {
		var fresh bool
		if cfg.Saving.Dir, fresh, err = newRunFolder(c.String("run")); err != nil {
			return err
		}
		if fresh {
			beside.closers = append(beside.closers, func() error { // if nothing was saved, the folder is removed
				removeEmpty(cfg.Saving.Dir)
				return nil
			})
		}
	}
	if err := checkWritable(cfg.Saving.Dir); err != nil {
		return err
	}
	files := &runFiles{dir: cfg.Saving.Dir, record: a.record(c, run), resume: cfg.Resume}
	if files.release, err = runfolder.Lock(cfg.Saving.Dir); err != nil {
		return err
	}
	beside.closers = append(beside.closers, files.close)
	if run.resumed {
		if err := checkLatest(cfg.Resume, run.from, cfg.Saving.Dir); err != nil {
			return err
		}
	}
	if c.Bool("tensorboard") {
		files.board = tensorboard.New(parallel.Own(program), *cfg, tensorboard.Options{Dir: cfg.Saving.Dir, ClassNames: run.data.classNames})
	}
	watch := &captureWatch{app: a}
	switch {
	case c.Bool("json"):
		cfg.Observers = []net.Observer{net.ObserverFunc(a.logEvent)}
	default:
		report := newReport(a, run, device, cfg.Saving.Dir)
		if s := gpuStatistics(program); s != nil && c.Bool("verbose") {
			report.memory = describeMemory(s.Memory)
		}
		report.curves = c.Bool("tensorboard")
		report.goOn = resumeCommand(c, cfg.Saving.Dir)
		cfg.Observers = []net.Observer{report}
		watch.clear = report.close
		beside.closers = append(beside.closers, func() error { report.close(); return nil })
	}
	cfg.Observers = append(cfg.Observers, files)
	cfg.Observers = append(cfg.Observers, net.ObserverFunc(func(net.Event) error {
		watch.look(program)
		return nil
	}))
	return nil
}

// record returns the content of recipe.json for a run.
func (a *app) record(c *cli.Context, run *trainingRun) runfolder.Record {
	cfg := run.config
	return runfolder.Record{
		Network: run.plan.Network, Recipe: cfg.Recipe, Flags: flagsToRecall(c),
		Data: runfolder.Data{
			Name: run.data.name, Folder: run.data.folder,
			Train: cfg.Train.Len(), Validation: cfg.Validation.Len(), Test: cfg.Test.Len(),
		},
		Parts: []runfolder.Part{{Version: version(), Device: cfg.Device, Command: a.args}},
	}
}

// recalledFlags lists the flags of train that are not part of a recipe and that a resumed
// run keeps.
var recalledFlags = []string{"keep", "checkpoint-every", "tensorboard", "top"}

// flagsToRecall returns the values of the recalledFlags that are set.
func flagsToRecall(c *cli.Context) map[string]string {
	flags := map[string]string{}
	for _, name := range recalledFlags {
		if c.IsSet(name) {
			flags[name] = fmt.Sprint(c.Value(name))
		}
	}
	return flags
}

// recallFlags sets the flags with which the run began, except those that are given now.
func recallFlags(c *cli.Context, from string) error {
	dir, err := findRun(from, "--run RUN")
	if err != nil {
		return nil // loading the run reports the error too
	}
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		dir = filepath.Dir(dir)
	}
	record, err := runfolder.ReadRecord(dir)
	if err != nil {
		return nil // a run can be resumed from a checkpoint alone
	}
	for _, name := range recalledFlags {
		if value, ok := record.Flags[name]; ok && !c.IsSet(name) {
			if err := c.Set(name, value); err != nil {
				return fmt.Errorf("%s: --%s %s: %w", filepath.Join(dir, runfolder.RecordFile), name, value, err)
			}
		}
	}
	return nil
}

// trainingRun is a run that the flags ask for.
type trainingRun struct {
	config  net.Config
	recipe  net.RecipeFile // of a new run
	data    *dataset
	plan    *net.Plan
	resumed bool
	weights *net.Checkpoint // the checkpoint whose weights a new run begins with; nil: random weights
	from    string          // the run that is resumed or whose weights are taken: its folder or a checkpoint
	head    []string        // the names of the layers whose weights are not taken, because they are new
	choose  bool            // the images decide that the model is pictureModel

	begin    func(recipe string) error // sets the recipe of a new run
	unsuited error                     // the flags don't suit the default recipe, but they may suit pictureRecipe
}

// beginWith sets the recipe of a new run. If the flags suit only the recipe for pictures,
// the data must first tell whether that one is meant. Then it keeps the error for later.
func (run *trainingRun) beginWith(c *cli.Context, begin func(recipe string) error) error {
	run.begin = begin
	err := begin(c.String("recipe"))
	if err != nil && !c.IsSet("recipe") && !c.IsSet("model") && c.String("data") != "" && begin(pictureRecipe) == nil {
		run.unsuited, err = err, nil
	}
	return err
}

// The model and the recipe for images unlike MNIST's, if the flags name none.
const (
	pictureModel  = "resnet20"
	pictureRecipe = "photos"
)

// planRun makes a run from the flags, without touching the folder.
func (a *app) planRun(c *cli.Context) (*trainingRun, error) {
	run := &trainingRun{resumed: c.Bool("resume")}
	if c.NArg() > 0 && !c.Bool("resume") {
		if isDataSet(c.Args().First()) {
			return nil, noArguments(c)
		}
		return nil, usagef("train takes no arguments, got %q: --run names a new run, --resume goes on with one; %s", c.Args().First(), helpHint(c))
	}
	from, err := a.namedRun(c)
	if err != nil {
		return nil, err
	}
	if c.Bool("auto-resume") {
		if from, run.resumed, err = autoResume(c); err != nil {
			return nil, err
		}
	}
	if run.resumed {
		if err := recallFlags(c, from); err != nil {
			return nil, err
		}
	}
	if c.IsSet("limit") && c.Int("limit") < 1 {
		return nil, usagef("--limit must be at least 1, got %d", c.Int("limit"))
	}
	cfg := &run.config
	if cfg.Saving, err = saving(c.String("checkpoint-every")); err != nil {
		return nil, err
	}
	if cfg.Saving.Keep = c.Int("keep"); cfg.Saving.Keep < 0 {
		return nil, usagef("--keep must be at least 0, got %d", cfg.Saving.Keep)
	}
	if cfg.MaxTime = c.Duration("max-time"); c.IsSet("max-time") && cfg.MaxTime <= 0 {
		return nil, usagef("--max-time must be more than 0, got %v", cfg.MaxTime)
	}
	if cfg.Top = c.Int("top"); c.IsSet("top") && cfg.Top < 1 {
		return nil, usagef("--top must be at least 1, got %d", cfg.Top)
	}
	switch {
	case c.Bool("resume") && a.given(c, "from"):
		return nil, usagef("--from begins a new run, --resume goes on with one: leave one of them out")
	case !run.resumed && c.String("from") == "" && c.IsSet("head"), c.Bool("resume") && a.given(c, "head"):
		return nil, usagef("--head is for a new run that begins with the weights of another: name that with --from RUN")
	case !run.resumed && c.String("from") == "" && c.IsSet("freeze"), c.Bool("resume") && a.given(c, "freeze"):
		return nil, usagef("--freeze is for a new run that begins with the weights of another: name that with --from RUN")
	case run.resumed:
		if run.from, err = resumeRun(c, cfg, from); err == nil && from == "" {
			a.note(passedOver(run.from))
		}
	case c.String("from") != "":
		err = a.beginWithWeights(c, run)
	default:
		err = run.beginWith(c, func(recipe string) error { return run.beginRun(c, recipe) })
	}
	if err != nil {
		return nil, err
	}
	return run, a.takeModelAndData(c, run)
}

// autoResume returns the folder of the run that --run names, and reports whether it has a
// checkpoint to go on from.
func autoResume(c *cli.Context) (dir string, resumed bool, err error) {
	switch {
	case c.Bool("resume"):
		return "", false, usagef("--resume goes on with a run, --auto-resume goes on with it or begins it: leave one of them out")
	case c.String("run") == "":
		return "", false, usagef("--auto-resume needs the name of the run that it goes on with or begins: --run NAME")
	}
	dir = runPath(c.String("run"))
	switch _, err = os.Stat(filepath.Join(dir, net.LastCheckpoint)); {
	case err == nil:
		return dir, true, nil
	case errors.Is(err, fs.ErrNotExist):
		return dir, false, nil
	}
	return "", false, fmt.Errorf("folder of the run: %w", err)
}

// saved returns the checkpoint that this run resumes or takes its weights from; nil if
// there is none.
func (run *trainingRun) saved() *net.Checkpoint {
	if run.resumed {
		return run.config.Resume
	}
	return run.weights
}

// beginWithWeights sets what a new run takes from the run that --from names. It takes
// the recipe, unless --recipe names another. It also takes the seed, so that the data are
// split in the same way. An ONNX model is taken as the run that import would make of it.
func (a *app) beginWithWeights(c *cli.Context, run *trainingRun) (err error) {
	if path := c.String("from"); isONNX(path) {
		model, err := readONNX(path, net.Shape{})
		if err != nil {
			return err
		}
		for _, note := range model.Notes {
			a.note(note)
		}
		recipe, _ := net.RecipeNamed(pictureRecipe)
		if run.weights, err = onnxCheckpoint(model, recipe.Recipe, nil); err != nil {
			return err
		}
		run.from = path
	} else if run.weights, run.from, err = loadRun(c, path, "--from RUN"); err != nil {
		return err
	}
	recipe := &run.config.Recipe
	*recipe = run.weights.Recipe
	if c.IsSet("recipe") {
		file, err := loadRecipe(c.String("recipe"))
		if err != nil {
			return err
		}
		*recipe = file.Recipe
		recipe.Seed = run.weights.Recipe.Seed
	}
	if err := checkOptimizer(c, recipe); err != nil {
		return err
	}
	return overrideRecipe(c, recipe)
}

// mixedUp warns if images on which this run is tested may be among those on which its
// weights were trained. It returns "" if they aren't.
func (run *trainingRun) mixedUp() string {
	was, is := run.weights, run.config
	if was.Subject == nil || was.Subject.Folder == "" || was.Subject.Folder != run.data.folder || was.Recipe.Seed == is.Recipe.Seed ||
		was.Validation == nil || is.Validation == nil || was.Validation.SHA256 == is.Validation.ID().SHA256 {
		return ""
	}
	return "another --seed splits the data otherwise: the weights of " + run.from + " may have been trained on some of the images that they are tested on now"
}

// takeModelAndData loads the model and the data that the flags name.
func (a *app) takeModelAndData(c *cli.Context, run *trainingRun) (err error) {
	cfg := &run.config
	wish := dataWish{seed: cfg.Recipe.Seed}
	saved := run.saved()
	if saved != nil {
		wish = wishOf(saved)
		wish.seed = cfg.Recipe.Seed
	}
	var network *net.Network
	if saved != nil && !c.IsSet("model") {
		network = saved.Network
	} else if _, builtIn := net.ModelNamed(run.model(c)); !builtIn {
		if network, err = loadModel(run.model(c), net.Shape{}, 0); err != nil {
			return err
		}
		wish.input = network.Input
	}
	if r := run.recipe; saved == nil && c.IsSet("recipe") && c.String("data") == "" && (r.GetData != "" || r.Data != "" && r.Data != "MNIST") {
		text := fmt.Sprintf("recipe %s is for %s: name its folder with --data", r.Name, r.Data)
		if r.GetData != "" {
			text += "; " + r.GetData
		}
		return usagef("%s", text)
	}
	if saved != nil && !c.IsSet("data") && saved.Subject != nil {
		run.data, err = a.ownData(c, saved, wish)
	} else {
		run.data, err = a.loadData(c, wish)
	}
	if err != nil {
		return err
	}
	newHead := run.weights != nil && c.IsSet("head") && c.String("head") != keepHead
	if run.weights != nil && saved.Subject != nil && !newHead {
		run.data.numberBy(saved.Subject.ClassNames)
	}
	if network == nil {
		model := run.model(c)
		if run.choose = !run.resumed && !c.IsSet("model") && !c.IsSet("recipe") && run.data.train.Shape != net.Models()[0].Input; run.choose {
			model = pictureModel
			if !c.IsSet("recipe") {
				run.unsuited = run.begin(pictureRecipe)
			}
		}
		if run.unsuited != nil {
			return run.unsuited
		}
		if network, err = loadModel(model, run.data.train.Shape, run.data.train.Classes); err != nil {
			return err // for a resumed run, net.Train compares it with the checkpoint's
		}
	}
	if run.weights != nil {
		if network, err = run.adapt(c, network); err != nil {
			return err
		}
	}
	if run.plan, err = network.Plan(); err != nil {
		return err
	}
	if run.weights != nil {
		cfg.Recipe.Optimizer = run.optimizerOf(c)
	}
	if err := checkFit(run.plan, run.data); err != nil {
		return err
	}
	if w := cfg.Recipe.Loss.ClassWeights; w != nil && len(w) != run.data.train.Classes {
		return usagef("--class-weights: %s for %d classes; give one a class", counted(len(w), "weight"), run.data.train.Classes)
	}
	if top := c.Int("top"); top > run.plan.Classes {
		return usagef("--top must be at most %d, the number of classes, got %d", run.plan.Classes, top)
	}
	run.takeData(c)
	if run.weights != nil {
		a.note(run.mixedUp())
	}
	return checkImages(cfg, run.data.train)
}

// takeData sets the data of the run, and what it remembers of them. The data are within
// --limit, or within the limit with which the run began.
func (run *trainingRun) takeData(c *cli.Context) {
	cfg, data, limit := &run.config, run.data, c.Int("limit")
	saved := run.saved()
	if saved != nil && saved.Subject == nil { // runs that remember no subject took the first images
		cfg.Train, cfg.Validation, cfg.Test = data.train, data.validation, data.test
		if !c.IsSet("limit") && saved.Train.Name == data.train.Name {
			limit = saved.Train.Samples
		}
		if limit > 0 && limit < data.train.Len() {
			cfg.Train = data.train.Slice(0, limit)
		}
		return
	}
	if saved != nil && !c.IsSet("limit") {
		limit = saved.Subject.Limit
	}
	part := data.limited(limit, cfg.Recipe.Seed)
	cfg.Train, cfg.Validation, cfg.Test = part.train, part.validation, part.test
	cfg.Subject = data.subject(limit)
}

// checkImages returns an error if a run would be resumed with another number of images
// than it began with. The error tells what to change.
func checkImages(cfg *net.Config, all *net.Dataset) error {
	saved := cfg.Resume
	if saved == nil || saved.Train.Samples == cfg.Train.Len() {
		return nil
	}
	began := saved.Train
	advice := "set --data and --limit as it had them"
	switch was, is := saved.Subject, cfg.Subject; {
	case was != nil && is != nil && was.Folder == is.Folder && was.Limit == is.Limit:
		advice = "the data in " + was.Folder + " have changed since; put them back as they were, or begin a new run"
	case began.Name == all.Name && began.Samples <= all.Len():
		advice = "leave --limit out"
	}
	return fmt.Errorf("%w: the run trains on %d images of %s, not on %d: %s", net.ErrResume, began.Samples, began.Name,
		cfg.Train.Len(), advice)
}

// beginRun sets the recipe of a new run.
func (run *trainingRun) beginRun(c *cli.Context, recipe string) (err error) {
	if run.recipe, err = loadRecipe(recipe); err != nil {
		return err
	}
	run.config.Recipe = run.recipe.Recipe
	if err := checkOptimizer(c, &run.config.Recipe); err != nil {
		return err
	}
	return overrideRecipe(c, &run.config.Recipe)
}

// model returns the name or the file of the model that the flags name, or else the recipe.
func (run *trainingRun) model(c *cli.Context) string {
	if c.IsSet("recipe") && !c.IsSet("model") && run.recipe.Model != "" {
		return run.recipe.Model
	}
	return c.String("model")
}

// resumeRun sets the checkpoint and the recipe of the named run, and returns where it was
// found. It fails if flags contradict the run.
func resumeRun(c *cli.Context, cfg *net.Config, from string) (path string, err error) {
	saved, path, err := loadRun(c, from, "--run RUN")
	if err != nil {
		return "", err
	}
	if saved.Train.Samples == 0 {
		return "", fmt.Errorf("%w: the run was imported without its data; begin a new run with its weights: %s train --from %s --data FOLDER", net.ErrResume, invocation(), quoted(path))
	}
	cfg.Resume, cfg.Recipe = saved, saved.Recipe
	cfg.Saving.Dir = path
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		cfg.Saving.Dir = filepath.Dir(path)
	}
	if err := contradictsRecipe(c, saved.Recipe); err != nil {
		return "", err
	}
	if err := contradiction(c, saved.Recipe); err != nil {
		return "", err
	}
	if err := overrideRecipe(c, &cfg.Recipe); err != nil {
		return "", err
	}
	if more := cfg.Recipe.Epochs - saved.Recipe.Epochs; more > 0 && planned(saved.Recipe) {
		return "", fmt.Errorf("%w: the %s schedule was laid out for %s; to train on, begin a new run with its weights: %s train --from %s --epochs %d",
			net.ErrResume, scheduleName(saved.Recipe.Optimizer.Schedule.Method), counted(saved.Recipe.Epochs, "epoch"), invocation(), quoted(path), more)
	}
	return path, nil
}

// planned reports whether a recipe's learning rate depends on the number of epochs.
func planned(r net.Recipe) bool { return r.OptimizerFor(1).Schedule.Total > 0 }

// checkLatest returns an error if the run has later checkpoints than the given one.
// Resuming from it would lose what came after.
func checkLatest(saved *net.Checkpoint, path, dir string) error {
	last, err := net.LoadCheckpoint(dir)
	if err != nil || last.State.Step <= saved.State.Step {
		return nil // it is the latest one that is whole
	}
	return fmt.Errorf("%w: %s is at epoch %d, the run has gone on to epoch %d and would lose that; go on from the latest with --resume %s, or copy the file to %s in a folder of its own and resume that",
		net.ErrResume, path, saved.Position.Epoch, last.Position.Epoch, quoted(dir), net.LastCheckpoint)
}

// saving reads --checkpoint-every: a number of steps, or a time.
func saving(every string) (net.Saving, error) {
	if n, err := strconv.Atoi(every); err == nil && n >= 0 {
		return net.Saving{EverySteps: n}, nil
	}
	if d, err := time.ParseDuration(every); err == nil && d > 0 {
		return net.Saving{Every: d}, nil
	}
	return net.Saving{}, usagef("--checkpoint-every: %q is neither a number of steps nor a time such as 90s or 5m", every)
}

// interrupted returns the error for a run that Ctrl-C ended. It tells how to resume the
// run.
func interrupted(c *cli.Context, stopped *net.StoppedError) error {
	at := fmt.Sprintf("interrupted in epoch %d after %d steps", stopped.Epoch, stopped.Step)
	// If net.Train returns more than the interruption, that is why it could not save.
	unsaved := strings.TrimPrefix(stopped.Err.Error(), context.Canceled.Error())
	if stopped.Checkpoint == "" {
		return fmt.Errorf("%s%s; there is no checkpoint to go on from", at, unsaved)
	}
	command := resumeCommand(c, filepath.Dir(stopped.Checkpoint))
	if unsaved != "" {
		return fmt.Errorf("%s%s; go on from the checkpoint before it, %s, with: %s", at, unsaved, stopped.Checkpoint, command)
	}
	return fmt.Errorf("%s; go on with: %s", at, command)
}

// The flags of train that the command to go on with a run repeats: those with values and
// those without.
var (
	repeatedFlags    = []string{"epochs", "patience", "data", "data-cache", "device", "threads", "precision", "memory-limit", "workspace", "algorithm-cache", "checkpoint-every", "keep", "top"}
	repeatedSwitches = []string{"skip-bad", "deterministic", "verbose", "json"}
)

// resumeCommand returns the command line that resumes a run. It includes the given flags
// that a checkpoint doesn't know or may contradict.
func resumeCommand(c *cli.Context, dir string) string {
	words := []string{invocation(), "train", "--resume", quoted(dir)}
	for _, name := range repeatedFlags {
		if c.IsSet(name) {
			words = append(words, "--"+name, quoted(fmt.Sprint(c.Value(name))))
		}
	}
	if !c.Bool("tensorboard") {
		words = append(words, "--tensorboard=false")
	}
	for _, name := range repeatedSwitches {
		if c.Bool(name) {
			words = append(words, "--"+name)
		}
	}
	return strings.Join(words, " ")
}

// quoted quotes a word for the shell if that is needed.
func quoted(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:,=+@%\\", r)
	}
	if word != "" && strings.TrimLeftFunc(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
