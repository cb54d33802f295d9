// Instructions that work across a warp: shuffles, votes, match, redux, elect, and the barrier of a warp.
#include <algorithm>

#include "decode.h"
#include "lanewise.h"

namespace ptx {
namespace {

// Calls `f(lanes)` for each set of active lanes with one member mask that has all its lanes here. The others wait, as
// groups of their own, until the missing ones come or the scheduler finds that they can't.
template <class F>
void withMembers(Exec &x, const Inst &i, uint32_t maskOffset, F f) {
  const uint32_t *members = x.lanes<uint32_t>(maskOffset);
  uint32_t left = x.mask;
  while (left) {
    const unsigned lane = static_cast<unsigned>(__builtin_ctz(left));
    const uint32_t wanted = members[lane];
    uint32_t part = 0;
    for (uint32_t m = left; m; m &= m - 1) {
      const unsigned l = static_cast<unsigned>(__builtin_ctz(m));
      if (members[l] == wanted) part |= 1u << l;
    }
    left &= ~part;
    if (part & ~wanted) {
      Trouble trouble;
      trouble.kind = Kind::WarpDivergence;
      trouble.pc = static_cast<uint32_t>(&i - x.running->program->code.data());
      trouble.lane = static_cast<unsigned>(__builtin_ctz(part & ~wanted));
      trouble.detail = "the member mask lacks the thread itself";
      report(x, trouble);
      return;
    }
    if (part == (wanted & x.warp->live)) {
      f(part, wanted);
    } else {
      splitOff(x, part, x.pc - 1, x.frame, Waiting::Lanes);
      x.warp->groups[x.warp->groupCount - 1].wanted = wanted;
    }
  }
}

// o: result, predicate result, a, b, c, member mask. mode: up, down, bfly, idx.
enum : uint8_t { kUp, kDown, kButterfly, kIndex };
void shuffle(Exec &x, const Inst &i) {
  uint32_t *d = x.lanes<uint32_t>(i.o[0]);
  const uint32_t *a = x.lanes<uint32_t>(i.o[2]), *b = x.lanes<uint32_t>(i.o[3]), *c = x.lanes<uint32_t>(i.o[4]);
  withMembers(x, i, i.o[5], [&](uint32_t part, uint32_t) {
    uint32_t values[kLanes];
    std::memcpy(values, a, sizeof values);
    uint32_t inRange = 0;
    for (uint32_t m = part; m; m &= m - 1) {
      const unsigned l = static_cast<unsigned>(__builtin_ctz(m));
      const uint32_t distance = b[l] & 31, clamp = c[l] & 31, segment = c[l] >> 8 & 31;
      const uint32_t highest = (l & segment) | (clamp & ~segment), lowest = l & segment;
      uint32_t from;
      bool ok;
      switch (i.mode) {
        case kUp:
          from = l - distance;
          ok = static_cast<int32_t>(from) >= static_cast<int32_t>(highest);
          break;
        case kDown:
          from = l + distance;
          ok = from <= highest;
          break;
        case kButterfly:
          from = l ^ distance;
          ok = from <= highest;
          break;
        default:
          from = lowest | (distance & ~segment);
          ok = from <= highest;
          break;
      }
      if (!ok) from = l;
      if (!(part >> from & 1)) {
        Trouble trouble;
        trouble.kind = Kind::WarpDivergence;
        trouble.pc = static_cast<uint32_t>(&i - x.running->program->code.data());
        trouble.lane = l;
        trouble.detail = "reads the register of lane " + std::to_string(from) +
                         (x.warp->live >> from & 1 ? ", which the member mask lacks" : ", which has exited");
        report(x, trouble);
        if (x.running->over) return;
      }
      d[l] = values[from & 31];
      inRange |= static_cast<uint32_t>(ok) << l;
    }
    if (i.flags) {
      uint32_t &p = x.predicate(i.o[1]);
      p = (p & ~part) | inRange;
    }
  });
}

// vote.sync. o: result, predicate, member mask. mode: all, any, uni, ballot.
enum : uint8_t { kAll, kAny, kUniform, kBallot };
void vote(Exec &x, const Inst &i) {
  withMembers(x, i, i.o[2], [&](uint32_t part, uint32_t) {
    const uint32_t p = (x.predicate(i.o[1]) ^ (i.flags ? UINT32_MAX : 0)) & part;
    if (i.mode == kBallot) {
      uint32_t *d = x.lanes<uint32_t>(i.o[0]);
      forLanes(part, [=](unsigned l) { d[l] = p; });
      return;
    }
    const bool result = i.mode == kAll ? p == part : i.mode == kAny ? p != 0 : p == 0 || p == part;
    uint32_t &d = x.predicate(i.o[0]);
    d = (d & ~part) | (result ? part : 0);
  });
}

void activeMask(Exec &x, const Inst &i) {
  uint32_t *d = x.lanes<uint32_t>(i.o[0]);
  const uint32_t mask = x.mask;
  forLanes(mask, [=](unsigned l) { d[l] = mask; });
}

// match.sync. o: result, predicate, value, member mask. mode 1: all.
template <class T>
void match(Exec &x, const Inst &i) {
  const T *a = x.lanes<T>(i.o[2]);
  uint32_t *d = x.lanes<uint32_t>(i.o[0]);
  withMembers(x, i, i.o[3], [&](uint32_t part, uint32_t) {
    T values[kLanes];
    std::memcpy(values, a, sizeof values);
    if (i.mode == 0) {
      forLanes(part, [&](unsigned l) {
        uint32_t same = 0;
        for (unsigned k = 0; k < kLanes; k++)
          if ((part >> k & 1) && values[k] == values[l]) same |= 1u << k;
        d[l] = same;
      });
      return;
    }
    bool all = true;
    const unsigned first = static_cast<unsigned>(__builtin_ctz(part));
    for (unsigned k = 0; k < kLanes; k++) all &= !(part >> k & 1) || values[k] == values[first];
    forLanes(part, [&](unsigned l) { d[l] = all ? part : 0; });
    if (i.flags) {
      uint32_t &p = x.predicate(i.o[1]);
      p = (p & ~part) | (all ? part : 0);
    }
  });
}

// redux.sync. o: result, value, member mask.
enum : uint8_t { kSum, kLeast, kGreatest, kConjunction, kDisjunction, kExclusive };
template <class T>
void redux(Exec &x, const Inst &i) {
  const T *a = x.lanes<T>(i.o[1]);
  T *d = x.lanes<T>(i.o[0]);
  withMembers(x, i, i.o[2], [&](uint32_t part, uint32_t) {
    T r = a[__builtin_ctz(part)];
    for (uint32_t m = part & (part - 1); m; m &= m - 1) {
      const T v = a[__builtin_ctz(m)];
      switch (i.mode) {
        case kSum: r = static_cast<T>(static_cast<uint32_t>(r) + static_cast<uint32_t>(v)); break;
        case kLeast: r = std::min(r, v); break;
        case kGreatest: r = std::max(r, v); break;
        case kConjunction: r &= v; break;
        case kDisjunction: r |= v; break;
        default: r ^= v; break;
      }
    }
    forLanes(part, [=](unsigned l) { d[l] = r; });
  });
}

// elect.sync d|p, mask: one lane, the lowest here, is the leader.
void elect(Exec &x, const Inst &i) {
  uint32_t *d = x.lanes<uint32_t>(i.o[0]);
  withMembers(x, i, i.o[2], [&](uint32_t part, uint32_t) {
    const unsigned leader = static_cast<unsigned>(__builtin_ctz(part));
    forLanes(part, [=](unsigned l) { d[l] = leader; });
    uint32_t &p = x.predicate(i.o[1]);
    p = (p & ~part) | 1u << leader;
  });
}

void syncWarp(Exec &x, const Inst &i) {
  withMembers(x, i, i.o[0], [&](uint32_t, uint32_t) {
    // The cells that watch for races keep five bits of this; a full turn counts as a barrier of the block.
    if (++x.warp->syncs % 32 == 0) x.running->tick();
  });
}

// ------------------------------------------------------------------------------------------------------------ decoding

// d|p: the first to o[0], the second to o[1]. True if there is a second.
bool pairOfResults(Decoder &d, Type type) {
  const Operand &result = d.statement.operands[0];
  Operand first = result;
  first.paired = false;
  d.inst.o[0] = d.destination(first, type, false);
  if (!result.paired) return false;
  d.inst.o[1] = d.destination(result.parts[0], Type::Pred, false);
  return true;
}

void wantSync(Decoder &d) {
  if (!d.take("sync")) d.fail("needs .sync");
}

void decodeShuffle(Decoder &d) {
  wantSync(d);
  const int mode = d.takeOne({"up", "down", "bfly", "idx"});
  if (mode < 0) d.fail("needs .up, .down, .bfly or .idx");
  if (d.takeType() != Type::B32) d.fail("is for .b32");
  d.finish();
  d.wantOperands(5);
  d.inst.mode = static_cast<uint8_t>(mode);
  for (size_t k = 1; k <= 4; k++) d.inst.o[1 + k] = d.source(k, Type::B32);
  d.inst.run = shuffle;
  d.inst.flags = pairOfResults(d, Type::B32);
}

void decodeVote(Decoder &d) {
  wantSync(d);
  const int mode = d.takeOne({"all", "any", "uni", "ballot"});
  if (mode < 0) d.fail("needs .all, .any, .uni or .ballot");
  const Type type = d.takeType();
  if (type != (mode == kBallot ? Type::B32 : Type::Pred)) d.fail(std::string("not for type .") + name(type));
  d.finish();
  d.wantOperands(3);
  uint32_t flip;
  d.inst.o[1] = d.predicate(d.statement.operands[1], flip);
  d.inst.flags = flip ? 1 : 0;
  d.inst.o[2] = d.source(2, Type::B32);
  d.inst.mode = static_cast<uint8_t>(mode);
  d.inst.run = vote;
  d.inst.o[0] = d.destination(0, type);
}

void decodeActiveMask(Decoder &d) {
  if (d.takeType() != Type::B32) d.fail("is for .b32");
  d.finish();
  d.wantOperands(1);
  d.inst.o[0] = d.destination(0, Type::B32);
  d.inst.run = activeMask;
}

void decodeMatch(Decoder &d) {
  const int mode = d.takeOne({"any", "all"});
  wantSync(d);
  const Type type = d.takeType();
  if (mode < 0 || (type != Type::B32 && type != Type::B64)) d.fail("needs .any or .all, .b32 or .b64");
  d.finish();
  d.wantOperands(3);
  d.inst.mode = static_cast<uint8_t>(mode);
  d.inst.o[2] = d.source(1, type);
  d.inst.o[3] = d.source(2, Type::B32);
  d.inst.run = type == Type::B32 ? match<uint32_t> : match<uint64_t>;
  d.inst.flags = pairOfResults(d, Type::B32);
  if (d.inst.flags && mode == 0) d.fail("only match.all has a predicate");
}

void decodeRedux(Decoder &d) {
  wantSync(d);
  const int mode = d.takeOne({"add", "min", "max", "and", "or", "xor"});
  const Type type = d.takeType();
  const bool logic = mode >= kConjunction;
  if (mode < 0 || (logic ? type != Type::B32 : type != Type::U32 && type != Type::S32))
    d.fail(std::string("not for type .") + name(type));
  d.finish();
  d.wantOperands(3);
  d.inst.mode = static_cast<uint8_t>(mode);
  d.inst.o[1] = d.source(1, type);
  d.inst.o[2] = d.source(2, Type::B32);
  d.inst.run = type == Type::S32 ? redux<int32_t> : redux<uint32_t>;
  d.inst.o[0] = d.destination(0, type);
}

void decodeElect(Decoder &d) {
  wantSync(d);
  d.finish();
  d.wantOperands(2);
  d.inst.o[2] = d.source(1, Type::B32);
  d.inst.run = elect;
  if (!pairOfResults(d, Type::B32)) d.fail("needs a result d|p");
}

}  // namespace

void decodeWarpBarrier(Decoder &d) {
  d.finish();
  d.wantOperands(1);
  d.inst.o[0] = d.source(0, Type::B32);
  d.inst.run = syncWarp;
  d.inst.flow = Flow::WarpBarrier;
}

std::vector<OpcodeEntry> warpOpcodes() {
  return {{"shfl", decodeShuffle}, {"vote", decodeVote}, {"activemask", decodeActiveMask}, {"match", decodeMatch},
          {"redux", decodeRedux}, {"elect", decodeElect}};
}

}  // namespace ptx
