// Device memory. Addresses come from a range of the process that nobody can touch and are never given out twice; what
// they hold lies elsewhere.
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

#include "core/state.h"

namespace sim {

namespace {

constexpr uint64_t kAlignment = 512;    // of every allocation, as drivers do it
constexpr uint64_t kGap = 512;          // at least, between two allocations
constexpr uint64_t kMapped = 64 * 1024; // backing memory from this size on comes from mmap: zero pages cost nothing

uint64_t rounded(uint64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// The addresses of all machines of the process.
struct Range {
  uint64_t begin = 0, end = 0, next = 0;
  Range() {
    for (uint64_t bytes = uint64_t(16) << 40; bytes >= uint64_t(1) << 30 && begin == 0; bytes /= 2) {
      void *at = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (at == MAP_FAILED) continue;
      begin = reinterpret_cast<uint64_t>(at);
      end = begin + bytes;
      next = rounded(begin) + kGap;
    }
  }
  uint64_t take(uint64_t bytes) {
    const uint64_t span = rounded(bytes) + kGap;
    if (begin == 0 || span < bytes || end - next < span) return 0;
    const uint64_t address = next;
    next += span;
    return address;
  }
};

Range &range() {
  static Range range;
  return range;
}

uint8_t *backing(uint64_t bytes, bool mapped) {
  if (!mapped) {
    void *at = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (at != nullptr) std::memset(at, 0, bytes);
    return static_cast<uint8_t *>(at);
  }
  void *at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return at == MAP_FAILED ? nullptr : static_cast<uint8_t *>(at);
}

void unback(uint8_t *at, uint64_t bytes, bool mapped) {
  if (at == nullptr) return;
  if (mapped) {
    munmap(at, bytes);
  } else {
    std::free(at);
  }
}

void drop(DeviceMemory &buffer, const std::string &by) {
  Machine &m = machine();
  unback(buffer.data, buffer.bytes, buffer.mapped);
  unback(buffer.shadow, buffer.bytes, buffer.mapped);
  buffer.data = buffer.shadow = nullptr;
  buffer.freedBy = by;
  buffer.history = History();
  m.devices[size_t(buffer.context->device)].used -= rounded(buffer.bytes);
  m.bytes -= buffer.bytes;
}

// Null: no memory left.
DeviceMemory *make(Context &context, uint64_t bytes) {
  Machine &m = machine();
  Device &device = m.devices[size_t(context.device)];
  const uint64_t room = device.properties.memory - device.used;
  if (bytes > room || rounded(bytes) > room) return nullptr;
  auto buffer = std::make_unique<DeviceMemory>();
  buffer->address = range().take(bytes);
  if (buffer->address == 0) return nullptr;
  buffer->bytes = bytes;
  buffer->context = &context;
  buffer->mapped = bytes >= kMapped;
  buffer->data = backing(bytes, buffer->mapped);
  buffer->shadow = backing(bytes, buffer->mapped);
  if (buffer->data == nullptr || buffer->shadow == nullptr) {
    unback(buffer->data, bytes, buffer->mapped);
    unback(buffer->shadow, bytes, buffer->mapped);
    return nullptr;
  }
  buffer->id = nextId("buffer");
  buffer->call = callName();
  device.used += rounded(bytes);
  m.bytes += bytes;
  m.peak = std::max(m.peak, m.bytes);
  m.counters["peak bytes"] = m.peak;
  return m.memory.emplace(buffer->address, std::move(buffer)).first->second.get();
}

bool declares(const Op &op, const DeviceMemory &buffer) {
  for (const Access &access : op.work->accesses) {
    if (access.address < buffer.address + buffer.bytes && buffer.address < access.address + access.bytes) return true;
  }
  return false;
}

// Work that the host hasn't waited for and that uses the buffer runs first; it is a finding whether or not it had
// happened to run before.
void checkUnused(DeviceMemory &buffer) {
  Machine &m = machine();
  const auto uses = [&](const Op &op) {
    return op.work != nullptr && (op.work->runAndTell != nullptr || declares(op, buffer));
  };
  forceWhere(uses, Missing::Leave);
  // Another device's work may wait for this one's to come.
  if (!m.waiting.empty()) forceWhere([&](const Op &op) { return op.context == buffer.context && uses(op); });
  const Touch user = buffer.history.unfinished(m.host);
  if (user.doer == nullptr) return;
  report(check::freeInUse, bufferName(buffer) + " is freed while " + user.doer->title + ", queued on " +
                               user.doer->where + ", may still be using it as \"" + user.what +
                               "\": nothing has waited for it");
}

const DeviceMemory *before(uint64_t address) {
  const auto &memory = machine().memory;
  auto after = memory.upper_bound(address);
  return after == memory.begin() ? nullptr : std::prev(after)->second.get();
}

std::string plural(uint64_t n) { return std::to_string(n) + (n == 1 ? " byte" : " bytes"); }

std::string hexadecimal(uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

}  // namespace

Machine::~Machine() {
  for (auto &entry : pending) entry.second->needs.clear();  // a long chain would be destroyed recursively
  pending.clear();
  graphs.clear();
  execs.clear();
  for (auto &entry : memory) {
    unback(entry.second->data, entry.second->bytes, entry.second->mapped);
    unback(entry.second->shadow, entry.second->bytes, entry.second->mapped);
  }
  for (auto &entry : pinned) {
    if (!entry.second->registered) munmap(entry.second->address, entry.second->mapped);
  }
}

bool isDeviceAddress(uint64_t address) { return address >= range().begin && address < range().end; }

DeviceMemory *findMemory(uint64_t address) {
  auto &memory = machine().memory;
  auto after = memory.upper_bound(address);
  if (after == memory.begin()) return nullptr;
  DeviceMemory &buffer = *std::prev(after)->second;
  return address - buffer.address < buffer.bytes ? &buffer : nullptr;
}

Allocation *find(uint64_t address) { return findMemory(address); }

std::string bufferName(const DeviceMemory &buffer) {
  std::string name = "buffer #" + std::to_string(buffer.id) + " (" + plural(buffer.bytes) + ", ";
  name += buffer.module.empty() ? buffer.call : buffer.module;
  if (!buffer.freedBy.empty()) name += ", freed by " + buffer.freedBy;
  return name + ")";
}

std::string describe(uint64_t address) {
  if (address == 0) return "a null pointer";
  if (!isDeviceAddress(address)) {
    const PinnedMemory *pinned = findPinned(reinterpret_cast<const void *>(address), true);
    if (pinned != nullptr) return "host memory, " + pinned->name();
    return "address " + hexadecimal(address) + ", which is no device memory";
  }
  const DeviceMemory *buffer = before(address);
  if (buffer == nullptr) return "device address " + hexadecimal(address) + ", which was never allocated";
  const uint64_t offset = address - buffer->address;
  if (offset == 0) return bufferName(*buffer);
  if (offset < buffer->bytes) return bufferName(*buffer) + " + " + std::to_string(offset);
  auto next = machine().memory.upper_bound(address);
  const uint64_t past = offset - buffer->bytes;
  if (next != machine().memory.end() && next->first - address < past) {
    return plural(next->first - address) + " before " + bufferName(*next->second);
  }
  if (past == 0) return "the end of " + bufferName(*buffer);
  return plural(past) + " past the end of " + bufferName(*buffer);
}

CUresult allocate(Context &context, uint64_t bytes, uint64_t &address) {
  address = 0;
  if (bytes == 0) {
    report(check::badValue, "an allocation of 0 bytes");
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (context.error != CUDA_SUCCESS) return context.error;
  Machine &m = machine();
  count("allocations");
  if (++m.allocations == m.configuration.oom) return CUDA_ERROR_OUT_OF_MEMORY;
  DeviceMemory *buffer = make(context, bytes);
  if (buffer == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
  count("allocations.bytes", bytes);
  address = buffer->address;
  return CUDA_SUCCESS;
}

CUresult release(uint64_t address) {
  if (address == 0) return CUDA_SUCCESS;
  DeviceMemory *buffer = findMemory(address);
  if (buffer == nullptr) {
    report(check::badFree, "what is to be freed is " + describe(address));
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (!buffer->freedBy.empty() || buffer->freeing) {
    report(check::doubleFree, bufferName(*buffer) + " is freed again");
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (address != buffer->address || !buffer->module.empty()) {
    report(check::badFree, "what is to be freed is " + describe(address) +
                               (buffer->module.empty() ? ", not an allocation's start" : ", a module's variable"));
    return CUDA_ERROR_INVALID_VALUE;
  }
  buffer->freeing = true;
  checkUnused(*buffer);
  const CUresult error = buffer->context->error;
  if (!buffer->freedBy.empty()) return error;  // its context has ended meanwhile
  drop(*buffer, callName());
  count("frees");
  return error;
}

void memoryInfo(Context &context, uint64_t &free, uint64_t &total) {
  const Device &device = machine().devices[size_t(context.device)];
  total = device.properties.memory;
  free = total - device.used;
}

Allocation *allocateForModule(Context &context, uint64_t bytes, bool writable, const std::string &name) {
  DeviceMemory *buffer = make(context, std::max<uint64_t>(bytes, 1));
  if (buffer == nullptr) return nullptr;
  buffer->writable = writable;
  buffer->module = name.empty() ? "a module's variable" : name;
  return buffer;
}

void releaseForModule(Allocation *allocation) {
  DeviceMemory *buffer = allocation == nullptr ? nullptr : findMemory(allocation->address);
  if (buffer == nullptr || !buffer->freedBy.empty() || buffer->freeing) return;
  buffer->freeing = true;
  checkUnused(*buffer);
  if (buffer->freedBy.empty()) drop(*buffer, callName());
}

uint8_t *data(uint64_t address) {
  DeviceMemory *buffer = findMemory(address);
  if (buffer == nullptr || buffer->data == nullptr) return nullptr;
  return buffer->data + (address - buffer->address);
}

void dropMemory(Context &context) {
  for (auto &entry : machine().memory) {
    DeviceMemory &buffer = *entry.second;
    if (buffer.context == &context && buffer.freedBy.empty()) drop(buffer, "the end of " + context.name());
  }
}

}  // namespace sim
