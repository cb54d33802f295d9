package net

import (
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Method is the name of an optimiser.
type Method string

// The optimisers. g is the gradient of the mean loss over the mini-batch, after clipping.
// lr is the learning rate of the step. t counts the steps from 1. All moments start at 0.
// For SGD and Adam, weight decay adds WeightDecay*w to g. For all others it comes first and
// is apart from the gradient: w -= lr*WeightDecay*w (Loshchilov and Hutter, 2019).
const (
	// SGD: v = Momentum*v + g; w -= lr*v, or with Nesterov
	// w -= lr*(g + Momentum*v) (Sutskever et al., 2013).
	SGD Method = "sgd"
	// Adam: m = Beta1*m + (1-Beta1)*g; v = Beta2*v + (1-Beta2)*g*g;
	// w -= lr * sqrt(1-Beta2^t)/(1-Beta1^t) * m/(sqrt(v)+Epsilon)
	// (Kingma and Ba, 2015, the form at the end of section 2).
	Adam Method = "adam"
	// AdamW is Adam with weight decay apart from the gradient.
	AdamW Method = "adamw"
	// Lion: w -= lr*sign(Beta1*m + (1-Beta1)*g); then m = Beta2*m + (1-Beta2)*g
	// (Chen et al., "Symbolic discovery of optimization algorithms", 2023).
	Lion Method = "lion"
	// Muon is for weights of convolutions and dense layers, as matrices with a row for each
	// filter or unit. v and g + Momentum*v are SGD's. Then U is that matrix divided by its
	// L2 norm (plus 1e-7), and Iterations times, U = a*U + (b*A + c*A*A)*U with A = U*U'
	// and the numbers a, b and c of [NewtonSchulz]. This moves all singular values of U
	// towards 1. At last w -= lr*s*U with s = sqrt(max(1, rows/columns)). With Rescale, s
	// is 1, and before the decay and the update w is multiplied by sqrt(rows)/(its L2 norm
	// plus 1e-7) (Jordan et al., "Muon", 2024; Rescale is of airbench94_muon, where nothing
	// is added, so that a matrix of zeros becomes NaN).
	Muon Method = "muon"
)

// NewtonSchulz holds the numbers a, b and c of Muon's iteration.
var NewtonSchulz = [3]float64{3.4445, -4.7750, 2.0315}

// MuonLeast is added to the norms that Muon divides by.
const MuonLeast = 1e-7

// A Rule is a method with its settings. Settings that the method doesn't have are 0.
type Rule struct {
	Method       Method  `json:"method,omitempty"`
	LearningRate float64 `json:"learning_rate,omitempty"`
	Momentum     float64 `json:"momentum,omitempty"`   // SGD, Muon
	Nesterov     bool    `json:"nesterov,omitempty"`   // SGD, Muon
	Beta1        float64 `json:"beta1,omitempty"`      // Adam, AdamW, Lion
	Beta2        float64 `json:"beta2,omitempty"`      // Adam, AdamW, Lion
	Epsilon      float64 `json:"epsilon,omitempty"`    // Adam, AdamW
	Iterations   int     `json:"iterations,omitempty"` // Muon: of Newton and Schulz's method
	Rescale      bool    `json:"rescale,omitempty"`    // Muon
	WeightDecay  float64 `json:"weight_decay,omitempty"`
	Steps        int64   `json:"steps,omitempty"` // if above 0, the learning rate is 0 from this step on, counted from 0
}

// Optimizer describes how weights are updated. Start with [AdamDefault], [SGDDefault],
// [LionDefault] or [MuonDefault].
type Optimizer struct {
	Rule              // of all parameters, unless a group has another; it decays only parameters with Param.Decayed
	ClipNorm float64  `json:"clip_norm,omitempty"` // if above 0: all gradients are scaled by min(1, ClipNorm/norm), where norm is the L2 norm of all of them together
	Schedule Schedule `json:"schedule,omitzero"`   // of all learning rates
	Groups   []Group  `json:"groups,omitempty"`    // of parameters that are updated in another way; see For
}

// HiddenMatrices as a Group's Params matches the weights of convolutions and dense layers
// except those of the last such layer.
const HiddenMatrices = "@hidden"

// A Group says how some parameters are updated. (PyTorch's parameter groups.)
type Group struct {
	// Params is a pattern of path.Match. It matches a parameter's name ("dense2.*"), or
	// the layer's type with the parameter's role ("batchnorm.bias"). Or it is
	// HiddenMatrices or Body.
	Params string `json:"params"`
	// Factor multiplies the learning rate of the rule that the parameters have, and so also a
	// decay apart from the gradient. It is above 0; [Network.Freeze] keeps parameters as they
	// are. If the group has a rule of its own, it is 0.
	Factor float64 `json:"factor,omitempty"`
	// Rule is the group's own, if it has a Method. Its weight decay is for all parameters
	// of the group. Without a Method, only Steps may be set.
	Rule
	// Epochs is the length of Steps in epochs. Only a Recipe has it: see
	// Recipe.OptimizerFor.
	Epochs float64 `json:"epochs,omitempty"`
}

// matches reports whether the group has parameter q.
func (g Group) matches(p *Plan, q Param) bool {
	return p.matches(g.Params, q)
}

// For returns the optimiser as it is for parameter q of the plan: without groups. Of the
// groups that match and have a rule, the first one's counts; of those without a rule, the first
// one's factor multiplies the learning rate, and its Steps count. The optimiser's own rule has no
// weight decay for a parameter that isn't decayed.
func (o Optimizer) For(p *Plan, q Param) Optimizer {
	groups := o.Groups
	rule, factor := o.groupsOf(p, q)
	o.Groups = nil
	if !q.Decayed {
		o.WeightDecay = 0
	}
	if rule >= 0 {
		o.Rule = groups[rule].Rule
	}
	if factor >= 0 {
		o.LearningRate *= groups[factor].Factor
		if groups[factor].Steps > 0 {
			o.Steps = groups[factor].Steps
		}
	}
	return o
}

// groupsOf returns the groups that count for a parameter: the one with a rule and the one with a
// factor, or -1.
func (o Optimizer) groupsOf(p *Plan, q Param) (rule, factor int) {
	rule, factor = -1, -1
	for i, g := range o.Groups {
		switch {
		case !g.matches(p, q):
		case g.Method != "" && rule < 0:
			rule = i
		case g.Method == "" && factor < 0:
			factor = i
		}
	}
	return rule, factor
}

// CheckFor returns an error for a group that matches none of the plan's trained
// parameters, for one that never counts because others come before it, and for a rule that
// can't update one of the parameters.
func (o Optimizer) CheckFor(p *Plan) error {
	trained := p.Trained()
	counts, matches := make([]bool, len(o.Groups)), make([]bool, len(o.Groups))
	for _, q := range p.Params {
		rule, factor := o.groupsOf(p, q)
		for i, g := range o.Groups {
			counts[i] = counts[i] || i == rule || i == factor
			matches[i] = matches[i] || g.matches(p, q)
		}
	}
	for i, g := range o.Groups {
		if matches[i] && !counts[i] {
			return fmt.Errorf("optimiser: the group %s never counts: groups before it have all of its parameters", g.Params)
		}
		if g.Params == HiddenMatrices || g.Params == Body || slices.ContainsFunc(trained, func(q Param) bool { return g.matches(p, q) }) {
			continue // a network without such layers, or whose are frozen, can be trained in the same way
		}
		if len(trained) == 0 {
			return fmt.Errorf("optimiser: no parameter matches %q: none is trained", g.Params)
		}
		return fmt.Errorf("optimiser: no trained parameter matches %q; names are such as %s", g.Params, trained[0].Name)
	}
	for _, q := range trained {
		if o.For(p, q).Method == Muon && len(q.Dims) < 2 {
			return fmt.Errorf("optimiser: muon is for weights of convolutions and dense layers, not for %s: give it a group with another method", q.Name)
		}
	}
	return nil
}

// SGDDefault returns plain stochastic gradient descent at a constant rate.
func SGDDefault(learningRate float64) Optimizer {
	return Optimizer{Rule: Rule{Method: SGD, LearningRate: learningRate}}
}

// AdamDefault returns Adam with beta1 0.9, beta2 0.999, epsilon 1e-8 and a
// constant learning rate.
func AdamDefault(learningRate float64) Optimizer {
	return Optimizer{Rule: Rule{Method: Adam, LearningRate: learningRate, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8}}
}

// LionDefault returns Lion with beta1 0.9 and beta2 0.99 at a constant rate. Its rate is
// three to ten times as low as Adam's.
func LionDefault(learningRate float64) Optimizer {
	return Optimizer{Rule: Rule{Method: Lion, LearningRate: learningRate, Beta1: 0.9, Beta2: 0.99}}
}

// MuonDefault returns the usual way to train with Muon, at constant rates. Muon updates
// the [HiddenMatrices], with momentum 0.95 in Nesterov's form and 5 iterations. Adam
// updates all else at a rate of its own, as AdamDefault does.
func MuonDefault(learningRate, adamRate float64) Optimizer {
	o := AdamDefault(adamRate)
	o.Groups = []Group{{Params: HiddenMatrices, Rule: Rule{Method: Muon, LearningRate: learningRate, Momentum: 0.95, Nesterov: true, Iterations: 5}}}
	return o
}

// adamShare is how many times as high as Adam's rate Muon's usually is.
const adamShare = 10

// Usual returns an optimiser of the method with its usual settings. Beside Muon, Adam has a tenth of the learning rate.
func (m Method) Usual(learningRate float64) Optimizer {
	switch m {
	case SGD:
		return SGDDefault(learningRate)
	case Adam, AdamW:
		o := AdamDefault(learningRate)
		o.Method = m
		return o
	case Lion:
		return LionDefault(learningRate)
	case Muon:
		return MuonDefault(learningRate, learningRate/adamShare)
	}
	panic("BUG: method " + string(m) + " has no usual settings")
}

// method is what a method of updating is. All code that differs by method reads it here.
type method struct {
	name     Method
	settings []string // those that it reads beside the learning rate and the weight decay
	moments  func(Rule) []string
	apart    bool // weight decay is apart from the gradient
	matrix   bool // it updates whole matrices; move and update are for single values
	// move returns moment k of a value after a step. d is the gradient, with the decay if
	// that isn't apart. before are the moments before the step.
	move func(r Rule, k int, d float64, before []float64) float64
	// update returns what is subtracted from the value, divided by Rates.Update. after are
	// the moments after the step. For a matrix it returns the matrix of Muon.
	update func(r Rule, d float64, before, after []float64) float64
	// corrected returns the factor of the learning rate in step t, counted from 1. nil
	// means 1.
	corrected func(r Rule, t float64) float64
}

func methods() []method {
	velocity := func(r Rule) []string {
		if r.Momentum == 0 {
			return nil
		}
		return []string{"v"}
	}
	accelerate := func(r Rule, _ int, d float64, before []float64) float64 { return r.Momentum*before[0] + d }
	follow := func(r Rule, d float64, _, after []float64) float64 {
		switch {
		case r.Momentum == 0:
			return d
		case r.Nesterov:
			return d + r.Momentum*after[0]
		}
		return after[0]
	}
	both := func(Rule) []string { return []string{"m", "v"} }
	adamMove := func(r Rule, k int, d float64, before []float64) float64 {
		if k == 0 {
			return r.Beta1*before[0] + (1-r.Beta1)*d
		}
		return r.Beta2*before[1] + (1-r.Beta2)*d*d
	}
	adamUpdate := func(r Rule, _ float64, _, after []float64) float64 {
		return after[0] / (math.Sqrt(after[1]) + r.Epsilon)
	}
	adamCorrected := func(r Rule, t float64) float64 {
		return math.Sqrt(1-math.Pow(r.Beta2, t)) / (1 - math.Pow(r.Beta1, t))
	}
	adam := []string{"beta1", "beta2", "epsilon"}
	return []method{
		{name: SGD, settings: []string{"momentum", "nesterov"}, moments: velocity, move: accelerate, update: follow},
		{name: Adam, settings: adam, moments: both, move: adamMove, update: adamUpdate, corrected: adamCorrected},
		{name: AdamW, settings: adam, moments: both, apart: true, move: adamMove, update: adamUpdate, corrected: adamCorrected},
		{
			name: Lion, settings: []string{"beta1", "beta2"}, moments: func(Rule) []string { return []string{"m"} }, apart: true,
			move: func(r Rule, _ int, d float64, before []float64) float64 { return r.Beta2*before[0] + (1-r.Beta2)*d },
			update: func(r Rule, d float64, before, _ []float64) float64 {
				return sign(r.Beta1*before[0] + (1-r.Beta1)*d)
			},
		},
		{name: Muon, settings: []string{"momentum", "nesterov", "iterations", "rescale"}, moments: velocity, apart: true, matrix: true, move: accelerate, update: follow},
	}
}

func sign(x float64) float64 {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return x // 0 or NaN
}

var methodsByName = func() map[Method]method {
	m := map[Method]method{}
	for _, one := range methods() {
		m[one.name] = one
	}
	return m
}()

// Methods returns all methods.
func Methods() []Method {
	var names []Method
	for _, m := range methods() {
		names = append(names, m.name)
	}
	return names
}

// Settings returns the names in JSON of the settings that a method has, beside
// "learning_rate" and "weight_decay", which all have.
func (m Method) Settings() []string { return methodsByName[m].settings }

// Moments returns the names of the tensors that the optimiser keeps for a parameter that
// its own rule updates: "m" and "v" for Adam and AdamW, "m" for Lion, "v" for SGD and Muon
// with momentum, none without. Their keys in State.Optimizer are the parameter's name, a
// dot and this name. For other parameters, see [Optimizer.For].
func (r Rule) Moments() []string {
	m, ok := methodsByName[r.Method]
	if !ok {
		return nil
	}
	return m.moments(r)
}

// keeps reports whether the optimiser keeps moments for a parameter of the network.
func (o Optimizer) keeps(n *Network) bool {
	p, err := n.Plan()
	return err == nil && slices.ContainsFunc(p.Trained(), func(q Param) bool { return len(o.For(p, q).Moments()) > 0 })
}

// Apart reports whether weight decay is apart from the gradient.
func (r Rule) Apart() bool { return methodsByName[r.Method].apart }

// Matrix reports whether the method updates whole matrices, as Muon does. Then
// [Rule.Update] gives the values of U before it is divided by its norm.
func (r Rule) Matrix() bool { return methodsByName[r.Method].matrix }

// Move returns moment k of one value after a step. d is the gradient, plus
// WeightDecay times the value if decay isn't apart. before are the value's moments before
// the step, in the order of Moments.
func (r Rule) Move(k int, d float64, before []float64) float64 {
	return methodsByName[r.Method].move(r, k, d, before)
}

// Update returns what a step subtracts from one value, divided by Rates.Update. Decay that
// is apart isn't in it. after are the moments that Move returned.
func (r Rule) Update(d float64, before, after []float64) float64 {
	return methodsByName[r.Method].update(r, d, before, after)
}

// leastEpsilon is the least normal float32. A smaller epsilon would be 0 on some devices.
// Then a weight whose gradient has always been 0 would be updated by 0/0.
const leastEpsilon = 0x1p-126

// mostIterations is the most that Muon may be asked for. After so many, all singular
// values that float32 tells from 0 are near 1.
const mostIterations = 20

// check returns an error for settings outside their ranges, and for one that the method
// doesn't have.
func (r Rule) check() error {
	m, ok := methodsByName[r.Method]
	if !ok {
		var names []string
		for _, name := range Methods() {
			names = append(names, string(name))
		}
		last := len(names) - 1
		return fmt.Errorf("optimiser: unknown method %q (want %s or %s)", r.Method, strings.Join(names[:last], ", "), names[last])
	}
	in := func(name string, x, lo, hi float64) error { // lo <= x < hi
		if !(x >= lo && x < hi) {
			return fmt.Errorf("optimiser: %s must be at least %v and less than %v, got %v", strings.ReplaceAll(name, "_", " "), lo, hi, x)
		}
		return nil
	}
	inf := math.Inf(1)
	flag := map[bool]float64{true: 1}
	for _, c := range []struct {
		name      string
		x, lo, hi float64
	}{
		{"learning_rate", r.LearningRate, 0, inf},
		{"weight_decay", r.WeightDecay, 0, inf},
		{"momentum", r.Momentum, 0, 1},
		{"nesterov", flag[r.Nesterov], 0, 2},
		{"beta1", r.Beta1, 0, 1},
		{"beta2", r.Beta2, 0, 1},
		{"epsilon", r.Epsilon, leastEpsilon, inf},
		{"iterations", float64(r.Iterations), 1, mostIterations + 1},
		{"rescale", flag[r.Rescale], 0, 2},
	} {
		if c.name != "learning_rate" && c.name != "weight_decay" && !slices.Contains(m.settings, c.name) {
			if c.x != 0 {
				return fmt.Errorf("optimiser: %s has no setting %s", r.Method, c.name)
			}
			continue
		}
		if err := in(c.name, c.x, c.lo, c.hi); err != nil {
			return err
		}
	}
	if r.Nesterov && r.Momentum == 0 {
		return errors.New("optimiser: nesterov needs a momentum above 0")
	}
	if r.Steps < 0 {
		return fmt.Errorf("optimiser: a rule's steps must be at least 0, got %d", r.Steps)
	}
	return nil
}

// Check returns an error for settings outside their ranges.
func (o Optimizer) Check() error {
	if err := o.Rule.check(); err != nil {
		return err
	}
	if !(o.ClipNorm >= 0) || math.IsInf(o.ClipNorm, 0) {
		return fmt.Errorf("optimiser: clip norm must be at least 0 and less than +Inf, got %v", o.ClipNorm)
	}
	if err := o.Schedule.check(); err != nil {
		return err
	}
	for _, g := range o.Groups {
		if err := g.check(); err != nil {
			return err
		}
	}
	return nil
}

func (g Group) check() error {
	if _, err := path.Match(g.Params, ""); err != nil || g.Params == "" {
		return fmt.Errorf("optimiser: %q is no pattern of names", g.Params)
	}
	switch {
	case g.Epochs < 0 || g.Epochs > maxEpochs || g.Epochs != g.Epochs:
		return fmt.Errorf("optimiser: the epochs of %s must be from 0 to %d, got %v", g.Params, maxEpochs, g.Epochs)
	case g.Method != "":
		if g.Factor != 0 {
			return fmt.Errorf("optimiser: the group %s has a rule of its own, so a factor of another's rate says nothing: set its learning_rate", g.Params)
		}
		if err := g.Rule.check(); err != nil {
			return fmt.Errorf("group %s: %w", g.Params, err)
		}
		return nil
	case g.Rule != Rule{Steps: g.Steps}:
		return fmt.Errorf("optimiser: the group %s has settings, but no method", g.Params)
	case g.Steps < 0:
		return fmt.Errorf("optimiser: a group's steps must be at least 0, got %d", g.Steps)
	case g.Factor == 0:
		return fmt.Errorf("optimiser: the group %s has neither a method nor a factor above 0; parameters that shall stay as they are can be frozen", g.Params)
	case !(g.Factor > 0 && g.Factor < 1e6):
		return fmt.Errorf("optimiser: the factor of %s must be above 0 and less than 1e+06, got %v", g.Params, g.Factor)
	}
	return nil
}

// Lead returns the rule whose learning rate people speak of: that of the [HiddenMatrices]
// if there is such a group, else the optimiser's own.
func (o *Optimizer) Lead() *Rule {
	o.Groups = slices.Clone(o.Groups) // what is set there is no matter of other copies of o
	return o.lead()
}

func (o *Optimizer) lead() *Rule {
	for i := range o.Groups {
		if g := &o.Groups[i]; g.Params == HiddenMatrices && g.Method != "" {
			return &g.Rule
		}
	}
	return &o.Rule
}

// SetRate sets the learning rate of Lead's rule. Those of all other rules keep their ratio to it,
// but for a rounding to six digits.
func (o *Optimizer) SetRate(x float64) {
	lead := o.Lead()
	was := lead.LearningRate
	if was == x {
		return
	}
	scaled := func(rate float64) float64 {
		if was > 0 {
			rate *= x / was
		}
		rate, err := strconv.ParseFloat(strconv.FormatFloat(rate, 'g', 6, 64), 64)
		if err != nil {
			panic(fmt.Sprintf("BUG: %v", err))
		}
		return rate
	}
	o.LearningRate = scaled(o.LearningRate)
	for i := range o.Groups {
		o.Groups[i].LearningRate = scaled(o.Groups[i].LearningRate)
	}
	lead.LearningRate = x
}

// LeadRate returns the learning rate of Lead's rule in a step, counted from 0.
func (o Optimizer) LeadRate(step int64) float64 {
	o.Rule = *o.lead()
	return o.Rate(step)
}

// Rate returns the learning rate of the optimiser's own rule in a step, counted from 0.
func (o Optimizer) Rate(step int64) float64 {
	if o.Steps > 0 && step >= o.Steps {
		return 0
	}
	return o.LearningRate * o.Schedule.factor(step)
}

// Rates are the numbers of one step that depend on the schedule.
type Rates struct {
	Update float64 // what an update is multiplied by: the learning rate, in Adam and AdamW corrected for the moments' beginning at 0
	Decay  float64 // the learning rate times the weight decay, if that is apart from the gradient; otherwise 0
}

// Rates returns the numbers of a step, counted from 0.
func (o Optimizer) Rates(step int64) Rates {
	m := methodsByName[o.Method]
	rate := o.Rate(step)
	r := Rates{Update: rate}
	if m.corrected != nil {
		r.Update *= m.corrected(o.Rule, float64(step+1))
	}
	if m.apart {
		r.Decay = rate * o.WeightDecay
	}
	return r
}
