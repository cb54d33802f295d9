package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/gputrain/gputrain/bench/peers"
	"github.com/gputrain/gputrain/net"
)

func TestSuite(t *testing.T) {
	all, err := Suite()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join("networks", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range all {
		plan, err := n.Plan()
		if err != nil {
			t.Fatalf("%s: %v", n.Name, err)
		}
		if plan.Classes != 10 {
			t.Errorf("%s tells %d classes apart", n.Name, plan.Classes)
		}
		if !strings.Contains(string(page), "`"+n.Name+"`") {
			t.Errorf("networks/README.md lacks %s", n.Name)
		}
	}
	files, err := filepath.Glob(filepath.Join("networks", "*.json"))
	if err != nil || len(files) == 0 || len(all) != len(suiteModels)+len(files) {
		t.Errorf("%d networks, %d files, %v", len(all), len(files), err)
	}
}

func TestSuiteOfAFolder(t *testing.T) {
	file := func(name string) *fstest.MapFile {
		return &fstest.MapFile{Data: fmt.Appendf(nil, `{%s "input": {"channels": 1, "height": 1, "width": 2}, "layers": [{"type": "flatten"}, {"type": "dense", "units": 2}]}`, name)}
	}
	all, err := SuiteOf(fstest.MapFS{"b.json": file(""), "a.json": file(`"name": "first",`), "a.txt": file("")})
	if err != nil || len(all) != 2 || all[0].Name != "first" || all[1].Name != "b" {
		t.Errorf("read %v, %v", all, err)
	}
	for want, folder := range map[string]fstest.MapFS{
		"no networks": {"a.txt": file("")},
		"b.json":      {"b.json": {Data: []byte("{")}},
		"the name b":  {"a.json": file(`"name": "b",`), "b.json": file("")},
	} {
		if _, err := SuiteOf(folder); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one that says %q", err, want)
		}
	}
}

// TestSuiteOfManyNetworks measures two networks with fake peers, of which the second has another shape than the data, and dropout
// and batch normalisation.
func TestSuiteOfManyNetworks(t *testing.T) {
	c := withPeers(t, device{})
	other := &net.Network{Name: "other", Input: net.Shape{C: 2, H: 3, W: 3}, Layers: []net.Layer{
		&net.Conv{Filters: 3, Kernel: net.Square(2)}, &net.BatchNorm{}, &net.Dropout{Rate: 0.5}, &net.Flatten{}, &net.Dense{Units: 3}}}
	c.Networks, c.Infer, c.Suite, c.Random = append(c.Networks, other), []int{2}, true, true
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Suite) != 1 { // the fake peers' losses are those of training
		t.Fatalf("tables %+v, notes %q", r.Suite, r.Notes)
	}
	s := r.Suite[0]
	if s.Mode != peers.Train || !slices.Equal(s.Columns, []SuiteColumn{{1, "tensorflow", 1}}) || len(s.Rows) != 2 {
		t.Fatalf("table %+v", s)
	}
	if s.Rows[0].Ratios[0] == nil || *s.Rows[0].Ratios[0] <= 0 || s.Rows[1].Model != "other" || s.Rows[1].Ratios[0] != nil {
		t.Errorf("rows %+v", s.Rows)
	}
	text := tablesText(r)
	for _, want := range []string{"Training, batch 1: time over gputrain's [Network tensorflow]", "other|-"} {
		if !strings.Contains(text, want) {
			t.Errorf("the tables lack %q:\n%s", want, text)
		}
	}
	if notes := strings.Join(r.Notes, "\n"); !strings.Contains(notes, "other is timed without its dropout") {
		t.Errorf("the notes are silent on dropout: %s", notes)
	}
	if d := other.Layers[2].(*net.Dropout); d.Rate != 0.5 {
		t.Errorf("the caller's network has a dropout rate of %v now", d.Rate)
	}
	var page strings.Builder
	if err := r.WriteHTML(&page); err != nil || !strings.Contains(page.String(), "<td>other</td><td class=\"number\">-</td>") {
		t.Errorf("the page lacks the table: %v", err)
	}
}

