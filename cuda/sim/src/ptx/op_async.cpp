// cp.async: copies from global to shared memory that go on beside the thread, and what waits for them.
//
// A copy ends here as late as it may: where a wait of its thread covers it. Until then the destination holds what it held,
// and every access to it, by any thread, is a finding; so is a source that another value was written to. For the race
// checks the thread writes the destination twice, since hardware may do so at any time between: when the copy begins
// (what others read before, unordered, may see the new bytes) and at the wait (who reads them without a barrier after
// that may see old ones).
#include <algorithm>

#include "access.h"
#include "decode.h"
#include "memory_operand.h"

namespace ptx {
namespace {

void beginCopy(Exec &x, const Inst &i) {
  const AsyncCopy &copy = x.running->program->asyncCopies[i.side];
  uint64_t to[kLanes], from[kLanes];
  addresses(x, i, to);
  addresses(x, copy.source, from);
  PendingCopy pending;
  pending.pc = x.pc - 1;
  pending.instruction = x.running->numberBase[x.frame->function->index] + pending.pc - x.frame->function->begin;
  pending.bytes = i.size;
  pending.mask = x.mask;
  std::memset(pending.data, 0, sizeof pending.data);
  Trouble trouble;
  trouble.pc = x.pc - 1;
  trouble.space = Space::Global;
  uint32_t sizes = 0;  // a bit for each number of bytes that some lane reads
  for (uint32_t m = x.mask; m; m &= m - 1) {
    const unsigned l = static_cast<unsigned>(__builtin_ctz(m));
    uint32_t bytes = i.size;
    if (copy.sourceBytes != kNone) bytes = x.lanes<uint32_t>(copy.sourceBytes)[l];
    if (copy.ignored != kNone && ((x.predicate(copy.ignored) ^ copy.ignoredFlip) >> l & 1)) bytes = 0;
    trouble.lane = l;
    trouble.address = from[l];
    trouble.size = bytes;
    if (bytes > i.size) {
      trouble.kind = Kind::OutOfBounds;
      trouble.detail = "the size of the source is more than the " + std::to_string(i.size) + " bytes that are copied";
      report(x, trouble);
      return;
    }
    if (from[l] & (i.size - 1u)) {
      trouble.kind = Kind::Misaligned;
      trouble.size = i.size;
      report(x, trouble);
      return;
    }
    pending.taken[l] = static_cast<uint8_t>(bytes);
    sizes |= 1u << bytes;
    pending.group[l] = x.warp->copyGroups[l];
  }
  for (sizes &= ~1u; sizes && !x.running->over; sizes &= sizes - 1) {
    const unsigned bytes = static_cast<unsigned>(__builtin_ctz(sizes));
    uint32_t lanes = 0;
    forLanes(x.mask, [&](unsigned l) { lanes |= static_cast<uint32_t>(pending.taken[l] == bytes) << l; });
    forAreasOf(x, copy.source, lanes, from, bytes, false, [&](const Reach &reach) {
      checkRead(x, copy.source, reach, bytes);
      forLanes(reach.mask, [&](unsigned l) {
        pending.source[l] = reach.area->data + reach.offset[l];
        std::memcpy(pending.data[l], pending.source[l], bytes);
      });
    });
  }
  if (x.running->over) return;
  forAreasOf(x, i, x.mask, to, i.size, true, [&](const Reach &reach) {
    checkCopy(x, i, reach, i.size);
    forLanes(reach.mask, [&](unsigned l) { pending.offset[l] = static_cast<uint32_t>(reach.offset[l]); });
  });
  if (!x.running->over) x.warp->copies.push_back(pending);
}

// The copies of `lanes` take effect.
void endCopy(Exec &x, PendingCopy &copy, uint32_t lanes) {
  for (uint32_t m = lanes; m; m &= m - 1) {
    const unsigned l = static_cast<unsigned>(__builtin_ctz(m));
    if (copy.taken[l] && std::memcmp(copy.data[l], copy.source[l], copy.taken[l]) != 0) {
      Trouble trouble;
      trouble.kind = Kind::InFlight;
      trouble.pc = copy.pc;
      trouble.lane = l;
      trouble.space = Space::Shared;
      trouble.address = x.running->shared.begin + copy.offset[l];
      trouble.size = copy.bytes;
      trouble.detail = "the source was written to before the thread waited for the copy";
      report(x, trouble);
      std::memcpy(copy.data[l], copy.source[l], copy.taken[l]);
    }
    finishCopy(x, copy, l);
  }
  copy.mask &= ~lanes;
}

void commitGroup(Exec &x, const Inst &) {
  forLanes(x.mask, [&](unsigned l) { x.warp->copyGroups[l]++; });
}

// Waits until at most i.imm of the groups committed are in flight; negative: for all copies, committed or not.
void waitForCopies(Exec &x, const Inst &i) {
  std::vector<PendingCopy> &copies = x.warp->copies;
  if (copies.empty()) return;
  for (PendingCopy &copy : copies) {
    uint32_t lanes = 0;
    forLanes(x.mask & copy.mask, [&](unsigned l) {
      const bool covered = i.imm < 0 || static_cast<int64_t>(copy.group[l]) + i.imm < static_cast<int64_t>(x.warp->copyGroups[l]);
      lanes |= static_cast<uint32_t>(covered) << l;
    });
    endCopy(x, copy, lanes);
  }
  copies.erase(std::remove_if(copies.begin(), copies.end(), [](const PendingCopy &copy) { return copy.mask == 0; }), copies.end());
}

// ------------------------------------------------------------------------------------------------------------ decoding

void decodeCopy(Decoder &d) {
  const bool all = d.take("ca");
  if (!all && !d.take("cg")) d.fail("needs .ca or .cg");
  if (!d.take("shared") && !d.take("shared::cta")) d.fail("copies to shared memory");
  if (!d.take("global")) d.fail("copies from global memory");
  d.takeOne({"L2::64B", "L2::128B", "L2::256B"});
  d.finish();
  d.wantOperands(3, 4);
  const std::vector<Operand> &operands = d.statement.operands;
  AsyncCopy copy;
  d.inst.space = Space::Global;
  memoryOperand(d, operands[1]);
  copy.source = d.inst;
  d.inst.flags = 0;
  d.inst.space = Space::Shared;
  memoryOperand(d, operands[0]);
  const uint32_t bytes = d.literal(2, 16);
  if (bytes != 16 && (!all || (bytes != 4 && bytes != 8))) d.fail(all ? "copies 4, 8 or 16 bytes" : "copies 16 bytes");
  if (operands.size() == 4) {
    // A predicate: the source is ignored; a number: bytes of the source, before zeros.
    const Variable *variable = operands[3].kind == Operand::Name ? d.variable(operands[3].name) : nullptr;
    if (variable != nullptr && variable->kind == Variable::Register && variable->type == Type::Pred) {
      copy.ignored = d.predicate(operands[3], copy.ignoredFlip);
    } else {
      copy.sourceBytes = d.source(3, Type::U32);
    }
  }
  Program &program = d.builder.program();
  d.inst.side = static_cast<uint32_t>(program.asyncCopies.size());
  program.asyncCopies.push_back(copy);
  d.inst.size = static_cast<uint8_t>(bytes);
  d.inst.run = beginCopy;
}

void decodeAsync(Decoder &d) {
  if (!d.take("async")) d.fail("needs .async");
  d.wantTarget(80);
  if (d.take("commit_group")) {
    d.finish();
    d.wantOperands(0);
    d.inst.run = commitGroup;
  } else if (d.take("wait_group")) {
    d.finish();
    d.wantOperands(1);
    d.inst.imm = d.literal(0, INT32_MAX);
    d.inst.run = waitForCopies;
  } else if (d.take("wait_all")) {
    d.finish();
    d.wantOperands(0);
    d.inst.imm = -1;
    d.inst.run = waitForCopies;
  } else {
    decodeCopy(d);
  }
}

}  // namespace

std::vector<OpcodeEntry> asyncOpcodes() { return {{"cp", decodeAsync}}; }

}  // namespace ptx
