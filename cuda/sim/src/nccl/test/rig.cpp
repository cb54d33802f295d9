#include "nccl/test/rig.h"

#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>

namespace {

std::mutex mutex;
int checks = 0, failures = 0;

}  // namespace

bool check(bool right, const std::string &otherwise) {
  const std::lock_guard<std::mutex> guard(mutex);
  checks++;
  if (right) return true;
  failures++;
  if (failures <= 30) std::printf("FAILED: %s\n", otherwise.c_str());
  std::fflush(stdout);
  return false;
}

void succeeds(int status, const char *call) {
  if (status == 0) return;
  std::printf("%s gave %d (%s)\n%s\n", call, status, ncclGetLastError(nullptr), simReport(0));
  std::fflush(stdout);
  std::_Exit(1);
}

int checksSoFar() { return checks; }
int failuresSoFar() { return failures; }

bool nothingFound() { return std::string(simReport(0)).find("\"findings\":[]") != std::string::npos; }
bool found(const std::string &text) { return std::string(simReport(0)).find(text) != std::string::npos; }

uint64_t counter(const std::string &name) {
  const std::string text = simReport(0), quoted = "\"" + name + "\":";
  const size_t at = text.find(quoted);
  return at == std::string::npos ? 0 : std::strtoull(text.c_str() + at + quoted.size(), nullptr, 10);
}

Machine::Machine(const std::string &configuration) {
  if (simReset(configuration.c_str()) != 0) {
    std::printf("%s\n", simError());
    std::exit(1);
  }
  MUST(cuInit(0));
}

Machine::~Machine() {
  const std::string report = simReport(1);
  check(findings_ || report.find("\"findings\":[]") != std::string::npos, "found: " + report);
  check(report.find("\"leaks\":[]") != std::string::npos, "leaks: " + report);
}

ncclUniqueId newId() {
  ncclUniqueId id;
  MUST(ncclGetUniqueId(&id));
  return id;
}

Rank::Rank(int rank, int ranks, int device) : rank(rank), ranks(ranks) {
  MUST(cuDeviceGet(&device_, device));
  MUST(cuDevicePrimaryCtxRetain(&context_, device_));
  use();
  MUST(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
}

Rank::~Rank() {
  leave();
  cuStreamDestroy(stream);
  MUST(cuCtxSetCurrent(nullptr));
  MUST(cuDevicePrimaryCtxRelease(device_));
}

void Rank::join(const ncclUniqueId &id) { MUST(ncclCommInitRank(&comm, ranks, id, rank)); }

void Rank::leave() {
  if (comm != nullptr) MUST(ncclCommDestroy(comm));
  comm = nullptr;
}

void Rank::abort() {
  MUST(ncclCommAbort(comm));
  comm = nullptr;
}

void Rank::use() const { MUST(cuCtxSetCurrent(context_)); }

void inThreads(int ranks, const std::function<void(Rank &)> &body) {
  const ncclUniqueId id = newId();
  std::vector<std::thread> threads;
  for (int i = 0; i < ranks; i++) {
    threads.emplace_back([&, i] {
      Rank rank(i, ranks, i);
      rank.join(id);
      body(rank);
    });
  }
  for (std::thread &thread : threads) thread.join();
}

Bytes::Bytes(const std::vector<uint8_t> &bytes) : count_(bytes.size()) {
  MUST(cuMemAlloc(&address, bytes.size()));
  put(bytes);
}

Bytes::~Bytes() { cuMemFree(address); }

void Bytes::put(const std::vector<uint8_t> &bytes) const {
  MUST(cuMemcpyHtoD(address, bytes.data(), bytes.size()));
  MUST(cuStreamSynchronize(nullptr));  // streams here don't wait for the default one
}

std::vector<uint8_t> Bytes::get(CUstream stream) const {
  std::vector<uint8_t> bytes(count_);
  MUST(cuStreamSynchronize(stream));
  MUST(cuMemcpyDtoH(bytes.data(), address, bytes.size()));
  return bytes;
}

std::vector<uint8_t> floats(const std::vector<float> &values) {
  std::vector<uint8_t> bytes(values.size() * sizeof(float));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

std::vector<float> asFloats(const std::vector<uint8_t> &bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

Child::Child(const std::string &what, const std::vector<std::string> &words, const std::string &configuration) {
  process_ = fork();
  if (process_ != 0) return;
  setenv("GPUTRAIN_SIM", configuration.c_str(), 1);
  std::vector<std::string> all{"test_nccl", "child", what};
  all.insert(all.end(), words.begin(), words.end());
  std::vector<char *> arguments;
  for (std::string &word : all) arguments.push_back(&word[0]);
  arguments.push_back(nullptr);
  execv("/proc/self/exe", arguments.data());
  _exit(127);
}

Child::~Child() {
  if (process_ > 0) kill();
}

bool Child::succeeded() {
  int status = 0;
  const bool ended = process_ > 0 && waitpid(process_, &status, 0) == process_;
  process_ = -1;
  return ended && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void Child::kill() {
  ::kill(process_, SIGKILL);
  waitpid(process_, nullptr, 0);
  process_ = -1;
}

std::string wordOf(const ncclUniqueId &id) { return id.internal; }

ncclUniqueId idOf(const std::string &word) {
  ncclUniqueId id = {};
  std::memcpy(id.internal, word.data(), word.size());
  return id;
}

double secondsSince(double begin) {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count() - begin;
}

// test_nccl [SEED]
int main(int count, char **words) {
  if (count > 2 && std::string(words[1]) == "child") {
    return runChild(words[2], std::vector<std::string>(words + 3, words + count));
  }
  // What ranks leave behind must be seen.
  char folder[] = "/tmp/gputrain-nccl-test-XXXXXX";
  if (mkdtemp(folder) == nullptr) return 1;
  setenv("TMPDIR", folder, 1);
  const uint64_t seed = count > 1 ? std::strtoull(words[1], nullptr, 10) : 1;
  testArithmetic(seed);
  testThreads(seed);
  testProcesses(seed);
  testFailures(seed);
  check(rmdir(folder) == 0, std::string("files are left in ") + folder);
  std::printf("%d checks, %d failures\n", checksSoFar(), failuresSoFar());
  return failuresSoFar() == 0 ? 0 : 1;
}
