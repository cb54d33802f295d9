//go:build cuda

package cuda_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/cuda/sim"
	"github.com/gputrain/gputrain/net"
)

// finds counts how often cuDNN was asked to measure.
func finds(m *sim.Machine) (n int64) {
	for name, count := range m.Counters() {
		if strings.HasPrefix(name, "call.cudnnFindConvolution") {
			n += count
		}
	}
	return n
}

// choices compiles the network on a device of its own, trains for a few steps and returns the algorithms in use, and how
// many were measured.
func choices(t *testing.T, m *sim.Machine, o cuda.Options) (s cuda.Statistics, measured int64) {
	t.Helper()
	return choicesOf(t, m, o, network())
}

// choicesOf does so for another network on the same images.
func choicesOf(t *testing.T, m *sim.Machine, o cuda.Options, n *net.Network) (s cuda.Statistics, measured int64) {
	t.Helper()
	d, err := cuda.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	before := finds(m)
	p, err := d.Compile(n, net.Options{Batch: 8, Optimizer: net.AdamDefault(1e-3), Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	data := images(32)
	train(t, p, data, 3, 8)
	if _, err := p.TakeMetrics(); err != nil {
		t.Fatal(err)
	}
	return statistics(p), finds(m) - before
}

// used tells the algorithms without who chose them.
func used(s cuda.Statistics) (all []cuda.Choice) {
	for _, c := range s.Convolutions {
		c.Chosen = ""
		all = append(all, c)
	}
	return all
}

func by(s cuda.Statistics) cuda.Chooser {
	who := s.Convolutions[0].Chosen
	for _, c := range s.Convolutions {
		if c.Chosen != who {
			return "several"
		}
	}
	return who
}

// TestAlgorithmCache measures once, and not again until something differs that speed depends on.
func TestAlgorithmCache(t *testing.T) {
	m := sim.Start(t)
	o := cuda.Options{Precision: cuda.FP32, NoFusion: true, AlgorithmCache: filepath.Join(t.TempDir(), "cache")}
	first, n := choices(t, m, o)
	const products = 2 * 5 // twice three of each of two convolutions, but nobody wants the gradient with respect to the images
	if n != products || by(first) != cuda.Measured || first.CacheError != "" {
		t.Fatalf("the first start measures %d times, %+v", n, first)
	}
	second, n := choices(t, m, o)
	if n != 0 || by(second) != cuda.Cached || !reflect.DeepEqual(used(first), used(second)) {
		t.Errorf("the second start measures %d times\n%+v, the first one\n%+v", n, second, first)
	}
	for what, change := range map[string]func(*cuda.Options){
		"a workspace limit": func(o *cuda.Options) { o.Workspace = 1 << 20 },
		"a precision":       func(o *cuda.Options) { o.Precision = cuda.TF32 },
		"no cache":          func(o *cuda.Options) { o.AlgorithmCache = "" },
	} {
		other := o
		change(&other)
		if s, n := choices(t, m, other); n != products || by(s) != cuda.Measured {
			t.Errorf("%s: measures %d times, %+v", what, n, s)
		}
	}
	deterministic := o
	deterministic.Deterministic = true
	if s, n := choices(t, m, deterministic); n != 0 || by(s) != cuda.Heuristic {
		t.Errorf("deterministic: measures %d times, %+v", n, s)
	}

	// An algorithm of the cache may fail: the next one takes its place.
	m.Set(sim.Fault("cudnnConvolutionForward", 1, 9))
	third, n := choices(t, m, o)
	if n != 0 || third.Convolutions[0].Dropped != 1 || third.Convolutions[0].Algorithm == first.Convolutions[0].Algorithm {
		t.Errorf("after a failure: measures %d times, %+v", n, third)
	}

	// Files that can't be used are measured and written again.
	files, err := filepath.Glob(filepath.Join(o.AlgorithmCache, "*.json"))
	if err != nil || len(files) != 6 {
		t.Fatalf("files %v (%v), want 6", files, err)
	}
	for _, f := range files {
		if err := os.WriteFile(f, []byte("{}"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if s, n := choices(t, m, o); n != products || by(s) != cuda.Measured {
		t.Errorf("damaged files: measures %d times, %+v", n, s)
	}
	if s, n := choices(t, m, o); n != 0 || by(s) != cuda.Cached {
		t.Errorf("mended files: measures %d times, %+v", n, s)
	}
}

// TestAlgorithmCacheLittleMemory keeps nothing that was measured without room for the whole workspace.
func TestAlgorithmCacheLittleMemory(t *testing.T) {
	m := sim.Start(t)
	o := cuda.Options{Precision: cuda.FP32, NoFusion: true, AlgorithmCache: t.TempDir(), MemoryLimit: 200 << 20}
	for range 2 {
		if s, n := choices(t, m, o); n == 0 || by(s) != cuda.Measured {
			t.Errorf("measures %d times, %+v", n, s)
		}
	}
}

// TestAlgorithmCacheCannotWrite trains all the same, and says why nothing is kept.
func TestAlgorithmCacheCannotWrite(t *testing.T) {
	m := sim.Start(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s, n := choices(t, m, cuda.Options{Precision: cuda.FP32, AlgorithmCache: file})
	if n == 0 || !strings.Contains(s.CacheError, file) {
		t.Errorf("measures %d times, %q", n, s.CacheError)
	}
}
