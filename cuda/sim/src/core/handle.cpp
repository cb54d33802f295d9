// Objects of every library: which live, and which queued work still needs.
#include <algorithm>

#include "core/state.h"

namespace sim {

namespace {

std::string nameOf(const Registered &object) { return object.kind + " #" + std::to_string(object.id); }

bool contains(const std::vector<const void *> &handles, const void *object) {
  return std::find(handles.begin(), handles.end(), object) != handles.end();
}

Registered *live(const void *object) {
  auto at = machine().registered.find(object);
  return at == machine().registered.end() || !at->second.destroyedBy.empty() ? nullptr : &at->second;
}

// Work that the host hasn't waited for.
void checkQueued(const void *object, const Registered &as) {
  Machine &m = machine();
  forceWhere([&](const Op &op) { return op.work != nullptr && contains(op.work->handles, object); });
  bool told = false;
  for (HandleUse &use : m.handleUses) {
    if (!contains(use.handles, object)) continue;
    if (!told && !ordered(*use.doer, m.host)) {
      report(check::freeInUse, nameOf(as) + " is destroyed while " + use.doer->title + ", queued on " +
                                   use.doer->where + ", may still need it: nothing has waited for it");
      told = true;
    }
    use.handles.erase(std::remove(use.handles.begin(), use.handles.end(), object), use.handles.end());
  }
}

void checkGraphs(const void *object, const Registered &as) {
  const auto uses = [&](const Node &node) { return node.work != nullptr && contains(node.work->handles, object); };
  for (const auto &entry : machine().graphs) {
    const Graph &graph = *entry.second;
    for (const auto &node : graph.nodes) {
      if (!uses(*node)) continue;
      report(check::freeInUse, nameOf(as) + " is destroyed while " + graph.name() + " needs it for " + node->title);
      return;
    }
  }
  for (const auto &entry : machine().execs) {
    const GraphExec &exec = *entry.second;
    auto node = std::find_if(exec.nodes.begin(), exec.nodes.end(), uses);
    if (node == exec.nodes.end()) continue;
    report(check::freeInUse, nameOf(as) + " is destroyed while " + exec.name() + " needs it for " + node->title);
    return;
  }
}

}  // namespace

void born(const void *object, const char *kind) {
  Registered &as = machine().registered[object];
  as = {kind, callName(), "", nextId(kind), current()};
}

bool check_(const void *object, const char *kind) {
  const auto &registered = machine().registered;
  auto at = registered.find(object);
  if (object == nullptr || at == registered.end()) {
    const char *what = object == nullptr ? "null" : "none that was created";
    report(check::badHandle, std::string("the ") + kind + " is " + what);
    return false;
  }
  if (at->second.kind != kind) {
    report(check::badHandle, nameOf(at->second) + " was passed as a " + kind);
    return false;
  }
  if (!at->second.destroyedBy.empty()) {
    report(check::badHandle, nameOf(at->second) + " was destroyed by " + at->second.destroyedBy);
    return false;
  }
  return true;
}

void died(const void *object) {
  Registered *as = live(object);
  if (as == nullptr) return;
  checkQueued(object, *as);
  if (!as->destroyedBy.empty()) return;  // on another thread, meanwhile
  checkGraphs(object, *as);
  as->destroyedBy = callName();
}

void abandoned(const void *object) {
  Registered *as = live(object);
  if (as == nullptr) return;
  for (HandleUse &use : machine().handleUses) {
    use.handles.erase(std::remove(use.handles.begin(), use.handles.end(), object), use.handles.end());
  }
  as->destroyedBy = callName();
}

// They go with their context.
void dropModules(const Context &context) {
  for (auto &entry : machine().registered) {
    Registered &object = entry.second;
    if (object.context != &context || object.kind != "CUmodule" || !object.destroyedBy.empty()) continue;
    object.destroyedBy = "the end of " + context.name();
  }
}

void useHandles(const OpPtr &op) {
  if (!op->work->handles.empty()) machine().handleUses.push_back({op->doer, op->work->handles, op});
}

bool checkHandlesLive(const Work &work) {
  bool lives = true;
  for (const void *handle : work.handles) {
    auto at = machine().registered.find(handle);
    if (at == machine().registered.end() || at->second.destroyedBy.empty()) continue;
    report(check::useAfterFree, nameOf(at->second) + " was destroyed by " + at->second.destroyedBy);
    lives = false;
  }
  return lives;
}

}  // namespace sim
