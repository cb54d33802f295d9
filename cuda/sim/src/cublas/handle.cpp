#include "cublas/handle.h"

#include <algorithm>
#include <cstring>
#include <deque>

#include "ptx/smallfloat.h"

namespace sim::blas {

namespace {

// Less than this may make a routine fail, says the documentation of cublasSetWorkspace.
constexpr uint64_t kEnoughWorkspace = 16 << 10;

double read(const void *data, cudaDataType type) {
  switch (type) {
    case CUDA_R_64F: {
      double x;
      std::memcpy(&x, data, sizeof x);
      return x;
    }
    case CUDA_R_16F: {
      uint16_t x;
      std::memcpy(&x, data, sizeof x);
      return ptx::halfToFloat(x);
    }
    default: {
      float x;
      std::memcpy(&x, data, sizeof x);
      return x;
    }
  }
}

// Adds the workspace that the user gave, or counts that a capture uses the library's own.
cublasStatus_t addWorkspace(Handle &handle, Stream &stream, uint64_t bytes, Work &work) {
  if (handle.ownWorkspace) {
    uint64_t id = 0;
    if (captureStatus(stream, id) == CU_STREAM_CAPTURE_STATUS_ACTIVE) count("blas captured without own workspace");
    return CUBLAS_STATUS_SUCCESS;
  }
  if (handle.workspaceBytes < kEnoughWorkspace) {
    report(check::workspace, "the workspace given to cublasSetWorkspace has " + std::to_string(handle.workspaceBytes) +
                                 " bytes (" + describe(handle.workspace) + "); routines may need " +
                                 std::to_string(kEnoughWorkspace));
    return CUBLAS_STATUS_ALLOC_FAILED;
  }
  const uint64_t used = std::min(handle.workspaceBytes, std::max(bytes, kEnoughWorkspace));
  work.accesses.push_back({handle.workspace, used, Mode::Scratch, "workspace"});
  return CUBLAS_STATUS_SUCCESS;
}

}  // namespace

Handle *use(cublasHandle_t handle, cublasStatus_t &status) {
  status = CUBLAS_STATUS_NOT_INITIALIZED;
  if (!handle) {
    report(check::badHandle, "handle is NULL");
    return nullptr;
  }
  if (!check_(handle, kHandleKind)) return nullptr;
  CUresult bound = CUDA_SUCCESS;
  Context *context = need(bound);
  if (!context) return nullptr;
  Handle *state = reinterpret_cast<Handle *>(handle);
  if (context != state->context) {
    report(check::wrongContext, "handle was created in another context than the one that is current on this thread");
    status = CUBLAS_STATUS_EXECUTION_FAILED;
    return nullptr;
  }
  if (bound != CUDA_SUCCESS) {  // a sticky error of the context
    status = CUBLAS_STATUS_EXECUTION_FAILED;
    return nullptr;
  }
  status = CUBLAS_STATUS_SUCCESS;
  return state;
}

Scalar::Scalar(const Handle &handle, const char *name, const void *pointer, cudaDataType type, Arguments &arguments)
    : name_(name), type_(type) {
  arguments.pointer(name, pointer);
  if (!pointer) return;
  if (handle.pointers == CUBLAS_POINTER_MODE_DEVICE) {
    device_ = addressOf(pointer);
    return;
  }
  if (isDeviceAddress(addressOf(pointer))) {
    arguments.fail(check::devicePointer, name_ + " is in device memory (" + describe(addressOf(pointer)) +
                                             "), but the handle's pointer mode is CUBLAS_POINTER_MODE_HOST");
    return;
  }
  host_ = read(pointer, type);
}

double Scalar::value() const { return device_ ? read(data(device_), type_) : host_; }

void Scalar::access(std::vector<Access> &accesses) const {
  if (device_) accesses.push_back({device_, sizeOf(type_), Mode::Read, name_});
}

int64_t Vector::index(int i) const {
  const int64_t step = increment;
  return step >= 0 ? i * step : (i - int64_t(n) + 1) * step;
}

void access(const Vector &vector, Mode mode, std::vector<Access> &accesses) {
  if (vector.n <= 0) return;
  if (vector.increment == 1 || vector.increment == -1) {
    accesses.push_back({vector.address, vector.n * uint64_t(vector.size), mode, vector.name});
    return;
  }
  const int touched = vector.increment == 0 ? 1 : vector.n;
  for (int i = 0; i < touched; i++) {
    accesses.push_back({vector.address + vector.index(i) * vector.size, vector.size, mode, vector.name});
  }
}

void setRun(Work &work, bool mayReadOutput, std::function<CUresult(std::vector<Access> &touched)> run) {
  if (mayReadOutput) {
    work.runAndTell = std::move(run);
  } else {
    work.run = [run] {
      std::vector<Access> none;
      return run(none);
    };
  }
}

cublasStatus_t submit(Handle &handle, Work work, uint64_t workspace) {
  CUresult result = CUDA_SUCCESS;
  Stream *stream = resolve(handle.stream, result);
  if (!stream) return CUBLAS_STATUS_EXECUTION_FAILED;
  if (workspace > 0) {
    const cublasStatus_t status = addWorkspace(handle, *stream, workspace, work);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
  }
  work.counter = "blas";
  return statusOf(enqueue(*stream, std::move(work)));
}

cublasStatus_t submitAndWait(Handle &handle, Work work) {
  CUresult result = CUDA_SUCCESS;
  Stream *stream = resolve(handle.stream, result);
  if (!stream) return CUBLAS_STATUS_EXECUTION_FAILED;
  result = allowedDuringCapture(*stream);
  if (result != CUDA_SUCCESS) return statusOf(result);
  const cublasStatus_t status = submit(handle, std::move(work), 0);
  return status == CUBLAS_STATUS_SUCCESS ? statusOf(synchronize(*stream)) : status;
}

}  // namespace sim::blas

