package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
)

func TestTrain(t *testing.T) {
	inFolder(t)
	o := gputrain(t, quick()...)
	if o.status != exitOK || o.errors != "" {
		t.Fatalf("status %d, %s", o.status, o.errors)
	}
	want := regexp.MustCompile(`^Device  cpu \(.*\); chosen by auto: .*
Data    MNIST: 1,000 of 55,000 training, 1,000 of 5,000 validation, 1,000 of 10,000 test images
Model   quick: 500 parameters
Recipe  tutorial: 2 epochs, batch 50, adam, learning rate 0.02, seed 1
Run     runs.run-1
Curves  tensorboard --logdir runs

Epoch: 1  cost = \d\.\d{3}  test accuracy: 0\.\d{3}  \(validation 0\.\d{3}, \d+ images/s\)
Epoch: 2  cost = \d\.\d{3}  test accuracy: 0\.\d{3}  \(validation 0\.\d{3}, \d+ images/s\)

Final test accuracy: \d\d\.\d\d % after 2 epochs, .*\.
Checkpoint    runs.run-1.last\.safetensors
Best epoch 2  runs.run-1.best\.safetensors \(validation loss \d\.\d{3}\)
Try it: gputrain predict test:0
$`)
	if !want.MatchString(o.out) {
		t.Errorf("got\n%swant\n%v", o.out, want)
	}
	// It has learnt: a guess is right once in ten.
	if accuracy := finalAccuracy(t, filepath.Join(runsFolder, "run-1")); accuracy < 0.5 {
		t.Errorf("test accuracy %v, want at least 0.5", accuracy)
	}

	// The figure of the best epoch is that of the run's history.
	c := load(t, filepath.Join(runsFolder, "run-1"))
	if best := fmt.Sprintf(" (validation loss %.3f)\n", c.History[1].Validation.Loss); !strings.Contains(o.out, best) {
		t.Errorf("no %q in\n%s", best, o.out)
	}
	out := must(t, quick("--watch", "accuracy", "--run", "watching")...)
	c = load(t, filepath.Join(runsFolder, "watching"))
	if best := fmt.Sprintf(" (validation accuracy %.3f)\n", c.History[c.Best()-1].Validation.Accuracy); !strings.Contains(out, best) {
		t.Errorf("no %q in\n%s", best, out)
	}

	// A second run goes to a folder of its own, one that is named is not
	// overwritten.
	must(t, quick("--epochs", "1")...)
	last := filepath.Join(runsFolder, "run-2", net.LastCheckpoint)
	refuses(t, exitFailed, filepath.Dir(last)+" holds a run already: go on with it by gputrain train --resume run-2, or name another",
		quick("--run", "run-2")...)
}

func finalAccuracy(t *testing.T, path string) float64 {
	t.Helper()
	c := load(t, path)
	return c.History[len(c.History)-1].Test.Accuracy
}

