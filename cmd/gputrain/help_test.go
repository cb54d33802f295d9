package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/picture/picturetest"
)

// examples returns the example lines of a command's help.
func examples(help string) []string {
	_, text, found := strings.Cut(help, "\nExamples:\n")
	if !found {
		_, text, _ = strings.Cut(help, "\nStart with:\n")
	}
	text, _, _ = strings.Cut(text, "\n\n")
	var lines []string
	for _, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		lines = append(lines, strings.TrimSpace(line))
	}
	return lines
}

// calledBy lets the shell run a line, and returns the words that each call of gputrain in
// it got.
func calledBy(t *testing.T, sh, line string) (calls [][]string) {
	t.Helper()
	const end = "end of the call"
	script := exec.Command(sh, "-e", "-c", `gputrain() { printf '%s\n' "$@" "$END" >>calls; }
		curl() { :; }
		tensorboard() { :; }
		mpirun() { [ "$1" = -n ] && shift 2 && "$@"; }
		`+line)
	home := t.TempDir()
	if err := os.MkdirAll(filepath.Join(home, ".config", "fish", "completions"), 0o755); err != nil {
		t.Fatal(err)
	}
	script.Env = append(os.Environ(), "HOME="+home, "END="+end)
	if out, err := script.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("the shell says of %q: %v\n%s", line, err, out)
	}
	text, err := os.ReadFile("calls")
	if os.IsNotExist(err) {
		return nil
	} else if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove("calls"); err != nil {
		t.Fatal(err)
	}
	var call []string
	for _, word := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		if word == end {
			calls, call = append(calls, call), nil
			continue
		}
		call = append(call, word)
	}
	return calls
}

// TestExamples runs the examples of every command's help as they stand, on a few images.
// Of commands that run for long it reads the flags alone.
func TestExamples(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no shell that reads the examples")
	}
	sources, err := filepath.Abs(filepath.Join("..", "..", "mnist", "data"))
	if err != nil {
		t.Fatal(err)
	}
	inFolder(t)
	for name, value := range map[string]string{
		"LIMIT": "20", "EPOCHS": "1", "STEPS": "10", "DEVICE": "cpu", "TENSORBOARD": "false", "DATA_CACHE": filepath.Join(t.TempDir(), "cache"),
	} {
		t.Setenv(envPrefix+name, value)
	}
	// What the examples speak of.
	colours(t, "flowers", 20)
	if err := os.Symlink(sources, "fashion-mnist"); err != nil {
		t.Skipf("there are no links: %v", err)
	}
	seven := picturetest.Encoded(t, "png", picturetest.Digit(testDigits(t), 0))
	if err := os.Mkdir("holiday", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"seven.png", "photo.jpg", "3.png", "8.png", filepath.Join("holiday", "3.png")} {
		write(t, name, string(seven))
	}
	write(t, "token", "secret-of-the-example")
	write(t, "wide.json", quickModel)
	squeezenet := net.BuiltIn("squeezenet")
	plan, err := squeezenet.Plan()
	if err != nil {
		t.Fatal(err)
	}
	if err := net.SaveWeights("squeezenet.safetensors", plan, net.InitialState(plan, 1, nil).Params, net.ChannelsFirst); err != nil {
		t.Fatal(err)
	}
	write(t, "names.txt", "# other names\nconv1.weight = conv1.weight\n")
	labels := "path,label\n"
	for i := range 20 {
		labels += fmt.Sprintf("flowers/sky/%d.png,sky\nflowers/grass/%d.png,grass\n", i, i)
	}
	write(t, "labels.csv", labels)
	must(t, "train", "--run", "tutorial")
	must(t, "export", "--format", "safetensors", "--output", "weights.safetensors")
	must(t, "export", "--output", "model.onnx")
	for _, run := range []string{"run-1", "run-2", "run-3"} { // networks that answer at once
		must(t, "train", "--run", run, "--model", "wide.json")
	}
	seen := 0
	a := &app{out: newStream(&bytes.Buffer{}, nil), err: newStream(&bytes.Buffer{}, nil)}
	var walk func(path []string, commands []*cli.Command)
	walk = func(path []string, commands []*cli.Command) {
		for _, c := range commands {
			words := append(slices.Clone(path), c.Name)
			for _, line := range examples(must(t, append(words, "--help")...)) {
				calls := calledBy(t, sh, line)
				if len(calls) == 0 && strings.Contains(line, "gputrain ") && !strings.HasPrefix(line, "echo ") {
					t.Errorf("%q calls no gputrain", line)
				}
				for _, call := range calls {
					seen++
					runExample(t, line, call, seven)
				}
			}
			walk(words, c.Subcommands)
		}
	}
	// Training last: what is asked of the latest run is asked of one that answers at once.
	commands := a.root().Commands
	slices.SortStableFunc(commands, func(x, y *cli.Command) int {
		return slices.Index([]string{"import", "train"}, x.Name) - slices.Index([]string{"import", "train"}, y.Name)
	})
	walk(nil, commands)
	for _, line := range examples(must(t)) {
		for _, call := range calledBy(t, sh, line) {
			seen++
			runExample(t, line, call, seven)
		}
	}
	if seen < 50 {
		t.Errorf("found %d examples, there are more", seen)
	}
}

