//go:build cuda

package cuda

// SetFewestEarly sets how many weights are worth an early update, and returns a function that sets it back.
func SetFewestEarly(n int) (back func()) {
	old := fewestEarly
	fewestEarly = n
	return func() { fewestEarly = old }
}

// SetFewestSummed sets how many gradients are worth a sum of their own, and returns a function that sets it back.
func SetFewestSummed(n int) (back func()) {
	old := fewestSummed
	fewestSummed = n
	return func() { fewestSummed = old }
}
