package net

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"gorgonia.org/tensor"
)

// Device compiles networks into programs. Only one goroutine at a time may use a Device
// and its Programs.
type Device interface {
	// Name describes the device, for people: "cpu (AVX-512, 2 threads)".
	Name() string
	// Compile prepares the network for training and inference. The Program is at step 0
	// and has the values of InitialState(plan, opts.Seed, opts.Images). All memory that
	// training needs is allocated here or in the first step. The caller closes the
	// Program before the Device.
	Compile(n *Network, opts Options) (Program, error)
	// Close releases all that the device holds.
	Close() error
}

// Options say how a network is compiled.
type Options struct {
	Batch     int       // the largest mini-batch of Step, Gradients and Trace, at least 1
	Optimizer Optimizer // must pass Optimizer.Check
	Loss      Criterion // the training loss
	Average   float64   // decay of the moving averages of weights and running statistics; 0 keeps none; see Program.SwapAverage
	Lookahead Lookahead // keeps slow weights instead of moving averages; State and SwapAverage treat them alike
	Seed      uint64    // decides initial values and dropout
	Images    *Dataset  // training images for initial values that need them, see InitialState; may be nil; not kept
	// Communicator connects this program with those that it trains with; nil if it trains alone. With one, a call of
	// Gradients has a part of what all members' calls have together. Batch normalisation takes its statistics over all of
	// it, and Update the sums of all members' gradients. All other calls are as without one.
	Communicator Communicator
	// LocalStatistics lets batch normalisation take its statistics from the part of this program alone. Then running
	// statistics differ between members.
	LocalStatistics bool
	// Inference says that the Program only evaluates and infers. It takes no memory for training. Calls that train,
	// and a Trace of training, return ErrInference. A State has no moments of an optimiser.
	Inference bool
}

// PlanFor returns the plan by which a device compiles: for inference nothing learns.
func (o Options) PlanFor(p *Plan) *Plan {
	if o.Inference {
		return p.Frozen()
	}
	return p
}

// Training returns ErrInference if the options are for inference only.
func (o Options) Training() error {
	if o.Inference {
		return ErrInference
	}
	return nil
}

// Check returns an error for options outside their ranges.
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
	if err := o.Lookahead.check(); err != nil {
		return err
	}
	if o.Average > 0 && o.Lookahead.Every > 0 {
		return errors.New("a program keeps either moving averages of the weights or lookahead's slow weights")
	}
	if o.Inference && o.Averages() {
		return errors.New("a program for inference keeps no averages of the weights")
	}
	if err := o.Loss.Check(); err != nil {
		return err
	}
	return o.Optimizer.Check()
}

// CheckFor is Check, and also returns an error for options that do not fit the plan.
func (o Options) CheckFor(p *Plan) error {
	if err := o.Check(); err != nil {
		return err
	}
	if err := o.Loss.CheckFor(p); err != nil {
		return err
	}
	return o.Optimizer.CheckFor(p)
}

// Same reports whether programs that are compiled with either options train in the same
// way. It ignores Images, which matter only before the first step, and Communicator.
func (o Options) Same(other Options) bool {
	o.Images, other.Images = nil, nil
	o.Communicator, other.Communicator = nil, nil
	return reflect.DeepEqual(o, other)
}

// Errors that devices return. Compare them with errors.Is.
var (
	// ErrUnfinished means that a call came out of turn: gradients await an Update, an
	// Update has no gradients, or SwapAverage has put averages in the weights' place.
	ErrUnfinished = errors.New("gradients and updates out of turn")
	// ErrInference means that a Program was asked to train that was compiled for inference only.
	ErrInference = errors.New("the program is for inference only")
	// ErrClosed means that a Program was used after Close.
	ErrClosed = errors.New("program is closed")
	// ErrState means that a State does not fit the network or the optimiser.
	ErrState = errors.New("state does not fit")
	// ErrBatchSize means that a mini-batch is larger than Options.Batch.
	ErrBatchSize = errors.New("mini-batch is larger than the program was compiled for")
)

