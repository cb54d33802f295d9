// Handles, versions, statuses and their texts.
#include <algorithm>
#include <cstdlib>

#include "internal.h"

namespace dnn {
namespace {

constexpr int kCudart = 12040;

// Which cuDNN this pretends to be; what it does is 9's in any case.
int version() { return static_cast<int>(std::strtol(sim::option("cudnn", "90501").c_str(), nullptr, 10)); }

struct StatusName {
  int status;
  const char *name;
};

constexpr StatusName kStatuses[] = {
    {0, "CUDNN_STATUS_SUCCESS"},
    {1001, "CUDNN_STATUS_NOT_INITIALIZED"},
    {1002, "CUDNN_STATUS_SUBLIBRARY_VERSION_MISMATCH"},
    {1003, "CUDNN_STATUS_SERIALIZATION_VERSION_MISMATCH"},
    {1004, "CUDNN_STATUS_DEPRECATED"},
    {1005, "CUDNN_STATUS_LICENSE_ERROR"},
    {1006, "CUDNN_STATUS_RUNTIME_IN_PROGRESS"},
    {1007, "CUDNN_STATUS_RUNTIME_FP_OVERFLOW"},
    {1008, "CUDNN_STATUS_SUBLIBRARY_LOADING_FAILED"},
    {2000, "CUDNN_STATUS_BAD_PARAM"},
    {2001, "CUDNN_STATUS_INVALID_VALUE"},
    {2002, "CUDNN_STATUS_BAD_PARAM_NULL_POINTER"},
    {2003, "CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER"},
    {2004, "CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED"},
    {2005, "CUDNN_STATUS_BAD_PARAM_OUT_OF_BOUND"},
    {2006, "CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT"},
    {2007, "CUDNN_STATUS_BAD_PARAM_STREAM_MISMATCH"},
    {2008, "CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH"},
    {2009, "CUDNN_STATUS_BAD_PARAM_DUPLICATED_ENTRIES"},
    {2010, "CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE"},
    {2011, "CUDNN_STATUS_BAD_PARAM_CUDA_GRAPH_MISMATCH"},
    {2012, "CUDNN_STATUS_BAD_PARAM_DESCRIPTOR_TYPE"},
    {3000, "CUDNN_STATUS_NOT_SUPPORTED"},
    {3001, "CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN"},
    {3002, "CUDNN_STATUS_NOT_SUPPORTED_SHAPE"},
    {3003, "CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE"},
    {3004, "CUDNN_STATUS_NOT_SUPPORTED_LAYOUT"},
    {3005, "CUDNN_STATUS_NOT_SUPPORTED_INCOMPATIBLE_CUDA_DRIVER"},
    {3006, "CUDNN_STATUS_NOT_SUPPORTED_INCOMPATIBLE_CUDART"},
    {3007, "CUDNN_STATUS_NOT_SUPPORTED_ARCH_MISMATCH"},
    {3008, "CUDNN_STATUS_NOT_SUPPORTED_RUNTIME_PREREQUISITE_MISSING"},
    {3009, "CUDNN_STATUS_NOT_SUPPORTED_SUBLIBRARY_UNAVAILABLE"},
    {3010, "CUDNN_STATUS_NOT_SUPPORTED_SHARED_MEMORY_INSUFFICIENT"},
    {3011, "CUDNN_STATUS_NOT_SUPPORTED_PADDING"},
    {3012, "CUDNN_STATUS_NOT_SUPPORTED_BAD_LAUNCH_PARAM"},
    {3013, "CUDNN_STATUS_NOT_SUPPORTED_CUDA_GRAPH_NATIVE_API"},
    {3014, "CUDNN_STATUS_NOT_SUPPORTED_INVALID_DYNAMIC_SHAPE"},
    {4000, "CUDNN_STATUS_INTERNAL_ERROR"},
    {4001, "CUDNN_STATUS_INTERNAL_ERROR_COMPILATION_FAILED"},
    {4002, "CUDNN_STATUS_INTERNAL_ERROR_UNEXPECTED_VALUE"},
    {4003, "CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED"},
    {4004, "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"},
    {4005, "CUDNN_STATUS_INTERNAL_ERROR_BAD_LAUNCH_PARAM"},
    {4006, "CUDNN_STATUS_INTERNAL_ERROR_TEXTURE_CREATION_FAILED"},
    {5000, "CUDNN_STATUS_EXECUTION_FAILED"},
    {5001, "CUDNN_STATUS_EXECUTION_FAILED_CUDA_DRIVER"},
    {5002, "CUDNN_STATUS_EXECUTION_FAILED_CUBLAS"},
    {5003, "CUDNN_STATUS_EXECUTION_FAILED_CUDART"},
    {5004, "CUDNN_STATUS_EXECUTION_FAILED_CURAND"},
};

thread_local std::string lastError;

}  // namespace

const char *nameOf(int status) {
  for (const StatusName &s : kStatuses) {
    if (s.status == status) return s.name;
  }
  return "CUDNN_UNKNOWN_STATUS";
}

void wrong(Status status, const char *check, const std::string &reason) {
  sim::report(check, reason);
  throw Failure{status, reason};
}

void refuse(Status status, const std::string &reason) { throw Failure{status, reason}; }

void need(CUresult result, const std::string &what) {
  if (result == CUDA_SUCCESS) return;
  const std::string reason = what + " failed with CUDA error " + std::to_string(static_cast<int>(result));
  if (result == CUDA_ERROR_OUT_OF_MEMORY) throw Failure{kAllocFailed, reason};
  if (result == CUDA_ERROR_INVALID_VALUE) throw Failure{kBadParam, reason};
  throw Failure{kExecutionFailedCudart, reason};
}

cudnnStatus_t failed(const Failure &failure) {
  lastError = std::string(nameOf(failure.status)) + "; Reason: " + failure.reason;
  return static_cast<cudnnStatus_t>(failure.status);
}

void demand(const void *object, const char *kind, const char *what) {
  if (!object) wrong(kNullPointer, sim::check::badHandle, std::string(what) + " (" + kind + ") is null");
  if (!sim::check_(object, kind)) refuse(kBadParam, std::string(what) + " is no live " + kind);
}

sim::Context &contextOf(cudnnHandle_t handle) {
  demand(handle, "cudnnHandle_t", "handle");
  CUresult status = CUDA_SUCCESS;
  sim::Context *context = sim::need(status);
  if (!context || status != CUDA_SUCCESS) {
    refuse(kExecutionFailedCudart, "the context is unusable: CUDA error " + std::to_string(static_cast<int>(status)));
  }
  if (context != handle->context) {
    wrong(kExecutionFailed, sim::check::wrongContext,
          "the handle was created in another context than the one that is current now");
  }
  return *context;
}

sim::Stream &streamOf(cudnnHandle_t handle) {
  contextOf(handle);
  CUresult status = CUDA_SUCCESS;
  sim::Stream *stream = sim::resolve(handle->stream, status);
  if (!stream) refuse(kStreamMismatch, "the handle's stream is none of its context");
  return *stream;
}

}  // namespace dnn

