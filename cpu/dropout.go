package cpu

import "github.com/gputrain/gputrain/net"

// dropout drops values in training, as net.DropoutKeep says.
type dropout struct {
	pass  *pass
	key   [2]uint32
	layer int
	limit uint32  // words below it drop
	scale float32 // of what stays
	in    operand
	out   *activations
	keep  []float32 // 1 where a value stays, 0 where it drops
}

func newDropout(p *pass, node net.Node, rate float64, seed uint64, in operand, out *activations, batch int) *dropout {
	return &dropout{
		pass: p, key: net.SeedKey(seed), layer: node.Index, limit: net.DropoutThreshold(rate), scale: float32(1 / (1 - rate)),
		in: in, out: out, keep: make([]float32, batch*out.size),
	}
}

// kept returns what stays of sample n.
func (op *dropout) kept(n int) []float32 { return op.keep[n*op.out.size:][:op.out.size] }

func (op *dropout) forward(w *worker, n int) {
	x, y := op.in.values(n), op.out.values(n)
	if !op.pass.training {
		copy(y, x)
		return
	}
	op.draw(op.kept(n), (op.pass.share.First+n)*op.out.size)
	op.drop(w, y, x, n)
}

// draw draws what stays of a sample whose first value has that index in the
// mini-batch.
func (op *dropout) draw(keep []float32, first int) {
	var words [4]uint32
	for i := range keep {
		at := first + i
		if i == 0 || at%4 == 0 {
			words = net.Philox(op.key, net.DropoutCounter(op.layer, op.pass.step, at/4))
		}
		keep[i] = 0
		if words[at%4] >= op.limit {
			keep[i] = 1
		}
	}
}

// drop sets to to the values of from that stay, scaled, and to 0 elsewhere,
// whatever from is there.
func (op *dropout) drop(w *worker, to, from []float32, n int) {
	w.kernel.ReLUBackward(to, from, op.kept(n))
	w.kernel.Scale(to, to, op.scale)
}

func (op *dropout) backward(w *worker, n int) {
	if !op.in.wanted {
		return
	}
	gx, gy := op.in.grads(n), op.out.grads(n)
	if !op.in.adds {
		op.drop(w, gx, gy, n)
		return
	}
	scratch := w.spare[:len(gx)]
	op.drop(w, scratch, gy, n)
	w.kernel.Add(gx, scratch)
}
