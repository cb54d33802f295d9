package cpu

import (
	"math"

	"github.com/gputrain/gputrain/net"
)

// loss is softmax cross-entropy of the logits. Each sample's loss is computed in
// float64.
type loss struct {
	pass          *pass
	workers       *workers
	logits        *activations
	probabilities []float32
	losses        []float64 // by sample
	hits          []bool    // by sample
	compare       bool      // labels count
	task          func(w *worker, n int)
}

func newLoss(ws *workers, p *pass, logits *activations, batch int) *loss {
	l := &loss{
		pass: p, workers: ws, logits: logits,
		probabilities: make([]float32, batch*logits.size), losses: make([]float64, batch), hits: make([]bool, batch),
	}
	l.task = l.sample
	return l
}

// run computes probabilities and, where compare is set, losses, hits and, in
// training, the gradient of the mean loss, if any parameter is trained.
func (l *loss) run(compare bool) {
	l.compare = compare
	l.workers.do(l.pass.Len(), l.task)
}

func (l *loss) sample(_ *worker, n int) {
	z := l.logits.values(n)
	p := l.probabilities[n*len(z):][:len(z)]
	best, nan := 0, false
	for i, v := range z {
		if v > z[best] {
			best = i
		}
		nan = nan || v != v
	}
	// Less the greatest logit, no exponential overflows; a NaN reaches the sum.
	var sum float64
	for _, v := range z {
		sum += math.Exp(float64(v) - float64(z[best]))
	}
	for i, v := range z {
		p[i] = float32(math.Exp(float64(v)-float64(z[best])) / sum)
	}
	if !l.compare {
		return
	}
	label := int(l.pass.Data.Labels[l.pass.Indices[n]])
	l.losses[n] = math.Log(sum) + float64(z[best]) - float64(z[label])
	l.hits[n] = best == label && !nan
	if !l.pass.training || l.logits.grad == nil {
		return
	}
	g := l.logits.grads(n)
	scale := 1 / float64(l.pass.share.Total)
	for i, v := range z {
		d := math.Exp(float64(v)-float64(z[best])) / sum
		if i == label {
			d--
		}
		g[i] = float32(d * scale)
	}
}

// metrics returns the loss and hits of the mini-batch.
func (l *loss) metrics() (m net.Metrics) {
	l.add(&m)
	return m
}

// add adds the losses and hits of the mini-batch to m, sample by sample, so that
// sums do not depend on how an evaluation is cut into batches.
func (l *loss) add(m *net.Metrics) {
	for n := range l.pass.Len() {
		m.Samples++
		m.Loss += l.losses[n]
		if l.hits[n] {
			m.Hits++
		}
	}
}
