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

// activity names the mode for people.
func (w Work) activity() string {
	if w.Mode == peers.Train {
		return "training"
	}
	return "inference"
}

// Cost is what a piece of work can't do without: multiply-adds, without those that meet padding, and bytes to and from
// memory, each operand once.
type Cost struct {
	MulAdds int64 `json:"multiply_adds"`
	Bytes   int64 `json:"bytes"`
}

// lowest is the index of the first layer with weights: below it nobody needs a gradient.
func lowest(plan *net.Plan) int {
	for i, l := range plan.Layers {
		if l.Weights() > 0 {
			return i
		}
	}
	return len(plan.Layers)
}

// batchMulAdds returns the multiply-adds of a mini-batch. A training step takes those of inference three times, for the
// outputs, the weights' gradients and the inputs', but the first layer's input needs none.
func batchMulAdds(plan *net.Plan, w Work) int64 {
	sum := plan.MulAdds()
	if w.Mode == peers.Train {
		sum *= 3
		if first := lowest(plan); first < len(plan.Layers) {
			sum -= plan.Layers[first].MulAdds()
		}
	}
	return sum * int64(w.Batch)
}

// partCost returns the cost of a part of a training step.
func partCost(plan *net.Plan, o net.Optimizer, part net.Part, batch int) Cost {
	n := int64(batch)
	var c Cost
	switch part.Phase {
	case net.Gather:
		c.Bytes = n * 5 * int64(plan.Network.Input.Size()) // bytes become float32
	case net.Loss:
		c.Bytes = n * 8 * int64(plan.Classes)
	case net.Update: // reads weights, gradients and moments, writes all but the gradients
		c.Bytes = 4 * int64(plan.Weights()) * int64(3+2*len(o.Moments()))
	case net.Forward, net.Backward:
		if len(part.Layers) == 0 {
			break
		}
		first, last := plan.Layers[part.Layers[0]], plan.Layers[part.Layers[len(part.Layers)-1]]
		c.Bytes = 4 * n * int64(first.In.Size()+last.Out.Size())
		wanted := part.Layers[0] > lowest(plan)
		if part.Phase == net.Backward && wanted {
			c.Bytes += 4 * n * int64(first.In.Size())
		}
		for _, i := range part.Layers {
			l := plan.Layers[i]
			times := int64(1)
			if part.Phase == net.Backward {
				c.Bytes += 4 * int64(l.Weights()) // the gradients
				if i > lowest(plan) {
					times = 2
				}
			}
			if part.Phase == net.Forward || wanted {
				c.Bytes += 4 * int64(l.Weights())
			}
			c.MulAdds += times * n * l.MulAdds()
		}
	}
	return c
}
