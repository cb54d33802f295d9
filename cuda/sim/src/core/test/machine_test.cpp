// Contexts and threads, handles, faults on demand, the report, and what it all costs.
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>
#include <thread>

#include "core/test/harness.h"

using namespace sim;

namespace {

void currentPerThread() {
  Fresh fresh;
  CUresult status = CUDA_SUCCESS;
  std::thread([&] {
    Call call(Library::Driver, "cuMemAlloc_v2");
    CHECK(current() == nullptr);
    CHECK(need(status) == nullptr);
  }).join();
  CHECK(status == CUDA_ERROR_INVALID_CONTEXT && findings(check::noContext) == 1);
  CHECK(need(status) == fresh.context && status == CUDA_SUCCESS);

  Call call(Library::Driver, "cuCtxCreate_v2");
  Context *made = nullptr, *popped = nullptr;
  CHECK(createContext(0, 0, made) == CUDA_SUCCESS && current() == made);
  CHECK(push(fresh.context) == CUDA_SUCCESS && current() == fresh.context);
  CHECK(pop(popped) == CUDA_SUCCESS && popped == fresh.context && current() == made);
  CHECK(setCurrent(nullptr) == CUDA_SUCCESS && current() == fresh.context);
  push(made);
  CHECK(destroyContext(made) == CUDA_SUCCESS && current() == fresh.context);
  CHECK(destroyContext(made) == CUDA_ERROR_INVALID_CONTEXT && findings(check::badHandle) == 1);
  CHECK(push(made) == CUDA_ERROR_INVALID_CONTEXT);
  CHECK(!alive(made) && alive(fresh.context));
  push(fresh.context);
  simReset("");
  CHECK(current() == nullptr);
}

void otherContext() {
  Fresh fresh;
  Stream *s = stream(fresh);
  const uint64_t x = buffer(fresh, 16);
  Call call(Library::Driver, "cuCtxCreate_v2");
  Context *made = nullptr;
  CUresult status;
  createContext(0, 0, made);
  CHECK(resolve(handleOf(*s), status) == nullptr && status == CUDA_ERROR_INVALID_HANDLE);
  CHECK(findings(check::wrongContext) == 1);
  CHECK(fill(*resolve(CUstream(nullptr), status), x, 16, 1) == CUDA_SUCCESS);
  CHECK(findings(check::wrongContext) == 2);
  destroyContext(made);
}

void counted_() {
  Fresh fresh;
  Stream *s = stream(fresh);
  const uint64_t x = buffer(fresh, 16);
  Call call(Library::Driver, "cuDevicePrimaryCtxRelease_v2");
  Context *again = nullptr;
  CHECK(retainPrimary(0, again) == CUDA_SUCCESS && again == fresh.context);
  CHECK(releasePrimary(0) == CUDA_SUCCESS && primaryActive(0));
  CHECK(releasePrimary(0) == CUDA_SUCCESS && !primaryActive(0) && primary(0) == nullptr);
  CHECK(releasePrimary(0) == CUDA_ERROR_INVALID_CONTEXT && findings(check::doubleFree) == 1);
  CHECK(leaked("device memory") && leaked("CUstream") && !leaked("CUcontext"));
  CUresult status;
  CHECK(need(status) == nullptr && status == CUDA_ERROR_CONTEXT_IS_DESTROYED);
  CHECK(find(x)->freedBy == "the end of the primary context of device 0");
  CHECK(retainPrimary(0, again) == CUDA_SUCCESS);
  CHECK(setCurrent(again) == CUDA_SUCCESS && need(status) == again);
  CHECK(resolve(handleOf(*s), status) == nullptr);
  CHECK(retainPrimary(1, again) == CUDA_ERROR_INVALID_DEVICE);
}

void registry() {
  Fresh fresh;
  Stream *s = stream(fresh);
  int module = 0, handle = 0;
  {
    Call call(Library::Dnn, "cudnnCreate");
    born(&handle, "cudnnHandle_t");
    born(&module, "CUmodule");
    CHECK(check_(&handle, "cudnnHandle_t") && check_(&module, "CUmodule"));
    CHECK(!check_(&module, "cudnnHandle_t") && told(check::badHandle, "CUmodule #1 was passed as a cudnnHandle_t"));
    CHECK(!check_(&fresh, "CUmodule") && !check_(nullptr, "CUmodule"));
  }
  CHECK(leaked("cudnnHandle_t"));
  const auto use = [&] {
    Call call(Library::Driver, "cuLaunchKernel");
    Work work;
    work.handles = {&module};
    work.run = [] { return CUDA_SUCCESS; };
    enqueue(*s, std::move(work));
  };
  use();
  callSynchronize(*s);
  use();
  Call call(Library::Driver, "cuModuleUnload");
  died(&module);
  CHECK(findings(check::freeInUse) == 1);
  died(&handle);
  CHECK(findings(check::freeInUse) == 1);
  CHECK(!check_(&handle, "cudnnHandle_t"));
  CHECK(told(check::badHandle, "cudnnHandle_t #1 was destroyed by cuModuleUnload"));
  CHECK(!leaked("cudnnHandle_t"));
}

// Modules go with their context, other objects don't.
void modulesAtTheEnd() {
  Fresh fresh;
  int module = 0, handle = 0;
  Call call(Library::Driver, "cuDevicePrimaryCtxRelease_v2");
  born(&module, "CUmodule");
  born(&handle, "cudnnHandle_t");
  releasePrimary(0);
  const std::string text = simReport(0);
  CHECK(text.find("CUmodule #1") != std::string::npos && text.find("cudnnHandle_t") == std::string::npos);
  const std::string final = simReport(1);
  CHECK(final.find("CUmodule #1") == final.rfind("CUmodule #1, "));
  CHECK(!check_(&module, "CUmodule") && check_(&handle, "cudnnHandle_t"));
}

void times() {
  Fresh fresh("schedule=late");
  Stream *s = stream(fresh);
  Event *start = event(fresh), *stop = event(fresh), *never = event(fresh), *untimed = nullptr;
  const uint64_t x = buffer(fresh, 1 << 20), y = buffer(fresh, 1 << 20);
  float milliseconds = 0;
  fill(*s, x, 1 << 20, 1);
  callRecord(*start, *s);
  copy(*s, y, x, 1 << 20);
  callRecord(*stop, *s);
  CHECK(elapsed(*start, *stop, milliseconds) == CUDA_ERROR_NOT_READY);
  callSynchronize(*s);
  CHECK(elapsed(*start, *stop, milliseconds) == CUDA_SUCCESS && milliseconds > 0.1f && milliseconds < 0.2f);
  CHECK(elapsed(*stop, *start, milliseconds) == CUDA_SUCCESS && milliseconds < -0.1f);
  CHECK(findings() == 0);
  CHECK(elapsed(*start, *never, milliseconds) == CUDA_ERROR_INVALID_HANDLE);
  CHECK(createEvent(*fresh.context, CU_EVENT_DISABLE_TIMING, untimed) == CUDA_SUCCESS);
  callRecord(*untimed, *s);
  CHECK(elapsed(*start, *untimed, milliseconds) == CUDA_ERROR_INVALID_HANDLE);
  CHECK(findings(check::badHandle) == 2);
  CHECK(createEvent(*fresh.context, CU_EVENT_INTERPROCESS, untimed) == CUDA_ERROR_INVALID_VALUE);
}

void hostFunctions() {
  Fresh fresh("schedule=late");
  Stream *s = stream(fresh);
  std::atomic<int> ran{0};
  int status = 0;
  {
    Call call(Library::Driver, "cuLaunchHostFunc");
    Work work;
    work.hostFunction = true;
    work.run = [&] {
      Call inner(Library::Driver, "cuMemAlloc_v2");
      status = inner.fault();
      ran = 1;
      return CUDA_SUCCESS;
    };
    enqueue(*s, std::move(work));
  }
  // Nobody calls anything, and it runs all the same.
  for (int i = 0; i < 1000 && ran == 0; i++) usleep(5000);
  CHECK(ran == 1 && status == CUDA_ERROR_NOT_PERMITTED);
  CHECK(findings(check::hostFunction) == 1);
  CHECK(counted("call.cuMemAlloc_v2") == 0);
}

CUresult launchKernel(Stream &s) {
  Call call(Library::Driver, "cuLaunchKernel");
  if (call.fault() != 0) return CUresult(call.fault());
  Work work;
  work.counter = "kernel";
  work.run = [] { return CUDA_SUCCESS; };
  return enqueue(s, std::move(work));
}

void calls() {
  Fresh fresh("fault=cuLaunchKernel@2=719\nfault=cuLaunchKernel@4=2");
  Stream *s = stream(fresh);
  const int expected[] = {0, 719, 0, 2, 0};
  for (const int status : expected) CHECK(int(launchKernel(*s)) == status);
  CHECK(simSet("fault=cuLaunchKernel@2=1") == 0);
  CHECK(launchKernel(*s) == CUDA_SUCCESS && launchKernel(*s) == CUDA_ERROR_INVALID_VALUE);
  CHECK(findings() == 0);
  CHECK(simSet("seed=3") == -1 && std::strstr(simError(), "seed") != nullptr);
}

void memoryFaults() {
  Fresh fresh("oom=2");
  buffer(fresh, 8);
  uint64_t address = 0;
  Call call(Library::Driver, "cuMemAlloc_v2");
  CHECK(allocate(*fresh.context, 8, address) == CUDA_ERROR_OUT_OF_MEMORY);
  CHECK(allocate(*fresh.context, 8, address) == CUDA_SUCCESS);
}

void timeouts() {
  Fresh fresh("timeout=2");
  Stream *s = stream(fresh);
  event(fresh);
  const uint64_t x = buffer(fresh, 8);
  CHECK(launchKernel(*s) == CUDA_SUCCESS && callSynchronize(*s) == CUDA_SUCCESS);
  CHECK(launchKernel(*s) == CUDA_SUCCESS && callSynchronize(*s) == CUDA_ERROR_LAUNCH_TIMEOUT);
  CHECK(launchKernel(*s) == CUDA_ERROR_LAUNCH_TIMEOUT && callSynchronize(fresh) == CUDA_ERROR_LAUNCH_TIMEOUT);
  CUresult status;
  CHECK(need(status) == nullptr && status == CUDA_ERROR_LAUNCH_TIMEOUT);
  CHECK(callRelease(x) == CUDA_ERROR_LAUNCH_TIMEOUT);
  CHECK(findings() == 0 && !leaked("CUstream") && !leaked("CUevent"));
  Call call(Library::Driver, "cuDevicePrimaryCtxReset_v2");
  CHECK(resetPrimary(0) == CUDA_SUCCESS && need(status) == fresh.context);
  CHECK(launchKernel(*resolve(CUstream(nullptr), status)) == CUDA_SUCCESS);
}

// What could not be waited for or released after a fatal error is no finding when the context goes.
void deadContext() {
  Fresh fresh("timeout=1");
  Stream *s = stream(fresh);
  const uint64_t x = buffer(fresh, 8);
  uint8_t *in = pinned(fresh, 8);
  upload(*s, x, in, 8);
  launchKernel(*s);
  CHECK(callSynchronize(fresh) == CUDA_ERROR_LAUNCH_TIMEOUT);
  Call call(Library::Driver, "cuDevicePrimaryCtxRelease_v2");
  CHECK(releasePrimary(0) == CUDA_SUCCESS);
  CHECK(findings() == 0 && !leaked("device memory") && !leaked("pinned memory"));
}

void lostDevice() {
  Fresh fresh("lost=3,devices=2");
  Stream *s = stream(fresh);
  Context *other = nullptr, *made = nullptr;
  CHECK(createContext(1, 0, other) == CUDA_SUCCESS && pop(made) == CUDA_SUCCESS);
  launchKernel(*s);
  launchKernel(*s);
  CHECK(callSynchronize(*s) == CUDA_SUCCESS);
  launchKernel(*s);
  CHECK(callSynchronize(*s) == CUDA_ERROR_UNKNOWN);
  Call call(Library::Driver, "cuCtxCreate_v2");
  CHECK(createContext(0, 0, made) == CUDA_ERROR_DEVICE_UNAVAILABLE);
  CHECK(stickyError(*fresh.context) == CUDA_ERROR_UNKNOWN && stickyError(*other) == CUDA_SUCCESS);
  CHECK(createContext(1, 0, made) == CUDA_SUCCESS);
}

void configurations() {
  simReset("");
  CHECK(simReset("sede=3") == -1 && std::strstr(simError(), "sede=3") != nullptr);
  CHECK(simReset("cc=5.0") == -1 && simReset("memory=2X") == -1 && simReset("fault=a@0=1") == -1);
  CHECK(simReset("cc=7.5, memory=3G\n devices=2,sms=7,driver=11080,allow=this,allow=that:9") == 0);
  CHECK(properties(1).major == 7 && properties(1).minor == 5 && properties(1).sharedPerBlockOptin == 65536);
  CHECK(properties(0).memory == uint64_t(3) << 30 && properties(0).multiprocessors == 7 && deviceCount() == 2);
  CHECK(properties(0).name.find("(simulated)") != std::string::npos);
  CHECK(driverVersion() == 11080);
  CHECK(option("this", "no") == "1" && option("that", "no") == "9" && option("other", "no") == "no");
  CHECK(simReset("devices=0") == 0 && deviceCount() == 0);
  simReset("");
}

void jsonText() {
  Fresh fresh;
  {
    Call call(Library::Driver, "cuTest");
    for (int i = 0; i < 3; i++) report(check::badValue, "a \"quote\", a \\ and a\nline\x01");
    Call nested(Library::Blas, "cublasNested");
    report(check::leak, "inside");
    count("things", 5);
  }
  const std::string text = simReport(0);
  CHECK(text.find("\"message\":\"a \\\"quote\\\", a \\\\ and a\\u000aline\\u0001\",\"count\":3}") != std::string::npos);
  CHECK(text.find("{\"check\":\"leak\",\"call\":\"cuTest\",\"message\":\"inside\",\"count\":1}") != std::string::npos);
  CHECK(counted("things") == 5 && counted("call.cuTest") == 1 && counted("call.cublasNested") == 0);
}

// The file is there though nobody asked for it, a moment after the last call.
void file() {
  char path[] = "/tmp/core-report-XXXXXX";
  const int made = mkstemp(path);
  CHECK(made >= 0);
  close(made);
  {
    Fresh fresh(std::string("report=") + path);
    stream(fresh);
    bool there = false;
    for (int i = 0; i < 400 && !there; i++) {
      usleep(5000);
      std::ifstream in(path);
      std::stringstream text;
      text << in.rdbuf();
      there = text.str().find("\"kind\":\"CUstream\"") != std::string::npos;
    }
    CHECK(there);
  }
  std::remove(path);
}

double seconds(const std::chrono::steady_clock::time_point &since) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
}

}  // namespace

