package net

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"gorgonia.org/tensor"
)

// Device compiles networks into programs. A Device and its Programs are used by
// one goroutine at a time.
type Device interface {
	// Name says what the device is, for people: "cpu (AVX-512, 2 threads)".
	Name() string
	// Compile prepares the network for training and inference, with the initial
	// values of InitialState(plan, opts.Seed, opts.Images), at step 0. All memory
	// that training needs is taken here or in the first step. The caller closes the
	// Program before the Device.
	Compile(n *Network, opts Options) (Program, error)
	// Close gives back all that the device holds.
	Close() error
}

// Options say how a network is compiled.
type Options struct {
	Batch     int       // the largest mini-batch of Step, Gradients and Trace, at least 1
	Optimizer Optimizer // must pass Optimizer.Check
	Loss      Criterion // the training loss
	Average   float64   // decay of moving averages of weights and running statistics, see Program.SwapAverage; 0 keeps none
	Seed      uint64    // decides initial values and dropout
	Images    *Dataset  // training images for initial values that need some, or nil; see InitialState. Not kept
}

// Check refuses options outside their ranges.
func (o Options) Check() error {
	if o.Batch < 1 || o.Batch > maxElements {
		return fmt.Errorf("batch size must be from 1 to %d, got %d", maxElements, o.Batch)
	}
	if o.Images != nil {
		if err := o.Images.Check(); err != nil {
			return err
		}
	}
	if !(o.Average >= 0 && o.Average < 1) {
		return fmt.Errorf("the decay of the weights' moving average must be at least 0 and less than 1, got %v", o.Average)
	}
	if err := o.Loss.Check(); err != nil {
		return err
	}
	return o.Optimizer.Check()
}

// CheckFor is Check, and refuses options that do not fit the plan.
func (o Options) CheckFor(p *Plan) error {
	if err := o.Check(); err != nil {
		return err
	}
	if err := o.Loss.CheckFor(p); err != nil {
		return err
	}
	return o.Optimizer.CheckFor(p)
}

// Same reports whether programs compiled with either options train alike. Images,
// which count only before the first step, are not looked at.
func (o Options) Same(other Options) bool {
	o.Images, other.Images = nil, nil
	return reflect.DeepEqual(o, other)
}

// Errors that devices give; compare with errors.Is.
var (
	// ErrUnfinished means that gradients await an Update, or that an Update has none.
	ErrUnfinished = errors.New("gradients and updates out of turn")
	// ErrClosed means that a Program was used after Close.
	ErrClosed = errors.New("program is closed")
	// ErrState means that a State does not fit the network or the optimiser.
	ErrState = errors.New("state does not fit")
	// ErrBatchSize means that a mini-batch is larger than Options.Batch.
	ErrBatchSize = errors.New("mini-batch is larger than the program was compiled for")
)

// Share says which part of a larger mini-batch a batch is. An update may take the
// gradients of several batches, one after the other or from several devices; they
// add up to what the one mini-batch of all their samples gives.
type Share struct {
	First int // samples of the mini-batch before this batch: dropout draws by the place in the whole
	Total int // samples of the whole mini-batch, at least First and those of the batch
}

// Whole is the share of a batch of n samples that is a mini-batch by itself.
func Whole(n int) Share { return Share{0, n} }

// Check refuses a share that n samples do not fit.
func (s Share) Check(n int) error {
	if s.First < 0 || s.Total > maxElements || s.First > s.Total-n {
		return fmt.Errorf("share: %d samples from place %d on are not part of %d", n, s.First, s.Total)
	}
	return nil
}

// Program is a network on one device: its weights, the optimiser's state and
// working memory. A Program never changes a Batch or a State that it is given,
// and keeps neither after the call returns, but it may keep the Batch's data set.
// A call that fails for its arguments changes nothing.
type Program interface {
	// Plan returns what the program was compiled from. The caller does not change it.
	Plan() *Plan
	// Options returns what it was compiled with, without Images.
	Options() Options
	// Step trains on one mini-batch: Gradients on the whole of it, then Update. It
	// may return before the device is done. Any size from 1 to Options.Batch is
	// allowed. It is refused between Gradients and Update, with ErrUnfinished.
	Step(Batch) error
	// Gradients runs forward in training mode, the mean of Options.Loss and
	// backward on a share of a mini-batch, and adds the gradients, weighted by the
	// share's part of the samples, to those since the last Update. It adds loss and
	// hits to the sums that TakeMetrics returns, and moves running statistics. Sizes
	// are as in Step. It may return before the device is done.
	Gradients(Batch, Share) error
	// Update clips the gradients since the last Update, lets the optimiser change
	// the weights and counts a step; then the averages move towards the weights and
	// running statistics by [AverageRate]: a += rate*(w - a). Without gradients it
	// gives ErrUnfinished.
	Update() error
	// SwapAverage exchanges weights and running statistics with their moving averages,
	// so that Evaluate, Infer and Trace, and the Params of State, are of the averages,
	// and the Average of State is the weights; a second call changes back. In between
	// Step, Gradients, Update and SetState are refused, with ErrUnfinished. It is
	// refused without Options.Average, and with ErrUnfinished between Gradients and
	// Update.
	SwapAverage() error
	// Evaluate runs forward in evaluation mode and returns loss and hits of the
	// batch. It changes nothing. Batches of any size are allowed.
	// The loss is plain cross-entropy with the samples' labels, whatever Options.Loss
	// and the Views' shares are.
	Evaluate(Batch) (Metrics, error)
	// TakeMetrics waits for the device, returns the sums of training since the last
	// call and starts new ones.
	TakeMetrics() (Metrics, error)
	// Infer returns the class probabilities in evaluation mode, (N, classes), as
	// a tensor that the caller owns. Labels are not looked at. Batches of any size
	// are allowed.
	Infer(Batch) (*tensor.Dense, error)
	// State returns a copy of weights and optimiser state. Gradients that await an
	// Update are no part of it.
	State() (State, error)
	// SetState takes over a copy of weights, optimiser state and step count, and
	// drops gradients that await an Update. A State without optimiser tensors
	// (Optimizer empty) sets them to 0, one without averages lets them begin at the
	// weights; where Options.Average is 0, averages are not looked at. One that does
	// not fit (State.Check) gives ErrState and changes nothing.
	SetState(State) error
	// Close gives back all memory and reports what failed.
	Close() error
}

