//go:build cuda

package cuda_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/cuda/sim"
	"github.com/gputrain/gputrain/net"
)

const ours = "ours, tensor cores"

// own counts the directions of convolutions that our kernels compute.
func own(s cuda.Statistics) (n int) {
	for _, c := range s.Convolutions {
		if c.Algorithm == ours {
			n++
		}
	}
	return n
}

// TestOwnConvolutions lets the options decide who computes convolutions.
func TestOwnConvolutions(t *testing.T) {
	m := sim.Start(t)
	for _, c := range []struct {
		o    cuda.Options
		want int // of five: the first convolution has no input gradient
	}{
		{ownKernels, 5},
		{cuda.Options{Precision: cuda.BF16, OwnConvolutions: cuda.OwnAlways}, 1}, // the other four are fused with pooling
		{cuda.Options{Precision: cuda.BF16, OwnConvolutions: cuda.OwnNever}, 0},
		{cuda.Options{Precision: cuda.BF16, NoFusion: true}, 0},
		{cuda.Options{Precision: cuda.BF16, Heuristic: true}, 0},
		{cuda.Options{Precision: cuda.BF16, Deterministic: true}, 0},
		{cuda.Options{Precision: cuda.TF32, OwnConvolutions: cuda.OwnAlways, ChannelsLast: true, NoFusion: true}, 0},
	} {
		s, _ := choices(t, m, c.o)
		if n := own(s); n != c.want {
			t.Errorf("%+v: %d products by our kernels, want %d: %+v", c.o, n, c.want, s.Convolutions)
		}
		for _, choice := range s.Convolutions {
			if choice.Algorithm == ours && (choice.Chosen != cuda.Demanded || choice.Milliseconds != 0) {
				t.Errorf("%+v: %+v", c.o, choice)
			}
		}
	}
	if _, err := cuda.Open(cuda.Options{OwnConvolutions: "sometimes"}); err == nil {
		t.Error("an unknown choice opens a device")
	}
}

// TestOwnConvolutionsAreMeasured measures them beside cuDNN's algorithms. The fastest computes, and those that are slower are
// kept.
func TestOwnConvolutionsAreMeasured(t *testing.T) {
	m := sim.Start(t)
	n := &net.Network{Name: "two", Input: net.Shape{C: 1, H: 12, W: 12}, Layers: []net.Layer{
		&net.Conv{Filters: 8, Kernel: net.Square(3)}, &net.Activation{Func: net.ReLU}, &net.Conv{Filters: 6, Kernel: net.Square(2), Padding: net.PadSame},
		&net.Flatten{}, &net.Dense{Units: 4},
	}}
	o := cuda.Options{Precision: cuda.BF16, AlgorithmCache: filepath.Join(t.TempDir(), "cache")}
	choicesOf(t, m, o, n)
	files, err := filepath.Glob(filepath.Join(o.AlgorithmCache, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("files %v (%v), want one or more", files, err)
	}
	// The second convolution's padding is not the same at both ends. cuDNN gets its input padded, our kernels don't.
	for _, directions := range [][3]bool{{true, true, true}, {}, {true, false, false}, {false, true, false}, {false, false, true}, {false, true, true}} {
		for _, name := range files {
			change(t, name, directions)
		}
		want := 2*(boolInt(directions[0])+boolInt(directions[2])) + boolInt(directions[1]) // the first has no input gradient
		s, measured := choicesOf(t, m, o, n)
		if got := own(s); measured != 0 || got != want {
			t.Errorf("ours for %v: %d products by our kernels, want %d, %d measured: %+v", directions, got, want, measured, s.Convolutions)
		}
	}
	verifyGraph(t, o, n, 1./(1<<8))
	o.OwnConvolutions = cuda.OwnNever
	if s, measured := choicesOf(t, m, o, n); own(s) != 0 || measured == 0 {
		t.Errorf("%d products by our kernels, %d measured: %+v", own(s), measured, s.Convolutions)
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// change puts our kernels first or last in a file of the cache, where they must be in each direction.
func change(t *testing.T, name string, first [3]bool) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var file map[string]any
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for dir, ways := range file["algorithms"].([]any) {
		if ways == nil {
			continue
		}
		all := ways.([]any)
		i := slices.IndexFunc(all, func(a any) bool { return a.(map[string]any)["algorithm"] == 15. })
		if i < 0 && !file["key"].(map[string]any)["own"].(bool) {
			continue // grouped
		}
		if i < 0 || len(all) < 2 || all[i].(map[string]any)["milliseconds"].(float64) <= 0 {
			t.Fatalf("direction %d: %v", dir, all)
		}
		way := all[i]
		if all = slices.Delete(all, i, i+1); first[dir] {
			all = slices.Insert(all, 0, way)
		} else {
			all = append(all, way)
		}
		file["algorithms"].([]any)[dir] = all
	}
	if text, err = json.Marshal(file); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestOwnConvolutionsOfAllKinds compares with the reference: strides, dilations, unequal padding, and what comes after
// a convolution.
func TestOwnConvolutionsOfAllKinds(t *testing.T) {
	sim.Start(t)
	n := &net.Network{Name: "kinds", Input: net.Shape{C: 3, H: 13, W: 11}, Layers: []net.Layer{
		&net.Conv{Name: "stem", Filters: 8, Kernel: net.Square(4), Stride: net.Square(2), Padding: net.PadSame}, &net.Activation{Func: net.ReLU},
		&net.Conv{Name: "wide", Filters: 16, Kernel: net.Square(3), Dilation: net.Square(2), Padding: net.PadSame, NoBias: true},
		&net.BatchNorm{}, &net.Activation{Func: net.ReLU},
		&net.Conv{Name: "pooled", Filters: 16, Kernel: net.Square(3), Padding: net.PadSame}, &net.Activation{Func: net.ReLU}, &net.Pool{Kernel: net.Square(2)},
		&net.Conv{Name: "odd", Filters: 7, Kernel: net.Pair{H: 2, W: 3}, Padding: net.Pad(1, 0, 0, 2)},
		&net.Conv{Name: "grouped", Filters: 14, Kernel: net.Square(1), Groups: 7},
		&net.Flatten{}, &net.Dense{Units: 4},
	}}
	verifyGraph(t, ownKernels, n, 1./(1<<8))
	// So many places that the weight gradients have parts.
	verifyGraph(t, ownKernels, &net.Network{Name: "parts", Input: net.Shape{C: 2, H: 20, W: 20}, Layers: []net.Layer{
		&net.Conv{Filters: 8, Kernel: net.Square(3), Padding: net.PadSame}, &net.Activation{Func: net.ReLU},
		&net.Conv{Filters: 5, Kernel: net.Square(3), Padding: net.PadSame}, &net.Pool{Mode: net.MeanPool, Global: true}, &net.Flatten{}, &net.Dense{Units: 4},
	}}, 1./(1<<8))
	measured := ownKernels
	measured.Deterministic, measured.OneStream = false, true
	verifyGraph(t, measured, n, 1./(1<<8))

	// Each direction by ours or by cuDNN: the sizes of the cache's files are those of verify.Network's runs.
	o := cuda.Options{Precision: cuda.BF16, AlgorithmCache: filepath.Join(t.TempDir(), "cache")}
	verifyGraph(t, o, n, 1./(1<<8))
	files, err := filepath.Glob(filepath.Join(o.AlgorithmCache, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("files %v (%v), want one or more", files, err)
	}
	for k := range 8 {
		for _, name := range files {
			change(t, name, [3]bool{k&1 != 0, k&2 != 0, k&4 != 0})
		}
		verifyGraph(t, o, n, 1./(1<<8))
	}
}
