package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/net"
)

// TestFineTuning begins a run with the weights of one on other classes: with a new last layer, and all else frozen. What is frozen
// keeps its bytes, also the running statistics, and the run goes on as if it had never stopped. A second run trains all layers.
func TestFineTuning(t *testing.T) {
	inFolder(t)
	write(t, "small.json", `{"name": "small", "input": {"channels": 3, "height": 8, "width": 8}, "layers": [
		{"type": "conv", "filters": 4, "kernel": 3}, {"type": "batchnorm"}, {"type": "activation", "func": "relu"},
		{"type": "conv", "filters": 4, "kernel": 3, "no_bias": true}, {"type": "batchnorm"}, {"type": "activation", "func": "relu"},
		{"type": "pool", "mode": "mean", "global": true}, {"type": "dense", "units": 3}]}`)
	colours(t, "three", 30)
	colours(t, "two", 30)
	for from, to := range map[string]string{"brick": "", "grass": "leaf", "sky": "water"} {
		var err error
		if to == "" {
			err = os.RemoveAll(filepath.Join("two", from))
		} else {
			err = os.Rename(filepath.Join("two", from), filepath.Join("two", to))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	common := []string{"--device", "cpu", "--data-cache", "off", "--seed", "3"}
	train := func(args string) string {
		t.Helper()
		return must(t, append(append([]string{"train"}, strings.Fields(args)...), common...)...)
	}
	train("--data three --model small.json --recipe tutorial --epochs 2 --batch 8 --run base")
	base := load(t, filepath.Join(runsFolder, "base"))

	refuses(t, exitFailed, filepath.Join(runsFolder, "base")+" was trained on other classes (3: brick, grass, sky) than data set two has (2: leaf, water): give the network a new last layer with --head auto, or keep the old one with --head keep if the classes are the same under other names",
		append([]string{"train", "--from", "base", "--data", "two"}, common...)...)
	out := train("--from base --data two --head auto --freeze @body --epochs 3 --run tuned")
	for _, want := range []string{
		"small: 10 parameters, and 272 that are frozen\n",
		"begin with those of " + filepath.Join(runsFolder, "base") + ", except the new last layer, dense1, for 2 classes\n", "2: leaf, water\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("lacks %q:\n%s", want, out)
		}
	}
	tuned := load(t, filepath.Join(runsFolder, "tuned"))
	same := func(what string, c *net.Checkpoint, name string, want bool) {
		t.Helper()
		if slices.Equal(c.State.Params[name].Float32s(), base.State.Params[name].Float32s()) != want {
			t.Errorf("%s: %s is that of the first run: %v, want %v", what, name, !want, want)
		}
	}
	for name := range base.State.Params {
		if !strings.HasPrefix(name, "dense1") {
			same("frozen", tuned, name, true)
		}
	}
	if got := tuned.State.Params["dense1.weight"].Shape(); len(tuned.State.Optimizer) != 4 || got[0] != 2 || tuned.Subject.ClassNames[1] != "water" {
		t.Errorf("the last layer is %v, there are %d moments, classes are %v", got, len(tuned.State.Optimizer), tuned.Subject.ClassNames)
	}
	// In two parts it is the same.
	train("--from base --data two --head 2 --freeze ..relu2 --epochs 2 --run parts")
	train("--resume parts --epochs 3")
	parts := load(t, filepath.Join(runsFolder, "parts"))
	for name, w := range tuned.State.Params {
		if !slices.Equal(parts.State.Params[name].Float32s(), w.Float32s()) {
			t.Errorf("in two parts, %s differs", name)
		}
	}
	// All layers, the old ones slowly. The classes are the same, so the last layer stays.
	train("--from tuned --freeze none --rate-factor @body=0.1 --epochs 1 --run all")
	all := load(t, filepath.Join(runsFolder, "all"))
	for _, name := range []string{"conv1.weight", "batchnorm1.running_mean", "batchnorm2.weight"} {
		same("none frozen", all, name, false)
	}
	if g := all.Recipe.Optimizer.Groups; len(g) != 1 || g[0].Params != net.Body || g[0].Factor != 0.1 {
		t.Errorf("groups are %v", g)
	}
	// A group of the first run that is only for what is frozen is left out. One that is given now is checked.
	train("--from tuned --freeze none --rate-factor conv1.*=0.5 --epochs 1 --run slow")
	train("--from slow --freeze conv1 --epochs 1 --run again")
	if g := load(t, filepath.Join(runsFolder, "again")).Recipe.Optimizer.Groups; len(g) != 0 {
		t.Errorf("groups for what is frozen: %v", g)
	}
	refuses(t, exitFailed, `optimiser: no trained parameter matches "conv1.*"; names are such as batchnorm1.weight`,
		append(strings.Fields("train --from tuned --freeze none,conv1 --rate-factor conv1.*=0.1"), common...)...)
	// More classes than the data have; a file of a run whose classes are called otherwise; --json.
	out = train("--from base --data two --head 4 --freeze conv* --epochs 1 --json")
	var started struct {
		Event           string
		Weights, Frozen int
	}
	line, _, _ := strings.Cut(out, "\n")
	if err := json.Unmarshal([]byte(line), &started); err != nil || started.Event != "started" || started.Weights != 16+20 || started.Frozen != 112+144 {
		t.Errorf("%v, %+v, %s", err, started, line)
	}
	train("--from base --data two --head keep --epochs 1")

	for _, c := range []struct {
		args, want string
		status     int
	}{
		{"--from base --data two --head 1", `--head: "1" is neither a number of classes, at least 2, nor auto or keep`, exitUsage},
		{"--from base --data two --head some", `--head: "some" is neither a number of classes, at least 2, nor auto or keep`, exitUsage},
		{"--from base --head 2", "--head 2: data set three has 3 classes; --head auto takes as many", exitUsage},
		{"--head 2", "--head is for a new run that begins with the weights of another: name that with --from RUN", exitUsage},
		{"--freeze conv1", "--freeze is for a new run that begins with the weights of another: name that with --from RUN", exitUsage},
		{"--resume tuned --freeze none", "--freeze is for a new run that begins with the weights of another: name that with --from RUN", exitUsage},
		{"--from base --freeze conv1,conv7", `--freeze: nothing to freeze is called "conv7"; layers with parameters are conv1, batchnorm1, conv2, batchnorm2, dense1`, exitFailed},
		{"--from base --freeze @body,dense1", "network small has nothing to train: it has no parameters, or all are frozen", exitFailed},
		{"--from tuned --data three", filepath.Join(runsFolder, "tuned") + " tells 2 classes apart", exitFailed},
	} {
		o := gputrain(t, append(append([]string{"train"}, strings.Fields(c.args)...), common...)...)
		if o.status != c.status || !strings.Contains(o.errors, c.want) {
			t.Errorf("%s: status %d, %swant %s", c.args, o.status, o.errors, c.want)
		}
	}
}
