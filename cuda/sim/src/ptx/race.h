// Data races within a launch: who touched a word last, and whether anything orders the next access after that.
//
// Blocks run one after another, so one clock serves them all: it ticks when a block starts and whenever a barrier lets
// its threads go on. An access carries the clock's value, its "serial": equal serials mean the same block with no barrier
// in between; smaller ones within the same block are ordered before; those of other blocks are not ordered at all,
// unless an atomic after a fence made them so. Within a warp, bar.warp.sync orders too. Named barriers that only part of
// a block waits at count as if all had: such a race may go unseen, none is invented.
#ifndef GPUTRAIN_SIM_PTX_RACE_H
#define GPUTRAIN_SIM_PTX_RACE_H

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

namespace ptx {

struct Clock {
  uint32_t now = 1;            // the running block's current serial
  uint32_t blockFirst = 1;     // its first one
  uint32_t launchFirst = 1;    // the launch's first one
  std::vector<std::pair<uint32_t, uint32_t>> blocks;  // first serial, linear block
  std::vector<uint32_t> acquired;  // by linear block: serials up to this are ordered before now; empty: none
  uint32_t blockOf(uint32_t serial) const;
};

// The last write and the last reads of a word or byte. 64 bits each, from the top:
// serial 32, thread 10, warp syncs 5, strong 1, many 2, blocks 1, instruction 13.
struct Cell {
  uint64_t writer = 0;
  uint64_t reader = 0;
};

constexpr unsigned kInstructionBits = 13;
constexpr uint64_t kInstructionMask = (1u << kInstructionBits) - 1;
constexpr uint64_t kBlocksBit = 1ull << kInstructionBits;          // readers from several blocks
constexpr uint64_t kManyWarp = 1ull << (kInstructionBits + 1);     // several readers in one warp
constexpr uint64_t kManyBlock = 2ull << (kInstructionBits + 1);    // readers in several warps
constexpr uint64_t kManyMask = 3ull << (kInstructionBits + 1);
constexpr uint64_t kStrongBit = 1ull << (kInstructionBits + 3);
constexpr unsigned kSyncShift = kInstructionBits + 4;
constexpr uint64_t kSyncMask = 31ull << kSyncShift;
constexpr unsigned kThreadShift = 22;
constexpr uint64_t kThreadMask = 1023ull << kThreadShift;
constexpr unsigned kSerialShift = 32;
static_assert(kSyncShift + 5 == kThreadShift && kThreadShift + 10 == kSerialShift, "an access fills 64 bits");

inline uint64_t packAccess(uint32_t serial, uint32_t thread, uint32_t syncs, bool strong, uint32_t instruction) {
  return static_cast<uint64_t>(serial) << kSerialShift | static_cast<uint64_t>(thread) << kThreadShift |
         static_cast<uint64_t>(syncs & 31) << kSyncShift | (strong ? kStrongBit : 0) |
         (instruction < kInstructionMask ? instruction : kInstructionMask);
}

// The cells of one allocation, made where it is touched: one for each word of four bytes, or, where a page has seen an
// access that is not of whole words, one for each byte.
class Cells {
 public:
  static constexpr unsigned kPageShift = 12;
  static constexpr unsigned kPageBytes = 1u << kPageShift;

  explicit Cells(uint64_t bytes);
  ~Cells();
  Cells(const Cells &) = delete;
  Cells &operator=(const Cells &) = delete;

  // The cell of the word at `offset`; null where the page has byte cells.
  Cell *words(uint64_t offset) {
    Page &page = pages_[offset >> kPageShift];
    if (page.words == nullptr) {
      if (page.bytes != nullptr) return nullptr;
      make(page);
    }
    return page.words + (offset & (kPageBytes - 1)) / 4;
  }
  Cell *bytes(uint64_t offset) {
    Page &page = pages_[offset >> kPageShift];
    if (page.bytes == nullptr) divide(page);
    return page.bytes + (offset & (kPageBytes - 1));
  }
  uint64_t memory() const { return memory_; }

 private:
  struct Page {
    Cell *words = nullptr;
    Cell *bytes = nullptr;
  };
  void make(Page &page);
  void divide(Page &page);

