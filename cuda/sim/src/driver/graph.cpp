// Graphs that were captured, and their launches.
#include <algorithm>

#include "driver/driver.h"

using namespace sim;
using namespace sim::driver;

SIM_EXPORT CUresult cuGraphCreate(CUgraph *phGraph, unsigned int flags) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (phGraph == nullptr) return nullArgument("phGraph");
  if (flags != 0) return refuse(check::badValue, "flags is " + std::to_string(flags) + " and must be 0");
  *phGraph = reinterpret_cast<CUgraph>(createGraph());
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuGraphDestroy(CUgraph hGraph) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  CUresult status = CUDA_SUCCESS;
  Graph *graph = resolve(hGraph, status);
  return graph != nullptr ? destroyGraph(graph) : status;
}

// Without `nodes` it tells how many there are; with it, it fills as many as fit and sets the rest to null.
SIM_EXPORT CUresult cuGraphGetNodes(CUgraph hGraph, CUgraphNode *nodes, size_t *numNodes) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (numNodes == nullptr) return nullArgument("numNodes");
  CUresult status = CUDA_SUCCESS;
  const Graph *graph = resolve(hGraph, status);
  if (graph == nullptr) return status;
  const size_t count = nodeCount(*graph);
  if (nodes != nullptr) {
    for (size_t i = 0; i < *numNodes; i++) nodes[i] = i < count ? node(*graph, i) : nullptr;
  }
  *numNodes = nodes != nullptr ? std::min(*numNodes, count) : count;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuGraphInstantiateWithFlags(CUgraphExec *phGraphExec, CUgraph hGraph, unsigned long long flags) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (phGraphExec == nullptr) return nullArgument("phGraphExec");
  if (flags == 2 || flags == 4) return CUDA_ERROR_NOT_SUPPORTED;  // upload, launch from the device
  // Freeing at launches and priorities of nodes change nothing here.
  if ((flags & ~9ull) != 0) return refuse(check::badValue, "flags is " + hexadecimal(flags));
  CUresult status = CUDA_SUCCESS;
  Graph *graph = resolve(hGraph, status);
  if (graph == nullptr) return status;
  GraphExec *exec = nullptr;
  status = instantiate(*graph, exec);
  if (status == CUDA_SUCCESS) *phGraphExec = reinterpret_cast<CUgraphExec>(exec);
  return status;
}

SIM_EXPORT CUresult cuGraphLaunch(CUgraphExec hGraphExec, CUstream hStream) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  CUresult status = CUDA_SUCCESS;
  GraphExec *exec = resolve(hGraphExec, status);
  if (exec == nullptr) return status;
  Stream *stream = resolve(hStream, status);
  return stream != nullptr ? launchGraph(*exec, *stream) : status;
}

// A launch does the same without it; here there is nothing to move.
SIM_EXPORT CUresult cuGraphUpload(CUgraphExec hGraphExec, CUstream hStream) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  CUresult status = CUDA_SUCCESS;
  if (resolve(hGraphExec, status) == nullptr) return status;
  Stream *stream = resolve(hStream, status);
  return stream != nullptr ? allowedDuringCapture(*stream) : status;
}

SIM_EXPORT CUresult cuGraphExecDestroy(CUgraphExec hGraphExec) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  CUresult status = CUDA_SUCCESS;
  GraphExec *exec = resolve(hGraphExec, status);
  return exec != nullptr ? destroyGraphExec(exec) : status;
}
