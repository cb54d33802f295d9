// Branches, calls, exits, barriers of a block, fences.
#include <algorithm>
#include <cstdio>

#include "decode.h"
#include "access.h"

namespace ptx {

void decodeWarpBarrier(Decoder &d);

namespace {

void branch(Exec &x, const Inst &i) {
  const uint32_t target = static_cast<uint32_t>(i.imm);
  if (x.mask == x.groupMask) {
    x.pc = target;
    if (x.warp->groupCount > 1) x.stop = 0;  // the jump may have passed by others
    return;
  }
  splitOff(x, x.mask, target, x.frame, Waiting::No);
}

void branchIndexed(Exec &x, const Inst &i) {
  const std::vector<uint32_t> &targets = x.running->program->tables[i.side].targets;
  const uint32_t *index = x.lanes<uint32_t>(i.o[0]);
  uint32_t left = x.mask;
  while (left) {
    const unsigned lane = static_cast<unsigned>(__builtin_ctz(left));
    if (index[lane] >= targets.size()) {
      Trouble trouble;
      trouble.kind = Kind::Trap;
      trouble.pc = x.pc - 1;
      trouble.lane = lane;
      trouble.detail = "branch index " + std::to_string(index[lane]) + " of " + std::to_string(targets.size());
      report(x, trouble);
      return;
    }
    uint32_t part = 0;
    for (uint32_t m = left; m; m &= m - 1) {
      const unsigned l = static_cast<unsigned>(__builtin_ctz(m));
      if (index[l] == index[lane]) part |= 1u << l;
    }
    left &= ~part;
    splitOff(x, part, targets[index[lane]], x.frame, Waiting::No);
  }
}

void exitKernel(Exec &x, const Inst &) { exitLanes(x); }

void trap(Exec &x, const Inst &) {
  Trouble trouble;
  trouble.kind = Kind::Trap;
  trouble.pc = x.pc - 1;
  trouble.lane = static_cast<unsigned>(__builtin_ctz(x.mask));
  report(x, trouble);
}

// ------------------------------------------------------------------------------------------------------- calls

void copyRegister(uint8_t *to, const uint8_t *from, uint32_t bytes, uint32_t mask) {
  if (bytes == 0) {
    uint32_t t, f;
    std::memcpy(&t, to, 4);
    std::memcpy(&f, from, 4);
    t = (t & ~mask) | (f & mask);
    std::memcpy(to, &t, 4);
    return;
  }
  forLanes(mask, [=](unsigned l) { std::memcpy(to + l * bytes, from + l * bytes, bytes); });
}

void copyLocal(Exec &x, uint32_t from, uint32_t to, uint32_t bytes) {
  Area &local = x.warp->local;
  const size_t stride = x.running->localBytes;
  forLanes(x.mask, [&](unsigned l) {
    std::memcpy(local.data + l * stride + to, local.data + l * stride + from, bytes);
    std::memcpy(local.shadow + l * stride + to, local.shadow + l * stride + from, bytes);
  });
}

// The lanes' columns of all the function's registers, kept while a recursion uses them anew.
void saveRegisters(Exec &x, const Function &function, const uint8_t *registers) {
  forLanes(x.mask, [&](unsigned l) {
    std::vector<uint8_t> &saved = x.warp->saved[l];
    for (const RegisterSlot &slot : function.slots) {
      if (slot.bytes == 0) {
        uint32_t p;
        std::memcpy(&p, registers + slot.offset, 4);
        saved.push_back(p >> l & 1);
      } else {
        const uint8_t *at = registers + slot.offset + l * slot.bytes;
        saved.insert(saved.end(), at, at + slot.bytes);
      }
    }
    for (uint32_t mask : function.definedMasks) {
      uint32_t p;
      std::memcpy(&p, registers + mask, 4);
      saved.push_back(p >> l & 1);
    }
  });
}
void restoreRegisters(Exec &x, const Function &function, uint8_t *registers) {
  forLanes(x.mask, [&](unsigned l) {
    std::vector<uint8_t> &saved = x.warp->saved[l];
    auto restoreBit = [&](uint32_t offset) {
      uint32_t p;
      std::memcpy(&p, registers + offset, 4);
      p = (p & ~(1u << l)) | static_cast<uint32_t>(saved.back()) << l;
      saved.pop_back();
      std::memcpy(registers + offset, &p, 4);
    };
    for (auto mask = function.definedMasks.rbegin(); mask != function.definedMasks.rend(); ++mask) restoreBit(*mask);
    for (auto slot = function.slots.rbegin(); slot != function.slots.rend(); ++slot) {
      if (slot->bytes == 0) {
        restoreBit(slot->offset);
      } else {
        std::memcpy(registers + slot->offset + l * slot->bytes, saved.data() + saved.size() - slot->bytes, slot->bytes);
        saved.resize(saved.size() - slot->bytes);
      }
    }
  });
}

// Reads a zero-terminated string from memory; at most 4096 characters.
std::string textAt(Running &running, uint64_t address) {
  std::string text;
  Region region;
  while (text.size() < 4096 && running.memory->resolve(address, region) == Fault::None && region.data != nullptr) {
    for (; address < region.end && text.size() < 4096; address++) {
      const char c = static_cast<char>(region.data[address - region.begin]);
      if (c == 0) return text;
      text += c;
    }
  }
  return text;
}

uint64_t argument(Exec &x, const Call &call, size_t index, unsigned lane, unsigned bytes) {
  uint64_t value = 0;
  if (index >= call.arguments.size()) return 0;
  const Passing &passing = call.arguments[index];
  const unsigned n = std::min<unsigned>(bytes, passing.bytes);
  if (passing.inRegister) {
    std::memcpy(&value, x.registers + passing.from + lane * passing.bytes, n);
  } else {
    std::memcpy(&value, x.warp->local.data + static_cast<size_t>(lane) * x.running->localBytes + x.frame->localBase + passing.from, n);
  }
  return value;
}

// printf as the device's runtime does it: each argument in 4 or 8 bytes of a local buffer, aligned.
std::string format(Exec &x, unsigned lane, const std::string &text, uint64_t buffer) {
  std::string out;
  uint64_t at = buffer - kLocalWindow;
  auto take = [&](unsigned bytes) {
    at = (at + bytes - 1) / bytes * bytes;
    uint64_t value = 0;
    if (at <= x.running->localBytes && x.running->localBytes - at >= bytes)
      std::memcpy(&value, x.warp->local.data + static_cast<size_t>(lane) * x.running->localBytes + at, bytes);
    at += bytes;
    return value;
  };
  for (size_t k = 0; k < text.size(); k++) {
    if (text[k] != '%') {
      out += text[k];
      continue;
    }
    std::string specification = "%";
    k++;
    while (k < text.size() && std::strchr("-+ #0123456789.", text[k])) specification += text[k++];
    bool wide = false;
    while (k < text.size() && std::strchr("hlzjt", text[k])) wide |= text[k++] != 'h';
    if (k >= text.size() || specification.size() > 24) break;
    char piece[512];
    piece[0] = 0;
    switch (text[k]) {
      case '%': out += '%'; continue;
      case 'd':
      case 'i': {
        const long long v = wide ? static_cast<long long>(take(8)) : static_cast<int32_t>(take(4));
        std::snprintf(piece, sizeof piece, (specification + "lld").c_str(), v);
        break;
      }
      case 'u':
      case 'x':
      case 'X':
      case 'o':
      case 'c': {
        const unsigned long long v = take(wide ? 8 : 4);
        if (text[k] == 'c') {
          out += static_cast<char>(v);
          continue;
        }
        std::snprintf(piece, sizeof piece, (specification + "ll" + text[k]).c_str(), v);
        break;
      }
      case 'f':
      case 'F':
      case 'e':
      case 'E':
      case 'g':
      case 'G':
      case 'a': std::snprintf(piece, sizeof piece, (specification + text[k]).c_str(), bits<double>(take(8))); break;
      case 'p': std::snprintf(piece, sizeof piece, "0x%llx", static_cast<unsigned long long>(take(8))); break;
      case 's': {
        out += textAt(*x.running, take(8));
        continue;
      }
      default: break;
    }
    out += piece;
  }
  return out;
}

void callBuiltIn(Exec &x, const Call &call, BuiltIn builtIn) {
  if (builtIn == BuiltIn::AssertFail) {
    const unsigned lane = static_cast<unsigned>(__builtin_ctz(x.mask));
    Trouble trouble;
    trouble.kind = Kind::Assert;
    trouble.pc = x.pc - 1;
    trouble.lane = lane;
    trouble.detail = textAt(*x.running, argument(x, call, 0, lane, 8)) + ", " + textAt(*x.running, argument(x, call, 1, lane, 8)) +
                     ":" + std::to_string(argument(x, call, 2, lane, 4));
    report(x, trouble);
    return;
  }
  for (uint32_t m = x.mask; m; m &= m - 1) {
    const unsigned lane = static_cast<unsigned>(__builtin_ctz(m));
    const std::string text = format(x, lane, textAt(*x.running, argument(x, call, 0, lane, 8)), argument(x, call, 1, lane, 8));
    if (x.running->result->output.size() < (1u << 20)) x.running->result->output += text;
  }
  for (const Passing &result : call.results) {  // the number of arguments, which nobody looks at
    const uint32_t zero = 0;
    const unsigned n = std::min(result.bytes, 4u);
    Area &local = x.warp->local;
    forLanes(x.mask, [&](unsigned l) {
      if (result.inRegister) {
        std::memcpy(x.registers + result.to + l * result.bytes, &zero, n);
      } else {
        const size_t at = static_cast<size_t>(l) * x.running->localBytes + x.frame->localBase + result.to;
        std::memcpy(local.data + at, &zero, n);
        std::memset(local.shadow + at, kWritten, n);
      }
    });
  }
}

void call(Exec &x, const Inst &i) {
  Running &running = *x.running;
  const Program &program = *running.program;
  const Call &call = program.calls[i.side];
  const Function &callee = program.functions[call.function];
  if (callee.builtIn != BuiltIn::None) {
    callBuiltIn(x, call, callee.builtIn);
    return;
  }
  Frame *caller = x.frame;
  Frame *frame = nullptr;
  for (const auto &child : caller->children)
    if (child->returnPc == x.pc) frame = child.get();
  if (frame == nullptr) {
    caller->children.push_back(std::make_unique<Frame>());
    frame = caller->children.back().get();
    frame->parent = caller;
    frame->returnPc = x.pc;
    frame->function = &callee;
    frame->registers = x.warp->file + running.functionBase[call.function];
    frame->localBase = (caller->localBase + caller->function->frameBytes + 15) / 16 * 16;
    frame->depth = caller->depth + 1;
  }
  if (frame->localBase + callee.frameBytes + 16 > running.localBytes || frame->depth > 4096) {
    Trouble trouble;
    trouble.kind = Kind::StackOverflow;
    trouble.pc = x.pc - 1;
    trouble.lane = static_cast<unsigned>(__builtin_ctz(x.mask));
    trouble.size = frame->localBase + callee.frameBytes;
    report(x, trouble);
    return;
  }
  Area &local = x.warp->local;
  const size_t stride = running.localBytes;
  for (const FrameVariable &variable : callee.frame)
    forLanes(x.mask, [&](unsigned l) {
      std::memset(local.shadow + l * stride + frame->localBase + variable.offset, kUnwritten, variable.size);
    });
  // Arguments in registers may come from the very registers that a recursion will reuse: read them first.
  std::vector<std::vector<uint8_t>> values;
  for (const Passing &passing : call.arguments) {
    if (!passing.inRegister) {
      copyLocal(x, caller->localBase + passing.from, frame->localBase + passing.to, passing.bytes);
      continue;
    }
    const uint8_t *from = x.registers + passing.from;
    values.emplace_back(from, from + (passing.bytes == 0 ? 4 : passing.bytes * kLanes));
  }
  if (callee.recursive) saveRegisters(x, callee, frame->registers);
  size_t next = 0;
  for (const Passing &passing : call.arguments)
    if (passing.inRegister) copyRegister(frame->registers + passing.to, values[next++].data(), passing.bytes, x.mask);
  for (uint32_t mask : callee.definedMasks) *reinterpret_cast<uint32_t *>(frame->registers + mask) &= ~x.mask;
  if (x.mask == x.groupMask) {
    x.frame = frame;
    x.registers = frame->registers;
    x.pc = callee.begin;
    x.stop = 0;
  } else {
    splitOff(x, x.mask, callee.begin, frame, Waiting::No);
  }
}

void returnFromCall(Exec &x, const Inst &i) {
  Frame *frame = x.frame;
  if (frame->parent == nullptr) {
    exitLanes(x);
    return;
  }
  (void)i;
  Running &running = *x.running;
  const Function &callee = *frame->function;
  Frame *caller = frame->parent;
  const Call &call = running.program->calls[running.program->code[frame->returnPc - 1].side];
  std::vector<std::vector<uint8_t>> values;
  for (const Passing &passing : call.results) {
    if (!passing.inRegister) {
      copyLocal(x, frame->localBase + passing.from, caller->localBase + passing.to, passing.bytes);
      continue;
    }
    const uint8_t *from = frame->registers + passing.from;
    values.emplace_back(from, from + (passing.bytes == 0 ? 4 : passing.bytes * kLanes));
  }
  if (callee.recursive) restoreRegisters(x, callee, frame->registers);
  size_t next = 0;
  for (const Passing &passing : call.results)
    if (passing.inRegister) copyRegister(caller->registers + passing.to, values[next++].data(), passing.bytes, x.mask);
  Area &local = x.warp->local;
  const size_t stride = running.localBytes;
  for (const FrameVariable &variable : callee.frame)
    forLanes(x.mask, [&](unsigned l) {
      std::memset(local.shadow + l * stride + frame->localBase + variable.offset, kGuard, variable.size);
    });
  if (x.mask == x.groupMask) {
    x.frame = caller;
    x.registers = caller->registers;
    x.pc = frame->returnPc;
    x.stop = 0;
  } else {
    splitOff(x, x.mask, frame->returnPc, caller, Waiting::No);
  }
}

// ------------------------------------------------------------------------------------------------------- barriers

// Inst::flags of barriers; mode: what a reduction computes.
enum : uint8_t { kAligned = 1, kArrive = 2, kReduce = 4, kNegated = 8, kCounted = 16 };

// o: barrier, thread count, predicate of a reduction, its result.
void blockBarrier(Exec &x, const Inst &i) {
  Running &running = *x.running;
  Warp &warp = *x.warp;
  const uint32_t *id = x.lanes<uint32_t>(i.o[0]), *count = x.lanes<uint32_t>(i.o[1]);
  const unsigned first = static_cast<unsigned>(__builtin_ctz(x.mask));
  Trouble trouble;
  trouble.kind = Kind::BarrierDivergence;
  trouble.pc = x.pc - 1;
  trouble.lane = first;
  for (uint32_t m = x.mask; m; m &= m - 1) {
    const unsigned l = static_cast<unsigned>(__builtin_ctz(m));
    if (id[l] == id[first] && (!(i.flags & kCounted) || count[l] == count[first])) continue;
    trouble.detail = "lanes of a warp name different barriers";
    report(x, trouble);
    return;
  }
  const uint32_t expected = i.flags & kCounted ? count[first] : 0;
  if (id[first] > 15 || ((i.flags & kCounted) && (expected == 0 || expected % kLanes != 0))) {
    trouble.detail = id[first] > 15 ? "there is no barrier " + std::to_string(id[first])
                                    : "a thread count of " + std::to_string(expected) + " is no multiple of 32";
    report(x, trouble);
    return;
  }
  // All lanes of a warp have to come together to a barrier that is .aligned.
  if ((i.flags & kAligned) && x.mask != warp.live) {
    splitOff(x, x.mask, x.pc - 1, x.frame, Waiting::Aligned);
    return;
  }
  Barrier &barrier = running.block.barriers[id[first]];
  const uint32_t threads = static_cast<uint32_t>(__builtin_popcount(x.mask));
  if (barrier.arrived == 0) {
    barrier = Barrier();
    barrier.pc = x.pc - 1;
    barrier.expected = expected;
    barrier.counted = i.flags & kCounted;
    barrier.who = x.thread(first);
  } else if (barrier.expected != expected || (expected == 0 && barrier.pc != x.pc - 1)) {
    trouble.otherPc = barrier.pc;
    trouble.hasOther = true;
    trouble.otherBlock = running.block.index;
    trouble.otherThread = barrier.who;
    trouble.detail = barrier.expected != expected ? "threads disagree on how many the barrier waits for"
                                                  : "threads of the block wait at different barriers";
    report(x, trouble);
    return;
  }
  barrier.arrived += i.flags & kCounted ? kLanes : threads;
  if (i.flags & kReduce) {
    const uint32_t p = (x.predicate(i.o[2]) ^ (i.flags & kNegated ? UINT32_MAX : 0)) & x.mask;
    barrier.popc += static_cast<uint32_t>(__builtin_popcount(p));
    barrier.contributed += threads;
  }
  if (!(i.flags & kArrive)) {
    const uint32_t lanes = x.mask;
    splitOff(x, lanes, x.pc - 1, x.frame, Waiting::Barrier);
    warp.groups[warp.groupCount - 1].barrier = static_cast<uint8_t>(id[first]);
  }
  releaseBarriers(running);
}

void fence(Exec &x, const Inst &i) {
  if (i.flags) x.running->block.fenced = true;
}

void nothing(Exec &, const Inst &) {}

// ------------------------------------------------------------------------------------------------------------ decoding

void decodeBranch(Decoder &d) {
  d.take("uni");
  d.finish();
  d.wantOperands(1);
  const Operand &target = d.statement.operands[0];
  if (target.kind != Operand::Name || target.negated || target.value != 0) d.fail("a label is wanted");
  d.builder.wantLabel(d.statement.line, target.name, static_cast<uint32_t>(d.builder.program().code.size()));
  d.inst.run = branch;
  d.inst.flow = Flow::Branch;
}

void decodeBranchIndexed(Decoder &d) {
  d.take("uni");
  if (!d.take("idx")) d.fail("needs .idx");
  d.finish();
  d.wantOperands(2);
  d.inst.o[0] = d.source(0, Type::U32);
  const Operand &table = d.statement.operands[1];
  if (table.kind != Operand::Name) d.fail("the name of branch targets is wanted");
  d.inst.side = static_cast<uint32_t>(
      d.builder.table(table.name, static_cast<uint32_t>(d.builder.program().code.size()), d.statement.line));
  d.inst.run = branchIndexed;
  d.inst.flow = Flow::Table;
}

void decodeCall(Decoder &d) {
  d.take("uni");
  d.finish();
  const std::vector<Operand> &operands = d.statement.operands;
  static const std::vector<Operand> none;
  size_t at = 0;
  const std::vector<Operand> *results = &none, *arguments = &none;
  if (at < operands.size() && operands[at].kind == Operand::List) results = &operands[at++].parts;
  if (at >= operands.size() || operands[at].kind != Operand::Name) d.fail("a function's name is wanted");
  const Operand &callee = operands[at++];
  if (at < operands.size() && operands[at].kind == Operand::List) arguments = &operands[at++].parts;
  if (at < operands.size()) d.fail("indirect calls are not supported");
  auto found = d.functions.find(callee.name);
  if (found == d.functions.end()) {
    if (d.variable(callee.name) != nullptr) d.fail("indirect calls are not supported");
    d.fail("unknown function " + std::string(callee.name));
  }
  Program &program = d.builder.program();
  const Function &function = program.functions[found->second];
  if (function.kernel) d.fail("a kernel can't be called");
  if (arguments->size() != function.parameters.size() || results->size() != function.results.size())
    d.fail(function.name + " takes " + std::to_string(function.parameters.size()) + " arguments and gives " +
           std::to_string(function.results.size()) + " results");
  Call call;
  call.function = found->second;
  auto pass = [&](const Operand &operand, const FormalParameter &formal, bool result) {
    Passing passing;
    passing.inRegister = formal.inRegister;
    passing.bytes = formal.size;
    uint32_t here;
    if (formal.inRegister) {
      const unsigned bytes = formal.size;
      const Type type = bytes == 0 ? Type::Pred : bytes == 2 ? Type::B16 : bytes == 4 ? Type::B32 : Type::B64;
      here = result ? d.destination(operand, type, false) : d.source(operand, type, false);
    } else {
      const Variable *variable = operand.kind == Operand::Name ? d.variable(operand.name) : nullptr;
      if (variable == nullptr || variable->kind != Variable::FrameLocal) d.fail("a .param variable is wanted for each argument");
      if (variable->size != formal.size) d.fail(std::string(operand.name) + " has not the size of " + function.name + "'s parameter");
      here = variable->offset;
    }
    passing.from = result ? formal.offset : here;
    passing.to = result ? here : formal.offset;
    return passing;
  };
  for (size_t k = 0; k < arguments->size(); k++) call.arguments.push_back(pass((*arguments)[k], function.parameters[k], false));
  for (size_t k = 0; k < results->size(); k++) call.results.push_back(pass((*results)[k], function.results[k], true));
  Function &caller = d.builder.function();
  if (std::find(caller.calls.begin(), caller.calls.end(), found->second) == caller.calls.end())
    caller.calls.push_back(found->second);
  d.inst.side = static_cast<uint32_t>(program.calls.size());
  program.calls.push_back(std::move(call));
  d.inst.run = ptx::call;
}

void decodeReturn(Decoder &d) {
  d.take("uni");
  d.finish();
  d.wantOperands(0);
  d.inst.run = returnFromCall;
  d.inst.flow = Flow::End;
}
void decodeExit(Decoder &d) {
  d.finish();
  d.wantOperands(0);
  d.inst.run = exitKernel;
  d.inst.flow = Flow::End;
}
void decodeTrap(Decoder &d) {
  d.finish();
  d.wantOperands(0);
  d.inst.run = trap;
  d.inst.flow = Flow::End;
}

void decodeBar(Decoder &d) {
  const bool bar = d.statement.opcode == "bar";
  if (d.take("warp")) {
    if (!bar || !d.take("sync")) d.fail("needs .sync");
    decodeWarpBarrier(d);
    return;
  }
  d.take("cta");
  const int kind = d.takeOne({"sync", "arrive", "red"});
  if (kind < 0) d.fail("needs .sync, .arrive or .red");
  if (bar || d.take("aligned")) d.inst.flags |= kAligned;
  const size_t n = d.statement.operands.size();
  size_t at = 0;
  bool predicateResult = false;
  if (kind == 2) {
    const int operation = d.takeOne({"popc", "and", "or"});
    const Type type = d.takeType();
    if (operation < 0 || type != (operation == 0 ? Type::U32 : Type::Pred)) d.fail("needs .popc.u32, .and.pred or .or.pred");
    d.inst.flags |= kReduce;
    d.inst.mode = static_cast<uint8_t>(operation);
    predicateResult = operation != 0;
    d.finish();
    d.wantOperands(3, 4);
    uint32_t flip;
    d.inst.o[2] = d.predicate(d.statement.operands[n - 1], flip);
    if (flip) d.inst.flags |= kNegated;
    at = 1;
  } else {
    d.finish();
    d.wantOperands(1, 2);
    if (kind == 1) {
      if (n != 2) d.fail("needs a thread count");
      d.inst.flags |= kArrive;
    }
  }
  d.inst.o[0] = d.source(at, Type::U32);
  d.inst.o[1] = d.inst.o[0];
  if (n > at + (kind == 2 ? 2 : 1)) {
    d.inst.o[1] = d.source(at + 1, Type::U32);
    d.inst.flags |= kCounted;
  }
  if (kind == 2) d.inst.o[3] = d.destination(0, predicateResult ? Type::Pred : Type::U32);
  d.inst.run = blockBarrier;
}

void decodeFence(Decoder &d) {
  bool wide;
  if (d.statement.opcode == "membar") {
    const int scope = d.takeOne({"cta", "gl", "sys"});
    if (scope < 0) d.fail("needs .cta, .gl or .sys");
    wide = scope > 0;
  } else {
    d.takeOne({"sc", "acq_rel"});
    const int scope = d.takeOne({"cta", "cluster", "gpu", "sys"});
    if (scope < 0) d.fail("needs a scope: .cta, .gpu or .sys");
    wide = scope > 0;
  }
  d.finish();
  d.wantOperands(0);
  d.inst.flags = wide;
  if (wide) d.builder.function().fences = true;
  d.inst.run = fence;
}

void decodeNanosleep(Decoder &d) {
  if (d.takeType() != Type::U32) d.fail("is for .u32");
  d.finish();
  d.wantOperands(1);
  d.inst.o[0] = d.source(0, Type::U32);
  d.inst.run = nothing;
}

}  // namespace

// Writes a barrier's reduction to the lanes that waited for it.
void finishBarrier(const Inst &i, const Group &group, const Barrier &barrier) {
  if (!(i.flags & kReduce)) return;
  uint8_t *at = group.frame->registers + i.o[3];
  if (i.mode == 0) {
    uint32_t *d = reinterpret_cast<uint32_t *>(at);
    forLanes(group.mask, [&](unsigned l) { d[l] = barrier.popc; });
    return;
  }
  const bool result = i.mode == 1 ? barrier.popc == barrier.contributed : barrier.popc != 0;
  uint32_t *d = reinterpret_cast<uint32_t *>(at);
  *d = (*d & ~group.mask) | (result ? group.mask : 0);
}

std::vector<OpcodeEntry> controlOpcodes() {
  return {{"bra", decodeBranch}, {"brx", decodeBranchIndexed}, {"call", decodeCall}, {"ret", decodeReturn},
          {"exit", decodeExit}, {"trap", decodeTrap}, {"brkpt", decodeTrap}, {"bar", decodeBar}, {"barrier", decodeBar},
          {"membar", decodeFence}, {"fence", decodeFence}, {"nanosleep", decodeNanosleep}};
}

}  // namespace ptx
