//go:build cuda

package cuda_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/cuda/driver"
	"github.com/gputrain/gputrain/cuda/sim"
	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
)

// The numbers of cuBLASLt's epilogues that dense layers use.
const (
	plain        = 1
	bias         = 4
	biasReLU     = 6
	biasReLUMask = 134
	reluGradient = 136
	biasGradient = 512
)

// denseNetwork has dense layers with everything that may follow one: a ReLU before a dense layer, with more units than a
// block of a mask has bits; a ReLU whose output a sum takes too; nothing; the loss.
func denseNetwork() *net.Network {
	return &net.Network{Name: "dense", Input: net.Shape{C: 1, H: 12, W: 12}, Layers: []net.Layer{
		&net.Flatten{}, &net.Dense{Units: 140}, &net.Activation{Func: net.ReLU}, &net.Dense{Units: 33},
		&net.Activation{Name: "twice", Func: net.ReLU}, &net.Dense{Name: "inner", Units: 33}, &net.Add{From: net.From{"twice", "inner"}},
		&net.Dense{Units: 20}, &net.Dense{Units: 4},
	}}
}

// trainDense trains the network of dense layers from a state whose biases are not 0: for some steps of 8 samples, and from
// the same state for as many of 5. It returns what each parameter has learned in each, and how many nodes a step has. All
// steps are launches of graphs.
func trainDense(t *testing.T, o cuda.Options, steps int) (learned map[string][]float64, nodes int) {
	t.Helper()
	d, err := cuda.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer closeDevice(t, d)
	n := denseNetwork()
	p, err := d.Compile(n, net.Options{Batch: 8, Optimizer: net.SGDDefault(0.05), Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	plan, data := planOf(t, n), images(40)
	first := net.InitialState(plan, 3, nil)
	for _, q := range plan.Params {
		if q.Role == net.Bias {
			for i, values := 0, first.Params[q.Name].Float32s(); i < len(values); i++ {
				values[i] = float32(i%7-3) / 32 // bfloat16 has these
			}
		}
	}
	learned = map[string][]float64{}
	for _, batch := range []int{8, 5} {
		train(t, p, data, 2, batch) // kernel by kernel, and captured
		if err := p.SetState(first); err != nil {
			t.Fatal(err)
		}
		train(t, p, data, steps, batch)
		s, err := p.State()
		if err != nil {
			t.Fatal(err)
		}
		for name, q := range s.Params {
			of := fmt.Sprintf("%s in batches of %d", name, batch)
			for i, w := range q.Float32s() {
				learned[of] = append(learned[of], float64(w-first.Params[name].Float32s()[i]))
			}
		}
	}
	return learned, statistics(p).Graphs.Nodes
}

// sameLearned compares what parameters have learned. They may differ by a share of what moved the most.
func sameLearned(t *testing.T, got, want map[string][]float64, share float64) {
	t.Helper()
	for name, moves := range want {
		most := 0.
		for _, m := range moves {
			most = max(most, math.Abs(m))
		}
		if most < 1e-4 {
			t.Errorf("%s moves by %g: that compares nothing", name, most)
		}
		approx.Check(t, name, got[name], moves, approx.Tolerance{Abs: share * most})
	}
}

// TestEpilogues trains with all epilogues of cuBLASLt, and where it lacks some of them. Each run must learn what the network learns by cuBLAS and our kernels. The more is missing, the more launches a step has.
func TestEpilogues(t *testing.T) {
	for _, c := range []struct {
		precision cuda.Precision
		steps     int
		share     float64
	}{
		// A few roundings: of sums; in TF32 of the bias gradient's factors, or not; in BF16 of products before their bias is
		// added, or not. In BF16 more steps would drift apart, because a ReLU near 0 may be 0 or not.
		{cuda.FP32, 4, 1e-5},
		{cuda.TF32, 4, 4. / (1 << 11)},
		{cuda.BF16, 1, 4. / (1 << 8)},
	} {
		o := cuda.Options{Precision: c.precision, Heuristic: true, Deterministic: true}
		var want map[string][]float64
		most := 0
		for _, without := range []struct {
			name      string
			epilogues []int
			fewer     int // launches than without any
		}{
			{"nothing", nil, 8},
			{"a mask", []int{biasReLUMask}, 7},
			{"ReLU", []int{biasReLUMask, biasReLU}, 5},
			{"bias", []int{bias}, 6},
			{"the gradient of ReLU", []int{reluGradient}, 7},
			{"the gradient of a bias", []int{biasGradient}, 4},
		} {
			t.Run(fmt.Sprint(c.precision, "/without ", without.name), func(t *testing.T) {
				if want == nil { // so that each of these can run alone
					t.Run("without any", func(t *testing.T) {
						m := sim.Start(t, sim.WithoutEpilogues(plain, bias, biasReLU, biasReLUMask, reluGradient, biasGradient))
						want, most = trainDense(t, o, c.steps)
						if lt := m.Counters()["call.cublasLtMatmul"]; lt > 0 {
							t.Errorf("%d products by cuBLASLt", lt)
						}
					})
				}
				m := sim.Start(t, sim.WithoutEpilogues(without.epilogues...))
				learned, nodes := trainDense(t, o, c.steps)
				sameLearned(t, learned, want, c.share)
				if nodes != most-without.fewer {
					t.Errorf("a step has %d launches, want %d less %d", nodes, most, without.fewer)
				}
				if m.Counters()["call.cublasLtMatmul"] == 0 {
					t.Error("no products by cuBLASLt")
				}
			})
		}
	}
}

// TestMeasuredProducts trains with algorithms that were measured: nothing else changes but the order of sums.
func TestMeasuredProducts(t *testing.T) {
	m := sim.Start(t)
	want, _ := trainDense(t, cuda.Options{Precision: cuda.FP32, Heuristic: true}, 4)
	before := m.Counters()["call.cuEventElapsedTime"]
	got, _ := trainDense(t, cuda.Options{Precision: cuda.FP32}, 4)
	if measured := m.Counters()["call.cuEventElapsedTime"]; before > 0 || measured == 0 {
		t.Errorf("%d measurements with the heuristic, %d without", before, measured-before)
	}
	sameLearned(t, got, want, 1e-4)
}

// childVariable names the file to which a process without cuBLASLt writes what it has learned.
const childVariable = "GPUTRAIN_TEST_WITHOUT_LT"

// TestWithoutBLASLt trains in a process that finds all libraries but cuBLASLt, since a process loads libraries once.
func TestWithoutBLASLt(t *testing.T) {
	names := []string{"dense1.weight in batches of 8", "dense1.bias in batches of 8", "dense1.weight in batches of 5"}
	if file := os.Getenv(childVariable); file != "" {
		m := sim.Start(t)
		t.Setenv(driver.SearchVariable, filepath.Dir(file))
		learned, _ := trainDense(t, cuda.Options{Precision: cuda.FP32, Heuristic: true}, 4)
		if lt, sgemm := m.Counters()["call.cublasLtMatmul"], m.Counters()["call.cublasSgemm_v2"]; lt > 0 || sgemm == 0 {
			t.Errorf("%d products by cuBLASLt, %d by cuBLAS", lt, sgemm)
		}
		var b bytes.Buffer
		for _, name := range names {
			if err := binary.Write(&b, binary.LittleEndian, learned[name]); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	from, dir := sim.Libraries(t), t.TempDir()
	for _, name := range []string{"libcuda.so.1", "libcudnn.so.9", "libcublas.so.12"} {
		if err := os.Symlink(filepath.Join(from, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "learned")
	child := exec.Command(os.Args[0], "-test.run=^TestWithoutBLASLt$", "-test.v")
	child.Env = append(os.Environ(), childVariable+"="+file)
	if out, err := child.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sim.Start(t)
	all, _ := trainDense(t, cuda.Options{Precision: cuda.FP32, Heuristic: true}, 4)
	got, want, read := map[string][]float64{}, map[string][]float64{}, bytes.NewReader(text)
	for _, name := range names {
		want[name], got[name] = all[name], make([]float64, len(all[name]))
		if err := binary.Read(read, binary.LittleEndian, got[name]); err != nil {
			t.Fatal(err)
		}
	}
	sameLearned(t, got, want, 1e-4)
}

// TestReLUKeepsNaN trains with a NaN before each ReLU of a dense layer, where cuBLASLt's ReLU keeps it and where it doesn't.
// In the second case our own kernel computes the ReLU.
func TestReLUKeepsNaN(t *testing.T) {
	for _, c := range []struct {
		option  sim.Option
		options cuda.Options
	}{
		{sim.Seed(1), cuda.Options{Precision: cuda.FP32}},
		{sim.ReLULosesNaN(), cuda.Options{Precision: cuda.FP32}},
		{sim.ReLULosesNaN(), cuda.Options{Precision: cuda.BF16, Heuristic: true}},
		{sim.ReLULosesNaN(), cuda.Options{Precision: cuda.BF16, Deterministic: true}},
	} {
		for _, layer := range []string{"dense1", "dense2"} {
			t.Run(fmt.Sprintf("%s/%+v/%s", c.option, c.options, layer), func(t *testing.T) {
				sim.Start(t, c.option)
				d, err := cuda.Open(c.options)
				if err != nil {
					t.Fatal(err)
				}
				defer closeDevice(t, d)
				p, err := d.Compile(denseNetwork(), net.Options{Batch: 8, Optimizer: net.SGDDefault(0.05), Seed: 3})
				if err != nil {
					t.Fatal(err)
				}
				s, err := p.State()
				if err != nil {
					t.Fatal(err)
				}
				s.Params[layer+".bias"].Float32s()[0] = float32(math.NaN())
				if err := p.SetState(s); err != nil {
					t.Fatal(err)
				}
				train(t, p, images(16), 2, 8)
				m, err := p.TakeMetrics()
				if err != nil {
					t.Fatal(err)
				}
				if m.FirstBad != 1 || !math.IsNaN(m.Loss) {
					t.Errorf("%+v, want a loss that is NaN from the first step", m)
				}
			})
		}
	}
}
