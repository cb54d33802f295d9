// Who has to wait for whom: by hand, and random programs against a plain search for paths.
#include <cstring>

#include "core/order.h"
#include "core/test/harness.h"

using namespace sim;

namespace {

std::shared_ptr<const Doer> doer(uint32_t lane, uint64_t tick) {
  auto made = std::make_shared<Doer>();
  made->lane = lane;
  made->tick = tick;
  return made;
}

Clock clock(const std::vector<uint64_t> &ticks) {
  Clock made;
  for (uint32_t lane = 0; lane < ticks.size(); lane++) made.set(lane, ticks[lane]);
  return made;
}

// Each of two buffers is written on one stream and read on the other, with an event in between for the first.
void oneOrderedOneNot() {
  Fresh fresh;
  Stream *a = stream(fresh), *b = stream(fresh);
  Event *done = event(fresh);
  const uint64_t ordered = buffer(fresh, 4096), loose = buffer(fresh, 4096);
  fill(*a, ordered, 4096, 1);
  callRecord(*done, *a);
  fill(*a, loose, 4096, 2);
  callWait(*b, *done);
  touch(*b, "first", {{ordered, 4096, Mode::Read, "x"}});
  CHECK(callSynchronize(*b) == CUDA_SUCCESS);
  CHECK(findings() == 0);
  touch(*b, "second", {{loose, 100, Mode::Update, "y"}});
  callSynchronize(*b);
  callSynchronize(*a);
  CHECK(findings(check::streamRace) == 1);
  CHECK(told(check::streamRace, "cudnnTouch second on stream #2 writes bytes 0 to 99 of buffer #2"));
  CHECK(told(check::streamRace, "which cuMemsetD8Async on stream #1 writes as \\\"dstDevice\\\""));
  CHECK(told(check::streamRace, "\"call\":\"cudnnTouch second (queued on stream #2)\""));
}

void hostOrders() {
  Fresh fresh;
  Stream *a = stream(fresh), *b = stream(fresh);
  const uint64_t x = buffer(fresh, 64);
  fill(*a, x, 64, 1);
  callSynchronize(*a);
  touch(*b, "after", {{x, 64, Mode::Read, "x"}});
  fill(*b, x, 64, 2);
  Event *done = event(fresh);
  callRecord(*done, *b);
  for (CUresult status = CUDA_ERROR_NOT_READY; status == CUDA_ERROR_NOT_READY;) {
    Call call(Library::Driver, "cuEventQuery");
    status = query(*done);
    CHECK(status == CUDA_SUCCESS || status == CUDA_ERROR_NOT_READY);
  }
  touch(*a, "polled", {{x, 64, Mode::Read, "x"}});
  callSynchronize(*a);
  CHECK(findings() == 0);
}

// The default stream waits for streams that didn't opt out, and they for it.
void defaultStream() {
  Fresh fresh;
  CUresult status;
  Stream *legacy = resolve(CUstream(nullptr), status), *thread = resolve(CU_STREAM_PER_THREAD, status);
  Stream *blocking = stream(fresh, CU_STREAM_DEFAULT), *other = stream(fresh, CU_STREAM_DEFAULT);
  Stream *apart = stream(fresh, CU_STREAM_NON_BLOCKING);
  const uint64_t x = buffer(fresh, 64), y = buffer(fresh, 64);
  fill(*blocking, x, 64, 1);
  touch(*legacy, "legacy", {{x, 64, Mode::Update, "x"}});
  touch(*other, "other", {{x, 64, Mode::Update, "x"}});
  touch(*legacy, "again", {{x, 64, Mode::Update, "x"}});
  touch(*thread, "thread", {{x, 64, Mode::Update, "x"}});
  callSynchronize(*legacy);
  CHECK(findings() == 0);
  fill(*legacy, y, 64, 1);
  touch(*apart, "apart", {{y, 64, Mode::Update, "y"}});
  callSynchronize(fresh);
  CHECK(findings(check::streamRace) == 1);
  CHECK(told(check::streamRace, "on the default stream"));
}

// A stream's work goes on after its end, and the default stream waits for it.
void destroyedStream() {
  Fresh fresh;
  CUresult status;
  Stream *legacy = resolve(CUstream(nullptr), status), *gone = stream(fresh, CU_STREAM_DEFAULT);
  const uint64_t x = buffer(fresh, 64), y = buffer(fresh, 64);
  fill(*gone, x, 64, 7);
  fill(*gone, y, 64, 7);
  {
    Call call(Library::Driver, "cuStreamDestroy_v2");
    CHECK(destroyStream(gone) == CUDA_SUCCESS);
    CHECK(resolve(handleOf(*gone), status) == nullptr && status == CUDA_ERROR_INVALID_HANDLE);
  }
  CHECK(told(check::badHandle, "stream #1 was destroyed by cuStreamDestroy_v2"));
  touch(*legacy, "legacy", {{x, 64, Mode::Read, "x"}});
  callSynchronize(*legacy);
  CHECK(*data(x) == 7);
  touch(*stream(fresh), "late", {{y, 64, Mode::Read, "y"}});
  callSynchronize(fresh);
  CHECK(findings(check::streamRace) == 0);
}

// A writer has to come after every reader, not just the last one.
void twoReaders() {
  Fresh fresh;
  Stream *a = stream(fresh), *b = stream(fresh);
  const uint64_t x = buffer(fresh, 64);
  fill(*a, x, 64, 1);
  callSynchronize(*a);
  touch(*a, "first", {{x, 64, Mode::Read, "x"}});
  touch(*b, "second", {{x, 64, Mode::Read, "x"}});
  callSynchronize(fresh);
  CHECK(findings() == 0);
  touch(*a, "third", {{x, 64, Mode::Read, "x"}});
  touch(*b, "fourth", {{x, 64, Mode::Read, "x"}});
  Event *done = event(fresh);
  callRecord(*done, *b);
  callWait(*a, *done);
  fill(*a, x, 64, 1);
  touch(*b, "fifth", {{x, 64, Mode::Read, "x"}});
  callSynchronize(fresh);
  CHECK(findings(check::streamRace) == 1 && told(check::streamRace, "cudnnTouch fifth"));
}

// Both of the readers must be known when the writer, which waited for one of them alone, runs last.
void otherReader() {
  Fresh fresh("schedule=eager");
  Stream *a = stream(fresh), *b = stream(fresh);
  const uint64_t x = buffer(fresh, 64);
  fill(*a, x, 64, 1);
  callSynchronize(*a);
  touch(*a, "first", {{x, 64, Mode::Read, "x"}});
  touch(*b, "second", {{x, 64, Mode::Read, "x"}});
  fill(*b, x, 64, 1);
  CHECK(findings(check::streamRace) == 1 && told(check::streamRace, "cudnnTouch first"));
}

// Waiting for the default stream is waiting for those that it waits for.
void hostWaitsForDefault() {
  Fresh fresh;
  CUresult status;
  Stream *legacy = resolve(CUstream(nullptr), status);
  Stream *blocking = stream(fresh, CU_STREAM_DEFAULT), *apart = stream(fresh), *other = stream(fresh);
  const uint64_t x = buffer(fresh, 64), y = buffer(fresh, 64);
  fill(*blocking, x, 64, 1);
  fill(*apart, y, 64, 1);
  callSynchronize(*legacy);
  CHECK(*data(x) == 1);
  touch(*other, "x", {{x, 64, Mode::Read, "x"}});
  callSynchronize(*other);
  CHECK(findings() == 0);
  touch(*other, "y", {{y, 64, Mode::Read, "y"}});
  callSynchronize(fresh);
  CHECK(findings(check::streamRace) == 1);
}

// What nothing waits for doesn't run.
void notBefore() {
  Fresh fresh("schedule=late");
  Stream *a = stream(fresh), *b = stream(fresh);
  const uint64_t x = buffer(fresh, 64), y = buffer(fresh, 64);
  for (int i = 0; i < 50; i++) {
    fill(*a, x, 64, 1);
    fill(*b, y, 64, 1);
    callSynchronize(*b);
  }
  CHECK(*data(y) == 1 && *data(x) == 0);
  callSynchronize(*a);
  CHECK(*data(x) == 1);
}

void polledStream() {
  Fresh fresh;
  Stream *a = stream(fresh), *b = stream(fresh);
  const uint64_t x = buffer(fresh, 64);
  fill(*a, x, 64, 1);
  CUresult status = CUDA_ERROR_NOT_READY;
  for (int i = 0; i < 100 && status == CUDA_ERROR_NOT_READY; i++) status = query(*a);
  CHECK(status == CUDA_SUCCESS && *data(x) == 1);
  touch(*b, "x", {{x, 64, Mode::Update, "x"}});
  callSynchronize(fresh);
  CHECK(findings() == 0);
}

void hostWaitsForEvent() {
  Fresh fresh;
  Stream *a = stream(fresh), *b = stream(fresh);
  Event *done = event(fresh);
  const uint64_t x = buffer(fresh, 64);
  fill(*a, x, 64, 1);
  callRecord(*done, *a);
  callSynchronize(*done);
  touch(*b, "x", {{x, 64, Mode::Update, "x"}});
  callSynchronize(fresh);
  CHECK(findings() == 0);
}

// A wait is for what was recorded last when it was called.
void recordedLater() {
  Fresh fresh;
  Stream *a = stream(fresh), *b = stream(fresh);
  Event *done = event(fresh);
  const uint64_t x = buffer(fresh, 64), y = buffer(fresh, 64);
  CHECK(callWait(*b, *done) == CUDA_SUCCESS);
  fill(*a, x, 64, 1);
  callRecord(*done, *a);
  callWait(*b, *done);
  fill(*a, y, 64, 1);
  callRecord(*done, *a);
  touch(*b, "x", {{x, 64, Mode::Read, "x"}});
  callSynchronize(*b);
  CHECK(findings() == 0);
  touch(*b, "y", {{y, 64, Mode::Read, "y"}});
  callSynchronize(fresh);
  CHECK(findings(check::streamRace) == 1);
}

void freedEarly() {
  Fresh fresh;
  Stream *a = stream(fresh);
  const uint64_t x = buffer(fresh, 64), y = buffer(fresh, 64);
  fill(*a, x, 64, 1);
  CHECK(callRelease(x) == CUDA_SUCCESS);
  CHECK(findings(check::freeInUse) == 1);
  CHECK(told(check::freeInUse, "cuMemsetD8Async, queued on stream #1"));
  fill(*a, y, 64, 1);
  callSynchronize(*a);
  callRelease(y);
  CHECK(findings() == 1);
}

// Kernels tell what they touched when they have run.
void kernelFreedEarly() {
  Fresh fresh;
  Stream *a = stream(fresh);
  const uint64_t x = buffer(fresh, 64);
  {
    Call call(Library::Driver, "cuLaunchKernel");
    Work work;
    work.detail = "k<<<1,1>>>";
    work.runAndTell = [=](std::vector<Access> &touched) {
      touched.push_back({x + 4, 8, Mode::Write, "global memory"});
      return CUDA_SUCCESS;
    };
    enqueue(*a, std::move(work));
  }
  callRelease(x);
  CHECK(findings(check::freeInUse) == 1);
  CHECK(told(check::freeInUse, "cuLaunchKernel k<<<1,1>>>"));
}

}  // namespace

