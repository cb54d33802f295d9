// Pinned host memory: what is read from it when a copy runs, and what a program does to it in between.
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "core/state.h"

namespace sim {

namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kPiece = 4096;  // of a fingerprint
constexpr uint8_t kGuard = 0xc9;   // fills the rest of the last page

// A hash of 64 bits, four words at a time; only equality counts.
uint64_t hashOf(const uint8_t *at, uint64_t bytes) {
  uint64_t state[4] = {1, 2, 3, 4};
  constexpr uint64_t kFactor = 0x9fb21c651e98df25ull;
  while (bytes >= 32) {
    uint64_t words[4];
    std::memcpy(words, at, 32);
    for (int i = 0; i < 4; i++) {
      state[i] = (state[i] ^ words[i]) * kFactor;
      state[i] ^= state[i] >> 29;
    }
    at += 32;
    bytes -= 32;
  }
  uint64_t hash = bytes;
  for (uint64_t i = 0; i < bytes; i++) hash = (hash ^ at[i]) * kFactor;
  for (uint64_t part : state) hash = (hash ^ part ^ (part >> 31)) * kFactor;
  return hash ^ (hash >> 32);
}

bool overlap(const HostUse &a, const HostUse &b) {
  return a.begin < b.begin + b.bytes && b.begin < a.begin + a.bytes;
}

std::string bytesOf(const HostUse &use) {
  const PinnedMemory *memory = findPinned(use.begin, true);
  const std::string length = std::to_string(use.bytes) + " bytes";
  if (memory == nullptr) return length + " of host memory";
  return length + " at " + std::to_string(use.begin - memory->address) + " of " + memory->name();
}

// A finding where the host changed what queued work reads or has written, before it could know that the work is done.
void verify(HostUse &use) {
  if (!use.watched || use.op->context->error != CUDA_SUCCESS) return;
  const uint64_t at = use.print.firstDifference(use.begin, use.bytes);
  if (at == use.bytes) return;
  use.watched = false;
  const Doer &doer = *use.op->doer;
  report(check::pinnedReuse, "the host changed " + bytesOf(use) + ", at or after byte " + std::to_string(at) +
                                 ", which " + doer.title + " (queued on " + doer.where + ") " +
                                 (use.writes ? "writes" : "reads") + ", without having waited for it");
}

void checkGuard(const PinnedMemory &memory) {
  if (memory.registered) return;
  for (uint64_t i = memory.bytes; i < memory.mapped; i++) {
    if (memory.address[i] == kGuard) continue;
    report(check::outOfBounds, "the host wrote " + std::to_string(i - memory.bytes + 1) + " bytes past the end of " +
                                   memory.name());
    return;
  }
}

bool touches(const Op &op, const PinnedMemory &memory) {
  const std::shared_ptr<HostUse> use = op.use.lock();
  return use != nullptr && use->begin < memory.address + memory.bytes && memory.address < use->begin + use->bytes;
}

void checkUnused(PinnedMemory &memory) {
  forceWhere([&](const Op &op) { return touches(op, memory); });
  Machine &m = machine();
  for (const auto &use : m.hostUses) {
    if (!touches(*use->op, memory) || ordered(*use->op->doer, m.host)) continue;
    report(check::freeInUse, memory.name() + " is released while " + use->op->doer->title + ", queued on " +
                                 use->op->doer->where + ", may still be using it: nothing has waited for it");
    break;
  }
  m.hostUses.erase(std::remove_if(m.hostUses.begin(), m.hostUses.end(),
                                  [&](const auto &use) { return touches(*use->op, memory); }),
                   m.hostUses.end());
}

// Waits for the work that uses the memory, which is about to be dropped. False: another thread has dropped it meanwhile.
bool claim(PinnedMemory &memory) {
  const uint8_t *address = memory.address;
  const uint64_t id = memory.id;
  memory.freeing = true;
  checkUnused(memory);
  const PinnedMemory *now = findPinned(address);
  return now != nullptr && now->id == id;
}

// The pages stay, out of reach: whoever uses them later faults, and the address is never given out again.
void drop(PinnedMemory &memory, const std::string &by) {
  memory.freedBy = by;
  memory.history = History();
  if (memory.registered) return;
  madvise(memory.address, memory.mapped, MADV_DONTNEED);
  mprotect(memory.address, memory.mapped, PROT_NONE);
}

CUresult keep(std::unique_ptr<PinnedMemory> memory, Context &context) {
  memory->context = &context;
  memory->id = nextId("pinned");
  memory->call = callName();
  const uint8_t *address = memory->address;
  machine().pinned[address] = std::move(memory);
  return CUDA_SUCCESS;
}

CUresult reportNotPinned(const char *check, const void *address, const char *deed) {
  report(check, std::string("what is to be ") + deed + " is " + describe(reinterpret_cast<uint64_t>(address)) +
                    ", not the start of pinned memory of that kind");
  return CUDA_ERROR_INVALID_VALUE;
}

// Null, with a finding: not the start of live pinned memory of that kind.
PinnedMemory *startOf(void *address, bool registered, const char *deed, CUresult &status) {
  PinnedMemory *memory = findPinned(address, true);
  status = CUDA_SUCCESS;
  if (memory != nullptr && (!memory->freedBy.empty() || memory->freeing)) {
    report(check::doubleFree, memory->name() + " is " + deed + " again");
    status = CUDA_ERROR_INVALID_VALUE;
    return nullptr;
  }
  if (memory == nullptr || memory->address != address || memory->registered != registered) {
    status = reportNotPinned(check::badFree, address, deed);
    return nullptr;
  }
  return memory;
}

}  // namespace

