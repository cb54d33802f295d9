package bench_test

import (
	"bytes"
	"flag"
	"math"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/gputrain/gputrain/bench"
	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/devicetest"
	"github.com/gputrain/gputrain/net/lower"
)

var update = flag.Bool("update", false, "write gpu-roofline.md anew")

// float32s is the form of FP32 and TF32.
var float32s = cuda.FormOf(cuda.TF32, false)

// TestGPURooflineIsCurrent compares the committed page with what would be written now.
func TestGPURooflineIsCurrent(t *testing.T) {
	const name = "gpu-roofline.md"
	page, err := bench.GPURoofline()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(name, page, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	committed, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(committed, page) {
		t.Errorf("%s is stale: make roofline writes it anew", name)
	}
}

// TestTutorialsProducts counts the tutorial's convolutions by hand: without padding a 5x5 filter over 28x28 positions meets
// 134x134 of 140x140 rows and columns of the image.
func TestTutorialsProducts(t *testing.T) {
	plan, err := net.BuiltIn("tutorial").Plan()
	if err != nil {
		t.Fatal(err)
	}
	const batch = 2
	want := map[string]bench.Launch{
		"conv_bias_relu_pool conv1": {
			MulAdds: batch * 32 * 134 * 134, Computed: batch * 32 * 140 * 140, Bytes: 4*(batch*(28*28+32*14*14)+32*26) + batch*32*14*14,
		},
		"conv_relu_pool_gradients conv1": {
			MulAdds: batch * 32 * 14 * 14 * 25, Computed: batch * 32 * 14 * 14 * 25,
			Bytes: 4*(batch*(28*28+32*14*14)+batch*32*26) + batch*32*14*14, // a part for each image
		},
		"cudnnConvolutionForward conv2": {
			MulAdds: batch * 32 * 64 * 64 * 64, Computed: batch * 32 * 64 * 70 * 70, Bytes: 4 * (batch*(32*14*14+64*14*14) + 64*32*25),
		},
		"cudnnConvolutionBackwardData conv2": {
			MulAdds: batch * 32 * 64 * 64 * 64, Computed: batch * 32 * 64 * 70 * 70, Bytes: 4 * (batch*(32*14*14+64*14*14) + 64*32*25),
		},
		"cublasLtMatmul dense1":         {MulAdds: batch * 3136 * 1000, Computed: batch * 3136 * 1000, Bytes: 4 * (batch*(3136+1000) + 3136*1000)},
		"bias_relu_pool conv2":          {Bytes: 4*(batch*(64*14*14+64*7*7)+64) + batch*64*7*7},
		"adam ":                         {Bytes: 28 * (32*26 + 64*(32*25+1))}, // the last: those of the convolutions
		"gather_bytes ":                 {Bytes: batch * (28*28 + 4*28*28 + 4 + 4 + 4)},
		"softmax_cross_entropy ":        {Bytes: batch*(2*4*10+4+4+4) + 4*10},
		"bias_relu_pool_backward conv2": {Bytes: batch * (4*64*7*7 + 64*7*7 + 4*64*14*14)},
	}
	compareLaunches(t, plan, float32s, batch, want)
	// In bfloat16 a value has two bytes, and so have cuDNN's and cuBLAS's factors. Sums, logits, statistics, the dense
	// layers' weight gradients and the weights of kernels of ours have four.
	want = map[string]bench.Launch{
		"conv_bias_relu_pool conv1": {
			MulAdds: batch * 32 * 134 * 134, Computed: batch * 32 * 140 * 140, Bytes: 2*batch*(28*28+32*14*14) + 4*32*26 + batch*32*14*14,
		},
		"conv_relu_pool_gradients conv1": {
			MulAdds: batch * 32 * 14 * 14 * 25, Computed: batch * 32 * 14 * 14 * 25,
			Bytes: 2*batch*(28*28+32*14*14) + 4*batch*32*26 + batch*32*14*14,
		},
		"cudnnConvolutionBackwardFilter conv2": {
			MulAdds: batch * 32 * 64 * 64 * 64, Computed: batch * 32 * 64 * 70 * 70, Bytes: 2 * (batch*(32*14*14+64*14*14) + 64*32*25),
		},
		"cublasLtMatmul dense2":          {MulAdds: batch * 1000 * 10, Computed: batch * 1000 * 10, Bytes: 2*(batch*(1000+10)+1000*10) + batch*128}, // the last: the input gradient, with a mask of 1,024 bits
		"bias_relu_pool_gradients conv2": {Bytes: batch*(2*64*7*7+64*7*7+2*64*14*14) + 4*64},
		"adam ":                          {Bytes: 30*(32*26+64*(32*25+1)) - 2*64*32*25},
		"gather_bytes ":                  {Bytes: batch * (28*28 + 2*28*28 + 4 + 4 + 4)},
		"softmax_cross_entropy ":         {Bytes: batch*((4+2)*10+4+4+4) + 4*10},
	}
	compareLaunches(t, plan, cuda.FormOf(cuda.BF16, false), batch, want)
}

// compareLaunches compares launches of a step, by call and layer. Of several in one layer it compares the last.
func compareLaunches(t *testing.T, plan *net.Plan, form cuda.Form, batch int, want map[string]bench.Launch) {
	t.Helper()
	seen := map[string]bench.Launch{}
	for _, l := range bench.Launches(plan, net.Options{Optimizer: net.AdamDefault(1e-4)}, form, batch) {
		seen[l.Call+" "+l.Layer] = l
	}
	for name, w := range want {
		l := seen[name]
		if l.MulAdds != w.MulAdds || l.Computed != w.Computed || l.Bytes != w.Bytes {
			t.Errorf("%s: %d multiply-adds, %d with padding, %d bytes; want %d, %d, %d", name, l.MulAdds, l.Computed, l.Bytes, w.MulAdds, w.Computed, w.Bytes)
		}
	}
	if _, ok := seen["cudnnConvolutionBackwardData conv1"]; ok {
		t.Error("the gradient with respect to the images is computed, which nobody needs")
	}
}

// TestTimeIsTheLongest bounds launches by each of the three.
func TestTimeIsTheLongest(t *testing.T) {
	g := bench.GPU{FP32: 1e12, TF32: 4e12, BF16: 8e12, Bandwidth: 1e9}
	for _, c := range []struct {
		l    bench.Launch
		p    cuda.Precision
		want time.Duration
		by   bench.Bound
	}{
		{bench.Launch{}, cuda.FP32, 3 * time.Microsecond, bench.ByLaunch},
		{bench.Launch{Bytes: 4000}, cuda.FP32, 4 * time.Microsecond, bench.ByMemory},
		{bench.Launch{Computed: 1e9, MulAdds: 1e8}, cuda.FP32, 2 * time.Millisecond, bench.ByArithmetic},
		{bench.Launch{Computed: 1e9, MulAdds: 1e8, Bytes: 4000}, cuda.TF32, time.Millisecond / 2, bench.ByArithmetic},
		{bench.Launch{Computed: 1e9, MulAdds: 1e8, Float32: true}, cuda.TF32, 2 * time.Millisecond, bench.ByArithmetic},
		{bench.Launch{Computed: 1e9, MulAdds: 1e8, Bytes: 4000}, cuda.BF16, time.Millisecond / 4, bench.ByArithmetic},
		{bench.Launch{Computed: 1e9, MulAdds: 1e8, Float32: true}, cuda.BF16, 2 * time.Millisecond, bench.ByArithmetic},
	} {
		got, by := g.Time(c.l, c.p, 3*time.Microsecond)
		if math.Abs(float64(got-c.want)) > 1 || by != c.by {
			t.Errorf("%+v: %v, bound by %s; want %v, %s", c.l, got, by, c.want, c.by)
		}
	}
}

// TestLaunchesOfKinds wants launches of each example of each kind of layer, forward and backward, for all its inputs, under
// the name of its group's first.
func TestLaunchesOfKinds(t *testing.T) {
	for _, k := range net.Kinds() {
		for i, e := range k.Examples {
			plan, err := devicetest.ExampleNetwork(e).Plan()
			if err != nil {
				t.Fatal(err)
			}
			lowered, group := lower.Lower(plan, cuda.Fuser{}), ""
			for _, g := range lowered.Groups {
				for _, node := range g.Nodes {
					if plan.Nodes[node].Name == devicetest.ExampleName {
						group = lowered.Head(g).Name
					}
				}
			}
			for _, form := range []cuda.Form{float32s, cuda.FormOf(cuda.BF16, false)} {
				bytes := map[net.Phase]int64{}
				for _, l := range bench.Launches(plan, net.Options{Optimizer: net.AdamDefault(1e-4)}, form, 2) {
					if l.Layer != "" && l.Layer == group {
						bytes[l.Phase] += l.Bytes
					}
				}
				var in, out, shared int64
				for _, n := range plan.Nodes {
					if n.Name != devicetest.ExampleName {
						continue
					}
					for _, s := range n.Ins {
						in += form.Type.Bytes() * 2 * int64(s.Size())
					}
					out = form.Type.Bytes() * 2 * int64(n.Out.Size())
				}
				switch k.Name {
				case "flatten":
					in, out = 0, 0
				case "add":
					shared = out // the gradient of one input is the output's
				}
				// Each value is read or written at least once, each input's gradient written.
				if bytes[net.Forward] < in+out || bytes[net.Backward] < in+out-shared || (in > 0) != (bytes[net.Forward] > 0) {
					t.Errorf("example %d of %s, %v, moves %v bytes, of %d and %d", i+1, k.Name, form.Type, bytes, in, out)
				}
			}
		}
	}
}

// TestLaunchesOfBranches counts what is written to, and added to, gradients with several uses.
func TestLaunchesOfBranches(t *testing.T) {
	n := &net.Network{Input: net.Shape{C: 2, H: 4, W: 4}, Layers: []net.Layer{
		&net.Conv{Name: "stem", Filters: 4, Kernel: net.Square(1)},
		&net.Conv{Name: "grouped", Filters: 4, Groups: 2, Kernel: net.Square(1), NoBias: true, Frozen: net.Frozen{All: true}},
		&net.Add{Name: "sum", From: net.From{"stem", "grouped", "stem"}},
		&net.Flatten{}, &net.Dense{Name: "dense", Units: 3},
	}}
	plan, err := n.Plan()
	if err != nil {
		t.Fatal(err)
	}
	const batch, image = 2, 2 * 4 * 16
	var got []bench.Launch
	for _, l := range bench.Launches(plan, net.Options{Optimizer: net.AdamDefault(1e-4)}, float32s, batch) {
		if l.Layer == "sum" || l.Layer == "grouped" {
			got = append(got, l)
		}
	}
	const products = batch * 4 * 2 * 16
	want := []bench.Launch{
		{Layer: "grouped", Phase: net.Forward, Call: "cudnnConvolutionForward", MulAdds: products, Computed: products, Bytes: 4 * (2*image + 8)},
		{Layer: "sum", Phase: net.Forward, Call: "add", Bytes: 4 * 3 * image},
		{Layer: "sum", Phase: net.Forward, Call: "add", Bytes: 4 * 3 * image},
		// The stem is taken twice, so a copy is written and added to. The other input's gradient is that of the sum.
		{Layer: "sum", Phase: net.Backward, Call: "copy_blocks", Bytes: 4 * 2 * image},
		{Layer: "sum", Phase: net.Backward, Call: "add", Bytes: 4 * 3 * image},
		// Of a frozen layer the input's gradient alone, which is added.
		{Layer: "grouped", Phase: net.Backward, Call: "cudnnConvolutionBackwardData", MulAdds: products, Computed: products, Bytes: 4 * (3*image + 8)},
	}
	if !slices.Equal(got, want) {
		t.Errorf("launches\n%+v, want\n%+v", got, want)
	}
}