void testHistory() {
  simReset("");
  History history;
  const auto a = doer(0, 1), b = doer(1, 1), c = doer(2, 1);
  CHECK(history.access(0, 100, true, {a, "x"}, clock({1})).empty());
  CHECK(history.access(50, 60, false, {b, "x"}, clock({1, 1})).empty());
  CHECK(history.segments() == 3);
  const auto conflicts = history.access(40, 70, true, {c, "x"}, clock({1, 0, 1}));
  CHECK(conflicts.size() == 1 && conflicts[0].begin == 50 && conflicts[0].end == 60 && !conflicts[0].earlierWrites);
  CHECK(history.segments() == 3);
  CHECK(history.access(0, 100, true, {doer(0, 2), "x"}, clock({2, 1, 1})).empty());
  CHECK(history.segments() == 1);
  CHECK(history.unfinished(clock({2})).doer == nullptr);
  CHECK(history.unfinished(clock({1, 9, 9})).doer != nullptr);
  // Reads side by side by the same work become one again.
  const auto reader = doer(3, 1);
  history.access(0, 50, false, {reader, "x"}, clock({2, 0, 0, 1}));
  history.access(50, 100, false, {reader, "x"}, clock({2, 0, 0, 1}));
  CHECK(history.segments() == 1);
}

