// libcublas against plain loops in double, on random shapes, and its answers to wrong arguments.
//
//   test_cublas [SEED]
#include <chrono>
#include <cmath>
#include <string>
#include <vector>

#include "cublas/test/rig.h"
#include "cublas_v2.h"

namespace {

// ---------------------------------------------------------------------------------------------------------- machine

// A fresh machine with a handle on a stream of its own.
struct Rig {
  explicit Rig(const std::string &configuration) {
    simReset(configuration.c_str());
    MUST(cuInit(0));
    MUST(cuDeviceGet(&device, 0));
    MUST(cuDevicePrimaryCtxRetain(&context, device));
    MUST(cuCtxSetCurrent(context));
    MUST(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    MUST(cublasCreate(&blas));
    MUST(cublasSetStream(blas, stream));
  }
  ~Rig() {
    MUST(cublasDestroy(blas));
    MUST(cuStreamDestroy(stream));
    MUST(cuCtxSetCurrent(nullptr));
    MUST(cuDevicePrimaryCtxRelease(device));
    check(std::string(simReport(1)).find("\"leaks\":[]") != std::string::npos, "something leaks");
  }
  CUdevice device = 0;
  CUcontext context = nullptr;
  CUstream stream = nullptr;
  cublasHandle_t blas = nullptr;
};

// --------------------------------------------------------------------------------------------------------- products

struct Shape {
  bool ta = false, tb = false;
  int m = 1, n = 1, k = 1, lda = 1, ldb = 1, ldc = 1;
  int columnsA() const { return ta ? m : k; }
  int columnsB() const { return tb ? k : n; }
  cublasOperation_t opA() const { return ta ? CUBLAS_OP_T : CUBLAS_OP_N; }
  cublasOperation_t opB() const { return tb ? CUBLAS_OP_T : CUBLAS_OP_N; }
  std::string text() const {
    return std::string(ta ? "T" : "N") + (tb ? "T" : "N") + " " + std::to_string(m) + "x" + std::to_string(n) + "x" +
           std::to_string(k);
  }
};

Shape anyShape(Random &random, int largestK) {
  Shape shape;
  shape.ta = random.whole(0, 1);
  shape.tb = random.whole(0, 1);
  shape.m = random.whole(1, 40);
  shape.n = random.whole(1, 40);
  shape.k = random.whole(0, largestK);
  shape.lda = std::max(1, shape.ta ? shape.k : shape.m) + random.whole(0, 3);
  shape.ldb = std::max(1, shape.tb ? shape.n : shape.k) + random.whole(0, 3);
  shape.ldc = shape.m + random.whole(0, 3);
  return shape;
}

// alpha op(a) op(b) + beta c, with c's gaps as they were.
Values product(const Shape &s, const Values &a, const Values &b, Values c, double alpha, double beta) {
  for (int j = 0; j < s.n; j++) {
    for (int i = 0; i < s.m; i++) {
      double sum = 0;
      for (int l = 0; l < s.k; l++) {
        sum += a[s.ta ? i * s.lda + l : l * s.lda + i] * b[s.tb ? l * s.ldb + j : j * s.ldb + l];
      }
      c[j * s.ldc + i] = alpha * sum + beta * c[j * s.ldc + i];
    }
  }
  return c;
}

struct Kind {
  const char *name;
  cudaDataType in, out;
  cublasComputeType_t compute;
  double tolerance;
};

const Kind kKinds[] = {
    {"float", CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F, 1e-5},
    {"float, pedantic", CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F_PEDANTIC, 1e-5},
    {"double", CUDA_R_64F, CUDA_R_64F, CUBLAS_COMPUTE_64F, 1e-14},
    {"half to float", CUDA_R_16F, CUDA_R_32F, CUBLAS_COMPUTE_32F, 1e-5},
    {"half", CUDA_R_16F, CUDA_R_16F, CUBLAS_COMPUTE_32F, 1e-3},
    {"bfloat16 to float", CUDA_R_16BF, CUDA_R_32F, CUBLAS_COMPUTE_32F, 1e-5},
    {"bfloat16", CUDA_R_16BF, CUDA_R_16BF, CUBLAS_COMPUTE_32F, 8e-3},
};

void products(Random &random) {
  for (int round = 0; round < 70; round++) {
    const Kind &kind = kKinds[round % 7];
    Rig rig("seed=" + std::to_string(round + 1));
    const Shape s = anyShape(random, round % 10 == 0 ? 700 : 60);
    const Values a = random.values(size_t(s.lda) * s.columnsA() + 1);
    const Values b = random.values(size_t(s.ldb) * s.columnsB() + 1);
    const Values c = random.values(size_t(s.ldc) * s.n);
    const double beta = round % 3 - 1;  // -1, 0, 1
    const float alpha32 = 0.5f, beta32 = float(beta);
    const double alpha64 = 0.5;
    const bool wide = kind.compute == CUBLAS_COMPUTE_64F;
    Array da(a, kind.in), db(b, kind.in), dc(c, kind.out);
    const cublasStatus_t status = cublasGemmEx(
        rig.blas, s.opA(), s.opB(), s.m, s.n, s.k, wide ? static_cast<const void *>(&alpha64) : &alpha32, da.pointer(),
        kind.in, s.lda, db.pointer(), kind.in, s.ldb, wide ? static_cast<const void *>(&beta) : &beta32, dc.pointer(),
        kind.out, s.ldc, kind.compute, CUBLAS_GEMM_DEFAULT);
    const std::string what = std::string(kind.name) + " " + s.text();
    if (!check(status == CUBLAS_STATUS_SUCCESS, what + ": status " + std::to_string(status))) continue;
    checkClose(dc.get(), product(s, a, b, c, 0.5, beta), kind.tolerance, what);
    check(nothingFound(), what + ": " + simReport(0));
  }
}

// Several products in one call: each in its place, with what lies between them as it was. A stride of 0 means one factor for
// all.
void batches(Random &random) {
  for (int round = 0; round < 20; round++) {
    Rig rig("seed=" + std::to_string(round + 1));
    const Shape s = anyShape(random, 40);
    const int count = random.whole(1, 4);
    const size_t sizeA = size_t(s.lda) * s.columnsA() + 1, sizeB = size_t(s.ldb) * s.columnsB() + 1, sizeC = size_t(s.ldc) * s.n;
    const size_t strideA = round % 5 == 0 ? 0 : sizeA + random.whole(0, 5), strideB = round % 7 == 0 ? 0 : sizeB;
    const size_t strideC = sizeC + random.whole(0, 5);
    const Values a = random.values(strideA * (count - 1) + sizeA), b = random.values(strideB * (count - 1) + sizeB);
    const Values c = random.values(strideC * (count - 1) + sizeC);
    const float alpha = 0.5f, beta = float(round % 2);
    Array da(a, CUDA_R_32F), db(b, CUDA_R_32F), dc(c, CUDA_R_32F);
    const cublasStatus_t status = cublasGemmStridedBatchedEx(
        rig.blas, s.opA(), s.opB(), s.m, s.n, s.k, &alpha, da.pointer(), CUDA_R_32F, s.lda, strideA, db.pointer(), CUDA_R_32F,
        s.ldb, strideB, &beta, dc.pointer(), CUDA_R_32F, s.ldc, strideC, count, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
    const std::string what = std::to_string(count) + " products " + s.text();
    if (!check(status == CUBLAS_STATUS_SUCCESS, what + ": status " + std::to_string(status))) continue;
    Values want = c;
    for (int i = 0; i < count; i++) {
      const auto from = [i](const Values &values, size_t stride) { return Values(values.begin() + i * stride, values.end()); };
      const Values one = product(s, from(a, strideA), from(b, strideB), from(c, strideC), alpha, beta);
      std::copy(one.begin(), one.begin() + sizeC, want.begin() + i * strideC);
    }
    checkClose(dc.get(), want, 1e-5, what);
    check(nothingFound(), what + ": " + simReport(0));
  }
  Rig rig("");
  const float one = 1, zero = 0;
  Array a({1, 2}, CUDA_R_32F), c({3, 4}, CUDA_R_32F);
  const auto batch = [&](int count) {
    return cublasGemmStridedBatchedEx(rig.blas, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, a.pointer(), CUDA_R_32F, 1, 1, a.pointer(),
                                      CUDA_R_32F, 1, 1, &zero, c.pointer(), CUDA_R_32F, 1, 0, count, CUBLAS_COMPUTE_32F,
                                      CUBLAS_GEMM_DEFAULT);
  };
  check(batch(0) == CUBLAS_STATUS_SUCCESS && nothingFound(), "no products");
  check(batch(-1) == CUBLAS_STATUS_INVALID_VALUE && found("batchCount is -1"), "-1 products");
  batch(2);
  check(found("overlap"), "results in one place aren't reported");
}

struct Narrowing {
  cublasComputeType_t compute;
  int bits;
  bool away;
};

// What the factors lose on tensor cores, and that an older device or PEDANTIC loses nothing.
void narrowing(Random &random) {
  const Narrowing kinds[] = {{CUBLAS_COMPUTE_32F_FAST_TF32, 10, true},
                             {CUBLAS_COMPUTE_32F_FAST_16F, 10, false},
                             {CUBLAS_COMPUTE_32F_FAST_16BF, 7, false},
                             {CUBLAS_COMPUTE_32F, 23, false},
                             {CUBLAS_COMPUTE_32F_PEDANTIC, 23, false}};
  for (const char *capability : {"8.0", "7.5"}) {
    for (const Narrowing &kind : kinds) {
      Rig rig(std::string("cc=") + capability);
      const bool narrow = capability[0] == '8' || kind.compute == CUBLAS_COMPUTE_32F_FAST_16F;
      Shape s;
      s.k = s.lda = s.ldb = 1;
      const double x = std::fabs(random.fine()) + 0.25, y = std::fabs(random.fine()) + 0.25;
      const float one = 1, zero = 0;
      Array a({x}, CUDA_R_32F), b({y}, CUDA_R_32F), c({0}, CUDA_R_32F);
      MUST(cublasGemmEx(rig.blas, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, a.pointer(), CUDA_R_32F, 1, b.pointer(),
                        CUDA_R_32F, 1, &zero, c.pointer(), CUDA_R_32F, 1, kind.compute, CUBLAS_GEMM_DEFAULT));
      const int bits = narrow ? kind.bits : 23;
      const double want = rounded(x, bits, kind.away) * rounded(y, bits, kind.away);
      checkClose(c.get(), {want}, 1e-7, std::string("cc ") + capability + ", compute " + std::to_string(kind.compute));
    }
  }
}

// ----------------------------------------------------------------------------------------------------------- vectors

int64_t place(int i, int n, int increment) {
  return increment > 0 ? int64_t(i) * increment : int64_t(i - n + 1) * increment;
}

void vectors(Random &random) {
  for (int round = 0; round < 30; round++) {
    Rig rig("seed=" + std::to_string(round + 1));
    const int n = random.whole(1, 50), steps[] = {1, 2, -1, -3, 3};
    const int incx = steps[random.whole(0, 4)], incy = steps[random.whole(0, 4)];
    const Values x = random.values(size_t(n) * 3), y = random.values(size_t(n) * 3);
    Array dx(x, CUDA_R_32F), dy(y, CUDA_R_32F);
    const float alpha = 0.25f;
    float dot = 0;
    MUST(cublasSdot(rig.blas, n, dx.single(), incx, dy.single(), incy, &dot));
    MUST(cublasSaxpy(rig.blas, n, &alpha, dx.single(), incx, dy.single(), incy));
    Values wantY = y;
    double wantDot = 0;
    for (int i = 0; i < n; i++) {
      const double from = x[place(i, n, incx)];
      const int64_t to = place(i, n, incy);
      wantDot += from * y[to];
      wantY[to] += 0.25 * from;
    }
    checkClose({dot}, {wantDot}, 1e-6, "dot");
    checkClose(dy.get(), wantY, 1e-6, "axpy");
    check(nothingFound(), std::string("vectors: ") + simReport(0));
  }
}

// ----------------------------------------------------------------------------------------------------------- answers

void wrongArguments() {
  struct Case {
    int m, n, k, lda, ldb, ldc;
    const char *says;
  };
  const Case cases[] = {{-1, 2, 2, 2, 2, 2, "m is -1"},         {2, -1, 2, 2, 2, 2, "n is -1"},
                        {2, 2, -1, 2, 2, 2, "k is -1"},         {2, 2, 2, 1, 2, 2, "lda is 1"},
                        {2, 2, 2, 2, 1, 2, "ldb is 1"},         {2, 2, 2, 2, 2, 1, "ldc is 1"},
                        {0, 2, 2, 0, 2, 1, "lda is 0"}};
  for (const Case &c : cases) {
    Rig rig("");
    Array a(Values(4), CUDA_R_32F);
    Array b(Values(4), CUDA_R_32F), to(Values(4), CUDA_R_32F);
    const float one = 1;
    const cublasStatus_t status = cublasSgemm(rig.blas, CUBLAS_OP_N, CUBLAS_OP_N, c.m, c.n, c.k, &one, a.single(),
                                              c.lda, b.single(), c.ldb, &one, to.single(), c.ldc);
    check(status == CUBLAS_STATUS_INVALID_VALUE, std::string(c.says) + ": status " + std::to_string(status));
    check(found(c.says), std::string(c.says) + ": not reported");
  }
}

void nothingToDo() {
  Rig rig("");
  const float one = 1;
  MUST(cublasSgemm(rig.blas, CUBLAS_OP_N, CUBLAS_OP_N, 0, 2, 2, &one, nullptr, 1, nullptr, 2, &one, nullptr, 1));
  MUST(cublasSaxpy(rig.blas, 0, &one, nullptr, 1, nullptr, 1));
  Array c({1, 2, 3, 4}, CUDA_R_32F);
  const float three = 3;
  MUST(cublasSgemm(rig.blas, CUBLAS_OP_N, CUBLAS_OP_N, 2, 2, 0, &one, nullptr, 2, nullptr, 1, &three, c.single(), 2));
  checkClose(c.get(), {3, 6, 9, 12}, 0, "a product of depth 0");
  check(nothingFound(), std::string("nothing to do: ") + simReport(0));
}

// What a device can't do is a status, not a finding: programs may ask.
void notSupported() {
  Rig rig("cc=7.5");
  Array a(Values(4), CUDA_R_16BF), b(Values(4), CUDA_R_16BF), c(Values(4), CUDA_R_32F);
  const float one = 1;
  const cublasStatus_t status =
      cublasGemmEx(rig.blas, CUBLAS_OP_N, CUBLAS_OP_N, 2, 2, 2, &one, a.pointer(), CUDA_R_16BF, 2, b.pointer(),
                   CUDA_R_16BF, 2, &one, c.pointer(), CUDA_R_32F, 2, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
  check(status == CUBLAS_STATUS_NOT_SUPPORTED, "bfloat16 on compute capability 7.5");
  check(nothingFound(), "NOT_SUPPORTED is a finding");
}

void modes() {
  Rig rig("");
  int version = 0, major = 0;
  MUST(cublasGetVersion(rig.blas, &version));
  MUST(cublasGetProperty(MAJOR_VERSION, &major));
  check(version / 10000 == major && major == 12, "versions");
  cudaStream_t stream = nullptr;
  MUST(cublasGetStream(rig.blas, &stream));
  check(stream == rig.stream, "the stream");
  cublasPointerMode_t pointers = CUBLAS_POINTER_MODE_DEVICE;
  MUST(cublasGetPointerMode(rig.blas, &pointers));
  check(pointers == CUBLAS_POINTER_MODE_HOST, "the first pointer mode");
  MUST(cublasSetAtomicsMode(rig.blas, CUBLAS_ATOMICS_ALLOWED));
  cublasAtomicsMode_t atomics = CUBLAS_ATOMICS_NOT_ALLOWED;
  MUST(cublasGetAtomicsMode(rig.blas, &atomics));
  check(atomics == CUBLAS_ATOMICS_ALLOWED, "the atomics mode");
  MUST(cublasSetMathMode(rig.blas, CUBLAS_TF32_TENSOR_OP_MATH));
  cublasMath_t math = CUBLAS_DEFAULT_MATH;
  MUST(cublasGetMathMode(rig.blas, &math));
  check(math == CUBLAS_TF32_TENSOR_OP_MATH, "the math mode");
  check(nothingFound(), std::string("modes: ") + simReport(0));
  check(cublasSetMathMode(rig.blas, static_cast<cublasMath_t>(7)) == CUBLAS_STATUS_INVALID_VALUE, "math mode 7");
}

// cublasSetStream forgets the user's workspace.
void workspaceAndStream() {
  Rig rig("");
  Array space(Values(512), CUDA_R_64F), a({2}, CUDA_R_32F), c({0}, CUDA_R_32F);
  const float one = 1;
  const auto multiply = [&] {
    return cublasSgemm(rig.blas, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, a.single(), 1, a.single(), 1, &one,
                       c.single(), 1);
  };
  MUST(cublasSetWorkspace(rig.blas, space.pointer(), 4096));
  MUST(cublasSetStream(rig.blas, rig.stream));
  MUST(multiply());
  check(nothingFound(), std::string("workspace after cublasSetStream: ") + simReport(0));
  MUST(cublasSetWorkspace(rig.blas, space.pointer(), 4096));
  check(multiply() == CUBLAS_STATUS_ALLOC_FAILED, "a workspace of 4 KiB");
  check(found("workspace too small"), "a small workspace isn't reported");
  check(cublasSetWorkspace(rig.blas, static_cast<char *>(space.pointer()) + 16, 64) == CUBLAS_STATUS_INVALID_VALUE,
        "a workspace that isn't aligned");
}

void faults() {
  Rig rig("fault=cublasSgemm_v2@2=14");
  Array a({2}, CUDA_R_32F), c({0}, CUDA_R_32F);
  const float one = 1;
  const auto multiply = [&] {
    return cublasSgemm(rig.blas, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, a.single(), 1, a.single(), 1, &one,
                       c.single(), 1);
  };
  MUST(multiply());
  check(multiply() == CUBLAS_STATUS_INTERNAL_ERROR, "the fault on demand");
  MUST(multiply());
  checkClose(c.get(), {8}, 0, "c after a call that failed");
}

// Memory traffic: the columns of A, B and C without the gaps between them, and C read where beta isn't 0.
void traffic() {
  Rig rig("traffic=1");
  const int m = 5, n = 3, k = 4, lda = 24, ldb = 4, ldc = 16;  // columns of A and C begin sectors; B has no gaps
  Array a(Values(lda * k), CUDA_R_32F), b(Values(ldb * n), CUDA_R_32F), c(Values(ldc * n), CUDA_R_32F);
  Array scalars({1, 0}, CUDA_R_32F);
  const uint64_t factors = 32 * (k + 2), output = 32 * n;  // B: 48 bytes
  uint64_t launches = 0, read = 0;
  for (const bool onDevice : {false, true}) {
    MUST(cublasSetPointerMode(rig.blas, onDevice ? CUBLAS_POINTER_MODE_DEVICE : CUBLAS_POINTER_MODE_HOST));
    for (const int adds : {0, 1}) {
      const float one = 1, zero = 0;
      const float *alpha = onDevice ? scalars.single() : &one;
      const float *beta = onDevice ? scalars.single() + 1 - adds : adds ? &one : &zero;
      MUST(cublasSgemm(rig.blas, CUBLAS_OP_N, CUBLAS_OP_N, m, n, k, alpha, a.single(), lda, b.single(), ldb, beta,
                       c.single(), ldc));
      MUST(cuStreamSynchronize(rig.stream));
      launches++;
      read += factors + (adds ? output : 0) + (onDevice ? 32 : 0);
      const std::string what = "product " + std::to_string(launches);
      check(counter("launches cublasSgemm_v2") == launches, what + " isn't counted");
      check(counter("traffic read cublasSgemm_v2") == read, what + " has read " +
            std::to_string(counter("traffic read cublasSgemm_v2")) + " bytes, not " + std::to_string(read));
      check(counter("traffic written cublasSgemm_v2") == launches * output, what + " writes other bytes");
    }
  }
  check(nothingFound(), simReport(0));
}

// The largest product of the tutorial's network, in all layouts.
void speed() {
  Rig rig("");
  const int sizes[][3] = {{8, 1000, 3136}, {1000, 8, 3136}, {3136, 8, 1000}, {3136, 1000, 8}};
  double slowest = 0;
  for (const auto &size : sizes) {
    for (int variant = 0; variant < 4; variant++) {
      const int m = size[0], n = size[1], k = size[2];
      const bool ta = variant & 1, tb = variant & 2;
      Array a(Values(size_t(m) * k, 1), CUDA_R_32F), b(Values(size_t(k) * n, 1), CUDA_R_32F);
      Array c(Values(size_t(m) * n), CUDA_R_32F);
      const float one = 1, zero = 0;
      const auto start = std::chrono::steady_clock::now();
      MUST(cublasSgemm(rig.blas, ta ? CUBLAS_OP_T : CUBLAS_OP_N, tb ? CUBLAS_OP_T : CUBLAS_OP_N, m, n, k, &one,
                       a.single(), ta ? k : m, b.single(), tb ? n : k, &zero, c.single(), m));
      MUST(cuStreamSynchronize(rig.stream));
      const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - start;
      slowest = std::max(slowest, taken.count());
      check(c.get()[0] == k, "the sum of ones");
    }
  }
  std::printf("slowest product of 8 x 1000 x 3136: %.1f ms\n", slowest);
  check(slowest < 2000, "a product takes seconds");
}

}  // namespace

int main(int count, char **words) {
  const uint64_t seed = count > 1 ? std::strtoull(words[1], nullptr, 10) : 1;
  Random random(seed);
  products(random);
  batches(random);
  narrowing(random);
  vectors(random);
  wrongArguments();
  nothingToDo();
  notSupported();
  modes();
  workspaceAndStream();
  faults();
  traffic();
  speed();
  std::printf("seed %llu: %d checks, %d failures\n", static_cast<unsigned long long>(seed), checks, failures);
  return failures > 0 ? 1 : 0;
}
