//go:build cuda

package cuda_test

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/cuda/sim"
	"github.com/gputrain/gputrain/net"
)

// trafficVariable names the environment variable that turns [TestTraffic] on. `make traffic` sets it.
const trafficVariable = "GPUTRAIN_TRAFFIC"

// trafficNetworks are the networks whose training steps are counted. Each runs with several mini-batches. They tell how
// much traffic a sample adds, and how much there is without any. Mini-batches are small, since the simulator is slow.
var trafficNetworks = []struct {
	model     string
	input     net.Shape
	classes   int
	optimizer net.Optimizer
	batches   []int // ascending, at least two
}{
	{"tutorial", net.Shape{C: 1, H: 28, W: 28}, 10, net.AdamDefault(1e-4), []int{50, 64}}, // the line tells of 1,024
	{"resnet20", net.Shape{C: 3, H: 32, W: 32}, 10, momentum, []int{4, 8}},
	{"vgg11", net.Shape{C: 3, H: 64, W: 64}, 10, momentum, []int{2, 4}},
	{"mobilenetv2", net.Shape{C: 3, H: 64, W: 64}, 10, momentum, []int{2, 4}},
}

// trafficForms are the forms of steps that are counted. Each names its convolutions: times on the simulator must not choose them.
var trafficForms = []struct {
	name    string
	options cuda.Options
}{
	{"bf16", cuda.Options{Precision: cuda.BF16, OwnConvolutions: cuda.OwnNever}},
	{"own", cuda.Options{Precision: cuda.BF16, OwnConvolutions: cuda.OwnAlways}},
	{"fp32", cuda.Options{Precision: cuda.FP32}},
}

var momentum = net.Optimizer{Rule: net.Rule{Method: net.SGD, LearningRate: 1e-3, Momentum: 0.9}}

// TestTraffic prints the memory traffic of one training step that runs as a graph, by kernel and library function. See
// [sim.Moved] for what is counted. It checks only that what it prints is one step.
//
// In bf16 cuDNN computes convolutions, but for those of our fused kernels; in own, our kernels for tensor cores do.
//
//	make traffic RUN=resnet20/bf16
func TestTraffic(t *testing.T) {
	if os.Getenv(trafficVariable) != "1" {
		t.Skipf("it prints tables for minutes, and runs only with %s=1 (make traffic)", trafficVariable)
	}
	var summary []stepTraffic
	for _, c := range trafficNetworks {
		t.Run(c.model, func(t *testing.T) {
			m, ok := net.ModelNamed(c.model)
			if !ok {
				t.Fatalf("no model %s", c.model)
			}
			n, err := m.Build(c.input, c.classes)
			if err != nil {
				t.Fatal(err)
			}
			for _, form := range trafficForms {
				t.Run(form.name, func(t *testing.T) {
					var of []stepTraffic
					for _, batch := range c.batches {
						t.Run(fmt.Sprint(batch), func(t *testing.T) {
							s := measureTraffic(t, n, form.options, net.Options{Batch: batch, Optimizer: c.optimizer, Seed: 1})
							s.form = form.name
							s.print(t.Output())
							of = append(of, s)
						})
					}
					for i := 1; i < len(of); i++ {
						of[i].fit(of[i-1])
					}
					summary = append(summary, of...)
				})
			}
		})
	}
	printSummary(t.Output(), summary)
}

// stepTraffic is the traffic of one training step.
type stepTraffic struct {
	network   string
	form      string
	batch     int
	nodes     int                  // of the step's graph
	moved     map[string]sim.Moved // by name, as the machine names it
	perSample int64                // bytes that a sample adds; 0: there was no other mini-batch
	fixed     int64                // bytes of a step without samples
}

// measureTraffic trains until a step has been captured, and measures the step after that.
func measureTraffic(t *testing.T, n *net.Network, o cuda.Options, training net.Options) stepTraffic {
	t.Helper()
	m := sim.Start(t, sim.Traffic(), sim.Memory(8<<30))
	d, err := cuda.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer closeDevice(t, d)
	p, err := d.Compile(n, training)
	if err != nil {
		t.Fatal(err)
	}
	data := pixels(n.Input, planOf(t, n).Classes, training.Batch)
	step := func() map[string]int64 {
		train(t, p, data, 1, training.Batch)
		if _, err := p.TakeMetrics(); err != nil { // waits for the step
			t.Fatal(err)
		}
		return m.Counters()
	}
	var before map[string]int64
	for range 3 { // kernel by kernel, and captured
		before = step()
	}
	movedBefore := m.Moved()
	after := step()
	s := stepTraffic{network: n.Name, batch: training.Batch, nodes: statistics(p).Graphs.Nodes, moved: map[string]sim.Moved{}}
	for name, a := range m.Moved() {
		b := movedBefore[name]
		if a != b {
			s.moved[name] = sim.Moved{Launches: a.Launches - b.Launches, Read: a.Read - b.Read, Written: a.Written - b.Written}
		}
	}
	if launched := after["graph launches"] - before["graph launches"]; launched != 1 {
		t.Fatalf("the step launched %d graphs, want 1", launched)
	}
	if ran := after["graph nodes run"] - before["graph nodes run"]; ran != int64(s.nodes) || s.nodes == 0 {
		t.Fatalf("the step ran %d nodes, its graph has %d", ran, s.nodes)
	}
	if launches := s.sum(anything).Launches; launches < int64(s.nodes) {
		t.Fatalf("%d launches were counted of a graph with %d nodes", launches, s.nodes)
	}
	return s
}

