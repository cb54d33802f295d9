// What the parts of the core share: the machine's state and the insides of its objects. Nobody else includes this.
//
// Objects that were destroyed stay in their tables, marked, so that a stale handle can be told from a wrong one; all of
// them go when the machine is reset.
#ifndef GPUTRAIN_SIM_CORE_STATE_H
#define GPUTRAIN_SIM_CORE_STATE_H

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/core.h"
#include "core/order.h"

namespace sim {

// ------------------------------------------------------------------------------------------------------------ work

struct HostUse;
struct Capture;

// Something queued: a piece of work, or a mark (work is null) that only orders.
struct Op {
  uint64_t sequence = 0;
  Context *context = nullptr;
  std::shared_ptr<const Doer> doer;
  Clock clock;
  std::shared_ptr<const Work> work;
  std::vector<std::shared_ptr<Op>> needs;  // that must be done before; emptied when it is done
  std::vector<Op *> dependents;            // pending work that needs this one
  size_t unmet = 0;
  uint64_t wanted = 0;                     // see force()
  CUresult fails = CUDA_SUCCESS;           // what it ends with instead of running
  bool losesDevice = false;
  uint64_t number = 0;   // collectives: among the communicator's
  bool arrived = false;  // collectives: has begun to wait for the other ranks
  std::chrono::steady_clock::time_point since{};  // collectives: when it was queued
  bool done = false;
  double time = 0;                         // on the machine's clock when it was done, in milliseconds
  std::weak_ptr<HostUse> use;
};
using OpPtr = std::shared_ptr<Op>;

// What pinned memory held, in pieces, so that a report can tell about where it changed.
class Fingerprint {
 public:
  void take(const uint8_t *begin, uint64_t bytes);
  // The first byte of the first piece that differs, or `bytes` where nothing does.
  uint64_t firstDifference(const uint8_t *begin, uint64_t bytes) const;

 private:
  std::vector<uint64_t> pieces_;
};

// Pinned memory in use by queued work, until the host knows that the work is done.
struct HostUse {
  OpPtr op;
  uint8_t *begin = nullptr;
  uint64_t bytes = 0;
  bool writes = false;
  bool watched = false;  // the host must not change it: compared with `print`
  Fingerprint print;
};

// Handles that queued work needs, until the host knows that it is done.
struct HandleUse {
  std::shared_ptr<const Doer> doer;
  std::vector<const void *> handles;
  OpPtr op;
};

// ---------------------------------------------------------------------------------------------------------- objects

struct Object {  // what every handle has
  uint64_t id = 0;
  Context *context = nullptr;
  std::string call;         // that made it
  std::string destroyedBy;  // empty: alive
  bool alive() const { return destroyedBy.empty(); }
};

struct Stream : Object {
  enum class Kind : uint8_t { Created, Legacy, PerThread };
  Kind kind = Kind::Created;
  unsigned flags = 0;
  int priority = 0;
  uint32_t lane = 0;
  Clock clock;  // of the last thing queued
  OpPtr last;
  unsigned polls = 0;  // queries in a row that found work left
  std::shared_ptr<Capture> capture;
  std::vector<size_t> frontier;  // nodes that the next captured one comes after
  bool synchronisesWithLegacy() const { return kind != Kind::Legacy && !(flags & CU_STREAM_NON_BLOCKING); }
  std::string name() const;
};

struct Event : Object {
  unsigned flags = 0;
  OpPtr recorded;  // null: never
  Clock clock;
  unsigned polls = 0;
  std::shared_ptr<Capture> capture;  // last recorded in this capture
  std::vector<size_t> frontier;
  std::string name() const { return "event #" + std::to_string(id); }
};

struct Node {
  std::shared_ptr<const Work> work;  // null: a child graph
  std::string title;
  std::vector<size_t> needs;
  std::vector<Node> child;
};

struct Graph : Object {
  std::vector<std::unique_ptr<Node>> nodes;
  std::string name() const { return "graph #" + std::to_string(id); }
};

struct GraphExec : Object {
  uint64_t graph = 0;
  std::vector<Node> nodes;  // in an order that respects `needs`; without children
  std::vector<uint32_t> lanes;  // of each node
  OpPtr last;                   // end of the last launch
  Clock clock;
  std::string name() const { return "executable graph #" + std::to_string(id); }
};

struct Capture {
  uint64_t id = 0;
  Stream *origin = nullptr;
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
  uint64_t thread = 0;
  Graph *graph = nullptr;
  std::vector<Stream *> streams;  // that take part
  std::string invalidatedBy;      // empty: valid
  bool ended = false;
};

struct Context : Object {
  int device = 0;
  unsigned flags = 0;
  bool isPrimary = false;
  unsigned retains = 0;
  bool ending = false;  // a call ends it, and may wait for work before it does
  CUresult error = CUDA_SUCCESS;  // sticky
  Stream *legacy = nullptr;
  std::map<uint64_t, Stream *> perThread;
  std::vector<Stream *> streams;  // live ones, the two default kinds too
  // What destroyed streams leave behind.
  Clock retiredBlocking, retired;
  std::vector<std::pair<OpPtr, bool>> retiredWork;  // bool: of a stream that synchronises with the legacy one
  std::string name() const;
};

struct DeviceMemory : Allocation {
  History history;
  std::string module;  // owner's name; empty: from cuMemAlloc
  bool mapped = false;  // data and shadow come from mmap
  bool freeing = false;  // a call frees it, and may wait for work before it does
};

struct PinnedMemory : HostAllocation {
  uint64_t id = 0;
  std::string call, freedBy;
  uint64_t mapped = 0;  // bytes of the mapping
  bool freeing = false;  // as with DeviceMemory
  History history;
  std::string name() const;
};

struct Device {
  DeviceProperties properties;
  Context *primary = nullptr;
  unsigned primaryFlags = 0;
  uint64_t used = 0;
  bool lost = false;
};

// An object of any library.
struct Registered {
  std::string kind, call, destroyedBy;
  uint64_t id = 0;
  const Context *context = nullptr;  // current when it was made; may be null
};

// ----------------------------------------------------------------------------------------------------------- machine

enum class Schedule : uint8_t { Random, Late, Eager };

struct Fault {
  std::string call;
  uint64_t at = 0;  // the call with this number fails
  int status = 0;
};

struct Configuration {
  uint64_t seed = 1;
  Schedule schedule = Schedule::Random;
  int devices = 1;
  DeviceProperties properties;
  std::string report;
  std::vector<Fault> faults;
  uint64_t oom = 0, timeout = 0, lost = 0;  // 0: never
  uint64_t async = 0;                       // 0: never
  int asyncStatus = 0;
  double patience = 60;
  bool traffic = false;
  std::map<std::string, std::string> options;
};

struct Finding {
  std::string check, call, message;
  uint64_t count = 0;
};

struct Leak {
  std::string kind, message;
};

struct Machine {
  explicit Machine(Configuration configuration);
  ~Machine();

