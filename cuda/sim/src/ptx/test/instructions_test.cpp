// Every instruction, with its types and modifiers, against a computation of its own, over values at the edges: NaN,
// infinities, subnormals, extremes, ties of rounding, and random bits.
//
// Each case runs one instruction in a kernel of 32-lane warps: operands are loaded, lane by lane, from arrays of raw
// bits, and the results stored. Half of the cases run a second time under a predicate that is false for every third lane.
#include <algorithm>
#include <cfenv>
#include <cmath>
#include <limits>

#include "harness.h"

namespace {

using Bits = uint64_t;
using Inputs = std::vector<std::vector<Bits>>;  // by operand, by lane

float asFloat(Bits b) {
  float f;
  const uint32_t v = static_cast<uint32_t>(b);
  std::memcpy(&f, &v, 4);
  return f;
}
double asDouble(Bits b) {
  double f;
  std::memcpy(&f, &b, 8);
  return f;
}
Bits of(float f) {
  uint32_t v;
  std::memcpy(&v, &f, 4);
  return f != f ? 0x7fffffffu : v;
}
Bits of(double f) {
  Bits v;
  std::memcpy(&v, &f, 8);
  return v;
}

// Half precision by search instead of by arithmetic: the value of each of the 65536 patterns, from the format's definition.
double half(Bits h) {
  const int e = static_cast<int>(h >> 10 & 31);
  const double m = static_cast<double>(h & 1023);
  double v = e == 31 ? (m != 0 ? NAN : INFINITY) : e == 0 ? m * std::pow(2.0, -24) : (1024 + m) * std::pow(2.0, e - 25);
  return h & 0x8000 ? -v : v;
}
double brain(Bits b) { return static_cast<double>(asFloat(b << 16)); }

// The pattern of a 16-bit format nearest to x by the rounding: 'n' nearest even, 'z', 'm', 'p'. `value` is monotonous in
// patterns 0 .. top (infinity).
Bits round16(double (*value)(Bits), Bits top, long double x, char mode) {
  if (x != x) return 0x7fff;
  const bool negative = std::signbit(x);
  const long double size = std::fabs(x);
  Bits low = 0, high = top;  // value(low) <= size
  while (high - low > 1) {
    const Bits middle = (low + high) / 2;
    (value(middle) <= static_cast<double>(size) && static_cast<long double>(value(middle)) <= size ? low : high) = middle;
  }
  if (size == INFINITY) low = top;
  Bits r = low;
  if (low != top && static_cast<long double>(value(low)) != size) {
    // Infinity rounds as the next power of two would.
    const long double next = high == top ? static_cast<long double>(value(low)) + (value(low) - value(low - 1)) : static_cast<long double>(value(high));
    const long double before = size - static_cast<long double>(value(low)), after = next - size;
    bool up = false;
    if (mode == 'n') up = after < before || (after == before && (low & 1));
    if (mode == 'm') up = negative;
    if (mode == 'p') up = !negative;
    if (up) r = high;
  }
  return r | (negative ? 0x8000 : 0);
}
Bits toHalf(long double x, char mode = 'n') { return round16(half, 0x7c00, x, mode); }
Bits toBrain(long double x, char mode = 'n') { return round16(brain, 0x7f80, x, mode); }

struct Operand {
  const char *type;   // of the register: b16 b32 b64 pred
  const char *values; // which edge values: i32 i64 i16 f32 f64 f16 bf16 small (0..40) and so on
};

struct Instruction {
  std::string text;                    // with %d for the result, %a %b %c for the operands
  std::string result;                  // register type
  std::vector<Operand> operands;
  std::function<Bits(const Bits *)> want;
  int ulps = 0;                        // allowed, for .f32 and .f64 results
  std::string kind;                    // how to compare: "", "f32", "f64"
};

std::vector<Bits> edges(const std::string &values) {
  if (values == "i16") return {0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x7ffe, 0x7fff, 0x8000, 0x8001, 0xfffe, 0xffff, 0x1234};
  if (values == "i32" || values == "b32")
    return {0, 1, 2, 3, 31, 32, 0x7f, 0x80, 0xff, 0xffff, 0x10000, 0x7ffffffe, 0x7fffffff, 0x80000000, 0x80000001, 0xfffffffe, 0xffffffff, 0x12345678, 0xdeadbeef};
  if (values == "i64")
    return {0, 1, 2, 63, 64, 0xff, 0xffffffff, 0x100000000, 0x7fffffffffffffff, 0x8000000000000000, 0x8000000000000001, 0xffffffffffffffff,
            0xfffffffffffffffe, 0x123456789abcdef0, 0x20000000000001, 0x40000040000001, 0xffffff8000000000};
  if (values == "shift") return {0, 1, 5, 8, 15, 16, 31, 32, 33, 47, 63, 64, 65, 100, 255, 256, 257, 0xffffffff};
  if (values == "f32")
    return {0, 0x80000000, 1, 0x80000001, 0x007fffff, 0x00800000, 0x3f800000, 0xbf800000, 0x3f000000, 0x40200000, 0x40600000, 0xc0200000, 0x7f7fffff,
            0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001, 0x4f000000, 0x4effffff, 0x5f000000, 0xcf000000, 0x3eaaaaab, 0x33800000,
            0x3f800001, 0x477fe000, 0x477ff000, 0x38800000, 0x33000000, 0x387fc000, 0x3f801000, 0x3f803000, 0x7e800001, 0x42fe0000, 0x437f8000};
  if (values == "f64")
    return {0, 0x8000000000000000, 1, 0x000fffffffffffff, 0x0010000000000000, 0x3ff0000000000000, 0xbff0000000000000, 0x3fe0000000000000,
            0x4004000000000000, 0xc004000000000000, 0x7fefffffffffffff, 0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000,
            0x41dfffffffc00000, 0x41e0000000000000, 0x43e0000000000000, 0xc1e0000000200000, 0x3ff0000010000000, 0x3ff0000030000000, 0x47efffffefffffff,
            0x47effffff0000000, 0x36a0000000000000, 0x3690000000000000, 0x3fd5555555555555, 0x3810000000000001};
  if (values == "f16" || values == "bf16")
    return {0, 0x8000, 1, 0x8001, 0x03ff, 0x0400, 0x3c00, 0xbc00, 0x3800, 0x4100, 0x7bff, 0xfbff, 0x7c00, 0xfc00, 0x7e00, 0x3555, 0x3c01, 0x3f80, 0xbf80,
            0x7f80, 0xff80, 0x7fc0, 0x7f7f, 0x0080, 0x007f, 0x3f81, 0x5640};
  if (values == "pred") return {0, 1};
  return {0};
}

unsigned bytesOf(const std::string &type) { return type == "b16" ? 2 : type == "b64" ? 8 : 4; }

// Lanes: every pair of edges of the first two operands (or a selection), then random bits near the edges.
Inputs inputsFor(const Instruction &i, uint64_t &random) {
  Inputs in(i.operands.size());
  std::vector<std::vector<Bits>> e;
  for (const Operand &o : i.operands) e.push_back(edges(o.values));
  auto pick = [&](size_t o) {
    Bits v = e[o][nextRandom(random) % e[o].size()];
    const uint64_t kind = nextRandom(random) % 4;
    const std::string values = i.operands[o].values;
    if (kind == 0 && values != "shift" && values != "pred") v = nextRandom(random);
    if (kind == 1 && values != "pred") v ^= nextRandom(random) & 3;
    if (kind == 2 && values == "f32") {  // numbers of common size
      const float f = static_cast<float>(static_cast<int64_t>(nextRandom(random) % 4000) - 2000) / 16.0f;
      v = of(f);
    }
    const unsigned bytes = bytesOf(i.operands[o].type);
    return bytes == 8 ? v : v & ((Bits{1} << (8 * bytes)) - 1);
  };
  if (i.operands.size() >= 2)
    for (Bits a : e[0])
      for (Bits b : e[1]) {
        in[0].push_back(a);
        in[1].push_back(b);
        for (size_t o = 2; o < e.size(); o++) in[o].push_back(pick(o));
      }
  else
    for (Bits a : e[0]) in[0].push_back(a);
  const size_t more = 160;
  for (size_t k = 0; k < more || in[0].size() % 32; k++)
    for (size_t o = 0; o < e.size(); o++) in[o].push_back(pick(o));
  return in;
}

std::string kernelOf(const Instruction &i, bool guarded) {
  static const char *names[] = {"%a", "%b", "%c", "%e"};
  std::string body = ".reg .pred %g, %z;\n.reg .b32 %t, %n, %u;\n.reg .b64 %q, %o, %x;\n";
  auto reg = [&](const std::string &type, const std::string &name) { body += ".reg ." + type + " " + name + ";\n"; };
  reg(i.result, "%d");
  for (size_t o = 0; o < i.operands.size(); o++) reg(i.operands[o].type, names[o]);
  body += "mov.u32 %t, %ctaid.x;\nmov.u32 %n, %ntid.x;\nmov.u32 %u, %tid.x;\nmad.lo.u32 %t, %t, %n, %u;\nmul.wide.u32 %o, %t, 8;\n";
  for (size_t o = 0; o < i.operands.size(); o++) {
    body += "ld.param.u64 %q, [p" + std::to_string(o + 1) + "];\nadd.s64 %q, %q, %o;\n";
    const std::string type = i.operands[o].type;
    if (type == "pred") {
      body += "ld.global.u32 %u, [%q];\nsetp.ne.u32 " + std::string(names[o]) + ", %u, 0;\n";
    } else {
      body += "ld.global." + type + " " + names[o] + ", [%q];\n";
    }
  }
  if (i.result == "pred") {
    body += "setp.ne.u32 %d, 0, 0;\n";
  } else {
    body += "mov." + i.result + " %d, 77;\n";
  }
  // A block can't have a guard: lanes jump over it instead.
  const bool block = i.text[0] == '{';
  if (guarded) body += "rem.u32 %u, %t, 3;\nsetp.ne.u32 %g, %u, 0;\n" + std::string(block ? "@!%g bra SKIP;\n" : "@%g ");
  body += i.text + "\n" + (guarded && block ? "SKIP:\n" : "");
  body += "ld.param.u64 %q, [p0];\nadd.s64 %q, %q, %o;\n";
  if (i.result == "pred") {
    body += "selp.u32 %u, 1, 0, %d;\nst.global.u32 [%q], %u;\n";
  } else {
    body += "st.global." + i.result + " [%q], %d;\n";
  }
  return kernelText(body, static_cast<int>(i.operands.size()) + 1);
}

std::string hex(Bits v) {
  char text[32];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(v));
  return text;
}

