// Devices and their properties.
#include <cstdio>
#include <cstring>

#include "driver/driver.h"

namespace sim::driver {

Multiprocessor multiprocessor(int device) {
  const DeviceProperties &p = properties(device);
  const int capability = p.major * 10 + p.minor;
  Multiprocessor sm;
  sm.reservedSharedPerBlock = p.major >= 8 ? 1024 : 0;
  sm.sharedBytes = p.sharedPerBlockOptin + sm.reservedSharedPerBlock;
  sm.sharedGranularity = p.major >= 8 ? 128 : 256;
  if (capability == 75) {
    sm.threads = 1024;
    sm.blocks = 16;
  } else if (p.major == 8 && p.minor > 0) {
    sm.threads = 1536;
    sm.blocks = p.minor == 9 ? 24 : 16;
  }
  sm.warpsPerScheduler = sm.threads / 32 / 4;
  return sm;
}

namespace {

constexpr int kSharedPerBlock = 49152;

// Values that are the same on every device from compute capability 7.5 on, or that nothing in the simulator depends on.
// Attributes that are not listed are features that the simulator lacks: 0.
struct Fixed {
  CUdevice_attribute attribute;
  int value;
};
constexpr Fixed fixed[] = {
    {CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 1024},
    {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X, 1024},
    {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y, 1024},
    {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z, 64},
    {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X, 2147483647},
    {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y, 65535},
    {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z, 65535},
    {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, kSharedPerBlock},
    {CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY, 65536},
    {CU_DEVICE_ATTRIBUTE_WARP_SIZE, 32},
    {CU_DEVICE_ATTRIBUTE_MAX_PITCH, 2147483647},
    {CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK, 65536},
    {CU_DEVICE_ATTRIBUTE_CLOCK_RATE, 1410000},
    {CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT, 512},
    {CU_DEVICE_ATTRIBUTE_GPU_OVERLAP, 1},
    {CU_DEVICE_ATTRIBUTE_COMPUTE_MODE, CU_COMPUTEMODE_DEFAULT},
    {CU_DEVICE_ATTRIBUTE_SURFACE_ALIGNMENT, 512},
    {CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS, 1},
    {CU_DEVICE_ATTRIBUTE_ECC_ENABLED, 1},
    {CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE, 1215000},
    {CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH, 5120},
    {CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE, 41943040},
    {CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT, 3},
    {CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING, 1},
    {CU_DEVICE_ATTRIBUTE_TEXTURE_PITCH_ALIGNMENT, 32},
    {CU_DEVICE_ATTRIBUTE_STREAM_PRIORITIES_SUPPORTED, 1},
    {CU_DEVICE_ATTRIBUTE_GLOBAL_L1_CACHE_SUPPORTED, 1},
    {CU_DEVICE_ATTRIBUTE_LOCAL_L1_CACHE_SUPPORTED, 1},
    {CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR, 65536},
    {CU_DEVICE_ATTRIBUTE_SINGLE_TO_DOUBLE_PRECISION_PERF_RATIO, 2},
    {CU_DEVICE_ATTRIBUTE_COMPUTE_PREEMPTION_SUPPORTED, 1},
    {CU_DEVICE_ATTRIBUTE_HOST_REGISTER_SUPPORTED, 1},
};

int attribute(CUdevice_attribute wanted, int device) {
  const DeviceProperties &p = properties(device);
  const Multiprocessor sm = multiprocessor(device);
  switch (wanted) {
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: return p.multiprocessors;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: return p.major;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: return p.minor;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN: return p.sharedPerBlockOptin;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR: return sm.sharedBytes;
    case CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK: return sm.reservedSharedPerBlock;
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR: return sm.threads;
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR: return sm.blocks;
    case CU_DEVICE_ATTRIBUTE_PCI_BUS_ID: return device + 1;
    default: break;
  }
  for (const Fixed &entry : fixed)
    if (entry.attribute == wanted) return entry.value;
  return 0;
}

// The last attribute that any version of CUDA has named; further ones are INVALID_VALUE.
constexpr int kLastAttribute = 161;

}  // namespace

}  // namespace sim::driver

using namespace sim;
using namespace sim::driver;

