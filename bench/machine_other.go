//go:build !linux

package bench

import "time"

// Only Linux tells a process's peak memory since some moment, and what other programs do. Elsewhere these figures are
// unknown and are not shown.

func resetPeakRSS() bool { return false }

func peakRSS() int64 { return 0 }

func foreign() (time.Duration, bool) { return 0, false }
