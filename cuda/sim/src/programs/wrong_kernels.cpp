// Wrong programs: kernels and their launches.
#include "programs/machine.h"
#include "programs/registry.h"

namespace programs {

namespace {

constexpr int kCount = 64;

template <class... Arguments>
void launchAndWait(const char *name, Shape shape, Arguments... arguments) {
  Kernels kernels;
  ignore(launch(kernels[name], shape, nullptr, arguments...));
  ignore(cuCtxSynchronize());
}

void sharedMemoryRace() {
  Session session;
  Buffer<float> x(counting(kCount)), y(kCount);
  launchAndWait("reverse_racy", {1, kCount, kCount * 4}, x.address, y.address);
}

void barrierDivergence() {
  Session session;
  Buffer<uint32_t> y(kCount);
  launchAndWait("half_barrier", {1, kCount, 0}, y.address);
}

void warpDivergence() {
  Session session;
  Buffer<uint32_t> y(kCount);
  launchAndWait("missing_lanes", {1, 32, 0}, y.address);
}

void misalignedVector() {
  Session session;
  Buffer<float> x(counting(kCount)), y(kCount);
  launchAndWait("copy4", {1, 8, 0}, x.address + 4, y.address);
}

void raceBetweenBlocks() {
  Session session;
  Buffer<uint32_t> y(1);
  launchAndWait("last_block", {4, 1, 0}, y.address);
}

void undefinedRegister() {
  Session session;
  Buffer<uint32_t> y(1);
  launchAndWait("undefined_register", {1, 1, 0}, y.address);
}

void trap() {
  Session session;
  Buffer<uint32_t> y(1);
  launchAndWait("trapped", {1, 1, 0}, y.address);
}

void tooMuchSharedMemory() {
  Session session;
  Buffer<float> x(counting(kCount)), y(kCount);
  launchAndWait("reverse", {1, kCount, 64 << 10}, x.address, y.address);
}

void sharedMemoryTooSmall() {
  Session session;
  Buffer<float> x(counting(kCount)), y(kCount);
  launchAndWait("reverse", {1, kCount, (kCount - 1) * 4}, x.address, y.address);
}

void tooManyThreads() {
  Session session;
  Buffer<float> x(counting(2048)), y(2048);
  launchAndWait("scale", {1, 2048, 0}, x.address, y.address, 2.0f, 2048);
}

void emptyGrid() {
  Session session;
  Buffer<float> x(counting(kCount)), y(kCount);
  launchAndWait("scale", {0, kCount, 0}, x.address, y.address, 2.0f, kCount);
}

void tooFewParameters() {
  Session session;
  Kernels kernels;
  Buffer<float> x(counting(kCount)), y(kCount);
  CUdeviceptr pair[] = {x.address, y.address};
  size_t bytes = sizeof pair;
  void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, pair, CU_LAUNCH_PARAM_BUFFER_SIZE, &bytes, CU_LAUNCH_PARAM_END};
  ignore(cuLaunchKernel(kernels["scale"], 1, 1, 1, kCount, 1, 1, 0, nullptr, nullptr, extra));
}

void missingParameter() {
  Session session;
  Kernels kernels;
  Buffer<float> x(counting(kCount)), y(kCount);
  float a = 2;
  void *parameters[] = {&x.address, &y.address, &a, nullptr};
  ignore(cuLaunchKernel(kernels["scale"], 1, 1, 1, kCount, 1, 1, 0, nullptr, parameters, nullptr));
}

void unknownKernel() {
  Session session;
  Kernels kernels;
  CUfunction none = nullptr;
  ignore(cuModuleGetFunction(&none, kernels.module, "no_such_kernel"));
  ignore(cuLaunchKernel(none, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr));
}

}  // namespace

std::vector<Program> wrongKernels() {
  return {
      {"shared-memory-race", sharedMemoryRace, "shared-memory race", {"cuLaunchKernel", "reverse_racy"}},
      {"barrier-divergence", barrierDivergence, "barrier divergence", {"cuLaunchKernel", "half_barrier"}},
      {"warp-divergence", warpDivergence, "warp divergence", {"cuLaunchKernel", "missing_lanes"}},
      {"misaligned-vector", misalignedVector, "misaligned address", {"cuLaunchKernel", "copy4", "buffer #"}},
      {"race-between-blocks", raceBetweenBlocks, "global-memory race", {"cuLaunchKernel", "last_block", "buffer #"}},
      {"undefined-register", undefinedRegister, "read of an uninitialised register", {"cuLaunchKernel", "%r5"}},
      {"trap", trap, "trap", {"cuLaunchKernel", "trapped"}},
      {"too-much-shared-memory", tooMuchSharedMemory, "bad launch", {"cuLaunchKernel", "reverse", "65536"}},
      {"shared-memory-too-small", sharedMemoryTooSmall, "out of bounds", {"cuLaunchKernel", "reverse", "shared"}},
      {"too-many-threads", tooManyThreads, "bad launch", {"cuLaunchKernel", "scale", "2048"}},
      {"empty-grid", emptyGrid, "bad launch", {"cuLaunchKernel", "scale"}},
      {"too-few-parameters", tooFewParameters, "bad launch", {"cuLaunchKernel", "scale", "16"}},
      {"missing-parameter", missingParameter, "bad value", {"cuLaunchKernel", "kernelParams[3] (n)"}},
      {"unknown-kernel", unknownKernel, "bad handle", {"cuLaunchKernel"}},
  };
}

}  // namespace programs