// Share says which part of a larger mini-batch a batch is. One update may use the
// gradients of several batches, computed one after the other or on several devices.
// These gradients add up to the gradient of the whole mini-batch.
type Share struct {
	First int // number of the mini-batch's samples before this batch; dropout depends on it
	Total int // number of samples in the whole mini-batch, at least First plus those of the batch
	// Together is, in a group, how many samples all members have in this call. So all know alike what they compute.
	// 0 means that there is no group.
	Together int
}

// Whole returns the share of a batch of n samples that is a whole mini-batch.
func Whole(n int) Share { return Share{Total: n} }

// Check returns an error for a share that does not fit a batch of n samples.
func (s Share) Check(n int) error {
	if s.First < 0 || s.Total > maxElements || s.First > s.Total-n {
		return fmt.Errorf("share: %d samples from place %d on are not part of %d", n, s.First, s.Total)
	}
	return nil
}

// Program is a network on one device: its weights, the optimiser's state and
// working memory. A Program never changes a Batch or a State that it is given. It keeps
// neither after the call returns, except that it may keep the Batch's data set. A call
// that fails for its arguments changes nothing.
type Program interface {
	// Plan returns what the program was compiled from. The caller does not change it.
	Plan() *Plan
	// Options returns the options that the program was compiled with. Images is nil.
	Options() Options
	// Step trains on one mini-batch: Gradients on all of it, then Update. The batch has
	// from 1 to Options.Batch samples; a larger one gives ErrBatchSize. Step may return
	// before the device is done. Between Gradients and Update it gives ErrUnfinished.
	Step(Batch) error
	// Gradients computes the gradients of a share of a mini-batch. It runs forward in
	// training mode, the mean of Options.Loss, and backward. It adds the gradients,
	// times the batch's part of the mini-batch's samples, to those since the last Update.
	// It also adds loss and hits to the sums that TakeMetrics returns, and moves running
	// statistics. The batch has as many samples as in Step. Gradients may return before
	// the device is done.
	Gradients(Batch, Share) error
	// Update clips the gradients since the last Update, lets the optimiser change the
	// weights, and counts a step. Then averages, if there are any, move towards their
	// weights and running statistics: see [Options.AverageMove]. Without gradients Update
	// gives ErrUnfinished.
	Update() error
	// SwapAverage exchanges the weights and running statistics with their moving
	// averages. Then Evaluate, Infer and Trace use the averages; State has the averages
	// in Params and the weights in Average; and Step, Gradients, Update and SetState give
	// ErrUnfinished. A second call changes back. SwapAverage gives an error if
	// no averages are kept, and ErrUnfinished between Gradients and Update.
	SwapAverage() error
	// Evaluate runs forward in evaluation mode and returns loss and hits of the batch,
	// which may have any size. It changes nothing. The loss is plain cross-entropy with
	// the samples' labels: Options.Loss and the Views' shares don't count.
	Evaluate(Batch) (Metrics, error)
	// TakeMetrics waits for the device, returns the sums of training since the last call,
	// and sets them to 0. FirstBad is not cleared: see Metrics.
	TakeMetrics() (Metrics, error)
	// Infer returns the class probabilities of a batch of any size, (N, classes), in
	// evaluation mode. The caller owns the tensor. Labels are ignored.
	Infer(Batch) (*tensor.Dense, error)
	// State returns a copy of the weights, the optimiser's state, the averages and the
	// step count. Gradients that await an Update are no part of it.
	State() (State, error)
	// SetState copies a State into the program and drops gradients that await an Update.
	// If Optimizer is empty, the optimiser's state becomes 0. If Average is empty, the
	// averages begin at the weights; if no averages are kept, Average is ignored. A State
	// that does not fit (State.Check) gives ErrState and changes nothing.
	SetState(State) error
	// Close releases all memory and returns an error if that fails.
	Close() error
}

// Metrics holds the sums of loss and hits over the samples of steps or evaluations.
type Metrics struct {
	Samples int64
	Loss    float64 // summed over the samples: Options.Loss in training, cross-entropy in evaluations
	// Hits counts the samples whose label has the greatest logit. Of equal logits the first
	// counts. A sample with a NaN logit is never a hit.
	Hits int64
	// FirstBad is the number, from 1, of the first training step since SetState or
	// Compile whose loss was NaN or infinite: 1 + State.Step before its update. 0 means
	// that there was none. After such a step the weights are worthless.
	FirstBad int64
}

