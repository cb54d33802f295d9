// Right programs: ranks that are threads, each with a device of its own.
#include <unistd.h>

#include <atomic>
#include <thread>

#include "programs/machine.h"
#include "programs/registry.h"

namespace programs {

namespace {

constexpr int kCount = 300, kRanks = 3;
const Shape kShape{2, 256, 0};
const char kDevices[] = "devices=3,patience=20";

CUresult scale(const Kernels &kernels, CUstream stream, CUdeviceptr x, CUdeviceptr y, float factor) {
  return launch(kernels["scale"], kShape, stream, x, y, factor, kCount);
}

std::vector<float> times(float factor, std::vector<float> values) {
  for (float &value : values) value *= factor;
  return values;
}

// The weights of rank 0 go to all; then gradients are summed and averaged, step after step.
void averagedGradients() {
  inRanks(kRanks, [](Rank &rank) {
    Kernels kernels;
    Buffer<float> weights(counting(kCount, float(rank.rank))), gradient(kCount), mean(kCount);
    MUST(rank.broadcast(weights, kCount, 0));
    for (int step = 1; step <= 3; step++) {
      // The ranks' gradients are 1, 2 and 3 times the weights, and their mean twice.
      MUST(scale(kernels, rank.stream, weights.address, gradient.address, float(rank.rank + 1)));
      MUST(rank.sum(gradient, gradient, kCount));
      MUST(scale(kernels, rank.stream, gradient.address, mean.address, 1.0f / kRanks));
      MUST(cuMemcpyDtoDAsync(weights.address, mean.address, weights.bytes(), rank.stream));
    }
    rank.stream.synchronize();
    std::vector<double> want(kCount);
    for (int i = 0; i < kCount; i++) want[size_t(i)] = 8.0 * i;
    expectClose(weights.get(), want, 1e-6, "weights");
  });
}

// Sums of two halves on a stream of their own, each as soon as its half is there, in a graph that runs again and again.
void overlappedInAGraph() {
  inRanks(kRanks, [](Rank &rank) {
    Kernels kernels;
    Buffer<float> x(counting(kCount)), a(kCount), b(kCount), sumA(kCount), sumB(kCount), out(kCount);
    Stream compute;
    Event first, second, summed;
    MUST(cuStreamBeginCapture(compute, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    MUST(scale(kernels, compute, x.address, a.address, float(rank.rank)));
    first.record(compute);
    first.blocks(rank.stream);
    MUST(rank.sum(a, sumA, kCount));
    MUST(scale(kernels, compute, x.address, b.address, 1));
    second.record(compute);
    second.blocks(rank.stream);
    MUST(rank.sum(b, sumB, kCount));
    summed.record(rank.stream);
    summed.blocks(compute);
    MUST(scale(kernels, compute, sumA.address, out.address, 2));
    CUgraph captured = nullptr;
    CUgraphExec executable = nullptr;
    MUST(cuStreamEndCapture(compute, &captured));
    MUST(cuGraphInstantiateWithFlags(&executable, captured, 0));
    for (int i = 0; i < 5; i++) MUST(cuGraphLaunch(executable, compute));
    compute.synchronize();
    expectEqual(out.get(), times(6, counting(kCount)), "twice the first sum");
    expectEqual(sumB.get(), times(kRanks, counting(kCount)), "the second sum");
    MUST(cuGraphExecDestroy(executable));
    MUST(cuGraphDestroy(captured));
  });
}

// A rank that is late keeps the others from nothing but the sum. They look, and do other work.
void polled() {
  std::atomic<int> done{0};
  inRanks(2, [&](Rank &rank) {
    Kernels kernels;
    Buffer<float> x(counting(kCount)), y(counting(kCount)), z(kCount);
    Stream other;
    if (rank.rank == 1) {
      while (done == 0) usleep(100);
    }
    MUST(rank.sum(x, x, kCount));
    MUST(scale(kernels, other, y.address, z.address, 3));
    other.synchronize();
    expectEqual(z.get(), times(3, counting(kCount)), "other work");
    done++;
    while (cuStreamQuery(rank.stream) == CUDA_ERROR_NOT_READY) usleep(100);
    expectEqual(x.get(), times(2, counting(kCount)), "the sum");
  });
}

// A rank that frees memory doesn't wait for what another rank's device can't do without it.
void freedWhileOthersWait() {
  std::atomic<bool> queued{false};
  inRanks(2, [&](Rank &rank) {
    Kernels kernels;
    Buffer<float> x(counting(kCount)), y(kCount);
    if (rank.rank == 0) {
      while (!queued) usleep(100);
      const Buffer<float> unused(kCount);
    }
    MUST(rank.sum(x, x, kCount));
    MUST(scale(kernels, rank.stream, x.address, y.address, 2));
    queued = true;
    rank.stream.synchronize();
    expectEqual(y.get(), times(4, counting(kCount)), "twice the sum");
  });
}

// A rank fails; a watcher aborts the others' communicators, and those that are left form a new group.
void abortedAndJoinedAgain() {
  const ncclUniqueId smaller = newId();
  std::atomic<bool> waiting{false};
  inRanks(kRanks, [&](Rank &rank) {
    if (rank.rank == 2) {
      while (!waiting) usleep(100);
      rank.abort();
      return;
    }
    Buffer<float> x(counting(kCount));
    MUST(rank.sum(x, x, kCount));
    std::thread watcher([&] {
      waiting = true;
      ncclResult_t error = ncclSuccess;
      while (error == ncclSuccess) {
        MUST(ncclCommGetAsyncError(rank.comm, &error));
        usleep(100);
      }
      rank.abort();
    });
    const CUresult status = cuStreamSynchronize(rank.stream);
    watcher.join();
    MUST(status);
    expect(rank.comm == nullptr, "the wait ended without the third rank");
    x.put(counting(kCount));
    MUST(ncclCommInitRank(&rank.comm, 2, smaller, rank.rank));
    MUST(rank.sum(x, x, kCount));
    rank.stream.synchronize();
    expectEqual(x.get(), times(2, counting(kCount)), "the sum of two");
  });
}

// An abort waits for graphs, which their owner destroys when its own wait has ended.
void abortedWithItsGraph() {
  std::atomic<bool> over{false};
  inRanks(2, [&](Rank &rank) {
    if (rank.rank == 1) {
      while (!over) usleep(100);
      return;
    }
    Buffer<float> x(counting(kCount));
    std::thread watcher;
    {
      Captured graph(rank.stream);
      MUST(rank.sum(x, x, kCount));
      graph.end();
      graph.launch(rank.stream);
      watcher = std::thread([&] { rank.abort(); });
      rank.stream.synchronize();
    }
    watcher.join();
    over = true;
  });
}

// A sum that is a graph's on one rank alone.
void capturedOnOneRank() {
  inRanks(2, [](Rank &rank) {
    Buffer<float> x(counting(kCount));
    Captured graph;
    if (rank.rank == 0) graph.begin(rank.stream);
    MUST(rank.sum(x, x, kCount));
    if (rank.rank == 0) {
      graph.end();
      graph.launch(rank.stream);
    }
    rank.stream.synchronize();
    expectEqual(x.get(), times(2, counting(kCount)), "the sum");
  });
}

}  // namespace

std::vector<Program> rightGroups() {
  return {
      {"averaged-gradients", averagedGradients, "", {}, kDevices},
      {"overlapped-sums-in-a-graph", overlappedInAGraph, "", {}, kDevices},
      {"polled-sums", polled, "", {}, kDevices},
      {"freed-while-others-wait", freedWhileOthersWait, "", {}, kDevices},
      {"aborted-with-its-graph", abortedWithItsGraph, "", {}, kDevices},
      {"captured-on-one-rank", capturedOnOneRank, "", {}, "devices=2,patience=20,allow=nccl-mixed-capture"},
      {"aborted-and-joined-again", abortedAndJoinedAgain, "", {}, kDevices},
  };
}

}  // namespace programs
