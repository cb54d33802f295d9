// Tensor cores and asynchronous copies: matrix.cu as nvcc compiled it, against plain loops.
#include <algorithm>
#include <array>
#include <cmath>

#include "harness.h"

namespace {

uint32_t bitsOf(float f) {
  uint32_t v;
  std::memcpy(&v, &f, 4);
  return v;
}
float floatOf(uint32_t v) {
  float f;
  std::memcpy(&f, &v, 4);
  return f;
}

// A format of factors: what lies below `cut` in the bits of a float is not in it; half precision has bits of its own.
struct Shape {
  const char *kernel;
  unsigned inner;
  char format;  // 'b' bf16, 'h' f16, 't' tf32
  unsigned bytes() const { return format == 't' ? 4 : 2; }
  int mantissa() const { return format == 'b' ? 7 : 10; }
  int least() const { return format == 'h' ? -14 : -126; }
};
const Shape kShapes[] = {{"mma_bf16_16", 16, 'b'}, {"mma_bf16_8", 8, 'b'}, {"mma_f16_16", 16, 'h'},
                         {"mma_f16_8", 8, 'h'},    {"mma_tf32_8", 8, 't'}, {"mma_tf32_4", 4, 't'}};

// The bits of a value that the format holds exactly.
uint32_t encode(const Shape &shape, double value) {
  const uint32_t single = bitsOf(static_cast<float>(value));
  if (shape.format == 'b') return single >> 16;
  if (shape.format == 't') return single;
  const uint32_t sign = std::signbit(value) ? 0x8000 : 0;
  const double size = std::fabs(value);
  if (std::isnan(value)) return 0x7e00;
  if (std::isinf(value)) return sign | 0x7c00;
  if (size == 0) return sign;
  const int exponent = std::max(std::ilogb(size), -14);
  const uint32_t mantissa = static_cast<uint32_t>(std::ldexp(size, 10 - exponent));
  return sign + (mantissa < 1024 ? mantissa : static_cast<uint32_t>(exponent + 14) * 1024 + mantissa);
}

struct Problem {
  std::vector<double> a, b;  // 16 x inner by rows, inner x 8 by columns
  std::vector<float> c;      // 16 x 8 by rows
};

std::vector<float> multiply(Machine &m, const Shape &shape, const Problem &p, uint32_t architecture) {
  auto upload = [&](const std::vector<double> &values) {
    std::vector<uint8_t> bytes;
    for (double v : values) {
      const uint32_t e = encode(shape, v);
      for (unsigned k = 0; k < shape.bytes(); k++) bytes.push_back(static_cast<uint8_t>(e >> 8 * k));
    }
    return m.memory.upload(bytes);
  };
  const uint64_t d = m.memory.allocate(16 * 8 * 4);
  CLEAN(m.launch(shape.kernel, {1}, {32}, Params().add(d).add(upload(p.a)).add(upload(p.b)).add(m.memory.upload(p.c)), 0,
                 [&](ptx::Launch &launch) { launch.architecture = architecture; }));
  return m.memory.download<float>(d, 16 * 8);
}

// One element, from the description in tensorcore.h, in double: terms cut off by trunc(), block by block.
float expected(const Shape &shape, const Problem &p, unsigned row, unsigned column, uint32_t architecture) {
  const unsigned block = (shape.format == 't' ? 4 : 8) * (architecture >= 90 ? 2 : 1);
  const int fraction = architecture >= 90 ? 25 : 24;
  auto exponentOf = [](double v, int least) { return std::max(std::ilogb(v), least); };
  float sum = p.c[row * 8 + column];
  for (unsigned begin = 0; begin < shape.inner; begin += block) {
    std::vector<std::pair<double, int>> terms;
    if (sum != 0) terms.emplace_back(sum, exponentOf(static_cast<double>(sum), -126));
    for (unsigned k = begin; k < std::min(begin + block, shape.inner); k++) {
      const double u = p.a[row * shape.inner + k], v = p.b[column * shape.inner + k];
      if (u != 0 && v != 0) terms.emplace_back(u * v, exponentOf(u, shape.least()) + exponentOf(v, shape.least()));
    }
    int top = architecture >= 90 ? -133 : -132;
    for (const auto &term : terms) top = std::max(top, term.second);
    double whole = 0;
    for (const auto &term : terms) whole += std::trunc(std::ldexp(term.first, fraction - top));
    const double value = std::ldexp(whole, top - fraction);
    if (std::fabs(value) >= std::ldexp(1.0, 128)) {
      sum = value > 0 ? INFINITY : -INFINITY;
      continue;
    }
    sum = static_cast<float>(value);
    if (std::fabs(static_cast<double>(sum)) > std::fabs(value)) sum = std::nextafter(sum, 0.0f);
  }
  return sum;
}

// Small whole numbers make every sum exact: only the places of the elements are tested.
void places(Machine &m, uint64_t &random) {
  for (const Shape &shape : kShapes) {
    Problem p;
    for (unsigned k = 0; k < 16 * shape.inner; k++) p.a.push_back(static_cast<double>(nextRandom(random) % 201) - 100);
    for (unsigned k = 0; k < 8 * shape.inner; k++) p.b.push_back(static_cast<double>(nextRandom(random) % 201) - 100);
    for (unsigned k = 0; k < 16 * 8; k++) p.c.push_back(static_cast<float>(nextRandom(random) % 2001) - 1000);
    for (uint32_t architecture : {80u, 90u}) {
      const std::vector<float> got = multiply(m, shape, p, architecture);
      for (unsigned i = 0; i < 16; i++)
        for (unsigned j = 0; j < 8; j++) {
          double want = p.c[i * 8 + j];
          for (unsigned k = 0; k < shape.inner; k++) want += p.a[i * shape.inner + k] * p.b[j * shape.inner + k];
          if (static_cast<double>(got[i * 8 + j]) == want) continue;
          CHECK(false, std::string(shape.kernel) + " at " + std::to_string(i) + "," + std::to_string(j) + ": got " +
                           std::to_string(got[i * 8 + j]) + ", want " + std::to_string(want));
          return;
        }
      CHECK(got.size() == 128, "results");
    }
  }
}

// Any finite values: every bit as documented, and no nearer to the exact sum than one rounding to .f32 can be.
void rounding(Machine &m, uint64_t &random) {
  long inexact = 0, differ = 0;
  for (int round = 0; round < 40; round++)
    for (const Shape &shape : kShapes) {
      // Exponents over a few binary places, over many, or near an end of the format.
      const int spread = round % 4 == 0 ? 3 : round % 4 == 1 ? 24 : 60;
      const int middle = round % 4 == 3 ? (round % 8 == 3 ? shape.least() : shape.format == 'h' ? 15 : 126) : 0;
      auto number = [&](int mantissa, int least) {
        if (nextRandom(random) % 16 == 0) return 0.0;
        int exponent = middle / 2 + static_cast<int>(nextRandom(random) % static_cast<unsigned>(spread)) - spread / 2;
        exponent = std::min(std::max(exponent, least - 3), shape.format == 'h' ? 15 : 126);
        const double v = std::ldexp(1 + static_cast<double>(nextRandom(random) >> (64 - mantissa)) / (1 << mantissa), exponent);
        // Subnormals have fewer bits.
        const double unit = std::ldexp(1.0, std::max(exponent, least) - mantissa);
        return (nextRandom(random) & 1 ? -1 : 1) * std::trunc(v / unit) * unit;
      };
      Problem p;
      for (unsigned k = 0; k < 16 * shape.inner; k++) p.a.push_back(number(shape.mantissa(), shape.least()));
      for (unsigned k = 0; k < 8 * shape.inner; k++) p.b.push_back(number(shape.mantissa(), shape.least()));
      for (unsigned k = 0; k < 16 * 8; k++) p.c.push_back(static_cast<float>(number(23, -126)));
      const std::vector<float> ampere = multiply(m, shape, p, 80), hopper = multiply(m, shape, p, 90);
      for (unsigned i = 0; i < 16; i++)
        for (unsigned j = 0; j < 8; j++) {
          for (uint32_t architecture : {80u, 90u}) {
            const float got = (architecture == 80 ? ampere : hopper)[i * 8 + j], want = expected(shape, p, i, j, architecture);
            if (got == want) continue;
            CHECK(false, std::string(shape.kernel) + ", sm_" + std::to_string(architecture) + ": got " + std::to_string(got) +
                             " (" + std::to_string(bitsOf(got)) + "), want " + std::to_string(want) + " (" + std::to_string(bitsOf(want)) + ")");
            return;
          }
          long double exact = p.c[i * 8 + j];
          for (unsigned k = 0; k < shape.inner; k++) exact += static_cast<long double>(p.a[i * shape.inner + k]) * p.b[j * shape.inner + k];
          inexact += static_cast<long double>(hopper[i * 8 + j]) != exact;
          differ += ampere[i * 8 + j] != hopper[i * 8 + j];
        }
    }
  // Otherwise the test shows nothing.
  CHECK(inexact > 1000 && differ > 100, std::to_string(inexact) + " sums were rounded, and " + std::to_string(differ) + " differ between architectures");
}

// Sums that tell one way of rounding from another, each worked out by hand.
void chosen(Machine &m) {
  struct Case {
    const char *what;
    char format;
    double c;
    std::vector<std::pair<unsigned, double>> terms;  // place along k, product
    float ampere, hopper;
  };
  const float up = 1 + 0x1p-23f;
  const double infinity = INFINITY;
  const Case cases[] = {
      {"half a unit is cut off", 'b', 1, {{0, 0x1p-24}}, 1, 1},
      {"towards zero for negative sums too", 'b', -1, {{0, -0x1p-24}}, -1, -1},
      {"two halves make a unit", 'b', 1, {{0, 0x1p-24}, {1, 0x1p-24}}, up, up},
      {"four quarters need a second extra bit", 'b', 1, {{0, 0x1p-25}, {1, 0x1p-25}, {2, 0x1p-25}, {3, 0x1p-25}}, 1, up},
      {"eight eighths are lost everywhere", 'b', 1, {{0, 0x1p-26}, {1, 0x1p-26}, {2, 0x1p-26}, {3, 0x1p-26}, {4, 0x1p-26}, {5, 0x1p-26}, {6, 0x1p-26}, {7, 0x1p-26}}, 1, 1},
      {"aligned to the largest term though it cancels", 'b', 0, {{0, 1}, {1, -1}, {2, 0x1p-30}}, 0, 0},
      {"the second eight are added later on Ampere", 'b', 0, {{0, 1}, {1, -1}, {8, 0x1p-30}}, 0x1p-30f, 0},
      {"the same for half precision", 'h', 0, {{0, 1}, {1, -1}, {8, 0x1p-28}}, 0x1p-28f, 0},
      {"fours of TF32", 't', 0, {{0, 1}, {1, -1}, {4, 0x1p-30}}, 0x1p-30f, 0},
      {"a sum beyond the largest number", 'b', 0x1.fffffep127, {{0, 0x1p127}}, INFINITY, INFINITY},
      {"products beyond it that cancel", 'b', 3, {{0, 0x1p200}, {1, -0x1p200}}, 0, 0},
      {"infinity among numbers", 'b', 1, {{0, infinity}, {1, 5}}, INFINITY, INFINITY},
      {"infinities of both signs", 'b', -infinity, {{9, infinity}}, NAN, NAN},
      {"not a number", 'b', 1, {{3, NAN}}, NAN, NAN},
      {"a subnormal addend", 'b', 0x1p-149, {}, 0x1p-149f, 0x1p-149f},
      {"subnormal factors", 'h', 0, {{0, 0x1p-24 * 0.5}}, 0x1p-25f, 0x1p-25f},
  };
  for (const Case &c : cases) {
    const Shape &shape = c.format == 'b' ? kShapes[0] : c.format == 'h' ? kShapes[2] : kShapes[4];
    // In row 5, column 6 alone, but for zeros.
    Problem p;
    p.a.assign(16 * shape.inner, 0);
    p.b.assign(8 * shape.inner, 0);
    p.c.assign(16 * 8, 0);
    p.c[5 * 8 + 6] = static_cast<float>(c.c);
    for (const auto &[k, product] : c.terms) {
      // What the format holds: for 2^-25 a subnormal half.
      const bool large = std::isfinite(product) && std::fabs(product) > 0x1p100, small = c.format == 'h' && std::fabs(product) < 0x1p-25;
      const double factor = large ? 0x1p100 : small ? 0x1p-14 : product == 0x1p-25 ? 0.5 : 1;
      p.a[5 * shape.inner + k] = product / factor;
      p.b[6 * shape.inner + k] = factor;
    }
    for (uint32_t architecture : {80u, 86u, 90u, 100u}) {
      const std::vector<float> got = multiply(m, shape, p, architecture);
      const float want = architecture < 90 ? c.ampere : c.hopper, at = got[5 * 8 + 6];
      CHECK(std::isnan(want) ? bitsOf(at) == 0x7fffffff : bitsOf(at) == bitsOf(want) || (at == 0 && want == 0),
            std::string(c.what) + ", sm_" + std::to_string(architecture) + ": got " + std::to_string(at) + " (" + std::to_string(bitsOf(at)) + ")");
    }
  }
  // The bits that TF32 doesn't have are cut off, not rounded.
  Problem p;
  p.a.assign(16 * 4, static_cast<double>(floatOf(0x3f801fff)));
  p.b.assign(8 * 4, 1);
  p.c.assign(16 * 8, 0);
  for (float v : multiply(m, kShapes[5], p, 80)) CHECK(v == 4, "TF32 of " + std::to_string(v));
}

void matrices(Machine &m, uint64_t &random) {
  std::vector<uint16_t> rows(256);
  for (uint16_t &v : rows) v = static_cast<uint16_t>(nextRandom(random));
  for (bool transposed : {false, true})
    for (unsigned count : {1u, 2u, 4u}) {
      const uint64_t out = m.memory.allocate(32 * count * 4);
      const std::string name = std::string("ldmatrix_") + (transposed ? "trans_" : "") + std::to_string(count);
      CLEAN(m.launch(name, {1}, {32}, Params().add(out).add(m.memory.upload(rows))));
      std::vector<uint32_t> want;
      for (unsigned l = 0; l < 32; l++)
        for (unsigned k = 0; k < count; k++) {
          auto element = [&](unsigned r, unsigned c) { return uint32_t{rows[((8 * k + r) * 5 + 3) % 32 * 8 + c]}; };
          const unsigned r = l / 4, c = l % 4 * 2;
          want.push_back(transposed ? element(c, r) | element(c + 1, r) << 16 : element(r, c) | element(r, c + 1) << 16);
        }
      CHECK(m.memory.download<uint32_t>(out, 32 * count) == want, name);
    }
}

// A whole product in tiles. Whole numbers again, so that nothing is rounded.
void product(Machine &m, uint64_t &random, ptx::LaunchResult *result, int rows, int columns, int inner, uint64_t seed) {
  std::vector<uint16_t> a(static_cast<size_t>(rows * inner)), b(static_cast<size_t>(inner * columns));
  auto fill = [&](std::vector<uint16_t> &values) {
    for (uint16_t &v : values) v = static_cast<uint16_t>(bitsOf(static_cast<float>(nextRandom(random) % 17) - 8) >> 16);
  };
  fill(a);
  fill(b);
  const uint64_t c = m.memory.allocate(static_cast<size_t>(rows * columns) * 4);
  const auto up = [](int n) { return static_cast<uint32_t>((n + 63) / 64); };
  *result = m.launch("gemm", {up(columns), up(rows)}, {128},
                     Params().add(c).add(m.memory.upload(a)).add(m.memory.upload(b)).add(rows).add(columns).add(inner), 3 * 2 * 64 * 32 * 2,
                     [&](ptx::Launch &launch) { launch.seed = seed; });
  if (!result->findings.empty() || result->status != ptx::Status::Ok) return;
  const std::vector<float> got = m.memory.download<float>(c, static_cast<size_t>(rows * columns));
  size_t wrong = 0;
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < columns; j++) {
      float want = 0;
      for (int k = 0; k < inner; k++)
        want += floatOf(uint32_t{a[static_cast<size_t>(i * inner + k)]} << 16) * floatOf(uint32_t{b[static_cast<size_t>(k * columns + j)]} << 16);
      wrong += got[static_cast<size_t>(i * columns + j)] != want;
    }
  CHECK(wrong == 0, std::to_string(wrong) + " elements of a " + std::to_string(rows) + "x" + std::to_string(columns) + " product are wrong");
}

