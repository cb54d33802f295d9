//go:build noasm || !(amd64 || arm64)

package cpufeat

// supported reports whether t can run. Without assembly only Portable can.
func supported(t Tier) bool { return t == Portable }
