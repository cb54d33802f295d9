package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/gputrain/gputrain/net"
)

// Options say how much [Network] compares. A field that is zero has its default.
type Options struct {
	Batch     int           // samples of a mini-batch; default 4
	Steps     int           // training steps; default 4. The second half uses everything that a recipe can add, see Report.Enriched
	Optimizer net.Optimizer // default Adam at 1e-3
	Seed      uint64        // decides the initial values and the choice of samples
	Roundoff  float64       // unit roundoff of the device's precision; default Roundoff
}

// Report is the result of [Network].
type Report struct {
	Device  string
	Network string
	Batch   int     // samples of the mini-batch on which the layers were judged
	Layers  []Layer // one for each layer, judged by replay
	// Whole holds the checks of the whole network, in training and, after the steps, in
	// evaluation.
	Whole []Check
	// EndToEndSkipped says, in a clause, from which part of the report on the network could
	// not be judged end to end, from the batch alone, and why: all samples are near kinks,
	// or values lie exactly at kinks.
	// From there on, layers and updates were judged by replay. It is "" if the network was
	// judged end to end everywhere.
	EndToEndSkipped string
	// Steps holds the checks of each training step, from the state after the step before.
	// They cover the loss and, for each parameter, the values, the optimiser's moments and
	// the moving average.
	Steps [][]Check
	// Enriched is the number of last steps that used everything a recipe can add: strongly
	// augmented and mixed samples, label smoothing, class weights, a factor of a learning
	// rate, and moving averages.
	Enriched int
}

// Layer is one layer of a report.
type Layer struct {
	Name       string
	Out        net.Shape
	Training   []Check // output, output gradient and the gradient of each parameter
	Evaluation []Check // the output in evaluation mode, after the steps
}

// Checks returns all comparisons of the report.
func (r *Report) Checks() []Check {
	var all []Check
	for _, l := range r.Layers {
		all = append(append(all, l.Training...), l.Evaluation...)
	}
	all = append(all, r.Whole...)
	for _, s := range r.Steps {
		all = append(all, s...)
	}
	return all
}

// OK reports whether all comparisons of the report passed. A report without comparisons is not OK.
func (r *Report) OK() bool { return len(r.Checks()) > 0 && len(r.Failures()) == 0 }

// Failures returns the comparisons that failed.
func (r *Report) Failures() []Check {
	var failed []Check
	for _, c := range r.Checks() {
		if !c.OK {
			failed = append(failed, c)
		}
	}
	return failed
}

// Network checks a device on a network and samples of a data set. It compares every layer's
// output and gradients, the loss, the probabilities and a few training steps with those of
// package reference. Differences are in the report. The error says why something could not
// be compared at all. When ctx ends, Network returns its error after the trace or step in
// progress.
func Network(ctx context.Context, dev net.Device, n *net.Network, data *net.Dataset, opts Options) (report *Report, err error) {
	opts.Batch = cmp.Or(opts.Batch, 4)
	opts.Steps = cmp.Or(opts.Steps, 4)
	if reflect.DeepEqual(opts.Optimizer, net.Optimizer{}) {
		opts.Optimizer = net.AdamDefault(1e-3)
	}
	compiled := net.Options{Batch: opts.Batch, Optimizer: opts.Optimizer, Seed: opts.Seed, Images: data}
	if err := data.Check(); err != nil {
		return nil, err
	}
	v := &verification{data: data, opts: opts, order: make([]int32, data.Len())}
	if err := v.compile(dev, n, compiled); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, v.program.Close()) }()
	report = &Report{Device: dev.Name(), Network: n.Name, Enriched: opts.Steps / 2}
	for _, l := range v.judge.plan.Nodes {
		report.Layers = append(report.Layers, Layer{Name: l.Name, Out: l.Out})
	}
	if err := v.trace(ctx, report, net.Training); err != nil {
		return nil, err
	}
	for i := range opts.Steps {
		if i == opts.Steps-report.Enriched {
			if err := v.enrich(dev, n, compiled); err != nil {
				return nil, err
			}
		}
		if err := v.step(ctx, report); err != nil {
			return nil, err
		}
	}
	v.source = nil
	if err := v.trace(ctx, report, net.Evaluation); err != nil {
		return nil, err
	}
	return report, nil
}

// compile compiles the network on the device and makes a judge for it.
func (v *verification) compile(dev net.Device, n *net.Network, opts net.Options) error {
	judge, err := NewJudge(n, opts)
	if err != nil {
		return err
	}
	judge.SetRoundoff(cmp.Or(v.opts.Roundoff, Roundoff))
	if v.data.Len() > 0 {
		if err := (net.Batch{Data: v.data, Indices: []int32{0}}).Check(judge.plan); err != nil {
			return err
		}
	}
	program, err := dev.Compile(n, opts)
	if err != nil {
		return err
	}
	tracer, ok := program.(net.Tracer)
	if !ok {
		return errors.Join(fmt.Errorf("device %s cannot show its layers, so there is nothing to compare", dev.Name()), program.Close())
	}
	v.judge, v.program = judge, tracer
	return nil
}

