package bench

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/bench/peers"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// device is the reference with a fault, or without.
type device struct {
	net.Device
	options func(*net.Options)  // changes how it is compiled
	state   func(*net.State)    // changes its initial weights
	infer   func(*tensor.Dense) // changes probabilities
	steps   *int                // counts updates
	forgets int                 // how many of a mini-batch's last images it leaves out
}

// limits are those of every device here.
var limits = net.Limits{MulAdds: 1e9, Bandwidth: 1e10}

func (d device) Name() string                { return "fake" }
func (d device) Limits() (net.Limits, error) { return limits, nil }

type program struct {
	net.Program
	d device
}

func (d device) Compile(n *net.Network, o net.Options) (net.Program, error) {
	if d.options != nil {
		d.options(&o)
	}
	p, err := d.Device.Compile(n, o)
	if err != nil {
		return nil, err
	}
	if d.state != nil {
		s, err := p.State()
		if err != nil {
			return nil, err
		}
		d.state(&s)
		if err := p.SetState(s); err != nil {
			return nil, err
		}
	}
	return program{p, d}, nil
}

func (p program) Step(b net.Batch) error {
	if p.d.steps != nil {
		*p.d.steps++
	}
	b.Indices = b.Indices[:len(b.Indices)-p.d.forgets]
	return p.Program.Step(b)
}

// Update is for updates from several mini-batches; Step has its own.
func (p program) Update() error {
	if p.d.steps != nil {
		*p.d.steps++
	}
	return p.Program.Update()
}

func (p program) Infer(b net.Batch) (*tensor.Dense, error) {
	t, err := p.Program.Infer(b)
	if err == nil && p.d.infer != nil {
		p.d.infer(t)
	}
	return t, err
}

func (program) ProfileStep(net.Batch) ([]net.Part, error) {
	return []net.Part{
		{Phase: net.Gather, Time: time.Millisecond}, {Phase: net.Forward, Layers: []int{0, 1}, Time: 2 * time.Millisecond},
		{Phase: net.Backward, Layers: []int{0, 1}, Time: 5 * time.Millisecond}, {Phase: net.Update, Time: 2 * time.Millisecond},
	}, nil
}

// small is a configuration that takes little time.
func small(subjects ...device) Config {
	n := &net.Network{Name: "small", Input: net.Shape{C: 1, H: 6, W: 6}, Layers: []net.Layer{
		&net.Conv{Name: "conv1", Filters: 3, Kernel: net.Square(3)}, &net.Activation{Name: "relu1", Func: net.ReLU}, &net.Flatten{Name: "flatten"}, &net.Dense{Name: "dense1", Units: 4}}}
	data := &net.Dataset{Name: "noise", Shape: n.Input, Classes: 4, Scale: 1. / 255, Pixels: make([]uint8, 40*36), Labels: make([]int32, 40)}
	for i := range data.Pixels {
		data.Pixels[i] = uint8(i * i * 31)
	}
	for i := range data.Labels {
		data.Labels[i] = int32(i % 4)
	}
	c := Config{Networks: []*net.Network{n}, Train: []int{4}, Infer: []int{1, 5}, Optimizer: net.AdamDefault(1e-3), Seed: 1, Data: data,
		Repeats: 4, Least: time.Millisecond, Machine: Machine{CPUs: 2, Place: "here", Go: "go1", Program: "test"}}
	for i, d := range subjects {
		d.Device = reference.New()
		c.Subjects = append(c.Subjects, Subject{Name: fmt.Sprintf("device%d", i), Device: d, Threads: i + 1})
	}
	return c
}

