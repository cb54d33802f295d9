// From a parsed instruction to a decoded one: what the files of instructions (op_*.cpp) work with.
#ifndef GPUTRAIN_SIM_PTX_DECODE_H
#define GPUTRAIN_SIM_PTX_DECODE_H

#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "machine.h"
#include "smallfloat.h"
#include "token.h"

namespace ptx {

enum class Type : uint8_t {
  None, Pred, U8, U16, U32, U64, S8, S16, S32, S64, B8, B16, B32, B64, F16, F16x2, BF16, BF16x2, F32, F64
};

unsigned bytesOf(Type type);   // of one value in memory; a predicate: 0
bool isFloat(Type type);
bool isSigned(Type type);
const char *name(Type type);
Type typeNamed(std::string_view text);

// What is wrong with the text; never leaves Module::parse.
struct ParseError {
  uint32_t line;
  std::string message;
};

// An operand as written.
struct Operand {
  enum Kind : uint8_t { Name, Integer, Float, Vector, Address, List, Sink } kind = Name;
  std::string_view name;      // register, special register, variable, label, function; with .x for parts of specials
  bool negated = false;       // !p
  bool isUnsigned = false;
  bool isSingle = false;      // a Float of 32 bits
  uint64_t value = 0;         // integer, bits of a float, or what is added to Name or Address
  std::vector<Operand> parts; // of a vector or list; an address' base, if any; `second` of d|p
  bool paired = false;        // d|p: parts[0] is p
  uint32_t line = 0;
};

// An instruction as written.
struct Statement {
  uint32_t line = 0;
  std::string_view opcode;
  std::vector<std::string_view> modifiers;
  bool guarded = false, guardNegated = false;
  std::string_view guard;
  std::vector<Operand> operands;
  size_t begin = 0, end = 0;
};

// A declared name.
struct Variable {
  enum Kind : uint8_t { Register, Global, Shared, FrameLocal, KernelParam } kind = Register;
  Type type = Type::None;     // of a register
  uint32_t offset = 0;        // register: in the file; frame variable: in the frame; kernel parameter: in the block
  uint32_t index = 0;         // symbol or shared variable
  uint32_t size = 0;
};

// Everything of a function while its body is parsed: scopes, registers, labels.
class Builder {
 public:
  Builder(Program &program, Function &function) : program_(program), function_(function) {
    scopes_.emplace_back();
    trueSlot_ = predicateConstant(true);
  }

  Program &program() { return program_; }
  Function &function() { return function_; }

  void enter();
  void leave();
  void declareRegister(uint32_t line, std::string_view name, Type type);
  void declareRegisters(uint32_t line, std::string_view prefix, uint32_t count, Type type);
  void declareVariable(uint32_t line, std::string_view name, const Variable &variable);
  void declareLabel(uint32_t line, std::string_view name);
  void declareTable(uint32_t line, std::string_view name, std::vector<std::string_view> labels);
  // Null: nothing of that name in this function.
  const Variable *find(std::string_view name);
  uint32_t slot(Type type);                 // a fresh register
  uint32_t constant(uint64_t value, unsigned bytes);
  uint32_t predicateConstant(bool value);
  uint32_t relocated(Constant::Source source, uint32_t index, uint64_t addend, unsigned bytes);
  uint32_t special(Special special, unsigned bytes);
  uint32_t trueSlot() const { return trueSlot_; }
  uint32_t frameVariable(std::string_view name, uint32_t size, uint32_t alignment);
  void wantLabel(uint32_t line, std::string_view name, uint32_t pc);
  int table(std::string_view name, uint32_t pc, uint32_t line);  // index into Program::tables
  // Resolves labels and branch tables; reads and writes by instruction are in `reads` and `writes` then.
  void finish();

  std::vector<std::vector<uint32_t>> reads, writes;   // registers, by instruction from function.begin

 private:
  struct Range {
    uint32_t count;
    Type type;
  };
  struct Scope {
    int parent = -1;
    std::unordered_map<std::string_view, Variable> names;
    std::unordered_map<std::string_view, Range> ranges;
    std::unordered_map<std::string_view, uint32_t> labels;
    std::unordered_map<std::string_view, std::vector<std::string_view>> tables;
  };
  struct Fixup {
    uint32_t line;
    std::string_view name;
    uint32_t pc;
    int scope;
  };
  uint32_t label(const Fixup &fixup) const;
  uint32_t space(uint32_t bytes);