void testOrder() {
  withSchedules(oneOrderedOneNot);
  withSchedules(hostOrders);
  withSchedules(twoReaders);
  otherReader();
  withSchedules(hostWaitsForDefault);
  withSchedules(hostWaitsForEvent);
  notBefore();
  withSchedules(polledStream);
  withSchedules(defaultStream);
  withSchedules(destroyedStream);
  withSchedules(recordedLater);
  withSchedules(freedEarly);
  withSchedules(kernelFreedEarly);
}

// ---------------------------------------------------------------------------------------------------- random programs

namespace {

constexpr uint64_t kCells = 12, kCell = 16;

// A program's steps with what must come before each of them, found without clocks: by walking edges.
class Model {
 public:
  struct Step {
    std::vector<size_t> before;
    std::vector<std::pair<uint64_t, bool>> cells;  // touched; true: written
  };
  size_t add(Step step) {
    steps_.push_back(std::move(step));
    return steps_.size() - 1;
  }
  bool reaches(size_t from, size_t to) const {
    std::vector<bool> seen(steps_.size());
    std::vector<size_t> stack{to};
    while (!stack.empty()) {
      const size_t at = stack.back();
      stack.pop_back();
      if (at == from) return true;
      for (size_t before : steps_[at].before) {
        if (!seen[before]) stack.push_back(before);
        seen[before] = true;
      }
    }
    return false;
  }
  bool races() const {
    for (size_t j = 0; j < steps_.size(); j++) {
      for (size_t i = 0; i < j; i++) {
        if (clash(steps_[i], steps_[j]) && !reaches(i, j)) return true;
      }
    }
    return false;
  }

