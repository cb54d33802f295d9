//go:build !noasm

package asm

import "github.com/gputrain/gputrain/internal/cpufeat"

// tiers holds the kernels of each tier in this build.
var tiers = [...]*Kernels{
	cpufeat.Portable: portable,
	cpufeat.AVX2: {
		Tier: cpufeat.AVX2, Lanes: 8, Vectors: 3, rows: []int{6, 6, 4}, positions: []int{12, 6, 4, 2}, correlations: []int{8, 6, 4}, blockRows: []int{8, 4, 4}, chains: 12,
		gemm: gemmAVX2, pack: packAVX2,
		addBias: addBiasAVX2, addBiasReLU: addBiasReLUAVX2, add: addAVX2, reluBackward: reluBackwardAVX2,
		sumSquares: sumSquaresAVX2, scaleBytes: scaleBytesAVX2, maxPool2: maxPool2AVX2,
		adam: adamAVX2, sgd: sgdAVX2, momentum: momentumAVX2, lion: lionAVX2,
		mulAdds: mulAddsAVX2, triad: triadAVX2, dots: dotsAVX2,
		blocks: blockKernels{
			convolve: convolveAVX2, copyRows: copyRowsAVX2, correlate: correlateAVX2, correlateBlock: correlateBlockAVX2, depthwise: depthwiseAVX2, correlateChannels: correlateChannelsAVX2,
			moments: momentsAVX2, gradientMoments: gradientMomentsAVX2, sumVectors: sumVectorsAVX2,
			gradientMomentsReLU: gradientMomentsReLUAVX2,
			normalize:           [...]normalizer{normalizeVectorsAVX2, normalizeVectorsAddAVX2, normalizeVectorsReLUAVX2, normalizeVectorsAddReLUAVX2},
			normalizeBack:       normalizeVectorsBackAVX2, normalizeBackAdd: normalizeVectorsBackAddAVX2,
			max: maxWindowsAVX2, maxBack: maxWindowsBackAVX2, mean: meanWindowsAVX2, meanBack: meanWindowsBackAVX2,
			norm: normWindowsAVX2, normBack: normWindowsBackAVX2,
		},
		poolVectors: poolVectorsAVX2, transpose: transposeAVX2,
		mul: mulAVX2, mulAdd: mulAddAVX2, scale: scaleAVX2, scaleAdd: scaleAddAVX2,
		activations: activationsAVX2,
		directs:     []Direct{{5, 5, 2, 8, false, direct5x5AVX2}, {3, 5, 2, 8, false, direct3x5AVX2}},
		winograds: []Winograd{
			{5, 2, 8, winogradInputAVX2, winogradOutput2AVX2, winogradGradient2AVX2},
			{3, 4, 8, winogradInputAVX2, winogradOutput4AVX2, winogradGradient4AVX2},
		},
		patches: []Patches{
			{5, 5, 8, sumPatches5x5AVX2, addPatches5x5AVX2},
			{5, 1, 8, sumPatches5x1AVX2, addPatches5x1AVX2},
			{3, 3, 8, sumPatches3x3AVX2, addPatches3x3AVX2},
			{3, 1, 8, sumPatches3x1AVX2, addPatches3x1AVX2},
		},
	},
	cpufeat.AVX512: {
		Tier: cpufeat.AVX512, Lanes: 16, Vectors: 3, rows: []int{14, 14, 8}, positions: []int{24, 14, 9, 6}, correlations: []int{8, 8, 8}, blockRows: []int{16, 12, 8}, chains: 12,
		gemm: gemmAVX512, pack: packAVX512,
		addBias: addBiasAVX512, addBiasReLU: addBiasReLUAVX512, add: addAVX512, reluBackward: reluBackwardAVX512,
		sumSquares: sumSquaresAVX512, scaleBytes: scaleBytesAVX512, maxPool2: maxPool2AVX512,
		adam: adamAVX512, sgd: sgdAVX512, momentum: momentumAVX512, lion: lionAVX512,
		mulAdds: mulAddsAVX512, triad: triadAVX512, dots: dotsAVX512,
		blocks: blockKernels{
			convolve: convolveAVX512, copyRows: copyRowsAVX512, correlate: correlateAVX512, correlateBlock: correlateBlockAVX512, depthwise: depthwiseAVX512, correlateChannels: correlateChannelsAVX512,
			moments: momentsAVX512, gradientMoments: gradientMomentsAVX512, sumVectors: sumVectorsAVX512,
			gradientMomentsReLU: gradientMomentsReLUAVX512,
			normalize:           [...]normalizer{normalizeVectorsAVX512, normalizeVectorsAddAVX512, normalizeVectorsReLUAVX512, normalizeVectorsAddReLUAVX512},
			normalizeBack:       normalizeVectorsBackAVX512, normalizeBackAdd: normalizeVectorsBackAddAVX512,
			max: maxWindowsAVX512, maxBack: maxWindowsBackAVX512, mean: meanWindowsAVX512, meanBack: meanWindowsBackAVX512,
			norm: normWindowsAVX512, normBack: normWindowsBackAVX512,
		},
		poolVectors: poolVectorsAVX512, transpose: transposeAVX512,
		mul: mulAVX512, mulAdd: mulAddAVX512, scale: scaleAVX512, scaleAdd: scaleAddAVX512,
		activations: activationsAVX512,
		directs: []Direct{
			{5, 14, 2, 16, false, direct5x14AVX512},
			{5, 7, 2, 16, false, direct5x7AVX512},
			{3, 14, 2, 16, false, direct3x14AVX512},
			{3, 7, 2, 16, false, direct3x7AVX512},
			{5, 14, 2, 16, true, wholeDirect5x14AVX512},
			{3, 14, 2, 16, true, wholeDirect3x14AVX512},
		},
		winograds: []Winograd{
			{5, 2, 16, winogradInputAVX512, winogradOutput2AVX512, winogradGradient2AVX512},
			{3, 4, 16, winogradInputAVX512, winogradOutput4AVX512, winogradGradient4AVX512},
		},
		patches: []Patches{
			{5, 5, 16, sumPatches5x5AVX512, addPatches5x5AVX512},
			{5, 1, 16, sumPatches5x1AVX512, addPatches5x1AVX512},
			{3, 3, 16, sumPatches3x3AVX512, addPatches3x3AVX512},
			{3, 1, 16, sumPatches3x1AVX512, addPatches3x1AVX512},
		},
	},
}
