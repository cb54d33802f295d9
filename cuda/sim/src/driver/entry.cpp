// How exported functions open and refuse; cuInit and versions.
#include "driver/driver.h"

namespace sim::driver {

namespace {

bool started = false;  // for the rest of the process, as with the real library

}  // namespace

bool initialised() { return started; }

Entry::Entry(const char *name) : call_(Library::Driver, name), status(static_cast<CUresult>(call_.fault())) {
  if (status == CUDA_SUCCESS && !started) status = CUDA_ERROR_NOT_INITIALIZED;
}

BoundEntry::BoundEntry(const char *name) : Entry(name) {
  if (status == CUDA_SUCCESS) context = need(status);
}

CUresult refuse(const char *check, const std::string &message, CUresult status) {
  report(check, message);
  return status;
}

CUresult nullArgument(const char *name) { return refuse(check::badValue, std::string(name) + " is NULL"); }

std::string hexadecimal(uint64_t value) {
  static const char digits[] = "0123456789abcdef";
  std::string out;
  do out.insert(out.begin(), digits[value & 15]);
  while (value >>= 4);
  return "0x" + out;
}

std::string text(const ptx::Dim3 &size) {
  return "(" + std::to_string(size.x) + "," + std::to_string(size.y) + "," + std::to_string(size.z) + ")";
}

bool validDevice(CUdevice device) { return device >= 0 && device < deviceCount(); }

CUresult wantHost(const void *pointer, const char *name) {
  if (pointer == nullptr) return nullArgument(name);
  const uint64_t address = reinterpret_cast<uint64_t>(pointer);
  if (!isDeviceAddress(address)) return CUDA_SUCCESS;
  return refuse(check::devicePointer,
                std::string(name) + " is device address " + hexadecimal(address) + ", " + describe(address));
}

CUresult wantDevice(CUdeviceptr pointer, const char *name) {
  if (pointer == 0) return nullArgument(name);
  if (isDeviceAddress(pointer)) return CUDA_SUCCESS;
  const HostAllocation *pinned = findHost(reinterpret_cast<const void *>(pointer));
  return refuse(check::hostPointer, std::string(name) + " is " + hexadecimal(pointer) + ", which is no device address" +
                                        (pinned != nullptr ? " but pinned host memory" : ""));
}

}  // namespace sim::driver

using namespace sim;
using namespace sim::driver;

SIM_EXPORT CUresult cuInit(unsigned int Flags) {
  Call call(Library::Driver, __func__);
  if (call.fault() != 0) return static_cast<CUresult>(call.fault());
  if (Flags != 0) return refuse(check::badValue, "Flags is " + std::to_string(Flags) + " and must be 0");
  if (deviceCount() == 0) return CUDA_ERROR_NO_DEVICE;
  started = true;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuDriverGetVersion(int *version) {
  Call call(Library::Driver, __func__);
  if (call.fault() != 0) return static_cast<CUresult>(call.fault());
  if (version == nullptr) return nullArgument("driverVersion");
  *version = driverVersion();
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuProfilerStart(void) { return BoundEntry(__func__).status; }

SIM_EXPORT CUresult cuProfilerStop(void) { return BoundEntry(__func__).status; }
