// Runs the tests of the PTX interpreter: test_ptx FOLDER [seed] [name...], where FOLDER holds the kernels. Ends with 1 if
// any check failed.
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>

#include "harness.h"

namespace {
std::string folder;
uint64_t seed = 1;
long checks = 0, failures = 0;
}  // namespace

uint64_t TestMemory::allocate(size_t bytes, bool writable) {
  const uint64_t address = next_;
  next_ += (bytes + 0xffff) / 0x10000 * 0x10000 + 0x10000;
  Allocation &a = allocations_[address];
  a.data.assign(bytes, 0xa5);
  a.shadow.assign(bytes, 0);
  a.writable = writable;
  return address;
}
void TestMemory::release(uint64_t address) { allocations_.at(address).freed = true; }
void TestMemory::write(uint64_t address, const void *from, size_t bytes) {
  if (bytes == 0) return;
  auto at = std::prev(allocations_.upper_bound(address));
  std::memcpy(at->second.data.data() + (address - at->first), from, bytes);
  std::memset(at->second.shadow.data() + (address - at->first), 1, bytes);
}
void TestMemory::read(uint64_t address, void *to, size_t bytes) {
  if (bytes == 0) return;
  auto at = std::prev(allocations_.upper_bound(address));
  std::memcpy(to, at->second.data.data() + (address - at->first), bytes);
}
ptx::Fault TestMemory::resolve(uint64_t address, ptx::Region &region) {
  auto at = allocations_.upper_bound(address);
  if (at == allocations_.begin()) return ptx::Fault::OutOfBounds;
  --at;
  Allocation &a = at->second;
  if (address - at->first >= a.data.size()) return ptx::Fault::OutOfBounds;
  if (a.freed) return ptx::Fault::UseAfterFree;
  region.begin = at->first;
  region.end = at->first + a.data.size();
  region.data = a.data.data();
  region.shadow = a.shadow.data();
  region.writable = a.writable;
  return ptx::Fault::None;
}
std::string TestMemory::describe(uint64_t address) {
  auto at = allocations_.upper_bound(address);
  if (at == allocations_.begin()) return "no allocation";
  --at;
  const uint64_t offset = address - at->first;
  return "byte " + std::to_string(offset) + " of a buffer of " + std::to_string(at->second.data.size());
}

Machine::Machine(const std::string &text) {
  std::string error;
  module_ = ptx::Module::parse(text, error);
  CHECK(module_ != nullptr, "parse: " + error);
  if (!module_) return;
  for (size_t i = 0; i < module_->symbols().size(); i++)
    module_->place(i, memory.allocate(module_->symbols()[i].size, module_->symbols()[i].space != ptx::Space::Const));
  for (size_t i = 0; i < module_->symbols().size(); i++) {
    const std::vector<uint8_t> image = module_->image(i);
    memory.write(module_->address(i), image.data(), image.size());
  }
}
ptx::LaunchResult Machine::launch(const std::string &kernel, ptx::Dim3 grid, ptx::Dim3 block, const Params &params,
                                  uint32_t dynamicShared, std::function<void(ptx::Launch &)> adjust) {
  ptx::Launch launch;
  launch.kernel = module_ ? module_->kernel(kernel) : nullptr;
  if (!CHECK(launch.kernel != nullptr, "no kernel " + kernel)) return ptx::LaunchResult{};
  launch.grid = grid;
  launch.block = block;
  launch.dynamicShared = dynamicShared;
  launch.params = params.bytes();
  launch.seed = seed;
  if (adjust) adjust(launch);
  return interpreter_.launch(*module_, launch, memory);
}

bool check(bool pass, const char *file, int line, const std::string &text) {
  checks++;
  if (pass) return true;
  if (++failures <= 60) std::printf("FAIL %s:%d: %s\n", file, line, text.c_str());
  return false;
}
bool checkClean(const ptx::LaunchResult &result, const char *file, int line) {
  std::string text = "status " + std::to_string(static_cast<int>(result.status));
  for (const ptx::Finding &finding : result.findings) text += "\n     " + finding.message;
  return check(result.status == ptx::Status::Ok && result.findings.empty(), file, line, text);
}
std::string readText(const std::string &name) {
  std::ifstream file(folder + "/" + name);
  std::stringstream text;
  text << file.rdbuf();
  CHECK(file.good() && !text.str().empty(), "cannot read " + folder + "/" + name);
  return text.str();
}
uint64_t baseSeed() { return seed; }
uint64_t nextRandom(uint64_t &state) {
  uint64_t z = (state += 0x9e3779b97f4a7c15ull);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

std::string kernelText(const std::string &body, int parameters, const std::string &before) {
  std::string text = ".version 8.0\n.target sm_90\n.address_size 64\n" + before + ".visible .entry k(\n";
  for (int i = 0; i < parameters; i++)
    text += "  .param .u64 p" + std::to_string(i) + (i + 1 < parameters ? ",\n" : "\n");
  return text + ")\n{\n" + body + "\n}\n";
}

int main(int argc, char **argv) {
  if (argc < 2) {
    std::printf("usage: %s FOLDER [seed] [name...]\n", argv[0]);
    return 2;
  }
  folder = argv[1];
  if (argc > 2) seed = std::strtoull(argv[2], nullptr, 10);
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  const struct {
    const char *name;
    void (*run)();
  } tests[] = {{"instructions", testInstructions}, {"kernels", testKernels}, {"matrix", testMatrix}, {"wrong", testWrongKernels},
               {"text", testText}, {"fuzz", testFuzz}, {"speed", testSpeed}};
  for (const auto &test : tests) {
    bool wanted = argc <= 3;
    for (int i = 3; i < argc; i++) wanted |= std::string(argv[i]) == test.name;
    if (!wanted) continue;
    const long before = failures;
    const auto start = std::chrono::steady_clock::now();
    test.run();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::printf("%s %s (%.2fs)\n", failures == before ? "ok  " : "FAIL", test.name, seconds);
  }
  std::printf("%ld checks, %ld failures\n", checks, failures);
  return failures ? 1 : 0;
}
