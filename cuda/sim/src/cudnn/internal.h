// What the files of libcudnn share: statuses, descriptors, tensors in device memory, and queueing work with its checks.
#ifndef GPUTRAIN_SIM_CUDNN_INTERNAL_H
#define GPUTRAIN_SIM_CUDNN_INTERNAL_H

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "core/core.h"
#include "cudnn.h"

namespace dnn {

// cuDNN 9's numbers, whichever version's header is at hand.
enum Status : int {
  kSuccess = 0,
  kNotInitialised = 1001,
  kBadParam = 2000,
  kInvalidValue = 2001,
  kNullPointer = 2002,
  kMisalignedPointer = 2003,
  kSizeInsufficient = 2006,
  kStreamMismatch = 2007,
  kShapeMismatch = 2008,
  kNotSupported = 3000,
  kNotSupportedShape = 3002,
  kNotSupportedDataType = 3003,
  kNotSupportedLayout = 3004,
  kAllocFailed = 4003,
  kExecutionFailed = 5000,
  kExecutionFailedCudart = 5003,
};

const char *nameOf(int status);

// ---------------------------------------------------------------------------------------------------------- answering

// Thrown by the checks, and turned into what the exported function returns.
struct Failure {
  int status;
  std::string reason;
};

// What a program does wrong: a finding, and the status that the real library gives.
[[noreturn]] void wrong(Status status, const char *check, const std::string &reason);
// What the library can't do: a status alone.
[[noreturn]] void refuse(Status status, const std::string &reason);
// The status of a driver's error.
void need(CUresult result, const std::string &what);

// Remembers the failure for cudnnGetLastErrorString and returns its status.
cudnnStatus_t failed(const Failure &failure);

// The frame of every exported function: opens the call, injects faults, turns a Failure into its status.
template <class Body>
cudnnStatus_t answer(const char *function, Body body) {
  sim::Call call(sim::Library::Dnn, function);
  try {
    if (call.fault()) throw Failure{call.fault(), "a fault on demand"};
    body();
    return static_cast<cudnnStatus_t>(kSuccess);
  } catch (const Failure &failure) {
    return failed(failure);
  }
}

// ------------------------------------------------------------------------------------------------------------ layouts

size_t sizeOf(cudnnDataType_t type);  // of one element; 0: a type that isn't simulated
const char *nameOf(cudnnDataType_t type);
inline bool isDouble(cudnnDataType_t type) { return type == CUDNN_DATA_DOUBLE; }
bool isFloating(cudnnDataType_t type);  // float, double, half, bfloat16

// Where the elements of a tensor or filter lie, counted in elements.
struct Layout {
  cudnnDataType_t type = CUDNN_DATA_FLOAT;
  int rank = 0;  // 0: never set
  int dim[CUDNN_DIM_MAX] = {};
  int stride[CUDNN_DIM_MAX] = {};

  int64_t count() const;
  int64_t extent() const;    // elements from the first to the last, both counted
  bool packed() const;       // in the order of the dimensions, without gaps
  bool overlapping() const;  // two elements share an address
  bool sameDims(const Layout &other) const;
  bool sameStrides(const Layout &other) const;  // strides of dimensions of one element mean nothing
  bool same(const Layout &other) const { return type == other.type && sameDims(other) && sameStrides(other); }
  std::string text() const;  // "8x32x28x28 float"
};

// "x, 8x32x28x28 float, and y, 8x32x14x14 float,": how a sentence about two of them begins.
std::string both(const char *aName, const Layout &a, const char *bName, const Layout &b);
// Demands the same dimensions and data type.
void checkSame(const char *aName, const Layout &a, const char *bName, const Layout &b);
// Demands float, double, half or bfloat16.
void checkFloating(const char *what, const Layout &layout);

Layout packedLayout(cudnnDataType_t type, const std::vector<int> &dims);
void setStrides(Layout &layout, cudnnTensorFormat_t format);

// A scalar behind a host pointer as alpha and beta are given: double for double tensors, else float.
double scalar(const void *pointer, cudnnDataType_t type, const char *what);

// All elements, in the order of the dimensions, whatever the strides. Only inside of work.
template <class T>
std::vector<T> load(const Layout &layout, const void *address);
// Writes alpha * values + beta * what was there; with beta 0 what was there isn't looked at.
template <class T>
void store(const Layout &layout, void *address, const T *values, double alpha, double beta);

// ---------------------------------------------------------------------------------------------------------- launching

inline uint64_t addressOf(const void *pointer) { return reinterpret_cast<uint64_t>(pointer); }

// The stream of a handle, after all that is demanded of handle, context and stream.
sim::Stream &streamOf(cudnnHandle_t handle);
// For calls that need the handle but no stream.
sim::Context &contextOf(cudnnHandle_t handle);

// One piece of work on a handle's stream with the memory that it touches.
class Launch {
 public:
  explicit Launch(cudnnHandle_t handle);

