#include "rig.h"

namespace test {
namespace {

// A sum and a product by 2, in place, on whatever stream the handle has.
struct Step {
  Step() : bias(CUDNN_DATA_FLOAT, {1, 2, 1, 1}), x(CUDNN_DATA_FLOAT, {1, 2, 1, 2}) {
    bias.put({1, -1});
    x.put({1, -2, 3, 4});
  }
  Step(const Step &) = delete;
  Step &operator=(const Step &) = delete;

  void run(cudnnHandle_t handle) {
    const float one = 1, two = 2;
    MUST(cudnnAddTensor(handle, &one, bias, bias.data(), &one, x, x.data()));
    MUST(cudnnScaleTensor(handle, x, x.data(), &two));
  }

  Tensor bias, x;
};

// Work that waits has what it needs, though scalars change and descriptors go.
void testLateWork() {
  Rig rig("schedule=late");
  Tensor x(CUDNN_DATA_FLOAT, {1, 2, 1, 2});
  x.put({1, 2, 3, 4});
  cudnnTensorDescriptor_t passing;
  MUST(cudnnCreateTensorDescriptor(&passing));
  MUST(cudnnSetTensor4dDescriptor(passing, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, 1, 2, 1, 2));
  float factor = 2;
  MUST(cudnnScaleTensor(rig.handle, passing, x.data(), &factor));
  factor = 1000;
  MUST(cudnnDestroyTensorDescriptor(passing));
  checkClose(x.get(), {2, 4, 6, 8}, 0, "a scalar is read when the call is made");
  checkNoFindings("late work");
}

// Two streams of one handle are in no order of each other: only an event makes one.
void testTwoStreams(bool ordered) {
  Rig rig("schedule=late");
  Step step;
  CUstream other;
  CUevent done;
  MUST(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
  MUST(cuEventCreate(&done, CU_EVENT_DISABLE_TIMING));
  step.run(rig.handle);
  if (ordered) {
    MUST(cuEventRecord(done, rig.stream));
    MUST(cuStreamWaitEvent(other, done, 0));
  }
  const float two = 2;
  MUST(cudnnSetStream(rig.handle, other));
  MUST(cudnnScaleTensor(rig.handle, step.x, step.x.data(), &two));
  MUST(cuCtxSynchronize());
  if (ordered) {
    checkClose(step.x.get(), {8, -4, 8, 12}, 0, "work on two streams with an event");
    checkNoFindings("two streams");
  } else {
    check(findings().find("missing synchronisation") != std::string::npos, "a race of two streams isn't found");
  }
  MUST(cudnnSetStream(rig.handle, nullptr));
  MUST(cuEventDestroy(done));
  MUST(cuStreamDestroy(other));
}

// Calls that are captured run at each launch of the graph, not before.
void testCapture(uint64_t seed) {
  Rig rig("seed=" + std::to_string(seed));
  Step step;
  CUgraph graph;
  CUgraphExec exec;
  MUST(cuStreamBeginCapture(rig.stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
  step.run(rig.handle);
  MUST(cuStreamEndCapture(rig.stream, &graph));
  MUST(cuGraphInstantiateWithFlags(&exec, graph, 0));
  MUST(cuGraphDestroy(graph));
  checkClose(step.x.get(), {1, -2, 3, 4}, 0, "what is captured doesn't run");
  Values want = {1, -2, 3, 4};
  for (int i = 1; i <= 3; i++) {
    MUST(cuGraphLaunch(exec, rig.stream));
    rig.finish();
    for (size_t k = 0; k < 4; k++) want[k] = 2 * (want[k] + (k < 2 ? 1 : -1));
    checkClose(step.x.get(), want, 0, "launch " + std::to_string(i) + " of a graph");
  }
  MUST(cuGraphExecDestroy(exec));
  checkNoFindings("capture");
}

}  // namespace

void testStreams(uint64_t seed) {
  testLateWork();
  testTwoStreams(true);
  testTwoStreams(false);
  testCapture(seed);
}

}  // namespace test
