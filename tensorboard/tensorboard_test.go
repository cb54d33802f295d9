package tensorboard_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image/png"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/cpu"
	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/mnist"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/devicetest"
	"github.com/gputrain/gputrain/net/reference"
	"github.com/gputrain/gputrain/tensorboard"
)

// small is a network with all that has a state of its own.
func small() *net.Network {
	return &net.Network{Name: "small", Input: net.Shape{C: 1, H: 28, W: 28}, Layers: []net.Layer{
		&net.Conv{Filters: 3, Kernel: net.Square(5), Stride: net.Square(3)},
		&net.BatchNorm{}, &net.Activation{Func: net.ReLU}, &net.Pool{Kernel: net.Square(2)},
		&net.Flatten{}, &net.Dropout{Rate: 0.25}, &net.Dense{Units: 10},
	}}
}

func smallRun(t *testing.T) net.Config {
	t.Helper()
	data, err := mnist.Tutorial()
	if err != nil {
		t.Fatal(err)
	}
	return net.Config{
		Recipe: net.Recipe{Epochs: 3, Batch: 20, Optimizer: net.AdamDefault(0.01), Seed: 3},
		Train:  data.Train.Slice(0, 110), Validation: data.Validation.Slice(0, 60), Test: data.Test.Slice(0, 30),
		Interval: 2, Top: 3,
	}
}

// recorder keeps a run's events.
type recorder struct{ events []net.Event }

func (r *recorder) Observe(e net.Event) error {
	r.events = append(r.events, e)
	return nil
}

// train trains small by cfg on a device, with an observer of dir where one is named.
func train(t *testing.T, d net.Device, cfg net.Config, dir string) (net.State, *recorder) {
	t.Helper()
	p, err := d.Compile(small(), cfg.Options())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var log recorder
	cfg.Observers = []net.Observer{&log}
	if dir != "" {
		board := tensorboard.New(p, cfg, tensorboard.Options{Dir: dir})
		cfg.Observers = append(cfg.Observers, board)
		defer func() {
			if err := board.Close(); err != nil {
				t.Error(err)
			}
		}()
	}
	if _, err := net.Train(t.Context(), p, cfg); err != nil {
		t.Fatal(err)
	}
	state, err := p.State()
	if err != nil {
		t.Fatal(err)
	}
	return state, &log
}

// scalars returns what is read of a tag, by step.
func scalars(events []event, tag string) map[int64]float64 {
	out := map[int64]float64{}
	for _, e := range events {
		if v, ok := e.scalars[tag]; ok {
			out[e.step] = v
		}
	}
	return out
}

// rounded rounds values as an event file does.
func rounded(values map[int64]float64) map[int64]float64 {
	for step, v := range values {
		values[step] = float64(float32(v))
	}
	return values
}

// told is what a run's events say, by folder, tag and step.
func told(log *recorder, steps int64) map[string]map[int64]float64 {
	out := map[string]map[int64]float64{}
	set := func(tag string, step int64, v float64) {
		if out[tag] == nil {
			out[tag] = map[int64]float64{}
		}
		out[tag][step] = v
	}
	for _, e := range log.events {
		switch e := e.(type) {
		case net.Progress:
			at := int64(e.Epoch-1)*steps + int64(e.Step)
			set("train step/loss", at, e.Loss)
			set("train step/accuracy", at, e.Accuracy)
			set("train step/learning_rate", at, e.LearningRate)
			set("train step/images_per_second", at, e.ImagesPerSecond)
		case net.EpochDone:
			at := int64(e.Epoch) * steps
			set("train epoch/loss", at, e.Cost)
			set("train epoch/accuracy", at, e.Accuracy)
			set("validation epoch/loss", at, e.Validation.Loss)
			set("validation epoch/accuracy", at, e.Validation.Accuracy)
			set("test epoch/loss", at, e.Test.Loss)
			set("test epoch/accuracy", at, e.Test.Accuracy)
			set("validation epoch/top_3", at, e.Validation.Top)
			set("test epoch/top_3", at, e.Test.Top)
			set("train epoch/top_3", -1, 0) // training doesn't count it
			delete(out["train epoch/top_3"], -1)
		}
	}
	return out
}

