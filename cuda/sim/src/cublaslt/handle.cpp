// Handles of cuBLASLt.
#include <deque>

#include "cublaslt/lt.h"

using namespace sim;
using namespace sim::lt;

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

}  // namespace

namespace sim::lt {

Handle *use(cublasLtHandle_t handle, cublasStatus_t &status) {
  status = CUBLAS_STATUS_NOT_INITIALIZED;
  if (!handle) {
    report(check::badHandle, "lightHandle is NULL");
    return nullptr;
  }
  if (!check_(handle, kHandleKind)) return nullptr;
  CUresult bound = CUDA_SUCCESS;
  Context *context = need(bound);
  if (!context) return nullptr;
  Handle *state = reinterpret_cast<Handle *>(handle);
  status = CUBLAS_STATUS_EXECUTION_FAILED;
  if (context != state->context) {
    report(check::wrongContext,
           "lightHandle was created in another context than the one that is current on this thread");
    return nullptr;
  }
  if (bound != CUDA_SUCCESS) return nullptr;  // a sticky error of the context
  status = CUBLAS_STATUS_SUCCESS;
  return state;
}

}  // namespace sim::lt

extern "C" {

SIM_SHARED cublasStatus_t cublasLtCreate(cublasLtHandle_t *lightHandle) {
  SIM_LT_CALL();
  Arguments arguments;
  arguments.pointer("lightHandle", lightHandle);
  if (!arguments.ok()) return arguments.status;
  *lightHandle = nullptr;
  CUresult bound = CUDA_SUCCESS;
  Context *context = need(bound);
  if (!context || bound != CUDA_SUCCESS) return CUBLAS_STATUS_NOT_INITIALIZED;
  const CUresult allowed = allowedDuringCapture();  // it allocates
  if (allowed != CUDA_SUCCESS) return blas::statusOf(allowed);
  handles().emplace_back();
  Handle &made = handles().back();
  made.context = context;
  made.major = properties(deviceOf(*context)).major;
  born(&made, kHandleKind);
  *lightHandle = reinterpret_cast<cublasLtHandle_t>(&made);
  return CUBLAS_STATUS_SUCCESS;
}

SIM_SHARED cublasStatus_t cublasLtDestroy(cublasLtHandle_t lightHandle) {
  SIM_LT_ENTER(lightHandle);
  const CUresult allowed = allowedDuringCapture();
  if (allowed != CUDA_SUCCESS) return blas::statusOf(allowed);
  const CUresult result = synchronize(*state->context);  // it may wait for the device, says the documentation
  died(state);
  return blas::statusOf(result);
}

SIM_SHARED cublasStatus_t cublasLtGetProperty(libraryPropertyType type, int *value) {
  SIM_LT_CALL();
  Arguments arguments;
  arguments.pointer("value", value);
  const int part = static_cast<int>(type);
  if (part < 0 || part > 2) arguments.fail(check::badValue, "type is " + std::to_string(part));
  if (arguments.ok()) *value = part == MAJOR_VERSION ? kMajor : part == MINOR_VERSION ? kMinor : kPatch;
  return arguments.status;
}

}  // extern "C"
