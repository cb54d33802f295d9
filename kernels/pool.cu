// Pooling: bias, ReLU and 2x2 max pooling in one kernel with its backward, and general windows for what cuDNN cannot do
// (L2 pooling, padding that is not symmetric) or not deterministically (the backward of max pooling).
#include "step.cuh"

// y[n,c,oh,ow] = max(0, max over the 2x2 window of x[n,c,2*oh+r,2*ow+s] + bias[c]). mask says where the maximum was
// after the ReLU, as 2*r+s of the first one or of a NaN, and adds 4 where it is not above 0, so that the ReLU lets no
// finite gradient through. Windows may reach over the border at the bottom and right (padding never takes part). planes
// = batch * channels. Limit: x read once, y and a byte an output written: 5.25 bytes a value of x.
template <unsigned W>
__device__ void biasReluPool(float *y, uint8_t *mask, const float *x, const float *bias, uint32_t planes,
                             uint32_t channels, uint32_t h, uint32_t w, uint32_t outH, uint32_t outW) {
  const uint32_t total = planes * outH * outW;
  for (uint64_t k = gridThread(); k < total; k += gridThreads()) {
    const uint32_t row = uint32_t(k) / outW, plane = row / outH;
    const uint32_t ow = uint32_t(k) - row * outW, oh = row - plane * outH;
    const float *in = x + plane * h * w;
    const float b = bias[plane % channels];
    float best = 0;
    uint8_t where = 4;
    for (uint32_t r = 0; r < 2 && 2 * oh + r < h; r++) {
      for (uint32_t s = 0; s < 2 && 2 * ow + s < w; s += W) {
        const auto v = load(in + (2 * oh + r) * w + 2 * ow, Span<W>{s / W});
        for (uint32_t i = 0; i < W; i++) {
          const float sum = v[i] + b;
          if (!(sum > best) && !isnan(sum)) continue;
          best = sum;
          where = 2 * r + s + i + (isnan(sum) ? 4 : 0);
        }
      }
    }
    y[k] = best;
    mask[k] = where;
  }
}

extern "C" __global__ void __launch_bounds__(256)
    bias_relu_pool(float *__restrict__ y, uint8_t *__restrict__ mask, const float *__restrict__ x,
                   const float *__restrict__ bias, uint32_t planes, uint32_t channels, uint32_t h, uint32_t w,
                   uint32_t outH, uint32_t outW) {
  if (w % 2 == 0 && aligned<2>(x)) {
    biasReluPool<2>(y, mask, x, bias, planes, channels, h, w, outH, outW);
  } else {
    biasReluPool<1>(y, mask, x, bias, planes, channels, h, w, outH, outW);
  }
}

// dx of bias_relu_pool. A thread writes the 2x2 values of a window; those that no window sees get 0. Limit: 5.25 bytes
// a value of dx.
template <unsigned W>
__device__ void biasReluPoolBackward(float *dx, const float *dy, const uint8_t *mask, uint32_t planes, uint32_t h,
                                     uint32_t w, uint32_t outH, uint32_t outW) {
  const uint32_t windowsH = (h + 1) / 2, windowsW = (w + 1) / 2, total = planes * windowsH * windowsW;
  for (uint64_t k = gridThread(); k < total; k += gridThreads()) {
    const uint32_t row = uint32_t(k) / windowsW, plane = row / windowsH;
    const uint32_t ow = uint32_t(k) - row * windowsW, oh = row - plane * windowsH;
    float d = 0;
    uint32_t where = 0;
    if (oh < outH && ow < outW) {
      const uint32_t o = (plane * outH + oh) * outW + ow;
      where = mask[o] % 4;
      d = dy[o] * (mask[o] < 4 ? 1 : 0);
    }
    for (uint32_t r = 0; r < 2 && 2 * oh + r < h; r++) {
      for (uint32_t s = 0; s < 2 && 2 * ow + s < w; s += W) {
        Pack<float, W> v;
        for (uint32_t i = 0; i < W; i++) v[i] = where == 2 * r + s + i ? d : 0;
        store(dx + (plane * h + 2 * oh + r) * w + 2 * ow, Span<W>{s / W}, v);
      }
    }
  }
}

