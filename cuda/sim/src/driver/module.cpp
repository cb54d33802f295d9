// Modules from PTX, their functions and variables.
#include <algorithm>
#include <cstring>
#include <fstream>
#include <sstream>

#include "driver/driver.h"

namespace sim::driver {
namespace {

constexpr char kModule[] = "CUmodule";
constexpr int kSharedWithoutOptIn = 49152;

std::map<const void *, std::shared_ptr<Module>> modules;                // live ones
std::map<std::pair<const void *, std::string>, CUfunction> functionOf;  // of live modules, by name
std::map<const void *, std::unique_ptr<Function>> functions;            // live ones and stale ones

void forgetEverything() {
  modules.clear();
  functionOf.clear();
  functions.clear();
}
[[maybe_unused]] const bool hooked = (onReset(forgetEverything), true);

// ------------------------------------------------------------------------------------------------- options of the JIT

// One of the two log buffers that a caller may give.
struct Log {
  CUjit_option buffer, size;
};
constexpr Log kErrorLog = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
constexpr Log kInfoLog = {CU_JIT_INFO_LOG_BUFFER, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES};

struct Options {
  unsigned count = 0;
  const CUjit_option *names = nullptr;
  void **values = nullptr;

  void **find(CUjit_option wanted) const {
    for (unsigned i = 0; i < count; i++)
      if (names[i] == wanted) return &values[i];
    return nullptr;
  }
  // Writes what fits, with an end, and tells how much that was where the caller gave the size.
  void write(const Log &log, const std::string &message) const {
    void **buffer = find(log.buffer), **size = find(log.size);
    if (buffer == nullptr || size == nullptr || *buffer == nullptr) return;
    const size_t room = reinterpret_cast<uintptr_t>(*size) & UINT32_MAX;
    if (room == 0) return;
    const size_t bytes = std::min(room - 1, message.size());
    std::memcpy(*buffer, message.data(), bytes);
    static_cast<char *>(*buffer)[bytes] = '\0';
    *size = reinterpret_cast<void *>(message.empty() ? 0 : bytes + 1);
  }
};

CUresult checkOptions(const Options &options) {
  if (options.count == 0) return CUDA_SUCCESS;
  if (options.names == nullptr) return nullArgument("options");
  if (options.values == nullptr) return nullArgument("optionValues");
  for (const Log &log : {kErrorLog, kInfoLog}) {
    if (options.find(log.buffer) != nullptr && options.find(log.size) == nullptr)
      return refuse(check::badValue, "a log buffer without its size among the options");
  }
  return CUDA_SUCCESS;
}

// ------------------------------------------------------------------------------------------------------------- loading

// The newest PTX ISA that the driver's compiler reads, as ptx::Module::version tells it.
uint32_t newestPtx() {
  const int driver = driverVersion();
  const int major = driver / 1000, minor = driver % 1000 / 10;
  if (major <= 11) return 70u + static_cast<uint32_t>(minor);
  if (major == 12) return 80u + static_cast<uint32_t>(minor <= 5 ? minor : minor - 1);
  return static_cast<uint32_t>(major - 4) * 10 + static_cast<uint32_t>(minor);
}

// What the driver's compiler would refuse that the parser doesn't know of.
CUresult fits(const ptx::Module &code, int device, std::string &error) {
  const DeviceProperties &p = properties(device);
  if (code.version() > newestPtx()) {
    error = ".version " + std::to_string(code.version() / 10) + "." + std::to_string(code.version() % 10) +
            " is newer than the driver, which reads up to " + std::to_string(newestPtx() / 10) + "." +
            std::to_string(newestPtx() % 10);
    return CUDA_ERROR_UNSUPPORTED_PTX_VERSION;
  }
  if (code.target() > static_cast<uint32_t>(p.major * 10 + p.minor)) {
    error = ".target sm_" + std::to_string(code.target()) + " is higher than the device's sm_" +
            std::to_string(p.major) + std::to_string(p.minor);
    return CUDA_ERROR_INVALID_PTX;
  }
  for (const ptx::Kernel &kernel : code.kernels()) {
    if (kernel.sharedBytes > static_cast<uint32_t>(kSharedWithoutOptIn)) {
      error = "line " + std::to_string(kernel.line) + ": entry " + kernel.name + " uses " +
              std::to_string(kernel.sharedBytes) + " bytes of static shared memory, " +
              std::to_string(kSharedWithoutOptIn) + " are the most";
      return CUDA_ERROR_INVALID_PTX;
    }
  }
  return CUDA_SUCCESS;
}

// Gives every variable its memory and its initial bytes.
CUresult placeVariables(Module &module) {
  const std::vector<ptx::Symbol> &symbols = module.code->symbols();
  for (size_t i = 0; i < symbols.size(); i++) {
    Allocation *variable = allocateForModule(*module.context, std::max<uint64_t>(symbols[i].size, 1),
                                             symbols[i].space != ptx::Space::Const, symbols[i].name);
    if (variable == nullptr) {
      for (Allocation *placed : module.variables) releaseForModule(placed);
      return CUDA_ERROR_OUT_OF_MEMORY;
    }
    module.variables.push_back(variable);
    module.code->place(i, variable->address);
  }
  for (size_t i = 0; i < symbols.size(); i++) {
    const std::vector<uint8_t> image = module.code->image(i);
    std::copy(image.begin(), image.end(), module.variables[i]->data);
    for (size_t k = 0; k < image.size(); k++) module.variables[i]->shadow[k] |= 1;
  }
  return CUDA_SUCCESS;
}

bool isBinary(const char *image) {
  static const unsigned char fat[] = {0x50, 0xed, 0x55, 0xba};
  return std::memcmp(image, "\x7f" "ELF", 4) == 0 || std::memcmp(image, fat, 4) == 0;
}

CUresult load(Context &context, CUmodule *handle, const char *image, const Options &options) {
  if (const CUresult status = checkOptions(options); status != CUDA_SUCCESS) return status;
  if (image[0] != '\0' && image[1] != '\0' && image[2] != '\0' && isBinary(image)) return CUDA_ERROR_NO_BINARY_FOR_GPU;
  auto module = std::make_shared<Module>();
  module->context = &context;
  std::string error;
  module->code = ptx::Module::parse(image, error);
  CUresult status = module->code == nullptr ? CUDA_ERROR_INVALID_PTX : fits(*module->code, deviceOf(context), error);
  options.write(kErrorLog, error.empty() ? "" : "simulated PTX compiler: " + error + "\n");
  options.write(kInfoLog, "");
  if (status == CUDA_SUCCESS) status = placeVariables(*module);
  if (status != CUDA_SUCCESS) return status;
  *handle = reinterpret_cast<CUmodule>(module.get());
  born(module.get(), kModule);
  modules[module.get()] = std::move(module);
  return CUDA_SUCCESS;
}

CUresult loadData(Context &context, CUmodule *module, const void *image, const Options &options) {
  if (module == nullptr) return nullArgument("module");
  if (const CUresult status = wantHost(image, "image"); status != CUDA_SUCCESS) return status;
  if (const CUresult status = allowedDuringCapture(); status != CUDA_SUCCESS) return status;
  return load(context, module, static_cast<const char *>(image), options);
}

// The live module of a handle, of the current context; null, a finding and a status otherwise.
std::shared_ptr<Module> liveModule(CUmodule handle, const Context &context, CUresult &status) {
  status = CUDA_ERROR_INVALID_HANDLE;
  if (handle == nullptr) {
    status = nullArgument("hmod");
    return nullptr;
  }
  if (!check_(handle, kModule)) return nullptr;
  const auto found = modules.find(handle);
  if (found == modules.end()) {
    status = refuse(check::badHandle, "hmod is being unloaded on another thread", status);
    return nullptr;
  }
  if (found->second->context != &context) {
    status = refuse(check::wrongContext, "hmod was loaded in another context than the current one", status);
    return nullptr;
  }
  status = CUDA_SUCCESS;
  return found->second;
}

// Makes the handles of a module's functions stale.
void endFunctions(const Module *module, const std::string &by) {
  for (auto &[handle, function] : functions) {
    if (function->module.get() != module) continue;
    function->module = nullptr;
    function->kernel = nullptr;
    function->unloadedBy = by;
  }
  functionOf.erase(functionOf.lower_bound({module, ""}),
                   std::find_if(functionOf.lower_bound({module, ""}), functionOf.end(),
                                [&](const auto &entry) { return entry.first.first != module; }));
}

}  // namespace

Function *liveFunction(CUfunction handle, const Context &context, CUresult &status) {
  status = CUDA_ERROR_INVALID_HANDLE;
  const auto found = functions.find(handle);
  if (handle == nullptr || found == functions.end()) {
    report(check::badHandle, handle == nullptr ? "the function is NULL" : "the function is no handle of any module");
    return nullptr;
  }
  Function &function = *found->second;
  if (function.module == nullptr) {
    report(check::badHandle, "function " + function.name + " is of a module that " + function.unloadedBy + " unloaded");
    return nullptr;
  }
  if (function.module->context != &context) {
    report(check::wrongContext, "function " + function.name + " is of a module in another context than the current");
    return nullptr;
  }
  status = CUDA_SUCCESS;
  return &function;
}

void dropModules(const Context *context) {
  std::vector<std::shared_ptr<Module>> its;
  for (const auto &entry : modules) {
    if (entry.second->context == context) its.push_back(entry.second);
  }
  for (const auto &module : its) {
    modules.erase(module.get());
    endFunctions(module.get(), "the end of its context");
    died(module.get());
  }
}

int maxThreads(const ptx::Kernel &kernel) {
  int most = 1024;
  if (kernel.reqntid.x != 0) {
    most = static_cast<int>(kernel.reqntid.x * kernel.reqntid.y * kernel.reqntid.z);
  } else if (kernel.maxntid.x != 0) {
    most = static_cast<int>(kernel.maxntid.x * kernel.maxntid.y * kernel.maxntid.z);
  }
  const int registersOfWarp = static_cast<int>((std::max(kernel.registers, 1u) * 32 + 255) / 256 * 256);
  const int byRegisters = 65536 / 4 / registersOfWarp * 4 * 32;
  // A kernel with directives is compiled to fit them.
  return kernel.reqntid.x != 0 || kernel.maxntid.x != 0 ? most : std::min(most, byRegisters);
}

}  // namespace sim::driver

