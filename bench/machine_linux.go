package bench

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// resetPeakRSS makes peakRSS count from now on. It reports whether it could.
func resetPeakRSS() bool {
	return os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) == nil
}

// peakRSS returns this process's peak resident memory in bytes. It returns 0 if that
// isn't known.
func peakRSS() int64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(b) {
		var kib int64
		if n, _ := fmt.Sscanf(string(line), "VmHWM: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	return 0
}

// foreign returns the processor time that others have taken since the machine started,
// and whether it is known. Others are other processes, and other virtual machines that
// took time meant for this one.
func foreign() (time.Duration, bool) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, false
	}
	var user, nice, system, idle, wait, irq, soft, steal int64 // in 1/100 s
	if n, _ := fmt.Sscanf(string(b), "cpu %d %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &wait, &irq, &soft, &steal); n < 8 {
		return 0, false
	}
	var own unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &own) != nil {
		return 0, false
	}
	all := time.Duration(user+nice+system+irq+soft+steal) * 10 * time.Millisecond
	return all - time.Duration(own.Utime.Nano()+own.Stime.Nano()), true
}

// cpuName returns the processor's name, or "" if it isn't known.
func cpuName() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	return nameIn(string(b))
}

// nameIn returns the processor's name in the text of /proc/cpuinfo. On ARM that has numbers: of who designed a core, and of
// the core. Processors with several kinds of cores have the names of all.
func nameIn(cpuinfo string) string {
	var names []string
	implementer := ""
	for line := range strings.Lines(cpuinfo) {
		key, value, _ := strings.Cut(line, ":")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		switch key {
		case "model name":
			return value
		case "CPU implementer":
			implementer = value
		case "CPU part":
			name := armCores[implementer+" "+value]
			if name == "" {
				name = fmt.Sprintf("ARM core %s of %s", value, implementer)
			}
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return strings.Join(names, ", ")
}

// armCores names cores by implementer and part, as ARM's manuals of the cores do (MIDR_EL1). Those of Apple are from Linux,
// arch/arm64/include/asm/cputype.h.
var armCores = map[string]string{
	"0x41 0xd03": "Cortex-A53", "0x41 0xd05": "Cortex-A55", "0x41 0xd08": "Cortex-A72", "0x41 0xd0b": "Cortex-A76",
	"0x41 0xd0c": "Neoverse N1", "0x41 0xd40": "Neoverse V1", "0x41 0xd49": "Neoverse N2", "0x41 0xd4f": "Neoverse V2",
	"0x61 0x022": "Apple M1 efficiency core", "0x61 0x023": "Apple M1 performance core",
	"0x61 0x032": "Apple M2 efficiency core", "0x61 0x033": "Apple M2 performance core",
}
