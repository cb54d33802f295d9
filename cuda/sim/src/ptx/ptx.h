// A PTX interpreter: parses the PTX text of a module and runs its kernels on the CPU, one warp at a time, with every
// access checked. It knows memory only through the abstract class Memory below.
//
//   std::string error;
//   std::unique_ptr<ptx::Module> module = ptx::Module::parse(text, error);   // null: `error` names line and instruction
//   for (size_t i = 0; i < module->symbols().size(); i++) module->place(i, address of a fresh allocation);
//   for (size_t i = 0; i < module->symbols().size(); i++) copy module->image(i) to its address;
//   ptx::Interpreter interpreter;
//   ptx::Launch launch;
//   launch.kernel = module->kernel("bias_add");
//   launch.grid = {64}; launch.block = {256}; launch.params = ...;
//   ptx::LaunchResult result = interpreter.launch(*module, launch, memory);
//
// Nothing here throws, prints or ends the process for anything that a text, a launch or a kernel can hold.
//
// Build with: g++ -std=c++17 -O3 -ffp-contract=off -fno-math-errno -fno-trapping-math (the last two for speed alone).
#ifndef GPUTRAIN_SIM_PTX_H
#define GPUTRAIN_SIM_PTX_H

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace ptx {

struct Dim3 {
  uint32_t x = 1, y = 1, z = 1;
};

enum class Space : uint8_t { Generic, Global, Shared, Local, Param, Const };

// The name of a state space as PTX writes it, without the dot: "global".
const char *name(Space space);

// ---------------------------------------------------------------------------------------------------------- memory

// What can be wrong with a global address.
enum class Fault : uint8_t { None, OutOfBounds, UseAfterFree };

// One contiguous allocation, lent to the interpreter for the length of a launch: it reads and writes `data` itself.
// Device address A, begin <= A < end, is data[A - begin].
struct Region {
  uint64_t begin = 0, end = 0;
  uint8_t *data = nullptr;
  // One byte for each byte of data; bit 0 set: somebody has written it. The other bits belong to whoever lends the
  // region and are left alone. Null: everything counts as written.
  uint8_t *shadow = nullptr;
  bool writable = true;
};

// The memory of a device, as a kernel's global and constant accesses see it.
class Memory {
 public:
  virtual ~Memory() = default;
  // Finds the allocation that holds `address`. Asked once for an allocation, then remembered until the launch ends; so
  // nothing may be allocated or freed while a launch runs.
  virtual Fault resolve(uint64_t address, Region &region) = 0;
  // What the machine knows of an address, for reports: "4 bytes past the end of buffer #7 (4096 bytes, cuMemAlloc_v2)".
  virtual std::string describe(uint64_t address) = 0;
};

// ---------------------------------------------------------------------------------------------------------- module

struct Parameter {
  std::string name;
  uint32_t offset = 0;     // within the parameter block
  uint32_t size = 0;       // bytes
  uint32_t alignment = 1;
};

struct Kernel {
  std::string name;
  uint32_t line = 0;                  // of its .entry
  std::vector<Parameter> params;
  uint32_t paramBytes = 0;            // of the whole parameter block
  uint32_t sharedBytes = 0;           // static, as declared (without the interpreter's guard zones)
  uint32_t localBytes = 0;            // per thread, its device functions included
  uint32_t registers = 0;             // 32-bit registers that are live at once, an estimate of ptxas' count
  Dim3 maxntid = {0, 0, 0};           // .maxntid; x == 0: not given
  Dim3 reqntid = {0, 0, 0};           // .reqntid; x == 0: not given
  uint32_t minnctapersm = 0;
  uint32_t maxnreg = 0;
};

// A module's .global or .const variable. The caller gives it an address (Module::place) before the first launch.
struct Symbol {
  std::string name;
  uint32_t line = 0;
  Space space = Space::Global;        // Global or Const
  uint64_t size = 0;
  uint32_t alignment = 1;
  bool visible = false;               // declared .visible: cuModuleGetGlobal finds it
};

class Program;  // the decoded code

class Module {
 public:
  // Parses and decodes a whole text. Null when anything in it is wrong or unknown; `error` then says what, as
  // "line 12: add.q32 ...: unknown modifier .q32".
  static std::unique_ptr<Module> parse(const std::string &text, std::string &error);
  ~Module();

  const std::vector<Kernel> &kernels() const;
  const Kernel *kernel(const std::string &name) const;  // null: no such kernel
  const std::vector<Symbol> &symbols() const;
  int symbol(const std::string &name) const;             // index in symbols(), or -1

  uint32_t version() const;  // 78 for .version 7.8
  uint32_t target() const;   // 75 for .target sm_75
  uint32_t constBytes() const;  // sum of the .const variables

  // Gives a symbol its device address.
  void place(size_t symbol, uint64_t address);
  uint64_t address(size_t symbol) const;
  // A symbol's initial bytes (zero where the text gives none); addresses of other symbols are filled in, so ask when
  // all of them have been placed.
  std::vector<uint8_t> image(size_t symbol) const;

  const Program &program() const { return *program_; }

 private:
  Module();
  std::unique_ptr<Program> program_;
};

// ---------------------------------------------------------------------------------------------------------- launch

struct Checks {
  bool uninitialisedMemory = true;     // global, shared and local bytes read before anybody wrote them
  bool uninitialisedRegisters = true;
  bool sharedRaces = true;
  bool globalRaces = true;
  bool footprint = true;               // fill LaunchResult::footprint
};

struct Limits {
  uint64_t instructions = 1000000000;  // warp instructions until the launch counts as timed out
  uint32_t threadsPerBlock = 1024;
  Dim3 block = {1024, 1024, 64};
  Dim3 grid = {2147483647u, 65535, 65535};
  uint32_t sharedBytes = 48 * 1024;    // static and dynamic together
  uint32_t localBytes = 64 * 1024;     // per thread, the stack of calls included
  uint32_t findings = 32;              // kept per launch; further ones are only counted
};

struct Launch {
  const Kernel *kernel = nullptr;      // of the same module
  Dim3 grid, block;
  uint32_t dynamicShared = 0;          // bytes
  std::vector<uint8_t> params;         // the parameter block, kernel->paramBytes long
  Checks checks;
  Limits limits;
  uint32_t architecture = 80;          // the device's compute capability: how its tensor cores round
  uint64_t seed = 1;                   // order of blocks, interleaving of warps, order of atomics
};

enum class Status : uint8_t {
  Ok,
  BadConfiguration,   // the launch never started: CUDA_ERROR_INVALID_VALUE
  OutOfResources,     // too many threads, too much shared memory: CUDA_ERROR_INVALID_VALUE or LAUNCH_OUT_OF_RESOURCES
  IllegalAddress,     // CUDA_ERROR_ILLEGAL_ADDRESS
  MisalignedAddress,  // CUDA_ERROR_MISALIGNED_ADDRESS
  IllegalInstruction, // CUDA_ERROR_ILLEGAL_INSTRUCTION
  Timeout,            // CUDA_ERROR_LAUNCH_TIMEOUT
  Assert,             // a device-side assertion: CUDA_ERROR_ASSERT
  Failed,             // trap, barrier divergence, stack overflow: CUDA_ERROR_LAUNCH_FAILED
};

enum class Kind : uint8_t {
  BadConfiguration,
  OutOfBounds,
  UseAfterFree,
  ReadOnly,              // a write to constant or other read-only memory
  Misaligned,
  UninitialisedMemory,   // goes on
  UninitialisedRegister, // goes on
  SharedRace,            // goes on
  GlobalRace,            // goes on
  InFlight,              // goes on; shared memory that cp.async is still writing, or a source that changed meanwhile
  BarrierDivergence,
  WarpDivergence,        // lanes that a .sync instruction names never reach it, or the mask lacks the caller
  Timeout,
  Trap,
  Assert,
  StackOverflow,
};

const char *name(Kind kind);  // "out of bounds", "shared-memory race", ...

// One thing wrong with a kernel's run. Those that "go on" above leave the status Ok; the others end the launch. The
// same kind at the same pair of lines is kept once and counted.
struct Finding {
  Kind kind = Kind::Trap;
  uint32_t line = 0;          // in the PTX text
  std::string instruction;    // as written
  std::string source;         // "bias.cu:17" where the text has .loc for it, else empty
  Dim3 block, thread;         // who
  Space space = Space::Generic;
  uint64_t address = 0;
  uint32_t size = 0;          // of the access, bytes
  uint32_t otherLine = 0;     // of the other access in a race, the other barrier in a divergence; 0: none
  Dim3 otherBlock, otherThread;
  uint64_t count = 1;
  std::string message;        // one sentence with all of the above, ready for a report
};

// Bytes [begin, end) that a launch touched, in words of four bytes, merged and in order.
struct Range {
  uint64_t begin = 0, end = 0;
};

struct LaunchResult {
  Status status = Status::Ok;
  std::vector<Finding> findings;
  uint64_t findingsDropped = 0;
  std::string output;                   // of the kernel's printf
  std::vector<Range> read, written;     // the footprint in global and constant memory; atomics are in both
  uint64_t warpInstructions = 0;
  uint64_t threadInstructions = 0;
  uint64_t globalBytesRead = 0, globalBytesWritten = 0, atomics = 0, barriers = 0;
};

// Runs launches, one at a time, and keeps its buffers from one to the next. Not for several threads at once; make one
// for each.
class Interpreter {
 public:
  Interpreter();
  ~Interpreter();
  Interpreter(const Interpreter &) = delete;
  Interpreter &operator=(const Interpreter &) = delete;

  // Runs a launch to its end. Blocks run one after another in an order drawn from the seed.
  LaunchResult launch(const Module &module, const Launch &launch, Memory &memory);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ptx

#endif
