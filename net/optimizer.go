package net

import (
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
)

// Method is the name of an optimiser.
type Method string

// The optimisers. g is the gradient of the mean loss over the mini-batch, after clipping.
// lr is the learning rate of the step. t counts the steps from 1. All moments start at 0.
// For SGD and Adam, weight decay adds WeightDecay*w to g. Only parameters with
// Param.Decayed are decayed.
const (
	// SGD: v = Momentum*v + g; w -= lr*v, or with Nesterov
	// w -= lr*(g + Momentum*v) (Sutskever et al., 2013).
	SGD Method = "sgd"
	// Adam: m = Beta1*m + (1-Beta1)*g; v = Beta2*v + (1-Beta2)*g*g;
	// w -= lr * sqrt(1-Beta2^t)/(1-Beta1^t) * m/(sqrt(v)+Epsilon)
	// (Kingma and Ba, 2015, the form at the end of section 2).
	Adam Method = "adam"
	// AdamW is Adam with weight decay outside the gradient: first w -= lr*WeightDecay*w,
	// then Adam's update (Loshchilov and Hutter, 2019).
	AdamW Method = "adamw"
)

// Optimizer describes how weights are updated. Start with [AdamDefault] or [SGDDefault].
type Optimizer struct {
	Method       Method   `json:"method"`
	LearningRate float64  `json:"learning_rate"`
	Momentum     float64  `json:"momentum,omitempty"` // SGD
	Nesterov     bool     `json:"nesterov,omitempty"` // SGD
	Beta1        float64  `json:"beta1,omitempty"`    // Adam, AdamW
	Beta2        float64  `json:"beta2,omitempty"`
	Epsilon      float64  `json:"epsilon,omitempty"`
	WeightDecay  float64  `json:"weight_decay,omitempty"`
	ClipNorm     float64  `json:"clip_norm,omitempty"` // if above 0: all gradients are scaled by min(1, ClipNorm/norm), where norm is the L2 norm of all of them together
	Schedule     Schedule `json:"schedule,omitzero"`
	Factors      []Factor `json:"factors,omitempty"` // multiply the learning rate of some parameters; for each, the first that matches counts
}

// Factor multiplies the learning rate of some parameters. It does the same as the rate of
// a parameter group in PyTorch, so it multiplies AdamW's decay too.
type Factor struct {
	// Params is a pattern of path.Match. It matches a parameter's name ("dense2.*"), or
	// the layer's type with the parameter's role ("batchnorm.bias").
	Params string  `json:"params"`
	Factor float64 `json:"factor"` // at least 0
}

// matches reports whether the factor is for parameter q.
func (f Factor) matches(p *Plan, q Param) bool {
	kind := string(p.Nodes[q.Layer].Layer.Kind()) + "." + string(q.Role)
	for _, name := range []string{q.Name, kind} {
		if ok, err := path.Match(f.Params, name); ok && err == nil {
			return true
		}
	}
	return false
}

// Factor returns the factor of the learning rate for parameter q of the plan. It is 1 if
// no entry of Factors matches.
func (o Optimizer) Factor(p *Plan, q Param) float64 {
	for _, f := range o.Factors {
		if f.matches(p, q) {
			return f.Factor
		}
	}
	return 1
}

// CheckFor returns an error for a factor that matches none of the plan's trained
// parameters.
func (o Optimizer) CheckFor(p *Plan) error {
	for _, f := range o.Factors {
		trained := p.Trained()
		if slices.ContainsFunc(trained, func(q Param) bool { return f.matches(p, q) }) {
			continue
		}
		if len(trained) == 0 {
			return fmt.Errorf("optimiser: no parameter matches %q: none is trained", f.Params)
		}
		return fmt.Errorf("optimiser: no trained parameter matches %q; names are such as %s", f.Params, trained[0].Name)
	}
	return nil
}

// AdamDefault returns Adam with beta1 0.9, beta2 0.999, epsilon 1e-8 and a
// constant learning rate.
func AdamDefault(learningRate float64) Optimizer {
	return Optimizer{Method: Adam, LearningRate: learningRate, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8}
}

