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
		for c := range g {
			g[c] = p[c] / n
		}
		g[label] = (p[label] - 1) / n

		// Written out, because p[label] may be too small for a float64.
		shift, sum := normaliser(z)
		l.Sum += math.Log(sum) - (z[label] - shift)

		if argmax(z) == int(label) && !math.IsNaN(sum) {
			l.Hits++
		}
	}
	return l
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