void Fingerprint::take(const uint8_t *begin, uint64_t bytes) {
  pieces_.clear();
  for (uint64_t at = 0; at < bytes; at += kPiece) {
    pieces_.push_back(hashOf(begin + at, std::min(kPiece, bytes - at)));
  }
}

uint64_t Fingerprint::firstDifference(const uint8_t *begin, uint64_t bytes) const {
  for (uint64_t at = 0; at < bytes; at += kPiece) {
    if (hashOf(begin + at, std::min(kPiece, bytes - at)) != pieces_[at / kPiece]) return at;
  }
  return bytes;
}

std::string PinnedMemory::name() const {
  std::string text = "pinned memory #" + std::to_string(id) + " (" + std::to_string(bytes) + " bytes, " + call;
  if (!freedBy.empty()) text += ", released by " + freedBy;
  return text + ")";
}

PinnedMemory *findPinned(const void *address, bool alsoFreed) {
  auto &pinned = machine().pinned;
  const auto *at = static_cast<const uint8_t *>(address);
  auto after = pinned.upper_bound(at);
  if (after == pinned.begin()) return nullptr;
  PinnedMemory &memory = *std::prev(after)->second;
  if (uint64_t(at - memory.address) >= memory.bytes) return nullptr;
  return memory.freedBy.empty() || alsoFreed ? &memory : nullptr;
}

const HostAllocation *findHost(const void *address) { return findPinned(address); }