func TestRun(t *testing.T) {
	inference := map[int]bool{} // by batch
	c := small(device{}, device{options: func(o *net.Options) { inference[o.Batch] = o.Inference }})
	var last Progress
	c.Progress = func(p Progress) {
		if p.Done < last.Done || p.Done > p.Total {
			t.Errorf("progress %d of %d after %d", p.Done, p.Total, last.Done)
		}
		last = p
	}
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if want := map[int]bool{4: false, 1: true, 5: true}; !maps.Equal(inference, want) {
		t.Errorf("programs for inference alone by batch: %v, want %v", inference, want)
	}
	if last.Done != last.Total {
		t.Errorf("ended at %d of %d", last.Done, last.Total)
	}
	if len(r.Measurements) != 6 || r.Interrupted {
		t.Fatalf("%d measurements, interrupted: %v", len(r.Measurements), r.Interrupted)
	}
	for i, m := range r.Measurements {
		if m.Batch != []int{4, 1, 5}[i/2] || m.trains() != (i < 2) || m.Who != c.Subjects[i%2].Name || len(m.Seconds) < 3 || len(m.Seconds) > 4 || m.Batches < 1 {
			t.Errorf("measurement %d is %+v", i, m)
		}
		if m.Time != spreadOf(m.Seconds) || m.Images != m.Time.per(float64(m.Batch)) || !(m.Time.Low > 0) {
			t.Errorf("measurement %d: time %v, images/s %v of %v", i, m.Time, m.Images, m.Seconds)
		}
		if m.Ratio != (Spread{1, 1, 1}) {
			t.Errorf("measurement %d has the ratio %v to itself", i, m.Ratio)
		}
		if m.Check.Against != "reference" || m.Check.Distance != 0 {
			t.Errorf("measurement %d: the reference differs from itself: %+v", i, m.Check)
		}
		if m.Share != float64(m.MulAdds)/m.Time.Median/limits.MulAdds {
			t.Errorf("measurement %d has a share of the peak of %v", i, m.Share)
		}
		if m.trains() != (len(m.Parts) == 4) {
			t.Errorf("measurement %d has the parts %+v", i, m.Parts)
		}
	}
	if p := r.Measurements[0].Parts[2]; p.Share != 0.5 || fmt.Sprint(p.Layers) != "[conv1 relu1]" || p.MulAdds != 4*16*9*3 {
		t.Errorf("conv1's backward part is %+v", p)
	}
}

// TestWrongDevicesAreNotTimed breaks devices in ways that a loss or a probability shows.
func TestWrongDevicesAreNotTimed(t *testing.T) {
	nan := func(s *net.State) { s.Params["dense1.bias"].Float32s()[0] /= 0 }
	for name, d := range map[string]device{
		"learns at another rate": {options: func(o *net.Options) { o.Optimizer.LearningRate *= 1.5 }},
		"another first moment":   {options: func(o *net.Options) { o.Optimizer.Beta1 = 0.8 }},
		"other weights":          {state: func(s *net.State) { s.Params["conv1.weight"].Float32s()[0] += 0.01 }},
		"a NaN":                  {state: nan},
		"classes exchanged": {infer: func(p *tensor.Dense) {
			v := p.Float32s()
			v[len(v)-1], v[len(v)-2] = v[len(v)-2], v[len(v)-1]
		}},
		"probabilities that are no numbers": {infer: func(p *tensor.Dense) { p.Float32s()[0] -= p.Float32s()[0] / 0 * 0 }},
	} {
		t.Run(name, func(t *testing.T) {
			steps := 0
			d.steps = &steps
			r, err := Run(t.Context(), small(d))
			if !errors.Is(err, ErrWrong) || !strings.Contains(err.Error(), "fake") {
				t.Errorf("error %v, want ErrWrong", err)
			}
			if len(r.Measurements) > 0 || steps > checkSteps*(shakes+2)+16 { // those of the memory's measurement, of what trains right
				t.Errorf("%d measurements after %d steps", len(r.Measurements), steps)
			}
		})
	}
}

// TestRoundingMayDecide has a network whose values lie exactly at a ReLU's kink: its images are black. A device whose rounding
// makes them a little larger learns other weights, and is not wrong. A rate that is wrong still shows.
func TestRoundingMayDecide(t *testing.T) {
	rounds := func(s *net.State) { s.Params["conv1.bias"].Float32s()[0] += 1e-9 }
	for _, c := range []struct {
		device device
		wrong  bool
	}{
		{device{state: rounds}, false},
		{device{state: rounds, options: func(o *net.Options) { o.Optimizer.LearningRate *= 10 }}, true},
	} {
		config := small(c.device)
		config.Infer, config.Optimizer.LearningRate = nil, 0.1
		clear(config.Data.Pixels)
		r, err := Run(t.Context(), config)
		if errors.Is(err, ErrWrong) != c.wrong {
			t.Errorf("error %v, want one: %v", err, c.wrong)
		}
		if c.wrong {
			continue
		}
		if check := r.Measurements[0].Check; check.Distance <= checkTolerance || check.Tolerance < check.Distance {
			t.Errorf("the kink does nothing here: differs by %g, at most %g", check.Distance, check.Tolerance)
		}
	}
}

