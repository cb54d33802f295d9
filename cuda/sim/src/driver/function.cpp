// Attributes of functions, and how many of their blocks a multiprocessor holds.
#include <algorithm>

#include "driver/driver.h"

namespace sim::driver {
namespace {

int roundUp(int value, int step) { return (value + step - 1) / step * step; }

// Blocks of a function that fit on one multiprocessor at once: the least of what threads, slots, registers and shared
// memory allow.
int activeBlocks(const Function &function, int device, int blockSize, size_t dynamicShared) {
  const Multiprocessor sm = multiprocessor(device);
  const ptx::Kernel &kernel = *function.kernel;
  if (blockSize > maxThreads(kernel)) return 0;
  if (dynamicShared > static_cast<size_t>(properties(device).sharedPerBlockOptin)) return 0;
  if (static_cast<int>(kernel.sharedBytes + dynamicShared) > properties(device).sharedPerBlockOptin) return 0;
  const int warps = (blockSize + 31) / 32;
  int blocks = std::min(sm.threads / 32 / warps, sm.blocks);
  const int registersOfWarp = roundUp(static_cast<int>(std::max(kernel.registers, 1u)) * 32, 256);
  const int warpsByRegisters = std::min(sm.registers / 4 / registersOfWarp, sm.warpsPerScheduler) * 4;
  blocks = std::min(blocks, warpsByRegisters / warps);
  const int shared =
      roundUp(static_cast<int>(kernel.sharedBytes + dynamicShared) + sm.reservedSharedPerBlock, sm.sharedGranularity);
  return shared > 0 ? std::min(blocks, sm.sharedBytes / shared) : blocks;
}

CUresult activeBlocks(int *numBlocks, CUfunction func, int blockSize, size_t dynamicShared, const Context &context) {
  if (numBlocks == nullptr) return nullArgument("numBlocks");
  if (blockSize <= 0) return refuse(check::badValue, "blockSize is " + std::to_string(blockSize));
  CUresult status = CUDA_SUCCESS;
  const Function *function = liveFunction(func, context, status);
  if (function == nullptr) return status;
  *numBlocks = activeBlocks(*function, deviceOf(context), blockSize, dynamicShared);
  return CUDA_SUCCESS;
}

// The block size that keeps the most threads on a multiprocessor, the largest of equals.
CUresult bestBlockSize(int *minGridSize, int *blockSize, CUfunction func, CUoccupancyB2DSize dynamicSharedOf,
                       size_t dynamicShared, int limit, const Context &context) {
  if (minGridSize == nullptr) return nullArgument("minGridSize");
  if (blockSize == nullptr) return nullArgument("blockSize");
  if (limit < 0) return refuse(check::badValue, "blockSizeLimit is " + std::to_string(limit));
  CUresult status = CUDA_SUCCESS;
  const Function *function = liveFunction(func, context, status);
  if (function == nullptr) return status;
  const int device = deviceOf(context);
  const int most = limit == 0 ? maxThreads(*function->kernel) : std::min(limit, maxThreads(*function->kernel));
  int best = 0, bestThreads = 0, bestBlocks = 0;
  for (int size = most; size > 0; size = (size - 1) / 32 * 32) {
    const size_t shared = dynamicSharedOf != nullptr ? dynamicSharedOf(size) : dynamicShared;
    const int blocks = activeBlocks(*function, device, size, shared);
    if (blocks * size > bestThreads) {
      best = size;
      bestThreads = blocks * size;
      bestBlocks = blocks;
    }
  }
  *blockSize = best;
  *minGridSize = bestBlocks * properties(device).multiprocessors;
  return CUDA_SUCCESS;
}

CUresult badOccupancyFlags(unsigned flags) {
  if ((flags & ~static_cast<unsigned>(CU_OCCUPANCY_DISABLE_CACHING_OVERRIDE)) == 0) return CUDA_SUCCESS;
  return refuse(check::badValue, "flags is " + hexadecimal(flags));
}

}  // namespace
}  // namespace sim::driver

using namespace sim;
using namespace sim::driver;

