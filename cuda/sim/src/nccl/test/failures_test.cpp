// What fails on demand, waits that end by an abort or take too long, and ranks that don't fit together.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
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

// Who comes when others have given up, or have all joined, is told at once.
void tooLate() {
  Machine machine("devices=2,patience=1");
  machine.expectFindings();
  const auto fails = [&](const ncclUniqueId &id, int number, double least, double most) {
    Rank rank(number, 2, number);
    const double begin = secondsSince(0);
    check(ncclCommInitRank(&rank.comm, 2, id, number) == ncclSystemError, "rank " + std::to_string(number) + " joins");
    const double taken = secondsSince(begin);
    check(taken >= least && taken < most, "rank " + std::to_string(number) + " took " + std::to_string(taken) + " s");
  };
  const ncclUniqueId id = newId(), alone = newId();
  fails(id, 0, 0.9, 60);
  fails(id, 1, 0, 0.9);
  check(std::string(ncclGetLastError(nullptr)).find("given up") != std::string::npos, ncclGetLastError(nullptr));
  Rank rank(0, 1, 0);
  rank.join(alone);
  fails(alone, 1, 0, 0.9);
  rank.use();
}

// Files of processes that were killed before all had joined don't stay, and neither do those of identifiers that nobody
// has used.
void leftBehind() {
  const auto make = [](int process, long age) {
    const std::string path = std::string(std::getenv("TMPDIR")) + "/gputrain-nccl-" + std::to_string(process) + "-" +
                             std::to_string(age);
    const int file = open(path.c_str(), O_CREAT | O_WRONLY, 0600);
    timespec times[2] = {};
    times[0].tv_sec = times[1].tv_sec = time(nullptr) - age;
    check(file >= 0 && futimens(file, times) == 0, path);
    close(file);
    return path;
  };
  const auto is = [](const std::string &path) { return access(path.c_str(), F_OK) == 0; };
  const int gone = fork();
  if (gone == 0) _exit(0);
  waitpid(gone, nullptr, 0);
  Machine machine("");
  const std::string old = make(gone, 1000), fresh = make(gone, 0), mine = make(getpid(), 1000);
  const std::string unused = wordOf(newId()), path = unused.substr(unused.find('/'));
  check(!is(old) && is(fresh) && is(mine) && is(path), "the wrong files are removed");
  unlink(fresh.c_str());
  unlink(mine.c_str());
  simReset("");
  check(!is(path), "an identifier that nobody has used leaves a file");
}

// The last error that one thread has got stays what it was.
void lastErrors() {
  Machine machine("");
  machine.expectFindings();
  ncclGetVersion(nullptr);
  const std::string text = ncclGetLastError(nullptr);
  const char *kept = ncclGetLastError(nullptr);
  std::thread([] { ncclGetUniqueId(nullptr); }).join();
  check(text == "version is NULL" && kept == text, kept);
  check(std::string(ncclGetLastError(nullptr)) == "uniqueId is NULL", ncclGetLastError(nullptr));
}

// A sum as a graph, launched once.
struct SumGraph {
  SumGraph(const Rank &rank, const Bytes &x) {
    MUST(cuStreamBeginCapture(rank.stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    MUST(ncclAllReduce(x.pointer(), x.pointer(), 1, ncclFloat32, ncclSum, rank.comm, rank.stream));
    MUST(cuStreamEndCapture(rank.stream, &graph));
    MUST(cuGraphInstantiateWithFlags(&exec, graph, 0));
    MUST(cuGraphLaunch(exec, rank.stream));
  }
  CUgraph graph = nullptr;
  CUgraphExec exec = nullptr;
};

// The end of a communicator waits for the end of all its graphs, on whatever thread.
void graphsKeepCommunicators() {
  for (const bool abort : {false, true}) {
    Machine machine("devices=2,patience=20,schedule=late");
    inThreads(2, [&](Rank &rank) {
      const Bytes x(floats({1}));
      const SumGraph sum(rank, x);
      check(asFloats(x.get(rank.stream))[0] == 2, "the graph's sum");
      std::atomic<bool> destroyed{false}, ended{false};
      std::thread other([&] {
        rank.use();
        abort ? rank.abort() : rank.leave();
        check(destroyed, "it didn't wait for the graphs");
        ended = true;
      });
      usleep(30000);
      MUST(cuGraphExecDestroy(sum.exec));
      usleep(30000);
      check(!ended, "it didn't wait for the graph");
      destroyed = true;
      MUST(cuGraphDestroy(sum.graph));
      other.join();
    });
  }
  for (const bool abort : {false, true}) {
    Machine machine("patience=0.2");
    machine.expectFindings();
    inThreads(1, [&](Rank &rank) {
      const Bytes x(floats({1}));
      const SumGraph sum(rank, x);
      MUST(cuStreamSynchronize(rank.stream));
      const double begin = secondsSince(0);
      abort ? rank.abort() : rank.leave();
      check(secondsSince(begin) > 0.1 && secondsSince(begin) < 10, "it waits for graphs that nobody destroys");
      MUST(cuGraphExecDestroy(sum.exec));
      MUST(cuGraphDestroy(sum.graph));
    });
    check(found("\"communicator needed by graphs\"") && found(abort ? "ncclCommAbort" : "ncclCommDestroy"), simReport(0));
    check(!found("freed while in use"), simReport(0));
  }
}

// An abort ends the wait for a graph's sum before it waits for the graph.
void abortEndsAGraph() {
  Machine machine("devices=2,patience=20,schedule=late");
  std::atomic<bool> over{false};
  inThreads(2, [&](Rank &rank) {
    while (rank.rank == 1 && !over) usleep(1000);
    if (rank.rank == 1) return;
    const Bytes x(floats({1}));
    const SumGraph sum(rank, x);
    std::thread watch([&] {
      usleep(50000);
      rank.abort();
    });
    MUST(cuStreamSynchronize(rank.stream));
    MUST(cuGraphExecDestroy(sum.exec));
    MUST(cuGraphDestroy(sum.graph));
    watch.join();
    over = true;
  });
}

// A collective that is captured on one rank alone. The sum is right all the same.
void mixedCapture() {
  for (const bool allowed : {false, true}) {
    Machine machine(std::string("devices=2") + (allowed ? ",allow=nccl-mixed-capture" : ""));
    if (!allowed) machine.expectFindings();
    inThreads(2, [&](Rank &rank) {
      const Bytes x(floats({1}));
      if (rank.rank == 1) {
        const SumGraph sum(rank, x);
        MUST(cuStreamSynchronize(rank.stream));
        MUST(cuGraphExecDestroy(sum.exec));
        MUST(cuGraphDestroy(sum.graph));
      } else {
        MUST(ncclAllReduce(x.pointer(), x.pointer(), 1, ncclFloat32, ncclSum, rank.comm, rank.stream));
      }
      check(asFloats(x.get(rank.stream))[0] == 2, "the sum");
      ncclResult_t error = ncclInternalError;
      MUST(ncclCommGetAsyncError(rank.comm, &error));
      check(error == ncclSuccess, "the error is " + std::to_string(error));
    });
    check(found("is captured on rank 1, and not on rank 0") != allowed, simReport(0));
    check(found("\"mismatched collective\"") != allowed, simReport(0));
  }
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
  tooLate();
  leftBehind();
  lastErrors();
  graphsKeepCommunicators();
  abortEndsAGraph();
  mixedCapture();
  resetEndsAWait();
  misfits();
}