 private:
  static bool clash(const Step &a, const Step &b) {
    for (const auto &x : a.cells) {
      for (const auto &y : b.cells) {
        if (x.first == y.first && (x.second || y.second)) return true;
      }
    }
    return false;
  }
  std::vector<Step> steps_;
};

// Draws a program and runs it on the machine and in the model.
class Program {
 public:
  Program(Fresh &fresh, uint64_t seed, bool careful) : fresh_(fresh), random_(seed), careful_(careful) {
    CUresult status;
    streams_ = {resolve(CUstream(nullptr), status), stream(fresh, CU_STREAM_DEFAULT), stream(fresh, CU_STREAM_DEFAULT),
                stream(fresh, CU_STREAM_NON_BLOCKING), stream(fresh, CU_STREAM_NON_BLOCKING)};
    last_.resize(streams_.size());
    for (int i = 0; i < 3; i++) events_.push_back(event(fresh));
    recorded_.resize(events_.size());
    base_ = buffer(fresh, kCells * kCell);
    expected_.resize(kCells);
    for (uint64_t cell = 0; cell < kCells; cell++) work({{cell, true}}, 0);
    synchronizeAll();
  }

  void run(int steps) {
    for (int i = 0; i < steps; i++) step();
    synchronizeAll();
  }
  bool races() const { return model_.races(); }
  bool right() const {
    for (uint64_t cell = 0; cell < kCells; cell++) {
      if (*at<uint64_t>(base_ + cell * kCell) != expected_[cell]) return false;
    }
    return true;
  }

 private:
  uint64_t draw(uint64_t n) { return nextRandom(random_) % n; }

  void step() {
    const size_t s = draw(streams_.size()), e = draw(events_.size());
    switch (draw(8)) {
      case 0: return recordOn(e, s);
      case 1: return waitOn(s, e);
      case 2: return synchronizeOn(s);
      case 3: return synchronizeOn(events_[e], recorded_[e]);
      default: break;
    }
    std::vector<std::pair<uint64_t, bool>> cells;
    for (uint64_t n = 1 + draw(2); n > 0; n--) cells.emplace_back(draw(kCells), draw(3) == 0);
    if (careful_) makeSafe(cells, s);
    work(cells, s);
  }

  // Waits for every other stream by events, often enough to make a program without a race.
  void makeSafe(const std::vector<std::pair<uint64_t, bool>> &, size_t s) {
    for (size_t other = 0; other < streams_.size(); other++) {
      if (other == s) continue;
      const size_t e = draw(events_.size());
      recordOn(e, other);
      waitOn(s, e);
    }
  }

