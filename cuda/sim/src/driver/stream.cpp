// Streams, their capture, and events.
#include "driver/driver.h"

namespace sim::driver {
namespace {

CUresult newStream(Context &context, CUstream *handle, unsigned flags, int priority) {
  if (handle == nullptr) return nullArgument("phStream");
  if ((flags & ~static_cast<unsigned>(CU_STREAM_NON_BLOCKING)) != 0)
    return refuse(check::badValue, "Flags is " + hexadecimal(flags) + ", no combination of CU_STREAM_ flags");
  Stream *stream = nullptr;
  const CUresult status = createStream(context, flags, priority, stream);
  if (status == CUDA_SUCCESS) *handle = handleOf(*stream);
  return status;
}

bool isDefault(CUstream handle) {
  return handle == nullptr || handle == CU_STREAM_LEGACY || handle == CU_STREAM_PER_THREAD;
}

CUresult recordEvent(CUevent eventHandle, CUstream streamHandle) {
  CUresult status = CUDA_SUCCESS;
  Stream *stream = resolve(streamHandle, status);
  if (stream == nullptr) return status;
  Event *event = resolve(eventHandle, status);
  if (event == nullptr) return status;
  return record(*event, *stream);
}

CUresult badMode(CUstreamCaptureMode mode) {
  const int value = static_cast<int>(mode);
  if (value >= CU_STREAM_CAPTURE_MODE_GLOBAL && value <= CU_STREAM_CAPTURE_MODE_RELAXED) return CUDA_SUCCESS;
  return refuse(check::badValue, "mode is " + std::to_string(value) + ", no CUstreamCaptureMode");
}

// CUDA narrows a priority to the range that cuCtxGetStreamPriorityRange tells.
int narrowed(int priority) { return priority > 0 ? 0 : priority < -5 ? -5 : priority; }

}  // namespace
}  // namespace sim::driver

using namespace sim;
using namespace sim::driver;

SIM_EXPORT CUresult cuStreamCreate(CUstream *phStream, unsigned int Flags) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  return newStream(*entry.context, phStream, Flags, 0);
}

SIM_EXPORT CUresult cuStreamCreateWithPriority(CUstream *phStream, unsigned int flags, int priority) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  return newStream(*entry.context, phStream, flags, narrowed(priority));
}

SIM_EXPORT CUresult cuStreamDestroy_v2(CUstream hStream) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (isDefault(hStream))
    return refuse(check::badHandle, "hStream is a default stream, which can't be destroyed", CUDA_ERROR_INVALID_HANDLE);
  CUresult status = CUDA_SUCCESS;
  Stream *stream = resolve(hStream, status);
  return stream != nullptr ? destroyStream(stream) : status;
}

SIM_EXPORT CUresult cuStreamGetFlags(CUstream hStream, unsigned int *flags) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (flags == nullptr) return nullArgument("flags");
  CUresult status = CUDA_SUCCESS;
  const Stream *stream = resolve(hStream, status);
  if (stream != nullptr) *flags = flagsOf(*stream);
  return status;
}

SIM_EXPORT CUresult cuStreamGetPriority(CUstream hStream, int *priority) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (priority == nullptr) return nullArgument("priority");
  CUresult status = CUDA_SUCCESS;
  const Stream *stream = resolve(hStream, status);
  if (stream != nullptr) *priority = priorityOf(*stream);
  return status;
}

SIM_EXPORT CUresult cuStreamGetCtx(CUstream hStream, CUcontext *pctx) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (pctx == nullptr) return nullArgument("pctx");
  CUresult status = CUDA_SUCCESS;
  Stream *stream = resolve(hStream, status);
  if (stream != nullptr) *pctx = reinterpret_cast<CUcontext>(contextOf(*stream));
  return status;
}

SIM_EXPORT CUresult cuStreamQuery(CUstream hStream) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  CUresult status = CUDA_SUCCESS;
  Stream *stream = resolve(hStream, status);
  if (stream == nullptr) return status;
  if (status = allowedDuringCapture(*stream); status != CUDA_SUCCESS) return status;
  return query(*stream);
}

SIM_EXPORT CUresult cuStreamSynchronize(CUstream hStream) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  CUresult status = CUDA_SUCCESS;
  Stream *stream = resolve(hStream, status);
  if (stream == nullptr) return status;
  if (status = allowedDuringCapture(*stream); status != CUDA_SUCCESS) return status;
  return synchronize(*stream);
}

SIM_EXPORT CUresult cuStreamWaitEvent(CUstream hStream, CUevent hEvent, unsigned int Flags) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (Flags == CU_EVENT_WAIT_EXTERNAL) return CUDA_ERROR_NOT_SUPPORTED;
  if (Flags != 0) return refuse(check::badValue, "Flags is " + hexadecimal(Flags));
  CUresult status = CUDA_SUCCESS;
  Stream *stream = resolve(hStream, status);
  if (stream == nullptr) return status;
  Event *event = resolve(hEvent, status);
  return event != nullptr ? wait(*stream, *event) : status;
}

// ------------------------------------------------------------------------------------------------------------- capture