// TestLargeBatchesAreCheckedWhole wants every image of a large mini-batch to count in the check, though the reference sees few.
func TestLargeBatchesAreCheckedWhole(t *testing.T) {
	large := func(d device) Config {
		c := small(d)
		c.Train, c.Infer = []int{40}, nil
		return c
	}
	r, err := Run(t.Context(), large(device{}))
	if err != nil {
		t.Fatal(err)
	}
	// Both are the reference, whose weights are rounded to float32 after each step; the sums have 40 and 8 terms.
	if c := r.Measurements[0].Check; !(c.Distance < 1e-7) || !strings.Contains(c.What, "8 images, each 5 times") {
		t.Errorf("checked %+v", c)
	}
	if _, err := Run(t.Context(), large(device{forgets: 1})); !errors.Is(err, ErrWrong) {
		t.Errorf("a device that leaves out an image: error %v, want ErrWrong", err)
	}
}

func TestDifferentImagesOfACheck(t *testing.T) {
	n := small(device{}).Networks[0]
	withDropout := *n
	withDropout.Layers = append(slices.Clone(n.Layers), &net.Dropout{Rate: 0.5})
	for batch, want := range map[int]int{1: 1, 3: 3, 8: 8, 9: 9, 12: 6, 17: 17, 34: 34, 50: 5, 100: 5, 128: 8, 1000: 8, 1024: 8, 1006: 1006} {
		for network, want := range map[*net.Network]int{n: want, &withDropout: batch} {
			plan, err := network.Plan()
			if err != nil {
				t.Fatal(err)
			}
			j := job{Work: Work{Batch: batch}, plan: plan}
			if got := j.different(); got != want {
				t.Errorf("batch %d of %d layers: %d different images, want %d", batch, len(network.Layers), got, want)
			}
		}
	}
}

func TestSimulatedDevicesAreCounted(t *testing.T) {
	c := small(device{}, device{})
	c.Subjects[1].Simulated = "it is a toy"
	c.Subjects[1].Inspect = func(net.Program) (int64, []Count) { return 12e6, []Count{{"nodes", 7}} }
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range r.Measurements {
		if simulated := i%2 == 1; m.Timed() == simulated || (m.Simulated != "") != simulated || (m.DeviceMemory > 0) != simulated || (len(m.Counts) > 0) != simulated {
			t.Errorf("measurement %d is %+v", i, m)
		}
	}
	text := tablesText(r)
	for _, want := range []string{"simulated", "counts, because it is a toy", "kernels and library calls a step", "12 MB on it"} {
		if !strings.Contains(text, want) {
			t.Errorf("the tables lack %q:\n%s", want, text)
		}
	}
}

func tablesText(r *Report) string {
	var b strings.Builder
	for _, table := range r.Tables() {
		fmt.Fprintln(&b, table.Title, table.Head)
		for _, row := range table.Rows {
			fmt.Fprintln(&b, strings.Join(row, "|"))
		}
	}
	return b.String()
}

func TestInterruptedRunKeepsWhatItHas(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := small(device{})
	c.Least = 20 * time.Millisecond // so that no batch takes four times as long, and has fewer repeats, where the machine is busy
	c.Progress = func(p Progress) {
		if strings.Contains(p.What, "batch 5") && p.Done == p.Total-1 { // all repeats of it but the last have run
			cancel()
		}
	}
	r, err := Run(ctx, c)
	if !errors.Is(err, context.Canceled) || !r.Interrupted {
		t.Fatalf("error %v, interrupted: %v", err, r.Interrupted)
	}
	if r.Measurements[0].Share == 0 {
		t.Error("an interrupted run lacks the share of the peak")
	}
	if len(r.Measurements) != 3 || len(r.Measurements[2].Seconds) < fewest || len(r.Measurements[2].Seconds) > 3 {
		t.Errorf("kept %+v", r.Measurements)
	}
}

