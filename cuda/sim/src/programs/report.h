// Reads the machine's report and judges a program by it.
#ifndef GPUTRAIN_SIM_PROGRAMS_REPORT_H
#define GPUTRAIN_SIM_PROGRAMS_REPORT_H

#include <string>
#include <vector>

#include "programs/registry.h"

namespace programs {

struct Finding {
  std::string check, call, message;
  std::string text() const { return check + ": " + (call.empty() ? "" : call + ": ") + message; }
};

// All findings of a report, leaks among them. Throws Failed for text that is not a report.
std::vector<Finding> findingsOf(const std::string &json);

struct Verdict {
  bool pass = false;
  std::string text;    // what was found, or what is wrong with that
  std::string report;  // JSON
};

// Runs a program on a fresh machine and judges it.
Verdict judge(const Program &program, const std::string &configuration);

}  // namespace programs

#endif
