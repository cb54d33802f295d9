#include "programs/machine.h"

#include <cmath>
#include <exception>
#include <mutex>
#include <thread>

#include "programs/kernels.h"

namespace programs {

namespace {

std::string shown(const char *call, const std::string &status, const char *file, int line) {
  return std::string(call) + " gave " + status + " (" + file + ":" + std::to_string(line) + ")";
}

}  // namespace

void must(CUresult status, const char *call, const char *file, int line) {
  if (status == CUDA_SUCCESS) return;
  const char *name = nullptr;
  cuGetErrorName(status, &name);
  throw Failed(shown(call, name ? name : std::to_string(static_cast<int>(status)), file, line));
}

void must(cudnnStatus_t status, const char *call, const char *file, int line) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  throw Failed(shown(call, std::to_string(static_cast<int>(status)) + " " + cudnnGetErrorString(status), file, line));
}

void must(cublasStatus_t status, const char *call, const char *file, int line) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw Failed(shown(call, cublasGetStatusName(status), file, line));
}

void must(ncclResult_t status, const char *call, const char *file, int line) {
  if (status == ncclSuccess) return;
  throw Failed(shown(call, std::to_string(static_cast<int>(status)) + " " + ncclGetLastError(nullptr), file, line));
}

void expect(bool condition, const std::string &otherwise) {
  if (!condition) throw Failed(otherwise);
}

void expectClose(const std::vector<float> &got, const std::vector<double> &want, double tolerance,
                 const std::string &what) {
  expect(got.size() == want.size(), what + ": another length");
  for (size_t i = 0; i < got.size(); i++) {
    if (std::fabs(got[i] - want[i]) <= tolerance * (1 + std::fabs(want[i]))) continue;
    throw Failed(what + "[" + std::to_string(i) + "] is " + std::to_string(got[i]) + ", not " +
                 std::to_string(want[i]));
  }
}

std::vector<float> randomNumbers(size_t count, uint32_t seed) {
  std::vector<float> values(count);
  uint32_t state = seed * 2654435761u + 1;
  for (float &value : values) {
    state = state * 1664525u + 1013904223u;
    value = float(state >> 8) / float(1 << 23) - 1;
  }
  return values;
}

std::vector<float> counting(size_t count, float first) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; i++) values[i] = first + float(i);
  return values;
}

Session::Session(int device) {
  MUST(cuInit(0));
  MUST(cuDeviceGet(&device_, device));
  MUST(cuCtxGetCurrent(&before_));
  MUST(cuDevicePrimaryCtxRetain(&context, device_));
  MUST(cuCtxSetCurrent(context));
}

Session::~Session() {
  ignore(cuCtxSetCurrent(before_));
  ignore(cuDevicePrimaryCtxRelease(device_));
}

Memory::Memory(size_t bytes) { MUST(cuMemAlloc(&address, bytes)); }

Memory::~Memory() {
  if (address) ignore(cuMemFree(address));
}

void Memory::free() {
  const CUdeviceptr freed = address;
  address = 0;
  MUST(cuMemFree(freed));
}

void Memory::forget() { address = 0; }

Stream::Stream(unsigned flags) { MUST(cuStreamCreate(&stream, flags)); }

Stream::~Stream() {
  if (stream) ignore(cuStreamDestroy(stream));
}

void Stream::destroy() {
  const CUstream destroyed = stream;
  stream = nullptr;
  MUST(cuStreamDestroy(destroyed));
}

void Stream::synchronize() const { MUST(cuStreamSynchronize(stream)); }

Event::Event(unsigned flags) { MUST(cuEventCreate(&event, flags)); }

Event::~Event() {
  if (event) ignore(cuEventDestroy(event));
}

void Event::record(CUstream stream) const { MUST(cuEventRecord(event, stream)); }

void Event::blocks(CUstream stream) const { MUST(cuStreamWaitEvent(stream, event, 0)); }

Kernels::Kernels() { MUST(cuModuleLoadData(&module, kKernels)); }

Kernels::~Kernels() {
  if (module) ignore(cuModuleUnload(module));
}

CUfunction Kernels::operator[](const char *name) const {
  CUfunction function = nullptr;
  MUST(cuModuleGetFunction(&function, module, name));
  return function;
}