bool same(const Instruction &i, Bits got, Bits want) {
  if (got == want) return true;
  if (i.kind == "f64" && asDouble(got) != asDouble(got) && asDouble(want) != asDouble(want)) return true;
  if (i.ulps == 0) return false;
  auto order = [](Bits v, Bits sign) { return v & sign ? -static_cast<int64_t>(v & ~sign) : static_cast<int64_t>(v); };
  const Bits sign = i.kind == "f64" ? Bits{1} << 63 : i.kind == "f32" ? Bits{1} << 31 : Bits{1} << 15;
  return std::llabs(order(got, sign) - order(want, sign)) <= i.ulps;
}

void run(const Instruction &i, uint64_t &random) {
  const Inputs in = inputsFor(i, random);
  const size_t n = in[0].size();
  for (int guarded = 0; guarded < 2; guarded++) {
    Machine m(kernelOf(i, guarded));
    if (!m.ok()) return;
    Params p;
    const uint64_t out = m.memory.upload(std::vector<Bits>(n, 0));
    p.add(out);
    for (const auto &values : in) p.add(m.memory.upload(values));
    const auto result = m.launch("k", {static_cast<uint32_t>(n / 32)}, {32}, p);
    if (!CLEAN(result)) {
      std::printf("     in %s\n", i.text.c_str());
      return;
    }
    const auto got = m.memory.download<Bits>(out, n);
    for (size_t lane = 0; lane < n; lane++) {
      Bits lanes[4] = {};
      for (size_t o = 0; o < in.size(); o++) lanes[o] = in[o][lane];
      const unsigned bytes = bytesOf(i.result);
      Bits want = guarded && lane % 3 == 0 ? (i.result == "pred" ? 0 : 77) : i.want(lanes);
      if (bytes < 8) want &= (Bits{1} << (8 * bytes)) - 1;
      if (!same(i, got[lane], want)) {
        CHECK(false, i.text + " of " + hex(lanes[0]) + ", " + hex(lanes[1]) + ", " + hex(lanes[2]) + ": got " + hex(got[lane]) + ", want " + hex(want));
        return;
      }
    }
    CHECK(true, "");
  }
}

std::vector<Instruction> all;

void one(const std::string &text, const char *result, std::vector<Operand> operands, std::function<Bits(const Bits *)> want, int ulps = 0, const char *kind = "") {
  all.push_back({text, result, std::move(operands), std::move(want), ulps, kind});
}

template <class T>
void integersOf(const std::string &u, const std::string &s, const std::string &b, const char *reg, const char *values) {
  using S = std::make_signed_t<T>;
  using W = unsigned __int128;
  using X = __int128;
  constexpr int w = 8 * sizeof(T);
  const std::vector<Operand> two{{reg, values}, {reg, values}}, three{{reg, values}, {reg, values}, {reg, values}};
  auto U = [](Bits v) { return static_cast<W>(static_cast<T>(v)); };
  auto I = [](Bits v) { return static_cast<X>(static_cast<S>(v)); };
  for (const std::string &t : {u, s}) {
    const bool sg = t == s;
    auto V = [=](Bits v) { return sg ? I(v) : static_cast<X>(U(v)); };
    one("add." + t + " %d, %a, %b;", reg, two, [=](const Bits *a) { return static_cast<Bits>(V(a[0]) + V(a[1])); });
    one("sub." + t + " %d, %a, %b;", reg, two, [=](const Bits *a) { return static_cast<Bits>(V(a[0]) - V(a[1])); });
    auto low = [=](const Bits *a) { return static_cast<W>(V(a[0])) * static_cast<W>(V(a[1])); };
    one("mul.lo." + t + " %d, %a, %b;", reg, two, [=](const Bits *a) { return static_cast<Bits>(low(a)); });
    one("mul.hi." + t + " %d, %a, %b;", reg, two, [=](const Bits *a) { return static_cast<Bits>(static_cast<X>(low(a)) >> w); });
    one("mad.lo." + t + " %d, %a, %b, %c;", reg, three, [=](const Bits *a) { return static_cast<Bits>(low(a) + static_cast<W>(V(a[2]))); });
    one("mad.hi." + t + " %d, %a, %b, %c;", reg, three, [=](const Bits *a) { return static_cast<Bits>((static_cast<X>(low(a)) >> w) + V(a[2])); });
    one("div." + t + " %d, %a, %b;", reg, two, [=](const Bits *a) { return V(a[1]) == 0 ? ~Bits{0} : static_cast<Bits>(V(a[0]) / V(a[1])); });
    one("rem." + t + " %d, %a, %b;", reg, two, [=](const Bits *a) { return V(a[1]) == 0 ? a[0] : static_cast<Bits>(V(a[0]) % V(a[1])); });
    one("min." + t + " %d, %a, %b;", reg, two, [=](const Bits *a) { return V(a[0]) < V(a[1]) ? a[0] : a[1]; });
    one("max." + t + " %d, %a, %b;", reg, two, [=](const Bits *a) { return V(a[0]) > V(a[1]) ? a[0] : a[1]; });
    one("sad." + t + " %d, %a, %b, %c;", reg, three, [=](const Bits *a) { return static_cast<Bits>(V(a[2]) + (V(a[0]) < V(a[1]) ? V(a[1]) - V(a[0]) : V(a[0]) - V(a[1]))); });
    one("shr." + t + " %d, %a, %b;", reg, {{reg, values}, {"b32", "shift"}}, [=](const Bits *a) { return static_cast<Bits>(V(a[0]) >> std::min<Bits>(static_cast<uint32_t>(a[1]), 127)); });
    static const struct { const char *n, *un; int c; } comparisons[] = {{"eq", "eq", 0}, {"ne", "ne", 1}, {"lt", "lo", 2}, {"le", "ls", 3}, {"gt", "hi", 4}, {"ge", "hs", 5}};
    for (const auto &c : comparisons)
      for (const std::string &n : sg ? std::vector<std::string>{c.n} : std::vector<std::string>{c.n, c.un}) {
        auto test = [=](const Bits *a) -> bool {
          const X p = V(a[0]), q = V(a[1]);
          return c.c == 0 ? p == q : c.c == 1 ? p != q : c.c == 2 ? p < q : c.c == 3 ? p <= q : c.c == 4 ? p > q : p >= q;
        };
        one("setp." + n + "." + t + " %d, %a, %b;", "pred", two, [=](const Bits *a) { return Bits{test(a)}; });
        one("set." + n + ".u32." + t + " %d, %a, %b;", "b32", two, [=](const Bits *a) { return test(a) ? 0xffffffff : 0; });
        one("set." + n + ".f32." + t + " %d, %a, %b;", "b32", two, [=](const Bits *a) { return test(a) ? 0x3f800000 : 0; });
        if (n != "lt") continue;
        one("setp." + n + ".and." + t + " %d, %a, %b, %c;", "pred", {two[0], two[1], {"pred", "pred"}}, [=](const Bits *a) { return Bits{test(a) && a[2]}; });
        one("setp." + n + ".or." + t + " %d, %a, %b, !%c;", "pred", {two[0], two[1], {"pred", "pred"}}, [=](const Bits *a) { return Bits{test(a) || !a[2]}; });
        one("setp." + n + ".xor." + t + " %d|%z, %a, %b, %c;", "pred", {two[0], two[1], {"pred", "pred"}}, [=](const Bits *a) { return Bits{test(a) != (a[2] != 0)}; });
        one("setp." + n + ".and." + t + " %z|%d, %a, %b, %c;", "pred", {two[0], two[1], {"pred", "pred"}}, [=](const Bits *a) { return Bits{!test(a) && a[2]}; });
      }
  }
  one("abs." + s + " %d, %a;", reg, {two[0]}, [=](const Bits *a) { return static_cast<Bits>(I(a[0]) < 0 ? -I(a[0]) : I(a[0])); });
  one("neg." + s + " %d, %a;", reg, {two[0]}, [=](const Bits *a) { return static_cast<Bits>(-I(a[0])); });
  one("and." + b + " %d, %a, %b;", reg, two, [](const Bits *a) { return a[0] & a[1]; });
  one("or." + b + " %d, %a, %b;", reg, two, [](const Bits *a) { return a[0] | a[1]; });
  one("xor." + b + " %d, %a, %b;", reg, two, [](const Bits *a) { return a[0] ^ a[1]; });
  one("not." + b + " %d, %a;", reg, {two[0]}, [](const Bits *a) { return ~a[0]; });
  one("cnot." + b + " %d, %a;", reg, {two[0]}, [](const Bits *a) { return Bits{a[0] == 0}; });
  one("shl." + b + " %d, %a, %b;", reg, {{reg, values}, {"b32", "shift"}}, [=](const Bits *a) { return static_cast<uint32_t>(a[1]) >= w ? 0 : a[0] << a[1]; });
  one("mov." + b + " %d, %a;", reg, {two[0]}, [](const Bits *a) { return a[0]; });
  one("selp." + b + " %d, %a, %b, %c;", reg, {two[0], two[1], {"pred", "pred"}}, [](const Bits *a) { return a[2] ? a[0] : a[1]; });
  one("selp." + b + " %d, %a, 9, !%b;", reg, {two[0], {"pred", "pred"}}, [](const Bits *a) { return a[1] ? 9 : a[0]; });
  one("slct." + b + ".s32 %d, %a, %b, %c;", reg, {two[0], two[1], {"b32", "i32"}}, [](const Bits *a) { return static_cast<int32_t>(a[2]) >= 0 ? a[0] : a[1]; });
  one("slct." + b + ".f32 %d, %a, %b, %c;", reg, {two[0], two[1], {"b32", "f32"}}, [](const Bits *a) { return asFloat(a[2]) >= 0 ? a[0] : a[1]; });
}