// ------------------------------------------------------------------------------------------------ exported functions

using namespace sim;
using blas::Handle;

namespace {

constexpr int kMajor = 12, kMinor = 4, kPatch = 5;  // the version that the machine claims to be

// Kept until a reset, so that a destroyed handle's address is not given out again.
std::deque<Handle> &handles() {
  static std::deque<Handle> all;
  return all;
}

const bool hooked = [] {
  onReset([] { handles().clear(); });
  return true;
}();

bool validMath(int mode) {
  const int base = mode & ~int(CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION);
  return base == CUBLAS_DEFAULT_MATH || base == CUBLAS_TENSOR_OP_MATH || base == CUBLAS_PEDANTIC_MATH ||
         base == CUBLAS_TF32_TENSOR_OP_MATH;
}

// Where a result is stored.
template <class T>
cublasStatus_t give(const char *name, T *result, T value) {
  blas::Arguments arguments;
  arguments.pointer(name, result);
  if (arguments.ok()) *result = value;
  return arguments.status;
}

}  // namespace

extern "C" {

SIM_SHARED cublasStatus_t cublasCreate(cublasHandle_t *handle) {
  Call call(Library::Blas, __func__);
  if (call.fault()) return static_cast<cublasStatus_t>(call.fault());
  blas::Arguments arguments;
  arguments.pointer("handle", handle);
  if (!arguments.ok()) return arguments.status;
  *handle = nullptr;
  CUresult bound = CUDA_SUCCESS;
  Context *context = need(bound);
  if (!context || bound != CUDA_SUCCESS) return CUBLAS_STATUS_NOT_INITIALIZED;
  const CUresult allowed = allowedDuringCapture();
  if (allowed != CUDA_SUCCESS) return blas::statusOf(allowed);
  handles().emplace_back();
  Handle &made = handles().back();
  made.context = context;
  made.major = properties(deviceOf(*context)).major;
  born(&made, blas::kHandleKind);
  *handle = reinterpret_cast<cublasHandle_t>(&made);
  return CUBLAS_STATUS_SUCCESS;
}

SIM_SHARED cublasStatus_t cublasDestroy(cublasHandle_t handle) {
  SIM_BLAS_ENTER(handle);
  const CUresult allowed = allowedDuringCapture();
  if (allowed != CUDA_SUCCESS) return blas::statusOf(allowed);
  const CUresult result = synchronize(*state->context);  // cublasDestroy waits for the device
  died(state);
  return blas::statusOf(result);
}

SIM_SHARED cublasStatus_t cublasGetVersion(cublasHandle_t handle, int *version) {
  SIM_BLAS_ENTER(handle);
  return give("version", version, kMajor * 10000 + kMinor * 100 + kPatch);
}

SIM_SHARED cublasStatus_t cublasGetProperty(libraryPropertyType type, int *value) {
  Call call(Library::Blas, __func__);
  if (call.fault()) return static_cast<cublasStatus_t>(call.fault());
  switch (type) {
    case MAJOR_VERSION: return give("value", value, kMajor);
    case MINOR_VERSION: return give("value", value, kMinor);
    case PATCH_LEVEL: return give("value", value, kPatch);
  }
  blas::Arguments arguments;
  arguments.fail(check::badValue, "type is " + std::to_string(static_cast<int>(type)));
  return arguments.status;
}

SIM_SHARED size_t cublasGetCudartVersion(void) {
  Call call(Library::Blas, __func__);
  return 12040;
}

SIM_SHARED const char *cublasGetStatusName(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS: return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED: return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED: return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_ARCH_MISMATCH: return "CUBLAS_STATUS_ARCH_MISMATCH";
    case CUBLAS_STATUS_MAPPING_ERROR: return "CUBLAS_STATUS_MAPPING_ERROR";
    case CUBLAS_STATUS_EXECUTION_FAILED: return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_INTERNAL_ERROR: return "CUBLAS_STATUS_INTERNAL_ERROR";
    case CUBLAS_STATUS_NOT_SUPPORTED: return "CUBLAS_STATUS_NOT_SUPPORTED";
    case CUBLAS_STATUS_LICENSE_ERROR: return "CUBLAS_STATUS_LICENSE_ERROR";
  }
  return "CUBLAS_STATUS_<unknown>";
}