// MeanLoss returns the mean loss per sample, or NaN without samples.
func (m Metrics) MeanLoss() float64 { return m.Loss / float64(m.Samples) }

// Accuracy returns the share of hits, or NaN without samples.
func (m Metrics) Accuracy() float64 { return float64(m.Hits) / float64(m.Samples) }

// Add adds the sums of o, which come after those of m, to m. FirstBad stays that of m
// unless it is 0.
func (m *Metrics) Add(o Metrics) {
	m.Samples += o.Samples
	m.Loss += o.Loss
	m.Hits += o.Hits
	if m.FirstBad == 0 {
		m.FirstBad = o.FirstBad
	}
}

// State is what a Program has learnt. Another Program can go on from it as if training
// had never been interrupted. Tensors are float32 on the host, with the dimensions of
// Param.Dims.
type State struct {
	Step      int64                    // updates made
	Params    map[string]*tensor.Dense // by Param.Name; weights and running statistics
	Optimizer map[string]*tensor.Dense // by Param.Name + "." + moment, see Rule.Moments and Optimizer.For
	Average   map[string]*tensor.Dense // moving averages of Params or their slow weights, by the same names; nil where none are kept
}

// Check gives ErrState for a state that lacks a tensor of the plan, has one too many, or
// has one of other dimensions or type. Optimizer and Average may be empty.
func (s State) Check(p *Plan, o Optimizer) error {
	if s.Step < 0 {
		return fmt.Errorf("%w: step count %d", ErrState, s.Step)
	}
	params, moments := map[string][]int{}, map[string][]int{}
	for _, q := range p.Params {
		params[q.Name] = q.Dims
	}
	for _, q := range p.Trained() {
		for _, m := range o.For(p, q).Moments() {
			moments[q.Name+"."+m] = q.Dims
		}
	}
	if err := checkTensors(s.Params, params); err != nil {
		return err
	}
	if len(s.Average) != 0 {
		if err := checkTensors(s.Average, params); err != nil {
			return fmt.Errorf("averages: %w", err)
		}
	}
	if len(s.Optimizer) == 0 {
		return nil
	}
	return checkTensors(s.Optimizer, moments)
}

// checkTensors returns an error unless there are tensors of just these names and dimensions.
func checkTensors(got map[string]*tensor.Dense, want map[string][]int) error {
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

// Mode says whether a network trains or evaluates. Dropout and batch normalisation
// compute differently in the two.
type Mode int

// The modes.
const (
	Training Mode = iota
	Evaluation
)

// Tracer is a Program that can show what it computes inside, for verification.
type Tracer interface {
	Program
	// Trace runs forward, loss and, in Training mode, backward on the batch, as Step
	// would at the present step count. It changes no state, no metrics and no running
	// statistics. Gradients are those of the mean loss over the batch, before clipping
	// and weight decay. The loss is Options.Loss in Training mode, and that of Evaluate
	// in Evaluation mode. Between Gradients and Update Trace gives ErrUnfinished.
	Trace(b Batch, m Mode) (*Trace, error)
}

// Trace holds what a network computed inside. All tensors are float32 copies that the
// caller owns.
type Trace struct {
	Loss          float64       // mean over the batch
	Hits          int64         // as in Metrics
	Probabilities *tensor.Dense // (N, classes)
	Layers        []LayerTrace  // one for each node of the plan
}

// LayerTrace holds what one layer computed. A device that fuses layers leaves a field nil
// if its values never exist in memory. The last layer's Output and the gradient of every
// trained parameter are always there.
type LayerTrace struct {
	Output     *tensor.Dense          // what the layer computed: (samples, channels, rows, columns)
	OutputGrad *tensor.Dense          // the gradient with respect to Output, summed over all its uses; nil in Evaluation mode and if Node.Learns is false
	ParamGrads map[Role]*tensor.Dense // the gradient with respect to each trained parameter; nil in Evaluation mode
}
