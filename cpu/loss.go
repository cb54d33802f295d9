package cpu

import (
	"math"
	"slices"

	"github.com/gputrain/gputrain/net"
)

// loss computes softmax cross-entropy of the logits. In training a criterion weighs
// it. Each sample's loss is computed in float64.
type loss struct {
	pass          *pass
	workers       *workers
	logits        *activations
	probabilities []float32
	losses        []float64 // by sample
	hits          []bool    // by sample
	smoothing     float64   // the criterion's label smoothing divided by the number of classes
	sharp         float64   // what label smoothing leaves of a label's weight: 1 - smoothing
	weights       []float64 // class weights; nil if the criterion is plain
	sumWeights    float64
	compare       bool        // compare with the labels: compute losses and hits
	scale         float64     // what the gradient of a sample's loss is multiplied by
	exps          [][]float64 // of the logits of a sample, by worker
	task          func(w *worker, n int)
}

func newLoss(ws *workers, p *pass, logits *activations, batch int, criterion net.Criterion) *loss {
	l := &loss{
		pass: p, workers: ws, logits: logits,
		probabilities: make([]float32, batch*logits.size), losses: make([]float64, batch), hits: make([]bool, batch),
	}
	for range ws.all {
		l.exps = append(l.exps, make([]float64, logits.size))
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

// run computes probabilities. If compare is set, it also computes losses and hits.
// In training it then also computes the gradient of the mean loss, if any parameter
// is trained.
func (l *loss) run(compare bool) {
	l.compare, l.scale = compare, 0
	if l.pass.counted > 0 {
		l.scale = 1 / float64(l.pass.share.Total)
	}
	l.workers.do(l.pass.Len(), l.task)
}

func (l *loss) sample(w *worker, n int) {
	z := l.logits.values(n)
	p := l.probabilities[n*len(z):][:len(z)]
	best, nan := 0, false
	for i, v := range z {
		if v > z[best] {
			best = i
		}
		nan = nan || v != v
	}
	// The greatest logit is subtracted, so no exponential overflows. A NaN reaches
	// the sum.
	exps := l.exps[w.id]
	var sum float64
	for i, v := range z {
		exps[i] = math.Exp(float64(v) - float64(z[best]))
		sum += exps[i]
	}
	for i, e := range exps {
		p[i] = float32(e / sum)
	}
	if !l.compare {
		return
	}
	label := int(l.pass.Data.Labels[l.pass.Indices[n]])
	l.hits[n] = best == label && !nan
	if l.pass.training && (l.weights != nil || l.pass.Views != nil && l.pass.Views[n].Partner >= 0) {
		l.weighed(n, z, exps, float64(z[best]), sum)
		return
	}
	l.losses[n] = math.Log(sum) + float64(z[best]) - float64(z[label])
	if !l.pass.training || l.logits.grad == nil {
		return
	}
	g := l.logits.grads(n)
	for i, e := range exps {
		d := e / sum
		if i == label {
			d--
		}
		g[i] = float32(d * l.scale)
	}
}

// weighed computes loss and gradient of a sample whose classes have weights q; see
// net.Criterion.Target. z holds the logits, greatest is the largest of them, exps holds
// exp(z - greatest), and sum is the sum of these.
func (l *loss) weighed(n int, z []float32, exps []float64, greatest, sum float64) {
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
		if q != 0 || sum != sum { // a class of weight 0 adds nothing, even if its logit is minus infinity
			value += q * (log - float64(v))
		}
		if g != nil {
			g[i] = float32((exps[i]/sum*total - q) * l.scale)
		}
	}
	l.losses[n] = value
}

// metrics returns the loss and hits of the mini-batch.
func (l *loss) metrics() (m net.Metrics) {
	l.add(&m)
	return m
}

// add adds the losses and hits of the mini-batch to m, one sample after the other.
// So sums don't depend on how an evaluation is divided into batches.
func (l *loss) add(m *net.Metrics) {
	for n := range l.pass.counted {
		m.Samples++
		m.Loss += l.losses[n]
		if l.hits[n] {
			m.Hits++
		}
	}
}
