// The running machine: lanes, warps, blocks and a launch, as the instructions' handlers see them.
#ifndef GPUTRAIN_SIM_PTX_MACHINE_H
#define GPUTRAIN_SIM_PTX_MACHINE_H

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "program.h"
#include "race.h"

namespace ptx {

// Where the shared, local and parameter spaces lie among generic addresses: far from any address of a device.
constexpr uint64_t kSharedWindow = 1ull << 56;
constexpr uint64_t kLocalWindow = 2ull << 56;
constexpr uint64_t kParamWindow = 3ull << 56;
constexpr uint64_t kWindowBytes = 1ull << 32;
// Shared variables start here, so that a null pointer is out of bounds in shared memory too.
constexpr uint32_t kSharedBase = 256;

// Shadow of shared and local memory.
enum : uint8_t { kUnwritten = 0, kWritten = 1, kGuard = 2, kInFlight = 4 };  // the last: cp.async is writing it

// Memory that a kernel can address, with all that is remembered about it.
struct Area : Region {
  Space space = Space::Global;
  bool guarded = false;            // shadow bytes may be kGuard
  Cells *cells = nullptr;          // null: no races looked for
  std::unique_ptr<Cells> ownCells;
  std::vector<uint64_t> readWords, writtenWords;  // footprint, a bit a word of four bytes; empty: not kept
  uint64_t usedIn = 0;             // the last launch that touched it
};

// A call in progress; the same calls in a row are the same Frame, so that lanes in one can run together.
struct Frame {
  Frame *parent = nullptr;
  uint32_t returnPc = 0;
  const Function *function = nullptr;
  uint8_t *registers = nullptr;
  uint32_t localBase = 0;
  uint32_t depth = 0;
  std::vector<std::unique_ptr<Frame>> children;
};

enum class Waiting : uint8_t { No, Lanes, Aligned, Barrier };

// Lanes of a warp that are at the same place.
struct Group {
  uint32_t pc = 0;
  uint32_t mask = 0;
  Frame *frame = nullptr;
  Waiting waiting = Waiting::No;
  uint8_t barrier = 0;
  uint32_t wanted = 0;  // lanes a .sync instruction waits for
};

// A cp.async that not all of its lanes have waited for.
struct PendingCopy {
  uint32_t pc = 0;
  uint32_t instruction = 0;        // its number among those of the launch
  uint32_t mask = 0;               // lanes whose copies are in flight
  uint8_t bytes = 0;               // of a lane's copy
  uint8_t taken[kLanes];           // of the source; the rest is zeros
  uint32_t group[kLanes];          // of the lane: how many it had committed before
  uint32_t offset[kLanes];         // in shared memory
  const uint8_t *source[kLanes];   // where `taken` is not 0
  uint8_t data[kLanes][16];        // as the source was when the copy began
};

struct Block;
struct Running;

struct Warp {
  uint32_t index = 0;
  uint32_t live = 0;                  // lanes that have not exited
  uint32_t start = 0;                 // lanes that exist
  uint8_t *file = nullptr;            // registers
  Group groups[kLanes];
  uint32_t groupCount = 0;
  uint32_t bypassed = 0;              // instructions run while other lanes were ready too
  uint32_t carry = 0;                 // the carry flag of add.cc and its like, a bit a lane
  uint32_t syncs = 0;                 // bar.warp.sync so far, for ordering lanes
  Frame root;
  Area local;                         // local memory of its lanes, one after another
  std::vector<std::vector<uint8_t>> saved;  // by lane: registers of functions under recursion
  std::vector<PendingCopy> copies;    // in the order in which they began
  uint32_t copyGroups[kLanes] = {};   // by lane: groups of copies committed so far
  bool ready() const {
    for (uint32_t i = 0; i < groupCount; i++)
      if (groups[i].waiting == Waiting::No) return true;
    return false;
  }
};

struct Barrier {
  uint32_t arrived = 0;     // threads
  uint32_t expected = 0;    // 0: all that have not exited
  uint32_t pc = kNone;      // of the first that waits
  uint32_t popc = 0;        // of a bar.red
  uint32_t contributed = 0;
  bool counted = false;
  Dim3 who;                 // its thread
};

struct Block {
  Dim3 index;
  uint32_t linear = 0;
  uint32_t liveThreads = 0;
  Barrier barriers[16];
  bool fenced = false;      // has executed a fence of gpu scope
};

struct Random {
  uint64_t state;
  uint64_t next() {
    uint64_t z = (state += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }
  uint32_t below(uint32_t n) { return static_cast<uint32_t>((next() >> 32) * n >> 32); }
};

// A launch in progress.
struct Running {
  const Program *program = nullptr;
  const Launch *launch = nullptr;
  Memory *memory = nullptr;
  LaunchResult *result = nullptr;
  const Function *kernel = nullptr;
  Random random{0};
  uint32_t threads = 0;               // of a block
  std::vector<Warp> *warps = nullptr;
  Block block;
  Area shared, params;
  std::map<uint64_t, Area> *areas = nullptr;   // global memory met so far, by end address
  std::vector<Area *> cache;          // by memory instruction, where it was last
  uint64_t serialNumber = 0;          // of the launch
  Clock clock, sharedClock;           // order accesses for the race checks; the latter forgets other blocks
  std::map<uint64_t, std::vector<uint32_t>> released;  // by atomic's address: what its releases cover, a serial a block
  bool fences = false;
  bool over = false;                  // a fatal finding ends the launch
  std::unordered_map<uint64_t, size_t> findingAt;
  std::vector<uint32_t> sharedOffset; // by shared variable
  uint32_t fileBytes = 0;
  std::vector<uint32_t> functionBase; // by function: where its registers begin in a warp's file
  std::vector<uint32_t> numberBase;   // by function: numbers its instructions among those of the launch
  uint32_t localBytes = 0;            // of a thread