func TestRunRefusesWhatDoesNotFit(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"shape":   func(c *Config) { c.Data.Shape.H = 7 },
		"classes": func(c *Config) { c.Data.Classes = 5 },
		"batch":   func(c *Config) { c.Train = []int{41} },
	} {
		c := small(device{})
		change(&c)
		if r, err := Run(t.Context(), c); err == nil || len(r.Measurements) > 0 {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestOutputs(t *testing.T) {
	c := small(device{}, device{}, device{})
	c.Subjects[2].Simulated = "it is a toy <script>"
	c.Networks[0].Name = "small & <b>other</b>"
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	r.Notes = append(r.Notes, "a <note>")

	var again Report
	asJSON, err := json.Marshal(r)
	if err == nil {
		err = json.Unmarshal(asJSON, &again)
	}
	if err != nil {
		t.Fatal(err)
	}
	if twice, err := json.Marshal(again); err != nil || string(twice) != string(asJSON) {
		t.Errorf("JSON changes when it is read: %v\n%s\n%s", err, asJSON, twice)
	}

	var b strings.Builder
	if err := r.WriteCSV(&b); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(b.String())).ReadAll()
	if err != nil || len(rows) != 1+len(r.Measurements) {
		t.Fatalf("CSV has %d rows, error %v:\n%s", len(rows), err, b.String())
	}
	column := func(row []string, name string) string { return row[slices.Index(csvHead, name)] }
	for i, row := range rows[1:] {
		m := r.Measurements[i]
		if column(row, "on") != m.Who || column(row, "batch") != fmt.Sprint(m.Batch) || column(row, "model") != m.Model || (column(row, "seconds_median") == "") != (m.Simulated != "") {
			t.Errorf("row %d is %v", i+1, row)
		}
	}

	b.Reset()
	if err := r.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	if m := regexp.MustCompile(`(?i)<script|url\(|@import|<link|(src|href)=|<note>|<b>`).FindString(b.String()); m != "" {
		t.Errorf("the page has %s", m)
	}
	if m := regexp.MustCompile(`https?://[^"]*`).FindAllString(strings.ReplaceAll(b.String(), "http://www.w3.org/2000/svg", ""), -1); m != nil {
		t.Errorf("the page has %v", m)
	}
	elements := map[string]int{}
	decoder := xml.NewDecoder(strings.NewReader(b.String()))
	decoder.Strict, decoder.AutoClose, decoder.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("the page can't be read: %v", err)
		}
		if e, ok := token.(xml.StartElement); ok {
			elements[e.Name.Local]++
		}
	}
	// Throughput and ratio of both modes; layers and roofline of two devices.
	if elements["svg"] != 8 || elements["html"] != 1 || elements["table"] < 6 {
		t.Errorf("the page has %v", elements)
	}
	var names []string
	for _, p := range r.Plots() {
		names = append(names, p.Name)
		if p.Name != fileName(p.Name) {
			t.Errorf("%q is no name for a file", p.Name)
		}
	}
	if len(slices.Compact(slices.Sorted(slices.Values(names)))) != 8 {
		t.Errorf("plots %v", names)
	}
	for _, fact := range r.Facts() {
		if fact[0] == "" || fact[1] == "" {
			t.Errorf("facts %q", r.Facts())
		}
	}
}

// fakePeers writes a folder of peers: tensorflow does our work, jax another one, torch is not installed. Each goes on with
// other jobs, and writes its process's number as its version. Only torch can't take part on a GPU.
func fakePeers(t *testing.T, losses []float64) string {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no sh to write peers in")
	}
	ours, err := json.Marshal(losses)
	if err != nil {
		t.Fatal(err)
	}
	other := slices.Clone(losses)
	other[1] += 2 * peers.CPU.Tolerance()
	theirs, err := json.Marshal(other)
	if err != nil {
		t.Fatal(err)
	}
	script := `#!/bin/sh
begin() { # NAME JOB
	case $1 in tensorflow) loss='` + string(ours) + `';; jax) loss='` + string(theirs) + `';; *) echo '{"error": "torch is not installed here"}'; exit 69;; esac
	grep -q '"threads": 1' "$2" || exit 1
	settings=$(grep -o '"\(device\|precision\)": "[a-z0-9:]*' "$2" | cut -d'"' -f4 | xargs)
	tier=
	if [ $1 = tensorflow ]; then tier=$(grep -o '"tier": "[a-z0-9]*' "$2" | cut -d'"' -f4); fi
	echo "{\"peer\": \"$1\", \"version\": \"$$\", \"settings\": \"$settings\", \"tier\": \"$tier\"}"
	echo "{\"loss\": $loss}"
}
echo "$*" >>"$(dirname "$0")/starts"
begin "$@"
while read word n; do
	if [ $word = job ]; then begin "$1" "$n"; continue; fi
	echo "{\"seconds\": 0.$(printf %03d $n), \"images\": $n, \"peak_rss\": 5000000, \"device_memory\": 7}"
done
`
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "run"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// withPeers is a configuration with the fake peers, which train on one image.
func withPeers(t *testing.T, subjects ...device) Config {
	c := small(subjects...)
	c.Data, c.Train, c.Infer = c.Data.Slice(0, 3), []int{1}, nil
	c.Peers = []string{"tensorflow", "jax", "torch"}
	p, err := reference.New().Compile(c.Networks[0], net.Options{Batch: 1, Optimizer: c.Optimizer, Seed: c.Seed})
	if err != nil {
		t.Fatal(err)
	}
	losses, err := peers.Job{Mode: peers.Train, Batch: 1, Check: 3}.Losses(p, c.Data)
	if err != nil {
		t.Fatal(err)
	}
	c.PeersDir = fakePeers(t, losses)
	return c
}

