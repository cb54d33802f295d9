//go:build !(cuda && cgo && linux && (amd64 || arm64))

package sim

import "testing"

// A Machine is the simulated machine. A build without the tag cuda has none.
type Machine struct{}

const reason = "the simulator needs the build tag cuda, cgo and Linux on amd64 or arm64 (make test, where gcc is)"

// Start skips the test: this build has no simulator.
func Start(t testing.TB, _ ...Option) *Machine {
	t.Helper()
	t.Skip(reason)
	return nil
}

// Libraries skips the test: this build has no simulator.
func Libraries(t testing.TB) string {
	t.Helper()
	t.Skip(reason)
	return ""
}

// Simulated returns true: no test gets this far.
func (*Machine) Simulated() bool { return true }

// Seed returns 0: no test gets this far.
func (*Machine) Seed() int64 { return 0 }

// Set does nothing: no test gets this far.
func (*Machine) Set(...Option) {}

// Report returns an empty Report: no test gets this far.
func (*Machine) Report() Report { return Report{} }

// Counters returns nil: no test gets this far.
func (*Machine) Counters() map[string]int64 { return nil }

// Moved returns nil: no test gets this far.
func (*Machine) Moved() map[string]Moved { return nil }

// Expect does nothing: no test gets this far.
func (*Machine) Expect(...string) {}
