// Right programs: kernels.
#include "programs/machine.h"
#include "programs/registry.h"

namespace programs {

namespace {

// A sum by shuffles, shared memory and atomics, over a length that doesn't fill the last block.
void sum() {
  Session session;
  Kernels kernels;
  const int count = 1000;
  Buffer<float> x(counting(count)), total(std::vector<float>(1, 0));
  MUST(launch(kernels["block_sum"], {4, 256, 0}, nullptr, x.address, total.address, count));
  expectEqual(total.get(), {float(count) * (count - 1) / 2}, "the sum");
}

void histogram() {
  Session session;
  Kernels kernels;
  const int count = 777;
  std::vector<uint32_t> keys(count), want(16);
  for (int i = 0; i < count; i++) {
    keys[i] = uint32_t(i) * 7 % 16;
    want[keys[i]]++;
  }
  Buffer<uint32_t> x(keys), counts(std::vector<uint32_t>(16, 0));
  MUST(launch(kernels["histogram"], {4, 256, 0}, nullptr, x.address, counts.address, count));
  expectEqual(counts.get(), want, "the histogram");
}

void reverse() {
  Session session;
  Kernels kernels;
  const unsigned count = 192;
  Buffer<float> x(counting(count)), y(count);
  MUST(launch(kernels["reverse"], {1, count, count * 4}, nullptr, x.address, y.address));
  std::vector<float> want = counting(count);
  std::reverse(want.begin(), want.end());
  expectEqual(y.get(), want, "y");
}

void vectorAccess() {
  Session session;
  Kernels kernels;
  const std::vector<float> values = randomNumbers(256, 1);
  Buffer<float> x(values), y(values.size());
  MUST(launch(kernels["copy4"], {1, 64, 0}, nullptr, x.address, y.address));
  expectEqual(y.get(), values, "y");
}

void moduleVariables() {
  Session session;
  Kernels kernels;
  CUdeviceptr factor = 0, table = 0;
  size_t factorBytes = 0, tableBytes = 0;
  MUST(cuModuleGetGlobal(&factor, &factorBytes, kernels.module, "factor"));
  MUST(cuModuleGetGlobal(&table, &tableBytes, kernels.module, "table"));
  expect(factorBytes == 4 && tableBytes == 16, "sizes of the module's variables");
  float initial = 0;
  MUST(cuMemcpyDtoH(&initial, factor, sizeof initial));
  expectEqual<float>({initial}, {1}, "the initial factor");
  const float three = 3, tableValues[] = {1, 2, 3, 4};
  MUST(cuMemcpyHtoD(factor, &three, sizeof three));
  MUST(cuMemcpyHtoD(table, tableValues, sizeof tableValues));
  const int count = 64;
  Buffer<float> x(counting(count)), y(count);
  MUST(launch(kernels["by_factor"], {1, 64, 0}, nullptr, x.address, y.address, count));
  std::vector<float> want = counting(count);
  for (int i = 0; i < count; i++) want[i] *= 3 * tableValues[i % 4];
  expectEqual(y.get(), want, "y");
}

// More dynamic shared memory than the default limit, after asking for it.
void muchSharedMemory() {
  Session session;
  Kernels kernels;
  const CUfunction kernel = kernels["reverse"];
  const int bytes = 64 << 10;
  MUST(cuFuncSetAttribute(kernel, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, bytes));
  Buffer<float> x(counting(128)), y(128);
  MUST(launch(kernel, {1, 128, unsigned(bytes)}, nullptr, x.address, y.address));
  std::vector<float> want = counting(128);
  std::reverse(want.begin(), want.end());
  expectEqual(y.get(), want, "y");
}

// Parameters in one packed buffer instead of an array of pointers.
void packedParameters() {
  Session session;
  Kernels kernels;
  const int count = 100;
  Buffer<float> x(counting(count)), y(count);
  struct {
    CUdeviceptr x, y;
    float factor;
    int count;
  } packed = {x.address, y.address, 2, count};
  size_t bytes = sizeof packed;
  void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, &packed, CU_LAUNCH_PARAM_BUFFER_SIZE, &bytes, CU_LAUNCH_PARAM_END};
  MUST(cuLaunchKernel(kernels["scale"], 1, 1, 1, 128, 1, 1, 0, nullptr, nullptr, extra));
  packed.factor = -1;  // taken by the call
  std::vector<float> want = counting(count);
  for (float &value : want) value *= 2;
  expectEqual(y.get(), want, "y");
}

}  // namespace

std::vector<Program> rightKernels() {
  return {
      {"sum-by-shuffles", sum},
      {"histogram", histogram},
      {"reverse-in-shared-memory", reverse},
      {"vector-access", vectorAccess},
      {"module-variables", moduleVariables},
      {"much-shared-memory", muchSharedMemory},
      {"packed-parameters", packedParameters},
  };
}

}  // namespace programs
