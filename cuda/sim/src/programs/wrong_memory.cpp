// Wrong programs: memory.
#include <cstdlib>

#include "programs/machine.h"
#include "programs/registry.h"

namespace programs {

namespace {

constexpr int kCount = 256;
const Shape kShape{1, kCount, 0};

void useAfterFreeInCopy() {
  Session session;
  Buffer<float> x(counting(kCount));
  const CUdeviceptr freed = x.address;
  x.free();
  std::vector<float> values(kCount);
  ignore(cuMemcpyDtoH(values.data(), freed, kCount * sizeof(float)));
}

void useAfterFreeInKernel() {
  Session session;
  Kernels kernels;
  Buffer<float> x(counting(kCount)), y(kCount);
  const CUdeviceptr freed = x.address;
  x.free();
  ignore(launch(kernels["scale"], kShape, nullptr, freed, y.address, 2.0f, kCount));
  ignore(cuCtxSynchronize());
}

void useAfterFreeInGemm() {
  Session session;
  Blas blas;
  Buffer<float> a(counting(4)), b(counting(4)), c(4);
  const float *freed = a.typed();
  a.free();
  ignore(cublasSgemm(blas, CUBLAS_OP_N, CUBLAS_OP_N, 2, 2, 2, &kOne, freed, 2, b.typed(), 2, &kZero, c.typed(), 2));
  ignore(cuCtxSynchronize());
}

void outOfBoundsInCopy() {
  Session session;
  Buffer<float> x(kCount);
  const std::vector<float> values = counting(kCount + 1);
  ignore(cuMemcpyHtoD(x.address, values.data(), values.size() * sizeof(float)));
}

void outOfBoundsInKernel() {
  Session session;
  Kernels kernels;
  Buffer<float> x(counting(kCount + 1)), y(kCount);
  ignore(launch(kernels["scale"], {2, kCount, 0}, nullptr, x.address, y.address, 2.0f, kCount + 1));
  ignore(cuCtxSynchronize());
}

void outOfBoundsInKernelsRead() {
  Session session;
  Kernels kernels;
  Buffer<float> x(counting(kCount)), y(kCount + 1);
  ignore(launch(kernels["scale"], {2, kCount, 0}, nullptr, x.address, y.address, 2.0f, kCount + 1));
  ignore(cuCtxSynchronize());
}

void outOfBoundsInFill() {
  Session session;
  Buffer<float> x(kCount);
  ignore(cuMemsetD32(x.address + sizeof(float), 0, kCount));
}

void uninitialisedInCopy() {
  Session session;
  Buffer<float> x(kCount);
  std::vector<float> values(kCount);
  ignore(cuMemcpyDtoH(values.data(), x.address, x.bytes()));
}

void uninitialisedInKernel() {
  Session session;
  Kernels kernels;
  Buffer<float> x(kCount), y(kCount);
  MUST(cuMemsetD32(x.address, 0, kCount - 1));
  ignore(launch(kernels["scale"], kShape, nullptr, x.address, y.address, 2.0f, kCount));
  ignore(cuCtxSynchronize());
}

void doubleFree() {
  Session session;
  Buffer<float> x(kCount);
  const CUdeviceptr freed = x.address;
  x.free();
  ignore(cuMemFree(freed));
}

void freeOfTheMiddle() {
  Session session;
  Buffer<float> x(kCount);
  ignore(cuMemFree(x.address + 256));
}

void freeOfHostMemory() {
  Session session;
  std::vector<float> values(kCount);
  ignore(cuMemFree(reinterpret_cast<CUdeviceptr>(values.data())));
}

void pinnedFreedTwice() {
  Session session;
  Pinned<float> pinned(kCount);
  void *freed = pinned.data;
  pinned.free();
  ignore(cuMemFreeHost(freed));
}

void hostPointerAsDevicePointer() {
  Session session;
  Buffer<float> x(kCount);
  const std::vector<float> values = counting(kCount);
  ignore(cuMemcpyDtoD(x.address, reinterpret_cast<CUdeviceptr>(values.data()), x.bytes()));
}

void hostPointerInGemm() {
  Session session;
  Blas blas;
  const std::vector<float> a = counting(4);
  Buffer<float> b(counting(4)), c(4);
  ignore(cublasSgemm(blas, CUBLAS_OP_N, CUBLAS_OP_N, 2, 2, 2, &kOne, a.data(), 2, b.typed(), 2, &kZero, c.typed(),
                     2));
}

void devicePointerAsHostPointer() {
  Session session;
  Buffer<float> x(counting(kCount)), y(kCount);
  ignore(cuMemcpyHtoD(y.address, x.pointer(), x.bytes()));
}

void overlappingCopy() {
  Session session;
  Buffer<float> x(counting(kCount));
  ignore(cuMemcpyDtoD(x.address, x.address + sizeof(float), x.bytes() - sizeof(float)));
  ignore(cuCtxSynchronize());
}

void leakedMemory() {
  Session session;
  Buffer<float> x(kCount);
  x.forget();
}

void leakedPinnedMemory() {
  Session session;
  Pinned<float> pinned(kCount);
  pinned.data = nullptr;
}

void leakedStream() {
  Session session;
  Stream stream;
  stream.stream = nullptr;
}

void leakedEvent() {
  Session session;
  Event event;
  event.event = nullptr;
}

void leakedModule() {
  Session session;
  Kernels kernels;
  kernels.module = nullptr;
}

void leakedHandle() {
  Session session;
  Blas blas;
  blas.handle = nullptr;
}

void leakedDescriptor() {
  Session session;
  cudnnTensorDescriptor_t descriptor = nullptr;
  MUST(cudnnCreateTensorDescriptor(&descriptor));
}

}  // namespace

std::vector<Program> wrongMemory() {
  return {
      {"use-after-free-copy", useAfterFreeInCopy, "use after free", {"cuMemcpyDtoH", "buffer #"}},
      {"use-after-free-kernel", useAfterFreeInKernel, "use after free", {"cuLaunchKernel", "scale", "buffer #"}},
      {"use-after-free-gemm", useAfterFreeInGemm, "use after free", {"cublasSgemm", "A", "buffer #"}},
      {"out-of-bounds-copy", outOfBoundsInCopy, "out of bounds", {"cuMemcpyHtoD", "buffer #"}},
      {"out-of-bounds-kernel", outOfBoundsInKernel, "out of bounds", {"cuLaunchKernel", "scale", "buffer #"}},
      {"out-of-bounds-kernel-read", outOfBoundsInKernelsRead, "out of bounds", {"cuLaunchKernel", "buffer #"}},
      {"out-of-bounds-fill", outOfBoundsInFill, "out of bounds", {"cuMemsetD32", "buffer #"}},
      {"uninitialised-copy", uninitialisedInCopy, "uninitialised read", {"cuMemcpyDtoH", "buffer #"}},
      {"uninitialised-kernel", uninitialisedInKernel, "read of uninitialised memory", {"cuLaunchKernel", "buffer #"}},
      {"double-free", doubleFree, "double free", {"cuMemFree", "buffer #"}},
      {"free-of-the-middle", freeOfTheMiddle, "bad free", {"cuMemFree", "buffer #"}},
      {"free-of-host-memory", freeOfHostMemory, "bad free", {"cuMemFree"}},
      {"pinned-freed-twice", pinnedFreedTwice, "double free", {"cuMemFreeHost"}},
      {"host-pointer-as-device-pointer",
       hostPointerAsDevicePointer,
       "host pointer passed as device pointer",
       {"cuMemcpyDtoD", "srcDevice"}},
      {"host-pointer-in-gemm", hostPointerInGemm, "host pointer passed as device pointer", {"cublasSgemm", "A"}},
      {"device-pointer-as-host-pointer",
       devicePointerAsHostPointer,
       "device pointer passed as host pointer",
       {"cuMemcpyHtoD", "buffer #"}},
      {"overlapping-copy", overlappingCopy, "overlapping buffers", {"cuMemcpyDtoD", "buffer #"}},
      {"leak-memory", leakedMemory, "leak", {"cuMemAlloc", "1024 bytes"}},
      {"leak-pinned-memory", leakedPinnedMemory, "leak", {"cuMemHostAlloc", "1024 bytes"}},
      {"leak-stream", leakedStream, "leak", {"CUstream", "cuStreamCreate"}},
      {"leak-event", leakedEvent, "leak", {"CUevent", "cuEventCreate"}},
      {"leak-module", leakedModule, "leak", {"CUmodule", "cuModuleLoadData"}},
      {"leak-handle", leakedHandle, "leak", {"cublasHandle_t", "cublasCreate"}},
      {"leak-descriptor", leakedDescriptor, "leak", {"cudnnTensorDescriptor_t", "cudnnCreateTensorDescriptor"}},
  };
}

}  // namespace programs