CUresult allocateHost(Context &context, uint64_t bytes, unsigned flags, void *&address) {
  address = nullptr;
  if (bytes == 0) {
    report(check::badValue, "an allocation of 0 bytes of pinned memory");
    return CUDA_ERROR_INVALID_VALUE;
  }
  count("pinned allocations");
  if (bytes > UINT64_MAX / 2) return CUDA_ERROR_OUT_OF_MEMORY;
  auto memory = std::make_unique<PinnedMemory>();
  memory->mapped = (bytes + kPage - 1) / kPage * kPage;
  void *at = mmap(nullptr, memory->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
  memory->address = static_cast<uint8_t *>(at);
  memory->bytes = bytes;
  memory->flags = flags;
  noise(memory->address, bytes);
  std::memset(memory->address + bytes, kGuard, memory->mapped - bytes);
  address = at;
  return keep(std::move(memory), context);
}

CUresult releaseHost(void *address) {
  if (address == nullptr) return CUDA_SUCCESS;
  CUresult status;
  PinnedMemory *memory = startOf(address, false, "released", status);
  if (memory == nullptr) return status;
  Context &context = *memory->context;
  if (!claim(*memory)) return context.error;
  checkGuard(*memory);
  drop(*memory, callName());
  return context.error;
}

CUresult registerHost(Context &context, void *address, uint64_t bytes, unsigned flags) {
  if (address == nullptr || bytes == 0) {
    report(check::badValue, "no host memory to register");
    return CUDA_ERROR_INVALID_VALUE;
  }
  const auto *begin = static_cast<uint8_t *>(address);
  auto &pinned = machine().pinned;
  for (auto at = pinned.begin(); at != pinned.end();) {
    const PinnedMemory &memory = *at->second;
    const bool overlaps = memory.address < begin + bytes && begin < memory.address + memory.bytes;
    if (overlaps && !memory.freedBy.empty()) {
      at = pinned.erase(at);  // the program's memory has a new life
      continue;
    }
    ++at;
    if (!overlaps) continue;
    report(check::badValue, "host memory to register is " + memory.name() + " already, at least in part");
    return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
  }
  auto memory = std::make_unique<PinnedMemory>();
  memory->address = static_cast<uint8_t *>(address);
  memory->bytes = bytes;
  memory->flags = flags;
  memory->registered = true;
  return keep(std::move(memory), context);
}

CUresult unregisterHost(void *address) {
  CUresult status;
  PinnedMemory *memory = startOf(address, true, "unregistered", status);
  if (memory == nullptr) {
    return status == CUDA_ERROR_INVALID_VALUE ? CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED : status;
  }
  Context &context = *memory->context;
  if (claim(*memory)) drop(*memory, callName());
  return context.error;
}

void dropPinned(Context &context) {
  std::vector<const uint8_t *> addresses;
  for (const auto &entry : machine().pinned) {
    if (entry.second->context == &context && entry.second->freedBy.empty()) addresses.push_back(entry.first);
  }
  for (const uint8_t *address : addresses) {
    PinnedMemory *memory = findPinned(address);
    if (memory == nullptr || memory->context != &context || !claim(*memory)) continue;
    checkGuard(*memory);
    drop(*memory, "the end of " + context.name());
  }
}

// Whether the work's range of host memory lies within pinned memory that lives.
CUresult checkHostRange(const Work &work) {
  for (const void *address : {work.hostRead, static_cast<const void *>(work.hostWrite)}) {
    if (address == nullptr || work.hostBytes == 0) continue;
    const PinnedMemory *memory = findPinned(address, true);
    if (memory == nullptr) continue;  // ordinary host memory that outlives the work by other means
    if (!memory->freedBy.empty()) {
      report(check::useAfterFree, "the copy uses " + memory->name());
      return CUDA_ERROR_INVALID_VALUE;
    }
    const uint64_t offset = uint64_t(static_cast<const uint8_t *>(address) - memory->address);
    if (work.hostBytes <= memory->bytes - offset) continue;
    report(check::outOfBounds, "the copy's host side is " + std::to_string(work.hostBytes) + " bytes at " +
                                   std::to_string(offset) + " of " + memory->name());
    return CUDA_ERROR_INVALID_VALUE;
  }
  return CUDA_SUCCESS;
}

// Memory that is only read must not change from now on; memory that is to be written holds noise until then. Neither
// can be asked for where other work still uses the same bytes: then it is a matter of order.
void useHost(const OpPtr &op) {
  const Work &work = *op->work;
  if (work.hostBytes == 0 || (work.hostRead == nullptr && work.hostWrite == nullptr)) return;
  auto use = std::make_shared<HostUse>();
  use->op = op;
  use->writes = work.hostWrite != nullptr;
  use->begin = static_cast<uint8_t *>(use->writes ? work.hostWrite : const_cast<void *>(work.hostRead));
  use->bytes = work.hostBytes;
  const PinnedMemory *memory = findPinned(use->begin, true);
  if (memory != nullptr && !memory->freedBy.empty()) return;  // a graph's: told when it runs
  use->watched = true;
  for (const auto &other : machine().hostUses) {
    if (!overlap(*use, *other)) continue;
    if (use->writes || (other->writes && !other->op->done)) use->watched = false;
  }
  if (use->watched && use->writes) noise(use->begin, use->bytes);
  if (use->watched) use->print.take(use->begin, use->bytes);
  op->use = use;
  machine().hostUses.push_back(use);
}

void beforeHostUse(Op &op) {
  const std::shared_ptr<HostUse> shared = op.use.lock();
  if (shared == nullptr) return;
  HostUse &use = *shared;
  verify(use);
  for (const auto &other : machine().hostUses) {
    if (use.writes && other.get() != &use && overlap(use, *other)) other->watched = false;
  }
  PinnedMemory *memory = findPinned(use.begin);
  if (memory == nullptr) return;
  const uint64_t begin = uint64_t(use.begin - memory->address);
  const Touch touch{op.doer, "host side"};
  const auto conflicts = memory->history.access(begin, begin + use.bytes, use.writes, touch, op.clock);
  reportConflicts(op, touch.what, use.writes, memory->name(), 0, conflicts);
}

void afterHostUse(Op &op) {
  const std::shared_ptr<HostUse> use = op.use.lock();
  if (use == nullptr || !use->writes) return;
  use->print.take(use->begin, use->bytes);
  use->watched = true;
}

void hostSees(const Clock &clock) {
  Machine &m = machine();
  m.host.join(clock);
  auto &uses = m.hostUses;
  for (const auto &use : uses) {
    if (use->op->done && ordered(*use->op->doer, m.host)) verify(*use);
  }
  uses.erase(std::remove_if(uses.begin(), uses.end(),
                            [&](const auto &use) { return use->op->done && ordered(*use->op->doer, m.host); }),
             uses.end());
  auto &handles = m.handleUses;
  handles.erase(std::remove_if(handles.begin(), handles.end(),
                               [&](const HandleUse &use) { return use.op->done && ordered(*use.doer, m.host); }),
                handles.end());
}

}  // namespace sim
