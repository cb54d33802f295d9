// What every program here needs: calls that must succeed, and CUDA's objects with lifetimes.
#ifndef GPUTRAIN_SIM_PROGRAMS_MACHINE_H
#define GPUTRAIN_SIM_PROGRAMS_MACHINE_H

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "cublas_v2.h"
#include "cuda.h"
#include "cudnn.h"
#include "nccl.h"

namespace programs {

// A program's own complaint: a call that failed, a result that is wrong.
struct Failed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

void must(CUresult status, const char *call, const char *file, int line);
void must(cudnnStatus_t status, const char *call, const char *file, int line);
void must(cublasStatus_t status, const char *call, const char *file, int line);
void must(ncclResult_t status, const char *call, const char *file, int line);
#define MUST(call) ::programs::must((call), #call, __FILE__, __LINE__)

// A call whose failure is the point, or of no interest.
template <class Status>
Status ignore(Status status) {
  return status;
}

void expect(bool condition, const std::string &otherwise);
// |got - want| <= tolerance * (1 + |want|) for all elements; NaN fails.
void expectClose(const std::vector<float> &got, const std::vector<double> &want, double tolerance,
                 const std::string &what);
template <class T>
void expectEqual(const std::vector<T> &got, const std::vector<T> &want, const std::string &what) {
  expect(got.size() == want.size(), what + ": another length");
  for (size_t i = 0; i < got.size(); i++) {
    if (got[i] == want[i]) continue;
    throw Failed(what + "[" + std::to_string(i) + "] is " + std::to_string(got[i]) + ", not " +
                 std::to_string(want[i]));
  }
}

// Numbers in [-1, 1), the same ones for the same seed.
std::vector<float> randomNumbers(size_t count, uint32_t seed);
// 0, 1, 2, ... as floats: sums of them are exact.
std::vector<float> counting(size_t count, float first = 0);

// A device's primary context, current on this thread until the end of the scope.
class Session {
 public:
  explicit Session(int device = 0);
  ~Session();
  Session(const Session &) = delete;
  Session &operator=(const Session &) = delete;
  CUcontext context = nullptr;

 private:
  CUdevice device_ = 0;
  CUcontext before_ = nullptr;
};

class Memory {
 public:
  explicit Memory(size_t bytes);
  ~Memory();
  Memory(const Memory &) = delete;
  Memory &operator=(const Memory &) = delete;
  void free();    // now
  void forget();  // somebody else frees it, or nobody does
  void *pointer() const { return reinterpret_cast<void *>(address); }
  CUdeviceptr address = 0;
};

// Device memory for `count` elements.
template <class T>
class Buffer : public Memory {
 public:
  explicit Buffer(size_t count) : Memory(count * sizeof(T)), count(count) {}
  explicit Buffer(const std::vector<T> &values) : Buffer(values.size()) { put(values); }
  // Copied, and there for every stream when it returns.
  void put(const std::vector<T> &values) {
    MUST(cuMemcpyHtoD(address, values.data(), values.size() * sizeof(T)));
    MUST(cuCtxSynchronize());
  }
  // After all work of blocking streams; other streams must be synchronised before.
  std::vector<T> get() const {
    std::vector<T> values(count);
    MUST(cuMemcpyDtoH(values.data(), address, count * sizeof(T)));
    return values;
  }
  T *typed() const { return reinterpret_cast<T *>(address); }
  size_t bytes() const { return count * sizeof(T); }
  const size_t count;
};

// Pinned host memory.
template <class T>
class Pinned {
 public:
  explicit Pinned(size_t count) : count(count) {
    void *address = nullptr;
    MUST(cuMemHostAlloc(&address, count * sizeof(T), 0));
    data = static_cast<T *>(address);
  }
  ~Pinned() {
    if (data) ignore(cuMemFreeHost(data));
  }
  Pinned(const Pinned &) = delete;
  Pinned &operator=(const Pinned &) = delete;
  void free() {
    T *freed = data;
    data = nullptr;
    ignore(cuMemFreeHost(freed));
  }
  void fill(const std::vector<T> &values) { std::copy(values.begin(), values.end(), data); }
  std::vector<T> values() const { return std::vector<T>(data, data + count); }
  size_t bytes() const { return count * sizeof(T); }
  T *data = nullptr;
  const size_t count;
};

class Stream {
 public:
  explicit Stream(unsigned flags = CU_STREAM_NON_BLOCKING);
  ~Stream();
  Stream(const Stream &) = delete;
  Stream &operator=(const Stream &) = delete;
  void destroy();
  void synchronize() const;
  operator CUstream() const { return stream; }
  CUstream stream = nullptr;
};

class Event {
 public:
  explicit Event(unsigned flags = CU_EVENT_DISABLE_TIMING);
  ~Event();
  Event(const Event &) = delete;
  Event &operator=(const Event &) = delete;
  void record(CUstream stream) const;
  void blocks(CUstream stream) const;  // work queued on the stream from now on waits for it
  operator CUevent() const { return event; }
  CUevent event = nullptr;
};

// The kernels of kernels.h, loaded.
class Kernels {
 public:
  Kernels();
  ~Kernels();
  Kernels(const Kernels &) = delete;
  Kernels &operator=(const Kernels &) = delete;
  CUfunction operator[](const char *name) const;
  CUmodule module = nullptr;
};

struct Shape {
  unsigned blocks = 1, threads = 1, shared = 0;
};

template <class... Arguments>
CUresult launch(CUfunction kernel, Shape shape, CUstream stream, Arguments... arguments) {
  // A slot of eight bytes for each parameter, which suits all types that kernels here take.
  void *parameters[] = {static_cast<void *>(&arguments)..., nullptr};
  return cuLaunchKernel(kernel, shape.blocks, 1, 1, shape.threads, 1, 1, shape.shared, stream, parameters, nullptr);
}

// A captured graph, ready to launch.
class Captured {
 public:
  Captured() = default;
  explicit Captured(CUstream stream) { begin(stream); }
  ~Captured();
  Captured(const Captured &) = delete;
  Captured &operator=(const Captured &) = delete;
  void begin(CUstream stream);
  void end();  // and instantiates
  void launch(CUstream stream) const;
  size_t nodes() const;
  CUgraphExec executable = nullptr;

