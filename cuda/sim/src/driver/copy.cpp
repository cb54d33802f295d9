// Copies between host and device, as lines of bytes or as rows of a pitched rectangle.
//
// Pageable memory of the host is read when the copy is called and written before it returns; pinned memory is used when
// the copy runs. The forms without a stream run on the legacy default stream.
#include <cstring>

#include "driver/driver.h"

namespace sim::driver {
namespace {

// One side of a copy.
struct Place {
  const char *name = "";
  bool device = false;
  uint64_t address = 0;
  uint64_t pitch = 0;  // from row to row

  uint8_t *host() const { return reinterpret_cast<uint8_t *>(address); }
  // Row `row`, for use while the work runs.
  uint8_t *at(uint64_t row) const { return device ? data(address + row * pitch) : host() + row * pitch; }
};

struct Copy {
  Place to, from;
  uint64_t width = 0, rows = 1;

  uint64_t span(const Place &place) const { return (rows - 1) * place.pitch + width; }
  void run() const {
    for (uint64_t r = 0; r < rows; r++) std::memmove(to.at(r), from.at(r), width);
  }
};

Place devicePlace(CUdeviceptr address, const char *name) { return {name, true, address, 0}; }
Place hostPlace(const void *address, const char *name) { return {name, false, reinterpret_cast<uint64_t>(address), 0}; }
// Unified addressing: the address tells.
Place unifiedPlace(CUdeviceptr address, const char *name) { return {name, isDeviceAddress(address), address, 0}; }

CUresult checkPlace(const Copy &copy, const Place &place) {
  if (place.device) return wantDevice(place.address, place.name);
  if (const CUresult status = wantHost(place.host(), place.name); status != CUDA_SUCCESS) return status;
  const HostAllocation *pinned = findHost(place.host());
  if (pinned == nullptr) return CUDA_SUCCESS;
  const uint64_t left = pinned->bytes - static_cast<uint64_t>(place.host() - pinned->address);
  if (copy.span(place) <= left) return CUDA_SUCCESS;
  return refuse(check::outOfBounds, std::string(place.name) + ": the copy takes " + std::to_string(copy.span(place)) +
                                        " bytes, " + std::to_string(left) + " are left of the pinned buffer of " +
                                        std::to_string(pinned->bytes));
}

void addAccesses(const Copy &copy, const Place &place, Mode mode, Work &work) {
  if (!place.device) return;
  if (place.pitch == copy.width || copy.rows == 1) {
    work.accesses.push_back({place.address, copy.width * copy.rows, mode, place.name});
    return;
  }
  for (uint64_t r = 0; r < copy.rows; r++)
    work.accesses.push_back({place.address + r * place.pitch, copy.width, mode, place.name});
}

bool contiguous(const Copy &copy, const Place &place) { return place.pitch == copy.width || copy.rows == 1; }

// Reads pageable memory now: the work copies from what it holds.
std::function<CUresult()> staged(const Copy &copy) {
  auto bytes = std::make_shared<std::vector<uint8_t>>(copy.width * copy.rows);
  for (uint64_t r = 0; r < copy.rows; r++) std::memcpy(bytes->data() + r * copy.width, copy.from.at(r), copy.width);
  return [copy, bytes] {
    for (uint64_t r = 0; r < copy.rows; r++)
      std::memcpy(copy.to.at(r), bytes->data() + r * copy.width, copy.width);
    return CUDA_SUCCESS;
  };
}

enum class Form { Synchronous, Asynchronous };

const char *counterOf(const Copy &copy) {
  if (copy.to.device) return copy.from.device ? "memcpy DtoD" : "memcpy HtoD";
  return copy.from.device ? "memcpy DtoH" : "memcpy HtoH";
}

CUresult start(const Copy &copy, Stream &stream, Form form) {
  if (const CUresult status = checkPlace(copy, copy.to); status != CUDA_SUCCESS) return status;
  if (const CUresult status = checkPlace(copy, copy.from); status != CUDA_SUCCESS) return status;
  const bool pageableFrom = !copy.from.device && findHost(copy.from.host()) == nullptr;
  const bool pageableTo = !copy.to.device && findHost(copy.to.host()) == nullptr;
  if (pageableFrom || pageableTo) {
    // Pageable memory makes the driver synchronise with the stream, which a capture forbids.
    if (const CUresult status = allowedDuringCapture(stream); status != CUDA_SUCCESS) return status;
  }
  Work work;
  work.counter = counterOf(copy);
  work.counterBytes = copy.width * copy.rows;
  work.detail = std::to_string(work.counterBytes) + " bytes";
  addAccesses(copy, copy.from, Mode::Read, work);
  addAccesses(copy, copy.to, Mode::Write, work);
  if (pageableFrom && copy.to.device) {
    if (const CUresult status = checkAccesses(work.accesses); status != CUDA_SUCCESS) return status;
    if (form == Form::Synchronous) {
      if (const CUresult status = synchronize(stream); status != CUDA_SUCCESS) return status;
    }
    work.run = staged(copy);
    return enqueue(stream, std::move(work));  // the transfer itself may be under way when the call returns
  }
  if (!copy.from.device && !pageableFrom && contiguous(copy, copy.from)) {
    work.hostRead = copy.from.host();
    work.hostBytes = copy.width * copy.rows;
  }
  if (!copy.to.device && !pageableTo && contiguous(copy, copy.to)) {
    work.hostWrite = copy.to.host();
    work.hostBytes = copy.width * copy.rows;
  }
  work.run = [copy] {
    copy.run();
    return CUDA_SUCCESS;
  };
  if (const CUresult status = enqueue(stream, std::move(work)); status != CUDA_SUCCESS) return status;
  const bool hostInvolved = !copy.from.device || !copy.to.device;
  const bool waits = (form == Form::Synchronous && hostInvolved) || pageableTo || pageableFrom;
  return waits ? synchronize(stream) : CUDA_SUCCESS;
}

// A copy on the stream of a handle.
CUresult onStream(const Copy &copy, CUstream handle) {
  CUresult status = CUDA_SUCCESS;
  Stream *stream = resolve(handle, status);
  if (stream == nullptr) return status;
  if (copy.width == 0 || copy.rows == 0) return CUDA_SUCCESS;
  return start(copy, *stream, Form::Asynchronous);
}

// A copy without a stream.
CUresult now(const Copy &copy) {
  if (const CUresult status = allowedDuringCapture(); status != CUDA_SUCCESS) return status;
  CUresult status = CUDA_SUCCESS;
  Stream *stream = resolve(CUstream(nullptr), status);
  if (stream == nullptr) return status;
  if (copy.width == 0 || copy.rows == 0) return CUDA_SUCCESS;
  return start(copy, *stream, Form::Synchronous);
}

// -------------------------------------------------------------------------------------------------------- rectangles

CUresult rectanglePlace(Place &place, CUmemorytype type, const void *host, CUdeviceptr device, size_t x, size_t y,
                        size_t pitch, const Copy &copy) {
  switch (type) {
    case CU_MEMORYTYPE_HOST: place = hostPlace(host, place.name); break;
    case CU_MEMORYTYPE_DEVICE: place = devicePlace(device, place.name); break;
    case CU_MEMORYTYPE_UNIFIED: place = unifiedPlace(device, place.name); break;
    case CU_MEMORYTYPE_ARRAY: return CUDA_ERROR_NOT_SUPPORTED;
    default: return refuse(check::badValue, std::string(place.name) + ": no CUmemorytype");
  }
  if (place.address == 0) return nullArgument(place.name);
  if (pitch != 0 && pitch < x + copy.width)
    return refuse(check::badValue, std::string(place.name) + ": a pitch of " + std::to_string(pitch) +
                                       " for rows of " + std::to_string(x + copy.width) + " bytes");
  place.pitch = pitch != 0 ? pitch : copy.width;
  place.address += y * place.pitch + x;
  return CUDA_SUCCESS;
}

CUresult rectangle(const CUDA_MEMCPY2D *p, Copy &copy) {
  if (p == nullptr) return nullArgument("pCopy");
  copy.width = p->WidthInBytes;
  copy.rows = p->Height;
  copy.from.name = "src of pCopy";
  copy.to.name = "dst of pCopy";
  if (const CUresult status = rectanglePlace(copy.from, p->srcMemoryType, p->srcHost, p->srcDevice, p->srcXInBytes,
                                             p->srcY, p->srcPitch, copy);
      status != CUDA_SUCCESS)
    return status;
  return rectanglePlace(copy.to, p->dstMemoryType, p->dstHost, p->dstDevice, p->dstXInBytes, p->dstY, p->dstPitch,
                        copy);
}

}  // namespace
}  // namespace sim::driver

