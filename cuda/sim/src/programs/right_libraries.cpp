// Right programs: cuDNN and cuBLAS against plain loops in double.
#include <cmath>
#include <cstring>

#include "programs/machine.h"
#include "programs/reference.h"
#include "programs/registry.h"

namespace programs {

namespace {

constexpr double kClose = 1e-5;

// A convolution, bias and pooling layer and a linear one: forwards as a network would.
void network() {
  Session session;
  Stream stream;
  Dnn dnn(stream);
  Blas blas(stream);
  Tensor xShape(2, 3, 8, 8), yShape(2, 4, 8, 8), pShape(2, 4, 4, 4), biasShape(1, 4, 1, 1);
  Filter wShape(4, 3, 3, 3);
  Convolution convolution(1);
  Pooling pooling(2);
  const int features = 64, classes = 10, batch = 2;
  const std::vector<float> x = randomNumbers(xShape.count(), 1), w = randomNumbers(wShape.count(), 2),
                           bias = randomNumbers(4, 3), v = randomNumbers(features * classes, 4);
  Buffer<float> dx(x), dw(w), db(bias), dv(v), y(yShape.count()), p(pShape.count()), out(classes * batch);
  MUST(cudnnConvolutionForward(dnn, &kOne, xShape, dx.pointer(), wShape, dw.pointer(), convolution,
                               CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM, nullptr, 0, &kZero, yShape, y.pointer()));
  MUST(cudnnAddTensor(dnn, &kOne, biasShape, db.pointer(), &kOne, yShape, y.pointer()));
  MUST(cudnnPoolingForward(dnn, pooling, &kOne, yShape, y.pointer(), &kZero, pShape, p.pointer()));
  MUST(cublasSgemm(blas, CUBLAS_OP_T, CUBLAS_OP_N, classes, batch, features, &kOne, dv.typed(), features, p.typed(),
                   features, &kZero, out.typed(), classes));
  stream.synchronize();
  Numbers want = convolved(xShape, widened(x), wShape, widened(w), yShape, 1);
  addBias(yShape, want, widened(bias));
  std::vector<size_t> from;
  want = pooled(yShape, want, pShape, from);
  expectClose(p.get(), want, kClose, "pooled");
  want = product(true, false, classes, batch, features, widened(v), want);
  expectClose(out.get(), want, kClose, "out");
}

// Every algorithm that the library offers gives the same forward convolution.
void everyForwardAlgorithm() {
  Session session;
  Dnn dnn;
  Tensor xShape(2, 3, 8, 8), yShape(2, 4, 8, 8);
  Filter wShape(4, 3, 3, 3);
  Convolution convolution(1);
  const std::vector<float> x = randomNumbers(xShape.count(), 1), w = randomNumbers(wShape.count(), 2);
  const Numbers want = convolved(xShape, widened(x), wShape, widened(w), yShape, 1);
  Buffer<float> dx(x), dw(w), y(yShape.count());
  cudnnConvolutionFwdAlgoPerf_t algorithms[CUDNN_CONVOLUTION_FWD_ALGO_COUNT];
  int count = 0, used = 0;
  MUST(cudnnGetConvolutionForwardAlgorithm_v7(dnn, xShape, wShape, convolution, yShape,
                                              CUDNN_CONVOLUTION_FWD_ALGO_COUNT, &count, algorithms));
  for (int i = 0; i < count; i++) {
    if (algorithms[i].status != CUDNN_STATUS_SUCCESS) continue;
    size_t bytes = 0;
    MUST(cudnnGetConvolutionForwardWorkspaceSize(dnn, xShape, wShape, convolution, yShape, algorithms[i].algo,
                                                 &bytes));
    Memory space(bytes + 1);
    MUST(cudnnConvolutionForward(dnn, &kOne, xShape, dx.pointer(), wShape, dw.pointer(), convolution,
                                 algorithms[i].algo, space.pointer(), bytes, &kZero, yShape, y.pointer()));
    expectClose(y.get(), want, 1e-4, "y by algorithm " + std::to_string(algorithms[i].algo));
    used++;
  }
  expect(used > 1, "there is but one algorithm");
}

// The deterministic algorithm of a backward pass, with its workspace.
template <class Perf>
Perf deterministic(const std::vector<Perf> &offers) {
  for (const Perf &offer : offers) {
    if (offer.status == CUDNN_STATUS_SUCCESS && offer.determinism == CUDNN_DETERMINISTIC) return offer;
  }
  throw Failed("no deterministic algorithm is offered");
}

void gradients() {
  Session session;
  Stream stream;
  Dnn dnn(stream);
  Tensor xShape(2, 3, 6, 6), yShape(2, 4, 6, 6);
  Filter wShape(4, 3, 3, 3);
  Convolution convolution(1);
  const std::vector<float> x = randomNumbers(xShape.count(), 1), w = randomNumbers(wShape.count(), 2),
                           dy = randomNumbers(yShape.count(), 3);
  Buffer<float> gx(x), gw(w), gdy(dy), gdx(xShape.count()), gdw(wShape.count());
  int count = 0;
  std::vector<cudnnConvolutionBwdDataAlgoPerf_t> byData(CUDNN_CONVOLUTION_BWD_DATA_ALGO_COUNT);
  MUST(cudnnGetConvolutionBackwardDataAlgorithm_v7(dnn, wShape, yShape, convolution, xShape, int(byData.size()),
                                                   &count, byData.data()));
  byData.resize(count);
  std::vector<cudnnConvolutionBwdFilterAlgoPerf_t> byFilter(CUDNN_CONVOLUTION_BWD_FILTER_ALGO_COUNT);
  MUST(cudnnGetConvolutionBackwardFilterAlgorithm_v7(dnn, xShape, yShape, convolution, wShape, int(byFilter.size()),
                                                     &count, byFilter.data()));
  byFilter.resize(count);
  const auto data = deterministic(byData);
  const auto filter = deterministic(byFilter);
  const size_t bytes = std::max(data.memory, filter.memory);
  Memory space(bytes + 1);  // both use it, in order
  MUST(cudnnConvolutionBackwardData(dnn, &kOne, wShape, gw.pointer(), yShape, gdy.pointer(), convolution, data.algo,
                                    space.pointer(), bytes, &kZero, xShape, gdx.pointer()));
  MUST(cudnnConvolutionBackwardFilter(dnn, &kOne, xShape, gx.pointer(), yShape, gdy.pointer(), convolution,
                                      filter.algo, space.pointer(), bytes, &kZero, wShape, gdw.pointer()));
  stream.synchronize();
  expectClose(gdx.get(), dataGradient(xShape, wShape, widened(w), yShape, widened(dy), 1), kClose, "dx");
  expectClose(gdw.get(), filterGradient(xShape, widened(x), wShape, yShape, widened(dy), 1), kClose, "dw");
}

void poolingBackwards() {
  Session session;
  Dnn dnn;
  Tensor xShape(2, 3, 6, 6), yShape(2, 3, 3, 3);
  Pooling pooling(2);
  const std::vector<float> x = randomNumbers(xShape.count(), 1), dy = randomNumbers(yShape.count(), 2);
  Buffer<float> gx(x), y(yShape.count()), gdy(dy), gdx(xShape.count());
  MUST(cudnnPoolingForward(dnn, pooling, &kOne, xShape, gx.pointer(), &kZero, yShape, y.pointer()));
  MUST(cudnnPoolingBackward(dnn, pooling, &kOne, yShape, y.pointer(), yShape, gdy.pointer(), xShape, gx.pointer(),
                            &kZero, xShape, gdx.pointer()));
  Numbers want(xShape.count());
  std::vector<size_t> from;
  pooled(xShape, widened(x), yShape, from);
  for (size_t i = 0; i < from.size(); i++) want[from[i]] = dy[i];
  expectClose(gdx.get(), want, kClose, "dx");
}

// All ways to store the factors, with leading dimensions that leave gaps which nobody ever writes.
void gemmLayouts() {
  Session session;
  Blas blas;
  const int m = 5, n = 7, k = 300;
  for (int variant = 0; variant < 4; variant++) {
    const bool ta = variant & 1, tb = variant & 2;
    const int rowsA = ta ? k : m, columnsA = ta ? m : k, rowsB = tb ? n : k, columnsB = tb ? k : n;
    const int lda = rowsA + 3, ldb = rowsB + 1, ldc = m + 2;
    const std::vector<float> a = randomNumbers(size_t(m) * k, 1), b = randomNumbers(size_t(k) * n, 2);
    const std::vector<float> c = randomNumbers(size_t(m) * n, 3);
    Buffer<float> ga(size_t(lda) * columnsA), gb(size_t(ldb) * columnsB), gc(size_t(ldc) * n);
    const auto put = [](Buffer<float> &to, const std::vector<float> &from, int rows, int columns, int ld) {
      for (int j = 0; j < columns; j++) {
        MUST(cuMemcpyHtoD(to.address + j * ld * 4, from.data() + j * rows, rows * 4));
      }
    };
    put(ga, a, rowsA, columnsA, lda);
    put(gb, b, rowsB, columnsB, ldb);
    put(gc, c, m, n, ldc);
    const float alpha = 0.5f, beta = -2;
    MUST(cublasSgemm(blas, ta ? CUBLAS_OP_T : CUBLAS_OP_N, tb ? CUBLAS_OP_T : CUBLAS_OP_N, m, n, k, &alpha, ga.typed(),
                     lda, gb.typed(), ldb, &beta, gc.typed(), ldc));
    std::vector<float> got(size_t(m) * n);
    for (int j = 0; j < n; j++) MUST(cuMemcpyDtoH(got.data() + j * m, gc.address + j * ldc * 4, m * 4));
    Numbers want = product(ta, tb, m, n, k, widened(a), widened(b));
    for (size_t i = 0; i < want.size(); i++) want[i] = alpha * want[i] + double(beta) * c[i];
    expectClose(got, want, kClose, "variant " + std::to_string(variant));
  }
}

uint16_t halfOf(float value) {  // of small integers, which halves hold exactly
  if (value == 0) return 0;
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return uint16_t((bits >> 16 & 0x8000) | ((bits >> 13 & 0x3ffff) - (112 << 10)));
}

uint16_t brainOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return uint16_t(bits >> 16);
}

// Half and bfloat16 factors, float32 results.
void mixedPrecision() {
  Session session;
  Blas blas;
  const int m = 3, n = 4, k = 5;
  std::vector<float> a(m * k), b(k * n);
  for (size_t i = 0; i < a.size(); i++) a[i] = float(int(i) % 7 - 3);
  for (size_t i = 0; i < b.size(); i++) b[i] = float(int(i) % 5 - 2);
  const Numbers want = product(false, false, m, n, k, widened(a), widened(b));
  for (const cudaDataType type : {CUDA_R_16F, CUDA_R_16BF}) {
    std::vector<uint16_t> smallA, smallB;
    for (float value : a) smallA.push_back(type == CUDA_R_16F ? halfOf(value) : brainOf(value));
    for (float value : b) smallB.push_back(type == CUDA_R_16F ? halfOf(value) : brainOf(value));
    Buffer<uint16_t> ga(smallA), gb(smallB);
    Buffer<float> c(m * n);
    MUST(cublasGemmEx(blas, CUBLAS_OP_N, CUBLAS_OP_N, m, n, k, &kOne, ga.pointer(), type, m, gb.pointer(), type, k,
                      &kZero, c.pointer(), CUDA_R_32F, m, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT));
    expectClose(c.get(), want, 0, "c");
  }
}

// TF32 keeps 10 bits of the factors' mantissas, and only where it is asked for.
void tensorFloat() {
  Session session;
  Blas blas;
  const float fine = 1 + 1.0f / 4096;
  Buffer<float> a(std::vector<float>{fine}), b(std::vector<float>{1}), c(1);
  const auto multiply = [&] {
    MUST(cublasSgemm(blas, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &kOne, a.typed(), 1, b.typed(), 1, &kZero, c.typed(), 1));
    return c.get();
  };
  expectEqual(multiply(), {fine}, "the product in float32");
  MUST(cublasSetMathMode(blas, CUBLAS_TF32_TENSOR_OP_MATH));
  expectEqual(multiply(), {1}, "the product in TF32");
  MUST(cublasSetMathMode(blas, CUBLAS_DEFAULT_MATH));
  MUST(cublasGemmEx(blas, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &kOne, a.pointer(), CUDA_R_32F, 1, b.pointer(),
                    CUDA_R_32F, 1, &kZero, c.pointer(), CUDA_R_32F, 1, CUBLAS_COMPUTE_32F_FAST_TF32,
                    CUBLAS_GEMM_DEFAULT));
  expectEqual(c.get(), {1}, "the product by FAST_TF32");
}

// Scalars in device memory are read when the work runs, after what the stream did before.
void deviceScalars() {
  Session session;
  Kernels kernels;
  Stream stream;
  Blas blas(stream);
  MUST(cublasSetPointerMode(blas, CUBLAS_POINTER_MODE_DEVICE));
  Buffer<float> three(std::vector<float>{3}), alpha(1), x(counting(16)), y(std::vector<float>(16, 1)), dot(1);
  MUST(launch(kernels["scale"], {1, 32, 0}, stream, three.address, alpha.address, 2.0f, 1));
  MUST(cublasSaxpy(blas, 16, alpha.typed(), x.typed(), 1, y.typed(), 1));
  MUST(cublasSdot(blas, 16, y.typed(), 1, y.typed(), 1, dot.typed()));
  // beta decides on the device whether c, which nobody has written, is read.
  Buffer<float> one(std::vector<float>{1}), zero(std::vector<float>{0}), a(counting(4)), c(4);
  for (const Buffer<float> *beta : {&zero, &one}) {
    MUST(cublasSgemm(blas, CUBLAS_OP_N, CUBLAS_OP_N, 2, 2, 2, one.typed(), a.typed(), 2, a.typed(), 2, beta->typed(),
                     c.typed(), 2));
  }
  stream.synchronize();
  expectEqual(c.get(), {4, 6, 12, 22}, "c");
  std::vector<float> want(16);
  double wantDot = 0;
  for (int i = 0; i < 16; i++) {
    want[i] = float(1 + 6 * i);
    wantDot += double(want[i]) * want[i];
  }
  expectEqual(y.get(), want, "y");
  expectEqual(dot.get(), {float(wantDot)}, "the scalar product");
}

}  // namespace

std::vector<Program> rightLibraries() {
  return {
      {"network-forwards", network},
      {"every-forward-algorithm", everyForwardAlgorithm},
      {"convolution-gradients", gradients},
      {"pooling-backwards", poolingBackwards},
      {"gemm-layouts", gemmLayouts},
      {"mixed-precision", mixedPrecision},
      {"tensor-float", tensorFloat},
      {"device-scalars", deviceScalars},
  };
}

}  // namespace programs
