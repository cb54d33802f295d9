// What the parts of the driver API share: how every exported function opens, how arguments are refused, and the modules
// and functions behind their handles.
//
// Functions are defined under the names that the library exports (cuMemAlloc_v2), which NVIDIA's headers and ours
// declare alike.
#ifndef GPUTRAIN_SIM_DRIVER_H
#define GPUTRAIN_SIM_DRIVER_H

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/core.h"
#include "ptx/ptx.h"

#define SIM_EXPORT extern "C" SIM_SHARED

namespace sim::driver {

// Opens an exported function. Where `status` isn't success the function returns it: a fault on demand, or cuInit hasn't
// been called.
class Entry {
 public:
  explicit Entry(const char *name);

 private:
  Call call_;

 public:
  CUresult status;
};

// Opens a function that needs a current context; `status` also tells of its absence and of its sticky error.
class BoundEntry : public Entry {
 public:
  explicit BoundEntry(const char *name);
  Context *context = nullptr;
};

// Whether cuInit has succeeded in this process.
bool initialised();

// A finding that comes with a status.
CUresult refuse(const char *check, const std::string &message, CUresult status = CUDA_ERROR_INVALID_VALUE);
CUresult nullArgument(const char *name);
std::string hexadecimal(uint64_t value);
std::string text(const ptx::Dim3 &size);  // (4,1,1)

bool validDevice(CUdevice device);

// That a pointer argument is one to host memory, or to device memory; otherwise a finding that names it.
CUresult wantHost(const void *pointer, const char *name);
CUresult wantDevice(CUdeviceptr pointer, const char *name);

// --------------------------------------------------------------------------------------------------------- modules

// CUmodule points to one. Shared with queued work, which may outlive cuModuleUnload.
struct Module {
  std::unique_ptr<ptx::Module> code;
  Context *context = nullptr;
  std::vector<Allocation *> variables;  // by symbol
};

// CUfunction points to one. It stays in its table when the module goes, so that a stale handle can be told.
struct Function {
  std::shared_ptr<Module> module;  // null once unloaded
  const ptx::Kernel *kernel = nullptr;
  std::string name, unloadedBy;
  int maxDynamicShared = 0;  // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
  int carveout = -1;         // CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT
};

// The live function of a handle, with the current context's; null, a finding and `status` otherwise.
Function *liveFunction(CUfunction handle, const Context &context, CUresult &status);
// Ends the modules of a context that is gone.
void dropModules(const Context *context);

// ------------------------------------------------------------------------------------------- what a multiprocessor has

struct Multiprocessor {
  int threads = 2048, blocks = 32, warpsPerScheduler = 16;
  int registers = 65536, sharedBytes = 0, reservedSharedPerBlock = 0, sharedGranularity = 128;
};
Multiprocessor multiprocessor(int device);
// The most threads that a block of this kernel can have, by its directives and its registers.
int maxThreads(const ptx::Kernel &kernel);

}  // namespace sim::driver

#endif
