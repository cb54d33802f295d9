//go:build cuda

package cuda_test

import (
	"fmt"
	"testing"

	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/cuda/sim"
	"github.com/gputrain/gputrain/mnist"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/devicetest"
	"github.com/gputrain/gputrain/net/verify"
)

// open opens the device; the test's simulated machine is running.
func open(o cuda.Options) devicetest.Open {
	return func(tb testing.TB) net.Device {
		tb.Helper()
		d, err := cuda.Open(o)
		if err != nil {
			tb.Fatal(err)
		}
		return d
	}
}

func TestCompliance(t *testing.T) {
	sim.Seeds(t, some(5, 1), func(t *testing.T, m *sim.Machine) {
		opts := []devicetest.Option{devicetest.NoAllocs()}
		if m.Simulated() && !long() {
			opts = append(opts, devicetest.Short())
		}
		devicetest.Run(t, open(strict), opts...)
	})
}

// valueChecks are the checks that meet kernels and calls for values in another form. The others meet what doesn't know the
// form: float32 parameters, states, data sets, and what is refused.
var valueChecks = []string{"conv", "pool", "activation", "dense", "batchnorm", "dropout", "kinds", "chains", "uses", "frozen",
	"random_networks", "ties", "loss", "hits", "views", "criterion", "optimizer", "factors", "shares", "turns", "resume",
	"determinism", "stale_memory", "batch_sizes", "inference"}

// convolutionChecks are those that meet another way to convolve.
var convolutionChecks = []string{"conv", "kinds", "chains", "uses", "frozen", "random_networks", "turns", "determinism",
	"stale_memory", "batch_sizes", "inference"}

// TestComplianceOfForms runs the suite with values in other forms. float32 with channels last differs from bfloat16 only in
// the type, and is run by `make cuda-long`, as is the rest of the suite.
func TestComplianceOfForms(t *testing.T) {
	notShort(t)
	for _, f := range forms[1:] {
		t.Run(f.name, func(t *testing.T) {
			if f.options.Precision != cuda.BF16 && !long() {
				t.Skip("only in the long form (make cuda-long): TestForms and TestRandomGraphs have this form too")
			}
			sim.Start(t)
			opts := []devicetest.Option{devicetest.NoAllocs(), devicetest.Roundoff(f.roundoff)}
			if !long() {
				checks := valueChecks
				if f.options.OwnConvolutions == cuda.OwnAlways {
					checks = convolutionChecks
				}
				opts = append(opts, devicetest.Short(), devicetest.Only(checks...))
			}
			devicetest.Run(t, open(f.options), opts...)
		})
	}
}

// TestVerify compares the built-in models for such images with the reference on real ones, as `gputrain verify` does.
func TestVerify(t *testing.T) {
	notShort(t)
	split, err := mnist.Tutorial()
	if err != nil {
		t.Fatal(err)
	}
	unfused := strict
	unfused.NoFusion = true
	for _, c := range []struct {
		name  string
		o     cuda.Options
		batch int
		steps int
	}{{"fused", strict, some(4, 2), some(4, 2)}, {"cuDNN alone", unfused, some(4, 1), some(4, 1)}} {
		t.Run(c.name, func(t *testing.T) {
			sim.Seeds(t, some(5, 1), func(t *testing.T, m *sim.Machine) {
				d, err := cuda.Open(c.o)
				if err != nil {
					t.Fatal(err)
				}
				defer closeDevice(t, d)
				for _, n := range digitModels() {
					r, err := verify.Network(t.Context(), d, n, split.Train, verify.Options{Batch: c.batch, Steps: c.steps, Seed: uint64(m.Seed())})
					if err != nil {
						t.Fatalf("%s: %v", n.Name, err)
					}
					t.Logf("%s: %d comparisons on %d images", n.Name, len(r.Checks()), r.Batch)
					if !r.OK() {
						t.Errorf("%s: %+v", n.Name, r.Failures())
					}
				}
			})
		})
	}
}

// digitModels are the built-in models that are for images such as MNIST's.
func digitModels() (networks []*net.Network) {
	for _, m := range net.Models() {
		if m.Input == (net.Shape{C: 1, H: 28, W: 28}) {
			networks = append(networks, m.Network())
		}
	}
	if len(networks) < 3 {
		panic(fmt.Sprintf("of the built-in models only %d are for digits", len(networks)))
	}
	return networks
}

// notShort skips a test with -short: one that adds to the suite in numbers, not in what runs at once.
func notShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: the reference takes minutes, under the race detector many")
	}
}
