package bench

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/lower"
)

// rounding is for sums of some hundred numbers in float64.
var rounding = approx.Tolerance{Rel: 1e-12}

// TestScheduleByHand follows steps that a pencil can follow. A sum takes half a second a byte.
func TestScheduleByHand(t *testing.T) {
	normed := []part{{1, &sum{-1, 1}}, {3, &sum{0, 6}}, {1, &sum{-1, 1}}, {2, &sum{1, 4}}}
	for _, c := range []struct {
		name string
		schedule
		want timeline
	}{
		// Nothing is left to compute when the gradients are known.
		{"one turn", schedule{parts: []part{{3, &sum{0, 4}}}, updates: []float64{1}, rest: 0.5},
			timeline{step: 6.5, waited: 2, backward: 3, ends: []float64{5}, hidden: 0}},
		{"no sums", schedule{parts: []part{{3, nil}}, updates: []float64{1}, rest: 0.5},
			timeline{step: 4.5, waited: 0, backward: 3, ends: []float64{0}, hidden: 0}},
		// The optimiser delays the backward pass from 3 to 4, and comes last for the turn without a sum.
		{"all hidden", schedule{parts: []part{{1, &sum{0, 4}}, {4, nil}}, updates: []float64{1, 1}},
			timeline{step: 7, waited: 0, backward: 6, ends: []float64{3, 0}, hidden: 1}},
		// 1 s, a sum for normalisation until 1.5, 3 s until 4.5. The first turn's sum from 4.5 to 7.5, beside which 1 s is computed until
		// 5.5. The next sum for normalisation waits for it, until 8. Meanwhile, from 7.5 on, the optimiser takes 0.25 s. 2 s until 10, the last turn's sum
		// until 12, the optimiser until 12.75.
		{"normalisation", schedule{parts: normed, updates: []float64{0.25, 0.75}, rest: 0.125},
			timeline{step: 12.875, waited: 0.5 + 2 + 0.25 + 2, backward: 10, ends: []float64{7.5, 12}, hidden: 1.0 / 5}},
		{"clipping", schedule{parts: normed, updates: []float64{0.25, 0.75}, rest: 0.125, clips: true},
			timeline{step: 13.125, waited: 0.5 + 2.5 + 2, backward: 10, ends: []float64{7.5, 12}, hidden: 1.0 / 5}},
		// The second sum is ready at 2, and begins when the first is done, at 4. Then the optimiser takes half a second, so the backward pass
		// ends at 5.5.
		{"one after the other", schedule{parts: []part{{1, &sum{0, 6}}, {1, &sum{1, 2}}, {3, &sum{2, 2}}}, updates: []float64{0.5, 0, 1}},
			timeline{step: 7.5, waited: 1, backward: 5.5, ends: []float64{4, 5, 6.5}, hidden: 3.5 / 5}},
	} {
		got := c.run(func(bytes int64) float64 { return float64(bytes) / 2 })
		list := func(t timeline) []float64 {
			return append([]float64{t.step, t.waited, t.backward, t.hidden}, t.ends...)
		}
		approx.Check(t, c.name, list(got), list(c.want), rounding)
		approx.Check(t, c.name+": step", []float64{got.step}, []float64{c.compute() + got.waited}, rounding)
	}
}

// plain is an interconnect of round numbers, with rings and trees of one protocol.
var plain = Interconnect{
	Link: Link{Bandwidth: 2e9}, Network: MachineNetwork{Bandwidth: 1e9}, GPUsPerMachine: 4,
	Ways: []SumWay{
		{Name: "ring", Within: 1, Between: 0.5, Start: 100 * time.Microsecond, Latency: [hops]time.Duration{time.Microsecond, 2 * time.Microsecond, 10 * time.Microsecond}, Alone: 20 * time.Microsecond},
		{Name: "tree", Tree: true, Within: 1, Between: 0.5, Start: 100 * time.Microsecond, Latency: [hops]time.Duration{time.Microsecond, 2 * time.Microsecond, 10 * time.Microsecond}, Alone: 20 * time.Microsecond},
	},
}

