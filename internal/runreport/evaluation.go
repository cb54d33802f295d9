package runreport

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/gputrain/gputrain/net"
)

// Evaluation is how well a network does on a data set.
type Evaluation struct {
	Data      *net.Dataset  `json:"-"`
	Split     string        `json:"split"` // for example test
	Images    int           `json:"images"`
	Wrong     int           `json:"wrong"`
	Confusion net.Confusion `json:"confusion"` // rows are labels, columns predictions
	Mistakes  []Mistake     `json:"mistakes"`  // the worst mistakes, the worst first

	worst int
}

// Mistake is an image that the network takes for another class.
type Mistake struct {
	Index            int     `json:"index"` // index in the data set
	Label            int     `json:"label"`
	Predicted        int     `json:"predicted"`
	Probability      float64 `json:"probability"`       // probability of the prediction
	LabelProbability float64 `json:"label_probability"` // probability of the label
}

// NewEvaluation returns an empty evaluation on a part of a data set. It keeps
// the given number of mistakes: those with the lowest probability of the label.
func NewEvaluation(data *net.Dataset, split string, classes, mistakes int) *Evaluation {
	return &Evaluation{Data: data, Split: split, Confusion: net.NewConfusion(classes), worst: mistakes}
}

// Add adds the probabilities (samples, classes) of the samples from index first
// on. It fails if a value is not a probability, such as NaN.
func (e *Evaluation) Add(first int, probabilities []float32) error {
	classes := len(e.Confusion)
	n := len(probabilities) / classes
	labels := e.Data.Labels[first : first+n]
	for i, p := range probabilities {
		if !(p >= 0 && p <= 1) {
			return fmt.Errorf("image %d of %s: the network's answer is %v: its weights are worthless", first+i/classes, e.Data.Name, p)
		}
	}
	e.Confusion.Add(labels, probabilities)
	for i, label := range labels {
		row := probabilities[i*classes : (i+1)*classes]
		if predicted := slices.Index(row, slices.Max(row)); predicted != int(label) {
			e.Wrong++
			e.Mistakes = append(e.Mistakes, Mistake{
				Index: first + i, Label: int(label), Predicted: predicted,
				Probability: float64(row[predicted]), LabelProbability: float64(row[label]),
			})
		}
	}
	e.Images += n
	slices.SortStableFunc(e.Mistakes, func(a, b Mistake) int { return cmp.Compare(a.LabelProbability, b.LabelProbability) })
	e.Mistakes = e.Mistakes[:min(len(e.Mistakes), e.worst)]
	return nil
}

// Accuracy returns the share of images whose class the network recognises.
func (e *Evaluation) Accuracy() float64 { return 1 - float64(e.Wrong)/float64(e.Images) }

// mixUp tells how often images with one label are taken for another class.
type mixUp struct {
	Label, Predicted int
	Times            int64
}

// mixUps returns the most frequent mix-ups, at most the given number.
func (e *Evaluation) mixUps(most int) []mixUp {
	var all []mixUp
	for label, row := range e.Confusion {
		for predicted, n := range row {
			if n > 0 && predicted != label {
				all = append(all, mixUp{label, predicted, n})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b mixUp) int { return cmp.Compare(b.Times, a.Times) })
	return all[:min(len(all), most)]
}