using namespace sim;
using namespace sim::driver;

SIM_EXPORT CUresult cuModuleLoadData(CUmodule *module, const void *image) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  return loadData(*entry.context, module, image, Options());
}

SIM_EXPORT CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned int numOptions,
                                       CUjit_option *options, void **optionValues) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  return loadData(*entry.context, module, image, {numOptions, options, optionValues});
}

SIM_EXPORT CUresult cuModuleLoad(CUmodule *module, const char *fname) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (const CUresult status = wantHost(fname, "fname"); status != CUDA_SUCCESS) return status;
  std::ifstream file(fname, std::ios::binary);
  std::stringstream content;
  if (!file || !(content << file.rdbuf())) return CUDA_ERROR_FILE_NOT_FOUND;
  return loadData(*entry.context, module, content.str().c_str(), Options());
}

SIM_EXPORT CUresult cuModuleUnload(CUmodule hmod) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  CUresult status = CUDA_SUCCESS;
  const std::shared_ptr<Module> module = liveModule(hmod, *entry.context, status);
  if (module == nullptr) return status;
  if (status = allowedDuringCapture(); status != CUDA_SUCCESS) return status;
  modules.erase(module.get());  // first: what follows may wait, and other threads may go on
  endFunctions(module.get(), __func__);
  died(module.get());
  for (Allocation *variable : module->variables) releaseForModule(variable);
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuModuleGetFunction(CUfunction *hfunc, CUmodule hmod, const char *name) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (hfunc == nullptr) return nullArgument("hfunc");
  if (const CUresult status = wantHost(name, "name"); status != CUDA_SUCCESS) return status;
  CUresult status = CUDA_SUCCESS;
  const std::shared_ptr<Module> module = liveModule(hmod, *entry.context, status);
  if (module == nullptr) return status;
  const ptx::Kernel *kernel = module->code->kernel(name);
  if (kernel == nullptr) return CUDA_ERROR_NOT_FOUND;
  CUfunction &handle = functionOf[{module.get(), name}];
  if (handle == nullptr) {
    auto function = std::make_unique<Function>();
    function->module = module;
    function->kernel = kernel;
    function->name = name;
    function->maxDynamicShared = kSharedWithoutOptIn - static_cast<int>(kernel->sharedBytes);
    handle = reinterpret_cast<CUfunction>(function.get());
    functions[handle] = std::move(function);
  }
  *hfunc = handle;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuModuleGetGlobal_v2(CUdeviceptr *dptr, size_t *bytes, CUmodule hmod, const char *name) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (dptr == nullptr && bytes == nullptr) return nullArgument("dptr, as bytes,");
  if (const CUresult status = wantHost(name, "name"); status != CUDA_SUCCESS) return status;
  CUresult status = CUDA_SUCCESS;
  const std::shared_ptr<Module> module = liveModule(hmod, *entry.context, status);
  if (module == nullptr) return status;
  const int symbol = module->code->symbol(name);
  if (symbol < 0 || !module->code->symbols()[static_cast<size_t>(symbol)].visible) return CUDA_ERROR_NOT_FOUND;
  if (dptr != nullptr) *dptr = module->code->address(static_cast<size_t>(symbol));
  if (bytes != nullptr) *bytes = module->code->symbols()[static_cast<size_t>(symbol)].size;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuModuleGetLoadingMode(CUmoduleLoadingMode *mode) {
  Entry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (mode == nullptr) return nullArgument("mode");
  *mode = CU_MODULE_EAGER_LOADING;
  return CUDA_SUCCESS;
}
