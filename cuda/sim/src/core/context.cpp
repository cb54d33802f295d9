// Contexts: current per thread of the operating system, the primary one of each device counted by its users.
#include <algorithm>

#include "core/state.h"

namespace sim {

namespace {

struct Stack {
  uint64_t epoch = 0;
  std::vector<Context *> contexts;
};

std::vector<Context *> &stack() {
  thread_local Stack mine;
  if (mine.epoch != machine().epoch) {
    mine.epoch = machine().epoch;
    mine.contexts.clear();
  }
  return mine.contexts;
}

bool validDevice(int device) { return device >= 0 && device < deviceCount(); }

// Ends the streams, events, executable graphs and memory of a context. What the program hasn't ended itself is a leak.
void dropResources(Context &context) {
  Machine &m = machine();
  forceWhere([&](const Op &op) { return op.context == &context; });
  if (context.error == CUDA_SUCCESS) addLeaks(&context, m.leaks);
  const std::string by = callName();
  for (Stream *stream : context.streams) {
    stream->destroyedBy = by;
    leaveCapture(*stream);
  }
  for (auto &entry : m.events) {
    if (entry.second->context == &context && entry.second->alive()) entry.second->destroyedBy = by;
  }
  for (auto &entry : m.execs) {
    if (entry.second->context == &context && entry.second->alive()) entry.second->destroyedBy = by;
  }
  context.streams.clear();
  context.perThread.clear();
  context.legacy = nullptr;
  context.retiredWork.clear();
  m.silent = context.error != CUDA_SUCCESS;  // only now: by chance, other contexts' work ran above
  dropModules(context);
  dropMemory(context);
  dropPinned(context);
  m.silent = false;
  m.reportUrgent = true;
}

void makeLegacyStream(Context &context) {
  auto stream = std::make_unique<Stream>();
  stream->context = &context;
  stream->call = callName();
  stream->kind = Stream::Kind::Legacy;
  stream->lane = newLane();
  context.legacy = stream.get();
  context.streams.push_back(stream.get());
  machine().streams.emplace(stream.get(), std::move(stream));
}

void end(Context &context) {
  dropResources(context);
  context.destroyedBy = callName();
}

}  // namespace

std::string Context::name() const {
  if (isPrimary) return "the primary context of device " + std::to_string(device);
  return "context #" + std::to_string(id);
}

Context *newContext(int device, unsigned flags) {
  Machine &m = machine();
  auto owned = std::make_unique<Context>();
  Context *context = owned.get();
  stamp(*context, "context", context);
  context->device = device;
  context->flags = flags;
  m.contexts.emplace(context, std::move(owned));
  makeLegacyStream(*context);
  return context;
}

bool alive(const Context *context) {
  const auto &contexts = machine().contexts;
  auto at = contexts.find(context);
  return at != contexts.end() && at->second->alive();
}

Context *current() {
  const std::vector<Context *> &contexts = stack();
  return contexts.empty() ? nullptr : contexts.back();
}

Context *need(CUresult &status) {
  Context *context = current();
  status = CUDA_SUCCESS;
  if (context == nullptr) {
    report(check::noContext, "no context is current to the calling thread");
    status = CUDA_ERROR_INVALID_CONTEXT;
    return nullptr;
  }
  if (!context->alive()) {
    report(check::noContext, context->name() + ", current to the calling thread, was ended by " + context->destroyedBy);
    status = CUDA_ERROR_CONTEXT_IS_DESTROYED;
    return nullptr;
  }
  status = context->error;
  return status == CUDA_SUCCESS ? context : nullptr;
}

Context *primary(int device) { return validDevice(device) ? machine().devices[size_t(device)].primary : nullptr; }

CUresult retainPrimary(int device, Context *&context) {
  context = nullptr;
  if (!validDevice(device)) return CUDA_ERROR_INVALID_DEVICE;
  Device &of = machine().devices[size_t(device)];
  if (of.lost) return CUDA_ERROR_DEVICE_UNAVAILABLE;
  if (of.primary == nullptr) {
    of.primary = newContext(device, of.primaryFlags);
    of.primary->isPrimary = true;
  }
  of.primary->retains++;
  context = of.primary;
  return CUDA_SUCCESS;
}

CUresult releasePrimary(int device) {
  if (!validDevice(device)) return CUDA_ERROR_INVALID_DEVICE;
  Device &of = machine().devices[size_t(device)];
  if (of.primary == nullptr || of.primary->retains == 0) {
    report(check::doubleFree, "the primary context of device " + std::to_string(device) + " is not retained");
    return CUDA_ERROR_INVALID_CONTEXT;
  }
  if (--of.primary->retains > 0) return CUDA_SUCCESS;
  Context &context = *of.primary;
  of.primary = nullptr;  // first: the end may wait, and who retains it meanwhile gets a new one
  end(context);
  return CUDA_SUCCESS;
}

CUresult resetPrimary(int device) {
  if (!validDevice(device)) return CUDA_ERROR_INVALID_DEVICE;
  Device &of = machine().devices[size_t(device)];
  if (of.primary == nullptr) return CUDA_SUCCESS;
  Context &context = *of.primary;
  dropResources(context);
  if (of.primary != &context) return CUDA_SUCCESS;  // released meanwhile, on another thread
  context.error = of.lost ? CUDA_ERROR_UNKNOWN : CUDA_SUCCESS;
  makeLegacyStream(context);
  return CUDA_SUCCESS;
}

CUresult createContext(int device, unsigned flags, Context *&context) {
  context = nullptr;
  if (!validDevice(device)) return CUDA_ERROR_INVALID_DEVICE;
  if (machine().devices[size_t(device)].lost) return CUDA_ERROR_DEVICE_UNAVAILABLE;
  context = newContext(device, flags);
  stack().push_back(context);
  return CUDA_SUCCESS;
}

// A context that other threads have current stays so there, and is an error to use.
CUresult destroyContext(Context *context) {
  if (!alive(context) || context->ending) {
    report(check::badHandle, "the context to destroy is none, or was destroyed before");
    return CUDA_ERROR_INVALID_CONTEXT;
  }
  if (context->isPrimary) {
    report(check::badHandle, context->name() + " can't be destroyed, only released or reset");
    return CUDA_ERROR_INVALID_CONTEXT;
  }
  context->ending = true;
  end(*context);
  std::vector<Context *> &contexts = stack();
  if (!contexts.empty() && contexts.back() == context) contexts.pop_back();
  return CUDA_SUCCESS;
}

CUresult push(Context *context) {
  if (!alive(context)) {
    report(check::badHandle, "the context to make current is none, or was destroyed before");
    return CUDA_ERROR_INVALID_CONTEXT;
  }
  stack().push_back(context);
  return CUDA_SUCCESS;
}

CUresult pop(Context *&context) {
  context = current();
  if (context == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  stack().pop_back();
  return CUDA_SUCCESS;
}

CUresult setCurrent(Context *context) {
  std::vector<Context *> &contexts = stack();
  if (context != nullptr && !alive(context)) {
    report(check::badHandle, "the context to make current is none, or was destroyed before");
    return CUDA_ERROR_INVALID_CONTEXT;
  }
  if (!contexts.empty()) contexts.pop_back();
  if (context != nullptr) contexts.push_back(context);
  return CUDA_SUCCESS;
}

int deviceOf(const Context &context) { return context.device; }
unsigned &flagsOf(Context &context) { return context.flags; }
bool primaryActive(int device) { return primary(device) != nullptr; }
unsigned &primaryFlags(int device) { return machine().devices.at(size_t(device)).primaryFlags; }
CUresult stickyError(const Context &context) { return context.error; }

void fail(Context &context, CUresult error) {
  if (context.error == CUDA_SUCCESS) context.error = error;
}

// A GPU that falls off the bus: whatever uses its contexts gets CUDA_ERROR_UNKNOWN, as drivers answer after an Xid 79,
// and nobody gets a new context (CUDA_ERROR_DEVICE_UNAVAILABLE).
void loseDevice(int device) {
  Machine &m = machine();
  m.devices.at(size_t(device)).lost = true;
  for (auto &entry : m.contexts) {
    if (entry.second->device == device && entry.second->alive()) entry.second->error = CUDA_ERROR_UNKNOWN;
  }
}

}  // namespace sim