// TestSuiteTables divides a table by mini-batch size.
func TestSuiteTables(t *testing.T) {
	ratios := []float64{1.5, 2.25, 0.5}
	s := SuiteTable{Mode: peers.Infer, Columns: []SuiteColumn{{1, "jax", 2}, {50, "jax", 2}, {50, "torch", 2}},
		Rows: []SuiteRow{{"a", []*float64{&ratios[0], &ratios[1], nil}}, {"b", []*float64{nil, nil, &ratios[2]}}}}
	want := []Table{
		{"Inference, batch 1: time over gputrain's", "lr", []string{"Network", "jax"}, [][]string{{"a", "1.50"}, {"b", "-"}}},
		{"Inference, batch 50: time over gputrain's", "lrr", []string{"Network", "jax", "torch"}, [][]string{{"a", "2.25", "-"}, {"b", "-", "0.500"}}},
	}
	if got := s.tables(); !reflect.DeepEqual(got, want) {
		t.Errorf("tables %+v, want %+v", got, want)
	}
}

// TestPeersKeepToATier wants the notes to tell which peers keep to AVX2.
func TestPeersKeepToATier(t *testing.T) {
	c := withPeers(t, device{})
	c.Subjects[0].Tier = "avx2"
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	notes := strings.Join(r.Notes, "\n")
	for _, want := range []string{"Limited to AVX2, as gputrain is here: tensorflow.", "Not limited to AVX2, since there is no setting for it: jax."} {
		if !strings.Contains(notes, want) {
			t.Errorf("the notes lack %q: %s", want, notes)
		}
	}
}

// TestRandomSamples wants the same samples for the same seed alone.
func TestRandomSamples(t *testing.T) {
	plan, err := small(device{}).Networks[0].Plan()
	if err != nil {
		t.Fatal(err)
	}
	a, b, other := randomSamples(plan, 1, 50), randomSamples(plan, 1, 50), randomSamples(plan, 2, 50)
	if !slices.Equal(a.Pixels, b.Pixels) || !slices.Equal(a.Labels, b.Labels) || slices.Equal(a.Pixels, other.Pixels) || slices.Equal(a.Labels, other.Labels) {
		t.Error("the seed doesn't decide the samples")
	}
	if len(a.Pixels) != 50*36 || slices.Max(a.Labels) != 3 || slices.Min(a.Labels) != 0 || !fits(a, plan) {
		t.Errorf("%d bytes, labels %v", len(a.Pixels), a.Labels)
	}
}

// TestCalibration wants running statistics with which the normalised values have mean 0 and variance 1.
func TestCalibration(t *testing.T) {
	c := small(device{})
	c.Networks[0].Layers = slices.Insert(c.Networks[0].Layers, 1, net.Layer(&net.BatchNorm{Name: "norm"}))
	c.Train = nil
	r, err := Run(t.Context(), c)
	if err != nil || len(r.Measurements) != 2 {
		t.Fatalf("%d measurements, %v", len(r.Measurements), err)
	}
	plan, err := c.Networks[0].Plan()
	if err != nil {
		t.Fatal(err)
	}
	j, err := newJob(Work{Mode: peers.Infer, Batch: 4}, plan, c.Data, c)
	if err != nil {
		t.Fatal(err)
	}
	if !j.calibrated() {
		t.Fatal("a network with batch normalisation isn't calibrated")
	}
	if err := j.calibrate(c.Subjects[0].Device, c.Data); err != nil {
		t.Fatal(err)
	}
	for i, v := range j.state.Params["norm.running_var"].Float32s() {
		if mean := j.state.Params["norm.running_mean"].Float32s()[i]; v == 1 || mean == 0 || !(v > 0) {
			t.Errorf("channel %d has mean %v and variance %v", i, mean, v)
		}
	}
	first := net.InitialState(plan, c.Seed, c.Data)
	if !j.state.Params["conv1.weight"].Eq(first.Params["conv1.weight"]) {
		t.Error("calibration changes weights")
	}
}
