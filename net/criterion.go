package net

import (
	"errors"
	"fmt"
	"slices"
)

// Criterion is the loss that training minimises. The zero Criterion is plain
// cross-entropy. The loss of one sample is the sum over all classes k of
//
//	-ClassWeights[k] * ((1-Smoothing)*t[k] + Smoothing/classes) * log(p[k])
//
// p[k] is the probability that the network gives to class k. t[k] is the share of the
// sample that belongs to class k: 1 for its label and 0 for the others. Where a [View]
// mixes two samples, each of their labels has a share.
//
// The loss of a mini-batch is the mean over its samples. Labels are smoothed as in
// PyTorch's CrossEntropyLoss and Keras' CategoricalCrossentropy (Szegedy et al.,
// "Rethinking the Inception architecture for computer vision", 2016). PyTorch divides
// by the sum of the labels' class weights. This package divides by the number of samples,
// as Keras does, so that the gradients of a mini-batch's parts add up. Evaluation always
// uses plain cross-entropy.
type Criterion struct {
	Smoothing    float64   `json:"label_smoothing,omitempty"` // from 0 to less than 1
	ClassWeights []float64 `json:"class_weights,omitempty"`   // by label; a class beyond their end has weight 1; nil means 1 for all
}

// Plain reports whether the loss is plain cross-entropy.
func (l Criterion) Plain() bool { return l.Smoothing == 0 && l.ClassWeights == nil }

// Check returns an error for settings outside their ranges.
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

// CheckFor returns an error for class weights of more classes than the plan has.
func (l Criterion) CheckFor(p *Plan) error {
	if n := len(l.ClassWeights); n > p.Classes {
		return fmt.Errorf("loss: %d class weights for %d classes", n, p.Classes)
	}
	return nil
}

// Target returns the factors q, by class, with which the loss of a sample is the sum of
// -q[k]*log(p[k]). share is the part of label in the sample, and other has the rest.
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

// BalancedWeights returns class weights that make every class count the same. Where C
// classes have samples, a class with n of the data set's N samples has weight N / (C*n).
// So the mean weight of the samples is 1. A class without samples has weight 0.
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
