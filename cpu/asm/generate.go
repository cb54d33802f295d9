package asm

//go:generate go -C ../_gen run . -tier avx512 -out ../asm/avx512_amd64.s -stubs ../asm/avx512_amd64.go -pkg asm
//go:generate go -C ../_gen run . -tier avx2 -out ../asm/avx2_amd64.s -stubs ../asm/avx2_amd64.go -pkg asm
//go:generate go -C ../_gen run . -tier neon -out ../asm/neon_arm64.s -stubs ../asm/neon_arm64.go -pkg asm -page ../../docs/arm64.md
