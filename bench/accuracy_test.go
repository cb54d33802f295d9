package bench

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gputrain/gputrain/bench/peers"
	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// smallAccuracy is a configuration that takes little time: 4 epochs of 5 steps on the reference, or another device.
func smallAccuracy(t *testing.T, d device) AccuracyConfig {
	c := small(device{})
	d.Device = reference.New()
	recipe := net.Recipe{Name: "quick", Epochs: 4, Batch: 5, Seed: 7, Optimizer: net.AdamDefault(0.01)}
	return AccuracyConfig{
		Recipe: recipe, Network: c.Networks[0], Accuracy: 0.3, Runs: 2, Machine: c.Machine, Subject: Subject{Name: "toy", Device: d, Threads: 1},
		Load: func(seed uint64) (Samples, error) {
			rest, test := net.Split(c.Data, 0.4, seed)
			return Samples{Train: rest, Test: test}, nil
		},
	}
}

// trainedAlone returns the results that net.Train gives for the recipe of a run.
func trainedAlone(t *testing.T, c AccuracyConfig, seed uint64) net.Result {
	t.Helper()
	s, err := c.Load(seed)
	if err != nil {
		t.Fatal(err)
	}
	cfg := net.Config{Recipe: c.Recipe, Train: s.Train, Test: s.Test}
	cfg.Recipe.Seed = seed
	p, err := reference.New().Compile(c.Network, cfg.Options())
	if err != nil {
		t.Fatal(err)
	}
	r, err := net.Train(t.Context(), p, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// exactly is for numbers that must be the same.
var exactly approx.Tolerance

func TestToAccuracy(t *testing.T) {
	for _, evaluateEvery := range []int{0, 3} {
		c := smallAccuracy(t, device{})
		c.Runs, c.Recipe.EvaluateEvery = 3, evaluateEvery
		closed, told := 0, []string{}
		load := c.Load
		c.Load = func(seed uint64) (Samples, error) {
			s, err := load(seed)
			s.Close = func() error { closed++; return nil }
			return s, err
		}
		var last Progress
		c.Progress = func(p Progress) {
			if p.Done < last.Done || p.Done > p.Total || p.Total != 3000 {
				t.Errorf("progress %+v after %+v", p, last)
			}
			last = p
		}
		c.RunDone = func(who string, run TimedRun) { told = append(told, fmt.Sprint(who, " ", run.Seed)) }
		r, err := ToAccuracy(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Results) != 1 || len(r.Results[0].Runs) != 3 || r.Interrupted || closed != 3 || fmt.Sprint(told) != "[toy 7 toy 8 toy 9]" || last.Done != 3000 || !strings.Contains(last.What, "run 3 of 3, toy: epoch 4 of 4, test accuracy ") {
			t.Fatalf("%d results, interrupted %v; closed %d data sets, told %v, progress %+v", len(r.Results), r.Interrupted, closed, told, last)
		}
		a := r.Results[0]
		if a.Who != "toy" || a.Settings != "fake" || a.Peer || r.Network != "small" || r.Recipe.Name != "quick" || r.Machine.Date.IsZero() {
			t.Errorf("report %+v", r)
		}
		for i, run := range a.Runs {
			want := trainedAlone(t, c, 7+uint64(i))
			if run.Seed != 7+uint64(i) || len(run.Epochs) != 4 {
				t.Fatalf("run %+v", run)
			}
			var before peers.Epoch
			for k, e := range run.Epochs {
				approx.Check(t, "training loss", []float64{e.Loss}, []float64{want.Epochs[k].Cost}, exactly)
				if (e.Test == nil) != (want.Epochs[k].Test == nil) || e.Test != nil && *e.Test != *want.Epochs[k].Test {
					t.Errorf("epoch %d is evaluated to %+v, want %+v", k+1, e.Test, want.Epochs[k].Test)
				}
				if e.Epoch != k+1 || !(e.Training > before.Training && e.Seconds > before.Seconds && e.Seconds > e.Training && e.ImagesPerSecond > 0) {
					t.Errorf("epoch %+v after %+v", e, before)
				}
				before = e
			}
			if !(run.Whole >= run.Seconds) || run.Seconds != before.Seconds || run.Training != before.Training {
				t.Errorf("whole %v, all %v and %v, the last epoch %+v", run.Whole, run.Seconds, run.Training, before)
			}
			approx.Check(t, "accuracy", []float64{run.FinalAccuracy}, []float64{want.Epochs[3].Test.Accuracy}, exactly)
		}
		if a.FinalAccuracy.Runs != 3 || a.Seconds.Runs != 3 || a.Whole.Mean <= 0 || a.Images.Mean <= 0 {
			t.Errorf("summaries %+v", a)
		}
	}
}

// course is a run with an epoch for each second and these accuracies; a negative one is not evaluated.
func course(accuracies ...float64) (t TimedRun) {
	for i, a := range accuracies {
		e := peers.Epoch{Epoch: i + 1, Seconds: float64(i+1) * 2, Training: float64(i + 1), ImagesPerSecond: float64(100 - (i-1)*(i-1))}
		if a >= 0 {
			e.Test = &net.Score{Accuracy: a, Loss: 1}
		}
		t.Epochs = append(t.Epochs, e)
	}
	return t
}

func TestReachedIsTheFirstEvaluationThatDoes(t *testing.T) {
	for _, c := range []struct {
		accuracies []float64
		epoch      int
		last       float64
	}{
		{[]float64{0.5, 0.94, 0.93}, 2, 0.93},
		{[]float64{0.5, 0.9399, 0.93}, 0, 0.93},
		{[]float64{0.5, -1, 0.95}, 3, 0.95},
		{[]float64{0.97}, 1, 0.97},
	} {
		run := course(c.accuracies...)
		run.judge(0.94)
		n := float64(len(c.accuracies))
		if run.Reached != c.epoch {
			t.Errorf("%v: reached in epoch %d, want %d", c.accuracies, run.Reached, c.epoch)
		}
		approx.Check(t, fmt.Sprint(c.accuracies), []float64{run.ToAccuracy, run.ToAccuracyTraining, run.FinalAccuracy, run.Seconds, run.Training, run.Images},
			[]float64{2 * float64(c.epoch), float64(c.epoch), c.last, 2 * n, n, map[bool]float64{true: 100, false: 99}[n > 1]}, exactly)
	}
}

// An accuracy in per cent, divided by 100, is not always the float64 of the images that were right.
func TestReachedExactly(t *testing.T) {
	for right := range 10_001 {
		run := course(float64(right) / 10_000)
		if run.judge((float64(right) / 100) / 100); run.Reached != 1 {
			t.Fatalf("%d of 10,000 images don't reach %v %%", right, float64(right)/100)
		}
		if run = course(float64(right) / 10_000); right < 10_000 {
			if run.judge((float64(right+1) / 100) / 100); run.Reached != 0 {
				t.Fatalf("%d of 10,000 images reach %v %%", right, float64(right+1)/100)
			}
		}
	}
}

func TestSummary(t *testing.T) {
	// Of 2, 4, 4 and 6 the mean is 4 and the sum of squares 8.
	s := summaryOf([]float64{4, 2, 6, 4})
	approx.Check(t, "summary", []float64{s.Mean, s.Deviation * s.Deviation, s.Least, s.Greatest, float64(s.Runs)}, []float64{4, 8. / 3, 2, 6, 4}, approx.Tolerance{Rel: 1e-12})
	if one, none := summaryOf([]float64{3}), summaryOf(nil); one != (Summary{1, 3, 0, 3, 3}) || none != (Summary{}) {
		t.Errorf("of one %+v, of none %+v", one, none)
	}
}

func TestPatienceNeedsTheValidationSet(t *testing.T) {
	c := smallAccuracy(t, device{})
	c.Runs, c.Recipe.Epochs, c.Recipe.Patience, c.Recipe.Optimizer.LearningRate = 1, 50, 1, 0 // so nothing gets better
	load := c.Load
	c.Load = func(seed uint64) (Samples, error) {
		s, err := load(seed)
		s.Validation = s.Test
		return s, err
	}
	r, err := ToAccuracy(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(r.Results[0].Runs[0].Epochs); n != 2 {
		t.Errorf("%d epochs, want 2, of which the second is no better", n)
	}
}

func TestRunsBeforeAFailureAreKept(t *testing.T) {
	c := smallAccuracy(t, device{})
	load := c.Load
	c.Load = func(seed uint64) (Samples, error) {
		if seed == 8 {
			return Samples{}, errors.New("no more data")
		}
		return load(seed)
	}
	r, err := ToAccuracy(t.Context(), c)
	if err == nil || !strings.Contains(err.Error(), "no more data") || len(r.Results) != 1 || len(r.Results[0].Runs) != 1 || r.Results[0].Seconds.Runs != 1 || r.Interrupted {
		t.Errorf("%+v, %v", r, err)
	}
	c = smallAccuracy(t, device{})
	c.Recipe.Optimizer = net.SGDDefault(1e30)
	var diverged *net.DivergedError
	if r, err := ToAccuracy(t.Context(), c); !errors.As(err, &diverged) || !strings.Contains(err.Error(), "the run with seed 7: ") || len(r.Results) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	c = smallAccuracy(t, device{})
	ctx, cancel := context.WithCancel(t.Context())
	c.RunDone = func(string, TimedRun) { cancel() }
	if r, err := ToAccuracy(ctx, c); !errors.Is(err, context.Canceled) || !r.Interrupted || len(r.Results) != 1 || len(r.Results[0].Runs) != 1 {
		t.Errorf("interrupted: %+v, %v", r, err)
	}
	for want, change := range map[string]func(*AccuracyConfig){
		"at least 1 run":       func(c *AccuracyConfig) { c.Runs = 0 },
		"at most 1, got 94":    func(c *AccuracyConfig) { c.Accuracy = 94 },
		"jax trains no recipe": func(c *AccuracyConfig) { c.Peers = []string{"jax"} },
		"no test set": func(c *AccuracyConfig) {
			load := c.Load
			c.Load = func(seed uint64) (Samples, error) { s, err := load(seed); s.Test = nil; return s, err }
		},
	} {
		c := smallAccuracy(t, device{})
		change(&c)
		if _, err := ToAccuracy(t.Context(), c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

// TestAGPUIsWarmedUp wants more steps than the run has, and the run's own results.
func TestAGPUIsWarmedUp(t *testing.T) {
	for _, change := range []func(*net.Recipe){
		func(*net.Recipe) {},
		func(r *net.Recipe) { r.Batch, r.Accumulate, r.Average, r.Views = 3, 3, 0.5, net.MirrorView },
		func(r *net.Recipe) { r.DropLast, r.Batch, r.Augment.Crop = true, 7, 1 },
	} {
		var results [][]peers.Epoch
		var steps []int
		for _, place := range []peers.Place{peers.CPU, {Device: "cuda", Precision: "fp32"}} {
			n := 0
			c := smallAccuracy(t, device{steps: &n})
			c.Runs, c.Subject.Peers = 1, place
			change(&c.Recipe)
			r, err := ToAccuracy(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			results, steps = append(results, r.Results[0].Runs[0].Epochs), append(steps, n)
		}
		for i, e := range results[0] {
			warm := results[1][i]
			approx.Check(t, "loss and accuracy", []float64{warm.Loss, warm.Test.Loss, warm.Test.Accuracy}, []float64{e.Loss, e.Test.Loss, e.Test.Accuracy}, exactly)
		}
		if steps[1] < steps[0]+3 {
			t.Errorf("%d steps on a GPU, %d on a CPU", steps[1], steps[0])
		}
	}
}

// recipePeers returns a folder whose peer torch trains recipes of 4 epochs: it reaches 0.5 in each run but that with
// seed 8, which does what text says.
func recipePeers(t *testing.T, text string) string {
	t.Helper()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no sh to write a peer in")
	}
	dir := t.TempDir()
	script := `#!/bin/sh
[ "$1 $3" = "torch recipe" ] || exit 1
grep -q '"seed": 8' "$2" && { ` + text + `; }
echo '{"peer": "torch", "version": "9", "settings": "'$(grep -o '"device": "[^"]*"' "$2" | tr -d '"')'"}'
for i in 1 2 3 4; do
	echo '{"trained": {"epoch": '$i', "seconds": '$i', "training_seconds": 0.'$i', "images_per_second": 10, "loss": 1, "test": {"loss": 1, "accuracy": 0.'$((i + 1))'}}}'
done
`
	if err := os.WriteFile(filepath.Join(dir, "run"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestPeersTrainTheRecipeToo(t *testing.T) {
	for _, fail := range []struct {
		text, note string
		runs       int
	}{
		{"true", "", 3},
		{`echo '{"error": "the loss became NaN"}'; exit 1`, "Not timed any more after seed 8: peer torch: the loss became NaN.", 1},
	} {
		c := smallAccuracy(t, device{})
		c.Runs, c.Accuracy, c.Peers, c.PeersDir = 3, 0.5, []string{"torch"}, recipePeers(t, fail.text)
		var who []string
		c.RunDone = func(name string, _ TimedRun) { who = append(who, name) }
		var last Progress
		c.Progress = func(p Progress) {
			if p.Done < last.Done {
				t.Errorf("progress %+v after %+v", p, last)
			}
			last = p
		}
		r, err := ToAccuracy(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Results) != 2 || len(r.Results[0].Runs) != 3 || len(r.Results[1].Runs) != fail.runs || who[1] != "torch" || last.Total != 6000 || last.Done != last.Total {
			t.Fatalf("%+v, told of %v, progress %+v", r, who, last)
		}
		if notes := strings.Join(r.Notes, "\n"); !strings.Contains(notes, fail.note) {
			t.Errorf("notes %q, want %q", notes, fail.note)
		}
		a := r.Results[1]
		if a.Who != "torch" || a.Version != "9" || a.Settings != "device: cpu" || !a.Peer || a.Reached != fail.runs {
			t.Errorf("%+v", a)
		}
		run := a.Runs[0]
		approx.Check(t, "figures", []float64{run.ToAccuracy, run.ToAccuracyTraining, run.FinalAccuracy, run.Seconds, run.Images, float64(run.Reached)}, []float64{4, 0.4, 0.5, 4, 10, 4}, exactly)
		if !(run.Whole > 0) {
			t.Errorf("whole %v", run.Whole)
		}
	}
}

// A peer that can't take part says so before the device trains.
func TestPeersAreCheckedFirst(t *testing.T) {
	c := smallAccuracy(t, device{})
	c.Runs, c.Recipe.Seed, c.Peers, c.PeersDir = 1, 8, []string{"torch"}, recipePeers(t, `echo '{"error": "knows no mixup"}'; exit 69`)
	r, err := ToAccuracy(t.Context(), c)
	if !errors.Is(err, peers.ErrUnavailable) || !strings.Contains(err.Error(), "nothing was trained: peer torch: knows no mixup") || len(r.Results) != 0 {
		t.Errorf("%d results, error %v", len(r.Results), err)
	}
}

func TestSimulatedGPUHasNoPeers(t *testing.T) {
	c := smallAccuracy(t, device{})
	c.Runs, c.Peers, c.PeersDir, c.Subject.Simulated = 1, []string{"torch"}, recipePeers(t, "true"), "it is a toy"
	r, err := ToAccuracy(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if notes := strings.Join(r.Notes, " "); len(r.Results) != 1 || !strings.Contains(notes, "toy: it is a toy. There are no peers on toy: it is a toy.") {
		t.Errorf("%d results, notes %q", len(r.Results), notes)
	}
}

// fixedReport is a report with numbers that can be looked for.
func fixedReport() *AccuracyReport {
	r := &accuracyRun{AccuracyConfig: AccuracyConfig{Accuracy: 0.945, Runs: 2}, report: &AccuracyReport{
		Machine: Machine{CPU: "Fast CPU", CPUs: 4, Place: "here", Program: "test", Go: "go1", Date: time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)},
		About:   [][2]string{{"Data", "ten <pictures>"}}, Network: "net", Recipe: net.Recipe{Name: "quick"}, Accuracy: 0.945, Notes: []string{"It rained."},
	}}
	for i, accuracies := range [][]float64{{0.5, 0.95, 0.96}, {0.5, 0.9, 0.94}} {
		run := course(accuracies...)
		run.Seed, run.Whole = uint64(i+1), 10
		r.add(AccuracyResult{Who: "cpu", Settings: "our device"}, run)
	}
	run := course(0.3, 0.4, 0.5)
	run.Seed = 1
	r.add(AccuracyResult{Who: "torch", Version: "9", Peer: true, Settings: "their settings"}, run)
	r.finish()
	return r.report
}

func TestAccuracyTables(t *testing.T) {
	r := fixedReport()
	tables := r.Tables()
	for i, want := range [][]string{
		{"1", "cpu", "96.00 %", "2", "4.00 s", "2.00 s", "6.00 s", "3.00 s", "10.0 s", "100"},
		{"", "torch", "50.00 %", "–", "–", "–", "6.00 s", "3.00 s", "0 µs", "100"},
		{"2", "cpu", "94.00 %", "–", "–", "–", "6.00 s", "3.00 s", "10.0 s", "100"},
	} {
		if got := tables[0].Rows[i]; !slices.Equal(got, want) {
			t.Errorf("run %d is %q, want %q", i+1, got, want)
		}
	}
	if tables[0].Title != "Runs to 94.5 % test accuracy" || tables[0].Head[4] != "To 94.5 %" {
		t.Errorf("title %q, head %q", tables[0].Title, tables[0].Head)
	}
	for i, want := range map[int][]string{
		0: {"cpu", "accuracy", "2", "95.00 %", "1.41 %", "94.00 %", "96.00 %"},
		1: {"", "to 94.5 %", "1 of 2", "4.00 s", "–", "4.00 s", "4.00 s"},
		5: {"", "whole", "2", "10.0 s", "0 µs", "10.0 s", "10.0 s"},
		7: {"torch", "accuracy", "1", "50.00 %", "–", "50.00 %", "50.00 %"},
		8: {"", "to 94.5 %", "0 of 1", "–", "–", "–", "–"},
	} {
		if got := tables[1].Rows[i]; !slices.Equal(got, want) {
			t.Errorf("row %d is %q, want %q", i, got, want)
		}
	}
	facts := fmt.Sprint(r.Facts())
	for _, want := range []string{"Fast CPU", "[Data ten <pictures>]", "[cpu our device]", "[torch 9 their settings]", "[Note It rained.]"} {
		if !strings.Contains(facts, want) {
			t.Errorf("the facts lack %q: %s", want, facts)
		}
	}
	if legend := strings.Join(r.Legend(), "\n"); !strings.Contains(legend, "To 94.5 %: ") || !strings.Contains(legend, "A peer begins with the same weights") {
		t.Errorf("legend %s", legend)
	}
	for _, table := range tables {
		for _, row := range table.Rows {
			if len(row) != len(table.Head) || len(row) != len(table.Align) {
				t.Errorf("%s: a row of %d cells, %d heads, align %s", table.Title, len(row), len(table.Head), table.Align)
			}
		}
	}
}

func TestAccuracyFiles(t *testing.T) {
	r := fixedReport()
	var b strings.Builder
	if err := r.WriteCSV(&b); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(b.String())).ReadAll()
	if err != nil || len(rows) != 4 {
		t.Fatalf("%q, %v", rows, err)
	}
	at := func(row int, column string) string { return rows[row][slices.Index(rows[0], column)] }
	for _, c := range [][3]string{{"1", "on", "cpu"}, {"1", "to_accuracy_seconds", "4"}, {"2", "to_accuracy_seconds", ""}, {"2", "seed", "2"}, {"3", "on", "torch"}, {"3", "version", "9"}, {"1", "epochs", "3"},
		{"1", "accuracy", "0.945"}, {"1", "final_accuracy", "0.96"}, {"1", "reached_in_epoch", "2"}, {"2", "training_seconds", "3"}, {"2", "whole_seconds", "10"}, {"1", "recipe", "quick"}, {"1", "model", "net"}} {
		if got := at(int(c[0][0]-'0'), c[1]); got != c[2] {
			t.Errorf("row %s has the %s %q, want %q", c[0], c[1], got, c[2])
		}
	}

	js, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var again AccuracyReport
	if err := json.Unmarshal(js, &again); err != nil || again.Results[0].Runs[1].Epochs[2].Test.Accuracy != 0.94 || again.Results[0].ToAccuracy.Mean != 4 {
		t.Errorf("%v: %s", err, js)
	}
	for _, want := range []string{`"to_accuracy_seconds":4,`, `"reached":0,"seconds":6,`, `"accuracy":0.945`} {
		if !strings.Contains(string(js), want) {
			t.Errorf("JSON lacks %s: %s", want, js)
		}
	}

	b.Reset()
	if err := r.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Runs to 94.5 % test accuracy", "<svg", "ten &lt;pictures&gt;", "Over the runs", "How to read it"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(b.String(), "Interrupted") {
		t.Error("the page says that the run was interrupted")
	}
	if r.Interrupted = true; r.WriteHTML(&b) != nil || !strings.Contains(b.String(), "Interrupted") {
		t.Error("the page of an interrupted run doesn't say so")
	}

	plots := r.Plots()
	if len(plots) != 1 || plots[0].Name != "accuracy-quick-net" {
		t.Fatalf("plots %+v", plots)
	}
	b.Reset()
	if err := plots[0].Drawing.WriteFile(&b); err != nil {
		t.Fatal(err)
	}
	svg, dec := b.String(), xml.NewDecoder(strings.NewReader(b.String()))
	for {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the plot is no XML: %v", err)
		}
	}
	// Three runs of three points each, the target as a dashed line.
	if n := strings.Count(svg, `class="chart-point"`); n != 9 || strings.Count(svg, "stroke-dasharray") != 2 || !strings.Contains(svg, "94.5 %") || !strings.Contains(svg, "torch, seconds since the first step 6: 50 %") {
		t.Errorf("%d points: %s", n, svg)
	}
	if p := (&AccuracyReport{}).Plots(); p != nil {
		t.Errorf("plots of no runs: %+v", p)
	}
}
