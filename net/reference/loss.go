package reference

import "math"

// Loss is the softmax cross-entropy of a batch.
type Loss struct {
	Sum           float64   // of the samples' losses
	Hits          int       // as in net.Metrics
	Probabilities []float64 // (n, classes)
	Gradient      []float64 // of the mean loss with respect to the logits, (n, classes)
}

// SoftmaxCrossEntropy returns the loss of n = len(labels) samples from their
// logits, (n, classes). With p the probabilities, a sample's loss is
// -log(p[label]) and the loss's gradient p, less 1 at the label. A NaN among a
// sample's logits makes all these NaN and the sample no hit.
func SoftmaxCrossEntropy(logits []float64, labels []int32, classes int) Loss {
	n := float64(len(labels))
	l := Loss{Probabilities: softmax(logits, classes), Gradient: make([]float64, len(logits))}
	for i, label := range labels {
		z := logits[i*classes : (i+1)*classes]
		p := l.Probabilities[i*classes : (i+1)*classes]
		g := l.Gradient[i*classes : (i+1)*classes]

		// The logarithm of p itself would be -Inf where p is too small for a float64.
		greatest := z[first(z)]
		var sum float64
		for _, v := range z {
			sum += math.Exp(v - greatest)
		}
		l.Sum += math.Log(sum) - (z[label] - greatest)

		for c := range g {
			g[c] = p[c] / n
		}
		g[label] -= 1 / n

		if first(z) == int(label) && !math.IsNaN(sum) {
			l.Hits++
		}
	}
	return l
}

// softmax returns exp(z[c]) / sum of exp(z) for the logits z of each sample,
// computed with z less its greatest, which changes nothing but keeps the
// exponentials from overflowing.
func softmax(logits []float64, classes int) []float64 {
	probabilities := make([]float64, len(logits))
	for i := 0; i < len(logits); i += classes {
		z, p := logits[i:i+classes], probabilities[i:i+classes]
		greatest := z[first(z)]
		var sum float64
		for c, v := range z {
			p[c] = math.Exp(v - greatest)
			sum += p[c]
		}
		for c := range p {
			p[c] /= sum
		}
	}
	return probabilities
}

// first returns the index of the greatest value, the first if several are equal.
func first(z []float64) int {
	at := 0
	for c, v := range z {
		if v > z[at] {
			at = c
		}
	}
	return at
}
