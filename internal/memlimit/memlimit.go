// Package memlimit tells how much memory this process may have.
package memlimit

import "fmt"

// Check refuses what needs more bytes of memory than this process may have beside those
// that it uses already. Where no limit is known it refuses nothing.
func Check(needs, uses float64) error {
	total, whose := Total()
	return check(needs, uses, total, whose)
}

func check(needs, uses, total float64, whose string) error {
	if total <= 0 || needs <= total-uses {
		return nil
	}
	used := ""
	if uses > 0 {
		used = fmt.Sprintf(", of which %s are in use", size(uses))
	}
	return fmt.Errorf("takes about %s of memory to load, more than %s %s%s", size(needs), whose, size(total), used)
}

func size(bytes float64) string {
	if bytes < 1e9 {
		return fmt.Sprintf("%.0f MB", bytes/1e6)
	}
	return fmt.Sprintf("%.1f GB", bytes/1e9)
}
