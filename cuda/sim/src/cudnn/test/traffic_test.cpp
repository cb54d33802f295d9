// What cuDNN's calls count as memory traffic: their operands, each sector of 32 bytes once, without workspace.
#include <cstdlib>

#include "core/core.h"
#include "rig.h"

namespace test {
namespace {

uint64_t counter(const std::string &name) {
  const std::string text = simReport(0), quoted = "\"" + name + "\":";
  const size_t at = text.find(quoted);
  return at == std::string::npos ? 0 : std::strtoull(text.c_str() + at + quoted.size(), nullptr, 10);
}

void checkTraffic(const std::string &call, uint64_t launches, uint64_t read, uint64_t written) {
  const uint64_t got[] = {counter("launches " + call), counter("traffic read " + call), counter("traffic written " + call)};
  check(got[0] == launches && got[1] == read && got[2] == written,
        call + ": " + std::to_string(got[0]) + " launches read " + std::to_string(got[1]) + " and write " +
            std::to_string(got[2]) + " bytes, not " + std::to_string(launches) + ", " + std::to_string(read) + " and " +
            std::to_string(written));
}

// Sectors of a tensor or filter whose elements have no gaps.
uint64_t sectors(const Dims &dims, uint64_t size) { return (count(dims) * size + 31) / 32 * 32; }

// A convolution with each algorithm that there is: some take a workspace, and all count the same.
void testConvolutionTraffic() {
  Rig rig("traffic=1");
  const Dims xs = {2, 3, 5, 7}, ws = {4, 3, 3, 3}, ys = {2, 4, 5, 7};
  Random random(1);
  Tensor x(CUDNN_DATA_BFLOAT16, xs), y(CUDNN_DATA_BFLOAT16, ys);
  Filter w(CUDNN_DATA_BFLOAT16, CUDNN_TENSOR_NCHW, ws);
  x.fill(random);
  y.fill(random);
  w.values.fill(random);
  cudnnConvolutionDescriptor_t convolution;
  MUST(cudnnCreateConvolutionDescriptor(&convolution));
  MUST(cudnnSetConvolution2dDescriptor(convolution, 1, 1, 1, 1, 1, 1, CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT));
  MUST(cudnnSetConvolutionMathType(convolution, CUDNN_TENSOR_OP_MATH));
  const uint64_t read = sectors(xs, 2) + sectors(ws, 2), written = sectors(ys, 2);
  uint64_t launches = 0, added = 0;
  bool withWorkspace = false;
  for (int i = 0; i < CUDNN_CONVOLUTION_FWD_ALGO_COUNT; i++) {
    const auto algorithm = static_cast<cudnnConvolutionFwdAlgo_t>(i);
    size_t bytes = 0;
    if (cudnnGetConvolutionForwardWorkspaceSize(rig.handle, x, w, convolution, y, algorithm, &bytes) != 0) continue;
    withWorkspace = withWorkspace || bytes > 0;
    Memory workspace(bytes);
    for (const float beta : {0.f, 1.f}) {
      const float one = 1;
      MUST(cudnnConvolutionForward(rig.handle, &one, x, x.data(), w, w.data(), convolution, algorithm,
                                   workspace.pointer(), bytes, &beta, y, y.data()));
      launches++;
      added += beta != 0 ? written : 0;  // y is read as well
    }
    rig.finish();
  }
  check(launches >= 4 && withWorkspace, "few algorithms, or none with a workspace");
  checkTraffic("cudnnConvolutionForward", launches, launches * read + added, launches * written);
  MUST(cudnnDestroyConvolutionDescriptor(convolution));
  checkNoFindings("traffic of a convolution");
}

// Elements with gaps between them: only their sectors count. In place, an operand is read and written once.
void testTensorTraffic() {
  Rig rig("traffic=1");
  const float one = 1, zero = 0;
  Random random(1);
  const Dims small = {1, 1, 1, 4};
  Tensor spread(CUDNN_DATA_FLOAT, small, {128, 128, 128, 32}), dense(CUDNN_DATA_FLOAT, small);
  spread.fill(random);
  dense.fill(random);
  MUST(cudnnAddTensor(rig.handle, &one, spread, spread.data(), &zero, dense, dense.data()));
  rig.finish();
  checkTraffic("cudnnAddTensor", 1, 4 * 32, 32);
  MUST(cudnnAddTensor(rig.handle, &one, spread, spread.data(), &one, dense, dense.data()));
  rig.finish();
  checkTraffic("cudnnAddTensor", 2, 4 * 32 + 5 * 32, 2 * 32);
  MUST(cudnnScaleTensor(rig.handle, dense, dense.data(), &one));
  rig.finish();
  checkTraffic("cudnnScaleTensor", 1, 32, 32);
  checkNoFindings("traffic of tensors");
}

// Gradients count the operands that they need of those that the functions take.
void testGradientTraffic() {
  Rig rig("traffic=1");
  const float one = 1, zero = 0;
  Random random(1);
  const Dims large = {1, 3, 8, 8}, small = {1, 3, 4, 4};
  const uint64_t all = sectors(large, 4), pooled = sectors(small, 4);
  Tensor x(CUDNN_DATA_FLOAT, large), y(CUDNN_DATA_FLOAT, large), dy(CUDNN_DATA_FLOAT, large), dx(CUDNN_DATA_FLOAT, large);
  Tensor py(CUDNN_DATA_FLOAT, small), pdy(CUDNN_DATA_FLOAT, small);
  for (Tensor *t : {&x, &y, &dy, &py, &pdy}) t->fill(random);
  cudnnActivationDescriptor_t activation;
  MUST(cudnnCreateActivationDescriptor(&activation));
  uint64_t launches = 0;
  for (const cudnnActivationMode_t mode : {CUDNN_ACTIVATION_RELU, CUDNN_ACTIVATION_SWISH}) {
    MUST(cudnnSetActivationDescriptor(activation, mode, CUDNN_NOT_PROPAGATE_NAN, 1));
    MUST(cudnnActivationBackward(rig.handle, activation, &one, y, y.data(), dy, dy.data(), x, x.data(), &zero, dx,
                                 dx.data()));
    rig.finish();
    launches++;
    checkTraffic("cudnnActivationBackward", launches, launches * 2 * all, launches * all);
  }
  MUST(cudnnDestroyActivationDescriptor(activation));
  cudnnPoolingDescriptor_t pooling;
  MUST(cudnnCreatePoolingDescriptor(&pooling));
  launches = 0;
  uint64_t read = 0;
  for (const cudnnPoolingMode_t mode : {CUDNN_POOLING_MAX, CUDNN_POOLING_AVERAGE_COUNT_INCLUDE_PADDING}) {
    MUST(cudnnSetPooling2dDescriptor(pooling, mode, CUDNN_NOT_PROPAGATE_NAN, 2, 2, 0, 0, 2, 2));
    MUST(cudnnPoolingBackward(rig.handle, pooling, &one, py, py.data(), pdy, pdy.data(), x, x.data(), &zero, dx,
                              dx.data()));
    rig.finish();
    launches++;
    read += pooled + (mode == CUDNN_POOLING_MAX ? all : 0);
    checkTraffic("cudnnPoolingBackward", launches, read, launches * all);
  }
  MUST(cudnnDestroyPoolingDescriptor(pooling));
  checkNoFindings("traffic of gradients");
}

}  // namespace

void testTraffic() {
  testGradientTraffic();
  testConvolutionTraffic();
  testTensorTraffic();
}

}  // namespace test
