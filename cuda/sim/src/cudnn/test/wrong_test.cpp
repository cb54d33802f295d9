#include <cstring>

#include "core/core.h"
#include "rig.h"

namespace test {
namespace {

const float kOne = 1, kZero = 0;

// A small convolution to call wrongly, and tensors for all else.
struct Parts {
  explicit Parts(Rig &rig)
      : rig(rig),
        x(CUDNN_DATA_FLOAT, {2, 3, 8, 8}),
        y(CUDNN_DATA_FLOAT, {2, 4, 8, 8}),
        w(CUDNN_DATA_FLOAT, CUDNN_TENSOR_NCHW, {4, 3, 3, 3}) {
    Random random(1);
    x.fill(random);
    y.fill(random);
    w.values.fill(random);
    MUST(cudnnCreateConvolutionDescriptor(&convolution));
    MUST(cudnnSetConvolution2dDescriptor(convolution, 1, 1, 1, 1, 1, 1, CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT));
    MUST(cudnnCreatePoolingDescriptor(&pooling));
    MUST(cudnnSetPooling2dDescriptor(pooling, CUDNN_POOLING_MAX, CUDNN_PROPAGATE_NAN, 2, 2, 0, 0, 2, 2));
  }
  ~Parts() {
    cudnnDestroyConvolutionDescriptor(convolution);
    cudnnDestroyPoolingDescriptor(pooling);
  }
  Parts(const Parts &) = delete;
  Parts &operator=(const Parts &) = delete;

  int forward(int algorithm, void *workspace, size_t bytes, const void *from, void *to) {
    return cudnnConvolutionForward(rig.handle, &kOne, x, from, w, w.data(), convolution,
                                   static_cast<cudnnConvolutionFwdAlgo_t>(algorithm), workspace, bytes, &kZero, y, to);
  }

