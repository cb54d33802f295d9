#include "core/test/harness.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

int checks = 0, failures = 0;
uint64_t seed = 1;
std::string situation;

// The value of a string field that starts at `at`, as it stands in the JSON text.
std::string field(const std::string &text, const std::string &name) {
  const std::string begin = "\"" + name + "\":\"";
  const size_t at = text.find(begin);
  if (at == std::string::npos) return "";
  size_t end = at + begin.size();
  while (end < text.size() && text[end] != '"') end += text[end] == '\\' ? 2 : 1;
  return text.substr(at + begin.size(), end - at - begin.size());
}

std::vector<std::string> lines(const char *section) {
  const std::string text = simReport(0);
  std::vector<std::string> found;
  size_t at = text.find(std::string("\"") + section + "\":[") + std::strlen(section) + 4;
  const size_t end = text.find("],\n\"", at);
  while (at < end && at != std::string::npos) {
    const size_t next = std::min(text.find('\n', at), end);
    if (next > at + 1) found.push_back(text.substr(at, next - at));
    at = next + 1;
  }
  return found;
}

}  // namespace

bool expect(bool pass, const char *file, int line, const std::string &text) {
  checks++;
  if (pass) return true;
  failures++;
  if (failures <= 40) {
    std::printf("%s:%d: %s (%s)\n%s\n", file, line, text.c_str(), situation.c_str(), simReport(0));
  }
  return false;
}

uint64_t baseSeed() { return seed; }

uint64_t nextRandom(uint64_t &state) {
  state = state * 6364136223846793005ull + 1442695040888963407ull;
  return state >> 33;
}

namespace {

std::string schedule = "seed=1";

}  // namespace

void withSchedules(void (*test)()) {
  for (const char *name : {"random", "late", "eager"}) {
    for (uint64_t i = 0; i < 8; i++) {
      schedule = std::string("schedule=") + name + ",seed=" + std::to_string(seed + i);
      test();
    }
  }
  schedule = "seed=1";
}

Fresh::Fresh(const std::string &configuration) {
  situation = schedule + (configuration.empty() ? "" : "," + configuration);
  if (simReset(situation.c_str()) != 0) {
    std::printf("%s\n", simError());
    std::exit(2);
  }
  sim::Call call(sim::Library::Driver, "cuDevicePrimaryCtxRetain");
  sim::retainPrimary(0, context);
  sim::setCurrent(context);
}

Fresh::~Fresh() { simReset(""); }

int findings(const char *check) {
  int count = 0;
  for (const std::string &line : lines("findings")) {
    if (check == nullptr || field(line, "check") == check) count++;
  }
  return count;
}

int findings() { return findings(nullptr); }

bool told(const char *check, const std::string &text) {
  for (const std::string &line : lines("findings")) {
    if (field(line, "check") == check && line.find(text) != std::string::npos) return true;
  }
  return false;
}

bool leaked(const char *kind) {
  const std::string text = simReport(1);
  return text.find(std::string("{\"kind\":\"") + kind + "\"") != std::string::npos;
}

uint64_t counted(const std::string &counter) {
  const std::string text = simReport(0), name = "\"" + counter + "\":";
  const size_t at = text.find(name);
  return at == std::string::npos ? 0 : std::strtoull(text.c_str() + at + name.size(), nullptr, 10);
}

sim::Stream *stream(Fresh &fresh, unsigned flags) {
  sim::Call call(sim::Library::Driver, "cuStreamCreate");
  sim::Stream *made = nullptr;
  CHECK(sim::createStream(*fresh.context, flags, 0, made) == CUDA_SUCCESS);
  return made;
}

sim::Event *event(Fresh &fresh) {
  sim::Call call(sim::Library::Driver, "cuEventCreate");
  sim::Event *made = nullptr;
  CHECK(sim::createEvent(*fresh.context, 0, made) == CUDA_SUCCESS);
  return made;
}

uint64_t buffer(Fresh &fresh, uint64_t bytes) {
  sim::Call call(sim::Library::Driver, "cuMemAlloc_v2");
  uint64_t address = 0;
  CHECK(sim::allocate(*fresh.context, bytes, address) == CUDA_SUCCESS);
  return address;
}

uint8_t *pinned(Fresh &fresh, uint64_t bytes) {
  sim::Call call(sim::Library::Driver, "cuMemHostAlloc");
  void *address = nullptr;
  CHECK(sim::allocateHost(*fresh.context, bytes, 0, address) == CUDA_SUCCESS);
  return static_cast<uint8_t *>(address);
}