extern "C" __global__ void __launch_bounds__(256)
    bias_relu_pool_backward(float *__restrict__ dx, const float *__restrict__ dy, const uint8_t *__restrict__ mask,
                            uint32_t planes, uint32_t h, uint32_t w, uint32_t outH, uint32_t outW) {
  if (w % 2 == 0 && aligned<2>(dx)) {
    biasReluPoolBackward<2>(dx, dy, mask, planes, h, w, outH, outW);
  } else {
    biasReluPoolBackward<1>(dx, dy, mask, planes, h, w, outH, outW);
  }
}

enum { MAX_POOL = 0, MEAN_POOL = 1, L2_POOL = 2 };

// Where in an image the part of a window that lies in rows h0..h1 and columns w0..w1 has its greatest value: the first
// of equal ones, the last NaN if there is one.
__device__ inline int32_t greatest(const float *in, int32_t w, int32_t h0, int32_t h1, int32_t w0, int32_t w1) {
  int32_t at = h0 * w + w0;
  for (int32_t ih = h0; ih < h1; ih++) {
    for (int32_t i = ih * w + w0; i < ih * w + w1; i++) at = in[i] > in[at] || isnan(in[i]) ? i : at;
  }
  return at;
}

// General pooling: padding never takes part. Limit: x and y moved once where windows do not overlap; where they do,
// x comes from the cache.
extern "C" __global__ void __launch_bounds__(256)
    pool_forward(float *__restrict__ y, const float *__restrict__ x, int32_t mode, uint32_t planes, int32_t h,
                 int32_t w, int32_t outH, int32_t outW, int32_t kernelH, int32_t kernelW, int32_t strideH,
                 int32_t strideW, int32_t top, int32_t left) {
  const uint32_t total = planes * outH * outW;
  for (uint32_t k = gridThread(); k < total; k += gridThreads()) {
    const int ow = k % outW, oh = (k / outW) % outH;
    const float *in = x + (k / (outW * outH)) * h * w;
    const int h0 = max(oh * strideH - top, 0), h1 = min(oh * strideH - top + kernelH, h);
    const int w0 = max(ow * strideW - left, 0), w1 = min(ow * strideW - left + kernelW, w);
    if (mode == MAX_POOL) {
      y[k] = in[greatest(in, w, h0, h1, w0, w1)];
      continue;
    }
    float sum = 0;
    for (int ih = h0; ih < h1; ih++) {
      for (int iw = w0; iw < w1; iw++) {
        const float v = in[ih * w + iw];
        sum += mode == L2_POOL ? v * v : v;
      }
    }
    y[k] = mode == MEAN_POOL ? sum / ((h1 - h0) * (w1 - w0)) : sqrtf(sum);
  }
}

// The first and the last window o of an axis that sees a position: o*stride - before <= at < that + kernel.
__device__ inline int32_t firstWindow(int32_t at, int32_t kernel, int32_t stride, int32_t before) {
  return max((at + before - kernel + stride) / stride, 0);
}

__device__ inline int32_t lastWindow(int32_t at, int32_t stride, int32_t before, int32_t out) {
  return min((at + before) / stride, out - 1);
}

