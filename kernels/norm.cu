// Batch normalisation (Ioffe and Szegedy, 2015) of tensors (batch, channels, extent), and what may be fused with it: the
// sum with another tensor, and then ReLU or ReLU6. statistics.cu has the kernels that see no tensors.
#include "channels.cuh"
#include "reduce.cuh"

// What comes last. The numbers are those of Rectifier in norm.go. Comparisons are written so that a NaN passes through.
struct Rectifier {
  bool rectifies;
  float top;   // greater values become this one
  float last;  // the greatest value at which the slope is 1

  __device__ explicit Rectifier(uint32_t number)
      : rectifies(number > 0),
        top(number == 2 ? 6 : __uint_as_float(0x7f800000)),
        last(number == 2 ? __uint_as_float(0x40bfffff) : __uint_as_float(0x7f800000)) {}

  __device__ float operator()(float z) const { return !rectifies ? z : z <= 0 ? 0 : z >= top ? top : z; }

  // Of its input, or of its output.
  __device__ float slope(float z) const { return !rectifies || (z > 0 && z <= last) ? 1 : 0; }
};

// A channel's numbers. The backward pass finds the slope of what is fused from `normalised`, so it must compute the same
// bits as the forward pass did: no operation here is left for the compiler to contract.
struct Channel {
  float mean, scale, bias;  // scale = weight * inverse
  __device__ float centred(float x) const { return __fsub_rn(x, mean); }
  __device__ float normalised(float x) const { return __fmaf_rn(centred(x), scale, bias); }
};

// Where the numbers of all channels are.
struct Channels {
  const float *mean, *inverse, *weight, *bias;

  template <unsigned W>
  __device__ Each<Channel, W> of(uint32_t c) const {
    const auto m = numbersFrom<W>(mean, c), i = numbersFrom<W>(inverse, c);
    const auto w = numbersFrom<W>(weight, c), b = numbersFrom<W>(bias, c);
    Each<Channel, W> each;
    for (unsigned k = 0; k < W; k++) each[k] = {m[k], __fmul_rn(w[k], i[k]), b[k]};
    return each;
  }
};

// Mean and sum of the squared deviations from it, of a thread's values and then of more and more together (Chan, Golub and
// LeVeque, 1979). No difference of large sums is taken, so a mean that is large beside the deviations does no harm.
struct Moments {
  static constexpr unsigned NUMBERS = 2, PLACES = 4;
  struct Nothing {};

  float *means, *squares;
  const Value *x;

  template <unsigned W>
  __device__ Each<Nothing, W> of(uint32_t) const {
    return {};
  }

  template <unsigned W, unsigned U>
  __device__ void add(Reduced<W, 2> &to, const Each<Span<W>, U> &at, const Each<Nothing, W> &) const {
    Each<Pack<float, W>, U> v;
    for (unsigned u = 0; u < U; u++) v[u] = load(x, at[u]);
    const Share share(to.count, U);
    to.count += U;
    for (unsigned k = 0; k < W; k++) {
      float few[2] = {0, 0}, all[2] = {to.numbers[0][k], to.numbers[1][k]};
      for (unsigned u = 0; u < U; u++) few[0] += v[u][k];
      few[0] *= 1.f / U;
      for (unsigned u = 0; u < U; u++) few[1] += (v[u][k] - few[0]) * (v[u][k] - few[0]);
      merge(all, few, share);
      to.numbers[0][k] = all[0];
      to.numbers[1][k] = all[1];
    }
  }

  static __device__ void merge(float (&a)[2], const float (&b)[2], Share share) {
    const float apart = b[0] - a[0];
    a[0] += apart * share.other;
    a[1] += b[1] + apart * (apart * share.both);
  }

  __device__ void put(uint32_t to, uint32_t, const float (&moments)[2]) const {
    means[to] = moments[0];
    squares[to] = moments[1];
  }
};

