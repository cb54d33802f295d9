// Counters of memory traffic: sectors of 32 bytes, each once a launch.
#include "core/test/harness.h"

using namespace sim;

namespace {

constexpr char kTraffic[] = "traffic=1";

// What a call that touches memory like this reads and writes, in bytes.
void moves(const std::vector<Access> &accesses, uint64_t read, uint64_t written) {
  Fresh fresh(kTraffic);
  Stream *s = stream(fresh);
  const uint64_t x = buffer(fresh, 1024);
  fill(*s, x, 1024, 0);
  std::vector<Access> there = accesses;
  for (Access &access : there) access.address += x;
  CHECK(touch(*s, "x", there) == CUDA_SUCCESS);
  CHECK(callSynchronize(*s) == CUDA_SUCCESS);
  CHECK(counted("launches cudnnTouch") == 1);
  CHECK_TEXT(counted("traffic read cudnnTouch") == read, "reads " + std::to_string(read));
  CHECK_TEXT(counted("traffic written cudnnTouch") == written, "writes " + std::to_string(written));
  CHECK(findings() == 0);
}

void sectors() {
  moves({{0, 1024, Mode::Read, "x"}}, 1024, 0);
  moves({{0, 1, Mode::Read, "x"}}, 32, 0);
  moves({{31, 2, Mode::Read, "x"}}, 64, 0);  // the last byte of one sector and the first of the next
  moves({{32, 32, Mode::Write, "x"}}, 0, 32);
  moves({{33, 32, Mode::Write, "x"}}, 0, 64);
  moves({{0, 0, Mode::Read, "x"}}, 0, 0);
}

void strides() {
  std::vector<Access> every8, every64;
  for (uint64_t i = 0; i < 16; i++) {
    every8.push_back({i * 8, 4, Mode::Read, "x"});
    every64.push_back({(15 - i) * 64, 4, Mode::Write, "x"});  // backwards
  }
  moves(every8, 128, 0);
  moves(every64, 0, 16 * 32);
}

void modes() {
  moves({{0, 64, Mode::Update, "x"}}, 64, 64);
  moves({{0, 64, Mode::Scratch, "x"}}, 0, 0);
  moves({{0, 64, Mode::Read, "a"}, {64, 64, Mode::Read, "b", true}}, 64, 0);  // the call can do without b
  moves({{0, 64, Mode::Read, "a"}, {0, 64, Mode::Write, "b"}}, 64, 64);   // in place
  moves({{0, 64, Mode::Read, "a"}, {0, 64, Mode::Read, "b"}}, 64, 0);     // the same operand twice
  moves({{0, 100, Mode::Read, "a"}, {90, 70, Mode::Read, "b"}}, 160, 0);  // operands that share bytes
  moves({{0, 256, Mode::Read, "a"}, {32, 32, Mode::Read, "b"}, {250, 40, Mode::Read, "c"}}, 320, 0);  // one within another
}

// Each kind of work has a name, each launch counts, and what the host does not.
void names() {
  Fresh fresh(kTraffic);
  Stream *s = stream(fresh);
  const uint64_t x = buffer(fresh, 256), y = buffer(fresh, 256);
  uint8_t *host = pinned(fresh, 256);
  for (int i = 0; i < 2; i++) {
    upload(*s, x, host, 40);
    callSynchronize(*s);
  }
  fill(*s, y, 33, 0);
  copy(*s, y + 64, x, 32);
  download(*s, host, x, 8);
  callSynchronize(*s);
  CHECK(counted("launches memcpy HtoD") == 2 && counted("traffic written memcpy HtoD") == 128);
  CHECK(counted("traffic read memcpy HtoD") == 0);
  CHECK(counted("launches memset") == 1 && counted("traffic written memset") == 64);
  CHECK(counted("traffic read memcpy DtoD") == 32 && counted("traffic written memcpy DtoD") == 32);
  CHECK(counted("traffic read memcpy DtoH") == 32 && counted("traffic written memcpy DtoH") == 0);
  CHECK(findings() == 0);
}

// A kernel tells what it touched when it has run, constants among it.
void kernels() {
  Fresh fresh(kTraffic);
  Stream *s = stream(fresh);
  const uint64_t x = buffer(fresh, 256);
  fill(*s, x, 256, 0);
  Call call(Library::Driver, "cuLaunchKernel");
  const Allocation *constants = allocateForModule(*fresh.context, 64, false, "module");
  Work work;
  work.detail = "tell<<<(1,1,1),(32,1,1)>>>";
  work.counter = "kernel";
  work.runAndTell = [x, constants](std::vector<Access> &touched) {
    touched = {{x, 4, Mode::Read, "x"}, {x + 28, 8, Mode::Read, "x"}, {constants->address, 4, Mode::Read, "constants"},
               {x + 128, 4, Mode::Write, "x"}};
    return CUDA_SUCCESS;
  };
  CHECK(enqueue(*s, std::move(work)) == CUDA_SUCCESS);
  CHECK(synchronize(*s) == CUDA_SUCCESS);
  CHECK(counted("launches kernel tell") == 1);
  CHECK(counted("traffic read kernel tell") == 64 && counted("traffic written kernel tell") == 32);
}

// Captured work counts when it runs, each time.
void graphs() {
  Fresh fresh(kTraffic);
  Stream *s = stream(fresh);
  const uint64_t x = buffer(fresh, 256);
  fill(*s, x, 256, 0);
  callSynchronize(*s);
  {
    Call call(Library::Driver, "cuStreamBeginCapture_v2");
    CHECK(beginCapture(*s, CU_STREAM_CAPTURE_MODE_GLOBAL) == CUDA_SUCCESS);
  }
  touch(*s, "x", {{x, 40, Mode::Read, "x"}, {x + 128, 4, Mode::Update, "y"}});
  Graph *graph = nullptr;
  GraphExec *exec = nullptr;
  {
    Call call(Library::Driver, "cuStreamEndCapture");
    CHECK(endCapture(*s, graph) == CUDA_SUCCESS && instantiate(*graph, exec) == CUDA_SUCCESS);
  }
  CHECK(counted("launches cudnnTouch") == 0 && counted("traffic read cudnnTouch") == 0);
  for (uint64_t i = 1; i <= 3; i++) {
    {
      Call call(Library::Driver, "cuGraphLaunch");
      CHECK(launchGraph(*exec, *s) == CUDA_SUCCESS);
    }
    callSynchronize(*s);
    CHECK(counted("launches cudnnTouch") == i);
    CHECK(counted("traffic read cudnnTouch") == i * 96 && counted("traffic written cudnnTouch") == i * 32);
  }
  CHECK(findings() == 0);
}

// Off unless asked for, and only for the whole life of a machine.
void off() {
  for (const char *configuration : {"", "traffic=0"}) {
    Fresh fresh(configuration);
    Stream *s = stream(fresh);
    fill(*s, buffer(fresh, 64), 64, 0);
    callSynchronize(*s);
    const std::string report = simReport(0);
    CHECK(report.find("traffic ") == std::string::npos && report.find("launches memset") == std::string::npos);
    CHECK(simSet(kTraffic) == -1);
  }
  CHECK(simReset("traffic=2") == -1 && simReset("traffic=yes") == -1);
}

}  // namespace

void testTraffic() {
  sectors();
  strides();
  modes();
  withSchedules(names);
  kernels();
  withSchedules(graphs);
  off();
}
