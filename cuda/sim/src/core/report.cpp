// The report as JSON: findings, leaks and counters.
#include <cstdio>
#include <string>

#include "core/state.h"

namespace sim {

namespace {

void addQuoted(std::string &to, const std::string &text) {
  to += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      to += '\\';
      to += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", unsigned(byte));
      to += escaped;
    } else {
      to += c;
    }
  }
  to += '"';
}

void addField(std::string &to, const char *name, const std::string &text) {
  addQuoted(to, name);
  to += ':';
  addQuoted(to, text);
}

void addFindings(std::string &to, const Machine &m) {
  to += "\"findings\":[";
  bool first = true;
  for (const Finding &finding : m.findings) {
    to += first ? "\n {" : ",\n {";
    first = false;
    addField(to, "check", finding.check);
    to += ',';
    addField(to, "call", finding.call);
    to += ',';
    addField(to, "message", finding.message);
    to += ",\"count\":" + std::to_string(finding.count) + "}";
  }
  to += "]";
}

void addLeaks(std::string &to, const std::vector<Leak> &leaks) {
  to += "\"leaks\":[";
  bool first = true;
  for (const Leak &leak : leaks) {
    to += first ? "\n {" : ",\n {";
    first = false;
    addField(to, "kind", leak.kind);
    to += ',';
    addField(to, "message", leak.message);
    to += "}";
  }
  to += "]";
}

void addCounters(std::string &to, const Machine &m) {
  to += "\"counters\":{";
  bool first = true;
  for (const auto &counter : m.counters) {
    to += first ? "\n " : ",\n ";
    first = false;
    addQuoted(to, counter.first);
    to += ":" + std::to_string(counter.second);
  }
  to += "}";
}

std::string write(bool final) {
  const Machine &m = machine();
  std::vector<Leak> leaks = m.leaks;
  if (final) addLeaks(nullptr, leaks);
  std::string text = "{";
  addFindings(text, m);
  text += ",\n";
  addLeaks(text, leaks);
  text += ",\n";
  addCounters(text, m);
  if (m.findingsDropped != 0) text += ",\n\"findingsDropped\":" + std::to_string(m.findingsDropped);
  return text + "}\n";
}

// Written beside its place and moved there, so that a reader never sees half of it.
void writeFile() {
  const std::string &path = machine().configuration.report;
  const std::string text = write(true), beside = path + ".new";
  FILE *file = std::fopen(beside.c_str(), "w");
  if (file == nullptr) return;
  const bool whole = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  if (std::fclose(file) == 0 && whole) std::rename(beside.c_str(), path.c_str());
}

bool failed(const Context *context) { return context != nullptr && context->error != CUDA_SUCCESS; }

// In the order in which they were made.
template <class Table>
void addLive(const Table &table, const char *kind, const Context *only, std::vector<Leak> &leaks) {
  std::map<uint64_t, Leak> found;
  for (const auto &entry : table) {
    const auto &object = *entry.second;
    if (!object.alive() || (only != nullptr && object.context != only) || failed(object.context)) continue;
    found[object.id] = {kind, object.name() + ", made by " + object.call};
  }
  for (auto &entry : found) leaks.push_back(std::move(entry.second));
}

void addLiveMemory(const Context *only, std::vector<Leak> &leaks) {
  for (const auto &entry : machine().memory) {
    const DeviceMemory &buffer = *entry.second;
    if (!buffer.freedBy.empty() || !buffer.module.empty() || (only != nullptr && buffer.context != only)) continue;
    if (!failed(buffer.context)) leaks.push_back({"device memory", bufferName(buffer)});
  }
  for (const auto &entry : machine().pinned) {
    const PinnedMemory &memory = *entry.second;
    if (!memory.freedBy.empty() || (only != nullptr && memory.context != only)) continue;
    if (!failed(memory.context)) leaks.push_back({"pinned memory", memory.name()});
  }
}

void addLiveStreams(const Context *only, std::vector<Leak> &leaks) {
  for (const auto &entry : machine().contexts) {
    const Context &context = *entry.second;
    if ((only != nullptr && &context != only) || failed(&context)) continue;
    for (const Stream *stream : context.streams) {
      if (stream->kind != Stream::Kind::Created) continue;
      leaks.push_back({"CUstream", stream->name() + ", made by " + stream->call});
    }
  }
}

// Objects of the libraries. With a context only its modules end; what else there is may still be destroyed.
void addLiveObjects(const Context *only, std::vector<Leak> &leaks) {
  std::map<std::pair<std::string, uint64_t>, Leak> found;
  for (const auto &entry : machine().registered) {
    const Registered &object = entry.second;
    if (!object.destroyedBy.empty() || failed(object.context)) continue;
    if (only != nullptr && (object.context != only || object.kind != "CUmodule")) continue;
    const std::string name = object.kind + " #" + std::to_string(object.id);
    found[{object.kind, object.id}] = {object.kind, name + ", made by " + object.call};
  }
  for (auto &entry : found) leaks.push_back(std::move(entry.second));
}

void addLiveContexts(std::vector<Leak> &leaks) {
  for (const auto &entry : machine().contexts) {
    const Context &context = *entry.second;
    if (!context.alive()) continue;
    std::string message = context.name() + ", made by " + context.call;
    if (context.isPrimary) message += ", not released (retained: " + std::to_string(context.retains) + ")";
    leaks.push_back({"CUcontext", message});
  }
}

}  // namespace

// What lives in one context, or everything. After a fatal error nothing of a context can be released any more, nor a
// graph, which is no context's: the call for it fails too.
void addLeaks(const Context *only, std::vector<Leak> &leaks) {
  const Machine &m = machine();
  addLiveMemory(only, leaks);
  addLiveStreams(only, leaks);
  addLive(m.events, "CUevent", only, leaks);
  addLive(m.execs, "CUgraphExec", only, leaks);
  addLiveObjects(only, leaks);
  if (only != nullptr) return;
  bool fatal = false;
  for (const auto &entry : m.contexts) fatal = fatal || failed(entry.second.get());
  if (!fatal) addLive(m.graphs, "CUgraph", only, leaks);
  addLiveContexts(leaks);
}

// A Go program ends without running exit handlers, so the file is kept current: at once after a finding or the end of
// a context, otherwise as often as takes a small part of the time, and soon after the last call.
void writeReportWhenDue() {
  Machine &m = machine();
  if (m.configuration.report.empty()) return;
  startBackground();
  const auto start = std::chrono::steady_clock::now();
  m.reportStale = true;
  if (!m.reportUrgent && start < m.nextReport) return;
  writeStaleReport();
  const auto end = std::chrono::steady_clock::now();
  m.nextReport = end + 20 * (end - start);
}

void writeStaleReport() {
  Machine &m = machine();
  if (!m.reportStale || m.configuration.report.empty()) return;
  m.reportStale = m.reportUrgent = false;
  writeFile();
}

}  // namespace sim

namespace {

// Where a call is still open on another thread, the report written after the last one stands.
__attribute__((destructor)) void writeLastReport() {
  std::unique_lock<std::recursive_mutex> guard(sim::machineLock(), std::try_to_lock);
  if (guard.owns_lock() && !sim::machine().configuration.report.empty()) sim::writeFile();
}

}  // namespace

extern "C" const char *simReport(int final) {
  static auto *text = new std::string;
  std::lock_guard<std::recursive_mutex> guard(sim::machineLock());
  if (final != 0) sim::forceWhere([](const sim::Op &) { return true; }, sim::Missing::Leave);
  *text = sim::write(final != 0);
  return text->c_str();
}
