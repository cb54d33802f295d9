//go:build !noasm && (amd64 || arm64)

package asm

// activationCode holds the two kernels of an activation function in assembly.
type activationCode struct {
	name     string
	forward  func(y, x []float32, p float32)
	backward func(dx, dy, v []float32, p float32, add bool)
}

// activationsOf returns the activation functions of a tier. The portable tier tells what backward reads.
func activationsOf(codes []activationCode) (all []Activation) {
	for _, c := range codes {
		plain := portable.Activation(c.name)
		if plain == nil {
			panic("BUG: no portable activation function " + c.name)
		}
		a := *plain
		a.forward, a.backward = c.forward, c.backward
		all = append(all, a)
	}
	return all
}