  // All that the block did so far is ordered before what it does from now on.
  void tick() {
    clock.now++;
    sharedClock.now = clock.now;
  }
};

// What a handler works on.
struct Exec {
  uint8_t *registers = nullptr;
  uint32_t mask = 0;        // lanes that execute this instruction
  uint32_t groupMask = 0;   // lanes of the group, those that the guard holds back included
  uint32_t pc = 0;          // of the next instruction
  uint32_t stop = 0;        // leave the loop at pc >= stop
  uint32_t group = 0;       // index in the warp
  Frame *frame = nullptr;
  Warp *warp = nullptr;
  Running *running = nullptr;

  template <class T>
  T *lanes(uint32_t offset) {
    return reinterpret_cast<T *>(registers + offset);
  }
  uint32_t &predicate(uint32_t offset) { return *reinterpret_cast<uint32_t *>(registers + offset); }
  void writePredicate(uint32_t offset, uint32_t value) {
    uint32_t &p = predicate(offset);
    p = (p & ~mask) | (value & mask);
  }
  Dim3 thread(uint32_t lane) const;
};

template <class F>
inline void forLanes(uint32_t mask, F f) {
  if (mask == UINT32_MAX) {
#pragma GCC ivdep
    for (unsigned lane = 0; lane < kLanes; lane++) f(lane);
  } else {
    for (; mask; mask &= mask - 1) f(static_cast<unsigned>(__builtin_ctz(mask)));
  }
}

// ---------------------------------------------------------------------------------------------- reports (report.cpp)

struct Trouble {
  Kind kind = Kind::Trap;
  uint32_t pc = kNone;
  uint32_t lane = 0;
  Space space = Space::Generic;
  uint64_t address = 0;
  uint32_t size = 0;
  uint32_t otherPc = kNone;
  Dim3 otherBlock, otherThread;
  bool hasOther = false;      // otherBlock and otherThread are known
  std::string detail;
};

// Adds a finding; one that is fatal ends the launch with its status.
void report(Exec &x, const Trouble &trouble);
void report(Running &running, const Warp *warp, const Trouble &trouble);
Dim3 threadOf(const Running &running, uint32_t linear);
std::string describe(Space space);

// ---------------------------------------------------------------------------------------------- scheduling (warp.cpp)

// Splits off lanes from the running group: they continue at `pc` in `frame`, the rest with the next instruction.
void splitOff(Exec &x, uint32_t lanes, uint32_t pc, Frame *frame, Waiting waiting);
// Whether all 32 lanes of the warp execute this instruction together, as .sync.aligned wants. If not, those that are here
// wait for the others; where there are no others, or no more, that is a finding.
bool wholeWarp(Exec &x);
// The lanes of x.mask leave the kernel.
void exitLanes(Exec &x);
// Lets those at a barrier go if all it waits for have come.
void releaseBarriers(Running &running);
// Writes a barrier's reduction to the lanes that waited for it.
void finishBarrier(const Inst &i, const Group &group, const Barrier &barrier);
// Runs a warp for at most `budget` instructions, or until all its lanes wait or have exited.
void runWarp(Running &running, Warp &warp, uint64_t budget);

}  // namespace ptx

#endif