  // What a step on the stream comes after by the rules of streams.
  std::vector<size_t> before(size_t s) const {
    std::vector<size_t> all = host_;
    all.insert(all.end(), last_[s].begin(), last_[s].end());
    for (size_t other = 0; other < streams_.size(); other++) {
      const bool legacy = s == 0 && (other == 1 || other == 2), blocking = other == 0 && (s == 1 || s == 2);
      if (legacy || blocking) all.insert(all.end(), last_[other].begin(), last_[other].end());
    }
    return all;
  }

  void work(std::vector<std::pair<uint64_t, bool>> cells, size_t s) {
    last_[s] = {model_.add({before(s), cells})};
    std::vector<Access> accesses;
    const uint64_t base = base_, value = ++values_;
    for (const auto &[cell, writes] : cells) {
      accesses.push_back({base + cell * kCell, kCell, writes ? Mode::Write : Mode::Read, "cell"});
      if (writes) expected_[cell] = value;
    }
    Call call(Library::Driver, "cuStep");
    Work work;
    work.runAndTell = [=](std::vector<Access> &touched) {  // as kernels do: told after the run
      for (const Access &access : accesses) {
        touched.push_back(access);
        if (access.mode == Mode::Write) *at<uint64_t>(access.address) = value;
      }
      return CUDA_SUCCESS;
    };
    CHECK(enqueue(*streams_[s], std::move(work)) == CUDA_SUCCESS);
  }

  void recordOn(size_t e, size_t s) {
    recorded_[e] = {model_.add({before(s), {}})};
    last_[s] = recorded_[e];
    CHECK(callRecord(*events_[e], *streams_[s]) == CUDA_SUCCESS);
  }
  void waitOn(size_t s, size_t e) {
    CHECK(callWait(*streams_[s], *events_[e]) == CUDA_SUCCESS);
    if (recorded_[e].empty()) return;
    std::vector<size_t> all = before(s);
    all.insert(all.end(), recorded_[e].begin(), recorded_[e].end());
    last_[s] = {model_.add({all, {}})};
  }
  void synchronizeOn(size_t s) {
    CHECK(callSynchronize(*streams_[s]) == CUDA_SUCCESS);
    std::vector<size_t> all = before(s);
    if (s != 0) {
      all = host_;
      all.insert(all.end(), last_[s].begin(), last_[s].end());
    }
    host_ = {model_.add({all, {}})};
  }
  void synchronizeOn(Event *event, const std::vector<size_t> &recorded) {
    CHECK(callSynchronize(*event) == CUDA_SUCCESS);
    std::vector<size_t> all = host_;
    all.insert(all.end(), recorded.begin(), recorded.end());
    host_ = {model_.add({all, {}})};
  }
  void synchronizeAll() {
    CHECK(callSynchronize(fresh_) == CUDA_SUCCESS);
    for (const auto &last : last_) host_.insert(host_.end(), last.begin(), last.end());
  }

  Fresh &fresh_;
  uint64_t random_, base_ = 0, values_ = 0;
  bool careful_;
  std::vector<Stream *> streams_;
  std::vector<Event *> events_;
  Model model_;
  std::vector<std::vector<size_t>> last_, recorded_;
  std::vector<size_t> host_;
  std::vector<uint64_t> expected_;
};

int racy = 0, clean = 0;

void randomPrograms() {
  static uint64_t seed = baseSeed() * 1000;
  for (int i = 0; i < 12; i++) {
    Fresh fresh;
    Program program(fresh, ++seed, i % 3 == 0);
    program.run(i % 3 == 0 ? 20 : 4 + i);
    const bool races = program.races();
    (races ? racy : clean)++;
    const std::string name = "program " + std::to_string(seed);
    CHECK_TEXT((findings(check::streamRace) > 0) == races, name + (races ? " races" : " doesn't race"));
    if (!races) CHECK_TEXT(program.right(), name + " computes what its steps in order do");
    CHECK_TEXT(findings() == findings(check::streamRace), name + ": nothing else is found");
  }
}

}  // namespace

void testRandomOrder() {
  withSchedules(randomPrograms);
  CHECK(racy > 50 && clean > 50);
}
