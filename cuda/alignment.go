package cuda

// alignment is the alignment of every buffer in bytes: what cuMemAlloc guarantees, and more than any vector access
// needs.
const alignment = 256

func aligned(n int64) int64 { return (n + alignment - 1) &^ (alignment - 1) }