std::string without(std::string text, const std::string &what, size_t from = 0) {
  const size_t kernel = text.find(".entry gemm", from);
  const size_t end = text.find("\n}", kernel);
  size_t at = text.find(what, kernel);
  CHECK(at < end, "gemm has no " + what);
  for (; at < end; at = text.find(what, at)) text.replace(at, what.size(), std::string(what.size() - 1, ' ') + ";");
  return text;
}

void products(const std::string &text, uint64_t &random) {
  ptx::LaunchResult result;
  {
    Machine m(text);
    if (!m.ok()) return;
    for (uint64_t seed = 1; seed <= 4; seed++)
      for (const auto &size : {std::array<int, 3>{64, 64, 96}, {100, 72, 40}, {1, 8, 8}, {65, 136, 200}}) {
        product(m, random, &result, size[0], size[1], size[2], baseSeed() + seed);
        CLEAN(result);
      }
  }
  // The same without one thing that it needs.
  const struct {
    const char *what;
    ptx::Kind kind;
  } faults[] = {{"cp.async.wait_group 1;", ptx::Kind::InFlight}, {"cp.async.commit_group;", ptx::Kind::InFlight}, {"bar.sync \t0;", ptx::Kind::SharedRace}};
  for (const auto &fault : faults) {
    Machine m(without(text, fault.what));
    if (!m.ok()) return;
    for (uint64_t seed = 1; seed <= 8; seed++) {
      product(m, random, &result, 64, 64, 160, baseSeed() + seed);
      const bool found = std::any_of(result.findings.begin(), result.findings.end(), [&](const ptx::Finding &f) { return f.kind == fault.kind; });
      CHECK(found && result.status == ptx::Status::Ok, std::string("gemm without ") + fault.what + (result.findings.empty() ? "" : ": " + result.findings[0].message));
    }
  }
}