  Configuration configuration;
  uint64_t epoch = 0;  // tells this machine from those before it
  uint64_t random = 0;
  double time = 0;

  // Calls.
  std::vector<const char *> calls;  // open ones, the outermost first
  std::string detail;               // of the work being queued
  const Op *running = nullptr;
  bool inHostFunction = false;

  // Objects.
  std::vector<Device> devices;
  std::map<const Context *, std::unique_ptr<Context>> contexts;
  std::map<const Stream *, std::unique_ptr<Stream>> streams;
  std::map<const Event *, std::unique_ptr<Event>> events;
  std::map<const Graph *, std::unique_ptr<Graph>> graphs;
  std::map<const GraphExec *, std::unique_ptr<GraphExec>> execs;
  std::map<const void *, Registered> registered;
  std::map<std::string, uint64_t> ids;  // last number given out, by kind
  std::vector<std::shared_ptr<Capture>> captures;

  // Memory.
  std::map<uint64_t, std::unique_ptr<DeviceMemory>> memory;
  std::map<const uint8_t *, std::unique_ptr<PinnedMemory>> pinned;
  uint64_t bytes = 0, peak = 0;

  // Work.
  std::map<uint64_t, OpPtr> pending;
  std::vector<Op *> ready;
  std::vector<Op *> waiting;               // collectives that have arrived; other ranks haven't
  std::map<const void *, OpPtr> lastOf;    // each communicator's last collective
  unsigned sleepers = 0;                   // threads that have given up the lock
  bool ending = false;                     // simReset waits for them: all waits end
  uint64_t sequence = 0, wants = 0;
  uint64_t completed = 0;  // pieces of work and marks
  uint32_t lanes = 0;
  std::vector<uint64_t> ticks;  // of each lane
  Clock host;
  std::vector<std::shared_ptr<HostUse>> hostUses;
  std::deque<HandleUse> handleUses;
  uint64_t kernels = 0, works = 0, allocations = 0, collectives = 0;

