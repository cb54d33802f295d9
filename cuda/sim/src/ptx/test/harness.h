// What the tests of the PTX interpreter share: memory with a shadow, launches, and checks that count failures.
#ifndef GPUTRAIN_SIM_PTX_TEST_HARNESS_H
#define GPUTRAIN_SIM_PTX_TEST_HARNESS_H

#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ptx.h"

// Device memory for tests: allocations far from each other, with every byte's state.
class TestMemory : public ptx::Memory {
 public:
  struct Allocation {
    std::vector<uint8_t> data, shadow;
    bool freed = false, writable = true;
  };
  uint64_t allocate(size_t bytes, bool writable = true);
  void release(uint64_t address);
  void write(uint64_t address, const void *from, size_t bytes);
  void read(uint64_t address, void *to, size_t bytes);
  ptx::Fault resolve(uint64_t address, ptx::Region &region) override;
  std::string describe(uint64_t address) override;

  template <class T>
  uint64_t upload(const std::vector<T> &values) {
    const uint64_t address = allocate(values.size() * sizeof(T));
    write(address, values.data(), values.size() * sizeof(T));
    return address;
  }
  template <class T>
  std::vector<T> download(uint64_t address, size_t count) {
    std::vector<T> values(count);
    read(address, values.data(), count * sizeof(T));
    return values;
  }

 private:
  std::map<uint64_t, Allocation> allocations_;
  uint64_t next_ = 0x7f0000000000ull;
};

// The parameter block of a kernel, one value after another.
class Params {
 public:
  template <class T>
  Params &add(T value) {
    while (bytes_.size() % alignof(T)) bytes_.push_back(0);
    const uint8_t *at = reinterpret_cast<const uint8_t *>(&value);
    bytes_.insert(bytes_.end(), at, at + sizeof value);
    return *this;
  }
  const std::vector<uint8_t> &bytes() const { return bytes_; }

 private:
  std::vector<uint8_t> bytes_;
};

// A module with its variables placed, and an interpreter.
class Machine {
 public:
  explicit Machine(const std::string &text);  // failing to parse is a test failure; ok() is false then
  bool ok() const { return module_ != nullptr; }
  const ptx::Module &module() const { return *module_; }
  ptx::LaunchResult launch(const std::string &kernel, ptx::Dim3 grid, ptx::Dim3 block, const Params &params,
                           uint32_t dynamicShared = 0, std::function<void(ptx::Launch &)> adjust = nullptr);
  TestMemory memory;

 private:
  std::unique_ptr<ptx::Module> module_;
  ptx::Interpreter interpreter_;
};

// Counts a check; prints its place and text when it fails. Returns `pass`.
bool check(bool pass, const char *file, int line, const std::string &text);
#define CHECK(condition, text) check(static_cast<bool>(condition), __FILE__, __LINE__, text)
// A launch that has to be without any finding.
bool checkClean(const ptx::LaunchResult &result, const char *file, int line);
#define CLEAN(result) checkClean(result, __FILE__, __LINE__)

std::string readText(const std::string &name);  // from the folder of test kernels
uint64_t baseSeed();
uint64_t nextRandom(uint64_t &state);

// PTX around a body: header, and an entry k with `count` 64-bit parameters p0, p1, ...
std::string kernelText(const std::string &body, int parameters, const std::string &before = "");

void testInstructions();
void testKernels();
void testMatrix();
void testWrongKernels();
void testText();
void testFuzz();
void testSpeed();

#endif
