package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/net"
)

// TestRunNames: a run is named by the same word in every command that takes a trained one,
// and where a command takes nothing else, without it.
func TestRunNames(t *testing.T) {
	inFolder(t)
	must(t, quick("--run", "mine", "--epochs", "1")...)
	must(t, quick("--run", "latest", "--epochs", "1")...)
	const noSuchRun = "there is no checkpoint in nowhere: train one first (gputrain train --run nowhere), or name another (latest, mine)"
	if err := os.Mkdir(filepath.Join(runsFolder, "empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		command string
		told    string // what it prints of runs/mine; "" where it would go on for ever
		alone   bool   // the name may stand behind the command
	}{
		{"eval --limit 10", "mine:", true},
		{"report --image test:0 --json", `"mine"`, true},
		{"export --json", `mine"`, true},
		{"serve", "", true},
		{"train --resume", "mine\n", true},
		{"predict test:0", "test:0", false},
	} {
		words := strings.Fields(c.command)
		forms := [][]string{{"--run"}, {"--run="}}
		if words[0] != "train" {
			forms = append(forms, []string{"--checkpoint"})
		}
		if c.alone {
			forms = append(forms, nil)
		}
		for _, form := range forms {
			with := func(name string) []string {
				if len(form) > 0 && strings.HasSuffix(form[0], "=") {
					return append(slices.Clone(words), form[0]+name)
				}
				return append(append(slices.Clone(words), form...), name)
			}
			refuses(t, exitFailed, noSuchRun, with("nowhere")...)
			if c.told == "" {
				continue
			}
			if out := must(t, with("mine")...); !strings.Contains(out, c.told) || strings.Contains(out, "latest") {
				t.Errorf("gputrain %v:\n%s", with("mine"), out)
			}
		}
		t.Run("environment", func(t *testing.T) {
			t.Setenv("GPUTRAIN_RUN", "nowhere")
			refuses(t, exitFailed, noSuchRun, words...)
			if c.alone && c.told != "" {
				if out := must(t, append(words, "mine")...); !strings.Contains(out, c.told) {
					t.Errorf("gputrain %v mine, with another in the environment:\n%s", words, out)
				}
			}
		})
	}
	if out := must(t, "report", "mine", "latest", "--json"); !strings.Contains(out, `"mine"`) || !strings.Contains(out, `"latest"`) {
		t.Errorf("a report of two runs lacks one:\n%s", out)
	}
	// Completion offers those that are trained.
	for _, words := range []string{"eval", "eval --run", "eval --limit 10 --checkpoint", "report", "report mine", "export", "serve", "predict --run", "train --resume", "train --run", "predict -v --run"} {
		if got := strings.Fields(must(t, append(strings.Fields(words), completionFlag)...)); !slices.Contains(got, "mine") || !slices.Contains(got, "latest") || slices.Contains(got, "empty") {
			t.Errorf("completing %q gives %v", words, got)
		}
	}
	for _, words := range []string{"train", "predict", "eval mine", "eval --limit", "train --resume mine"} {
		if got := must(t, append(strings.Fields(words), completionFlag)...); strings.Contains(got, "mine") {
			t.Errorf("completing %q gives\n%s", words, got)
		}
	}
}

// TestWeights begins runs with the weights of another: to train longer than it was planned,
// or on.
func TestWeights(t *testing.T) {
	inFolder(t)
	must(t, quick("--run", "first", "--schedule", "cosine", "--average", "0.5", "--seed", "3")...)
	first := load(t, filepath.Join(runsFolder, "first"))
	longer := "gputrain train --from " + filepath.Join(runsFolder, "first")
	refuses(t, exitFailed, "cannot resume: the cosine schedule was laid out for 2 epochs; to train on, begin a new run with its weights: "+longer+" --epochs 3",
		"train", "--resume", "first", "--epochs", "5")
	if out := must(t, "train", "--resume", "first"); !strings.Contains(out, "Nothing was left to do. To train on, begin a new run with its weights: "+longer+"\n") {
		t.Errorf("a run that has ended:\n%s", out)
	}
	// At this rate no weight moves by as much as its last bit.
	out := must(t, "train", "--from", "first", "--run", "second", "--epochs", "3", "--lr", "1e-30")
	for _, want := range []string{"\nWeights  begin with those of " + filepath.Join(runsFolder, "first") + "\n", "quick: 500 parameters", "1,000 of 55,000 training", "3 epochs, batch 50, adam, learning rate 1e-30, cosine schedule, averaged weights 0.5, seed 3\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("the second run lacks %q:\n%s", want, out)
		}
	}
	second := load(t, filepath.Join(runsFolder, "second"))
	for name, w := range first.State.Average {
		if !slices.Equal(second.State.Params[name].Float32s(), w.Float32s()) {
			t.Errorf("%s does not begin with the averaged weights of the first run", name)
		}
		if slices.Equal(first.State.Params[name].Float32s(), w.Float32s()) {
			t.Errorf("%s: averages and weights are the same, which tells nothing", name)
		}
	}
	if second.State.Step != 60 || len(second.History) != 3 || second.Subject == nil {
		t.Errorf("%d steps, %d epochs, %v", second.State.Step, len(second.History), second.Subject)
	}
	// Other settings, and another network with the same parameters.
	write(t, "dropout.json", strings.Replace(quickModel, `{"type": "dense"`, `{"type": "dropout", "rate": 0.1}, {"type": "dense"`, 1))
	if out := must(t, "train", "--from", "first", "--recipe", "fast", "--epochs", "1", "--model", "dropout.json", "--limit", "500"); !strings.Contains(out, "fast: 1 epoch, batch 256") || !strings.Contains(out, "seed 3\n") || !strings.Contains(out, "500 of 55,000 training") {
		t.Errorf("other settings:\n%s", out)
	}
	refuses(t, exitFailed, "--from "+filepath.Join(runsFolder, "first")+": its network, quick, is not lenet5: state does not fit: tensor conv1.bias is missing", "train", "--from", "first", "--model", "lenet5")
	refuses(t, exitUsage, "--from begins a new run, --resume goes on with one: leave one of them out", "train", "--from", "first", "--resume")
	if o := gputrain(t, "train", "--from", "nowhere"); o.status != exitFailed || !strings.Contains(o.errors, "there is no checkpoint in nowhere: train one first (gputrain train --run nowhere), or name another (") {
		t.Errorf("weights of no run: status %d, %s", o.status, o.errors)
	}
	// A set that the seed splits: another one mixes what was trained on with what is tested.
	colours(t, "mine", 30)
	must(t, "train", "--data", "mine", "--model", "mlp", "--epochs", "1", "--run", "photos", "--image-size", "8", "--device", "cpu", "--recipe", "fast", "--data-cache", "off")
	const mixed = "note: another --seed splits the data otherwise"
	for args, want := range map[string]bool{"": false, "--seed 9": true} {
		o := gputrain(t, append([]string{"train", "--from", "photos", "--epochs", "1", "--device", "cpu", "--data-cache", "off"}, strings.Fields(args)...)...)
		if o.status != exitOK || strings.Contains(o.errors, mixed) != want {
			t.Errorf("%q: status %d, %s", args, o.status, o.errors)
		}
	}
}