func checkScalars(t *testing.T, dir string, want map[string]map[int64]float64) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		folder, tag, _ := strings.Cut(name, " ")
		if got := scalars(readEvents(t, filepath.Join(dir, folder)), tag); !maps.Equal(got, rounded(want[name])) {
			t.Errorf("%s: %v, want %v", name, got, want[name])
		}
	}
}

func TestEventFiles(t *testing.T) {
	dir := t.TempDir()
	cfg := smallRun(t)
	before := float64(time.Now().UnixNano()) / 1e9
	state, log := train(t, reference.New(), cfg, dir)
	checkScalars(t, dir, told(log, 6))

	events := readEvents(t, filepath.Join(dir, "train"))
	plan, err := small().Plan()
	if err != nil {
		t.Fatal(err)
	}
	graphs, histograms := 0, map[int64][]string{}
	images := map[int64][]string{}
	for _, e := range events {
		if now := float64(time.Now().UnixNano()) / 1e9; e.time < before || e.time > now {
			t.Errorf("an event at %v, between %v and %v", e.time, before, now)
		}
		if e.graph != nil {
			graphs++
		}
		if e.start {
			t.Error("a run that wasn't resumed takes back what was there")
		}
		for tag, b := range e.histograms {
			histograms[e.step] = append(histograms[e.step], tag)
			checkHistogram(t, tag, b)
		}
		for tag, b := range e.images {
			images[e.step] = append(images[e.step], tag)
			checkImage(t, tag, b)
		}
	}
	if graphs != 1 {
		t.Errorf("%d graphs", graphs)
	}
	var tags []string
	for _, p := range plan.Params {
		tags = append(tags, "weights/"+p.Name)
	}
	for _, p := range plan.Trained() {
		tags = append(tags, "gradients/"+p.Name)
	}
	slices.Sort(tags)
	for _, step := range []int64{0, 6, 12, 18} {
		slices.Sort(histograms[step])
		if !slices.Equal(histograms[step], tags) {
			t.Errorf("step %d has histograms %v, want %v", step, histograms[step], tags)
		}
		want := []string{"filters/conv1", "mistakes/validation"}
		slices.Sort(images[step])
		if !slices.Equal(images[step], want[:min(len(want), 1+int(step))]) {
			t.Errorf("step %d has images %v", step, images[step])
		}
	}
	// The last histogram is that of the last weights.
	last := events[len(events)-1]
	name := plan.Params[0].Name
	checkMoments(t, last.histograms["weights/"+name], state.Params[name].Float32s())
}

// histogram takes a HistogramProto apart.
func histogram(t *testing.T, b []byte) (min, max, num, sum, squares float64, limits, counts []float64) {
	t.Helper()
	list := func(b []byte) (out []float64) {
		for ; len(b) > 0; b = b[8:] {
			out = append(out, math.Float64frombits(binary.LittleEndian.Uint64(b)))
		}
		return out
	}
	fields(t, b, func(number int, v uint64, b []byte) {
		switch number {
		case 1, 2, 3, 4, 5:
			*[]*float64{&min, &max, &num, &sum, &squares}[number-1] = math.Float64frombits(v)
		case 6:
			limits = list(b)
		case 7:
			counts = list(b)
		}
	})
	return
}

func checkHistogram(t *testing.T, tag string, b []byte) {
	t.Helper()
	least, greatest, num, _, _, limits, counts := histogram(t, b)
	total := 0.0
	for _, c := range counts {
		total += c
	}
	if total != num || num == 0 || len(limits) != len(counts) || !slices.IsSorted(limits) || limits[len(limits)-1] != greatest || limits[0] < least {
		t.Errorf("%s: from %v to %v, %v values in %v, limits %v", tag, least, greatest, num, counts, limits)
	}
}

