//go:build unix

// Package serve implements the protocol for the peers in Go. It holds what they
// share, as protocol.py does for the peers in Python. README.md in the folder above
// describes the protocol.
package serve

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nlpodyssey/safetensors"

	"github.com/gputrain/gputrain/bench/peers"
	"github.com/gputrain/gputrain/net"
)

// Work is a job with the contents of the files that it names.
type Work struct {
	peers.Job
	Weights map[string][]float32 // weights by name, in the layouts of README.md
	Images  [][]float32          // one entry a batch: Batch x 1 x 28 x 28
	Labels  [][]int32            // one entry a batch
}

// Framework computes the batches of a Work.
type Framework interface {
	// Settings returns how the framework is set up, in words.
	Settings() string
	// Step trains on batch i and returns its loss. All updates are done when it
	// returns.
	Step(i int) (loss float64, err error)
	// Infer returns the class probabilities of batch i, Batch x classes. They are
	// valid until the next call.
	Infer(i int) ([]float32, error)
}

// Unable is an error of a peer that can't do a job, but could do another: on the CPU,
// of another network, or in another mode.
type Unable string

// Error returns the reason.
func (u Unable) Error() string { return string(u) }

const (
	errGPU     Unable = "it computes on the CPU alone here, not on a GPU"
	errNetwork Unable = "it knows the tutorial's network alone"
)

// unavailable is the exit status of a peer that can't take part.
const unavailable = 69

// Main is the main function of a peer. name is the peer's name, and module is the
// path of its framework's Go module. set prepares the framework for the work. When
// it is called, GOMAXPROCS is the number of threads that the job asks for.
func Main(name, module string, set func(*Work) (Framework, error)) {
	// Output of the framework goes to standard error, and lines of the protocol go
	// to standard output.
	lines := os.Stdout
	os.Stdout = os.Stderr
	write := func(v any) error { return json.NewEncoder(lines).Encode(v) }
	err := func() error {
		if len(os.Args) != 2 {
			return fmt.Errorf("usage: %s JOB", name)
		}
		w, err := Read(os.Args[1])
		if err != nil {
			return err
		}
		runtime.GOMAXPROCS(w.Threads)
		f, err := set(w)
		if err != nil {
			return err
		}
		if err := write(map[string]any{"peer": name, "version": version(module), "settings": f.Settings()}); err != nil {
			return err
		}
		return Run(w, f, os.Stdin, write)
	}()
	if err != nil {
		if err := write(map[string]string{"error": err.Error()}); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		if _, ok := errors.AsType[Unable](err); ok {
			os.Exit(unavailable)
		}
		os.Exit(1)
	}
}

// version returns the version of a module in this program.
func version(module string) string {
	info, _ := debug.ReadBuildInfo()
	for _, m := range info.Deps {
		if m.Path == module {
			return m.Version
		}
	}
	return "unknown"
}

// Read reads a job file and the files that it names. It returns an error for jobs
// that the peers can't do.
func Read(path string) (*Work, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	w := &Work{Weights: map[string][]float32{}}
	if err := json.Unmarshal(b, &w.Job); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	switch {
	case w.Network == nil:
		return nil, errors.New("there is no network")
	case w.Place.GPU():
		return nil, errGPU
	case w.Mode != peers.Train && w.Mode != peers.Infer:
		return nil, fmt.Errorf("mode %s: want train or infer", w.Mode)
	case w.Optimizer.Method != net.Adam:
		return nil, Unable(fmt.Sprintf("it knows the optimizer adam alone, not %s", w.Optimizer.Method))
	case min(w.Threads, w.Batch, w.Check) < 1:
		return nil, errors.New("threads, batch and check must be 1 or more")
	}
	if same, err := isTutorial(w.Network); err != nil {
		return nil, err
	} else if !same {
		return nil, errNetwork
	}
	c, err := net.LoadCheckpoint(filepath.Join(filepath.Dir(path), w.Job.Weights))
	if err != nil {
		return nil, err
	}
	for name, t := range c.State.Params {
		w.Weights[name] = t.Float32s()
	}
	if err := w.readSamples(filepath.Join(filepath.Dir(path), w.Data)); err != nil {
		return nil, fmt.Errorf("%s: %w", w.Data, err)
	}
	return w, nil
}