uint32_t bitOf(Bits v, int k) { return static_cast<uint32_t>(v >> k & 1); }

void bitInstructions() {
  const std::vector<Operand> b32{{"b32", "b32"}}, b64{{"b64", "i64"}};
  for (int w : {32, 64}) {
    const std::string t = std::to_string(w);
    const std::vector<Operand> &x = w == 32 ? b32 : b64;
    const char *reg = w == 32 ? "b32" : "b64";
    one("popc.b" + t + " %d, %a;", "b32", x, [=](const Bits *a) { Bits n = 0; for (int k = 0; k < w; k++) n += bitOf(a[0], k); return n; });
    one("clz.b" + t + " %d, %a;", "b32", x, [=](const Bits *a) { Bits n = 0; while (n < Bits(w) && !bitOf(a[0], w - 1 - static_cast<int>(n))) n++; return n; });
    one("brev.b" + t + " %d, %a;", reg, x, [=](const Bits *a) { Bits r = 0; for (int k = 0; k < w; k++) r |= Bits{bitOf(a[0], k)} << (w - 1 - k); return r; });
    for (bool sg : {false, true}) {
      const std::string ty = (sg ? "s" : "u") + t;
      auto find = [=](Bits v) -> Bits {
        const uint32_t sign = sg ? bitOf(v, w - 1) : 0;
        for (int k = w - 1; k >= 0; k--) if (bitOf(v, k) != sign) return static_cast<Bits>(k);
        return 0xffffffff;
      };
      one("bfind." + ty + " %d, %a;", "b32", x, [=](const Bits *a) { return find(a[0]); });
      one("bfind.shiftamt." + ty + " %d, %a;", "b32", x, [=](const Bits *a) { return find(a[0]) == 0xffffffff ? 0xffffffff : Bits(w - 1) - find(a[0]); });
      one("bfe." + ty + " %d, %a, %b, %c;", reg, {x[0], {"b32", "shift"}, {"b32", "shift"}}, [=](const Bits *a) {
        const int pos = static_cast<int>(a[1] & 255), len = static_cast<int>(a[2] & 255);
        const uint32_t sbit = !sg || len == 0 ? 0 : bitOf(a[0], std::min(pos + len - 1, w - 1));
        Bits d = 0;
        for (int k = 0; k < w; k++) d |= Bits{k < len && pos + k < w ? bitOf(a[0], pos + k) : sbit} << k;
        return d;
      });
    }
    one("bfi.b" + t + " %d, %a, %b, %c, %e;", reg, {x[0], x[0], {"b32", "shift"}, {"b32", "shift"}}, [=](const Bits *a) {
      const int pos = static_cast<int>(a[2] & 255), len = static_cast<int>(a[3] & 255);
      Bits d = a[1];
      for (int k = 0; k < len && pos + k < w; k++) d = (d & ~(Bits{1} << (pos + k))) | Bits{bitOf(a[0], k)} << (pos + k);
      return d;
    });
  }
  const Operand x{"b32", "b32"}, sh{"b32", "shift"};
  for (unsigned table : {0x00u, 0x80u, 0xe8u, 0x96u, 0xcau, 0xf8u, 0x1bu, 0xffu})
    one("lop3.b32 %d, %a, %b, %c, " + std::to_string(table) + ";", "b32", {x, x, x}, [=](const Bits *a) {
      Bits r = 0;
      for (int k = 0; k < 32; k++) r |= Bits{table >> (bitOf(a[0], k) * 4 + bitOf(a[1], k) * 2 + bitOf(a[2], k)) & 1} << k;
      return r;
    });
  one("shf.l.wrap.b32 %d, %a, %b, %c;", "b32", {x, x, sh}, [](const Bits *a) { const int s = a[2] & 31; return s ? a[1] << s | a[0] >> (32 - s) : a[1]; });
  one("shf.l.clamp.b32 %d, %a, %b, %c;", "b32", {x, x, sh}, [](const Bits *a) { const Bits s = std::min<Bits>(a[2], 32); return s == 0 ? a[1] : s == 32 ? a[0] : a[1] << s | a[0] >> (32 - s); });
  one("shf.r.wrap.b32 %d, %a, %b, %c;", "b32", {x, x, sh}, [](const Bits *a) { const int s = a[2] & 31; return s ? a[1] << (32 - s) | a[0] >> s : a[0]; });
  one("shf.r.clamp.b32 %d, %a, %b, %c;", "b32", {x, x, sh}, [](const Bits *a) { const Bits s = std::min<Bits>(a[2], 32); return s == 0 ? a[0] : s == 32 ? a[1] : a[1] << (32 - s) | a[0] >> s; });
  one("prmt.b32 %d, %a, %b, %c;", "b32", {x, x, x}, [](const Bits *a) {
    uint8_t bytes[8];
    for (int k = 0; k < 4; k++) bytes[k] = static_cast<uint8_t>(a[0] >> 8 * k), bytes[4 + k] = static_cast<uint8_t>(a[1] >> 8 * k);
    Bits r = 0;
    for (int k = 0; k < 4; k++) {
      const int s = static_cast<int>(a[2] >> 4 * k & 15);
      r |= Bits{s & 8 ? static_cast<uint8_t>(bytes[s & 7] & 128 ? 255 : 0) : bytes[s]} << 8 * k;
    }
    return r;
  });
  // The table of the manual: bytes of the result from the most significant, for selectors 0 to 3.
  const struct { const char *mode; int at[4][4]; } modes[] = {
      {"f4e", {{3, 2, 1, 0}, {4, 3, 2, 1}, {5, 4, 3, 2}, {6, 5, 4, 3}}}, {"b4e", {{5, 6, 7, 0}, {6, 7, 0, 1}, {7, 0, 1, 2}, {0, 1, 2, 3}}},
      {"rc8", {{0, 0, 0, 0}, {1, 1, 1, 1}, {2, 2, 2, 2}, {3, 3, 3, 3}}}, {"ecl", {{3, 2, 1, 0}, {3, 2, 1, 1}, {3, 2, 2, 2}, {3, 3, 3, 3}}},
      {"ecr", {{0, 0, 0, 0}, {1, 1, 1, 0}, {2, 2, 1, 0}, {3, 2, 1, 0}}}, {"rc16", {{1, 0, 1, 0}, {3, 2, 3, 2}, {1, 0, 1, 0}, {3, 2, 3, 2}}}};
  for (const auto &mode : modes)
    one(std::string("prmt.b32.") + mode.mode + " %d, %a, %b, %c;", "b32", {x, x, x}, [=](const Bits *a) {
      const Bits both = a[1] << 32 | a[0];
      Bits r = 0;
      for (int k = 0; k < 4; k++) r = r << 8 | (both >> 8 * mode.at[a[2] & 3][k] & 255);
      return r;
    });
  one("bmsk.clamp.b32 %d, %a, %b;", "b32", {sh, sh}, [](const Bits *a) { Bits r = 0; for (Bits k = 0; k < 32; k++) r |= Bits{k >= a[0] && k - a[0] < a[1]} << k; return r; });
  one("bmsk.wrap.b32 %d, %a, %b;", "b32", {sh, sh}, [](const Bits *a) { Bits r = 0; for (Bits k = 0; k < 32; k++) r |= Bits{k >= (a[0] & 31) && k - (a[0] & 31) < (a[1] & 31)} << k; return r; });
  for (bool sg : {false, true})
    for (bool wrap : {false, true})
      one(std::string("szext.") + (wrap ? "wrap" : "clamp") + (sg ? ".s32" : ".u32") + " %d, %a, %b;", "b32", {x, sh}, [=](const Bits *a) {
        const Bits n = wrap ? a[1] & 31 : std::min<Bits>(a[1], 32);
        Bits r = 0;
        for (Bits k = 0; k < 32; k++) r |= Bits{k < n ? bitOf(a[0], static_cast<int>(k)) : sg && n ? bitOf(a[0], static_cast<int>(n) - 1) : 0u} << k;
        return r;
      });
  for (int sa = 0; sa < 2; sa++)
    for (int sb = 0; sb < 2; sb++) {
      const std::string types = std::string(sa ? ".s32" : ".u32") + (sb ? ".s32" : ".u32");
      auto byte = [](Bits v, int k, bool sg) { return sg ? int64_t{static_cast<int8_t>(v >> 8 * k)} : int64_t{static_cast<uint8_t>(v >> 8 * k)}; };
      auto word = [](Bits v, int k, bool sg) { return sg ? int64_t{static_cast<int16_t>(v >> 16 * k)} : int64_t{static_cast<uint16_t>(v >> 16 * k)}; };
      one("dp4a" + types + " %d, %a, %b, %c;", "b32", {x, x, x}, [=](const Bits *a) { int64_t s = static_cast<int64_t>(a[2]); for (int k = 0; k < 4; k++) s += byte(a[0], k, sa) * byte(a[1], k, sb); return static_cast<Bits>(s); });
      for (int hi = 0; hi < 2; hi++)
        one(std::string("dp2a.") + (hi ? "hi" : "lo") + types + " %d, %a, %b, %c;", "b32", {x, x, x}, [=](const Bits *a) { int64_t s = static_cast<int64_t>(a[2]); for (int k = 0; k < 2; k++) s += word(a[0], k, sa) * byte(a[1], k + 2 * hi, sb); return static_cast<Bits>(s); });
    }
  auto clamp32 = [](int64_t v) { return static_cast<Bits>(std::min<int64_t>(std::max<int64_t>(v, INT32_MIN), INT32_MAX)); };
  auto s32 = [](Bits v) { return int64_t{static_cast<int32_t>(v)}; };
  one("add.sat.s32 %d, %a, %b;", "b32", {x, x}, [=](const Bits *a) { return clamp32(s32(a[0]) + s32(a[1])); });
  one("sub.sat.s32 %d, %a, %b;", "b32", {x, x}, [=](const Bits *a) { return clamp32(s32(a[0]) - s32(a[1])); });
  one("mad.hi.sat.s32 %d, %a, %b, %c;", "b32", {x, x, x}, [=](const Bits *a) { return clamp32((s32(a[0]) * s32(a[1]) >> 32) + s32(a[2])); });
  one("min.relu.s32 %d, %a, %b;", "b32", {x, x}, [=](const Bits *a) { return static_cast<Bits>(std::max<int64_t>(0, std::min(s32(a[0]), s32(a[1])))); });
  one("max.relu.s32 %d, %a, %b;", "b32", {x, x}, [=](const Bits *a) { return static_cast<Bits>(std::max<int64_t>(0, std::max(s32(a[0]), s32(a[1])))); });
  auto s24 = [](Bits v) { return static_cast<int64_t>(v << 40) >> 40; };
  one("mul24.lo.s32 %d, %a, %b;", "b32", {x, x}, [=](const Bits *a) { return static_cast<Bits>(s24(a[0]) * s24(a[1])); });
  one("mul24.hi.u32 %d, %a, %b;", "b32", {x, x}, [](const Bits *a) { return (a[0] & 0xffffff) * (a[1] & 0xffffff) >> 16; });
  one("mad24.lo.u32 %d, %a, %b, %c;", "b32", {x, x, x}, [](const Bits *a) { return (a[0] & 0xffffff) * (a[1] & 0xffffff) + a[2]; });
  const Operand h{"b16", "i16"}, l{"b64", "i64"};
  one("mul.wide.u16 %d, %a, %b;", "b32", {h, h}, [](const Bits *a) { return a[0] * a[1]; });
  one("mul.wide.s16 %d, %a, %b;", "b32", {h, h}, [](const Bits *a) { return static_cast<Bits>(int64_t{static_cast<int16_t>(a[0])} * static_cast<int16_t>(a[1])); });
  one("mul.wide.u32 %d, %a, %b;", "b64", {x, x}, [](const Bits *a) { return a[0] * a[1]; });
  one("mul.wide.s32 %d, %a, %b;", "b64", {x, x}, [=](const Bits *a) { return static_cast<Bits>(s32(a[0]) * s32(a[1])); });
  one("mad.wide.u32 %d, %a, %b, %c;", "b64", {x, x, l}, [](const Bits *a) { return a[0] * a[1] + a[2]; });
  one("mad.wide.s32 %d, %a, %b, %c;", "b64", {x, x, l}, [=](const Bits *a) { return static_cast<Bits>(s32(a[0]) * s32(a[1])) + a[2]; });
  one("mad.wide.u16 %d, %a, %b, %c;", "b32", {h, h, x}, [](const Bits *a) { return a[0] * a[1] + a[2]; });
  // Extended precision: 64-bit sums of 32-bit parts, the flag between.
  one("{ .reg .b32 %l<6>; mov.b64 {%l0, %l1}, %a; mov.b64 {%l2, %l3}, %b; add.cc.u32 %l4, %l0, %l2; addc.u32 %l5, %l1, %l3; mov.b64 %d, {%l4, %l5}; }", "b64", {l, l}, [](const Bits *a) { return a[0] + a[1]; });
  one("{ .reg .b32 %l<6>; mov.b64 {%l0, %l1}, %a; mov.b64 {%l2, %l3}, %b; sub.cc.u32 %l4, %l0, %l2; subc.u32 %l5, %l1, %l3; mov.b64 %d, {%l4, %l5}; }", "b64", {l, l}, [](const Bits *a) { return a[0] - a[1]; });
  one("{ .reg .b32 %l<4>; mul.lo.u32 %l0, %a, %b; mul.hi.u32 %l1, %a, %b; mov.b64 {%l2, %l3}, %c; mad.lo.cc.u32 %l0, %a, %b, %l2; madc.hi.u32 %l1, %a, %b, %l3; mov.b64 %d, {%l0, %l1}; }", "b64", {x, x, l}, [](const Bits *a) { return a[0] * a[1] + a[2]; });
  one("{ .reg .b64 %l<2>; add.cc.u64 %l0, %a, %b; addc.u64 %d, 0, 0; }", "b64", {l, l}, [](const Bits *a) { return Bits{a[0] + a[1] < a[0]}; });
  one("mov.b32 %d, {%a, %b};", "b32", {h, h}, [](const Bits *a) { return a[1] << 16 | a[0]; });
  one("mov.b64 %d, {%a, %b};", "b64", {x, x}, [](const Bits *a) { return a[1] << 32 | a[0]; });
  one("{ .reg .b16 %l; mov.b32 {_, %l}, %a; mov.b16 %d, %l; }", "b16", {x}, [](const Bits *a) { return a[0] >> 16; });
  one("{ .reg .b16 %l<4>; mov.b64 {%l0, %l1, %l2, %l3}, %a; mov.b64 %d, {%l3, %l2, %l1, %l0}; }", "b64", {l}, [](const Bits *a) { return (a[0] & 0xffff) << 48 | (a[0] >> 16 & 0xffff) << 32 | (a[0] >> 32 & 0xffff) << 16 | a[0] >> 48; });
  const Operand p{"pred", "pred"};
  one("and.pred %d, %a, !%b;", "pred", {p, p}, [](const Bits *a) { return Bits{a[0] && !a[1]}; });
  one("or.pred %d, %a, %b;", "pred", {p, p}, [](const Bits *a) { return Bits{a[0] || a[1]}; });
  one("xor.pred %d, %a, %b;", "pred", {p, p}, [](const Bits *a) { return Bits{a[0] != a[1]}; });
  one("not.pred %d, %a;", "pred", {p}, [](const Bits *a) { return Bits{!a[0]}; });
  one("mov.pred %d, %a;", "pred", {p}, [](const Bits *a) { return a[0]; });
}