// SGDDefault returns plain stochastic gradient descent at a constant rate.
func SGDDefault(learningRate float64) Optimizer {
	return Optimizer{Method: SGD, LearningRate: learningRate}
}

// Moments returns the names of the tensors that the optimiser keeps for each trained
// parameter: "m" and "v" for Adam and AdamW, "v" for SGD with momentum, none for SGD
// without. Their keys in State.Optimizer are the parameter's name, a dot and this name.
func (o Optimizer) Moments() []string {
	switch {
	case o.Method == Adam || o.Method == AdamW:
		return []string{"m", "v"}
	case o.Momentum != 0:
		return []string{"v"}
	}
	return nil
}

// leastEpsilon is the least normal float32. A smaller epsilon would be 0 on some devices.
// Then a weight whose gradient has always been 0 would be updated by 0/0.
const leastEpsilon = 0x1p-126

// Check returns an error for settings outside their ranges.
func (o Optimizer) Check() error {
	in := func(name string, x, lo, hi float64) error { // lo <= x < hi
		if !(x >= lo && x < hi) {
			return fmt.Errorf("optimiser: %s must be at least %v and less than %v, got %v", name, lo, hi, x)
		}
		return nil
	}
	inf := math.Inf(1)
	checks := []error{
		in("learning rate", o.LearningRate, 0, inf),
		in("weight decay", o.WeightDecay, 0, inf),
		in("clip norm", o.ClipNorm, 0, inf),
		o.Schedule.check(),
	}
	switch o.Method {
	case SGD:
		checks = append(checks, in("momentum", o.Momentum, 0, 1))
		if o.Nesterov && o.Momentum == 0 {
			checks = append(checks, fmt.Errorf("optimiser: nesterov needs a momentum above 0"))
		}
	case Adam, AdamW:
		checks = append(checks, in("beta1", o.Beta1, 0, 1), in("beta2", o.Beta2, 0, 1), in("epsilon", o.Epsilon, leastEpsilon, inf))
	default:
		checks = append(checks, fmt.Errorf("optimiser: unknown method %q (want sgd, adam or adamw)", o.Method))
	}
	for _, f := range o.Factors {
		if _, err := path.Match(f.Params, ""); err != nil || f.Params == "" {
			checks = append(checks, fmt.Errorf("optimiser: %q is no pattern of names", f.Params))
		}
		checks = append(checks, in("the factor of "+f.Params, f.Factor, 0, 1e6))
	}
	for _, err := range checks {
		if err != nil {
			return err
		}
	}
	return nil
}

// Rate returns the learning rate of a step, counted from 0.
func (o Optimizer) Rate(step int64) float64 { return o.LearningRate * o.Schedule.factor(step) }

// AdamRate returns the factor of m/(sqrt(v)+Epsilon) in Adam's update. It is
// lr * sqrt(1-Beta2^t)/(1-Beta1^t). step counts from 0, so t = step+1.
func (o Optimizer) AdamRate(step int64) float64 {
	t := float64(step + 1)
	return o.Rate(step) * math.Sqrt(1-math.Pow(o.Beta2, t)) / (1 - math.Pow(o.Beta1, t))
}

// ScheduleMethod is the name of a way in which the learning rate changes.
type ScheduleMethod string

// The schedules, as factors of Optimizer.LearningRate at step s, counted from 0
// after warm-up, with T = Total - Warmup.
const (
	ConstantRate ScheduleMethod = "constant" // 1
	StepRate     ScheduleMethod = "step"     // Factor^floor(s/Every)
	CosineRate   ScheduleMethod = "cosine"   // Final + (1-Final)*(1+cos(pi*min(s/T,1)))/2 (Loshchilov and Hutter, 2017)
	// OneCycleRate rises from Start to 1 over the first Peak*T steps, then falls to Final
	// at step T. Both curves are half a cosine (Smith and Topin, 2018).
	OneCycleRate ScheduleMethod = "one_cycle"
	// ExponentialRate goes from Start to Final, by the same factor at each step:
	// Start * (Final/Start)^min(s/T, 1).
	ExponentialRate ScheduleMethod = "exponential"
)