  // spare: the function takes the operand and can do without it.
  void read(const Layout &layout, const void *address, const char *what, bool spare = false);
  // update: what is there counts (beta isn't 0).
  void write(const Layout &layout, void *address, const char *what, bool update = false);
  void bytes(const void *address, uint64_t count, sim::Mode mode, const char *what, uint64_t alignment = 16);
  // Memory that is looked at without caring for what is in it.
  void touch(const Layout &layout, const void *address, const char *what);
  // Checks the size given against the size needed.
  void workspace(void *address, uint64_t given, uint64_t needed, Status tooSmall = kSizeInsufficient);
  // Lets operands be the very same tensor; otherwise an output that shares memory with anything is a finding.
  void allowInPlace() { inPlace_ = true; }
  void run(const std::string &detail, std::function<void()> body);

  sim::Stream &stream() { return stream_; }

 private:
  struct Operand {
    const char *what;
    uint64_t address;
    Layout layout;
    bool written;
    size_t first, last;  // accesses
  };
  void add(const Layout &layout, const void *address, sim::Mode mode, const char *what);
  void checkOverlap() const;
  bool maybeShared(const Operand &a, const Operand &b) const;

  sim::Stream &stream_;
  sim::Work work_;
  std::vector<Operand> operands_;
  bool inPlace_ = false;
};

// A float as tensor cores see it: 10 bits of mantissa, ties away from zero.
float roundToTensorFloat(float x);

// --------------------------------------------------------------------------------------------------------- descriptors

struct Activation {
  bool set = false;
  cudnnActivationMode_t mode = CUDNN_ACTIVATION_RELU;
  cudnnNanPropagation_t nan = CUDNN_NOT_PROPAGATE_NAN;
  double coefficient = 0, swishBeta = 1;
};

struct Convolution {
  int rank = 0;  // spatial dimensions; 0: never set
  int pad[3] = {}, stride[3] = {}, dilation[3] = {};
  int groups = 1;
  cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
  cudnnDataType_t compute = CUDNN_DATA_FLOAT;
  cudnnMathType_t math = CUDNN_DEFAULT_MATH;
  cudnnReorderType_t reorder = CUDNN_DEFAULT_REORDER;
};

struct Filter : Layout {
  cudnnTensorFormat_t format = CUDNN_TENSOR_NCHW;
};

struct Pooling {
  int rank = 0;
  int window[3] = {}, pad[3] = {}, stride[3] = {};
  cudnnPoolingMode_t mode = CUDNN_POOLING_MAX;
  cudnnNanPropagation_t nan = CUDNN_NOT_PROPAGATE_NAN;
};

}  // namespace dnn

struct cudnnContext {
  sim::Context *context = nullptr;
  cudaStream_t stream = nullptr;
};
struct cudnnTensorStruct : dnn::Layout {};
struct cudnnFilterStruct : dnn::Filter {};
struct cudnnConvolutionStruct : dnn::Convolution {};
struct cudnnPoolingStruct : dnn::Pooling {};
struct cudnnActivationStruct : dnn::Activation {};

namespace dnn {

// A live object, or a finding. `kind` is the API's name of the type.
void demand(const void *object, const char *kind, const char *what);

// Descriptors that were set. `what` is the parameter's name.
const Layout &use(cudnnTensorDescriptor_t descriptor, const char *what);
const Filter &use(cudnnFilterDescriptor_t descriptor, const char *what);
const Convolution &use(cudnnConvolutionDescriptor_t descriptor, const char *what);
const Pooling &use(cudnnPoolingDescriptor_t descriptor, const char *what);
const Activation &use(cudnnActivationDescriptor_t descriptor, const char *what);

// A pointer to host memory that the call writes through.
template <class T>
T &result(T *pointer, const char *what) {
  if (!pointer) wrong(kNullPointer, sim::check::badValue, std::string(what) + " is null");
  return *pointer;
}
// The same where null means that the caller doesn't want it.
template <class T, class V>
void give(T *pointer, V value) {
  if (pointer) *pointer = static_cast<T>(value);
}

template <class T>
cudnnStatus_t createObject(const char *function, T **object, const char *kind) {
  return answer(function, [&] {
    T *made = new T;
    sim::born(made, kind);
    result(object, "the descriptor's address") = made;
  });
}

template <class T>
cudnnStatus_t destroyObject(const char *function, T *object, const char *kind) {
  return answer(function, [&] {
    demand(object, kind, "the descriptor");
    sim::died(object);
    delete object;
  });
}

// Reports a value outside of an enumeration or range.
template <class T>
void inRange(T value, long low, long high, const char *what) {
  if (static_cast<long>(value) < low || static_cast<long>(value) > high) {
    wrong(kBadParam, sim::check::badValue, std::string(what) + " is " + std::to_string(static_cast<long>(value)));
  }
}

}  // namespace dnn

#endif
