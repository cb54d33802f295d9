package bench

import (
	"fmt"

	"github.com/gputrain/gputrain/bench/peers"
	"github.com/gputrain/gputrain/net"
)

// Work is what is timed: a network's training steps, or its inference, in mini-batches of one size.
type Work struct {
	Model string     `json:"model"`
	Mode  peers.Mode `json:"mode"`
	Batch int        `json:"batch"` // images
}

func (w Work) String() string { return fmt.Sprintf("%s, %s, batch %d", w.Model, w.activity(), w.Batch) }

// activity returns the mode in words.
func (w Work) activity() string {
	if w.Mode == peers.Train {
		return "training"
	}
	return "inference"
}

// Cost is what a piece of work needs at least: multiply-adds, without those with padding, and bytes to and from
// memory, each operand once.
type Cost struct {
	MulAdds int64 `json:"multiply_adds"`
	Bytes   int64 `json:"bytes"`
}

// learns reports whether the gradient with respect to a layer's input is computed.
func learns(plan *net.Plan, input int) bool {
	return input != net.NetworkInput && plan.Nodes[input].Learns
}

// batchMulAdds returns the multiply-adds of a mini-batch. A training step takes those of inference for the outputs. It
// takes as many again for the gradients of trained weights, and again for the gradients of inputs. The images
// themselves need no gradient.
func batchMulAdds(plan *net.Plan, w Work) int64 {
	sum := plan.MulAdds()
	if w.Mode == peers.Train {
		for _, l := range plan.Nodes {
			sum += backwardMulAdds(plan, l)
		}
	}
	return sum * int64(w.Batch)
}

// backwardMulAdds returns the multiply-adds of a layer's gradients, for one sample.
func backwardMulAdds(plan *net.Plan, l net.Node) int64 {
	var products int64
	if trained(l, net.Weight) {
		products++
	}
	if learns(plan, l.Inputs[0]) {
		products++
	}
	return products * l.MulAdds()
}

// partCost returns the cost of one part of a training step.
func partCost(plan *net.Plan, o net.Optimizer, part net.Part, batch int) Cost {
	n := int64(batch)
	var c Cost
	switch part.Phase {
	case net.Gather:
		c.Bytes = n * 5 * int64(plan.Network.Input.Size()) // bytes become float32
	case net.Loss:
		c.Bytes = n * 8 * int64(plan.Classes)
	case net.Update: // it reads weights, gradients and moments, and writes weights and moments
		c.Bytes = 4 * int64(plan.Weights()) * int64(3+2*len(o.Moments()))
	case net.Forward, net.Backward:
		if len(part.Layers) == 0 {
			break
		}
		// Values are read once. Values that stay inside the part are not read at all.
		seen := map[int]bool{}
		for _, i := range part.Layers {
			seen[i] = true
		}
		c.Bytes = 4 * n * int64(plan.Nodes[part.Layers[len(part.Layers)-1]].Out.Size())
		for _, i := range part.Layers {
			l := plan.Nodes[i]
			wanted := false
			for k, input := range l.Inputs {
				wanted = wanted || learns(plan, input)
				if seen[input] {
					continue
				}
				seen[input] = true
				c.Bytes += 4 * n * int64(l.Ins[k].Size())
				if part.Phase == net.Backward && learns(plan, input) {
					c.Bytes += 4 * n * int64(l.Ins[k].Size())
				}
			}
			if part.Phase == net.Forward {
				c.MulAdds += n * l.MulAdds()
			} else {
				c.MulAdds += n * backwardMulAdds(plan, l)
				c.Bytes += 4 * int64(l.Weights()) // the gradients
			}
			if part.Phase == net.Forward || wanted {
				c.Bytes += 4 * int64(l.Parameters())
			}
		}
	}
	return c
}
