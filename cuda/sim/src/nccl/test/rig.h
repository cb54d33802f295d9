// What the tests of NCCL share: counted checks, ranks as threads or processes, and numbers on the device.
#ifndef GPUTRAIN_SIM_NCCL_TEST_RIG_H
#define GPUTRAIN_SIM_NCCL_TEST_RIG_H

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cuda.h"
#include "nccl.h"

// The simulated machine's control; see the end of core/core.h.
extern "C" {
int simReset(const char *configuration);
int simSet(const char *configuration);
const char *simError(void);
const char *simReport(int final);
}

// Counts a check, on any thread. What went wrong is printed after the name of the test.
bool check(bool right, const std::string &otherwise);
void succeeds(int status, const char *call);
#define MUST(call) succeeds(static_cast<int>(call), #call)
int checksSoFar();
int failuresSoFar();

// Of the machine's report. On one thread at a time.
bool nothingFound();
bool found(const std::string &text);
uint64_t counter(const std::string &name);

// A fresh machine. When it ends, nothing may be left of it, unless the test has said otherwise.
class Machine {
 public:
  explicit Machine(const std::string &configuration);
  ~Machine();
  Machine(const Machine &) = delete;
  Machine &operator=(const Machine &) = delete;
  void expectFindings() { findings_ = true; }

 private:
  bool findings_ = false;
};

ncclUniqueId newId();

// A device with its context current on this thread, a stream and, after join(), a communicator.
class Rank {
 public:
  Rank(int rank, int ranks, int device);
  ~Rank();
  Rank(const Rank &) = delete;
  Rank &operator=(const Rank &) = delete;
  void join(const ncclUniqueId &id);
  void leave();  // destroys the communicator
  void abort();
  void use() const;  // makes the context current on the calling thread
  const int rank, ranks;
  CUstream stream = nullptr;
  ncclComm_t comm = nullptr;

 private:
  CUdevice device_ = 0;
  CUcontext context_ = nullptr;
};

// Runs `body` for each rank, each on a thread and a device of its own, with one communicator. Ends when all have.
void inThreads(int ranks, const std::function<void(Rank &)> &body);

// Bytes on the device. `get` waits for the stream.
class Bytes {
 public:
  explicit Bytes(const std::vector<uint8_t> &bytes);
  ~Bytes();
  Bytes(const Bytes &) = delete;
  Bytes &operator=(const Bytes &) = delete;
  void put(const std::vector<uint8_t> &bytes) const;
  std::vector<uint8_t> get(CUstream stream) const;
  void *pointer() const { return reinterpret_cast<void *>(address); }
  CUdeviceptr address = 0;

 private:
  size_t count_;
};

std::vector<uint8_t> floats(const std::vector<float> &values);
std::vector<float> asFloats(const std::vector<uint8_t> &bytes);

// A process of this program that runs one of kChildren.
class Child {
 public:
  Child(const std::string &what, const std::vector<std::string> &words, const std::string &configuration);
  ~Child();
  Child(const Child &) = delete;
  Child &operator=(const Child &) = delete;
  bool succeeded();  // waits for its end
  void kill();

 private:
  int process_ = -1;
};

// An identifier as a word, and back.
std::string wordOf(const ncclUniqueId &id);
ncclUniqueId idOf(const std::string &word);

// What a process does that was started as Child(NAME, words).
int runChild(const std::string &what, const std::vector<std::string> &words);

double secondsSince(double begin);  // 0: the time now

void testArithmetic(uint64_t seed);
void testThreads(uint64_t seed);
void testProcesses(uint64_t seed);
void testFailures(uint64_t seed);

#endif
