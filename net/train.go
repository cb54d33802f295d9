package net

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/gputrain/gputrain/internal/replacefile"
)

// Saving says where and when Train writes checkpoints. If Dir is set, Train saves at the end
// of each epoch.
type Saving struct {
	Dir        string        // a folder for this run alone, made if missing; "" writes no checkpoints
	EverySteps int           // also saves after each EverySteps steps; 0 doesn't
	Every      time.Duration // also saves this long after the last checkpoint; 0 doesn't
	Keep       int           // keeps an EpochCheckpoint of each of the last Keep epochs and removes older ones; 0 doesn't
}

// Config describes a training run. The members of a group have the same, except for Device,
// Observers, MaxTime and Saving. Of MaxTime and Saving, those of member 0 count: it decides for
// all, and writes the checkpoints. An observer of one member must not use the program in a way
// that concerns the others. The events of other members have no paths of these.
type Config struct {
	Recipe     Recipe
	Train      *Dataset // the training set
	Validation *Dataset // the validation set; if nil, there is no early stopping and no best epoch
	Test       *Dataset // the test set, which never decides anything; nil for none
	Device     string   // name of the device that the program runs on, for checkpoints and events
	Observers  []Observer
	Interval   int           // steps between Progress events, besides the end of each epoch; 0 means about four events a second
	MaxTime    time.Duration // ends the run after the step in which it passes, counted from the call of Train; 0 means no limit
	Top        int           // if above 1, scores also hold the share of samples whose label is among the Top most probable classes
	Subject    *Subject      // what samples and classes mean, for checkpoints; may be nil
	Saving     Saving
	Resume     *Checkpoint // the checkpoint to go on from; nil starts a new run
}

// Result holds the figures of a run.
type Result struct {
	Epochs       []EpochResult `json:"epochs"`                    // of all epochs, also of those before a resume
	Best         int           `json:"best,omitempty"`            // the best epoch on the validation set, from 1; 0 if there is none
	EarlyStopped bool          `json:"early_stopped,omitempty"`   // Recipe.Patience ended the run
	TimeUp       bool          `json:"time_up,omitempty"`         // Config.MaxTime ended the run before the end of its last epoch
	Seconds      float64       `json:"seconds"`                   // how long this call took
	Last         string        `json:"last_checkpoint,omitempty"` // path of the last checkpoint; "" if none
	BestPath     string        `json:"best_checkpoint,omitempty"` // path of the best epoch's checkpoint; "" if none
}

// StoppedError is the error of a run that stopped before its end: the context ended, or
// an observer, the device or a write failed. Err says which. errors.Is and errors.As find
// it too.
type StoppedError struct {
	Epoch, Step int    // the epoch in progress, from 1, and the steps done in it
	Checkpoint  string // path of the last complete checkpoint; "" if there is none
	Err         error  // the reason
}

// Error says in which epoch and after which step training stopped, and why.
func (e *StoppedError) Error() string {
	return fmt.Sprintf("training stopped in epoch %d after step %d: %v; %s", e.Epoch, e.Step, e.Err, lastGood(e.Checkpoint))
}

// Unwrap returns e.Err.
func (e *StoppedError) Unwrap() error { return e.Err }

// DivergedError is the error of a run whose loss or weights became NaN or infinite.
// Nothing is saved from that step on.
type DivergedError struct {
	What        string // what became so, such as "the loss"
	Epoch, Step int    // the first place where it happened; both count from 1
	Checkpoint  string // path of the last good checkpoint; "" if there is none
}

// Error says where, and what to try.
func (e *DivergedError) Error() string {
	return fmt.Sprintf("%s became NaN or infinite in epoch %d, step %d: try a lower learning rate; %s", e.What, e.Epoch, e.Step, lastGood(e.Checkpoint))
}

func lastGood(path string) string {
	if path == "" {
		return "there is no checkpoint to go on from"
	}
	return "the last good checkpoint is " + path
}