SIM_EXPORT CUresult cuDeviceGetCount(int *count) {
  Entry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (count == nullptr) return nullArgument("count");
  *count = deviceCount();
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuDeviceGet(CUdevice *device, int ordinal) {
  Entry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (device == nullptr) return nullArgument("device");
  if (!validDevice(ordinal)) return CUDA_ERROR_INVALID_DEVICE;
  *device = ordinal;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuDeviceGetName(char *name, int len, CUdevice dev) {
  Entry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (name == nullptr) return nullArgument("name");
  if (len <= 0) return refuse(check::badValue, "len is " + std::to_string(len));
  if (!validDevice(dev)) return CUDA_ERROR_INVALID_DEVICE;
  std::snprintf(name, static_cast<size_t>(len), "%s", properties(dev).name.c_str());
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice dev) {
  Entry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (bytes == nullptr) return nullArgument("bytes");
  if (!validDevice(dev)) return CUDA_ERROR_INVALID_DEVICE;
  *bytes = properties(dev).memory;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuDeviceGetAttribute(int *pi, CUdevice_attribute attrib, CUdevice dev) {
  Entry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (pi == nullptr) return nullArgument("pi");
  if (!validDevice(dev)) return CUDA_ERROR_INVALID_DEVICE;
  if (static_cast<int>(attrib) < 1 || static_cast<int>(attrib) > kLastAttribute)
    return refuse(check::badValue, "attrib is " + std::to_string(static_cast<int>(attrib)) + ", no attribute");
  *pi = attribute(attrib, dev);
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuDeviceComputeCapability(int *major, int *minor, CUdevice dev) {
  Entry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (major == nullptr || minor == nullptr) return nullArgument(major == nullptr ? "major" : "minor");
  if (!validDevice(dev)) return CUDA_ERROR_INVALID_DEVICE;
  *major = properties(dev).major;
  *minor = properties(dev).minor;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuDeviceGetProperties(CUdevprop *prop, CUdevice dev) {
  Entry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (prop == nullptr) return nullArgument("prop");
  if (!validDevice(dev)) return CUDA_ERROR_INVALID_DEVICE;
  *prop = CUdevprop();
  prop->maxThreadsPerBlock = attribute(CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, dev);
  prop->maxThreadsDim[0] = attribute(CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X, dev);
  prop->maxThreadsDim[1] = attribute(CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y, dev);
  prop->maxThreadsDim[2] = attribute(CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z, dev);
  prop->maxGridSize[0] = attribute(CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X, dev);
  prop->maxGridSize[1] = attribute(CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y, dev);
  prop->maxGridSize[2] = attribute(CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z, dev);
  prop->sharedMemPerBlock = kSharedPerBlock;
  prop->totalConstantMemory = attribute(CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY, dev);
  prop->SIMDWidth = attribute(CU_DEVICE_ATTRIBUTE_WARP_SIZE, dev);
  prop->memPitch = attribute(CU_DEVICE_ATTRIBUTE_MAX_PITCH, dev);
  prop->regsPerBlock = attribute(CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK, dev);
  prop->clockRate = attribute(CU_DEVICE_ATTRIBUTE_CLOCK_RATE, dev);
  prop->textureAlign = attribute(CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT, dev);
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuDeviceGetPCIBusId(char *pciBusId, int len, CUdevice dev) {
  Entry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (pciBusId == nullptr) return nullArgument("pciBusId");
  if (!validDevice(dev)) return CUDA_ERROR_INVALID_DEVICE;
  if (len < 13) return refuse(check::badValue, "len is " + std::to_string(len) + ", an address takes 13 characters");
  std::snprintf(pciBusId, static_cast<size_t>(len), "0000:%02x:00.0", static_cast<unsigned>(dev + 1) & 0xff);
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuDeviceGetByPCIBusId(CUdevice *dev, const char *pciBusId) {
  Entry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (dev == nullptr) return nullArgument("dev");
  if (pciBusId == nullptr) return nullArgument("pciBusId");
  // "[domain:]bus:device[.function]", hexadecimal.
  unsigned domain = 0, bus = 0, slot = 0, function = 0;
  if (std::sscanf(pciBusId, "%x:%x:%x.%x", &domain, &bus, &slot, &function) < 3) {
    domain = function = 0;
    if (std::sscanf(pciBusId, "%x:%x.%x", &bus, &slot, &function) < 2)
      return refuse(check::badValue, "pciBusId is \"" + std::string(pciBusId) + "\", no address of a PCI device");
  }
  const int index = static_cast<int>(bus) - 1;
  if (domain != 0 || slot != 0 || function != 0 || !validDevice(index)) return CUDA_ERROR_INVALID_DEVICE;
  *dev = index;
  return CUDA_SUCCESS;
}

#undef cuDeviceGetUuid  // CUDA 13's headers map it to another symbol
SIM_EXPORT CUresult cuDeviceGetUuid(CUuuid *uuid, CUdevice dev) {
  Entry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (uuid == nullptr) return nullArgument("uuid");
  if (!validDevice(dev)) return CUDA_ERROR_INVALID_DEVICE;
  std::memcpy(uuid->bytes, "gputrain sim   ", 16);
  uuid->bytes[15] = static_cast<char>(dev);
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuDeviceCanAccessPeer(int *canAccessPeer, CUdevice dev, CUdevice peerDev) {
  Entry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (canAccessPeer == nullptr) return nullArgument("canAccessPeer");
  if (!validDevice(dev) || !validDevice(peerDev)) return CUDA_ERROR_INVALID_DEVICE;
  *canAccessPeer = 0;
  return CUDA_SUCCESS;
}
