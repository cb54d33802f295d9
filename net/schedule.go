package net

import (
	"errors"
	"fmt"
	"math"
)

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
	// LinearRate is as OneCycleRate with straight lines instead of cosines. With a Peak of
	// 0 it falls from 1 to Final.
	LinearRate ScheduleMethod = "linear"
	// ExponentialRate goes from Start to Final, by the same factor at each step:
	// Start * (Final/Start)^min(s/T, 1).
	ExponentialRate ScheduleMethod = "exponential"
)

// Schedule says how the learning rate changes during a run. All lengths are in
// steps. The zero Schedule keeps the rate constant.
type Schedule struct {
	Method ScheduleMethod `json:"method,omitempty"` // "" means ConstantRate
	Warmup int64          `json:"warmup,omitempty"` // steps over which the rate first rises linearly: step s has (s+1)/(Warmup+1) of the rate at step Warmup
	Total  int64          `json:"total,omitempty"`  // CosineRate, OneCycleRate, LinearRate, ExponentialRate: steps of the whole run; from step Total on, the first after the run, the rate is the final one
	Every  int64          `json:"every,omitempty"`  // StepRate
	Factor float64        `json:"factor,omitempty"` // StepRate
	Final  float64        `json:"final,omitempty"`  // CosineRate, OneCycleRate, LinearRate, ExponentialRate
	Start  float64        `json:"start,omitempty"`  // OneCycleRate, LinearRate, ExponentialRate
	Peak   float64        `json:"peak,omitempty"`   // OneCycleRate, LinearRate, as a share of the steps after warm-up
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
	case CosineRate, OneCycleRate, LinearRate, ExponentialRate:
		if s.Method == ExponentialRate && (s.Start == 0 || s.Final == 0) {
			return errors.New("schedule: exponential needs a start and an end above 0")
		}
		if s.Total <= s.Warmup {
			return fmt.Errorf("schedule: %s needs more steps in total than in warm-up, got %d and %d", s.Method, s.Total, s.Warmup)
		}
	default:
		return fmt.Errorf("schedule: unknown method %q (want constant, step, cosine, one_cycle, linear or exponential)", s.Method)
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
	case OneCycleRate, LinearRate:
		curve := halfCosine
		if s.Method == LinearRate {
			curve = line
		}
		x := at / float64(s.Total-s.Warmup)
		if x < s.Peak {
			return curve(s.Start, 1, x/s.Peak)
		}
		if s.Peak >= 1 {
			return 1
		}
		return curve(1, s.Final, (x-s.Peak)/(1-s.Peak))
	}
	return 1
}

// line goes from a to b as x goes from 0 to 1. For greater x it is b.
func line(a, b, x float64) float64 { return a + (b-a)*min(x, 1) }

// halfCosine goes from a to b as x goes from 0 to 1. For greater x it is b.
func halfCosine(a, b, x float64) float64 {
	return b + (a-b)*(1+math.Cos(math.Pi*min(x, 1)))/2
}
