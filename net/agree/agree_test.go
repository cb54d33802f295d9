package agree

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/cpu"
	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/cpufeat"
	"github.com/gputrain/gputrain/internal/testenv"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/devicetest"
	"github.com/gputrain/gputrain/net/reference"
)

// The environment variables of the test; `make check-frameworks` sets them.
const (
	pythonVariable = "GPUTRAIN_JAX_PYTHON"  // a Python that has the packages of testdata/requirements.txt
	graphsVariable = "GPUTRAIN_TEST_GRAPHS" // how many random networks to compare
)

// What is asked.
const (
	steps = 10

	lossTolerance   = 1e-5 // times max(1, the loss)
	weightTolerance = 1e-4 // times the distance that the tensor moved
	// All sizes of tensors and distances between them are Euclidean. Weights are
	// float32, so each step rounds them, by up to 2^-24 times their size. All steps
	// together may come to resolution times the size. Where weightTolerance times the
	// distance that a tensor moved, in float64, is finer than that, it has moved
	// faintly. It is held to the sum of both, and is counted apart.
	resolution = steps * 0x1p-24
	// A tensor that moved by at most unmoved times its size, in float64, has not
	// moved. Its gradient is 0 but for rounding, such as that of a bias in front of
	// batch normalisation. It may move by stillTolerance times its size.
	unmoved        = 1e-9
	stillTolerance = 1e-5
	// At least this share of the tensors that moved must have moved more than faintly.
	distinct = 0.75

	// A second run in JAX tells what float32 can't resolve. It rounds rounding times
	// as coarsely as float32, and long sums more so. It decides the other way what is
	// close to a tie: closer than margin times the tensor's root mean square, and
	// times 4 + the square root of the terms of all sums on the way there. So much is
	// several times the error of such sums. A case is clear where that run keeps
	// within the share clear of each tolerance. Where the device leaves the tolerances
	// in a clear case, the test fails. In another, the reference, which computes in
	// float64, must agree with JAX in its place, and a fresh case replaces it. Two
	// runs don't agree by chance, so a fault that shows in every case never passes.
	rounding = 2
	margin   = 6 * 0x1p-24
	clear    = 0.25
	// At most this share of the cases may be replaced.
	replaceable = 1.0 / 3
)

// training is what a training run gave.
type training struct {
	losses  []float64
	weights map[string][]float64
}

// task is a network to train, with all that both sides start from.
type task struct {
	name  string
	batch int
	plan  *net.Plan
	data  *net.Dataset // one mini-batch a step, in order
	first net.State
	rate  float64
}

// job is job.json of testdata/agree.py.
type job struct {
	Batch        int     `json:"batch"`
	Steps        int     `json:"steps"`
	LearningRate float64 `json:"learning_rate"`
	Momentum     float64 `json:"momentum"`
	Rounding     float64 `json:"rounding"`
	Margin       float64 `json:"margin"`
}

func optimizer(rate float64) net.Optimizer {
	o := net.SGDDefault(rate)
	o.Momentum = 0.9
	return o
}

// newTask draws images, labels and weights for a network. All weights differ from
// the values that would hide them: no bias is 0 and no scale 1. Dropout is left
// out, because it draws by chance.
func newTask(t *testing.T, n *net.Network, batch int, rng *rand.Rand) task {
	t.Helper()
	for _, l := range n.Layers {
		if d, ok := l.(*net.Dropout); ok {
			d.Rate = 0
		}
	}
	plan, err := n.Plan()
	if err != nil {
		t.Fatal(err)
	}
	d := &net.Dataset{Name: n.Name, Shape: n.Input, Classes: plan.Classes, Values: make([]float32, steps*batch*n.Input.Size())}
	for range steps * batch {
		d.Labels = append(d.Labels, int32(rng.IntN(plan.Classes)))
	}
	for i := range d.Values {
		d.Values[i] = float32(rng.NormFloat64())
	}
	first := net.InitialState(plan, rng.Uint64(), d)
	for _, q := range plan.Params {
		values := first.Params[q.Name].Float32s()
		if len(q.Dims) > 1 {
			continue
		}
		for i := range values {
			switch q.Role {
			case net.Weight, net.RunningVar:
				values[i] = float32(0.5 + rng.Float64())
			default:
				values[i] = float32(0.05 * rng.NormFloat64())
			}
		}
	}
	return task{name: n.Name, batch: batch, plan: plan, data: d, first: first}
}