 private:
  CUstream stream_ = nullptr;
  CUgraph graph_ = nullptr;
};

class Blas {
 public:
  explicit Blas(CUstream stream = nullptr);
  ~Blas();
  Blas(const Blas &) = delete;
  Blas &operator=(const Blas &) = delete;
  operator cublasHandle_t() const { return handle; }
  cublasHandle_t handle = nullptr;
};

class Dnn {
 public:
  explicit Dnn(CUstream stream = nullptr);
  ~Dnn();
  Dnn(const Dnn &) = delete;
  Dnn &operator=(const Dnn &) = delete;
  operator cudnnHandle_t() const { return handle; }
  cudnnHandle_t handle = nullptr;
};

// A float tensor's descriptor, NCHW.
class Tensor {
 public:
  Tensor(int n, int c, int h, int w, cudnnDataType_t type = CUDNN_DATA_FLOAT);
  ~Tensor();
  Tensor(const Tensor &) = delete;
  Tensor &operator=(const Tensor &) = delete;
  operator cudnnTensorDescriptor_t() const { return descriptor; }
  size_t count() const { return size_t(n) * c * h * w; }
  cudnnTensorDescriptor_t descriptor = nullptr;
  const int n, c, h, w;
};

class Filter {
 public:
  Filter(int k, int c, int h, int w);
  ~Filter();
  Filter(const Filter &) = delete;
  Filter &operator=(const Filter &) = delete;
  operator cudnnFilterDescriptor_t() const { return descriptor; }
  size_t count() const { return size_t(k) * c * h * w; }
  cudnnFilterDescriptor_t descriptor = nullptr;
  const int k, c, h, w;
};

class Convolution {
 public:
  explicit Convolution(int padding);
  ~Convolution();
  Convolution(const Convolution &) = delete;
  Convolution &operator=(const Convolution &) = delete;
  operator cudnnConvolutionDescriptor_t() const { return descriptor; }
  cudnnConvolutionDescriptor_t descriptor = nullptr;
};

class Pooling {
 public:
  explicit Pooling(int window, cudnnPoolingMode_t mode = CUDNN_POOLING_MAX_DETERMINISTIC);
  ~Pooling();
  Pooling(const Pooling &) = delete;
  Pooling &operator=(const Pooling &) = delete;
  operator cudnnPoolingDescriptor_t() const { return descriptor; }
  cudnnPoolingDescriptor_t descriptor = nullptr;
};

// One of a group: a device of its own, a stream and a communicator.
class Rank {
 public:
  Rank(int rank, int ranks, const ncclUniqueId &id);
  ~Rank();
  Rank(const Rank &) = delete;
  Rank &operator=(const Rank &) = delete;
  void destroy();
  void abort();
  // Of floats.
  ncclResult_t sum(const Memory &send, const Memory &receive, size_t count, CUstream on = nullptr) const;
  ncclResult_t broadcast(const Memory &buffer, size_t count, int root) const;
  const int rank, ranks;
  Session session;
  Stream stream;  // where collectives are, unless told otherwise
  ncclComm_t comm = nullptr;
};

ncclUniqueId newId();
// Runs `body` for each rank, on a thread of its own. Ends when all have, with the first failure of any.
void inRanks(int ranks, const std::function<void(Rank &)> &body);
// A group of one, on this thread.
void alone(const std::function<void(Rank &)> &body);

constexpr float kOne = 1, kZero = 0;

}  // namespace programs

#endif