void testContexts() {
  currentPerThread();
  withSchedules(otherContext);
  counted_();
}

void testHandles() {
  withSchedules(registry);
  modulesAtTheEnd();
  times();
  hostFunctions();
}

void testFaults() {
  withSchedules(calls);
  memoryFaults();
  withSchedules(timeouts);
  withSchedules(deadContext);
  withSchedules(lostDevice);
}

void testReport() {
  configurations();
  jsonText();
  file();
}

// A training step's worth of checks: 60 pieces of work with buffers of up to 13 MB.
void testSpeed() {
  Fresh fresh;
  Stream *s = stream(fresh);
  constexpr uint64_t kBytes = 13 << 20;
  std::vector<uint64_t> buffers;
  for (int i = 0; i < 6; i++) buffers.push_back(buffer(fresh, kBytes >> i));
  for (int i = 0; i < 6; i++) fill(*s, buffers[size_t(i)], kBytes >> i, 1);
  callSynchronize(*s);
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 60; i++) {
    const int a = i % 6, b = (i + 1) % 6;
    touch(*s, "step", {{buffers[size_t(a)], kBytes >> a, Mode::Read, "x"},
                       {buffers[size_t(b)], kBytes >> b, Mode::Write, "y"}});
  }
  callSynchronize(*s);
  const double took = seconds(start);
  std::printf("60 pieces of work on up to 13 MB: %.0f ms\n", took * 1e3);
  CHECK(took < 1);
  const auto many = std::chrono::steady_clock::now();
  const uint64_t small = buffer(fresh, 4096);
  for (uint64_t i = 0; i < 20000; i++) fill(*s, small + i % 64 * 64, 64, 1);
  callSynchronize(*s);
  const double each = seconds(many) / 20000;
  std::printf("a small piece of work: %.1f us\n", each * 1e6);
  CHECK(each < 100e-6);
  CHECK(findings() == 0);
}
