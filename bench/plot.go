package bench

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/gputrain/gputrain/internal/chart"
	"github.com/gputrain/gputrain/net"
)

// Plot is a drawing of a report.
type Plot struct {
	Name    string // name for a file, without a suffix
	Drawing *chart.Drawing
}

// Plots returns the report's drawings: throughput over the batch size, time ratios to the baseline, time by layer, and
// the roofline. A drawing with nothing to show is left out.
func (r *Report) Plots() []Plot {
	var out []Plot
	for _, group := range r.groups() {
		group = slices.DeleteFunc(slices.Clone(group), func(m Measurement) bool { return !m.Timed() })
		if len(group) == 0 {
			continue
		}
		name := fmt.Sprintf("%s-%s", fileName(group[0].Model), group[0].Mode)
		out = append(out, Plot{"throughput-" + name, throughputPlot(group)})
		if len(contestants(group)) > 1 {
			out = append(out, Plot{"ratio-" + name, ratioPlot(group)})
		}
	}
	for _, m := range r.profiled() {
		name := fmt.Sprintf("%s-%s", fileName(m.Model), fileName(m.Who))
		out = append(out, Plot{"layers-" + name, layerPlot(m)})
		if m.Limits != nil {
			out = append(out, Plot{"roofline-" + name, rooflinePlot(m)})
		}
	}
	return out
}

// fileName replaces characters in a name that some file system does not allow.
func fileName(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
			return r
		}
		return '-'
	}, s)
}

// contestant identifies who has measurements in a plot, and with how many threads.
type contestant struct {
	who     string
	threads int
}

func (m Measurement) contestant() contestant { return contestant{m.Who, m.Threads} }

// contestants returns the contestants of a group, each once, in their order.
func contestants(group []Measurement) []contestant {
	var out []contestant
	for _, m := range group {
		if !slices.Contains(out, m.contestant()) {
			out = append(out, m.contestant())
		}
	}
	return out
}

// labels returns names for contestants. They tell the number of threads only if it differs between them.
func labels(all []contestant) []string {
	differ := slices.ContainsFunc(all, func(c contestant) bool { return c.threads > 0 && c.threads != all[0].threads })
	var out []string
	for _, c := range all {
		text := c.who
		if differ && c.threads > 0 {
			text += fmt.Sprintf(", %d thread", c.threads)
			if c.threads > 1 {
				text += "s"
			}
		}
		out = append(out, text)
	}
	return out
}

// contestantNames returns the labels of a group's contestants. If a contestant has another baseline than the group's
// first row, its label names that baseline.
func contestantNames(group []Measurement) []string {
	all := contestants(group)
	names := labels(all)
	for i, who := range all {
		m := group[slices.IndexFunc(group, func(m Measurement) bool { return m.contestant() == who })]
		if of := otherBaseline(group, m); of != "" {
			names[i] += ", over " + of
		}
	}
	return names
}

func throughputPlot(group []Measurement) *chart.Drawing {
	all := contestants(group)
	names := labels(all)
	c := chart.Lines{
		Title: group[0].heading() + ": throughput", Description: "Images a second over the mini-batch's size; both axes are logarithmic.",
		X: chart.Axis{Label: "images in a mini-batch", Log: true}, Y: chart.Axis{Label: "images/s", Log: true},
	}
	for i, who := range all {
		s := chart.Series{Name: names[i], Colour: i, Points: chart.AllPoints}
		for _, m := range group {
			if m.contestant() == who {
				s.X, s.Y = append(s.X, float64(m.Batch)), append(s.Y, m.Images.Median)
			}
		}
		c.Series = append(c.Series, s)
	}
	return c.Draw()
}

