package bench

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/gputrain/gputrain/bench/peers"
	"github.com/gputrain/gputrain/net"
)

//go:embed networks/*.json
var networks embed.FS

// suiteModels are the built-in models of the suite, for ten classes.
var suiteModels = []struct {
	name  string
	input net.Shape
}{
	{"tutorial", net.Shape{C: 1, H: 28, W: 28}},
	{"lenet5", net.Shape{C: 1, H: 28, W: 28}},
	{"mlp", net.Shape{C: 1, H: 28, W: 28}},
	{"resnet20", net.Shape{C: 3, H: 32, W: 32}},
	{"mobilenetv2", net.Shape{C: 3, H: 64, W: 64}},
	{"airbench94", net.Shape{C: 3, H: 32, W: 32}},
}

// Suite returns the networks that stand for those of many users: some built-in models, and the files in the folder
// networks of this package. Each stands for a kind of network; networks/README.md says which.
func Suite() ([]*net.Network, error) {
	var out []*net.Network
	for _, s := range suiteModels {
		m, ok := net.ModelNamed(s.name)
		if !ok {
			return nil, fmt.Errorf("BUG: the suite has no model %s", s.name)
		}
		n, err := m.Build(s.input, 10)
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	files, err := fs.Sub(networks, "networks")
	if err != nil {
		return nil, err
	}
	more, err := SuiteOf(files)
	return append(out, more...), err
}

// SuiteOf returns the networks of a folder's JSON files, in the order of the files' names. A network without a name
// gets that of its file. There must be at least one, and no two may have one name.
func SuiteOf(folder fs.FS) ([]*net.Network, error) {
	paths, err := fs.Glob(folder, "*.json")
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("there are no networks in it (*.json)")
	}
	var out []*net.Network
	for _, path := range paths {
		n, err := readNetwork(folder, path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if n.Name == "" {
			n.Name = strings.TrimSuffix(path, ".json")
		}
		if slices.ContainsFunc(out, func(o *net.Network) bool { return o.Name == n.Name }) {
			return nil, fmt.Errorf("%s: another network has the name %s too", path, n.Name)
		}
		out = append(out, n)
	}
	return out, nil
}

func readNetwork(folder fs.FS, path string) (*net.Network, error) {
	f, err := folder.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // of a file that was read
	return net.ParseNetwork(f)
}

// SuiteTable compares all networks of a suite in one mode.
type SuiteTable struct {
	Mode    peers.Mode    `json:"mode"`
	Columns []SuiteColumn `json:"columns"`
	Rows    []SuiteRow    `json:"rows"`
}

// SuiteColumn tells of what a column of a suite's table is: a mini-batch size, and a peer or another device.
type SuiteColumn struct {
	Batch   int    `json:"batch"`
	Who     string `json:"who"`
	Threads int    `json:"threads,omitempty"`
}

// SuiteRow is a network's row in a suite's table.
type SuiteRow struct {
	Model string `json:"model"`
	// Ratios has for each column the median of its time over gputrain's, turn by turn. It is nil where nothing was
	// timed; the report's notes tell why.
	Ratios []*float64 `json:"ratios"`
}

// suiteTables makes the tables of a suite, a table a mode, from what was measured. Networks that were not timed at all
// have rows too.
func (r *Report) suiteTables(models []string) []SuiteTable {
	var out []SuiteTable
	for _, mode := range []peers.Mode{peers.Train, peers.Infer} {
		t := SuiteTable{Mode: mode}
		for _, m := range r.Measurements {
			c := SuiteColumn{m.Batch, m.Who, m.Threads}
			if m.Mode == mode && m.Timed() && !m.isBaseline() && !slices.Contains(t.Columns, c) {
				t.Columns = append(t.Columns, c)
			}
		}
		if len(t.Columns) == 0 {
			continue
		}
		place := map[string]int{} // of the contestants, in the order in which they were first measured
		for _, c := range t.Columns {
			if _, ok := place[c.Who]; !ok {
				place[c.Who] = len(place)
			}
		}
		slices.SortStableFunc(t.Columns, func(a, b SuiteColumn) int {
			if a.Batch != b.Batch {
				return a.Batch - b.Batch
			}
			if a.Threads != b.Threads {
				return b.Threads - a.Threads
			}
			return place[a.Who] - place[b.Who]
		})
		for _, model := range models {
			row := SuiteRow{Model: model, Ratios: make([]*float64, len(t.Columns))}
			for _, m := range r.Measurements {
				if i := slices.Index(t.Columns, SuiteColumn{m.Batch, m.Who, m.Threads}); i >= 0 && m.Model == model && m.Mode == mode && m.Timed() {
					row.Ratios[i] = &m.Ratio.Median
				}
			}
			t.Rows = append(t.Rows, row)
		}
		out = append(out, t)
	}
	return out
}

// isBaseline reports whether others are compared with a measurement.
func (m Measurement) isBaseline() bool { return !m.Peer && m.Baseline == m.Who }

// tables returns the table as text, divided into one for each mini-batch size. A dash stands where nothing was timed.
func (s SuiteTable) tables() []Table {
	mode := "Training"
	if s.Mode == peers.Infer {
		mode = "Inference"
	}
	several := slices.ContainsFunc(s.Columns, func(c SuiteColumn) bool { return c.Threads > 0 && c.Threads != s.Columns[0].Threads })
	var out []Table
	for first := 0; first < len(s.Columns); {
		batch := s.Columns[first].Batch
		end := first
		t := Table{Title: fmt.Sprintf("%s, batch %d: time over gputrain's", mode, batch), Align: "l", Head: []string{"Network"}}
		for ; end < len(s.Columns) && s.Columns[end].Batch == batch; end++ {
			c := s.Columns[end]
			head := c.Who
			if several && c.Threads > 0 {
				head += fmt.Sprintf(" x%d", c.Threads)
			}
			t.Align += "r"
			t.Head = append(t.Head, head)
		}
		for _, row := range s.Rows {
			cells := []string{row.Model}
			for _, ratio := range row.Ratios[first:end] {
				if ratio == nil {
					cells = append(cells, "-")
				} else {
					cells = append(cells, digits(*ratio, 3))
				}
			}
			t.add(cells...)
		}
		out = append(out, t)
		first = end
	}
	return out
}
