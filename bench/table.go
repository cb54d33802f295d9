package bench

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gputrain/gputrain/bench/peers"
	"github.com/gputrain/gputrain/net"
)

// Table is one table of a report, as text.
type Table struct {
	Title string
	Align string // a letter for each column: l (left) or r (right)
	Head  []string
	Rows  [][]string
}

func (t *Table) add(cells ...string) { t.Rows = append(t.Rows, cells) }

// Tables returns the report as tables: throughput by model and mode, where the time of training steps goes, what was
// checked and how much memory it took, and what a simulated device counts. Of a suite there is a table for each mode
// and mini-batch size instead, with a row for each network.
func (r *Report) Tables() []Table {
	var out []Table
	if len(r.Suite) > 0 {
		for _, s := range r.Suite {
			out = append(out, s.tables()...)
		}
		return out
	}
	add := func(t Table) {
		if len(t.Rows) > 0 {
			out = append(out, t)
		}
	}
	for _, group := range r.groups() {
		add(throughputTable(group))
	}
	for _, m := range r.profiled() {
		add(partTable(m))
	}
	add(checkTable(r.Measurements))
	for _, m := range r.Measurements {
		add(countTable(m))
	}
	return out
}

// groups returns the measurements grouped by model and mode, in their order.
func (r *Report) groups() [][]Measurement {
	var out [][]Measurement
	for i, m := range r.Measurements {
		if before := r.Measurements[max(i-1, 0)]; i == 0 || m.Model != before.Model || m.Mode != before.Mode {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], m)
	}
	return out
}

// profiled returns measurements with parts, one for each model and device. It takes the one with the most threads and,
// among these, the smallest mini-batch.
func (r *Report) profiled() []Measurement {
	var out []Measurement
	for _, m := range r.Measurements {
		if len(m.Parts) == 0 {
			continue
		}
		at := slices.IndexFunc(out, func(o Measurement) bool { return o.Model == m.Model && o.Who == m.Who })
		switch {
		case at < 0:
			out = append(out, m)
		case m.Threads > out[at].Threads || m.Threads == out[at].Threads && m.Batch < out[at].Batch:
			out[at] = m
		}
	}
	return out
}

// heading begins a sentence about works.
func (m Measurement) heading() string {
	return strings.ToUpper(m.activity()[:1]) + m.activity()[1:] + ", " + m.Model
}

// name returns the name and, for a peer, its version.
func (m Measurement) name() string { return strings.TrimSpace(m.Who + " " + m.Version) }

func (m Measurement) threadCell() string {
	if m.Threads == 0 {
		return ""
	}
	return strconv.Itoa(m.Threads)
}

// batchCell returns the mini-batch size, or "" if the row before has the same work.
func batchCell(before []Measurement, m Measurement) string {
	if n := len(before); n > 0 && before[n-1].Work == m.Work {
		return ""
	}
	return strconv.Itoa(m.Batch)
}

func throughputTable(group []Measurement) Table {
	t := Table{Title: group[0].heading(), Align: "rlrrrrrr",
		Head: []string{"Batch", "On", "Threads", "A batch", "4 of 5 within", "Images/s", "Time ratio", "Of peak"}}
	for i, m := range group {
		if !m.Timed() {
			t.add(batchCell(group[:i], m), m.name(), m.threadCell(), "simulated", "", "", "", "")
			continue
		}
		share := ""
		if m.Share > 0 {
			share = percent(m.Share)
		}
		t.add(batchCell(group[:i], m), m.name(), m.threadCell(), seconds(m.Time.Median), within(m.Time), rate(m.Images.Median), ratioCell(group, m), share)
	}
	if !slices.ContainsFunc(group, compared) {
		t.drop(slices.Index(t.Head, "Time ratio"))
	}
	return t
}

// compared reports whether a measurement has a time ratio to another's. That of a baseline to itself is 1.
func compared(m Measurement) bool { return m.Timed() && m.Ratio.Median != 1 }

// drop removes a column.
func (t *Table) drop(column int) {
	t.Align = t.Align[:column] + t.Align[column+1:]
	t.Head = slices.Delete(t.Head, column, column+1)
	for i, row := range t.Rows {
		t.Rows[i] = slices.Delete(row, column, column+1)
	}
}

