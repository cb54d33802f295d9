package cpu

import "github.com/gputrain/gputrain/net"

// dropout drops values in training, as net.DropoutKeep says.
type dropout struct {
	pass    *pass
	key     [2]uint32
	layer   int
	limit   uint32  // words below it drop
	scale   float32 // of what stays
	in, out *activations
	keep    []bool
}

func newDropout(p *pass, l net.PlannedLayer, rate float64, seed uint64, in, out *activations, batch int) *dropout {
	return &dropout{
		pass: p, key: net.SeedKey(seed), layer: l.Index, limit: net.DropoutThreshold(rate), scale: float32(1 / (1 - rate)),
		in: in, out: out, keep: make([]bool, batch*out.size),
	}
}

func (op *dropout) forward(_ *worker, n int) {
	x, y := op.in.values(n), op.out.values(n)
	if !op.pass.training {
		copy(y, x)
		return
	}
	keep := op.keep[n*op.out.size:][:len(y)]
	first := n * op.out.size // index of the sample's first value in the mini-batch
	words := op.words(first)
	for i, v := range x {
		if i > 0 && (first+i)%4 == 0 {
			words = op.words(first + i)
		}
		keep[i] = words[(first+i)%4] >= op.limit
		y[i] = 0
		if keep[i] {
			y[i] = v * op.scale
		}
	}
}

// words returns the random words of the four values that value i is one of.
func (op *dropout) words(i int) [4]uint32 {
	return net.Philox(op.key, net.DropoutCounter(op.layer, op.pass.step, i/4))
}

func (op *dropout) backward(_ *worker, n int, dx bool) {
	if !dx {
		return
	}
	gx, gy := op.in.grads(n), op.out.grads(n)
	for i, kept := range op.keep[n*op.out.size:][:len(gy)] {
		gx[i] = 0
		if kept {
			gx[i] = gy[i] * op.scale
		}
	}
}
