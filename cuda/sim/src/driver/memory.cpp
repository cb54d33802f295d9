// Memory: of the device, pinned memory of the host, and what pointers point to.
#include <algorithm>

#include "driver/driver.h"

namespace sim::driver {
namespace {

constexpr size_t kPitchAlignment = 512;

// Allocations, and whatever else a capture forbids.
CUresult allocateDevice(Context &context, CUdeviceptr *dptr, size_t bytes) {
  if (const CUresult status = allowedDuringCapture(); status != CUDA_SUCCESS) return status;
  uint64_t address = 0;
  const CUresult status = allocate(context, bytes, address);
  if (status == CUDA_SUCCESS) *dptr = address;
  return status;
}

CUresult allocatePinned(Context &context, void **pp, size_t bytes, unsigned flags) {
  if (pp == nullptr) return nullArgument("pp");
  if (bytes == 0) return refuse(check::badValue, "bytesize is 0");
  constexpr unsigned known = CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_WRITECOMBINED;
  if ((flags & ~known) != 0) return refuse(check::badValue, "Flags is " + hexadecimal(flags));
  if (const CUresult status = allowedDuringCapture(); status != CUDA_SUCCESS) return status;
  void *address = nullptr;
  const CUresult status = allocateHost(context, bytes, flags, address);
  if (status == CUDA_SUCCESS) *pp = address;
  return status;
}

template <class T>
CUresult put(void *data, T value) {
  *static_cast<T *>(data) = value;
  return CUDA_SUCCESS;
}

CUresult deviceAttribute(void *data, CUpointer_attribute attribute, const Allocation &allocation, CUdeviceptr ptr) {
  switch (attribute) {
    case CU_POINTER_ATTRIBUTE_CONTEXT: return put(data, reinterpret_cast<CUcontext>(allocation.context));
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE: return put<unsigned>(data, CU_MEMORYTYPE_DEVICE);
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER: return put<CUdeviceptr>(data, ptr);
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS: return put<unsigned>(data, 0);
    case CU_POINTER_ATTRIBUTE_BUFFER_ID: return put<unsigned long long>(data, allocation.id);
    case CU_POINTER_ATTRIBUTE_IS_MANAGED: return put<unsigned>(data, 0);
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL: return put<int>(data, deviceOf(*allocation.context));
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR: return put<CUdeviceptr>(data, allocation.address);
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE: return put<size_t>(data, allocation.bytes);
    case CU_POINTER_ATTRIBUTE_MAPPED: return put<unsigned>(data, 1);
    default: return CUDA_ERROR_INVALID_VALUE;
  }
}

CUresult hostAttribute(void *data, CUpointer_attribute attribute, const HostAllocation &pinned, CUdeviceptr ptr) {
  switch (attribute) {
    case CU_POINTER_ATTRIBUTE_CONTEXT: return put(data, reinterpret_cast<CUcontext>(pinned.context));
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE: return put<unsigned>(data, CU_MEMORYTYPE_HOST);
    case CU_POINTER_ATTRIBUTE_HOST_POINTER: return put(data, reinterpret_cast<void *>(ptr));
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS: return put<unsigned>(data, 0);
    case CU_POINTER_ATTRIBUTE_IS_MANAGED: return put<unsigned>(data, 0);
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL: return put<int>(data, deviceOf(*pinned.context));
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR: return put(data, reinterpret_cast<CUdeviceptr>(pinned.address));
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE: return put<size_t>(data, pinned.bytes);
    case CU_POINTER_ATTRIBUTE_MAPPED: return put<unsigned>(data, 0);
    default: return CUDA_ERROR_INVALID_VALUE;
  }
}

// INVALID_VALUE without a finding for memory that CUDA doesn't know: asking is how a program finds out.
CUresult pointerAttribute(void *data, CUpointer_attribute attribute, CUdeviceptr ptr) {
  if (const Allocation *allocation = find(ptr); allocation != nullptr && allocation->data != nullptr)
    return deviceAttribute(data, attribute, *allocation, ptr);
  if (isDeviceAddress(ptr)) return CUDA_ERROR_INVALID_VALUE;
  if (const HostAllocation *pinned = findHost(reinterpret_cast<const void *>(ptr)))
    return hostAttribute(data, attribute, *pinned, ptr);
  return CUDA_ERROR_INVALID_VALUE;
}

// Bytes that an attribute takes, for those that cuPointerGetAttributes zeroes where there is no answer.
size_t sizeOf(CUpointer_attribute attribute) {
  switch (attribute) {
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
    case CU_POINTER_ATTRIBUTE_IS_MANAGED:
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
    case CU_POINTER_ATTRIBUTE_MAPPED: return 4;
    case CU_POINTER_ATTRIBUTE_CONTEXT:
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
    case CU_POINTER_ATTRIBUTE_HOST_POINTER:
    case CU_POINTER_ATTRIBUTE_BUFFER_ID:
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE: return 8;
    default: return 0;
  }
}

}  // namespace
}  // namespace sim::driver

using namespace sim;
using namespace sim::driver;

SIM_EXPORT CUresult cuMemAlloc_v2(CUdeviceptr *dptr, size_t bytesize) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (dptr == nullptr) return nullArgument("dptr");
  if (bytesize == 0) return refuse(check::badValue, "bytesize is 0");
  return allocateDevice(*entry.context, dptr, bytesize);
}