  Rig &rig;
  Tensor x, y;
  Filter w;
  cudnnConvolutionDescriptor_t convolution = nullptr;
  cudnnPoolingDescriptor_t pooling = nullptr;
};

// A wrong call has to give its status, one finding of its check and a sentence for cudnnGetLastErrorString.
void expectWrong(const char *what, int status, const char *check, const std::function<int(Rig &, Parts &)> &call) {
  Rig rig("seed=1");
  {
    Parts parts(rig);
    const int got = call(rig, parts);
    test::check(got == status, std::string(what) + ": status " + std::to_string(got));
    char message[200] = "";
    cudnnGetLastErrorString(message, sizeof message);
    test::check(status == 0 || std::strstr(message, "Reason: ") != nullptr, std::string(what) + ": " + message);
    cuStreamSynchronize(rig.stream);
    const std::string found = findings();
    test::check(found.find("\"" + std::string(check) + "\"") != std::string::npos, std::string(what) + ": " + found);
  }
}

void testConvolutions() {
  namespace of = sim::check;
  expectWrong("y of another size", 2008, of::descriptor, [](Rig &rig, Parts &p) {
    Tensor smaller(CUDNN_DATA_FLOAT, {2, 4, 8, 7});
    return int(cudnnConvolutionForward(rig.handle, &kOne, p.x, p.x.data(), p.w, p.w.data(), p.convolution,
                                       CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM, nullptr, 0, &kZero, smaller,
                                       smaller.data()));
  });
  expectWrong("w of other channels", 2000, of::descriptor, [](Rig &rig, Parts &p) {
    Filter w(CUDNN_DATA_FLOAT, CUDNN_TENSOR_NCHW, {4, 2, 3, 3});
    return int(cudnnConvolutionForward(rig.handle, &kOne, p.x, p.x.data(), w, w.data(), p.convolution,
                                       CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM, nullptr, 0, &kZero, p.y, p.y.data()));
  });
  expectWrong("groups that don't divide", 2000, of::descriptor, [](Rig &, Parts &p) {
    MUST(cudnnSetConvolutionGroupCount(p.convolution, 3));
    return p.forward(0, nullptr, 0, p.x.data(), p.y.data());
  });
  expectWrong("computing float in double", 3003, of::descriptor, [](Rig &, Parts &p) {
    MUST(cudnnSetConvolution2dDescriptor(p.convolution, 1, 1, 1, 1, 1, 1, CUDNN_CROSS_CORRELATION, CUDNN_DATA_DOUBLE));
    return p.forward(0, nullptr, 0, p.x.data(), p.y.data());
  });
  expectWrong("an algorithm that isn't implemented", 3000, of::descriptor,
              [](Rig &, Parts &p) { return p.forward(3, nullptr, 0, p.x.data(), p.y.data()); });
  expectWrong("an unknown algorithm", 2000, of::badValue,
              [](Rig &, Parts &p) { return p.forward(99, nullptr, 0, p.x.data(), p.y.data()); });
  expectWrong("a workspace that is too small", 2006, of::workspace, [](Rig &, Parts &p) {
    Memory workspace(16);
    return p.forward(2, workspace.pointer(), workspace.bytes, p.x.data(), p.y.data());
  });
  expectWrong("no workspace", 2006, of::workspace,
              [](Rig &, Parts &p) { return p.forward(2, nullptr, 1 << 20, p.x.data(), p.y.data()); });
  expectWrong("y in x's memory", 2000, of::overlap, [](Rig &, Parts &p) {
    return p.forward(0, nullptr, 0, static_cast<char *>(p.y.data()) + 16, p.y.data());
  });
  expectWrong("null", 2002, of::badValue,
              [](Rig &, Parts &p) { return p.forward(0, nullptr, 0, nullptr, p.y.data()); });
  expectWrong("misaligned", 2003, of::misaligned, [](Rig &, Parts &p) {
    return p.forward(0, nullptr, 0, static_cast<char *>(p.x.data()) + 2, p.y.data());
  });
  expectWrong("past the end", 2000, of::outOfBounds, [](Rig &, Parts &p) {
    return p.forward(0, nullptr, 0, static_cast<char *>(p.x.data()) + 4, p.y.data());
  });
  expectWrong("host memory", 2000, of::hostPointer, [](Rig &, Parts &p) {
    static float host[2 * 3 * 8 * 8];
    return p.forward(0, nullptr, 0, host, p.y.data());
  });
  expectWrong("alpha on the device", 2000, of::devicePointer, [](Rig &rig, Parts &p) {
    return int(cudnnConvolutionForward(rig.handle, p.y.data(), p.x, p.x.data(), p.w, p.w.data(), p.convolution,
                                       CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM, nullptr, 0, &kZero, p.y, p.y.data()));
  });
  expectWrong("x that nobody wrote", 0, of::uninitialised, [](Rig &, Parts &p) {
    Memory fresh(p.x.memory.bytes);
    const int status = p.forward(0, nullptr, 0, fresh.pointer(), p.y.data());
    cuStreamSynchronize(p.rig.stream);
    return status;
  });
  expectWrong("a filter of another layout", 3004, of::descriptor, [](Rig &rig, Parts &p) {
    Filter w(CUDNN_DATA_FLOAT, CUDNN_TENSOR_NHWC, {4, 3, 3, 3});
    return int(cudnnConvolutionForward(rig.handle, &kOne, p.x, p.x.data(), w, w.data(), p.convolution,
                                       CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM, nullptr, 0, &kZero, p.y, p.y.data()));
  });
}

void testHandles() {
  namespace of = sim::check;
  expectWrong("a destroyed handle", 2000, of::badHandle, [](Rig &, Parts &p) {
    cudnnHandle_t other;
    MUST(cudnnCreate(&other));
    MUST(cudnnDestroy(other));
    return int(cudnnScaleTensor(other, p.x, p.x.data(), &kOne));
  });
  expectWrong("a destroyed descriptor", 2000, of::badHandle, [](Rig &rig, Parts &p) {
    cudnnTensorDescriptor_t d;
    MUST(cudnnCreateTensorDescriptor(&d));
    MUST(cudnnDestroyTensorDescriptor(d));
    return int(cudnnScaleTensor(rig.handle, d, p.x.data(), &kOne));
  });
  expectWrong("a descriptor that was never set", 2000, of::descriptor, [](Rig &rig, Parts &p) {
    cudnnTensorDescriptor_t d;
    MUST(cudnnCreateTensorDescriptor(&d));
    const int status = cudnnScaleTensor(rig.handle, d, p.x.data(), &kOne);
    MUST(cudnnDestroyTensorDescriptor(d));
    return status;
  });
  expectWrong("another context", 5000, of::wrongContext, [](Rig &rig, Parts &p) {
    CUcontext other;
    MUST(cuCtxCreate(&other, 0, 0));
    const int status = cudnnScaleTensor(rig.handle, p.x, p.x.data(), &kOne);
    MUST(cuCtxDestroy(other));
    return status;
  });
  expectWrong("no context", 5003, of::noContext, [](Rig &rig, Parts &p) {
    MUST(cuCtxSetCurrent(nullptr));
    const int status = cudnnScaleTensor(rig.handle, p.x, p.x.data(), &kOne);
    MUST(cuCtxSetCurrent(rig.context));
    return status;
  });
}

void testOthers() {
  namespace of = sim::check;
  expectWrong("pooling to another size", 2008, of::descriptor, [](Rig &rig, Parts &p) {
    Tensor y(CUDNN_DATA_FLOAT, {2, 3, 4, 5});
    return int(cudnnPoolingForward(rig.handle, p.pooling, &kOne, p.x, p.x.data(), &kZero, y, y.data()));
  });
  expectWrong("a bias of another size", 2000, of::descriptor, [](Rig &rig, Parts &p) {
    Tensor bias(CUDNN_DATA_FLOAT, {1, 2, 1, 1});
    return int(cudnnAddTensor(rig.handle, &kOne, bias, bias.data(), &kOne, p.x, p.x.data()));
  });
  expectWrong("elements that share addresses", 3004, of::descriptor, [](Rig &rig, Parts &p) {
    cudnnTensorDescriptor_t d;
    MUST(cudnnCreateTensorDescriptor(&d));
    MUST(cudnnSetTensor4dDescriptorEx(d, CUDNN_DATA_FLOAT, 1, 1, 4, 4, 16, 16, 2, 1));
    const int status = cudnnScaleTensor(rig.handle, d, p.x.data(), &kOne);
    MUST(cudnnDestroyTensorDescriptor(d));
    return status;
  });
  expectWrong("a dimension of 0", 2000, of::badValue, [](Rig &, Parts &p) {
    return int(cudnnSetTensor4dDescriptor(p.x, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, 0, 1, 1, 1));
  });
  expectWrong("a stride of 0", 2000, of::badValue, [](Rig &, Parts &p) {
    return int(
        cudnnSetConvolution2dDescriptor(p.convolution, 0, 0, 0, 1, 1, 1, CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT));
  });
  expectWrong("a search during capture", 5003, of::capture, [](Rig &rig, Parts &p) {
    MUST(cuStreamBeginCapture(rig.stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    int returned = 0;
    cudnnConvolutionFwdAlgoPerf_t perf;
    const int status =
        cudnnFindConvolutionForwardAlgorithm(rig.handle, p.x, p.w, p.convolution, p.y, 1, &returned, &perf);
    CUgraph graph = nullptr;
    cuStreamEndCapture(rig.stream, &graph);
    if (graph) cuGraphDestroy(graph);
    return status;
  });
}

void testFaults() {
  Rig rig("fault=cudnnScaleTensor@2=4000");
  Tensor x(CUDNN_DATA_FLOAT, {1, 1, 1, 2});
  x.put({1, 2});
  const float two = 2;
  MUST(cudnnScaleTensor(rig.handle, x, x.data(), &two));
  check(cudnnScaleTensor(rig.handle, x, x.data(), &two) == CUDNN_STATUS_INTERNAL_ERROR, "a fault on demand");
  MUST(cudnnScaleTensor(rig.handle, x, x.data(), &two));
  checkClose(x.get(), {4, 8}, 0, "a call that failed does nothing");
  checkNoFindings("faults");
}

}  // namespace

void testWrong(uint64_t) {
  testConvolutions();
  testHandles();
  testOthers();
  testFaults();
}

// Getters give back what setters were given; versions and texts.
void testDescriptors(uint64_t seed) {
  Rig rig("seed=" + std::to_string(seed));
  check(cudnnGetVersion() / 10000 == 9, "cudnnGetVersion");
  check(cudnnGetCudartVersion() == 12040, "cudnnGetCudartVersion");
  int major = 0;
  MUST(cudnnGetProperty(MAJOR_VERSION, &major));
  check(major == 9, "cudnnGetProperty");
  check(std::string(cudnnGetErrorString(CUDNN_STATUS_BAD_PARAM)) == "CUDNN_STATUS_BAD_PARAM", "cudnnGetErrorString");
  CUstream stream = nullptr;
  MUST(cudnnGetStream(rig.handle, &stream));
  check(stream == rig.stream, "cudnnGetStream");

  Tensor x(CUDNN_DATA_HALF, {2, 3, 4, 5});
  MUST(cudnnSetTensor4dDescriptor(x, CUDNN_TENSOR_NHWC, CUDNN_DATA_HALF, 2, 3, 4, 5));
  cudnnDataType_t type;
  int n, c, h, w, nStride, cStride, hStride, wStride;
  MUST(cudnnGetTensor4dDescriptor(x, &type, &n, &c, &h, &w, &nStride, &cStride, &hStride, &wStride));
  check(type == CUDNN_DATA_HALF && Dims({n, c, h, w}) == Dims({2, 3, 4, 5}), "cudnnGetTensor4dDescriptor");
  check(Dims({nStride, cStride, hStride, wStride}) == Dims({60, 1, 15, 3}), "strides of NHWC");
  MUST(cudnnSetTensor4dDescriptorEx(x, CUDNN_DATA_DOUBLE, 2, 3, 4, 5, 100, 30, 7, 1));
  size_t bytes = 0;
  MUST(cudnnGetTensorSizeInBytes(x, &bytes));
  check(bytes == (100 + 2 * 30 + 3 * 7 + 4 + 1) * 8, "cudnnGetTensorSizeInBytes");
  Dims dims(4), strides(4);
  int rank = 0;
  MUST(cudnnGetTensorNdDescriptor(x, 4, &type, &rank, dims.data(), strides.data()));
  check(rank == 4 && dims == Dims({2, 3, 4, 5}) && strides == Dims({100, 30, 7, 1}), "cudnnGetTensorNdDescriptor");

  Filter filter(CUDNN_DATA_FLOAT, CUDNN_TENSOR_NHWC, {6, 3, 2, 2});
  cudnnTensorFormat_t format;
  MUST(cudnnGetFilter4dDescriptor(filter, &type, &format, &n, &c, &h, &w));
  check(format == CUDNN_TENSOR_NHWC && Dims({n, c, h, w}) == Dims({6, 3, 2, 2}), "cudnnGetFilter4dDescriptor");
  MUST(cudnnGetFilterSizeInBytes(filter, &bytes));
  check(bytes == 6 * 3 * 2 * 2 * 4, "cudnnGetFilterSizeInBytes");

  cudnnConvolutionDescriptor_t convolution;
  MUST(cudnnCreateConvolutionDescriptor(&convolution));
  MUST(cudnnSetConvolutionMathType(convolution, CUDNN_FMA_MATH));
  MUST(cudnnSetConvolution2dDescriptor(convolution, 1, 2, 3, 4, 5, 6, CUDNN_CONVOLUTION, CUDNN_DATA_FLOAT));
  cudnnMathType_t math;
  MUST(cudnnGetConvolutionMathType(convolution, &math));
  check(math == CUDNN_DEFAULT_MATH, "setting a convolution makes its math type the default again");
  int v[6];
  cudnnConvolutionMode_t mode;
  MUST(cudnnGetConvolution2dDescriptor(convolution, v, v + 1, v + 2, v + 3, v + 4, v + 5, &mode, &type));
  check(std::vector<int>(v, v + 6) == std::vector<int>({1, 2, 3, 4, 5, 6}) && mode == CUDNN_CONVOLUTION,
        "cudnnGetConvolution2dDescriptor");
  MUST(cudnnSetConvolution2dDescriptor(convolution, 1, 1, 2, 2, 1, 1, CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT));
  MUST(cudnnGetConvolution2dForwardOutputDim(convolution, x, filter, &n, &c, &h, &w));
  check(Dims({n, c, h, w}) == Dims({2, 6, 3, 3}), "cudnnGetConvolution2dForwardOutputDim");
  MUST(cudnnDestroyConvolutionDescriptor(convolution));

  cudnnPoolingDescriptor_t pooling;
  MUST(cudnnCreatePoolingDescriptor(&pooling));
  MUST(cudnnSetPooling2dDescriptor(pooling, CUDNN_POOLING_MAX, CUDNN_PROPAGATE_NAN, 3, 2, 1, 0, 2, 1));
  MUST(cudnnGetPooling2dForwardOutputDim(pooling, x, &n, &c, &h, &w));
  check(Dims({n, c, h, w}) == Dims({2, 3, 2, 4}), "cudnnGetPooling2dForwardOutputDim");
  MUST(cudnnDestroyPoolingDescriptor(pooling));
  checkNoFindings("descriptors");
}

}  // namespace test
