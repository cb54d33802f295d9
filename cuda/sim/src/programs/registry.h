// The list of programs. A right one must run without any finding or leak and get its numbers right; a wrong one must be
// caught with its check, by a report that says the given words (the call, the buffer).
#ifndef GPUTRAIN_SIM_PROGRAMS_REGISTRY_H
#define GPUTRAIN_SIM_PROGRAMS_REGISTRY_H

#include <string>
#include <vector>

namespace programs {

struct Program {
  const char *name;
  void (*run)();
  const char *check = "";               // empty: a right program
  std::vector<const char *> says = {};  // words of the report, all of them in one finding
  const char *configuration = "";       // of the machine, beyond the seed

  bool right() const { return *check == 0; }
};

std::vector<Program> rightStreams();
std::vector<Program> rightKernels();
std::vector<Program> rightGraphs();
std::vector<Program> rightLibraries();
std::vector<Program> rightTraining();
std::vector<Program> rightGroups();
std::vector<Program> wrongMemory();
std::vector<Program> wrongOrder();
std::vector<Program> wrongContexts();
std::vector<Program> wrongKernels();
std::vector<Program> wrongLibraries();
std::vector<Program> wrongCaptures();
std::vector<Program> wrongGroups();

const std::vector<Program> &all();

}  // namespace programs

#endif