SIM_EXPORT CUresult cuMemAllocPitch_v2(CUdeviceptr *dptr, size_t *pPitch, size_t WidthInBytes, size_t Height,
                                       unsigned int ElementSizeBytes) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (dptr == nullptr) return nullArgument("dptr");
  if (pPitch == nullptr) return nullArgument("pPitch");
  if (WidthInBytes == 0 || Height == 0) return refuse(check::badValue, "WidthInBytes or Height is 0");
  if (ElementSizeBytes != 4 && ElementSizeBytes != 8 && ElementSizeBytes != 16)
    return refuse(check::badValue, "ElementSizeBytes is " + std::to_string(ElementSizeBytes) + ", not 4, 8 or 16");
  const size_t pitch = (WidthInBytes + kPitchAlignment - 1) / kPitchAlignment * kPitchAlignment;
  if (pitch < WidthInBytes || pitch > SIZE_MAX / Height) return CUDA_ERROR_OUT_OF_MEMORY;
  const CUresult status = allocateDevice(*entry.context, dptr, pitch * Height);
  if (status == CUDA_SUCCESS) *pPitch = pitch;
  return status;
}

SIM_EXPORT CUresult cuMemFree_v2(CUdeviceptr dptr) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (dptr == 0) return nullArgument("dptr");
  if (const CUresult status = allowedDuringCapture(); status != CUDA_SUCCESS) return status;
  return release(dptr);
}

SIM_EXPORT CUresult cuMemGetInfo_v2(size_t *free, size_t *total) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  uint64_t freeBytes = 0, totalBytes = 0;
  memoryInfo(*entry.context, freeBytes, totalBytes);
  if (free != nullptr) *free = freeBytes;
  if (total != nullptr) *total = totalBytes;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuMemGetAddressRange_v2(CUdeviceptr *pbase, size_t *psize, CUdeviceptr dptr) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (const CUresult status = wantDevice(dptr, "dptr"); status != CUDA_SUCCESS) return status;
  const Allocation *allocation = find(dptr);
  if (allocation == nullptr || allocation->data == nullptr) return CUDA_ERROR_NOT_FOUND;
  if (pbase != nullptr) *pbase = allocation->address;
  if (psize != nullptr) *psize = allocation->bytes;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuMemAllocHost_v2(void **pp, size_t bytesize) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  return allocatePinned(*entry.context, pp, bytesize, 0);
}

SIM_EXPORT CUresult cuMemHostAlloc(void **pp, size_t bytesize, unsigned int Flags) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  return allocatePinned(*entry.context, pp, bytesize, Flags);
}

SIM_EXPORT CUresult cuMemFreeHost(void *p) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (const CUresult status = wantHost(p, "p"); status != CUDA_SUCCESS) return status;
  if (const CUresult status = allowedDuringCapture(); status != CUDA_SUCCESS) return status;
  return releaseHost(p);
}

SIM_EXPORT CUresult cuMemHostRegister_v2(void *p, size_t bytesize, unsigned int Flags) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (const CUresult status = wantHost(p, "p"); status != CUDA_SUCCESS) return status;
  if (bytesize == 0) return refuse(check::badValue, "bytesize is 0");
  constexpr unsigned known = CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP;
  if ((Flags & (CU_MEMHOSTREGISTER_IOMEMORY | CU_MEMHOSTREGISTER_READ_ONLY)) != 0) return CUDA_ERROR_NOT_SUPPORTED;
  if ((Flags & ~known) != 0) return refuse(check::badValue, "Flags is " + hexadecimal(Flags));
  if (const CUresult status = allowedDuringCapture(); status != CUDA_SUCCESS) return status;
  return registerHost(*entry.context, p, bytesize, Flags);
}

SIM_EXPORT CUresult cuMemHostUnregister(void *p) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (const CUresult status = wantHost(p, "p"); status != CUDA_SUCCESS) return status;
  if (const CUresult status = allowedDuringCapture(); status != CUDA_SUCCESS) return status;
  return unregisterHost(p);
}

// The simulator maps no host memory into the device's addresses, as CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY says.
SIM_EXPORT CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr *pdptr, void *p, unsigned int Flags) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (pdptr == nullptr) return nullArgument("pdptr");
  if (const CUresult status = wantHost(p, "p"); status != CUDA_SUCCESS) return status;
  if (Flags != 0) return refuse(check::badValue, "Flags is " + std::to_string(Flags) + " and must be 0");
  return findHost(p) != nullptr ? CUDA_ERROR_NOT_SUPPORTED : CUDA_ERROR_INVALID_VALUE;
}

SIM_EXPORT CUresult cuMemHostGetFlags(unsigned int *pFlags, void *p) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (pFlags == nullptr) return nullArgument("pFlags");
  if (const CUresult status = wantHost(p, "p"); status != CUDA_SUCCESS) return status;
  const HostAllocation *pinned = findHost(p);
  if (pinned == nullptr || pinned->registered) return refuse(check::badValue, "p was not allocated by cuMemHostAlloc");
  *pFlags = pinned->flags;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuPointerGetAttribute(void *data, CUpointer_attribute attribute, CUdeviceptr ptr) {
  Entry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (data == nullptr) return nullArgument("data");
  if (ptr == 0) return CUDA_ERROR_INVALID_VALUE;
  return pointerAttribute(data, attribute, ptr);
}

SIM_EXPORT CUresult cuPointerGetAttributes(unsigned int numAttributes, CUpointer_attribute *attributes, void **data,
                                           CUdeviceptr ptr) {
  Entry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (attributes == nullptr || data == nullptr) return nullArgument(attributes == nullptr ? "attributes" : "data");
  for (unsigned i = 0; i < numAttributes; i++) {
    if (data[i] == nullptr) return nullArgument(("data[" + std::to_string(i) + "]").c_str());
    if (pointerAttribute(data[i], attributes[i], ptr) == CUDA_SUCCESS) continue;
    std::fill_n(static_cast<char *>(data[i]), sizeOf(attributes[i]), 0);
  }
  return CUDA_SUCCESS;
}