void copies(Machine &m, uint64_t &random) {
  std::vector<uint8_t> in(64 * 16);
  for (uint8_t &v : in) v = static_cast<uint8_t>(nextRandom(random) | 1);
  const uint64_t source = m.memory.upload(in);
  for (int count = 0; count <= 16; count++) {
    const uint64_t out = m.memory.allocate(3 * 64 * 16);
    CLEAN(m.launch("async_sizes", {1}, {64}, Params().add(out).add(source).add(count)));
    const std::vector<uint8_t> got = m.memory.download<uint8_t>(out, 3 * 64 * 16);
    size_t wrong = 0;
    for (int k = 0; k < 3; k++)
      for (int t = 0; t < 64; t++)
        for (int b = 0; b < 16; b++) {
          const int size = 4 << k, taken = k == 2 ? (count == 0 ? 0 : 16) : std::min(count, size);
          // Behind the copy stands what was there before: words of 7.
          const uint8_t want = b >= size ? (b % 4 == 0 ? 7 : 0) : b < taken ? in[static_cast<size_t>(t * 16 + b)] : 0;
          wrong += got[static_cast<size_t>((k * 64 + t) * 16 + b)] != want;
        }
    CHECK(wrong == 0, "async_sizes of " + std::to_string(count) + ": " + std::to_string(wrong) + " bytes are wrong");
  }
}

