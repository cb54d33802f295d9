// Package sim runs tests on a simulated CUDA machine: the driver API with an interpreter of PTX, cuDNN, cuBLAS and NCCL.
// These are shared libraries, built from src. Package driver loads them like NVIDIA's. The machine is stricter than
// hardware. It runs work as late, and in as unusual an order, as streams and events allow. It reports everything that
// a program does wrong, and then the test fails.
//
// Kernels can use tensor cores (mma, ldmatrix), asynchronous copies (cp.async) and dynamic shared memory up to the
// device's limit. Sums on tensor cores are rounded as published measurements found for the GPUs' compute capability:
// in blocks, with the bits cut off that lie too far below the largest term. src/ptx/tensorcore.h names the papers, and
// says what isn't known. An asynchronous copy takes effect at the wait that covers it. Until then, every access to its
// destination is a finding, and so is a source that has changed.
//
// NCCL's ranks are threads of one process, each with one of its simulated GPUs, or processes. Sums are added in the order
// of the ranks, so all ranks get the same bits. A rank that others wait for too long is a finding.
//
// Only tests import this package; product code doesn't know whether it runs on it. A pass is evidence about our calls
// and kernels, not about a GPU. With GPUTRAIN_TEST_GPU=1 (make test-gpu) the same tests run on a real GPU. There,
// tests that need what only the simulator has (faults, counters, findings) are skipped.
package sim

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gputrain/gputrain/internal/testenv"
)

// GPUVariable names an environment variable. If it is 1, tests run on the machine's own GPU instead of the simulator.
const GPUVariable = "GPUTRAIN_TEST_GPU"

func onGPU() bool { return os.Getenv(GPUVariable) == "1" }

// An Option configures a machine. It is "key=value", as in the variable GPUTRAIN_SIM. src/core/core.h lists the keys.
type Option string

func option(key string, value any) Option { return Option(fmt.Sprintf("%s=%v", key, value)) }

// Seed sets the seed of the schedule. It decides the order of work where streams and events leave it open.
func Seed(seed int64) Option { return option("seed", seed) }

// Late makes work wait until something needs its result.
func Late() Option { return option("schedule", "late") }

// Eager makes work run at once.
func Eager() Option { return option("schedule", "eager") }

// Devices sets the number of GPUs.
func Devices(n int) Option { return option("devices", n) }

// Memory sets each GPU's memory, in bytes.
func Memory(bytes int64) Option { return option("memory", bytes) }

// ComputeCapability sets the GPUs' compute capability.
func ComputeCapability(major, minor int) Option {
	return option("cc", fmt.Sprintf("%d.%d", major, minor))
}

// DriverVersion sets the CUDA version that cuDriverGetVersion returns: 12040 is 12.4.
func DriverVersion(version int) Option { return option("driver", version) }

// Fault makes the nth call (from 1) of a function fail with a status of its library. call is the name that the library
// exports.
func Fault(call string, nth, status int) Option {
	return option("fault", fmt.Sprintf("%s@%d=%d", call, nth, status))
}

// OOM makes the nth allocation of device memory (from 1) fail.
func OOM(nth int) Option { return option("oom", nth) }

// Timeout makes the nth kernel launch (from 1) time out. After that its context does nothing any more.
func Timeout(nth int) Option { return option("timeout", nth) }

// Lost makes the device disappear at the nth piece of work (from 1).
func Lost(nth int) Option { return option("lost", nth) }

// NCCLVersion sets the version that ncclGetVersion returns: 22103 is 2.21.3.
func NCCLVersion(version int) Option { return option("nccl", version) }

// AsyncError makes the nth collective (from 1) that the process queues fail while it is in flight. It never ends by
// itself, and ncclCommGetAsyncError returns the status until the communicator is aborted.
func AsyncError(nth, status int) Option { return option("async", fmt.Sprintf("%d:%d", nth, status)) }

// Patience sets how long a rank waits for others; the default is 60 seconds. A longer wait is a finding, and the context
// of the rank that waits does nothing any more.
func Patience(d time.Duration) Option { return option("patience", d.Seconds()) }

// MixedCapture accepts a collective that some ranks have captured in a graph and others have not.
func MixedCapture() Option { return option("allow", "nccl-mixed-capture") }

// WithoutEpilogues makes cuBLASLt refuse products with these epilogues, by their numbers.
func WithoutEpilogues(epilogues ...int) Option {
	text := strings.Trim(strings.ReplaceAll(fmt.Sprint(epilogues), " ", "+"), "[]")
	return option("allow", "cublaslt-without:"+text)
}

// ReLULosesNaN makes cuBLASLt's ReLU turn a NaN into 0. Its documentation leaves open what it does.
func ReLULosesNaN() Option { return option("allow", "cublaslt-relu:max") }

// Traffic makes the machine count memory traffic. [Machine.Moved] returns what it has counted.
func Traffic() Option { return option("traffic", 1) }

