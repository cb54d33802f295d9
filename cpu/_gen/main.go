// Command gen writes the assembly of package asm, one tier a run:
//
//	go run . -tier avx512 -out ../asm/avx512_amd64.s -stubs ../asm/avx512_amd64.go -pkg asm
//
// All tiers come from the same programs; a tier is a width of vectors and a
// number of registers. That of arm64 is translated; see neon.go.
package main

import (
	"flag"
	"log"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/reg"
)

// tier describes the instructions that kernels are written for.
type tier struct {
	suffix string // of the functions' names
	wide   lanes
	rows   []int // of the largest matrix-product tiles of 1, 2, ... vectors

	positions  []int // of the largest tiles of convolve, of 1, 2, ... vectors
	correlated []int // rows of those of correlate
	blocks     []int // rows of those of correlateBlock
}

// lanes are the vector registers of one width. A kernel's loop body runs with
// the tier's wide registers and once more, a value at a time, with narrow ones,
// which are the low parts of the same registers.
type lanes struct {
	n    int // float32 values in a register
	regs []reg.VecPhysical
}

var (
	zmm = lanes{16, []reg.VecPhysical{
		reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7, reg.Z8, reg.Z9, reg.Z10,
		reg.Z11, reg.Z12, reg.Z13, reg.Z14, reg.Z15, reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21,
		reg.Z22, reg.Z23, reg.Z24, reg.Z25, reg.Z26, reg.Z27, reg.Z28, reg.Z29, reg.Z30, reg.Z31,
	}}
	ymm = lanes{8, []reg.VecPhysical{
		reg.Y0, reg.Y1, reg.Y2, reg.Y3, reg.Y4, reg.Y5, reg.Y6, reg.Y7,
		reg.Y8, reg.Y9, reg.Y10, reg.Y11, reg.Y12, reg.Y13, reg.Y14, reg.Y15,
	}}
	narrow = lanes{1, []reg.VecPhysical{
		reg.X0, reg.X1, reg.X2, reg.X3, reg.X4, reg.X5, reg.X6, reg.X7,
		reg.X8, reg.X9, reg.X10, reg.X11, reg.X12, reg.X13, reg.X14, reg.X15,
	}}
)

var tiers = map[string]tier{
	// Sums, columns and a value from memory share 32 registers: 28 sums, 2 columns and the value are 31.
	"avx512": {"AVX512", zmm, []int{14, 14, 8}, []int{24, 14, 9, 6}, []int{8, 8, 8}, []int{16, 12, 8}},
	// They share 16: 12 sums, 3 columns and the value fill all.
	"avx2": {"AVX2", ymm, []int{6, 6, 4}, []int{12, 6, 4, 2}, []int{8, 6, 4}, []int{8, 4, 4}},
	// They share 31, one of which is kept for translation. Tiles of convolve have a vector of values for each position.
	"neon": {"NEON", xmm, []int{20, 14, 9, 6}, []int{15, 9, 7, 5}, []int{11, 8, 8, 6, 5, 4}, []int{4, 4, 4, 4, 4, 4}},
}

func main() {
	name := flag.String("tier", "", "avx512, avx2 or neon")
	page := flag.String("page", "", "a page in which to replace the table of neon's inner loops")
	flag.Parse()
	t, ok := tiers[*name]
	if !ok {
		log.Fatalf("unknown tier %q: use -tier avx512, -tier avx2 or -tier neon", *name)
	}
	if t.neon() {
		pass.Compile = compileNEON
	}
	ConstraintExpr("!noasm")
	t.gemm()
	t.pack()
	t.addBias(false)
	t.addBias(true)
	t.add()
	t.reluBackward()
	t.sumSquares()
	t.scaleBytes()
	t.maxPool2()
	t.patches()
	t.dots()
	t.directs()
	t.winogradInput()
	t.winogradOutput(2)
	t.winogradOutput(4)
	t.winogradGradient(2)
	t.winogradGradient(4)
	t.poolVectors()
	t.transpose()
	t.convolve()
	t.copyRows()
	t.correlate()
	t.correlateBlock()
	t.depthwise()
	t.correlateChannels()
	t.normalization()
	t.pooling()
	t.adam()
	t.sgd()
	t.momentum()
	t.lion()
	t.mulAdds()
	t.triad()
	t.products()
	t.activations()
	Generate()
	if *page != "" {
		writeTable(*page)
	}
}