  Program &program_;
  Function &function_;
  std::vector<Scope> scopes_;
  int scope_ = 0;
  std::vector<Fixup> fixups_, tableFixups_;
  std::map<std::pair<uint64_t, unsigned>, uint32_t> constants_;
  std::map<std::tuple<int, uint32_t, uint64_t, unsigned>, uint32_t> relocated_;
  std::map<std::pair<int, unsigned>, uint32_t> specials_;
  uint32_t trueSlot_;
};

// Decodes one statement; the opcode's function asks it for modifiers, types and operands, in the order of the text.
class Decoder {
 public:
  Decoder(Builder &builder, const Statement &statement,
          const std::unordered_map<std::string_view, uint32_t> &functions,
          const std::unordered_map<std::string_view, Variable> &moduleNames)
      : builder(builder), statement(statement), functions(functions), moduleNames_(moduleNames),
        modifiers_(statement.modifiers) {}

  Builder &builder;
  const Statement &statement;
  const std::unordered_map<std::string_view, uint32_t> &functions;
  Inst inst;

  [[noreturn]] void fail(const std::string &message) const;

  // True, once, if the modifier is there.
  bool take(std::string_view modifier);
  // The first of the modifiers left, without taking it; empty: none left.
  std::string_view peek() const { return modifiers_.empty() ? std::string_view() : modifiers_.front(); }
  // Index of the one of `choices` that is there, or -1.
  int takeOne(std::initializer_list<std::string_view> choices);
  // The next modifier has to be a type.
  Type takeType();
  // .rn .rz .rm .rp
  bool takeRounding(Rounding &rounding);
  void wantOperands(size_t least, size_t most);
  void wantOperands(size_t count) { wantOperands(count, count); }
  // Fails if the module's .target is older.
  void wantTarget(uint32_t least);
  // Fails if a modifier is left.
  void finish() const;

  // The register, constant or special register that operand `i` names, for reading as `type`.
  uint32_t source(size_t i, Type type) { return source(statement.operands[i], type, false); }
  uint32_t source(const Operand &operand, Type type, bool wider, bool specials = true);
  // For reading a predicate; `flip` is all ones for !p.
  uint32_t predicate(const Operand &operand, uint32_t &flip);
  uint32_t destination(size_t i, Type type) { return destination(statement.operands[i], type, false); }
  uint32_t destination(const Operand &operand, Type type, bool wider);
  uint32_t sink(unsigned bytes);
  // Bytes of the register an operand names (for ld, st and cvt, whose registers may be wider than the type).
  unsigned registerBytes(const Operand &operand);
  const Variable *variable(std::string_view name);
  uint64_t immediate(const Operand &operand, Type type) const;
  bool isImmediate(const Operand &operand) const {
    return operand.kind == Operand::Integer || operand.kind == Operand::Float;
  }
  // A small integer that has to be a constant.
  uint32_t literal(size_t i, uint32_t most);

  std::vector<uint32_t> reads, writes;  // registers

 private:
  const std::unordered_map<std::string_view, Variable> &moduleNames_;
  std::vector<std::string_view> modifiers_;
};

using Decode = void (*)(Decoder &);

// By opcode, null if unknown.
Decode decoderOf(std::string_view opcode);

// Parts of the table, one for each file of instructions.
struct OpcodeEntry {
  std::string_view name;
  Decode decode;
};
std::vector<OpcodeEntry> integerOpcodes();
std::vector<OpcodeEntry> floatOpcodes();
std::vector<OpcodeEntry> compareOpcodes();
std::vector<OpcodeEntry> convertOpcodes();
std::vector<OpcodeEntry> moveOpcodes();
std::vector<OpcodeEntry> memoryOpcodes();
std::vector<OpcodeEntry> atomicOpcodes();
std::vector<OpcodeEntry> warpOpcodes();
std::vector<OpcodeEntry> matrixOpcodes();
std::vector<OpcodeEntry> asyncOpcodes();
std::vector<OpcodeEntry> controlOpcodes();

// The branch of the arithmetic that most opcodes share: called with the opcode already known.
// add, sub, mul, mad, fma, div, abs, neg, min, max exist for integers and for floats; these choose by type.
void decodeIntegerArithmetic(Decoder &d, std::string_view opcode, Type type);
void decodeFloatArithmetic(Decoder &d, std::string_view opcode, Type type);
bool carriesType(Decoder &d, Type &type);

}  // namespace ptx

#endif
