//go:build !noasm

package asm

var activationsAVX2 = activationsOf([]activationCode{
	{"relu", forwardReluAVX2, backwardReluAVX2},
	{"leaky_relu", forwardLeakyReluAVX2, backwardLeakyReluAVX2},
	{"tanh", forwardTanhAVX2, backwardTanhAVX2},
	{"sigmoid", forwardSigmoidAVX2, backwardSigmoidAVX2},
	{"gelu", forwardGeluAVX2, backwardGeluAVX2},
	{"gelu_tanh", forwardGeluTanhAVX2, backwardGeluTanhAVX2},
	{"silu", forwardSiluAVX2, backwardSiluAVX2},
	{"relu6", forwardRelu6AVX2, backwardRelu6AVX2},
	{"hard_swish", forwardHardSwishAVX2, backwardHardSwishAVX2},
	{"hard_sigmoid", forwardHardSigmoidAVX2, backwardHardSigmoidAVX2},
	{"elu", forwardEluAVX2, backwardEluAVX2},
	{"mish", forwardMishAVX2, backwardMishAVX2},
})

var activationsAVX512 = activationsOf([]activationCode{
	{"relu", forwardReluAVX512, backwardReluAVX512},
	{"leaky_relu", forwardLeakyReluAVX512, backwardLeakyReluAVX512},
	{"tanh", forwardTanhAVX512, backwardTanhAVX512},
	{"sigmoid", forwardSigmoidAVX512, backwardSigmoidAVX512},
	{"gelu", forwardGeluAVX512, backwardGeluAVX512},
	{"gelu_tanh", forwardGeluTanhAVX512, backwardGeluTanhAVX512},
	{"silu", forwardSiluAVX512, backwardSiluAVX512},
	{"relu6", forwardRelu6AVX512, backwardRelu6AVX512},
	{"hard_swish", forwardHardSwishAVX512, backwardHardSwishAVX512},
	{"hard_sigmoid", forwardHardSigmoidAVX512, backwardHardSigmoidAVX512},
	{"elu", forwardEluAVX512, backwardEluAVX512},
	{"mish", forwardMishAVX512, backwardMishAVX512},
})