func checkMoments(t *testing.T, b []byte, values []float32) {
	t.Helper()
	least, greatest, num, sum, squares, limits, counts := histogram(t, b)
	var wantSum, wantSquares float64
	for _, v := range values {
		wantSum += float64(v)
		wantSquares += float64(v) * float64(v)
	}
	if float32(least) != slices.Min(values) || float32(greatest) != slices.Max(values) || num != float64(len(values)) {
		t.Errorf("%v values from %v to %v, want %d from %v to %v", num, least, greatest, len(values), slices.Min(values), slices.Max(values))
	}
	// The same sums in the same order.
	approx.Check(t, "sums", []float64{sum, squares}, []float64{wantSum, wantSquares}, approx.Tolerance{})
	// How many lie below a limit: but for one, by the rounding of the limit.
	below := 0.0
	for i, c := range counts {
		below += c
		want := 0.0
		for _, v := range values {
			if float64(v) < limits[i] {
				want++
			}
		}
		if math.Abs(below-want) > 1 {
			t.Errorf("%v values below %v, want %v", below, limits[i], want)
		}
	}
}

func checkImage(t *testing.T, tag string, b []byte) {
	t.Helper()
	fields(t, b, func(number int, v uint64, b []byte) {
		if number != 4 {
			return
		}
		img, err := png.Decode(bytes.NewReader(b))
		if err != nil {
			t.Fatalf("%s: %v", tag, err)
		}
		size := img.Bounds()
		if size.Dx() < 50 || size.Dx() > 350 || size.Dy() < 50 {
			t.Errorf("%s: %v", tag, size)
		}
		shades := map[uint32]bool{}
		for y := range size.Dy() {
			for x := range size.Dx() {
				r, _, _, a := img.At(x, y).RGBA()
				shades[r] = true
				if a != 0xffff {
					t.Fatalf("%s: see-through at %d, %d", tag, x, y)
				}
			}
		}
		if len(shades) < 10 {
			t.Errorf("%s: %d shades", tag, len(shades))
		}
	})
}

// TestObservingChangesNothing compares the weights, the optimiser's state and all
// figures of a run that is watched with those of one that isn't, bit by bit.
func TestObservingChangesNothing(t *testing.T) {
	for name, open := range map[string]func() (net.Device, error){
		"reference": func() (net.Device, error) { return reference.New(), nil },
		"cpu":       func() (net.Device, error) { return cpu.New(cpu.Options{}) },
	} {
		t.Run(name, func(t *testing.T) {
			d, err := open()
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			cfg := smallRun(t)
			cfg.Recipe.Average = 0.9
			alone, log := train(t, d, cfg, "")
			watched, watchedLog := train(t, d, cfg, t.TempDir())
			same(t, alone.Params, watched.Params)
			same(t, alone.Average, watched.Average)
			same(t, alone.Optimizer, watched.Optimizer)
			a, b := told(log, 6), told(watchedLog, 6)
			delete(a, "train step/images_per_second")
			delete(b, "train step/images_per_second")
			for tag := range a {
				if !maps.Equal(a[tag], b[tag]) {
					t.Errorf("%s: %v alone, %v watched", tag, a[tag], b[tag])
				}
			}
		})
	}
}

// averaged counts the answers that a program gives with its averages in place, and with
// its weights.
type averaged struct {
	net.Program
	in            bool
	with, without int
}

func (p *averaged) SwapAverage() error {
	p.in = !p.in
	return p.Program.SwapAverage()
}

func (p *averaged) Infer(b net.Batch) (*tensor.Dense, error) {
	if p.in {
		p.with++
	} else {
		p.without++
	}
	return p.Program.Infer(b)
}