// One operation in another rounding mode of the processor.
template <class F>
auto rounded(char mode, F f) {
  std::fesetround(mode == 'z' ? FE_TOWARDZERO : mode == 'm' ? FE_DOWNWARD : mode == 'p' ? FE_UPWARD : FE_TONEAREST);
  const volatile auto r = f();
  std::fesetround(FE_TONEAREST);
  return decltype(f())(r);
}

float flushed(float f) { return std::fabs(f) < std::numeric_limits<float>::min() ? std::copysign(0.0f, f) : f; }
template <class T>
T saturated(T v) {
  return v != v ? T(0) : std::min(std::max(v, T(0)), T(1)) + T(0);
}

void floatInstructions() {
  const Operand f{"b32", "f32"}, g{"b64", "f64"};
  const std::vector<Operand> f1{f}, f2{f, f}, f3{f, f, f}, g1{g}, g2{g, g}, g3{g, g, g};
  for (char mode : {'n', 'z', 'm', 'p'}) {
    const std::string r = std::string(".r") + mode;
    for (bool ftz : {false, true})
      for (bool sat : {false, true}) {
        const std::string tail = r + (ftz ? ".ftz" : "") + (sat ? ".sat" : "") + ".f32 %d, %a, %b";
        auto in = [=](Bits v) { return ftz ? flushed(asFloat(v)) : asFloat(v); };
        auto out = [=](float v) { v = ftz ? flushed(v) : v; return of(sat ? saturated(v) : v); };
        one("add" + tail + ";", "b32", f2, [=](const Bits *a) { return out(rounded(mode, [&] { volatile float x = in(a[0]), y = in(a[1]); return float(x + y); })); });
        one("sub" + tail + ";", "b32", f2, [=](const Bits *a) { return out(rounded(mode, [&] { volatile float x = in(a[0]), y = in(a[1]); return float(x - y); })); });
        one("mul" + tail + ";", "b32", f2, [=](const Bits *a) { return out(rounded(mode, [&] { volatile float x = in(a[0]), y = in(a[1]); return float(x * y); })); });
        one("fma" + tail + ", %c;", "b32", f3, [=](const Bits *a) { return out(rounded(mode, [&] { volatile float x = in(a[0]), y = in(a[1]), z = in(a[2]); return std::fma(float(x), float(y), float(z)); })); });
        if (sat) continue;
        one("div" + tail + ";", "b32", f2, [=](const Bits *a) { return out(rounded(mode, [&] { volatile float x = in(a[0]), y = in(a[1]); return float(x / y); })); });
        const std::string unary = r + (ftz ? ".ftz" : "") + ".f32 %d, %a;";
        one("rcp" + unary, "b32", f1, [=](const Bits *a) { return out(rounded(mode, [&] { volatile float x = 1, y = in(a[0]); return float(x / y); })); });
        one("sqrt" + unary, "b32", f1, [=](const Bits *a) { return out(rounded(mode, [&] { volatile float x = in(a[0]); return std::sqrt(float(x)); })); });
      }
    const std::string tail = r + ".f64 %d, %a, %b";
    one("add" + tail + ";", "b64", g2, [=](const Bits *a) { return of(rounded(mode, [&] { volatile double x = asDouble(a[0]), y = asDouble(a[1]); return double(x + y); })); }, 0, "f64");
    one("sub" + tail + ";", "b64", g2, [=](const Bits *a) { return of(rounded(mode, [&] { volatile double x = asDouble(a[0]), y = asDouble(a[1]); return double(x - y); })); }, 0, "f64");
    one("mul" + tail + ";", "b64", g2, [=](const Bits *a) { return of(rounded(mode, [&] { volatile double x = asDouble(a[0]), y = asDouble(a[1]); return double(x * y); })); }, 0, "f64");
    one("div" + tail + ";", "b64", g2, [=](const Bits *a) { return of(rounded(mode, [&] { volatile double x = asDouble(a[0]), y = asDouble(a[1]); return double(x / y); })); }, 0, "f64");
    one("fma" + tail + ", %c;", "b64", g3, [=](const Bits *a) { return of(rounded(mode, [&] { volatile double x = asDouble(a[0]), y = asDouble(a[1]), z = asDouble(a[2]); return std::fma(double(x), double(y), double(z)); })); }, 0, "f64");
    one("rcp" + r + ".f64 %d, %a;", "b64", g1, [=](const Bits *a) { return of(rounded(mode, [&] { volatile double x = 1, y = asDouble(a[0]); return double(x / y); })); }, 0, "f64");
    one("sqrt" + r + ".f64 %d, %a;", "b64", g1, [=](const Bits *a) { return of(rounded(mode, [&] { volatile double x = asDouble(a[0]); return std::sqrt(double(x)); })); }, 0, "f64");
  }
  one("add.f32 %d, %a, 0f3F800000;", "b32", f1, [](const Bits *a) { return of(asFloat(a[0]) + 1.0f); });
  one("mul.f64 %d, %a, 0d4000000000000000;", "b64", g1, [](const Bits *a) { return of(asDouble(a[0]) * 2); }, 0, "f64");
  one("div.full.f32 %d, %a, %b;", "b32", f2, [](const Bits *a) { return of(asFloat(a[0]) / asFloat(a[1])); }, 2, "f32");
  one("div.approx.f32 %d, %a, %b;", "b32", f2, [](const Bits *a) {
    const float x = asFloat(a[0]), y = asFloat(a[1]);
    if (std::fabs(y) > 0x1p126f && std::isfinite(y)) return of(std::isinf(x) || x != x ? NAN : std::copysign(0.0f, x) * std::copysign(1.0f, y));
    return of(x / y);
  }, 2, "f32");
  for (bool ftz : {false, true}) {
    const std::string z = ftz ? ".ftz" : "";
    auto in = [=](Bits v) { return ftz ? flushed(asFloat(v)) : asFloat(v); };
    auto out = [=](double v) { const float r = static_cast<float>(v); return of(ftz ? flushed(r) : r); };
    const struct { const char *n; double (*f)(double); } functions[] = {
        {"ex2", [](double v) { return std::exp2(v); }}, {"lg2", [](double v) { return std::log2(v); }}, {"sin", [](double v) { return std::sin(v); }},
        {"cos", [](double v) { return std::cos(v); }}, {"rcp", [](double v) { return 1 / v; }}, {"rsqrt", [](double v) { return 1 / std::sqrt(v); }},
        {"sqrt", [](double v) { return std::sqrt(v); }}};
    for (const auto &fn : functions) {
      auto call = fn.f;
      one(std::string(fn.n) + ".approx" + z + ".f32 %d, %a;", "b32", f1, [=](const Bits *a) { return out(call(static_cast<double>(in(a[0])))); }, 1, "f32");
    }
    for (bool nan : {false, true})
      for (bool max : {false, true})
        one(std::string(max ? "max" : "min") + z + (nan ? ".NaN" : "") + ".f32 %d, %a, %b;", "b32", f2, [=](const Bits *a) {
          const float x = in(a[0]), y = in(a[1]);
          if (x != x || y != y) return of(nan ? NAN : x != x ? y : x);
          if (x == 0 && y == 0) return of(max ? (std::signbit(x) ? y : x) : (std::signbit(x) ? x : y));
          return of((x < y) != max ? x : y);
        });
    one("abs" + z + ".f32 %d, %a;", "b32", f1, [=](const Bits *a) { return ftz && (a[0] & 0x7fffffff) < 0x800000 ? 0 : a[0] & 0x7fffffff; });
    one("neg" + z + ".f32 %d, %a;", "b32", f1, [=](const Bits *a) { return (ftz && (a[0] & 0x7fffffff) < 0x800000 ? a[0] & 0x80000000 : a[0]) ^ 0x80000000; });
  }
  one("tanh.approx.f32 %d, %a;", "b32", f1, [](const Bits *a) { return of(static_cast<float>(std::tanh(static_cast<double>(asFloat(a[0]))))); }, 1, "f32");
  one("max.xorsign.abs.f32 %d, %a, %b;", "b32", f2, [](const Bits *a) {
    const float x = std::fabs(asFloat(a[0])), y = std::fabs(asFloat(a[1]));
    if (x != x && y != y) return of(NAN);
    const float r = x != x ? y : y != y ? x : std::max(x, y);
    return (of(r) & 0x7fffffff) | ((a[0] ^ a[1]) & 0x80000000);
  });
  one("abs.f64 %d, %a;", "b64", g1, [](const Bits *a) { return a[0] & ~(Bits{1} << 63); });
  one("neg.f64 %d, %a;", "b64", g1, [](const Bits *a) { return a[0] ^ Bits{1} << 63; });
  one("min.f64 %d, %a, %b;", "b64", g2, [](const Bits *a) { const double x = asDouble(a[0]), y = asDouble(a[1]); return x == y ? (a[0] >> 63 ? a[0] : a[1]) : x != x ? a[1] : y != y ? a[0] : x < y ? a[0] : a[1]; }, 0, "f64");
  one("max.f64 %d, %a, %b;", "b64", g2, [](const Bits *a) { const double x = asDouble(a[0]), y = asDouble(a[1]); return x == y ? (a[0] >> 63 ? a[1] : a[0]) : x != x ? a[1] : y != y ? a[0] : x < y ? a[1] : a[0]; }, 0, "f64");
  one("copysign.f32 %d, %a, %b;", "b32", f2, [](const Bits *a) { return (a[0] & 0x80000000) | (a[1] & 0x7fffffff); });
  one("copysign.f64 %d, %a, %b;", "b64", g2, [](const Bits *a) { return (a[0] & Bits{1} << 63) | (a[1] & ~(Bits{1} << 63)); });
  one("rcp.approx.ftz.f64 %d, %a;", "b64", g1, [](const Bits *a) {
    double v = asDouble(a[0] & ~Bits{0xffffffff});
    if (std::fabs(v) < std::numeric_limits<double>::min()) v = std::copysign(0.0, v);
    double r = 1 / v;
    if (std::fabs(r) < std::numeric_limits<double>::min()) r = std::copysign(0.0, r);
    return of(r) & ~Bits{0xffffffff};
  }, 0, "f64");
  const struct { const char *n; int c; } comparisons[] = {{"eq", 0}, {"ne", 1}, {"lt", 2}, {"le", 3}, {"gt", 4}, {"ge", 5}, {"equ", 6}, {"neu", 7}, {"ltu", 8}, {"leu", 9}, {"gtu", 10}, {"geu", 11}, {"num", 12}, {"nan", 13}};
  auto compare = [](int c, double x, double y) -> bool {
    const bool unordered = x != x || y != y;
    switch (c % 6) {
      case 0: if (c < 12) return unordered ? c >= 6 : x == y; return !unordered;
      case 1: if (c < 12) return unordered ? c >= 6 : x != y; return unordered;
      case 2: return unordered ? c >= 6 : x < y;
      case 3: return unordered ? c >= 6 : x <= y;
      case 4: return unordered ? c >= 6 : x > y;
      default: return unordered ? c >= 6 : x >= y;
    }
  };
  const Operand h{"b16", "f16"}, b{"b16", "bf16"};
  for (const auto &c : comparisons) {
    const int k = c.c;
    const std::string n = std::string("setp.") + c.n;
    one(n + ".f32 %d, %a, %b;", "pred", f2, [=](const Bits *a) { return Bits{compare(k, asFloat(a[0]), asFloat(a[1]))}; });
    one(n + ".ftz.f32 %d, %a, %b;", "pred", f2, [=](const Bits *a) { return Bits{compare(k, flushed(asFloat(a[0])), flushed(asFloat(a[1])))}; });
    one(n + ".f64 %d, %a, %b;", "pred", g2, [=](const Bits *a) { return Bits{compare(k, asDouble(a[0]), asDouble(a[1]))}; });
    one(n + ".f16 %d, %a, %b;", "pred", {h, h}, [=](const Bits *a) { return Bits{compare(k, half(a[0]), half(a[1]))}; });
    one(n + ".bf16 %d, %a, %b;", "pred", {b, b}, [=](const Bits *a) { return Bits{compare(k, brain(a[0]), brain(a[1]))}; });
    one(n + ".f16x2 %z|%d, %a, %b;", "pred", {{"b32", "b32"}, {"b32", "b32"}}, [=](const Bits *a) { return Bits{compare(k, half(a[0] >> 16), half(a[1] >> 16))}; });
    one(std::string("set.") + c.n + ".f16x2.f16x2 %d, %a, %b;", "b32", {{"b32", "b32"}, {"b32", "b32"}}, [=](const Bits *a) {
      return (compare(k, half(a[0] >> 16), half(a[1] >> 16)) ? 0x3c000000u : 0u) | (compare(k, half(a[0] & 0xffff), half(a[1] & 0xffff)) ? 0x3c00u : 0u);
    });
  }
  const struct { const char *n; int c; } properties[] = {{"finite", 0}, {"infinite", 1}, {"number", 2}, {"notanumber", 3}, {"normal", 4}, {"subnormal", 5}};
  for (const auto &q : properties) {
    const int k = q.c;
    auto has = [=](bool e0, bool eTop, bool m0) { return Bits{k == 0 ? !eTop : k == 1 ? eTop && m0 : k == 2 ? !(eTop && !m0) : k == 3 ? eTop && !m0 : k == 4 ? !e0 && !eTop : e0 && !m0}; };
    one(std::string("testp.") + q.n + ".f32 %d, %a;", "pred", f1, [=](const Bits *a) { return has((a[0] >> 23 & 255) == 0, (a[0] >> 23 & 255) == 255, (a[0] & 0x7fffff) == 0); });
    one(std::string("testp.") + q.n + ".f64 %d, %a;", "pred", g1, [=](const Bits *a) { return has((a[0] >> 52 & 2047) == 0, (a[0] >> 52 & 2047) == 2047, (a[0] << 12) == 0); });
  }
  // Half precision: exact in 80 bits of long double, then rounded once.
  const Operand x{"b32", "b32"};
  for (bool isBrain : {false, true}) {
    const std::string t = isBrain ? "bf16" : "f16";
    const Operand o = isBrain ? b : h;
    auto value = [=](Bits v) { return static_cast<long double>(isBrain ? brain(v) : half(v)); };
    auto store = [=](long double v) { return isBrain ? toBrain(v) : toHalf(v); };
    const struct { const char *n; int c; } operations[] = {{"add", 0}, {"sub", 1}, {"mul", 2}, {"min", 3}, {"max", 4}};
    for (const auto &op : operations) {
      const int k = op.c;
      auto apply = [=](Bits p, Bits q) -> Bits {
        const long double u = value(p), v = value(q);
        if (k < 3) return store(k == 0 ? u + v : k == 1 ? u - v : u * v);
        if (u != u || v != v) return u != u ? (v != v ? 0x7fff : q) : p;
        if (u == v) return k == 3 ? (p >> 15 ? p : q) : (p >> 15 ? q : p);
        return (u < v) == (k == 3) ? p : q;
      };
      one(std::string(op.n) + "." + t + " %d, %a, %b;", "b16", {o, o}, [=](const Bits *a) { return apply(a[0], a[1]); });
      one(std::string(op.n) + "." + t + "x2 %d, %a, %b;", "b32", {x, x}, [=](const Bits *a) { return apply(a[0] >> 16, a[1] >> 16) << 16 | apply(a[0] & 0xffff, a[1] & 0xffff); });
    }
    // Products of half precision are exact in long double, but a bfloat16 sum may span more than 64 bits; those lanes
    // are compared to the sum rounded to odd first.
    auto fma = [=](Bits p, Bits q, Bits r) -> Bits {
      const long double product = value(p) * value(q), c = value(r);
      long double s = product + c;
      if (std::isfinite(s)) {
        const long double t = s - product, error = (product - (s - t)) + (c - t);
        if (error != 0 && s != 0) {
          // Move a hair towards the exact sum, so that no tie of the narrow format is met by accident.
          const long double moved = std::nextafter(s, error > 0 ? INFINITY : -INFINITY);
          if (store(s) != store(moved)) s = moved;
        }
      }
      return store(s);
    };
    one("fma.rn." + t + " %d, %a, %b, %c;", "b16", {o, o, o}, [=](const Bits *a) { return fma(a[0], a[1], a[2]); });
    one("fma.rn." + t + "x2 %d, %a, %b, %c;", "b32", {x, x, x}, [=](const Bits *a) { return fma(a[0] >> 16, a[1] >> 16, a[2] >> 16) << 16 | fma(a[0] & 0xffff, a[1] & 0xffff, a[2] & 0xffff); });
    one("fma.rn.relu." + t + " %d, %a, %b, %c;", "b16", {o, o, o}, [=](const Bits *a) { const Bits r = fma(a[0], a[1], a[2]); return r >> 15 ? 0 : r; });
    one("neg." + t + " %d, %a;", "b16", {o}, [](const Bits *a) { return a[0] ^ 0x8000; });
    one("abs." + t + "x2 %d, %a;", "b32", {x}, [](const Bits *a) { return a[0] & 0x7fff7fff; });
    one("tanh.approx." + t + " %d, %a;", "b16", {o}, [=](const Bits *a) { return store(std::tanh(value(a[0]))); }, 1, "f16");
  }
  one("ex2.approx.f16 %d, %a;", "b16", {h}, [](const Bits *a) { return toHalf(std::exp2(static_cast<long double>(half(a[0])))); }, 1, "f16");
  one("add.sat.f16 %d, %a, %b;", "b16", {h, h}, [](const Bits *a) { return toHalf(saturated(half(a[0]) + half(a[1]))); });
}

