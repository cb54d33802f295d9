package elsewhere

import (
	"encoding/binary"
	"fmt"
	"math"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/internal/plain"
	"github.com/gputrain/gputrain/net"
)

// compiler turns a plan into steps.
type compiler struct {
	plan    *net.Plan
	weights map[string]*tensor.Dense
	steps   []plain.Step
	factors [][]float64 // of each step, its weights
	biases  [][]float64
	of      []int // the step that has each node's output; net.NetworkInput is the image
}

// Compile returns the steps that compute a network in evaluation mode, up to the logits, and their weights: float32 in
// little-endian order. weights are the Params of a [net.State]. Batch normalisation, factors and activation functions
// become part of the step before, if nothing else takes its output.
func Compile(plan *net.Plan, weights map[string]*tensor.Dense) ([]plain.Step, []byte) {
	c := compiler{plan: plan, weights: weights, of: make([]int, len(plan.Nodes))}
	for i := range plan.Nodes {
		c.of[i] = c.node(&plan.Nodes[i])
	}
	if len(c.steps) == 0 { // the image's values are the logits
		last := plan.Nodes[len(plan.Nodes)-1]
		c.add(&last, plain.Copy, nil, nil)
	}
	var b []byte
	for i := range c.steps {
		for _, values := range [][]float64{c.factors[i], c.biases[i]} {
			for _, v := range values {
				b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(v)))
			}
		}
	}
	return c.steps, b
}

// node adds what a node computes, and returns the step that has its output.
func (c *compiler) node(n *net.Node) int {
	switch l := n.Layer.(type) {
	case *net.Flatten, *net.Dropout:
		return c.from(n, 0)
	case *net.Conv:
		s := c.add(n, plain.Conv, c.values(n, net.Weight), c.values(n, net.Bias))
		c.steps[s].Groups, c.steps[s].Kernel = l.GroupCount(), kernelOf(n.Window)
		return s
	case *net.Dense:
		return c.add(n, plain.Dense, c.values(n, net.Weight), c.values(n, net.Bias))
	case *net.Pool:
		s := c.add(n, map[net.PoolMode]string{net.MaxPool: plain.Max, net.MeanPool: plain.Mean, net.L2Pool: plain.L2}[l.PoolMode()], nil, nil)
		c.steps[s].Kernel = kernelOf(n.Window)
		return s
	case *net.BatchNorm:
		_, epsilon := l.Settings()
		factors, shifts := c.values(n, net.Weight), c.values(n, net.Bias)
		mean, variance := c.values(n, net.RunningMean), c.values(n, net.RunningVar)
		for k := range factors {
			factors[k] /= math.Sqrt(variance[k] + epsilon)
			shifts[k] -= mean[k] * factors[k]
		}
		return c.affine(n, factors, shifts)
	case *net.Scale:
		factors := make([]float64, n.Out.C)
		for k := range factors {
			factors[k] = float64(float32(l.Factor))
		}
		return c.affine(n, factors, make([]float64, n.Out.C))
	case *net.Activation:
		s, ok := c.before(n)
		if !ok || c.steps[s].Func != "" {
			s = c.add(n, plain.Copy, nil, nil)
		}
		c.steps[s].Name, c.steps[s].Func, c.steps[s].Parameter = n.Name, string(l.Func), float32(l.Parameter())
		return s
	case *net.Add:
		return c.add(n, plain.Add, nil, nil)
	case *net.Concat:
		return c.add(n, plain.Concat, nil, nil)
	case *net.Multiply:
		return c.add(n, plain.Multiply, nil, nil)
	}
	panic(fmt.Sprintf("BUG: layer %s of kind %s", n.Name, n.Layer.Kind()))
}

// add adds a step for a node.
func (c *compiler) add(n *net.Node, op string, factors, biases []float64) int {
	if (op == plain.Conv || op == plain.Dense) && biases == nil {
		biases = make([]float64, n.Out.C)
	}
	s := plain.Step{Name: n.Name, Op: op, In: plain.Shape(n.In), Out: plain.Shape(n.Out)}
	for i := range n.Inputs {
		s.From = append(s.From, c.from(n, i))
	}
	c.steps, c.factors, c.biases = append(c.steps, s), append(c.factors, factors), append(c.biases, biases)
	return len(c.steps) - 1
}

// affine multiplies the channels of a node's input and adds to them, in the step before if that is possible.
func (c *compiler) affine(n *net.Node, factors, shifts []float64) int {
	s, ok := c.before(n)
	if ok {
		op := c.steps[s].Op
		ok = c.steps[s].Func == "" && c.steps[s].Out == plain.Shape(n.Out) && (op == plain.Conv || op == plain.Dense || op == plain.Affine)
	}
	if !ok {
		return c.add(n, plain.Affine, factors, shifts)
	}
	of := len(c.factors[s]) / len(factors)
	for i := range c.factors[s] {
		c.factors[s][i] *= factors[i/of]
	}
	for k, shift := range shifts {
		c.biases[s][k] = c.biases[s][k]*factors[k] + shift
	}
	c.steps[s].Name = n.Name
	return s
}

// from returns the step that has an input of a node.
func (c *compiler) from(n *net.Node, input int) int {
	if k := n.Inputs[input]; k != net.NetworkInput {
		return c.of[k]
	}
	return net.NetworkInput
}

// before returns the step that has the input of a node, and whether nothing else takes that step's output.
func (c *compiler) before(n *net.Node) (step int, ok bool) {
	for k := n.Inputs[0]; k != net.NetworkInput; k = c.plan.Nodes[k].Inputs[0] {
		if len(c.plan.Nodes[k].Uses) != 1 {
			return 0, false
		}
		if !c.plan.Nodes[k].Keeps() {
			return c.of[k], true
		}
	}
	return 0, false
}

// values returns a node's parameter of a role, or nil if it has none.
func (c *compiler) values(n *net.Node, r net.Role) []float64 {
	for _, p := range n.Params {
		if p.Role == r {
			out := make([]float64, p.Size())
			for i, v := range c.weights[p.Name].Float32s() {
				out[i] = float64(v)
			}
			return out
		}
	}
	return nil
}

func kernelOf(w net.Window) plain.Kernel {
	return plain.Kernel{H: w.KernelH, W: w.KernelW, StrideH: w.StrideH, StrideW: w.StrideW,
		DilationH: w.DilationH, DilationW: w.DilationW, Top: w.Top, Left: w.Left}
}
