// Kernels with tensor cores and asynchronous copies, as convolutions use them.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <stdint.h>

// One product of each shape by one warp: d = a b + c. a is 16 x K by rows, b is K x 8 by columns, c and d are 16 x 8 by
// rows. The lanes find their elements as the tables of the PTX manual say, element by element.
#define MMA_16(NAME, K, TYPE, PTX)                                                                              \
  extern "C" __global__ void NAME(float *d, const TYPE *a, const TYPE *b, const float *c) {                     \
    const int lane = threadIdx.x, group = lane >> 2, number = lane & 3;                                         \
    TYPE ta[8], tb[4];                                                                                          \
    for (int i = 0; i < K / 2; i++) {                                                                           \
      const int row = (i / 2) % 2 == 0 ? group : group + 8;                                                     \
      const int column = number * 2 + (i & 1) + (i < 4 ? 0 : 8);                                                \
      ta[i] = a[row * K + column];                                                                              \
    }                                                                                                           \
    for (int i = 0; i < K / 4; i++) {                                                                           \
      const int row = number * 2 + (i & 1) + (i < 2 ? 0 : 8);                                                   \
      tb[i] = b[group * K + row];                                                                               \
    }                                                                                                           \
    uint32_t fa[4], fb[2];                                                                                      \
    memcpy(fa, ta, K / 2 * sizeof(TYPE));                                                                       \
    memcpy(fb, tb, K / 4 * sizeof(TYPE));                                                                       \
    float fc[4], fd[4];                                                                                         \
    for (int i = 0; i < 4; i++) fc[i] = c[(i < 2 ? group : group + 8) * 8 + number * 2 + (i & 1)];              \
    if (K == 16) {                                                                                              \
      asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." PTX "." PTX ".f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%10,%11,%12,%13};" \
                   : "=f"(fd[0]), "=f"(fd[1]), "=f"(fd[2]), "=f"(fd[3])                                         \
                   : "r"(fa[0]), "r"(fa[1]), "r"(fa[2]), "r"(fa[3]), "r"(fb[0]), "r"(fb[1]), "f"(fc[0]), "f"(fc[1]), "f"(fc[2]), "f"(fc[3])); \
    } else {                                                                                                    \
      asm volatile("mma.sync.aligned.m16n8k8.row.col.f32." PTX "." PTX ".f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%7,%8,%9,%10};" \
                   : "=f"(fd[0]), "=f"(fd[1]), "=f"(fd[2]), "=f"(fd[3])                                         \
                   : "r"(fa[0]), "r"(fa[1]), "r"(fb[0]), "f"(fc[0]), "f"(fc[1]), "f"(fc[2]), "f"(fc[3]));       \
    }                                                                                                           \
    for (int i = 0; i < 4; i++) d[(i < 2 ? group : group + 8) * 8 + number * 2 + (i & 1)] = fd[i];              \
  }
MMA_16(mma_bf16_16, 16, __nv_bfloat16, "bf16")
MMA_16(mma_bf16_8, 8, __nv_bfloat16, "bf16")
MMA_16(mma_f16_16, 16, __half, "f16")
MMA_16(mma_f16_8, 8, __half, "f16")

extern "C" __global__ void mma_tf32_8(float *d, const uint32_t *a, const uint32_t *b, const float *c) {
  const int lane = threadIdx.x, group = lane >> 2, number = lane & 3;
  uint32_t fa[4], fb[2];
  for (int i = 0; i < 4; i++) fa[i] = a[(i == 0 || i == 2 ? group : group + 8) * 8 + (i < 2 ? number : number + 4)];
  for (int i = 0; i < 2; i++) fb[i] = b[group * 8 + (i == 0 ? number : number + 4)];
  float f[4];
  for (int i = 0; i < 4; i++) f[i] = c[(i < 2 ? group : group + 8) * 8 + number * 2 + (i & 1)];
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(f[0]), "+f"(f[1]), "+f"(f[2]), "+f"(f[3])
               : "r"(fa[0]), "r"(fa[1]), "r"(fa[2]), "r"(fa[3]), "r"(fb[0]), "r"(fb[1]));
  for (int i = 0; i < 4; i++) d[(i < 2 ? group : group + 8) * 8 + number * 2 + (i & 1)] = f[i];
}

extern "C" __global__ void mma_tf32_4(float *d, const uint32_t *a, const uint32_t *b, const float *c) {
  const int lane = threadIdx.x, group = lane >> 2, number = lane & 3;
  uint32_t fa[2];
  for (int i = 0; i < 2; i++) fa[i] = a[(i == 0 ? group : group + 8) * 4 + number];
  const uint32_t fb = b[group * 4 + number];
  float f[4];
  for (int i = 0; i < 4; i++) f[i] = c[(i < 2 ? group : group + 8) * 8 + number * 2 + (i & 1)];
  asm volatile("mma.sync.aligned.m16n8k4.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
               : "+f"(f[0]), "+f"(f[1]), "+f"(f[2]), "+f"(f[3])
               : "r"(fa[0]), "r"(fa[1]), "r"(fb));
  for (int i = 0; i < 4; i++) d[(i < 2 ? group : group + 8) * 8 + number * 2 + (i & 1)] = f[i];
}