void pieces(Machine &m, uint64_t &random) {
  std::vector<uint32_t> in(64 * 4);
  for (uint32_t &v : in) v = bitsOf(static_cast<float>(static_cast<int>(nextRandom(random) % 64) - 32) / 4) | (bitsOf(static_cast<float>(nextRandom(random) % 16)) >> 16);
  for (size_t k = 0; k < in.size(); k += 4) in[k] &= 0xffff0000;  // floats that bfloat16 holds
  const uint64_t out = m.memory.allocate(64 * 16);
  CLEAN(m.launch("pieces", {1}, {64}, Params().add(out).add(m.memory.upload(in))));
  const std::vector<uint32_t> got = m.memory.download<uint32_t>(out, 64 * 4);
  size_t wrong = 0;
  for (size_t t = 0; t < 64; t++) {
    const uint32_t *v = &in[t * 4], *w = &in[(t ^ 33) * 4];
    const uint32_t pair = (v[0] & 0xffff0000) | w[0] >> 16;
    uint32_t fused = 0;
    for (int h = 0; h < 2; h++) {
      auto value = [&](uint32_t x) { return floatOf(x >> 16 * h << 16); };
      uint32_t r = bitsOf(value(v[1]) * value(w[1]) + value(pair));  // exact in .f32
      r = (r + 0x7fff + (r >> 16 & 1)) >> 16;
      fused |= r << 16 * h;
    }
    const uint32_t want[] = {pair, fused, (v[2] & w[2]) | (~v[2] & fused), w[3] << 16 | (v[3] & 0xffff)};
    for (int k = 0; k < 4; k++) wrong += got[t * 4 + static_cast<size_t>(k)] != want[k];
  }
  CHECK(wrong == 0, "pieces: " + std::to_string(wrong) + " words are wrong");
}

}  // namespace

void testMatrix() {
  uint64_t random = baseSeed() * 104729;
  const std::string text = readText("matrix.ptx");
  Machine m(text);
  if (!m.ok()) return;
  places(m, random);
  rounding(m, random);
  chosen(m);
  matrices(m, random);
  products(text, random);
  copies(m, random);
  pieces(m, random);
}
