#include "decode.h"

#include <algorithm>

namespace ptx {
namespace {

struct TypeEntry {
  const char *name;
  Type type;
  unsigned bytes;
};
const TypeEntry kTypes[] = {
    {"pred", Type::Pred, 0},     {"u8", Type::U8, 1},       {"u16", Type::U16, 2},   {"u32", Type::U32, 4},
    {"u64", Type::U64, 8},       {"s8", Type::S8, 1},       {"s16", Type::S16, 2},   {"s32", Type::S32, 4},
    {"s64", Type::S64, 8},       {"b8", Type::B8, 1},       {"b16", Type::B16, 2},   {"b32", Type::B32, 4},
    {"b64", Type::B64, 8},       {"f16", Type::F16, 2},     {"f16x2", Type::F16x2, 4}, {"bf16", Type::BF16, 2},
    {"bf16x2", Type::BF16x2, 4}, {"f32", Type::F32, 4},     {"f64", Type::F64, 8},
};

struct SpecialEntry {
  const char *name;
  Special special;
  unsigned bytes;
};
const SpecialEntry kSpecials[] = {
    {"%tid.x", Special::TidX, 4}, {"%tid.y", Special::TidY, 4}, {"%tid.z", Special::TidZ, 4},
    {"%ntid.x", Special::NtidX, 4}, {"%ntid.y", Special::NtidY, 4}, {"%ntid.z", Special::NtidZ, 4},
    {"%ctaid.x", Special::CtaidX, 4}, {"%ctaid.y", Special::CtaidY, 4}, {"%ctaid.z", Special::CtaidZ, 4},
    {"%nctaid.x", Special::NctaidX, 4}, {"%nctaid.y", Special::NctaidY, 4}, {"%nctaid.z", Special::NctaidZ, 4},
    {"%laneid", Special::LaneId, 4}, {"%warpid", Special::WarpId, 4}, {"%nwarpid", Special::NWarpId, 4},
    {"%smid", Special::SmId, 4}, {"%nsmid", Special::NSmId, 4}, {"%gridid", Special::GridId, 8},
    {"%lanemask_eq", Special::LaneMaskEq, 4}, {"%lanemask_le", Special::LaneMaskLe, 4},
    {"%lanemask_lt", Special::LaneMaskLt, 4}, {"%lanemask_ge", Special::LaneMaskGe, 4},
    {"%lanemask_gt", Special::LaneMaskGt, 4},
    {"%dynamic_smem_size", Special::DynamicSharedSize, 4}, {"%total_smem_size", Special::TotalSharedSize, 4},
    {"%clock", Special::Clock, 4}, {"%clock_hi", Special::ClockHi, 4}, {"%clock64", Special::Clock64, 8},
    {"%globaltimer", Special::GlobalTimer, 8}, {"%globaltimer_lo", Special::GlobalTimerLo, 4},
    {"%globaltimer_hi", Special::GlobalTimerHi, 4},
};

const SpecialEntry *specialNamed(std::string_view name) {
  for (const SpecialEntry &entry : kSpecials)
    if (name == entry.name) return &entry;
  return nullptr;
}

}  // namespace

unsigned bytesOf(Type type) {
  for (const TypeEntry &entry : kTypes)
    if (entry.type == type) return entry.bytes;
  return 0;
}

const char *name(Type type) {
  for (const TypeEntry &entry : kTypes)
    if (entry.type == type) return entry.name;
  return "none";
}

Type typeNamed(std::string_view text) {
  for (const TypeEntry &entry : kTypes)
    if (text == entry.name) return entry.type;
  return Type::None;
}

bool isFloat(Type type) {
  return type == Type::F16 || type == Type::F16x2 || type == Type::BF16 || type == Type::BF16x2 || type == Type::F32 ||
         type == Type::F64;
}

bool isSigned(Type type) {
  return type == Type::S8 || type == Type::S16 || type == Type::S32 || type == Type::S64;
}

// ------------------------------------------------------------------------------------------------------------ Builder

void Builder::enter() {
  const int parent = scope_;
  scopes_.emplace_back();
  scope_ = static_cast<int>(scopes_.size()) - 1;
  scopes_[scope_].parent = parent;
}

void Builder::leave() { scope_ = scopes_[scope_].parent; }

uint32_t Builder::space(uint32_t bytes) {
  // Room for `bytes` in every lane, aligned for wide loads; a predicate is one word.
  const uint32_t room = bytes == 0 ? 4 : bytes * kLanes;
  const uint32_t alignment = bytes == 0 ? 4 : 64;
  const uint32_t offset = (function_.registerBytes + alignment - 1) / alignment * alignment;
  if (offset > (64u << 20)) throw ParseError{function_.line, function_.name + ": too many registers"};
  function_.registerBytes = offset + room;
  return offset;
}

uint32_t Builder::slot(Type type) {
  unsigned bytes = bytesOf(type);
  if (bytes == 1) bytes = 2;
  const uint32_t offset = space(bytes);
  function_.slots.push_back({offset, static_cast<uint8_t>(bytes)});
  return offset;
}

uint32_t Builder::constant(uint64_t value, unsigned bytes) {
  if (bytes < 8) value &= (1ull << (8 * bytes)) - 1;
  auto [at, fresh] = constants_.try_emplace({value, bytes}, 0);
  if (fresh) {
    at->second = space(bytes);
    Constant constant;
    constant.offset = at->second;
    constant.bytes = static_cast<uint8_t>(bytes);
    constant.value = value;
    function_.constants.push_back(constant);
  }
  return at->second;
}

uint32_t Builder::predicateConstant(bool value) {
  auto [at, fresh] = constants_.try_emplace({value, 0u}, 0);
  if (fresh) {
    at->second = space(0);
    Constant constant;
    constant.offset = at->second;
    constant.bytes = 0;
    constant.value = value ? UINT32_MAX : 0;
    function_.constants.push_back(constant);
  }
  return at->second;
}

uint32_t Builder::relocated(Constant::Source source, uint32_t index, uint64_t addend, unsigned bytes) {
  auto [at, fresh] = relocated_.try_emplace({source, index, addend, bytes}, 0);
  if (fresh) {
    at->second = space(bytes);
    Constant constant;
    constant.source = source;
    constant.offset = at->second;
    constant.bytes = static_cast<uint8_t>(bytes);
    constant.index = index;
    constant.value = addend;
    function_.constants.push_back(constant);
    if (source == Constant::Shared &&
        std::find(function_.shared.begin(), function_.shared.end(), index) == function_.shared.end())
      function_.shared.push_back(index);
  }
  return at->second;
}

uint32_t Builder::special(Special special, unsigned bytes) {
  auto [at, fresh] = specials_.try_emplace({static_cast<int>(special), bytes}, 0);
  if (fresh) {
    at->second = space(bytes);
    function_.specials.push_back({special, at->second, static_cast<uint8_t>(bytes)});
  }
  return at->second;
}

void Builder::declareRegister(uint32_t line, std::string_view name, Type type) {
  Variable variable;
  variable.kind = Variable::Register;
  variable.type = type;
  variable.offset = slot(type);
  declareVariable(line, name, variable);
}

void Builder::declareRegisters(uint32_t line, std::string_view prefix, uint32_t count, Type type) {
  if (!scopes_[scope_].ranges.try_emplace(prefix, Range{count, type}).second)
    throw ParseError{line, "registers " + std::string(prefix) + " are declared twice"};
}

void Builder::declareVariable(uint32_t line, std::string_view name, const Variable &variable) {
  if (!scopes_[scope_].names.try_emplace(name, variable).second)
    throw ParseError{line, std::string(name) + " is declared twice"};
}

void Builder::declareLabel(uint32_t line, std::string_view name) {
  if (!scopes_[scope_].labels.try_emplace(name, static_cast<uint32_t>(program_.code.size())).second)
    throw ParseError{line, "label " + std::string(name) + " is declared twice"};
}

void Builder::declareTable(uint32_t line, std::string_view name, std::vector<std::string_view> labels) {
  if (!scopes_[scope_].tables.try_emplace(name, std::move(labels)).second)
    throw ParseError{line, "branch targets " + std::string(name) + " are declared twice"};
}

const Variable *Builder::find(std::string_view name) {
  size_t digits = name.size();
  while (digits > 0 && name[digits - 1] >= '0' && name[digits - 1] <= '9') digits--;
  for (int scope = scope_; scope >= 0; scope = scopes_[scope].parent) {
    Scope &here = scopes_[scope];
    auto found = here.names.find(name);
    if (found != here.names.end()) return &found->second;
    if (digits == name.size() || name.size() - digits > 9 || here.ranges.empty()) continue;
    // %r12 of .reg .b32 %r<20>; the prefix may itself end in digits, as in %x1<4>.
    for (size_t split = digits; split < name.size(); split++) {
      if (name[split] == '0' && split + 1 < name.size()) continue;
      auto range = here.ranges.find(name.substr(0, split));
      if (range == here.ranges.end()) continue;
      const unsigned long number = std::stoul(std::string(name.substr(split)));
      if (number >= range->second.count) continue;
      Variable variable;
      variable.kind = Variable::Register;
      variable.type = range->second.type;
      variable.offset = slot(variable.type);
      return &here.names.emplace(name, variable).first->second;
    }
  }
  return nullptr;
}

uint32_t Builder::frameVariable(std::string_view name, uint32_t size, uint32_t alignment) {
  // A guard zone of sixteen bytes between any two variables.
  uint64_t offset = static_cast<uint64_t>(function_.frameBytes) + 16;
  alignment = std::max(alignment, 1u);
  offset = (offset + alignment - 1) / alignment * alignment;
  if (offset + size > (1u << 24)) throw ParseError{function_.line, function_.name + ": too much local memory"};
  FrameVariable variable;
  variable.name = std::string(name);
  variable.offset = static_cast<uint32_t>(offset);
  variable.size = size;
  function_.frame.push_back(variable);
  function_.frameBytes = static_cast<uint32_t>(offset + size);
  return variable.offset;
}

void Builder::wantLabel(uint32_t line, std::string_view name, uint32_t pc) {
  fixups_.push_back({line, name, pc, scope_});
}

uint32_t Builder::label(const Fixup &fixup) const {
  for (int scope = fixup.scope; scope >= 0; scope = scopes_[scope].parent) {
    auto found = scopes_[scope].labels.find(fixup.name);
    if (found != scopes_[scope].labels.end()) return found->second;
  }
  throw ParseError{fixup.line, "no label " + std::string(fixup.name)};
}

int Builder::table(std::string_view name, uint32_t pc, uint32_t line) {
  tableFixups_.push_back({line, name, pc, scope_});
  program_.tables.emplace_back();
  return static_cast<int>(program_.tables.size()) - 1;
}

void Builder::finish() {
  for (const Fixup &fixup : fixups_) program_.code[fixup.pc].imm = label(fixup);
  for (const Fixup &fixup : tableFixups_) {
    const std::vector<std::string_view> *labels = nullptr;
    int scope = fixup.scope;
    for (; scope >= 0 && labels == nullptr; scope = scopes_[scope].parent) {
      auto found = scopes_[scope].tables.find(fixup.name);
      if (found != scopes_[scope].tables.end()) labels = &found->second;
      if (labels != nullptr) break;
    }
    if (labels == nullptr) throw ParseError{fixup.line, "no branch targets " + std::string(fixup.name)};
    for (std::string_view target : *labels)
      program_.tables[program_.code[fixup.pc].side].targets.push_back(label({fixup.line, target, 0, scope}));
  }
}

// ------------------------------------------------------------------------------------------------------------ Decoder

void Decoder::fail(const std::string &message) const { throw ParseError{statement.line, message}; }

bool Decoder::take(std::string_view modifier) {
  auto found = std::find(modifiers_.begin(), modifiers_.end(), modifier);
  if (found == modifiers_.end()) return false;
  modifiers_.erase(found);
  return true;
}

int Decoder::takeOne(std::initializer_list<std::string_view> choices) {
  int index = 0;
  for (std::string_view choice : choices) {
    if (take(choice)) return index;
    index++;
  }
  return -1;
}

Type Decoder::takeType() {
  for (auto at = modifiers_.begin(); at != modifiers_.end(); ++at) {
    const Type type = typeNamed(*at);
    if (type != Type::None) {
      modifiers_.erase(at);
      return type;
    }
  }
  fail("no type");
}

bool Decoder::takeRounding(Rounding &rounding) {
  switch (takeOne({"rn", "rz", "rm", "rp"})) {
    case 0: rounding = Rounding::Nearest; return true;
    case 1: rounding = Rounding::Zero; return true;
    case 2: rounding = Rounding::Down; return true;
    case 3: rounding = Rounding::Up; return true;
    default: rounding = Rounding::Nearest; return false;
  }
}

void Decoder::wantOperands(size_t least, size_t most) {
  const size_t count = statement.operands.size();
  if (count >= least && count <= most) return;
  fail("takes " + std::to_string(least) + (least == most ? "" : " to " + std::to_string(most)) + " operands, not " +
       std::to_string(count));
}

void Decoder::wantTarget(uint32_t least) {
  if (builder.program().target < least) fail("needs .target sm_" + std::to_string(least) + " or later");
}

void Decoder::finish() const {
  if (!modifiers_.empty()) fail("unknown modifier ." + std::string(modifiers_.front()));
}

const Variable *Decoder::variable(std::string_view name) {
  const Variable *found = builder.find(name);
  if (found != nullptr) return found;
  auto module = moduleNames_.find(name);
  return module == moduleNames_.end() ? nullptr : &module->second;
}

uint64_t Decoder::immediate(const Operand &operand, Type type) const {
  if (operand.kind == Operand::Integer) {
    if (type == Type::F32) return bits<uint32_t>(operand.isUnsigned ? static_cast<float>(operand.value)
                                                                   : static_cast<float>(static_cast<int64_t>(operand.value)));
    if (type == Type::F64) return bits<uint64_t>(operand.isUnsigned ? static_cast<double>(operand.value)
                                                                   : static_cast<double>(static_cast<int64_t>(operand.value)));
    return operand.value;
  }
  const double value = operand.isSingle ? static_cast<double>(bits<float>(static_cast<uint32_t>(operand.value)))
                                        : bits<double>(operand.value);
  switch (type) {
    case Type::F64: return operand.isSingle ? bits<uint64_t>(value) : operand.value;
    case Type::F32:
    case Type::B32:
      return operand.isSingle ? operand.value : bits<uint32_t>(static_cast<float>(value));
    case Type::B64: return bits<uint64_t>(value);
    case Type::F16: return roundTo(kHalf, value, Rounding::Nearest);
    case Type::BF16: return roundTo(kBrain, value, Rounding::Nearest);
    default: fail(std::string("a floating-point constant for type .") + name(type));
  }
}

uint32_t Decoder::literal(size_t i, uint32_t most) {
  const Operand &operand = statement.operands[i];
  if (operand.kind != Operand::Integer) fail("operand " + std::to_string(i + 1) + " has to be a constant");
  if (operand.value > most) fail("operand " + std::to_string(i + 1) + " is more than " + std::to_string(most));
  return static_cast<uint32_t>(operand.value);
}

unsigned Decoder::registerBytes(const Operand &operand) {
  if (operand.kind != Operand::Name) return 0;
  const Variable *found = variable(operand.name);
  if (found == nullptr || found->kind != Variable::Register) return 0;
  const unsigned bytes = bytesOf(found->type);
  return bytes == 1 ? 2 : bytes;
}

uint32_t Decoder::source(const Operand &operand, Type type, bool wider, bool specials) {
  unsigned bytes = bytesOf(type);
  if (type == Type::Pred) {
    uint32_t flip;
    const uint32_t offset = predicate(operand, flip);
    if (flip) fail("a negated predicate can't stand here");
    return offset;
  }
  if (operand.negated || operand.paired) fail("unexpected operand");
  switch (operand.kind) {
    case Operand::Integer:
    case Operand::Float: return builder.constant(immediate(operand, type), bytes == 1 ? 2 : bytes);
    case Operand::Name: break;
    default: fail("a register or constant is wanted");
  }
  if (operand.name == "WARP_SZ") return builder.constant(kLanes, bytes == 1 ? 2 : bytes);
  const Variable *found = variable(operand.name);
  if (found == nullptr) {
    const SpecialEntry *entry = specials ? specialNamed(operand.name) : nullptr;
    if (entry == nullptr) fail("unknown name " + std::string(operand.name));
    if (entry->special >= Special::Clock) fail(std::string(entry->name) + " can only be read by mov");
    if (bytes != 4 && bytes != 8 && bytes != 2) fail(std::string(entry->name) + " doesn't fit type ." + name(type));
    return builder.special(entry->special, bytes);
  }
  if (found->kind != Variable::Register) fail(std::string(operand.name) + " is not a register");
  if (operand.value != 0) fail("a register with something added can only be an address");
  const unsigned have = bytesOf(found->type);
  if (found->type == Type::Pred || (wider ? have < bytes : have != bytes))
    fail("register " + std::string(operand.name) + " of type ." + name(found->type) + " for an operand of type ." +
         name(type));
  reads.push_back(found->offset);
  return found->offset;
}

uint32_t Decoder::predicate(const Operand &operand, uint32_t &flip) {
  flip = operand.negated ? UINT32_MAX : 0;
  if (operand.kind == Operand::Integer) return builder.predicateConstant(operand.value != 0);
  if (operand.kind != Operand::Name || operand.paired) fail("a predicate is wanted");
  const Variable *found = variable(operand.name);
  if (found == nullptr) fail("unknown name " + std::string(operand.name));
  if (found->kind != Variable::Register || found->type != Type::Pred || operand.value != 0)
    fail(std::string(operand.name) + " is not a predicate");
  reads.push_back(found->offset);
  return found->offset;
}

uint32_t Decoder::sink(unsigned bytes) {
  // Whatever goes here is never read.
  return builder.slot(bytes == 0 ? Type::Pred : bytes <= 2 ? Type::B16 : bytes == 4 ? Type::B32 : Type::B64);
}

uint32_t Decoder::destination(const Operand &operand, Type type, bool wider) {
  const unsigned bytes = bytesOf(type);
  if (operand.kind == Operand::Sink) return sink(bytes);
  if (operand.kind != Operand::Name || operand.negated || operand.paired || operand.value != 0)
    fail("a register is wanted for the result");
  const Variable *found = variable(operand.name);
  if (found == nullptr) fail("unknown name " + std::string(operand.name));
  if (found->kind != Variable::Register) fail(std::string(operand.name) + " is not a register");
  const unsigned have = bytesOf(found->type);
  if ((found->type == Type::Pred) != (type == Type::Pred) || (wider ? have < bytes : have != bytes))
    fail("register " + std::string(operand.name) + " of type ." + name(found->type) + " for a result of type ." +
         name(type));
  writes.push_back(found->offset);
  return found->offset;
}

Decode decoderOf(std::string_view opcode) {
  static const std::unordered_map<std::string_view, Decode> table = [] {
    std::unordered_map<std::string_view, Decode> all;
    for (auto part : {integerOpcodes, floatOpcodes, compareOpcodes, convertOpcodes, moveOpcodes, memoryOpcodes,
                      atomicOpcodes, warpOpcodes, matrixOpcodes, asyncOpcodes, controlOpcodes})
      for (const OpcodeEntry &entry : part()) all.emplace(entry.name, entry.decode);
    return all;
  }();
  auto found = table.find(opcode);
  return found == table.end() ? nullptr : found->second;
}

}  // namespace ptx