// For every channel c in `parts` parts: the mean of x, means[part, c], and the sum of the squared deviations from this
// mean, squares[part, c]. batchnorm_statistics puts the parts together. Limit: 4 bytes a value, 2 in bfloat16.
extern "C" __global__ void __launch_bounds__(256)
    batchnorm_moments(float *__restrict__ means, float *__restrict__ squares, const Value *__restrict__ x,
                      uint32_t batch, uint32_t channels, uint32_t extent, uint32_t parts) {
  reduceChannels(Moments{means, squares, x}, batch, channels, extent, parts, aligned<WIDE>(x));
}

// y = f(weight[c] * inverse[c] * (x - mean[c]) + bias[c] + other), where f is the rectifier, and `other` may be null. y may
// be x or other. Limit: 8 bytes a value, 12 with other; half of it in bfloat16.
extern "C" __global__ void __launch_bounds__(256)
    batchnorm(Value *y, const Value *x, const Value *other, const float *__restrict__ mean,
              const float *__restrict__ inverse, const float *__restrict__ weight, const float *__restrict__ bias,
              uint32_t count, uint32_t channels, uint32_t extent, uint32_t rectifier) {
  const Rectifier f(rectifier);
  forEachWithNumbers(count, channels, extent, aligned<WIDE>(y, x, other), Channels{mean, inverse, weight, bias},
                     [=](auto at, auto channel) {
                       auto v = load(x, at);
                       decltype(v) more = {};
                       if (other) more = load(other, at);
                       for (unsigned k = 0; k < at.width; k++) {
                         const float z = channel[k].normalised(v[k]);
                         v[k] = f(other ? z + more[k] : z);
                       }
                       store(y, at, v);
                     });
}

// dy times the slope of the rectifier. A gradient that is NaN or infinite is not swallowed where the slope is 0. Without
// y, the output, the slope is that at z, the normalised value; y has to be there if another tensor was added to z.
struct OutputGradient {
  Rectifier f;
  bool readsY;
  __device__ float operator()(float dy, float y, float z) const { return dy * f.slope(readsY ? y : z); }
};

struct Gradients {
  static constexpr unsigned NUMBERS = 2, PLACES = sizeof(Value) == 2 ? 2 : 4;

  float *dweight, *dbias;
  const Value *dy, *x, *y;
  Channels channels;
  OutputGradient gradient;

  template <unsigned W>
  __device__ Each<Channel, W> of(uint32_t c) const {
    return channels.of<W>(c);
  }

  // Sums g and g * (x - mean), where g is the gradient before the rectifier.
  template <unsigned W, unsigned U>
  __device__ void add(Reduced<W, 2> &sums, const Each<Span<W>, U> &at, const Each<Channel, W> &channel) const {
    Each<Pack<float, W>, U> d, v, out = {};
    for (unsigned u = 0; u < U; u++) {
      d[u] = load(dy, at[u]);
      v[u] = load(x, at[u]);
    }
    if (y) {
      for (unsigned u = 0; u < U; u++) out[u] = load(y, at[u]);
    }
    for (unsigned u = 0; u < U; u++) {
      for (unsigned k = 0; k < W; k++) {
        const float g = gradient(d[u][k], out[u][k], channel[k].normalised(v[u][k]));
        sums.numbers[0][k] += g * channel[k].centred(v[u][k]);
        sums.numbers[1][k] += g;
      }
    }
  }

  static __device__ void merge(float (&a)[2], const float (&b)[2], Share) {
    a[0] += b[0];
    a[1] += b[1];
  }

  __device__ void put(uint32_t to, uint32_t c, const float (&sums)[2]) const {
    dweight[to] = sums[0] * channels.inverse[c];
    dbias[to] = sums[1];
  }
};