// keepClear changes the first weights of a deep network so that hardly any value
// comes near a kink: batch normalisation gives values about 1 or, where only an
// activation takes them, for a third of the channels about -1, and they deviate by
// little from it. So such a kink is passed channel by channel. Random networks
// pass kinks value by value.
func (k task) keepClear(rng *rand.Rand) {
	plan, first := k.plan, k.first
	for _, node := range plan.Nodes {
		switch node.Layer.(type) {
		case *net.BatchNorm:
			use := plan.Nodes[node.Uses[0]].Layer
			f, isActivation := use.(*net.Activation)
			if isActivation {
				if function, _ := net.FunctionNamed(f.Func); len(function.Kinks) == 0 {
					continue
				}
			}
			weight, bias := first.Params[node.Name+".weight"].Float32s(), first.Params[node.Name+".bias"].Float32s()
			for i := range weight {
				weight[i] = float32(0.048 + 0.004*rng.Float64())
				bias[i] = float32(0.17 + 0.005*rng.Float64())
				if isActivation && rng.IntN(3) == 0 {
					bias[i] = -bias[i]
				}
			}
		case *net.Conv:
			weight := first.Params[node.Name+".weight"].Float32s()
			for i := range weight {
				weight[i] /= 5
			}
		}
	}
}

// mix draws the trained weights of convolutions anew, each filter's with mean 0.
// Those of airbench94 at first pass on what the activation before them gives.
// Much of that is about the same, so pooling would see near ties.
func (k task) mix(rng *rand.Rand) {
	for _, q := range k.plan.Params {
		if len(q.Dims) != 4 || !q.Trained {
			continue
		}
		for filter := range slices.Chunk(k.first.Params[q.Name].Float32s(), q.FanIn) {
			var sum float32
			for i := range filter {
				filter[i] = float32(rng.NormFloat64() * math.Sqrt(2/float64(q.FanIn)))
				sum += filter[i]
			}
			for i := range filter {
				filter[i] -= sum / float32(q.FanIn)
			}
		}
	}
}

// onCPU returns the CPU device with kernels of a tier.
func onCPU(t *testing.T, tier cpufeat.Tier) net.Device {
	t.Helper()
	device, err := cpu.New(cpu.Options{Kernels: tier.String()})
	if err != nil {
		t.Fatal(err)
	}
	return device
}

// train trains on a device, and closes it.
func (k task) train(t *testing.T, device net.Device, rate float64) training {
	t.Helper()
	defer closed(t, device)
	program, err := device.Compile(k.plan.Network, net.Options{Batch: k.batch, Optimizer: optimizer(rate)})
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, program)
	if err := program.SetState(net.State{Params: k.first.Params}); err != nil {
		t.Fatal(err)
	}
	var out training
	for s := range steps {
		b := net.Batch{Data: k.data}
		for i := range k.batch {
			b.Indices = append(b.Indices, int32(s*k.batch+i))
		}
		if err := program.Step(b); err != nil {
			t.Fatal(err)
		}
		m, err := program.TakeMetrics()
		if err != nil {
			t.Fatal(err)
		}
		out.losses = append(out.losses, m.MeanLoss())
	}
	state, err := program.State()
	if err != nil {
		t.Fatal(err)
	}
	out.weights = map[string][]float64{}
	for name, w := range state.Params {
		out.weights[name] = float64s(w)
	}
	return out
}

func closed(t *testing.T, c io.Closer) {
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func float64s(d *tensor.Dense) []float64 {
	var out []float64
	for _, v := range d.Float32s() {
		out = append(out, float64(v))
	}
	return out
}

// settle sets the learning rate: the greatest of a few at which no loss is far
// above what the first weights give for that mini-batch. A run that diverges
// multiplies every rounding.
func (k *task) settle(t *testing.T, tier cpufeat.Tier) {
	first := k.train(t, onCPU(t, tier), 0).losses
	for k.rate = 0.05; k.rate > 1e-3; k.rate /= 4 {
		losses, calm := k.train(t, onCPU(t, tier), k.rate).losses, true
		for i, l := range losses {
			calm = calm && l <= 1.5*first[i]+0.5
		}
		if calm {
			return
		}
	}
}

// jax is a running testdata/agree.py.
type jax struct {
	in  io.Writer
	out *bufio.Reader
}

// start starts Python, and ends it with the test.
func start(t *testing.T, python string) *jax {
	c := exec.Command(python, filepath.Join("testdata", "agree.py"))
	c.Env = append(os.Environ(), "JAX_PLATFORMS=cpu")
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	})
	return &jax{in, bufio.NewReader(out)}
}

