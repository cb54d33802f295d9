// Wrong programs: stream capture, graphs and host functions.
#include <thread>

#include "programs/machine.h"
#include "programs/registry.h"

namespace programs {

namespace {

constexpr int kCount = 64;

// A capture that something illegal is about to happen in.
struct Spoiled {
  Spoiled() { MUST(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL)); }
  ~Spoiled() {
    CUgraph graph = nullptr;
    ignore(cuStreamEndCapture(stream, &graph));
    if (graph) ignore(cuGraphDestroy(graph));
  }
  Stream stream;
};

void allocationInCapture() {
  Session session;
  Spoiled capture;
  CUdeviceptr address = 0;
  if (cuMemAlloc(&address, 256) == CUDA_SUCCESS) ignore(cuMemFree(address));
}

void synchroniseInCapture() {
  Session session;
  Spoiled capture;
  ignore(cuStreamSynchronize(capture.stream));
}

void queryInCapture() {
  Session session;
  Spoiled capture;
  ignore(cuStreamQuery(capture.stream));
}

void copyThatWaitsInCapture() {
  Session session;
  Buffer<float> x(kCount);
  const std::vector<float> values = counting(kCount);
  Spoiled capture;
  ignore(cuMemcpyHtoD(x.address, values.data(), x.bytes()));
}

void handleMadeInCapture() {
  Session session;
  Spoiled capture;
  cublasHandle_t handle = nullptr;
  if (cublasCreate(&handle) == CUBLAS_STATUS_SUCCESS) ignore(cublasDestroy(handle));
}

void resultToHostInCapture() {
  Session session;
  Buffer<float> x(counting(kCount));
  Blas blas;
  {
    Spoiled capture;
    ignore(cublasSetStream(blas, capture.stream));
    float sum = 0;
    ignore(cublasSdot(blas, kCount, x.typed(), 1, x.typed(), 1, &sum));
  }
  ignore(cublasSetStream(blas, nullptr));
}

void captureOfTheDefaultStream() {
  Session session;
  ignore(cuStreamBeginCapture(nullptr, CU_STREAM_CAPTURE_MODE_GLOBAL));
}

void forkNeverJoined() {
  Session session;
  Kernels kernels;
  Buffer<float> x(counting(kCount)), y(kCount);
  Stream side;
  Event forked;
  Spoiled capture;
  forked.record(capture.stream);
  forked.blocks(side);
  MUST(launch(kernels["scale"], {1, kCount, 0}, side, x.address, y.address, 2.0f, kCount));
}

void captureEndedByAnotherThread() {
  Session session;
  Spoiled capture;
  std::thread([&] {
    CUgraph graph = nullptr;
    ignore(cuCtxSetCurrent(session.context));
    ignore(cuStreamEndCapture(capture.stream, &graph));
    ignore(cuCtxSetCurrent(nullptr));
  }).join();
}

void replayOnFreedMemory() {
  Session session;
  Kernels kernels;
  Buffer<float> x(counting(kCount)), y(kCount);
  Stream stream;
  Captured graph(stream);
  MUST(launch(kernels["scale"], {1, kCount, 0}, stream, x.address, y.address, 2.0f, kCount));
  graph.end();
  graph.launch(stream);
  stream.synchronize();
  y.free();
  ignore(cuGraphLaunch(graph.executable, stream));
  ignore(cuCtxSynchronize());
}

void replayOnFreedPinnedMemory() {
  Session session;
  Pinned<float> staging(kCount);
  staging.fill(counting(kCount));
  Buffer<float> x(kCount);
  Stream stream;
  Captured graph(stream);
  MUST(cuMemcpyHtoDAsync(x.address, staging.data, staging.bytes(), stream));
  graph.end();
  staging.free();
  ignore(cuGraphLaunch(graph.executable, stream));
  ignore(cuCtxSynchronize());
}

void graphAfterDestroy() {
  Session session;
  Kernels kernels;
  Buffer<float> x(counting(kCount)), y(kCount);
  Stream stream;
  Captured graph(stream);
  MUST(launch(kernels["scale"], {1, kCount, 0}, stream, x.address, y.address, 2.0f, kCount));
  graph.end();
  const CUgraphExec destroyed = graph.executable;
  MUST(cuGraphExecDestroy(destroyed));
  graph.executable = nullptr;
  ignore(cuGraphLaunch(destroyed, stream));
}

void graphRacesWithAStream() {
  Session session;
  Kernels kernels;
  Buffer<float> x(counting(kCount)), y(kCount);
  Stream stream, other;
  Captured graph(stream);
  MUST(launch(kernels["scale"], {1, kCount, 0}, stream, x.address, y.address, 2.0f, kCount));
  graph.end();
  graph.launch(stream);
  ignore(cuMemsetD32Async(x.address, 0, kCount, other));
  ignore(cuCtxSynchronize());
}

void CUDAAPI allocate(void *) {
  CUdeviceptr address = 0;
  if (cuMemAlloc(&address, 256) == CUDA_SUCCESS) ignore(cuMemFree(address));
}

void callInHostFunction() {
  Session session;
  Stream stream;
  MUST(cuLaunchHostFunc(stream, allocate, nullptr));
  ignore(cuCtxSynchronize());
}

}  // namespace

std::vector<Program> wrongCaptures() {
  const char *illegal = "illegal call during capture";
  return {
      {"allocation-in-capture", allocationInCapture, illegal, {"cuMemAlloc"}},
      {"synchronise-in-capture", synchroniseInCapture, illegal, {"cuStreamSynchronize"}},
      {"query-in-capture", queryInCapture, illegal, {"cuStreamQuery"}},
      {"waiting-copy-in-capture", copyThatWaitsInCapture, illegal, {"cuMemcpyHtoD"}},
      {"handle-made-in-capture", handleMadeInCapture, illegal, {"cublasCreate"}},
      {"result-to-host-in-capture", resultToHostInCapture, illegal, {"cublasSdot"}},
      {"capture-of-the-default-stream", captureOfTheDefaultStream, illegal, {"cuStreamBeginCapture"}},
      {"fork-never-joined", forkNeverJoined, illegal, {"cuStreamEndCapture"}},
      {"capture-ended-by-another-thread", captureEndedByAnotherThread, illegal, {"cuStreamEndCapture"}},
      {"replay-on-freed-memory", replayOnFreedMemory, "use after free", {"cuLaunchKernel", "graph #1", "buffer #"}},
      {"replay-on-freed-pinned-memory",
       replayOnFreedPinnedMemory,
       "use after free",
       {"cuGraphLaunch", "pinned memory #1"}},
      {"graph-after-destroy", graphAfterDestroy, "bad handle", {"cuGraphLaunch", "cuGraphExecDestroy"}},
      {"graph-races-with-a-stream", graphRacesWithAStream, "missing synchronisation", {"buffer #"}},
      {"call-in-host-function", callInHostFunction, "CUDA call in a host function", {"cuMemAlloc"}},
  };
}

}  // namespace programs
