//go:build !linux

package bench

import "time"

// Only Linux tells a process's peak since some moment, and what the others do; what isn't known isn't shown.

func resetPeakRSS() bool { return false }

func peakRSS() int64 { return 0 }

func foreign() (time.Duration, bool) { return 0, false }

func cpuName() string { return "" }
