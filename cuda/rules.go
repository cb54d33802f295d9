package cuda

import (
	"slices"

	"github.com/gputrain/gputrain/net"
)

// Rules returns the rules by which an optimiser updates the trained parameters of a plan. Parameters with the same rule are
// updated together. of holds the number of the rule for each of the plan's parameters, and -1 for those that aren't trained.
//
// Biases and the like may have no weight decay where weights with the same rule have some. They share the rule of the
// weights, so a rule's weight decay is for only some of its parameters.
func Rules(p *net.Plan, o net.Optimizer) (rules []net.Optimizer, of []int) {
	of = make([]int, len(p.Params))
	add := func(i int, same func(net.Optimizer) bool) {
		if of[i] = slices.IndexFunc(rules, same); of[i] < 0 {
			of[i] = len(rules)
			rules = append(rules, o.For(p, p.Params[i]))
		}
	}
	var undecayed []int // parameters that can take any weight decay's rule
	for i, q := range p.Params {
		own := o.For(p, q)
		switch {
		case !q.Trained:
			of[i] = -1
		case !q.Decayed && own.WeightDecay == 0:
			undecayed = append(undecayed, i)
		default:
			add(i, func(r net.Optimizer) bool { return r.Rule == own.Rule })
		}
	}
	for _, i := range undecayed {
		own := o.For(p, p.Params[i])
		add(i, func(r net.Optimizer) bool {
			r.WeightDecay = 0
			return r.Rule == own.Rule
		})
	}
	return rules, of
}

// A MatrixShape is the shape of a parameter that is updated as a matrix. It has a row for each filter or unit.
type MatrixShape struct{ Rows, Columns int }

// MatrixOf returns the shape of a parameter as a matrix, if the rule that updates it is for matrices. Otherwise it returns
// the zero shape. Matrices with the same rule and shape are updated by the same launches, except where only some of them are
// updated early or have gradients that are bfloat16.
func MatrixOf(rule net.Rule, q net.Param) MatrixShape {
	if !rule.Matrix() {
		return MatrixShape{}
	}
	return MatrixShape{q.Dims[0], q.Size() / q.Dims[0]}
}

// Least returns the rows of the smaller of the products of the matrix with its own transpose.
func (m MatrixShape) Least() int { return min(m.Rows, m.Columns) }
