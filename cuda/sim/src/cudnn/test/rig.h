// What the tests of libcudnn share: random numbers, checks that are counted, tensors on the device with guarded gaps.
// Nothing here or in the tests uses the library's own code.
#ifndef GPUTRAIN_SIM_CUDNN_TEST_RIG_H
#define GPUTRAIN_SIM_CUDNN_TEST_RIG_H

#include <cmath>
#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "cuda.h"
#include "cudnn.h"

namespace test {

using Dims = std::vector<int>;
using Values = std::vector<double>;

// ------------------------------------------------------------------------------------------------------------- checks

void check(bool right, const std::string &otherwise);
// |got - want| <= tolerance * (1 + |want|) for every element; NaN equals NaN alone.
void checkClose(const Values &got, const Values &want, double tolerance, const std::string &what);
void succeeds(int status, const std::string &what);
#define MUST(call) ::test::succeeds(static_cast<int>(call), #call)

// The machine's findings so far, as JSON.
std::string findings();
void checkNoFindings(const std::string &what);

// That all is gone that has to be destroyed before the end. Findings stay.
void checkNoLeaks(const std::string &what);

int summary();  // prints the counts; the program's exit status

// ------------------------------------------------------------------------------------------------------------- random

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  int whole(int low, int high) { return std::uniform_int_distribution<int>(low, high)(engine_); }
  bool coin() { return whole(0, 1) != 0; }
  // In [-2, 2), and a value of every type the tests use.
  double value() { return whole(-128, 127) / 64.0; }
  template <class T>
  T one(const std::vector<T> &of) {
    return of[static_cast<size_t>(whole(0, static_cast<int>(of.size()) - 1))];
  }

 private:
  std::mt19937_64 engine_;
};

// ------------------------------------------------------------------------------------------------------------- device

// A fresh machine with a context, a stream and a handle on it.
class Rig {
 public:
  explicit Rig(const std::string &configuration);
  ~Rig();
  Rig(const Rig &) = delete;
  Rig &operator=(const Rig &) = delete;
  void finish() { MUST(cuStreamSynchronize(stream)); }

  CUcontext context = nullptr;
  CUstream stream = nullptr;
  cudnnHandle_t handle = nullptr;
};

class Memory {
 public:
  explicit Memory(size_t bytes);
  ~Memory();
  Memory(const Memory &) = delete;
  Memory &operator=(const Memory &) = delete;
  void *pointer() const { return bytes ? reinterpret_cast<void *>(address) : nullptr; }
  CUdeviceptr address = 0;
  const size_t bytes;
};

size_t count(const Dims &dims);
Dims packed(const Dims &dims);
Dims channelsLast(const Dims &dims);
Dims spaced(const Dims &dims, Random &random);  // strides with gaps, dimensions in a random order
Dims anyStrides(const Dims &dims, Random &random);

// A tensor on the device. Gaps between its elements hold a pattern that nobody may change.
class Tensor {
 public:
  Tensor(cudnnDataType_t type, const Dims &dims, const Dims &strides);
  Tensor(cudnnDataType_t type, const Dims &dims) : Tensor(type, dims, packed(dims)) {}
  ~Tensor();
  Tensor(const Tensor &) = delete;
  Tensor &operator=(const Tensor &) = delete;

  void put(const Values &values);  // in the order of the dimensions
  Values get() const;              // checks the gaps too
  Values fill(Random &random);     // and what it was filled with
  void *data() const { return memory.pointer(); }
  operator cudnnTensorDescriptor_t() const { return descriptor; }

  const cudnnDataType_t type;
  const Dims dims, strides;
  Memory memory;
  cudnnTensorDescriptor_t descriptor = nullptr;

 private:
  template <class Body>
  void each(Body body) const;
};

class Filter {
 public:
  Filter(cudnnDataType_t type, cudnnTensorFormat_t format, const Dims &dims);
  ~Filter();
  Filter(const Filter &) = delete;
  Filter &operator=(const Filter &) = delete;
  operator cudnnFilterDescriptor_t() const { return descriptor; }
  void *data() const { return values.data(); }

  Tensor values;
  cudnnFilterDescriptor_t descriptor = nullptr;
};

// alpha or beta, as the tensor's type wants it.
class Scalar {
 public:
  Scalar(double value, cudnnDataType_t type) : wide_(type == CUDNN_DATA_DOUBLE), float_(float(value)), double_(value) {}
  operator const void *() const { return wide_ ? static_cast<const void *>(&double_) : &float_; }

 private:
  bool wide_;
  float float_;
  double double_;
};

double tolerance(cudnnDataType_t type, double terms = 1);
std::string text(const Dims &dims);

// The largest difference between a gradient and central differences of `loss` over x.
double gradientError(const Values &x, const Values &gradient, const std::function<double(const Values &)> &loss);

// -------------------------------------------------------------------------------------------------------------- tests

void testConvolution(uint64_t seed);
void testAlgorithms(uint64_t seed);
void testPooling(uint64_t seed);
void testActivation(uint64_t seed);
void testOperations(uint64_t seed);
void testDescriptors(uint64_t seed);
void testStreams(uint64_t seed);
void testTraffic();
void testWrong(uint64_t seed);

}  // namespace test

#endif
