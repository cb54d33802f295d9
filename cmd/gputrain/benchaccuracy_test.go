package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/bench"
	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
)

// toAccuracy is the command line of two runs of a moment.
func toAccuracy(more ...string) []string {
	return append([]string{"bench", "--to-accuracy", "50", "--runs", "2", "--device", "cpu", "--threads", "1", "--model", "quick.json", "--limit", "500", "--epochs", "2", "--lr", "0.02"}, more...)
}

func TestBenchToAccuracy(t *testing.T) {
	inFolder(t)
	o := gputrain(t, toAccuracy("--html", "report.html", "--plots", "plots", "--batch", "20")...)
	if o.status != exitOK {
		t.Fatal(o.errors)
	}
	for _, want := range []string{
		"\nRecipe   tutorial: 2 epochs, batch 20, adam, learning rate 0.02, seeds 1 to 2\n", "\nModel    quick: 500 parameters\n", "\nData     MNIST: 500 training images, 500 test images\n",
		"\nRuns to 50 % test accuracy\n", "\nOver the runs\n", "\ncpu  accuracy ", "\nTo 50 %: the time from the first step", "\nReport: report.html\n",
	} {
		if !strings.Contains(o.out, want) {
			t.Errorf("bench --to-accuracy lacks %q:\n%s", want, o.out)
		}
	}
	for seed := 1; seed <= 2; seed++ {
		if want := fmt.Sprintf("seed %d, cpu: 50 %% ", seed); !strings.Contains(o.errors, want) {
			t.Errorf("bench --to-accuracy told nothing of %q:\n%s", want, o.errors)
		}
	}
	if html, err := os.ReadFile("report.html"); err != nil || !strings.Contains(string(html), "<svg") {
		t.Errorf("--html wrote %d bytes, %v", len(html), err)
	}
	if svg, err := os.ReadFile(filepath.Join("plots", "accuracy-tutorial-quick.svg")); err != nil || !strings.Contains(string(svg), "<svg") {
		t.Errorf("--plots wrote %d bytes, %v", len(svg), err)
	}
	rows, err := csv.NewReader(strings.NewReader(must(t, toAccuracy("--csv")...))).ReadAll()
	if err != nil || len(rows) != 3 || rows[2][6] != "2" {
		t.Errorf("--csv is %q, %v", rows, err)
	}
	if _, err := os.Stat(runsFolder); !os.IsNotExist(err) {
		t.Errorf("a benchmark left a run behind (%v)", err)
	}
}

// TestBenchTrainsAsTrainDoes compares with runs of train, on images that the seed chooses.
func TestBenchTrainsAsTrainDoes(t *testing.T) {
	inFolder(t)
	write(t, "mine.json", `{"epochs": 3, "batch": 25, "seed": 4, "model": "quick.json", "evaluate_every": 2, "optimizer": {"method": "sgd", "learning_rate": 0.1, "momentum": 0.9}, "augment": {"crop": 2}}`)
	var r bench.AccuracyReport
	args := []string{"--recipe", "mine.json", "--limit", "400", "--device", "cpu"}
	if err := json.Unmarshal([]byte(must(t, append([]string{"bench", "--to-accuracy", "99.9", "--runs", "2", "--json"}, args...)...)), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Results) != 1 || len(r.Results[0].Runs) != 2 || r.Recipe.Name != "mine" || r.Recipe.Seed != 4 || r.Results[0].Reached != 0 {
		t.Fatalf("%+v", r)
	}
	for i, seed := range []string{"4", "5"} {
		run := r.Results[0].Runs[i]
		lines := strings.Split(strings.TrimSpace(must(t, append([]string{"train", "--json", "--seed", seed}, args...)...)), "\n")
		e, err := net.UnmarshalEvent([]byte(lines[len(lines)-1]))
		if err != nil {
			t.Fatal(err)
		}
		epochs := e.(net.Done).Epochs
		if len(epochs) != len(run.Epochs) || fmt.Sprint(run.Seed) != seed {
			t.Fatalf("seed %d: %d epochs, want %d of seed %s", run.Seed, len(run.Epochs), len(epochs), seed)
		}
		for k, want := range epochs {
			got := run.Epochs[k]
			// train adds losses up in pieces of other lengths.
			approx.Check(t, "training loss", []float64{got.Loss}, []float64{want.Cost}, approx.Tolerance{Rel: 1e-12})
			if (got.Test == nil) != (want.Test == nil) || want.Test != nil && *got.Test != *want.Test {
				t.Errorf("seed %s, epoch %d: %+v, want %+v", seed, k+1, got.Test, want.Test)
			}
		}
	}
}

func TestBenchToAccuracyWithAPeer(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no sh to write a peer in")
	}
	inFolder(t)
	script := `#!/bin/sh
echo '{"peer": "torch", "version": "9", "settings": "plain"}'
for i in 1 2; do echo '{"trained": {"epoch": '$i', "seconds": '$i', "training_seconds": '$i', "images_per_second": 10, "loss": 1, "test": {"loss": 1, "accuracy": 0.75}}}'; done
`
	if err := os.WriteFile("run", []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	spaces := regexp.MustCompile(` +`)
	out := spaces.ReplaceAllString(must(t, toAccuracy("--peers", "all", "--peers-folder", ".")...), " ")
	for _, want := range []string{"\ntorch 9 plain\n", "\n torch 75.00 % 1 1.00 s 1.00 s 2.00 s 2.00 s ", "A peer begins with the same weights"} {
		if !strings.Contains(out, want) {
			t.Errorf("bench --to-accuracy --peers lacks %q:\n%s", want, out)
		}
	}
}

