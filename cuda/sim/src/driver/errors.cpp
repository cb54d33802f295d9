// Names and texts of the driver's status codes.
#include "driver/driver.h"

namespace {

struct Code {
  int value;  // numbers, because older headers lack newer codes
  const char *name, *text;
};

constexpr Code codes[] = {
    {0, "CUDA_SUCCESS", "no error"},
    {1, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {3, "CUDA_ERROR_NOT_INITIALIZED", "cuInit has not been called"},
    {4, "CUDA_ERROR_DEINITIALIZED", "the driver is shutting down"},
    {5, "CUDA_ERROR_PROFILER_DISABLED", "the profiler is disabled"},
    {6, "CUDA_ERROR_PROFILER_NOT_INITIALIZED", "the profiler is not initialised"},
    {7, "CUDA_ERROR_PROFILER_ALREADY_STARTED", "the profiler was started already"},
    {8, "CUDA_ERROR_PROFILER_ALREADY_STOPPED", "the profiler was stopped already"},
    {34, "CUDA_ERROR_STUB_LIBRARY", "the library is a stub for linking"},
    {36, "CUDA_ERROR_CALL_REQUIRES_NEWER_DRIVER", "the call needs a newer driver"},
    {46, "CUDA_ERROR_DEVICE_UNAVAILABLE", "the device is busy or unavailable"},
    {47, "CUDA_ERROR_MULTICAST_RESOURCE_FULL", "no multicast resources are left"},
    {100, "CUDA_ERROR_NO_DEVICE", "no CUDA device"},
    {101, "CUDA_ERROR_INVALID_DEVICE", "no such device"},
    {102, "CUDA_ERROR_DEVICE_NOT_LICENSED", "the device has no licence"},
    {200, "CUDA_ERROR_INVALID_IMAGE", "the image of the module is invalid"},
    {201, "CUDA_ERROR_INVALID_CONTEXT", "invalid context"},
    {202, "CUDA_ERROR_CONTEXT_ALREADY_CURRENT", "the context is current already"},
    {205, "CUDA_ERROR_MAP_FAILED", "mapping failed"},
    {206, "CUDA_ERROR_UNMAP_FAILED", "unmapping failed"},
    {207, "CUDA_ERROR_ARRAY_IS_MAPPED", "the array is mapped"},
    {208, "CUDA_ERROR_ALREADY_MAPPED", "the resource is mapped already"},
    {209, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no image of the kernel for this device"},
    {210, "CUDA_ERROR_ALREADY_ACQUIRED", "the resource was acquired already"},
    {211, "CUDA_ERROR_NOT_MAPPED", "the resource is not mapped"},
    {212, "CUDA_ERROR_NOT_MAPPED_AS_ARRAY", "the resource is not mapped as an array"},
    {213, "CUDA_ERROR_NOT_MAPPED_AS_POINTER", "the resource is not mapped as a pointer"},
    {214, "CUDA_ERROR_ECC_UNCORRECTABLE", "memory error that ECC cannot correct"},
    {215, "CUDA_ERROR_UNSUPPORTED_LIMIT", "the device does not support the limit"},
    {216, "CUDA_ERROR_CONTEXT_ALREADY_IN_USE", "the context is in use by another thread"},
    {217, "CUDA_ERROR_PEER_ACCESS_UNSUPPORTED", "no peer access between the devices"},
    {218, "CUDA_ERROR_INVALID_PTX", "compiling the PTX failed"},
    {219, "CUDA_ERROR_INVALID_GRAPHICS_CONTEXT", "invalid graphics context"},
    {220, "CUDA_ERROR_NVLINK_UNCORRECTABLE", "NVLink error that cannot be corrected"},
    {221, "CUDA_ERROR_JIT_COMPILER_NOT_FOUND", "the PTX compiler was not found"},
    {222, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "the PTX is newer than the driver"},
    {223, "CUDA_ERROR_JIT_COMPILATION_DISABLED", "compiling PTX is disabled"},
    {224, "CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY", "the device does not support the execution affinity"},
    {225, "CUDA_ERROR_UNSUPPORTED_DEVSIDE_SYNC", "the code synchronises on the device, which is not supported"},
    {226, "CUDA_ERROR_CONTAINED", "a contained error of the device"},
    {227, "CUDA_ERROR_INSUFFICIENT_LOADER_VERSION", "the loader is too old for the code"},
    {300, "CUDA_ERROR_INVALID_SOURCE", "invalid source"},
    {301, "CUDA_ERROR_FILE_NOT_FOUND", "file not found"},
    {302, "CUDA_ERROR_SHARED_OBJECT_SYMBOL_NOT_FOUND", "symbol not found in the shared object"},
    {303, "CUDA_ERROR_SHARED_OBJECT_INIT_FAILED", "the shared object did not initialise"},
    {304, "CUDA_ERROR_OPERATING_SYSTEM", "a call of the operating system failed"},
    {400, "CUDA_ERROR_INVALID_HANDLE", "invalid handle"},
    {401, "CUDA_ERROR_ILLEGAL_STATE", "the resource is not in the state that the call needs"},
    {402, "CUDA_ERROR_LOSSY_QUERY", "the answer would lose information"},
    {500, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {600, "CUDA_ERROR_NOT_READY", "not done yet"},
    {700, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access"},
    {701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources wanted by the launch"},
    {702, "CUDA_ERROR_LAUNCH_TIMEOUT", "the kernel ran too long"},
    {703, "CUDA_ERROR_LAUNCH_INCOMPATIBLE_TEXTURING", "the launch does not fit the texturing mode"},
    {704, "CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED", "peer access is enabled already"},
    {705, "CUDA_ERROR_PEER_ACCESS_NOT_ENABLED", "peer access is not enabled"},
    {708, "CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE", "the primary context is active"},
    {709, "CUDA_ERROR_CONTEXT_IS_DESTROYED", "the context is destroyed"},
    {710, "CUDA_ERROR_ASSERT", "an assertion on the device failed"},
    {711, "CUDA_ERROR_TOO_MANY_PEERS", "no resources for more peers"},
    {712, "CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED", "the host memory is registered already"},
    {713, "CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED", "the host memory is not registered"},
    {714, "CUDA_ERROR_HARDWARE_STACK_ERROR", "an error of the call stack"},
    {715, "CUDA_ERROR_ILLEGAL_INSTRUCTION", "an illegal instruction"},
    {716, "CUDA_ERROR_MISALIGNED_ADDRESS", "a misaligned address"},
    {717, "CUDA_ERROR_INVALID_ADDRESS_SPACE", "an address of the wrong state space"},
    {718, "CUDA_ERROR_INVALID_PC", "an invalid program counter"},
    {719, "CUDA_ERROR_LAUNCH_FAILED", "the launch failed"},
    {720, "CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE", "too many blocks for a cooperative launch"},
    {721, "CUDA_ERROR_TENSOR_MEMORY_LEAK", "tensor memory was not freed"},
    {800, "CUDA_ERROR_NOT_PERMITTED", "not permitted"},
    {801, "CUDA_ERROR_NOT_SUPPORTED", "not supported"},
    {802, "CUDA_ERROR_SYSTEM_NOT_READY", "the system is not ready"},
    {803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "the driver's parts do not match"},
    {804, "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE", "the device does not support forward compatibility"},
    {805, "CUDA_ERROR_MPS_CONNECTION_FAILED", "no connection to the MPS server"},
    {806, "CUDA_ERROR_MPS_RPC_FAILURE", "a call to the MPS server failed"},
    {807, "CUDA_ERROR_MPS_SERVER_NOT_READY", "the MPS server is not ready"},
    {808, "CUDA_ERROR_MPS_MAX_CLIENTS_REACHED", "too many MPS clients"},
    {809, "CUDA_ERROR_MPS_MAX_CONNECTIONS_REACHED", "too many MPS connections"},
    {810, "CUDA_ERROR_MPS_CLIENT_TERMINATED", "the MPS client was ended"},
    {811, "CUDA_ERROR_CDP_NOT_SUPPORTED", "launches from the device are not supported"},
    {812, "CUDA_ERROR_CDP_VERSION_MISMATCH", "launches from the device: versions do not match"},
    {900, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "not permitted while a stream is capturing"},
    {901, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "the capture was invalidated by an earlier error"},
    {902, "CUDA_ERROR_STREAM_CAPTURE_MERGE", "two captures would merge"},
    {903, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED", "the capture was not begun on this stream"},
    {904, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED", "forked work of the capture was not joined"},
    {905, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION", "a dependency would cross the border of the capture"},
    {906, "CUDA_ERROR_STREAM_CAPTURE_IMPLICIT", "the capture would depend on the legacy stream"},
    {907, "CUDA_ERROR_CAPTURED_EVENT", "the event was last recorded in a capture"},
    {908, "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD", "the capture was begun by another thread"},
    {909, "CUDA_ERROR_TIMEOUT", "timed out"},
    {910, "CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE", "the graph cannot be updated that way"},
    {911, "CUDA_ERROR_EXTERNAL_DEVICE", "an error of an external device"},
    {912, "CUDA_ERROR_INVALID_CLUSTER_SIZE", "invalid cluster size"},
    {913, "CUDA_ERROR_FUNCTION_NOT_LOADED", "the function is not loaded"},
    {914, "CUDA_ERROR_INVALID_RESOURCE_TYPE", "invalid type of resource"},
    {915, "CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION", "invalid configuration of resources"},
    {916, "CUDA_ERROR_KEY_ROTATION", "keys are being rotated"},
    {917, "CUDA_ERROR_STREAM_DETACHED", "the stream is detached"},
    {918, "CUDA_ERROR_GRAPH_RECAPTURE_FAILURE", "the graph cannot be captured again"},
    {919, "CUDA_ERROR_FABRIC_NOT_READY", "the fabric is not ready"},
    {999, "CUDA_ERROR_UNKNOWN", "unknown error"},
};

const Code *find(CUresult status) {
  for (const Code &code : codes)
    if (code.value == static_cast<int>(status)) return &code;
  return nullptr;
}

}  // namespace

using namespace sim;
using namespace sim::driver;

SIM_EXPORT CUresult cuGetErrorName(CUresult error, const char **pStr) {
  if (pStr == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const Code *code = find(error);
  *pStr = code != nullptr ? code->name : nullptr;
  return code != nullptr ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

SIM_EXPORT CUresult cuGetErrorString(CUresult error, const char **pStr) {
  if (pStr == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const Code *code = find(error);
  *pStr = code != nullptr ? code->text : nullptr;
  return code != nullptr ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