// isTutorial reports whether a network is the tutorial's, under any name.
func isTutorial(n *net.Network) (bool, error) {
	tutorial := net.BuiltIn("tutorial")
	want, err := json.Marshal(tutorial)
	if err != nil {
		return false, err
	}
	got, err := json.Marshal(&net.Network{Name: tutorial.Name, Input: n.Input, Layers: n.Layers})
	return bytes.Equal(got, want), err
}

// readSamples divides the samples of a file into batches.
func (w *Work) readSamples(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	st, err := safetensors.Deserialize(b)
	if err != nil {
		return err
	}
	images, _ := st.Tensor("images")
	labels, _ := st.Tensor("labels")
	if images.DType() != safetensors.U8 || labels.DType() != safetensors.I32 {
		return errors.New("want images of uint8 and labels of int32")
	}
	const pixels = 28 * 28
	n := w.Check * w.Batch
	if len(images.Data()) < n*pixels || len(labels.Data()) < n*4 {
		return fmt.Errorf("want %d batches of %d samples, there are fewer", w.Check, w.Batch)
	}
	values := make([]float32, n*pixels)
	for i := range values {
		values[i] = float32(images.Data()[i]) * w.Scale
	}
	classes := make([]int32, n)
	if _, err := binary.Decode(labels.Data(), binary.LittleEndian, classes); err != nil {
		return err
	}
	w.Images = slices.Collect(slices.Chunk(values, w.Batch*pixels))
	w.Labels = slices.Collect(slices.Chunk(classes, w.Batch))
	return nil
}

// Run answers requests until there are no more. It calls write with one value for
// each line of output.
func Run(w *Work, f Framework, requests io.Reader, write func(any) error) error {
	do := func(i int) (loss float64, err error) {
		if w.Mode == peers.Train {
			return f.Step(i)
		}
		_, err = f.Infer(i)
		return 0, err
	}
	repeat := func(steps int) error {
		for i := range steps {
			if _, err := do(i % w.Check); err != nil {
				return err
			}
		}
		return nil
	}
	losses := make([]float64, w.Check)
	for i := range losses {
		if w.Mode == peers.Train {
			loss, err := f.Step(i)
			if err != nil {
				return err
			}
			losses[i] = loss
			continue
		}
		p, err := f.Infer(i)
		if err != nil {
			return err
		}
		losses[i] = crossEntropy(p, w.Labels[i])
	}
	if err := write(map[string]any{"loss": losses}); err != nil {
		return err
	}
	in := bufio.NewScanner(requests)
	for in.Scan() {
		count, _ := strings.CutPrefix(in.Text(), "go ")
		steps, err := strconv.Atoi(count)
		if err != nil || steps < 1 {
			return fmt.Errorf("request %q: want go N", in.Text())
		}
		start := time.Now()
		if err := repeat(steps); err != nil {
			return err
		}
		r := peers.Repeat{Seconds: time.Since(start).Seconds(), Images: steps * w.Batch}
		if r.PeakRSS, err = peakRSS(); err != nil {
			return err
		}
		if err := write(r); err != nil {
			return err
		}
	}
	return in.Err()
}

// crossEntropy returns the mean over a batch of -log of the label's probability.
func crossEntropy(probabilities []float32, labels []int32) float64 {
	classes := len(probabilities) / len(labels)
	var sum float64
	for i, label := range labels {
		sum -= math.Log(float64(probabilities[i*classes+int(label)]))
	}
	return sum / float64(len(labels))
}

// peakRSS returns the process's peak resident memory in bytes.
func peakRSS() (int64, error) {
	b, err := os.ReadFile("/proc/self/status")
	if err == nil {
		for line := range bytes.Lines(b) {
			var kib int64
			if n, _ := fmt.Sscanf(string(line), "VmHWM: %d kB", &kib); n == 1 {
				return kib << 10, nil
			}
		}
	}
	// This is not for Linux, where Getrusage would also count the process that
	// started this one.
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, err
	}
	if runtime.GOOS == "darwin" {
		return u.Maxrss, nil
	}
	return u.Maxrss << 10, nil
}
