#include "rig.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <numeric>

#include "core/core.h"

namespace test {
namespace {

int checks, failures;
constexpr int kMostShown = 20;
constexpr uint8_t kGap = 0xa7;

size_t sizeOf(cudnnDataType_t type) {
  if (type == CUDNN_DATA_DOUBLE) return 8;
  return type == CUDNN_DATA_FLOAT ? 4 : 2;
}

// Half precision of a number that has it exactly.
uint16_t halfOf(double x) {
  if (x == 0) return 0;
  int exponent;
  const double mantissa = std::frexp(std::fabs(x), &exponent);
  const int rest = static_cast<int>((mantissa * 2 - 1) * 1024), biased = exponent - 1 + 15;
  return static_cast<uint16_t>((x < 0 ? 0x8000 : 0) | biased << 10 | rest);
}

double ofHalf(uint16_t h) {
  const int exponent = h >> 10 & 31, mantissa = h & 1023;
  double x = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
  if (exponent == 31) x = mantissa ? std::nan("") : HUGE_VAL;
  return h & 0x8000 ? -x : x;
}

void encode(uint8_t *to, cudnnDataType_t type, double value) {
  const float single = static_cast<float>(value);
  if (type == CUDNN_DATA_DOUBLE) std::memcpy(to, &value, 8);
  if (type == CUDNN_DATA_FLOAT) std::memcpy(to, &single, 4);
  if (type == CUDNN_DATA_BFLOAT16) std::memcpy(to, reinterpret_cast<const uint8_t *>(&single) + 2, 2);
  if (type == CUDNN_DATA_HALF) {
    const uint16_t half = halfOf(value);
    std::memcpy(to, &half, 2);
  }
}

double decode(const uint8_t *from, cudnnDataType_t type) {
  double value = 0;
  float single = 0;
  uint16_t half = 0;
  if (type == CUDNN_DATA_DOUBLE) {
    std::memcpy(&value, from, 8);
    return value;
  }
  if (type == CUDNN_DATA_HALF) {
    std::memcpy(&half, from, 2);
    return ofHalf(half);
  }
  if (type == CUDNN_DATA_FLOAT) std::memcpy(&single, from, 4);
  if (type == CUDNN_DATA_BFLOAT16) std::memcpy(reinterpret_cast<uint8_t *>(&single) + 2, from, 2);
  return static_cast<double>(single);
}

size_t extent(const Dims &dims, const Dims &strides) {
  size_t last = 0;
  for (size_t i = 0; i < dims.size(); i++) last += static_cast<size_t>(dims[i] - 1) * static_cast<size_t>(strides[i]);
  return last + 1;
}

// Strides of dimensions nested in the order given, outermost first, each with `gap(i)` elements behind it.
template <class Gap>
Dims nested(const Dims &dims, const std::vector<size_t> &order, Gap gap) {
  Dims strides(dims.size());
  int next = 1;
  for (size_t i = dims.size(); i-- > 0;) {
    strides[order[i]] = next;
    next = next * dims[order[i]] + gap();
  }
  return strides;
}

std::vector<size_t> inOrder(size_t n) {
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t(0));
  return order;
}

}  // namespace

void check(bool right, const std::string &otherwise) {
  checks++;
  if (right) return;
  if (++failures <= kMostShown) std::printf("FAILED: %s\n", otherwise.c_str());
}

void checkClose(const Values &got, const Values &want, double tolerance, const std::string &what) {
  if (got.size() != want.size()) {
    check(false, what + ": another length");
    return;
  }
  for (size_t i = 0; i < got.size(); i++) {
    const bool close =
        std::isnan(want[i]) ? std::isnan(got[i]) : std::fabs(got[i] - want[i]) <= tolerance * (1 + std::fabs(want[i]));
    if (close) continue;
    check(false, what + ": element " + std::to_string(i) + " is " + std::to_string(got[i]) + ", not " +
                     std::to_string(want[i]));
    return;
  }
  check(true, "");
}

void succeeds(int status, const std::string &what) {
  check(status == 0, what + " failed with " + std::to_string(status));
}

std::string findings() {
  const std::string report = simReport(0);
  const size_t begin = report.find("\"findings\""), end = report.find("\"leaks\"");
  return report.substr(begin, end - begin);
}

void checkNoFindings(const std::string &what) {
  const std::string found = findings();
  check(found.find("\"check\"") == std::string::npos, what + ": " + found);
}

void checkNoLeaks(const std::string &what) {
  const std::string report = simReport(1);
  const size_t begin = report.find("\"leaks\"");
  const std::string leaks = report.substr(begin, report.find("\"counters\"") - begin);
  check(leaks.find("\"kind\"") == std::string::npos, what + ": " + leaks);
}

int summary() {
  std::printf("%d checks, %d failures\n", checks, failures);
  return failures ? 1 : 0;
}

