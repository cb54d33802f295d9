package reference_test

import (
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// conventions hold the sections of docs/conventions.md, by their headings. The numbers
// are worked out by hand from what the page says, not by our formulas.
var conventions = map[string]func(c *convention){
	"Batch normalisation": func(c *convention) {
		for _, as := range []struct {
			frozen                     net.Frozen
			last, runMean, runVariance float64
		}{
			// Mean 3; the squares' sum is 14: biased 3.5, unbiased 14/3.
			{net.Frozen{}, 3 / math.Sqrt(3.5+1e-5), 0.3, 0.9 + 0.1*14/3},
			{net.Frozen{Roles: []net.Role{net.Weight, net.Bias}}, 3 / math.Sqrt(3.5+1e-5), 0.3, 0.9 + 0.1*14/3},
			// Running mean 0 and variance 1.
			{net.Frozen{All: true}, 6 / math.Sqrt(1+1e-5), 0, 1},
		} {
			n := &net.Network{Input: net.Shape{C: 1, H: 1, W: 1}, Layers: []net.Layer{
				&net.BatchNorm{Name: "norm", Frozen: as.frozen}, &net.Dense{Units: 2},
			}}
			data := &net.Dataset{Name: "four", Shape: n.Input, Classes: 2, Values: []float32{1, 2, 3, 6}, Labels: []int32{0, 1, 0, 1}}
			p := c.compile(n, net.Options{Batch: 4, Optimizer: net.SGDDefault(0)})
			batch := net.Batch{Data: data, Indices: []int32{0, 1, 2, 3}}
			trace, err := p.(net.Tracer).Trace(batch, net.Training)
			if err != nil {
				c.Fatal(err)
			}
			c.equal("the last value normalised", float64(trace.Layers[0].Output.Float32s()[3]), as.last)
			if err := p.Step(batch); err != nil {
				c.Fatal(err)
			}
			st, err := p.State()
			if err != nil {
				c.Fatal(err)
			}
			c.equal("running mean", float64(st.Params["norm.running_mean"].Float32s()[0]), as.runMean)
			c.equal("running variance", float64(st.Params["norm.running_var"].Float32s()[0]), as.runVariance)
		}
	},
	"Adam's epsilon": func(c *convention) {
		c.equal("the default", net.AdamDefault(1).Epsilon, 1e-8)
		o := net.Optimizer{Rule: net.Rule{Method: net.Adam, LearningRate: 1, Beta1: 0.9, Beta2: 0.999, Epsilon: 0.5}}
		// m = 0.2, v = 0.004: sqrt(0.001)/0.1 * 0.2 / (sqrt(0.004) + 0.5).
		c.equal("the first step", c.update(o, 0, true, 0, 2), -0.1122877)
		// After many steps of one gradient v is its square: 2/(2+0.5), as in PyTorch.
		w, m, v := []float64{0}, []float64{2}, []float64{4}
		reference.Update(o, 100_000, 1, w, []float64{2}, map[string][]float64{"m": m, "v": v})
		c.equal("a late step", w[0], -0.8)
	},
	"Weight decay": func(c *convention) {
		sgd, adamw := net.SGDDefault(0.1), net.AdamDefault(0.1)
		sgd.WeightDecay, adamw.WeightDecay, adamw.Method = 0.5, 0.5, net.AdamW
		adam := adamw
		adam.Method = net.Adam
		// With w = 4 the L2 gradient of g = 1 is 3.
		c.equal("sgd", c.update(sgd, 0, true, 4, 1), 4-0.1*3)
		c.equal("sgd, not decayed", c.update(sgd, 0, false, 4, 1), 4-0.1)
		// Adam's first step is lr, whatever the gradient's size: of g = -1 it turns by L2.
		c.equal("adam", c.update(adam, 0, true, 4, -1), 4-0.1)
		c.equal("adamw", c.update(adamw, 0, true, 4, -1), 4-0.1*0.5*4+0.1)
		plan := c.plan(&net.Network{Input: net.Shape{C: 1, H: 1, W: 1}, Layers: []net.Layer{&net.Conv{Filters: 1, Kernel: net.Square(1)}, &net.BatchNorm{}, &net.Dense{Units: 2}}})
		for _, q := range plan.Params {
			if want := q.Name == "conv1.weight" || q.Name == "dense1.weight"; q.Decayed != want {
				c.Errorf("%s decays: %v, want %v", q.Name, q.Decayed, want)
			}
		}
	},
	"Momentum": func(c *convention) {
		for nesterov, want := range map[bool][2]float64{false: {-0.2, -0.2 - 0.01*2.8}, true: {-0.1 * (2 + 0.9*2), -0.38 - 0.01*(1+0.9*2.8)}} {
			o := net.SGDDefault(0.1)
			o.Momentum, o.Nesterov = 0.9, nesterov
			w, v := []float64{0}, []float64{0}
			moments := map[string][]float64{"v": v}
			reference.Update(o, 0, 1, w, []float64{2}, moments)
			c.equal("the first step", w[0], want[0])
			o.LearningRate = 0.01 // the velocity, 2, knows no rate
			reference.Update(o, 1, 1, w, []float64{1}, moments)
			c.equal("a step at a tenth of the rate", w[0], want[1])
		}
	},
	"Clipping": func(c *convention) {
		a, b := []float64{3}, []float64{4} // together 5
		reference.Clip(2.5, [][]float64{a, b})
		c.equal("the first parameter", a[0], 1.5)
		c.equal("the second", b[0], 2)
		reference.Clip(2.6, [][]float64{a, b})
		c.equal("a norm below the limit", b[0], 2)
	},
	"Schedules": func(c *convention) {
		o := net.SGDDefault(1)
		o.Schedule = net.Schedule{Method: net.CosineRate, Total: 4}
		for s, want := range []float64{1, 0.8535534, 0.5, 0.1464466, 0} { // of 4 steps, and the one behind them
			c.equal("cosine", o.Rate(int64(s)), want)
		}
		o.Schedule = net.Schedule{Method: net.CosineRate, Total: 7, Warmup: 3}
		for s, want := range []float64{0.25, 0.5, 0.75, 1, 0.8535534, 0.5, 0.1464466} {
			c.equal("cosine after warm-up", o.Rate(int64(s)), want)
		}
	},
	"One-cycle": func(c *convention) {
		o := net.SGDDefault(2)
		o.Schedule = net.Schedule{Method: net.OneCycleRate, Total: 8, Peak: 0.25, Start: 0.1, Final: 0.01}
		for s, want := range map[int64]float64{0: 0.2, 1: 1.1, 2: 2, 5: 1.01, 8: 0.02} {
			c.equal("the rate", o.Rate(s), want)
		}
		if last := o.Rate(7); !(last > 0.02) {
			c.Errorf("the last step has the final rate already: %v", last)
		}
		o.Schedule.Total, o.Schedule.Warmup = 10, 2
		c.equal("the peak after warm-up", o.Rate(4), 2)
	},
	"Padding": func(c *convention) {
		window := func(size int, p net.Padding, kernel, stride int) net.Window {
			return c.plan(&net.Network{Input: net.Shape{C: 1, H: size, W: size}, Layers: []net.Layer{
				&net.Conv{Filters: 1, Kernel: net.Square(kernel), Stride: net.Square(stride), Padding: p}, &net.Flatten{}, &net.Dense{Units: 2},
			}}).Nodes[0].Window
		}
		for _, w := range []struct {
			got               net.Window
			top, bottom, rows int
		}{
			{window(32, net.PadSame, 3, 2), 0, 1, 16},
			{window(32, net.Pad(1, 1, 1, 1), 3, 2), 1, 1, 16},
			{window(32, net.PadSame, 3, 1), 1, 1, 32},
			{window(5, net.PadSame, 4, 1), 1, 2, 5},
			{window(7, net.Pad(0, 1, 0, 1), 3, 2), 0, 1, 3}, // floor(5/2)+1
		} {
			if w.got.Top != w.top || w.got.Bottom != w.bottom || w.got.OutH != w.rows {
				c.Errorf("padding %d above and %d below for %d rows, want %d, %d and %d", w.got.Top, w.got.Bottom, w.got.OutH, w.top, w.bottom, w.rows)
			}
		}
	},
	"Pooling": func(c *convention) {
		pooled := func(mode net.PoolMode, values []float32) float64 {
			n := &net.Network{Input: net.Shape{C: 1, H: 1, W: 2}, Layers: []net.Layer{
				&net.Pool{Mode: mode, Kernel: net.Pair{H: 1, W: 3}, Padding: net.Pad(0, 0, 1, 0)}, &net.Dense{Units: 2},
			}}
			d := &net.Dataset{Name: "two", Shape: n.Input, Classes: 2, Values: values, Labels: []int32{0}}
			trace, err := c.compile(n, net.Options{Batch: 1, Optimizer: net.SGDDefault(0)}).(net.Tracer).Trace(net.Batch{Data: d, Indices: []int32{0}}, net.Evaluation)
			if err != nil {
				c.Fatal(err)
			}
			return float64(trace.Layers[0].Output.Float32s()[0])
		}
		// One column of padding, two of values.
		c.equal("the mean", pooled(net.MeanPool, []float32{3, 4}), 3.5)
		c.equal("the maximum of negative values", pooled(net.MaxPool, []float32{-3, -4}), -3)
		c.equal("L2", pooled(net.L2Pool, []float32{3, 4}), 5)
	},
	"Label smoothing and class weights": func(c *convention) {
		smoothed := net.Criterion{Smoothing: 0.1}.Target(5, 1, 1, 1)
		c.equal("the label", smoothed[1], 0.92)
		c.equal("another class", smoothed[0], 0.02)
		// Two samples of equal logits: losses 3*log 2 and log 2, whose mean is over 2.
		n := &net.Network{Input: net.Shape{C: 1, H: 1, W: 1}, Layers: []net.Layer{&net.Dense{Units: 2, WeightInit: net.Initializer{Method: net.Zeros}}}}
		d := &net.Dataset{Name: "two", Shape: n.Input, Classes: 2, Values: []float32{1, 1}, Labels: []int32{0, 1}}
		p := c.compile(n, net.Options{Batch: 2, Optimizer: net.SGDDefault(0), Loss: net.Criterion{ClassWeights: []float64{3, 1}}})
		batch := net.Batch{Data: d, Indices: []int32{0, 1}}
		trace, err := p.(net.Tracer).Trace(batch, net.Training)
		if err != nil {
			c.Fatal(err)
		}
		c.equal("the weighted loss", trace.Loss, 2*math.Ln2)
		m, err := p.Evaluate(batch)
		if err != nil {
			c.Fatal(err)
		}
		c.equal("the loss of evaluation", m.MeanLoss(), math.Ln2)
	},
	"Initial values": func(c *convention) {
		const inputs, units = 200, 500
		draw := func(in net.Initializer) (deviation, greatest float64, bias []float32) {
			plan := c.plan(&net.Network{Input: net.Shape{C: inputs, H: 1, W: 1}, Layers: []net.Layer{&net.Dense{Units: units, WeightInit: in}}})
			st := net.InitialState(plan, 1, nil)
			for _, w := range st.Params["dense1.weight"].Float32s() {
				deviation += float64(w) * float64(w) / (inputs * units)
				greatest = max(greatest, math.Abs(float64(w)))
			}
			return math.Sqrt(deviation), greatest, st.Params["dense1.bias"].Float32s()
		}
		// 100,000 values give a deviation to within 0.3 %; 1 % is 4 of its own.
		near := func(what string, got, want float64) {
			if math.Abs(got/want-1) > 0.01 {
				c.Errorf("%s: got %v, want %v", what, got, want)
			}
		}
		deviation, greatest, bias := draw(net.Initializer{})
		near("he, the default", deviation, 0.1) // sqrt(2/200)
		if greatest < 0.3 {
			c.Errorf("he is cut off at %v", greatest)
		}
		for _, b := range bias {
			c.equal("a bias", float64(b), 0)
		}
		deviation, greatest, _ = draw(net.Initializer{Method: net.Glorot})
		near("glorot's limit", greatest, 0.0925820) // sqrt(6/700)
		near("glorot", deviation, 0.0925820/math.Sqrt(3))
		deviation, greatest, _ = draw(net.Initializer{Method: net.TruncatedNormal, Sigma: 0.1})
		near("truncated normal", deviation, 0.0879626)
		if greatest > 0.2 {
			c.Errorf("the truncated normal has %v", greatest)
		}
	},
	"Muon": func(c *convention) {
		// A matrix of one row has one singular value, its norm: 1 after the division.
		o := net.Optimizer{Rule: net.Rule{Method: net.Muon, LearningRate: 1, Iterations: 1}}
		p := net.NewtonSchulz[0] + net.NewtonSchulz[1] + net.NewtonSchulz[2]
		for _, size := range []float64{1, 10} {
			w := []float64{0, 0}
			reference.Update(o, 0, 1, w, []float64{3 * size, 4 * size}, nil)
			c.equal("the first value", w[0], -0.6*p)
			c.equal("the second value", w[1], -0.8*p)
			w = []float64{0, 0}
			reference.Update(o, 0, 2, w, []float64{3 * size, 4 * size}, nil)
			c.equal("with two rows and a column", w[0], -0.6*p*math.Sqrt2)
			rescaled := o
			rescaled.Rescale = true
			w = []float64{6, 8}
			reference.Update(rescaled, 0, 2, w, []float64{3 * size, 4 * size}, nil)
			c.equal("rescaled", w[0], 0.6*math.Sqrt2-0.6*p)
		}
	},
	"Averaged weights": func(c *convention) {
		a := []float64{0}
		reference.Average(net.Options{Average: 0.999}, 0, a, []float64{1})
		c.equal("the first step", a[0], 0.9)
		reference.Average(net.Options{Average: 0.999}, 1_000_000, a, []float64{2})
		c.equal("a late step", a[0], 0.9+0.001*1.1)
	},
}

// convention is a section's test.
type convention struct{ *testing.T }

func (c *convention) equal(what string, got, want float64) {
	c.Helper()
	// The numbers above have seven digits, as float32 values have.
	if r := approx.Compare([]float64{got}, []float64{want}, approx.Tolerance{Abs: 1e-6}); !r.OK {
		c.Errorf("%s: %v", what, r)
	}
}

func (c *convention) plan(n *net.Network) *net.Plan {
	c.Helper()
	plan, err := n.Plan()
	if err != nil {
		c.Fatal(err)
	}
	return plan
}

func (c *convention) compile(n *net.Network, o net.Options) net.Program {
	c.Helper()
	p, err := reference.New().Compile(n, o)
	if err != nil {
		c.Fatal(err)
	}
	return p
}

// update returns a weight after a step from fresh moments.
func (c *convention) update(o net.Optimizer, step int64, decayed bool, w, g float64) float64 {
	ws := []float64{w}
	if !decayed {
		o.WeightDecay = 0
	}
	reference.Update(o, step, 1, ws, []float64{g}, map[string][]float64{"m": {0}, "v": {0}})
	return ws[0]
}

// TestConventions holds docs/conventions.md: every section has a test, and the files
// that it names are there.
func TestConventions(t *testing.T) {
	root := filepath.Join("..", "..")
	page, err := os.ReadFile(filepath.Join(root, "docs", "conventions.md"))
	if err != nil {
		t.Fatal(err)
	}
	sections := strings.Split(string(page), "\n## ")[1:]
	for _, section := range sections {
		heading, text, _ := strings.Cut(section, "\n")
		t.Run(heading, func(t *testing.T) {
			check := conventions[heading]
			if check == nil {
				t.Fatal("nothing holds this section")
			}
			check(&convention{t})
			files := regexp.MustCompile("`(net/[a-z/_]+\\.go)`(?: \\(`(\\w+)`\\))?").FindAllStringSubmatch(text, -1)
			if len(files) == 0 {
				t.Error("the section names no file")
			}
			for _, f := range files {
				source, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(f[1])))
				if err != nil || !strings.Contains(string(source), f[2]) {
					t.Errorf("%s: %v, or it has no %s", f[1], err, f[2])
				}
			}
		})
	}
	if len(sections) != len(conventions) {
		t.Errorf("%d sections, %d tests", len(sections), len(conventions))
	}
}
