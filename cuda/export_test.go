//go:build cuda

package cuda

// SetFewestEarly sets how many weights are worth an early update, and returns a function that sets it back.
func SetFewestEarly(n int) (back func()) {
	old := fewestEarly
	fewestEarly = n
	return func() { fewestEarly = old }
}
