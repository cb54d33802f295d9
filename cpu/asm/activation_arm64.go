//go:build !noasm

package asm

var activationsNEON = activationsOf([]activationCode{
	{"relu", forwardReluNEON, backwardReluNEON},
	{"leaky_relu", forwardLeakyReluNEON, backwardLeakyReluNEON},
	{"tanh", forwardTanhNEON, backwardTanhNEON},
	{"sigmoid", forwardSigmoidNEON, backwardSigmoidNEON},
	{"gelu", forwardGeluNEON, backwardGeluNEON},
	{"gelu_tanh", forwardGeluTanhNEON, backwardGeluTanhNEON},
	{"silu", forwardSiluNEON, backwardSiluNEON},
	{"relu6", forwardRelu6NEON, backwardRelu6NEON},
	{"hard_swish", forwardHardSwishNEON, backwardHardSwishNEON},
	{"hard_sigmoid", forwardHardSigmoidNEON, backwardHardSigmoidNEON},
	{"elu", forwardEluNEON, backwardEluNEON},
	{"mish", forwardMishNEON, backwardMishNEON},
})