__device__ inline uint32_t shared_address(const void *p) { return (uint32_t)__cvta_generic_to_shared(p); }

// Loads `count` matrices of 8x8 from a buffer of 32 rows of eight; each lane stores what it got, register by register.
template <int COUNT, bool TRANSPOSED>
__device__ void load_matrices(uint32_t *out, const uint16_t *in) {
  __shared__ __align__(16) uint16_t rows[32][8];
#pragma unroll 1
  for (int i = threadIdx.x; i < 256; i += 32) rows[i / 8][i % 8] = in[i];
  __syncthreads();
  uint32_t r[4] = {0, 0, 0, 0};
  // Rows in another order than that of memory; the lanes that no matrix needs point nowhere.
  const uint32_t address = threadIdx.x < 8 * COUNT ? shared_address(rows[(threadIdx.x * 5 + 3) % 32]) : 0xffffff;
  if (COUNT == 1 && !TRANSPOSED) asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];" : "=r"(r[0]) : "r"(address));
  if (COUNT == 2 && !TRANSPOSED) asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];" : "=r"(r[0]), "=r"(r[1]) : "r"(address));
  if (COUNT == 4 && !TRANSPOSED) asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address));
  if (COUNT == 1 && TRANSPOSED) asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];" : "=r"(r[0]) : "r"(address));
  if (COUNT == 2 && TRANSPOSED) asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];" : "=r"(r[0]), "=r"(r[1]) : "r"(address));
  if (COUNT == 4 && TRANSPOSED) asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address));
  for (int k = 0; k < COUNT; k++) out[threadIdx.x * COUNT + k] = r[k];
}
extern "C" __global__ void ldmatrix_1(uint32_t *out, const uint16_t *in) { load_matrices<1, false>(out, in); }
extern "C" __global__ void ldmatrix_2(uint32_t *out, const uint16_t *in) { load_matrices<2, false>(out, in); }
extern "C" __global__ void ldmatrix_4(uint32_t *out, const uint16_t *in) { load_matrices<4, false>(out, in); }
extern "C" __global__ void ldmatrix_trans_1(uint32_t *out, const uint16_t *in) { load_matrices<1, true>(out, in); }
extern "C" __global__ void ldmatrix_trans_2(uint32_t *out, const uint16_t *in) { load_matrices<2, true>(out, in); }
extern "C" __global__ void ldmatrix_trans_4(uint32_t *out, const uint16_t *in) { load_matrices<4, true>(out, in); }

// c = a b in bfloat16, c and the sums in float: a is m x k by rows, b is k x n by rows, k and n multiples of 8. A block of
// four warps makes 64 x 64 of c, each warp 32 x 32. Tiles of 32 along k come by cp.async, three in flight; what lies
// beyond a matrix becomes zeros. The groups of eight elements of a row change places, so that ldmatrix meets no bank twice.
enum { TILE = 64, DEPTH = 32, STAGES = 3 };

__device__ inline void copy16(void *to, const void *from, bool inside) {
  const int bytes = inside ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(bytes) : "memory");
}

struct Stage {
  __nv_bfloat16 a[TILE][DEPTH];  // by rows of a
  __nv_bfloat16 b[DEPTH][TILE];  // by rows of b
};
__device__ inline __nv_bfloat16 *place_a(Stage &s, int row, int group) { return &s.a[row][(group ^ (row >> 1 & 3)) * 8]; }
__device__ inline __nv_bfloat16 *place_b(Stage &s, int row, int group) { return &s.b[row][(group ^ (row & 7)) * 8]; }

