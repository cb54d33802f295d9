// Package devicetest is the compliance suite that every device must pass:
//
//	func TestCompliance(t *testing.T) {
//		devicetest.Run(t, func(tb testing.TB) net.Device { return mydevice.New() })
//	}
//
// It checks that a device keeps the contract of package net. It compares the
// device's numbers with exact arithmetic, by
// [github.com/gputrain/gputrain/net/verify]. Inputs are random. Their seed is
// printed, and is always the same unless GPUTRAIN_TEST_SEED sets another one. With
// go test -short, or the option [Short], there are fewer shapes and settings, which
// suits the race detector and slow devices.
package devicetest

import (
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gputrain/gputrain/internal/testenv"
	"github.com/gputrain/gputrain/net"
)

// Open returns a device. If it can't, it reports why with tb. The suite closes the
// device.
type Open func(tb testing.TB) net.Device

// Option is a further check for Run.
type Option func(*suite)

// SameBytes makes Run check that a device that was opened in another way gives the
// same bytes. The other way may be, for example, with more threads; name is for
// messages.
func SameBytes(name string, open Open) Option {
	return func(s *suite) { s.variants = append(s.variants, variant{name, open}) }
}

// NoAllocs makes Run check that training steps allocate nothing on Go's heap, after
// the first few.
func NoAllocs() Option { return func(s *suite) { s.noAllocs = true } }

// Short makes Run take fewer shapes and settings, as go test -short does, unless tests
// are to run in their long form (make test-long). It is for devices that are slow.
func Short() Option { return func(s *suite) { s.short = s.short || !testenv.Long() } }

// Only makes Run leave out all checks but those named, unless tests are to run in their
// long form. It is for a device that passes the whole suite in another form, of which
// the other checks see nothing. A name that no check has is an error.
func Only(names ...string) Option {
	return func(s *suite) {
		if !testenv.Long() {
			s.only = names
		}
	}
}

// Roundoff says that the device's unit roundoff isn't float32's. Layers, losses and steps
// are then judged by it. Checks are skipped that compare a whole course of training with
// the reference, or that find no samples clear of kinks; they say so.
func Roundoff(unit float64) Option { return func(s *suite) { s.unit = unit } }

// suite holds what the checks of one run share.
type suite struct {
	unit     float64 // unit roundoff; 0: float32's
	open     Open
	variants []variant
	noAllocs bool
	seed     uint64
	short    bool
	only     []string // the names of the checks that run; nil: all
}

type variant struct {
	name string
	open Open
}

// check is one check of the suite.
type check struct {
	name string
	run  func(*env)
}

// checks lists all checks.
var checks = []check{
	{"conv", checkConv},
	{"pool", checkPool},
	{"activation", checkActivation},
	{"dense", checkDense},
	{"batchnorm", checkBatchNorm},
	{"dropout", checkDropout},
	{"kinds", checkKinds},
	{"chains", checkChains},
	{"uses", checkUses},
	{"frozen", checkFrozen},
	{"random_networks", checkRandomNetworks},
	{"ties", checkTies},
	{"loss", checkLoss},
	{"hits", checkHits},
	{"moves", checkMoves},
	{"views", checkViews},
	{"augment", checkAugment},
	{"criterion", checkCriterion},
	{"optimizer", checkOptimizer},
	{"factors", checkFactors},
	{"averages", checkAverages},
	{"trajectory", checkTrajectory},
	{"shares", checkShares},
	{"turns", checkTurns},
	{"described", checkDescribed},
	{"initial_state", checkInitialState},
	{"state_round_trip", checkStateRoundTrip},
	{"state_is_a_copy", checkStateIsACopy},
	{"state_refused", checkStateRefused},
	{"resume", checkResume},
	{"determinism", checkDeterminism},
	{"stale_memory", checkStaleMemory},
	{"evaluation_changes_nothing", checkEvaluationChangesNothing},
	{"metrics", checkMetrics},
	{"first_bad", checkFirstBad},
	{"batch_sizes", checkBatchSizes},
	{"data_sets", checkDataSets},
	{"programs_side_by_side", checkProgramsSideBySide},
	{"compile_refused", checkCompileRefused},
	{"batch_refused", checkBatchRefused},
	{"inference", checkInference},
	{"closed", checkClosed},
	{"variants", checkVariants},
	{"allocations", checkAllocations},
}

// Run checks the device that open returns. Each check is a subtest.
func Run(t *testing.T, open Open, opts ...Option) {
	t.Helper()
	s := newSuite(t, open, opts...)
	for _, name := range s.only {
		if !slices.ContainsFunc(checks, func(c check) bool { return c.name == name }) {
			t.Errorf("the suite has no check %q", name)
		}
	}
	for _, c := range checks {
		if s.only != nil && !slices.Contains(s.only, c.name) {
			continue
		}
		t.Run(c.name, func(t *testing.T) { c.run(s.env(t, c)) })
	}
}

func newSuite(tb testing.TB, open Open, opts ...Option) *suite {
	tb.Helper()
	s := &suite{open: open, seed: testenv.SeedOr(tb, 1), short: testing.Short()}
	for _, o := range opts {
		o(s)
	}
	return s
}

// env holds what one check works with.
type env struct {
	testing.TB
	*suite
	random
	dev net.Device
}

// env opens the device and seeds the check's own random numbers. So a check repeats
// the same way, whichever other checks run.
func (s *suite) env(tb testing.TB, c check) *env {
	tb.Helper()
	h := fnv.New64a()
	h.Write([]byte(c.name))
	e := &env{TB: tb, suite: s, random: random{rand.New(rand.NewPCG(s.seed, h.Sum64()))}}
	e.dev = e.openDevice(s.open)
	return e
}

// openDevice opens a device, which is closed at the end of the check.
func (e *env) openDevice(open Open) net.Device {
	e.Helper()
	dev := open(e.TB)
	if dev == nil {
		e.Fatalf("open gave no device")
	}
	e.Cleanup(func() {
		if err := dev.Close(); err != nil {
			e.Errorf("closing the device: %v", err)
		}
	})
	if dev.Name() == "" {
		e.Errorf("the device has no name")
	}
	return dev
}

// some returns full, or short in the short form of the suite.
func (s *suite) some(full, short int) int {
	if s.short {
		return short
	}
	return full
}
