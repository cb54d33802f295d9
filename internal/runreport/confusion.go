package runreport

import (
	"fmt"

	"github.com/gputrain/gputrain/internal/chart"
)

// The colours of a confusion matrix, as indices in the palette of charts.
const (
	rightColour = 0 // blue
	wrongColour = 6 // crimson
)

// confusion draws the confusion matrix. The colour of a right cell is as strong
// as its share of the label's images. The colour of a wrong cell is as strong as
// its share of the most frequent mistake.
func (r *Run) confusion() chart.Heat {
	c := r.Evaluation.Confusion
	h := chart.Heat{
		Title: "Confusion matrix", RowLabel: "label", ColumnLabel: "prediction",
		Description: fmt.Sprintf("A row for each label, a column for each prediction; %s of %s images are on the diagonal, which is right",
			whole(r.Evaluation.Images-r.Evaluation.Wrong), whole(r.Evaluation.Images)),
	}
	var most int64
	for _, m := range r.Evaluation.mixUps(1) {
		most = m.Times
	}
	for label, row := range c {
		name := r.className(label)
		h.Rows, h.Columns = append(h.Rows, name), append(h.Columns, name)
		all := c.Labelled(label)
		cells := make([]chart.Cell, len(row))
		for predicted, n := range row {
			cell := &cells[predicted]
			if n > 0 {
				cell.Text = whole(n)
			}
			if predicted == label {
				cell.Colour = rightColour
				if all > 0 {
					cell.Share = 0.9 * float64(n) / float64(all)
				}
				cell.About = fmt.Sprintf("%s: %s of %s found (%s)", name, whole(n), whole(all), chart.ShareText(n, all))
				continue
			}
			cell.Colour = wrongColour
			if n > 0 {
				cell.Share = 0.12 + 0.73*float64(n)/float64(most)
			}
			cell.About = fmt.Sprintf("%s taken for %s: %s of %s (%s)", name, r.className(predicted), whole(n), whole(all), chart.ShareText(n, all))
		}
		h.Cells = append(h.Cells, cells)
	}
	return h
}

// answers draws the probability of each class for the image. If there are many
// classes, it draws the most probable ones.
func (r *Run) answers() chart.Bars {
	const most = 20
	p := r.Image.Probabilities
	bars := chart.Bars{Title: "How probable it finds each class", X: chart.Axis{Min: chart.At(0), Max: chart.At(1), Format: chart.Percent}}
	s := chart.BarSeries{}
	for _, class := range mostProbable(p, most) {
		bars.Names = append(bars.Names, r.className(class))
		s.Values = append(s.Values, float64(p[class]))
		s.Text = append(s.Text, fmt.Sprintf("%.1f %%", 100*p[class]))
	}
	bars.Series = []chart.BarSeries{s}
	bars.Description = fmt.Sprintf("Most probable is %s with %s", r.className(r.Image.predicted()), chart.Percent(float64(p[r.Image.predicted()])))
	return bars
}

// mostProbable returns the most classes with the greatest probabilities, in the
// order of the classes. If there are not more classes than that, it returns all.
func mostProbable(p []float32, most int) []int {
	var out []int
	for class := range p {
		greater := 0
		for other := range p {
			if p[other] > p[class] || p[other] == p[class] && other < class {
				greater++
			}
		}
		if greater < most {
			out = append(out, class)
		}
	}
	return out
}