  // Results.
  std::vector<Finding> findings;
  std::map<std::string, size_t> findingIndex;
  uint64_t findingsDropped = 0;
  std::vector<Leak> leaks;  // found when a context went
  std::map<std::string, uint64_t> counters;
  bool reportUrgent = false, reportStale = false;
  bool silent = false;  // nothing is reported: a context that a fatal error ended goes, with what could not be freed
  std::chrono::steady_clock::time_point nextReport{};
};

Machine &machine();
std::recursive_mutex &machineLock();

// ----------------------------------------------------------------------------------- what the parts offer each other

// call.cpp
void reportFor(const std::string &call, const char *check, const std::string &message);
std::string callName();  // for reports: of the outermost open call, or of the work that runs
uint64_t nextId(const char *kind);
uint64_t threadNumber();
template <class T>
void stamp(T &object, const char *kind, Context *context) {
  object.id = nextId(kind);
  object.context = context;
  object.call = callName();
}
bool oneIn(uint64_t n);
// Names the work being queued in reports while it lives.
class Detail {
 public:
  explicit Detail(const std::string &detail);
  ~Detail();
  Detail(const Detail &) = delete;
  Detail &operator=(const Detail &) = delete;

 private:
  std::string before_;
};

// config.cpp
bool configure(const std::string &text, Configuration &configuration, std::string &error);

// report.cpp
void addLeaks(const Context *only, std::vector<Leak> &leaks);  // null: everything
void writeReportWhenDue();  // after a call
void writeStaleReport();

// background.cpp
void startBackground();

// context.cpp
void fail(Context &context, CUresult error);  // makes it sticky
void loseDevice(int device);
Context *newContext(int device, unsigned flags);

// memory.cpp
DeviceMemory *findMemory(uint64_t address);
std::string bufferName(const DeviceMemory &buffer);
void dropMemory(Context &context);

// host.cpp
PinnedMemory *findPinned(const void *address, bool alsoFreed = false);
CUresult checkHostRange(const Work &work);
void useHost(const OpPtr &op);           // when queued
void beforeHostUse(Op &op);              // when it is about to run
void afterHostUse(Op &op);               // when it has run
void hostSees(const Clock &clock);       // the host has waited for all of `clock`
void dropPinned(Context &context);

// access.cpp
CUresult checkAccesses(const std::vector<Access> &accesses, const Context *context);
void checkOverlaps(const std::vector<Access> &accesses);
bool checkLife(const Work &work);  // false, with a finding: some of its memory was freed
void beforeRun(const Op &op);
void afterRun(const Op &op);
void orderAccesses(const Op &op, const std::vector<Access> &accesses);
void reportConflicts(const Op &op, const std::string &what, bool writes, const std::string &buffer, uint64_t base,
                     const std::vector<Conflict> &conflicts);
void noise(uint8_t *begin, uint64_t bytes);

// traffic.cpp
void countTraffic(const Op &op, const std::vector<Access> &touched);  // when it has run; `touched`: what it found out

// handle.cpp
void useHandles(const OpPtr &op);         // when queued
void dropModules(const Context &context);
bool checkHandlesLive(const Work &work);  // false, with a finding: one was destroyed

// schedule.cpp
uint32_t newLane();
// Queues a mark or work on a stream, after what the stream, the legacy stream's rules and `needs` say.
OpPtr queue(Stream &stream, std::shared_ptr<const Work> work, const std::string &title, const std::vector<OpPtr> &needs,
            const Clock *after);
OpPtr newOp(Context &context, std::shared_ptr<const Work> work, const std::string &title, const std::string &where,
            uint32_t lane, Clock clock, std::vector<OpPtr> needs);
enum class Missing : uint8_t { Wait, Leave };  // what to do where other ranks haven't come: wait, or leave work undone
void force(const std::vector<OpPtr> &targets, Missing missing = Missing::Wait);
void forceWhere(const std::function<bool(const Op &)> &wanted, Missing missing = Missing::Wait);
void stir();  // runs some work, by chance
void settle();  // eager: runs everything
bool finished(const OpPtr &op);  // or null

// capture.cpp
CUresult captureStanding(Stream &stream);  // whether work can be queued on it now, as far as captures go
void invalidate(Capture &capture);
void leaveCapture(Stream &stream);  // that is destroyed
CUresult captureRecord(Event &event, Stream &stream);
bool captureWait(Stream &stream, Event &event, CUresult &status);  // false: nothing to do with a capture
void addCaptured(Stream &stream, Node node);

}  // namespace sim

#endif