func TestPeersThatAgreeTakeTurns(t *testing.T) {
	r, err := Run(t.Context(), withPeers(t, device{}))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Measurements) != 2 {
		t.Fatalf("%d measurements: %+v", len(r.Measurements), r.Measurements)
	}
	m := r.Measurements[1]
	if m.Who != "tensorflow" || m.Settings != "cpu fp32" || m.Baseline != "device0" || !m.Peer || m.PeakRSS != 5e6 || m.Time != (Spread{0.001, 0.001, 0.001}) || m.Check.Tolerance != peers.CPU.Tolerance() || m.Threads != 1 {
		t.Errorf("measured %+v", m)
	}
	ours := r.Measurements[0]
	if want := m.Time.Median / ours.Time.Median; m.Ratio.Median < want/1.5 || m.Ratio.Median > want*1.5 { // medians of ratios and ratios of medians differ somewhat
		t.Errorf("ratio %v, times %v and %v", m.Ratio, m.Time, ours.Time)
	}
	notes := strings.Join(r.Notes, "\n")
	for _, want := range []string{"does other work", "torch is not installed here"} {
		if !strings.Contains(notes, want) {
			t.Errorf("the notes lack %q: %s", want, notes)
		}
	}
}

// TestPeersKeepAGPUCompany wants peers beside each device that is timed, on the CPU a process a work and on a GPU one for all,
// and each compared with gputrain at its own place.
func TestPeersKeepAGPUCompany(t *testing.T) {
	inexact := device{state: func(s *net.State) { s.Params["dense1.bias"].Float32s()[0] += 0.001 }}
	c := withPeers(t, device{}, device{}, inexact, device{})
	for i := range c.Subjects {
		s := &c.Subjects[i]
		switch i {
		case 1:
			s.Name, s.Threads = "reference", 0
		case 2:
			s.Name, s.Threads, s.Tolerance, s.Peers = "cuda", 0, 2e-2, peers.Place{Device: "cuda", Precision: "bf16"}
		case 3:
			s.Name, s.Threads, s.Simulated, s.Peers = "cuda:1", 0, "it is a toy", peers.Place{Device: "cuda:1", Precision: "fp32"}
		}
	}
	c.Train, c.Repeats = []int{1, 1}, 3
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	who := func(m Measurement) string {
		return strings.Join([]string{m.Who, m.Settings, m.Baseline, m.Check.Against, fmt.Sprint(m.Check.Tolerance)}, "|")
	}
	// jax does other work by 0.002, which bfloat16 hides.
	want := []string{"device0|fake|device0|reference|1e-05", "reference|fake|device0|reference|1e-05", "cuda|fake|device0|reference|0.02", "cuda:1|fake||reference|1e-05",
		"tensorflow|cpu fp32|device0|gputrain on device0|0.001",
		"tensorflow (cuda)|cuda bf16|cuda|gputrain on cuda|0.05", "jax (cuda)|cuda bf16|cuda|gputrain on cuda|0.05"}
	if len(r.Measurements) != 2*len(want) {
		t.Fatalf("%d measurements, notes %q", len(r.Measurements), r.Notes)
	}
	for i, m := range r.Measurements {
		if got := who(m); got != want[i%len(want)] {
			t.Errorf("measurement %d is %s, want %s", i, got, want[i%len(want)])
		}
		if m.Peer && m.DeviceMemory != 7 {
			t.Errorf("measurement %d lacks the GPU's memory: %+v", i, m)
		}
		of := r.Measurements[i/len(want)*len(want)]
		if m.Baseline == "cuda" {
			of = r.Measurements[i/len(want)*len(want)+2]
		}
		// A peer's repeats all take the same time, so the median of their ratios is the ratio of the medians.
		if ratio := m.Time.Median / of.Time.Median; m.Peer && !(m.Ratio.Median > ratio*0.99 && m.Ratio.Median < ratio*1.01) {
			t.Errorf("measurement %d (%s) has the ratio %v, times %v and %v", i, m.Who, m.Ratio.Median, m.Time, of.Time)
		}
	}
	first, second := r.Measurements[4:], r.Measurements[4+len(want):]
	if first[0].Check.Distance != 0 || !(first[1].Check.Distance > 0) {
		t.Errorf("tensorflow differs by %v on the CPU and %v on a GPU that is inexact", first[0].Check.Distance, first[1].Check.Distance)
	}
	if first[0].Version == second[0].Version || first[1].Version != second[1].Version || first[2].Version != second[2].Version {
		t.Errorf("processes %s, %s, %s, then %s, %s, %s", first[0].Version, first[1].Version, first[2].Version, second[0].Version, second[1].Version, second[2].Version)
	}
	starts, err := os.ReadFile(filepath.Join(c.PeersDir, "starts"))
	if err != nil {
		t.Fatal(err)
	}
	// tensorflow and jax twice on the CPU and once on the GPU, torch once on each, since it can't take part.
	if n := strings.Count(string(starts), "\n"); n != 8 || strings.Count(string(starts), "torch") != 2 {
		t.Errorf("%d starts:\n%s", n, starts)
	}
	if notes := strings.Join(r.Notes, "\n"); !strings.Contains(notes, "There are no peers on cuda:1: it is a toy.") {
		t.Errorf("the notes lack the simulated GPU: %s", notes)
	}
	var ratios []string
	for _, row := range r.Tables()[0].Rows {
		_, of, _ := strings.Cut(row[6], " of ")
		ratios = append(ratios, of)
	}
	if got := strings.Join(ratios[:len(want)], ","); got != ",,,,,cuda,cuda" {
		t.Errorf("the table's ratios are of %q:\n%s", got, tablesText(r))
	}
	if legend := strings.Join(r.Legend(), "\n"); !strings.Contains(legend, ` of cuda" is over cuda's time`) {
		t.Errorf("the legend is silent on that:\n%s", legend)
	}
	var b strings.Builder
	if err := r.WriteCSV(&b); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(b.String())).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if row := rows[6]; row[slices.Index(csvHead, "on")] != "tensorflow (cuda)" || row[slices.Index(csvHead, "baseline")] != "cuda" || row[slices.Index(csvHead, "device_memory")] != "7" {
		t.Errorf("CSV has the row %q", row)
	}
	if names := contestantNames(r.groups()[0]); !slices.Contains(names, "jax (cuda), over cuda") || !slices.Contains(names, "cuda") {
		t.Errorf("bars are called %q", names)
	}
}