void conversions() {
  const struct { const char *t; int w; bool sg; const char *reg, *values; } integers[] = {
      {"u8", 8, false, "b16", "i16"}, {"s8", 8, true, "b16", "i16"}, {"u16", 16, false, "b16", "i16"}, {"s16", 16, true, "b16", "i16"},
      {"u32", 32, false, "b32", "i32"}, {"s32", 32, true, "b32", "i32"}, {"u64", 64, false, "b64", "i64"}, {"s64", 64, true, "b64", "i64"}};
  using X = __int128;
  auto value = [](Bits v, int w, bool sg) -> X {
    const int unused = 64 - w;
    return sg ? static_cast<X>(static_cast<int64_t>(v << unused) >> unused) : static_cast<X>(v << unused >> unused);
  };
  auto least = [](int w, bool sg) -> X { return sg ? -(X{1} << (w - 1)) : 0; };
  auto most = [](int w, bool sg) -> X { return (X{1} << (sg ? w - 1 : w)) - 1; };
  for (const auto &to : integers) {
    for (const auto &from : integers) {
      const auto T = to;
      const auto F = from;
      auto plain = [=](const Bits *a) { return static_cast<Bits>(value(static_cast<Bits>(value(a[0], F.w, F.sg)), T.w, T.sg)); };
      one(std::string("cvt.") + T.t + "." + F.t + " %d, %a;", T.reg, {{F.reg, F.values}}, plain);
      const bool fits = least(T.w, T.sg) <= least(F.w, F.sg) && most(T.w, T.sg) >= most(F.w, F.sg);  // .sat is refused then
      if (!fits) one(std::string("cvt.sat.") + T.t + "." + F.t + " %d, %a;", T.reg, {{F.reg, F.values}}, [=](const Bits *a) {
        return static_cast<Bits>(std::min(std::max(value(a[0], F.w, F.sg), least(T.w, T.sg)), most(T.w, T.sg)));
      });
      if (F.w < 64) one(std::string("cvt.") + T.t + "." + F.t + " %d, %a;", "b64", {{"b64", "i64"}}, plain);  // wider registers
    }
    const auto T = to;
    for (char mode : {'n', 'z', 'm', 'p'}) {
      auto integral = [=](double v) { return mode == 'n' ? std::nearbyint(v) : mode == 'z' ? std::trunc(v) : mode == 'm' ? std::floor(v) : std::ceil(v); };
      auto convert = [=](double v, bool wide) -> Bits {
        if (v != v) return wide || T.w == 64 ? static_cast<Bits>(value(Bits{1} << (T.w - 1), T.w, T.sg)) : 0;
        const double r = integral(v);
        if (r >= std::ldexp(1.0, T.sg ? T.w - 1 : T.w)) return static_cast<Bits>(most(T.w, T.sg));
        if (r < static_cast<double>(least(T.w, T.sg))) return static_cast<Bits>(least(T.w, T.sg));
        return static_cast<Bits>(static_cast<X>(r));
      };
      const std::string n = std::string("cvt.r") + mode + "i.";
      one(n + T.t + ".f32 %d, %a;", T.reg, {{"b32", "f32"}}, [=](const Bits *a) { return convert(asFloat(a[0]), false); });
      one(n + "ftz." + T.t + ".f32 %d, %a;", T.reg, {{"b32", "f32"}}, [=](const Bits *a) { return convert(flushed(asFloat(a[0])), false); });
      one(n + T.t + ".f64 %d, %a;", T.reg, {{"b64", "f64"}}, [=](const Bits *a) { return convert(asDouble(a[0]), true); });
      one(n + T.t + ".f16 %d, %a;", T.reg, {{"b16", "f16"}}, [=](const Bits *a) { return convert(half(a[0]), false); });
      const std::string back = std::string("cvt.r") + mode + ".";
      // long double holds any 64-bit integer.
      one(back + "f32." + T.t + " %d, %a;", "b32", {{T.reg, T.values}}, [=](const Bits *a) { return of(rounded(mode, [&] { volatile long double v = static_cast<long double>(value(a[0], T.w, T.sg)); return static_cast<float>(v); })); });
      one(back + "f64." + T.t + " %d, %a;", "b64", {{T.reg, T.values}}, [=](const Bits *a) { return of(rounded(mode, [&] { volatile long double v = static_cast<long double>(value(a[0], T.w, T.sg)); return static_cast<double>(v); })); });
      one(back + "f16." + T.t + " %d, %a;", "b16", {{T.reg, T.values}}, [=](const Bits *a) { return toHalf(static_cast<long double>(value(a[0], T.w, T.sg)), mode); });
    }
  }
  for (char mode : {'n', 'z', 'm', 'p'}) {
    const std::string r = std::string("cvt.r") + mode;
    auto integral = [=](double v) { return mode == 'n' ? std::nearbyint(v) : mode == 'z' ? std::trunc(v) : mode == 'm' ? std::floor(v) : std::ceil(v); };
    one(r + "i.f32.f32 %d, %a;", "b32", {{"b32", "f32"}}, [=](const Bits *a) { return of(static_cast<float>(integral(asFloat(a[0])))); });
    one(r + "i.ftz.sat.f32.f32 %d, %a;", "b32", {{"b32", "f32"}}, [=](const Bits *a) { return of(saturated(static_cast<float>(integral(flushed(asFloat(a[0])))))); });
    one(r + "i.f64.f64 %d, %a;", "b64", {{"b64", "f64"}}, [=](const Bits *a) { return of(integral(asDouble(a[0]))); }, 0, "f64");
    one(r + "i.f16.f16 %d, %a;", "b16", {{"b16", "f16"}}, [=](const Bits *a) { return toHalf(integral(half(a[0]))); });
    auto narrow = [=](Bits v) { return rounded(mode, [&] { volatile double d = asDouble(v); return static_cast<float>(d); }); };
    one(r + ".f32.f64 %d, %a;", "b32", {{"b64", "f64"}}, [=](const Bits *a) { return of(narrow(a[0])); });
    one(r + ".ftz.f32.f64 %d, %a;", "b32", {{"b64", "f64"}}, [=](const Bits *a) { return of(flushed(narrow(a[0]))); });
    one(r + ".sat.f32.f64 %d, %a;", "b32", {{"b64", "f64"}}, [=](const Bits *a) { return of(saturated(narrow(a[0]))); });
    one(r + ".f16.f32 %d, %a;", "b16", {{"b32", "f32"}}, [=](const Bits *a) { return toHalf(asFloat(a[0]), mode); });
    one(r + ".f16.f64 %d, %a;", "b16", {{"b64", "f64"}}, [=](const Bits *a) { return toHalf(asDouble(a[0]), mode); });
    if (mode == 'm' || mode == 'p') continue;
    one(r + ".bf16.f32 %d, %a;", "b16", {{"b32", "f32"}}, [=](const Bits *a) { return toBrain(asFloat(a[0]), mode); });
    one(r + ".relu.bf16.f32 %d, %a;", "b16", {{"b32", "f32"}}, [=](const Bits *a) { const Bits v = toBrain(asFloat(a[0]), mode); return v >> 15 ? 0 : v; });
    one(r + ".bf16x2.f32 %d, %a, %b;", "b32", {{"b32", "f32"}, {"b32", "f32"}}, [=](const Bits *a) { return toBrain(asFloat(a[0]), mode) << 16 | toBrain(asFloat(a[1]), mode); });
    one(r + ".f16x2.f32 %d, %a, %b;", "b32", {{"b32", "f32"}, {"b32", "f32"}}, [=](const Bits *a) { return toHalf(asFloat(a[0]), mode) << 16 | toHalf(asFloat(a[1]), mode); });
  }
  one("cvt.f32.f16 %d, %a;", "b32", {{"b16", "f16"}}, [](const Bits *a) { return of(static_cast<float>(half(a[0]))); });
  one("cvt.f64.f16 %d, %a;", "b64", {{"b16", "f16"}}, [](const Bits *a) { return of(half(a[0])); }, 0, "f64");
  one("cvt.f32.bf16 %d, %a;", "b32", {{"b16", "bf16"}}, [](const Bits *a) { return of(static_cast<float>(brain(a[0]))); });
  one("cvt.f64.f32 %d, %a;", "b64", {{"b32", "f32"}}, [](const Bits *a) { return of(static_cast<double>(asFloat(a[0]))); }, 0, "f64");
  one("cvt.ftz.f64.f32 %d, %a;", "b64", {{"b32", "f32"}}, [](const Bits *a) { return of(static_cast<double>(flushed(asFloat(a[0])))); }, 0, "f64");
  one("cvt.sat.f32.f32 %d, %a;", "b32", {{"b32", "f32"}}, [](const Bits *a) { return of(saturated(asFloat(a[0]))); });
  one("cvt.ftz.f32.f32 %d, %a;", "b32", {{"b32", "f32"}}, [](const Bits *a) { return of(flushed(asFloat(a[0]))); });
  one("cvt.rna.tf32.f32 %d, %a;", "b32", {{"b32", "f32"}}, [](const Bits *a) -> Bits {
    if (asFloat(a[0]) != asFloat(a[0])) return 0x7fffe000;
    if (std::isinf(asFloat(a[0]))) return a[0];
    return (a[0] + 0x1000) & 0xffffe000;
  });
  one("cvt.pack.sat.s16.s32 %d, %a, %b;", "b32", {{"b32", "i32"}, {"b32", "i32"}}, [=](const Bits *a) {
    auto clamp = [](Bits v) { return static_cast<Bits>(std::min(std::max(static_cast<int32_t>(v), -32768), 32767)) & 0xffff; };
    return clamp(a[0]) << 16 | clamp(a[1]);
  });
  one("cvt.pack.sat.u8.s32.b32 %d, %a, %b, %c;", "b32", {{"b32", "i32"}, {"b32", "i32"}, {"b32", "i32"}}, [=](const Bits *a) {
    auto clamp = [](Bits v) { return static_cast<Bits>(std::min(std::max(static_cast<int32_t>(v), 0), 255)); };
    return a[2] << 16 | clamp(a[0]) << 8 | clamp(a[1]);
  });
}

