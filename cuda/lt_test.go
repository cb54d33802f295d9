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

// trainDense trains the network of dense layers for some steps. It returns what each parameter has learned, and how many nodes
// a step has.
func trainDense(t *testing.T, o cuda.Options) (learned map[string][]float64, nodes int) {
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
	data := images(40)
	train(t, p, data, 4, 8)
	train(t, p, data, 2, 5) // another size
	s, err := p.State()
	if err != nil {
		t.Fatal(err)
	}
	first := net.InitialState(planOf(t, n), 3, nil)
	learned = map[string][]float64{}
	for name, q := range s.Params {
		for i, w := range q.Float32s() {
			learned[name] = append(learned[name], float64(w-first.Params[name].Float32s()[i]))
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

// TestEpilogues trains with all epilogues, and where cuBLASLt lacks some of them: other kernels compute the same then, in more
// launches.
func TestEpilogues(t *testing.T) {
	for _, c := range []struct {
		precision cuda.Precision
		share     float64
	}{
		{cuda.FP32, 1e-4}, // roundings
		{cuda.TF32, 1e-2}, // bias gradients are sums of rounded factors, or not
		{cuda.BF16, 0.4},  // and biases are rounded, or not, so that a ReLU may be 0 or not: 28 % were seen
	} {
		o := cuda.Options{Precision: c.precision, Heuristic: true, Deterministic: true}
		var want map[string][]float64
		fewest := 0
		for _, without := range []struct {
			name      string
			epilogues []int
			more      int // launches
		}{
			{"nothing", nil, 0},
			{"a mask", []int{biasReLUMask}, 1},
			{"ReLU", []int{biasReLUMask, biasReLU}, 3},
			{"bias", []int{bias}, 2},
			{"the gradient of ReLU", []int{reluGradient}, 1},
			{"the gradient of a bias", []int{biasGradient}, 4},
			{"everything", []int{plain, bias, biasReLU, biasReLUMask, reluGradient, biasGradient}, 8},
		} {
			t.Run(fmt.Sprint(c.precision, "/without ", without.name), func(t *testing.T) {
				m := sim.Start(t, sim.WithoutEpilogues(without.epilogues...))
				learned, nodes := trainDense(t, o)
				if want == nil {
					want, fewest = learned, nodes
				}
				sameLearned(t, learned, want, c.share)
				if nodes != fewest+without.more {
					t.Errorf("a step has %d launches, want %d and %d more", nodes, fewest, without.more)
				}
				lt := m.Counters()["call.cublasLtMatmul"]
				if (lt == 0) != (len(without.epilogues) == 6) {
					t.Errorf("%d products by cuBLASLt", lt)
				}
			})
		}
	}
}

// TestMeasuredProducts trains with algorithms that were measured: nothing else changes but the order of sums.
func TestMeasuredProducts(t *testing.T) {
	var want map[string][]float64
	for _, o := range []cuda.Options{{Precision: cuda.FP32, Heuristic: true}, {Precision: cuda.FP32}} {
		t.Run(fmt.Sprint("heuristic=", o.Heuristic), func(t *testing.T) {
			m := sim.Start(t)
			learned, _ := trainDense(t, o)
			if want == nil {
				want = learned
			}
			sameLearned(t, learned, want, 1e-4)
			if measured := m.Counters()["call.cuEventElapsedTime"] > 0; measured == o.Heuristic {
				t.Errorf("measured: %v", measured)
			}
		})
	}
}

// childVariable names the file to which a process without cuBLASLt writes what it has learned.
const childVariable = "GPUTRAIN_TEST_WITHOUT_LT"

// TestWithoutBLASLt trains in a process that finds all libraries but cuBLASLt, since a process loads libraries once.
func TestWithoutBLASLt(t *testing.T) {
	names := []string{"dense1.weight", "dense1.bias"}
	if file := os.Getenv(childVariable); file != "" {
		m := sim.Start(t)
		t.Setenv(driver.SearchVariable, filepath.Dir(file))
		learned, _ := trainDense(t, cuda.Options{Precision: cuda.FP32, Heuristic: true})
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
	all, _ := trainDense(t, cuda.Options{Precision: cuda.FP32, Heuristic: true})
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