// Options returns the options with which the network must be compiled for this run.
// cfg.Train must not be nil.
func (cfg Config) Options() Options {
	r := cfg.Recipe
	return Options{
		Batch: min(r.Batch, cfg.Train.Len()), Optimizer: r.OptimizerFor(r.StepsPerEpoch(cfg.Train.Len())), Seed: r.Seed,
		Loss: r.LossFor(cfg.Train), Average: r.Average, Lookahead: r.lookaheadFor(r.StepsPerEpoch(cfg.Train.Len())), Images: cfg.Train,
		LocalStatistics: r.LocalStatistics,
	}
}

// evaluationBatch is the number of samples that are evaluated between checks of the
// context.
const evaluationBatch = 1000

// progressEvery is the least time between Progress events if Config.Interval is 0. More
// events would cost speed, because the host waits for the device to read the metrics.
const progressEvery = 250 * time.Millisecond

// Train trains prog, which must be freshly compiled with cfg.Options, and leaves it with
// the weights of the last step. It runs to the recipe's last epoch, until early stopping,
// or until cfg.MaxTime has passed. If MaxTime passes within an epoch, Train writes a
// checkpoint, from which the run can be resumed.
//
// When ctx ends, Train finishes the step, writes a checkpoint, and returns a
// *StoppedError that wraps ctx.Err(). In a group it stops on all members when the context of
// one of them ends, soon after that step, and then wraps context.Canceled on the others. A loss that is NaN or infinite gives a
// *DivergedError. With either error, Result holds the figures so far. Without
// cfg.Saving.Dir, Train writes no checkpoints.
//
// On the same device, a resumed run gets the same weights, bit for bit, as a run that was
// never interrupted. For a GPU this needs a device that was opened as deterministic. The
// last bits of an epoch's mean training loss may differ, because its sum is split
// differently. A checkpoint that does not belong to the run gives ErrResume.
func Train(ctx context.Context, prog Program, cfg Config) (Result, error) {
	began := time.Now()
	t, err := newTrainer(prog, cfg)
	if err != nil {
		return Result{}, fmt.Errorf("train: %w", err)
	}
	t.began = began
	err = t.broken(t.run(ctx))
	return t.result(), err
}

// trainer is a run in progress.
type trainer struct {
	cfg     Config
	prog    Program
	plan    *Plan
	opt     Optimizer
	steps   int // in an epoch
	order   []int32
	source  *Source
	indices []int32 // of an evaluation batch
	began   time.Time
	timeUp  bool // MaxTime has passed

	train      DatasetID
	validation *DatasetID
	pos        Position
	history    []EpochResult

	since     Metrics   // since the last Progress
	sinceTime time.Time // of the last Progress, or the epoch's start

	last, best string // paths of checkpoints written
	savedTime  time.Time

	members      Communicator // of a group; nil if the program trains alone
	saves        bool         // checkpoints are written: by this member, or by member 0
	nextDecision int64        // the number of steps after which the members agree again
	decidedAt    int64        // that after which they did so last
	decided      time.Time    // and when
	agreed       bool         // all members know that the run ends
}

// interruption is an error that leaves a good state, which is saved.
type interruption struct{ err error }

func (i interruption) Error() string { return i.err.Error() }

