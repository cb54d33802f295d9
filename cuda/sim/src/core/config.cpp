// The configuration, and the C functions by which tests reach the machine.
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/state.h"

namespace sim {

namespace {

std::string trimmed(const std::string &text) {
  const char *blanks = " \t\r";
  const size_t begin = text.find_first_not_of(blanks);
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(blanks) - begin + 1);
}

std::vector<std::string> split(const std::string &text, const char *separators) {
  std::vector<std::string> parts;
  size_t begin = 0;
  while (begin <= text.size()) {
    const size_t end = std::min(text.find_first_of(separators, begin), text.size());
    const std::string part = trimmed(text.substr(begin, end - begin));
    if (!part.empty()) parts.push_back(part);
    begin = end + 1;
  }
  return parts;
}

bool number(const std::string &text, uint64_t &value) {
  if (text.empty() || text[0] < '0' || text[0] > '9') return false;
  char *end = nullptr;
  errno = 0;
  value = std::strtoull(text.c_str(), &end, 0);
  return errno == 0 && *end == 0;
}

// A number of bytes: 64K, 512M, 2G.
bool size(const std::string &text, uint64_t &bytes) {
  if (text.empty()) return false;
  unsigned shift = 0;
  switch (text.back()) {
    case 'K': case 'k': shift = 10; break;
    case 'M': case 'm': shift = 20; break;
    case 'G': case 'g': shift = 30; break;
    default: return number(text, bytes);
  }
  if (!number(text.substr(0, text.size() - 1), bytes) || bytes > (UINT64_MAX >> shift)) return false;
  bytes <<= shift;
  return true;
}

// What differs between compute capabilities and a program may ask for.
struct Model {
  int major, minor;
  const char *name;
  int multiprocessors, sharedPerBlockOptin;
};
constexpr Model kModels[] = {
    {7, 0, "NVIDIA V100", 80, 98304},       {7, 5, "NVIDIA T4", 40, 65536},
    {8, 0, "NVIDIA A100", 108, 166912},     {8, 6, "NVIDIA RTX A4000", 48, 101376},
    {8, 9, "NVIDIA L4", 58, 101376},        {9, 0, "NVIDIA H100", 132, 232448},
    {10, 0, "NVIDIA B200", 148, 232448},    {12, 0, "NVIDIA RTX 5090", 170, 101376},
};

bool capability(const std::string &text, DeviceProperties &properties) {
  int major = 0, minor = 0, used = 0;
  if (std::sscanf(text.c_str(), "%d.%d%n", &major, &minor, &used) != 2 || size_t(used) != text.size()) return false;
  for (const Model &model : kModels) {
    if (model.major != major || model.minor != minor) continue;
    properties.name = std::string(model.name) + " (simulated)";
    properties.major = major;
    properties.minor = minor;
    properties.multiprocessors = model.multiprocessors;
    properties.sharedPerBlockOptin = model.sharedPerBlockOptin;
    return true;
  }
  return false;
}

bool fault(const std::string &text, Fault &fault) {
  const size_t at = text.find('@'), equals = text.find('=', at == std::string::npos ? 0 : at);
  if (at == std::string::npos || at == 0 || equals == std::string::npos) return false;
  fault.call = text.substr(0, at);
  uint64_t status = 0;
  if (!number(text.substr(at + 1, equals - at - 1), fault.at) || fault.at == 0) return false;
  if (!number(text.substr(equals + 1), status) || status == 0 || status > INT32_MAX) return false;
  fault.status = int(status);
  return true;
}

// "N:STATUS"
bool asynchronous(const std::string &text, Configuration &to) {
  const size_t colon = text.find(':');
  uint64_t status = 0;
  if (colon == std::string::npos || !number(text.substr(0, colon), to.async) || to.async == 0) return false;
  if (!number(text.substr(colon + 1), status) || status == 0 || status > INT32_MAX) return false;
  to.asyncStatus = int(status);
  return true;
}

bool seconds(const std::string &text, double &value) {
  char *end = nullptr;
  value = std::strtod(text.c_str(), &end);
  return !text.empty() && *end == 0 && value > 0 && value < 1e6;
}

bool schedule(const std::string &text, Schedule &schedule) {
  if (text == "late") schedule = Schedule::Late;
  else if (text == "eager") schedule = Schedule::Eager;
  else if (text == "random") schedule = Schedule::Random;
  else return false;
  return true;
}

// "NAME" or "NAME:VALUE"
void allow(const std::string &text, Configuration &to) {
  const size_t colon = text.find(':');
  to.options[text.substr(0, colon)] = colon == std::string::npos ? "1" : text.substr(colon + 1);
}

bool set(const std::string &key, const std::string &value, Configuration &to) {
  uint64_t n = 0;
  if (key == "seed") return number(value, to.seed);
  if (key == "schedule") return schedule(value, to.schedule);
  if (key == "memory") return size(value, to.properties.memory) && to.properties.memory > 0;
  if (key == "cc") return capability(value, to.properties);
  if (key == "oom") return number(value, to.oom);
  if (key == "timeout") return number(value, to.timeout);
  if (key == "lost") return number(value, to.lost);
  if (key == "async") return asynchronous(value, to);
  if (key == "patience") return seconds(value, to.patience);
  if (key == "traffic") {
    if (!number(value, n) || n > 1) return false;
    return to.traffic = n == 1, true;
  }
  if (key == "fault") {
    to.faults.emplace_back();
    return fault(value, to.faults.back());
  }
  if (key == "report") return to.report = value, !value.empty();
  if (key == "allow") return allow(value, to), !value.empty();
  if (key == "name") return to.properties.name = value + " (simulated)", !value.empty();
  if (key == "devices") {
    if (!number(value, n) || n > 64) return false;
    return to.devices = int(n), true;
  }
  if (key == "sms") {
    if (!number(value, n) || n == 0 || n > 1024) return false;
    return to.properties.multiprocessors = int(n), true;
  }
  if (key == "driver" || key == "cudnn" || key == "cublas" || key == "nccl") {
    return to.options[key] = value, number(value, n);
  }
  return false;
}

std::string &lastError() {
  static std::string error;
  return error;
}

Configuration ofEnvironment() {
  Configuration configuration;
  configuration.properties.name = "NVIDIA A100 (simulated)";
  const char *text = std::getenv("GPUTRAIN_SIM");
  if (text != nullptr && !configure(text, configuration, lastError())) {
    std::fprintf(stderr, "GPUTRAIN_SIM: %s\n", lastError().c_str());
  }
  return configuration;
}

std::vector<void (*)()> &resetHooks() {
  static auto *hooks = new std::vector<void (*)()>;
  return *hooks;
}

Machine *&theMachine() {
  static Machine *machine = nullptr;
  return machine;
}

}  // namespace

