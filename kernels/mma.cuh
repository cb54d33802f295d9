// Tensor cores, and what brings factors to them: asynchronous copies to shared memory, and matrices in registers. A source
// that includes this file is compiled only for GPUs of compute capability 8.0 and higher; its values are bfloat16.
#pragma once

#include "grid.cuh"

// Eight values of bfloat16, which move at once.
struct alignas(16) Chunk {
  uint32_t words[4];
};

__device__ inline uint32_t sharedAddress(const Chunk *shared) {
  uint64_t address;
  asm("cvta.to.shared.u64 %0, %1;" : "=l"(address) : "l"(shared));
  return static_cast<uint32_t>(address);
}

// Begins to copy a chunk to shared memory. Where `there` is false nothing is read, and zeros are written.
__device__ inline void beginCopy(Chunk *shared, const BFloat16 *from, bool there) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(sharedAddress(shared)),
               "l"(from), "r"(there ? 16 : 0)
               : "memory");
}

// The copies that this thread has begun since the last call become a group. There may be none.
__device__ inline void groupCopies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until all of this thread's groups but the last N are complete.
template <unsigned N>
__device__ inline void waitForCopies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

// A matrix of bfloat16 in shared memory, with rows of COLUMNS values: a power of two, at least 16. The chunks of a row change
// places with each other, by the row's number. So a chunk of each of eight rows, one behind the other, lies in other banks.
template <unsigned COLUMNS>
struct Swizzled {
  static constexpr unsigned CHUNKS = COLUMNS / 8, PER_LINE = CHUNKS < 8 ? 8 / CHUNKS : 1;

  // The place of a row's chunk.
  static __device__ uint32_t place(uint32_t row, uint32_t chunk) {
    return row * CHUNKS + (chunk ^ row / PER_LINE % (CHUNKS < 8 ? CHUNKS : 8));
  }
};

// Four matrices of 8x8 values, of which each thread of the warp names a row: threads 0 to 7 those of the first, and so on.
// A thread gets two values of each: of row lane/4, columns 2*(lane%4) and the next one; where TRANSPOSED is set, rows and
// columns change their roles.
template <bool TRANSPOSED>
__device__ inline void loadMatrices(uint32_t (&m)[4], const Chunk *row) {
  if constexpr (TRANSPOSED) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(m[0]), "=r"(m[1]), "=r"(m[2]), "=r"(m[3])
                 : "r"(sharedAddress(row))
                 : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(m[0]), "=r"(m[1]), "=r"(m[2]), "=r"(m[3])
                 : "r"(sharedAddress(row))
                 : "memory");
  }
}

// c += a * b, of 16x16 by 16x8 values. Thread `lane` has of c the rows lane/4 and lane/4+8, of each the columns 2*(lane%4)
// and the next one.
__device__ inline void multiplyAdd(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
               "{%0, %1, %2, %3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