// Loads and stores of every type and width of register, through shared, local, generic and global memory.
void memoryInstructions() {
  const Operand l{"b64", "i64"};
  for (const char *space : {"shared", "local"})
    for (const std::string t : {"u8", "s8", "u16", "s16", "u32", "s32", "b64"})
      for (const std::string reg : {"b16", "b32", "b64"}) {
        const int w = std::stoi(t.substr(1)), r = std::stoi(reg.substr(1));
        if (w > r) continue;
        const bool sg = t[0] == 's';
        // Each lane its own 8 bytes; stored whole, then partly read back.
        std::string text = std::string("{ .reg .b64 %l<4>; .reg .b32 %s; .") + space + " .align 8 .b8 m[512]; .reg ." + reg + " %v; mov.u64 %l0, m; cvta." + space +
                           ".u64 %l1, %l0; mov.u32 %s, %laneid; ";
        text += std::string(space) == "shared" ? "mul.wide.u32 %l2, %s, 8;" : "mul.wide.u32 %l2, 3, 8;";
        text += " add.u64 %l1, %l1, %l2; add.u64 %l0, %l0, %l2; st.u64 [%l1], %a; ld." + std::string(space) + "." + t + " %v, [%l0]; ";
        text += "st." + t + " [%l1], %v; ld.volatile.u64 %d, [%l1]; xor.b64 %d, %d, %a; ";  // storing back changes nothing
        text += r == 64 ? "add.u64 %d, %d, %v; }" : "cvt.u64.u" + std::to_string(r) + " %l3, %v; add.u64 %d, %d, %l3; }";
        one(text, "b64", {l}, [=](const Bits *a) {
          const int unused = 64 - w;
          const Bits v = sg ? static_cast<Bits>(static_cast<int64_t>(a[0] << unused) >> unused) : a[0] << unused >> unused;
          return r == 64 ? v : v & ((Bits{1} << r) - 1);
        });
      }
  one("{ .shared .align 16 .b8 m[512]; .reg .b32 %l<9>; mov.u32 %l0, m; mov.u32 %l1, %laneid; shl.b32 %l2, %l1, 4; add.u32 %l0, %l0, %l2; mov.b64 {%l3, %l4}, %a; "
      "st.shared.v4.b32 [%l0], {%l3, %l4, %l4, %l3}; ld.shared.v2.u32 {%l5, %l6}, [%l0+8]; mov.b64 %d, {%l5, %l6}; }", "b64", {l}, [](const Bits *a) { return a[0] << 32 | a[0] >> 32; });
  one("{ .shared .align 16 .b8 m[512]; .reg .b64 %l<3>; .reg .b32 %s<3>; .reg .b16 %h<4>; mov.u64 %l0, m; mov.u32 %s1, %laneid; mul.wide.u32 %l2, %s1, 16; add.u64 %l0, %l0, %l2; "
      "st.shared.u64 [%l0+8], %a; ld.shared.v4.u16 {%h0, %h1, %h2, %h3}, [%l0+8]; mov.b64 %d, {%h0, %h1, %h2, %h3}; }", "b64", {l}, [](const Bits *a) { return a[0]; });
  one("{ .shared .align 16 .b8 m[512]; .reg .b64 %l<4>; .reg .b32 %s; mov.u64 %l0, m; mov.u32 %s, %laneid; mul.wide.u32 %l2, %s, 16; add.u64 %l0, %l0, %l2; "
      "st.shared.v2.b64 [%l0], {%a, 5}; ld.shared.v2.f64 {%d, _}, [%l0]; }", "b64", {l}, [](const Bits *a) { return a[0]; });
}

