package elsewhere_test

import (
	"bytes"
	"fmt"
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/internal/elsewhere"
	"github.com/gputrain/gputrain/internal/testenv"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
	"github.com/gputrain/gputrain/picture"
)

// inFolder runs the go command in a folder.
func inFolder(t *testing.T, dir string, args ...string) (out string, err error) {
	t.Helper()
	command := exec.Command("go", args...)
	command.Dir = dir
	command.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "GOPROXY=off")
	b, err := command.CombinedOutput()
	return string(b), err
}

// TestGoPackage writes packages, and runs their tests: of a network that takes pictures, and of one that takes none. With
// another weight the same test fails.
func TestGoPackage(t *testing.T) {
	r := testenv.Rand(t)
	for _, c := range []struct {
		network *net.Network
		prepare picture.Preparation
		files   []string
	}{
		{net.BuiltIn("digits-s"), picture.Digit, []string{"model.go", "model_test.go", "network.go", "picture.go", "testdata/samples.bin", "weights.bin"}},
		{branches(), "", []string{"model.go", "model_test.go", "network.go", "testdata/samples.bin", "weights.bin"}},
	} {
		t.Run(c.network.Name, func(t *testing.T) {
			plan, err := c.network.Plan()
			if err != nil {
				t.Fatal(err)
			}
			m := &elsewhere.Model{Plan: plan, Weights: weightsOf(plan, r), Data: "a \"name\"\nof two lines", Prepare: c.prepare, Scale: 1. / 255}
			for k := range plan.Classes {
				m.Classes = append(m.Classes, net.ClassName([]string{"one\n\"word\""}, k))
			}
			samples, err := m.Samples(nil, 2)
			if err != nil {
				t.Fatal(err)
			}
			program, err := reference.New().Compile(c.network, net.Options{Batch: len(samples), Optimizer: net.SGDDefault(0)})
			if err != nil {
				t.Fatal(err)
			}
			if err := program.SetState(net.State{Params: m.Weights}); err != nil {
				t.Fatal(err)
			}
			d := &net.Dataset{Name: "samples", Shape: c.network.Input, Classes: plan.Classes, Values: slices.Concat(samples...), Labels: make([]int32, len(samples))}
			indices := []int32{0, 1, 2}[:len(samples)]
			want, err := net.Probabilities(program, net.Batch{Data: d, Indices: indices})
			if err != nil {
				t.Fatal(err)
			}
			files, err := m.GoPackage("exported", samples, want)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			var names []string
			for name, content := range files {
				names = append(names, name)
				if strings.HasSuffix(name, ".go") {
					if formatted, err := format.Source(content); err != nil || !bytes.Equal(formatted, content) {
						t.Errorf("gofmt would change %s (%v)", name, err)
					}
				}
				write(t, filepath.Join(dir, name), content)
			}
			slices.Sort(names)
			if !slices.Equal(names, c.files) {
				t.Errorf("files %v, want %v", names, c.files)
			}
			write(t, filepath.Join(dir, "go.mod"), elsewhere.GoModule("exported"))
			if out, err := inFolder(t, dir, "test", "-vet=all", "."); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if out, err := inFolder(t, dir, "list", "-test", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "."); err != nil || strings.Contains(strings.ReplaceAll(out, "example.com/exported", ""), "/") {
				t.Errorf("it imports %s (%v)", out, err)
			}
			// A much greater last bias, or a much lesser one, changes the probabilities.
			var failed bool
			var told []string
			for _, high := range []byte{0x42, 0xc2} {
				changed := slices.Clone(files["weights.bin"])
				changed[len(changed)-1] = high
				write(t, filepath.Join(dir, "weights.bin"), changed)
				out, err := inFolder(t, dir, "test", ".")
				failed = failed || err != nil && strings.Contains(out, "the probability of")
				told = append(told, fmt.Sprint(err), out)
			}
			if !failed {
				t.Errorf("with another weight: %q", told)
			}
		})
	}
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestPackageName(t *testing.T) {
	for folder, want := range map[string]string{"digits": "digits", "My-Digits 2": "mydigits2", "net_1": "net_1", "ziffern-größe": "zifferngröße", "7": "", "go": "", "main": "", "...": "", "type": ""} {
		got, err := elsewhere.PackageName(folder)
		if (err != nil) != (want == "") || got != want {
			t.Errorf("%q becomes %q, %v; want %q", folder, got, err, want)
		}
	}
}
