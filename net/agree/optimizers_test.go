package agree

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/testenv"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// updates is how many updates TestJAXOptimizers compares.
const updates = 60

// updateCase is a case of testdata/optimizers.py.
type updateCase struct {
	name      string
	Rule      net.Rule       `json:"rule"`
	Schedule  net.Schedule   `json:"schedule"`
	Lookahead *net.Lookahead `json:"lookahead,omitempty"`
	Rows      int            `json:"rows"`
	First     []float64      `json:"first"`
	Gradients [][]float64    `json:"gradients"`
}

// draw draws the values and their gradients. Each gradient pulls towards 0, so that all stays near it.
func (c *updateCase) draw(columns int, scale float64, rng *rand.Rand) {
	c.First = make([]float64, c.Rows*columns)
	for i := range c.First {
		c.First[i] = rng.NormFloat64()
	}
	for range updates {
		g := make([]float64, len(c.First))
		for i := range g {
			g[i] = scale * (rng.NormFloat64() + 0.3*c.First[i])
		}
		c.Gradients = append(c.Gradients, g)
	}
}

// course returns the values after each update by package reference.
func (c *updateCase) course() (out [][]float64) {
	o := net.Optimizer{Rule: c.Rule, Schedule: c.Schedule}
	options := net.Options{Optimizer: o}
	w, slow := append([]float64(nil), c.First...), append([]float64(nil), c.First...)
	moments := map[string][]float64{}
	for _, name := range o.Moments() {
		moments[name] = make([]float64, len(w))
	}
	for step, g := range c.Gradients {
		reference.Update(o, int64(step), c.Rows, w, g, moments)
		if c.Lookahead != nil {
			options.Lookahead = *c.Lookahead
			reference.Average(options, int64(step), slow, w)
		}
		out = append(out, append([]float64(nil), w...))
	}
	return out
}

// updateCases returns a case or more of every method, with schedules that optax has too.
func updateCases() []updateCase {
	adam := net.Rule{Method: net.Adam, LearningRate: 0.05, Beta1: 0.8, Beta2: 0.95, Epsilon: 1e-12, WeightDecay: 0.1} // optax adds epsilon elsewhere: a tiny one makes no difference
	adamw := adam
	adamw.Method = net.AdamW
	muon := net.Rule{Method: net.Muon, LearningRate: 0.1, Momentum: 0.9, Iterations: 5, WeightDecay: 0.2}
	nesterov := muon
	nesterov.Nesterov, nesterov.Iterations, nesterov.Momentum = true, 3, 0.6
	momentum := net.Rule{Method: net.SGD, LearningRate: 0.1, Momentum: 0.8, WeightDecay: 0.1}
	accelerated := net.Rule{Method: net.SGD, LearningRate: 0.1, Momentum: 0.85, Nesterov: true}
	lookahead := &net.Lookahead{Every: 5, Start: 0.4, Final: 0.4}
	return []updateCase{
		{name: "sgd", Rule: net.Rule{Method: net.SGD, LearningRate: 0.1}, Rows: 3},
		{name: "momentum, cosine", Rule: momentum, Schedule: net.Schedule{Method: net.CosineRate, Total: updates, Final: 0.1}, Rows: 3},
		{name: "nesterov, one cycle", Rule: accelerated, Schedule: net.Schedule{Method: net.OneCycleRate, Total: updates, Start: 0.1, Peak: 0.25, Final: 0.01}, Rows: 3},
		{name: "nesterov, lookahead", Rule: accelerated, Lookahead: lookahead, Rows: 3},
		{name: "adam, exponential", Rule: adam, Schedule: net.Schedule{Method: net.ExponentialRate, Total: updates, Start: 0.8, Final: 0.05}, Rows: 3},
		{name: "adamw, lookahead", Rule: adamw, Lookahead: lookahead, Rows: 3},
		{name: "lion, linear", Rule: net.Rule{Method: net.Lion, LearningRate: 0.02, Beta1: 0.9, Beta2: 0.97, WeightDecay: 0.3}, Schedule: net.Schedule{Method: net.LinearRate, Total: updates, Start: 0.2, Peak: 0.3, Final: 0.1}, Rows: 3},
		{name: "muon, wide", Rule: muon, Rows: 4},
		{name: "muon, tall", Rule: muon, Rows: 20},
		{name: "muon, nesterov, wide, lookahead", Rule: nesterov, Lookahead: lookahead, Rows: 5},
		{name: "muon, nesterov, tall, linear", Rule: nesterov, Schedule: net.Schedule{Method: net.LinearRate, Total: updates, Peak: 0}, Rows: 16},
	}
}

// TestJAXOptimizers compares many updates of every optimiser, and lookahead, with optax.
func TestJAXOptimizers(t *testing.T) {
	python := os.Getenv(pythonVariable)
	if python == "" {
		t.Skip("needs optax: make check-frameworks")
	}
	rng, cases, compared := testenv.Rand(t), updateCases(), map[net.Method]bool{}
	for i := range cases {
		// Muon's updates don't depend on the gradients' size. Large ones leave nothing of what is added to their norm, which
		// optax adds elsewhere.
		scale := map[bool]float64{true: 1e4, false: 1}[cases[i].Rule.Matrix()]
		cases[i].draw(8, scale, rng)
	}
	question, err := json.Marshal(cases)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(python, filepath.Join("testdata", "optimizers.py"))
	c.Env, c.Stdin, c.Stderr = append(os.Environ(), "JAX_PLATFORMS=cpu"), bytes.NewReader(question), os.Stderr
	answer, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	var courses [][][]float64
	if err := json.Unmarshal(answer, &courses); err != nil || len(courses) != len(cases) {
		t.Fatalf("optax answers %d cases of %d: %v", len(courses), len(cases), err)
	}
	for i, c := range cases {
		got, want := c.course(), courses[i]
		if len(want) != updates {
			t.Fatalf("%s: %d updates, want %d", c.name, len(want), updates)
		}
		// Both are float64. What is left of the numbers that the two add elsewhere is 1e-11 of an update. A wrong sign or
		// rate moves values by 0.01 and more.
		tol := approx.Tolerance{Abs: 1e-9, Rel: 1e-9}
		for step := range want {
			if !approx.Check(t, c.name, got[step], want[step], tol) {
				t.Errorf("%s: they part at update %d", c.name, step+1)
				break
			}
		}
		compared[c.Rule.Method] = true
	}
	for _, m := range net.Methods() {
		if !compared[m] {
			t.Errorf("%s is not compared", m)
		}
	}
}
