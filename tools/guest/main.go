//go:build linux

// Guest is the first program of the emulated machine in which tools/check-avx512 runs tests. It runs each line of the
// file /commands, says whether all passed, and turns the machine off. What it prints goes to the machine's console.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
)

// verdict begins the last line, for which tools/check-avx512 looks.
const verdict = "check-avx512:"

// needs lists the flags of /proc/cpuinfo without which the tier avx512 is not available.
var needs = []string{"avx2", "fma", "avx512f", "avx512bw", "avx512dq", "avx512vl"}

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "guest is for the emulated machine of tools/check-avx512, where it is process 1")
		os.Exit(2)
	}
	if err := run(); err != nil {
		fmt.Println(verdict, "failed:", err)
	} else {
		fmt.Println(verdict, "passed")
	}
	drain()
	// Process 1 must not end: the kernel would panic.
	err := syscall.Reboot(syscall.LINUX_REBOOT_CMD_POWER_OFF)
	fmt.Println(verdict, "failed: the machine does not turn off:", err)
	select {}
}

// run runs the commands, also those after one that fails.
func run() error {
	for _, system := range []struct{ kind, folder string }{{"proc", "/proc"}, {"devtmpfs", "/dev"}} {
		if err := syscall.Mount(system.kind, system.folder, system.kind, 0, ""); err != nil {
			return fmt.Errorf("mounting %s: %w", system.folder, err)
		}
	}
	processor, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return err
	}
	for _, need := range needs {
		if !slices.Contains(strings.Fields(string(processor)), need) {
			return fmt.Errorf("the processor lacks %s", need)
		}
	}
	text, err := os.ReadFile("/commands")
	if err != nil {
		return err
	}
	var failures []error
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		command := exec.Command(words[0], words[1:]...)
		command.Stdout, command.Stderr = os.Stdout, os.Stdout
		if err := command.Run(); err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", words[0], err))
		}
	}
	return errors.Join(failures...)
}

// drain waits until the console has sent what was printed. Turned off before that, the machine would lose it.
func drain() {
	const tcsbrk, draining = 0x5409, 1
	syscall.Syscall(syscall.SYS_IOCTL, os.Stdout.Fd(), tcsbrk, draining)
}
