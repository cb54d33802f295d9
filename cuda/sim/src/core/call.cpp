// API calls: the lock, names for reports, counters, findings and chance.
#include "core/state.h"

namespace sim {

namespace {

constexpr size_t kFindings = 1000;  // kept; further ones are counted

// What a call made inside of a host function comes back with, in the library's own numbers.
int notPermitted(Library library) {
  switch (library) {
    case Library::Driver: return CUDA_ERROR_NOT_PERMITTED;
    case Library::Dnn: return 5000;  // CUDNN_STATUS_EXECUTION_FAILED of cuDNN 9
    case Library::Blas: return 13;   // CUBLAS_STATUS_EXECUTION_FAILED
    case Library::Nccl: return 5;    // ncclInvalidUsage
  }
  return CUDA_ERROR_NOT_PERMITTED;
}

int faultOf(const char *name, uint64_t number) {
  for (const Fault &fault : machine().configuration.faults) {
    if (fault.at == number && fault.call == name) return fault.status;
  }
  return 0;
}

}  // namespace

Call::Call(Library library, const char *name) {
  machineLock().lock();
  Machine &m = machine();
  m.calls.push_back(name);
  if (m.inHostFunction) {
    report(check::hostFunction, std::string(name) + " was called by a host function that runs on a stream");
    fault_ = notPermitted(library);
    return;
  }
  if (m.calls.size() > 1) return;
  const uint64_t number = ++m.counters[std::string("call.") + name];
  stir();
  fault_ = faultOf(name, number);
}

Call::~Call() {
  Machine &m = machine();
  if (!m.calls.empty()) m.calls.pop_back();
  if (m.calls.empty()) writeReportWhenDue();
  machineLock().unlock();
}

std::string callName() {
  const Machine &m = machine();
  if (m.running != nullptr) return m.running->doer->title + " (queued on " + m.running->doer->where + ")";
  if (m.calls.empty()) return "";
  std::string name = m.calls.front();
  if (!m.detail.empty()) name += " " + m.detail;
  return name;
}

Detail::Detail(const std::string &detail) : before_(machine().detail) { machine().detail = detail; }
Detail::~Detail() { machine().detail = before_; }

void report(const char *check, const std::string &message) { reportFor(callName(), check, message); }

void reportFor(const std::string &call, const char *check, const std::string &message) {
  Machine &m = machine();
  if (m.silent) return;
  const std::string key = std::string(check) + '\n' + call + '\n' + message;
  auto known = m.findingIndex.find(key);
  if (known != m.findingIndex.end()) {
    m.findings[known->second].count++;
  } else if (m.findings.size() < kFindings) {
    m.reportUrgent = true;
    m.findingIndex.emplace(key, m.findings.size());
    m.findings.push_back({check, call, message, 1});
  } else {
    m.findingsDropped++;
  }
}

void count(const std::string &counter, uint64_t amount) { machine().counters[counter] += amount; }

uint64_t nextId(const char *kind) { return ++machine().ids[kind]; }

uint64_t threadNumber() {
  static uint64_t threads = 0;  // guarded by the machine's lock
  thread_local uint64_t number = 0;
  if (number == 0) number = ++threads;
  return number;
}

// SplitMix64.
uint64_t chance() {
  uint64_t z = machine().random += 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

bool oneIn(uint64_t n) { return chance() % n == 0; }

}  // namespace sim