SIM_EXPORT CUresult cuStreamBeginCapture_v2(CUstream hStream, CUstreamCaptureMode mode) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (const CUresult status = badMode(mode); status != CUDA_SUCCESS) return status;
  CUresult status = CUDA_SUCCESS;
  Stream *stream = resolve(hStream, status);
  return stream != nullptr ? beginCapture(*stream, mode) : status;
}

SIM_EXPORT CUresult cuStreamEndCapture(CUstream hStream, CUgraph *phGraph) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (phGraph == nullptr) return nullArgument("phGraph");
  CUresult status = CUDA_SUCCESS;
  Stream *stream = resolve(hStream, status);
  if (stream == nullptr) return status;
  Graph *graph = nullptr;
  status = endCapture(*stream, graph);
  *phGraph = reinterpret_cast<CUgraph>(status == CUDA_SUCCESS ? graph : nullptr);
  return status;
}

SIM_EXPORT CUresult cuStreamIsCapturing(CUstream hStream, CUstreamCaptureStatus *captureStatus) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (captureStatus == nullptr) return nullArgument("captureStatus");
  CUresult status = CUDA_SUCCESS;
  const Stream *stream = resolve(hStream, status);
  uint64_t id = 0;
  if (stream != nullptr) *captureStatus = sim::captureStatus(*stream, id);
  return status;
}

// Of the graph and the dependencies it tells nothing: a caller that asks for them is refused.
SIM_EXPORT CUresult cuStreamGetCaptureInfo_v2(CUstream hStream, CUstreamCaptureStatus *captureStatus_out,
                                              cuuint64_t *id_out, CUgraph *graph_out,
                                              const CUgraphNode **dependencies_out, size_t *numDependencies_out) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (captureStatus_out == nullptr) return nullArgument("captureStatus_out");
  if (graph_out != nullptr || dependencies_out != nullptr || numDependencies_out != nullptr)
    return CUDA_ERROR_NOT_SUPPORTED;
  CUresult status = CUDA_SUCCESS;
  const Stream *stream = resolve(hStream, status);
  if (stream == nullptr) return status;
  uint64_t id = 0;
  *captureStatus_out = sim::captureStatus(*stream, id);
  if (id_out != nullptr) *id_out = id;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode *mode) {
  Entry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (mode == nullptr) return nullArgument("mode");
  if (const CUresult status = badMode(*mode); status != CUDA_SUCCESS) return status;
  *mode = exchangeCaptureMode(*mode);
  return CUDA_SUCCESS;
}

// -------------------------------------------------------------------------------------------------------------- events

SIM_EXPORT CUresult cuEventCreate(CUevent *phEvent, unsigned int Flags) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (phEvent == nullptr) return nullArgument("phEvent");
  if ((Flags & CU_EVENT_INTERPROCESS) != 0) return CUDA_ERROR_NOT_SUPPORTED;
  if ((Flags & ~static_cast<unsigned>(CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING)) != 0)
    return refuse(check::badValue, "Flags is " + hexadecimal(Flags) + ", no combination of CU_EVENT_ flags");
  Event *event = nullptr;
  const CUresult status = createEvent(*entry.context, Flags, event);
  if (status == CUDA_SUCCESS) *phEvent = reinterpret_cast<CUevent>(event);
  return status;
}

SIM_EXPORT CUresult cuEventDestroy_v2(CUevent hEvent) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  CUresult status = CUDA_SUCCESS;
  Event *event = resolve(hEvent, status);
  return event != nullptr ? destroyEvent(event) : status;
}

SIM_EXPORT CUresult cuEventRecord(CUevent hEvent, CUstream hStream) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  return recordEvent(hEvent, hStream);
}

SIM_EXPORT CUresult cuEventRecordWithFlags(CUevent hEvent, CUstream hStream, unsigned int flags) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (flags == CU_EVENT_RECORD_EXTERNAL) return CUDA_ERROR_NOT_SUPPORTED;
  if (flags != 0) return refuse(check::badValue, "flags is " + hexadecimal(flags));
  return recordEvent(hEvent, hStream);
}

SIM_EXPORT CUresult cuEventQuery(CUevent hEvent) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  CUresult status = CUDA_SUCCESS;
  Event *event = resolve(hEvent, status);
  if (event == nullptr) return status;
  if (status = allowedDuringCapture(); status != CUDA_SUCCESS) return status;
  return query(*event);
}

SIM_EXPORT CUresult cuEventSynchronize(CUevent hEvent) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  CUresult status = CUDA_SUCCESS;
  Event *event = resolve(hEvent, status);
  if (event == nullptr) return status;
  if (status = allowedDuringCapture(); status != CUDA_SUCCESS) return status;
  return synchronize(*event);
}

#undef cuEventElapsedTime  // CUDA 13's headers map it to another symbol
SIM_EXPORT CUresult cuEventElapsedTime(float *pMilliseconds, CUevent hStart, CUevent hEnd) {
  BoundEntry entry(__func__);
  if (entry.status != CUDA_SUCCESS) return entry.status;
  if (pMilliseconds == nullptr) return nullArgument("pMilliseconds");
  CUresult status = CUDA_SUCCESS;
  Event *start = resolve(hStart, status);
  if (start == nullptr) return status;
  Event *end = resolve(hEnd, status);
  return end != nullptr ? elapsed(*start, *end, *pMilliseconds) : status;
}
