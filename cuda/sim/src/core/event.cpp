// Events: marks in streams that other streams and the host wait for.
#include "core/state.h"

namespace sim {

namespace {

constexpr unsigned kPatience = 4;  // as with streams

CUresult captured(const Event &event) {
  report(check::capture, event.name() + " was last recorded in a stream being captured, so it stands for no work yet");
  return CUDA_ERROR_CAPTURED_EVENT;
}

}  // namespace

CUresult createEvent(Context &context, unsigned flags, Event *&event) {
  event = nullptr;
  if (context.error != CUDA_SUCCESS) return context.error;
  const unsigned all = CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS;
  const bool timed = (flags & CU_EVENT_DISABLE_TIMING) == 0;
  if ((flags & ~all) != 0 || ((flags & CU_EVENT_INTERPROCESS) != 0 && timed)) {
    report(check::badValue, "event flags " + std::to_string(flags));
    return CUDA_ERROR_INVALID_VALUE;
  }
  auto owned = std::make_unique<Event>();
  event = owned.get();
  stamp(*event, "event", &context);
  event->flags = flags;
  machine().events.emplace(event, std::move(owned));
  return CUDA_SUCCESS;
}

CUresult destroyEvent(Event *event) {
  event->destroyedBy = callName();
  event->recorded.reset();
  return event->context->error;
}

Event *resolve(CUevent handle, CUresult &status) {
  status = CUDA_ERROR_INVALID_HANDLE;
  const auto &events = machine().events;
  auto at = events.find(reinterpret_cast<const Event *>(handle));
  if (at == events.end()) {
    report(check::badHandle, "the event is none that was ever created");
    return nullptr;
  }
  Event *event = at->second.get();
  if (!event->alive()) {
    report(check::badHandle, event->name() + " was destroyed by " + event->destroyedBy);
    return nullptr;
  }
  status = event->context->error;
  return status == CUDA_SUCCESS ? event : nullptr;
}

CUresult record(Event &event, Stream &stream) {
  if (stream.context->error != CUDA_SUCCESS) return stream.context->error;
  if (event.context != stream.context) {
    report(check::wrongContext, event.name() + " belongs to " + event.context->name() + ", and " + stream.name() +
                                    ", which it is recorded in, to " + stream.context->name());
    return CUDA_ERROR_INVALID_HANDLE;
  }
  const CUresult status = captureStanding(stream);
  if (status != CUDA_SUCCESS) return status;
  if (stream.capture != nullptr) return captureRecord(event, stream);
  event.capture.reset();
  event.frontier.clear();
  event.recorded = queue(stream, nullptr, callName(), {}, nullptr);
  event.clock = event.recorded->clock;
  event.polls = 0;
  settle();
  return CUDA_SUCCESS;
}

// What was recorded last, at the time of the call, is waited for; an event never recorded is nothing to wait for.
CUresult wait(Stream &stream, Event &event) {
  if (stream.context->error != CUDA_SUCCESS) return stream.context->error;
  CUresult status = captureStanding(stream);
  if (status != CUDA_SUCCESS) return status;
  if (captureWait(stream, event, status)) return status;
  if (event.recorded == nullptr) return CUDA_SUCCESS;
  queue(stream, nullptr, callName(), {event.recorded}, &event.clock);
  settle();
  return CUDA_SUCCESS;
}

CUresult query(Event &event) {
  if (event.context->error != CUDA_SUCCESS) return event.context->error;
  if (event.capture != nullptr) return captured(event);
  const bool random = machine().configuration.schedule == Schedule::Random;
  if (!finished(event.recorded) && (++event.polls >= kPatience || (random && oneIn(3)))) {
    force({event.recorded}, Missing::Leave);
  }
  if (!finished(event.recorded)) return CUDA_ERROR_NOT_READY;
  event.polls = 0;
  if (event.recorded != nullptr) hostSees(event.clock);
  return event.context->error;
}

CUresult synchronize(Event &event) {
  if (event.context->error != CUDA_SUCCESS) return event.context->error;
  if (event.capture != nullptr) return captured(event);
  count("synchronisations");
  if (event.recorded == nullptr) return CUDA_SUCCESS;
  const OpPtr recorded = event.recorded;  // other threads may record it again meanwhile
  const Clock clock = event.clock;
  force({recorded});
  hostSees(clock);
  return event.context->error;
}

CUresult elapsed(Event &start, Event &end, float &milliseconds) {
  for (const Event *event : {&start, &end}) {
    if (event->context->error != CUDA_SUCCESS) return event->context->error;
    if (event->capture != nullptr) return captured(*event);
    if (event->recorded != nullptr && (event->flags & CU_EVENT_DISABLE_TIMING) == 0) continue;
    report(check::badHandle, event->name() + (event->recorded == nullptr ? " was never recorded"
                                                                         : " was created without timing"));
    return CUDA_ERROR_INVALID_HANDLE;
  }
  if (!finished(start.recorded) || !finished(end.recorded)) return CUDA_ERROR_NOT_READY;
  milliseconds = float(end.recorded->time - start.recorded->time);
  return CUDA_SUCCESS;
}

}  // namespace sim
