// Which algorithms can do a convolution, with how much workspace: the queries and searches for them.
#include <algorithm>

#include "convolution.h"

namespace dnn {
namespace {

// What the directions' numbers stand for.
enum class Kind : uint8_t { Implicit, Precomputed, Gemm, Direct, Fft, FftTiling, Winograd, WinogradNonfused, Atomic };

constexpr Kind kForward[] = {Kind::Implicit, Kind::Precomputed, Kind::Gemm,     Kind::Direct,
                             Kind::Fft,      Kind::FftTiling,   Kind::Winograd, Kind::WinogradNonfused};
constexpr Kind kData[] = {Kind::Atomic,    Kind::Precomputed, Kind::Fft,
                          Kind::FftTiling, Kind::Winograd,    Kind::WinogradNonfused};
constexpr Kind kFilter[] = {Kind::Atomic, Kind::Precomputed,      Kind::Fft,      Kind::Atomic,
                            Kind::Direct, Kind::WinogradNonfused, Kind::FftTiling};

Kind kindOf(Direction direction, int algorithm) {
  switch (direction) {
    case Direction::Forward: return kForward[algorithm];
    case Direction::Data: return kData[algorithm];
    case Direction::Filter: break;
  }
  return kFilter[algorithm];
}

bool all(const int (&values)[3], int wanted) {
  return std::all_of(values, values + 3, [&](int v) { return v == wanted; });
}

bool isPlane(const Problem &p) { return p.x.rank == 4; }

// Why the transforms of Fourier can't do it; empty: they can.
std::string fourierRefusal(const Problem &p, Kind kind) {
  const bool tiling = kind == Kind::FftTiling;
  if (!tiling && !isPlane(p)) return "FFT is for two spatial dimensions";
  if (!p.x.packed() || !p.y.packed()) return "FFT wants packed NCHW tensors";
  if (!tiling && isDouble(p.x.type)) return "FFT has no double";
  if (p.x.type == CUDNN_DATA_BFLOAT16) return "FFT has no bfloat16";
  if (!all(p.stride, 1)) return "FFT wants strides of 1";
  if (!all(p.dilation, 1)) return "FFT wants dilations of 1";
  for (int i = 0; i < 3; i++) {
    if (p.filter[i] <= p.pad[i]) return "FFT wants filters that are wider than the padding";
    if (!tiling && p.in[i] + 2 * p.pad[i] > 256) return "FFT is for images of up to 256 pixels with their padding";
    if (tiling && p.filter[i] > 32) return "FFT_TILING is for filters of up to 32 pixels";
  }
  return "";
}

std::string winogradRefusal(const Problem &p, Kind kind) {
  if (!isPlane(p)) return "WINOGRAD is for two spatial dimensions";
  if (isDouble(p.x.type)) return "WINOGRAD has no double";
  if (kind == Kind::Winograd && p.x.type == CUDNN_DATA_BFLOAT16) return "fused WINOGRAD has no bfloat16";
  if (!all(p.stride, 1) || !all(p.dilation, 1)) return "WINOGRAD wants strides and dilations of 1";
  const bool three = p.filter[1] == 3 && p.filter[2] == 3, five = p.filter[1] == 5 && p.filter[2] == 5;
  if (!three && !(five && kind == Kind::WinogradNonfused)) return "WINOGRAD can't do filters of this size";
  if (kind == Kind::Winograd && p.groups() > 1) return "WINOGRAD has no groups";
  if (p.pad[1] > p.filter[1] || p.pad[2] > p.filter[2]) return "WINOGRAD wants padding no wider than the filter";
  return "";
}

std::string refusal(const Problem &p, Direction direction, Kind kind) {
  if (p.w.format == CUDNN_TENSOR_NHWC && kind != Kind::Implicit && kind != Kind::Precomputed && kind != Kind::Atomic) {
    return "only the implicit products do NHWC filters";
  }
  switch (kind) {
    case Kind::Direct: return "it isn't implemented";
    case Kind::Gemm:
      if (!isPlane(p)) return "GEMM is for two spatial dimensions";
      [[fallthrough]];
    case Kind::Precomputed:
      if (direction == Direction::Forward && !all(p.dilation, 1)) return "it wants dilations of 1";
      return "";
    case Kind::Fft:
    case Kind::FftTiling: return fourierRefusal(p, kind);
    case Kind::Winograd:
    case Kind::WinogradNonfused: return winogradRefusal(p, kind);
    case Kind::Implicit:
    case Kind::Atomic: break;
  }
  return "";
}

uint64_t workspaceOf(const Problem &p, Direction direction, Kind kind, int algorithm) {
  const uint64_t size = std::max<uint64_t>(4, sizeOf(p.x.type));
  const uint64_t rows = static_cast<uint64_t>(p.groupC() * p.taps()), weights = static_cast<uint64_t>(p.w.count());
  const uint64_t channels = static_cast<uint64_t>(p.n()) * (p.c() + p.k()) + static_cast<uint64_t>(p.c()) * p.k();
  uint64_t bytes = 0;
  switch (kind) {
    case Kind::Implicit:
    case Kind::Direct: break;
    case Kind::Atomic:
      if (direction == Direction::Filter && algorithm == CUDNN_CONVOLUTION_BWD_FILTER_ALGO_3) bytes = weights * size;
      break;
    case Kind::Precomputed: bytes = direction == Direction::Forward ? 8 * rows + 512 : weights * size + 4096; break;
    case Kind::Gemm: bytes = rows * static_cast<uint64_t>(p.positions()) * size; break;
    case Kind::Fft: bytes = channels * (p.in[1] + 2 * p.pad[1]) * (p.in[2] / 2 + p.pad[2] + 1) * 8; break;
    case Kind::FftTiling: bytes = channels * 32 * 17 * 8; break;
    case Kind::Winograd: bytes = weights * 16 / 9 * size; break;
    case Kind::WinogradNonfused: bytes = channels * static_cast<uint64_t>(p.positions()) * 2 * size; break;
  }
  return (bytes + 255) / 256 * 256;
}

bool hasTensorCores(const Problem &p, Kind kind) {
  if (p.capability < 70 || isDouble(p.x.type)) return false;
  if (p.x.type == CUDNN_DATA_FLOAT && p.convolution.math != CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION &&
      p.capability < 80) {
    return false;
  }
  return kind == Kind::Precomputed || kind == Kind::WinogradNonfused;
}

const char *textOf(Direction direction) {
  switch (direction) {
    case Direction::Forward: return "forward";
    case Direction::Data: return "backward data";
    case Direction::Filter: break;
  }
  return "backward filter";
}

}  // namespace

int algorithmCount(Direction direction) {
  switch (direction) {
    case Direction::Forward: return static_cast<int>(std::size(kForward));
    case Direction::Data: return static_cast<int>(std::size(kData));
    case Direction::Filter: break;
  }
  return static_cast<int>(std::size(kFilter));
}

Algorithm algorithmOf(const Problem &problem, Direction direction, int algorithm) {
  inRange(algorithm, 0, algorithmCount(direction) - 1, "algo");
  const Kind kind = kindOf(direction, algorithm);
  Algorithm a;
  a.deterministic = kind != Kind::Atomic;
  const std::string why = refusal(problem, direction, kind);
  if (!why.empty()) {
    a.status = kNotSupported;
    a.reason =
        std::string(textOf(direction)) + " algorithm " + std::to_string(algorithm) + ": " + why + "; " + problem.text();
    return a;
  }
  a.workspace = workspaceOf(problem, direction, kind, algorithm);
  a.tensorCores = hasTensorCores(problem, kind);
  return a;
}

Algorithm algorithmFor(const Problem &problem, Direction direction, int algorithm) {
  const Algorithm a = algorithmOf(problem, direction, algorithm);
  if (a.status != kSuccess) wrong(a.status, sim::check::descriptor, a.reason);
  return a;
}

namespace {

// One line of a query's answer.
struct Choice {
  int algorithm;
  int status;
  float milliseconds;
  uint64_t memory;
  bool deterministic;
  cudnnMathType_t math;
};

// Variants that use tensor cores add to the number of answers.
int mostChoices(Direction direction) { return algorithmCount(direction) + 2; }

// The math type that makes an algorithm do what its answer says. Without tensor cores floats stay floats.
cudnnMathType_t mathOf(const Problem &problem, bool tensorCores) {
  const cudnnMathType_t given = problem.convolution.math;
  if (tensorCores) return given == CUDNN_DEFAULT_MATH ? CUDNN_TENSOR_OP_MATH : given;
  const bool strict = problem.x.type == CUDNN_DATA_FLOAT && problem.capability >= 80;
  return strict || given == CUDNN_FMA_MATH ? CUDNN_FMA_MATH : CUDNN_DEFAULT_MATH;
}

// How long an algorithm takes. It is made up: measured times differ each time, the heuristic's are the problem's own.
float millisecondsOf(const Problem &problem, int algorithm, bool measured) {
  const double work = static_cast<double>(problem.y.count()) * static_cast<double>(problem.taps()) * problem.groupC();
  const uint64_t mixed = (static_cast<uint64_t>(work) * 10 + static_cast<uint64_t>(algorithm)) * 0x9E3779B97F4A7C15u;
  const uint64_t shake = (measured ? sim::chance() : mixed >> 32) % 1000;
  return static_cast<float>((0.01 + work * 1e-9) * (1 + static_cast<double>(shake) / 250));
}

// Choices as a heuristic or a measurement orders them: fastest first, what can't be done last.
std::vector<Choice> choices(const Problem &problem, Direction direction, bool measured, uint64_t workspaceLimit) {
  std::vector<Choice> list;
  auto add = [&](int algorithm, const Algorithm &a, bool tensorCores) {
    Choice choice{algorithm, a.status, -1, 0, a.deterministic, problem.convolution.math};
    if (a.status == kSuccess) {
      choice.memory = a.workspace;
      choice.math = mathOf(problem, tensorCores);
      if (a.workspace > workspaceLimit) choice.status = kAllocFailed;
    }
    if (choice.status == kSuccess) choice.milliseconds = millisecondsOf(problem, algorithm, measured);
    list.push_back(choice);
  };
  for (int i = 0; i < algorithmCount(direction); i++) {
    const Algorithm a = algorithmOf(problem, direction, i);
    if (a.tensorCores && problem.convolution.math != CUDNN_FMA_MATH) add(i, a, true);
    add(i, a, false);
  }
  auto rank = [](const Choice &c) { return c.status == kSuccess ? c.milliseconds : 1e30f; };
  std::stable_sort(list.begin(), list.end(), [&](const Choice &a, const Choice &b) { return rank(a) < rank(b); });
  if (!measured) {
    for (Choice &c : list) c.milliseconds = -1;
  }
  return list;
}

template <class Perf>
void answerWith(const std::vector<Choice> &list, int requested, int *returned, Perf *perfs) {
  if (requested < 1) {
    wrong(kBadParam, sim::check::badValue, "requestedAlgoCount is " + std::to_string(requested));
  }
  result(perfs, "perfResults");
  const int count = std::min(requested, static_cast<int>(list.size()));
  result(returned, "returnedAlgoCount") = count;
  for (int i = 0; i < count; i++) {
    const Choice &c = list[static_cast<size_t>(i)];
    perfs[i] = Perf();
    perfs[i].algo = static_cast<decltype(perfs[i].algo)>(c.algorithm);
    perfs[i].status = static_cast<cudnnStatus_t>(c.status);
    perfs[i].time = c.milliseconds;
    perfs[i].memory = c.memory;
    perfs[i].determinism = c.deterministic ? CUDNN_DETERMINISTIC : CUDNN_NON_DETERMINISTIC;
    perfs[i].mathType = c.math;
  }
}

constexpr uint64_t kUnlimited = ~uint64_t(0);

// A search: allocates tensors and workspaces of its own and synchronises, so a capture forbids it.
template <class Perf>
void search(cudnnHandle_t handle, const Problem &problem, Direction direction, int requested, int *returned,
            Perf *perfs) {
  sim::Context &context = contextOf(handle);
  need(sim::allowedDuringCapture(), "a search for an algorithm, which allocates and synchronises,");
  const std::vector<Choice> list = choices(problem, direction, true, kUnlimited);
  uint64_t bytes = 0;
  for (const Choice &c : list) bytes = std::max(bytes, c.memory);
  for (const Layout &layout : {problem.x, problem.y, Layout(problem.w)}) {
    bytes += static_cast<uint64_t>(layout.extent()) * sizeOf(layout.type);
  }
  uint64_t address = 0;
  need(sim::allocate(context, bytes, address), "allocating " + std::to_string(bytes) + " bytes");
  need(sim::synchronize(context), "synchronising");
  need(sim::release(address), "releasing");
  answerWith(list, requested, returned, perfs);
}

struct Buffers {
  const void *a, *b;  // inputs, whose contents don't matter
  void *c;            // overwritten
  void *workspace;
  uint64_t workspaceBytes;
};

// A search on the caller's memory: what is computed there means nothing, so NaN is left behind.
template <class Perf>
void searchOn(cudnnHandle_t handle, const Problem &problem, Direction direction, const Buffers &buffers, int requested,
              int *returned, Perf *perfs) {
  const Layout w = problem.w;
  const Layout &a = direction == Direction::Data ? w : problem.x;
  const Layout &b = direction == Direction::Forward ? w : problem.y;
  const Layout &c = direction == Direction::Forward ? problem.y : direction == Direction::Data ? problem.x : w;
  sim::Stream &stream = streamOf(handle);
  need(sim::allowedDuringCapture(stream), "a search for an algorithm, which synchronises,");
  const std::vector<Choice> list = choices(problem, direction, true, buffers.workspace ? buffers.workspaceBytes : 0);
  Launch launch(handle);
  launch.touch(a, buffers.a, "the first input");
  launch.touch(b, buffers.b, "the second input");
  launch.write(c, buffers.c, "the output");
  if (buffers.workspace) launch.bytes(buffers.workspace, buffers.workspaceBytes, sim::Mode::Scratch, "workSpace");
  launch.run("a search on " + problem.text(), [c, output = buffers.c] {
    const std::vector<float> noise(static_cast<size_t>(c.count()), NAN);
    store(c, output, noise.data(), 1, 0);
  });
  need(sim::synchronize(stream), "synchronising the stream");
  answerWith(list, requested, returned, perfs);
}

void workspaceSize(const Problem &problem, Direction direction, int algorithm, size_t *bytes) {
  const Algorithm a = algorithmOf(problem, direction, algorithm);
  if (a.status != kSuccess) refuse(a.status, a.reason);
  result(bytes, "sizeInBytes") = a.workspace;
}

}  // namespace
}  // namespace dnn

