package runfolder

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gputrain/gputrain/net"
)

// events are those of a run of 3 epochs of 4 steps that was stopped after 9 steps
// and went on.
func events() []net.Event {
	recipe := net.Recipe{Name: "three", Epochs: 3, Batch: 10, Optimizer: net.AdamDefault(1e-3), Seed: 1 << 63}
	progress := func(epoch, step int) net.Event {
		return net.Progress{Epoch: epoch, Step: step, Steps: 4, Loss: 1 / float64(epoch*step), Accuracy: 0.1, ImagesPerSecond: 12.5, LearningRate: 1e-3}
	}
	epoch := func(n int) net.EpochDone {
		return net.EpochDone{EpochResult: result(n), Best: n < 3, Seconds: 2, ImagesPerSecond: 20}
	}
	last := func(reason net.CheckpointReason, epoch, step int) net.Event {
		return net.CheckpointSaved{Path: "run/last.safetensors", Reason: reason, Epoch: epoch, Step: step}
	}
	return []net.Event{
		net.Started{Network: "n", Recipe: recipe, Device: `a "device"`, Weights: 5, Train: 40, Validation: 7, StepsPerEpoch: 4},
		progress(1, 2), progress(1, 4), epoch(1), last(net.AtBest, 1, 0), last(net.AtEpoch, 1, 0),
		progress(2, 2), progress(2, 4), epoch(2), last(net.AtBest, 2, 0), last(net.AtEpoch, 2, 0),
		last(net.AtStopped, 2, 1),
		net.Started{Network: "n", Recipe: recipe, Weights: 5, Train: 40, Validation: 7, StepsPerEpoch: 4, Resumed: &net.Position{Epoch: 2, Step: 1, Samples: 10, Loss: 3.5, Hits: 2}},
		progress(3, 2), progress(3, 4), epoch(3), last(net.AtEpoch, 3, 0),
		net.Done{Result: net.Result{Epochs: []net.EpochResult{result(1), result(2), result(3)}, Best: 2, Seconds: 3, Last: "run/last.safetensors"}},
	}
}

func result(n int) net.EpochResult {
	loss := []float64{0.9, 0.5, 0.7}[n-1]
	return net.EpochResult{Epoch: n, Cost: loss + 0.125, Accuracy: 0.5, Validation: &net.Score{Loss: loss, Accuracy: 0.25}}
}

// checkpoint is what is known of that run after some steps.
func checkpoint(epoch, step int) *net.Checkpoint {
	c := &net.Checkpoint{
		Recipe: net.Recipe{Epochs: 3, Batch: 10}, Train: net.DatasetID{Samples: 40},
		Position: net.Position{Epoch: epoch, Step: step}, State: net.State{Step: int64(4*epoch + step)},
	}
	for n := range epoch {
		c.History = append(c.History, result(n+1))
	}
	return c
}

