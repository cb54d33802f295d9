package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/internal/runfolder"
	"github.com/gputrain/gputrain/net"
)

// tensorboardVariable names a Python that has the packages of
// tensorboard/testdata/requirements.txt; `make check-tensorboard` sets it.
const tensorboardVariable = "GPUTRAIN_TENSORBOARD_PYTHON"

// series is a tag's values, each with its step.
type series = [][2]float64

// boardRun is what TensorBoard has of a folder of event files.
type boardRun struct {
	Scalars map[string]series
	Nodes   []string        // of the graph, from the library
	Graph   string          // from the server, as text
	Images  map[string]any  // by tag
	Tags    json.RawMessage `json:"histograms"`
}

// TestTensorBoard compares what real TensorBoard has of a run's event files, by its
// library and by its server, with the run's metrics.jsonl: of a run that went on
// from a checkpoint which its files were ahead of. Without a TensorBoard it is
// skipped; `make check-tensorboard` brings one.
func TestTensorBoard(t *testing.T) {
	python := os.Getenv(tensorboardVariable)
	if python == "" {
		t.Skip("needs TensorBoard: make check-tensorboard")
	}
	script, err := filepath.Abs(filepath.Join("..", "..", "tensorboard", "testdata", "read.py"))
	if err != nil {
		t.Fatal(err)
	}
	inFolder(t)
	write(t, "conv.json", `{"name": "conv", "input": {"channels": 1, "height": 28, "width": 28}, "layers": [
		{"type": "conv", "filters": 4, "kernel": 5, "stride": 3}, {"type": "batchnorm"}, {"type": "activation", "func": "relu"},
		{"type": "flatten"}, {"type": "dropout", "rate": 0.2}, {"type": "dense", "units": 10}]}`)
	must(t, quick("--run", "one", "--model", "conv.json", "--epochs", "3", "--keep", "3")...)
	one := filepath.Join(runsFolder, "one")
	earlier, err := os.ReadFile(filepath.Join(one, net.EpochCheckpoint(2)))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(one, net.LastCheckpoint), string(earlier))
	must(t, "train", "--resume", "one", "--limit", "1000", "--epochs", "4")
	must(t, quick("--run", "two", "--schedule", "cosine")...)
	must(t, quick("--run", "three", "--epochs", "1", "--tensorboard=false")...)

	command := exec.Command(python, script, runsFolder)
	var errs bytes.Buffer
	command.Stderr = &errs
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, errs.String())
	}
	var read map[string]map[string]boardRun
	if err := json.Unmarshal(out, &read); err != nil {
		t.Fatal(err)
	}
	for _, reader := range []string{"library", "server"} {
		if got, want := len(read[reader]), 6; got != want {
			t.Errorf("%s: %d folders of event files, want %d: %v", reader, got, want, slices.Sorted(maps.Keys(read[reader])))
		}
		for _, name := range []string{"one", "two"} {
			steps, want := metricsSeries(t, filepath.Join(runsFolder, name))
			for _, part := range []string{"train", "validation", "test"} {
				got := read[reader][name+"/"+part]
				if !reflect.DeepEqual(got.Scalars, want[part]) {
					t.Errorf("%s, %s/%s: scalars\n%v, want\n%v", reader, name, part, got.Scalars, want[part])
				}
			}
			train := read[reader][name+"/train"]
			if len(train.Nodes) == 0 && !strings.Contains(train.Graph, "SparseSoftmaxCrossEntropyWithLogits") {
				t.Errorf("%s, %s: no graph", reader, name)
			}
			for tag, pictures := range train.Images {
				if n := reflect.ValueOf(pictures).Len(); n < 2 {
					t.Errorf("%s, %s: %d pictures %s", reader, name, n, tag)
				}
			}
			if got := slices.Sorted(maps.Keys(train.Images)); name == "one" && !slices.Equal(got, []string{"filters/conv1", "mistakes/validation"}) {
				t.Errorf("%s: images %v", reader, got)
			}
			for _, tag := range []string{"weights/dense1.weight", "gradients/dense1.weight"} {
				if !bytes.Contains(train.Tags, []byte(`"`+tag+`"`)) {
					t.Errorf("%s, %s: no histogram %s in %s", reader, name, tag, train.Tags)
				}
			}
			t.Logf("%s, run %s: %d tags of %d steps are those of metrics.jsonl", reader, name, len(train.Scalars), steps)
		}
	}
}

// metricsSeries is what a run's metrics.jsonl says in TensorBoard's words: by folder
// and tag. The values have the precision of an event file.
func metricsSeries(t *testing.T, dir string) (steps int, out map[string]map[string]series) {
	t.Helper()
	entries, err := runfolder.ReadMetrics(dir)
	if err != nil {
		t.Fatal(err)
	}
	out = map[string]map[string]series{"train": {}, "validation": {}, "test": {}}
	perEpoch := 0
	add := func(part, tag string, step int, v float64) {
		out[part][tag] = append(out[part][tag], [2]float64{float64(step), float64(float32(v))})
	}
	for _, e := range entries {
		switch e := e.Event.(type) {
		case net.Started:
			perEpoch = e.StepsPerEpoch
		case net.Progress:
			steps = (e.Epoch-1)*perEpoch + e.Step
			add("train", "step/loss", steps, e.Loss)
			add("train", "step/accuracy", steps, e.Accuracy)
			add("train", "step/learning_rate", steps, e.LearningRate)
			add("train", "step/images_per_second", steps, e.ImagesPerSecond)
		case net.EpochDone:
			for part, s := range map[string]net.Score{"train": {Loss: e.Cost, Accuracy: e.Accuracy}, "validation": *e.Validation, "test": *e.Test} {
				add(part, "epoch/loss", e.Epoch*perEpoch, s.Loss)
				add(part, "epoch/accuracy", e.Epoch*perEpoch, s.Accuracy)
			}
		}
	}
	return steps, out
}