// dx of max pooling, gathered: the thread of an input value adds the gradients of the windows whose first maximum it
// is, or whose last NaN, in a fixed order. Where `add` is not 0 it adds to dx.
extern "C" __global__ void __launch_bounds__(256, 4)
    max_pool_backward(float *__restrict__ dx, const float *__restrict__ dy, const float *__restrict__ x,
                      const float *__restrict__ y, uint32_t planes, int32_t h, int32_t w, int32_t outH, int32_t outW,
                      int32_t kernelH, int32_t kernelW, int32_t strideH, int32_t strideW, int32_t top, int32_t left,
                      int32_t add) {
  const uint32_t total = planes * h * w;
  for (uint32_t k = gridThread(); k < total; k += gridThreads()) {
    const int32_t iw = k % w, ih = (k / w) % h;
    const uint32_t plane = k / (w * h);
    const float *in = x + plane * h * w;
    const float mine = x[k];
    float d = 0;
    for (int32_t oh = firstWindow(ih, kernelH, strideH, top); oh <= lastWindow(ih, strideH, top, outH); oh++) {
      for (int32_t ow = firstWindow(iw, kernelW, strideW, left); ow <= lastWindow(iw, strideW, left, outW); ow++) {
        const uint32_t o = (plane * outH + oh) * outW + ow;
        if (mine != y[o] && !isnan(mine)) continue;
        const int32_t at = greatest(in, w, max(oh * strideH - top, 0), min(oh * strideH - top + kernelH, h),
                                    max(ow * strideW - left, 0), min(ow * strideW - left + kernelW, w));
        if (at == ih * w + iw) d += dy[o];
      }
    }
    dx[k] = add ? dx[k] + d : d;
  }
}

// dx of mean and L2 pooling, gathered in a fixed order. Where `add` is not 0 it adds to dx.
extern "C" __global__ void __launch_bounds__(256)
    pool_backward(float *__restrict__ dx, const float *__restrict__ dy, const float *__restrict__ x,
                  const float *__restrict__ y, int32_t mode, uint32_t planes, int32_t h, int32_t w, int32_t outH,
                  int32_t outW, int32_t kernelH, int32_t kernelW, int32_t strideH, int32_t strideW, int32_t top,
                  int32_t left, int32_t add) {
  const uint32_t total = planes * h * w;
  for (uint32_t k = gridThread(); k < total; k += gridThreads()) {
    const int32_t iw = k % w, ih = (k / w) % h;
    const uint32_t plane = k / (w * h);
    float d = 0;
    for (int32_t oh = firstWindow(ih, kernelH, strideH, top); oh <= lastWindow(ih, strideH, top, outH); oh++) {
      const int32_t high = min(oh * strideH - top + kernelH, h) - max(oh * strideH - top, 0);
      for (int32_t ow = firstWindow(iw, kernelW, strideW, left); ow <= lastWindow(iw, strideW, left, outW); ow++) {
        const uint32_t o = (plane * outH + oh) * outW + ow;
        if (mode == L2_POOL) {
          if (y[o] != 0) d += dy[o] * x[k] / y[o];
        } else {
          d += dy[o] / (high * (min(ow * strideW - left + kernelW, w) - max(ow * strideW - left, 0)));
        }
      }
    }
    dx[k] = add ? dx[k] + d : d;
  }
}

// Padding that cuDNN's symmetric descriptors cannot say: xp (planes, ph, pw) is x (planes, h, w) with `top` rows and
// `left` columns of zeros before it and what remains of ph and pw after it.
extern "C" __global__ void __launch_bounds__(256)
    pad(float *__restrict__ xp, const float *__restrict__ x, uint32_t planes, int32_t h, int32_t w, int32_t ph,
        int32_t pw, int32_t top, int32_t left) {
  const uint32_t total = planes * ph * pw;
  for (uint32_t k = gridThread(); k < total; k += gridThreads()) {
    const int iw = int(k % pw) - left, ih = int((k / pw) % ph) - top;
    const uint32_t plane = k / (pw * ph);
    xp[k] = ih >= 0 && ih < h && iw >= 0 && iw < w ? x[(plane * h + ih) * w + iw] : 0;
  }
}

// The inside of xp again, or added to x where `add` is not 0.
extern "C" __global__ void __launch_bounds__(256)
    crop(float *__restrict__ x, const float *__restrict__ xp, uint32_t planes, int32_t h, int32_t w, int32_t ph,
         int32_t pw, int32_t top, int32_t left, int32_t add) {
  const uint32_t total = planes * h * w;
  for (uint32_t k = gridThread(); k < total; k += gridThreads()) {
    const int iw = k % w, ih = (k / w) % h;
    const uint32_t plane = k / (w * h);
    const float v = xp[(plane * ph + ih + top) * pw + iw + left];
    x[k] = add ? x[k] + v : v;
  }
}