  std::vector<Page> pages_;
  uint64_t memory_ = 0;
};

// What an access collided with: the other access as packed, or 0.
inline uint64_t orderedBefore(const Clock &clock, uint64_t other) {
  const uint32_t serial = static_cast<uint32_t>(other >> kSerialShift);
  if (serial >= clock.blockFirst) return 1;  // of this block and an earlier phase
  if (clock.acquired.empty()) return 0;
  const uint32_t block = clock.blockOf(serial);
  return block < clock.acquired.size() && clock.acquired[block] >= serial;
}

// Whether `other` (of the same block and phase) is unordered with the access `me` of another thread.
inline bool unordered(uint64_t other, uint64_t me) {
  const uint64_t difference = other ^ me;
  if ((difference & kThreadMask) == 0) return false;
  if (((difference & kThreadMask) >> (kThreadShift + 5)) != 0) return true;  // another warp
  return (difference & kSyncMask) == 0;
}

inline uint64_t noteRead(const Clock &clock, Cell &cell, uint64_t me) {
  uint64_t collision = 0;
  const uint64_t writer = cell.writer;
  const uint32_t wrote = static_cast<uint32_t>(writer >> kSerialShift);
  if (wrote >= clock.launchFirst && !(writer & me & kStrongBit)) {
    if (wrote == clock.now ? unordered(writer, me) : !orderedBefore(clock, writer)) collision = writer;
  }
  const uint64_t reader = cell.reader;
  const uint32_t read = static_cast<uint32_t>(reader >> kSerialShift);
  if (read == clock.now) {
    const uint64_t difference = reader ^ me;
    uint64_t next = me | (reader & (kBlocksBit | kManyMask));
    if ((difference & kThreadMask) >> (kThreadShift + 5)) {
      next = me | (reader & kBlocksBit) | kManyBlock;
    } else if (difference & kSyncMask) {  // the warp has synchronised since: its earlier reads no longer count
      if (!(reader & kManyBlock)) next &= ~kManyWarp;
    } else if (difference & kThreadMask) {
      if (!(reader & kManyBlock)) next |= kManyWarp;
    }
    // A weak reader among strong ones keeps the whole weak.
    if (!(reader & kStrongBit)) next &= ~kStrongBit;
    cell.reader = next;
  } else if (read >= clock.blockFirst) {
    cell.reader = me | (reader & kBlocksBit);
  } else if (read >= clock.launchFirst) {
    uint64_t next = me | kBlocksBit;
    if (!(reader & kStrongBit)) next &= ~kStrongBit;
    cell.reader = next;
  } else {
    cell.reader = me;
  }
  return collision;
}

// `change`: the write alters the value. Two threads that write the same value do no harm and are left alone.
inline uint64_t noteWrite(const Clock &clock, Cell &cell, uint64_t me, bool change) {
  uint64_t collision = 0;
  const uint64_t writer = cell.writer;
  const uint32_t wrote = static_cast<uint32_t>(writer >> kSerialShift);
  if (wrote >= clock.launchFirst && change && !(writer & me & kStrongBit)) {
    if (wrote == clock.now ? unordered(writer, me) : !orderedBefore(clock, writer)) collision = writer;
  }
  const uint64_t reader = cell.reader;
  const uint32_t read = static_cast<uint32_t>(reader >> kSerialShift);
  if (read >= clock.launchFirst && !(reader & me & kStrongBit)) {
    if (read == clock.now) {
      bool clash;
      if (reader & kManyBlock) {
        clash = true;
      } else if (reader & kManyWarp) {
        clash = ((reader ^ me) & kThreadMask) >> (kThreadShift + 5) != 0 || ((reader ^ me) & kSyncMask) == 0;
      } else {
        clash = unordered(reader, me);
      }
      if (clash) collision = reader;
    } else if (read >= clock.blockFirst) {
      if ((reader & kBlocksBit) && clock.acquired.empty()) collision = reader;
    } else if (!orderedBefore(clock, reader)) {
      collision = reader;
    }
  }
  cell.writer = me;
  return collision;
}

}  // namespace ptx

#endif