bool configure(const std::string &text, Configuration &configuration, std::string &error) {
  Configuration read = configuration;
  for (const std::string &pair : split(text, ",\n")) {
    const size_t equals = pair.find('=');
    const std::string key = trimmed(pair.substr(0, equals));
    const std::string value = equals == std::string::npos ? "" : trimmed(pair.substr(equals + 1));
    if (!set(key, value, read)) {
      error = "can't read \"" + pair + "\"";
      return false;
    }
  }
  configuration = read;
  error.clear();
  return true;
}

std::recursive_mutex &machineLock() {
  static auto *lock = new std::recursive_mutex;  // outlives every other static object
  return *lock;
}

Machine &machine() {
  if (theMachine() == nullptr) theMachine() = new Machine(ofEnvironment());
  return *theMachine();
}

Machine::Machine(Configuration from) : configuration(std::move(from)) {
  static uint64_t epochs = 0;
  epoch = ++epochs;
  random = configuration.seed;
  devices.resize(size_t(configuration.devices));
  for (Device &device : devices) device.properties = configuration.properties;
}

int deviceCount() { return machine().configuration.devices; }

const DeviceProperties &properties(int device) { return machine().devices.at(size_t(device)).properties; }

std::string option(const char *name, const char *otherwise) {
  const auto &options = machine().configuration.options;
  auto at = options.find(name);
  return at == options.end() ? otherwise : at->second;
}

int driverVersion() { return int(std::strtol(option("driver", "12040").c_str(), nullptr, 10)); }

void onReset(void (*hook)()) { resetHooks().push_back(hook); }

uint64_t seed() { return machine().configuration.seed; }

double patience() { return machine().configuration.patience; }

}  // namespace sim

extern "C" {

int simReset(const char *text) {
  std::unique_lock<std::recursive_mutex> guard(sim::machineLock());
  sim::Configuration configuration = sim::ofEnvironment();
  if (!sim::configure(text == nullptr ? "" : text, configuration, sim::lastError())) return -1;
  while (sim::machine().sleepers > 0) {  // in calls on other threads
    sim::machine().ending = true;
    guard.unlock();
    usleep(100);
    guard.lock();
  }
  // What the old machine holds of other libraries may still call back while it goes; it then finds a new machine.
  sim::Machine *old = sim::theMachine();
  sim::theMachine() = new sim::Machine(configuration);
  for (void (*hook)() : sim::resetHooks()) hook();
  delete old;
  return 0;
}

const char *simError(void) { return sim::lastError().c_str(); }

int simSet(const char *text) {
  std::lock_guard<std::recursive_mutex> guard(sim::machineLock());
  sim::Configuration read;
  if (!sim::configure(text == nullptr ? "" : text, read, sim::lastError())) return -1;
  for (const std::string &pair : sim::split(text == nullptr ? "" : text, ",\n")) {
    const std::string key = sim::trimmed(pair.substr(0, pair.find('=')));
    if (key == "fault" || key == "oom" || key == "timeout" || key == "lost" || key == "async") continue;
    sim::lastError() = "\"" + key + "\" can't be changed while the machine runs";
    return -1;
  }
  sim::Machine &m = sim::machine();
  for (sim::Fault &fault : read.faults) {
    fault.at += m.counters["call." + fault.call];
    m.configuration.faults.push_back(fault);
  }
  if (read.oom != 0) m.configuration.oom = read.oom + m.allocations;
  if (read.timeout != 0) m.configuration.timeout = read.timeout + m.kernels;
  if (read.lost != 0) m.configuration.lost = read.lost + m.works;
  if (read.async != 0) {
    m.configuration.async = read.async + m.collectives;
    m.configuration.asyncStatus = read.asyncStatus;
  }
  return 0;
}

}  // extern "C"
