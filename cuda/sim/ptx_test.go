//go:build unix && !cuda

package sim_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/cuda/sim/internal/build"
	"github.com/gputrain/gputrain/internal/testenv"
)

// TestPTXInterpreter runs the interpreter's own test program (src/ptx/test): every instruction against a computation in
// C++, kernels from nvcc, wrong kernels that have to be caught, and a fuzzer. It is built with the sanitizers, so that
// the fuzzer finds every access out of place.
func TestPTXInterpreter(t *testing.T) {
	skipShort(t)
	program, err := build.Program(build.Target{
		Name: "test_ptx", Folders: []string{"ptx", "ptx/test"},
		Flags: []string{"-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-Iptx"},
	})
	if err != nil && strings.Contains(err.Error(), "asan") {
		t.Skipf("the compiler has no sanitizers: %v", err)
	}
	checkBuilt(t, err)
	runProgram(t, "ptx", program, "test/kernels", fmt.Sprint(testenv.SeedOr(t, 1)), "instructions", "kernels", "matrix", "wrong", "text", "fuzz")
}
