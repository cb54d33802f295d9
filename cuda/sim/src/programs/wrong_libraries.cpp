// Wrong programs: cuDNN and cuBLAS.
#include "programs/machine.h"
#include "programs/registry.h"

namespace programs {

namespace {

// A convolution of 2x3x8x8 by 4x3x3x3 with padding 1, and its parts to spoil.
struct Layer {
  Layer() : x(randomNumbers(xShape.count(), 1)), w(randomNumbers(wShape.count(), 2)), y(yShape.count()) {}

  cudnnStatus_t forward(cudnnTensorDescriptor_t to, cudnnConvolutionFwdAlgo_t algorithm, const Memory *space,
                        size_t bytes) {
    return cudnnConvolutionForward(dnn, &kOne, xShape, x.pointer(), wShape, w.pointer(), convolution, algorithm,
                                   space ? space->pointer() : nullptr, bytes, &kZero, to, y.pointer());
  }
  size_t workspaceFor(cudnnConvolutionFwdAlgo_t algorithm) {
    size_t bytes = 0;
    MUST(cudnnGetConvolutionForwardWorkspaceSize(dnn, xShape, wShape, convolution, yShape, algorithm, &bytes));
    return bytes;
  }

  Dnn dnn;
  Tensor xShape{2, 3, 8, 8}, yShape{2, 4, 8, 8};
  Filter wShape{4, 3, 3, 3};
  Convolution convolution{1};
  Buffer<float> x, w, y;
};

void descriptorMismatch() {
  Session session;
  Layer layer;
  Tensor smaller(2, 4, 8, 7);
  ignore(layer.forward(smaller, CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM, nullptr, 0));
}

void filterOfOtherChannels() {
  Session session;
  Layer layer;
  Filter other(4, 2, 3, 3);
  ignore(cudnnConvolutionForward(layer.dnn, &kOne, layer.xShape, layer.x.pointer(), other, layer.w.pointer(),
                                 layer.convolution, CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM, nullptr, 0, &kZero,
                                 layer.yShape, layer.y.pointer()));
}

void wrongDataType() {
  Session session;
  Layer layer;
  Tensor half(2, 4, 8, 8, CUDNN_DATA_HALF);
  ignore(layer.forward(half, CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM, nullptr, 0));
}

void descriptorNeverSet() {
  Session session;
  Layer layer;
  cudnnTensorDescriptor_t empty = nullptr;
  MUST(cudnnCreateTensorDescriptor(&empty));
  ignore(layer.forward(empty, CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM, nullptr, 0));
  MUST(cudnnDestroyTensorDescriptor(empty));
}

void tensorLargerThanItsBuffer() {
  Session session;
  Dnn dnn;
  Pooling pooling(2);
  Tensor xShape(2, 4, 8, 8), yShape(2, 4, 4, 4);
  Buffer<float> x(randomNumbers(xShape.count(), 1)), y(yShape.count() - 1);
  ignore(cudnnPoolingForward(dnn, pooling, &kOne, xShape, x.pointer(), &kZero, yShape, y.pointer()));
}

void wrongPoolingShape() {
  Session session;
  Dnn dnn;
  Pooling pooling(2);
  Tensor xShape(2, 4, 8, 8), yShape(2, 4, 4, 5);
  Buffer<float> x(randomNumbers(xShape.count(), 1)), y(yShape.count());
  ignore(cudnnPoolingForward(dnn, pooling, &kOne, xShape, x.pointer(), &kZero, yShape, y.pointer()));
}

void workspaceTooSmall() {
  Session session;
  Layer layer;
  const cudnnConvolutionFwdAlgo_t algorithm = CUDNN_CONVOLUTION_FWD_ALGO_GEMM;
  const size_t bytes = layer.workspaceFor(algorithm);
  expect(bytes > 1, "the algorithm needs no workspace");
  Memory space(bytes - 1);
  ignore(layer.forward(layer.yShape, algorithm, &space, bytes - 1));
}

void workspaceSmallerThanSaid() {
  Session session;
  Layer layer;
  const cudnnConvolutionFwdAlgo_t algorithm = CUDNN_CONVOLUTION_FWD_ALGO_GEMM;
  const size_t bytes = layer.workspaceFor(algorithm);
  expect(bytes > 256, "the algorithm needs no workspace");
  Memory space(bytes - 256);
  ignore(layer.forward(layer.yShape, algorithm, &space, bytes));
}

void blasWorkspaceTooSmall() {
  Session session;
  Blas blas;
  Memory space(4096);
  Buffer<float> a(counting(4)), b(counting(4)), c(4);
  MUST(cublasSetWorkspace(blas, space.pointer(), 4096));
  ignore(cublasSgemm(blas, CUBLAS_OP_N, CUBLAS_OP_N, 2, 2, 2, &kOne, a.typed(), 2, b.typed(), 2, &kZero, c.typed(),
                     2));
}

void workspaceSharedByStreams() {
  Session session;
  Stream one, two;
  Blas first(one), second(two);
  Memory space(32 << 10);
  Buffer<float> a(counting(4)), b(counting(4)), c(4), d(4);
  MUST(cublasSetWorkspace(first, space.pointer(), 32 << 10));
  MUST(cublasSetWorkspace(second, space.pointer(), 32 << 10));
  ignore(cublasSgemm(first, CUBLAS_OP_N, CUBLAS_OP_N, 2, 2, 2, &kOne, a.typed(), 2, b.typed(), 2, &kZero, c.typed(),
                     2));
  ignore(cublasSgemm(second, CUBLAS_OP_N, CUBLAS_OP_N, 2, 2, 2, &kOne, a.typed(), 2, b.typed(), 2, &kZero, d.typed(),
                     2));
  ignore(cuCtxSynchronize());
}

void shortLeadingDimension() {
  Session session;
  Blas blas;
  Buffer<float> a(counting(12)), b(counting(12)), c(16);
  ignore(cublasSgemm(blas, CUBLAS_OP_N, CUBLAS_OP_N, 4, 4, 3, &kOne, a.typed(), 3, b.typed(), 3, &kZero, c.typed(),
                     4));
}

void gemmOutOfBounds() {
  Session session;
  Blas blas;
  Buffer<float> a(counting(12)), b(counting(12)), c(15);
  ignore(cublasSgemm(blas, CUBLAS_OP_N, CUBLAS_OP_N, 4, 4, 3, &kOne, a.typed(), 4, b.typed(), 3, &kZero, c.typed(),
                     4));
  ignore(cuCtxSynchronize());
}

void gemmAddsToNothing() {
  Session session;
  Blas blas;
  Buffer<float> a(counting(12)), b(counting(12)), c(16);
  ignore(cublasSgemm(blas, CUBLAS_OP_N, CUBLAS_OP_N, 4, 4, 3, &kOne, a.typed(), 4, b.typed(), 3, &kOne, c.typed(), 4));
  ignore(cuCtxSynchronize());
}

void gemmAddsToNothingByDeviceScalar() {
  Session session;
  Blas blas;
  Buffer<float> one(std::vector<float>{1}), a(counting(12)), b(counting(12)), c(16);
  MUST(cublasSetPointerMode(blas, CUBLAS_POINTER_MODE_DEVICE));
  ignore(cublasSgemm(blas, CUBLAS_OP_N, CUBLAS_OP_N, 4, 4, 3, one.typed(), a.typed(), 4, b.typed(), 3, one.typed(),
                     c.typed(), 4));
  ignore(cuCtxSynchronize());
}

void gemmOntoItsInput() {
  Session session;
  Blas blas;
  Buffer<float> a(counting(16)), b(counting(16));
  ignore(cublasSgemm(blas, CUBLAS_OP_N, CUBLAS_OP_N, 4, 4, 4, &kOne, a.typed(), 4, b.typed(), 4, &kZero, a.typed(),
                     4));
  ignore(cuCtxSynchronize());
}

void deviceScalarInHostMode() {
  Session session;
  Blas blas;
  Buffer<float> x(counting(8)), alpha(counting(1));
  ignore(cublasSscal(blas, 8, alpha.typed(), x.typed(), 1));
}

void hostScalarInDeviceMode() {
  Session session;
  Blas blas;
  Buffer<float> x(counting(8));
  MUST(cublasSetPointerMode(blas, CUBLAS_POINTER_MODE_DEVICE));
  ignore(cublasSscal(blas, 8, &kOne, x.typed(), 1));
}

}  // namespace

std::vector<Program> wrongLibraries() {
  const char *mismatch = "descriptor mismatch", *small = "workspace too small";
  return {
      {"descriptor-mismatch", descriptorMismatch, mismatch, {"cudnnConvolutionForward", "y"}},
      {"filter-of-other-channels", filterOfOtherChannels, mismatch, {"cudnnConvolutionForward"}},
      {"wrong-data-type", wrongDataType, mismatch, {"cudnnConvolutionForward"}},
      {"descriptor-never-set", descriptorNeverSet, mismatch, {"cudnnConvolutionForward", "yDesc"}},
      {"tensor-larger-than-buffer", tensorLargerThanItsBuffer, "out of bounds", {"cudnnPoolingForward", "buffer #"}},
      {"wrong-pooling-shape", wrongPoolingShape, mismatch, {"cudnnPoolingForward"}},
      {"workspace-too-small", workspaceTooSmall, small, {"cudnnConvolutionForward"}},
      {"workspace-smaller-than-said",
       workspaceSmallerThanSaid,
       "out of bounds",
       {"cudnnConvolutionForward", "workSpace", "buffer #"}},
      {"blas-workspace-too-small", blasWorkspaceTooSmall, small, {"cublasSgemm", "4096 bytes", "buffer #"}},
      {"workspace-shared-by-streams",
       workspaceSharedByStreams,
       "missing synchronisation",
       {"cublasSgemm", "workspace", "buffer #"}},
      {"short-leading-dimension", shortLeadingDimension, "bad value", {"cublasSgemm", "lda is 3"}},
      {"gemm-out-of-bounds", gemmOutOfBounds, "out of bounds", {"cublasSgemm", "C", "buffer #"}},
      {"gemm-adds-to-nothing", gemmAddsToNothing, "uninitialised read", {"cublasSgemm", "C", "buffer #"}},
      {"gemm-adds-to-nothing-by-device-scalar",
       gemmAddsToNothingByDeviceScalar,
       "uninitialised read",
       {"cublasSgemm", "C", "buffer #"}},
      {"gemm-onto-its-input", gemmOntoItsInput, "overlapping buffers", {"cublasSgemm", "A", "C", "buffer #"}},
      {"device-scalar-in-host-mode",
       deviceScalarInHostMode,
       "device pointer passed as host pointer",
       {"cublasSscal", "alpha", "buffer #"}},
      {"host-scalar-in-device-mode",
       hostScalarInDeviceMode,
       "host pointer passed as device pointer",
       {"cublasSscal", "alpha"}},
  };
}

}  // namespace programs
