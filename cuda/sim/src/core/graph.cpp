// Graphs, and what runs when one is launched: every node on its own, after those it depends on.
#include <algorithm>

#include "core/state.h"

namespace sim {

namespace {

// Adds nodes to `flat`, child graphs resolved. `before` are flat nodes that the first of them come after. Returns those
// that nothing comes after.
std::vector<size_t> flatten(const std::vector<const Node *> &nodes, const std::vector<size_t> &before,
                            std::vector<Node> &flat) {
  std::vector<std::vector<size_t>> ends(nodes.size());
  std::vector<bool> last(nodes.size(), true);
  for (size_t i = 0; i < nodes.size(); i++) {
    std::vector<size_t> needs = nodes[i]->needs.empty() ? before : std::vector<size_t>();
    for (size_t need : nodes[i]->needs) {
      last[need] = false;
      needs.insert(needs.end(), ends[need].begin(), ends[need].end());
    }
    if (nodes[i]->work == nullptr) {
      std::vector<const Node *> child;
      for (const Node &node : nodes[i]->child) child.push_back(&node);
      ends[i] = child.empty() ? needs : flatten(child, needs, flat);
      continue;
    }
    ends[i] = {flat.size()};
    flat.push_back({nodes[i]->work, nodes[i]->title, std::move(needs), {}});
  }
  std::vector<size_t> all;
  for (size_t i = 0; i < nodes.size(); i++) {
    if (last[i]) all.insert(all.end(), ends[i].begin(), ends[i].end());
  }
  return all;
}

// Divides nodes into chains of which each link comes after the one before; each chain is a lane.
std::vector<uint32_t> chains(const std::vector<Node> &nodes) {
  std::vector<uint32_t> lanes(nodes.size());
  std::vector<bool> continued(nodes.size());
  for (size_t i = 0; i < nodes.size(); i++) {
    const auto &needs = nodes[i].needs;
    auto open = std::find_if(needs.begin(), needs.end(), [&](size_t need) { return !continued[need]; });
    if (open == needs.end()) {
      lanes[i] = newLane();
    } else {
      continued[*open] = true;
      lanes[i] = lanes[*open];
    }
  }
  return lanes;
}

// Memory that was freed and handles that were destroyed since the graph was made.
bool usable(const Node &node) {
  const Detail detail("of the node " + node.title);
  const bool memory = checkLife(*node.work), handles = checkHandlesLive(*node.work);
  return memory && handles;
}

// Queues the nodes after `head`. Returns those that nothing comes after; `clock` gets what all of them come to.
std::vector<OpPtr> queueNodes(GraphExec &exec, const OpPtr &head, const std::string &where, Clock &clock) {
  std::vector<OpPtr> ops;
  std::vector<bool> last(exec.nodes.size(), true);
  for (size_t i = 0; i < exec.nodes.size(); i++) {
    const Node &node = exec.nodes[i];
    const bool live = usable(node);
    Clock start = head->clock;
    std::vector<OpPtr> needs{head};
    for (size_t need : node.needs) {
      last[need] = false;
      start.join(ops[need]->clock);
      needs.push_back(ops[need]);
    }
    OpPtr op = newOp(*exec.context, node.work, node.title, where, exec.lanes[i], std::move(start), std::move(needs));
    if (!live) op->fails = CUDA_ERROR_ILLEGAL_ADDRESS;
    clock.join(op->clock);
    ops.push_back(std::move(op));
  }
  std::vector<OpPtr> ends;
  for (size_t i = 0; i < ops.size(); i++) {
    if (last[i]) ends.push_back(ops[i]);
  }
  return ends;
}

void captureLaunch(const GraphExec &exec, Stream &stream) {
  Node node;
  node.title = callName();
  node.child = exec.nodes;
  addCaptured(stream, std::move(node));
}

template <class T>
T *known(std::map<const T *, std::unique_ptr<T>> &table, const void *handle, const char *kind, CUresult &status) {
  status = CUDA_ERROR_INVALID_VALUE;
  auto at = table.find(static_cast<const T *>(handle));
  if (at == table.end()) {
    report(check::badHandle, std::string("the ") + kind + " is none that was ever created");
    return nullptr;
  }
  T *object = at->second.get();
  if (!object->alive()) {
    report(check::badHandle, object->name() + " was destroyed by " + object->destroyedBy);
    return nullptr;
  }
  status = CUDA_SUCCESS;
  return object;
}

bool needs(const Node &node, const void *handle) {
  if (node.work != nullptr) {
    const auto &handles = node.work->handles;
    return std::find(handles.begin(), handles.end(), handle) != handles.end();
  }
  return std::any_of(node.child.begin(), node.child.end(), [&](const Node &child) { return needs(child, handle); });
}

}  // namespace

Graph *createGraph() {
  auto owned = std::make_unique<Graph>();
  Graph *graph = owned.get();
  stamp(*graph, "graph", nullptr);
  machine().graphs.emplace(graph, std::move(owned));
  return graph;
}

Graph *resolve(CUgraph handle, CUresult &status) { return known(machine().graphs, handle, "graph", status); }

CUresult destroyGraph(Graph *graph) {
  graph->destroyedBy = callName();
  graph->nodes.clear();
  return CUDA_SUCCESS;
}

size_t nodeCount(const Graph &graph) { return graph.nodes.size(); }

CUgraphNode node(const Graph &graph, size_t index) {
  return reinterpret_cast<CUgraphNode>(graph.nodes.at(index).get());
}

CUresult instantiate(Graph &graph, GraphExec *&exec) {
  exec = nullptr;
  CUresult status;
  Context *context = need(status);
  if (context == nullptr) return status;
  auto owned = std::make_unique<GraphExec>();
  exec = owned.get();
  stamp(*exec, "executable graph", context);
  exec->graph = graph.id;
  std::vector<const Node *> nodes;
  for (const auto &node : graph.nodes) nodes.push_back(node.get());
  flatten(nodes, {}, exec->nodes);
  exec->lanes = chains(exec->nodes);
  machine().execs.emplace(exec, std::move(owned));
  return CUDA_SUCCESS;
}

GraphExec *resolve(CUgraphExec handle, CUresult &status) {
  return known(machine().execs, handle, "executable graph", status);
}

// A launch comes after the last one of the same executable graph, whatever streams they are on.
CUresult launchGraph(GraphExec &exec, Stream &stream) {
  if (stream.context->error != CUDA_SUCCESS) return stream.context->error;
  if (exec.context != stream.context) {
    report(check::wrongContext, exec.name() + " belongs to " + exec.context->name() + ", and " + stream.name() +
                                    " to " + stream.context->name());
    return CUDA_ERROR_INVALID_VALUE;
  }
  const CUresult status = captureStanding(stream);
  if (status != CUDA_SUCCESS) return status;
  if (stream.capture != nullptr) {
    captureLaunch(exec, stream);
    return CUDA_SUCCESS;
  }
  count("graph launches");
  count("graph nodes run", exec.nodes.size());
  const OpPtr head = queue(stream, nullptr, callName(), {exec.last}, &exec.clock);
  Clock clock;
  const std::vector<OpPtr> ends = queueNodes(exec, head, stream.name() + " by " + exec.name(), clock);
  exec.last = queue(stream, nullptr, callName(), ends, &clock);
  exec.clock = exec.last->clock;
  settle();
  return CUDA_SUCCESS;
}

CUresult destroyGraphExec(GraphExec *exec) {
  if (exec->last != nullptr && !ordered(*exec->last->doer, machine().host)) {
    report(check::freeInUse,
           exec->name() + " is destroyed while a launch of it may still run: nothing has waited for it");
  }
  exec->destroyedBy = callName();
  exec->nodes.clear();
  exec->last.reset();
  return exec->context->error;
}

std::string graphThatNeeds(const void *handle) {
  for (const auto &entry : machine().execs) {
    const GraphExec &exec = *entry.second;
    const auto &nodes = exec.nodes;
    const bool any = std::any_of(nodes.begin(), nodes.end(), [&](const Node &node) { return needs(node, handle); });
    if (exec.alive() && any) return exec.name();
  }
  for (const auto &entry : machine().graphs) {
    const Graph &graph = *entry.second;
    const auto &nodes = graph.nodes;
    const bool any = std::any_of(nodes.begin(), nodes.end(), [&](const auto &node) { return needs(*node, handle); });
    if (graph.alive() && any) return graph.name();
  }
  return "";
}

}  // namespace sim
