//go:build !noasm

package asm

import "github.com/gputrain/gputrain/internal/cpufeat"

// tiers holds the kernels of each tier in this build.
var tiers = [...]*Kernels{
	cpufeat.Portable: portable,
	cpufeat.NEON: {
		Tier: cpufeat.NEON, Lanes: 4, Vectors: 4, rows: []int{20, 14, 9, 6}, positions: []int{15, 9, 7, 5}, correlations: []int{8, 8, 4, 6, 5, 4}, blockRows: []int{4, 4, 4, 4, 4, 4}, chains: 24,
		gemm: gemmNEON, pack: packNEON,
		addBias: addBiasNEON, addBiasReLU: addBiasReLUNEON, add: addNEON, reluBackward: reluBackwardNEON,
		sumSquares: sumSquaresNEON, scaleBytes: scaleBytesNEON, maxPool2: maxPool2NEON,
		adam: adamNEON, sgd: sgdNEON, momentum: momentumNEON, lion: lionNEON,
		mulAdds: mulAddsNEON, triad: triadNEON, dots: dotsNEON,
		blocks: blockKernels{
			convolve: convolveNEON, copyRows: copyRowsNEON, correlate: correlateNEON, correlateBlock: correlateBlockNEON, depthwise: depthwiseNEON, correlateChannels: correlateChannelsNEON,
			moments: momentsNEON, gradientMoments: gradientMomentsNEON, sumVectors: sumVectorsNEON,
			gradientMomentsReLU: gradientMomentsReLUNEON,
			normalize:           [...]normalizer{normalizeVectorsNEON, normalizeVectorsAddNEON, normalizeVectorsReLUNEON, normalizeVectorsAddReLUNEON},
			normalizeBack:       normalizeVectorsBackNEON, normalizeBackAdd: normalizeVectorsBackAddNEON,
			max: maxWindowsNEON, maxBack: maxWindowsBackNEON, mean: meanWindowsNEON, meanBack: meanWindowsBackNEON,
			norm: normWindowsNEON, normBack: normWindowsBackNEON,
		},
		poolVectors: poolVectorsNEON, transpose: transposeNEON,
		mul: mulNEON, mulAdd: mulAddNEON, scale: scaleNEON, scaleAdd: scaleAddNEON,
		activations: activationsNEON,
		directs: []Direct{
			{5, 14, 2, 4, false, direct5x14NEON},
			{5, 7, 2, 4, false, direct5x7NEON},
			{3, 14, 2, 4, false, direct3x14NEON},
			{3, 7, 2, 4, false, direct3x7NEON},
		},
		winograds: []Winograd{
			{5, 2, 4, winogradInputNEON, winogradOutput2NEON, winogradGradient2NEON},
			{3, 4, 4, winogradInputNEON, winogradOutput4NEON, winogradGradient4NEON},
		},
		patches: []Patches{
			{5, 5, 4, sumPatches5x5NEON, addPatches5x5NEON},
			{5, 1, 4, sumPatches5x1NEON, addPatches5x1NEON},
			{3, 3, 4, sumPatches3x3NEON, addPatches3x3NEON},
			{3, 1, 4, sumPatches3x1NEON, addPatches3x1NEON},
		},
	},
}
