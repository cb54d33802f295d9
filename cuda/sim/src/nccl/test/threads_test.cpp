// Ranks that are threads: streams, graphs, and waits that must not be ones.
#include <atomic>
#include <functional>
#include <thread>

#include <unistd.h>

#include "nccl/test/rig.h"

namespace {

const char *const kSchedules[] = {"schedule=late", "schedule=eager", "schedule=random"};

// A graph of a copy, a sum in place and another copy, launched many times.
void graphs(uint64_t seed) {
  for (const char *schedule : kSchedules) {
    for (int ranks = 2; ranks <= 4; ranks++) {
      Machine machine("devices=4,seed=" + std::to_string(seed + ranks) + "," + schedule);
      inThreads(ranks, [&](Rank &rank) {
        const Bytes in(floats({0, 0, 0})), sum(floats({0, 0, 0})), out(floats({0, 0, 0}));
        MUST(cuStreamBeginCapture(rank.stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
        MUST(cuMemcpyDtoDAsync(sum.address, in.address, 12, rank.stream));
        MUST(ncclAllReduce(sum.pointer(), sum.pointer(), 3, ncclFloat32, ncclSum, rank.comm, rank.stream));
        MUST(ncclAllReduce(sum.pointer(), out.pointer(), 3, ncclFloat32, ncclMax, rank.comm, rank.stream));
        CUgraph graph = nullptr;
        CUgraphExec exec = nullptr;
        MUST(cuStreamEndCapture(rank.stream, &graph));
        size_t nodes = 0;
        MUST(cuGraphGetNodes(graph, nullptr, &nodes));
        check(nodes == 3, "the graph has " + std::to_string(nodes) + " nodes");
        MUST(cuGraphInstantiateWithFlags(&exec, graph, 0));
        for (int round = 0; round < 30; round++) {
          in.put(floats({float(round), float(rank.rank), 1}));
          // The queue gets longer where nobody looks at the result.
          for (int i = 0; i <= round % 4; i++) MUST(cuGraphLaunch(exec, rank.stream));
          const std::vector<float> want{float(round * ranks), float(ranks * (ranks - 1) / 2), float(ranks)};
          check(asFloats(out.get(rank.stream)) == want, std::string(schedule) + ", round " + std::to_string(round));
        }
        MUST(cuGraphExecDestroy(exec));
        MUST(cuGraphDestroy(graph));
      });
      check(counter("ran.ncclAllReduce") == uint64_t(ranks) * 2 * 73, "ran " + std::to_string(counter("ran.ncclAllReduce")));
    }
  }
}

// Collectives on two streams, in the same order on all ranks, with work between them. The streams' events come in an order
// of their own.
void twoStreams(uint64_t seed) {
  for (const char *schedule : kSchedules) {
    for (uint64_t more = 0; more < 6; more++) {
      Machine machine("devices=3,seed=" + std::to_string(seed + more) + "," + schedule);
      inThreads(3, [&](Rank &rank) {
        CUstream other = nullptr;
        CUevent event = nullptr;
        MUST(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
        MUST(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
        const Bytes a(floats({float(rank.rank)})), b(floats({float(rank.rank)})), c(floats({0}));
        for (int round = 0; round < 5; round++) {
          MUST(ncclAllReduce(a.pointer(), a.pointer(), 1, ncclFloat32, ncclSum, rank.comm, rank.stream));
          MUST(ncclBroadcast(b.pointer(), b.pointer(), 1, ncclFloat32, round % 3, rank.comm, other));
          MUST(cuEventRecord(event, rank.stream));
          MUST(cuStreamWaitEvent(other, event, 0));
          MUST(ncclAllReduce(a.pointer(), c.pointer(), 1, ncclFloat32, ncclMax, rank.comm, other));
          // The ranks look at their streams in different orders.
          for (int i = 0; i < 2; i++) MUST(cuStreamSynchronize((rank.rank + i) % 2 ? other : rank.stream));
        }
        // 0 + 1 + 2 = 3, then three times as much each time.
        check(asFloats(a.get(rank.stream))[0] == 243, "sums: " + std::to_string(asFloats(a.get(rank.stream))[0]));
        check(asFloats(b.get(other))[0] == 0, "broadcasts");
        check(asFloats(c.get(other))[0] == 243, "maxima");
        MUST(cuEventDestroy(event));
        MUST(cuStreamDestroy(other));
      });
    }
  }
}

// Work on other streams goes on, and the host can look, while a collective waits.
void lateRank() {
  for (const char *schedule : kSchedules) {
    Machine machine(std::string("devices=2,patience=20,") + schedule);
    std::atomic<bool> looked{false};
    inThreads(2, [&](Rank &rank) {
      const Bytes x(floats({1})), y(floats({2}));
      if (rank.rank == 1) {
        while (!looked) usleep(1000);
      }
      MUST(ncclAllReduce(x.pointer(), x.pointer(), 1, ncclFloat32, ncclSum, rank.comm, rank.stream));
      if (rank.rank == 0) {
        CUstream other = nullptr;
        CUevent event = nullptr;
        MUST(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
        MUST(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
        MUST(cuEventRecord(event, rank.stream));
        for (int i = 0; i < 20; i++) {
          check(cuStreamQuery(rank.stream) == CUDA_ERROR_NOT_READY, "a sum without the other rank");
          check(cuEventQuery(event) == CUDA_ERROR_NOT_READY, "an event after a sum without the other rank");
        }
        MUST(cuMemsetD32Async(y.address, 0x40400000, 1, other));
        check(asFloats(y.get(other))[0] == 3, "other work does not go on");
        ncclResult_t error = ncclInternalError;
        check(ncclCommGetAsyncError(rank.comm, &error) == ncclSuccess && error == ncclSuccess, "an error while waiting");
        looked = true;
        while (cuStreamQuery(rank.stream) == CUDA_ERROR_NOT_READY) usleep(100);
        MUST(cuEventSynchronize(event));
        MUST(cuEventDestroy(event));
        MUST(cuStreamDestroy(other));
      }
      check(asFloats(x.get(rank.stream))[0] == 2, "the sum");
    });
  }
}

// Looking at a stream where a collective waits makes no other stream's work run.
void lateStaysLate() {
  Machine machine("devices=2,schedule=late,patience=20");
  std::atomic<bool> looked{false};
  inThreads(2, [&](Rank &rank) {
    while (rank.rank == 1 && !looked) usleep(1000);
    const Bytes x(floats({1})), y(floats({1}));
    MUST(ncclAllReduce(x.pointer(), x.pointer(), 1, ncclFloat32, ncclSum, rank.comm, rank.stream));
    if (rank.rank == 0) {
      CUstream other = nullptr;
      CUevent event = nullptr;
      MUST(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
      MUST(cuEventCreate(&event, 0));
      MUST(cuMemsetD32Async(y.address, 0, 1, other));
      MUST(cuEventRecord(event, other));
      for (int i = 0; i < 200; i++) {
        check(cuStreamQuery(rank.stream) == CUDA_ERROR_NOT_READY, "a sum without the other rank");
        usleep(1000);
      }
      float time = 0;
      check(cuEventElapsedTime(&time, event, event) == CUDA_ERROR_NOT_READY, "work that nobody has asked for has run");
      looked = true;
      MUST(cuStreamSynchronize(other));
      MUST(cuEventDestroy(event));
      MUST(cuStreamDestroy(other));
    }
    check(asFloats(x.get(rank.stream))[0] == 2, "the sum");
  });
}

// Runs `body` on another thread, which waits for the sum that rank 0 has queued, and `meanwhile` on this one. Then rank 1
// comes.
void whileASumWaits(const std::function<void(Rank &, const Bytes &sum)> &body,
                    const std::function<void(Rank &, const Bytes &sum)> &meanwhile) {
  std::atomic<bool> done{false};
  inThreads(2, [&](Rank &rank) {
    while (rank.rank == 1 && !done) usleep(1000);
    const Bytes x(floats({1}));
    MUST(ncclAllReduce(x.pointer(), x.pointer(), 1, ncclFloat32, ncclSum, rank.comm, rank.stream));
    if (rank.rank == 0) {
      std::thread other([&] {
        rank.use();
        body(rank, x);
      });
      usleep(50000);
      meanwhile(rank, x);
      done = true;
      other.join();
    }
    MUST(cuStreamSynchronize(rank.stream));
  });
}

// Patience begins anew while others get something done.
void busyMachine() {
  Machine machine("devices=2,patience=0.6");
  whileASumWaits([](Rank &rank, const Bytes &) { MUST(cuStreamSynchronize(rank.stream)); },
                 [](Rank &, const Bytes &) {
                   const Bytes y(floats({1}));
                   const double begin = secondsSince(0);
                   while (secondsSince(begin) < 1.5) {
                     y.put(floats({2}));
                     usleep(20000);
                   }
                 });
}

// What another thread queues while one waits is not waited for.
void recordedAgain() {
  Machine machine("devices=2,schedule=late,patience=20");
  machine.expectFindings();
  CUevent event = nullptr;
  CUstream stream = nullptr;
  CUdeviceptr y = 0;
  std::atomic<bool> ready{false};
  whileASumWaits(
      [&](Rank &rank, const Bytes &) {
        MUST(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
        MUST(cuEventRecord(event, rank.stream));
        ready = true;
        MUST(cuEventSynchronize(event));
        check(!found("freed while in use"), simReport(0));
        MUST(cuMemFree(y));
        check(found("freed while in use"), "a wait for an event counts for its next record");
        MUST(cuStreamDestroy(stream));
        MUST(cuEventDestroy(event));
      },
      [&](Rank &, const Bytes &) {
        while (!ready) usleep(1000);
        usleep(50000);
        MUST(cuMemAlloc(&y, 4));
        MUST(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
        MUST(cuMemsetD32Async(y, 0, 1, stream));
        MUST(cuEventRecord(event, stream));
      });
}

// Two threads free one buffer, or unload one module, while work uses it.
void freedTwice() {
  Machine machine("devices=2,schedule=late,patience=20");
  machine.expectFindings();
  CUmodule module = nullptr;
  std::atomic<bool> loaded{false};
  whileASumWaits(
      [&](Rank &rank, const Bytes &) {
        CUfunction nothing = nullptr;
        MUST(cuModuleLoadData(&module, ".version 7.0\n.target sm_70\n.address_size 64\n.visible .entry nothing() { ret; }"));
        MUST(cuModuleGetFunction(&nothing, module, "nothing"));
        MUST(cuLaunchKernel(nothing, 1, 1, 1, 1, 1, 1, 0, rank.stream, nullptr, nullptr));
        loaded = true;
        MUST(cuModuleUnload(module));
      },
      [&](Rank &, const Bytes &) {
        while (!loaded) usleep(1000);
        usleep(50000);
        check(cuModuleUnload(module) == CUDA_ERROR_INVALID_HANDLE && found("on another thread"), simReport(0));
      });
  whileASumWaits(
      [&](Rank &, const Bytes &x) { MUST(cuMemFree(x.address)); },
      [&](Rank &, const Bytes &x) {
        check(cuMemFree(x.address) == CUDA_ERROR_INVALID_VALUE && found("is freed again"), simReport(0));
      });
  Rank rank(0, 1, 0);
  size_t free = 0, total = 0;
  MUST(cuMemGetInfo(&free, &total));
  check(free == total, std::to_string(total - free) + " bytes too many or too few are in use");
}

// A rank that runs far ahead fills the queue, but it doesn't keep the other from coming.
void longQueues() {
  Machine machine("devices=2,schedule=late,patience=20");
  std::atomic<bool> ahead{false};
  inThreads(2, [&](Rank &rank) {
    const Bytes x(floats({1})), y(floats({1}));
    while (rank.rank == 0 && !ahead) usleep(1000);
    for (int i = 0; i < 1500; i++) {
      if (rank.rank == 0) MUST(cuMemsetD32Async(y.address, 0, 1, rank.stream));
    }
    for (int i = 0; i < 1000; i++) {
      MUST(ncclAllReduce(x.pointer(), x.pointer(), 1, ncclFloat32, ncclMax, rank.comm, rank.stream));
    }
    ahead = true;
    check(asFloats(x.get(rank.stream))[0] == 1, "the maximum");
  });
}

void lateJoiner() {
  Machine machine("devices=2");
  const ncclUniqueId id = newId();
  std::thread late([&] {
    usleep(200000);
    Rank rank(0, 2, 0);
    rank.join(id);
  });
  {
    const double begin = secondsSince(0);
    Rank rank(1, 2, 1);
    rank.join(id);
    check(secondsSince(begin) > 0.1, "it didn't wait");
  }
  late.join();
}

// Groups within groups.
void twoCommunicators() {
  Machine machine("devices=3");
  const ncclUniqueId all = newId(), some = newId();
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; i++) {
    threads.emplace_back([&, i] {
      Rank rank(i, 3, i);
      rank.join(all);
      ncclComm_t pair = nullptr;
      if (i != 1) MUST(ncclCommInitRank(&pair, 2, some, i / 2));
      const Bytes x(floats({1})), y(floats({1}));
      for (int round = 0; round < 4; round++) {
        if (i != 1) MUST(ncclAllReduce(x.pointer(), x.pointer(), 1, ncclFloat32, ncclSum, pair, rank.stream));
        MUST(ncclAllReduce(y.pointer(), y.pointer(), 1, ncclFloat32, ncclSum, rank.comm, rank.stream));
      }
      check(asFloats(x.get(rank.stream))[0] == (i == 1 ? 1 : 16), "sums of two");
      check(asFloats(y.get(rank.stream))[0] == 81, "sums of three");
      if (i != 1) MUST(ncclCommDestroy(pair));
    });
  }
  for (std::thread &thread : threads) thread.join();
}

// Destroying a communicator waits for what it has queued.
void destroyWaits() {
  Machine machine("devices=2,schedule=late");
  std::atomic<bool> late{false};
  inThreads(2, [&](Rank &rank) {
    const Bytes x(floats({1}));
    if (rank.rank == 1) {
      usleep(100000);
      late = true;
    }
    MUST(ncclAllReduce(x.pointer(), x.pointer(), 1, ncclFloat32, ncclSum, rank.comm, rank.stream));
    rank.leave();
    check(late, "it didn't wait");
    check(asFloats(x.get(rank.stream))[0] == 2, "the sum");
  });
}

void version() {
  int number = 0;
  {
    Machine machine("");
    MUST(ncclGetVersion(&number));
    check(number == 22103, "version " + std::to_string(number));
  }
  Machine machine("nccl=22803");
  MUST(ncclGetVersion(&number));
  check(number == 22803, "version " + std::to_string(number));
}

}  // namespace

void testThreads(uint64_t seed) {
  version();
  graphs(seed);
  twoStreams(seed);
  lateRank();
  lateStaysLate();
  busyMachine();
  recordedAgain();
  freedTwice();
  longQueues();
  lateJoiner();
  twoCommunicators();
  destroyWaits();
}