// TestNoCheckpoint names files that are no checkpoints, and runs whose latest one is damaged.
func TestNoCheckpoint(t *testing.T) {
	inFolder(t)
	must(t, quick("--run", "mine", "--keep", "1")...)
	must(t, "export", "--output", "digits.onnx")
	must(t, "export", "--format", "onnx", "--output", "digits.model")
	write(t, "old.pt", "\x80\x02")
	for _, c := range []struct{ args, want string }{
		{"eval digits.onnx", "checkpoint digits.onnx: not a usable checkpoint: it is an ONNX file: name the run, or its .safetensors file"},
		{"serve --run digits.onnx", "checkpoint digits.onnx: not a usable checkpoint: it is an ONNX file: name the run, or its .safetensors file"},
		{"train --from old.pt", "checkpoint old.pt: not a usable checkpoint: it is a pickle file, as old versions of PyTorch write (.pt): name the run, or its .safetensors file"},
		{"import digits.model", "weights digits.model: not this network's weights: it is an ONNX file: let its name end in .onnx"},
		{"export new.onnx", "there is no checkpoint in new.onnx; to write to this file, use --output new.onnx"},
		{"report new.html", "there is no checkpoint in new.html; to write to this file, use --output new.html"},
		{"eval new.onnx", "there is no checkpoint in new.onnx: train one first (gputrain train --run new.onnx), or name another (mine)"},
	} {
		refuses(t, exitFailed, c.want, strings.Fields(c.args)...)
	}
	refuses(t, exitUsage, "export takes one run, got more: to write to new.onnx, use --output new.onnx; see gputrain export --help", "export", "mine", "new.onnx")

	dir := filepath.Join(runsFolder, "mine")
	last, best, kept := filepath.Join(dir, net.LastCheckpoint), filepath.Join(dir, net.BestCheckpoint), filepath.Join(dir, net.EpochCheckpoint(2))
	write(t, last, "damaged")
	whole := func(path string) string {
		return "; the run also has " + path + ", of epoch 2, which is whole: name that\n"
	}
	for _, c := range []struct{ args, want string }{
		{"eval mine", whole(best)}, {"eval " + last, whole(best)}, {"train --resume mine", whole(best)},
	} {
		if o := gputrain(t, strings.Fields(c.args)...); o.status != exitFailed || !strings.HasSuffix(o.errors, c.want) || !strings.Contains(o.errors, "damaged") {
			t.Errorf("%s: status %d, %swant %s", c.args, o.status, o.errors, c.want)
		}
	}
	must(t, "eval", best, "--limit", "10")
	write(t, best, "damaged, too")
	if o := gputrain(t, "eval", "mine"); !strings.HasSuffix(o.errors, whole(kept)) {
		t.Errorf("with another checkpoint alone: %s", o.errors)
	}
	write(t, kept, "damaged, too")
	if o := gputrain(t, "eval", "mine"); o.status != exitFailed || strings.Contains(o.errors, "whole") {
		t.Errorf("where nothing is whole: %s", o.errors)
	}
}
