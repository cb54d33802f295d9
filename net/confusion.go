package net

// Confusion counts how often samples of each class were predicted as each class:
// Confusion[label][predicted].
type Confusion [][]int64

// NewConfusion returns a matrix for the given number of classes. All counts are 0.
func NewConfusion(classes int) Confusion {
	c := make(Confusion, classes)
	for i := range c {
		c[i] = make([]int64, classes)
	}
	return c
}

// Add counts the predictions of len(labels) samples. values holds a row of len(c) class
// probabilities or logits for each sample. The class with the greatest value is the
// prediction, the first one of equals.
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

// Precision returns the share of a class's predictions that are right. It is NaN if the
// class was never predicted.
func (c Confusion) Precision(class int) float64 {
	return float64(c[class][class]) / float64(c.Predicted(class))
}

// Recall returns the share of a class's samples that are predicted as this class. It is
// NaN if the class has no samples.
func (c Confusion) Recall(class int) float64 {
	return float64(c[class][class]) / float64(c.Labelled(class))
}

// F1 returns the harmonic mean of precision and recall. It is NaN for a class that has
// neither samples nor predictions.
func (c Confusion) F1(class int) float64 {
	return 2 * float64(c[class][class]) / float64(c.Labelled(class)+c.Predicted(class))
}
