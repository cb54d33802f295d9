//go:build unix

package serve

import (
	"errors"
	"fmt"
	"log"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/bench/peers"
	"github.com/gputrain/gputrain/net"
)

// inputs is a job of which only the inputs are there, in folder: 7 images.
var (
	folder string
	inputs peers.Job
)

func TestMain(m *testing.M) {
	if os.Getenv(tellPeak) != "" {
		peak, err := peakRSS()
		fmt.Print(peak, " ", err)
		os.Exit(0)
	}
	code, err := func() (code int, err error) {
		if folder, err = os.MkdirTemp("", "serve-test-"); err != nil {
			return 1, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
		data := &net.Dataset{Name: "seven", Shape: net.Shape{C: 1, H: 28, W: 28}, Classes: 10, Scale: 1. / 255,
			Pixels: make([]uint8, 7*28*28), Labels: []int32{0, 1, 2, 3, 4, 5, 6}}
		for i := range data.Pixels {
			data.Pixels[i] = uint8(i)
		}
		plan, err := net.BuiltIn("tutorial").Plan()
		if err != nil {
			return 1, err
		}
		if inputs, err = peers.WriteInputs(folder, plan.Network, net.AdamDefault(1e-4), net.InitialState(plan, 1, data), data, data.Len()); err != nil {
			return 1, err
		}
		return m.Run(), nil
	}()
	if err != nil {
		log.Fatal(err)
	}
	os.Exit(code)
}

// tellPeak in the environment makes this program print its peak memory and end.
const tellPeak = "GPUTRAIN_TEST_TELL_PEAK"

// TestPeakIsNotTheParents starts a small process from a large one.
func TestPeakIsNotTheParents(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells a process's own peak apart from that of the one that started it")
	}
	const large = 400 << 20
	ballast := make([]byte, large)
	for i := 0; i < large; i += 4096 {
		ballast[i] = 1
	}
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), tellPeak+"=1")
	out, err := child.Output()
	if err != nil {
		t.Fatal(err)
	}
	runtime.KeepAlive(ballast)
	var peak int64
	if _, err := fmt.Sscanf(string(out), "%d <nil>", &peak); err != nil || peak < 1<<20 || peak > large/2 {
		t.Errorf("a small process's peak is %q", out)
	}
}

