package cpu_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/cpu"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/devicetest"
	"github.com/gputrain/gputrain/net/verify"
)

// TestInferrer: it answers with the bytes of a Program, knows the checkpoint's network,
// and refuses what doesn't fit.
func TestInferrer(t *testing.T) {
	device, err := cpu.New(cpu.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	networks := []*net.Network{verify.EveryKind(net.Shape{C: 3, H: 9, W: 12}, 5), net.BuiltIn("tutorial")} // the latter fuses convolution, ReLU and pooling
	for _, n := range networks {
		plan, err := n.Plan()
		if err != nil {
			t.Fatal(err)
		}
		c := &net.Checkpoint{Network: n, Recipe: net.Recipe{Batch: 8}, State: net.InitialState(plan, 3, nil)}
		var program net.Program
		var inferrer net.Inferrer
		whole := allocated(func() { program, err = device.Compile(n, net.Options{Batch: 8, Optimizer: net.SGDDefault(0)}) })
		if err != nil {
			t.Fatal(err)
		}
		if err := program.Close(); err != nil {
			t.Fatal(err)
		}
		var programErr, inferrerErr error
		parts := map[string]uint64{
			"a program for inference": allocated(func() { program, programErr = c.Compile(device, 8) }),
			"an inferrer":             allocated(func() { inferrer, inferrerErr = cpu.NewInferrer(c, 8, cpu.Options{Threads: 2}) }),
		}
		if err := errors.Join(programErr, inferrerErr); err != nil {
			t.Fatal(err)
		}
		for what, part := range parts {
			if n.Name == "tutorial" && part > whole*7/10 { // weights, outputs and no gradient of either; for a while initial values
				t.Errorf("%s, %s: %d bytes, more than seven tenths of the %d for training", n.Name, what, part, whole)
			}
		}
		data := devicetest.RandomData(1, n.Input, plan.Classes, 11)
		batch := net.Batch{Data: data}
		for i := range data.Len() {
			batch.Indices = append(batch.Indices, int32(i))
		}
		want, err := program.Infer(batch)
		if err != nil {
			t.Fatal(err)
		}
		got, err := net.Probabilities(inferrer, batch)
		if err != nil || !slices.Equal(slices.Concat(got...), want.Float32s()) || len(got) != data.Len() {
			t.Errorf("%s: %d rows, error %v, or other probabilities than a program's", n.Name, len(got), err)
		}
		if inferrer.Plan().Network != n || inferrer.Plan().Weights() != plan.Weights() {
			t.Errorf("%s: the plan is of %d weights, want %d", n.Name, inferrer.Plan().Weights(), plan.Weights())
		}
		if err := errors.Join(inferrer.Close(), inferrer.Close(), program.Close()); err != nil {
			t.Error(err)
		}
		if _, err := inferrer.Infer(batch); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: closed, Infer gives %v", n.Name, err)
		}
		delete(c.State.Params, plan.Params[0].Name)
		if _, err := cpu.NewInferrer(c, 4, cpu.Options{}); !errors.Is(err, net.ErrState) {
			t.Errorf("%s: without a weight: %v", n.Name, err)
		}
		if _, err := cpu.NewInferrer(c, 0, cpu.Options{}); err == nil || !strings.Contains(err.Error(), "batch size") {
			t.Errorf("%s: batches of 0: %v", n.Name, err)
		}
	}
}

// allocated returns how many bytes a function takes.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// modulesOfInference are all that a program needs that only infers (docs/library.md).
// But for gputrain itself and the three marked ones they are gorgonia.org/tensor's.
var modulesOfInference = []string{
	"github.com/apache/arrow/go/arrow", "github.com/chewxy/hm", "github.com/chewxy/math32", "github.com/gogo/protobuf", "github.com/golang/protobuf",
	"github.com/google/flatbuffers", "github.com/gputrain/gputrain",
	"github.com/nlpodyssey/safetensors", // ours: checkpoints
	"github.com/pkg/errors", "github.com/xtgo/set", "go4.org/unsafe/assume-no-moving-gc",
	"golang.org/x/image", // ours: BMP, TIFF and WebP
	"golang.org/x/sys",   // ours: what the processor has
	"golang.org/x/xerrors", "gonum.org/v1/gonum", "google.golang.org/protobuf", "gorgonia.org/tensor", "gorgonia.org/vecf32", "gorgonia.org/vecf64",
}

