// Fills of device memory with 8, 16 or 32-bit values, as lines or as rows of a pitched rectangle.
#include <algorithm>

#include "driver/driver.h"

namespace sim::driver {
namespace {

struct Fill {
  uint64_t address = 0;
  uint64_t pitch = 0;  // bytes from row to row
  uint64_t width = 0;  // elements
  uint64_t rows = 1;
};

template <class T>
CUresult check(const Fill &fill) {
  if (const CUresult status = wantDevice(fill.address, "dstDevice"); status != CUDA_SUCCESS) return status;
  if (fill.address % sizeof(T) != 0)
    return refuse(check::misaligned, "dstDevice is " + hexadecimal(fill.address) + ", " + describe(fill.address) +
                                         ", no multiple of " + std::to_string(sizeof(T)));
  if (fill.rows == 1) return CUDA_SUCCESS;
  if (fill.pitch % sizeof(T) != 0)
    return refuse(check::misaligned, "dstPitch is " + std::to_string(fill.pitch) + ", no multiple of " +
                                         std::to_string(sizeof(T)));
  if (fill.pitch / sizeof(T) < fill.width)
    return refuse(check::badValue, "dstPitch is " + std::to_string(fill.pitch) + ", rows take " +
                                       std::to_string(fill.width * sizeof(T)) + " bytes");
  return CUDA_SUCCESS;
}

template <class T>
CUresult start(const Fill &fill, T value, CUstream handle) {
  CUresult status = CUDA_SUCCESS;
  Stream *stream = resolve(handle, status);
  if (stream == nullptr) return status;
  if (fill.width == 0 || fill.rows == 0) return CUDA_SUCCESS;
  if (fill.width > UINT64_MAX / sizeof(T)) return refuse(check::badValue, "N is " + std::to_string(fill.width));
  if (status = sim::driver::check<T>(fill); status != CUDA_SUCCESS) return status;
  Work work;
  work.counter = "memset";
  work.counterBytes = fill.width * fill.rows * sizeof(T);
  work.detail = std::to_string(work.counterBytes) + " bytes";
  for (uint64_t r = 0; r < fill.rows; r++)
    work.accesses.push_back({fill.address + r * fill.pitch, fill.width * sizeof(T), Mode::Write, "dstDevice"});
  work.run = [fill, value] {
    for (uint64_t r = 0; r < fill.rows; r++) std::fill_n(at<T>(fill.address + r * fill.pitch), fill.width, value);
    return CUDA_SUCCESS;
  };
  return enqueue(*stream, std::move(work));
}

}  // namespace
}  // namespace sim::driver

using namespace sim;
using namespace sim::driver;

SIM_EXPORT CUresult cuMemsetD8_v2(CUdeviceptr dstDevice, unsigned char uc, size_t N) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  return start<uint8_t>({dstDevice, 0, N, 1}, uc, CUstream(nullptr));
}

SIM_EXPORT CUresult cuMemsetD8Async(CUdeviceptr dstDevice, unsigned char uc, size_t N, CUstream hStream) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  return start<uint8_t>({dstDevice, 0, N, 1}, uc, hStream);
}

SIM_EXPORT CUresult cuMemsetD2D8_v2(CUdeviceptr dstDevice, size_t dstPitch, unsigned char uc, size_t Width,
                                    size_t Height) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  return start<uint8_t>({dstDevice, dstPitch, Width, Height}, uc, CUstream(nullptr));
}

SIM_EXPORT CUresult cuMemsetD2D8Async(CUdeviceptr dstDevice, size_t dstPitch, unsigned char uc, size_t Width,
                                      size_t Height, CUstream hStream) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  return start<uint8_t>({dstDevice, dstPitch, Width, Height}, uc, hStream);
}

SIM_EXPORT CUresult cuMemsetD16_v2(CUdeviceptr dstDevice, unsigned short us, size_t N) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  return start<uint16_t>({dstDevice, 0, N, 1}, us, CUstream(nullptr));
}

SIM_EXPORT CUresult cuMemsetD16Async(CUdeviceptr dstDevice, unsigned short us, size_t N, CUstream hStream) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  return start<uint16_t>({dstDevice, 0, N, 1}, us, hStream);
}

SIM_EXPORT CUresult cuMemsetD2D16_v2(CUdeviceptr dstDevice, size_t dstPitch, unsigned short us, size_t Width,
                                     size_t Height) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  return start<uint16_t>({dstDevice, dstPitch, Width, Height}, us, CUstream(nullptr));
}

SIM_EXPORT CUresult cuMemsetD2D16Async(CUdeviceptr dstDevice, size_t dstPitch, unsigned short us, size_t Width,
                                       size_t Height, CUstream hStream) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  return start<uint16_t>({dstDevice, dstPitch, Width, Height}, us, hStream);
}

SIM_EXPORT CUresult cuMemsetD32_v2(CUdeviceptr dstDevice, unsigned int ui, size_t N) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  return start<uint32_t>({dstDevice, 0, N, 1}, ui, CUstream(nullptr));
}

SIM_EXPORT CUresult cuMemsetD32Async(CUdeviceptr dstDevice, unsigned int ui, size_t N, CUstream hStream) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  return start<uint32_t>({dstDevice, 0, N, 1}, ui, hStream);
}

SIM_EXPORT CUresult cuMemsetD2D32_v2(CUdeviceptr dstDevice, size_t dstPitch, unsigned int ui, size_t Width,
                                     size_t Height) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  return start<uint32_t>({dstDevice, dstPitch, Width, Height}, ui, CUstream(nullptr));
}

SIM_EXPORT CUresult cuMemsetD2D32Async(CUdeviceptr dstDevice, size_t dstPitch, unsigned int ui, size_t Width,
                                       size_t Height, CUstream hStream) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  return start<uint32_t>({dstDevice, dstPitch, Width, Height}, ui, hStream);
}