// job writes a job of 2 batches of 3 images, changed, and returns its path.
func job(t *testing.T, change func(*peers.Job)) string {
	t.Helper()
	j := inputs
	j.Mode, j.Threads, j.Batch, j.Check = peers.Train, 1, 3, 2
	if change != nil {
		change(&j)
	}
	path := filepath.Join(folder, strings.ReplaceAll(t.Name(), "/", "-")+".json")
	if err := j.Write(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// fake is a framework whose loss is the count of its steps, and whose
// probabilities are even.
type fake struct{ steps, seen []int }

func (*fake) Settings() string { return "" }

func (f *fake) Step(i int) (float64, error) {
	f.steps = append(f.steps, i)
	return float64(len(f.steps)), nil
}

func (f *fake) Infer(i int) ([]float32, error) {
	f.seen = append(f.seen, i)
	p := make([]float32, 30)
	for k := range p {
		p[k] = 0.1
	}
	return p, nil
}

// run runs f on a job and returns what it writes.
func run(t *testing.T, path string, f Framework, requests string) ([]any, error) {
	t.Helper()
	w, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	var lines []any
	err = Run(w, f, strings.NewReader(requests), func(v any) error { lines = append(lines, v); return nil })
	return lines, err
}

func TestRunTrainsAndTimesWhatItIsAsked(t *testing.T) {
	f := &fake{}
	lines, err := run(t, job(t, nil), f, "go 5\ngo 1\n")
	if err != nil {
		t.Fatal(err)
	}
	if len(lines) != 3 || !reflect.DeepEqual(lines[0], map[string]any{"loss": []float64{1, 2}}) {
		t.Fatalf("wrote %v", lines)
	}
	for i, want := range []int{15, 3} {
		if r := lines[1+i].(peers.Repeat); r.Images != want || !(r.Seconds > 0) || r.PeakRSS < 1<<20 {
			t.Errorf("repeat %+v", r)
		}
	}
	// 2 for the check, 5 and 1 for the repeats.
	if want := []int{0, 1, 0, 1, 0, 1, 0, 0}; !reflect.DeepEqual(f.steps, want) {
		t.Errorf("batches %v, want %v", f.steps, want)
	}
}

func TestRunInfersWithoutSteps(t *testing.T) {
	f := &fake{}
	lines, err := run(t, job(t, func(j *peers.Job) { j.Mode = peers.Infer }), f, "go 5\n")
	if err != nil {
		t.Fatal(err)
	}
	if len(f.steps) != 0 || len(f.seen) != 2+5 {
		t.Errorf("%d steps, %d batches inferred", len(f.steps), len(f.seen))
	}
	for i, loss := range lines[0].(map[string]any)["loss"].([]float64) {
		if err := peers.Agree([]float64{math.Log(10)}, []float64{loss}, peers.CPU.Tolerance()); err != nil {
			t.Errorf("loss %d %v", i, err)
		}
	}
}

func TestRunRefusesOtherRequests(t *testing.T) {
	for _, request := range []string{"stop", "go", "go 0", "go -1", "go 1 1"} {
		if _, err := run(t, job(t, nil), &fake{}, request+"\n"); err == nil {
			t.Errorf("took %q", request)
		}
	}
}

type broken struct{ fake }

var errBroken = errors.New("broken")

func (*broken) Step(int) (float64, error) { return 0, errBroken }

func TestRunReportsTheFrameworksError(t *testing.T) {
	if _, err := run(t, job(t, nil), &broken{}, ""); !errors.Is(err, errBroken) {
		t.Errorf("error %v", err)
	}
}

func TestReadRefusesWhatThePeerIsUnableTo(t *testing.T) {
	for want, change := range map[string]func(*peers.Job){
		"not on a GPU":           func(j *peers.Job) { j.Device, j.Precision = "cuda", "tf32" },
		"the tutorial's network": func(j *peers.Job) { j.Network = net.BuiltIn("mlp") },
		"optimizer adam alone":   func(j *peers.Job) { j.Optimizer = net.SGDDefault(0.1) },
	} {
		_, err := Read(job(t, change))
		if _, ok := errors.AsType[Unable](err); !ok || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one that says %q", err, want)
		}
	}
	another := net.BuiltIn("tutorial")
	another.Name = "another"
	if _, err := Read(job(t, func(j *peers.Job) { j.Network = another })); err != nil {
		t.Errorf("the tutorial's network under another name: %v", err)
	}
}

func TestReadCutsBatches(t *testing.T) {
	w, err := Read(job(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(w.Labels, [][]int32{{0, 1, 2}, {3, 4, 5}}) {
		t.Errorf("labels %v", w.Labels)
	}
	const pixels = 28 * 28
	if len(w.Images) != 2 || len(w.Images[1]) != 3*pixels {
		t.Fatalf("%d batches of images", len(w.Images))
	}
	if got, want := w.Images[1][5], float32(uint8(3*pixels%256+5))*(1./255); got != want {
		t.Errorf("pixel 5 of batch 1 is %v, want %v", got, want)
	}
	if len(w.Weights["dense1.weight"]) != 3136*1000 {
		t.Errorf("dense1.weight has %d values", len(w.Weights["dense1.weight"]))
	}
}

func TestReadRefusesWhatPeersCannotDo(t *testing.T) {
	for name, change := range map[string]func(*peers.Job){
		"network":         func(j *peers.Job) { j.Network = nil },
		"mode":            func(j *peers.Job) { j.Mode = "sleep" },
		"threads":         func(j *peers.Job) { j.Threads = 0 },
		"batch":           func(j *peers.Job) { j.Batch = 0 },
		"too few samples": func(j *peers.Job) { j.Check = 3 },
		"weights":         func(j *peers.Job) { j.Weights = "none.safetensors" },
		"data":            func(j *peers.Job) { j.Data = j.Weights },
	} {
		if _, err := Read(job(t, change)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
