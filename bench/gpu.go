package bench

import (
	"time"

	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/net"
)

// GPU holds the figures of a GPU's data sheet.
type GPU struct {
	Name      string
	FP32      float64 // peak of float32 operations a second; a multiply-add counts as two
	TF32      float64 // the same for tensor cores with TF32 factors, without sparsity
	BF16      float64 // the same with bfloat16 factors, which are added in float32
	Bandwidth float64 // bandwidth of the memory, in bytes a second
	L2        int64   // size of the L2 cache, in bytes
	Source    string  // where the figures come from
}

// GPUs lists the GPUs in bench/gpu-roofline.md.
var GPUs = []GPU{
	{Name: "H100 SXM", FP32: 66.9e12, TF32: 494.7e12, BF16: 989.4e12, Bandwidth: 3.35e12, L2: 50 << 20,
		Source: "NVIDIA H100 data sheet; TF32 and bf16 there are with sparsity, twice the dense rate"},
	{Name: "H200 SXM", FP32: 66.9e12, TF32: 494.7e12, BF16: 989.4e12, Bandwidth: 4.8e12, L2: 50 << 20,
		Source: "NVIDIA H200 data sheet; the arithmetic is that of the H100 SXM"},
	{Name: "RTX 4090", FP32: 82.6e12, TF32: 82.6e12, BF16: 165.2e12, Bandwidth: 1.008e12, L2: 72 << 20,
		Source: "NVIDIA Ada GPU architecture whitepaper, appendix A; TF32 dense, bf16 dense with float32 sums"},
}

// NodeFloor is the least time that a node takes in a graph whose nodes wait for one another: the time of an almost
// empty kernel and the gap before the next one. It is an assumption; we have not measured it. In NVIDIA's "Getting
// Started with CUDA Graphs" (2019, V100), kernels of 2.9 µs take 3.4 µs each in a graph, so the gap is 0.5 µs. An
// almost empty kernel runs for 1 to 2 µs.
const NodeFloor = 2 * time.Microsecond

// Bound names the limit that decides the time of a launch.
type Bound string

// The three limits.
const (
	ByArithmetic Bound = "arithmetic"
	ByMemory     Bound = "memory"
	ByLaunch     Bound = "launch"
)

// Time returns the least time that a launch takes, and which limit decides it. The time is the longest of three: the
// arithmetic at the peak rate, the bytes at the memory's bandwidth, and the floor. The peak rate is that of the precision,
// or that of float32 for launches that compute in float32.
func (g GPU) Time(l Launch, p cuda.Precision, floor time.Duration) (time.Duration, Bound) {
	peak := g.FP32
	switch {
	case l.Float32:
	case p == cuda.TF32:
		peak = g.TF32
	case p == cuda.BF16:
		peak = g.BF16
	}
	seconds := func(x float64) time.Duration { return time.Duration(x * float64(time.Second)) }
	most, by := floor, ByLaunch
	if t := seconds(float64(l.Bytes) / g.Bandwidth); t > most {
		most, by = t, ByMemory
	}
	if t := seconds(2 * float64(l.Computed) / peak); t > most {
		most, by = t, ByArithmetic
	}
	return most, by
}

// StepTime returns the sum of the least times of all launches of a training step, as if they ran one after the other. In the
// graph some run side by side: weight gradients, and the update of large weights of the last layers.
func (g GPU) StepTime(plan *net.Plan, o net.Options, batch int, p cuda.Precision, floor time.Duration) time.Duration {
	var sum time.Duration
	for _, l := range Launches(plan, o, cuda.FormOf(p, false), batch) {
		t, _ := g.Time(l, p, floor)
		sum += t
	}
	return sum
}