// train trains in JAX, exactly and roughly.
func (j *jax) train(t *testing.T, k task) (exact, rough training) {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, contents []byte, err error) {
		t.Helper()
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), contents, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	network, err := json.Marshal(k.plan.Network)
	write("network.json", network, err)
	settings, err := json.Marshal(job{k.batch, steps, k.rate, optimizer(k.rate).Momentum, rounding, margin})
	write("job.json", settings, err)
	images, err := binary.Append(nil, binary.LittleEndian, k.data.Values)
	write("images", images, err)
	labels, err := binary.Append(nil, binary.LittleEndian, k.data.Labels)
	write("labels", labels, err)
	if err := net.SaveWeights(filepath.Join(dir, "weights.safetensors"), k.plan, k.first.Params, net.ChannelsFirst); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintln(j.in, dir); err != nil {
		t.Fatal(err)
	}
	answer, err := j.out.ReadString('\n')
	if err != nil {
		t.Fatalf("%s: python: %v", k.name, err)
	}
	if answer = strings.TrimSpace(answer); answer != "ok" {
		t.Fatalf("%s: python: %s\n%s", k.name, answer, network)
	}
	return k.read(t, dir, "exact"), k.read(t, dir, "rough")
}

// read reads a run that Python has written.
func (k task) read(t *testing.T, dir, run string) training {
	t.Helper()
	out := training{losses: numbers(t, filepath.Join(dir, "losses."+run)), weights: map[string][]float64{}}
	all := numbers(t, filepath.Join(dir, "weights."+run))
	params := slices.SortedFunc(slices.Values(k.plan.Params), func(a, b net.Param) int { return strings.Compare(a.Name, b.Name) })
	for _, q := range params {
		out.weights[q.Name], all = all[:q.Size()], all[q.Size():]
	}
	if len(all) > 0 {
		t.Fatalf("%s: python wrote %d values too many", k.name, len(all))
	}
	return out
}

