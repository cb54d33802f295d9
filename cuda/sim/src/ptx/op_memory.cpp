// Loads and stores.
#include <type_traits>

#include "access.h"
#include "decode.h"
#include "memory_operand.h"

namespace ptx {
namespace {

// M: the value in memory, R: the register, at least as wide.
template <class M, class R>
void load(Exec &x, const Inst &i) {
  const unsigned bytes = sizeof(M) * i.count;
  forAreas(x, i, bytes, false, [&](const Reach &reach) {
    checkRead(x, i, reach, bytes);
    const uint8_t *data = reach.area->data;
    if (i.count == 1) {
      R *d = x.lanes<R>(i.o[1]);
      if (reach.contiguous) {
        const uint8_t *from = data + reach.offset[0];
        M values[kLanes];
        std::memcpy(values, from, sizeof values);
        for (unsigned l = 0; l < kLanes; l++) d[l] = static_cast<R>(values[l]);
      } else {
        forLanes(reach.mask, [&](unsigned l) {
          M v;
          std::memcpy(&v, data + reach.offset[l], sizeof v);
          d[l] = static_cast<R>(v);
        });
      }
      return;
    }
    for (unsigned k = 0; k < i.count; k++) {
      R *d = x.lanes<R>(i.o[1 + k]);
      forLanes(reach.mask, [&](unsigned l) {
        M v;
        std::memcpy(&v, data + reach.offset[l] + k * sizeof(M), sizeof v);
        d[l] = static_cast<R>(v);
      });
    }
  });
}

template <class M, class R>
void store(Exec &x, const Inst &i) {
  const unsigned bytes = sizeof(M) * i.count;
  M values[kLanes * 4];
  for (unsigned k = 0; k < i.count; k++) {
    const R *s = x.lanes<R>(i.o[1 + k]);
    for (unsigned l = 0; l < kLanes; l++) values[l * i.count + k] = static_cast<M>(s[l]);
  }
  forAreas(x, i, bytes, true, [&](const Reach &reach) {
    checkWrite(x, i, reach, bytes, reinterpret_cast<const uint8_t *>(values), bytes);
  });
}

template <class M>
Handler loadTo(unsigned registerBytes) {
  switch (registerBytes) {
    case 2:
      if constexpr (sizeof(M) <= 2) return load<M, std::conditional_t<std::is_signed_v<M>, int16_t, uint16_t>>;
      return nullptr;
    case 4:
      if constexpr (sizeof(M) <= 4) return load<M, std::conditional_t<std::is_signed_v<M>, int32_t, uint32_t>>;
      return nullptr;
    case 8: return load<M, std::conditional_t<std::is_signed_v<M>, int64_t, uint64_t>>;
    default: return nullptr;
  }
}
template <class M>
Handler storeFrom(unsigned registerBytes) {
  switch (registerBytes) {
    case 2:
      if constexpr (sizeof(M) <= 2) return store<M, uint16_t>;
      return nullptr;
    case 4:
      if constexpr (sizeof(M) <= 4) return store<M, uint32_t>;
      return nullptr;
    case 8: return store<M, uint64_t>;
    default: return nullptr;
  }
}

void nothing(Exec &, const Inst &) {}

// .relaxed.gpu, .volatile, .ca, .L1::evict_last and so on. True for a load or store that others may see in between.
void takeOrder(Decoder &d, bool store) {
  if (d.take("weak")) return;
  const bool isVolatile = d.take("volatile");
  const bool relaxed = d.take("relaxed");
  const bool ordered = store ? d.take("release") : d.take("acquire");
  if (d.take("mmio")) d.inst.flags |= kStrong;
  if (isVolatile || relaxed || ordered) d.inst.flags |= kStrong;
  if (ordered) d.inst.flags |= kFenced;
  if (ordered) d.builder.function().fences = true;
  const int scope = d.takeOne({"cta", "cluster", "gpu", "sys"});
  if (scope >= 0 && !relaxed && !ordered && !(d.inst.flags & kStrong)) d.fail("a scope without .relaxed, .acquire or .release");
  if (scope < 0 && (relaxed || ordered)) d.fail("needs a scope: .cta, .gpu or .sys");
}
void takeCaching(Decoder &d, bool store) {
  if (store) {
    d.takeOne({"wb", "cg", "cs", "wt"});
  } else {
    d.takeOne({"ca", "cg", "cs", "lu", "cv"});
    d.take("nc");
  }
  d.takeOne({"L1::evict_normal", "L1::evict_unchanged", "L1::evict_first", "L1::evict_last", "L1::no_allocate"});
  d.takeOne({"L2::64B", "L2::128B", "L2::256B"});
}

unsigned takeVector(Decoder &d) {
  const int vector = d.takeOne({"v2", "v4"});
  return vector == 0 ? 2 : vector == 1 ? 4 : 1;
}

void decodeLoadStore(Decoder &d) {
  const bool store = d.statement.opcode == "st";
  takeOrder(d, store);
  d.inst.space = takeMemorySpace(d);
  takeCaching(d, store);
  const unsigned count = takeVector(d);
  const Type type = d.takeType();
  d.finish();
  d.wantOperands(2);
  const unsigned bytes = bytesOf(type);
  if (bytes == 0 || bytes * count > 16) d.fail("more than 16 bytes");
  if (store && d.inst.space == Space::Const) d.fail("constant memory can't be stored to");
  const Operand &address = d.statement.operands[store ? 0 : 1], &value = d.statement.operands[store ? 1 : 0];
  memoryOperand(d, address);
  std::vector<const Operand *> values;
  if (value.kind == Operand::Vector) {
    for (const Operand &part : value.parts) values.push_back(&part);
  } else {
    values.push_back(&value);
  }
  if (values.size() != count) d.fail("needs " + std::to_string(count) + " values");
  // All parts of a vector share a handler, so they share a register width.
  unsigned width = 0;
  for (const Operand *v : values) {
    const unsigned w = d.registerBytes(*v);
    if (w == 0) continue;
    if (width != 0 && width != w) d.fail("registers of different widths");
    width = w;
  }
  if (width == 0) width = bytes == 1 ? 2 : bytes;
  if (isFloat(type) && width != bytes) d.fail("a floating-point value needs a register of its own size");
  for (size_t k = 0; k < values.size(); k++) {
    if (store) {
      const Operand &v = *values[k];
      if (d.isImmediate(v)) {
        d.inst.o[1 + k] = d.builder.constant(d.immediate(v, type), width);
      } else {
        d.inst.o[1 + k] = d.source(v, d.registerBytes(v) == 0 && width > bytes ? (width == 4 ? Type::B32 : Type::B64) : type, true);
      }
    } else if (values[k]->kind == Operand::Sink) {
      d.inst.o[1 + k] = d.sink(width);
    } else {
      d.inst.o[1 + k] = d.destination(*values[k], type, true);
    }
  }
  d.inst.count = static_cast<uint8_t>(count);
  d.inst.size = static_cast<uint8_t>(bytes);
  if (store) {
    d.inst.run = bytes == 1 ? storeFrom<uint8_t>(width) : bytes == 2 ? storeFrom<uint16_t>(width)
                 : bytes == 4 ? storeFrom<uint32_t>(width) : storeFrom<uint64_t>(width);
  } else if (isSigned(type)) {
    d.inst.run = bytes == 1 ? loadTo<int8_t>(width) : bytes == 2 ? loadTo<int16_t>(width)
                 : bytes == 4 ? loadTo<int32_t>(width) : loadTo<int64_t>(width);
  } else {
    d.inst.run = bytes == 1 ? loadTo<uint8_t>(width) : bytes == 2 ? loadTo<uint16_t>(width)
                 : bytes == 4 ? loadTo<uint32_t>(width) : loadTo<uint64_t>(width);
  }
  if (d.inst.run == nullptr) d.fail("register too narrow");
}

void decodePrefetch(Decoder &d) {
  d.inst.space = takeMemorySpace(d);
  d.takeOne({"L1", "L2"});
  d.takeOne({"L2::evict_last", "L2::evict_normal"});
  d.finish();
  d.wantOperands(1);
  memoryOperand(d, d.statement.operands[0]);
  d.inst.run = nothing;
}

}  // namespace

Space takeMemorySpace(Decoder &d) {
  if (d.take("shared::cta")) return Space::Shared;
  if (d.take("param::entry") || d.take("param::func")) return Space::Param;
  switch (d.takeOne({"global", "shared", "local", "param", "const"})) {
    case 0: return Space::Global;
    case 1: return Space::Shared;
    case 2: return Space::Local;
    case 3: return Space::Param;
    case 4: return Space::Const;
    default: return Space::Generic;
  }
}

void memoryOperand(Decoder &d, const Operand &operand) {
  if (operand.kind != Operand::Address) d.fail("an address in brackets is wanted");
  d.inst.imm = static_cast<int64_t>(operand.value);
  d.inst.side = d.builder.program().cacheSlots++;
  if (operand.parts.empty()) {
    d.inst.flags |= kWideAddress;
    d.inst.o[0] = d.builder.constant(0, 8);
    return;
  }
  const Operand &base = operand.parts[0];
  const Variable *variable = d.variable(base.name);
  if (variable == nullptr) d.fail("unknown name " + std::string(base.name));
  Space &space = d.inst.space;
  auto wrongSpace = [&]() { d.fail(std::string(base.name) + " is not in this state space"); };
  switch (variable->kind) {
    case Variable::Register:
      if (d.registerBytes(base) == 8) {
        d.inst.flags |= kWideAddress;
        d.inst.o[0] = d.source(base, Type::U64, false);
      } else {
        if (space == Space::Generic || space == Space::Global) d.fail("needs a 64-bit address");
        d.inst.o[0] = d.source(base, Type::U32, false);
      }
      // A device function's parameters lie in its frame.
      if (space == Space::Param && !d.builder.function().kernel) space = Space::Local;
      return;
    case Variable::Global: {
      const bool constant = d.builder.program().symbols[variable->index].space == Space::Const;
      if (space != Space::Generic && space != (constant ? Space::Const : Space::Global)) wrongSpace();
      space = constant ? Space::Const : Space::Global;
      d.inst.flags |= kWideAddress;
      d.inst.o[0] = d.builder.relocated(Constant::Global, variable->index, 0, 8);
      return;
    }
    case Variable::Shared:
      if (space != Space::Generic && space != Space::Shared) wrongSpace();
      space = Space::Shared;
      d.inst.flags |= kWideAddress;
      d.inst.o[0] = d.builder.relocated(Constant::Shared, variable->index, 0, 8);
      return;
    case Variable::KernelParam:
      if (space != Space::Generic && space != Space::Param) wrongSpace();
      space = Space::Param;
      d.inst.flags |= kWideAddress;
      d.inst.o[0] = d.builder.constant(0, 8);
      d.inst.imm = static_cast<int64_t>(operand.value + variable->offset);  // may wrap
      return;
    case Variable::FrameLocal:
      if (space != Space::Generic && space != Space::Local && space != Space::Param) wrongSpace();
      space = Space::Local;
      d.inst.flags |= kWideAddress | kFrameAddress;
      d.inst.o[0] = d.builder.constant(0, 8);
      d.inst.imm = static_cast<int64_t>(operand.value + variable->offset);  // may wrap
      return;
  }
}

std::vector<OpcodeEntry> memoryOpcodes() {
  return {{"ld", decodeLoadStore}, {"st", decodeLoadStore}, {"ldu", decodeLoadStore}, {"prefetch", decodePrefetch},
          {"prefetchu", decodePrefetch}};
}

}  // namespace ptx