func load(t *testing.T, path string) *net.Checkpoint {
	t.Helper()
	c, err := net.LoadCheckpoint(path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// sameWeights fails where two runs' weights or optimiser state differ in a bit.
func sameWeights(t *testing.T, a, b string) {
	t.Helper()
	x, y := load(t, a).State, load(t, b).State
	same := func(kind string, a, b map[string]*tensor.Dense) {
		if len(a) == 0 || len(a) != len(b) {
			t.Errorf("%d and %d tensors of %s", len(a), len(b), kind)
		}
		for name, p := range a {
			if b[name] == nil || !slices.Equal(p.Float32s(), b[name].Float32s()) {
				t.Errorf("%s %s differ", kind, name)
			}
		}
	}
	same("weights", x.Params, y.Params)
	same("optimiser state", x.Optimizer, y.Optimizer)
	if x.Step != y.Step {
		t.Errorf("steps differ: %d and %d", x.Step, y.Step)
	}
}

func TestResume(t *testing.T) {
	inFolder(t)
	must(t, quick("--run", "whole", "--epochs", "3")...)
	must(t, quick("--run", "parts", "--epochs", "1")...)
	out := must(t, "train", "--resume", "parts", "--limit", "1000", "--epochs", "3")
	if !strings.Contains(out, "Resumed  after 1 epoch and 0 steps\n\nEpoch: 2  ") {
		t.Errorf("the resumed run printed\n%s", out)
	}
	sameWeights(t, filepath.Join(runsFolder, "whole"), filepath.Join(runsFolder, "parts"))

	// The same by --run, by a file, and of the latest run.
	nothing := "Nothing was left to do. To train on, set --epochs to more than 3.\n"
	for _, args := range [][]string{
		{"train", "--run", "parts", "--limit", "1000", "--resume"},
		{"train", "--limit=1000", "--resume", filepath.Join(runsFolder, "parts", net.LastCheckpoint)},
	} {
		if out := must(t, args...); !strings.Contains(out, nothing) {
			t.Errorf("gputrain %v printed\n%s", args, out)
		}
	}
	must(t, quick("--epochs", "1")...)
	must(t, quick("--epochs", "1")...)
	old := time.Now().Add(time.Hour)
	if err := os.Chtimes(filepath.Join(runsFolder, "run-1", net.LastCheckpoint), old, old); err != nil {
		t.Fatal(err)
	}
	if out := must(t, "train", "--resume", "--limit", "1000"); !strings.Contains(out, filepath.Join(runsFolder, "run-1")+"\n") {
		t.Errorf("resumed another run than the latest:\n%s", out)
	}
	// The same where the folder of runs is named, and for what only asks.
	named := must(t, "train", "--resume", runsFolder, "--limit", "1000")
	if !strings.Contains(named, filepath.Join(runsFolder, "run-1")+"\n") {
		t.Errorf("resumed another run than the latest of the folder named:\n%s", named)
	}
	if out := must(t, "eval", "--run", runsFolder); !strings.Contains(out, "Checkpoint  "+filepath.Join(runsFolder, "run-1")+":") {
		t.Errorf("evaluated another run than the latest of the folder named:\n%s", out)
	}

	for _, c := range []struct{ args, want string }{
		{"--batch 20", "cannot resume: --batch 20 is not what the run began with; leave the flag out, or begin a new run with its weights: --from in place of --resume"},
		{"--seed 2", "cannot resume: --seed 2 is not what the run began with; leave the flag out, or begin a new run with its weights: --from in place of --resume"},
		{"--schedule cosine", "cannot resume: --schedule cosine is not what the run began with; leave the flag out, or begin a new run with its weights: --from in place of --resume"},
		{"--optimizer adamw", "cannot resume: --optimizer adamw is not what the run began with; leave the flag out, or begin a new run with its weights: --from in place of --resume"},
		{"--recipe fast", "cannot resume: the run began with --recipe tutorial, not fast; leave the flag out, or begin a new run with its weights: --from in place of --resume"},
		{"--epochs 2", "train: cannot resume: the checkpoint is 3 epochs and 0 steps into its run, more than the 2 epochs asked for"},
		{"--model mlp", `train: cannot resume: the checkpoint's network "quick" is not the same as network "mlp"`},
		{"--limit 900", "cannot resume: the run trains on 1000 images of MNIST training, not on 900: leave --limit out"},
	} {
		refuses(t, exitFailed, c.want, append([]string{"train", "--resume", "parts", "--limit", "1000"}, strings.Fields(c.args)...)...)
	}
	if out := must(t, "train", "--resume", "parts"); !strings.Contains(out, ": 1,000 of 55,000 training,") {
		t.Errorf("the run's own limit is forgotten:\n%s", out)
	}
	refuses(t, exitUsage, "train takes one run, got more; see gputrain train --help",
		"train", "--resume", "parts", "--run", "whole")
	t.Setenv("GPUTRAIN_RUN", "whole")
	if out := must(t, "train", "--resume", "parts", "--limit", "1000"); !strings.Contains(out, "Run      "+filepath.Join(runsFolder, "parts")+"\n") {
		t.Errorf("the environment's run wins over the one named:\n%s", out)
	}
	// What says the same as the checkpoint is no contradiction.
	must(t, "train", "--resume", "parts", "--limit", "1000", "--batch", "50", "--optimizer", "adam", "--watch", "loss", "--model", "quick.json", "--recipe", "tutorial")
}

func TestRecipeFlags(t *testing.T) {
	inFolder(t)
	base := []string{"train", "--model", "quick.json", "--limit", "100", "--epochs", "1", "--json"}
	for _, c := range []struct{ args, want string }{
		{"", `{"name":"tutorial","epochs":1,"batch":50,"optimizer":{"method":"adam","learning_rate":0.0001,"beta1":0.9,"beta2":0.999,"epsilon":1e-8},"seed":1}`},
		{
			"--optimizer sgd --learning-rate 0.1 --momentum 0.9 --nesterov --weight-decay 0.001 --clip-norm 2 --seed 18446744073709551615 --patience 2 --watch accuracy",
			`{"name":"tutorial","epochs":1,"batch":50,"optimizer":{"method":"sgd","learning_rate":0.1,"momentum":0.9,"nesterov":true,"weight_decay":0.001,"clip_norm":2},"seed":18446744073709551615,"patience":2,"watch":"accuracy"}`,
		},
		{
			"--optimizer adamw --beta1 0.8 --beta2 0.9 --epsilon 0.1 --schedule step --step-epochs 0.5 --step-factor 0.3 --warmup-epochs 0.25 --batch 20",
			`{"name":"tutorial","epochs":1,"batch":20,"optimizer":{"method":"adamw","learning_rate":0.0001,"beta1":0.8,"beta2":0.9,"epsilon":0.1,"schedule":{"method":"step","factor":0.3}},"warmup_epochs":0.25,"step_epochs":0.5,"seed":1}`,
		},
		{
			"--schedule one-cycle --peak 0.5 --start-rate 0.2 --final-rate 0",
			`{"name":"tutorial","epochs":1,"batch":50,"optimizer":{"method":"adam","learning_rate":0.0001,"beta1":0.9,"beta2":0.999,"epsilon":1e-8,"schedule":{"method":"one_cycle","start":0.2,"peak":0.5}},"seed":1}`,
		},
		{"--schedule cosine --final-rate 0.1 --recipe tutorial", `{"name":"tutorial","epochs":1,"batch":50,"optimizer":{"method":"adam","learning_rate":0.0001,"beta1":0.9,"beta2":0.999,"epsilon":1e-8,"schedule":{"method":"cosine","final":0.1}},"seed":1}`},
	} {
		out := must(t, append(base, strings.Fields(c.args)...)...)
		var started struct{ Recipe json.RawMessage }
		if err := json.Unmarshal([]byte(strings.SplitN(out, "\n", 2)[0]), &started); err != nil {
			t.Fatal(err)
		}
		if string(started.Recipe) != c.want {
			t.Errorf("%s:\n%s, want\n%s", c.args, started.Recipe, c.want)
		}
	}
}

// TestTrainJSON checks that the fields that the help documents are there.
func TestTrainJSON(t *testing.T) {
	inFolder(t)
	fields := map[string]string{
		"started":    "network recipe device weights train validation test steps_per_epoch",
		"progress":   "epoch step steps loss accuracy images_per_second learning_rate",
		"epoch":      "epoch cost accuracy validation test best seconds images_per_second",
		"checkpoint": "path reason epoch step",
		"done":       "epochs best seconds last_checkpoint best_checkpoint",
	}
	seen, began := map[string]int{}, time.Now()
	for _, line := range strings.Split(strings.TrimSpace(must(t, quick("--json", "--checkpoint-every", "7")...)), "\n") {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		kind, _ := object["event"].(string)
		if _, ok := fields[kind]; !ok || !strings.HasPrefix(line, `{"event":`) {
			t.Errorf("unknown event: %s", line)
		}
		seen[kind]++
		for _, field := range strings.Fields(fields[kind]) {
			if _, ok := object[field]; !ok {
				t.Errorf("%s lacks %s: %s", kind, field, line)
			}
		}
	}
	// 20 steps an epoch, and checkpoints every 7 steps of the run's 40, at the end of each
	// epoch, and of both as the best.
	want := map[string]int{"started": 1, "epoch": 2, "checkpoint": 9, "done": 1}
	for kind, n := range want {
		if seen[kind] != n {
			t.Errorf("%d events %q, want %d", seen[kind], kind, n)
		}
	}
	// Progress is told four times a second, and at the end of each epoch: not at each
	// step, unless all of them are that slow.
	if most := 2 + int(time.Since(began)/(250*time.Millisecond)); seen["progress"] < 2 || seen["progress"] > most {
		t.Errorf("%d events of progress, want 2 to %d", seen["progress"], most)
	}
}

func TestEarlyStopping(t *testing.T) {
	inFolder(t)
	// A rate so high that the model cannot but grow worse after a while.
	out := must(t, quick("--learning-rate", "3", "--patience", "1", "--epochs", "50")...)
	if !regexp.MustCompile(`Stopped early: no better epoch on the validation set than epoch \d+ \(validation loss \d+\.\d{3}\)\.`).MatchString(out) {
		t.Errorf("did not stop early:\n%s", out)
	}
	out = must(t, "train", "--resume", "--limit", "1000")
	if want := "Nothing was left to do. To train on, set --patience to more than 1, or to 0.\nStopped early: "; !strings.Contains(out, want) {
		t.Errorf("resumed after stopping early, got\n%swant\n%s", out, want)
	}
	if out := must(t, "train", "--resume", "--limit", "1000", "--patience", "2"); !strings.Contains(out, "\nEpoch: ") {
		t.Errorf("more patience did not train on:\n%s", out)
	}
}

// TestOtherDevice checks that a run that goes on where results differ in the last
// bits says so, and one that goes on with more threads does not.
func TestOtherDevice(t *testing.T) {
	inFolder(t)
	must(t, quick("--limit", "100", "--epochs", "1", "--device", "cpu", "--threads", "1")...)
	note := "Note     it began on cpu ("
	again := []string{"train", "--resume", "--limit", "100"}
	if out := must(t, append(again, "--device", "cpu", "--threads", "2")...); strings.Contains(out, note) {
		t.Errorf("a note about the same device:\n%s", out)
	}
	if out := must(t, append(again, "--device", "reference")...); !strings.Contains(out, note) {
		t.Errorf("no note about another device:\n%s", out)
	}
}

// atLine calls a function after the first line with a text.
type atLine struct {
	text string
	call func()
}

func (w *atLine) Write(p []byte) (int, error) {
	if w.call != nil && bytes.Contains(p, []byte(w.text)) {
		w.call()
		w.call = nil
	}
	return len(p), nil
}

// TestUnsavedInterrupt interrupts a run that cannot save: it must say so, and
// name the checkpoint that stands.
func TestUnsavedInterrupt(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{`"event":"started"`, `steps; .*not written.*; there is no checkpoint to go on from`},
		{`"event":"checkpoint"`, `steps; .*not written.*; go on from the checkpoint before it, runs.run.last\.safetensors, with: gputrain train --resume runs.run --epochs 2 .*`},
	} {
		inFolder(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		block := func() {
			// No file can take the place of a folder that isn't empty.
			last := filepath.Join(runsFolder, "run", net.LastCheckpoint)
			if err := errors.Join(os.RemoveAll(last), os.MkdirAll(filepath.Join(last, "in the way"), 0o755)); err != nil {
				t.Error(err)
			}
			cancel()
		}
		var errs bytes.Buffer
		args := append([]string{"gputrain"}, quick("--run", "run", "--checkpoint-every", "5", "--json")...)
		status := run(ctx, args, nil, &atLine{c.line, block}, &errs)
		if want := regexp.MustCompile(`^gputrain: interrupted in epoch 1 after \d+ ` + c.want + "\n$"); status != exitFailed || !want.MatchString(errs.String()) {
			t.Errorf("status %d, %q, want %v", status, errs.String(), want)
		}
	}
}

func TestDivergence(t *testing.T) {
	inFolder(t)
	o := gputrain(t, quick("--model", "mlp", "--optimizer", "sgd", "--learning-rate", "1e30")...)
	if o.status != exitFailed || !regexp.MustCompile(`^gputrain: .* became NaN or infinite in epoch 1, step \d+: try a lower learning rate; there is no checkpoint to go on from\n$`).MatchString(o.errors) {
		t.Errorf("status %d, %s", o.status, o.errors)
	}
	if _, err := os.Stat(runsFolder); err == nil {
		t.Errorf("a run without a checkpoint left its folder")
	}
	if err := os.Mkdir("mine", 0o755); err != nil {
		t.Fatal(err)
	}
	gputrain(t, quick("--model", "mlp", "--optimizer", "sgd", "--learning-rate", "1e30", "--run", "./mine")...)
	if _, err := os.Stat("mine"); err != nil {
		t.Errorf("the user's own folder is gone: %v", err)
	}
}

func TestEval(t *testing.T) {
	inFolder(t)
	must(t, quick()...)
	out := must(t, "eval", "--split", "validation")
	for _, want := range []string{
		"Data        MNIST validation, 5,000 images\n",
		"\nConfusion matrix: a row for each label, a column for each prediction\n",
		"\nClass  Images  Precision ",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("eval lacks %q:\n%s", want, out)
		}
	}
	var e struct {
		Images, Hits int64
		Accuracy     float64
		Loss         float64
		Classes      []struct {
			Class  string
			Images int64
			Recall float64
		}
		Confusion net.Confusion
	}
	if err := json.Unmarshal([]byte(must(t, "eval", "--json")), &e); err != nil {
		t.Fatal(err)
	}
	// The matrix counts every image once, and its diagonal the hits.
	var all, hits int64
	for k := range e.Confusion {
		all += e.Confusion.Labelled(k)
		hits += e.Confusion[k][k]
		if e.Confusion.Labelled(k) != e.Classes[k].Images {
			t.Errorf("class %d: %d images, the matrix has %d", k, e.Classes[k].Images, e.Confusion.Labelled(k))
		}
	}
	if all != 10000 || e.Images != all || e.Hits != hits {
		t.Errorf("%d images and %d hits, the matrix has %d and %d", e.Images, e.Hits, all, hits)
	}
	refuses(t, exitUsage, "--top must be at most 10, the number of classes, got 11", "eval", "--top", "11")
	// Training took 1,000 images of the test set, to be quick.
	if err := json.Unmarshal([]byte(must(t, "eval", "--json", "--limit", "1000")), &e); err != nil {
		t.Fatal(err)
	}
	test := load(t, filepath.Join(runsFolder, "run-1")).History[1].Test
	if e.Accuracy != test.Accuracy {
		t.Errorf("accuracy %v, training said %v", e.Accuracy, test.Accuracy)
	}
	// The same losses, summed in other pieces.
	approx.Check(t, "loss", []float64{e.Loss}, []float64{test.Loss}, approx.Tolerance{Rel: 1e-12})
}

func TestPredict(t *testing.T) {
	file := withTrained(t)
	golden := regexp.MustCompile(`^test:0: 7 \(right\)
  7  \d\d\.\d %  █+.?
  \d   \d\.\d %.*

seven\.png: 7
  7  \d\d\.\d %  █+.?
  \d   \d\.\d %.*
$`)
	if out := must(t, "predict", "test:0", "seven.png", "--top", "2", "--run", "trained.safetensors"); !golden.MatchString(out) {
		t.Errorf("got\n%swant\n%v", out, golden)
	}
	t.Setenv("GPUTRAIN_CHECKPOINT", "trained.safetensors")
	if out := must(t, "predict", "-v", "test:0"); strings.Count(out, "\n") != 15 || !strings.ContainsAny(out, "▀▄") {
		t.Errorf("predict -v shows no picture of 14 lines:\n%s", out)
	}
	var a struct {
		Image, Label string
		Classes      []net.Ranked
	}
	o := gputrainReading(t, file, "predict", "--json", "--top", "10", "-")
	if err := json.Unmarshal([]byte(o.out), &a); err != nil {
		t.Fatalf("%v: %s%s", err, o.out, o.errors)
	}
	sum := 0.0
	for _, c := range a.Classes {
		sum += c.Probability
	}
	if a.Image != "standard input" || a.Classes[0].Class != "7" || len(a.Classes) != 10 || sum < 0.99999 || sum > 1.00001 {
		t.Errorf("got %+v, probabilities sum to %v", a, sum)
	}

	write(t, "notes.txt", "no image")
	if err := os.Mkdir("photos", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		status      int
		image, want string
	}{
		{exitFailed, "notes.txt", "notes.txt: not a JPEG, PNG, GIF, BMP, TIFF or WebP image: it is text"},
		{exitFailed, "nothing.png", "nothing.png: there is no such file"},
		{exitFailed, "photos", "photos: there is no picture in this folder"},
		{exitUsage, "test:10000", "test:10000: the test set has images test:0 to test:9999"},
		{exitUsage, "test:first", "test:first: the test set has images test:0 to test:9999"},
	} {
		o := gputrain(t, "predict", c.image)
		if o.status != c.status || o.errors != "gputrain: "+c.want+"\n" {
			t.Errorf("%s: status %d, %swant %d, %s", c.image, o.status, o.errors, c.status, c.want)
		}
	}

	// Those that can be read are answered; a folder means its pictures.
	for _, name := range []string{"photos/10.png", "photos/9.png"} {
		if err := os.Link("seven.png", name); err != nil {
			t.Fatal(err)
		}
	}
	write(t, "photos/broken.jpg", "no image")
	write(t, "photos/notes.txt", "no picture by its name")
	o = gputrain(t, "predict", "--top", "1", "nothing.png", "photos", "seven.png")
	want := "nothing.png: there is no such file\nphotos/broken.jpg: not a JPEG, PNG, GIF, BMP, TIFF or WebP image: it is text\ngputrain: 2 of 5 images can't be answered\n"
	if names := regexp.MustCompile(`(?m)^\S*: 7$`).FindAllString(o.out, -1); o.status != exitFailed || o.errors != want || !slices.Equal(names, []string{"photos/9.png: 7", "photos/10.png: 7", "seven.png: 7"}) || strings.HasPrefix(o.out, "\n") {
		t.Errorf("status %d, %swant %s%s", o.status, o.errors, want, o.out)
	}
}

func TestVerify(t *testing.T) {
	inFolder(t)
	out := must(t, "verify", "--model", "quick.json", "--device", "cpu")
	if !strings.Contains(out, "Model quick, 4 images\nlayer ") || !regexp.MustCompile(`\nPASS: all \d+ comparisons are within the tolerance\.\n$`).MatchString(out) {
		t.Errorf("got\n%s", out)
	}
	for _, line := range strings.Split(out, "\n") {
		if strings.HasSuffix(line, " ") || len(line) > 80 {
			t.Errorf("line of %d characters, or with a space at its end: %q", len(line), line)
		}
	}
	lines := bytes.Split(bytes.TrimSpace([]byte(must(t, "verify", "--model", "quick.json", "--json"))), []byte("\n"))
	if len(lines) < 10 {
		t.Errorf("%d comparisons, want more", len(lines))
	}
	for _, line := range lines {
		var c comparison
		if err := json.Unmarshal(line, &c); err != nil {
			t.Fatal(err)
		}
		if !c.OK || c.Model != "quick" || c.What == "" || c.Phase == "" || (c.Error == nil) == !c.Fused {
			t.Errorf("comparison %s", line)
		}
	}
}