// runExample runs a command line of an example.
func runExample(t *testing.T, line string, words []string, stdin []byte) {
	t.Helper()
	var out, errs bytes.Buffer
	a := &app{args: append([]string{"gputrain"}, words...), out: newStream(&out, nil), err: newStream(&errs, nil)}
	root := a.root()
	stub := map[string]cli.ActionFunc{
		"serve":  func(c *cli.Context) error { _, err := a.serveOptions(c); return err },
		"bench":  noArguments,
		"verify": noArguments,
	}
	if slices.Contains(words, allGPUs) { // there are none
		stub["train"] = noArguments
	}
	for _, c := range root.Commands {
		if c.Name != words[0] || stub[c.Name] == nil {
			continue
		}
		c.Action = stub[c.Name]
		if err := root.RunContext(t.Context(), interspersed(root, a.args)); err != nil {
			t.Errorf("%q: %v", line, err)
		}
		return
	}
	if o := gputrainReading(t, stdin, words...); o.status != exitOK {
		t.Errorf("%q: status %d, %s", line, o.status, o.errors)
	}
	if words[0] == "models" && slices.Contains(words, "--json") { // what the line writes to a file
		write(t, "mine.json", must(t, words...))
	}
	if words[0] == "recipes" && slices.Contains(words, "--json") {
		write(t, "own.json", must(t, words...))
	}
	if words[0] == "export" && slices.Contains(words, "safetensors") {
		copied, err := os.ReadFile("weights.safetensors")
		if err != nil {
			t.Fatal(err)
		}
		write(t, "model.safetensors", string(copied))
	}
}

// deployed returns the command lines of gputrain in a file of the folder deploy: lists of
// arguments in YAML, and commands in a script.
func deployed(text string) (lines [][]string) {
	if strings.HasPrefix(text, "#!") {
		for _, line := range strings.Split(strings.ReplaceAll(text, "\\\n", " "), "\n") {
			words := strings.Fields(strings.TrimSuffix(line, "&"))
			if i := slices.Index(words, "gputrain"); i >= 0 && !strings.HasPrefix(line, "#") {
				lines = append(lines, words[i+1:])
			}
		}
		return lines
	}
	in := false
	for _, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		item, isItem := strings.CutPrefix(line, "- ")
		switch {
		case line == "args:" || line == "command:":
			lines, in = append(lines, nil), true
		case in && isItem:
			lines[len(lines)-1] = append(lines[len(lines)-1], item)
		case line != "":
			in = false
		}
	}
	return lines
}

// TestDeploy reads the command lines in the folder deploy, as far as that is possible without
// the machines that they are for.
func TestDeploy(t *testing.T) {
	for _, name := range []string{"slurm.sh", "compose.yaml", "trainjob.yaml", "pytorchjob.yaml"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "deploy", name))
		if err != nil {
			t.Fatal(err)
		}
		lines := deployed(string(text))
		if len(lines) != 1 || len(lines[0]) == 0 || lines[0][0] != "train" {
			t.Errorf("%s has the command lines %q", name, lines)
			continue
		}
		var out bytes.Buffer
		a := &app{args: append([]string{"gputrain"}, lines[0]...), out: newStream(&out, nil), err: newStream(&out, nil)}
		root := a.root()
		read := false
		for _, c := range root.Commands {
			if c.Name != "train" {
				continue
			}
			c.Action = func(c *cli.Context) error {
				read = true
				if c.NArg() > 0 {
					return noArguments(c)
				}
				if !c.Bool("auto-resume") {
					t.Errorf("%s: a job that is started again doesn't go on", name)
				}
				if device := c.String("device"); device != "cuda" && device != "cuda:all" {
					t.Errorf("%s: --device %s", name, device)
				}
				if _, _, err := autoResume(c); err != nil {
					return err
				}
				if _, err := saving(c.String("checkpoint-every")); err != nil {
					return err
				}
				_, err := loadRecipe(c.String("recipe"))
				return err
			}
		}
		if err := root.RunContext(t.Context(), interspersed(root, a.args)); err != nil || !read {
			t.Errorf("%s: %q: %v", name, lines[0], err)
		}
	}
}
