// Queueing work with the memory that it touches: every run of elements, none of the gaps between them.
#include <algorithm>

#include "internal.h"

namespace dnn {
namespace {

// Calls run(offset, length) in elements for every unbroken run of a layout.
template <class Run>
void eachRun(const Layout &layout, Run run) {
  struct Axis {
    int64_t dim, stride;
  };
  std::vector<Axis> axes;
  for (int i = 0; i < layout.rank; i++) {
    if (layout.dim[i] > 1) axes.push_back({layout.dim[i], layout.stride[i]});
  }
  std::stable_sort(axes.begin(), axes.end(), [](const Axis &a, const Axis &b) { return a.stride < b.stride; });
  int64_t length = 1;
  size_t inner = 0;
  while (inner < axes.size() && axes[inner].stride == length) length *= axes[inner++].dim;
  std::vector<int64_t> at(axes.size());
  int64_t offset = 0;
  for (;;) {
    run(offset, length);
    size_t i = inner;
    for (; i < axes.size(); i++) {
      offset += axes[i].stride;
      if (++at[i] < axes[i].dim) break;
      offset -= axes[i].dim * axes[i].stride;
      at[i] = 0;
    }
    if (i >= axes.size()) return;
  }
}

// One access for every unbroken run.
void addRuns(const Layout &layout, const void *address, sim::Mode mode, const char *what,
             std::vector<sim::Access> &accesses) {
  if (!address) wrong(kNullPointer, sim::check::badValue, std::string(what) + " is null");
  const uint64_t base = addressOf(address), size = sizeOf(layout.type);
  if (base % size) {
    wrong(kMisalignedPointer, sim::check::misaligned,
          std::string(what) + " is not aligned to its elements of " + std::to_string(size) + " bytes");
  }
  eachRun(layout, [&](int64_t offset, int64_t length) {
    accesses.push_back({base + static_cast<uint64_t>(offset) * size, static_cast<uint64_t>(length) * size, mode, what});
  });
}

}  // namespace

Launch::Launch(cudnnHandle_t handle) : stream_(streamOf(handle)) { work_.counter = "dnn"; }

void Launch::add(const Layout &layout, const void *address, sim::Mode mode, const char *what) {
  const size_t first = work_.accesses.size();
  addRuns(layout, address, mode, what, work_.accesses);
  operands_.push_back({what, addressOf(address), layout, mode != sim::Mode::Read, first, work_.accesses.size()});
}

void Launch::read(const Layout &layout, const void *address, const char *what, bool spare) {
  add(layout, address, sim::Mode::Read, what);
  for (size_t i = operands_.back().first; i < operands_.back().last; i++) work_.accesses[i].spare = spare;
}

void Launch::write(const Layout &layout, void *address, const char *what, bool update) {
  if (layout.overlapping()) {
    wrong(kNotSupportedLayout, sim::check::descriptor,
          std::string(what) + " is written, but elements of " + layout.text() + " share addresses");
  }
  add(layout, address, update ? sim::Mode::Update : sim::Mode::Write, what);
}

void Launch::bytes(const void *address, uint64_t count, sim::Mode mode, const char *what, uint64_t alignment) {
  if (count == 0) return;
  if (!address) wrong(kNullPointer, sim::check::badValue, std::string(what) + " is null");
  if (addressOf(address) % alignment) {
    wrong(kMisalignedPointer, sim::check::misaligned,
          std::string(what) + " is not aligned to " + std::to_string(alignment) + " bytes");
  }
  const size_t first = work_.accesses.size();
  work_.accesses.push_back({addressOf(address), count, mode, what});
  operands_.push_back({what, addressOf(address), Layout(), mode != sim::Mode::Read, first, first + 1});
}

void Launch::touch(const Layout &layout, const void *address, const char *what) {
  std::vector<sim::Access> accesses;
  addRuns(layout, address, sim::Mode::Read, what, accesses);
  need(sim::checkAccesses(accesses), what);
}

void Launch::workspace(void *address, uint64_t given, uint64_t needed, Status tooSmall) {
  if (given < needed || (needed && !address)) {
    wrong(tooSmall, sim::check::workspace,
          "the workspace has " + std::to_string(address ? given : 0) + " bytes, the algorithm needs " +
              std::to_string(needed));
  }
  bytes(address, needed, sim::Mode::Scratch, "workSpace");
}

bool Launch::maybeShared(const Operand &a, const Operand &b) const {
  const sim::Access &a0 = work_.accesses[a.first], &a1 = work_.accesses[a.last - 1];
  const sim::Access &b0 = work_.accesses[b.first], &b1 = work_.accesses[b.last - 1];
  return a0.address < b1.address + b1.bytes && b0.address < a1.address + a1.bytes;
}

void Launch::checkOverlap() const {
  auto shares = [&](const Operand &a, const Operand &b) {
    std::vector<std::pair<uint64_t, uint64_t>> runs;
    for (size_t i = a.first; i < a.last; i++) {
      runs.emplace_back(work_.accesses[i].address, work_.accesses[i].address + work_.accesses[i].bytes);
    }
    std::sort(runs.begin(), runs.end());
    for (size_t i = b.first; i < b.last; i++) {
      const uint64_t begin = work_.accesses[i].address, end = begin + work_.accesses[i].bytes;
      auto run = std::lower_bound(runs.begin(), runs.end(), std::make_pair(end, uint64_t(0)));
      if (run != runs.begin() && std::prev(run)->second > begin) return true;
    }
    return false;
  };
  for (size_t i = 0; i < operands_.size(); i++) {
    for (size_t j = i + 1; j < operands_.size(); j++) {
      const Operand &a = operands_[i], &b = operands_[j];
      if ((!a.written && !b.written) || !maybeShared(a, b)) continue;
      if (inPlace_ && a.address == b.address && a.layout.rank > 0 && a.layout.same(b.layout)) continue;
      if (!shares(a, b)) continue;
      wrong(kBadParam, sim::check::overlap,
            std::string(a.what) + " and " + b.what + " share memory: " + sim::describe(a.address) + " and " +
                sim::describe(b.address));
    }
  }
}

void Launch::run(const std::string &detail, std::function<void()> body) {
  checkOverlap();
  work_.detail = detail;
  work_.run = [body = std::move(body)] {
    body();
    return CUDA_SUCCESS;
  };
  need(sim::enqueue(stream_, std::move(work_)), detail);
}

}  // namespace dnn
