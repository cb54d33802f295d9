// Texts changed at random must give an error or a module, and a module's kernels must run to an end, whatever it is:
// never a crash. Built with the sanitizers this finds what reads or writes out of place.
#include <chrono>
#include <cstdlib>

#include "harness.h"

namespace {

std::vector<std::string> words(const std::string &text) {
  std::vector<std::string> all;
  std::string word;
  for (char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '%' || c == '$') {
      word += c;
      continue;
    }
    if (!word.empty()) all.push_back(word);
    word.clear();
    all.push_back(std::string(1, c));
  }
  if (!word.empty()) all.push_back(word);
  return all;
}

std::string mutate(const std::string &text, const std::vector<std::string> &pool, uint64_t &random) {
  std::vector<std::string> w = words(text);
  const uint64_t changes = nextRandom(random) % 2 == 0 ? 1 : 1 + nextRandom(random) % 4;
  for (uint64_t k = 0; k < changes && !w.empty(); k++) {
    const size_t at = nextRandom(random) % w.size(), other = nextRandom(random) % w.size();
    switch (nextRandom(random) % 8) {
      case 0: w.erase(w.begin() + static_cast<std::ptrdiff_t>(at)); break;
      case 1: w[at] = w[other]; break;
      case 2: w.insert(w.begin() + static_cast<std::ptrdiff_t>(at), w[other]); break;
      case 3: w[at] = pool[nextRandom(random) % pool.size()]; break;
      case 4: w[at] = std::to_string(nextRandom(random) >> (nextRandom(random) % 64)); break;
      case 5: std::swap(w[at], w[other]); break;
      case 6: {
        std::string &v = w[at];
        v[nextRandom(random) % v.size()] = static_cast<char>(nextRandom(random) % 256);
        break;
      }
      default: {
        // A piece of the text again, somewhere else.
        const size_t n = std::min<size_t>(1 + nextRandom(random) % 30, w.size() - at);
        const std::vector<std::string> piece(w.begin() + static_cast<std::ptrdiff_t>(at), w.begin() + static_cast<std::ptrdiff_t>(at + n));
        w.insert(w.begin() + static_cast<std::ptrdiff_t>(other), piece.begin(), piece.end());
        break;
      }
    }
  }
  std::string out;
  for (const std::string &v : w) out += v;
  return out;
}

// Cuts a module to its head and one function, so that a change meets a kernel that then runs.
std::vector<std::string> pieces(const std::string &text) {
  std::vector<std::string> all;
  const size_t first = text.find(".visible .entry");
  const std::string head = text.substr(0, first);
  for (size_t at = first; at != std::string::npos;) {
    const size_t next = text.find(".visible .entry", at + 1);
    const size_t section = text.find(".section", at + 1);
    all.push_back(head + text.substr(at, std::min(next, section) - at));
    at = next;
  }
  return all;
}

}  // namespace

void testFuzz() {
  const char *given = std::getenv("PTX_FUZZ_SECONDS");
  const double seconds = given != nullptr ? std::atof(given) : 2;
  std::vector<std::string> corpus;
  for (const char *name : {"features.ptx", "train.ptx", "matrix.ptx"})
    for (const std::string &piece : pieces(readText(name))) corpus.push_back(piece);
  corpus.push_back(kernelText(".reg .pred %p<4>; .reg .b32 %r<8>; .reg .b64 %d<4>; .shared .b8 s[64];\nmov.u32 %r1, s; setp.lt.u32 %p1, %r1, 3; @%p1 bra A; bar.sync 0; bar.red.popc.u32 %r2, 1, 32, %p1;\n"
                              "shfl.sync.up.b32 %r2|%p2, %r1, 1, 0, -1; redux.sync.add.u32 %r3, %r1, -1; A: t: .branchtargets A, B; brx.idx %r1, t; B: exit;", 2));
  const std::vector<std::string> pool = {"u8", "s8", "u16", "u32", "s32", "u64", "b64", "f16", "f16x2", "bf16x2", "f32", "f64", "pred", "v2", "v4", "shared", "local", "param", "global", "const",
      "sync", "wide", "hi", "sat", "ftz", "rz", "rpi", "volatile", "0x7fffffffffffffff", "-1", "0f7FC00000", "{", "}", "[", "]", "(", ")", ";", ",", "@", "!", "|", ".", "_", "%tid", "%clock", "ret", "exit",
      "bra", "call", "bar", "atom", "ld", "st", "cvt", "mov", "setp", "shfl", "vote", "match", "brx", "prmt", "lop3", "bfe", "fma", "mma", "ldmatrix", "cp", "async", "m8n8", "x2", "trans", "wait_group", "aligned", "align", "reg", "entry", "func", "branchtargets", "extern", "<", ">", "999999999"};
  uint64_t random = baseSeed() * 977 + 5;
  const auto start = std::chrono::steady_clock::now();
  auto elapsed = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };
  long tried = 0, parsed = 0, ran = 0;
  while (elapsed() < seconds) {
    std::string text = mutate(corpus[nextRandom(random) % corpus.size()], pool, random);
    tried++;
    std::string error;
    auto module = ptx::Module::parse(text, error);
    if (!CHECK((module == nullptr) == !error.empty(), "error without words, or words without error")) return;
    if (module == nullptr) continue;
    parsed++;
    TestMemory memory;
    for (size_t i = 0; i < module->symbols().size(); i++) {
      const std::vector<uint8_t> image = module->image(i);
      if (image.size() > (1 << 20)) continue;
      module->place(i, memory.allocate(image.size()));
      memory.write(module->address(i), image.data(), image.size());
    }
    const uint64_t buffer = memory.allocate(4096);
    std::vector<uint8_t> bytes(2048);
    for (uint8_t &b : bytes) b = static_cast<uint8_t>(nextRandom(random) % 3);
    memory.write(buffer, bytes.data(), bytes.size());
    ptx::Interpreter interpreter;
    for (const ptx::Kernel &kernel : module->kernels()) {
      ptx::Launch launch;
      launch.kernel = &kernel;
      launch.grid = {2};
      launch.block = {static_cast<uint32_t>(1 + nextRandom(random) % 70)};
      launch.dynamicShared = 256;
      launch.limits.instructions = 3000;
      launch.seed = nextRandom(random);
      launch.params.resize(kernel.paramBytes);
      for (const ptx::Parameter &parameter : kernel.params)
        for (uint32_t k = 0; k + 8 <= parameter.size; k += 8) std::memcpy(&launch.params[parameter.offset + k], &buffer, 8);
      for (const ptx::Parameter &parameter : kernel.params)
        if (parameter.size == 4) launch.params[parameter.offset] = static_cast<uint8_t>(nextRandom(random) % 64);
      const ptx::LaunchResult result = interpreter.launch(*module, launch, memory);
      CHECK(result.status == ptx::Status::Ok || !result.findings.empty(), "a failed launch without a finding");
      ran++;
    }
  }
  CHECK(parsed > 0 && ran > 0 && parsed < tried, "the changes are too many or too few");
  std::printf("     %ld texts, %ld modules, %ld launches\n", tried, parsed, ran);
}
