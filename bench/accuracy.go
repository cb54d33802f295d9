package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gputrain/gputrain/bench/peers"
	"github.com/gputrain/gputrain/net"
)

// AccuracyConfig tells what [ToAccuracy] trains, how often, and what must be reached.
type AccuracyConfig struct {
	Recipe   net.Recipe // its seed is that of the first run; each further run has the next one
	Network  *net.Network
	Load     func(seed uint64) (Samples, error) // returns the data of the run with that seed
	Accuracy float64                            // the test accuracy to reach, from 0 to 1
	Runs     int                                // at least 1
	Subject  Subject                            // the device
	// Peers lists the names of the peers that train the same recipe after each run: some of peers.RecipeNames. PeersDir is
	// the folder of package bench/peers.
	Peers    []string
	PeersDir string
	Machine  Machine                        // a description; ToAccuracy fills in what it finds out
	About    [][2]string                    // facts for the head of the report, such as what the recipe does
	Progress func(Progress)                 // may be nil
	RunDone  func(who string, run TimedRun) // is told of each run at its end; may be nil
}

// Samples are what a run trains with and what it is tested on.
type Samples struct {
	Train      *net.Dataset
	Validation *net.Dataset // for early stopping; used only if the recipe has a Patience
	Test       *net.Dataset
	Close      func() error // is called after the run; may be nil
}

// AccuracyReport is the result of [ToAccuracy].
type AccuracyReport struct {
	Machine  Machine          `json:"machine"`
	About    [][2]string      `json:"-"`
	Network  string           `json:"network"`
	Recipe   net.Recipe       `json:"recipe"`   // of the first run
	Accuracy float64          `json:"accuracy"` // the test accuracy to reach, from 0 to 1
	Results  []AccuracyResult `json:"results"`
	// Notes tell what was left out and why, and what makes figures doubtful. Each is one sentence.
	Notes       []string `json:"notes"`
	Interrupted bool     `json:"interrupted"` // then the runs that were complete by then are there
}

// AccuracyResult holds the runs of a device or of a peer.
type AccuracyResult struct {
	Who      string `json:"who"`               // as in Measurement
	Version  string `json:"version,omitempty"` // version of a peer; empty for gputrain
	Peer     bool   `json:"peer"`
	Settings string `json:"settings"` // the device's full name, or the settings that a peer reports

	Runs    []TimedRun `json:"runs"`
	Reached int        `json:"reached"` // how many runs reached the accuracy

	// The figures over the runs, as in TimedRun. ToAccuracy and ToAccuracyTraining are over those that reached it.
	FinalAccuracy      Summary `json:"final_accuracy"`
	ToAccuracy         Summary `json:"to_accuracy_seconds"`
	ToAccuracyTraining Summary `json:"to_accuracy_training_seconds"`
	Seconds            Summary `json:"seconds"`
	Training           Summary `json:"training_seconds"`
	Whole              Summary `json:"whole_seconds"`
	Images             Summary `json:"images_per_second"`
}

// TimedRun is one training run. All times are in seconds.
type TimedRun struct {
	Seed          uint64  `json:"seed"`
	FinalAccuracy float64 `json:"final_accuracy"` // test accuracy at the last evaluation
	// Reached is the number of the first epoch, from 1, whose evaluation reached the accuracy; 0 if none did.
	Reached    int     `json:"reached"`
	ToAccuracy float64 `json:"to_accuracy_seconds,omitempty"` // from the first step to the end of that evaluation; 0 if none reached it
	// ToAccuracyTraining is ToAccuracy without evaluations.
	ToAccuracyTraining float64 `json:"to_accuracy_training_seconds,omitempty"`
	Seconds            float64 `json:"seconds"`          // from the first step to the end of the last evaluation
	Training           float64 `json:"training_seconds"` // Seconds without evaluations
	// Whole is the time of all: loading the data, compiling, training. For a peer it is the time of its process, which
	// reads decoded data.
	Whole  float64       `json:"whole_seconds"`
	Images float64       `json:"images_per_second"` // of the fastest epoch, without its evaluation
	Epochs []peers.Epoch `json:"epochs"`
}

// Summary summarises a figure over runs. All is 0 if there are no runs.
type Summary struct {
	Runs      int     `json:"runs"`
	Mean      float64 `json:"mean"`
	Deviation float64 `json:"deviation"` // standard deviation of the runs, with Runs-1 in the denominator; 0 for one run
	Least     float64 `json:"least"`
	Greatest  float64 `json:"greatest"`
}

