// Ranks that are processes.
#include <unistd.h>

#include <memory>
#include <thread>

#include "nccl/test/rig.h"

namespace {

// child sums RANK RANKS ID: sums, eagerly and in a graph.
int sums(int number, int ranks, const ncclUniqueId &id) {
  MUST(cuInit(0));
  {
    Rank rank(number, ranks, 0);
    rank.join(id);
    const Bytes x(floats({float(number), 1})), y(floats({0, 0}));
    MUST(ncclAllReduce(x.pointer(), y.pointer(), 2, ncclFloat32, ncclSum, rank.comm, rank.stream));
    const float triangle = float(ranks * (ranks - 1) / 2);
    check(asFloats(y.get(rank.stream)) == std::vector<float>({triangle, float(ranks)}), "the sums of processes");
    MUST(cuStreamBeginCapture(rank.stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    MUST(ncclBroadcast(y.pointer(), y.pointer(), 2, ncclFloat32, 0, rank.comm, rank.stream));
    MUST(ncclAllReduce(x.pointer(), x.pointer(), 2, ncclFloat32, ncclMax, rank.comm, rank.stream));
    MUST(ncclAllReduce(x.pointer(), y.pointer(), 2, ncclFloat32, ncclSum, rank.comm, rank.stream));
    CUgraph graph = nullptr;
    CUgraphExec exec = nullptr;
    MUST(cuStreamEndCapture(rank.stream, &graph));
    MUST(cuGraphInstantiateWithFlags(&exec, graph, 0));
    for (int i = 0; i < 50; i++) MUST(cuGraphLaunch(exec, rank.stream));
    const float most = float((ranks - 1) * ranks);
    check(asFloats(y.get(rank.stream)) == std::vector<float>({most, float(ranks)}), "the graph's sums of processes");
    MUST(cuGraphExecDestroy(exec));
    MUST(cuGraphDestroy(graph));
  }
  const std::string report = simReport(1);
  check(report.find("\"findings\":[]") != std::string::npos && report.find("\"leaks\":[]") != std::string::npos, report);
  return failuresSoFar() == 0 ? 0 : 1;
}

// child waits RANK RANKS ID: takes part in one sum, and then does nothing until it is killed.
int waits(int number, int ranks, const ncclUniqueId &id) {
  MUST(cuInit(0));
  Rank rank(number, ranks, 0);
  rank.join(id);
  const Bytes x(floats({1}));
  MUST(ncclAllReduce(x.pointer(), x.pointer(), 1, ncclFloat32, ncclSum, rank.comm, rank.stream));
  MUST(cuStreamSynchronize(rank.stream));
  for (;;) pause();
}

// child idles RANK RANKS ID: queues a sum and does nothing until it is killed.
int idles(int number, int ranks, const ncclUniqueId &id) {
  MUST(cuInit(0));
  Rank rank(number, ranks, 0);
  rank.join(id);
  const Bytes x(floats({1}));
  MUST(ncclAllReduce(x.pointer(), x.pointer(), 1, ncclFloat32, ncclSum, rank.comm, rank.stream));
  for (;;) pause();
}

std::vector<std::string> wordsFor(int rank, int ranks, const ncclUniqueId &id) {
  return {std::to_string(rank), std::to_string(ranks), wordOf(id)};
}

void processes(uint64_t seed) {
  for (const std::string schedule : {"late", "eager", "random"}) {
    for (int ranks = 1; ranks <= 3; ranks++) {
      const ncclUniqueId id = newId();
      std::vector<std::unique_ptr<Child>> children;
      for (int rank = 0; rank < ranks; rank++) {
        const std::string configuration = "seed=" + std::to_string(seed + rank) + ",schedule=" + schedule;
        children.push_back(std::make_unique<Child>("sums", wordsFor(rank, ranks, id), configuration));
      }
      for (const auto &child : children) check(child->succeeded(), std::to_string(ranks) + " processes, " + schedule);
    }
  }
}

// What a process has queued arrives without its help, as it does on a GPU: others may wait for it.
void arrivesByItself() {
  Machine machine("schedule=late,patience=20");
  const ncclUniqueId id = newId();
  Child child("idles", wordsFor(1, 2, id), "schedule=late");
  Rank rank(0, 2, 0);
  rank.join(id);
  const Bytes x(floats({1}));
  MUST(ncclAllReduce(x.pointer(), x.pointer(), 1, ncclFloat32, ncclSum, rank.comm, rank.stream));
  check(asFloats(x.get(rank.stream))[0] == 2, "the sum");
}

// A process that is killed is an error of the ranks that live, and a wait for it ends with an abort.
void death() {
  Machine machine("schedule=late");
  const ncclUniqueId id = newId();
  Child child("waits", wordsFor(1, 2, id), "");
  Rank rank(0, 2, 0);
  rank.join(id);
  const Bytes x(floats({1}));
  MUST(ncclAllReduce(x.pointer(), x.pointer(), 1, ncclFloat32, ncclSum, rank.comm, rank.stream));
  check(asFloats(x.get(rank.stream))[0] == 2, "the sum before");
  ncclResult_t error = ncclInternalError;
  MUST(ncclCommGetAsyncError(rank.comm, &error));
  check(error == ncclSuccess, "an error while both live: " + std::to_string(error));
  MUST(ncclAllReduce(x.pointer(), x.pointer(), 1, ncclFloat32, ncclSum, rank.comm, rank.stream));
  std::thread watch([&] {
    usleep(50000);
    child.kill();
    ncclResult_t told = ncclSuccess;
    MUST(ncclCommGetAsyncError(rank.comm, &told));
    check(told == ncclRemoteError, "the error is " + std::to_string(told));
    rank.abort();
  });
  MUST(cuStreamSynchronize(rank.stream));
  watch.join();
  check(rank.comm == nullptr, "the wait ended by itself");
}

}  // namespace

int runChild(const std::string &what, const std::vector<std::string> &words) {
  const int rank = std::stoi(words[0]), ranks = std::stoi(words[1]);
  const ncclUniqueId id = idOf(words[2]);
  if (what == "sums") return sums(rank, ranks, id);
  if (what == "idles") return idles(rank, ranks, id);
  if (what == "waits") return waits(rank, ranks, id);
  return 2;
}

void testProcesses(uint64_t seed) {
  processes(seed);
  arrivesByItself();
  death();
}
