// Launches: kernels in the PTX interpreter, and functions of the host in a stream.
#include <algorithm>
#include <cstdio>
#include <cstring>

#include "driver/driver.h"

namespace sim::driver {
namespace {

// The device's memory as a kernel of a context sees it.
class KernelMemory : public ptx::Memory {
 public:
  explicit KernelMemory(const Context *context) : context_(context) {}

  ptx::Fault resolve(uint64_t address, ptx::Region &region) override {
    const Allocation *allocation = find(address);
    if (allocation == nullptr || allocation->context != context_) return ptx::Fault::OutOfBounds;
    if (allocation->data == nullptr) return ptx::Fault::UseAfterFree;
    region.begin = allocation->address;
    region.end = allocation->address + allocation->bytes;
    region.data = allocation->data;
    region.shadow = allocation->shadow;
    region.writable = allocation->writable;
    return ptx::Fault::None;
  }

  std::string describe(uint64_t address) override {
    if (!isDeviceAddress(address)) return "no device address";
    const Allocation *allocation = find(address);
    const bool foreign = allocation != nullptr && allocation->context != context_;
    return sim::describe(address) + (foreign ? " of another context" : "");
  }

 private:
  const Context *context_;
};

std::unique_ptr<ptx::Interpreter> interpreter;  // keeps its buffers from launch to launch

void forgetInterpreter() { interpreter.reset(); }
[[maybe_unused]] const bool hooked = (onReset(forgetInterpreter), true);

// One launch as it was called, to be run as often as its stream or graph wants.
struct KernelRun {
  std::shared_ptr<Module> module;
  ptx::Launch launch;
};

CUresult statusOf(ptx::Status status) {
  switch (status) {
    case ptx::Status::Ok: return CUDA_SUCCESS;
    case ptx::Status::BadConfiguration: return CUDA_ERROR_INVALID_VALUE;
    case ptx::Status::OutOfResources: return CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
    case ptx::Status::IllegalAddress: return CUDA_ERROR_ILLEGAL_ADDRESS;
    case ptx::Status::MisalignedAddress: return CUDA_ERROR_MISALIGNED_ADDRESS;
    case ptx::Status::IllegalInstruction: return CUDA_ERROR_ILLEGAL_INSTRUCTION;
    case ptx::Status::Timeout: return CUDA_ERROR_LAUNCH_TIMEOUT;
    case ptx::Status::Assert: return CUDA_ERROR_ASSERT;
    case ptx::Status::Failed: break;
  }
  return CUDA_ERROR_LAUNCH_FAILED;
}

// What a kernel got at an address through: a variable of its module, or the parameter that points into the allocation.
std::string wayTo(const KernelRun &run, uint64_t address) {
  const Allocation *allocation = find(address);
  for (size_t i = 0; i < run.module->variables.size(); i++)
    if (run.module->variables[i] == allocation) return run.module->code->symbols()[i].name;
  for (const ptx::Parameter &parameter : run.launch.kernel->params) {
    uint64_t value = 0;
    if (parameter.size != sizeof value) continue;
    std::memcpy(&value, run.launch.params.data() + parameter.offset, sizeof value);
    if (isDeviceAddress(value) && find(value) == allocation) return parameter.name;
  }
  return "memory that no parameter points to";
}

void addTouched(const KernelRun &run, const std::vector<ptx::Range> &ranges, Mode mode, std::vector<Access> &touched) {
  for (const ptx::Range &range : ranges)
    touched.push_back({range.begin, range.end - range.begin, mode, wayTo(run, range.begin)});
}

CUresult runKernel(const KernelRun &run, std::vector<Access> &touched) {
  if (interpreter == nullptr) interpreter = std::make_unique<ptx::Interpreter>();
  KernelMemory memory(run.module->context);
  ptx::Launch launch = run.launch;
  launch.seed = chance();
  const ptx::LaunchResult result = interpreter->launch(*run.module->code, launch, memory);
  if (!result.output.empty()) {
    std::fwrite(result.output.data(), 1, result.output.size(), stdout);
    std::fflush(stdout);
  }
  for (const ptx::Finding &finding : result.findings) {
    const std::string times = finding.count > 1 ? " (" + std::to_string(finding.count) + " times)" : "";
    report(ptx::name(finding.kind), finding.message + times);
  }
  addTouched(run, result.read, Mode::Read, touched);
  addTouched(run, result.written, Mode::Write, touched);
  return statusOf(result.status);
}

// ------------------------------------------------------------------------------------------------- the parameter block

CUresult fromPointers(const ptx::Kernel &kernel, void **pointers, std::vector<uint8_t> &block) {
  if (isDeviceAddress(reinterpret_cast<uint64_t>(pointers))) return wantHost(pointers, "kernelParams");
  for (size_t i = 0; i < kernel.params.size(); i++) {
    const ptx::Parameter &parameter = kernel.params[i];
    const std::string name = "kernelParams[" + std::to_string(i) + "] (" + parameter.name + ")";
    if (const CUresult status = wantHost(pointers[i], name.c_str()); status != CUDA_SUCCESS) return status;
    std::memcpy(block.data() + parameter.offset, pointers[i], parameter.size);
  }
  return CUDA_SUCCESS;
}

// `extra` is a list of names and values, closed by CU_LAUNCH_PARAM_END.
CUresult fromExtra(const ptx::Kernel &kernel, void **extra, std::vector<uint8_t> &block) {
  const void *buffer = nullptr;
  const size_t *bytes = nullptr;
  for (size_t i = 0; extra[i] != CU_LAUNCH_PARAM_END; i += 2) {
    if (extra[i] == CU_LAUNCH_PARAM_BUFFER_POINTER) {
      buffer = extra[i + 1];
    } else if (extra[i] == CU_LAUNCH_PARAM_BUFFER_SIZE) {
      bytes = static_cast<const size_t *>(extra[i + 1]);
    } else {
      return refuse(check::badValue, "extra[" + std::to_string(i) + "] is no CU_LAUNCH_PARAM_ value");
    }
  }
  if (const CUresult status = wantHost(buffer, "the buffer of extra"); status != CUDA_SUCCESS) return status;
  if (const CUresult status = wantHost(bytes, "the size of extra"); status != CUDA_SUCCESS) return status;
  if (*bytes < kernel.paramBytes)
    return refuse(check::launch, "extra holds " + std::to_string(*bytes) + " bytes of parameters, kernel " +
                                     kernel.name + " has " + std::to_string(kernel.paramBytes));
  std::memcpy(block.data(), buffer, kernel.paramBytes);
  return CUDA_SUCCESS;
}

CUresult readParameters(const ptx::Kernel &kernel, void **pointers, void **extra, std::vector<uint8_t> &block) {
  block.assign(kernel.paramBytes, 0);
  if (pointers != nullptr && extra != nullptr)
    return refuse(check::badValue, "both kernelParams and extra are given");
  if (kernel.params.empty()) return CUDA_SUCCESS;
  if (extra != nullptr) return fromExtra(kernel, extra, block);
  if (pointers != nullptr) return fromPointers(kernel, pointers, block);
  return refuse(check::launch, "kernelParams and extra are NULL, but kernel " + kernel.name + " has " +
                                   std::to_string(kernel.params.size()) + " parameters");
}

// ---------------------------------------------------------------------------------------------------------- the limits

uint64_t product(const ptx::Dim3 &size) { return static_cast<uint64_t>(size.x) * size.y * size.z; }

bool within(const ptx::Dim3 &size, const ptx::Dim3 &most) {
  return size.x >= 1 && size.y >= 1 && size.z >= 1 && size.x <= most.x && size.y <= most.y && size.z <= most.z;
}

CUresult checkLimits(const Function &function, const ptx::Launch &launch, const DeviceProperties &device) {
  const ptx::Kernel &kernel = *function.kernel;
  const std::string name = "kernel " + function.name + ": ";
  if (!within(launch.grid, launch.limits.grid))
    return refuse(check::launch, name + "a grid of " + text(launch.grid) + "; each side can be 1 to " +
                                     text(launch.limits.grid));
  if (product(launch.grid) > UINT32_MAX)
    return refuse(check::launch, name + "a grid of " + text(launch.grid) + " has too many blocks for the simulator");
  if (!within(launch.block, launch.limits.block) || product(launch.block) > launch.limits.threadsPerBlock)
    return refuse(check::launch, name + "blocks of " + text(launch.block) + "; each side can be 1 to " +
                                     text(launch.limits.block) + ", with " +
                                     std::to_string(launch.limits.threadsPerBlock) + " threads in all");
  const ptx::Dim3 required = kernel.reqntid, block = launch.block;
  if (required.x != 0 && (block.x != required.x || block.y != required.y || block.z != required.z))
    return refuse(check::launch, name + "blocks of " + text(block) + ", .reqntid wants " + text(required));
  if (product(block) > static_cast<uint64_t>(maxThreads(kernel)))
    return refuse(check::launch,
                  name + "blocks of " + std::to_string(product(block)) +
                      " threads; its registers and directives allow " + std::to_string(maxThreads(kernel)),
                  CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
  if (launch.dynamicShared > static_cast<uint32_t>(function.maxDynamicShared))
    return refuse(check::launch, name + std::to_string(launch.dynamicShared) + " bytes of dynamic shared memory; " +
                                     std::to_string(function.maxDynamicShared) + " are allowed (" +
                                     std::to_string(device.sharedPerBlockOptin - static_cast<int>(kernel.sharedBytes)) +
                                     " after cuFuncSetAttribute)");
  return CUDA_SUCCESS;
}

CUresult launchKernel(const Context &context, CUfunction handle, const ptx::Dim3 &grid, const ptx::Dim3 &block,
                      unsigned dynamicShared, CUstream streamHandle, void **kernelParams, void **extra) {
  CUresult status = CUDA_SUCCESS;
  const Function *function = liveFunction(handle, context, status);
  if (function == nullptr) return status;
  Stream *stream = resolve(streamHandle, status);
  if (stream == nullptr) return status;
  const DeviceProperties &device = properties(deviceOf(context));
  auto run = std::make_shared<KernelRun>();
  run->module = function->module;
  run->launch.kernel = function->kernel;
  run->launch.grid = grid;
  run->launch.block = block;
  run->launch.dynamicShared = dynamicShared;
  run->launch.limits.sharedBytes = static_cast<uint32_t>(device.sharedPerBlockOptin);
  run->launch.architecture = static_cast<uint32_t>(device.major * 10 + device.minor);
  if (status = checkLimits(*function, run->launch, device); status != CUDA_SUCCESS) return status;
  if (status = readParameters(*function->kernel, kernelParams, extra, run->launch.params); status != CUDA_SUCCESS)
    return status;
  Work work;
  work.detail = function->name + "<<<" + text(grid) + "," + text(block) +
                (dynamicShared > 0 ? "," + std::to_string(dynamicShared) : "") + ">>>";
  work.handles = {function->module.get()};
  work.runAndTell = [run](std::vector<Access> &touched) { return runKernel(*run, touched); };
  work.counter = "kernel";
  return enqueue(*stream, std::move(work));
}

Work hostWork(std::function<CUresult()> run) {
  Work work;
  work.run = std::move(run);
  work.hostFunction = true;
  work.counter = "host function";
  return work;
}

}  // namespace
}  // namespace sim::driver

using namespace sim;
using namespace sim::driver;

SIM_EXPORT CUresult cuLaunchKernel(CUfunction f, unsigned int gridDimX, unsigned int gridDimY, unsigned int gridDimZ,
                                   unsigned int blockDimX, unsigned int blockDimY, unsigned int blockDimZ,
                                   unsigned int sharedMemBytes, CUstream hStream, void **kernelParams, void **extra) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  return launchKernel(*entry.context, f, {gridDimX, gridDimY, gridDimZ}, {blockDimX, blockDimY, blockDimZ},
                      sharedMemBytes, hStream, kernelParams, extra);
}

SIM_EXPORT CUresult cuLaunchHostFunc(CUstream hStream, CUhostFn fn, void *userData) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (fn == nullptr) return nullArgument("fn");
  CUresult status = CUDA_SUCCESS;
  Stream *stream = resolve(hStream, status);
  if (stream == nullptr) return status;
  return enqueue(*stream, hostWork([fn, userData] {
    fn(userData);
    return CUDA_SUCCESS;
  }));
}

SIM_EXPORT CUresult cuStreamAddCallback(CUstream hStream, CUstreamCallback callback, void *userData,
                                        unsigned int flags) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (callback == nullptr) return nullArgument("callback");
  if (flags != 0) return refuse(check::badValue, "flags is " + std::to_string(flags) + " and must be 0");
  CUresult status = CUDA_SUCCESS;
  Stream *stream = resolve(hStream, status);
  if (stream == nullptr) return status;
  if (status = allowedDuringCapture(*stream); status != CUDA_SUCCESS) return status;
  return enqueue(*stream, hostWork([callback, hStream, userData] {
    callback(hStream, CUDA_SUCCESS, userData);
    return CUDA_SUCCESS;
  }));
}
