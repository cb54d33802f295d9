// Kernels that nvcc compiled from train.cu and features.cu, against the same computations in C++.
#include <algorithm>
#include <cmath>

#include "harness.h"

namespace {

struct Rng {
  uint64_t state;
  float uniform(float low, float high) {
    return low + (high - low) * static_cast<float>(nextRandom(state) >> 40) / 16777216.0f;
  }
  uint32_t below(uint32_t n) { return static_cast<uint32_t>((nextRandom(state) >> 32) * n >> 32); }
};

std::vector<float> floats(Rng &rng, size_t n, float low, float high) {
  std::vector<float> v(n);
  for (float &x : v) x = rng.uniform(low, high);
  return v;
}

// |got - want| <= atol + rtol |want|, false for NaN where none is wanted.
bool near(double got, double want, double rtol, double atol) {
  if (std::isnan(want)) return std::isnan(got);
  if (std::isinf(want)) return got == want;
  return std::fabs(got - want) <= atol + rtol * std::fabs(want);
}
template <class T, class U>
void checkNear(const std::vector<T> &got, const std::vector<U> &want, double rtol, double atol, const char *what) {
  size_t bad = 0, first = 0;
  for (size_t i = 0; i < want.size(); i++)
    if (!near(static_cast<double>(got[i]), static_cast<double>(want[i]), rtol, atol) && bad++ == 0) first = i;
  CHECK(got.size() == want.size() && bad == 0,
        std::string(what) + ": " + std::to_string(bad) + " of " + std::to_string(want.size()) + " differ, the first at " +
            std::to_string(first) + ": got " + std::to_string(static_cast<double>(got[first])) + ", want " +
            std::to_string(static_cast<double>(want[first])));
}
template <class T>
void checkEqual(const std::vector<T> &got, const std::vector<T> &want, const char *what) {
  size_t at = 0;
  while (at < want.size() && got[at] == want[at]) at++;
  CHECK(at == want.size(), std::string(what) + " at " + std::to_string(at) + ": got " +
                               std::to_string(at < got.size() ? got[at] : 0) + ", want " +
                               std::to_string(at < want.size() ? want[at] : 0));
}

void training(Machine &m, Rng &rng) {
  {
    const int n = 1000, channels = 5, plane = 7;
    const auto x = floats(rng, n, -2, 2), bias = floats(rng, channels, -1, 1);
    const uint64_t y = m.memory.allocate(n * 4);
    CLEAN(m.launch("bias_add", {3}, {128}, Params().add(y).add(m.memory.upload(x)).add(m.memory.upload(bias)).add(n).add(channels).add(plane)));
    std::vector<float> want(n);
    for (int i = 0; i < n; i++) want[i] = x[i] + bias[(i / plane) % channels];
    checkEqual(m.memory.download<float>(y, n), want, "bias_add");
  }
  {
    const int images = 10, size = 211, batch = 6;
    std::vector<uint8_t> data(images * size);
    for (uint8_t &v : data) v = static_cast<uint8_t>(rng.below(256));
    std::vector<int> index(batch);
    for (int &i : index) i = static_cast<int>(rng.below(images));
    const uint64_t out = m.memory.allocate(batch * size * 4);
    CLEAN(m.launch("gather", {batch}, {96}, Params().add(out).add(m.memory.upload(data)).add(m.memory.upload(index)).add(size).add(1 / 255.0f).add(-0.5f)));
    std::vector<float> want;
    for (int b = 0; b < batch; b++)
      for (int i = 0; i < size; i++) want.push_back(std::fma(static_cast<float>(data[index[b] * size + i]), 1 / 255.0f, -0.5f));
    checkEqual(m.memory.download<float>(out, want.size()), want, "gather");
  }
  {
    const int n = 3, channels = 4, h = 10, w = 14, total = n * channels * (h / 2) * (w / 2);
    const auto x = floats(rng, n * channels * h * w, -2, 2), bias = floats(rng, channels, -1, 1);
    const uint64_t y = m.memory.allocate(total * 4), place = m.memory.allocate(total);
    CLEAN(m.launch("bias_relu_pool", {(total + 127) / 128}, {128},
                   Params().add(y).add(place).add(m.memory.upload(x)).add(m.memory.upload(bias)).add(channels).add(h).add(w).add(total)));
    std::vector<float> want;
    std::vector<uint8_t> wantPlace;
    for (int nc = 0; nc < n * channels; nc++)
      for (int oy = 0; oy < h / 2; oy++)
        for (int ox = 0; ox < w / 2; ox++) {
          float best = 0;
          uint8_t at = 4;
          for (int k = 0; k < 4; k++) {
            const float v = x[(nc * h + 2 * oy + k / 2) * w + 2 * ox + k % 2] + bias[nc % channels];
            if (v > best) best = v, at = static_cast<uint8_t>(k);
          }
          want.push_back(best);
          wantPlace.push_back(at);
        }
    checkEqual(m.memory.download<float>(y, total), want, "bias_relu_pool");
    checkEqual(m.memory.download<uint8_t>(place, total), wantPlace, "bias_relu_pool's places");
  }
  for (int classes : {10, 77}) {
    const int n = 13;
    const auto z = floats(rng, n * classes, -5, 5);
    std::vector<int> label(n);
    for (int &l : label) l = static_cast<int>(rng.below(classes));
    const uint64_t gradient = m.memory.allocate(n * classes * 4), loss = m.memory.upload<float>({0}), hits = m.memory.upload<int>({0});
    CLEAN(m.launch("softmax_loss", {4}, {128}, Params().add(gradient).add(loss).add(hits).add(m.memory.upload(z)).add(m.memory.upload(label)).add(n).add(classes)));
    std::vector<double> want;
    double wantLoss = 0;
    int wantHits = 0;
    for (int r = 0; r < n; r++) {
      const float *row = &z[r * classes];
      const double top = *std::max_element(row, row + classes);
      double s = 0;
      for (int c = 0; c < classes; c++) s += std::exp(row[c] - top);
      for (int c = 0; c < classes; c++) want.push_back((std::exp(row[c] - top) / s - (c == label[r])) / n);
      wantLoss += (std::log(s) + top - row[label[r]]) / n;
      wantHits += std::max_element(row, row + classes) - row == label[r];
    }
    checkNear(m.memory.download<float>(gradient, want.size()), want, 1e-5, 1e-7, "softmax_loss's gradient");
    checkNear(m.memory.download<float>(loss, 1), std::vector<double>{wantLoss}, 1e-5, 0, "softmax_loss's loss");
    checkEqual(m.memory.download<int>(hits, 1), std::vector<int>{wantHits}, "softmax_loss's hits");
  }
  {
    const int n = 1003;
    const auto w = floats(rng, n, -1, 1), g = floats(rng, n, -1, 1), mm = floats(rng, n, -0.1f, 0.1f), vv = floats(rng, n, 0, 0.1f);
    const uint64_t dw = m.memory.upload(w), dm = m.memory.upload(mm), dv = m.memory.upload(vv);
    CLEAN(m.launch("adam", {2}, {256}, Params().add(dw).add(dm).add(dv).add(m.memory.upload(g)).add(m.memory.upload<float>({3})).add(n).add(1e-3f).add(0.9f).add(0.999f).add(1e-8f)));
    std::vector<double> want;
    const double c1 = 1 - std::pow(static_cast<double>(0.9f), 3), c2 = 1 - std::pow(static_cast<double>(0.999f), 3);
    for (int i = 0; i < n; i++) {
      const double mi = static_cast<double>(0.9f) * mm[i] + static_cast<double>(1 - 0.9f) * g[i];
      const double vi = static_cast<double>(0.999f) * vv[i] + static_cast<double>(1 - 0.999f) * g[i] * g[i];
      want.push_back(w[i] - 1e-3 * (mi / c1) / (std::sqrt(vi / c2) + 1e-8));
    }
    // c2 is about 0.003, so single precision loses some digits there.
    checkNear(m.memory.download<float>(dw, n), want, 1e-5, 1e-6, "adam");
  }
  {
    const int n4 = 100;
    const auto w = floats(rng, n4 * 4, -1, 1), g = floats(rng, n4 * 4, -1, 1);
    const uint64_t dw = m.memory.upload(w);
    CLEAN(m.launch("sgd4", {1}, {128}, Params().add(dw).add(m.memory.upload(g)).add(n4).add(0.1f)));
    std::vector<float> want(w);
    for (size_t i = 0; i < want.size(); i++) want[i] = std::fma(-0.1f, g[i], w[i]);
    checkNear(m.memory.download<float>(dw, want.size()), want, 1e-6, 1e-7, "sgd4");
  }
}

uint32_t fibonacci(uint32_t n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }

void features(Machine &m, Rng &rng) {
  {
    const int n = 5000;
    const auto x = floats(rng, n, -1, 1);
    const uint64_t dx = m.memory.upload(x), out = m.memory.allocate(5 * 4);
    CLEAN(m.launch("reduce_shared", {5}, {256}, Params().add(out).add(dx).add(n)));
    double got = 0, want = 0;
    for (float v : m.memory.download<float>(out, 5)) got += v;
    for (float v : x) want += v;
    CHECK(near(got, want, 1e-5, 1e-4), "reduce_shared: " + std::to_string(got) + " for " + std::to_string(want));

    const uint64_t sum = m.memory.allocate(4), partial = m.memory.allocate(7 * 4), ticket = m.memory.upload<uint32_t>({0});
    CLEAN(m.launch("reduce_last_block", {7}, {160}, Params().add(sum).add(partial).add(ticket).add(dx).add(n)));
    CHECK(near(m.memory.download<float>(sum, 1)[0], want, 1e-5, 1e-4), "reduce_last_block");
    CHECK(m.memory.download<uint32_t>(ticket, 1)[0] == 0, "reduce_last_block's ticket");
  }
  {
    std::vector<int> x(300), want(300);
    for (int i = 0; i < 300; i++) x[i] = i;
    for (int i = 0; i < 300; i++) want[i] = i / 100 * 100 + 99 - i % 100;
    const uint64_t dx = m.memory.upload(x);
    CLEAN(m.launch("reverse_dynamic", {3}, {100}, Params().add(dx), 400));
    checkEqual(m.memory.download<int>(dx, 300), want, "reverse_dynamic");
  }
  {
    std::vector<uint8_t> x(3000);
    std::vector<uint32_t> want(256, 0);
    for (uint8_t &v : x) want[v = static_cast<uint8_t>(rng.below(50))]++;
    const uint64_t bins = m.memory.upload(std::vector<uint32_t>(256, 0));
    CLEAN(m.launch("histogram", {4}, {192}, Params().add(bins).add(m.memory.upload(x)).add(3000)));
    checkEqual(m.memory.download<uint32_t>(bins, 256), want, "histogram");
  }
  {
    const int n = 100;
    const auto x = floats(rng, n, -1, 1);
    const uint64_t out = m.memory.allocate(n * 4), out2 = m.memory.allocate(n * 8);
    CLEAN(m.launch("calls", {2}, {64}, Params().add(out).add(out2).add(m.memory.upload(x)).add(n)));
    std::vector<float> want;
    std::vector<double> want2;
    for (int i = 0; i < n; i++) {
      float y = 0;
      for (int k = 4; k >= 0; k--) y = std::fma(y, x[i], static_cast<float>(1 << k));
      want.push_back(y);
      double a = x[i];
      int b = i;
      if (i % 3 == 0) a *= i, b += i;
      want2.push_back(a + b);
    }
    checkEqual(m.memory.download<float>(out, n), want, "calls");
    checkEqual(m.memory.download<double>(out2, n), want2, "calls' pairs");
  }
  {
    const uint64_t out = m.memory.allocate(70 * 4);
    CLEAN(m.launch("recursion", {1}, {70}, Params().add(out)));
    std::vector<uint32_t> want;
    for (uint32_t i = 0; i < 70; i++) want.push_back(fibonacci(i % 12));
    checkEqual(m.memory.download<uint32_t>(out, 70), want, "recursion");
  }
  {
    const int n = 90;
    std::vector<int> x(n), want;
    for (int &v : x) v = static_cast<int>(rng.below(1000));
    const uint64_t out = m.memory.allocate(n * 4);
    CLEAN(m.launch("local_array", {3}, {32}, Params().add(out).add(m.memory.upload(x)).add(n)));
    for (int i = 0; i < n; i++) {
      uint32_t a[16], s = 0;
      for (int k = 0; k < 16; k++) a[k] = static_cast<uint32_t>(k * i);
      for (int k = 0; k < 16; k++) std::swap(a[x[(i + k) % n] & 15], a[k]);
      for (int k = 0; k < 16; k++) s = s * 31 + a[k];
      want.push_back(static_cast<int>(s));
    }
    checkEqual(m.memory.download<int>(out, n), want, "local_array");
  }
  {
    const int n = 500;
    const uint64_t out = m.memory.allocate(n * 4);
    CLEAN(m.launch("divergence", {5}, {128}, Params().add(out).add(n)));
    std::vector<int> want;
    for (int i = 0; i < n; i++) {
      unsigned v = static_cast<unsigned>(i) + 1;
      int steps = 0;
      while (v != 1) {
        v = v & 1 ? 3 * v + 1 : v / 2;
        if (++steps > 200) break;
      }
      switch (i % 7) {
        case 0: steps += 1000; break;
        case 1: steps *= 3; break;
        case 2: steps = -steps; break;
        case 3: steps ^= 0x55; break;
        case 4: steps <<= 3; break;
        case 5: steps = -steps; break;
      }
      want.push_back(steps);
    }
    checkEqual(m.memory.download<int>(out, n), want, "divergence");
  }
  {
    std::vector<int> x(32);
    for (int &v : x) v = static_cast<int>(rng.below(300)) - 150;
    const uint64_t out = m.memory.allocate(32 * 8 * 4);
    CLEAN(m.launch("votes", {1}, {32}, Params().add(out).add(m.memory.upload(x))));
    std::vector<uint32_t> want(256);
    uint32_t ballot = 0;
    bool any = false, all = true, same = true;
    for (int i = 0; i < 32; i++) {
      ballot |= static_cast<uint32_t>(x[i] > 0) << i;
      any |= x[i] > 100;
      all &= x[i] > -100;
      same &= (x[i] & 0x40000000) == (x[0] & 0x40000000);
    }
    for (int i = 0; i < 32; i++) {
      uint32_t *o = &want[i * 8];
      o[0] = ballot;
      o[1] = any;
      o[2] = all;
      o[3] = 0;
      for (int k = 0; k < 32; k++) o[3] |= static_cast<uint32_t>((x[k] & 3) == (x[i] & 3)) << k;
      o[4] = same ? UINT32_MAX + 1u : 0;
      o[5] = static_cast<uint32_t>(x[i < 3 ? i : i - 3]);
      o[6] = static_cast<uint32_t>(x[(i & 16) + (i * 5) % 16]);
      o[7] = static_cast<uint32_t>(i % 2 ? 16 + x[i + 2 > 31 ? i : i + 2] : x[i ^ 4]);
    }
    checkEqual(m.memory.download<uint32_t>(out, 256), want, "votes");
  }
  {
    const int n = 64;
    std::vector<uint64_t> x(n), want;
    for (uint64_t &v : x) v = nextRandom(rng.state) >> rng.below(60);
    const uint64_t out = m.memory.allocate(n * 12 * 8);
    CLEAN(m.launch("integers", {2}, {32}, Params().add(out).add(m.memory.upload(x)).add(n)));
    const auto got = m.memory.download<uint64_t>(out, n * 12);
    for (int i = 0; i < n; i++) {
      const uint64_t a = x[i], b = x[(i + 1) % n] | 1;
      const int32_t ai = static_cast<int32_t>(a), bi = static_cast<int32_t>(b);
      const uint32_t au = static_cast<uint32_t>(a), bu = static_cast<uint32_t>(b);
      const unsigned s = static_cast<unsigned>(i) & 31;
      const int64_t quotient = bi == -1 ? static_cast<int32_t>(0u - au) : ai / bi;
      unsigned __int128 w = static_cast<unsigned __int128>(a) * b + a;
      uint64_t reversed = 0;
      for (int k = 0; k < 64; k++) reversed |= (a >> k & 1) << (63 - k);
      uint32_t reversed32 = 0;
      for (int k = 0; k < 32; k++) reversed32 |= (au >> k & 1) << (31 - k);
      const uint64_t both = static_cast<uint64_t>(bu) << 32 | au;
      uint32_t permuted = 0;
      for (int k = 0; k < 4; k++) permuted |= static_cast<uint32_t>(both >> (8 * (0x6172 >> (4 * k) & 7)) & 0xff) << (8 * k);
      // The funnel's upper word is its second argument.
      const uint64_t funnel = static_cast<uint64_t>(bu) << 32 | au;
      const uint32_t left = static_cast<uint32_t>(funnel << s >> 32);
      const uint32_t right = static_cast<uint32_t>(funnel >> std::min(i, 32));
      const uint64_t expected[12] = {
          a / b + a % b,
          static_cast<uint64_t>(static_cast<int64_t>(b) == -1 ? static_cast<int64_t>(0 - a) : static_cast<int64_t>(a) / static_cast<int64_t>(b)) + static_cast<uint64_t>(quotient),
          static_cast<uint64_t>(static_cast<unsigned __int128>(a) * b >> 64),
          static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(static_cast<int64_t>(ai) * bi >> 32))),
          static_cast<uint64_t>(static_cast<int64_t>((a ? __builtin_clzll(a) : 64) + __builtin_popcountll(a) * 100 + __builtin_ffsll(static_cast<long long>(a)) * 10000)),
          reversed ^ reversed32,
          permuted,
          static_cast<uint64_t>(left + right),
          static_cast<uint64_t>((ai < bi ? bu - au : au - bu) + 7u + static_cast<uint32_t>((static_cast<int64_t>(ai) + bi) >> 1)),
          static_cast<uint64_t>(w >> 64) + static_cast<uint64_t>(w),
          (a >> (b & 63)) + static_cast<uint64_t>(static_cast<int64_t>(a) >> (b & 63)) + (a << (b & 63)) + (a >> 8 & 0xfff),
          static_cast<uint64_t>(static_cast<uint32_t>(std::min(ai, bi)) + std::max(au, bu) + (ai < 0 ? 0u - au : au) + (a > b && (i & 1) ? 3u : 4u))};
      for (int k = 0; k < 12; k++)
        CHECK(got[i * 12 + k] == expected[k], "integers[" + std::to_string(k) + "] of " + std::to_string(a) + ", " + std::to_string(b) +
                                                  ": got " + std::to_string(got[i * 12 + k]) + ", want " + std::to_string(expected[k]));
    }
  }
  {
    const int n = 50;
    const auto x = floats(rng, n, -3, 3), y = floats(rng, n, -3, 3);
    const uint64_t out = m.memory.allocate(n * 16);
    CLEAN(m.launch("half_math", {1}, {64}, Params().add(out).add(m.memory.upload(x)).add(m.memory.upload(y)).add(n)));
    const auto got = m.memory.download<float>(out, n * 4);
    // Each of a few roundings to half precision is off by 2^-11 of its size at most, to bfloat16 by 2^-8.
    for (int i = 0; i < n; i++) {
      const double a = x[i], b = y[i];
      CHECK(near(got[4 * i], a * b + (a + b), 4e-3, 8e-3) && near(got[4 * i + 1], a * b - a, 4e-3, 8e-3) &&
                near(got[4 * i + 2], a + b, 0, 2e-2) && near(got[4 * i + 3], a > b ? -a : b, 1e-3, 1e-3),
            "half_math of " + std::to_string(a) + ", " + std::to_string(b));
    }
  }
  {
    const std::vector<float> x{0.5f, 1.5f, -2.5f, 3e9f, -7.25f, 300.75f, NAN, 1e20f};
    const std::vector<double> d{0.1, -1e18, 123456789.987, 3.5, -0.75, 1e300, -1e-310, 16777217};
    const int n = static_cast<int>(x.size());
    const uint64_t out = m.memory.allocate(n * 96);
    CLEAN(m.launch("conversions", {1}, {32}, Params().add(out).add(m.memory.upload(x)).add(m.memory.upload(d)).add(n)));
    const auto got = m.memory.download<int64_t>(out, n * 12);
    auto toInt = [](double v) { return v != v ? 0 : v >= 2147483647.0 ? INT32_MAX : v <= -2147483648.0 ? INT32_MIN : static_cast<int64_t>(v); };
    for (int i = 0; i < n; i++) {
      const double v = x[i];
      const int64_t *o = &got[i * 12];
      CHECK(o[0] == toInt(std::nearbyint(v)) && o[1] == toInt(std::trunc(v)) && o[2] == toInt(std::ceil(v)) && o[3] == toInt(std::floor(v)),
            "conversions of " + std::to_string(v));
      const int64_t whole = d[i] >= 0x1p63 ? INT64_MAX : static_cast<int64_t>(d[i]);
      CHECK(o[6] == whole, "conversion of " + std::to_string(d[i]));
      const float down = static_cast<float>(d[i]);
      const float want = static_cast<double>(down) > d[i] ? std::nextafter(down, -INFINITY) : down;
      const int32_t bits = static_cast<int32_t>(o[8]);
      float gotDown;
      std::memcpy(&gotDown, &bits, 4);
      CHECK(gotDown == (d[i] > 1e39 ? 3.40282347e38f : want), "conversion down of " + std::to_string(d[i]));
    }
  }
  {
    const int n = 200;
    auto x = floats(rng, n, -8, 8);
    x[0] = 0;
    x[1] = 100;
    x[2] = 1e5f;
    x[3] = -60;
    const uint64_t out = m.memory.allocate(n * 12 * 4), outd = m.memory.allocate(n * 8);
    CLEAN(m.launch("transcendental", {2}, {128}, Params().add(out).add(outd).add(m.memory.upload(x)).add(n)));
    const auto got = m.memory.download<float>(out, n * 12);
    const auto gotd = m.memory.download<double>(outd, n);
    for (int i = 0; i < n; i++) {
      const double v = x[i];
      const float av = std::fabs(x[i]) + 1e-3f;
      const double want[12] = {std::exp(v), std::log(static_cast<double>(av)), std::sin(v), std::cos(v), std::tanh(v),
                               1 / std::sqrt(static_cast<double>(av)), std::exp(v), std::sin(v), std::erf(v),
                               std::pow(std::fabs(v), 1.5), v / 3 + 1 / (v + 100) + std::copysign(2.0, v),
                               std::fmin(v, 0.5) + std::fmax(v, -0.5) + std::trunc(v) + std::fmod(v, 3.0)};
      for (int k = 0; k < 12; k++) {
        const double w = std::fabs(want[k]) > 3.5e38 ? INFINITY : want[k];
        // The fast exponential rounds its argument's product first; the fast sine is for small arguments.
        const double rtol = k == 6 ? 2e-5 : 2e-6, atol = k == 7 ? 1e-2 : 1e-6;
        if (std::fabs(want[k]) < 1e-30 || (k == 7 && std::fabs(v) > 50)) continue;
        CHECK(near(got[i * 12 + k], w, rtol, atol), "transcendental[" + std::to_string(k) + "](" + std::to_string(v) + "): got " +
                                                        std::to_string(got[i * 12 + k]) + ", want " + std::to_string(w));
      }
      CHECK(near(gotd[i], std::exp(v) + std::sqrt(std::fabs(v)) + std::sin(v) / (1 + static_cast<double>(x[i] * x[i])), 1e-14, 1e-14),
            "transcendental in double of " + std::to_string(v) + ": " + std::to_string(gotd[i]));
    }
  }
  {
    const int n = 77;
    std::vector<uint32_t> u{1, 2, 3, 4, UINT32_MAX, 6, 7, 0, 0, 10, 11, 12};
    std::vector<uint64_t> l{5, 0, 0};
    const uint64_t du = m.memory.upload(u), dl = m.memory.upload(l), df = m.memory.upload<float>({0.5f}), dd = m.memory.upload<double>({0.25});
    CLEAN(m.launch("atomics", {3}, {32}, Params().add(du).add(dl).add(df).add(dd).add(n)));
    uint32_t sum = 0, exclusive = 0;
    for (int i = 0; i < n; i++) sum += static_cast<uint32_t>(i), exclusive ^= static_cast<uint32_t>(i);
    const auto got = m.memory.download<uint32_t>(du, 12);
    const auto gotl = m.memory.download<uint64_t>(dl, 3);
    CHECK(got[0] == 1 + sum && got[1] == 2 - sum && static_cast<int>(got[2]) == -(n - 1) && got[3] == n - 1, "atomic add, sub, min, max");
    CHECK(got[4] == 0 && got[5] == UINT32_MAX && got[6] == (7 ^ exclusive) && got[7] == n % 10 && got[9] == 77, "atomic and, or, xor, inc, exch");
    CHECK(got[8] == 3, "atomic dec: " + std::to_string(got[8]));  // 0 9 8 ... over 77 steps, ten a turn
    CHECK(got[10] == 11 + 3 * n, "atomic cas loop: " + std::to_string(got[10]));
    CHECK(gotl[0] == 5 + (static_cast<uint64_t>(sum) << 20) && gotl[1] == static_cast<uint64_t>(n - 1) << 33 && gotl[2] != 0, "64-bit atomics");
    CHECK(m.memory.download<float>(df, 1)[0] == 0.5f + n && m.memory.download<double>(dd, 1)[0] == 0.25 + n * 0.5, "atomic add of floats");
    CHECK(m.memory.download<int>(m.module().address(m.module().symbol("counter")), 1)[0] == 7, "a module's variable");
    CHECK(m.memory.download<float>(m.module().address(m.module().symbol("accumulator")), 4) == std::vector<float>(4, 3.0f), "a module's array");
  }
  {
    const auto x = floats(rng, 64, -1, 1);
    const uint64_t out = m.memory.allocate(64 * 4);
    CLEAN(m.launch("generic_pointers", {1}, {64}, Params().add(out).add(m.memory.upload(x)).add(6)));
    std::vector<float> want;
    for (int t = 0; t < 64; t++) {
      const float v = t % 4 == 0 ? x[63 - t] : t % 4 == 1 ? x[t] : t % 4 == 2 ? static_cast<float>((t + 6) % 4 + 1) : static_cast<float>(1 << t % 8);
      want.push_back(v + (t % 4 == 0) + static_cast<float>(6 + t % 3));
    }
    checkEqual(m.memory.download<float>(out, 64), want, "generic_pointers");
  }
  {
    std::vector<int16_t> b(256), want(128);
    std::vector<uint8_t> c(512);
    for (int16_t &v : b) v = static_cast<int16_t>(rng.below(1000) - 500);
    for (uint8_t &v : c) v = static_cast<uint8_t>(rng.below(256));
    const uint64_t a = m.memory.allocate(256);
    const Params p = Params().add(a).add(m.memory.upload(b)).add(m.memory.upload(c));
    CLEAN(m.launch("bounded", {1}, {128}, p));
    for (int t = 0; t < 128; t++)
      want[t] = static_cast<int16_t>(b[2 * t] * c[4 * t] + b[2 * t + 1] * c[4 * t + 1] - c[4 * t + 2] + c[4 * t + 3]);
    checkEqual(m.memory.download<int16_t>(a, 128), want, "bounded");
    const ptx::Kernel *kernel = m.module().kernel("bounded");
    CHECK(kernel->maxntid.x == 128 && kernel->minnctapersm == 2, "bounded's launch bounds");
    CHECK(m.launch("bounded", {1}, {129}, p).status == ptx::Status::OutOfResources, "more threads than .maxntid");
  }
  {
    struct Settings {
      float scale;
      int steps[6];
      double shift;
      char mode;
    } s{1.5f, {1, 2, 3, 4, 5, 6}, 0.125, 7};
    for (int flag = 0; flag < 2; flag++) {
      const uint64_t out = m.memory.allocate(12 * 8);
      CLEAN(m.launch("settings", {1}, {12}, Params().add(out).add(s).add(flag != 0).add(static_cast<char>(-3))));
      std::vector<double> want;
      for (int t = 0; t < 12; t++) want.push_back(static_cast<double>(1.5f * static_cast<float>(s.steps[t % 6])) + 0.125 + 7 + (flag ? -3 : 3));
      checkEqual(m.memory.download<double>(out, 12), want, "settings");
    }
  }
  {
    const int n = 48;
    const auto a = floats(rng, n * n, -1, 1), b = floats(rng, n * n, -1, 1);
    const uint64_t c = m.memory.allocate(n * n * 4);
    CLEAN(m.launch("matmul", {3, 3}, {16, 16}, Params().add(c).add(m.memory.upload(a)).add(m.memory.upload(b)).add(n)));
    std::vector<float> want(n * n);
    for (int y = 0; y < n; y++)
      for (int x = 0; x < n; x++) {
        float s = 0;
        for (int k = 0; k < n; k++) s = std::fma(a[y * n + k], b[k * n + x], s);
        want[y * n + x] = s;
      }
    checkEqual(m.memory.download<float>(c, n * n), want, "matmul");
  }
}

}  // namespace

void testKernels() {
  Rng rng{baseSeed() * 7919};
  for (const char *name : {"train.ptx", "train_fast.ptx"}) {
    Machine m(readText(name));
    if (m.ok()) training(m, rng);
  }
  Machine m(readText("features.ptx"));
  if (m.ok()) features(m, rng);
}
