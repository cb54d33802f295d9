//go:build cuda

package cuda

import (
	"strings"
	"testing"

	"github.com/gputrain/gputrain/cuda/sim"
	"github.com/gputrain/gputrain/kernels"
)

// TestCompilerErrors wants to hear what the driver's compiler says of kernels that it refuses.
func TestCompilerErrors(t *testing.T) {
	r := newKernelRig(t, sim.Start(t), map[*kernels.Kernel]bool{})
	_, err := loadModule(strings.Replace(kernels.Modules()[0].PTX(), ".version 7.8", ".version 99.9", 1))
	if err == nil || !strings.Contains(err.Error(), "PTX version not supported") {
		t.Errorf("%v, want the compiler's words on the version", err)
	}
	if n := len(r.device.kernels.modules); n != 1 {
		t.Errorf("%d modules are loaded before a kernel is launched, want 1", n)
	}
}
