// How a warp's lanes run: together where they are at the same place, the rearmost first, so that they meet again.
#include <algorithm>

#include "machine.h"

namespace ptx {

Dim3 Exec::thread(uint32_t lane) const { return threadOf(*running, warp->index * kLanes + lane); }

void splitOff(Exec &x, uint32_t lanes, uint32_t pc, Frame *frame, Waiting waiting) {
  Warp &warp = *x.warp;
  x.groupMask &= ~lanes;
  x.stop = 0;
  // At most 32 groups, each with a lane of its own: the running one's entry is free once it has none left.
  if (x.groupMask == 0 && warp.groupCount == kLanes) {
    Group &last = warp.groups[kLanes - 1];
    if (x.group != kLanes - 1) warp.groups[x.group] = last;
    warp.groupCount--;
    x.group = kNone;
  }
  Group &group = warp.groups[warp.groupCount++];
  group = Group();
  group.pc = pc;
  group.mask = lanes;
  group.frame = frame;
  group.waiting = waiting;
}

bool wholeWarp(Exec &x) {
  if (x.mask == UINT32_MAX) return true;
  Warp &warp = *x.warp;
  if (warp.live == UINT32_MAX) {
    splitOff(x, x.mask, x.pc - 1, x.frame, Waiting::Lanes);
    warp.groups[warp.groupCount - 1].wanted = UINT32_MAX;
    return false;
  }
  const unsigned missing = static_cast<unsigned>(__builtin_ctz(~warp.live));
  Trouble trouble;
  trouble.kind = Kind::WarpDivergence;
  trouble.pc = x.pc - 1;
  trouble.lane = static_cast<unsigned>(__builtin_ctz(x.mask));
  trouble.detail = "all 32 lanes of the warp have to execute this together, and lane " + std::to_string(missing) +
                   (warp.start >> missing & 1 ? " has exited" : " is beyond the block's last thread");
  report(x, trouble);
  return false;
}

void exitLanes(Exec &x) {
  Warp &warp = *x.warp;
  const uint32_t lanes = x.mask;
  warp.live &= ~lanes;
  x.groupMask &= ~lanes;
  x.stop = 0;
  x.running->block.liveThreads -= static_cast<uint32_t>(__builtin_popcount(lanes));
  // Those who waited for these lanes look again.
  for (uint32_t g = 0; g < warp.groupCount; g++)
    if (warp.groups[g].waiting == Waiting::Lanes || warp.groups[g].waiting == Waiting::Aligned)
      warp.groups[g].waiting = Waiting::No;
  releaseBarriers(*x.running);
}

void releaseBarriers(Running &running) {
  for (unsigned id = 0; id < 16; id++) {
    Barrier &barrier = running.block.barriers[id];
    if (barrier.arrived == 0) continue;
    if (barrier.counted ? barrier.arrived < barrier.expected : barrier.arrived < running.block.liveThreads) continue;
    for (Warp &warp : *running.warps) {
      for (uint32_t g = 0; g < warp.groupCount; g++) {
        Group &group = warp.groups[g];
        if (group.waiting != Waiting::Barrier || group.barrier != id) continue;
        finishBarrier(running.program->code[group.pc], group, barrier);
        group.waiting = Waiting::No;
        group.pc++;
      }
    }
    barrier = Barrier();
    running.result->barriers++;
    running.tick();
  }
}

namespace {

// Joins groups at the same place. One that has just come wakes those that wait for more lanes there.
void join(Warp &warp) {
  for (uint32_t a = 0; a < warp.groupCount; a++) {
    for (uint32_t b = a + 1; b < warp.groupCount;) {
      Group &u = warp.groups[a], &v = warp.groups[b];
      if (u.pc == v.pc && u.frame == v.frame && u.waiting != Waiting::Barrier && v.waiting != Waiting::Barrier &&
          (u.waiting == Waiting::No || v.waiting == Waiting::No)) {
        u.mask |= v.mask;
        u.waiting = Waiting::No;
        v = warp.groups[--warp.groupCount];
        b = a + 1;
      } else {
        b++;
      }
    }
  }
}

}  // namespace

void runWarp(Running &running, Warp &warp, uint64_t budget) {
  const Inst *code = running.program->code.data();
  LaunchResult &result = *running.result;
  Exec x;
  x.warp = &warp;
  x.running = &running;
  uint64_t left = budget;
  while (left > 0 && !running.over) {
    if (warp.groupCount > 1) join(warp);
    // The deepest call first, then the rearmost instruction; now and then the foremost, so that lanes which wait for
    // others of their warp to change memory don't keep them from it.
    uint32_t pick = kNone, ready = 0;
    const bool turn = warp.bypassed > 20000;
    for (uint32_t g = 0; g < warp.groupCount; g++) {
      const Group &group = warp.groups[g];
      if (group.waiting != Waiting::No) continue;
      ready++;
      if (pick == kNone) {
        pick = g;
        continue;
      }
      const Group &best = warp.groups[pick];
      const bool before = group.frame->depth != best.frame->depth ? group.frame->depth > best.frame->depth : group.pc < best.pc;
      if (before != turn) pick = g;
    }
    if (pick == kNone) return;
    if (turn) warp.bypassed = 0;
    Group &group = warp.groups[pick];
    x.group = pick;
    x.groupMask = group.mask;
    x.pc = group.pc;
    x.frame = group.frame;
    x.registers = group.frame->registers;
    x.stop = UINT32_MAX;
    for (uint32_t g = 0; g < warp.groupCount; g++) {
      const Group &other = warp.groups[g];
      if (g != pick && other.frame == group.frame && other.pc > group.pc && other.waiting != Waiting::Barrier)
        x.stop = std::min(x.stop, other.pc);
    }
    const uint64_t before = left;
    uint64_t threads = 0;
    if (turn) left = std::min<uint64_t>(left, 200);
    const uint64_t unused = before - left;
    do {
      const Inst &i = code[x.pc++];
      const uint32_t guard = *reinterpret_cast<const uint32_t *>(x.registers + i.guard) ^ i.guardFlip;
      const uint32_t mask = x.groupMask & guard;
      if (mask) {
        x.mask = mask;
        threads += static_cast<unsigned>(__builtin_popcount(mask));
        i.run(x, i);
      }
      left--;
    } while (x.pc < x.stop && left > 0);
    result.warpInstructions += before - unused - left;
    result.threadInstructions += threads;
    if (ready > 1) warp.bypassed += static_cast<uint32_t>(before - unused - left);
    left += unused;
    if (x.group == kNone) continue;
    if (x.groupMask == 0) {
      warp.groups[x.group] = warp.groups[warp.groupCount - 1];
      warp.groupCount--;
    } else {
      Group &done = warp.groups[x.group];
      done.mask = x.groupMask;
      done.pc = x.pc;
      done.frame = x.frame;
    }
  }
}

}  // namespace ptx
