// Wrong programs: communicators and collectives. Most need one rank only.
#include <thread>

#include "programs/machine.h"
#include "programs/registry.h"

namespace programs {

namespace {

constexpr int kCount = 256;
const Shape kShape{1, kCount, 0};

// --------------------------------------------------------------------------------------------- ranks that don't agree

void otherCount() {
  inRanks(2, [](Rank &rank) {
    Buffer<float> x(counting(kCount));
    ignore(rank.sum(x, x, rank.rank == 0 ? kCount : kCount - 1));
    ignore(cuStreamSynchronize(rank.stream));
  });
}

void otherRoot() {
  inRanks(3, [](Rank &rank) {
    Buffer<float> x(counting(kCount));
    ignore(rank.broadcast(x, kCount, rank.rank == 2 ? 1 : 0));
    ignore(cuStreamSynchronize(rank.stream));
  });
}

void otherOrder() {
  inRanks(2, [](Rank &rank) {
    Buffer<float> x(counting(kCount)), y(counting(kCount));
    if (rank.rank == 0) ignore(rank.sum(x, x, kCount));
    ignore(rank.broadcast(y, kCount, 0));
    if (rank.rank == 1) ignore(rank.sum(x, x, kCount));
    ignore(cuStreamSynchronize(rank.stream));
  });
}

// The last rank leaves out its graph, and sums by itself.
void otherCapture() {
  inRanks(2, [](Rank &rank) {
    Buffer<float> x(counting(kCount));
    Captured graph;
    if (rank.rank == 0) graph.begin(rank.stream);
    ignore(rank.sum(x, x, kCount));
    if (rank.rank == 0) {
      graph.end();
      graph.launch(rank.stream);
    }
    ignore(cuStreamSynchronize(rank.stream));
  });
}

// The last rank leaves out a step.
void oneStepLess() {
  inRanks(2, [](Rank &rank) {
    Buffer<float> x(counting(kCount));
    for (int step = 0; step < 3 - rank.rank; step++) ignore(rank.sum(x, x, kCount));
    ignore(cuStreamSynchronize(rank.stream));
  });
}

void nobodyElseJoins() {
  Session session;
  ncclComm_t comm = nullptr;
  ignore(ncclCommInitRank(&comm, 2, newId(), 1));
}

void twoRanksOnOneDevice() {
  Session session;
  const ncclUniqueId id = newId();
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; i++) {
    threads.emplace_back([&, i] {
      Session mine;
      ncclComm_t comm = nullptr;
      ignore(ncclCommInitRank(&comm, 2, id, i));
    });
  }
  for (std::thread &thread : threads) thread.join();
}

void rankTooLarge() {
  Session session;
  ncclComm_t comm = nullptr;
  ignore(ncclCommInitRank(&comm, 2, newId(), 2));
}

// --------------------------------------------------------------------------------------------------- communicators

void usedAfterDestroy() {
  alone([](Rank &rank) {
    Buffer<float> x(counting(kCount));
    const ncclComm_t comm = rank.comm;
    rank.destroy();
    ignore(ncclAllReduce(x.pointer(), x.pointer(), kCount, ncclFloat32, ncclSum, comm, rank.stream));
  });
}

void watchedAfterAbort() {
  alone([](Rank &rank) {
    const ncclComm_t comm = rank.comm;
    rank.abort();
    ncclResult_t error = ncclSuccess;
    ignore(ncclCommGetAsyncError(comm, &error));
  });
}

void neverDestroyed() {
  alone([](Rank &rank) { rank.comm = nullptr; });
}

void destroyedBeforeItsGraph() {
  alone([](Rank &rank) {
    Buffer<float> x(counting(kCount));
    Captured graph(rank.stream);
    MUST(rank.sum(x, x, kCount));
    graph.end();
    rank.destroy();
  });
}

void abortedBeforeItsGraph() {
  alone([](Rank &rank) {
    Buffer<float> x(counting(kCount));
    Captured graph(rank.stream);
    MUST(rank.sum(x, x, kCount));
    graph.end();
    rank.abort();
  });
}

void launchedAfterAbort() {
  alone([](Rank &rank) {
    Buffer<float> x(counting(kCount));
    Captured graph(rank.stream);
    MUST(rank.sum(x, x, kCount));
    graph.end();
    rank.abort();
    ignore(cuGraphLaunch(graph.executable, rank.stream));
    ignore(cuStreamSynchronize(rank.stream));
  });
}

void communicatorOfAnotherDevice() {
  alone([](Rank &rank) {
    Session other(1);
    Stream stream;
    Buffer<float> x(counting(kCount));
    ignore(rank.sum(x, x, kCount, stream));
  });
}

// ---------------------------------------------------------------------------------------------------------- buffers

void sumOfNothing() {
  alone([](Rank &rank) {
    Buffer<float> x(kCount), y(kCount);
    ignore(rank.sum(x, y, kCount));
    ignore(cuStreamSynchronize(rank.stream));
  });
}

void sumPastTheEnd() {
  alone([](Rank &rank) {
    Buffer<float> x(counting(kCount)), y(kCount);
    ignore(rank.sum(x, y, kCount + 1));
  });
}

void sumOfHostMemory() {
  alone([](Rank &rank) {
    Buffer<float> x(kCount);
    std::vector<float> host(kCount);
    ignore(ncclAllReduce(host.data(), x.pointer(), kCount, ncclFloat32, ncclSum, rank.comm, rank.stream));
  });
}

void sumToNowhere() {
  alone([](Rank &rank) {
    Buffer<float> x(counting(kCount));
    ignore(ncclAllReduce(x.pointer(), nullptr, kCount, ncclFloat32, ncclSum, rank.comm, rank.stream));
  });
}

void sumHalfInPlace() {
  alone([](Rank &rank) {
    Buffer<float> x(counting(kCount));
    ignore(ncclAllReduce(x.pointer(), x.typed() + 1, kCount - 1, ncclFloat32, ncclSum, rank.comm, rank.stream));
  });
}

void freedWhileSummed() {
  alone([](Rank &rank) {
    Buffer<float> x(counting(kCount));
    ignore(rank.sum(x, x, kCount));
    x.free();
  });
}

// ------------------------------------------------------------------------------------------------------------- order

void gradientNotWaitedFor() {
  alone([](Rank &rank) {
    Kernels kernels;
    Buffer<float> x(counting(kCount)), y(counting(kCount));
    Stream compute;
    MUST(launch(kernels["scale"], kShape, compute, x.address, y.address, 2.0f, kCount));
    ignore(rank.sum(y, y, kCount));
    ignore(cuCtxSynchronize());
  });
}

void sumNotWaitedFor() {
  inRanks(2, [](Rank &rank) {
    Kernels kernels;
    Buffer<float> x(counting(kCount)), y(counting(kCount));
    Stream compute;
    MUST(rank.sum(x, x, kCount));
    ignore(launch(kernels["scale"], kShape, compute, x.address, y.address, 2.0f, kCount));
    ignore(cuCtxSynchronize());
  });
}

// A communicator does one thing at a time, but nothing says so of its results.
void sumsOnTwoStreams() {
  alone([](Rank &rank) {
    Buffer<float> x(counting(kCount));
    Stream other;
    MUST(rank.sum(x, x, kCount));
    ignore(rank.sum(x, x, kCount, other));
    ignore(cuCtxSynchronize());
  });
}

}  // namespace

