// One kernel for each thing that the compiler makes of C++: shared memory, votes, atomics, calls, local arrays, ...
#include <cstdint>
#include <cuda_fp16.h>
#include <cuda_bf16.h>

__constant__ float table[8] = {1, 2, 4, 8, 16, 32, 64, 128};
__device__ int counter = 5;
__device__ float accumulator[4];
__device__ const float *pointer = table;

// A tree reduction in shared memory, one result a block.
extern "C" __global__ void reduce_shared(float *out, const float *x, int n) {
  __shared__ float s[256];
  int t = threadIdx.x;
  float a = 0;
  for (int i = blockIdx.x * 256 + t; i < n; i += gridDim.x * 256) a += x[i];
  s[t] = a;
  __syncthreads();
  for (int d = 128; d > 0; d /= 2) {
    if (t < d) s[t] += s[t + d];
    __syncthreads();
  }
  if (t == 0) out[blockIdx.x] = s[0];
}

// Dynamic shared memory: reverses a block.
extern "C" __global__ void reverse_dynamic(int *x) {
  extern __shared__ int d[];
  d[threadIdx.x] = x[blockIdx.x * blockDim.x + threadIdx.x];
  __syncthreads();
  x[blockIdx.x * blockDim.x + threadIdx.x] = d[blockDim.x - 1 - threadIdx.x];
}

// A histogram by shared and then global atomics.
extern "C" __global__ void histogram(unsigned *bins, const uint8_t *x, int n) {
  __shared__ unsigned s[256];
  for (int i = threadIdx.x; i < 256; i += blockDim.x) s[i] = 0;
  __syncthreads();
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) atomicAdd(&s[x[i]], 1u);
  __syncthreads();
  for (int i = threadIdx.x; i < 256; i += blockDim.x) atomicAdd(&bins[i], s[i]);
}

// The last block to finish adds up what the others left: fences and an atomic ticket.
extern "C" __global__ void reduce_last_block(float *out, float *partial, unsigned *ticket, const float *x, int n) {
  __shared__ float s[32];
  __shared__ bool last;
  float a = 0;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) a += x[i];
  for (int d = 16; d > 0; d /= 2) a += __shfl_down_sync(0xffffffffu, a, d);
  if (threadIdx.x % 32 == 0) s[threadIdx.x / 32] = a;
  __syncthreads();
  if (threadIdx.x == 0) {
    float b = 0;
    for (unsigned k = 0; k < blockDim.x / 32; k++) b += s[k];
    partial[blockIdx.x] = b;
    __threadfence();
    last = atomicInc(ticket, gridDim.x - 1) == gridDim.x - 1;
  }
  __syncthreads();
  if (last && threadIdx.x == 0) {
    float b = 0;
    for (unsigned k = 0; k < gridDim.x; k++) b += partial[k];
    *out = b;
  }
}

__device__ __noinline__ float polynomial(float x, const float *c, int n) {
  float y = 0;
  for (int i = n - 1; i >= 0; i--) y = y * x + c[i];
  return y;
}

struct Pair {
  double a;
  int b;
};
__device__ __noinline__ Pair twist(Pair p, int k) {
  Pair q;
  q.a = p.a * k;
  q.b = p.b + k;
  return q;
}

extern "C" __global__ void calls(float *out, double *out2, const float *x, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  Pair p = {x[i], i};
  if (i % 3 == 0) p = twist(p, i);
  out[i] = polynomial(x[i], table, 5);
  out2[i] = p.a + p.b;
}

__device__ __noinline__ unsigned fibonacci(unsigned n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }

extern "C" __global__ void recursion(unsigned *out) { out[threadIdx.x] = fibonacci(threadIdx.x % 12); }

// A local array, indexed by data.
extern "C" __global__ void local_array(int *out, const int *x, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  int a[16];
  for (int k = 0; k < 16; k++) a[k] = k * i;
  for (int k = 0; k < 16; k++) {
    int j = x[(i + k) % n] & 15;
    int t = a[j];
    a[j] = a[k];
    a[k] = t;
  }
  int s = 0;
  for (int k = 0; k < 16; k++) s = s * 31 + a[k];
  out[i] = s;
}

