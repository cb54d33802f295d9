// What a module's text is decoded to.
#ifndef GPUTRAIN_SIM_PTX_PROGRAM_H
#define GPUTRAIN_SIM_PTX_PROGRAM_H

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ptx.h"

namespace ptx {

struct Exec;
struct Inst;

// Executes one instruction for the active lanes of a warp.
using Handler = void (*)(Exec &, const Inst &);

constexpr uint32_t kNone = UINT32_MAX;
constexpr unsigned kLanes = 32;

// What an instruction does to the flow of control or of values, for analysis.
enum class Flow : uint8_t { Next, Branch, Table, End, Copy, WarpBarrier };

// One decoded instruction. Operands are byte offsets into the running function's part of the warp's register file,
// where every register, constant and special register holds its 32 lanes side by side (predicates: one bit a lane).
struct Inst {
  Handler run = nullptr;
  uint32_t o[6] = {};
  int64_t imm = 0;            // address offset, branch target, whatever the handler wants
  uint32_t guard = 0;         // predicate that guards it; the constant "true" where there is none
  uint32_t guardFlip = 0;     // all ones for @!p
  uint32_t line = 0;
  uint32_t side = kNone;      // index into one of Program's side tables
  Space space = Space::Generic;
  uint8_t count = 1;          // elements of a vector access
  uint8_t size = 0;           // bytes of one element, or of the access
  uint8_t flags = 0;          // of the handler's own making
  uint8_t mode = 0;           // likewise: rounding, comparison, ...
  Flow flow = Flow::Next;
};

// Inst::flags of memory instructions.
enum : uint8_t {
  kWideAddress = 1,   // the address register has 64 bits
  kStrong = 2,        // volatile, relaxed, acquire, release: no data race among such
  kFenced = 4,        // acquire or release: orders other accesses too
  kFrameAddress = 8,  // relative to the running call's frame
};

enum class Special : uint8_t {
  TidX, TidY, TidZ, NtidX, NtidY, NtidZ, CtaidX, CtaidY, CtaidZ, NctaidX, NctaidY, NctaidZ,
  LaneId, WarpId, NWarpId, SmId, NSmId, GridId,
  LaneMaskEq, LaneMaskLe, LaneMaskLt, LaneMaskGe, LaneMaskGt,
  DynamicSharedSize, TotalSharedSize,
  Clock, ClockHi, Clock64, GlobalTimer, GlobalTimerLo, GlobalTimerHi,  // change while a kernel runs
};

// A value that is the same for the whole launch and is laid into the register file before it.
struct Constant {
  enum Source : uint8_t { Value, Global, Shared } source = Value;
  uint32_t offset = 0;      // in the function's registers
  uint8_t bytes = 4;        // 0: a predicate
  uint32_t index = 0;       // of the symbol or shared variable
  uint64_t value = 0;       // or what is added to the variable's address
};

struct SpecialUse {
  Special special;
  uint32_t offset = 0;
  uint8_t bytes = 4;
};

struct SharedVariable {
  std::string name;
  uint32_t line = 0;
  uint64_t size = 0;
  uint32_t alignment = 1;
  bool dynamic = false;     // extern: what the launch asks for
};

// A variable or parameter in a function's local frame.
struct FrameVariable {
  std::string name;
  uint32_t offset = 0, size = 0;
};

// How one argument or result travels: register to register or frame variable to frame variable.
struct Passing {
  bool inRegister = false;
  uint32_t from = 0, to = 0;   // offsets
  uint32_t bytes = 0;          // 0: a predicate register
};

struct Call {
  uint32_t function = 0;
  std::vector<Passing> arguments, results;
};

// The registers of an mma.
struct MatrixOperands {
  uint32_t d[4] = {}, a[4] = {}, b[2] = {}, c[4] = {};
};

// What a cp.async has beside its destination.
struct AsyncCopy {
  Inst source;                    // its address, as if it were a load
  uint32_t sourceBytes = kNone;   // register of the bytes to read; the rest is zeros
  uint32_t ignored = kNone;       // predicate: read nothing
  uint32_t ignoredFlip = 0;       // all ones for !p
};

struct BranchTable {
  std::vector<uint32_t> targets;
};

struct RegisterSlot {
  uint32_t offset = 0;
  uint8_t bytes = 4;     // 0: a predicate
};

// Built-in functions a program may call without defining them.
enum class BuiltIn : uint8_t { None, Printf, AssertFail };

struct FormalParameter {
  bool inRegister = false;
  uint32_t offset = 0;    // in registers or frame
  uint32_t size = 0;      // 0: a predicate register
};

struct Function {
  std::string name;
  uint32_t line = 0;
  bool kernel = false;
  bool defined = false;
  BuiltIn builtIn = BuiltIn::None;
  uint32_t index = 0;
  uint32_t begin = 0, end = 0;     // in Program::code
  uint32_t registerBytes = 0;      // of one warp
  uint32_t frameBytes = 0;         // local memory of one thread
  std::vector<RegisterSlot> slots; // declared registers that are used, for saving in a recursion
  std::vector<FrameVariable> frame;
  std::vector<Constant> constants;
  std::vector<SpecialUse> specials;
  std::vector<uint32_t> definedMasks;  // one word a register that may be read before it is written
  std::vector<FormalParameter> parameters, results;
  std::vector<uint32_t> calls;     // functions called
  std::vector<uint32_t> shared;    // shared variables named
  std::vector<uint32_t> reachable; // this function and all below it
  bool recursive = false;
  bool fences = false;             // has a fence of gpu scope or wider, itself
  uint32_t kernelIndex = 0;
  uint32_t peak = 0;               // 32-bit registers live at once
};

// An instruction that reads or writes registers which may be unwritten when it is reached.
struct Watched {
  Handler run = nullptr;
  bool copies = false;              // a mov: copies the state instead of reporting it
  std::vector<uint32_t> reads;      // masks' offsets
  std::vector<uint32_t> writes;     // masks' offsets
  uint32_t guardMask = kNone;       // of the guard predicate, if that is watched; then the handler applies it
  uint32_t guard = 0, guardFlip = 0;
};

struct SourceLine {
  uint32_t file = 0, line = 0;
};

struct Relocation {
  uint32_t symbol = 0;
  uint32_t offset = 0;
  uint8_t bytes = 8;
  uint64_t addend = 0;
};

struct Initial {
  std::vector<uint8_t> bytes;
  std::vector<Relocation> relocations;
  uint64_t address = 0;
};

// Where in the text an instruction stands.
struct Origin {
  uint32_t line = 0;
  size_t begin = 0, end = 0;
  SourceLine source;
};

class Program {
 public:
  std::string text;
  std::vector<Inst> code;
  std::vector<Origin> origins;       // one for each of code
  std::vector<Function> functions;
  std::vector<Kernel> kernels;
  std::vector<uint32_t> kernelFunctions;  // by kernel, index into functions
  std::vector<Symbol> symbols;
  std::vector<Initial> initials;     // by symbol
  std::vector<SharedVariable> shared;
  std::vector<Call> calls;
  std::vector<BranchTable> tables;
  std::vector<MatrixOperands> matrixOperands;
  std::vector<AsyncCopy> asyncCopies;
  std::vector<Watched> watched;
  std::vector<uint32_t> watchedAt;   // by instruction, index into watched or kNone; empty: none
  std::map<uint32_t, std::string> files;
  uint32_t cacheSlots = 0;           // memory instructions, each with a remembered region
  uint32_t version = 0, target = 0;
  uint64_t identity = 0;             // differs between any two programs of the process

  // The instruction as written, its blanks squeezed.
  std::string instruction(uint32_t pc) const;
  std::string source(uint32_t pc) const;
};

// Finds registers that may be read before they are written, and makes the code watch those; counts live registers.
void analyseRegisters(Program &program, Function &function, const std::vector<std::vector<uint32_t>> &reads,
                      const std::vector<std::vector<uint32_t>> &writes);

}  // namespace ptx

#endif
