// Counters of memory traffic: what each piece of work has to move between the device's memory and its caches.
//
// Memory moves in sectors. A launch counts each sector that it reads once, and each that it writes once: a perfect cache
// serves whatever it reads again. So this is a lower bound, the same for every way in which a library may compute. What
// a kernel reads and writes is what it did. What a library's call reads and writes is its operands, without workspace and
// without those that it can do without.
#include <algorithm>

#include "core/state.h"

namespace sim {

namespace {

constexpr uint64_t kSector = 32;  // bytes

// Sectors [first, last] of one access.
struct Span {
  uint64_t first = 0, last = 0;
};

// Spans may overlap, and neighbours may share a sector. Each sector counts once.
uint64_t bytesOf(std::vector<Span> &spans) {
  std::sort(spans.begin(), spans.end(), [](const Span &a, const Span &b) { return a.first < b.first; });
  uint64_t sectors = 0, next = 0;  // sectors below next have been counted
  for (const Span &span : spans) {
    const uint64_t first = std::max(span.first, next);
    if (span.last < first) continue;
    sectors += span.last - first + 1;
    next = span.last + 1;
  }
  return sectors * kSector;
}

bool reads(Mode mode) { return mode == Mode::Read || mode == Mode::Update; }
bool writes(Mode mode) { return mode == Mode::Write || mode == Mode::Update; }

// A kernel's constants have a cache of their own.
bool isConstant(uint64_t address) {
  const DeviceMemory *buffer = findMemory(address);
  return buffer != nullptr && !buffer->writable;
}

void add(const std::vector<Access> &accesses, std::vector<Span> &read, std::vector<Span> &written) {
  for (const Access &access : accesses) {
    if (access.bytes == 0 || access.spare || isConstant(access.address)) continue;
    const Span span{access.address / kSector, (access.address + access.bytes - 1) / kSector};
    if (reads(access.mode)) read.push_back(span);
    if (writes(access.mode)) written.push_back(span);
  }
}

// "kernel bias_add", "cudnnConvolutionForward", "memcpy HtoD"
std::string nameOf(const Op &op) {
  const std::string kind = op.work->counter, &title = op.doer->title, &detail = op.work->detail;
  if (kind == "kernel") return "kernel " + detail.substr(0, detail.find("<<<"));
  if (kind == "dnn" || kind == "blas" || kind == "nccl") return title.substr(0, title.find(' '));
  return kind;
}

}  // namespace

void countTraffic(const Op &op, const std::vector<Access> &touched) {
  const Work &work = *op.work;
  if (!machine().configuration.traffic || *work.counter == 0 || work.hostFunction) return;
  std::vector<Span> read, written;
  add(work.accesses, read, written);
  add(touched, read, written);
  const std::string name = nameOf(op);
  count("launches " + name);
  count("traffic read " + name, bytesOf(read));
  count("traffic written " + name, bytesOf(written));
}

}  // namespace sim