// Loops of different lengths, a switch, early exits: Collatz.
extern "C" __global__ void divergence(int *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  unsigned v = i + 1;
  int steps = 0;
  while (v != 1) {
    v = v & 1 ? 3 * v + 1 : v / 2;
    if (++steps > 200) break;
  }
  switch (i % 7) {
    case 0: steps += 1000; break;
    case 1: steps *= 3; break;
    case 2: out[i] = -steps; return;
    case 3: steps ^= 0x55; break;
    case 4: steps <<= 3; break;
    case 5: steps = -steps; break;
  }
  out[i] = steps;
}

extern "C" __global__ void votes(unsigned *out, const int *x) {
  int t = threadIdx.x;
  unsigned *o = out + t * 8;
  o[0] = __ballot_sync(0xffffffffu, x[t] > 0);
  o[1] = __any_sync(0xffffffffu, x[t] > 100);
  o[2] = __all_sync(0xffffffffu, x[t] > -100);
  o[3] = __match_any_sync(0xffffffffu, x[t] & 3);
  int all;
  o[4] = __match_all_sync(0xffffffffu, x[t] & 0x40000000, &all) + all;
  o[5] = __shfl_up_sync(0xffffffffu, x[t], 3);
  o[6] = __shfl_sync(0xffffffffu, x[t], t * 5, 16);
  if (t % 2) {
    o[7] = __popc(__activemask()) + __shfl_down_sync(0xaaaaaaaau, x[t], 2);
  } else {
    o[7] = __shfl_xor_sync(0x55555555u, x[t], 4);
  }
}

extern "C" __global__ void half_math(float *out, const float *x, const float *y, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  __half a = __float2half_rn(x[i]), b = __float2half_rn(y[i]);
  __half2 p = __halves2half2(a, b), q = __halves2half2(b, a);
  __half2 r = __hfma2(p, q, __hadd2(p, q));
  out[4 * i] = __half2float(__low2half(r));
  out[4 * i + 1] = __half2float(__hsub(__hmul(a, b), a));
  __nv_bfloat16 c = __float2bfloat16(x[i]);
  out[4 * i + 2] = __bfloat162float(c) + __half2float(__float2half_rz(y[i]));
  out[4 * i + 3] = __hgt(a, b) ? __half2float(__hneg(a)) : __half2float(b);
}

extern "C" __global__ void conversions(int64_t *out, const float *x, const double *d, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  int64_t *o = out + i * 12;
  o[0] = __float2int_rn(x[i]);
  o[1] = __float2int_rz(x[i]);
  o[2] = __float2int_ru(x[i]);
  o[3] = __float2int_rd(x[i]);
  o[4] = __float2uint_rn(x[i]);
  o[5] = __float2ll_rn(x[i]);
  o[6] = __double2ll_rz(d[i]);
  o[7] = __double_as_longlong((double)x[i]);
  o[8] = __float_as_int(__double2float_rd(d[i]));
  o[9] = __float_as_int(__ll2float_ru(o[6]));
  o[10] = (int8_t)(int)x[i];
  o[11] = __float_as_int(rintf(x[i])) + __float_as_int(floorf(x[i])) + __float_as_int(__saturatef(x[i]));
}

extern "C" __global__ void integers(uint64_t *out, const uint64_t *x, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  uint64_t a = x[i], b = x[(i + 1) % n] | 1;
  uint64_t *o = out + i * 12;
  o[0] = a / b + a % b;
  o[1] = (uint64_t)((int64_t)a / (int64_t)b) + (uint64_t)((int)a / (int)b);
  o[2] = __umul64hi(a, b);
  o[3] = __mulhi((int)a, (int)b);
  o[4] = __clzll(a) + __popcll(a) * 100 + __ffsll(a) * 10000;
  o[5] = __brevll(a) ^ __brev((unsigned)a);
  o[6] = __byte_perm((unsigned)a, (unsigned)b, 0x6172);
  o[7] = __funnelshift_l((unsigned)a, (unsigned)b, i) + __funnelshift_rc((unsigned)a, (unsigned)b, i);
  o[8] = __sad((int)a, (int)b, 7) + __hadd((int)a, (int)b);
  unsigned __int128 w = (unsigned __int128)a * b + a;
  o[9] = (uint64_t)(w >> 64) + (uint64_t)w;
  o[10] = (a >> (b & 63)) + ((int64_t)a >> (b & 63)) + (a << (b & 63)) + (a >> 8 & 0xfff);
  o[11] = min((int)a, (int)b) + max((unsigned)a, (unsigned)b) + abs((int)a) + (a > b && (i & 1) ? 3 : 4);
}