CUresult fill(sim::Stream &stream, uint64_t address, uint64_t bytes, uint8_t value) {
  sim::Call call(sim::Library::Driver, "cuMemsetD8Async");
  sim::Work work;
  work.accesses = {{address, bytes, sim::Mode::Write, "dstDevice"}};
  work.counter = "memset";
  work.run = [=] {
    std::memset(sim::data(address), value, bytes);
    return CUDA_SUCCESS;
  };
  return sim::enqueue(stream, std::move(work));
}

CUresult touch(sim::Stream &stream, const std::string &name, const std::vector<sim::Access> &accesses) {
  sim::Call call(sim::Library::Dnn, "cudnnTouch");
  sim::Work work;
  work.detail = name;
  work.accesses = accesses;
  work.counter = "dnn";
  work.run = [] { return CUDA_SUCCESS; };
  return sim::enqueue(stream, std::move(work));
}

CUresult upload(sim::Stream &stream, uint64_t to, const void *from, uint64_t bytes) {
  sim::Call call(sim::Library::Driver, "cuMemcpyHtoDAsync_v2");
  sim::Work work;
  work.accesses = {{to, bytes, sim::Mode::Write, "dstDevice"}};
  work.hostRead = from;
  work.hostBytes = bytes;
  work.counter = "memcpy HtoD";
  work.counterBytes = bytes;
  work.run = [=] {
    std::memcpy(sim::data(to), from, bytes);
    return CUDA_SUCCESS;
  };
  return sim::enqueue(stream, std::move(work));
}

CUresult download(sim::Stream &stream, void *to, uint64_t from, uint64_t bytes) {
  sim::Call call(sim::Library::Driver, "cuMemcpyDtoHAsync_v2");
  sim::Work work;
  work.accesses = {{from, bytes, sim::Mode::Read, "srcDevice"}};
  work.hostWrite = to;
  work.hostBytes = bytes;
  work.counter = "memcpy DtoH";
  work.counterBytes = bytes;
  work.run = [=] {
    std::memcpy(to, sim::data(from), bytes);
    return CUDA_SUCCESS;
  };
  return sim::enqueue(stream, std::move(work));
}

CUresult copy(sim::Stream &stream, uint64_t to, uint64_t from, uint64_t bytes) {
  sim::Call call(sim::Library::Driver, "cuMemcpyDtoDAsync_v2");
  sim::Work work;
  work.accesses = {{from, bytes, sim::Mode::Read, "srcDevice"}, {to, bytes, sim::Mode::Write, "dstDevice"}};
  work.counter = "memcpy DtoD";
  work.counterBytes = bytes;
  work.run = [=] {
    std::memmove(sim::data(to), sim::data(from), bytes);
    return CUDA_SUCCESS;
  };
  return sim::enqueue(stream, std::move(work));
}

CUresult callRecord(sim::Event &event, sim::Stream &stream) {
  sim::Call call(sim::Library::Driver, "cuEventRecord");
  return sim::record(event, stream);
}

CUresult callWait(sim::Stream &stream, sim::Event &event) {
  sim::Call call(sim::Library::Driver, "cuStreamWaitEvent");
  return sim::wait(stream, event);
}

CUresult callSynchronize(sim::Stream &stream) {
  sim::Call call(sim::Library::Driver, "cuStreamSynchronize");
  return sim::synchronize(stream);
}

CUresult callSynchronize(sim::Event &event) {
  sim::Call call(sim::Library::Driver, "cuEventSynchronize");
  return sim::synchronize(event);
}

CUresult callSynchronize(Fresh &fresh) {
  sim::Call call(sim::Library::Driver, "cuCtxSynchronize");
  return sim::synchronize(*fresh.context);
}

CUresult callRelease(uint64_t address) {
  sim::Call call(sim::Library::Driver, "cuMemFree_v2");
  return sim::release(address);
}

// Usage: [SEED [TEST...]]
int main(int count, char **arguments) {
  struct Test {
    const char *name;
    void (*run)();
  };
  const Test tests[] = {
      {"history", testHistory},   {"memory", testMemory},   {"order", testOrder},     {"random", testRandomOrder},
      {"pinned", testPinned},     {"capture", testCapture}, {"contexts", testContexts}, {"handles", testHandles},
      {"faults", testFaults},     {"report", testReport},   {"traffic", testTraffic},
      {"speed", testSpeed},
  };
  if (count > 1) seed = std::strtoull(arguments[1], nullptr, 10);
  for (const Test &test : tests) {
    bool wanted = count <= 2;
    for (int i = 2; i < count; i++) wanted = wanted || test.name == std::string(arguments[i]);
    if (wanted) test.run();
  }
  std::printf("seed %llu: %d checks, %d failures\n", static_cast<unsigned long long>(baseSeed()), checks, failures);
  return failures == 0 ? 0 : 1;
}
