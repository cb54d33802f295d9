package net

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Criterion says how training weighs a network's answers. The zero Criterion is plain
// cross-entropy. t[k] is the share of a sample that is expected to be of class k: 1 for
// its label, or two shares where a [View] mixes samples. p[k] is how probable the
// network takes class k to be. A sample's loss is the sum over all classes k of
//
//	-ClassWeights[k] * ((1-Smoothing)*t[k] + Smoothing/classes) * log(p[k])
//
// and a mini-batch's loss is the mean over its samples. Labels are smoothed as in
// PyTorch's CrossEntropyLoss and Keras' CategoricalCrossentropy (Szegedy et al.,
// "Rethinking the Inception architecture for computer vision", 2016). PyTorch divides
// by the sum of the labels' class weights; here, as in Keras, the samples are counted,
// so that the gradients of a mini-batch's parts add up. Evaluation takes plain
// cross-entropy.
type Criterion struct {
	Smoothing    float64   `json:"label_smoothing,omitempty"` // from 0 to less than 1
	ClassWeights []float64 `json:"class_weights,omitempty"`   // by label; a class for which there is none has weight 1
}

// Plain reports whether the loss is plain cross-entropy.
func (l Criterion) Plain() bool { return l.Smoothing == 0 && l.ClassWeights == nil }

// Check refuses settings outside their ranges.
func (l Criterion) Check() error {
	if !(l.Smoothing >= 0 && l.Smoothing < 1) {
		return fmt.Errorf("loss: label smoothing must be at least 0 and less than 1, got %v", l.Smoothing)
	}
	for k, w := range l.ClassWeights {
		if !(w >= 0 && w <= 1e6) {
			return fmt.Errorf("loss: the weight of class %d must be from 0 to a million, got %v", k, w)
		}
	}
	if l.ClassWeights != nil && slices.Max(append([]float64{0}, l.ClassWeights...)) == 0 {
		return errors.New("loss: at least one class must have a weight above 0")
	}
	return nil
}

// CheckFor refuses class weights of more classes than the plan has.
func (l Criterion) CheckFor(p *Plan) error {
	if n := len(l.ClassWeights); n > p.Classes {
		return fmt.Errorf("loss: %d class weights for %d classes", n, p.Classes)
	}
	return nil
}

// Target returns the weights q of a sample's -log p[k] in the loss, by class: what
// the network is to give. share is the label's part, the rest is the other label's.
func (l Criterion) Target(classes int, label, other int32, share float64) []float64 {
	q := make([]float64, classes)
	for k := range q {
		q[k] = l.Smoothing / float64(classes)
	}
	q[label] += (1 - l.Smoothing) * share
	q[other] += (1 - l.Smoothing) * (1 - share)
	for k, w := range l.ClassWeights {
		q[k] *= w
	}
	return q
}

// BalancedWeights returns class weights with which every class counts the same: a
// class of n of a data set's N samples weighs N / (classes*n), so that the mean over
// the samples is 1. Classes without a sample weigh 0.
func BalancedWeights(d *Dataset) []float64 {
	counts := make([]int, d.Classes)
	for _, l := range d.Labels {
		counts[l]++
	}
	there := 0
	for _, n := range counts {
		if n > 0 {
			there++
		}
	}
	weights := make([]float64, d.Classes)
	for k, n := range counts {
		if n > 0 {
			weights[k] = float64(d.Len()) / (float64(there) * float64(n))
		}
	}
	return weights
}

// AverageRate returns how far the moving averages of the weights move towards the
// weights after the update that is counted step from 0: 1 - d with
// d = min(decay, (1+step)/(10+step)), so that the first weights, which are worth
// nothing, are soon forgotten (the rule of TensorFlow's ExponentialMovingAverage).
func AverageRate(decay float64, step int64) float64 {
	return 1 - math.Min(decay, float64(1+step)/float64(10+step))
}
