// Streams: made, destroyed, waited for.
#include <algorithm>

#include "core/state.h"

namespace sim {

namespace {

constexpr unsigned kPatience = 4;  // queries in a row until the work runs, so that a loop of them ends

Stream *known(CUstream handle) {
  const auto &streams = machine().streams;
  auto at = streams.find(reinterpret_cast<const Stream *>(handle));
  return at == streams.end() ? nullptr : at->second.get();
}

Stream *make(Context &context, Stream::Kind kind) {
  auto owned = std::make_unique<Stream>();
  Stream *stream = owned.get();
  stamp(*stream, "stream", &context);
  stream->kind = kind;
  stream->lane = newLane();
  context.streams.push_back(stream);
  machine().streams.emplace(stream, std::move(owned));
  return stream;
}

Stream *perThread(Context &context) {
  Stream *&stream = context.perThread[threadNumber()];
  if (stream == nullptr) stream = make(context, Stream::Kind::PerThread);
  return stream;
}

Stream *bad(CUresult &status, const char *check, const std::string &message) {
  report(check, message);
  status = CUDA_ERROR_INVALID_HANDLE;
  return nullptr;
}

// What waiting for a stream waits for. A call on the legacy stream first waits for the streams it synchronises with.
void waitedFor(const Stream &stream, std::vector<OpPtr> &work, Clock &clock) {
  const Context &context = *stream.context;
  work.push_back(stream.last);
  clock.join(stream.clock);
  if (stream.kind != Stream::Kind::Legacy) return;
  for (const Stream *other : context.streams) {
    if (!other->synchronisesWithLegacy()) continue;
    work.push_back(other->last);
    clock.join(other->clock);
  }
  clock.join(context.retiredBlocking);
  for (const auto &left : context.retiredWork) {
    if (left.second) work.push_back(left.first);
  }
}

void retire(Stream &stream) {
  Context &context = *stream.context;
  const bool blocking = stream.synchronisesWithLegacy();
  if (blocking) context.retiredBlocking.join(stream.clock);
  context.retired.join(stream.clock);
  auto &left = context.retiredWork;
  left.erase(std::remove_if(left.begin(), left.end(), [](const auto &entry) { return finished(entry.first); }),
             left.end());
  if (!finished(stream.last)) left.emplace_back(stream.last, blocking);
  stream.last.reset();
  auto &streams = context.streams;
  streams.erase(std::remove(streams.begin(), streams.end(), &stream), streams.end());
}

}  // namespace

std::string Stream::name() const {
  switch (kind) {
    case Kind::Legacy: return "the default stream";
    case Kind::PerThread: return "a thread's default stream #" + std::to_string(id);
    case Kind::Created: break;
  }
  return "stream #" + std::to_string(id);
}

Stream *resolve(CUstream handle, CUresult &status) {
  Context *context = need(status);
  if (context == nullptr) return nullptr;
  if (handle == nullptr || handle == CU_STREAM_LEGACY) return context->legacy;
  if (handle == CU_STREAM_PER_THREAD) return perThread(*context);
  Stream *stream = known(handle);
  if (stream == nullptr) return bad(status, check::badHandle, "the stream is none that was ever created");
  if (!stream->alive()) {
    return bad(status, check::badHandle, stream->name() + " was destroyed by " + stream->destroyedBy);
  }
  if (stream->context == context) return stream;
  return bad(status, check::wrongContext, stream->name() + " belongs to " + stream->context->name() + ", but " +
                                              context->name() + " is current");
}

CUstream handleOf(Stream &stream) {
  if (stream.kind == Stream::Kind::Legacy) return nullptr;
  if (stream.kind == Stream::Kind::PerThread) return CU_STREAM_PER_THREAD;
  return reinterpret_cast<CUstream>(&stream);
}

Context *contextOf(Stream &stream) { return stream.context; }
unsigned flagsOf(const Stream &stream) { return stream.flags; }
int priorityOf(const Stream &stream) { return stream.priority; }
uint64_t idOf(const Stream &stream) { return stream.id; }

CUresult createStream(Context &context, unsigned flags, int priority, Stream *&stream) {
  stream = nullptr;
  if (context.error != CUDA_SUCCESS) return context.error;
  if ((flags & ~unsigned(CU_STREAM_NON_BLOCKING)) != 0) {
    report(check::badValue, "stream flags " + std::to_string(flags));
    return CUDA_ERROR_INVALID_VALUE;
  }
  stream = make(context, Stream::Kind::Created);
  stream->flags = flags;
  stream->priority = priority;
  return CUDA_SUCCESS;
}

// Its work goes on.
CUresult destroyStream(Stream *stream) {
  if (stream->kind != Stream::Kind::Created) {
    report(check::badHandle, "a default stream can't be destroyed");
    return CUDA_ERROR_INVALID_HANDLE;
  }
  if (stream->capture != nullptr) {
    report(check::capture, stream->name() + " is destroyed while it is being captured");
    leaveCapture(*stream);
  }
  stream->destroyedBy = callName();
  retire(*stream);
  return stream->context->error;
}

CUresult query(Stream &stream) {
  if (stream.context->error != CUDA_SUCCESS) return stream.context->error;
  const CUresult allowed = allowedDuringCapture(stream);
  if (allowed != CUDA_SUCCESS) return allowed;
  std::vector<OpPtr> work;
  Clock clock;
  waitedFor(stream, work, clock);
  const auto ready = [&] { return std::all_of(work.begin(), work.end(), finished); };
  const bool random = machine().configuration.schedule == Schedule::Random;
  if (!ready() && (++stream.polls >= kPatience || (random && oneIn(3)))) force(work, Missing::Leave);
  if (!ready()) return CUDA_ERROR_NOT_READY;
  stream.polls = 0;
  hostSees(clock);
  return stream.context->error;
}

CUresult synchronize(Stream &stream) {
  if (stream.context->error != CUDA_SUCCESS) return stream.context->error;
  const CUresult allowed = allowedDuringCapture(stream);
  if (allowed != CUDA_SUCCESS) return allowed;
  count("synchronisations");
  std::vector<OpPtr> work;
  Clock clock;
  waitedFor(stream, work, clock);
  force(work);
  hostSees(clock);
  return stream.context->error;
}

CUresult finishCollectives(const void *communicator) {
  auto at = machine().lastOf.find(communicator);
  if (at == machine().lastOf.end()) return CUDA_SUCCESS;
  const OpPtr last = at->second;
  force({last});
  hostSees(last->clock);
  return last->context->error;
}

CUresult synchronize(Context &context) {
  if (context.error != CUDA_SUCCESS) return context.error;
  count("synchronisations");
  Clock clock = context.retired;  // before the wait: what other threads queue meanwhile isn't waited for
  for (const Stream *stream : context.streams) clock.join(stream->clock);
  forceWhere([&](const Op &op) { return op.context == &context; });
  hostSees(clock);
  return context.error;
}

}  // namespace sim