std::vector<Program> wrongGroups() {
  const char *const bad = "bad value", *const mismatch = "mismatched collective", *const order = "missing synchronisation";
  const char *const two = "devices=2,patience=20", *const three = "devices=3,patience=20";
  const char *const needed = "communicator needed by graphs";
  const char *const impatient = "devices=2,patience=0.1";
  return {
      {"other-count", otherCount, mismatch, {"ncclAllReduce", "256 ncclFloat32", "255", "rank 0", "rank 1"}, two},
      {"other-root", otherRoot, mismatch, {"ncclBroadcast", "from rank 0", "from rank 1 on rank 2"}, three},
      {"other-order", otherOrder, mismatch, {"collective 1", "ncclAllReduce", "ncclBroadcast"}, two},
      {"other-capture", otherCapture, mismatch, {"is captured on rank 0, and not on rank 1", "ncclAllReduce"}, two},
      {"one-step-less", oneStepLess, "missing rank", {"ncclAllReduce", "collective 3", "for rank 1"}, impatient},
      {"nobody-else-joins", nobodyElseJoins, "missing rank", {"ncclCommInitRank", "rank 0 of 2"}, impatient},
      {"two-ranks-on-one-device", twoRanksOnOneDevice, bad, {"ncclCommInitRank", "Duplicate GPU"}, two},
      {"rank-too-large", rankTooLarge, bad, {"ncclCommInitRank", "rank is 2"}},
      {"communicator-used-after-destroy", usedAfterDestroy, "bad handle", {"ncclAllReduce", "ncclComm_t #"}},
      {"communicator-watched-after-abort", watchedAfterAbort, "bad handle", {"ncclCommGetAsyncError", "ncclCommAbort"}},
      {"communicator-never-destroyed", neverDestroyed, "leak", {"ncclComm_t"}},
      {"communicator-destroyed-before-its-graph",
       destroyedBeforeItsGraph,
       needed,
       {"ncclCommDestroy", "communicator ", "graph #"},
       impatient},
      {"communicator-aborted-before-its-graph",
       abortedBeforeItsGraph,
       needed,
       {"ncclCommAbort", "communicator ", "graph #"},
       impatient},
      {"graph-launched-after-abort",
       launchedAfterAbort,
       "use after free",
       {"cuGraphLaunch", "ncclCommAbort"},
       impatient},
      {"communicator-of-another-device", communicatorOfAnotherDevice, "wrong context", {"ncclAllReduce"}, two},
      {"sum-of-nothing", sumOfNothing, "uninitialised read", {"ncclAllReduce", "sendbuff", "buffer #"}},
      {"sum-past-the-end", sumPastTheEnd, "out of bounds", {"ncclAllReduce", "sendbuff", "4 bytes past", "buffer #"}},
      {"sum-of-host-memory", sumOfHostMemory, "host pointer passed as device pointer", {"ncclAllReduce", "sendbuff"}},
      {"sum-to-nowhere", sumToNowhere, bad, {"ncclAllReduce", "recvbuff", "null pointer"}},
      {"sum-half-in-place", sumHalfInPlace, "overlapping buffers", {"ncclAllReduce", "sendbuff", "recvbuff"}},
      {"freed-while-summed", freedWhileSummed, "freed while in use", {"cuMemFree", "ncclAllReduce", "recvbuff"}},
      {"gradient-not-waited-for", gradientNotWaitedFor, order, {"ncclAllReduce", "scale", "buffer #"}},
      {"sum-not-waited-for", sumNotWaitedFor, order, {"ncclAllReduce", "scale", "recvbuff"}, two},
      {"sums-on-two-streams", sumsOnTwoStreams, order, {"ncclAllReduce", "recvbuff", "stream #"}},
  };
}

}  // namespace programs