// otherBaseline returns the baseline of a measurement, or "" if the group's first row has the same one.
func otherBaseline(group []Measurement, m Measurement) string {
	at := slices.IndexFunc(group, Measurement.Timed)
	if at < 0 || !m.Timed() || m.Baseline == group[at].Baseline {
		return ""
	}
	return m.Baseline
}

// ratioCell returns the time ratio. It names the baseline if the group's first row has another one.
func ratioCell(group []Measurement, m Measurement) string {
	text := digits(m.Ratio.Median, 3)
	if of := otherBaseline(group, m); of != "" {
		text += " of " + of
	}
	return text
}

// partTable shows a training step by layer and phase.
func partTable(m Measurement) Table {
	t := Table{Title: fmt.Sprintf("Where a training step goes: %s, batch %d, %s", m.Model, m.Batch, m.Settings), Align: "lrrrrr",
		Head: []string{"Layer", "Forward", "Backward", "All", "Multiply-adds", "Of peak"}}
	for _, l := range layersOf(m.Parts) {
		adds, peak := "", ""
		if l.MulAdds > 0 {
			adds = rate(float64(l.MulAdds)/1e6) + " M"
			if m.Limits != nil {
				peak = percent(float64(l.MulAdds) / l.Seconds / m.Limits.MulAdds)
			}
		}
		t.add(l.name, sharePart(l.forward), sharePart(l.backward), percent(l.Share), adds, peak)
	}
	return t
}

func sharePart(x float64) string {
	if x == 0 {
		return ""
	}
	return percent(x)
}

// layer holds the parts of one layer, of several layers that are computed as one, or of a phase that belongs to no
// layer.
type layer struct {
	name              string
	forward, backward float64 // shares of the step
	PartTime
}

// layersOf joins the parts of each layer, in the order of the network.
func layersOf(parts []PartTime) []layer {
	var out []layer
	for _, p := range parts {
		name := strings.Join(p.Layers, " + ")
		switch p.Phase {
		case net.Gather:
			name = "gathering samples"
		case net.Loss:
			name = "loss"
		case net.Update:
			name = "update"
		}
		at := slices.IndexFunc(out, func(l layer) bool { return l.name == name })
		if at < 0 {
			at = len(out)
			out = append(out, layer{name: name})
		}
		l := &out[at]
		switch p.Phase {
		case net.Forward:
			l.forward += p.Share
		case net.Backward:
			l.backward += p.Share
		}
		l.Share += p.Share
		l.Seconds += p.Seconds
		l.MulAdds += p.MulAdds
	}
	return out
}

func checkTable(all []Measurement) Table {
	t := Table{Title: "What was checked before, and memory", Align: "lrlrrrrr",
		Head: []string{"Work", "Batch", "On", "Threads", "Differs by", "At most", "Memory", "Allocations"}}
	for i, m := range all {
		work := m.heading()
		if i > 0 && all[i-1].Model == m.Model && all[i-1].Mode == m.Mode {
			work = ""
		}
		allocations := strconv.FormatUint(m.Allocations, 10)
		if m.Peer {
			allocations = ""
		}
		memory := ""
		if m.PeakRSS > 0 {
			memory = megabytes(m.PeakRSS)
		}
		if m.DeviceMemory > 0 {
			memory += " + " + megabytes(m.DeviceMemory) + " on it"
		}
		t.add(work, batchCell(all[:i], m), m.name(), m.threadCell(), fmt.Sprintf("%.1e", m.Check.Distance), fmt.Sprintf("%.0e", m.Check.Tolerance), memory, allocations)
	}
	return t
}

func countTable(m Measurement) Table {
	t := Table{Title: fmt.Sprintf("%s, batch %d, %s: counts, because %s", m.heading(), m.Batch, m.Settings, m.Simulated), Align: "lr", Head: []string{"What", "Count"}}
	for _, c := range m.Counts {
		t.add(c.What, rate(float64(c.N)))
	}
	return t
}