SIM_EXPORT CUresult cuFuncGetAttribute(int *pi, CUfunction_attribute attrib, CUfunction hfunc) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (pi == nullptr) return nullArgument("pi");
  CUresult status = CUDA_SUCCESS;
  const Function *function = liveFunction(hfunc, *entry.context, status);
  if (function == nullptr) return status;
  const ptx::Kernel &kernel = *function->kernel;
  const ptx::Module &code = *function->module->code;
  const DeviceProperties &device = properties(deviceOf(*entry.context));
  switch (attrib) {
    case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK: *pi = maxThreads(kernel); break;
    case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES: *pi = static_cast<int>(kernel.sharedBytes); break;
    case CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES: *pi = static_cast<int>(code.constBytes()); break;
    case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES: *pi = static_cast<int>(kernel.localBytes); break;
    case CU_FUNC_ATTRIBUTE_NUM_REGS: *pi = static_cast<int>(kernel.registers); break;
    case CU_FUNC_ATTRIBUTE_PTX_VERSION: *pi = static_cast<int>(code.target()); break;
    case CU_FUNC_ATTRIBUTE_BINARY_VERSION: *pi = device.major * 10 + device.minor; break;
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES: *pi = function->maxDynamicShared; break;
    case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT: *pi = function->carveout; break;
    default:
      if (static_cast<int>(attrib) < 0 || static_cast<int>(attrib) > 17)
        return refuse(check::badValue, "attrib is " + std::to_string(static_cast<int>(attrib)) + ", no attribute");
      *pi = 0;
  }
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuFuncSetAttribute(CUfunction hfunc, CUfunction_attribute attrib, int value) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  CUresult status = CUDA_SUCCESS;
  Function *function = liveFunction(hfunc, *entry.context, status);
  if (function == nullptr) return status;
  if (attrib == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) {
    const int fixed = static_cast<int>(function->kernel->sharedBytes);
    const int most = properties(deviceOf(*entry.context)).sharedPerBlockOptin - fixed;
    if (value < 0 || value > most)
      return refuse(check::badValue, "value is " + std::to_string(value) + "; kernel " + function->name +
                                         " can have 0 to " + std::to_string(most) + " bytes of dynamic shared memory");
    function->maxDynamicShared = value;
    return CUDA_SUCCESS;
  }
  if (attrib == CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT) {
    if (value < -1 || value > 100)
      return refuse(check::badValue, "value is " + std::to_string(value) + ", no carve-out in per cent");
    function->carveout = value;
    return CUDA_SUCCESS;
  }
  return refuse(check::badValue, "attrib is " + std::to_string(static_cast<int>(attrib)) + ", which can't be set");
}

SIM_EXPORT CUresult cuFuncSetCacheConfig(CUfunction hfunc, CUfunc_cache config) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (static_cast<int>(config) < CU_FUNC_CACHE_PREFER_NONE || static_cast<int>(config) > CU_FUNC_CACHE_PREFER_EQUAL)
    return refuse(check::badValue, "config is " + std::to_string(static_cast<int>(config)));
  CUresult status = CUDA_SUCCESS;
  liveFunction(hfunc, *entry.context, status);
  return status;
}

SIM_EXPORT CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *numBlocks, CUfunction func, int blockSize,
                                                                size_t dynamicSMemSize) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  return activeBlocks(numBlocks, func, blockSize, dynamicSMemSize, *entry.context);
}

SIM_EXPORT CUresult cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *numBlocks, CUfunction func, int blockSize,
                                                                         size_t dynamicSMemSize, unsigned int flags) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (const CUresult status = badOccupancyFlags(flags); status != CUDA_SUCCESS) return status;
  return activeBlocks(numBlocks, func, blockSize, dynamicSMemSize, *entry.context);
}

SIM_EXPORT CUresult cuOccupancyMaxPotentialBlockSize(int *minGridSize, int *blockSize, CUfunction func,
                                                     CUoccupancyB2DSize blockSizeToDynamicSMemSize,
                                                     size_t dynamicSMemSize, int blockSizeLimit) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  return bestBlockSize(minGridSize, blockSize, func, blockSizeToDynamicSMemSize, dynamicSMemSize, blockSizeLimit,
                       *entry.context);
}

SIM_EXPORT CUresult cuOccupancyMaxPotentialBlockSizeWithFlags(int *minGridSize, int *blockSize, CUfunction func,
                                                              CUoccupancyB2DSize blockSizeToDynamicSMemSize,
                                                              size_t dynamicSMemSize, int blockSizeLimit,
                                                              unsigned int flags) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (const CUresult status = badOccupancyFlags(flags); status != CUDA_SUCCESS) return status;
  return bestBlockSize(minGridSize, blockSize, func, blockSizeToDynamicSMemSize, dynamicSMemSize, blockSizeLimit,
                       *entry.context);
}

SIM_EXPORT CUresult cuOccupancyAvailableDynamicSMemPerBlock(size_t *dynamicSmemSize, CUfunction func, int numBlocks,
                                                            int blockSize) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (dynamicSmemSize == nullptr) return nullArgument("dynamicSmemSize");
  if (numBlocks <= 0) return refuse(check::badValue, "numBlocks is " + std::to_string(numBlocks));
  if (blockSize <= 0) return refuse(check::badValue, "blockSize is " + std::to_string(blockSize));
  CUresult status = CUDA_SUCCESS;
  const Function *function = liveFunction(func, *entry.context, status);
  if (function == nullptr) return status;
  const int device = deviceOf(*entry.context);
  const Multiprocessor sm = multiprocessor(device);
  if (activeBlocks(*function, device, blockSize, 0) < numBlocks)
    return refuse(check::badValue, std::to_string(numBlocks) + " blocks of " + std::to_string(blockSize) +
                                       " threads of kernel " + function->name + " don't fit on a multiprocessor");
  const int fixed = static_cast<int>(function->kernel->sharedBytes);
  const int share = sm.sharedBytes / numBlocks / sm.sharedGranularity * sm.sharedGranularity;
  const int most = std::min(share - sm.reservedSharedPerBlock, properties(device).sharedPerBlockOptin);
  *dynamicSmemSize = static_cast<size_t>(std::max(most - fixed, 0));
  return CUDA_SUCCESS;
}