// ratioPlot shows the time of each contestant divided by the baseline's time.
func ratioPlot(group []Measurement) *chart.Drawing {
	all := contestants(group)
	c := chart.Bars{
		Title: group[0].heading() + ": time over the baseline's", Description: "Bars beyond 1 are slower; whiskers hold four of five repeats.",
		X: chart.Axis{Label: "time ratio, less is faster", Log: true}, Mark: chart.At(1), Names: contestantNames(group),
	}
	var batches []int
	for _, m := range group {
		if !slices.Contains(batches, m.Batch) {
			batches = append(batches, m.Batch)
		}
	}
	least := 1.0
	for i, batch := range batches {
		s := chart.BarSeries{Name: fmt.Sprintf("batch %d", batch), Colour: i}
		for _, who := range all {
			v := Spread{math.NaN(), math.NaN(), math.NaN()}
			for _, m := range group {
				if m.Batch == batch && m.contestant() == who {
					v = m.Ratio
					least = min(least, v.Low)
				}
			}
			s.Text = append(s.Text, digits(v.Median, 3))
			s.Values, s.Low, s.High = append(s.Values, v.Median), append(s.Low, v.Low), append(s.High, v.High)
		}
		c.Series = append(c.Series, s)
	}
	c.X.Min = chart.At(math.Pow(10, math.Floor(math.Log10(least)*2-0.01)/2)) // bars of ratio 1 have a length too
	return c.Draw()
}

// layerPlot shows the time of a training step by layer.
func layerPlot(m Measurement) *chart.Drawing {
	c := chart.Bars{
		Title:       fmt.Sprintf("Where a training step goes: %s, batch %d, %s", m.Model, m.Batch, m.Who),
		Description: "Shares of the step's time by layer.",
		X:           chart.Axis{Label: "share of the step's time", Format: percent},
		Series:      []chart.BarSeries{{Name: "forward"}, {Name: "backward", Colour: 1}, {Name: "other", Colour: 2}},
	}
	share := func(x float64) float64 {
		if x == 0 {
			return math.NaN()
		}
		return x
	}
	for _, l := range layersOf(m.Parts) {
		c.Names = append(c.Names, l.name)
		for i, v := range []float64{l.forward, l.backward, l.Share - l.forward - l.backward} {
			if v < 1e-9 {
				v = 0
			}
			c.Series[i].Values = append(c.Series[i].Values, share(v))
		}
	}
	return c.Draw()
}

// rooflinePlot shows how near parts of a step are to the machine's limits. A point's x is a part's multiply-adds for
// each byte that it must move, and its y is its multiply-adds a second. The line is the machine's limit.
func rooflinePlot(m Measurement) *chart.Drawing {
	c := chart.Lines{
		Title:       fmt.Sprintf("Roofline: %s, batch %d, %s", m.Model, m.Batch, m.Who),
		Description: "Multiply-adds a second of each part, over the multiply-adds with each byte from memory, below what the machine allows.",
		X:           chart.Axis{Label: "multiply-adds a byte", Log: true},
		Y:           chart.Axis{Label: "billion multiply-adds/s", Log: true}, Height: 340,
	}
	most, least := 0.0, math.Inf(1)
	var points []chart.Series
	for _, p := range m.Parts {
		if p.MulAdds == 0 || p.Seconds <= 0 {
			continue
		}
		x := float64(p.MulAdds) / float64(p.Bytes)
		most, least = max(most, x), min(least, x)
		y := float64(p.MulAdds) / p.Seconds / 1e9
		name := strings.Join(p.Layers, " + ")
		i := slices.IndexFunc(points, func(s chart.Series) bool { return s.Name == name })
		if i < 0 {
			i = len(points)
			points = append(points, chart.Series{Name: name, Colour: i, Dash: chart.NoLine})
		}
		s := &points[i]
		s.X, s.Y = append(s.X, x), append(s.Y, y)
		if p.Phase == net.Backward {
			s.Ring, s.RingText = len(s.X), "backward"
		}
	}
	ridge := m.Limits.MulAdds / m.Limits.Bandwidth // where both limits meet
	roof := chart.Series{Name: "the machine's limit", Colour: 7, Points: chart.NoPoints}
	for _, x := range []float64{min(least, ridge) / 2, ridge, max(most, ridge) * 2} {
		roof.X, roof.Y = append(roof.X, x), append(roof.Y, min(x*m.Limits.Bandwidth, m.Limits.MulAdds)/1e9)
	}
	c.Series = append([]chart.Series{roof}, points...)
	return c.Draw()
}
