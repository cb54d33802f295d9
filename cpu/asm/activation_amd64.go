//go:build !noasm

package asm

// activationCode holds the two kernels of an activation function in assembly.
type activationCode struct {
	forward  func(y, x []float32, p float32)
	backward func(dx, dy, v []float32, p float32, add bool)
}

// activationCodes lists the kernels of AVX2 and AVX-512.
var activationCodes = []struct {
	name         string
	avx2, avx512 activationCode
}{
	{"relu", activationCode{forwardReluAVX2, backwardReluAVX2}, activationCode{forwardReluAVX512, backwardReluAVX512}},
	{"leaky_relu", activationCode{forwardLeakyReluAVX2, backwardLeakyReluAVX2}, activationCode{forwardLeakyReluAVX512, backwardLeakyReluAVX512}},
	{"tanh", activationCode{forwardTanhAVX2, backwardTanhAVX2}, activationCode{forwardTanhAVX512, backwardTanhAVX512}},
	{"sigmoid", activationCode{forwardSigmoidAVX2, backwardSigmoidAVX2}, activationCode{forwardSigmoidAVX512, backwardSigmoidAVX512}},
	{"gelu", activationCode{forwardGeluAVX2, backwardGeluAVX2}, activationCode{forwardGeluAVX512, backwardGeluAVX512}},
	{"gelu_tanh", activationCode{forwardGeluTanhAVX2, backwardGeluTanhAVX2}, activationCode{forwardGeluTanhAVX512, backwardGeluTanhAVX512}},
	{"silu", activationCode{forwardSiluAVX2, backwardSiluAVX2}, activationCode{forwardSiluAVX512, backwardSiluAVX512}},
	{"relu6", activationCode{forwardRelu6AVX2, backwardRelu6AVX2}, activationCode{forwardRelu6AVX512, backwardRelu6AVX512}},
	{"hard_swish", activationCode{forwardHardSwishAVX2, backwardHardSwishAVX2}, activationCode{forwardHardSwishAVX512, backwardHardSwishAVX512}},
	{"hard_sigmoid", activationCode{forwardHardSigmoidAVX2, backwardHardSigmoidAVX2}, activationCode{forwardHardSigmoidAVX512, backwardHardSigmoidAVX512}},
	{"elu", activationCode{forwardEluAVX2, backwardEluAVX2}, activationCode{forwardEluAVX512, backwardEluAVX512}},
	{"mish", activationCode{forwardMishAVX2, backwardMishAVX2}, activationCode{forwardMishAVX512, backwardMishAVX512}},
}

// activationsAVX2 and activationsAVX512 hold the tiers' kernels. The portable tier tells what backward reads.
var activationsAVX2, activationsAVX512 = func() (avx2, avx512 []Activation) {
	for _, c := range activationCodes {
		plain := portable.Activation(c.name)
		if plain == nil {
			panic("BUG: no portable activation function " + c.name)
		}
		a := *plain
		a.forward, a.backward = c.avx2.forward, c.avx2.backward
		avx2 = append(avx2, a)
		a.forward, a.backward = c.avx512.forward, c.avx512.backward
		avx512 = append(avx512, a)
	}
	return avx2, avx512
}()