using namespace dnn;

extern "C" {

SIM_SHARED size_t cudnnGetVersion(void) { return static_cast<size_t>(version()); }

SIM_SHARED size_t cudnnGetMaxDeviceVersion(void) { return 1000; }

SIM_SHARED size_t cudnnGetCudartVersion(void) { return kCudart; }

SIM_SHARED const char *cudnnGetErrorString(cudnnStatus_t status) { return nameOf(static_cast<int>(status)); }

// cuDNN 8's header lacks it, so this is its declaration there.
SIM_SHARED void cudnnGetLastErrorString(char *message, size_t max_size) {
  if (!message || max_size == 0) return;
  const size_t length = std::min(lastError.size(), max_size - 1);
  std::memcpy(message, lastError.data(), length);
  message[length] = 0;
  lastError.clear();
}

SIM_SHARED cudnnStatus_t cudnnGetProperty(libraryPropertyType type, int *value) {
  return answer(__func__, [&] {
    inRange(type, 0, 2, "type");
    const int parts[] = {version() / 10000, version() / 100 % 100, version() % 100};
    result(value, "value") = parts[type];
  });
}

SIM_SHARED cudnnStatus_t cudnnQueryRuntimeError(cudnnHandle_t handle, cudnnStatus_t *rstatus, cudnnErrQueryMode_t mode,
                                                cudnnRuntimeTag_t *) {
  return answer(__func__, [&] {
    sim::Stream &stream = streamOf(handle);
    inRange(mode, CUDNN_ERRQUERY_RAWCODE, CUDNN_ERRQUERY_BLOCKING, "mode");
    if (mode == CUDNN_ERRQUERY_BLOCKING) need(sim::synchronize(stream), "synchronising the stream");
    result(rstatus, "rstatus") = static_cast<cudnnStatus_t>(kSuccess);
  });
}

SIM_SHARED cudnnStatus_t cudnnCreate(cudnnHandle_t *handle) {
  return answer(__func__, [&] {
    result(handle, "handle") = nullptr;
    CUresult status = CUDA_SUCCESS;
    sim::Context *context = sim::need(status);
    if (!context || status != CUDA_SUCCESS) refuse(kNotInitialised, "no context is current, or it is unusable");
    need(sim::allowedDuringCapture(), "creating a handle, which allocates memory,");
    cudnnHandle_t made = new cudnnContext;
    made->context = context;
    sim::born(made, "cudnnHandle_t");
    *handle = made;
  });
}

SIM_SHARED cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
  return answer(__func__, [&] {
    demand(handle, "cudnnHandle_t", "handle");
    if (!sim::alive(handle->context)) {
      sim::report(sim::check::wrongContext, "the handle outlived the context in which it was created");
    } else {
      need(sim::allowedDuringCapture(), "destroying a handle, which synchronises,");
      sim::synchronize(*handle->context);
    }
    sim::died(handle);
    delete handle;
  });
}

SIM_SHARED cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t streamId) {
  return answer(__func__, [&] {
    sim::Context &context = contextOf(handle);
    CUresult status = CUDA_SUCCESS;
    sim::Stream *stream = sim::resolve(streamId, status);
    if (!stream) refuse(kStreamMismatch, "streamId is no stream of the current context");
    if (sim::contextOf(*stream) != &context) {
      wrong(kStreamMismatch, sim::check::wrongContext, "streamId belongs to another context than the handle");
    }
    handle->stream = streamId;
  });
}

SIM_SHARED cudnnStatus_t cudnnGetStream(cudnnHandle_t handle, cudaStream_t *streamId) {
  return answer(__func__, [&] {
    demand(handle, "cudnnHandle_t", "handle");
    result(streamId, "streamId") = handle->stream;
  });
}

}  // extern "C"
