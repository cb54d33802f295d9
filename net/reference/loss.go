package reference

import (
	"math"

	"github.com/gputrain/gputrain/net"
)

// Loss is the softmax cross-entropy of a batch, plain or weighted by a criterion.
type Loss struct {
	Sum           float64   // the sum of the samples' losses
	Hits          int       // as in net.Metrics
	Probabilities []float64 // (n, classes)
	Gradient      []float64 // the gradient of the mean loss with respect to the logits, (n, classes)
}

// SoftmaxCrossEntropy returns the loss of n = len(labels) samples from their logits,
// (n, classes). With probabilities p, the loss of a sample is -log(p[label]). Its gradient
// with respect to the logits is p, minus 1 at the label. A NaN among a sample's logits
// makes all these values NaN, and the sample is no hit.
func SoftmaxCrossEntropy(logits []float64, labels []int32, classes int) Loss {
	targets := make([]float64, len(logits))
	for i, label := range labels {
		targets[i*classes+int(label)] = 1
	}
	return CrossEntropy(logits, targets, labels, classes)
}

// CrossEntropy is [SoftmaxCrossEntropy] with targets q for every class. The loss of a
// sample is the sum of -q[c]*log(p[c]). Its gradient with respect to the logits is
// p*sum(q) - q. targets is (n, classes), see [Targets]. Hits are counted with labels.
func CrossEntropy(logits, targets []float64, labels []int32, classes int) Loss {
	n := float64(len(labels))
	l := Loss{Probabilities: softmax(logits, classes), Gradient: make([]float64, len(logits))}
	for i, label := range labels {
		z := logits[i*classes : (i+1)*classes]
		q := targets[i*classes : (i+1)*classes]
		p := l.Probabilities[i*classes : (i+1)*classes]
		g := l.Gradient[i*classes : (i+1)*classes]
		var weight float64
		for _, v := range q {
			weight += v
		}
		for c := range g {
			g[c] = (p[c]*weight - q[c]) / n
		}

		// log(p[c]), written out because p[c] may be too small for a float64.
		shift, sum := normaliser(z)
		for c, v := range q {
			if v != 0 || math.IsNaN(sum) {
				l.Sum += v * (math.Log(sum) - (z[c] - shift))
			}
		}

		if argmax(z) == int(label) && !math.IsNaN(sum) {
			l.Hits++
		}
	}
	return l
}

// Targets returns the targets of a batch's samples in training, (n, classes). The
// criterion computes them from the labels of the samples, and from those of the samples
// that these are mixed with.
func Targets(l net.Criterion, b net.Batch, classes int) []float64 {
	var targets []float64
	for i := range b.Indices {
		label, other, share := b.Expected(i)
		targets = append(targets, l.Target(classes, label, other, float64(share))...)
	}
	return targets
}

// softmax returns the probabilities exp(z[c]) / sum of exp(z) for the logits z of
// each sample.
func softmax(logits []float64, classes int) []float64 {
	p := make([]float64, len(logits))
	for i := 0; i < len(logits); i += classes {
		z := logits[i : i+classes]
		shift, sum := normaliser(z)
		for c, v := range z {
			p[i+c] = math.Exp(v-shift) / sum
		}
	}
	return p
}

// normaliser returns the greatest of z as the shift, and the sum of exp(z-shift).
// Shifting all logits changes no probability, and keeps the exponentials from
// overflowing.
func normaliser(z []float64) (shift, sum float64) {
	shift = z[argmax(z)]
	for _, v := range z {
		sum += math.Exp(v - shift)
	}
	return shift, sum
}

// argmax returns the index of the greatest value, the first if several are equal.
func argmax(z []float64) int {
	at := 0
	for c, v := range z {
		if v > z[at] {
			at = c
		}
	}
	return at
}