// TestSumTimeByHand compares times of sums with the formulas, worked out by hand.
func TestSumTimeByHand(t *testing.T) {
	for _, c := range []struct {
		name    string
		gpus    int
		way     int
		each    int
		seconds float64 // for 1.6 MB
	}{
		{"ring in a machine", 4, 0, 4, 100e-6 + 6*1e-6 + 2*0.75*1.6e6/2e9},
		{"tree in a machine: a chain", 4, 1, 4, 100e-6 + 6*1e-6 + 2*1.6e6/2e9},
		{"ring of four machines", 16, 0, 4, 100e-6 + (2*15-6)*1e-6 + 6*10e-6 + 2*15.0/16*1.6e6/0.5e9},
		{"tree of four machines", 16, 1, 4, 100e-6 + 6*1e-6 + 4*10e-6 + 2*1.6e6/0.5e9},
		{"tree of three machines: one level", 12, 1, 4, 100e-6 + 6*1e-6 + 2*10e-6 + 2*1.6e6/0.5e9},
		{"tree of seven machines: two levels", 28, 1, 4, 100e-6 + 6*1e-6 + 4*10e-6 + 2*1.6e6/0.5e9},
		{"ring of two machines", 8, 0, 4, 100e-6 + (2*7-2)*1e-6 + 2*10e-6 + 2*7.0/8*1.6e6/0.5e9},
		{"tree of two machines: all values once", 8, 1, 4, 100e-6 + 6*1e-6 + 2*10e-6 + 1.6e6/0.5e9},
		{"ring of GPUs alone", 4, 0, 1, 100e-6 + 6*20e-6 + 2*0.75*1.6e6/0.5e9},
		{"tree of GPUs alone", 4, 1, 1, 100e-6 + 4*20e-6 + 2*1.6e6/0.5e9},
		{"tree of two GPUs alone", 2, 1, 1, 100e-6 + 2*20e-6 + 1.6e6/0.5e9},
	} {
		ic := plain
		ic.GPUsPerMachine, ic.Ways = c.each, plain.Ways[c.way:c.way+1]
		got, way := ic.SumTime(1.6e6, c.gpus)
		approx.Check(t, c.name, []float64{got}, []float64{c.seconds}, rounding)
		if way != plain.Ways[c.way].Name {
			t.Errorf("%s: by %q", c.name, way)
		}
	}
	if got, way := plain.SumTime(1e9, 1); got != 0 || way != "" {
		t.Errorf("one GPU sums for %v s, by %q", got, way)
	}
	// Networks of 4 GB/s, faster than the links of 2 GB/s, of which half is reached between machines.
	for _, c := range []struct {
		name    string
		hop     Hop
		gpus    int
		way     int
		each    int
		seconds float64 // for 1.6 MB
	}{
		{"tree of two machines: up to the link", ByPCIe, 8, 1, 4, 100e-6 + 6*2e-6 + 2*10e-6 + 2*1.6e6/1e9},
		{"ring of GPUs alone, PCIe", ByPCIe, 4, 0, 1, 100e-6 + 6*20e-6 + 2*0.75*1.6e6/1e9},
		{"tree of two GPUs alone, PCIe", ByPCIe, 2, 1, 1, 100e-6 + 2*20e-6 + 1.6e6/1e9},
		{"ring of GPUs alone, without PCIe", ByNVLink, 4, 0, 1, 100e-6 + 6*20e-6 + 2*0.75*1.6e6/2e9},
	} {
		ic := plain
		ic.Link.Hop, ic.Network.Bandwidth = c.hop, 4e9
		ic.GPUsPerMachine, ic.Ways = c.each, plain.Ways[c.way:c.way+1]
		got, _ := ic.SumTime(1.6e6, c.gpus)
		approx.Check(t, c.name, []float64{got}, []float64{c.seconds}, rounding)
	}
	// NCCL's own figures, for 1 GB on eight GPUs with NVLink, and on two machines of them. A tree with LL128 has 0.92 * 120/128.
	got, way := Interconnect{Link: Links[0], Network: MachineNetworks[1], GPUsPerMachine: 8}.SumTime(1e9, 8)
	approx.Check(t, "1 GB", []float64{got}, []float64{8.4e-6 + 14*3.4e-6 + 2*7.0/8*1e9/370.8e9}, rounding)
	if way != "ring, Simple" {
		t.Errorf("1 GB by %q", way)
	}
	got, way = Interconnect{Link: Links[0], Network: MachineNetworks[1], GPUsPerMachine: 8}.SumTime(1e9, 16)
	approx.Check(t, "1 GB, two machines", []float64{got}, []float64{8.4e-6 + 14*4e-6 + 2*14e-6 + 1e9/(0.92*12.5e9)}, rounding)
	if way != "tree, Simple" {
		t.Errorf("1 GB on two machines by %q", way)
	}
}

