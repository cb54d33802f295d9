// How loads, stores and atomics get at memory: addresses to places, with every check.
#ifndef GPUTRAIN_SIM_PTX_ACCESS_H
#define GPUTRAIN_SIM_PTX_ACCESS_H

#include "machine.h"

namespace ptx {

// Where the lanes of `mask` reach: all in one area.
struct Reach {
  Area *area = nullptr;
  uint32_t mask = 0;
  bool contiguous = false;   // all 32 lanes, each `bytes` after the one before
  bool inFlight = false;     // cp.async is still writing some of it
  uint64_t offset[kLanes];
};

// The addresses of the active lanes.
void addresses(Exec &x, const Inst &i, uint64_t *address);

// Resolves the addresses of `mask`. False: they are not all in one area, and single lanes have to be tried, which then
// either works or ends the launch (x.running->over).
bool resolve(Exec &x, const Inst &i, uint32_t mask, const uint64_t *address, unsigned bytes, bool write, Reach &reach);

// On whose behalf a lane reads: its own, or the whole warp's, so that no lane's write in the same warp is ordered before
// the read, or after it, unless the warp has synchronised between.
enum class Readers : uint8_t { Lane, Warp };
// Checks that what is read was written, and notes the read for races and footprint.
void checkRead(Exec &x, const Inst &i, const Reach &reach, unsigned bytes, Readers readers = Readers::Lane);
// Notes a write of bytes that are still to be stored; `data` has the new ones, `stride` apart. False: the launch is over.
bool checkWrite(Exec &x, const Inst &i, const Reach &reach, unsigned bytes, const uint8_t *data, unsigned stride);
// The same for one lane's read and write at once.
bool checkAtomic(Exec &x, const Inst &i, const Reach &reach, unsigned lane, unsigned bytes);

// Notes that a cp.async begins to write: from now on the bytes are in flight.
void checkCopy(Exec &x, const Inst &i, const Reach &reach, unsigned bytes);
// Stores what a lane has copied: its bytes are no longer in flight, and count as written now.
void finishCopy(Exec &x, const PendingCopy &copy, unsigned lane);

// Calls `f(reach)` for parts of the lanes that lie in one area each, until all are done or the launch is over.
template <class F>
void forAreasOf(Exec &x, const Inst &i, uint32_t lanes, const uint64_t *address, unsigned bytes, bool write, F f) {
  Reach reach;
  if (resolve(x, i, lanes, address, bytes, write, reach)) {
    f(reach);
    return;
  }
  for (uint32_t mask = lanes; mask && !x.running->over; mask &= mask - 1)
    if (resolve(x, i, mask & (0 - mask), address, bytes, write, reach)) f(reach);
}
// The same for all active lanes.
template <class F>
void forAreas(Exec &x, const Inst &i, unsigned bytes, bool write, F f) {
  uint64_t address[kLanes];
  addresses(x, i, address);
  forAreasOf(x, i, x.mask, address, bytes, write, f);
}

}  // namespace ptx

#endif
