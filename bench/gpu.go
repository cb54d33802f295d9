package bench

import (
	"time"

	"github.com/gputrain/gputrain/net"
)

// GPU is what a data sheet says of a GPU.
type GPU struct {
	Name      string
	FP32      float64 // peak of float32 operations a second; a multiply-add counts as two
	TF32      float64 // the same for tensor cores with TF32 factors, without sparsity
	Bandwidth float64 // of the memory, in bytes a second
	L2        int64   // size of the L2 cache, in bytes
	Source    string  // where the figures come from
}

// GPUs are the ones in bench/gpu-roofline.md.
var GPUs = []GPU{
	{Name: "H100 SXM", FP32: 66.9e12, TF32: 494.7e12, Bandwidth: 3.35e12, L2: 50 << 20,
		Source: "NVIDIA H100 data sheet; TF32 there is with sparsity, twice the dense rate"},
	{Name: "RTX 4090", FP32: 82.6e12, TF32: 82.6e12, Bandwidth: 1.008e12, L2: 72 << 20,
		Source: "NVIDIA Ada GPU architecture whitepaper, appendix A; TF32 dense"},
}

// NodeFloor is the least time of a node in a graph whose nodes wait for one another: what an almost empty kernel takes,
// with the gap before the next. It is an assumption, not measured by us. NVIDIA's "Getting Started with CUDA Graphs"
// (2019, V100) has kernels of 2.9 µs take 3.4 µs each in a graph: a gap of 0.5 µs; an almost empty kernel runs 1 to 2 µs.
const NodeFloor = 2 * time.Microsecond

// Bound says which of three limits decides the time of a launch.
type Bound string

// The three limits.
const (
	ByArithmetic Bound = "arithmetic"
	ByMemory     Bound = "memory"
	ByLaunch     Bound = "launch"
)

// Time returns the least time that a launch takes: the longest of its arithmetic at the peak rate, its bytes at the memory's
// bandwidth, and the floor.
func (g GPU) Time(l Launch, tf32 bool, floor time.Duration) (time.Duration, Bound) {
	peak := g.FP32
	if tf32 && !l.Float32 {
		peak = g.TF32
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

// StepTime returns the least time of a training step: the sum over its launches, which run one after the other.
func (g GPU) StepTime(plan *net.Plan, o net.Options, batch int, tf32 bool, floor time.Duration) time.Duration {
	var sum time.Duration
	for _, l := range Launches(plan, o, batch) {
		t, _ := g.Time(l, tf32, floor)
		sum += t
	}
	return sum
}
