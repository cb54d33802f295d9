package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestRunNames: a run is named by the same word in every command that takes a trained one,
// and where a command takes nothing else, without it.
func TestRunNames(t *testing.T) {
	inFolder(t)
	must(t, quick("--run", "mine", "--epochs", "1")...)
	must(t, quick("--run", "latest", "--epochs", "1")...)
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
			refuses(t, exitFailed, "there is no checkpoint in nowhere: train one first (gputrain train --run nowhere), or name another", with("nowhere")...)
			if c.told == "" {
				continue
			}
			if out := must(t, with("mine")...); !strings.Contains(out, c.told) || strings.Contains(out, "latest") {
				t.Errorf("gputrain %v:\n%s", with("mine"), out)
			}
		}
		t.Run("environment", func(t *testing.T) {
			t.Setenv("GPUTRAIN_RUN", "nowhere")
			refuses(t, exitFailed, "there is no checkpoint in nowhere: train one first (gputrain train --run nowhere), or name another", words...)
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
