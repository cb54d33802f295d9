package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/runfolder"
	"github.com/gputrain/gputrain/net"
)

// reported is what report --json prints.
type reported struct {
	Runs []struct {
		Name       string
		Evaluation *struct {
			Images, Wrong int
			Confusion     net.Confusion
			Mistakes      []struct{ Index, Label, Predicted int }
		}
		Image *struct{ Probabilities []float32 }
	}
}

func reportJSON(t *testing.T, args ...string) (r reported) {
	t.Helper()
	if err := json.Unmarshal([]byte(must(t, append([]string{"report", "--json"}, args...)...)), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestReport holds a report against what eval and predict say of the same run.
func TestReport(t *testing.T) {
	inFolder(t)
	must(t, quick()...)
	r := reportJSON(t, "--image", "test:7", "--mistakes", "5").Runs[0]

	var e evaluation
	if err := json.Unmarshal([]byte(must(t, "eval", "--json")), &e); err != nil {
		t.Fatal(err)
	}
	for k, row := range e.Confusion {
		if !slices.Equal(r.Evaluation.Confusion[k], row) {
			t.Errorf("confusion of class %d: %v, eval says %v", k, r.Evaluation.Confusion[k], row)
		}
	}
	if r.Evaluation.Wrong != int(e.Images-e.Hits) || r.Evaluation.Images != int(e.Images) {
		t.Errorf("%d of %d wrong, eval says %d of %d are right", r.Evaluation.Wrong, r.Evaluation.Images, e.Hits, e.Images)
	}
	if len(r.Evaluation.Mistakes) != 5 {
		t.Errorf("%d mistakes, want 5", len(r.Evaluation.Mistakes))
	}
	var a answer
	if err := json.Unmarshal([]byte(must(t, "predict", "test:7", "--top", "10", "--json")), &a); err != nil {
		t.Fatal(err)
	}
	want := make([]float32, 10)
	for _, c := range a.Classes {
		want[c.Class[0]-'0'] = float32(c.Probability)
	}
	approx.Check(t, "probabilities", r.Image.Probabilities, want, approx.Tolerance{})

	if out := must(t, "report", "--plots", "plots"); !regexp.MustCompile(`^report.html: run-1, \d+\.\d kB\nplots: \d files\n$`).MatchString(out) {
		t.Errorf("it said %q", out)
	}
	page, err := os.ReadFile(defaultReport)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"quick on MNIST", "mean pooling 4x4 valid", "test:0, 1 × 28 × 28", "Made by gputrain " + version(), "training, within epochs", "--limit 1000"} {
		if !bytes.Contains(page, []byte(text)) {
			t.Errorf("the page lacks %q", text)
		}
	}
	for _, name := range []string{"loss.svg", "accuracy.svg", "confusion.svg", "mistakes.png", "image.png", "maps-pool1.png"} {
		if info, err := os.Stat(filepath.Join("plots", name)); err != nil || info.Size() == 0 {
			t.Errorf("plots: %v", err)
		}
	}
}

// TestReportOfSeveralRuns: their names are those of their folders, and their paths
// where those are the same.
func TestReportOfSeveralRuns(t *testing.T) {
	inFolder(t)
	must(t, quick("--epochs", "1")...)
	must(t, quick("--epochs", "1", "--seed", "2", "--run", filepath.Join("other", "run-1"))...)
	first := filepath.Join(runsFolder, "run-1")
	names := func(args ...string) (out []string) {
		for _, run := range reportJSON(t, append(args, "--mistakes", "0")...).Runs {
			out = append(out, run.Name)
		}
		return out
	}
	if got := names(first, filepath.Join(first, net.BestCheckpoint)); !slices.Equal(got, []string{"run-1", "run-1 best"}) {
		t.Errorf("the runs are called %q", got)
	}
	if got := names(first, filepath.Join("other", "run-1"), first); !slices.Equal(got, []string{first, filepath.Join("other", "run-1"), first + " (3)"}) {
		t.Errorf("runs of one name are called %q", got)
	}
	must(t, "report", first, "other", "-o", "both.html")
	if _, err := os.Stat("both.html"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(defaultReport); err == nil {
		t.Error("a page was written that nobody asked for")
	}
}

// TestReportOfOtherImages: a run on images that aren't at hand has a page without
// mistakes; with the images it has them.
func TestReportOfOtherImages(t *testing.T) {
	inFolder(t)
	if err := os.Mkdir("colours", 0o755); err != nil {
		t.Fatal(err)
	}
	var file strings.Builder
	for i := range 40 {
		file.WriteString(string([]byte{byte(i % 10)}) + strings.Repeat(string([]byte{byte(6 * i)}), 3*32*32))
	}
	write(t, filepath.Join("colours", "data_batch_1.bin"), file.String())
	write(t, filepath.Join("colours", "test_batch.bin"), file.String()[:7*3073])
	write(t, "colour.json", `{"name": "colour", "input": {"channels": 3, "height": 32, "width": 32}, "layers": [
		{"type": "conv", "filters": 2, "kernel": 3, "stride": 4}, {"type": "activation", "func": "relu"}, {"type": "flatten"}, {"type": "dense", "units": 10}]}`)
	must(t, "train", "--model", "colour.json", "--data", "colours", "--epochs", "1")

	// The run's folder says where its images are.
	if r := reportJSON(t); r.Runs[0].Evaluation.Images != 7 || len(r.Runs[0].Image.Probabilities) != 10 {
		t.Errorf("%+v", r)
	}
	must(t, "report")
	page, err := os.ReadFile(defaultReport)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"colour on CIFAR-10", "gputrain train --model colour.json --data colours --epochs 1", "Images from"} {
		if !bytes.Contains(page, []byte(text)) {
			t.Errorf("the page lacks %q", text)
		}
	}

	if err := os.Rename("colours", "moved"); err != nil {
		t.Fatal(err)
	}
	run := filepath.Join(runsFolder, "run-1")
	without := func(why string, args ...string) {
		t.Helper()
		o := gputrain(t, append([]string{"report", "--json"}, args...)...)
		if o.status != exitOK || o.errors != "run-1: nothing is told of mistakes: "+why+": name the folder of its images with --data\n" {
			t.Errorf("status %d, %s", o.status, o.errors)
		}
		r := reported{}
		if err := json.Unmarshal([]byte(o.out), &r); err != nil || r.Runs[0].Evaluation != nil || r.Runs[0].Image != nil {
			t.Errorf("%v, %s", err, o.out)
		}
	}
	absolute, err := filepath.Abs("colours")
	if err != nil {
		t.Fatal(err)
	}
	gone := "data directory " + absolute + ": file does not exist"
	without(gone)
	for _, name := range []string{runfolder.RecordFile, runfolder.MetricsFile} {
		if err := os.Remove(filepath.Join(run, name)); err != nil {
			t.Fatal(err)
		}
	}
	without(gone) // the checkpoint remembers
	refuses(t, exitFailed, run+": --image test:1: "+gone+": name the folder of its images with --data", "report", "--image", "test:1")
	// One of before 1.0 remembers nothing.
	c := load(t, run)
	c.Subject = nil
	if err := net.SaveCheckpoint(filepath.Join(run, net.LastCheckpoint), c); err != nil {
		t.Fatal(err)
	}
	without("it was trained on CIFAR-10 training, which is not what the built-in MNIST holds")
	if r := reportJSON(t, "--data", "moved"); r.Runs[0].Evaluation.Images != 7 || len(r.Runs[0].Image.Probabilities) != 10 {
		t.Errorf("%+v", r)
	}
	// MNIST's digits are not what it takes.
	must(t, quick("--epochs", "1")...)
	o := gputrain(t, "report", "--data", "moved")
	if o.status != exitFailed || !strings.Contains(o.errors, "the model takes samples of 1 x 28 x 28, but data set CIFAR-10 training has 3 x 32 x 32") {
		t.Errorf("status %d, %s", o.status, o.errors)
	}
}

// TestReportInProgress: a run within its first epoch has a page, with the curves of
// what its folder tells. That of a checkpoint tells of what was before it.
func TestReportInProgress(t *testing.T) {
	inFolder(t)
	must(t, quick("--epochs", "1")...)
	run := filepath.Join(runsFolder, "run-1")
	c := load(t, run)
	c.Position, c.History, c.State.Step, c.State.Optimizer = net.Position{Step: 3, Samples: 150}, nil, 3, nil
	if err := net.SaveCheckpoint(filepath.Join(run, "begun.safetensors"), c); err != nil {
		t.Fatal(err)
	}
	// Such a short run has progress at its end alone: here it has some within.
	metrics := filepath.Join(run, runfolder.MetricsFile)
	lines, err := os.ReadFile(metrics)
	if err != nil {
		t.Fatal(err)
	}
	end := regexp.MustCompile(`(?m)^.*"event":"progress".*"step":20,.*\n`)
	write(t, metrics, end.ReplaceAllStringFunc(string(lines), func(line string) string {
		var all strings.Builder
		for step := 1; step <= 20; step++ {
			all.WriteString(strings.Replace(line, `"step":20,`, fmt.Sprintf(`"step":%d,`, step), 1))
		}
		return all.String()
	}))
	page := func(args ...string) string {
		t.Helper()
		o := gputrain(t, append([]string{"report", "--mistakes", "0"}, args...)...)
		if o.status != exitOK {
			t.Fatal(o.errors)
		}
		b, err := os.ReadFile(defaultReport)
		if err != nil {
			t.Fatal(err)
		}
		return o.errors + string(b)
	}
	within := "training, within epochs"
	if text := page(filepath.Join(run, "begun.safetensors")); !strings.Contains(text, "after 0 of 1 epoch and 3 of 20 steps of the next") || !strings.Contains(text, within) {
		t.Error("the page doesn't tell where the run is")
	}
	a := &app{out: newStream(&bytes.Buffer{}, nil), err: newStream(&bytes.Buffer{}, nil)}
	for name, last := range map[string]int{"": 20, "begun.safetensors": 3} {
		r, err := a.loadReported(nil, filepath.Join(run, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Steps[len(r.Steps)-1].Step; got != last {
			t.Errorf("%q is told up to step %d, want %d", name, got, last)
		}
	}

	write(t, filepath.Join(run, runfolder.MetricsFile), "{\n")
	if text := page(); !strings.HasPrefix(text, "run-1: not all is told of how it went: "+filepath.Join(run, runfolder.MetricsFile)+": damaged: line 1: ") || strings.Contains(text, within) {
		t.Errorf("with damaged metrics: %.200s", text)
	}
}

// TestReportOfResumedRun tells of all epochs, and of each command.
func TestReportOfResumedRun(t *testing.T) {
	inFolder(t)
	must(t, quick("--epochs", "1", "--run", "twice")...)
	must(t, "train", "--resume", "twice", "--limit", "1000", "--epochs", "3")
	a := &app{out: newStream(&bytes.Buffer{}, nil), err: newStream(&bytes.Buffer{}, nil)}
	r, err := a.loadReported(nil, "twice")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[net.Progress]bool{}
	before := net.Progress{}
	for _, p := range r.Steps {
		if p.Epoch < before.Epoch || p.Epoch == before.Epoch && p.Step <= before.Step {
			t.Errorf("step %d of epoch %d comes after step %d of epoch %d", p.Step, p.Epoch, before.Step, before.Epoch)
		}
		before, seen[net.Progress{Epoch: p.Epoch}] = p, true
	}
	if len(seen) != 3 || len(r.Checkpoint.History) != 3 {
		t.Errorf("steps of %d epochs, history of %d, want 3", len(seen), len(r.Checkpoint.History))
	}
	var facts []string
	for _, f := range r.Facts {
		facts = append(facts, f.Name+": "+f.Value)
	}
	text := strings.Join(facts, "\n")
	for _, want := range []string{"Resumed after 1 epoch and 0 steps: ", "by: gputrain train --resume twice --limit 1000 --epochs 3", "by: gputrain train --model quick.json"} {
		if !strings.Contains(text, want) {
			t.Errorf("the facts lack %q:\n%s", want, text)
		}
	}
}

func TestReportRefuses(t *testing.T) {
	inFolder(t)
	write(t, "text.safetensors", "not a checkpoint")
	must(t, quick("--epochs", "1")...)
	refuses(t, exitUsage, `--split: unknown "tests" (did you mean test?); want test, validation or train`, "report", "--split", "tests")
	refuses(t, exitUsage, "--mistakes must be at least 0, got -1", "report", "--mistakes=-1")
	refuses(t, exitUsage, "--image -: standard input can be read once; name one run, or a file", "report", "--image", "-", runsFolder, runsFolder)
	refuses(t, exitFailed, "--output "+filepath.Join("nowhere", "x.html")+": there is no folder nowhere", "report", "--output", filepath.Join("nowhere", "x.html"))
	refuses(t, exitUsage, "test:10000: the test set has images test:0 to test:9999", "report", "--image", "test:10000")
	refuses(t, exitFailed, "seven.png: there is no such file", "report", "--image", "seven.png")
	if o := gputrain(t, "report", "text.safetensors"); o.status != exitFailed || !strings.Contains(o.errors, "text.safetensors: not a usable checkpoint") {
		t.Errorf("status %d, %s", o.status, o.errors)
	}
	if _, err := os.Stat(defaultReport); err == nil {
		t.Error("a page was written")
	}
	write(t, "file", "")
	if o := gputrain(t, "report", "--plots", "file"); o.status != exitFailed || !strings.HasPrefix(o.errors, "gputrain: --plots: ") {
		t.Errorf("status %d, %s", o.status, o.errors)
	}
}
