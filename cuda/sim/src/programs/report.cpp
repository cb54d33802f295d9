#include "programs/report.h"

#include <cctype>
#include <map>

#include "programs/machine.h"

// The simulated machine's control; see the end of core/core.h.
extern "C" {
int simReset(const char *configuration);
const char *simError(void);
const char *simReport(int final);
}

namespace programs {

namespace {

// A reader of the JSON that reports are made of: objects, arrays, strings and numbers. Arrays of objects are handed to
// `entry`, with the name of the array.
class Reader {
 public:
  using Object = std::map<std::string, std::string>;

  explicit Reader(const std::string &text) : text_(text) {}

  template <class Entry>
  void report(Entry entry) {
    each('{', '}', [&] {
      const std::string name = key();
      if (peek() == '[') {
        each('[', ']', [&] { entry(name, object()); });
      } else {
        object();
      }
    });
  }

 private:
  char peek() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) at_++;
    return at_ < text_.size() ? text_[at_] : 0;
  }
  void take(char wanted) {
    if (peek() != wanted) throw Failed(std::string("the report lacks ") + wanted + " at byte " + std::to_string(at_));
    at_++;
  }
  template <class Body>
  void each(char open, char close, Body body) {
    take(open);
    while (peek() != close) {
      body();
      if (peek() == ',') at_++;
    }
    take(close);
  }
  std::string string() {
    std::string value;
    take('"');
    while (at_ < text_.size() && text_[at_] != '"') {
      if (text_[at_] == '\\') at_++;
      value += text_[at_++];
    }
    take('"');
    return value;
  }
  std::string key() {
    const std::string name = string();
    take(':');
    return name;
  }
  std::string scalar() {
    if (peek() == '"') return string();
    std::string value;
    while (std::isalnum(static_cast<unsigned char>(peek())) || peek() == '-' || peek() == '.') value += text_[at_++];
    if (value.empty()) throw Failed("the report has no value at byte " + std::to_string(at_));
    return value;
  }
  Object object() {
    Object fields;
    each('{', '}', [&] {
      const std::string name = key();
      fields[name] = scalar();
    });
    return fields;
  }

  const std::string &text_;
  size_t at_ = 0;
};

bool saysAll(const Finding &finding, const std::vector<const char *> &words) {
  for (const char *word : words) {
    if (finding.text().find(word) == std::string::npos) return false;
  }
  return true;
}

std::string listed(const std::vector<Finding> &findings) {
  std::string text;
  for (const Finding &finding : findings) text += (text.empty() ? "" : " | ") + finding.text();
  return text;
}

Verdict judgeWrong(const Program &program, const std::vector<Finding> &findings, const std::string &complaint) {
  Verdict verdict;
  std::string others;
  for (const Finding &finding : findings) {
    if (finding.check == program.check && !finding.message.empty() && saysAll(finding, program.says)) {
      verdict.pass = true;
      verdict.text = finding.text();
      return verdict;
    }
  }
  std::string words;
  for (const char *word : program.says) words += std::string(" \"") + word + "\"";
  verdict.text = std::string("not caught: ") + program.check + ", saying" + words + "; found: " + listed(findings);
  if (!complaint.empty()) verdict.text += "; " + complaint;
  return verdict;
}

Verdict judgeRight(const std::vector<Finding> &findings, const std::string &complaint) {
  Verdict verdict;
  verdict.pass = findings.empty() && complaint.empty();
  verdict.text = complaint;
  if (!findings.empty()) verdict.text += (complaint.empty() ? "found: " : "; found: ") + listed(findings);
  return verdict;
}

}  // namespace

std::vector<Finding> findingsOf(const std::string &json) {
  std::vector<Finding> findings;
  Reader(json).report([&](const std::string &array, Reader::Object fields) {
    if (array == "findings") findings.push_back({fields["check"], fields["call"], fields["message"]});
    if (array == "leaks") findings.push_back({"leak", "", fields["kind"] + ": " + fields["message"]});
  });
  return findings;
}

Verdict judge(const Program &program, const std::string &configuration) {
  std::string whole = configuration;
  if (*program.configuration) whole += (whole.empty() ? "" : ",") + std::string(program.configuration);
  if (simReset(whole.c_str()) != 0) throw Failed(std::string("configuration: ") + simError());
  std::string complaint;
  try {
    program.run();
  } catch (const Failed &failed) {
    complaint = failed.what();
  }
  const std::string report = simReport(1);
  const std::vector<Finding> findings = findingsOf(report);
  Verdict verdict = program.right() ? judgeRight(findings, complaint) : judgeWrong(program, findings, complaint);
  verdict.report = report;
  return verdict;
}

}  // namespace programs