Rig::Rig(const std::string &configuration) {
  check(simReset(configuration.c_str()) == 0, simError());
  MUST(cuInit(0));
  MUST(cuDevicePrimaryCtxRetain(&context, 0));
  MUST(cuCtxSetCurrent(context));
  MUST(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  MUST(cudnnCreate(&handle));
  MUST(cudnnSetStream(handle, stream));
}

Rig::~Rig() {
  cudnnDestroy(handle);
  cuStreamDestroy(stream);
  cuCtxSetCurrent(nullptr);
  cuDevicePrimaryCtxRelease(0);
  checkNoLeaks("after a rig");
}

Memory::Memory(size_t bytes) : bytes(bytes) { MUST(cuMemAlloc(&address, std::max<size_t>(bytes, 1))); }
Memory::~Memory() { cuMemFree(address); }

size_t count(const Dims &dims) {
  size_t n = 1;
  for (int d : dims) n *= static_cast<size_t>(d);
  return n;
}

Dims packed(const Dims &dims) {
  return nested(dims, inOrder(dims.size()), [] { return 0; });
}

Dims channelsLast(const Dims &dims) {
  std::vector<size_t> order = inOrder(dims.size());
  std::rotate(order.begin() + 1, order.begin() + 2, order.end());
  return nested(dims, order, [] { return 0; });
}

Dims spaced(const Dims &dims, Random &random) {
  std::vector<size_t> order = inOrder(dims.size());
  for (size_t i = order.size(); i > 1; i--) {
    std::swap(order[i - 1], order[static_cast<size_t>(random.whole(0, static_cast<int>(i) - 1))]);
  }
  return nested(dims, order, [&] { return random.whole(0, 2); });
}

Dims anyStrides(const Dims &dims, Random &random) {
  switch (random.whole(0, 3)) {
    case 0: return channelsLast(dims);
    case 1: return spaced(dims, random);
  }
  return packed(dims);
}

Tensor::Tensor(cudnnDataType_t type, const Dims &dims, const Dims &strides)
    : type(type), dims(dims), strides(strides), memory(extent(dims, strides) * sizeOf(type)) {
  MUST(cudnnCreateTensorDescriptor(&descriptor));
  MUST(cudnnSetTensorNdDescriptor(descriptor, type, static_cast<int>(dims.size()), dims.data(), strides.data()));
  MUST(cuMemsetD8(memory.address, kGap, memory.bytes));
  MUST(cuCtxSynchronize());
}

Tensor::~Tensor() { cudnnDestroyTensorDescriptor(descriptor); }

// Calls body(byte offset) for every element in the order of the dimensions.
template <class Body>
void Tensor::each(Body body) const {
  for (size_t i = 0; i < count(dims); i++) {
    size_t rest = i, offset = 0;
    for (size_t d = dims.size(); d-- > 0;) {
      offset += rest % static_cast<size_t>(dims[d]) * static_cast<size_t>(strides[d]);
      rest /= static_cast<size_t>(dims[d]);
    }
    body(offset * sizeOf(type));
  }
}

void Tensor::put(const Values &values) {
  std::vector<uint8_t> bytes(memory.bytes, kGap);
  auto next = values.begin();
  each([&](size_t offset) { encode(bytes.data() + offset, type, *next++); });
  MUST(cuMemcpyHtoD(memory.address, bytes.data(), bytes.size()));
  MUST(cuCtxSynchronize());
}

Values Tensor::get() const {
  MUST(cuCtxSynchronize());
  std::vector<uint8_t> bytes(memory.bytes);
  MUST(cuMemcpyDtoH(bytes.data(), memory.address, bytes.size()));
  Values values;
  each([&](size_t offset) {
    values.push_back(decode(bytes.data() + offset, type));
    std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(offset), sizeOf(type), kGap);
  });
  const bool untouched = std::all_of(bytes.begin(), bytes.end(), [](uint8_t b) { return b == kGap; });
  check(untouched, "a gap between the elements of " + text(dims) + " was written");
  return values;
}

Values Tensor::fill(Random &random) {
  Values values(count(dims));
  for (double &v : values) v = random.value();
  put(values);
  return values;
}

Filter::Filter(cudnnDataType_t type, cudnnTensorFormat_t format, const Dims &dims)
    : values(type, dims, format == CUDNN_TENSOR_NHWC ? channelsLast(dims) : packed(dims)) {
  MUST(cudnnCreateFilterDescriptor(&descriptor));
  MUST(cudnnSetFilterNdDescriptor(descriptor, type, format, static_cast<int>(dims.size()), dims.data()));
}

Filter::~Filter() { cudnnDestroyFilterDescriptor(descriptor); }

double tolerance(cudnnDataType_t type, double terms) {
  switch (type) {
    case CUDNN_DATA_DOUBLE: return 1e-13 * (1 + terms);
    case CUDNN_DATA_FLOAT: return 1e-6 * (1 + std::sqrt(terms));
    case CUDNN_DATA_HALF: return 1e-3;  // half of the last of 10 bits, and the arithmetic in float
    default: return 8e-3;
  }
}

std::string text(const Dims &dims) {
  std::string s;
  for (int d : dims) s += (s.empty() ? "" : "x") + std::to_string(d);
  return s;
}

double gradientError(const Values &x, const Values &gradient, const std::function<double(const Values &)> &loss) {
  constexpr double kStep = 1e-5;
  double worst = 0;
  for (size_t i = 0; i < x.size(); i++) {
    Values more = x, less = x;
    more[i] += kStep;
    less[i] -= kStep;
    worst = std::max(worst, std::fabs((loss(more) - loss(less)) / (2 * kStep) - gradient[i]));
  }
  return worst;
}

}  // namespace test