using namespace dnn;

extern "C" {

SIM_SHARED cudnnStatus_t cudnnGetConvolutionForwardAlgorithmMaxCount(cudnnHandle_t handle, int *count) {
  return answer(__func__, [&] {
    contextOf(handle);
    result(count, "count") = mostChoices(Direction::Forward);
  });
}

SIM_SHARED cudnnStatus_t cudnnGetConvolutionBackwardDataAlgorithmMaxCount(cudnnHandle_t handle, int *count) {
  return answer(__func__, [&] {
    contextOf(handle);
    result(count, "count") = mostChoices(Direction::Data);
  });
}

SIM_SHARED cudnnStatus_t cudnnGetConvolutionBackwardFilterAlgorithmMaxCount(cudnnHandle_t handle, int *count) {
  return answer(__func__, [&] {
    contextOf(handle);
    result(count, "count") = mostChoices(Direction::Filter);
  });
}

SIM_SHARED cudnnStatus_t cudnnGetConvolutionForwardWorkspaceSize(cudnnHandle_t handle,
                                                                 const cudnnTensorDescriptor_t xDesc,
                                                                 const cudnnFilterDescriptor_t wDesc,
                                                                 const cudnnConvolutionDescriptor_t convDesc,
                                                                 const cudnnTensorDescriptor_t yDesc,
                                                                 cudnnConvolutionFwdAlgo_t algo, size_t *sizeInBytes) {
  return answer(__func__, [&] {
    const Problem problem = problemOf(handle, use(xDesc, "xDesc"), use(wDesc, "wDesc"), use(convDesc, "convDesc"),
                                      use(yDesc, "yDesc"), Purpose::Query);
    workspaceSize(problem, Direction::Forward, algo, sizeInBytes);
  });
}

SIM_SHARED cudnnStatus_t cudnnGetConvolutionBackwardDataWorkspaceSize(
    cudnnHandle_t handle, const cudnnFilterDescriptor_t wDesc, const cudnnTensorDescriptor_t dyDesc,
    const cudnnConvolutionDescriptor_t convDesc, const cudnnTensorDescriptor_t dxDesc,
    cudnnConvolutionBwdDataAlgo_t algo, size_t *sizeInBytes) {
  return answer(__func__, [&] {
    const Problem problem = problemOf(handle, use(dxDesc, "dxDesc"), use(wDesc, "wDesc"), use(convDesc, "convDesc"),
                                      use(dyDesc, "dyDesc"), Purpose::Query);
    workspaceSize(problem, Direction::Data, algo, sizeInBytes);
  });
}

SIM_SHARED cudnnStatus_t cudnnGetConvolutionBackwardFilterWorkspaceSize(
    cudnnHandle_t handle, const cudnnTensorDescriptor_t xDesc, const cudnnTensorDescriptor_t dyDesc,
    const cudnnConvolutionDescriptor_t convDesc, const cudnnFilterDescriptor_t gradDesc,
    cudnnConvolutionBwdFilterAlgo_t algo, size_t *sizeInBytes) {
  return answer(__func__, [&] {
    const Problem problem = problemOf(handle, use(xDesc, "xDesc"), use(gradDesc, "gradDesc"), use(convDesc, "convDesc"),
                                      use(dyDesc, "dyDesc"), Purpose::Query);
    workspaceSize(problem, Direction::Filter, algo, sizeInBytes);
  });
}

SIM_SHARED cudnnStatus_t cudnnGetConvolutionForwardAlgorithm_v7(
    cudnnHandle_t handle, const cudnnTensorDescriptor_t srcDesc, const cudnnFilterDescriptor_t filterDesc,
    const cudnnConvolutionDescriptor_t convDesc, const cudnnTensorDescriptor_t destDesc, const int requestedAlgoCount,
    int *returnedAlgoCount, cudnnConvolutionFwdAlgoPerf_t *perfResults) {
  return answer(__func__, [&] {
    const Problem problem = problemOf(handle, use(srcDesc, "srcDesc"), use(filterDesc, "filterDesc"),
                                      use(convDesc, "convDesc"), use(destDesc, "destDesc"), Purpose::Query);
    answerWith(choices(problem, Direction::Forward, false, kUnlimited), requestedAlgoCount, returnedAlgoCount,
               perfResults);
  });
}

SIM_SHARED cudnnStatus_t cudnnGetConvolutionBackwardDataAlgorithm_v7(
    cudnnHandle_t handle, const cudnnFilterDescriptor_t filterDesc, const cudnnTensorDescriptor_t diffDesc,
    const cudnnConvolutionDescriptor_t convDesc, const cudnnTensorDescriptor_t gradDesc, const int requestedAlgoCount,
    int *returnedAlgoCount, cudnnConvolutionBwdDataAlgoPerf_t *perfResults) {
  return answer(__func__, [&] {
    const Problem problem = problemOf(handle, use(gradDesc, "gradDesc"), use(filterDesc, "filterDesc"),
                                      use(convDesc, "convDesc"), use(diffDesc, "diffDesc"), Purpose::Query);
    answerWith(choices(problem, Direction::Data, false, kUnlimited), requestedAlgoCount, returnedAlgoCount,
               perfResults);
  });
}

SIM_SHARED cudnnStatus_t cudnnGetConvolutionBackwardFilterAlgorithm_v7(
    cudnnHandle_t handle, const cudnnTensorDescriptor_t srcDesc, const cudnnTensorDescriptor_t diffDesc,
    const cudnnConvolutionDescriptor_t convDesc, const cudnnFilterDescriptor_t gradDesc, const int requestedAlgoCount,
    int *returnedAlgoCount, cudnnConvolutionBwdFilterAlgoPerf_t *perfResults) {
  return answer(__func__, [&] {
    const Problem problem = problemOf(handle, use(srcDesc, "srcDesc"), use(gradDesc, "gradDesc"),
                                      use(convDesc, "convDesc"), use(diffDesc, "diffDesc"), Purpose::Query);
    answerWith(choices(problem, Direction::Filter, false, kUnlimited), requestedAlgoCount, returnedAlgoCount,
               perfResults);
  });
}

SIM_SHARED cudnnStatus_t cudnnFindConvolutionForwardAlgorithm(cudnnHandle_t handle, const cudnnTensorDescriptor_t xDesc,
                                                              const cudnnFilterDescriptor_t wDesc,
                                                              const cudnnConvolutionDescriptor_t convDesc,
                                                              const cudnnTensorDescriptor_t yDesc,
                                                              const int requestedAlgoCount, int *returnedAlgoCount,
                                                              cudnnConvolutionFwdAlgoPerf_t *perfResults) {
  return answer(__func__, [&] {
    const Problem problem = problemOf(handle, use(xDesc, "xDesc"), use(wDesc, "wDesc"), use(convDesc, "convDesc"),
                                      use(yDesc, "yDesc"), Purpose::Query);
    search(handle, problem, Direction::Forward, requestedAlgoCount, returnedAlgoCount, perfResults);
  });
}

SIM_SHARED cudnnStatus_t cudnnFindConvolutionBackwardDataAlgorithm(
    cudnnHandle_t handle, const cudnnFilterDescriptor_t wDesc, const cudnnTensorDescriptor_t dyDesc,
    const cudnnConvolutionDescriptor_t convDesc, const cudnnTensorDescriptor_t dxDesc, const int requestedAlgoCount,
    int *returnedAlgoCount, cudnnConvolutionBwdDataAlgoPerf_t *perfResults) {
  return answer(__func__, [&] {
    const Problem problem = problemOf(handle, use(dxDesc, "dxDesc"), use(wDesc, "wDesc"), use(convDesc, "convDesc"),
                                      use(dyDesc, "dyDesc"), Purpose::Query);
    search(handle, problem, Direction::Data, requestedAlgoCount, returnedAlgoCount, perfResults);
  });
}

SIM_SHARED cudnnStatus_t cudnnFindConvolutionBackwardFilterAlgorithm(
    cudnnHandle_t handle, const cudnnTensorDescriptor_t xDesc, const cudnnTensorDescriptor_t dyDesc,
    const cudnnConvolutionDescriptor_t convDesc, const cudnnFilterDescriptor_t dwDesc, const int requestedAlgoCount,
    int *returnedAlgoCount, cudnnConvolutionBwdFilterAlgoPerf_t *perfResults) {
  return answer(__func__, [&] {
    const Problem problem = problemOf(handle, use(xDesc, "xDesc"), use(dwDesc, "dwDesc"), use(convDesc, "convDesc"),
                                      use(dyDesc, "dyDesc"), Purpose::Query);
    search(handle, problem, Direction::Filter, requestedAlgoCount, returnedAlgoCount, perfResults);
  });
}

SIM_SHARED cudnnStatus_t cudnnFindConvolutionForwardAlgorithmEx(
    cudnnHandle_t handle, const cudnnTensorDescriptor_t xDesc, const void *x, const cudnnFilterDescriptor_t wDesc,
    const void *w, const cudnnConvolutionDescriptor_t convDesc, const cudnnTensorDescriptor_t yDesc, void *y,
    const int requestedAlgoCount, int *returnedAlgoCount, cudnnConvolutionFwdAlgoPerf_t *perfResults, void *workSpace,
    size_t workSpaceSizeInBytes) {
  return answer(__func__, [&] {
    const Problem problem = problemOf(handle, use(xDesc, "xDesc"), use(wDesc, "wDesc"), use(convDesc, "convDesc"),
                                      use(yDesc, "yDesc"), Purpose::Query);
    searchOn(handle, problem, Direction::Forward, {x, w, y, workSpace, workSpaceSizeInBytes}, requestedAlgoCount,
             returnedAlgoCount, perfResults);
  });
}

SIM_SHARED cudnnStatus_t cudnnFindConvolutionBackwardDataAlgorithmEx(
    cudnnHandle_t handle, const cudnnFilterDescriptor_t wDesc, const void *w, const cudnnTensorDescriptor_t dyDesc,
    const void *dy, const cudnnConvolutionDescriptor_t convDesc, const cudnnTensorDescriptor_t dxDesc, void *dx,
    const int requestedAlgoCount, int *returnedAlgoCount, cudnnConvolutionBwdDataAlgoPerf_t *perfResults,
    void *workSpace, size_t workSpaceSizeInBytes) {
  return answer(__func__, [&] {
    const Problem problem = problemOf(handle, use(dxDesc, "dxDesc"), use(wDesc, "wDesc"), use(convDesc, "convDesc"),
                                      use(dyDesc, "dyDesc"), Purpose::Query);
    searchOn(handle, problem, Direction::Data, {w, dy, dx, workSpace, workSpaceSizeInBytes}, requestedAlgoCount,
             returnedAlgoCount, perfResults);
  });
}

SIM_SHARED cudnnStatus_t cudnnFindConvolutionBackwardFilterAlgorithmEx(
    cudnnHandle_t handle, const cudnnTensorDescriptor_t xDesc, const void *x, const cudnnTensorDescriptor_t dyDesc,
    const void *y, const cudnnConvolutionDescriptor_t convDesc, const cudnnFilterDescriptor_t dwDesc, void *dw,
    const int requestedAlgoCount, int *returnedAlgoCount, cudnnConvolutionBwdFilterAlgoPerf_t *perfResults,
    void *workSpace, size_t workSpaceSizeInBytes) {
  return answer(__func__, [&] {
    const Problem problem = problemOf(handle, use(xDesc, "xDesc"), use(dwDesc, "dwDesc"), use(convDesc, "convDesc"),
                                      use(dyDesc, "dyDesc"), Purpose::Query);
    searchOn(handle, problem, Direction::Filter, {x, y, dw, workSpace, workSpaceSizeInBytes}, requestedAlgoCount,
             returnedAlgoCount, perfResults);
  });
}

}  // extern "C"
