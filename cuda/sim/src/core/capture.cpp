// Stream capture: what is queued on a capturing stream becomes a graph's node instead of running.
#include <algorithm>

#include "core/state.h"

namespace sim {

namespace {

struct ThreadMode {
  uint64_t epoch = 0;
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
};

CUstreamCaptureMode &threadMode() {
  thread_local ThreadMode mine;
  if (mine.epoch != machine().epoch) mine = {machine().epoch, CU_STREAM_CAPTURE_MODE_GLOBAL};
  return mine.mode;
}

CUresult illegal(CUresult status, const std::string &message) {
  report(check::capture, message);
  return status;
}

CUresult illegal(Capture &capture, CUresult status, const std::string &message) {
  report(check::capture, message);
  invalidate(capture);
  return status;
}

// Whether a capture forbids the calling thread what is unsafe. One of a dead context can't be ended, and forbids nothing.
bool forbids(const Capture &capture) {
  if (capture.origin->context->error != CUDA_SUCCESS) return false;
  const CUstreamCaptureMode mode = threadMode();
  if (mode == CU_STREAM_CAPTURE_MODE_RELAXED || capture.mode == CU_STREAM_CAPTURE_MODE_RELAXED) return false;
  if (capture.thread == threadNumber()) return true;
  return mode == CU_STREAM_CAPTURE_MODE_GLOBAL && capture.mode == CU_STREAM_CAPTURE_MODE_GLOBAL;
}

void addTo(std::vector<size_t> &frontier, const std::vector<size_t> &more) {
  for (size_t node : more) {
    if (std::find(frontier.begin(), frontier.end(), node) == frontier.end()) frontier.push_back(node);
  }
}

// The nodes that come before those of a frontier, and these.
std::vector<bool> ancestors(const Graph &graph, const std::vector<size_t> &frontier) {
  std::vector<bool> reached(graph.nodes.size());
  for (size_t node : frontier) reached[node] = true;
  for (size_t node = graph.nodes.size(); node-- > 0;) {
    if (!reached[node]) continue;
    for (size_t need : graph.nodes[node]->needs) reached[need] = true;
  }
  return reached;
}

// A stream that was forked off and whose nodes the origin doesn't come after; null: none.
const Stream *unjoined(const Capture &capture) {
  const std::vector<bool> reached = ancestors(*capture.graph, capture.origin->frontier);
  for (const Stream *stream : capture.streams) {
    for (size_t node : stream->frontier) {
      if (!reached[node]) return stream;
    }
  }
  return nullptr;
}

void close(const std::shared_ptr<Capture> &capture) {
  for (Stream *stream : capture->streams) {
    stream->capture.reset();
    stream->frontier.clear();
  }
  capture->ended = true;
  auto &captures = machine().captures;
  captures.erase(std::remove(captures.begin(), captures.end(), capture), captures.end());
}

CUresult abandon(const std::shared_ptr<Capture> &capture, CUresult status) {
  close(capture);
  destroyGraph(capture->graph);
  return status;
}

}  // namespace

void invalidate(Capture &capture) {
  if (capture.invalidatedBy.empty()) capture.invalidatedBy = callName();
}

// Without the stream that it began on a capture can't end any more.
void leaveCapture(Stream &stream) {
  const std::shared_ptr<Capture> capture = stream.capture;
  if (capture == nullptr) return;
  invalidate(*capture);
  if (capture->origin == &stream) {
    abandon(capture, CUDA_SUCCESS);
    return;
  }
  stream.capture.reset();
  auto &streams = capture->streams;
  streams.erase(std::remove(streams.begin(), streams.end(), &stream), streams.end());
}

CUresult beginCapture(Stream &stream, CUstreamCaptureMode mode) {
  if (stream.context->error != CUDA_SUCCESS) return stream.context->error;
  if (stream.kind == Stream::Kind::Legacy) {
    return illegal(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "the default stream can't be captured");
  }
  if (stream.capture != nullptr) return illegal(CUDA_ERROR_ILLEGAL_STATE, stream.name() + " is being captured already");
  if (mode < CU_STREAM_CAPTURE_MODE_GLOBAL || mode > CU_STREAM_CAPTURE_MODE_RELAXED) {
    report(check::badValue, "capture mode " + std::to_string(int(mode)));
    return CUDA_ERROR_INVALID_VALUE;
  }
  auto capture = std::make_shared<Capture>();
  capture->id = nextId("capture");
  capture->origin = &stream;
  capture->mode = mode;
  capture->thread = threadNumber();
  capture->graph = createGraph();
  capture->streams.push_back(&stream);
  stream.capture = capture;
  stream.frontier.clear();
  machine().captures.push_back(capture);
  return CUDA_SUCCESS;
}

CUresult endCapture(Stream &stream, Graph *&graph) {
  graph = nullptr;
  const std::shared_ptr<Capture> capture = stream.capture;
  if (capture == nullptr) return illegal(CUDA_ERROR_ILLEGAL_STATE, stream.name() + " is not being captured");
  if (capture->origin != &stream) {
    return illegal(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED,
                   "the capture began on " + capture->origin->name() + ", so it can't end on " + stream.name());
  }
  if (capture->mode != CU_STREAM_CAPTURE_MODE_RELAXED && capture->thread != threadNumber()) {
    return illegal(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD,
                   "the capture of " + stream.name() + " ends on another thread than it began on");
  }
  if (!capture->invalidatedBy.empty()) return abandon(capture, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  const Stream *left = unjoined(*capture);
  if (left != nullptr) {
    report(check::capture, "the capture of " + stream.name() + " ends while " + left->name() +
                               ", forked off it, holds work that it hasn't waited for");
    return abandon(capture, CUDA_ERROR_STREAM_CAPTURE_UNJOINED);
  }
  close(capture);
  graph = capture->graph;
  graph->call = callName();
  return CUDA_SUCCESS;
}

CUstreamCaptureStatus captureStatus(const Stream &stream, uint64_t &id) {
  id = stream.capture == nullptr ? 0 : stream.capture->id;
  if (stream.capture == nullptr) return CU_STREAM_CAPTURE_STATUS_NONE;
  return stream.capture->invalidatedBy.empty() ? CU_STREAM_CAPTURE_STATUS_ACTIVE
                                               : CU_STREAM_CAPTURE_STATUS_INVALIDATED;
}

CUstreamCaptureMode exchangeCaptureMode(CUstreamCaptureMode mode) {
  std::swap(threadMode(), mode);
  return mode;
}

CUresult allowedDuringCapture() {
  CUresult status = CUDA_SUCCESS;
  for (const auto &capture : machine().captures) {
    if (!forbids(*capture)) continue;
    status = illegal(*capture, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
                     "not permitted while " + capture->origin->name() + " is being captured");
  }
  return status;
}

CUresult allowedDuringCapture(Stream &stream) {
  if (stream.capture != nullptr) {
    return illegal(*stream.capture, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
                   "not permitted on " + stream.name() + ", which is being captured");
  }
  return captureStanding(stream);
}

CUresult captureStanding(Stream &stream) {
  if (stream.capture != nullptr) {
    return stream.capture->invalidatedBy.empty() ? CUDA_SUCCESS : CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  }
  if (stream.kind != Stream::Kind::Legacy) return CUDA_SUCCESS;
  CUresult status = CUDA_SUCCESS;
  for (const auto &capture : machine().captures) {
    for (const Stream *other : capture->streams) {
      if (other->context != stream.context || !other->synchronisesWithLegacy()) continue;
      status = illegal(*capture, CUDA_ERROR_STREAM_CAPTURE_IMPLICIT,
                       "work on the default stream would have to wait for " + other->name() +
                           ", which is being captured");
    }
  }
  return status;
}

void addCaptured(Stream &stream, Node node) {
  Graph &graph = *stream.capture->graph;
  node.needs = stream.frontier;
  stream.frontier = {graph.nodes.size()};
  graph.nodes.push_back(std::make_unique<Node>(std::move(node)));
}

CUresult captureRecord(Event &event, Stream &stream) {
  event.recorded.reset();
  event.capture = stream.capture;
  event.frontier = stream.frontier;
  return CUDA_SUCCESS;
}

bool captureWait(Stream &stream, Event &event, CUresult &status) {
  status = CUDA_SUCCESS;
  const std::shared_ptr<Capture> mine = stream.capture, its = event.capture;
  if (mine == nullptr && its == nullptr) return false;
  if (its == nullptr || its->ended) {
    if (mine != nullptr && (its != nullptr || event.recorded != nullptr)) {
      status = illegal(*mine, CUDA_ERROR_STREAM_CAPTURE_ISOLATION,
                       stream.name() + ", which is being captured, would wait for " + event.name() +
                           ", recorded outside of the capture");
    } else if (mine == nullptr) {
      status = illegal(CUDA_ERROR_CAPTURED_EVENT, event.name() + " was last recorded in a capture that has ended");
    }
    return true;
  }
  if (mine != nullptr && mine != its) {
    invalidate(*its);
    status = illegal(*mine, CUDA_ERROR_STREAM_CAPTURE_MERGE,
                     "waiting for " + event.name() + " would merge two captures");
    return true;
  }
  if (!its->invalidatedBy.empty()) {
    status = CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    return true;
  }
  if (mine == nullptr && stream.kind == Stream::Kind::Legacy) {
    status = illegal(*its, CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, "the default stream can't join a capture");
    return true;
  }
  if (mine == nullptr) {
    stream.capture = its;
    stream.frontier.clear();
    its->streams.push_back(&stream);
  }
  addTo(stream.frontier, event.frontier);
  return true;
}

}  // namespace sim