// TestMistakesOfAverages: a run that is judged by its averages shows their mistakes.
func TestMistakesOfAverages(t *testing.T) {
	for average, swapped := range map[float64]bool{0: false, 0.9: true} {
		cfg := smallRun(t)
		cfg.Recipe.Average, cfg.Recipe.Epochs = average, 1
		p, err := reference.New().Compile(small(), cfg.Options())
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		counted := &averaged{Program: p}
		board := tensorboard.New(counted, cfg, tensorboard.Options{Dir: t.TempDir()})
		cfg.Observers = []net.Observer{board}
		_, err = net.Train(t.Context(), counted, cfg)
		if err := errors.Join(err, board.Close()); err != nil {
			t.Fatal(err)
		}
		if swapped != (counted.with > 0) || swapped == (counted.without > 0) {
			t.Errorf("averages by %v: %d answers of averages, %d of weights", average, counted.with, counted.without)
		}
	}
}

func same(t *testing.T, a, b map[string]*tensor.Dense) {
	t.Helper()
	if len(a) == 0 || len(a) != len(b) {
		t.Errorf("%d and %d tensors", len(a), len(b))
	}
	for name := range a {
		if !slices.Equal(a[name].Float32s(), b[name].Float32s()) {
			t.Errorf("%s differs", name)
		}
	}
}

// TestResumedRun goes on from a checkpoint that the events are ahead of.
func TestResumedRun(t *testing.T) {
	dir, saved := t.TempDir(), t.TempDir()
	cfg := smallRun(t)
	cfg.Saving = net.Saving{Dir: saved, Keep: 3}
	_, whole := train(t, reference.New(), cfg, dir)
	var err error
	if cfg.Resume, err = net.LoadCheckpoint(filepath.Join(saved, net.EpochCheckpoint(2))); err != nil {
		t.Fatal(err)
	}
	_, rest := train(t, reference.New(), cfg, dir)
	for _, folder := range []string{"train", "validation", "test"} {
		files, err := os.ReadDir(filepath.Join(dir, folder))
		if err != nil || len(files) != 2 {
			t.Fatalf("%s: %v, %v, want two files", folder, files, err)
		}
		var starts []int64
		var after []int64
		for _, e := range readEvents(t, filepath.Join(dir, folder)) {
			if e.start {
				starts = append(starts, e.step)
			} else if len(starts) > 0 && len(e.scalars) > 0 {
				after = append(after, e.step)
			}
		}
		if !slices.Equal(starts, []int64{13}) || slices.Min(after) < 13 || slices.Max(after) != 18 {
			t.Errorf("%s: starts at %v, then steps %v", folder, starts, after)
		}
	}
	// The last value of each step is the run's.
	want := told(whole, 6)
	for tag, values := range told(rest, 6) {
		maps.Copy(want[tag], values)
	}
	checkScalars(t, dir, want)
}

func TestNothingToLookAt(t *testing.T) {
	dir := t.TempDir()
	cfg := smallRun(t)
	cfg.Validation, cfg.Test, cfg.Recipe.Epochs = nil, nil, 1
	train(t, bareDevice{reference.New()}, cfg, dir)
	for _, folder := range []string{"validation", "test"} {
		if _, err := os.Stat(filepath.Join(dir, folder)); err == nil {
			t.Errorf("a folder %s without such data", folder)
		}
	}
	weights := 0
	for _, e := range readEvents(t, filepath.Join(dir, "train")) {
		for tag := range e.histograms {
			weights++
			if strings.HasPrefix(tag, "gradients/") {
				t.Errorf("%s of a program that doesn't tell", tag)
			}
		}
	}
	if weights == 0 {
		t.Error("there are no histograms, not even of weights")
	}
}

// bareDevice's programs are no tracers.
type bareDevice struct{ net.Device }

func (d bareDevice) Compile(n *net.Network, o net.Options) (net.Program, error) {
	p, err := d.Device.Compile(n, o)
	return struct{ net.Program }{p}, err
}