SIM_SHARED const char *cublasGetStatusString(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS: return "success";
    case CUBLAS_STATUS_NOT_INITIALIZED: return "the library was not initialized";
    case CUBLAS_STATUS_ALLOC_FAILED: return "the resource allocation failed";
    case CUBLAS_STATUS_INVALID_VALUE: return "an invalid value was used as an argument";
    case CUBLAS_STATUS_ARCH_MISMATCH: return "an absent device architectural feature is required";
    case CUBLAS_STATUS_MAPPING_ERROR: return "an access to GPU memory space failed";
    case CUBLAS_STATUS_EXECUTION_FAILED: return "the GPU program failed to execute";
    case CUBLAS_STATUS_INTERNAL_ERROR: return "an internal operation failed";
    case CUBLAS_STATUS_NOT_SUPPORTED: return "the functionality is not supported";
    case CUBLAS_STATUS_LICENSE_ERROR: return "the functionality requires a license";
  }
  return "unknown";
}

SIM_SHARED cublasStatus_t cublasLoggerConfigure(int, int, int, const char *) {
  Call call(Library::Blas, __func__);
  return static_cast<cublasStatus_t>(call.fault());
}

SIM_SHARED cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t streamId) {
  SIM_BLAS_ENTER(handle);
  CUresult result = CUDA_SUCCESS;
  if (!resolve(streamId, result)) return CUBLAS_STATUS_EXECUTION_FAILED;
  state->stream = streamId;
  if (!state->ownWorkspace) count("blas workspace reset by cublasSetStream");
  state->ownWorkspace = true;  // as documented: a new stream means the library's own pool again
  state->workspace = state->workspaceBytes = 0;
  return CUBLAS_STATUS_SUCCESS;
}

SIM_SHARED cublasStatus_t cublasGetStream(cublasHandle_t handle, cudaStream_t *streamId) {
  SIM_BLAS_ENTER(handle);
  return give("streamId", streamId, static_cast<cudaStream_t>(state->stream));
}

SIM_SHARED cublasStatus_t cublasSetPointerMode(cublasHandle_t handle, cublasPointerMode_t mode) {
  SIM_BLAS_ENTER(handle);
  blas::Arguments arguments;
  if (mode != CUBLAS_POINTER_MODE_HOST && mode != CUBLAS_POINTER_MODE_DEVICE) {
    arguments.fail(check::badValue, "mode is " + std::to_string(static_cast<int>(mode)));
  }
  if (arguments.ok()) state->pointers = mode;
  return arguments.status;
}

SIM_SHARED cublasStatus_t cublasGetPointerMode(cublasHandle_t handle, cublasPointerMode_t *mode) {
  SIM_BLAS_ENTER(handle);
  return give("mode", mode, state->pointers);
}

SIM_SHARED cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
  SIM_BLAS_ENTER(handle);
  blas::Arguments arguments;
  if (!validMath(static_cast<int>(mode))) {
    arguments.fail(check::badValue, "mode is " + std::to_string(static_cast<int>(mode)));
  }
  if (arguments.ok()) state->math = static_cast<int>(mode);
  return arguments.status;
}

SIM_SHARED cublasStatus_t cublasGetMathMode(cublasHandle_t handle, cublasMath_t *mode) {
  SIM_BLAS_ENTER(handle);
  return give("mode", mode, static_cast<cublasMath_t>(state->math));
}

SIM_SHARED cublasStatus_t cublasSetAtomicsMode(cublasHandle_t handle, cublasAtomicsMode_t mode) {
  SIM_BLAS_ENTER(handle);
  blas::Arguments arguments;
  if (mode != CUBLAS_ATOMICS_ALLOWED && mode != CUBLAS_ATOMICS_NOT_ALLOWED) {
    arguments.fail(check::badValue, "mode is " + std::to_string(static_cast<int>(mode)));
  }
  if (arguments.ok()) state->atomics = mode;
  return arguments.status;
}

SIM_SHARED cublasStatus_t cublasGetAtomicsMode(cublasHandle_t handle, cublasAtomicsMode_t *mode) {
  SIM_BLAS_ENTER(handle);
  return give("mode", mode, state->atomics);
}

SIM_SHARED cublasStatus_t cublasSetWorkspace(cublasHandle_t handle, void *workspace, size_t workspaceSizeInBytes) {
  SIM_BLAS_ENTER(handle);
  blas::Arguments arguments;
  if (workspaceSizeInBytes > 0) arguments.pointer("workspace", workspace);
  if (blas::addressOf(workspace) % 256 != 0) {
    arguments.fail(check::misaligned, "workspace (" + describe(blas::addressOf(workspace)) +
                                          ") is not aligned to 256 bytes");
  }
  if (!arguments.ok()) return arguments.status;
  if (workspaceSizeInBytes > 0) {
    const Access whole{blas::addressOf(workspace), workspaceSizeInBytes, Mode::Scratch, "workspace"};
    if (checkAccesses({whole}) != CUDA_SUCCESS) return CUBLAS_STATUS_INVALID_VALUE;
  }
  state->ownWorkspace = false;
  state->workspace = blas::addressOf(workspace);
  state->workspaceBytes = workspaceSizeInBytes;
  return CUBLAS_STATUS_SUCCESS;
}

}  // extern "C"
