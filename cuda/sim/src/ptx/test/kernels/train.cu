// Kernels of a training step: gather, bias + ReLU + pooling, softmax with loss and gradient, Adam.
#include <cstdint>

extern "C" __global__ void bias_add(float *y, const float *x, const float *bias, int n, int channels, int plane) {
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
    y[i] = x[i] + bias[(i / plane) % channels];
}

extern "C" __global__ void gather(float *__restrict__ out, const uint8_t *__restrict__ images,
                                  const int32_t *__restrict__ index, int size, float scale, float shift) {
  const uint8_t *image = images + (int64_t)index[blockIdx.x] * size;
  for (int i = threadIdx.x; i < size; i += blockDim.x) out[(int64_t)blockIdx.x * size + i] = image[i] * scale + shift;
}

// 2x2 max pooling of relu(x + bias), with the winner's place (0..3, 4: none positive) for the backward pass.
extern "C" __global__ void bias_relu_pool(float *__restrict__ y, uint8_t *__restrict__ place, const float *__restrict__ x,
                                          const float *__restrict__ bias, int channels, int h, int w, int total) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= total) return;
  int ow = w / 2, oh = h / 2;
  int ox = i % ow, oy = (i / ow) % oh, nc = i / (ow * oh);
  const float *p = x + ((int64_t)nc * h + 2 * oy) * w + 2 * ox;
  float b = bias[nc % channels];
  float best = 0;
  int at = 4;
#pragma unroll
  for (int k = 0; k < 4; k++) {
    float v = p[(k >> 1) * w + (k & 1)] + b;
    if (v > best) {
      best = v;
      at = k;
    }
  }
  y[i] = best;
  place[i] = (uint8_t)at;
}

// One warp a row: softmax, cross-entropy, hits, and the gradient (p - onehot) / n.
extern "C" __global__ void softmax_loss(float *gradient, float *loss, int *hits, const float *logits, const int *label, int n,
                                        int classes) {
  int row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (row >= n) return;
  const float *z = logits + row * classes;
  float m = -INFINITY;
  int arg = 0;
  for (int c = lane; c < classes; c += 32)
    if (z[c] > m) m = z[c], arg = c;
  for (int d = 16; d > 0; d /= 2) {
    float om = __shfl_xor_sync(0xffffffffu, m, d);
    int oa = __shfl_xor_sync(0xffffffffu, arg, d);
    if (om > m || (om == m && oa < arg)) m = om, arg = oa;
  }
  float s = 0;
  for (int c = lane; c < classes; c += 32) s += expf(z[c] - m);
  for (int d = 16; d > 0; d /= 2) s += __shfl_xor_sync(0xffffffffu, s, d);
  for (int c = lane; c < classes; c += 32) {
    float p = expf(z[c] - m) / s;
    gradient[row * classes + c] = (p - (c == label[row] ? 1.0f : 0.0f)) / n;
  }
  if (lane == 0) {
    atomicAdd(loss, (logf(s) + m - z[label[row]]) / n);
    if (arg == label[row]) atomicAdd(hits, 1);
  }
}

extern "C" __global__ void adam(float *__restrict__ w, float *__restrict__ m, float *__restrict__ v,
                                const float *__restrict__ g, const float *__restrict__ step, int n, float rate, float beta1,
                                float beta2, float epsilon) {
  float t = *step;
  float c1 = 1 - powf(beta1, t), c2 = 1 - powf(beta2, t);
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
    float gi = g[i];
    float mi = beta1 * m[i] + (1 - beta1) * gi;
    float vi = beta2 * v[i] + (1 - beta2) * gi * gi;
    m[i] = mi;
    v[i] = vi;
    w[i] -= rate * (mi / c1) / (sqrtf(vi / c2) + epsilon);
  }
}

// The same on four parameters a thread, vector loads and stores.
extern "C" __global__ void sgd4(float4 *w, const float4 *g, int n4, float rate) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n4) return;
  float4 a = w[i], b = g[i];
  a.x -= rate * b.x, a.y -= rate * b.y, a.z -= rate * b.z, a.w -= rate * b.w;
  w[i] = a;
}