// check returns an error for a run that cannot be trained.
func (cfg *Config) check(plan *Plan) error {
	if cfg.Train == nil {
		return errors.New("needs a training set")
	}
	if err := cfg.Recipe.Check(); err != nil {
		return err
	}
	if plan.Weights() == 0 {
		return fmt.Errorf("network %s has nothing to train: it has no parameters, or all are frozen", plan.Network.Name)
	}
	for _, d := range []*Dataset{cfg.Train, cfg.Validation, cfg.Test} {
		if d == nil {
			continue
		}
		if err := d.Check(); err != nil {
			return err
		}
		if d.Len() == 0 {
			return fmt.Errorf("data set %s has no samples", d.Name)
		}
		if err := (Batch{Data: d, Indices: []int32{0}}).Check(plan); err != nil {
			return err
		}
	}
	if err := cfg.Recipe.Augment.CheckFor(cfg.Train); err != nil {
		return err
	}
	if n := cfg.Train.Len(); cfg.Recipe.DropLast && n < cfg.Recipe.SamplesPerStep() {
		return fmt.Errorf("dropping an epoch's last samples leaves none: data set %s has %d, and an update takes %d; take smaller mini-batches, or drop none", cfg.Train.Name, n, cfg.Recipe.SamplesPerStep())
	}
	if err := cfg.checkStatistics(plan); err != nil {
		return err
	}
	switch {
	case cfg.Recipe.Patience > 0 && cfg.Validation == nil:
		return errors.New("early stopping needs a validation set")
	case cfg.Interval < 0 || cfg.Saving.EverySteps < 0 || cfg.Saving.Every < 0 || cfg.MaxTime < 0:
		return errors.New("intervals must be at least 0")
	case cfg.Top < 0 || cfg.Top > plan.Classes:
		return fmt.Errorf("cannot look at the %d most probable classes: the network tells %d apart", cfg.Top, plan.Classes)
	case cfg.Saving.Keep < 0:
		return fmt.Errorf("cannot keep the checkpoints of %d epochs", cfg.Saving.Keep)
	}
	return cfg.Options().CheckFor(plan)
}

// checkStatistics refuses mini-batches of one sample if a batch normalisation gets one
// value for each channel. Each value is then its own mean. So the layer passes on nothing
// but its bias, no gradient comes through, and the running variance sinks towards 0.
func (cfg *Config) checkStatistics(plan *Plan) error {
	for _, n := range plan.Nodes {
		if l, ok := n.Layer.(*BatchNorm); !ok || l.Settled() || n.In.H*n.In.W > 1 {
			continue
		}
		samples := cfg.Recipe.SamplesPerEpoch(cfg.Train.Len())
		switch {
		case cfg.Recipe.Batch == 1 || samples == 1:
			return fmt.Errorf("layer %s normalises each channel over one value in a mini-batch of one, and so learns nothing: take mini-batches of 2 samples at least", n.Name)
		case samples%cfg.Recipe.Batch == 1:
			return fmt.Errorf("layer %s normalises each channel over one value in an epoch's last mini-batch, as %d samples in mini-batches of %d leave one over: drop the last samples, or take mini-batches of another size", n.Name, samples, cfg.Recipe.Batch)
		}
	}
	return nil
}

// newLoop returns a trainer that stands at the first step. cfg is checked.
func newLoop(prog Program, cfg Config, opt Optimizer) *trainer {
	plan := prog.Plan()
	return &trainer{
		cfg: cfg, prog: prog, plan: plan, opt: opt,
		steps:     cfg.Recipe.StepsPerEpoch(cfg.Train.Len()),
		order:     make([]int32, cfg.Train.Len()),
		source:    &Source{Data: cfg.Train, Augment: cfg.Recipe.Augment, Seed: cfg.Recipe.Seed, Input: plan.Network.Input},
		indices:   make([]int32, evaluationBatch),
		savedTime: time.Now(),
		members:   prog.Options().Communicator,
		saves:     cfg.Saving.Dir != "",
	}
}

func newTrainer(prog Program, cfg Config) (*trainer, error) {
	err := cfg.check(prog.Plan())
	options := Options{}
	if err == nil {
		if options = cfg.Options(); !prog.Options().Same(options) {
			err = errors.New("the program was compiled with other options than the run's (Config.Options)")
		}
	}
	if members := prog.Options().Communicator; members != nil {
		err = Together(members, err)
	}
	if err != nil {
		return nil, err
	}
	t := newLoop(prog, cfg, options.Optimizer)
	if cfg.Saving.Dir != "" || cfg.Resume != nil || t.members != nil {
		t.train = cfg.Train.ID()
		if cfg.Validation != nil {
			id := cfg.Validation.ID()
			t.validation = &id
		}
	}
	if err := t.meet(); err != nil {
		return nil, err
	}
	if err := t.together(t.place()); err != nil {
		return nil, err
	}
	if err := t.together(t.makeFolder()); err != nil {
		return nil, err
	}
	_, err = t.prog.TakeMetrics() // drops the sums of an earlier use
	return t, err
}