// Atomics, each lane on a word of its own: what they return, and what they leave (shown by a load after them).
void atomicInstructions() {
  const struct { const char *op, *type; } ops[] = {{"add", "u32"}, {"add", "u64"}, {"add", "f32"}, {"add", "f64"}, {"min", "s32"}, {"min", "u32"}, {"max", "s64"}, {"max", "u64"},
      {"exch", "b32"}, {"exch", "b64"}, {"inc", "u32"}, {"dec", "u32"}, {"and", "b32"}, {"or", "b64"}, {"xor", "b32"}, {"add.noftz", "f16x2"}, {"add.noftz", "bf16"}, {"cas", "b32"}, {"cas", "b64"}, {"cas", "b16"}};
  for (const auto &o : ops) {
    const std::string op = o.op, t = o.type;
    const int w = t == "f16x2" ? 32 : t == "bf16" ? 16 : std::stoi(t.substr(1));
    const std::string reg = "b" + std::to_string(w);
    const char *r = w == 16 ? "b16" : w == 32 ? "b32" : "b64";
    const char *values = t == "f32" ? "f32" : t == "f64" ? "f64" : t == "bf16" ? "bf16" : w == 32 ? "i32" : w == 16 ? "i16" : "i64";
    const bool cas = op == "cas";
    auto after = [=](const Bits *a) -> Bits {
      const Bits old = a[0], b = a[1];
      if (t == "f32") return of(asFloat(old) + asFloat(b));
      if (t == "f64") return of(asDouble(old) + asDouble(b));
      if (t == "bf16") return toBrain(static_cast<long double>(brain(old)) + brain(b));
      if (t == "f16x2") return toHalf(static_cast<long double>(half(old >> 16)) + half(b >> 16)) << 16 | toHalf(static_cast<long double>(half(old & 0xffff)) + half(b & 0xffff));
      if (op == "add") return old + b;
      if (op == "min") return t == "s32" ? (static_cast<int32_t>(b) < static_cast<int32_t>(old) ? b : old) : std::min(old, b);
      if (op == "max") return t == "s64" ? (static_cast<int64_t>(b) > static_cast<int64_t>(old) ? b : old) : std::max(old, b);
      if (op == "exch") return b;
      if (op == "inc") return old >= b ? 0 : old + 1;
      if (op == "dec") return old == 0 || old > b ? b : old - 1;
      if (op == "and") return old & b;
      if (op == "or") return old | b;
      if (op == "xor") return old ^ b;
      return old == b ? a[2] : old;
    };
    for (const char *space : {"shared", "generic"}) {
      const bool shared = std::string(space) == "shared";
      const std::string where = shared ? ".shared" : "";
      std::string head = "{ .shared .align 8 .b8 m[256]; .reg .b64 %l<3>; .reg .b32 %s; mov.u64 %l0, m; mov.u32 %s, %laneid; mul.wide.u32 %l1, %s, 8; add.u64 %l0, %l0, %l1; st.shared." + reg + " [%l0], %a; ";
      if (!shared) head += "cvta.shared.u64 %l0, %l0; ";
      const std::string arguments = cas ? ", %b, %c; " : ", %b; ";
      std::vector<Operand> operands{{r, values}, {r, values}};
      if (cas) operands.push_back({r, values});
      one(head + "atom" + where + "." + op + "." + t + " %d, [%l0]" + arguments + "}", r, operands, [](const Bits *a) { return a[0]; });
      if (!cas && op != "exch")
        one(head + "red" + where + "." + op + "." + t + " [%l0]" + arguments + "ld.volatile" + where + "." + reg + " %d, [%l0]; }", r, operands, after, 0, t == "f64" ? "f64" : "");
      else
        one(head + "{ .reg ." + reg + " %old; atom.relaxed.cta" + where + "." + op + "." + t + " %old, [%l0]" + arguments + "} ld.volatile" + where + "." + reg + " %d, [%l0]; }", r, operands, after);
    }
  }
}