// pixels returns n images of bytes. Their values hardly matter to the traffic, but some kernels skip what is 0.
func pixels(shape net.Shape, classes, n int) *net.Dataset {
	d := images(0)
	d.Shape, d.Classes = shape, classes
	d.Pixels, d.Labels = make([]uint8, n*shape.Size()), make([]int32, n)
	for i := range d.Pixels {
		d.Pixels[i] = uint8(i*i*31 + i*7)
	}
	for i := range d.Labels {
		d.Labels[i] = int32(i % classes)
	}
	return d
}

// Parts of a step, by the machine's names.
func anything(string) bool    { return true }
func inLibrary(n string) bool { return strings.HasPrefix(n, "cudnn") || strings.HasPrefix(n, "cublas") }
func ofOurs(n string) bool    { return strings.HasPrefix(n, "kernel ") }
func converts(n string) bool  { return n == "kernel to_bf16" || n == "kernel from_bf16" }
func copies(n string) bool    { return !inLibrary(n) && !ofOurs(n) }

// sum adds up a part.
func (s stepTraffic) sum(part func(name string) bool) (sum sim.Moved) {
	for name, m := range s.moved {
		if part(name) {
			sum.Launches += m.Launches
			sum.Read += m.Read
			sum.Written += m.Written
		}
	}
	return sum
}

func (s stepTraffic) bytes() int64 { return s.sum(anything).Bytes() }

// fit draws a line through the traffic of two mini-batches.
func (s *stepTraffic) fit(smaller stepTraffic) {
	s.perSample = (s.bytes() - smaller.bytes()) / int64(s.batch-smaller.batch)
	s.fixed = s.bytes() - int64(s.batch)*s.perSample
}

// print writes a table of all that runs in the step, the largest traffic first.
func (s stepTraffic) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s, %s, batch %d: a graph of %d nodes, of which %d are calls of cuDNN and cuBLAS\n\n", s.network, s.form, s.batch, s.nodes, s.sum(inLibrary).Launches)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	line := func(name string, m sim.Moved) {
		fmt.Fprintf(table, "%d\t%d\t%d\t%d\t%.1f %%\t  %s\n", m.Launches, m.Read, m.Written, m.Bytes(), 100*float64(m.Bytes())/float64(s.bytes()), name)
	}
	fmt.Fprintln(table, "launches\tread\twritten\tbytes\tshare\t")
	names := slices.SortedFunc(maps.Keys(s.moved), func(a, b string) int {
		return cmp.Or(cmp.Compare(s.moved[b].Bytes(), s.moved[a].Bytes()), strings.Compare(a, b))
	})
	for _, name := range names {
		line(name, s.moved[name])
	}
	for _, part := range []struct {
		name string
		is   func(string) bool
	}{{"all", anything}, {"cuDNN and cuBLAS", inLibrary}, {"kernels of ours", ofOurs}, {"of these, conversions to and from bfloat16", converts}, {"copies and fills", copies}} {
		line("= "+part.name, s.sum(part.is))
	}
	table.Flush()
}

// printSummary writes a line for each step that was measured.
func printSummary(w io.Writer, all []stepTraffic) {
	fmt.Fprint(w, "\nAll steps, in bytes. \"per sample\" and \"fixed\" are a line through this mini-batch and the smaller one.\n\n")
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "network\tform\tbatch\tnodes\tlibrary calls\tread\twritten\tbytes\tbytes / batch\tconversions\tconversion bytes\tper sample\tfixed\t")
	for _, s := range all {
		total, converting := s.sum(anything), s.sum(converts)
		line := "\t"
		if s.perSample != 0 {
			line = fmt.Sprintf("%d\t%d", s.perSample, s.fixed)
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t\n", s.network, s.form, s.batch, s.nodes, s.sum(inLibrary).Launches,
			total.Read, total.Written, s.bytes(), s.bytes()/int64(s.batch), converting.Launches, converting.Bytes(), line)
	}
	table.Flush()
}
