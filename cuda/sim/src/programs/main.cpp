// Programs against the simulated machine.
//
//   programs list                        "right NAME" and "wrong NAME CHECK", one a line
//   programs run NAME [CONFIGURATION]    runs one, prints the report as JSON; 0: as expected
//   programs run all-right [seeds=A..B]  every right program under every seed of the schedule
//   programs run all-wrong [seeds=A..B]  every wrong one
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "programs/machine.h"
#include "programs/registry.h"
#include "programs/report.h"

namespace programs {

const std::vector<Program> &all() {
  static const std::vector<Program> programs = [] {
    std::vector<Program> list;
    for (const auto &part : {rightStreams(), rightKernels(), rightGraphs(), rightLibraries(), rightTraining(),
                             rightGroups(), wrongMemory(), wrongOrder(), wrongContexts(), wrongKernels(),
                             wrongLibraries(), wrongCaptures(), wrongGroups()}) {
      list.insert(list.end(), part.begin(), part.end());
    }
    return list;
  }();
  return programs;
}

namespace {

int list() {
  for (const Program &program : all()) {
    if (program.right()) {
      std::printf("right %s\n", program.name);
    } else {
      std::printf("wrong %s %s\n", program.name, program.check);
    }
  }
  return 0;
}

int runOne(const std::string &name, const std::string &configuration) {
  for (const Program &program : all()) {
    if (name != program.name) continue;
    const Verdict verdict = judge(program, configuration);
    std::fprintf(stderr, "%s %s: %s\n", verdict.pass ? "PASS" : "FAIL", program.name, verdict.text.c_str());
    std::printf("%s\n", verdict.report.c_str());
    return verdict.pass ? 0 : 1;
  }
  std::fprintf(stderr, "no program %s\n", name.c_str());
  return 2;
}

// "seeds=1..50": false where it is something else.
bool parseSeeds(const std::string &text, long &first, long &last) {
  return std::sscanf(text.c_str(), "seeds=%ld..%ld", &first, &last) == 2 && first > 0 && first <= last;
}

int runAll(bool right, long first, long last) {
  int failures = 0;
  for (const Program &program : all()) {
    if (program.right() != right) continue;
    for (long seed = first; seed <= last; seed++) {
      const auto start = std::chrono::steady_clock::now();
      const Verdict verdict = judge(program, "seed=" + std::to_string(seed));
      const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - start;
      std::printf("%s %s seed=%ld %.1f ms %s\n", verdict.pass ? "PASS" : "FAIL", program.name, seed, taken.count(),
                  verdict.text.c_str());
      std::fflush(stdout);
      failures += !verdict.pass;
    }
  }
  return failures > 0 ? 1 : 0;
}

int usage() {
  std::fprintf(stderr, "programs list | run NAME [CONFIGURATION] | run all-right|all-wrong [seeds=A..B]\n");
  return 2;
}

int start(int count, char **words) {
  const std::string command = count > 1 ? words[1] : "", name = count > 2 ? words[2] : "";
  const std::string more = count > 3 ? words[3] : "";
  if (command == "list" && count == 2) return list();
  if (command != "run" || name.empty() || count > 4) return usage();
  if (name != "all-right" && name != "all-wrong") return runOne(name, more);
  long first = 1, last = 5;
  if (!more.empty() && !parseSeeds(more, first, last)) return usage();
  return runAll(name == "all-right", first, last);
}

}  // namespace
}  // namespace programs

int main(int count, char **words) {
  try {
    return programs::start(count, words);
  } catch (const programs::Failed &failed) {
    std::fprintf(stderr, "%s\n", failed.what());
    return 2;
  }
}