// Legend explains the tables' columns, a sentence or two each.
func (r *Report) Legend() []string {
	if len(r.Suite) > 0 {
		return []string{"A column is who computes. A cell is its time over gputrain's, turn by turn (the median): above 1, gputrain is faster. A dash: not timed; the notes tell why."}
	}
	out := []string{"4 of 5 within: four of five repeats took a time in this range."}
	if slices.ContainsFunc(r.Measurements, compared) {
		ratio := "Time ratio: the time over that of the baseline (ratio 1), repeat by repeat; above 1 is slower."
		for _, group := range r.groups() {
			if i := slices.IndexFunc(group, func(m Measurement) bool { return otherBaseline(group, m) != "" }); i >= 0 {
				ratio += fmt.Sprintf(" %q is over %s's time, beside which it was timed.", ratioCell(group, group[i]), group[i].Baseline)
				break
			}
		}
		out = append(out, ratio)
	}
	if slices.ContainsFunc(r.Measurements, func(m Measurement) bool { return m.Share > 0 }) {
		out = append(out, "Of peak: multiply-adds a second, without padding's, of those that the machine does on registers alone, measured in this run. A device that saves products (Winograd's convolutions, zeros behind pooling) may come beyond 100 %.")
	}
	out = append(out, "Differs by: the greatest difference from the reference before anything was timed; of a peer, of its losses from gputrain's.")
	if slices.ContainsFunc(r.Measurements, func(m Measurement) bool { return m.PeakRSS > 0 }) {
		out = append(out, "Memory: the peak of a process that does this alone. Allocations: of Go memory, a batch.")
	}
	return out
}

// Facts returns the circumstances of the run, as pairs of a name and a value.
func (r *Report) Facts() [][2]string {
	out := r.Machine.facts()
	seen := map[string]bool{}
	for _, x := range r.Measurements {
		key := x.name() + x.Settings
		if seen[key] {
			continue
		}
		seen[key] = true
		if text := x.Settings; x.Limits != nil && !x.Peer {
			out = append(out, [2]string{x.Who, fmt.Sprintf("%s; at most %s billion multiply-adds/s, %s GB/s", text, digits(x.Limits.MulAdds/1e9, 3), digits(x.Limits.Bandwidth/1e9, 3))})
		} else if text != "" {
			out = append(out, [2]string{x.name(), text})
		}
	}
	for _, n := range r.Notes {
		out = append(out, [2]string{"Note", n})
	}
	return out
}

// facts returns where and when a run took place.
func (m Machine) facts() [][2]string {
	cpu := "1 CPU"
	if m.CPUs != 1 {
		cpu = fmt.Sprintf("%d CPUs", m.CPUs)
	}
	if m.CPU != "" {
		cpu = fmt.Sprintf("%s, %s", m.CPU, cpu)
	}
	return [][2]string{{"Machine", cpu + ", " + m.Place}, {"Program", fmt.Sprintf("gputrain %s, %s", m.Program, m.Go)}, {"Date", m.Date.Format(time.DateOnly + " 15:04 MST")}}
}

// firstLine cuts an error's text to one line.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// scaleOf returns the unit for a time, and the factor for seconds.
func scaleOf(s float64) (unit string, times float64) {
	switch {
	case s >= 1:
		return "s", 1
	case s >= 1e-3:
		return "ms", 1e3
	}
	return "µs", 1e6
}

func seconds(s float64) string {
	unit, times := scaleOf(s)
	return digits(s*times, 3) + " " + unit
}

func within(s Spread) string {
	unit, times := scaleOf(s.Median)
	return digits(s.Low*times, 3) + " to " + digits(s.High*times, 3) + " " + unit
}

// digits writes a number with n significant digits. It always writes all digits before the point.
func digits(x float64, n int) string {
	if x == 0 || math.IsNaN(x) || math.IsInf(x, 0) {
		return strconv.FormatFloat(x, 'f', -1, 64)
	}
	after := max(0, n-1-int(math.Floor(math.Log10(math.Abs(x)))))
	return strconv.FormatFloat(x, 'f', min(after, 6), 64)
}

// rate writes a number with commas between thousands, and at least three digits.
func rate(x float64) string {
	if x < 1000 {
		return digits(x, 3)
	}
	s := strconv.FormatFloat(x, 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func percent(share float64) string {
	if share < 0.1 {
		return fmt.Sprintf("%.1f %%", 100*share)
	}
	return fmt.Sprintf("%.0f %%", 100*share)
}

func megabytes(n int64) string { return fmt.Sprintf("%.0f MB", float64(n)/1e6) }

// trains reports whether a measurement is of training.
func (m Measurement) trains() bool { return m.Mode == peers.Train }
