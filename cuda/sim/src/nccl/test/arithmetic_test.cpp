// Sums, products, maxima and minima of all types, and broadcasts, against plain loops.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "nccl/test/rig.h"

namespace {

struct Type {
  const char *name;
  ncclDataType_t type;
  size_t size;
  bool whole, hasSign;
};

const Type kTypes[] = {
    {"int8", ncclInt8, 1, true, true},        {"uint8", ncclUint8, 1, true, false},
    {"int32", ncclInt32, 4, true, true},      {"uint32", ncclUint32, 4, true, false},
    {"int64", ncclInt64, 8, true, true},      {"uint64", ncclUint64, 8, true, false},
    {"float16", ncclFloat16, 2, false, true}, {"float32", ncclFloat32, 4, false, true},
    {"float64", ncclFloat64, 8, false, true}, {"bfloat16", ncclBfloat16, 2, false, true},
};

const ncclRedOp_t kOps[] = {ncclSum, ncclProd, ncclMax, ncclMin};

// Small whole numbers: all types hold them, their sums and their products exactly.
void encode(double x, const Type &type, uint8_t *to) {
  const auto whole = static_cast<int64_t>(x);
  const auto single = static_cast<float>(x);
  uint32_t bits;
  std::memcpy(&bits, &single, 4);
  const uint16_t brain = uint16_t(bits >> 16);
  const uint16_t half = x == 0 ? uint16_t(std::signbit(x) ? 0x8000 : 0) : uint16_t((bits >> 16 & 0x8000) | (((bits >> 13) & 0x3ffff) - (112 << 10)));
  if (type.whole) std::memcpy(to, &whole, type.size);
  else if (type.type == ncclFloat64) std::memcpy(to, &x, 8);
  else if (type.type == ncclFloat32) std::memcpy(to, &single, 4);
  else std::memcpy(to, type.type == ncclFloat16 ? &half : &brain, 2);
}

double reduced(const std::vector<double> &values, ncclRedOp_t op) {
  double result = values[0];
  for (size_t i = 1; i < values.size(); i++) {
    if (op == ncclSum) result += values[i];
    if (op == ncclProd) result *= values[i];
    if (op == ncclMax) result = std::max(result, values[i]);
    if (op == ncclMin) result = std::min(result, values[i]);
  }
  return result;
}

std::string shown(const std::vector<uint8_t> &bytes, size_t count) {
  std::string text;
  char byte[4];
  for (size_t i = 0; i < std::min(count, bytes.size()); i++) {
    std::snprintf(byte, sizeof byte, "%02x ", bytes[i]);
    text += byte;
  }
  return text;
}

double anyNumber(std::mt19937_64 &random, const Type &type) {
  const int low = type.hasSign ? -3 : 0;
  return std::uniform_int_distribution<int>(low, 3)(random);
}

void allReduces(uint64_t seed) {
  std::mt19937_64 random(seed);
  for (const Type &type : kTypes) {
    for (const ncclRedOp_t op : kOps) {
      const int ranks = 1 + int(random() % 4);
      const size_t count = 1 + random() % 50;
      const bool inPlace = random() % 2 == 0;
      std::vector<std::vector<uint8_t>> in(ranks, std::vector<uint8_t>(count * type.size));
      std::vector<uint8_t> want(count * type.size);
      for (size_t i = 0; i < count; i++) {
        std::vector<double> values;
        for (int rank = 0; rank < ranks; rank++) {
          values.push_back(anyNumber(random, type));
          encode(values.back(), type, &in[rank][i * type.size]);
        }
        encode(reduced(values, op), type, &want[i * type.size]);
      }
      const std::string what = std::string(type.name) + ", operation " + std::to_string(op) + ", " +
                               std::to_string(ranks) + " ranks" + (inPlace ? ", in place" : "");
      Machine machine("devices=4,seed=" + std::to_string(random() % 1000));
      inThreads(ranks, [&](Rank &rank) {
        const Bytes send(in[rank.rank]), receive(std::vector<uint8_t>(want.size(), 0x11));
        void *to = inPlace ? send.pointer() : receive.pointer();
        MUST(ncclAllReduce(send.pointer(), to, count, type.type, op, rank.comm, rank.stream));
        const std::vector<uint8_t> got = (inPlace ? send : receive).get(rank.stream);
        check(got == want, what + ": " + shown(got, 24) + "instead of " + shown(want, 24));
        if (!inPlace) check(send.get(rank.stream) == in[rank.rank], what + ": what was sent has changed");
      });
    }
  }
}

// Whole numbers that are too large wrap; a NaN is no maximum.
void edges() {
  Machine machine("devices=2");
  inThreads(2, [&](Rank &rank) {
    const int32_t large[] = {INT32_MAX, 1 << 20}, want[] = {-2, 0};
    std::vector<uint8_t> bytes(8);
    std::memcpy(bytes.data(), large, 8);
    const Bytes whole(bytes);
    MUST(ncclAllReduce(whole.pointer(), whole.pointer(), 1, ncclInt32, ncclSum, rank.comm, rank.stream));
    void *second = static_cast<uint8_t *>(whole.pointer()) + 4;
    MUST(ncclAllReduce(second, second, 1, ncclInt32, ncclProd, rank.comm, rank.stream));
    std::vector<uint8_t> wrapped(8);
    std::memcpy(wrapped.data(), want, 8);
    check(whole.get(rank.stream) == wrapped, "large numbers: " + shown(whole.get(rank.stream), 8));
    const Bytes one(floats({rank.rank == 0 ? NAN : 1.5f, rank.rank == 0 ? NAN : 1}));
    MUST(ncclAllReduce(one.pointer(), one.pointer(), 1, ncclFloat32, ncclMax, rank.comm, rank.stream));
    void *other = static_cast<uint8_t *>(one.pointer()) + 4;
    MUST(ncclAllReduce(other, other, 1, ncclFloat32, ncclSum, rank.comm, rank.stream));
    const std::vector<float> got = asFloats(one.get(rank.stream));
    check(got[0] == 1.5f && std::isnan(got[1]), "NaN: maximum " + std::to_string(got[0]) + ", sum " + std::to_string(got[1]));
  });
}

// Sums are added in the order of the ranks: as float, once rounded for bfloat16, so all get the same bits.
void orderOfSums() {
  const std::vector<float> parts[] = {{1, 1e8f}, {1e8f, 1}, {-1e8f, -1e8f}};
  Machine machine("devices=3");
  inThreads(3, [&](Rank &rank) {
    const Bytes values(floats(parts[rank.rank]));
    MUST(ncclAllReduce(values.pointer(), values.pointer(), 2, ncclFloat32, ncclSum, rank.comm, rank.stream));
    const std::vector<float> got = asFloats(values.get(rank.stream));
    check(got == std::vector<float>({0, 0}), "in another order: " + std::to_string(got[0]) + ", " + std::to_string(got[1]));
    // 1 + 2^-8 + 2^-8: a sum that is rounded twice stays at 1.
    const uint16_t brains[] = {0x3f80, 0x3b80, 0x3b80};
    std::vector<uint8_t> bytes(2);
    std::memcpy(bytes.data(), &brains[rank.rank], 2);
    const Bytes brain(bytes);
    MUST(ncclAllReduce(brain.pointer(), brain.pointer(), 1, ncclBfloat16, ncclSum, rank.comm, rank.stream));
    check(brain.get(rank.stream) == std::vector<uint8_t>({0x81, 0x3f}), "bfloat16: " + shown(brain.get(rank.stream), 2));
  });
}

void broadcasts(uint64_t seed) {
  std::mt19937_64 random(seed);
  for (int ranks = 1; ranks <= 4; ranks++) {
    for (int root = 0; root < ranks; root++) {
      const size_t count = 1 + random() % 100000;
      Machine machine("devices=4,seed=" + std::to_string(random() % 1000));
      inThreads(ranks, [&](Rank &rank) {
        std::vector<float> mine(count, float(rank.rank + 1)), want(count, float(root + 1));
        mine.back() = want.back() = -1;
        const Bytes send(floats(mine)), receive(std::vector<uint8_t>(count * 4, 0x11));
        const void *from = rank.rank == root ? send.pointer() : nullptr;  // of the root alone
        MUST(ncclBroadcast(from, receive.pointer(), count, ncclFloat32, root, rank.comm, rank.stream));
        check(asFloats(receive.get(rank.stream)) == want, "a broadcast from " + std::to_string(root));
        MUST(ncclBroadcast(send.pointer(), send.pointer(), count, ncclFloat32, root, rank.comm, rank.stream));
        check(asFloats(send.get(rank.stream)) == want, "a broadcast in place from " + std::to_string(root));
      });
    }
  }
}

// More than the arithmetic takes at a time.
void large() {
  Machine machine("devices=2,traffic=1");
  constexpr size_t kCount = 100003;
  inThreads(2, [&](Rank &rank) {
    std::vector<float> mine(kCount), want(kCount);
    for (size_t i = 0; i < kCount; i++) {
      mine[i] = float(i) * float(rank.rank + 1);
      want[i] = float(i) * 3;
    }
    const Bytes send(floats(mine)), receive(std::vector<uint8_t>(kCount * 4));
    MUST(ncclAllReduce(send.pointer(), receive.pointer(), kCount, ncclFloat32, ncclSum, rank.comm, rank.stream));
    check(asFloats(receive.get(rank.stream)) == want, "a large sum");
    MUST(ncclAllReduce(send.pointer(), receive.pointer(), 0, ncclFloat32, ncclSum, rank.comm, rank.stream));
  });
  check(counter("call.ncclAllReduce") == 4, "calls: " + std::to_string(counter("call.ncclAllReduce")));
  check(counter("ran.ncclAllReduce") == 2, "ran: " + std::to_string(counter("ran.ncclAllReduce")));
  check(counter("nccl") == 2 && counter("nccl.bytes") == 2 * 4 * kCount, "bytes: " + std::to_string(counter("nccl.bytes")));
  const uint64_t sectors = (4 * kCount + 31) / 32 * 32;
  check(counter("traffic read ncclAllReduce") == 2 * sectors && counter("traffic written ncclAllReduce") == 2 * sectors,
        "traffic: " + std::to_string(counter("traffic read ncclAllReduce")));
}

}  // namespace

void testArithmetic(uint64_t seed) {
  allReduces(seed);
  edges();
  orderOfSums();
  broadcasts(seed);
  large();
}