func TestASimulatedGPUAloneHasNoPeers(t *testing.T) {
	c := withPeers(t, device{})
	c.Subjects[0].Peers, c.Subjects[0].Simulated = peers.Place{Device: "cuda", Precision: "tf32"}, "it is a toy"
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Measurements) != 1 || !slices.Contains(r.Notes, "There are no peers on device0: it is a toy.") {
		t.Errorf("%d measurements, notes %q", len(r.Measurements), r.Notes)
	}
}

// TestSlowOnesTakeFewerTurns wants turns spread evenly over the rounds.
func TestSlowOnesTakeFewerTurns(t *testing.T) {
	c := &contender{repeat: func(n int) (float64, error) { return 3.2 * float64(n), nil }}
	if err := c.warm(t.Context(), 0.2, 20); err != nil {
		t.Fatal(err)
	}
	var rounds []int
	for round := range 20 {
		if c.takesPart(round, 20) {
			rounds = append(rounds, round)
		}
	}
	if c.batches != 1 || fmt.Sprint(rounds) != "[3 7 11 15 19]" {
		t.Errorf("%d batches in rounds %v", c.batches, rounds)
	}
	c = &contender{repeat: func(n int) (float64, error) { return 0.03 * float64(n), nil }}
	if err := c.warm(t.Context(), 0.2, 20); err != nil {
		t.Fatal(err)
	}
	if c.batches != 7 || c.turns != 20 {
		t.Errorf("%d batches, %d turns", c.batches, c.turns)
	}
}