// The gradients of weight and bias, for every channel c in `parts` parts: dweight[part, c] = sum of g * xhat and
// dbias[part, c] = sum of g, where g is dy times the rectifier's slope and xhat = (x - mean) * inverse. y, the output, may
// be null if no other tensor was added. Where there are several parts, batchnorm_gradient_sums adds them up. Limit: 8 bytes
// a value, 12 with y; half of it in bfloat16.
extern "C" __global__ void __launch_bounds__(256)
    batchnorm_gradients(float *__restrict__ dweight, float *__restrict__ dbias, const Value *__restrict__ dy,
                        const Value *__restrict__ x, const Value *__restrict__ y, const float *__restrict__ mean,
                        const float *__restrict__ inverse, const float *__restrict__ weight,
                        const float *__restrict__ bias, uint32_t batch, uint32_t channels, uint32_t extent,
                        uint32_t parts, uint32_t rectifier) {
  reduceChannels(Gradients{dweight, dbias, dy, x, y, {mean, inverse, weight, bias}, {Rectifier(rectifier), y != nullptr}},
                 batch, channels, extent, parts, aligned<WIDE>(dy, x, y));
}

// A channel's numbers for the input gradient, scale * (g - shift - (x - mean) * tilt).
struct BackwardChannel : Channel {
  float shift, tilt;
};

struct BackwardChannels {
  Channels channels;
  const float *dweight, *dbias;
  float share;  // 1/m

  template <unsigned W>
  __device__ Each<BackwardChannel, W> of(uint32_t c) const {
    const auto channel = channels.of<W>(c);
    Each<BackwardChannel, W> each;
    if (!dweight) {  // mean and inverse are constants
      for (unsigned k = 0; k < W; k++) each[k] = {channel[k], 0, 0};
      return each;
    }
    const auto i = numbersFrom<W>(channels.inverse, c);
    const auto dw = numbersFrom<W>(dweight, c), db = numbersFrom<W>(dbias, c);
    for (unsigned k = 0; k < W; k++) each[k] = {channel[k], db[k] * share, i[k] * (dw[k] * share)};
    return each;
  }
};

// The gradients before the rectifier, g, and of x: dx = weight * inverse * (g - dbias/m - xhat * dweight/m), with g and
// xhat as in batchnorm_gradients and m = batch * extent or, where it is not null, *total. It is added to dx where `add` is not 0. Where dother is not null,
// the gradient of the other tensor, which is g, is written there, or added where `addOther` is not 0. dx or dother may be
// dy where nothing is added to it. If dweight is null, mean and inverse are constants: dx = weight * inverse * g. Then x may
// be null too, unless the rectifier's slope is found from it. Limit: 12 bytes a value, 4 less without x, 4 more for y, 4 for
// dother, and 4 for each sum; half of it in bfloat16.
extern "C" __global__ void __launch_bounds__(256)
    batchnorm_backward(Value *dx, Value *dother, const Value *dy, const Value *x, const Value *y,
                       const float *__restrict__ mean, const float *__restrict__ inverse,
                       const float *__restrict__ weight, const float *__restrict__ bias,
                       const float *__restrict__ dweight, const float *__restrict__ dbias,
                       const double *__restrict__ total, uint32_t count,
                       uint32_t channels, uint32_t extent, uint32_t rectifier, int32_t add, int32_t addOther) {
  const BackwardChannels numbers = {
      {mean, inverse, weight, bias}, dweight, dbias, float(total ? 1 / *total : double(channels) / double(count))};
  const OutputGradient gradient = {Rectifier(rectifier), y != nullptr};
  forEachWithNumbers(count, channels, extent, aligned<WIDE>(dx, dother, dy, x, y), numbers,
                     [=](auto at, auto each) {
                       auto g = load(dy, at);
                       decltype(g) v = {}, out = {};
                       if (x) v = load(x, at);
                       if (y) out = load(y, at);
                       for (unsigned k = 0; k < at.width; k++) {
                         const BackwardChannel c = each[k];
                         g[k] = gradient(g[k], out[k], c.normalised(v[k]));
                         v[k] = c.scale * (g[k] - c.shift - c.centred(v[k]) * c.tilt);
                       }
                       storeOrAdd(dx, at, v, add);
                       if (dother) storeOrAdd(dother, at, g, addOther);
                     });
}