// firstSeed is the seed that the environment sets, or 1.
func firstSeed(t testing.TB) int64 {
	t.Helper()
	return int64(testenv.SeedOr(t, 1) & math.MaxInt64) // the simulator's seeds have no sign
}

// configuration joins options. It also returns the schedule's seed: the last one in the options, or the first seed.
func configuration(first int64, options []Option) (config string, seed int64, err error) {
	seed = first
	all := []string{string(Seed(seed))}
	for _, o := range options {
		all = append(all, string(o))
		if value, ok := strings.CutPrefix(string(o), "seed="); ok {
			if seed, err = strconv.ParseInt(value, 10, 64); err != nil {
				return "", 0, fmt.Errorf("option %s: %w", o, err)
			}
		}
	}
	return strings.Join(all, ","), seed, nil
}

// Seeds runs a test once for each of n seeds of the schedule, each in a subtest on a fresh machine. The first seed is
// GPUTRAIN_TEST_SEED or 1. With -short, and on a GPU, there are at most 2.
func Seeds(t *testing.T, n int, test func(t *testing.T, m *Machine), options ...Option) {
	t.Helper()
	first := firstSeed(t)
	if testing.Short() || onGPU() {
		n = min(n, 2)
	}
	for seed := first; seed < first+int64(n); seed++ {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			test(t, Start(t, append(slices.Clone(options), Seed(seed))...))
		})
	}
}

// A Report holds what the machine has seen since it was started.
type Report struct {
	Findings []Finding        `json:"findings"`
	Leaks    []Leak           `json:"leaks"`
	Counters map[string]int64 `json:"counters"`
}

// Moved is the memory traffic of a kernel, a library's function or a kind of copy. It counts what has run, also in
// graphs.
//
// Each launch counts each sector of 32 bytes of device memory once if it reads any byte of it, and once if it writes
// any. So Read and Written are what it must move if caches were perfect. What a library's function reads and writes is
// its operands, without its workspace. Operands that it takes and can do without don't count, such as the input of ReLU
// for its gradient, which follows from the output.
type Moved struct {
	Launches int64
	Read     int64 // bytes
	Written  int64 // bytes
}

// Bytes returns how many bytes were read and written.
func (m Moved) Bytes() int64 { return m.Read + m.Written }

// moved returns the traffic that counters hold, by name: "kernel bias_add", "cudnnConvolutionForward", "memset".
func moved(counters map[string]int64) map[string]Moved {
	all := map[string]Moved{}
	for counter, n := range counters {
		for _, part := range []struct {
			prefix string
			add    func(m *Moved)
		}{
			{"launches ", func(m *Moved) { m.Launches = n }},
			{"traffic read ", func(m *Moved) { m.Read = n }},
			{"traffic written ", func(m *Moved) { m.Written = n }},
		} {
			if name, ok := strings.CutPrefix(counter, part.prefix); ok {
				m := all[name]
				part.add(&m)
				all[name] = m
			}
		}
	}
	return all
}

// A Finding is something that a program did wrong.
type Finding struct {
	Check   string `json:"check"` // the kind of mistake: "out of bounds", "missing synchronisation", ...
	Call    string `json:"call"`
	Message string `json:"message"` // with the buffer, sizes and values
	Count   int64  `json:"count"`   // how often it was found
}

func (f Finding) String() string {
	text := fmt.Sprintf("%s: %s: %s", f.Call, f.Check, f.Message)
	if f.Count > 1 {
		text += fmt.Sprintf(" (%d times)", f.Count)
	}
	return text
}

// A Leak is something that was not freed by the end.
type Leak struct {
	Kind    string `json:"kind"` // "memory", "cudnnHandle_t", ...
	Message string `json:"message"`
}

func (l Leak) String() string { return fmt.Sprintf("leak: %s: %s", l.Kind, l.Message) }

// String lists every finding, leak and counter, one line each.
func (r Report) String() string {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintln(&b, f)
	}
	for _, l := range r.Leaks {
		fmt.Fprintln(&b, l)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Counters)) {
		fmt.Fprintf(&b, "%-30s %d\n", name, r.Counters[name])
	}
	return b.String()
}

func parse(text string) (Report, error) {
	var r Report
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return r, fmt.Errorf("report of the simulator: %w\n%s", err, text)
	}
	return r, nil
}

// LeakCheck is the name that Machine.Expect takes for leaks.
const LeakCheck = "leak"

// judge returns the reasons why a test fails: findings that it didn't expect, and expected ones that are missing.
func judge(r Report, expected []string) []string {
	var wrong []string
	seen := map[string]bool{}
	for _, f := range r.Findings {
		seen[f.Check] = true
		if !slices.Contains(expected, f.Check) {
			wrong = append(wrong, f.String())
		}
	}
	for _, l := range r.Leaks {
		seen[LeakCheck] = true
		if !slices.Contains(expected, LeakCheck) {
			wrong = append(wrong, l.String())
		}
	}
	for _, check := range expected {
		if !seen[check] {
			wrong = append(wrong, fmt.Sprintf("the simulator did not find %q", check))
		}
	}
	return wrong
}
