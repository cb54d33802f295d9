package cpu

import (
	"math"
	"slices"

	"github.com/gputrain/gputrain/net"
)

// loss is softmax cross-entropy of the logits, in training weighed by a criterion. Each
// sample's loss is computed in float64.
type loss struct {
	pass          *pass
	workers       *workers
	logits        *activations
	probabilities []float32
	losses        []float64 // by sample
	hits          []bool    // by sample
	smoothing     float64   // of the criterion, by class
	sharp         float64   // what labels keep of their weight
	weights       []float64 // of the classes; nil where the criterion is plain
	sumWeights    float64
	compare       bool // labels count
	task          func(w *worker, n int)
}

func newLoss(ws *workers, p *pass, logits *activations, batch int, criterion net.Criterion) *loss {
	l := &loss{
		pass: p, workers: ws, logits: logits,
		probabilities: make([]float32, batch*logits.size), losses: make([]float64, batch), hits: make([]bool, batch),
	}
	l.smoothing, l.sharp = criterion.Smoothing/float64(logits.size), 1-criterion.Smoothing
	l.sumWeights = float64(logits.size)
	if !criterion.Plain() {
		l.weights = slices.Repeat([]float64{1}, logits.size)
		copy(l.weights, criterion.ClassWeights)
		l.sumWeights = 0
		for _, w := range l.weights {
			l.sumWeights += w
		}
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
	l.hits[n] = best == label && !nan
	if l.pass.training && (l.weights != nil || l.pass.Views != nil && l.pass.Views[n].Partner >= 0) {
		l.weighed(n, z, float64(z[best]), sum)
		return
	}
	l.losses[n] = math.Log(sum) + float64(z[best]) - float64(z[label])
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

// weighed computes loss and gradient of a sample whose classes weigh q, as
// net.Criterion.Target has it, from its logits, the greatest of them and the sum of
// their exponentials less that one.
func (l *loss) weighed(n int, z []float32, greatest, sum float64) {
	label, other, share := l.pass.Expected(n)
	own, rest := l.sharp*float64(share), l.sharp*(1-float64(share))
	weight := func(k int32) float64 {
		if l.weights == nil {
			return 1
		}
		return l.weights[k]
	}
	total := l.smoothing*l.sumWeights + own*weight(label) + rest*weight(other)
	log := math.Log(sum) + greatest
	var g []float32
	if l.logits.grad != nil {
		g = l.logits.grads(n)
	}
	scale := 1 / float64(l.pass.share.Total)
	var value float64
	for i, v := range z {
		q := l.smoothing
		if int32(i) == label {
			q += own
		}
		if int32(i) == other {
			q += rest
		}
		q *= weight(int32(i))
		if q != 0 || sum != sum { // 0 times the loss of a logit of minus infinity is none
			value += q * (log - float64(v))
		}
		if g != nil {
			g[i] = float32((math.Exp(float64(v)-greatest)/sum*total - q) * scale)
		}
	}
	l.losses[n] = value
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
