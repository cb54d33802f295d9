// What fails on demand, waits that end by an abort or take too long, and ranks that don't fit together.
#include <unistd.h>

#include <atomic>
#include <thread>

#include "nccl/test/rig.h"

namespace {

// An abort on another thread ends a wait.
void abortEndsAWait() {
  for (const char *schedule : {"schedule=late", "schedule=eager", "schedule=random"}) {
    Machine machine(std::string("devices=2,") + schedule);
    std::atomic<bool> over{false};
    inThreads(2, [&](Rank &rank) {
      const Bytes x(floats({1})), y(floats({1}));
      if (rank.rank == 1) {
        while (!over) usleep(1000);
        ncclResult_t error = ncclSuccess;
        MUST(ncclCommGetAsyncError(rank.comm, &error));
        check(error == ncclRemoteError, "the error of the other rank is " + std::to_string(error));
        check(ncclAllReduce(x.pointer(), x.pointer(), 1, ncclFloat32, ncclSum, rank.comm, rank.stream) == ncclRemoteError,
              "a collective after an error");
        rank.abort();
        return;
      }
      for (int i = 0; i < 3; i++) {
        MUST(ncclAllReduce(x.pointer(), x.pointer(), 1, ncclFloat32, ncclSum, rank.comm, rank.stream));
      }
      std::thread watch([&] {
        usleep(50000);
        rank.abort();
      });
      MUST(cuStreamSynchronize(rank.stream));
      watch.join();
      MUST(cuMemsetD32Async(y.address, 0, 1, rank.stream));  // the stream lives on
      check(asFloats(y.get(rank.stream))[0] == 0 && asFloats(x.get(rank.stream))[0] != 1, "after the abort");
      over = true;
    });
  }
}

// An error on demand: the sum doesn't end, and the communicator tells why.
void asynchronousError() {
  Machine machine("devices=1,async=2:3");
  inThreads(1, [&](Rank &rank) {
    const Bytes x(floats({1}));
    const auto sum = [&] {
      return ncclAllReduce(x.pointer(), x.pointer(), 1, ncclFloat32, ncclSum, rank.comm, rank.stream);
    };
    ncclResult_t error = ncclSuccess;
    MUST(sum());
    MUST(cuStreamSynchronize(rank.stream));
    MUST(ncclCommGetAsyncError(rank.comm, &error));
    check(error == ncclSuccess, "the first has failed");
    MUST(sum());
    for (int i = 0; i < 10; i++) check(cuStreamQuery(rank.stream) == CUDA_ERROR_NOT_READY, "the second ends");
    MUST(ncclCommGetAsyncError(rank.comm, &error));
    check(error == ncclInternalError, "the error is " + std::to_string(error));
    check(std::string(ncclGetLastError(nullptr)).find("on demand") != std::string::npos, ncclGetLastError(nullptr));
    check(sum() == ncclInternalError, "a third is taken");
    rank.abort();
    MUST(cuStreamSynchronize(rank.stream));
    rank.join(newId());
    check(simSet("async=1:6") == 0, "it can't be set");
    MUST(sum());
    MUST(ncclCommGetAsyncError(rank.comm, &error));
    check(error == ncclRemoteError, "what was set gives " + std::to_string(error));
    rank.abort();
    MUST(cuStreamSynchronize(rank.stream));
  });
  check(simReset("async=1") == -1 && simReset("async=0:3") == -1 && simReset("patience=0") == -1, "options that are none");
}

// A fault on demand fails the call, and nothing is queued.
void faults() {
  Machine machine("devices=2,fault=ncclAllReduce@3=1,fault=ncclCommInitRank@3=2");
  std::atomic<int> failed{0};
  inThreads(2, [&](Rank &rank) {
    const Bytes x(floats({1}));
    int sums = 0;
    while (sums < 3) {
      const ncclResult_t status =
          ncclAllReduce(x.pointer(), x.pointer(), 1, ncclFloat32, ncclSum, rank.comm, rank.stream);
      check(status == ncclSuccess || status == ncclUnhandledCudaError, "status " + std::to_string(status));
      status == ncclSuccess ? sums++ : failed++;
    }
    check(asFloats(x.get(rank.stream))[0] == 8, "the sum");
  });
  check(failed == 1, std::to_string(failed) + " faults");
  Rank rank(0, 1, 0);
  check(ncclCommInitRank(&rank.comm, 1, newId(), 0) == ncclSystemError && rank.comm == nullptr, "the fault of InitRank");
}

// A rank that doesn't come, to a collective or at all.
void missingRanks() {
  {
    Machine machine("devices=3,patience=0.2");
    machine.expectFindings();
    std::atomic<int> gone{0};
    inThreads(3, [&](Rank &rank) {
      const Bytes x(floats({1}));
      if (rank.rank != 1) {
        MUST(ncclAllReduce(x.pointer(), x.pointer(), 1, ncclFloat32, ncclSum, rank.comm, rank.stream));
        check(cuStreamSynchronize(rank.stream) == CUDA_ERROR_LAUNCH_TIMEOUT, "a wait that is too long");
        check(cuStreamQuery(rank.stream) == CUDA_ERROR_LAUNCH_TIMEOUT, "the context goes on");
        gone++;
        rank.abort();
      }
      while (gone < 2) usleep(1000);
    });
    check(found("\"missing rank\"") && found("collective 1 of communicator ") && found("for rank 1"), simReport(0));
  }
  Machine machine("devices=3,patience=0.2");
  machine.expectFindings();
  Rank rank(1, 3, 0);
  check(ncclCommInitRank(&rank.comm, 3, newId(), 1) == ncclSystemError && rank.comm == nullptr, "a group of one");
  check(found("ranks 0 and 2 of 3 did not join"), simReport(0));
}

// The next machine doesn't wait for threads that wait on this one.
void resetEndsAWait() {
  const double begin = secondsSince(0);
  simReset("devices=2");
  MUST(cuInit(0));
  const ncclUniqueId id = newId();
  std::atomic<bool> waits{false}, over{false};
  std::thread other([&] {
    auto *rank = new Rank(1, 2, 1);  // it goes with the machine
    rank->join(id);
    while (!over) usleep(1000);
  });
  std::thread waiter([&] {
    auto *rank = new Rank(0, 2, 0);
    rank->join(id);
    auto *x = new Bytes(floats({1}));
    MUST(ncclAllReduce(x->pointer(), x->pointer(), 1, ncclFloat32, ncclSum, rank->comm, rank->stream));
    waits = true;
    check(cuStreamSynchronize(rank->stream) == CUDA_ERROR_LAUNCH_TIMEOUT, "the wait's end");
  });
  while (!waits) usleep(1000);
  usleep(50000);
  simReset("");
  waiter.join();
  over = true;
  other.join();
  check(secondsSince(begin) < 20, "it took long");
}

// Ranks that can't be one group: all of them are told.
struct Misfit {
  const char *what, *says;
  int ranks[2], numbers[2], devices[2];
  ncclResult_t status;
};

void misfits() {
  const Misfit all[] = {
      {"sizes", "others say", {2, 3}, {0, 1}, {0, 1}, ncclInvalidArgument},
      {"numbers", "two with the number of rank 0", {2, 2}, {0, 0}, {0, 1}, ncclInvalidArgument},
      {"devices", "Duplicate GPU detected", {2, 2}, {0, 1}, {1, 1}, ncclInvalidUsage},
      {"too large a number", "rank is 2", {2, 2}, {2, -1}, {0, 1}, ncclInvalidArgument},
      {"no ranks", "nranks is 0", {0, -1}, {0, 0}, {0, 1}, ncclInvalidArgument},
  };
  for (const Misfit &misfit : all) {
    Machine machine("devices=2,patience=10");
    machine.expectFindings();
    const ncclUniqueId id = newId();
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; i++) {
      threads.emplace_back([&, i] {
        Rank rank(misfit.numbers[i], misfit.ranks[i], misfit.devices[i]);
        const ncclResult_t status = ncclCommInitRank(&rank.comm, misfit.ranks[i], id, misfit.numbers[i]);
        check(status == misfit.status, std::string(misfit.what) + ": status " + std::to_string(status));
      });
    }
    for (std::thread &thread : threads) thread.join();
    check(found(misfit.says), std::string(misfit.what) + ": " + simReport(0));
  }
  Machine machine("");
  machine.expectFindings();
  Rank rank(0, 1, 0);
  ncclUniqueId id = {};
  check(ncclCommInitRank(&rank.comm, 1, id, 0) == ncclInvalidArgument && found("commId"), "an identifier of zeros");
}

}  // namespace

void testFailures(uint64_t) {
  abortEndsAWait();
  asynchronousError();
  faults();
  missingRanks();
  resetEndsAWait();
  misfits();
}
