// What the tests of cuBLAS and cuBLASLt share: counted checks, numbers of all types, and numbers on the device.
#ifndef GPUTRAIN_SIM_CUBLAS_TEST_RIG_H
#define GPUTRAIN_SIM_CUBLAS_TEST_RIG_H

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "cuda.h"
#include "library_types.h"

// The simulated machine's control; see the end of core/core.h.
extern "C" {
int simReset(const char *configuration);
const char *simReport(int final);
}

namespace {

using Values = std::vector<double>;

int checks = 0, failures = 0;

bool check(bool right, const std::string &otherwise) {
  checks++;
  if (right) return true;
  failures++;
  if (failures <= 30) std::printf("FAILED: %s\n", otherwise.c_str());
  return false;
}

void succeeds(int status, const char *call) {
  if (status == 0) return;
  std::printf("%s gave %d\n", call, status);
  std::exit(1);
}
#define MUST(call) succeeds(static_cast<int>(call), #call)

bool nothingFound() { return std::string(simReport(0)).find("\"findings\":[]") != std::string::npos; }
bool found(const std::string &text) { return std::string(simReport(0)).find(text) != std::string::npos; }

void checkClose(const Values &got, const Values &want, double tolerance, const std::string &what) {
  for (size_t i = 0; i < want.size(); i++) {
    if (!check(std::fabs(got[i] - want[i]) <= tolerance * (1 + std::fabs(want[i])),
               what + "[" + std::to_string(i) + "] is " + std::to_string(got[i]) + ", not " +
                   std::to_string(want[i]))) {
      return;
    }
  }
}

// --------------------------------------------------------------------------------------------------------- numbers

// x with `bits` bits of mantissa behind the leading one, to nearest; ties to even, or away from zero.
double rounded(double x, int bits, bool away) {
  int exponent = 0;
  const double mantissa = std::ldexp(std::frexp(x, &exponent), bits + 1);
  return std::ldexp(away ? std::round(mantissa) : std::nearbyint(mantissa), exponent - bits - 1);
}

// Halves without subnormals, infinities and NaN, which no test here needs.
uint16_t halfOf(double x) {
  const float value = static_cast<float>(rounded(x, 10, false));
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  if (value == 0) return 0;
  return static_cast<uint16_t>((bits >> 16 & 0x8000) | (((bits >> 13) & 0x3ffff) - (112 << 10)));
}

double ofHalf(uint16_t half) {
  if ((half & 0x7fff) == 0) return 0;
  const double value = std::ldexp(1024 + (half & 1023), (half >> 10 & 31) - 25);
  return half & 0x8000 ? -value : value;
}

uint16_t brainOf(double x) {
  const float value = static_cast<float>(rounded(x, 7, false));
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return static_cast<uint16_t>(bits >> 16);
}

double ofBrain(uint16_t brain) {
  const uint32_t bits = static_cast<uint32_t>(brain) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

size_t sizeOf(cudaDataType type) { return type == CUDA_R_64F ? 8 : type == CUDA_R_32F ? 4 : 2; }

std::vector<uint8_t> encoded(const Values &values, cudaDataType type) {
  std::vector<uint8_t> bytes(values.size() * sizeOf(type));
  for (size_t i = 0; i < values.size(); i++) {
    uint8_t *at = bytes.data() + i * sizeOf(type);
    const float single = static_cast<float>(values[i]);
    const uint16_t small = type == CUDA_R_16F ? halfOf(values[i]) : brainOf(values[i]);
    if (type == CUDA_R_64F) std::memcpy(at, &values[i], 8);
    if (type == CUDA_R_32F) std::memcpy(at, &single, 4);
    if (sizeOf(type) == 2) std::memcpy(at, &small, 2);
  }
  return bytes;
}

Values decoded(const std::vector<uint8_t> &bytes, cudaDataType type) {
  Values values(bytes.size() / sizeOf(type));
  for (size_t i = 0; i < values.size(); i++) {
    const uint8_t *at = bytes.data() + i * sizeOf(type);
    float single;
    uint16_t small;
    if (type == CUDA_R_64F) std::memcpy(&values[i], at, 8);
    if (type == CUDA_R_32F) {
      std::memcpy(&single, at, 4);
      values[i] = single;
    }
    if (sizeOf(type) == 2) {
      std::memcpy(&small, at, 2);
      values[i] = type == CUDA_R_16F ? ofHalf(small) : ofBrain(small);
    }
  }
  return values;
}

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  int whole(int low, int high) { return std::uniform_int_distribution<int>(low, high)(engine_); }
  // In [-1, 1), a value that every type holds exactly.
  double value() { return whole(-64, 63) / 64.0; }
  double fine() { return whole(-(1 << 23), (1 << 23) - 1) / double(1 << 23); }
  Values values(size_t count) {
    Values result(count);
    for (double &x : result) x = value();
    return result;
  }

 private:
  std::mt19937_64 engine_;
};

// Numbers on the device.
class Array {
 public:
  Array(const Values &values, cudaDataType type) : type_(type), count_(values.size()) {
    const std::vector<uint8_t> bytes = encoded(values, type);
    MUST(cuMemAlloc(&address_, bytes.size() + 1));
    MUST(cuMemcpyHtoD(address_, bytes.data(), bytes.size()));
    MUST(cuCtxSynchronize());
  }
  ~Array() { MUST(cuMemFree(address_)); }
  Array(const Array &) = delete;
  Array &operator=(const Array &) = delete;
  Values get() const {
    std::vector<uint8_t> bytes(count_ * sizeOf(type_));
    MUST(cuCtxSynchronize());
    MUST(cuMemcpyDtoH(bytes.data(), address_, bytes.size()));
    return decoded(bytes, type_);
  }
  void *pointer() const { return reinterpret_cast<void *>(address_); }
  float *single() const { return static_cast<float *>(pointer()); }
  double *wide() const { return static_cast<double *>(pointer()); }

 private:
  cudaDataType type_;
  size_t count_;
  CUdeviceptr address_ = 0;
};

uint64_t counter(const std::string &name) {
  const std::string text = simReport(0), quoted = "\"" + name + "\":";
  const size_t at = text.find(quoted);
  return at == std::string::npos ? 0 : std::strtoull(text.c_str() + at + quoted.size(), nullptr, 10);
}

}  // namespace

#endif
