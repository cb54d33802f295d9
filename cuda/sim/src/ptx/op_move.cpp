// mov in all its forms, and addresses: cvta, isspacep.
#include "decode.h"
#include "lanewise.h"

namespace ptx {

void copy16(Exec &x, const Inst &i);
void copy32(Exec &x, const Inst &i);
void copy64(Exec &x, const Inst &i);

namespace {

struct Copy {
  template <class T>
  static T f(T a) {
    return a;
  }
};

void movePredicate(Exec &x, const Inst &i) {
  x.writePredicate(i.o[0], x.predicate(i.o[1]) ^ (i.flags ? UINT32_MAX : 0));
}

// The address of a variable in the running call's frame.
template <class T>
void frameAddress(Exec &x, const Inst &i) {
  T *d = x.lanes<T>(i.o[0]);
  const T address = static_cast<T>(x.frame->localBase + static_cast<uint64_t>(i.imm));
  forLanes(x.mask, [=](unsigned l) { d[l] = address; });
}

void readClock(Exec &x, const Inst &i) {
  // Instructions stand for cycles; the timer counts as if there were one a nanosecond.
  uint64_t now = x.running->result->warpInstructions;
  const Special special = static_cast<Special>(i.mode);
  if (special == Special::ClockHi || special == Special::GlobalTimerHi) now >>= 32;
  if (i.size == 4) {
    uint32_t *d = x.lanes<uint32_t>(i.o[0]);
    forLanes(x.mask, [=](unsigned l) { d[l] = static_cast<uint32_t>(now); });
  } else {
    uint64_t *d = x.lanes<uint64_t>(i.o[0]);
    forLanes(x.mask, [=](unsigned l) { d[l] = now; });
  }
}

uint64_t loadLane(Exec &x, uint32_t offset, unsigned bytes, unsigned lane) {
  switch (bytes) {
    case 1:
    case 2: return x.lanes<uint16_t>(offset)[lane];
    case 4: return x.lanes<uint32_t>(offset)[lane];
    default: return x.lanes<uint64_t>(offset)[lane];
  }
}
void storeLane(Exec &x, uint32_t offset, unsigned bytes, unsigned lane, uint64_t value) {
  switch (bytes) {
    case 1: x.lanes<uint16_t>(offset)[lane] = static_cast<uint8_t>(value); break;
    case 2: x.lanes<uint16_t>(offset)[lane] = static_cast<uint16_t>(value); break;
    case 4: x.lanes<uint32_t>(offset)[lane] = static_cast<uint32_t>(value); break;
    default: x.lanes<uint64_t>(offset)[lane] = value; break;
  }
}

// mov.b64 d, {a, b} and mov.b64 {a, b}, d: i.count elements of i.size bytes.
void packElements(Exec &x, const Inst &i) {
  const unsigned shift = 8u * i.size;
  forLanes(x.mask, [&](unsigned l) {
    uint64_t v = 0;
    for (unsigned k = 0; k < i.count; k++) {
      uint64_t e = loadLane(x, i.o[1 + k], i.size, l);
      if (i.size == 1) e &= 0xff;
      v |= e << (shift * k);
    }
    storeLane(x, i.o[0], i.size * i.count, l, v);
  });
}
void unpackElements(Exec &x, const Inst &i) {
  const unsigned shift = 8u * i.size;
  forLanes(x.mask, [&](unsigned l) {
    const uint64_t v = loadLane(x, i.o[0], i.size * i.count, l);
    for (unsigned k = 0; k < i.count; k++) storeLane(x, i.o[1 + k], i.size, l, v >> (shift * k));
  });
}

void addOffset(Exec &x, const Inst &i) {
  uint64_t *d = x.lanes<uint64_t>(i.o[0]);
  const uint64_t *a = x.lanes<uint64_t>(i.o[1]);
  const uint64_t offset = static_cast<uint64_t>(i.imm);
  forLanes(x.mask, [=](unsigned l) { d[l] = a[l] + offset; });
}

void isSpace(Exec &x, const Inst &i) {
  const uint64_t *a = x.lanes<uint64_t>(i.o[1]);
  uint32_t result = 0;
  for (unsigned l = 0; l < kLanes; l++) {
    const uint64_t window = a[l] >> 32 << 32;
    bool in;
    switch (i.space) {
      case Space::Shared: in = window == kSharedWindow; break;
      case Space::Local: in = window == kLocalWindow; break;
      case Space::Param: in = window == kParamWindow; break;
      case Space::Const: {
        in = false;
        const Program &program = *x.running->program;
        for (size_t s = 0; s < program.symbols.size(); s++)
          in |= program.symbols[s].space == Space::Const && a[l] - program.initials[s].address < program.symbols[s].size;
        break;
      }
      default: in = window != kSharedWindow && window != kLocalWindow && window != kParamWindow; break;
    }
    result |= static_cast<uint32_t>(in) << l;
  }
  x.writePredicate(i.o[0], result);
}

// ------------------------------------------------------------------------------------------------------------ decoding

void decodeAddressOf(Decoder &d, const Operand &operand, const Variable &variable, Type type) {
  const unsigned bytes = bytesOf(type);
  if (bytes != 4 && bytes != 8) d.fail("an address needs 32 or 64 bits");
  switch (variable.kind) {
    case Variable::Global:
      if (bytes != 8) d.fail("a global address needs 64 bits");
      d.inst.o[1] = d.builder.relocated(Constant::Global, variable.index, operand.value, 8);
      break;
    case Variable::Shared:
      d.inst.o[1] = d.builder.relocated(Constant::Shared, variable.index, operand.value, bytes);
      break;
    case Variable::KernelParam: d.inst.o[1] = d.builder.constant(variable.offset + operand.value, bytes); break;
    case Variable::FrameLocal:
      d.inst.imm = static_cast<int64_t>(variable.offset + operand.value);
      d.inst.run = bytes == 8 ? frameAddress<uint64_t> : frameAddress<uint32_t>;
      break;
    default: break;
  }
  if (d.inst.run == nullptr) d.inst.run = bytes == 8 ? copy64 : copy32;
  d.inst.o[0] = d.destination(0, type);
}

void decodeMov(Decoder &d) {
  const Type type = d.takeType();
  d.finish();
  d.wantOperands(2);
  const Operand &to = d.statement.operands[0], &from = d.statement.operands[1];
  const unsigned bytes = bytesOf(type);
  if (to.kind == Operand::Vector || from.kind == Operand::Vector) {
    const bool packs = from.kind == Operand::Vector;
    const Operand &vector = packs ? from : to;
    if (packs && to.kind == Operand::Vector) d.fail("a vector on one side only");
    const size_t n = vector.parts.size();
    if ((n != 2 && n != 4) || bytes < n || isFloat(type)) d.fail("a vector of 2 or 4 parts of a .b type");
    const unsigned part = bytes / static_cast<unsigned>(n);
    const Type partType = part == 1 ? Type::B8 : part == 2 ? Type::B16 : Type::B32;
    d.inst.size = static_cast<uint8_t>(part);
    d.inst.count = static_cast<uint8_t>(n);
    if (packs) {
      for (size_t k = 0; k < n; k++) d.inst.o[1 + k] = d.source(vector.parts[k], partType, false);
      d.inst.o[0] = d.destination(0, type);
      d.inst.run = packElements;
    } else {
      d.inst.o[0] = d.source(1, type);
      for (size_t k = 0; k < n; k++) d.inst.o[1 + k] = d.destination(vector.parts[k], partType, false);
      d.inst.run = unpackElements;
    }
    return;
  }
  if (type == Type::Pred) {
    uint32_t flip;
    d.inst.o[1] = d.predicate(from, flip);
    d.inst.flags = flip ? 1 : 0;
    d.inst.run = movePredicate;
    d.inst.flow = Flow::Copy;
    d.inst.o[0] = d.destination(0, type);
    return;
  }
  if (bytes < 2) d.fail(std::string("not for type .") + name(type));
  if (from.kind == Operand::Name) {
    static const struct {
      std::string_view name;
      Special special;
      unsigned bytes;
    } clocks[] = {{"%clock", Special::Clock, 4}, {"%clock_hi", Special::ClockHi, 4}, {"%clock64", Special::Clock64, 8},
                  {"%globaltimer", Special::GlobalTimer, 8}, {"%globaltimer_lo", Special::GlobalTimerLo, 4},
                  {"%globaltimer_hi", Special::GlobalTimerHi, 4}};
    for (const auto &clock : clocks) {
      if (from.name != clock.name) continue;
      if (bytes != clock.bytes) d.fail(std::string(clock.name) + " doesn't fit type ." + name(type));
      d.inst.size = static_cast<uint8_t>(bytes);
      d.inst.mode = static_cast<uint8_t>(clock.special);
      d.inst.run = readClock;
      d.inst.o[0] = d.destination(0, type);
      return;
    }
    const Variable *variable = d.variable(from.name);
    if (variable != nullptr && variable->kind != Variable::Register) {
      decodeAddressOf(d, from, *variable, type);
      return;
    }
    if (variable == nullptr && d.functions.count(from.name)) d.fail("the address of a function is not supported");
  }
  d.inst.o[1] = d.source(1, type);
  d.inst.o[0] = d.destination(0, type);
  d.inst.run = bytes == 2 ? copy16 : bytes == 4 ? copy32 : copy64;
  d.inst.flow = Flow::Copy;
}

Space takeSpace(Decoder &d) {
  if (d.take("shared::cta")) return Space::Shared;
  switch (d.takeOne({"global", "shared", "local", "param", "const"})) {
    case 0: return Space::Global;
    case 1: return Space::Shared;
    case 2: return Space::Local;
    case 3: return Space::Param;
    case 4: return Space::Const;
    default: return Space::Generic;
  }
}

uint64_t windowOf(Space space) {
  switch (space) {
    case Space::Shared: return kSharedWindow;
    case Space::Local: return kLocalWindow;
    case Space::Param: return kParamWindow;
    default: return 0;
  }
}

void decodeCvta(Decoder &d) {
  const bool to = d.take("to");
  const Space space = takeSpace(d);
  if (space == Space::Generic) d.fail("needs a state space");
  const Type type = d.takeType();
  if (type != Type::U64) d.fail("only 64-bit addresses are supported");
  d.finish();
  d.wantOperands(2);
  const Operand &from = d.statement.operands[1];
  const Variable *variable = from.kind == Operand::Name ? d.variable(from.name) : nullptr;
  if (variable != nullptr && variable->kind != Variable::Register) {
    if (to) d.fail("needs a register");
    const uint64_t window = windowOf(space);
    switch (variable->kind) {
      case Variable::Global: d.inst.o[1] = d.builder.relocated(Constant::Global, variable->index, from.value, 8); break;
      case Variable::Shared: d.inst.o[1] = d.builder.relocated(Constant::Shared, variable->index, from.value, 8); break;
      case Variable::KernelParam: d.inst.o[1] = d.builder.constant(variable->offset + from.value, 8); break;
      default:
        d.inst.imm = static_cast<int64_t>(variable->offset + from.value + window);
        d.inst.run = frameAddress<uint64_t>;
        break;
    }
    if (d.inst.run == nullptr) {
      d.inst.imm = static_cast<int64_t>(window);
      d.inst.run = addOffset;
    }
    d.inst.o[0] = d.destination(0, type);
    return;
  }
  d.inst.o[1] = d.source(1, type);
  d.inst.o[0] = d.destination(0, type);
  const uint64_t window = windowOf(space);
  d.inst.imm = static_cast<int64_t>(to ? 0 - window : window);
  d.inst.run = window == 0 ? copy64 : addOffset;
}

void decodeIsSpace(Decoder &d) {
  d.inst.space = takeSpace(d);
  if (d.inst.space == Space::Generic) d.fail("needs a state space");
  d.finish();
  d.wantOperands(2);
  d.inst.o[1] = d.source(1, Type::U64);
  d.inst.o[0] = d.destination(0, Type::Pred);
  d.inst.run = isSpace;
}

}  // namespace

void copy16(Exec &x, const Inst &i) { unary<Copy, uint16_t, uint16_t>(x, i); }
void copy32(Exec &x, const Inst &i) { unary<Copy, uint32_t, uint32_t>(x, i); }
void copy64(Exec &x, const Inst &i) { unary<Copy, uint64_t, uint64_t>(x, i); }

std::vector<OpcodeEntry> moveOpcodes() { return {{"mov", decodeMov}, {"cvta", decodeCvta}, {"isspacep", decodeIsSpace}}; }

}  // namespace ptx
