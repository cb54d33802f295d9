package runreport

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/internal/testenv"
	"github.com/gputrain/gputrain/net"
)

// TestEvaluation counts again, image by image, what Add counts in pieces.
func TestEvaluation(t *testing.T) {
	r := testenv.Rand(t)
	const classes, n, worst = 4, 90, 11
	data := noise(r, net.Shape{C: 1, H: 1, W: 1}, classes, n)
	probabilities := make([]float32, n*classes)
	for i := range probabilities {
		probabilities[i] = r.Float32()
	}
	e := NewEvaluation(data, "test", classes, worst)
	for first := 0; first < n; first += 40 {
		if err := e.Add(first, probabilities[first*classes:min(first+40, n)*classes]); err != nil {
			t.Fatal(err)
		}
	}

	counts := map[[2]int]int64{}
	var wrong []float64 // the probabilities of the labels that were missed
	for i := range n {
		best := 0
		for k := range classes {
			if probabilities[i*classes+k] > probabilities[i*classes+best] {
				best = k
			}
		}
		counts[[2]int{int(data.Labels[i]), best}]++
		if best != int(data.Labels[i]) {
			wrong = append(wrong, float64(probabilities[i*classes+int(data.Labels[i])]))
		}
	}
	for label, row := range e.Confusion {
		for predicted, got := range row {
			if want := counts[[2]int{label, predicted}]; got != want {
				t.Errorf("%d taken for %d: %d times, want %d", label, predicted, got, want)
			}
		}
	}
	if e.Images != n || e.Wrong != len(wrong) || e.Accuracy() != 1-float64(len(wrong))/n {
		t.Errorf("%d of %d wrong, accuracy %v; want %d of %d", e.Wrong, e.Images, e.Accuracy(), len(wrong), n)
	}
	slices.Sort(wrong)
	if len(e.Mistakes) != worst {
		t.Fatalf("%d mistakes, want %d", len(e.Mistakes), worst)
	}
	for i, m := range e.Mistakes {
		at := m.Index * classes
		if m.LabelProbability != wrong[i] || m.Label != int(data.Labels[m.Index]) ||
			float32(m.LabelProbability) != probabilities[at+m.Label] || float32(m.Probability) != slices.Max(probabilities[at:at+classes]) {
			t.Errorf("mistake %d is %+v, want one of %v", i, m, wrong[i])
		}
	}
	var most int64
	for pair, times := range counts {
		if pair[0] != pair[1] {
			most = max(most, times)
		}
	}
	if m := e.mixUps(2); len(m) != 2 || m[0].Times != most || counts[[2]int{m[0].Label, m[0].Predicted}] != most {
		t.Errorf("most often mixed up: %+v, want %d times", m, most)
	}
}

func TestEvaluationRefusesWorthlessAnswers(t *testing.T) {
	data := &net.Dataset{Name: "two", Labels: []int32{0, 1}}
	for _, bad := range []float32{float32(math.NaN()), -0.1, 1.5} {
		err := NewEvaluation(data, "test", 2, 5).Add(0, []float32{1, 0, bad, 0})
		if err == nil || !strings.Contains(err.Error(), "image 1 of two") {
			t.Errorf("%v: %v", bad, err)
		}
	}
}
