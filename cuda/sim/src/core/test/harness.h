// What the core's tests share: checks that count failures, and a machine with a context and work made of plain words.
#ifndef GPUTRAIN_SIM_CORE_TEST_HARNESS_H
#define GPUTRAIN_SIM_CORE_TEST_HARNESS_H

#include <cstdint>
#include <string>
#include <vector>

#include "core/core.h"

// Counts a check; prints its place and text when it fails. Returns `pass`.
bool expect(bool pass, const char *file, int line, const std::string &text);
#define CHECK(condition) expect(static_cast<bool>(condition), __FILE__, __LINE__, #condition)
#define CHECK_TEXT(condition, text) expect(static_cast<bool>(condition), __FILE__, __LINE__, text)

uint64_t baseSeed();
uint64_t nextRandom(uint64_t &state);

// A machine of its own with device 0's primary context current. What it was told to be stands in every failed check.
class Fresh {
 public:
  explicit Fresh(const std::string &configuration = "");
  ~Fresh();
  Fresh(const Fresh &) = delete;
  Fresh &operator=(const Fresh &) = delete;
  sim::Context *context = nullptr;
};

// One test with each schedule and some seeds.
void withSchedules(void (*test)());

// How many findings of a check there are, in all; -1: of any check.
int findings(const char *check);
int findings();
// Whether a finding of the check tells `text` in its message or call.
bool told(const char *check, const std::string &text);
bool leaked(const char *kind);
uint64_t counted(const std::string &counter);

sim::Stream *stream(Fresh &fresh, unsigned flags = CU_STREAM_NON_BLOCKING);
sim::Event *event(Fresh &fresh);
uint64_t buffer(Fresh &fresh, uint64_t bytes);
uint8_t *pinned(Fresh &fresh, uint64_t bytes);

// Calls, each with the name that an API would have.
CUresult fill(sim::Stream &stream, uint64_t address, uint64_t bytes, uint8_t value);
CUresult touch(sim::Stream &stream, const std::string &name, const std::vector<sim::Access> &accesses);
CUresult upload(sim::Stream &stream, uint64_t to, const void *from, uint64_t bytes);
CUresult download(sim::Stream &stream, void *to, uint64_t from, uint64_t bytes);
CUresult copy(sim::Stream &stream, uint64_t to, uint64_t from, uint64_t bytes);
CUresult callRecord(sim::Event &event, sim::Stream &stream);
CUresult callWait(sim::Stream &stream, sim::Event &event);
CUresult callSynchronize(sim::Stream &stream);
CUresult callSynchronize(sim::Event &event);
CUresult callSynchronize(Fresh &fresh);
CUresult callRelease(uint64_t address);

void testHistory();
void testMemory();
void testOrder();
void testRandomOrder();
void testPinned();
void testCapture();
void testContexts();
void testHandles();
void testFaults();
void testReport();
void testTraffic();
void testSpeed();

#endif
