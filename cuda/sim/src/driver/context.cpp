// Contexts: primary ones, created ones, and which is current on a thread.
#include <map>

#include "driver/driver.h"

namespace sim::driver {
namespace {

CUcontext asHandle(Context *context) { return reinterpret_cast<CUcontext>(context); }
Context *asContext(CUcontext handle) { return reinterpret_cast<Context *>(handle); }

CUresult deadContext(const char *name) {
  return refuse(check::badHandle, std::string(name) + " is no live context", CUDA_ERROR_INVALID_CONTEXT);
}

// CU_CTX_FLAGS_MASK differs between versions of the headers; these are what drivers of 11.8 to 13 all know.
constexpr unsigned kFlags = CU_CTX_SCHED_MASK | CU_CTX_MAP_HOST | CU_CTX_LMEM_RESIZE_TO_MAX;

CUresult badFlags(unsigned flags) {
  const unsigned how = flags & CU_CTX_SCHED_MASK;
  const bool oneWay = (how & (how - 1)) == 0;
  if ((flags & ~kFlags) == 0 && oneWay) return CUDA_SUCCESS;
  return refuse(check::badValue, "flags is " + hexadecimal(flags) + ", no combination of CU_CTX_ flags");
}

}  // namespace
}  // namespace sim::driver

using namespace sim;
using namespace sim::driver;

SIM_EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext *pctx, CUdevice dev) {
  Entry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (pctx == nullptr) return nullArgument("pctx");
  if (!validDevice(dev)) return CUDA_ERROR_INVALID_DEVICE;
  Context *context = nullptr;
  const CUresult status = retainPrimary(dev, context);
  if (status == CUDA_SUCCESS) *pctx = asHandle(context);
  return status;
}

SIM_EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice dev) {
  Entry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (!validDevice(dev)) return CUDA_ERROR_INVALID_DEVICE;
  const Context *context = primary(dev);
  const CUresult status = releasePrimary(dev);
  if (context != nullptr && !alive(context)) dropModules(context);
  return status;
}

SIM_EXPORT CUresult cuDevicePrimaryCtxReset_v2(CUdevice dev) {
  Entry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (!validDevice(dev)) return CUDA_ERROR_INVALID_DEVICE;
  const Context *context = primary(dev);
  const CUresult status = resetPrimary(dev);
  if (context != nullptr && status == CUDA_SUCCESS) dropModules(context);
  return status;
}

SIM_EXPORT CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice dev, unsigned int flags) {
  Entry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (!validDevice(dev)) return CUDA_ERROR_INVALID_DEVICE;
  if (const CUresult status = badFlags(flags); status != CUDA_SUCCESS) return status;
  primaryFlags(dev) = flags;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuDevicePrimaryCtxGetState(CUdevice dev, unsigned int *flags, int *active) {
  Entry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (!validDevice(dev)) return CUDA_ERROR_INVALID_DEVICE;
  if (flags == nullptr) return nullArgument("flags");
  if (active == nullptr) return nullArgument("active");
  *flags = primaryFlags(dev);
  *active = primaryActive(dev);
  return CUDA_SUCCESS;
}

#undef cuCtxCreate_v2
SIM_EXPORT CUresult cuCtxCreate_v2(CUcontext *pctx, unsigned int flags, CUdevice dev) {
  Entry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (pctx == nullptr) return nullArgument("pctx");
  if (!validDevice(dev)) return CUDA_ERROR_INVALID_DEVICE;
  if (const CUresult status = badFlags(flags); status != CUDA_SUCCESS) return status;
  Context *context = nullptr;
  const CUresult status = createContext(dev, flags, context);
  if (status == CUDA_SUCCESS) *pctx = asHandle(context);
  return status;
}

SIM_EXPORT CUresult cuCtxDestroy_v2(CUcontext ctx) {
  Entry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  Context *context = asContext(ctx);
  if (context == nullptr || !alive(context)) return deadContext("ctx");
  const CUresult status = destroyContext(context);
  if (!alive(context)) dropModules(context);
  return status;
}

SIM_EXPORT CUresult cuCtxGetCurrent(CUcontext *pctx) {
  Entry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (pctx == nullptr) return nullArgument("pctx");
  *pctx = asHandle(current());
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuCtxSetCurrent(CUcontext ctx) {
  Entry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  Context *context = asContext(ctx);
  if (context != nullptr && !alive(context)) return deadContext("ctx");
  return setCurrent(context);
}

SIM_EXPORT CUresult cuCtxPushCurrent_v2(CUcontext ctx) {
  Entry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  Context *context = asContext(ctx);
  if (context == nullptr || !alive(context)) return deadContext("ctx");
  return push(context);
}

SIM_EXPORT CUresult cuCtxPopCurrent_v2(CUcontext *pctx) {
  Entry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  Context *context = nullptr;
  const CUresult status = pop(context);
  if (status == CUDA_SUCCESS && pctx != nullptr) *pctx = asHandle(context);
  return status;
}

SIM_EXPORT CUresult cuCtxGetDevice(CUdevice *device) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (device == nullptr) return nullArgument("device");
  *device = deviceOf(*entry.context);
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuCtxGetFlags(unsigned int *flags) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (flags == nullptr) return nullArgument("flags");
  *flags = flagsOf(*entry.context);
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuCtxGetApiVersion(CUcontext ctx, unsigned int *version) {
  Entry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (version == nullptr) return nullArgument("version");
  Context *context = ctx != nullptr ? asContext(ctx) : current();
  if (context == nullptr || !alive(context)) return deadContext("ctx");
  *version = 3020;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuCtxGetStreamPriorityRange(int *leastPriority, int *greatestPriority) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (leastPriority != nullptr) *leastPriority = 0;
  if (greatestPriority != nullptr) *greatestPriority = -5;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuCtxSynchronize(void) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (const CUresult status = allowedDuringCapture(); status != CUDA_SUCCESS) return status;
  return synchronize(*entry.context);
}
