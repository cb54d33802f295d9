// Capture and graphs: what a capture takes, when it ends badly, and what a launch runs.
#include <cstring>
#include <thread>

#include "core/test/harness.h"

using namespace sim;

namespace {

CUresult begin(Stream &stream, CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL) {
  Call call(Library::Driver, "cuStreamBeginCapture_v2");
  return beginCapture(stream, mode);
}

CUresult end(Stream &stream, Graph *&graph) {
  Call call(Library::Driver, "cuStreamEndCapture");
  return endCapture(stream, graph);
}

GraphExec *instantiated(Graph *graph) {
  Call call(Library::Driver, "cuGraphInstantiateWithFlags");
  GraphExec *exec = nullptr;
  CHECK(instantiate(*graph, exec) == CUDA_SUCCESS);
  CHECK(destroyGraph(graph) == CUDA_SUCCESS);
  return exec;
}

CUresult launch(GraphExec *exec, Stream &stream) {
  Call call(Library::Driver, "cuGraphLaunch");
  return launchGraph(*exec, stream);
}

CUresult destroy(GraphExec *exec) {
  Call call(Library::Driver, "cuGraphExecDestroy");
  return destroyGraphExec(exec);
}

// Adds one to each byte.
void increment(Stream &s, uint64_t address, uint64_t bytes) {
  Call call(Library::Driver, "cuIncrement");
  Work work;
  work.accesses = {{address, bytes, Mode::Update, "x"}};
  work.counter = "kernel";
  work.run = [=] {
    for (uint64_t i = 0; i < bytes; i++) data(address)[i]++;
    return CUDA_SUCCESS;
  };
  CHECK(enqueue(s, std::move(work)) == CUDA_SUCCESS);
}

void launches() {
  Fresh fresh;
  Stream *s = stream(fresh);
  const uint64_t x = buffer(fresh, 16);
  fill(*s, x, 16, 0);
  callSynchronize(*s);
  uint64_t id = 0;
  CHECK(captureStatus(*s, id) == CU_STREAM_CAPTURE_STATUS_NONE);
  CHECK(begin(*s) == CUDA_SUCCESS);
  CHECK(captureStatus(*s, id) == CU_STREAM_CAPTURE_STATUS_ACTIVE && id == 1);
  increment(*s, x, 16);
  increment(*s, x, 8);
  Graph *graph = nullptr;
  CHECK(end(*s, graph) == CUDA_SUCCESS && graph != nullptr);
  CHECK(nodeCount(*graph) == 2 && node(*graph, 0) != node(*graph, 1));
  CHECK(counted("kernel") == 0);
  GraphExec *exec = instantiated(graph);
  for (int i = 0; i < 3; i++) CHECK(launch(exec, *s) == CUDA_SUCCESS);
  callSynchronize(*s);
  CHECK(data(x)[0] == 6 && data(x)[15] == 3);
  CHECK(counted("graph launches") == 3 && counted("graph nodes run") == 6 && counted("kernel") == 6);
  CHECK(findings() == 0);
  CHECK(leaked("CUgraphExec") && !leaked("CUgraph"));
  CHECK(destroy(exec) == CUDA_SUCCESS);
  CHECK(findings() == 0 && !leaked("CUgraphExec"));
  CUresult status;
  CHECK(resolve(reinterpret_cast<CUgraphExec>(exec), status) == nullptr);
  CHECK(told(check::badHandle, "executable graph #1 was destroyed by cuGraphExecDestroy"));
}

// A launch comes after the last one of the same graph, on whatever stream; other streams have to wait for it.
void launchOrder() {
  Fresh fresh;
  Stream *s = stream(fresh), *t = stream(fresh);
  const uint64_t x = buffer(fresh, 16);
  fill(*s, x, 16, 0);
  begin(*s);
  increment(*s, x, 16);
  Graph *graph = nullptr;
  end(*s, graph);
  GraphExec *exec = instantiated(graph);
  launch(exec, *s);
  launch(exec, *t);
  callSynchronize(*t);
  CHECK(findings() == 0 && data(x)[0] == 2);
  launch(exec, *s);
  increment(*t, x, 1);
  callSynchronize(fresh);
  CHECK(findings(check::streamRace) == 1);
  CHECK(told(check::streamRace, "on stream #1 by executable graph #1"));
  launch(exec, *s);
  destroy(exec);
  CHECK(findings(check::freeInUse) == 1);
  callSynchronize(fresh);
  CHECK(data(x)[15] == 4);
}

void fork(bool joined, bool disjoint) {
  Fresh fresh;
  Stream *s = stream(fresh), *t = stream(fresh);
  Event *forked = event(fresh), *done = event(fresh);
  const uint64_t x = buffer(fresh, 32);
  fill(*s, x, 32, 0);
  callSynchronize(*s);
  begin(*s);
  increment(*s, x, 32);
  callRecord(*forked, *s);
  CHECK(callWait(*t, *forked) == CUDA_SUCCESS);
  uint64_t id = 0;
  CHECK(captureStatus(*t, id) == CU_STREAM_CAPTURE_STATUS_ACTIVE);
  increment(*t, x, 16);
  increment(*s, disjoint ? x + 16 : x + 8, 16);
  callRecord(*done, *t);
  if (joined) CHECK(callWait(*s, *done) == CUDA_SUCCESS);
  increment(*s, x, 32);
  Graph *graph = nullptr;
  if (!joined) {
    CHECK(end(*s, graph) == CUDA_ERROR_STREAM_CAPTURE_UNJOINED && graph == nullptr);
    CHECK(told(check::capture, "stream #2, forked off it"));
    CHECK(captureStatus(*t, id) == CU_STREAM_CAPTURE_STATUS_NONE);
    CHECK(!leaked("CUgraph"));
    return;
  }
  CHECK(end(*s, graph) == CUDA_SUCCESS);
  CHECK(nodeCount(*graph) == 4);
  GraphExec *exec = instantiated(graph);
  launch(exec, *s);
  launch(exec, *s);
  callSynchronize(*s);
  CHECK(findings(check::streamRace) == (disjoint ? 0 : 1));
  if (disjoint) CHECK(data(x)[0] == 6 && data(x)[31] == 6);
}

void forks() {
  fork(true, true);
  fork(true, false);
  fork(false, true);
}

void illegalCalls() {
  Fresh fresh;
  CUresult status;
  Stream *legacy = resolve(CUstream(nullptr), status);
  Stream *s = stream(fresh, CU_STREAM_DEFAULT), *apart = stream(fresh), *other = stream(fresh);
  const uint64_t x = buffer(fresh, 16);
  Graph *graph = nullptr;
  CHECK(begin(*legacy) == CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  CHECK(end(*s, graph) == CUDA_ERROR_ILLEGAL_STATE);
  CHECK(findings(check::capture) == 2);

  begin(*s);
  CHECK(begin(*s) == CUDA_ERROR_ILLEGAL_STATE);
  CHECK(callSynchronize(*s) == CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  uint64_t id;
  CHECK(captureStatus(*s, id) == CU_STREAM_CAPTURE_STATUS_INVALIDATED);
  CHECK(fill(*s, x, 16, 0) == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  CHECK(end(*s, graph) == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED && graph == nullptr);
  CHECK(fill(*s, x, 16, 0) == CUDA_SUCCESS);

  begin(*s);
  CHECK(fill(*legacy, x, 16, 0) == CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
  CHECK(end(*s, graph) == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  begin(*apart);
  CHECK(fill(*legacy, x, 16, 0) == CUDA_SUCCESS);
  CHECK(end(*apart, graph) == CUDA_SUCCESS);

  Event *outside = event(fresh), *inside = event(fresh), *never = event(fresh);
  callRecord(*outside, *other);
  begin(*apart);
  CHECK(callWait(*apart, *never) == CUDA_SUCCESS);
  CHECK(callWait(*apart, *outside) == CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
  CHECK(end(*apart, graph) == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);

  begin(*apart);
  callRecord(*inside, *apart);
  CHECK(callSynchronize(*inside) == CUDA_ERROR_CAPTURED_EVENT);
  CHECK(end(*other, graph) == CUDA_ERROR_ILLEGAL_STATE);
  callWait(*other, *inside);
  CHECK(end(*other, graph) == CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
  CHECK(end(*apart, graph) == CUDA_SUCCESS);
  CHECK(callWait(*other, *inside) == CUDA_ERROR_CAPTURED_EVENT);

  begin(*apart, CU_STREAM_CAPTURE_MODE_RELAXED);
  begin(*other, CU_STREAM_CAPTURE_MODE_RELAXED);
  callRecord(*inside, *apart);
  CHECK(callWait(*other, *inside) == CUDA_ERROR_STREAM_CAPTURE_MERGE);
  CHECK(end(*apart, graph) == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  CHECK(end(*other, graph) == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
}

// A stream destroyed in a capture takes it along.
void destroyedStreams() {
  Fresh fresh;
  Stream *s = stream(fresh), *t = stream(fresh);
  Event *forked = event(fresh);
  Graph *graph = nullptr;
  const auto destroyed = [](Stream *stream) {
    Call call(Library::Driver, "cuStreamDestroy_v2");
    destroyStream(stream);
  };
  begin(*s);
  callRecord(*forked, *s);
  callWait(*t, *forked);
  destroyed(t);
  CHECK(findings(check::capture) == 1);
  CHECK(end(*s, graph) == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  begin(*s);
  destroyed(s);
  CHECK(findings(check::capture) == 2 && !leaked("CUgraph"));
  CHECK(allowedDuringCapture() == CUDA_SUCCESS);
}

CUresult unsafeCall(CUstreamCaptureMode thread) {
  Call call(Library::Driver, "cuMemAlloc_v2");
  const CUstreamCaptureMode before = exchangeCaptureMode(thread);
  const CUresult status = allowedDuringCapture();
  CHECK(exchangeCaptureMode(before) == thread);
  return status;
}

CUresult elsewhere(CUstreamCaptureMode thread) {
  CUresult status = CUDA_SUCCESS;
  std::thread([&] { status = unsafeCall(thread); }).join();
  return status;
}

// By the mode of the capture, that of the thread, and whether it began there: what CUDA's documentation tells.
void modes() {
  constexpr auto global = CU_STREAM_CAPTURE_MODE_GLOBAL, local = CU_STREAM_CAPTURE_MODE_THREAD_LOCAL,
                 relaxed = CU_STREAM_CAPTURE_MODE_RELAXED;
  struct Case {
    CUstreamCaptureMode capture, thread;
    bool here, there;  // allowed
  };
  const Case cases[] = {
      {global, global, false, false}, {global, local, false, true}, {global, relaxed, true, true},
      {local, global, false, true},   {local, local, false, true},  {local, relaxed, true, true},
      {relaxed, global, true, true},  {relaxed, local, true, true}, {relaxed, relaxed, true, true},
  };
  for (const Case &is : cases) {
    Fresh fresh;
    Stream *s = stream(fresh);
    Graph *graph = nullptr;
    for (const bool here : {true, false}) {
      const bool allowed = here ? is.here : is.there;
      begin(*s, is.capture);
      const CUresult status = here ? unsafeCall(is.thread) : elsewhere(is.thread);
      CHECK(status == (allowed ? CUDA_SUCCESS : CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED));
      CHECK(end(*s, graph) == (allowed ? CUDA_SUCCESS : CUDA_ERROR_STREAM_CAPTURE_INVALIDATED));
    }
  }
}

void otherThread() {
  Fresh fresh;
  Stream *s = stream(fresh);
  Graph *graph = nullptr;
  CUresult status = CUDA_SUCCESS;
  begin(*s);
  std::thread([&] { status = end(*s, graph); }).join();
  CHECK(status == CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD && graph == nullptr);
  CHECK(end(*s, graph) == CUDA_SUCCESS);
  begin(*s, CU_STREAM_CAPTURE_MODE_RELAXED);
  std::thread([&] { status = end(*s, graph); }).join();
  CHECK(status == CUDA_SUCCESS && graph != nullptr);
}

// A graph keeps addresses: freeing what it uses is an illegal address when it runs.
void freedMemory() {
  Fresh fresh;
  Stream *s = stream(fresh);
  const uint64_t x = buffer(fresh, 16);
  begin(*s);
  fill(*s, x, 16, 1);
  Graph *graph = nullptr;
  end(*s, graph);
  GraphExec *exec = instantiated(graph);
  launch(exec, *s);
  callSynchronize(*s);
  callRelease(x);
  CHECK(findings() == 0);
  CHECK(launch(exec, *s) == CUDA_SUCCESS);
  CHECK(findings(check::useAfterFree) == 1);
  CHECK(told(check::useAfterFree, "cuGraphLaunch of the node cuMemsetD8Async"));
  CHECK(callSynchronize(*s) == CUDA_ERROR_ILLEGAL_ADDRESS);
  CHECK(fill(*s, x, 16, 1) == CUDA_ERROR_ILLEGAL_ADDRESS);
}

// An executable graph needs the modules of its kernels, and says so again when it runs without.
void unloadedModule() {
  Fresh fresh;
  Stream *s = stream(fresh);
  int module = 0;
  Graph *graph = nullptr;
  begin(*s);
  {
    Call call(Library::Driver, "cuLaunchKernel");
    born(&module, "CUmodule");
    Work work;
    work.handles = {&module};
    work.run = [] { return CUDA_SUCCESS; };
    enqueue(*s, std::move(work));
  }
  end(*s, graph);
  GraphExec *exec = instantiated(graph);
  {
    Call call(Library::Driver, "cuModuleUnload");
    died(&module);
  }
  CHECK(told(check::freeInUse, "executable graph #1 needs it for cuLaunchKernel"));
  launch(exec, *s);
  CHECK(told(check::useAfterFree, "CUmodule #1 was destroyed by cuModuleUnload"));
  CHECK(callSynchronize(*s) == CUDA_ERROR_ILLEGAL_ADDRESS);
}

void childGraph() {
  Fresh fresh;
  Stream *s = stream(fresh);
  const uint64_t x = buffer(fresh, 16);
  fill(*s, x, 16, 0);
  Graph *inner = nullptr, *outer = nullptr;
  begin(*s);
  increment(*s, x, 16);
  increment(*s, x, 16);
  end(*s, inner);
  GraphExec *child = instantiated(inner);
  begin(*s);
  increment(*s, x, 8);
  CHECK(launch(child, *s) == CUDA_SUCCESS);
  increment(*s, x, 8);
  end(*s, outer);
  CHECK(nodeCount(*outer) == 3);
  GraphExec *exec = instantiated(outer);
  destroy(child);
  launch(exec, *s);
  callSynchronize(*s);
  CHECK(findings() == 0);
  CHECK(data(x)[0] == 4 && data(x)[15] == 2);
  CHECK(counted("graph nodes run") == 4);
}

// A graph's copies read pinned memory at each launch.
void pinnedInGraph() {
  Fresh fresh;
  Stream *s = stream(fresh);
  const uint64_t x = buffer(fresh, 16);
  uint8_t *in = pinned(fresh, 16), *out = pinned(fresh, 16);
  begin(*s);
  upload(*s, x, in, 16);
  increment(*s, x, 16);
  download(*s, out, x, 16);
  Graph *graph = nullptr;
  end(*s, graph);
  GraphExec *exec = instantiated(graph);
  for (uint8_t i = 0; i < 4; i++) {
    std::memset(in, i, 16);
    launch(exec, *s);
    callSynchronize(*s);
    CHECK(out[3] == i + 1);
  }
  CHECK(findings() == 0);
  launch(exec, *s);
  in[1] = 99;
  callSynchronize(*s);
  CHECK(findings(check::pinnedReuse) == 1);
}

}  // namespace

void testCapture() {
  withSchedules(launches);
  withSchedules(launchOrder);
  withSchedules(forks);
  withSchedules(illegalCalls);
  withSchedules(destroyedStreams);
  modes();
  otherThread();
  withSchedules(freedMemory);
  withSchedules(unloadedModule);
  withSchedules(childGraph);
  withSchedules(pinnedInGraph);
}