// Across a warp: checked by a kernel for each, since lanes see each other's values.
void warpInstructions() {
  uint64_t random = baseSeed() * 31 + 7;
  struct Case {
    const char *text;
    std::function<uint32_t(const uint32_t *, int)> want;
  };
  auto fold = [](auto f) { return [f](const uint32_t *v, int) { uint32_t r = v[0]; for (int k = 1; k < 32; k++) r = f(r, v[k]); return r; }; };
  auto any = [](const uint32_t *v, auto f) { uint32_t n = 0; for (int k = 0; k < 32; k++) n += f(v[k]) ? 1 : 0; return n; };
  const std::vector<Case> cases = {
      {"shfl.sync.idx.b32 %d, %v, %o, 31, -1;", [](const uint32_t *v, int l) { return v[(l * 7 + 3) & 31]; }},
      {"shfl.sync.idx.b32 %d, %v, %o, 0x181f, -1;", [](const uint32_t *v, int l) { return v[(l & 24) | ((l * 7 + 3) & 7)]; }},
      {"shfl.sync.up.b32 %d, %v, 5, 0, -1;", [](const uint32_t *v, int l) { return v[l < 5 ? l : l - 5]; }},
      {"shfl.sync.up.b32 %d, %v, 3, 0x1800, -1;", [](const uint32_t *v, int l) { return v[(l & 7) < 3 ? l : l - 3]; }},
      {"shfl.sync.down.b32 %d, %v, 9, 31, -1;", [](const uint32_t *v, int l) { return v[l + 9 > 31 ? l : l + 9]; }},
      {"shfl.sync.down.b32 %d, %v, 2, 0x1c1f, -1;", [](const uint32_t *v, int l) { return v[(l & 3) + 2 > 3 ? l : l + 2]; }},
      {"shfl.sync.bfly.b32 %d, %v, 16, 31, -1;", [](const uint32_t *v, int l) { return v[l ^ 16]; }},
      {"shfl.sync.down.b32 %d|%p, %v, 9, 31, -1; selp.u32 %d, 1, 0, %p;", [](const uint32_t *, int l) { return uint32_t(l + 9 <= 31); }},
      {"shfl.sync.up.b32 %d|%p, %v, 4, 0, -1; selp.u32 %d, 1, 0, %p;", [](const uint32_t *, int l) { return uint32_t(l >= 4); }},
      {"vote.sync.ballot.b32 %d, %q, -1;", [](const uint32_t *v, int) { uint32_t r = 0; for (int k = 0; k < 32; k++) r |= (v[k] & 1) << k; return r; }},
      {"vote.sync.all.pred %p, %q, -1; selp.u32 %d, 1, 0, %p;", [=](const uint32_t *v, int) { return uint32_t(any(v, [](uint32_t x) { return x & 1; }) == 32); }},
      {"vote.sync.any.pred %p, !%q, -1; selp.u32 %d, 1, 0, %p;", [=](const uint32_t *v, int) { return uint32_t(any(v, [](uint32_t x) { return x & 1; }) != 32); }},
      {"vote.sync.uni.pred %p, %q, -1; selp.u32 %d, 1, 0, %p;", [=](const uint32_t *v, int) { const uint32_t n = any(v, [](uint32_t x) { return x & 1; }); return uint32_t(n == 0 || n == 32); }},
      {"activemask.b32 %d;", [](const uint32_t *, int) { return UINT32_MAX; }},
      {"match.any.sync.b32 %d, %v, -1;", [](const uint32_t *v, int l) { uint32_t r = 0; for (int k = 0; k < 32; k++) r |= uint32_t(v[k] == v[l]) << k; return r; }},
      {"match.all.sync.b32 %d|%p, %v, -1;", [](const uint32_t *v, int) { for (int k = 1; k < 32; k++) if (v[k] != v[0]) return 0u; return UINT32_MAX; }},
      {"redux.sync.add.u32 %d, %v, -1;", fold([](uint32_t a, uint32_t b) { return a + b; })},
      {"redux.sync.min.u32 %d, %v, -1;", fold([](uint32_t a, uint32_t b) { return std::min(a, b); })},
      {"redux.sync.max.s32 %d, %v, -1;", fold([](uint32_t a, uint32_t b) { return static_cast<int32_t>(a) > static_cast<int32_t>(b) ? a : b; })},
      {"redux.sync.and.b32 %d, %v, -1;", fold([](uint32_t a, uint32_t b) { return a & b; })},
      {"redux.sync.or.b32 %d, %v, -1;", fold([](uint32_t a, uint32_t b) { return a | b; })},
      {"redux.sync.xor.b32 %d, %v, -1;", fold([](uint32_t a, uint32_t b) { return a ^ b; })},
      {"elect.sync %d|%p, -1;", [](const uint32_t *, int) { return 0u; }},
      {"bar.red.popc.u32 %d, 0, %q;", [=](const uint32_t *v, int) { return any(v, [](uint32_t x) { return x & 1; }); }},
      {"bar.red.or.pred %p, 0, %q; selp.u32 %d, 1, 0, %p;", [=](const uint32_t *v, int) { return uint32_t(any(v, [](uint32_t x) { return x & 1; }) != 0); }},
      {"barrier.cta.red.and.aligned.pred %p, 0, !%q; selp.u32 %d, 1, 0, %p;", [=](const uint32_t *v, int) { return uint32_t(any(v, [](uint32_t x) { return x & 1; }) == 0); }},
      {"mov.u32 %d, %lanemask_lt;", [](const uint32_t *, int l) { return (1u << l) - 1; }},
      {"mov.u32 %d, %lanemask_ge;", [](const uint32_t *, int l) { return ~((1u << l) - 1); }},
      {"mov.u32 %d, %nctaid.x;", [](const uint32_t *, int) { return 1u; }},
      {"{ .reg .u32 %i; rem.u32 %i, %l, 3; t: .branchtargets A, B, C; brx.idx %i, t; A: mov.u32 %d, 10; bra D; B: mov.u32 %d, 20; bra D; C: mov.u32 %d, 30; D: }", [](const uint32_t *, int l) { return 10u * (l % 3 + 1); }},
  };
  for (const Case &c : cases)
    for (int kind = 0; kind < 3; kind++) {
      Machine m(kernelText(std::string(".reg .pred %p, %q;\n.reg .b32 %l, %d, %v, %o, %u;\n.reg .b64 %a, %b, %x;\nld.param.u64 %a, [p0];\nld.param.u64 %b, [p1];\nmov.u32 %l, %laneid;\n"
                           "mul.wide.u32 %x, %l, 4;\nadd.u64 %a, %a, %x;\nadd.u64 %b, %b, %x;\nld.global.u32 %v, [%b];\nmad.lo.u32 %o, %l, 7, 3;\nand.b32 %u, %v, 1;\nsetp.ne.u32 %q, %u, 0;\n") +
                           c.text + "\nst.global.u32 [%a], %d;", 2));
      if (!m.ok()) continue;
      std::vector<uint32_t> v(32), want(32);
      for (uint32_t &x : v) x = kind == 0 ? static_cast<uint32_t>(nextRandom(random)) : kind == 1 ? 5 : static_cast<uint32_t>(nextRandom(random) % 3) * 2;
      for (int l = 0; l < 32; l++) want[static_cast<size_t>(l)] = c.want(v.data(), l);
      const uint64_t out = m.memory.allocate(128);
      CLEAN(m.launch("k", {1}, {32}, Params().add(out).add(m.memory.upload(v))));
      CHECK(m.memory.download<uint32_t>(out, 32) == want, c.text);
    }
}

}  // namespace

void testInstructions() {
  integersOf<uint16_t>("u16", "s16", "b16", "b16", "i16");
  integersOf<uint32_t>("u32", "s32", "b32", "b32", "i32");
  integersOf<uint64_t>("u64", "s64", "b64", "b64", "i64");
  bitInstructions();
  floatInstructions();
  conversions();
  memoryInstructions();
  atomicInstructions();
  uint64_t random = baseSeed();
  for (const Instruction &i : all) run(i, random);
  std::printf("     %zu instructions\n", all.size());
  warpInstructions();
}