void Captured::begin(CUstream stream) {
  stream_ = stream;
  MUST(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
}

Captured::~Captured() {
  if (executable) ignore(cuGraphExecDestroy(executable));
  if (graph_) ignore(cuGraphDestroy(graph_));
}

void Captured::end() {
  MUST(cuStreamEndCapture(stream_, &graph_));
  MUST(cuGraphInstantiateWithFlags(&executable, graph_, 0));
}

void Captured::launch(CUstream stream) const { MUST(cuGraphLaunch(executable, stream)); }

size_t Captured::nodes() const {
  size_t count = 0;
  MUST(cuGraphGetNodes(graph_, nullptr, &count));
  return count;
}

Blas::Blas(CUstream stream) {
  MUST(cublasCreate(&handle));
  if (stream) MUST(cublasSetStream(handle, stream));
}

Blas::~Blas() {
  if (handle) ignore(cublasDestroy(handle));
}

Dnn::Dnn(CUstream stream) {
  MUST(cudnnCreate(&handle));
  if (stream) MUST(cudnnSetStream(handle, stream));
}

Dnn::~Dnn() {
  if (handle) ignore(cudnnDestroy(handle));
}

Tensor::Tensor(int n, int c, int h, int w, cudnnDataType_t type) : n(n), c(c), h(h), w(w) {
  MUST(cudnnCreateTensorDescriptor(&descriptor));
  MUST(cudnnSetTensor4dDescriptor(descriptor, CUDNN_TENSOR_NCHW, type, n, c, h, w));
}

Tensor::~Tensor() { ignore(cudnnDestroyTensorDescriptor(descriptor)); }

Filter::Filter(int k, int c, int h, int w) : k(k), c(c), h(h), w(w) {
  MUST(cudnnCreateFilterDescriptor(&descriptor));
  MUST(cudnnSetFilter4dDescriptor(descriptor, CUDNN_DATA_FLOAT, CUDNN_TENSOR_NCHW, k, c, h, w));
}

Filter::~Filter() { ignore(cudnnDestroyFilterDescriptor(descriptor)); }

Convolution::Convolution(int padding) {
  MUST(cudnnCreateConvolutionDescriptor(&descriptor));
  MUST(cudnnSetConvolution2dDescriptor(descriptor, padding, padding, 1, 1, 1, 1, CUDNN_CROSS_CORRELATION,
                                       CUDNN_DATA_FLOAT));
  MUST(cudnnSetConvolutionMathType(descriptor, CUDNN_FMA_MATH));
}

Convolution::~Convolution() { ignore(cudnnDestroyConvolutionDescriptor(descriptor)); }

Pooling::Pooling(int window, cudnnPoolingMode_t mode) {
  MUST(cudnnCreatePoolingDescriptor(&descriptor));
  MUST(cudnnSetPooling2dDescriptor(descriptor, mode, CUDNN_PROPAGATE_NAN, window, window, 0, 0, window, window));
}

Pooling::~Pooling() { ignore(cudnnDestroyPoolingDescriptor(descriptor)); }

Rank::Rank(int rank, int ranks, const ncclUniqueId &id) : rank(rank), ranks(ranks), session(rank) {
  MUST(ncclCommInitRank(&comm, ranks, id, rank));
}

Rank::~Rank() { destroy(); }

void Rank::destroy() {
  if (comm) ignore(ncclCommDestroy(comm));
  comm = nullptr;
}

void Rank::abort() {
  MUST(ncclCommAbort(comm));
  comm = nullptr;
}

ncclResult_t Rank::sum(const Memory &send, const Memory &receive, size_t count, CUstream on) const {
  return ncclAllReduce(send.pointer(), receive.pointer(), count, ncclFloat32, ncclSum, comm, on ? on : stream.stream);
}

ncclResult_t Rank::broadcast(const Memory &buffer, size_t count, int root) const {
  return ncclBroadcast(buffer.pointer(), buffer.pointer(), count, ncclFloat32, root, comm, stream);
}

ncclUniqueId newId() {
  ncclUniqueId id;
  MUST(ncclGetUniqueId(&id));
  return id;
}

void inRanks(int ranks, const std::function<void(Rank &)> &body) {
  const ncclUniqueId id = newId();
  std::mutex mutex;
  std::exception_ptr failure;
  std::vector<std::thread> threads;
  for (int i = 0; i < ranks; i++) {
    threads.emplace_back([&, i] {
      try {
        Rank rank(i, ranks, id);
        body(rank);
      } catch (const Failed &) {
        const std::lock_guard<std::mutex> guard(mutex);
        if (!failure) failure = std::current_exception();
      }
    });
  }
  for (std::thread &thread : threads) thread.join();
  if (failure) std::rethrow_exception(failure);
}

void alone(const std::function<void(Rank &)> &body) {
  Rank rank(0, 1, newId());
  body(rank);
}

}  // namespace programs
