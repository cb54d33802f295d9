// Pooling: bias, ReLU and 2x2 max pooling in one kernel with its backward, and general windows for what cuDNN cannot do
// (L2 pooling, padding that is not symmetric) or not deterministically (the backward of max pooling).
#include "step.cuh"

// y[n,c,oh,ow] = max(0, max over the 2x2 window of x[n,c,2*oh+r,2*ow+s] + bias[c]). mask says where the maximum was, as
// 2*r+s of the first one, or 4 where the output is 0 and no gradient goes back. Windows may reach over the border at
// the bottom and right (padding never takes part). planes = batch * channels. Limit: x read once, y and a byte an
// output written: 4.3 bytes a value of x.
extern "C" __global__ void __launch_bounds__(256)
    bias_relu_pool(float *__restrict__ y, uint8_t *__restrict__ mask, const float *__restrict__ x,
                   const float *__restrict__ bias, uint32_t planes, uint32_t channels, uint32_t h, uint32_t w,
                   uint32_t outH, uint32_t outW) {
  const uint32_t total = planes * outH * outW;
  for (uint32_t k = gridThread(); k < total; k += gridThreads()) {
    const uint32_t ow = k % outW, oh = (k / outW) % outH, plane = k / (outW * outH);
    const float *in = x + plane * h * w;
    const float b = bias[plane % channels];
    float best = 0;
    uint8_t where = 4;
    for (uint32_t r = 0; r < 2; r++) {
      for (uint32_t s = 0; s < 2; s++) {
        const uint32_t ih = 2 * oh + r, iw = 2 * ow + s;
        if (ih >= h || iw >= w) continue;
        const float v = in[ih * w + iw] + b;
        if (v > best || (isnan(v) && !isnan(best))) {
          best = v;
          where = 2 * r + s;
        }
      }
    }
    y[k] = best;
    mask[k] = where;
  }
}

// dx of bias_relu_pool: every value of dx is written, by the thread that owns it.
extern "C" __global__ void __launch_bounds__(256)
    bias_relu_pool_backward(float *__restrict__ dx, const float *__restrict__ dy, const uint8_t *__restrict__ mask,
                            uint32_t planes, uint32_t h, uint32_t w, uint32_t outH, uint32_t outW) {
  const uint32_t total = planes * h * w;
  for (uint32_t k = gridThread(); k < total; k += gridThreads()) {
    const uint32_t iw = k % w, ih = (k / w) % h, plane = k / (w * h);
    const uint32_t oh = ih / 2, ow = iw / 2;
    float d = 0;
    if (oh < outH && ow < outW) {
      const uint32_t o = (plane * outH + oh) * outW + ow;
      if (mask[o] == 2 * (ih % 2) + iw % 2) d = dy[o];
    }
    dx[k] = d;
  }
}

enum { MAX_POOL = 0, MEAN_POOL = 1, L2_POOL = 2 };

// General pooling: padding never takes part.
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
    float best = -INFINITY, sum = 0;
    for (int ih = h0; ih < h1; ih++) {
      for (int iw = w0; iw < w1; iw++) {
        const float v = in[ih * w + iw];
        best = v > best || isnan(v) ? v : best;
        sum += mode == L2_POOL ? v * v : v;
      }
    }
    y[k] = mode == MAX_POOL ? best : mode == MEAN_POOL ? sum / ((h1 - h0) * (w1 - w0)) : sqrtf(sum);
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
// is, in a fixed order.
extern "C" __global__ void __launch_bounds__(256)
    max_pool_backward(float *__restrict__ dx, const float *__restrict__ dy, const float *__restrict__ x,
                      const float *__restrict__ y, uint32_t planes, int32_t h, int32_t w, int32_t outH, int32_t outW,
                      int32_t kernelH, int32_t kernelW, int32_t strideH, int32_t strideW, int32_t top, int32_t left) {
  const uint32_t total = planes * h * w;
  for (uint32_t k = gridThread(); k < total; k += gridThreads()) {
    const int32_t iw = k % w, ih = (k / w) % h;
    const uint32_t plane = k / (w * h);
    const float *in = x + plane * h * w;
    float d = 0;
    for (int32_t oh = firstWindow(ih, kernelH, strideH, top); oh <= lastWindow(ih, strideH, top, outH); oh++) {
      for (int32_t ow = firstWindow(iw, kernelW, strideW, left); ow <= lastWindow(iw, strideW, left, outW); ow++) {
        const uint32_t o = (plane * outH + oh) * outW + ow;
        if (x[k] != y[o]) continue;
        bool first = true;  // no value before this one in the window equals it
        const int32_t w0 = max(ow * strideW - left, 0), w1 = min(ow * strideW - left + kernelW, w);
        for (int32_t r = max(oh * strideH - top, 0); r <= ih && first; r++) {
          const int32_t end = r < ih ? w1 : iw;
          for (int32_t s = w0; s < end; s++) first = first && in[r * w + s] != y[o];
        }
        if (first) d += dy[o];
      }
    }
    dx[k] = d;
  }
}

// dx of mean and L2 pooling, gathered in a fixed order.
extern "C" __global__ void __launch_bounds__(256)
    pool_backward(float *__restrict__ dx, const float *__restrict__ dy, const float *__restrict__ x,
                  const float *__restrict__ y, int32_t mode, uint32_t planes, int32_t h, int32_t w, int32_t outH,
                  int32_t outW, int32_t kernelH, int32_t kernelW, int32_t strideH, int32_t strideW, int32_t top,
                  int32_t left) {
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
          if (y[o] > 0) d += dy[o] * x[k] / y[o];
        } else {
          d += dy[o] / (high * (min(ow * strideW - left + kernelW, w) - max(ow * strideW - left, 0)));
        }
      }
    }
    dx[k] = d;
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

// The inside of xp again.
extern "C" __global__ void __launch_bounds__(256)
    crop(float *__restrict__ x, const float *__restrict__ xp, uint32_t planes, int32_t h, int32_t w, int32_t ph,
         int32_t pw, int32_t top, int32_t left) {
  const uint32_t total = planes * h * w;
  for (uint32_t k = gridThread(); k < total; k += gridThreads()) {
    const int iw = k % w, ih = (k / w) % h;
    const uint32_t plane = k / (w * h);
    x[k] = xp[(plane * ph + ih + top) * pw + iw + left];
  }
}