func numbers(t *testing.T, path string) []float64 {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]float64, len(b)/8)
	if err := binary.Read(bytes.NewReader(b), binary.LittleEndian, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// worst is the greatest share of a tolerance that is used, and where.
type worst struct {
	used  float64
	where string
}

func (w *worst) take(name string, r approx.Result) {
	used := r.Used
	if r.Worst < 0 && !r.OK { // other lengths
		used = math.Inf(1)
	}
	w.most(worst{used, fmt.Sprintf("%s: %v", name, r)})
}

// most keeps the worse of two.
func (w *worst) most(v worst) {
	if w.where == "" || v.used > w.used {
		*w = v
	}
}

// figures compare two training runs.
type figures struct {
	loss, weights, statistics worst
	moved, faint, still       int // tensors
}

func (f figures) used() float64 { return max(f.loss.used, f.weights.used, f.statistics.used) }

func (f figures) String() string {
	return fmt.Sprintf("loss %.1e, weights %.1e, running statistics %.1e", f.loss.used*lossTolerance, f.weights.used*weightTolerance, f.statistics.used*weightTolerance)
}

// above tells the places of all that use more than a share of their tolerances.
func (f figures) above(share float64) string {
	var list []string
	for _, w := range []worst{f.loss, f.weights, f.statistics} {
		if !(w.used <= share) {
			list = append(list, w.where)
		}
	}
	return strings.Join(list, "; ")
}

// distance is the Euclidean distance of two tensors.
func distance(a, b []float64) float64 {
	sum := 0.0
	for i := range a {
		sum += (a[i] - b[i]) * (a[i] - b[i])
	}
	return math.Sqrt(sum)
}

// compare compares a run with the exact one.
func (k task) compare(got, exact training) figures {
	var f figures
	var limits []float64
	for _, l := range exact.losses {
		limits = append(limits, lossTolerance*max(1, l))
	}
	f.loss.take("loss", approx.CompareEach(got.losses, exact.losses, limits))
	for _, q := range k.plan.Params {
		first, want := float64s(k.first.Params[q.Name]), exact.weights[q.Name]
		size, moved := distance(first, make([]float64, len(first))), distance(want, first)
		statistic := q.Role == net.RunningMean || q.Role == net.RunningVar
		limit := stillTolerance * size
		switch {
		case !q.Trained && !statistic: // frozen
			limit = 0
			f.still++
		case weightTolerance*moved >= resolution*size:
			limit = weightTolerance * moved
			f.moved++
		case moved > unmoved*size:
			limit = weightTolerance*moved + resolution*size
			f.faint++
		default:
			f.still++
		}
		to := &f.weights
		if statistic {
			to = &f.statistics
		}
		off := []float64{distance(got.weights[q.Name], want)}
		to.take(fmt.Sprintf("%s, which moved by %.2g of %.2g", q.Name, moved, size), approx.Compare(off, []float64{0}, approx.Tolerance{Abs: limit}))
	}
	return f
}

// TestCompare sees each kind of fault pass just within its tolerance and fail
// beyond it.
func TestCompare(t *testing.T) {
	n := &net.Network{Input: net.Shape{C: 2, H: 3, W: 3}, Layers: []net.Layer{
		&net.Conv{Name: "kept", Filters: 3, Kernel: net.Square(3), Frozen: net.Frozen{All: true}},
		&net.Conv{Name: "conv", Filters: 3, Kernel: net.Square(1)},
		&net.BatchNorm{Name: "bn"},
		&net.Dense{Name: "fc", Units: 2},
	}}
	k := newTask(t, n, 4, testenv.Rand(t))
	exact := func() training {
		out := training{losses: []float64{0.5, 3}, weights: map[string][]float64{}}
		for name, w := range k.first.Params {
			out.weights[name] = float64s(w)
		}
		for _, name := range []string{"conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var", "fc.weight"} {
			for i := range out.weights[name] {
				out.weights[name][i] *= 1.5
			}
		}
		for i := range out.weights["fc.bias"] {
			out.weights["fc.bias"][i] *= 1 + 1e-4 // faintly
		}
		return out
	}
	if f := k.compare(exact(), exact()); f.used() != 0 || f.moved != 6 || f.faint != 1 || f.still != 3 {
		t.Errorf("the same: %v, used %v, %d tensors moved, %d faintly, %d not", f, f.used(), f.moved, f.faint, f.still)
	}
	add := func(name string, share float64) func(*training) {
		return func(r *training) {
			w := r.weights[name]
			size := distance(w, make([]float64, len(w)))
			w[len(w)-1] += share * size
		}
	}
	for _, c := range []struct {
		name       string
		good, bad  func(*training)
		where, not string // of the figure that tells
	}{
		{"loss below 1", func(r *training) { r.losses[0] += 0.9e-5 }, func(r *training) { r.losses[0] += 1.1e-5 }, "loss", "weights"},
		{"loss above 1", func(r *training) { r.losses[1] -= 2.9e-5 }, func(r *training) { r.losses[1] -= 3.1e-5 }, "loss", "weights"},
		{"NaN", func(*training) {}, func(r *training) { r.losses[1] = math.NaN() }, "loss", "weights"},
		// It moved by a third of its final size.
		{"moved", add("conv.weight", 0.3e-4), add("conv.weight", 0.4e-4), "conv.weight", "loss"},
		{"statistic", add("bn.running_var", 0.3e-4), add("bn.running_var", 0.4e-4), "bn.running_var", "loss"},
		{"faint", add("fc.bias", 0.6e-6), add("fc.bias", 0.7e-6), "fc.bias", "loss"},
		{"still", add("conv.bias", 0.9e-5), add("conv.bias", 1.1e-5), "conv.bias", "loss"},
		{"frozen", func(*training) {}, add("kept.weight", 1e-9), "kept.weight", "loss"},
		{"NaN among weights", func(*training) {}, add("fc.weight", math.NaN()), "fc.weight", "loss"},
	} {
		good, bad := exact(), exact()
		c.good(&good)
		c.bad(&bad)
		if f := k.compare(good, exact()); !(f.used() <= 1) {
			t.Errorf("%s: refused: %s", c.name, f.above(1))
		}
		if where := k.compare(bad, exact()).above(1); !strings.HasPrefix(where, c.where) || strings.Contains(where, c.not) {
			t.Errorf("%s: told %q", c.name, where)
		}
	}
}

// source draws tasks of one sort.
type source struct {
	name  string
	tiers []cpufeat.Tier
	draw  func(*rand.Rand) task
}

// mostDraws bounds how often a case is replaced.
const mostDraws = 12

// compared is what became of a source.
type compared struct {
	figures
	draws int
	ok    bool
}

// compareOne compares a task and, where it disagrees but isn't clear, another.
func compareOne(t *testing.T, peer *jax, s source, rng *rand.Rand) compared {
	t.Helper()
	for draws := 1; ; draws++ {
		k := s.draw(rng)
		if k.rate == 0 {
			k.settle(t, s.tiers[len(s.tiers)-1])
		}
		exact, rough := peer.train(t, k)
		out := compared{draws: draws, ok: true}
		unclear := k.compare(rough, exact).above(clear)
		for _, tier := range s.tiers {
			f := k.compare(k.train(t, onCPU(t, tier), k.rate), exact)
			out.moved, out.faint, out.still = f.moved, f.faint, f.still
			out.loss.most(f.loss)
			out.weights.most(f.weights)
			out.statistics.most(f.statistics)
			if f.used() <= 1 {
				continue
			}
			out.ok = false
			if unclear == "" {
				network, err := json.Marshal(k.plan.Network)
				if err != nil {
					t.Fatal(err)
				}
				t.Errorf("%s, %v, learning rate %v: %s\n%s", k.name, tier, k.rate, f.above(1), network)
			}
		}
		if !out.ok && unclear != "" && draws < mostDraws {
			if f := k.compare(k.train(t, reference.New(), k.rate), exact); !(f.used() <= 1) {
				t.Errorf("%s: the reference disagrees too: %s", k.name, f.above(1))
				return out
			}
			t.Logf("%s: replaced: %s; the case is not clear: %s", k.name, out.above(1), unclear)
			continue
		}
		if !out.ok && unclear != "" {
			t.Errorf("%s: %d draws, and none agrees: %s", k.name, draws, out.above(1))
		}
		t.Logf("%-22s %v; learning rate %.3g; %d tensors moved, %d faintly, %d not; drawn %d times", k.name, out.figures, k.rate, out.moved, out.faint, out.still, draws)
		return out
	}
}

// TestJAX trains models, every kind of layer, every activation function and random
// networks here and in JAX: losses and weights agree. Every run takes fresh seeds.
func TestJAX(t *testing.T) {
	python := os.Getenv(pythonVariable)
	if python == "" {
		t.Skip("needs JAX: make check-frameworks")
	}
	seed := testenv.Seed(t)
	tiers := cpufeat.Available()
	var sources []source
	for _, m := range []struct {
		name  string
		in    net.Shape
		batch int
		rate  float64
		kinks bool // of activations; airbench94 has none, and ties of its pooling alone
	}{
		{"resnet20", net.Shape{C: 3, H: 32, W: 32}, 4, 0.1, true},
		{"airbench94", net.Shape{C: 3, H: 32, W: 32}, 2, 0.02, false},
		{"mobilenetv2", net.Shape{C: 3, H: 64, W: 64}, 8, 0.03, true},
	} {
		sources = append(sources, source{m.name, tiers[len(tiers)-1:], func(rng *rand.Rand) task {
			model, ok := net.ModelNamed(m.name)
			if !ok {
				t.Fatalf("no model %s", m.name)
			}
			n, err := model.Build(m.in, 10)
			if err != nil {
				t.Fatal(err)
			}
			k := newTask(t, n, m.batch, rng)
			k.rate = m.rate
			if m.kinks {
				k.keepClear(rng)
			} else {
				k.mix(rng)
			}
			return k
		}})
	}
	for _, kind := range net.Kinds() {
		for i := range kind.Examples {
			name := fmt.Sprintf("%s %d", kind.Name, i+1)
			if a, ok := kind.Examples[i].Layer.(*net.Activation); ok {
				name = string(a.Func)
			}
			sources = append(sources, source{name, tiers, func(rng *rand.Rand) task {
				n := devicetest.ExampleNetwork(kind.Examples[i])
				n.Name = name
				return newTask(t, n, 4, rng)
			}})
		}
	}
	for i := range number(t, graphsVariable, 50) {
		sources = append(sources, source{fmt.Sprintf("random network %d", i+1), tiers, func(rng *rand.Rand) task {
			return newTask(t, devicetest.RandomNetwork(rng.Uint64()), 4, rng)
		}})
	}
	peer := start(t, python)
	draws, agree := 0, 0
	var all figures
	for i, s := range sources {
		c := compareOne(t, peer, s, rand.New(rand.NewPCG(seed, uint64(i))))
		draws += c.draws
		if c.ok {
			agree++
		}
		all.moved, all.faint, all.still = all.moved+c.moved, all.faint+c.faint, all.still+c.still
		all.loss.most(c.loss)
		all.weights.most(c.weights)
		all.statistics.most(c.statistics)
	}
	replaced := draws - len(sources)
	t.Logf("%d of %d networks agree with JAX; %d of %d draws were replaced; %d tensors moved, %d faintly, %d not; at worst %v", agree, len(sources), replaced, draws, all.moved, all.faint, all.still, all)
	if float64(all.moved) < distinct*float64(all.moved+all.faint) {
		t.Errorf("%d of %d tensors that moved did so faintly", all.faint, all.moved+all.faint)
	}
	if float64(replaced) > replaceable*float64(draws) {
		t.Errorf("%d of %d draws were replaced: at most a third may be", replaced, draws)
	}
}

// number reads a number from an environment variable.
func number(t *testing.T, variable string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}