func TestBenchToAccuracyRefuses(t *testing.T) {
	inFolder(t)
	write(t, "far.json", `{"epochs": 1, "batch": 10, "seed": 1, "optimizer": {"method": "sgd", "learning_rate": 0.1}, "data": "CIFAR-10", "get_data": "fetch it"}`)
	for args, want := range map[string]string{
		"--to-accuracy 0":                         "above 0 and at most 100",
		"--to-accuracy 101":                       "above 0 and at most 100",
		"--to-accuracy NaN":                       "above 0 and at most 100",
		"--to-accuracy 0.94":                      "in per cent: 94 for 0.94",
		"--to-accuracy high":                      "--to-accuracy",
		"--to-accuracy 94 --suite":                "--suite is for timing single steps, not for --to-accuracy",
		"--to-accuracy 94 --mode train":           "--mode is for timing single steps",
		"--to-accuracy 94 --infer-batch 5":        "--infer-batch is for timing single steps",
		"--to-accuracy 94 --repeats 5":            "--repeats is for timing single steps",
		"--to-accuracy 94 --repeat-time 1s":       "--repeat-time is for timing single steps",
		"--to-accuracy 94 --batch 20,30":          "--batch: --to-accuracy takes one size, got 2",
		"--to-accuracy 94 --batch x":              `--batch: "x" is not a whole number`,
		"--to-accuracy 94 --threads 1,2":          "--threads: --to-accuracy takes one number, got 2",
		"--to-accuracy 94 --device cpu,reference": "--device: --to-accuracy takes one device, got 2",
		"--to-accuracy 94 --model mlp,lenet5":     "--model: --to-accuracy takes one model, got 2",
		"--to-accuracy 94 --device gpu":           "unknown",
		"--to-accuracy 94 --runs 0":               "--runs must be at least 1",
		"--to-accuracy 94 --limit 0":              "--limit must be at least 1",
		"--to-accuracy 94 --recipe fats":          "did you mean fast?",
		"--to-accuracy 94 --model mpl":            "did you mean mlp?",
		"--to-accuracy 94 --epochs 0":             "epochs must be from 1",
		"--to-accuracy 94 --peak 0.3":             "--peak is for",
		"--to-accuracy 94 --optimizer sgd":        "needs another learning rate",
		"--to-accuracy 94 --peers jax":            "jax trains no whole recipes; with --to-accuracy want torch",
		"--to-accuracy 94 --peers trch":           "did you mean torch?",
		"--to-accuracy 94 --peers torch":          "no folder bench/peers",
		"--to-accuracy 94 --json --csv":           "exclude each other",
		"--to-accuracy 94 --recipe far.json":      "far is for CIFAR-10: name its folder with --data; fetch it",
		"--to-accuracy 94 tutorial":               "takes no arguments",
		"--recipe fast":                           "--recipe is for whole runs: set --to-accuracy too",
		"--runs 3":                                "--runs is for whole runs: set --to-accuracy too",
		"--limit 100":                             "--limit is for whole runs",
		"--lr 0.1":                                "--learning-rate is for whole runs",
		"--suite --epochs 3":                      "--epochs is for whole runs",
	} {
		o := gputrain(t, append([]string{"bench"}, strings.Fields(args)...)...)
		if o.status != exitUsage || !strings.Contains(o.errors, want) || o.out != "" || strings.Count(o.errors, "\n") != 1 {
			t.Errorf("bench %s: status %d, %s; want %q", args, o.status, o.errors, want)
		}
	}
	// What the environment sets for train disturbs no benchmark of steps.
	t.Setenv("GPUTRAIN_RECIPE", "fast")
	t.Setenv("GPUTRAIN_EPOCHS", "3")
	must(t, quickBench("--mode", "train", "--csv")...)
}

// canceller is a writer that ends a context when it reads a text.
type canceller struct {
	bytes.Buffer
	text   string
	cancel func()
}

func (c *canceller) Write(b []byte) (int, error) {
	n, err := c.Buffer.Write(b)
	if strings.Contains(c.String(), c.text) {
		c.cancel()
	}
	return n, err
}

func TestInterruptedBenchShowsWhatItHas(t *testing.T) {
	inFolder(t)
	ctx, cancel := context.WithCancel(t.Context())
	var out bytes.Buffer
	told := &canceller{text: "seed 1, cpu: ", cancel: cancel}
	status := run(ctx, append([]string{"gputrain"}, toAccuracy("--runs", "50", "--json")...), nil, &out, told)
	var r bench.AccuracyReport
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	if status != exitFailed || !strings.HasSuffix(told.String(), "\ngputrain: interrupted\n") || !r.Interrupted || len(r.Results[0].Runs) != 1 {
		t.Errorf("status %d, %s; %d runs", status, told.String(), len(r.Results[0].Runs))
	}
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	out.Reset()
	var errors bytes.Buffer
	if status := run(ctx, append([]string{"gputrain"}, toAccuracy()...), nil, &out, &errors); status != exitFailed || errors.String() != "gputrain: interrupted\n" || out.Len() > 0 {
		t.Errorf("status %d, %s%s", status, errors.String(), out.String())
	}
}