using namespace sim;
using namespace sim::driver;

SIM_EXPORT CUresult cuMemcpyHtoD_v2(CUdeviceptr dstDevice, const void *srcHost, size_t ByteCount) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  return now({devicePlace(dstDevice, "dstDevice"), hostPlace(srcHost, "srcHost"), ByteCount});
}

SIM_EXPORT CUresult cuMemcpyDtoH_v2(void *dstHost, CUdeviceptr srcDevice, size_t ByteCount) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  return now({hostPlace(dstHost, "dstHost"), devicePlace(srcDevice, "srcDevice"), ByteCount});
}

SIM_EXPORT CUresult cuMemcpyDtoD_v2(CUdeviceptr dstDevice, CUdeviceptr srcDevice, size_t ByteCount) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  return now({devicePlace(dstDevice, "dstDevice"), devicePlace(srcDevice, "srcDevice"), ByteCount});
}

SIM_EXPORT CUresult cuMemcpy(CUdeviceptr dst, CUdeviceptr src, size_t ByteCount) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  return now({unifiedPlace(dst, "dst"), unifiedPlace(src, "src"), ByteCount});
}

SIM_EXPORT CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr dstDevice, const void *srcHost, size_t ByteCount,
                                         CUstream hStream) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  return onStream({devicePlace(dstDevice, "dstDevice"), hostPlace(srcHost, "srcHost"), ByteCount}, hStream);
}

