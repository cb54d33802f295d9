// Wrong programs: threads, contexts and handles.
#include <thread>

#include "programs/machine.h"
#include "programs/registry.h"

namespace programs {

namespace {

constexpr int kCount = 64;

// Runs the body on a thread of its own, which has no context.
template <class Body>
void elsewhere(Body body) {
  std::thread(body).join();
}

void allocationWithoutContext() {
  Session session;
  elsewhere([] {
    CUdeviceptr address = 0;
    ignore(cuMemAlloc(&address, 256));
  });
}

void launchWithoutContext() {
  Session session;
  Kernels kernels;
  Buffer<float> x(counting(kCount)), y(kCount);
  const CUfunction scale = kernels["scale"];
  elsewhere([&] { ignore(launch(scale, {1, kCount, 0}, nullptr, x.address, y.address, 2.0f, kCount)); });
}

void libraryWithoutContext() {
  Session session;
  Blas blas;
  Buffer<float> x(counting(kCount));
  elsewhere([&] { ignore(cublasSscal(blas, kCount, &kOne, x.typed(), 1)); });
}

void handleOfAnotherContext() {
  Session first(0);
  Blas blas;
  Session second(1);
  Buffer<float> x(counting(kCount));
  ignore(cublasSscal(blas, kCount, &kOne, x.typed(), 1));
}

void streamOfAnotherContext() {
  Session first(0);
  Stream stream;
  Session second(1);
  Buffer<float> x(kCount);
  ignore(cuMemsetD32Async(x.address, 0, kCount, stream));
}

void eventOfAnotherContext() {
  Session first(0);
  Event event;
  Session second(1);
  Stream stream;
  ignore(cuEventRecord(event, stream));
}

void handleAfterDestroy() {
  Session session;
  Blas blas;
  Buffer<float> x(counting(kCount));
  const cublasHandle_t destroyed = blas;
  MUST(cublasDestroy(destroyed));
  blas.handle = nullptr;
  ignore(cublasSscal(destroyed, kCount, &kOne, x.typed(), 1));
}

void descriptorAfterDestroy() {
  Session session;
  cudnnTensorDescriptor_t descriptor = nullptr;
  MUST(cudnnCreateTensorDescriptor(&descriptor));
  MUST(cudnnDestroyTensorDescriptor(descriptor));
  size_t bytes = 0;
  ignore(cudnnGetTensorSizeInBytes(descriptor, &bytes));
}

void streamThatIsNone() {
  Session session;
  Buffer<float> x(kCount);
  ignore(cuMemsetD32Async(x.address, 0, kCount, reinterpret_cast<CUstream>(&x)));
}

}  // namespace

std::vector<Program> wrongContexts() {
  return {
      {"no-context-allocation", allocationWithoutContext, "no current context", {"cuMemAlloc"}},
      {"no-context-launch", launchWithoutContext, "no current context", {"cuLaunchKernel"}},
      {"no-context-library", libraryWithoutContext, "no current context", {"cublasSscal"}},
      {"handle-of-another-context", handleOfAnotherContext, "wrong context", {"cublasSscal", "handle"}, "devices=2"},
      {"stream-of-another-context", streamOfAnotherContext, "wrong context", {"cuMemsetD32Async"}, "devices=2"},
      {"event-of-another-context", eventOfAnotherContext, "wrong context", {"cuEventRecord"}, "devices=2"},
      {"handle-after-destroy", handleAfterDestroy, "bad handle", {"cublasSscal", "cublasDestroy"}},
      {"descriptor-after-destroy",
       descriptorAfterDestroy,
       "bad handle",
       {"cudnnGetTensorSizeInBytes", "cudnnDestroyTensorDescriptor"}},
      {"stream-that-is-none", streamThatIsNone, "bad handle", {"cuMemsetD32Async"}},
  };
}

}  // namespace programs
