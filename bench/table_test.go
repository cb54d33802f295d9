package bench

import (
	"slices"
	"strings"
	"testing"
)

// Where nothing is compared, there is no column of ones.
func TestTimeRatioIsOfAnother(t *testing.T) {
	for _, c := range []struct {
		other float64
		want  bool
	}{{1, false}, {1.25, true}} {
		one := Measurement{Work: Work{Model: "m", Batch: 5}, Who: "cpu", Seconds: []float64{1}, Ratio: Spread{Median: 1}}
		two := one
		two.Who, two.Ratio.Median = "other", c.other
		r := &Report{Measurements: []Measurement{one, two}}
		table := r.Tables()[0]
		if got := slices.Contains(table.Head, "Time ratio"); got != c.want || len(table.Head) != len(table.Align) || len(table.Head) != len(table.Rows[1]) || table.Align[1] != 'l' || table.Rows[1][1] != "other" {
			t.Errorf("ratio %v: %+v", c.other, table)
		}
		if got := strings.Contains(strings.Join(r.Legend(), " "), "Time ratio"); got != c.want {
			t.Errorf("ratio %v: legend %q", c.other, r.Legend())
		}
	}
}