func write(t *testing.T, l *Log, events []net.Event) {
	t.Helper()
	for _, e := range events {
		if err := l.Observe(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, dir string) (events []net.Event) {
	t.Helper()
	entries, err := ReadMetrics(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		events = append(events, e.Event)
	}
	return events
}

func same(t *testing.T, what string, got, want []net.Event) {
	t.Helper()
	if reflect.DeepEqual(got, want) {
		return
	}
	t.Errorf("%s: %d events, want %d", what, len(got), len(want))
	for i := range max(len(got), len(want)) {
		var g, w net.Event
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if !reflect.DeepEqual(g, w) {
			t.Errorf("%d: %#v, want %#v", i, g, w)
		}
	}
}

func TestMetricsComeBack(t *testing.T) {
	dir := t.TempDir()
	l, err := CreateLog(dir)
	if err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	write(t, l, events())
	same(t, "read back", read(t, dir), events())
	entries, _ := ReadMetrics(dir)
	for _, e := range entries {
		if e.Time.Before(before) || e.Time.After(time.Now()) {
			t.Errorf("%v has the time %v", e.Event, e.Time)
		}
	}
}

// TestResumedMetrics lets a run go on from each place where it may stand, with the
// metrics of all of it: what comes of it must be what a run has that never came
// further.
func TestResumedMetrics(t *testing.T) {
	all := events()
	for _, c := range []struct{ epoch, step, keep int }{
		{0, 0, 1}, {0, 3, 2}, {1, 0, 6}, {1, 1, 6}, {1, 2, 7}, {2, 0, 11}, {2, 1, 12}, {2, 3, 14}, {3, 0, 17},
	} {
		t.Run(fmt.Sprintf("%d.%d", c.epoch, c.step), func(t *testing.T) {
			dir := t.TempDir()
			l, err := CreateLog(dir)
			if err != nil {
				t.Fatal(err)
			}
			write(t, l, all)
			// Twice: nothing is doubled where it goes on from the same place again.
			for range 2 {
				if l, err = ResumeLog(dir, checkpoint(c.epoch, c.step)); err != nil {
					t.Fatal(err)
				}
				again := net.Started{Network: "n", Resumed: &net.Position{Epoch: c.epoch, Step: c.step}}
				write(t, l, append([]net.Event{again}, all[c.keep:]...))
				want := append(append(append([]net.Event{}, all[:c.keep]...), again), all[c.keep:]...)
				same(t, "went on", read(t, dir), want)
			}
		})
	}
}

func TestKilledWhileWriting(t *testing.T) {
	dir := t.TempDir()
	l, err := CreateLog(dir)
	if err != nil {
		t.Fatal(err)
	}
	write(t, l, events()[:9]) // up to the second epoch
	path := filepath.Join(dir, MetricsFile)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(whole); n += 7 {
		if err := os.WriteFile(path, whole[:n], 0o644); err != nil {
			t.Fatal(err)
		}
		got := read(t, dir)
		if want := bytes.Count(whole[:n], []byte("\n")); len(got) != want {
			t.Fatalf("cut at byte %d: %d entries, want %d", n, len(got), want)
		}
		l, err := ResumeLog(dir, checkpoint(1, 0))
		if err != nil {
			t.Fatal(err)
		}
		write(t, l, nil)
		got = read(t, dir)
		// The epoch is there always: from the file, or as the checkpoint has it.
		var epochs []net.EpochResult
		for _, e := range got {
			if e, ok := e.(net.EpochDone); ok {
				epochs = append(epochs, e.EpochResult)
			}
		}
		if !reflect.DeepEqual(epochs, []net.EpochResult{result(1)}) {
			t.Fatalf("cut at byte %d: epochs %v", n, epochs)
		}
	}
}

// TestCopiedCheckpoint goes on in a folder that has a checkpoint alone.
func TestCopiedCheckpoint(t *testing.T) {
	dir := t.TempDir()
	l, err := ResumeLog(dir, checkpoint(2, 1))
	if err != nil {
		t.Fatal(err)
	}
	write(t, l, nil)
	want := []net.Event{net.EpochDone{EpochResult: result(1), Best: true}, net.EpochDone{EpochResult: result(2), Best: true}}
	same(t, "history", read(t, dir), want)
	if b, _ := os.ReadFile(filepath.Join(dir, MetricsFile)); bytes.Contains(b, []byte(`"time"`)) {
		t.Errorf("a time that nobody knows: %s", b)
	}
}

func TestDamagedMetrics(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ text, want string }{
		{"{}\n", `line 1: unknown event ""`},
		{"{\"event\":\"epoch\"}\n\x00\x00\n", "line 2: invalid character"},
		{"{\"event\":\"progress\",\"loss\":\"small\"}\n", "line 1: json: cannot unmarshal string"},
	} {
		if err := os.WriteFile(filepath.Join(dir, MetricsFile), []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadMetrics(dir); err == nil || !strings.Contains(err.Error(), "metrics.jsonl: damaged: "+c.want) {
			t.Errorf("%q: error %v", c.text, err)
		}
		if _, err := ResumeLog(dir, checkpoint(1, 0)); err == nil || !strings.HasSuffix(err.Error(), "; to go on without it, move it away") {
			t.Errorf("%q: error %v", c.text, err)
		}
		if b, _ := os.ReadFile(filepath.Join(dir, MetricsFile)); string(b) != c.text {
			t.Errorf("the damaged file became %q", b)
		}
	}
	if _, err := ReadMetrics(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestRecord(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadRecord(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	recipe, _ := net.RecipeNamed("fast")
	r := Record{Network: net.BuiltIn("tutorial"), Recipe: recipe.Recipe, Data: Data{Name: "MNIST", Train: 55000, Test: 10000}, Parts: []Part{{Version: "1", Device: "cpu"}}}
	if err := r.Write(dir); err != nil {
		t.Fatal(err)
	}
	more := r
	more.Recipe.Epochs, more.Parts = 9, []Part{{Version: "2", Device: "cuda", Resumed: &Place{Epoch: 3}, Command: []string{"gputrain", "train", "--resume"}}}
	if err := more.Write(dir); err != nil {
		t.Fatal(err)
	}
	got, err := ReadRecord(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := more
	want.Parts = []Part{r.Parts[0], more.Parts[0]}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if err := os.WriteFile(filepath.Join(dir, RecordFile), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := more.Write(dir); err == nil || !strings.Contains(err.Error(), "recipe.json: damaged, or no record of a run: ") {
		t.Errorf("error %v", err)
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	if InTraining(dir) || InTraining(filepath.Join(dir, "nowhere")) {
		t.Error("a folder without a lock is said to be in training")
	}
	release, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(dir); err == nil || err.Error() != "another process is training "+dir+": wait for it, or interrupt it" {
		t.Errorf("a second lock: %v", err)
	}
	if first, again := InTraining(dir), InTraining(dir); !first || !again { // asking changes nothing
		t.Error("a locked folder is not said to be in training")
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	if InTraining(dir) {
		t.Error("a folder whose lock was released is said to be in training")
	}
	if release, err = Lock(dir); err != nil {
		t.Fatalf("after the first was released: %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	Clear(dir)
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("%v stay (%v)", entries, err)
	}
}

func FuzzMetrics(f *testing.F) {
	for _, e := range events() {
		line, err := Entry{time.Unix(1, 2), e}.encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(line)
	}
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := parseMetrics(b)
		if err != nil {
			return
		}
		// What was read can be written, and comes back.
		var again []byte
		for _, e := range entries {
			line, err := e.encode()
			if err != nil {
				t.Fatal(err)
			}
			again = append(again, line...)
		}
		if len(entries) > 0 && !strings.HasSuffix(string(again), "\n") {
			t.Error("no line at the end")
		}
		back, err := parseMetrics(again)
		if err != nil || len(back) != len(entries) {
			t.Fatalf("%d entries, then %d (%v)", len(entries), len(back), err)
		}
		until(checkpoint(2, 1), entries)
	})
}
