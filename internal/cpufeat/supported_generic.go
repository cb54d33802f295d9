//go:build noasm || !amd64

package cpufeat

// supported reports whether t can run: without assembly, Portable alone.
func supported(t Tier) bool { return t == Portable }