// summaryOf summarises values.
func summaryOf(values []float64) Summary {
	n := len(values)
	if n == 0 {
		return Summary{}
	}
	s := Summary{Runs: n, Least: slices.Min(values), Greatest: slices.Max(values)}
	for _, v := range values {
		s.Mean += v / float64(n)
	}
	if n > 1 {
		var squares float64
		for _, v := range values {
			squares += (v - s.Mean) * (v - s.Mean)
		}
		s.Deviation = math.Sqrt(squares / float64(n-1))
	}
	return s
}

// ToAccuracy trains a recipe several times, with a seed after the other, and measures how long a test accuracy takes.
// The peers take turns with the device: each trains after the device's run, from the same weights with the same samples.
// A peer draws other random numbers, so only its mean over the runs can be compared.
//
// Evaluations are those of the recipe. Time counts from the first step, when the data are loaded and the network is compiled. On a
// GPU some steps before that warm up: they choose algorithms, capture graphs and copy the data. Then the weights are
// the first ones again.
//
// A peer that can't train the recipe on this machine is an error, before anything is trained. When ctx ends, ToAccuracy
// returns the runs that are complete, and the context's error. If a run of the device fails, it returns those before it and the
// error. A peer that fails is left out from then on, and a note tells why.
func ToAccuracy(ctx context.Context, c AccuracyConfig) (*AccuracyReport, error) {
	r := &accuracyRun{AccuracyConfig: c, ctx: ctx, began: time.Now(), left: slices.Clone(c.Peers),
		report: &AccuracyReport{Machine: c.Machine, About: c.About, Network: c.Network.Name, Recipe: c.Recipe, Accuracy: c.Accuracy, Results: []AccuracyResult{}, Notes: []string{}}}
	r.report.Machine.CPU, r.report.Machine.Date = cpuName(), time.Now()
	err := r.do()
	r.finish()
	if ctx.Err() != nil {
		r.report.Interrupted = true
		err = ctx.Err()
	}
	return r.report, err
}

// accuracyRun is the state of ToAccuracy.
type accuracyRun struct {
	AccuracyConfig
	ctx    context.Context
	report *AccuracyReport
	began  time.Time
	plan   *net.Plan
	left   []string // the peers that still take part
	done   float64  // runs that are done, of the device and of peers
	best   float64  // of the run in progress: the last test accuracy; NaN before the first
	busy   disturbance
}

func (r *accuracyRun) do() (err error) {
	switch {
	case r.Runs < 1:
		return fmt.Errorf("bench: at least 1 run is needed, got %d", r.Runs)
	case !(r.Accuracy > 0 && r.Accuracy <= 1):
		return fmt.Errorf("bench: the accuracy to reach must be above 0 and at most 1, got %v", r.Accuracy)
	}
	for _, name := range r.Peers {
		if !slices.Contains(peers.RecipeNames, name) {
			return fmt.Errorf("bench: %s trains no recipes", name)
		}
	}
	if r.plan, err = r.Network.Plan(); err != nil {
		return err
	}
	if why := r.Subject.Simulated; why != "" {
		r.note("%s: %s.", r.Subject.Name, why)
		if len(r.Peers) > 0 {
			r.note("There are no peers on %s: %s.", r.Subject.Name, why)
			r.Peers, r.left = nil, nil
		}
	}
	for i := range r.Runs {
		if err := r.round(i); err != nil {
			return err
		}
	}
	return nil
}

// round does one run of everybody.
func (r *accuracyRun) round(number int) (err error) {
	recipe := r.Recipe
	recipe.Seed += uint64(number)
	r.step(number, r.Subject.Name, 0, "loading data")
	began := time.Now()
	samples, err := r.Load(recipe.Seed)
	if err != nil {
		return err
	}
	defer func() {
		if samples.Close != nil {
			err = errors.Join(err, samples.Close())
		}
	}()
	if samples.Test == nil {
		return fmt.Errorf("bench: data set %s has no test set", samples.Train.Name)
	}
	loading := time.Since(began)
	if number == 0 {
		for _, name := range r.left {
			r.step(number, name, 0, "starting")
			check := func(_ peers.RecipeJob, path string) error { return peers.CheckRecipe(r.ctx, r.PeersDir, name, path) }
			if err := r.withJob(recipe, samples, check); err != nil {
				return fmt.Errorf("nothing was trained: %w", err)
			}
		}
	}
	began = time.Now()
	run, err := r.train(number, recipe, samples)
	if err != nil {
		if r.Runs > 1 && r.ctx.Err() == nil {
			err = fmt.Errorf("the run with seed %d: %w", recipe.Seed, err)
		}
		return err
	}
	run.Whole = (loading + time.Since(began)).Seconds()
	r.add(AccuracyResult{Who: r.Subject.Name, Settings: r.Subject.Device.Name()}, run)
	for _, name := range slices.Clone(r.left) {
		if err := r.peer(number, name, recipe, samples); err != nil {
			if r.ctx.Err() != nil {
				return err
			}
			r.note("Not timed any more after seed %d: %s.", recipe.Seed, firstLine(err))
			r.left = slices.DeleteFunc(r.left, func(p string) bool { return p == name })
			r.done += float64(r.Runs - number)
		}
	}
	return nil
}

