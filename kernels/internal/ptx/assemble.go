package ptx

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

// Architectures returns the architectures for which a PTX file is assembled: the oldest that we support, Ampere and Hopper,
// but none that is older than the file's form is for.
func Architectures(name string) (all []string) {
	for _, a := range []string{"sm_75", "sm_80", "sm_90"} {
		if a >= FormOf(name).Target {
			all = append(all, a)
		}
	}
	return all
}

// Usage is what ptxas reports about one kernel on one architecture.
type Usage struct {
	Kernel, Architecture    string
	Registers               int // of a thread
	SpillStores, SpillLoads int // bytes of a thread
	Stack, Shared           int // bytes of a thread, bytes of a block
}

var (
	compiling = regexp.MustCompile(`Compiling entry function '([^']+)'`)
	stack     = regexp.MustCompile(`(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads`)
	used      = regexp.MustCompile(`Used (\d+) registers(?:.*?(\d+) bytes smem)?`)
)

// Assemble runs ptxas on a PTX file, and returns what each of its kernels uses.
func Assemble(ptxas, file, architecture string) ([]Usage, error) {
	command := exec.Command(ptxas, "-v", "-arch="+architecture, filepath.Base(file), "-o", os.DevNull)
	command.Dir = filepath.Dir(file)
	out, err := command.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("ptxas %s for %s: %w\n%s", file, architecture, err, out)
	}
	return parseUsage(string(out), architecture)
}

// parseUsage reads the output of ptxas -v.
func parseUsage(out, architecture string) ([]Usage, error) {
	starts := compiling.FindAllStringSubmatchIndex(out, -1)
	if len(starts) == 0 {
		return nil, fmt.Errorf("ptxas names no kernel:\n%s", out)
	}
	var usages []Usage
	for i, start := range starts {
		end := len(out)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		u := Usage{Kernel: out[start[2]:start[3]], Architecture: architecture}
		frame, registers := stack.FindStringSubmatch(out[start[0]:end]), used.FindStringSubmatch(out[start[0]:end])
		if frame == nil || registers == nil {
			return nil, fmt.Errorf("ptxas says nothing of what %s uses:\n%s", u.Kernel, out)
		}
		u.Stack, u.SpillStores, u.SpillLoads = number(frame[1]), number(frame[2]), number(frame[3])
		u.Registers, u.Shared = number(registers[1]), number(registers[2])
		usages = append(usages, u)
	}
	return usages, nil
}

// number converts digits that a pattern has found, perhaps none, to a number.
func number(digits string) int {
	n, _ := strconv.Atoi(digits)
	return n
}