extern "C" __global__ void transcendental(float *out, double *outd, const float *x, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  float *o = out + i * 12;
  float v = x[i];
  o[0] = expf(v);
  o[1] = logf(fabsf(v) + 1e-3f);
  o[2] = sinf(v);
  o[3] = cosf(v);
  o[4] = tanhf(v);
  o[5] = rsqrtf(fabsf(v) + 1e-3f);
  o[6] = __expf(v);
  o[7] = __sinf(v);
  o[8] = erff(v);
  o[9] = powf(fabsf(v), 1.5f);
  o[10] = __fdividef(v, 3.0f) + __frcp_rn(v + 100.0f) + copysignf(2.0f, v);
  o[11] = fminf(v, 0.5f) + fmaxf(v, -0.5f) + truncf(v) + fmodf(v, 3.0f);
  outd[i] = exp((double)v) + sqrt(fabs((double)v)) + sin((double)v) / (1.0 + v * v);
}

extern "C" __global__ void atomics(unsigned *u, unsigned long long *l, float *f, double *d, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  atomicAdd(&u[0], i);
  atomicSub((int *)&u[1], i);
  atomicMin((int *)&u[2], -i);
  atomicMax(&u[3], i);
  atomicAnd(&u[4], ~(1u << (i & 31)));
  atomicOr(&u[5], 1u << (i & 31));
  atomicXor(&u[6], i);
  atomicInc(&u[7], 9);
  atomicDec(&u[8], 9);
  atomicExch(&u[9], 77);
  unsigned old = u[10 + i % 2], seen;
  old = atomicAdd(&u[10], 0);
  do {
    seen = old;
    old = atomicCAS(&u[10], seen, seen + 3);
  } while (old != seen);
  atomicAdd(&l[0], (unsigned long long)i << 20);
  atomicMax(&l[1], (unsigned long long)i << 33);
  atomicCAS(&l[2], 0ull, (unsigned long long)i + 1);
  atomicAdd(f, 1.0f);
  atomicAdd(d, 0.5);
  if (i == 0) atomicAdd(&counter, 2);
  accumulator[i & 3] = 3;
}

extern "C" __global__ void generic_pointers(float *out, const float *x, int n) {
  __shared__ float s[64];
  __shared__ int k[3];
  float l[4] = {1, 2, 3, 4};
  int t = threadIdx.x;
  s[t] = x[t];
  if (t < 3) k[t] = n + t;
  __syncthreads();
  const float *p = (t % 4 == 0) ? &s[63 - t] : (t % 4 == 1) ? &x[t] : (t % 4 == 2) ? &l[(t + n) % 4] : pointer + t % 8;
  out[t] = *p + __isShared(p) + k[t % 3];
}

extern "C" __global__ __launch_bounds__(128, 2) void bounded(short *a, const short2 *b, const uchar4 *c) {
  int t = threadIdx.x;
  short2 v = b[t];
  uchar4 w = c[t];
  a[t] = v.x * w.x + v.y * w.y - w.z + w.w;
}

struct Settings {
  float scale;
  int steps[6];
  double shift;
  char mode;
};
extern "C" __global__ void settings(double *out, Settings s, bool flag, char c) {
  int t = threadIdx.x;
  out[t] = s.scale * s.steps[t % 6] + s.shift + s.mode + (flag ? c : -c);
}

extern "C" __global__ void matmul(float *c, const float *a, const float *b, int n) {
  __shared__ float as[16][17], bs[16][17];
  int x = blockIdx.x * 16 + threadIdx.x, y = blockIdx.y * 16 + threadIdx.y;
  float s = 0;
  for (int k = 0; k < n; k += 16) {
    as[threadIdx.y][threadIdx.x] = a[y * n + k + threadIdx.x];
    bs[threadIdx.y][threadIdx.x] = b[(k + threadIdx.y) * n + x];
    __syncthreads();
#pragma unroll
    for (int j = 0; j < 16; j++) s += as[threadIdx.y][j] * bs[j][threadIdx.x];
    __syncthreads();
  }
  c[y * n + x] = s;
}