// TestInferenceLinks links a program that only infers. It has no code that trains, and
// needs no module that nobody knows of.
func TestInferenceLinks(t *testing.T) {
	if testing.Short() {
		t.Skip("links two programs, some seconds")
	}
	goTool := func(arguments ...string) string {
		t.Helper()
		out, err := exec.Command("go", arguments...).Output()
		if err != nil {
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				err = errors.New(string(exit.Stderr))
			}
			t.Fatalf("go %v: %v", arguments, err)
		}
		return string(out)
	}
	// The test's result is not taken from the cache once a file has changed.
	for _, dir := range []string{".", "../net", "../picture", "testdata/infer"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", dir, len(files), err)
		}
		for _, f := range files {
			if _, err := os.Stat(f); err != nil {
				t.Fatal(err)
			}
		}
	}
	file := filepath.Join(t.TempDir(), "infer")
	goTool("build", "-o", file, "./testdata/infer")
	trains := regexp.MustCompile(`(?m) (github\.com/gputrain/gputrain/(` +
		`cpu\.\(\*?\w+\)\.([bB]ackward|planGradients|Step|Update|Gradients|Trace|ProfileStep|inputGradient|weightGradient)|` +
		`cpu\.(newOptimizer|newThroughPool)|net\.(Train|FindRate|InitialState|Param\.fill|SaveCheckpoint|\(\*?Source\)))\S*)$`)
	symbols := goTool("tool", "nm", file)
	for _, m := range trains.FindAllStringSubmatch(symbols, 10) {
		t.Errorf("a program that only infers has %s", m[1])
	}
	if !strings.Contains(symbols, "gputrain/cpu.(*conv).forward") {
		t.Error("the symbols are not those of a program that infers")
	}
	modulesOf := func(arguments ...string) []string {
		list := strings.Fields(goTool(append([]string{"list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}"}, arguments...)...))
		slices.Sort(list)
		return slices.Compact(list)
	}
	modules := modulesOf("./testdata/infer")
	if !slices.Equal(modules, modulesOfInference) {
		t.Errorf("modules %v,\nwant %v", modules, modulesOfInference)
	}
	// The page for users has this program, and names all modules.
	page, err := os.ReadFile("../docs/library.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("testdata/infer/main.go")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "```go\n"+string(source)+"```\n") {
		t.Error("docs/library.md has another program than testdata/infer/main.go")
	}
	if count := fmt.Sprintf(" takes %d modules besides gputrain", len(modules)-1); !strings.Contains(string(page), count) {
		t.Errorf("docs/library.md doesn't say%s", count)
	}
	for _, m := range modules {
		if !strings.Contains(string(page), m) {
			t.Errorf("docs/library.md doesn't name %s", m)
		}
	}
	for of, also := range map[string]string{"pictures": "", "mnist": "", "onnx": "", "tensorboard": "", "net/verify": "", "serve": "github.com/prometheus/client_golang and what it needs", "cuda": ""} {
		for _, m := range modulesOf("-tags=cuda", "../"+of) {
			if !slices.Contains(modules, m) && !strings.Contains(string(page), m) && (also == "" || !strings.Contains(string(page), also)) {
				t.Errorf("docs/library.md doesn't say that package %s needs %s", of, m)
			}
		}
	}
	// That the expression finds what it looks for, a program that trains shows.
	goTool("test", "-c", "-o", file, ".")
	if n := len(trains.FindAllString(goTool("tool", "nm", file), -1)); n < 20 {
		t.Errorf("a program that trains has only %d symbols of training", n)
	}
}