// Schedule says how the learning rate changes during a run. All lengths are in
// steps. The zero Schedule keeps the rate constant.
type Schedule struct {
	Method ScheduleMethod `json:"method,omitempty"` // "" means ConstantRate
	Warmup int64          `json:"warmup,omitempty"` // steps over which the rate first rises linearly: step s has (s+1)/(Warmup+1) of the rate at step Warmup
	Total  int64          `json:"total,omitempty"`  // CosineRate, OneCycleRate, ExponentialRate: steps of the whole run; from step Total on, the first after the run, the rate is the final one
	Every  int64          `json:"every,omitempty"`  // StepRate
	Factor float64        `json:"factor,omitempty"` // StepRate
	Final  float64        `json:"final,omitempty"`  // CosineRate, OneCycleRate, ExponentialRate
	Start  float64        `json:"start,omitempty"`  // OneCycleRate, ExponentialRate
	Peak   float64        `json:"peak,omitempty"`   // OneCycleRate, as a share of the steps after warm-up
}

func (s Schedule) check() error {
	unit := func(name string, x float64) error {
		if !(x >= 0 && x <= 1) {
			return fmt.Errorf("schedule: %s must be from 0 to 1, got %v", name, x)
		}
		return nil
	}
	if s.Warmup < 0 {
		return fmt.Errorf("schedule: warm-up must be at least 0 steps, got %d", s.Warmup)
	}
	for _, err := range []error{unit("factor", s.Factor), unit("final", s.Final), unit("start", s.Start), unit("peak", s.Peak)} {
		if err != nil {
			return err
		}
	}
	switch s.Method {
	case "", ConstantRate:
	case StepRate:
		if s.Every < 1 {
			return fmt.Errorf("schedule: step needs every at least 1 step, got %d", s.Every)
		}
		if s.Factor == 0 {
			return errors.New("schedule: step needs a factor above 0")
		}
	case CosineRate, OneCycleRate, ExponentialRate:
		if s.Method == ExponentialRate && (s.Start == 0 || s.Final == 0) {
			return errors.New("schedule: exponential needs a start and an end above 0")
		}
		if s.Total <= s.Warmup {
			return fmt.Errorf("schedule: %s needs more steps in total than in warm-up, got %d and %d", s.Method, s.Total, s.Warmup)
		}
	default:
		return fmt.Errorf("schedule: unknown method %q (want constant, step, cosine, one_cycle or exponential)", s.Method)
	}
	return nil
}

// factor returns the learning rate's factor at a step, counted from 0.
func (s Schedule) factor(step int64) float64 {
	if step < s.Warmup {
		return float64(step+1) / float64(s.Warmup+1) * s.factor(s.Warmup)
	}
	at := float64(step - s.Warmup)
	switch s.Method {
	case StepRate:
		return math.Pow(s.Factor, math.Floor(at/float64(s.Every)))
	case CosineRate:
		return halfCosine(1, s.Final, at/float64(s.Total-s.Warmup))
	case ExponentialRate:
		return s.Start * math.Pow(s.Final/s.Start, min(at/float64(s.Total-s.Warmup), 1))
	case OneCycleRate:
		x := at / float64(s.Total-s.Warmup)
		if x < s.Peak {
			return halfCosine(s.Start, 1, x/s.Peak)
		}
		if s.Peak >= 1 {
			return 1
		}
		return halfCosine(1, s.Final, (x-s.Peak)/(1-s.Peak))
	}
	return 1
}

// halfCosine goes from a to b as x goes from 0 to 1. For greater x it is b.
func halfCosine(a, b, x float64) float64 {
	return b + (a-b)*(1+math.Cos(math.Pi*min(x, 1)))/2
}