extern "C" __global__ void gemm(float *c, const __nv_bfloat16 *a, const __nv_bfloat16 *b, int m, int n, int k) {
  extern __shared__ __align__(16) unsigned char dynamic[];
  Stage *stages = reinterpret_cast<Stage *>(dynamic);
  const int top = blockIdx.y * TILE, left = blockIdx.x * TILE;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int warpRow = warp / 2 * 32, warpColumn = warp % 2 * 32;

  auto load = [&](int tile) {
    Stage &s = stages[tile % STAGES];
#pragma unroll 1
    for (int i = threadIdx.x; i < TILE * DEPTH / 8; i += 128) {
      const int row = i / (DEPTH / 8), group = i % (DEPTH / 8), column = tile * DEPTH + group * 8;
      const bool inside = top + row < m && column < k;
      copy16(place_a(s, row, group), inside ? a + (top + row) * k + column : a, inside);
    }
#pragma unroll 1
    for (int i = threadIdx.x; i < TILE * DEPTH / 8; i += 128) {
      const int row = i / (TILE / 8), group = i % (TILE / 8), column = left + group * 8;
      const bool inside = tile * DEPTH + row < k && column < n;
      copy16(place_b(s, row, group), inside ? b + (tile * DEPTH + row) * n + column : b, inside);
    }
  };
  auto commit = [] { asm volatile("cp.async.commit_group;" ::: "memory"); };

  const int tiles = (k + DEPTH - 1) / DEPTH;
  float sums[2][4][4] = {};
#pragma unroll 1
  for (int t = 0; t < STAGES - 1; t++) {
    if (t < tiles) load(t);
    commit();
  }
#pragma unroll 1
  for (int t = 0; t < tiles; t++) {
    asm volatile("cp.async.wait_group %0;" ::"n"(STAGES - 2) : "memory");
    __syncthreads();
    if (t + STAGES - 1 < tiles) load(t + STAGES - 1);
    commit();
    Stage &s = stages[t % STAGES];
#pragma unroll 1
    for (int d = 0; d < DEPTH; d += 16) {
      uint32_t fa[2][4], fb[4][2];
      for (int i = 0; i < 2; i++) {
        const uint32_t p = shared_address(place_a(s, warpRow + 16 * i + lane % 16, d / 8 + lane / 16));
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(fa[i][0]), "=r"(fa[i][1]), "=r"(fa[i][2]), "=r"(fa[i][3]) : "r"(p) : "memory");
      }
      for (int j = 0; j < 4; j += 2) {
        const uint32_t p = shared_address(place_b(s, d + lane % 16, warpColumn / 8 + j + lane / 16));
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(fb[j][0]), "=r"(fb[j][1]), "=r"(fb[j + 1][0]), "=r"(fb[j + 1][1]) : "r"(p) : "memory");
      }
      for (int i = 0; i < 2; i++)
        for (int j = 0; j < 4; j++)
          asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                       : "+f"(sums[i][j][0]), "+f"(sums[i][j][1]), "+f"(sums[i][j][2]), "+f"(sums[i][j][3])
                       : "r"(fa[i][0]), "r"(fa[i][1]), "r"(fa[i][2]), "r"(fa[i][3]), "r"(fb[j][0]), "r"(fb[j][1]));
    }
  }
#pragma unroll
  for (int i = 0; i < 2; i++)
#pragma unroll
    for (int j = 0; j < 4; j++)
#pragma unroll
      for (int h = 0; h < 2; h++) {
        const int row = top + warpRow + 16 * i + 8 * h + lane / 4, column = left + warpColumn + 8 * j + lane % 4 * 2;
        if (row < m && column < n) *reinterpret_cast<float2 *>(c + row * n + column) = make_float2(sums[i][j][2 * h], sums[i][j][2 * h + 1]);
      }
}

// Each thread copies 4, 8 and 16 bytes through shared memory and fills with zeros what lies behind `count` bytes of each.
extern "C" __global__ void async_sizes(uint4 *out, const uint4 *in, int count) {
  __shared__ uint4 s[3][64];
  const int t = threadIdx.x;
  s[0][t] = s[1][t] = make_uint4(7, 7, 7, 7);
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(shared_address(&s[0][t])), "l"(in + t), "r"(min(count, 4)) : "memory");
  asm volatile("cp.async.ca.shared.global.L2::128B [%0], [%1], 8, %2;" ::"r"(shared_address(&s[1][t])), "l"(in + t), "r"(min(count, 8)) : "memory");
  asm volatile("{ .reg .pred p; setp.eq.s32 p, %2, 0; cp.async.ca.shared.global [%0], [%1], 16, p; }" ::"r"(shared_address(&s[2][t])), "l"(in + t), "r"(count) : "memory");
  asm volatile("cp.async.wait_all;" ::: "memory");
  for (int k = 0; k < 3; k++) out[k * 64 + t] = s[k][t];
}

// What convolutions need beside: pairs of bfloat16, picking bytes, loads that leave the cache alone, wide shared access.
extern "C" __global__ void pieces(uint4 *out, const uint4 *in) {
  __shared__ uint4 s[64];
  const int t = threadIdx.x;
  uint4 v;
  asm volatile("ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(in + t));
  s[t] = v;
  __syncthreads();
  const uint4 w = s[t ^ 33];
  uint32_t pair, fused, mixed;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(__uint_as_float(v.x)), "f"(__uint_as_float(w.x)));
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(fused) : "r"(v.y), "r"(w.y), "r"(pair));
  asm("lop3.b32 %0, %1, %2, %3, 0xca;" : "=r"(mixed) : "r"(v.z), "r"(w.z), "r"(fused));
  out[t] = make_uint4(pair, fused, mixed, __byte_perm(v.w, w.w, 0x5410));
}