// enrich compiles the network again, with all that a recipe can add to training, and goes
// on from the same state.
func (v *verification) enrich(dev net.Device, n *net.Network, opts net.Options) error {
	st, err := v.program.State()
	if err != nil {
		return err
	}
	plain := v.program
	opts.Loss, opts.Average = net.Criterion{Smoothing: 0.1, ClassWeights: []float64{2, 0.5}}, 0.9
	if trained := v.judge.plan.Trained(); len(trained) > 0 {
		opts.Optimizer.Groups = []net.Group{{Params: trained[len(trained)-1].Name, Factor: 0.5}}
	}
	if err := v.compile(dev, n, opts); err != nil {
		return err
	}
	if err := errors.Join(plain.Close(), v.program.SetState(st)); err != nil {
		return err
	}
	a, _ := net.AugmentationNamed("strong")
	a.Mixup, a.CutMix = 1, 1
	if v.data.Pixels == nil {
		a.Brightness, a.Contrast, a.Saturation = 0, 0, 0
	}
	if v.data.Shape.C != 3 {
		a.Saturation = 0
	}
	v.source = &net.Source{Data: v.data, Augment: a, Seed: v.opts.Seed, Input: n.Input}
	return nil
}

// fromBatch marks comparisons of the network as a whole.
const fromBatch = " from the batch"

// verification is the work of Network.
type verification struct {
	judge   *Judge
	program net.Tracer
	data    *net.Dataset
	opts    Options
	order   []int32
	batches int         // number of batches drawn so far
	source  *net.Source // augments the samples of training; nil shows them as they are
}

// next returns the program's state and a new batch for a part of the report. If no batch is
// clear of kinks, it says so in the report and returns any batch.
func (v *verification) next(ctx context.Context, r *Report, part string) (st net.State, b net.Batch, clear bool, err error) {
	if err := ctx.Err(); err != nil {
		return st, b, false, err
	}
	if st, err = v.program.State(); err != nil {
		return st, b, false, err
	}
	net.Shuffle(v.opts.Seed, v.batches, v.order)
	v.batches++
	candidates := net.Batch{Data: v.data, Indices: slices.Clone(v.order[:min(len(v.order), mostTried(v.opts.Batch))])}
	if v.source != nil {
		candidates = v.source.Batch(v.batches, candidates.Indices)
	}
	if r.EndToEndSkipped == "" {
		b, err = v.judge.Choose(st, candidates, v.opts.Batch)
		if errors.Is(err, ErrKinks) && len(v.order) > 0 {
			r.EndToEndSkipped, err = fmt.Sprintf("from %s on, %s", part, err), nil // nor would it be found later
		}
	}
	if r.EndToEndSkipped != "" {
		return st, candidates.Part(0, min(v.opts.Batch, candidates.Len())), false, nil
	}
	return st, b, err == nil, err
}

// trace judges one trace, layer by layer and as a whole.
func (v *verification) trace(ctx context.Context, r *Report, mode net.Mode) error {
	part := "training"
	if mode == net.Evaluation {
		part = "evaluation"
	}
	st, b, clear, err := v.next(ctx, r, part)
	if err != nil {
		return err
	}
	tr, err := v.program.Trace(b, mode)
	if err != nil {
		return err
	}
	r.Batch = b.Len()
	for _, c := range v.judge.Trace(st, b, mode, tr) {
		switch {
		case c.Layer < 0:
			r.Whole = append(r.Whole, c)
		case mode == net.Training:
			r.Layers[c.Layer].Training = append(r.Layers[c.Layer].Training, c)
		default:
			r.Layers[c.Layer].Evaluation = append(r.Layers[c.Layer].Evaluation, c)
		}
	}
	if !clear {
		return nil
	}
	chain := v.judge.EndToEnd(st, b, mode, tr)
	if failed(chain) && v.judge.forward(st, b, 0, mode, nil, false).exact {
		r.EndToEndSkipped = fmt.Sprintf("from %s on, %s", part, exactlyAtKinks)
		return nil
	}
	for _, c := range chain {
		c.What += fromBatch
		r.Whole = append(r.Whole, c)
	}
	return nil
}

// exactlyAtKinks says why a device may fail although it is right.
const exactlyAtKinks = "values lie exactly at kinks, where a rounding decides"

// failed reports whether a check failed.
func failed(checks []Check) bool {
	return slices.ContainsFunc(checks, func(c Check) bool { return !c.OK })
}

