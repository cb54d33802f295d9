#include "access.h"

#include <algorithm>

namespace ptx {
namespace {

constexpr uint64_t kOnes = 0x0101010101010101ull;

// Whether n shadow bytes all have the bits of `bit`.
inline bool allHave(const uint8_t *shadow, unsigned n) {
  while (n >= 8) {
    uint64_t v;
    std::memcpy(&v, shadow, 8);
    if ((v & kOnes) != kOnes) return false;
    shadow += 8;
    n -= 8;
  }
  while (n--)
    if (!(*shadow++ & kWritten)) return false;
  return true;
}
// All that the shadow says of any of n bytes.
inline uint8_t anyOf(const uint8_t *shadow, unsigned n) {
  uint8_t all = 0;
  while (n--) all |= *shadow++;
  return all;
}
inline void markWritten(uint8_t *shadow, unsigned n) {
  while (n >= 8) {
    uint64_t v;
    std::memcpy(&v, shadow, 8);
    v |= kOnes;
    std::memcpy(shadow, &v, 8);
    shadow += 8;
    n -= 8;
  }
  while (n--) *shadow++ |= kWritten;
}

void setBits(std::vector<uint64_t> &words, uint64_t offset, uint64_t bytes) {
  uint64_t first = offset / 4;
  const uint64_t last = (offset + bytes - 1) / 4;
  while (first <= last) {
    const uint64_t in = std::min(63 - first % 64, last - first) + 1;
    const uint64_t mask = in == 64 ? UINT64_MAX : ((1ull << in) - 1) << first % 64;
    words[first / 64] |= mask;
    first += in;
  }
}

Area *findGlobal(Running &running, uint64_t address, Fault &fault) {
  auto at = running.areas->upper_bound(address);  // keyed by end
  if (at != running.areas->end() && at->second.begin <= address && at->second.usedIn == running.serialNumber)
    return &at->second;
  Region region;
  fault = running.memory->resolve(address, region);
  if (fault != Fault::None) return nullptr;
  if (region.begin > address || region.end <= address || region.data == nullptr) {
    fault = Fault::OutOfBounds;
    return nullptr;
  }
  // Forget what an earlier allocation left here.
  auto old = running.areas->upper_bound(region.begin);
  bool same = false;
  while (old != running.areas->end() && old->second.begin < region.end) {
    if (old->second.begin == region.begin && old->second.end == region.end) {
      same = true;
      break;
    }
    old = running.areas->erase(old);
  }
  Area &area = (*running.areas)[region.end];
  static_cast<Region &>(area) = region;
  area.space = Space::Global;
  if (!same) area.ownCells.reset();
  if (running.launch->checks.globalRaces && region.writable) {
    if (area.ownCells == nullptr) area.ownCells = std::make_unique<Cells>(region.end - region.begin);
    area.cells = area.ownCells.get();
  } else {
    area.cells = nullptr;
  }
  const uint64_t words = running.launch->checks.footprint ? ((region.end - region.begin + 3) / 4 + 63) / 64 : 0;
  area.readWords.assign(words, 0);
  area.writtenWords.assign(words, 0);
  area.usedIn = running.serialNumber;
  return &area;
}

// Of the instruction that runs. The Inst that describes an access need not be it: a cp.async has two.
uint32_t runningPc(const Exec &x) { return x.pc - 1; }

void fault(Exec &x, unsigned lane, Space space, uint64_t address, unsigned bytes, Kind kind,
           const std::string &detail) {
  Trouble trouble;
  trouble.kind = kind;
  trouble.pc = runningPc(x);
  trouble.lane = lane;
  trouble.space = space;
  trouble.address = address;
  trouble.size = bytes;
  trouble.detail = detail;
  report(x, trouble);
}

void race(Exec &x, const Reach &reach, unsigned lane, unsigned bytes, uint64_t other, bool wasWrite) {
  Running &running = *x.running;
  const Clock &clock = reach.area->space == Space::Shared ? running.sharedClock : running.clock;
  Trouble trouble;
  trouble.kind = reach.area->space == Space::Shared ? Kind::SharedRace : Kind::GlobalRace;
  trouble.pc = runningPc(x);
  trouble.lane = lane;
  trouble.space = reach.area->space;
  trouble.address = reach.area->begin + reach.offset[lane];
  trouble.size = bytes;
  const uint32_t instruction = static_cast<uint32_t>(other & kInstructionMask);
  if (instruction != kInstructionMask) {
    for (uint32_t f : running.kernel->reachable) {
      const Function &function = running.program->functions[f];
      const uint32_t base = running.numberBase[f];
      if (instruction >= base && instruction - base < function.end - function.begin)
        trouble.otherPc = function.begin + instruction - base;
    }
  }
  const uint32_t serial = static_cast<uint32_t>(other >> kSerialShift);
  uint32_t block = serial >= clock.blockFirst ? running.block.linear : running.clock.blockOf(serial);
  const Dim3 grid = running.launch->grid;
  trouble.hasOther = block != UINT32_MAX;
  if (trouble.hasOther) {
    trouble.otherBlock = {block % grid.x, block / grid.x % grid.y, block / grid.x / grid.y};
    trouble.otherThread = threadOf(running, static_cast<uint32_t>((other & kThreadMask) >> kThreadShift));
  }
  trouble.detail = wasWrite ? "written" : "read";
  report(x, trouble);
}

// A flag or ticket in global memory that threads of several blocks touch: whoever has executed a fence releases through
// it all that its block did so far, and everybody acquires what others released. Blocks count as a whole.
void synchronise(Running &running, uint64_t address, bool writes) {
  std::vector<uint32_t> &released = running.released[address];
  std::vector<uint32_t> &acquired = running.clock.acquired;
  const size_t blocks = std::max<size_t>({released.size(), acquired.size(), running.block.linear + size_t{1}});
  released.resize(blocks);
  acquired.resize(blocks);
  for (size_t b = 0; b < blocks; b++) acquired[b] = std::max(released[b], acquired[b]);
  acquired[running.block.linear] = running.clock.now;
  if (writes && running.block.fenced) released = acquired;
}

inline uint64_t packed(Exec &x, const Clock &clock, unsigned lane, bool strong) {
  const Function &function = *x.frame->function;
  return packAccess(clock.now, x.warp->index * kLanes + lane, x.warp->syncs, strong,
                    x.running->numberBase[function.index] + runningPc(x) - function.begin);
}

// An access to bytes that a cp.async is writing. Nothing else about it is looked at.
void meetCopy(Exec &x, const Reach &reach, unsigned bytes, bool write) {
  Running &running = *x.running;
  unsigned lane = 0;
  for (uint32_t m = reach.mask; m; m &= m - 1) {
    lane = static_cast<unsigned>(__builtin_ctz(m));
    if (anyOf(reach.area->shadow + reach.offset[lane], bytes) & kInFlight) break;
  }
  Trouble trouble;
  trouble.kind = Kind::InFlight;
  trouble.pc = runningPc(x);
  trouble.lane = lane;
  trouble.space = Space::Shared;
  trouble.address = reach.area->begin + reach.offset[lane];
  trouble.size = bytes;
  trouble.detail = write ? "written before the thread that copies to it has waited for the copy"
                         : "read before the thread that copies to it has waited for the copy";
  for (const Warp &warp : *running.warps)
    for (const PendingCopy &copy : warp.copies)
      forLanes(copy.mask, [&](unsigned l) {
        if (trouble.hasOther || copy.offset[l] >= reach.offset[lane] + bytes || reach.offset[lane] >= copy.offset[l] + copy.bytes) return;
        trouble.otherPc = copy.pc;
        trouble.hasOther = true;
        trouble.otherBlock = running.block.index;
        trouble.otherThread = threadOf(running, warp.index * kLanes + l);
      });
  report(x, trouble);
}

template <class F>
inline void forCells(Cells &cells, uint64_t offset, unsigned bytes, F f) {
  if (offset % 4 == 0 && bytes % 4 == 0) {
    for (unsigned k = 0; k < bytes; k += 4) {
      Cell *cell = cells.words(offset + k);
      if (cell != nullptr) {
        f(*cell, k, 4u);
      } else {
        for (unsigned b = 0; b < 4; b++) f(*cells.bytes(offset + k + b), k + b, 1u);
      }
    }
  } else {
    for (unsigned b = 0; b < bytes; b++) f(*cells.bytes(offset + b), b, 1u);
  }
}

}  // namespace

void addresses(Exec &x, const Inst &i, uint64_t *address) {
  const uint64_t offset = static_cast<uint64_t>(i.imm) + (i.flags & kFrameAddress ? x.frame->localBase : 0);
  if (i.flags & kWideAddress) {
    const uint64_t *base = x.lanes<uint64_t>(i.o[0]);
    for (unsigned l = 0; l < kLanes; l++) address[l] = base[l] + offset;
  } else {
    const uint32_t *base = x.lanes<uint32_t>(i.o[0]);
    for (unsigned l = 0; l < kLanes; l++) address[l] = static_cast<uint64_t>(base[l]) + offset;
  }
}

bool resolve(Exec &x, const Inst &i, uint32_t mask, const uint64_t *address, unsigned bytes, bool write, Reach &reach) {
  Running &running = *x.running;
  reach.inFlight = false;
  const unsigned first = static_cast<unsigned>(__builtin_ctz(mask));
  const bool single = (mask & (mask - 1)) == 0;
  uint64_t low = UINT64_MAX, high = 0, all = 0;
  bool contiguous = mask == UINT32_MAX;
  if (contiguous) {
    uint64_t apart = 0;
    const uint64_t start = address[0];
    for (unsigned l = 0; l < kLanes; l++) apart |= address[l] ^ (start + l * bytes);
    contiguous = apart == 0;
    if (contiguous) {
      low = start;
      high = start + (kLanes - 1) * bytes;
      all = start;
      if (high < low) contiguous = false;
    }
  }
  if (!contiguous) {
    low = UINT64_MAX;
    high = 0;
    all = 0;
    forLanes(mask, [&](unsigned l) {
      low = std::min(low, address[l]);
      high = std::max(high, address[l]);
      all |= address[l];
    });
  }
  if (all & (bytes - 1)) {
    if (!single) return false;
    fault(x, first, i.space, address[first], bytes, Kind::Misaligned, "");
    return false;
  }

  Space space = i.space;
  uint64_t window = 0;
  if (space == Space::Generic) {
    const uint64_t above = low >> 32 << 32;
    if (above == kSharedWindow || above == kLocalWindow || above == kParamWindow) {
      if (high >> 32 << 32 != above) {
        if (!single) return false;
      } else {
        space = above == kSharedWindow ? Space::Shared : above == kLocalWindow ? Space::Local : Space::Param;
        window = above;
      }
    } else {
      space = Space::Global;
    }
  }

  Area *area = nullptr;
  switch (space) {
    case Space::Global:
    case Space::Const: {
      Area *&cached = running.cache[i.side];
      area = cached;
      if (area == nullptr || low < area->begin || high >= area->end) {
        Fault why = Fault::None;
        area = findGlobal(running, low, why);
        if (area == nullptr) {
          if (!single) return false;
          fault(x, first, i.space, low, bytes, why == Fault::UseAfterFree ? Kind::UseAfterFree : Kind::OutOfBounds,
                running.memory->describe(low));
          return false;
        }
        cached = area;
      }
      if (area->end - high < bytes || high >= area->end) {
        if (!single) return false;
        fault(x, first, i.space, low, bytes, Kind::OutOfBounds, running.memory->describe(low));
        return false;
      }
      break;
    }
    case Space::Shared: area = &running.shared; break;
    case Space::Param: area = &running.params; break;
    default: area = &x.warp->local; break;
  }
  if (space == Space::Shared || space == Space::Param) {
    if (low - window < area->begin || high - window >= area->end || area->end - (high - window) < bytes) {
      if (!single) return false;
      fault(x, first, space, low, bytes, Kind::OutOfBounds, "");
      return false;
    }
  } else if (space == Space::Local) {
    const uint64_t stride = running.localBytes;
    if (high - window >= stride || stride - (high - window) < bytes) {
      if (!single) return false;
      fault(x, first, space, low, bytes, Kind::OutOfBounds, "");
      return false;
    }
    contiguous = false;
    reach.area = area;
    reach.mask = mask;
    reach.contiguous = false;
    forLanes(mask, [&](unsigned l) { reach.offset[l] = address[l] - window + l * stride; });
  }
  if (write && !area->writable) {
    fault(x, first, i.space, low, bytes, Kind::ReadOnly,
          space == Space::Param ? "" : running.memory->describe(low));
    return false;
  }
  if (space != Space::Local) {
    reach.area = area;
    reach.mask = mask;
    reach.contiguous = contiguous;
    const uint64_t begin = area->begin + window;
    for (unsigned l = 0; l < kLanes; l++) reach.offset[l] = address[l] - begin;
  }
  if (area->guarded) {
    uint8_t any = 0;
    forLanes(mask, [&](unsigned l) { any |= anyOf(area->shadow + reach.offset[l], bytes); });
    reach.inFlight = any & kInFlight;
    if (any & kGuard) {
      if (!single) return false;
      fault(x, first, space, low, bytes, Kind::OutOfBounds, "");
      return false;
    }
  }
  return true;
}

void checkRead(Exec &x, const Inst &i, const Reach &reach, unsigned bytes, Readers readers) {
  Running &running = *x.running;
  Area &area = *reach.area;
  const bool global = area.space == Space::Global;
  const unsigned lanes = static_cast<unsigned>(__builtin_popcount(reach.mask));
  if (reach.inFlight) {
    meetCopy(x, reach, bytes, false);
    return;
  }
  if (area.shadow != nullptr && running.launch->checks.uninitialisedMemory) {
    if (reach.contiguous) {
      if (!allHave(area.shadow + reach.offset[0], bytes * kLanes)) {
        forLanes(reach.mask, [&](unsigned l) {
          if (!allHave(area.shadow + reach.offset[l], bytes))
            fault(x, l, area.space, area.begin + reach.offset[l], bytes, Kind::UninitialisedMemory,
                  global ? running.memory->describe(area.begin + reach.offset[l]) : "");
        });
      }
    } else {
      for (uint32_t mask = reach.mask; mask; mask &= mask - 1) {
        const unsigned l = static_cast<unsigned>(__builtin_ctz(mask));
        if (!allHave(area.shadow + reach.offset[l], bytes)) {
          const uint64_t address = area.space == Space::Local ? reach.offset[l] - l * running.localBytes
                                                              : area.begin + reach.offset[l];
          fault(x, l, area.space, address, bytes, Kind::UninitialisedMemory,
                global ? running.memory->describe(address) : "");
        }
      }
    }
  }
  if (area.cells != nullptr) {
    const Clock &clock = area.space == Space::Shared ? running.sharedClock : running.clock;
    const bool strong = i.flags & kStrong;
    if (strong && running.fences && global)
      forLanes(reach.mask, [&](unsigned l) { synchronise(running, area.begin + reach.offset[l], false); });
    uint64_t me = packed(x, clock, 0, strong);
    for (uint32_t mask = reach.mask; mask; mask &= mask - 1) {
      const unsigned l = static_cast<unsigned>(__builtin_ctz(mask));
      const uint64_t mine = me + (static_cast<uint64_t>(l) << kThreadShift);
      forCells(*area.cells, reach.offset[l], bytes, [&](Cell &cell, unsigned, unsigned) {
        uint64_t collision = noteRead(clock, cell, mine);
        // Two lanes stand for a warp: no third one is ordered with both.
        if (readers == Readers::Warp && !collision) collision = noteRead(clock, cell, mine ^ 1ull << kThreadShift);
        if (collision) race(x, reach, l, bytes, collision, true);
      });
    }
  }
  if (global) {
    running.result->globalBytesRead += static_cast<uint64_t>(bytes) * lanes;
    if (!area.readWords.empty()) {
      if (reach.contiguous) {
        setBits(area.readWords, reach.offset[0], static_cast<uint64_t>(bytes) * kLanes);
      } else {
        for (uint32_t mask = reach.mask; mask; mask &= mask - 1)
          setBits(area.readWords, reach.offset[__builtin_ctz(mask)], bytes);
      }
    }
  }
}

bool checkWrite(Exec &x, const Inst &i, const Reach &reach, unsigned bytes, const uint8_t *data, unsigned stride) {
  Running &running = *x.running;
  Area &area = *reach.area;
  if (reach.inFlight) meetCopy(x, reach, bytes, true);
  if (area.cells != nullptr && !reach.inFlight) {
    const Clock &clock = area.space == Space::Shared ? running.sharedClock : running.clock;
    const bool strong = i.flags & kStrong;
    if (i.flags & kFenced) running.block.fenced = true;
    if (strong && running.fences && area.space == Space::Global)
      forLanes(reach.mask, [&](unsigned l) { synchronise(running, area.begin + reach.offset[l], true); });
    const uint64_t me = packed(x, clock, 0, strong);
    for (uint32_t mask = reach.mask; mask; mask &= mask - 1) {
      const unsigned l = static_cast<unsigned>(__builtin_ctz(mask));
      const uint64_t mine = me + (static_cast<uint64_t>(l) << kThreadShift);
      const uint8_t *old = area.data + reach.offset[l], *fresh = data + l * stride;
      forCells(*area.cells, reach.offset[l], bytes, [&](Cell &cell, unsigned k, unsigned n) {
        // Comparing values costs more than it tells where nobody wrote here before.
        const bool change = cell.writer >> kSerialShift < clock.launchFirst || std::memcmp(old + k, fresh + k, n) != 0;
        const uint64_t before = cell.writer;
        const uint64_t collision = noteWrite(clock, cell, mine, change);
        if (collision) race(x, reach, l, bytes, collision, collision == before);
      });
      // Other lanes of this very instruction see this lane's value.
      if (bytes == 4) {
        std::memcpy(area.data + reach.offset[l], fresh, 4);
      } else {
        std::memcpy(area.data + reach.offset[l], fresh, bytes);
      }
    }
  } else {
    for (uint32_t mask = reach.mask; mask; mask &= mask - 1) {
      const unsigned l = static_cast<unsigned>(__builtin_ctz(mask));
      std::memcpy(area.data + reach.offset[l], data + l * stride, bytes);
    }
  }
  if (area.shadow != nullptr) {
    if (reach.contiguous) {
      markWritten(area.shadow + reach.offset[0], bytes * kLanes);
    } else {
      for (uint32_t mask = reach.mask; mask; mask &= mask - 1)
        markWritten(area.shadow + reach.offset[__builtin_ctz(mask)], bytes);
    }
  }
  if (area.space == Space::Global) {
    running.result->globalBytesWritten += static_cast<uint64_t>(bytes) * static_cast<unsigned>(__builtin_popcount(reach.mask));
    if (!area.writtenWords.empty()) {
      if (reach.contiguous) {
        setBits(area.writtenWords, reach.offset[0], static_cast<uint64_t>(bytes) * kLanes);
      } else {
        for (uint32_t mask = reach.mask; mask; mask &= mask - 1)
          setBits(area.writtenWords, reach.offset[__builtin_ctz(mask)], bytes);
      }
    }
  }
  return !running.over;
}

bool checkAtomic(Exec &x, const Inst &, const Reach &reach, unsigned lane, unsigned bytes) {
  Running &running = *x.running;
  Area &area = *reach.area;
  const uint64_t offset = reach.offset[lane];
  running.result->atomics++;
  if (reach.inFlight) {
    meetCopy(x, reach, bytes, true);
    return !running.over;
  }
  if (area.shadow != nullptr && running.launch->checks.uninitialisedMemory && !allHave(area.shadow + offset, bytes))
    fault(x, lane, area.space, area.begin + offset, bytes, Kind::UninitialisedMemory,
          area.space == Space::Global ? running.memory->describe(area.begin + offset) : "");
  if (area.cells != nullptr) {
    if (running.fences && area.space == Space::Global) synchronise(running, area.begin + offset, true);
    const Clock &clock = area.space == Space::Shared ? running.sharedClock : running.clock;
    const uint64_t mine = packed(x, clock, lane, true);
    forCells(*area.cells, offset, bytes, [&](Cell &cell, unsigned, unsigned) {
      const uint64_t before = cell.writer;
      const uint64_t collision = noteWrite(clock, cell, mine, true);
      if (collision) race(x, reach, lane, bytes, collision, collision == before);
    });
  }
  if (area.space == Space::Global) {
    if (!area.readWords.empty()) {
      setBits(area.readWords, offset, bytes);
      setBits(area.writtenWords, offset, bytes);
    }
  }
  if (area.shadow != nullptr) markWritten(area.shadow + offset, bytes);
  return !running.over;
}

void checkCopy(Exec &x, const Inst &, const Reach &reach, unsigned bytes) {
  Running &running = *x.running;
  Area &area = *reach.area;
  if (reach.inFlight) meetCopy(x, reach, bytes, true);
  for (uint32_t mask = reach.mask; mask; mask &= mask - 1) {
    const unsigned l = static_cast<unsigned>(__builtin_ctz(mask));
    if (area.cells != nullptr && !reach.inFlight) {
      const uint64_t mine = packed(x, running.sharedClock, l, false);
      forCells(*area.cells, reach.offset[l], bytes, [&](Cell &cell, unsigned, unsigned) {
        const uint64_t before = cell.writer;
        const uint64_t collision = noteWrite(running.sharedClock, cell, mine, true);
        if (collision) race(x, reach, l, bytes, collision, collision == before);
      });
    }
    uint8_t *shadow = area.shadow + reach.offset[l];
    // Two lanes that copy to one place meet each other here.
    if (!reach.inFlight && (anyOf(shadow, bytes) & kInFlight)) {
      Reach one = reach;
      one.mask = 1u << l;
      meetCopy(x, one, bytes, true);
    }
    for (unsigned b = 0; b < bytes; b++) shadow[b] |= kInFlight;
  }
}

void finishCopy(Exec &x, const PendingCopy &copy, unsigned lane) {
  Running &running = *x.running;
  Area &area = running.shared;
  const uint32_t offset = copy.offset[lane];
  std::memcpy(area.data + offset, copy.data[lane], copy.bytes);
  for (unsigned b = 0; b < copy.bytes; b++) area.shadow[offset + b] = (area.shadow[offset + b] & ~kInFlight) | kWritten;
  if (area.cells == nullptr) return;
  // Whatever collides with it has done so when the copy began, or while it was in flight.
  const uint64_t mine = packAccess(running.sharedClock.now, x.warp->index * kLanes + lane, x.warp->syncs, false, copy.instruction);
  forCells(*area.cells, offset, copy.bytes, [&](Cell &cell, unsigned, unsigned) { cell.writer = mine; });
}

}  // namespace ptx
