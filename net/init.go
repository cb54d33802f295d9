package net

import (
	"fmt"
	"math"

	"gorgonia.org/tensor"
)

// InitMethod names a way to draw initial values.
type InitMethod string

// The methods.
const (
	// Constant sets every value to Value.
	Constant InitMethod = "constant"
	// TruncatedNormal draws from a normal distribution of deviation Sigma about
	// 0 and redraws what lies beyond two deviations.
	TruncatedNormal InitMethod = "truncated_normal"
	// He draws from a normal distribution of deviation sqrt(2/FanIn) (He et al.,
	// "Delving deep into rectifiers", 2015).
	He InitMethod = "he"
	// Glorot draws uniformly from within sqrt(6/(FanIn+FanOut)) of 0 (Glorot and
	// Bengio, 2010).
	Glorot InitMethod = "glorot"
)

// Initializer says how a parameter's initial values are drawn. The zero
// Initializer means the layer's default.
type Initializer struct {
	Method InitMethod `json:"method"`
	Sigma  float64    `json:"sigma,omitempty"` // of TruncatedNormal
	Value  float64    `json:"value,omitempty"` // of Constant
}

func truncated(sigma float64) Initializer {
	return Initializer{Method: TruncatedNormal, Sigma: sigma}
}

func (in Initializer) or(d Initializer) Initializer {
	if in == (Initializer{}) {
		return d
	}
	return in
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

func (in Initializer) check() error {
	switch in.Method {
	case TruncatedNormal:
		if !(in.Sigma > 0) || !finite(float64(float32(2*in.Sigma))) {
			return fmt.Errorf("initial values: sigma of truncated_normal must be above 0 and fit a float32 twice, got %v", in.Sigma)
		}
	case Constant:
		if !finite(float64(float32(in.Value))) {
			return fmt.Errorf("initial values: constant must be finite and fit a float32, got %v", in.Value)
		}
	case He, Glorot:
	default:
		return fmt.Errorf("initial values: unknown method %q (want constant, truncated_normal, he or glorot)", in.Method)
	}
	return nil
}

// fill draws values for p.
func (p Param) fill(dst []float32, s *stream) {
	switch p.Init.Method {
	case Constant:
		for i := range dst {
			dst[i] = float32(p.Init.Value)
		}
	case TruncatedNormal:
		for i := range dst {
			z := s.normal()
			for math.Abs(z) > 2 {
				z = s.normal()
			}
			dst[i] = float32(p.Init.Sigma * z)
		}
	case He:
		sigma := math.Sqrt(2 / float64(p.FanIn))
		for i := range dst {
			dst[i] = float32(sigma * s.normal())
		}
	case Glorot:
		limit := math.Sqrt(6 / float64(p.FanIn+p.FanOut))
		for i := range dst {
			dst[i] = float32(limit * (2*s.float() - 1))
		}
	}
}

// normal returns a standard normal value (Box and Muller, 1958).
func (s *stream) normal() float64 {
	u := 1 - s.float() // in (0, 1]
	v := s.float()
	return math.Sqrt(-2*math.Log(u)) * math.Cos(2*math.Pi*v)
}

// InitialState draws the initial values of every parameter. Each parameter has
// a random stream of its own, so its values depend only on the seed, its
// position in the plan and its description.
func InitialState(p *Plan, seed uint64) State {
	st := State{Params: make(map[string]*tensor.Dense, len(p.Params)), Optimizer: map[string]*tensor.Dense{}}
	for i, q := range p.Params {
		values := make([]float32, q.Size())
		q.fill(values, newStream(seed, ForInit, i))
		st.Params[q.Name] = tensor.New(tensor.WithShape(q.Dims...), tensor.WithBacking(values))
	}
	return st
}
