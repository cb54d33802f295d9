package net

// Confusion counts how often samples of each class were predicted as each class:
// Confusion[label][predicted].
type Confusion [][]int64

// NewConfusion returns a matrix of so many classes, all counts 0.
func NewConfusion(classes int) Confusion {
	c := make(Confusion, classes)
	for i := range c {
		c[i] = make([]int64, classes)
	}
	return c
}

// Add counts predictions from class probabilities or logits, len(labels) rows of
// len(c) values each: the first greatest value of a row is the prediction.
func (c Confusion) Add(labels []int32, values []float32) {
	for i, label := range labels {
		best := 0
		row := values[i*len(c) : (i+1)*len(c)]
		for k, v := range row {
			if v > row[best] {
				best = k
			}
		}
		c[label][best]++
	}
}

// Labelled returns the number of samples of a class.
func (c Confusion) Labelled(class int) int64 {
	var n int64
	for _, v := range c[class] {
		n += v
	}
	return n
}

// Predicted returns the number of samples predicted as a class.
func (c Confusion) Predicted(class int) int64 {
	var n int64
	for _, row := range c {
		n += row[class]
	}
	return n
}

// Precision returns the share of a class's predictions that are right; NaN
// without predictions.
func (c Confusion) Precision(class int) float64 {
	return float64(c[class][class]) / float64(c.Predicted(class))
}

// Recall returns the share of a class's samples that are predicted as it; NaN
// without samples.
func (c Confusion) Recall(class int) float64 {
	return float64(c[class][class]) / float64(c.Labelled(class))
}

// F1 returns the harmonic mean of precision and recall; NaN for a class with
// neither samples nor predictions.
func (c Confusion) F1(class int) float64 {
	return 2 * float64(c[class][class]) / float64(c.Labelled(class)+c.Predicted(class))
}