// TestCrossover: a tree has fewer hops and a ring moves less. With 16 machines of one GPU, one hop of 20 µs and 0.5 GB/s, 2*15/16 b/B + 30 h
// equals 2 b/B + 8 h at b = 176 h B = 1.76 MB.
func TestCrossover(t *testing.T) {
	ic := plain
	ic.GPUsPerMachine = 1
	for bytes, want := range map[int64]string{8: "tree", 1.75e6: "tree", 1.77e6: "ring", 1e9: "ring"} {
		if _, way := ic.SumTime(bytes, 16); way != want {
			t.Errorf("%d bytes by %s, want %s", bytes, way, want)
		}
	}
	usual := Interconnect{Link: Links[0], Network: MachineNetworks[1], GPUsPerMachine: 8}
	for _, c := range []struct {
		bytes int64
		gpus  int
		want  string
	}{{2048, 8, "ring, LL"}, {2048, 1024, "tree, LL"}, {8 << 20, 1024, "tree, "}, {8 << 20, 16, "tree, "}, {8 << 20, 32, "ring, "}, {4 << 30, 64, "ring, Simple"}} {
		if _, way := usual.SumTime(c.bytes, c.gpus); !strings.HasPrefix(way, c.want) {
			t.Errorf("%d bytes on %d GPUs by %s, want %s", c.bytes, c.gpus, way, c.want)
		}
	}
	pcie := Interconnect{Link: Links[1], Network: MachineNetworks[1], GPUsPerMachine: 8}
	for bytes := int64(1); bytes < 1<<32; bytes *= 2 {
		if _, way := pcie.SumTime(bytes, 8); strings.Contains(way, "LL128") {
			t.Errorf("%d bytes by %s over PCIe", bytes, way)
		}
	}
}

// TestSumTimeGrows: more bytes or more GPUs take no less time, and more bandwidth takes no more.
func TestSumTimeGrows(t *testing.T) {
	for _, link := range Links {
		for _, network := range MachineNetworks {
			for _, each := range []int{1, 4, 8} {
				ic := Interconnect{Link: link, Network: network, GPUsPerMachine: each}
				faster := ic
				faster.Link.Bandwidth *= 2
				faster.Network.Bandwidth *= 2
				for bytes, smaller := int64(64), 0.0; bytes <= 1<<30; bytes *= 4 {
					now, _ := ic.SumTime(bytes, 64)
					if now < smaller {
						t.Errorf("%s, %s, %d: %d bytes take %v s, less than fewer", link.Name, network.Name, each, bytes, now)
					}
					smaller = now
					for gpus, fewer := 1, 0.0; gpus <= 1024; gpus *= 2 {
						now, _ := ic.SumTime(bytes, gpus)
						if quick, _ := faster.SumTime(bytes, gpus); now < fewer || quick > now {
							t.Errorf("%s, %s, %d: %d bytes on %d GPUs take %v s, on half as many %v, with twice the bandwidth %v", link.Name, network.Name, each, bytes, gpus, now, fewer, quick)
						}
						fewer = now
					}
				}
			}
		}
	}
}

// scalingOf describes the training of a built-in model.
func scalingOf(model string, gpus ...int) Scaling {
	return Scaling{Network: net.BuiltIn(model), Optimizer: net.AdamDefault(1e-4), Precision: cuda.BF16, Batch: 64, GPUs: gpus, GPU: GPUs[0],
		Interconnect: Interconnect{Link: Links[0], Network: MachineNetworks[1], GPUsPerMachine: 8}}
}