// makeFolder makes the folder for checkpoints, and removes what an interrupted write has
// left there.
func (t *trainer) makeFolder() error {
	dir := t.cfg.Saving.Dir
	if dir == "" || !t.leads() {
		return nil
	}
	err := os.MkdirAll(dir, 0o755)
	if err == nil {
		err = replacefile.RemoveTemporaries(dir, LastCheckpoint, BestCheckpoint, epochCheckpoints)
	}
	if err != nil {
		return fmt.Errorf("checkpoint folder: %w", err)
	}
	return nil
}

// place brings program and trainer to the point where the run goes on.
func (t *trainer) place() error {
	if c := t.cfg.Resume; c != nil {
		if err := c.check(); err != nil {
			return fmt.Errorf("%w: %w", ErrResume, err)
		}
		if err := c.checkResume(t.plan.Network, &t.cfg, t.train, t.validation); err != nil {
			return err
		}
		if err := t.prog.SetState(c.State); err != nil {
			return err
		}
		t.pos, t.last = c.Position, c.path
		if dir := t.cfg.Saving.Dir; dir != "" {
			if best := filepath.Join(dir, BestCheckpoint); bestEpoch(c.History, c.Recipe.watch()) > 0 && isFile(best) {
				t.best = best
			}
		}
		t.history = append(t.history, c.History...)
	} else if st, err := t.prog.State(); err != nil {
		return err
	} else if st.Step != 0 {
		return fmt.Errorf("the program has made %d steps already: compile a new one, or resume from a checkpoint", st.Step)
	}
	return nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func (t *trainer) run(ctx context.Context) error {
	started := Started{
		Network: t.plan.Network.Name, Recipe: t.cfg.Recipe, Device: t.cfg.Device, Weights: t.plan.Weights(), Frozen: t.plan.Parameters() - t.plan.Weights(),
		Train: t.cfg.Train.Len(), StepsPerEpoch: t.steps,
	}
	if t.cfg.Validation != nil {
		started.Validation = t.cfg.Validation.Len()
	}
	if t.cfg.Test != nil {
		started.Test = t.cfg.Test.Len()
	}
	if t.cfg.Resume != nil {
		pos := t.pos
		started.Resumed = &pos
	}
	if err := t.observe(started); err != nil {
		return t.stop(err)
	}
	for t.pos.Epoch < t.cfg.Recipe.Epochs && !t.exhausted() && !t.timeUp {
		if err := t.epoch(ctx); err != nil {
			return t.stop(err)
		}
	}
	if err := t.observe(Done{t.result()}); err != nil {
		return t.stop(err)
	}
	return nil
}

// epoch trains what is left of the current epoch, evaluates, and saves.
func (t *trainer) epoch(ctx context.Context) error {
	start, before := time.Now(), t.pos.Samples
	t.since, t.sinceTime = Metrics{}, start
	Shuffle(t.cfg.Recipe.Seed, t.pos.Epoch, t.order)
	if err := t.interrupted(ctx); err != nil {
		return err
	}
	for t.pos.Step < t.steps {
		if err := t.step(); err != nil {
			return err
		}
		end := t.pos.Step == t.steps
		now, err := t.decide(ctx, end)
		if err != nil {
			return err
		}
		t.timeUp = now.timeUp
		if now.tells {
			if err := t.progress(); err != nil {
				return err
			}
		}
		if !end && t.timeUp {
			if !t.saves {
				return nil
			}
			return t.save(AtTimeUp)
		}
		if !end && now.saves {
			if err := t.save(AtPeriod); err != nil {
				return err
			}
		}
		if t.members == nil {
			now.stops = ctx.Err() != nil // an observer may have ended it just now
		}
		if !end && now.stops {
			return t.stopped(ctx)
		}
	}
	took := time.Since(start)
	done := EpochDone{
		EpochResult: EpochResult{
			Epoch: t.pos.Epoch + 1,
			Cost:  t.pos.Loss / float64(t.pos.Samples), Accuracy: float64(t.pos.Hits) / float64(t.pos.Samples),
		},
		Seconds:         took.Seconds(),
		ImagesPerSecond: perSecond(t.pos.Samples-before, took),
	}
	if t.evaluates() {
		var err error
		if done.Validation, done.Test, err = t.scores(ctx); err != nil {
			return err
		}
	}
	t.history = append(t.history, done.EpochResult)
	t.pos = Position{Epoch: t.pos.Epoch + 1}
	done.Best = bestEpoch(t.history, t.cfg.Recipe.watch()) == t.pos.Epoch
	// An observer that fails must not cost the checkpoint.
	observeErr := t.observe(done)
	events, err := t.saveEpoch(done.Best)
	if observeErr == nil {
		observeErr = t.observe(events...)
	}
	if err != nil {
		return err
	}
	return observeErr
}

// evaluates reports whether the current epoch ends with an evaluation.
func (t *trainer) evaluates() bool {
	epoch, every := t.pos.Epoch+1, max(1, t.cfg.Recipe.EvaluateEvery)
	return epoch%every == 0 || epoch == t.cfg.Recipe.Epochs
}

// tellsNow reports whether a Progress event is due.
func (t *trainer) tellsNow() bool {
	if t.cfg.Interval > 0 {
		return t.pos.Step%t.cfg.Interval == 0
	}
	return time.Since(t.sinceTime) >= progressEvery
}

// step makes the next update of the epoch, from one mini-batch or several.
func (t *trainer) step() error {
	first, size := t.pos.Step*t.cfg.Recipe.SamplesPerStep(), t.cfg.Recipe.Batch
	whole := t.source.Batch(t.pos.Epoch, t.order[first:min(first+t.cfg.Recipe.SamplesPerStep(), len(t.order))])
	err := t.update(whole, size)
	if err == nil {
		t.pos.Step++
	}
	return err
}

// update makes one update from mini-batches of at most size samples.
func (t *trainer) update(whole Batch, size int) error {
	n := whole.Len()
	if n <= size {
		return t.prog.Step(whole)
	}
	for lo := 0; lo < n; lo += size {
		if err := t.prog.Gradients(whole.Part(lo, min(lo+size, n)), Share{First: lo, Total: n}); err != nil {
			return err
		}
	}
	return t.prog.Update()
}

// progress reads the metrics and reports the steps since the last Progress.
func (t *trainer) progress() error {
	if err := t.drain(); err != nil {
		return err
	}
	now := time.Now()
	p := Progress{
		Epoch: t.pos.Epoch + 1, Step: t.pos.Step, Steps: t.steps,
		Loss: t.since.MeanLoss(), Accuracy: t.since.Accuracy(),
		ImagesPerSecond: perSecond(t.since.Samples, now.Sub(t.sinceTime)),
		LearningRate:    t.opt.LeadRate(t.made() - 1),
	}
	t.since, t.sinceTime = Metrics{}, now
	return t.observe(p)
}

// perSecond returns n per second, or 0 if no time has passed.
func perSecond(n int64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}

// made returns the number of steps made in the run.
func (t *trainer) made() int64 { return int64(t.pos.Epoch)*int64(t.steps) + int64(t.pos.Step) }

// drain adds the program's metrics to the epoch's sums. If a step's loss was not finite,
// it returns a *DivergedError, because nothing after that step may be saved.
func (t *trainer) drain() error {
	m, err := t.prog.TakeMetrics()
	if err != nil {
		return err
	}
	if m.FirstBad != 0 {
		return t.diverged("the loss", m.FirstBad)
	}
	if !finite(m.Loss) {
		return t.diverged("the loss", t.made())
	}
	t.since.Add(m)
	t.pos.Samples += m.Samples
	t.pos.Loss += m.Loss
	t.pos.Hits += m.Hits
	return nil
}

// diverged returns the error for a step of the run, counted from 1.
func (t *trainer) diverged(what string, step int64) *DivergedError {
	t.agreed = true // all members have the same sums
	n := int64(t.steps)
	return &DivergedError{What: what, Epoch: int((step-1)/n) + 1, Step: int((step-1)%n) + 1}
}

// scores evaluates the validation and the test set, with the averaged weights if there are
// any. In every case it puts the trained weights back at the end. If that fails, the error
// is no interruption, because then the state must not be saved.
func (t *trainer) scores(ctx context.Context) (validation, test *Score, err error) {
	if t.cfg.Recipe.averages() {
		if err := t.prog.SwapAverage(); err != nil {
			return nil, nil, err
		}
		defer func() {
			if back := t.prog.SwapAverage(); back != nil {
				err = back
			}
		}()
	}
	if validation, err = t.evaluate(ctx, t.cfg.Validation); err != nil {
		return nil, nil, err
	}
	test, err = t.evaluate(ctx, t.cfg.Test)
	return validation, test, err
}

// evaluate returns the score on d, or nil if d is nil.
func (t *trainer) evaluate(ctx context.Context, d *Dataset) (*Score, error) {
	if d == nil {
		return nil, nil
	}
	var m Metrics
	var top int64
	for lo := 0; lo < d.Len(); lo += evaluationBatch {
		if err := t.interrupted(ctx); err != nil {
			return nil, err
		}
		batch := t.indices[:min(evaluationBatch, d.Len()-lo)]
		for i := range batch {
			batch[i] = int32(lo + i)
		}
		of, inTop, err := t.cfg.Recipe.Views.Evaluate(t.prog, Batch{Data: d, Indices: batch}, t.cfg.Top)
		if err != nil {
			return nil, err
		}
		m.Add(of)
		top += inTop
	}
	s := Score{Loss: m.MeanLoss(), Accuracy: m.Accuracy()}
	if t.cfg.Top > 1 {
		s.Top = float64(top) / float64(m.Samples)
	}
	if !finite(s.Loss) {
		return nil, t.diverged("the loss on "+d.Name, t.made())
	}
	return &s, nil
}

// exhausted reports whether early stopping ends the run.
func (t *trainer) exhausted() bool {
	best := bestEpoch(t.history, t.cfg.Recipe.watch())
	patience := t.cfg.Recipe.Patience
	return patience > 0 && best > 0 && t.pos.Step == 0 && t.pos.Epoch-best >= patience
}

// bestEpoch returns the first epoch, from 1, with the best figure on the validation set.
// It returns 0 if there is none.
func bestEpoch(history []EpochResult, w Watch) int {
	best, at := math.Inf(1), 0
	for _, e := range history {
		if e.Validation == nil {
			continue
		}
		x := e.Validation.Loss
		if w == WatchAccuracy {
			x = -e.Validation.Accuracy
		}
		if x < best {
			best, at = x, e.Epoch
		}
	}
	return at
}

// due reports whether a checkpoint is to be written inside an epoch.
func (t *trainer) due() bool {
	s := t.cfg.Saving
	return t.saves &&
		(s.EverySteps > 0 && t.made()%int64(s.EverySteps) == 0 || s.Every > 0 && time.Since(t.savedTime) >= s.Every)
}

// checkpoint returns the run in its present state. In a group, all members must have the same.
func (t *trainer) checkpoint() (*Checkpoint, error) {
	if err := t.drain(); err != nil {
		return nil, err
	}
	st, err := t.prog.State()
	if err != nil {
		return nil, err
	}
	if err := t.sameWeights(st); err != nil {
		return nil, err
	}
	return &Checkpoint{
		Network: t.plan.Network, Recipe: t.cfg.Recipe, Device: t.cfg.Device,
		Train: t.train, Validation: t.validation, Subject: t.cfg.Subject,
		Position: t.pos, History: t.history, State: st,
	}, nil
}

// write writes c to the folder.
func (t *trainer) write(c *Checkpoint, name string, reason CheckpointReason) (saved CheckpointSaved, err error) {
	if t.leads() {
		saved, err = t.writeFile(c, name, reason)
	}
	return saved, t.together(err)
}

func (t *trainer) writeFile(c *Checkpoint, name string, reason CheckpointReason) (CheckpointSaved, error) {
	path := filepath.Join(t.cfg.Saving.Dir, name)
	err := SaveCheckpoint(path, c)
	if errors.Is(err, ErrNotFinite) {
		return CheckpointSaved{}, t.diverged("a weight or the optimiser's state", t.made())
	}
	if err != nil && !errors.Is(err, replacefile.ErrNotSynced) {
		return CheckpointSaved{}, err
	}
	switch name {
	case BestCheckpoint:
		t.best = path
	case LastCheckpoint:
		t.last, t.savedTime = path, time.Now()
	}
	if err != nil {
		return CheckpointSaved{}, err
	}
	return CheckpointSaved{Path: path, Reason: reason, Epoch: t.pos.Epoch, Step: t.pos.Step}, nil
}

// save writes LastCheckpoint within an epoch.
func (t *trainer) save(reason CheckpointReason) error {
	c, err := t.checkpoint()
	if err != nil {
		return err
	}
	saved, err := t.write(c, LastCheckpoint, reason)
	if err != nil {
		return err
	}
	return t.observe(saved)
}

// saveEpoch writes the checkpoints at the end of an epoch, and returns their events.
func (t *trainer) saveEpoch(best bool) ([]Event, error) {
	if !t.saves {
		return nil, nil
	}
	c, err := t.checkpoint()
	if err != nil {
		return nil, err
	}
	var events []Event
	save := func(name string, reason CheckpointReason) error {
		saved, err := t.write(c, name, reason)
		if err == nil {
			events = append(events, saved)
		}
		return err
	}
	// LastCheckpoint comes last. If the process is killed before it is written, the resumed
	// run repeats the epoch and writes all checkpoints again.
	if best {
		if err := save(BestCheckpoint, AtBest); err != nil {
			return events, err
		}
	}
	keep := t.cfg.Saving.Keep
	if keep > 0 {
		if err := save(EpochCheckpoint(t.pos.Epoch), AtKept); err != nil {
			return events, err
		}
	}
	if err := save(LastCheckpoint, AtEpoch); err != nil {
		return events, err
	}
	if keep > 0 && t.leads() {
		err = removeEpochs(t.cfg.Saving.Dir, t.pos.Epoch-keep)
	}
	return events, t.together(err)
}

// observe sends events to every observer. An observer that fails interrupts the run, on all
// members of a group.
func (t *trainer) observe(events ...Event) error {
	err := t.together(t.tell(events))
	if peer := (*PeerError)(nil); errors.As(err, &peer) {
		return interruption{err}
	}
	return err
}

func (t *trainer) tell(events []Event) error {
	for _, e := range events {
		for _, o := range t.cfg.Observers {
			if err := o.Observe(e); err != nil {
				return interruption{fmt.Errorf("observer: %w", err)}
			}
		}
	}
	return nil
}

// stop ends the run early and returns its error. After an interruption it writes a
// checkpoint, because the state is good.
func (t *trainer) stop(err error) error {
	var in interruption
	if errors.As(err, &in) {
		err = in.err
		if t.saves {
			if saveErr := t.save(AtStopped); errors.As(saveErr, &in) {
				// An observer that has failed may fail again. The file is complete.
			} else if saveErr != nil {
				err = fmt.Errorf("%w; %w", err, saveErr)
			}
		}
	}
	last := t.last
	if _, gone := os.Lstat(last); gone != nil {
		last = "" // somebody has removed it
	}
	var diverged *DivergedError
	if errors.As(err, &diverged) {
		diverged.Checkpoint = last
		return diverged
	}
	return &StoppedError{Epoch: t.pos.Epoch + 1, Step: t.pos.Step, Checkpoint: last, Err: err}
}

func (t *trainer) result() Result {
	return Result{
		Epochs: t.history, Best: bestEpoch(t.history, t.cfg.Recipe.watch()),
		EarlyStopped: t.pos.Epoch < t.cfg.Recipe.Epochs && t.exhausted(),
		TimeUp:       t.timeUp && t.pos.Epoch < t.cfg.Recipe.Epochs,
		Seconds:      time.Since(t.began).Seconds(),
		Last:         t.last, BestPath: t.best,
	}
}