// train trains the recipe on the device.
func (r *accuracyRun) train(number int, recipe net.Recipe, samples Samples) (run TimedRun, err error) {
	cfg := net.Config{Recipe: recipe, Train: samples.Train, Test: samples.Test, Device: r.Subject.Device.Name()}
	if recipe.Patience > 0 {
		cfg.Validation = samples.Validation
	}
	r.step(number, r.Subject.Name, 0, "compiling")
	p, err := r.Subject.Device.Compile(r.Network, cfg.Options())
	if err != nil {
		return run, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	if r.Subject.place().GPU() {
		if err := warmUp(p, cfg); err != nil {
			return run, err
		}
	}
	run.Seed, r.best = recipe.Seed, math.NaN()
	var began time.Time
	var training float64
	cfg.Observers = []net.Observer{net.ObserverFunc(func(e net.Event) error {
		switch e := e.(type) {
		case net.Started:
			r.busy.begin()
			began = time.Now()
		case net.Progress:
			r.epoch(number, r.Subject.Name, recipe, float64(e.Epoch-1)+float64(e.Step)/float64(e.Steps))
		case net.EpochDone:
			training += e.Seconds
			run.Epochs = append(run.Epochs, peers.Epoch{Epoch: e.Epoch, Seconds: time.Since(began).Seconds(), Training: training, ImagesPerSecond: e.ImagesPerSecond, Loss: e.Cost, Test: e.Test})
			r.evaluated(e.Test)
		case net.Done:
			r.busy.end()
		}
		return nil
	})}
	_, err = net.Train(r.ctx, p, cfg)
	return run, err
}

// warmUp makes some steps of the run and an evaluation, and puts everything back.
func warmUp(p net.Program, cfg net.Config) error {
	before, err := p.State()
	if err != nil {
		return err
	}
	n, r := cfg.Train.Len(), cfg.Recipe
	source := &net.Source{Data: cfg.Train, Augment: r.Augment, Seed: r.Seed, Input: p.Plan().Network.Input}
	upTo := func(n int) []int32 {
		indices := make([]int32, n)
		for i := range indices {
			indices[i] = int32(i)
		}
		return indices
	}
	sizes := []int{min(r.SamplesPerStep(), n)}
	if last := r.SamplesPerEpoch(n) % r.SamplesPerStep(); last != 0 {
		sizes = append(sizes, last)
	}
	for _, size := range sizes {
		for range 3 { // kernel by kernel, captured, and replayed
			if err := update(p, source.Batch(0, upTo(size)), r.Batch); err != nil {
				return err
			}
		}
	}
	if _, err := p.TakeMetrics(); err != nil {
		return err
	}
	for range 3 {
		if _, _, err := r.Views.Evaluate(p, net.Batch{Data: cfg.Test, Indices: upTo(min(1000, cfg.Test.Len()))}, 0); err != nil {
			return err
		}
	}
	return p.SetState(before)
}

// update makes one update from mini-batches of at most size samples.
func update(p net.Program, b net.Batch, size int) error {
	n := b.Len()
	if n <= size {
		return p.Step(b)
	}
	for lo := 0; lo < n; lo += size {
		if err := p.Gradients(b.Part(lo, min(lo+size, n)), net.Share{First: lo, Total: n}); err != nil {
			return err
		}
	}
	return p.Update()
}

// withJob calls f with a peer's job for the recipe and the path of its file.
func (r *accuracyRun) withJob(recipe net.Recipe, samples Samples, f func(peers.RecipeJob, string) error) (err error) {
	dir, err := os.MkdirTemp("", "gputrain-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	job, err := peers.WriteRecipe(dir, r.Network, recipe, net.InitialState(r.plan, recipe.Seed, samples.Train), samples.Train, samples.Test)
	if err != nil {
		return err
	}
	job.Place, job.Threads, job.Tier = r.Subject.place(), max(r.Subject.Threads, 1), r.Subject.Tier
	path := filepath.Join(dir, "job.json")
	if err := job.Write(path); err != nil {
		return err
	}
	return f(job, path)
}

// peer lets a peer train the recipe.
func (r *accuracyRun) peer(number int, name string, recipe net.Recipe, samples Samples) error {
	key := peerKey{name, r.Subject.place()}
	r.step(number, key.String(), 0, "starting")
	return r.withJob(recipe, samples, func(job peers.RecipeJob, path string) error {
		run := TimedRun{Seed: recipe.Seed}
		r.best = math.NaN()
		began := time.Now()
		p, err := peers.TrainRecipe(r.ctx, r.PeersDir, name, path, recipe.Epochs, func(e peers.Epoch) error {
			run.Epochs = append(run.Epochs, e)
			r.evaluated(e.Test)
			r.epoch(number, key.String(), recipe, float64(e.Epoch))
			return nil
		})
		if err != nil {
			return err
		}
		run.Whole = time.Since(began).Seconds()
		if job.Tier != "" && p.Tier != job.Tier {
			r.note("%s is not limited to AVX2, as gputrain is here.", key)
		}
		r.add(AccuracyResult{Who: key.String(), Version: p.Version, Peer: true, Settings: p.Settings}, run)
		return nil
	})
}

// add adds a run to the results of who made it.
func (r *accuracyRun) add(of AccuracyResult, run TimedRun) {
	run.judge(r.Accuracy)
	at := slices.IndexFunc(r.report.Results, func(a AccuracyResult) bool { return a.Who == of.Who })
	if at < 0 {
		at = len(r.report.Results)
		r.report.Results = append(r.report.Results, of)
	}
	r.report.Results[at].Runs = append(r.report.Results[at].Runs, run)
	r.done++
	if r.RunDone != nil {
		r.RunDone(of.Who, run)
	}
}

// judge sets the figures that follow from the epochs.
func (t *TimedRun) judge(accuracy float64) {
	for _, e := range t.Epochs {
		t.Seconds, t.Training, t.Images = e.Seconds, e.Training, max(t.Images, e.ImagesPerSecond)
		if e.Test == nil {
			continue
		}
		t.FinalAccuracy = e.Test.Accuracy
		const rounding = 1e-9 // 90.04 % is not the float64 that 9,004 of 10,000 images are
		if t.Reached == 0 && e.Test.Accuracy >= accuracy-rounding {
			t.Reached, t.ToAccuracy, t.ToAccuracyTraining = e.Epoch, e.Seconds, e.Training
		}
	}
}

// evaluated keeps the score of an evaluation for the progress.
func (r *accuracyRun) evaluated(test *net.Score) {
	if test != nil {
		r.best = test.Accuracy
	}
}

// runParts is how many parts of the progress a run has.
const runParts = 1000

// epoch reports how many epochs of a run are done.
func (r *accuracyRun) epoch(number int, who string, recipe net.Recipe, done float64) {
	what := fmt.Sprintf("epoch %d of %d", min(int(done)+1, recipe.Epochs), recipe.Epochs)
	if !math.IsNaN(r.best) {
		what += ", test accuracy " + accuracyText(r.best)
	}
	r.step(number, who, done/float64(recipe.Epochs), what)
}

// step reports that a share of a run is done.
func (r *accuracyRun) step(number int, who string, share float64, what string) {
	if r.Progress == nil {
		return
	}
	total := float64(r.Runs * (1 + len(r.Peers)))
	done := r.done + share
	p := Progress{Done: int(done * runParts), Total: int(total * runParts), What: fmt.Sprintf("run %d of %d, %s: %s", number+1, r.Runs, who, what)}
	if done > 0 && done < total {
		p.Left = time.Duration(float64(time.Since(r.began)) / done * (total - done))
	}
	r.Progress(p)
}

func (r *accuracyRun) note(format string, a ...any) {
	if text := fmt.Sprintf(format, a...); !slices.Contains(r.report.Notes, text) {
		r.report.Notes = append(r.report.Notes, text)
	}
}

// finish adds figures that are known only at the end.
func (r *accuracyRun) finish() {
	for i := range r.report.Results {
		a := &r.report.Results[i]
		over := func(of func(TimedRun) float64, reached bool) Summary {
			var values []float64
			for _, t := range a.Runs {
				if !reached || t.Reached > 0 {
					values = append(values, of(t))
				}
			}
			return summaryOf(values)
		}
		a.FinalAccuracy = over(func(t TimedRun) float64 { return t.FinalAccuracy }, false)
		a.ToAccuracy = over(func(t TimedRun) float64 { return t.ToAccuracy }, true)
		a.ToAccuracyTraining = over(func(t TimedRun) float64 { return t.ToAccuracyTraining }, true)
		a.Seconds = over(func(t TimedRun) float64 { return t.Seconds }, false)
		a.Training = over(func(t TimedRun) float64 { return t.Training }, false)
		a.Whole = over(func(t TimedRun) float64 { return t.Whole }, false)
		a.Images = over(func(t TimedRun) float64 { return t.Images }, false)
		a.Reached = a.ToAccuracy.Runs
	}
	if cpus, ok := r.busy.cpus(); ok && cpus > 0.05 {
		r.note("The machine was not idle: while gputrain trained, other processes took %.2f CPUs on average.", cpus)
	}
}
