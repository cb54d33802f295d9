// What queued work does to device memory: checked when it is queued and when it runs.
#include <algorithm>
#include <cstring>
#include <cwchar>

#include "core/state.h"

namespace sim {

namespace {

const char *verb(Mode mode) {
  switch (mode) {
    case Mode::Read: return "reads";
    case Mode::Write: return "writes";
    case Mode::Update: return "updates";
    case Mode::Scratch: return "uses as scratch";
  }
  return "uses";
}

bool writes(Mode mode) { return mode != Mode::Read; }
bool reads(Mode mode) { return mode == Mode::Read || mode == Mode::Update; }

std::string bytesText(uint64_t bytes) { return std::to_string(bytes) + (bytes == 1 ? " byte" : " bytes"); }

// "x" (4096 bytes, read)
std::string nameOf(const Access &access) { return "\"" + access.what + "\" (" + bytesText(access.bytes) + ")"; }

CUresult checkAddress(const Access &access, const Context *context) {
  const uint64_t address = access.address;
  if (address == 0) {
    report(check::badValue, nameOf(access) + " is a null pointer");
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (!isDeviceAddress(address)) {
    report(check::hostPointer, nameOf(access) + " is " + describe(address));
    return CUDA_ERROR_INVALID_VALUE;
  }
  const DeviceMemory *buffer = findMemory(address);
  if (buffer == nullptr) {
    report(check::outOfBounds, nameOf(access) + " is " + describe(address));
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (!buffer->freedBy.empty()) {
    report(check::useAfterFree, nameOf(access) + " is " + describe(address));
    return CUDA_ERROR_INVALID_VALUE;
  }
  const uint64_t left = buffer->address + buffer->bytes - address;
  if (access.bytes > left) {
    report(check::outOfBounds, nameOf(access) + " is " + describe(address) + " and goes " +
                                   bytesText(access.bytes - left) + " past its end");
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (context != nullptr && buffer->context != context) {
    report(check::wrongContext, nameOf(access) + " is " + describe(address) + ", which belongs to " +
                                    buffer->context->name() + ", and the work to " + context->name());
  }
  return CUDA_SUCCESS;
}

bool mayOverlap(const Access &a, const Access &b) {
  if (!writes(a.mode) && !writes(b.mode)) return true;
  if (a.mode == Mode::Scratch || b.mode == Mode::Scratch) return false;
  const bool identical = a.address == b.address && a.bytes == b.bytes;
  return identical && (reads(a.mode) || reads(b.mode));
}

void checkWritten(const DeviceMemory &buffer, const Access &access) {
  const uint8_t *shadow = buffer.shadow + (access.address - buffer.address);
  const auto *gap = static_cast<const uint8_t *>(std::memchr(shadow, 0, access.bytes));
  if (gap == nullptr) return;
  const auto missing = uint64_t(std::count(gap, shadow + access.bytes, uint8_t(0)));
  report(check::uninitialised, nameOf(access) + " is " + describe(access.address) + ": " + bytesText(missing) +
                                   " of it, from byte " + std::to_string(gap - shadow) + " on, were never written");
}

bool readByWork(const Work &work, const Access &written) {
  for (const Access &access : work.accesses) {
    if (reads(access.mode) && access.address < written.address + written.bytes &&
        written.address < access.address + access.bytes) {
      return true;
    }
  }
  return false;
}

// "bytes 0 to 4095 of buffer #7 (...)"
std::string rangeOf(uint64_t begin, uint64_t end, const std::string &buffer) {
  return "bytes " + std::to_string(begin) + " to " + std::to_string(end - 1) + " of " + buffer;
}

}  // namespace

// Bytes that are not a number as float, half or bfloat16, and an unlikely integer.
void noise(uint8_t *begin, uint64_t bytes) {
  constexpr uint32_t kNoise = 0xffa5ffa5u;
  uint64_t at = 0;
  for (; at < bytes && reinterpret_cast<uintptr_t>(begin + at) % 4 != 0; at++) begin[at] = 0xa5;
  static_assert(sizeof(wchar_t) == 4, "noise is written four bytes at a time");
  std::wmemset(reinterpret_cast<wchar_t *>(begin + at), wchar_t(kNoise), (bytes - at) / 4);
  for (at += (bytes - at) / 4 * 4; at < bytes; at++) begin[at] = 0xa5;
}

CUresult checkAccesses(const std::vector<Access> &accesses, const Context *context) {
  CUresult status = CUDA_SUCCESS;
  for (const Access &access : accesses) {
    if (access.bytes == 0) continue;
    const CUresult one = checkAddress(access, context);
    if (status == CUDA_SUCCESS) status = one;
  }
  return status;
}

CUresult checkAccesses(const std::vector<Access> &accesses) { return checkAccesses(accesses, current()); }

void checkOverlaps(const std::vector<Access> &accesses) {
  for (size_t i = 0; i < accesses.size(); i++) {
    for (size_t j = i + 1; j < accesses.size(); j++) {
      const Access &a = accesses[i], &b = accesses[j];
      if (a.bytes == 0 || b.bytes == 0) continue;
      if (a.address >= b.address + b.bytes || b.address >= a.address + a.bytes || mayOverlap(a, b)) continue;
      report(check::overlap, nameOf(a) + ", which the call " + verb(a.mode) + ", and " + nameOf(b) + ", which it " +
                                 verb(b.mode) + ", share bytes: " + describe(a.address) + ", and " +
                                 describe(b.address));
    }
  }
}

bool checkLife(const Work &work) {
  bool lives = true;
  for (const Access &access : work.accesses) {
    const DeviceMemory *buffer = access.bytes == 0 ? nullptr : findMemory(access.address);
    if (access.bytes == 0 || (buffer != nullptr && buffer->freedBy.empty())) continue;
    report(check::useAfterFree, nameOf(access) + " is " + describe(access.address));
    lives = false;
  }
  for (const void *address : {work.hostRead, static_cast<const void *>(work.hostWrite)}) {
    const PinnedMemory *memory = address == nullptr ? nullptr : findPinned(address, true);
    if (memory == nullptr || memory->freedBy.empty()) continue;
    report(check::useAfterFree, "the copy uses " + memory->name());
    lives = false;
  }
  return lives;
}

void reportConflicts(const Op &op, const std::string &what, bool writes, const std::string &buffer, uint64_t base,
                     const std::vector<Conflict> &conflicts) {
  for (const Conflict &conflict : conflicts) {
    struct Side {
      const Doer *doer;
      std::string what;
      bool writes;
    };
    // Told in the order of queueing, whatever order they ran in.
    Side first{conflict.earlier.doer.get(), conflict.earlier.what, conflict.earlierWrites};
    Side second{op.doer.get(), what, writes};
    if (second.doer->sequence < first.doer->sequence) std::swap(first, second);
    const auto tell = [](const Side &side) {
      return side.doer->title + " on " + side.doer->where + (side.writes ? " writes" : " reads");
    };
    const auto as = [](const Side &side) { return " as \"" + side.what + "\""; };
    const std::string call = second.doer->title + " (queued on " + second.doer->where + ")";
    reportFor(call, check::streamRace,
              tell(second) + " " + rangeOf(conflict.begin - base, conflict.end - base, buffer) + as(second) +
                  ", which " + tell(first) + as(first) + ": nothing makes one wait for the other");
  }
}

void orderAccesses(const Op &op, const std::vector<Access> &accesses) {
  for (const Access &access : accesses) {
    DeviceMemory *buffer = access.bytes == 0 ? nullptr : findMemory(access.address);
    if (buffer == nullptr || !buffer->freedBy.empty()) continue;
    const uint64_t end = std::min(access.address + access.bytes, buffer->address + buffer->bytes);
    const Touch touch{op.doer, access.what};
    const auto conflicts = buffer->history.access(access.address, end, writes(access.mode), touch, op.clock);
    if (!conflicts.empty()) {
      reportConflicts(op, access.what, writes(access.mode), bufferName(*buffer), buffer->address, conflicts);
    }
  }
}

// Outputs are filled with noise first, so that what a library forgets to write is seen.
void beforeRun(const Op &op) {
  const Work &work = *op.work;
  orderAccesses(op, work.accesses);
  for (const Access &access : work.accesses) {
    if (access.bytes == 0) continue;
    const DeviceMemory &buffer = *findMemory(access.address);
    if (reads(access.mode)) checkWritten(buffer, access);
  }
  if (work.runAndTell != nullptr) return;
  for (const Access &access : work.accesses) {
    if (access.bytes == 0 || reads(access.mode) || readByWork(work, access)) continue;
    noise(data(access.address), access.bytes);
  }
}

void afterRun(const Op &op) {
  const Work &work = *op.work;
  for (const Access &access : work.accesses) {
    if (access.bytes == 0 || !writes(access.mode)) continue;
    DeviceMemory *buffer = findMemory(access.address);
    const int written = access.mode == Mode::Scratch ? 0 : 1;
    std::memset(buffer->shadow + (access.address - buffer->address), written, access.bytes);
  }
}

}  // namespace sim