// TestUnwritable wants an error that names the file, and what was written before to
// stay.
func TestUnwritable(t *testing.T) {
	cfg := smallRun(t)
	d := reference.New()
	p, err := d.Compile(small(), cfg.Options())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(dir, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	board := tensorboard.New(p, cfg, tensorboard.Options{Dir: dir})
	cfg.Observers = []net.Observer{board}
	if _, err := net.Train(t.Context(), p, cfg); err == nil || !strings.Contains(err.Error(), "tensorboard: mkdir "+dir) {
		t.Errorf("error %v", err)
	}
	// What comes after it, as a checkpoint's event, is no crash.
	for _, e := range []net.Event{net.Progress{}, net.EpochDone{}, net.CheckpointSaved{}} {
		if err := board.Observe(e); err != nil {
			t.Error(err)
		}
	}
	board.Remove()
}

func TestRemove(t *testing.T) {
	dir := t.TempDir()
	mine := filepath.Join(dir, "train", "mine")
	if err := os.MkdirAll(filepath.Dir(mine), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(mine, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	cfg := smallRun(t)
	p, err := reference.New().Compile(small(), cfg.Options())
	if err != nil {
		t.Fatal(err)
	}
	board := tensorboard.New(p, cfg, tensorboard.Options{Dir: dir})
	cfg.Observers = []net.Observer{board}
	if _, err := net.Train(t.Context(), p, cfg); err != nil {
		t.Fatal(err)
	}
	board.Remove()
	var left []string
	if err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			left = append(left, path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(left, []string{mine}) {
		t.Errorf("%v stayed, want %s alone", left, mine)
	}
	if _, err := os.Stat(filepath.Join(dir, "test")); err == nil {
		t.Error("an empty folder stayed")
	}
}

// branches is a network with several uses of a value, and layers with the names
// that the graph has for what is no layer.
func branches() *net.Network {
	return &net.Network{Name: "branches", Input: net.Shape{C: 1, H: 6, W: 6}, Layers: []net.Layer{
		&net.Conv{Name: "images", Filters: 2, Kernel: net.Square(3), Padding: net.PadSame, Frozen: net.Frozen{Roles: []net.Role{net.Bias}}},
		&net.Conv{Name: "labels", Filters: 4, Groups: 2, Kernel: net.Square(1)},
		&net.Scale{Name: "loss", From: net.From{"labels"}, Factor: 2},
		&net.Add{Name: "probabilities", From: net.From{"loss", "labels", "loss"}},
		&net.Concat{From: net.From{"input", "images", "probabilities"}},
		&net.Flatten{}, &net.Dense{Units: 3},
	}}
}

// TestGraph takes graphs apart: each input is a node that comes before, a layer's
// are those of the network, and every layer and parameter is there. Every kind of
// layer and every function has an operation.
func TestGraph(t *testing.T) {
	networks := []*net.Network{small(), branches()}
	for _, name := range []string{"tutorial", "lenet5", "mlp", "resnet20"} {
		networks = append(networks, net.BuiltIn(name))
	}
	for _, k := range net.Kinds() {
		for i, e := range k.Examples {
			n := devicetest.ExampleNetwork(e)
			n.Name += fmt.Sprintf(" %d", i+1)
			networks = append(networks, n)
		}
	}
	for _, n := range networks {
		t.Run(n.Name, func(t *testing.T) {
			d, err := cpu.New(cpu.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			data := &net.Dataset{Name: "dark", Shape: n.Input, Classes: 2, Pixels: make([]byte, 4*n.Input.Size()), Labels: make([]int32, 4), Scale: 1}
			cfg := net.Config{Train: data, Recipe: net.Recipe{Epochs: 1, Batch: 4, Optimizer: net.AdamDefault(1e-3)}}
			p, err := d.Compile(n, cfg.Options())
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			dir := t.TempDir()
			board := tensorboard.New(p, cfg, tensorboard.Options{Dir: dir})
			if err := board.Observe(net.Started{Train: 4, StepsPerEpoch: 1}); err != nil {
				t.Fatal(err)
			}
			if err := board.Close(); err != nil {
				t.Fatal(err)
			}
			plan, nodes := p.Plan(), map[string]graphNode{}
			for _, e := range readEvents(t, filepath.Join(dir, "train")) {
				fields(t, e.graph, func(number int, _ uint64, b []byte) {
					if number == 1 {
						checkNode(t, nodes, b)
					}
				})
			}
			for _, p := range plan.Params {
				if name := plan.Nodes[p.Layer].Name + "/" + string(p.Role); nodes[name].op != "Variable" {
					t.Errorf("no node %s", name)
				}
			}
			if want := len(plan.Nodes) + len(plan.Params) + 4; len(nodes) != want {
				t.Errorf("%d nodes, want %d: %v", len(nodes), want, nodes)
			}
			made := func(l net.Node) string { // the node that makes a layer's output
				for name, n := range nodes {
					if group, _, _ := strings.Cut(name, "/"); group == l.Name && n.op != "Variable" {
						return name
					}
				}
				t.Fatalf("no node of layer %s", l.Name)
				return ""
			}
			for _, l := range plan.Nodes {
				got := nodes[made(l)].inputs
				for i, from := range l.Inputs {
					if from == net.NetworkInput {
						if nodes[got[i]].op != "Placeholder" {
							t.Errorf("%s takes %s, want the images", l.Name, got[i])
						}
					} else if want := made(plan.Nodes[from]); got[i] != want {
						t.Errorf("%s takes %s, want %s", l.Name, got[i], want)
					}
				}
				if len(got) != len(l.Inputs)+len(l.Params) {
					t.Errorf("%s takes %v", l.Name, got)
				}
			}
			for _, loss := range nodes {
				if loss.op == "SparseSoftmaxCrossEntropyWithLogits" && loss.inputs[0] != made(plan.Nodes[len(plan.Nodes)-1]) {
					t.Errorf("the loss takes %v", loss.inputs)
				}
			}
		})
	}
}

// graphNode is a NodeDef.
type graphNode struct {
	op     string
	inputs []string
}

func checkNode(t *testing.T, nodes map[string]graphNode, b []byte) {
	t.Helper()
	var name string
	var n graphNode
	shapes := 0
	fields(t, b, func(number int, _ uint64, b []byte) {
		switch number {
		case 1:
			name = string(b)
		case 2:
			n.op = string(b)
		case 3:
			n.inputs = append(n.inputs, string(b))
			if _, ok := nodes[string(b)]; !ok {
				t.Errorf("%s takes %s, which is not before it", name, b)
			}
		case 5:
			if bytes.Contains(b, []byte("_output_shapes")) {
				shapes++
			}
		}
	})
	if _, twice := nodes[name]; name == "" || n.op == "" || twice || shapes != 1 {
		t.Errorf("node %q, op %q, %d shapes; there already: %v", name, n.op, shapes, twice)
	}
	nodes[name] = n
}

// Example watches a run of the library's.
func ExampleObserver() {
	network := net.BuiltIn("mlp")
	images := &net.Dataset{Name: "dark", Shape: network.Input, Classes: 10, Pixels: make([]byte, 784), Labels: []int32{0}, Scale: 1}
	cfg := net.Config{Train: images, Recipe: net.Recipe{Epochs: 1, Batch: 1, Optimizer: net.AdamDefault(1e-3)}}

	device, err := cpu.New(cpu.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer device.Close()
	program, err := device.Compile(network, cfg.Options())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer program.Close()

	dir, err := os.MkdirTemp("", "run-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	board := tensorboard.New(program, cfg, tensorboard.Options{Dir: dir})
	defer board.Close()
	cfg.Observers = append(cfg.Observers, board)
	if _, err := net.Train(context.Background(), program, cfg); err != nil {
		fmt.Println(err)
		return
	}
	files, err := filepath.Glob(filepath.Join(dir, "train", "events.out.tfevents.*"))
	fmt.Println(len(files), err)
	// Output: 1 <nil>
}