// step judges one training step. It judges by replay of a trace if no batch is clear of
// kinks, or if the step fails and values lie exactly at kinks.
func (v *verification) step(ctx context.Context, r *Report) error {
	before, b, clear, err := v.next(ctx, r, fmt.Sprintf("step %d", len(r.Steps)+1))
	if err != nil {
		return err
	}
	var tr *net.Trace
	exact := clear && v.judge.forward(before, b, 0, net.Training, nil, false).exact
	if !clear || exact {
		if tr, err = v.program.Trace(b, net.Training); err != nil {
			return err
		}
	}
	if _, err := v.program.TakeMetrics(); err != nil {
		return err
	}
	if err := v.program.Step(b); err != nil {
		return err
	}
	m, err := v.program.TakeMetrics()
	if err != nil {
		return err
	}
	after, err := v.program.State()
	if err != nil {
		return err
	}
	var checks []Check
	if clear {
		checks = v.judge.Step(before, b, m, after)
	}
	if !clear || exact && failed(checks) {
		checks = v.judge.Replay(before, b, tr, m, after)
		if clear && !failed(checks) {
			r.EndToEndSkipped = fmt.Sprintf("from step %d on, %s", len(r.Steps)+1, exactlyAtKinks)
		}
	}
	r.Steps = append(r.Steps, checks)
	return nil
}

// Write prints the report as a table with a row for each layer. After the table it prints
// what failed and why.
func (r *Report) Write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "layer\toutput shape\toutput\tgradient\tparameters\ttolerance")
	for _, l := range r.Layers {
		output := append(named(l.Training, "output"), named(l.Evaluation, "output")...)
		gradient := named(l.Training, "output gradient")
		var params []Check
		for _, c := range l.Training {
			if c.What != "output" && c.What != "output gradient" {
				params = append(params, c)
			}
		}
		all := append(append([]Check{}, l.Training...), l.Evaluation...)
		fmt.Fprintf(t, "%s\t%v\t%s\t%s\t%s\t%s\t%s\n",
			l.Name, l.Out, cell(output), cell(gradient), cell(params), tolerances(all), verdict(all))
	}
	section := func(name, how string, checks []Check) {
		fmt.Fprintf(t, "%s\t%s\t%s\t\t\t%s\t%s\n", name, how, cell(checks), tolerances(checks), verdict(checks))
	}
	rows := []string{"logits", "probabilities", "loss", "hits", "all gradients", "trace"}
	whole := map[string][]Check{}
	for _, c := range r.Whole {
		row := strings.TrimSuffix(c.What, fromBatch)
		switch {
		case c.Layer >= 0:
			row = "all gradients"
		case !slices.Contains(rows, row):
			row = "trace"
		}
		whole[row] = append(whole[row], c)
	}
	for _, row := range rows {
		if len(whole[row]) > 0 {
			section(row, "", whole[row])
		}
	}
	for i, s := range r.Steps {
		how := ""
		if i >= len(r.Steps)-r.Enriched {
			how = "augmented"
		}
		section(fmt.Sprintf("step %d", i+1), how, s)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if r.EndToEndSkipped != "" {
		if _, err := fmt.Fprintf(w, "The whole chain can't be judged %s.\nThere each layer and each update was judged for itself, from the device's own values.\n", r.EndToEndSkipped); err != nil {
			return err
		}
	}
	for _, c := range r.Failures() {
		name := "network"
		if c.Layer >= 0 {
			name = r.Layers[c.Layer].Name
		}
		if _, err := fmt.Fprintf(w, "%s: %s: %s\n", name, c.What, c.Detail); err != nil {
			return err
		}
	}
	return nil
}

func named(checks []Check, what string) []Check {
	var list []Check
	for _, c := range checks {
		if c.What == what {
			list = append(list, c)
		}
	}
	return list
}

// cell shows the worst error of the checks.
func cell(checks []Check) string {
	worst := -1.0
	for _, c := range checks {
		if !c.Fused {
			worst = max(worst, c.Error)
		}
	}
	switch {
	case len(checks) == 0:
		return "-"
	case worst < 0:
		return "fused"
	case math.IsInf(worst, 1):
		return "wrong"
	}
	return fmt.Sprintf("%.1e", worst)
}

// tolerances shows the checks' tolerance, or the greatest if they have several.
func tolerances(checks []Check) string {
	low, high := math.Inf(1), -1.0
	for _, c := range checks {
		if !c.Fused {
			low, high = min(low, c.Tolerance), max(high, c.Tolerance)
		}
	}
	switch {
	case high < 0:
		return "-"
	case low == high:
		return fmt.Sprintf("%.1e", high)
	}
	return fmt.Sprintf("up to %.1e", high)
}

func verdict(checks []Check) string {
	for _, c := range checks {
		if !c.OK {
			return "FAIL"
		}
	}
	return "pass"
}