SIM_EXPORT CUresult cuMemcpyDtoHAsync_v2(void *dstHost, CUdeviceptr srcDevice, size_t ByteCount, CUstream hStream) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  return onStream({hostPlace(dstHost, "dstHost"), devicePlace(srcDevice, "srcDevice"), ByteCount}, hStream);
}

SIM_EXPORT CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr dstDevice, CUdeviceptr srcDevice, size_t ByteCount,
                                         CUstream hStream) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  return onStream({devicePlace(dstDevice, "dstDevice"), devicePlace(srcDevice, "srcDevice"), ByteCount}, hStream);
}

SIM_EXPORT CUresult cuMemcpyAsync(CUdeviceptr dst, CUdeviceptr src, size_t ByteCount, CUstream hStream) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  return onStream({unifiedPlace(dst, "dst"), unifiedPlace(src, "src"), ByteCount}, hStream);
}

SIM_EXPORT CUresult cuMemcpy2D_v2(const CUDA_MEMCPY2D *pCopy) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  Copy copy;
  if (const CUresult status = rectangle(pCopy, copy); status != CUDA_SUCCESS) return status;
  return now(copy);
}

SIM_EXPORT CUresult cuMemcpy2DUnaligned_v2(const CUDA_MEMCPY2D *pCopy) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  Copy copy;
  if (const CUresult status = rectangle(pCopy, copy); status != CUDA_SUCCESS) return status;
  return now(copy);
}

SIM_EXPORT CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D *pCopy, CUstream hStream) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  Copy copy;
  if (const CUresult status = rectangle(pCopy, copy); status != CUDA_SUCCESS) return status;
  return onStream(copy, hStream);
}
