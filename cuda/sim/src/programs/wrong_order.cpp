// Wrong programs: order of work, and lifetimes of what it uses.
#include "programs/machine.h"
#include "programs/registry.h"

namespace programs {

namespace {

constexpr int kCount = 256;
const Shape kShape{1, kCount, 0};

// y = 2x on the stream.
void doubleOn(CUstream stream, const Kernels &kernels, const Buffer<float> &x, const Buffer<float> &y) {
  MUST(launch(kernels["scale"], kShape, stream, x.address, y.address, 2.0f, kCount));
}

void missingSynchronisation() {
  Session session;
  Kernels kernels;
  Buffer<float> x(counting(kCount)), y(kCount), z(kCount);
  MUST(cuMemsetD32(y.address, 0, kCount));
  MUST(cuCtxSynchronize());
  Stream one, two;
  doubleOn(one, kernels, x, y);
  doubleOn(two, kernels, y, z);
  ignore(cuCtxSynchronize());
}

void missingSynchronisationInCopy() {
  Session session;
  Kernels kernels;
  Buffer<float> x(counting(kCount)), y(kCount);
  MUST(cuMemsetD32(y.address, 0, kCount));
  MUST(cuCtxSynchronize());
  Pinned<float> result(kCount);
  Stream one, two;
  doubleOn(one, kernels, x, y);
  ignore(cuMemcpyDtoHAsync(result.data, y.address, y.bytes(), two));
  ignore(cuCtxSynchronize());
}

void twoWriters() {
  Session session;
  Kernels kernels;
  Buffer<float> x(counting(kCount)), y(kCount);
  Stream one, two;
  doubleOn(one, kernels, x, y);
  doubleOn(two, kernels, x, y);
  ignore(cuCtxSynchronize());
}

void eventRecordedTooEarly() {
  Session session;
  Kernels kernels;
  Buffer<float> x(counting(kCount)), y(kCount), z(kCount);
  MUST(cuMemsetD32(y.address, 0, kCount));
  MUST(cuCtxSynchronize());
  Stream one, two;
  Event event;
  event.record(one);
  doubleOn(one, kernels, x, y);
  event.blocks(two);
  doubleOn(two, kernels, y, z);
  ignore(cuCtxSynchronize());
}

void eventNeverRecorded() {
  Session session;
  Kernels kernels;
  Buffer<float> x(counting(kCount)), y(kCount), z(kCount);
  MUST(cuMemsetD32(y.address, 0, kCount));
  MUST(cuCtxSynchronize());
  Stream one, two;
  Event event;
  doubleOn(one, kernels, x, y);
  event.blocks(two);
  doubleOn(two, kernels, y, z);
  ignore(cuCtxSynchronize());
}

void nonBlockingStreamTrustsTheDefaultOne() {
  Session session;
  Kernels kernels;
  Buffer<float> x(counting(kCount)), y(kCount), z(kCount);
  MUST(cuMemsetD32(y.address, 0, kCount));
  MUST(cuCtxSynchronize());
  Stream stream(CU_STREAM_NON_BLOCKING);
  doubleOn(nullptr, kernels, x, y);
  doubleOn(stream, kernels, y, z);
  ignore(cuCtxSynchronize());
}

void librariesOnTwoStreams() {
  Session session;
  Kernels kernels;
  Stream one, two;
  Blas blas(two);
  Buffer<float> x(counting(kCount)), y(counting(kCount));
  doubleOn(one, kernels, x, y);
  ignore(cublasSscal(blas, kCount, &kOne, y.typed(), 1));
  ignore(cuCtxSynchronize());
}

void pinnedReusedTooEarly() {
  Session session;
  Pinned<float> staging(kCount);
  Buffer<float> x(kCount), y(kCount);
  Stream stream;
  staging.fill(counting(kCount));
  MUST(cuMemcpyHtoDAsync(x.address, staging.data, staging.bytes(), stream));
  staging.fill(counting(kCount, 1000));
  MUST(cuMemcpyHtoDAsync(y.address, staging.data, staging.bytes(), stream));
  stream.synchronize();
}

void pinnedReusedAfterAnotherEvent() {
  Session session;
  Pinned<float> staging(kCount);
  Buffer<float> x(kCount);
  Stream stream, other;
  Event event;
  staging.fill(counting(kCount));
  MUST(cuMemcpyHtoDAsync(x.address, staging.data, staging.bytes(), stream));
  event.record(other);
  MUST(cuEventSynchronize(event));
  staging.data[kCount - 1] = -1;
  stream.synchronize();
}

void resultOverwrittenTooEarly() {
  Session session;
  Pinned<float> result(kCount);
  Buffer<float> x(counting(kCount));
  Stream stream;
  MUST(cuMemcpyDtoHAsync(result.data, x.address, x.bytes(), stream));
  result.data[0] = 7;
  stream.synchronize();
}

void freedWhileInUse() {
  Session session;
  Kernels kernels;
  Buffer<float> x(counting(kCount)), y(kCount);
  Stream stream;
  doubleOn(stream, kernels, x, y);
  ignore(cuMemFree(y.address));
  y.forget();
  ignore(cuCtxSynchronize());
}

void pinnedFreedWhileInUse() {
  Session session;
  Pinned<float> staging(kCount);
  Buffer<float> x(kCount);
  Stream stream;
  staging.fill(counting(kCount));
  MUST(cuMemcpyHtoDAsync(x.address, staging.data, staging.bytes(), stream));
  staging.free();
  ignore(cuCtxSynchronize());
}

void moduleUnloadedWhileInUse() {
  Session session;
  Kernels kernels;
  Buffer<float> x(counting(kCount)), y(kCount);
  Stream stream;
  doubleOn(stream, kernels, x, y);
  ignore(cuModuleUnload(kernels.module));
  kernels.module = nullptr;
  ignore(cuCtxSynchronize());
}

void streamAfterDestroy() {
  Session session;
  Buffer<float> x(kCount);
  Stream stream;
  const CUstream destroyed = stream;
  stream.destroy();
  ignore(cuMemsetD32Async(x.address, 0, kCount, destroyed));
}

void eventAfterDestroy() {
  Session session;
  Stream stream;
  Event event;
  const CUevent destroyed = event;
  MUST(cuEventDestroy(event.event));
  event.event = nullptr;
  ignore(cuEventRecord(destroyed, stream));
}

void elapsedTimeWithoutTiming() {
  Session session;
  Kernels kernels;
  Buffer<float> x(counting(kCount)), y(kCount);
  Stream stream;
  Event start(CU_EVENT_DISABLE_TIMING), end(CU_EVENT_DISABLE_TIMING);
  start.record(stream);
  doubleOn(stream, kernels, x, y);
  end.record(stream);
  stream.synchronize();
  float milliseconds = 0;
  ignore(cuEventElapsedTime(&milliseconds, start, end));
}

}  // namespace

std::vector<Program> wrongOrder() {
  const char *race = "missing synchronisation", *reuse = "pinned buffer reused too early";
  return {
      {"missing-synchronisation", missingSynchronisation, race, {"cuLaunchKernel", "scale", "buffer #"}},
      {"missing-synchronisation-copy", missingSynchronisationInCopy, race, {"cuMemcpyDtoHAsync", "buffer #"}},
      {"two-writers", twoWriters, race, {"cuLaunchKernel", "buffer #"}},
      {"event-recorded-too-early", eventRecordedTooEarly, race, {"cuLaunchKernel", "buffer #"}},
      {"event-never-recorded", eventNeverRecorded, race, {"cuLaunchKernel", "buffer #"}},
      {"stream-trusts-the-default-one", nonBlockingStreamTrustsTheDefaultOne, race, {"cuLaunchKernel", "buffer #"}},
      {"libraries-on-two-streams", librariesOnTwoStreams, race, {"cublasSscal", "buffer #"}},
      {"pinned-reused-too-early", pinnedReusedTooEarly, reuse, {"cuMemcpyHtoDAsync", "1024 bytes"}},
      {"pinned-reused-after-another-event", pinnedReusedAfterAnotherEvent, reuse, {"cuMemcpyHtoDAsync"}},
      {"result-overwritten-too-early", resultOverwrittenTooEarly, reuse, {"cuMemcpyDtoHAsync"}},
      {"freed-while-in-use", freedWhileInUse, "freed while in use", {"cuMemFree", "buffer #", "cuLaunchKernel"}},
      {"pinned-freed-while-in-use", pinnedFreedWhileInUse, "freed while in use", {"cuMemFreeHost", "1024 bytes"}},
      {"module-unloaded-while-in-use", moduleUnloadedWhileInUse, "freed while in use", {"cuModuleUnload", "CUmodule"}},
      {"stream-after-destroy", streamAfterDestroy, "bad handle", {"cuMemsetD32Async", "cuStreamDestroy"}},
      {"event-after-destroy", eventAfterDestroy, "bad handle", {"cuEventRecord", "cuEventDestroy"}},
      {"time-without-timing", elapsedTimeWithoutTiming, "bad handle", {"cuEventElapsedTime", "event #1"}},
  };
}

}  // namespace programs