// Metrics sums the losses and hits of steps and evaluations.
type Metrics struct {
	Samples int64
	Loss    float64 // summed over the samples: Options.Loss in training, cross-entropy in evaluations
	Hits    int64   // samples that are classified correctly: the label's logit is the greatest, and the first of equal ones. A NaN is never a hit
	// FirstBad is 1 + the step count (State.Step before the update) of the first
	// training step since SetState or Compile whose loss was NaN or infinite, and 0
	// when there was none. After it the weights are worthless.
	FirstBad int64
}

// MeanLoss returns the loss per sample; NaN without samples.
func (m Metrics) MeanLoss() float64 { return m.Loss / float64(m.Samples) }

// Accuracy returns the share of hits; NaN without samples.
func (m Metrics) Accuracy() float64 { return float64(m.Hits) / float64(m.Samples) }

// Add adds the sums of o to m and keeps the first bad step.
func (m *Metrics) Add(o Metrics) {
	m.Samples += o.Samples
	m.Loss += o.Loss
	m.Hits += o.Hits
	if m.FirstBad == 0 {
		m.FirstBad = o.FirstBad
	}
}

// State is what a Program has learnt: enough to go on elsewhere as if never
// interrupted. Tensors are float32 on the host, with the dimensions of Param.Dims.
type State struct {
	Step      int64                    // updates made
	Params    map[string]*tensor.Dense // by Param.Name, running statistics too
	Optimizer map[string]*tensor.Dense // by Param.Name + "." + moment, see Optimizer.Moments
	Average   map[string]*tensor.Dense // moving averages of Params, by the same names; nil where none are kept
}

// Check refuses, with ErrState, a state that lacks a tensor of the plan, has one
// too many, or one of other dimensions or type. An empty Optimizer is accepted.
func (s State) Check(p *Plan, o Optimizer) error {
	if s.Step < 0 {
		return fmt.Errorf("%w: step count %d", ErrState, s.Step)
	}
	if err := checkTensors(s.Params, p.Params, nil); err != nil {
		return err
	}
	if len(s.Average) != 0 {
		if err := checkTensors(s.Average, p.Params, nil); err != nil {
			return fmt.Errorf("averages: %w", err)
		}
	}
	if len(s.Optimizer) == 0 {
		return nil
	}
	return checkTensors(s.Optimizer, p.Trained(), o.Moments())
}

// checkTensors compares tensors with the parameters, or with their moments.
func checkTensors(got map[string]*tensor.Dense, params []Param, moments []string) error {
	want := map[string][]int{}
	for _, q := range params {
		if moments == nil {
			want[q.Name] = q.Dims
		}
		for _, m := range moments {
			want[q.Name+"."+m] = q.Dims
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		t := got[name]
		switch {
		case t == nil:
			return fmt.Errorf("%w: tensor %s is missing", ErrState, name)
		case !slices.Equal([]int(t.Shape()), want[name]):
			return fmt.Errorf("%w: tensor %s has dimensions %v, the network wants %v", ErrState, name, []int(t.Shape()), want[name])
		case t.Dtype() != tensor.Float32:
			return fmt.Errorf("%w: tensor %s has type %v, not float32", ErrState, name, t.Dtype())
		case t.RequiresIterator() || t.DataOrder().IsColMajor():
			return fmt.Errorf("%w: tensor %s is not row-major memory of its own", ErrState, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[name]; !ok {
			return fmt.Errorf("%w: tensor %s is not the network's", ErrState, name)
		}
	}
	return nil
}

// Mode says whether a network trains or evaluates; dropout and batch
// normalisation differ.
type Mode int

// The modes.
const (
	Training Mode = iota
	Evaluation
)

// Tracer is a Program that can show its inside, for verification.
type Tracer interface {
	Program
	// Trace runs forward, loss and, in Training mode, backward on the batch, as
	// Step would at the present step count, and changes no state, no metrics and
	// no running statistics. Gradients are those of the mean loss over the batch,
	// before clipping and weight decay. The loss is that of Options.Loss in Training
	// mode, and in Evaluation mode that of Evaluate. It is refused between Gradients and Update,
	// with ErrUnfinished.
	Trace(b Batch, m Mode) (*Trace, error)
}

// Trace is what a network computed inside. All tensors are float32 copies that
// the caller owns.
type Trace struct {
	Loss          float64       // mean over the batch
	Hits          int64         // as in Metrics
	Probabilities *tensor.Dense // (N, classes)
	Layers        []LayerTrace  // one a node of the plan
}

// LayerTrace is what one layer computed. A device that fuses layers leaves nil
// what never exists in memory; the last layer's Output and every trained
// parameter's gradient are always there.
type LayerTrace struct {
	Output     *tensor.Dense          // what the layer computed: (samples, channels, rows, columns)
	OutputGrad *tensor.Dense          // the loss's gradient with respect to Output, summed over all uses of it; nil in Evaluation mode, and where Node.Learns is false
	ParamGrads map[Role]*tensor.Dense // the loss's gradient with respect to each trained parameter; nil in Evaluation mode
}
