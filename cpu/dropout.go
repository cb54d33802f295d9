package cpu

import "github.com/gputrain/gputrain/net"

// dropout drops values in training, as net.DropoutKeep decides.
type dropout struct {
	pass  *pass
	key   [2]uint32
	layer int
	limit uint32  // random words below it drop their values
	scale float32 // the factor of values that stay
	in    operand
	out   *activations
	keep  []float32 // 1 for a value that stays, 0 for one that drops
}

func newDropout(p *pass, node net.Node, rate float64, seed uint64, in operand, out *activations) *dropout {
	return &dropout{
		pass: p, key: net.SeedKey(seed), layer: node.Index, limit: net.DropoutThreshold(rate), scale: float32(1 / (1 - rate)),
		in: in, out: out,
	}
}

func (op *dropout) planTraining(batch int) { op.keep = make([]float32, batch*op.out.size) }

// kept returns which values of sample n stay.
func (op *dropout) kept(n int) []float32 { return op.keep[n*op.out.size:][:op.out.size] }

func (op *dropout) forward(w *worker, n int) {
	x, y := op.in.at(w, n), op.out.at(w, n)
	if !op.pass.training {
		copy(y, x)
		return
	}
	op.draw(op.kept(n), (op.pass.share.First+n)*op.out.size)
	op.drop(w, y, x, n)
}

// draw decides which values of a sample stay. first is the index of the
// sample's first value in the mini-batch.
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

// drop writes the values of from that stay to to, scaled. Elsewhere it writes
// 0, even where from is NaN or infinite.
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