func reportOf(t *testing.T, s Scaling) *ScalingReport {
	t.Helper()
	r, err := s.Report()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestOneGPU has no sums, and takes the time of the roofline, or as long as was measured.
func TestOneGPU(t *testing.T) {
	for _, model := range []string{"tutorial", "resnet18"} {
		s := scalingOf(model, 1)
		plan, err := s.Network.Plan()
		if err != nil {
			t.Fatal(err)
		}
		p := reportOf(t, s).Points[0]
		want := s.GPU.StepTime(plan, net.Options{Optimizer: s.Optimizer}, s.Batch, s.Precision, NodeFloor).Seconds()
		approx.Check(t, model, []float64{p.Step, p.Images, p.Efficiency}, []float64{want, float64(s.Batch) / want, 1}, rounding)
		if p.GradientSums != 0 || p.GradientBytes != 0 || p.NormSums != 0 || p.NormBytes != 0 || p.Exposed != 0 || p.Hidden != 0 {
			t.Errorf("%s: a GPU alone has sums: %+v", model, p)
		}
		s.Measured = 1234
		p = reportOf(t, s).Points[0]
		approx.Check(t, model+", measured", []float64{p.Images, p.Efficiency}, []float64{1234, 1}, rounding)
	}
}

// TestSumsOfNetworks counts the sums of a step by the network's parameters, to the byte.
func TestSumsOfNetworks(t *testing.T) {
	frozen := &net.Network{Name: "frozen", Input: net.Shape{C: 3, H: 8, W: 8}, Layers: []net.Layer{
		&net.Conv{Filters: 5, Kernel: net.Square(3), Frozen: net.Frozen{All: true}}, &net.BatchNorm{Frozen: net.Frozen{Roles: []net.Role{net.Weight, net.Bias}}},
		&net.BatchNorm{Frozen: net.Frozen{All: true}}, // it goes by its running statistics
		&net.Conv{Filters: 7, Kernel: net.Square(3)}, &net.BatchNorm{}, &net.Flatten{}, &net.Dense{Units: 3},
	}}
	for _, n := range []*net.Network{net.BuiltIn("tutorial"), net.BuiltIn("mlp"), net.BuiltIn("resnet18"), net.BuiltIn("resnet50"), net.BuiltIn("vgg11"), net.BuiltIn("airbench94"), frozen} {
		s := scalingOf("tutorial", 16)
		s.Network, s.Batch = n, 2
		plan, err := n.Plan()
		if err != nil {
			t.Fatal(err)
		}
		want := ScalingPoint{GradientSums: len(cuda.Turns(lower.Lower(plan, cuda.Fuser{}), s.Optimizer, 16))}
		gaps := int64(0)
		for _, q := range plan.Trained() {
			bytes := 4 * int64(q.Size())
			gap := (256 - bytes%256) % 256
			gaps += gap
			want.GradientBytes += bytes + gap
		}
		for _, node := range plan.Nodes {
			if norm, ok := node.Layer.(*net.BatchNorm); ok && !norm.Settled() {
				channels := int64(node.In.C)
				want.NormSums, want.NormBytes = want.NormSums+1, want.NormBytes+8*(2*channels+1)
				if n != frozen || channels != 5 { // nothing before it learns
					want.NormSums, want.NormBytes = want.NormSums+1, want.NormBytes+4*2*channels
				}
			}
		}
		p := reportOf(t, s).Points[0]
		got := ScalingPoint{GradientSums: p.GradientSums, GradientBytes: p.GradientBytes, NormSums: p.NormSums, NormBytes: p.NormBytes}
		if got != want {
			t.Errorf("%s: sums %+v, want %+v", n.Name, got, want)
		}
		s.LocalStatistics = true
		if local := reportOf(t, s).Points[0]; local.NormSums != 0 || local.NormBytes != 0 || local.GradientBytes != p.GradientBytes || local.Step > p.Step {
			t.Errorf("%s: with local statistics %+v, otherwise %+v", n.Name, local, p)
		}
		if p.GradientBytes-gaps != 4*int64(plan.Weights()) {
			t.Errorf("%s: %d bytes and %d of gaps for %d weights", n.Name, p.GradientBytes, gaps, plan.Weights())
		}
	}
}

// TestLinear: a network with one layer of weights has one turn, and nothing to compute beside its sum.
func TestLinear(t *testing.T) {
	s := scalingOf("mlp", 1, 2, 64)
	s.Network = &net.Network{Name: "linear", Input: net.Shape{C: 1, H: 28, W: 28}, Layers: []net.Layer{&net.Flatten{}, &net.Dense{Units: 10}}}
	r := reportOf(t, s)
	for _, p := range r.Points[1:] {
		sum, _ := s.Interconnect.SumTime(31488+256, p.GPUs) // 7840 weights and 10 biases
		one := r.Points[0].Step
		approx.Check(t, "linear", []float64{p.Step, p.Exposed, p.Hidden, p.Efficiency, p.Images},
			[]float64{one + sum, sum, 0, one / (one + sum), float64(p.GPUs*64) / (one + sum)}, rounding)
	}
}

// TestTwoTurns works out the step of a network with two turns in another way.
func TestTwoTurns(t *testing.T) {
	for _, batch := range []int{1, 1 << 16} { // with the first sum partly hidden, and all of it
		s := scalingOf("mlp", 8)
		s.Batch = batch
		s.Network = &net.Network{Name: "wide", Input: net.Shape{C: 1, H: 28, W: 28}, Layers: []net.Layer{&net.Flatten{},
			&net.Dense{Name: "first", Units: 2048}, &net.Activation{Func: net.ReLU}, &net.Dense{Name: "second", Units: 2048, NoBias: true}, &net.Activation{Func: net.ReLU},
			&net.Dense{Name: "third", Units: 10, NoBias: true}}}
		plan, err := s.Network.Plan()
		if err != nil {
			t.Fatal(err)
		}
		late, early := 4*float64(2048*2048+2048*10), 4*float64(784*2048+2048) // bytes, all multiples of 256
		var before, after, update, rest float64
		for _, l := range Launches(plan, net.Options{Optimizer: s.Optimizer}, cuda.FormOf(s.Precision, false), batch) {
			time, _ := s.GPU.Time(l, s.Precision, NodeFloor)
			switch {
			case l.Phase == net.Update:
				update += time.Seconds()
			case l.Call == "add_metrics":
				rest += time.Seconds()
			case l.Phase == net.Backward && l.Layer == "first":
				after += time.Seconds()
			default:
				before += time.Seconds()
			}
		}
		lateSum, _ := s.Interconnect.SumTime(int64(late), 8)
		earlySum, _ := s.Interconnect.SumTime(int64(early), 8)
		end, lateDone := before+after, before+lateSum
		lateUpdate, earlyUpdate := update*late/(late+early), update*early/(late+early)
		step := max(lateDone+lateUpdate, lateDone+earlySum) + earlyUpdate + rest
		if lateDone < end { // its update comes within the backward pass
			step = end + lateUpdate + earlySum + earlyUpdate + rest
		}
		p := reportOf(t, s).Points[0]
		approx.Check(t, "two turns", []float64{p.Step, p.Exposed, p.Hidden},
			[]float64{step, step - before - after - update - rest, min(after, lateSum) / (lateSum + earlySum)}, approx.Tolerance{Rel: 1e-9})
		if p.Hidden <= 0 || (after >= lateSum) != (batch > 1) {
			t.Errorf("batch %d: %v s for a sum of %v s, hidden %v", batch, after, lateSum, p.Hidden)
		}
	}
}

// TestScalingGrows: with more GPUs a step of the same part takes longer and the efficiency falls; a better link makes it no worse, a faster GPU
// doesn't make it better.
func TestScalingGrows(t *testing.T) {
	numbers := []int{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024}
	for _, model := range []string{"tutorial", "resnet18", "airbench94"} {
		s := scalingOf(model, numbers...)
		r := reportOf(t, s)
		s.Interconnect.Link = Links[1]
		worse := reportOf(t, s)
		s.Interconnect.Link, s.Measured = Links[0], r.Points[0].Images/10
		slower := reportOf(t, s)
		for i, p := range r.Points {
			if p.Efficiency > 1+1e-12 || p.Hidden < 0 || p.Hidden >= 1 || p.Exposed < 0 || p.Batch != s.Batch {
				t.Errorf("%s: %+v", model, p)
			}
			if i > 0 && (p.Step < r.Points[i-1].Step || p.Efficiency > r.Points[i-1].Efficiency || p.Images <= 0) {
				t.Errorf("%s: %+v after %+v", model, p, r.Points[i-1])
			}
			if i > 0 && (worse.Points[i].Efficiency > p.Efficiency || slower.Points[i].Efficiency < p.Efficiency) {
				t.Errorf("%s on %d GPUs: efficiency %v, over PCIe %v, with slow GPUs %v", model, p.GPUs, p.Efficiency, worse.Points[i].Efficiency, slower.Points[i].Efficiency)
			}
		}
	}
}

// TestStrongScaling divides one batch.
func TestStrongScaling(t *testing.T) {
	s := scalingOf("resnet18", 1, 3, 64)
	s.Batch, s.GlobalBatch = 0, 256
	r := reportOf(t, s)
	for i, want := range []int{256, 86, 4} {
		weak := s
		weak.Batch, weak.GlobalBatch = want, 0
		p, own := r.Points[i], reportOf(t, weak).Points[i]
		if p.Batch != want {
			t.Errorf("a part of %d, want %d", p.Batch, want)
		}
		approx.Check(t, "strong", []float64{p.Step, p.Images, p.Efficiency},
			[]float64{own.Step, 256 / own.Step, r.Points[0].Step / own.Step / float64(p.GPUs)}, rounding)
	}
	// What was measured is the whole batch on one GPU.
	s.Measured = 1000
	approx.Check(t, "strong, measured", []float64{reportOf(t, s).Points[0].Images}, []float64{1000}, rounding)
}

func TestScalingRefuses(t *testing.T) {
	for name, change := range map[string]func(*Scaling){
		"no batch":        func(s *Scaling) { s.Batch = 0 },
		"two batches":     func(s *Scaling) { s.GlobalBatch = 64 },
		"negative batch":  func(s *Scaling) { s.Batch = -1 },
		"no GPU":          func(s *Scaling) { s.GPUs = []int{1, 0} },
		"too many GPUs":   func(s *Scaling) { s.Batch, s.GlobalBatch, s.GPUs = 0, 64, []int{65} },
		"measured NaN":    func(s *Scaling) { s.Measured = math.NaN() },
		"measured -1":     func(s *Scaling) { s.Measured = -1 },
		"no link":         func(s *Scaling) { s.Interconnect.Link = Link{} },
		"unknown link":    func(s *Scaling) { s.Interconnect.Link.Hop = hops },
		"no network":      func(s *Scaling) { s.Interconnect.Network.Bandwidth = math.NaN() },
		"no machine":      func(s *Scaling) { s.Interconnect.GPUsPerMachine = 0 },
		"no peak":         func(s *Scaling) { s.GPU = GPU{} },
		"wrong network":   func(s *Scaling) { s.Network = &net.Network{Input: net.Shape{C: 1, H: 1, W: 1}} },
		"negative floor":  func(s *Scaling) { s.Floor = -1 },
		"global negative": func(s *Scaling) { s.GlobalBatch = -4 },
	} {
		s := scalingOf("mlp", 1)
		change(&s)
		if r, err := s.Report(); err == nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// TestScalingReport reads the report back.
func TestScalingReport(t *testing.T) {
	r := reportOf(t, scalingOf("resnet18", 1, 8))
	var file bytes.Buffer
	if err := r.WriteCSV(&file); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&file).ReadAll()
	if err != nil || len(rows) != 3 || len(rows[0]) != len(rows[2]) {
		t.Fatalf("the CSV is %q, %v", rows, err)
	}
	step, err := strconv.ParseFloat(rows[2][10], 64)
	if err != nil || rows[0][10] != "step_seconds" || rows[2][len(rows[2])-1] != computedOnly {
		t.Errorf("the CSV is %q, %v", rows, err)
	}
	approx.Check(t, "step", []float64{step}, []float64{r.Points[1].Step}, approx.Tolerance{Rel: 1e-5})
	text, err := json.Marshal(r)
	if err != nil || !strings.Contains(string(text), computedOnly) {
		t.Errorf("the JSON is %s, %v", text, err)
	}
	if facts := r.Facts(); facts[0] != [2]string{"Note", computedOnly} || !strings.HasPrefix(facts[len(facts)-1][1], "in each step 5 of gradients, 47 MB in all, and 40 of batch normalisation") {
		t.Errorf("facts %q", facts)
	}
	table := r.Tables()[0]
	if !strings.HasSuffix(table.Title, computedOnly) || len(table.Rows) != 2 || table.Rows[0][3] != none || len(r.Legend()) == 0 {
		t.Errorf("the table is %+v", table)
	}
}
