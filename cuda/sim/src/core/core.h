// The heart of the CUDA machine in software: memory, contexts, streams, events, graphs, checks, faults and counters.
// libcuda.so.1 holds it and the driver API over it (src/driver); libcudnn.so.9, libcublas.so.12 and libnccl.so.2 link
// against that library and use this header alone.
//
// One lock guards the machine: a Call takes it for the length of an API call. Queued work runs inside of calls, as late
// and in as odd an order as streams, events and the seed allow; host functions and collectives also where nobody calls,
// on a thread of the machine's own. A call that has to wait for other ranks gives up the lock meanwhile. All threads of a
// program count as one when it comes to order: what one of them has waited for, all have, since how they wait for each
// other can't be seen.
//
// What a program does wrong becomes a finding (report), and where real libraries would notice, a status too.
#ifndef GPUTRAIN_SIM_CORE_H
#define GPUTRAIN_SIM_CORE_H

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cuda.h"

#define SIM_SHARED __attribute__((visibility("default")))

namespace sim {

#pragma GCC visibility push(default)

// ----------------------------------------------------------------------------------------------------------- calls

enum class Library : uint8_t { Driver, Dnn, Blas, Nccl };

// Opened first thing in every exported function. Takes the machine's lock, counts the call, may run some queued work,
// and names the call in whatever is reported until it closes. Calls nest: one made by another library is not counted.
class Call {
 public:
  Call(Library library, const char *name);
  ~Call();
  Call(const Call &) = delete;
  Call &operator=(const Call &) = delete;
  // The status that a fault on demand wants this call to fail with, in the library's own numbers; 0: none.
  int fault() const { return fault_; }

 private:
  int fault_ = 0;
};

// Records a finding: `check` is one of the names below, `message` a sentence that tells the buffer, sizes and values.
// The call is added by itself: the one that runs now or, while queued work runs, the one that queued it.
void report(const char *check, const std::string &message);

// Names of checks, as reports and tests write them.
namespace check {
inline constexpr char
    outOfBounds[] = "out of bounds", useAfterFree[] = "use after free", doubleFree[] = "double free",
    badFree[] = "bad free", uninitialised[] = "uninitialised read", streamRace[] = "missing synchronisation",
    pinnedReuse[] = "pinned buffer reused too early", noContext[] = "no current context",
    wrongContext[] = "wrong context", hostPointer[] = "host pointer passed as device pointer",
    devicePointer[] = "device pointer passed as host pointer", descriptor[] = "descriptor mismatch",
    workspace[] = "workspace too small", capture[] = "illegal call during capture", leak[] = "leak",
    badHandle[] = "bad handle", launch[] = "bad launch", misaligned[] = "misaligned address",
    freeInUse[] = "freed while in use", overlap[] = "overlapping buffers", badValue[] = "bad value",
    hostFunction[] = "CUDA call in a host function", mismatch[] = "mismatched collective",
    missingRank[] = "missing rank", neededByGraphs[] = "communicator needed by graphs";
}  // checks of kernels bear ptx::name(Kind): "shared-memory race", "barrier divergence", ...

// ---------------------------------------------------------------------------------------------------------- device

struct DeviceProperties {
  std::string name;  // "NVIDIA A100 (simulated)": always says so
  int major = 8, minor = 0, multiprocessors = 108, sharedPerBlockOptin = 166912;
  uint64_t memory = uint64_t(2) << 30;
};

int deviceCount();                              // after configuration; 0: no GPU
const DeviceProperties &properties(int device);

// -------------------------------------------------------------------------------------------------------- contexts

struct Context;  // CUcontext points to one
struct Stream;   // CUstream points to one
struct Event;    // CUevent points to one
struct Graph;    // CUgraph
struct GraphExec;  // CUgraphExec

// The calling thread's context; null where it has none.
Context *current();
// The same, but its absence is a finding. `status` gets CUDA_ERROR_INVALID_CONTEXT or the context's sticky error.
Context *need(CUresult &status);
Context *primary(int device);  // null: not retained
CUresult retainPrimary(int device, Context *&context);
CUresult releasePrimary(int device);
CUresult resetPrimary(int device);
CUresult createContext(int device, unsigned flags, Context *&context);  // and pushes it
CUresult destroyContext(Context *context);
CUresult push(Context *context);
CUresult pop(Context *&context);
CUresult setCurrent(Context *context);  // null: unbinds
bool alive(const Context *context);
int deviceOf(const Context &context);
unsigned &flagsOf(Context &context);
bool primaryActive(int device);
unsigned &primaryFlags(int device);
// The error after which the context does nothing any more (illegal address, launch failure, lost device); or success.
CUresult stickyError(const Context &context);

// ---------------------------------------------------------------------------------------------------------- memory

// One cuMemAlloc, live or freed. Device addresses lie in a reserved range that the CPU can't touch and are never given
// out twice; between two allocations there is always a gap.
struct Allocation {
  uint64_t id = 0, address = 0, bytes = 0;
  Context *context = nullptr;
  uint8_t *data = nullptr;    // backing memory; null once freed
  uint8_t *shadow = nullptr;  // bit 0 of byte i: somebody wrote byte i
  std::string call;           // that made it
  std::string freedBy;        // call that freed it; empty: live
  bool writable = true;       // false: a module's constants
};

bool isDeviceAddress(uint64_t address);  // in the reserved range, allocated or not
Allocation *find(uint64_t address);      // the live or freed allocation that holds the address, or null
std::string describe(uint64_t address);  // "buffer #7 (4096 bytes, cuMemAlloc_v2) + 16", "4 bytes past the end of ..."

CUresult allocate(Context &context, uint64_t bytes, uint64_t &address);  // CUDA_ERROR_OUT_OF_MEMORY, faults on demand
CUresult release(uint64_t address);                                      // finds double and bad frees, frees in use
void memoryInfo(Context &context, uint64_t &free, uint64_t &total);
Allocation *allocateForModule(Context &context, uint64_t bytes, bool writable, const std::string &name);
void releaseForModule(Allocation *allocation);

CUresult allocateHost(Context &context, uint64_t bytes, unsigned flags, void *&address);
CUresult releaseHost(void *address);
CUresult registerHost(Context &context, void *address, uint64_t bytes, unsigned flags);
CUresult unregisterHost(void *address);
struct HostAllocation {
  uint8_t *address = nullptr;
  uint64_t bytes = 0;
  unsigned flags = 0;
  Context *context = nullptr;
  bool registered = false;  // by cuMemHostRegister
};
const HostAllocation *findHost(const void *address);  // pinned memory that holds the address, or null

// Bytes of device memory that queued work touches.
enum class Mode : uint8_t {
  Read,     // every byte must have been written before
  Write,    // every byte is overwritten, whatever it was
  Update,   // read, then written
  Scratch,  // a workspace: contents are neither expected nor left behind
};
struct Access {
  uint64_t address = 0, bytes = 0;
  Mode mode = Mode::Read;
  std::string what;  // the parameter's name: "x", "workSpace"
  bool spare = false;  // the call takes it and can do without: it is checked, and is no memory traffic
};

// The backing memory of a device address, for use inside of Work::run and only within its accesses.
uint8_t *data(uint64_t address);
template <class T>
T *at(uint64_t address) {
  return reinterpret_cast<T *>(data(address));
}

// ------------------------------------------------------------------------------------------------- streams and work

// The stream that a handle means: null and CU_STREAM_LEGACY are the context's legacy default stream,
// CU_STREAM_PER_THREAD the thread's. Null, a finding and `status` where there is none, or where the handle is another
// context's.
Stream *resolve(CUstream handle, CUresult &status);
CUstream handleOf(Stream &stream);  // what a caller would pass for it
Context *contextOf(Stream &stream);

// What several GPUs do together, each its part: work that waits for others outside of this machine. It runs in two steps.
// When everything before it is done it arrives; when all others have arrived too, it runs.
class Collective {
 public:
  virtual ~Collective() = default;
  // Whose it is. A communicator's collectives run in the order in which they were queued, whatever streams they are on.
  // A program must not rely on it: who uses a result has to wait for its stream.
  virtual const void *communicator() const = 0;
  // Called when it is queued, so once for each launch of a graph. Returns its number among the communicator's.
  // `failure`: the status, in the library's numbers, that it fails with on demand; 0: none.
  virtual uint64_t queued(int failure) = 0;
  // Whether it can run. Called again and again; `first` once for each number, when it arrives.
  virtual bool arrives(uint64_t number, bool first) = 0;
  virtual CUresult run(uint64_t number) = 0;
  // For a finding, after a wait that was too long: "rank 2 of ... did not come to ...".
  virtual std::string missing(uint64_t number) const = 0;
};

// One piece of work on a stream: what a kernel launch, a copy or a library call does on the device.
struct Work {
  std::string detail;             // told in reports after the call's name: "bias_add<<<(4,1,1),(256,1,1)>>>"
  std::vector<Access> accesses;   // checked when queued (bounds, life) and when run (also initialised, ordered)
  std::vector<const void *> handles;  // modules, graphs, descriptors: whatever must live until it has run
  // Pinned host memory read or written when it runs (null: none). What a program changes of `hostRead` between the call
  // and the run is a finding; `hostWrite` is filled with noise until it is written.
  const void *hostRead = nullptr;
  void *hostWrite = nullptr;
  uint64_t hostBytes = 0;
  std::function<CUresult()> run;  // may be called many times where it was captured; an error makes the context sticky
  // Kernels only: finds out while running what it touches, and does its own bounds and initialisation checks.
  std::function<CUresult(std::vector<Access> &touched)> runAndTell;
  std::shared_ptr<Collective> collective;  // instead of both; null: the work waits for nobody else
  // "kernel", "memcpy HtoD", "memset", "dnn", "blas", "nccl", "host function": see counters
  const char *counter = "";
  uint64_t counterBytes = 0;      // for copies and collectives
  bool hostFunction = false;
};

// Checks the accesses, then queues the work, or adds it to the graph being captured. On an error nothing is queued:
// CUDA_ERROR_INVALID_VALUE for an access that isn't device memory. A thing wrong with an access is a finding as well.
CUresult enqueue(Stream &stream, Work work);
// Waits for the collectives that a communicator has queued.
CUresult finishCollectives(const void *communicator);
// Inside of a call, gives up the machine's lock for that long, so that other threads' calls go on. False: at once, since
// the machine is about to be reset. What the caller knows of the machine may have changed afterwards.
bool letOthersRun(unsigned microseconds);
double patience();  // seconds that a wait for other ranks may take

// Checks accesses alone, for calls that do nothing else with them.
CUresult checkAccesses(const std::vector<Access> &accesses);

CUresult createStream(Context &context, unsigned flags, int priority, Stream *&stream);
CUresult destroyStream(Stream *stream);
unsigned flagsOf(const Stream &stream);
int priorityOf(const Stream &stream);
uint64_t idOf(const Stream &stream);
CUresult query(Stream &stream);                  // CUDA_ERROR_NOT_READY while work is left
CUresult synchronize(Stream &stream);
CUresult synchronize(Context &context);

CUresult createEvent(Context &context, unsigned flags, Event *&event);
CUresult destroyEvent(Event *event);
Event *resolve(CUevent handle, CUresult &status);
CUresult record(Event &event, Stream &stream);
CUresult wait(Stream &stream, Event &event);
CUresult query(Event &event);
CUresult synchronize(Event &event);
CUresult elapsed(Event &start, Event &end, float &milliseconds);

// ------------------------------------------------------------------------------------------------ capture and graphs

CUresult beginCapture(Stream &stream, CUstreamCaptureMode mode);
CUresult endCapture(Stream &stream, Graph *&graph);
CUstreamCaptureStatus captureStatus(const Stream &stream, uint64_t &id);
CUstreamCaptureMode exchangeCaptureMode(CUstreamCaptureMode mode);  // of the calling thread
// For calls that allocate, free, synchronise or query: while a capture forbids them (by mode and thread) a finding, the
// capture is invalidated and CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED (900) or ..._UNSAFE (as CUDA does) comes back.
CUresult allowedDuringCapture();
CUresult allowedDuringCapture(Stream &stream);  // calls on one stream: 900 where that stream is capturing
Graph *createGraph();
Graph *resolve(CUgraph handle, CUresult &status);
CUresult destroyGraph(Graph *graph);
size_t nodeCount(const Graph &graph);
CUgraphNode node(const Graph &graph, size_t index);
CUresult instantiate(Graph &graph, GraphExec *&exec);
GraphExec *resolve(CUgraphExec handle, CUresult &status);
CUresult launchGraph(GraphExec &exec, Stream &stream);
CUresult destroyGraphExec(GraphExec *exec);
// The name of a live graph or executable graph with work that needs the handle; empty: none.
std::string graphThatNeeds(const void *handle);

// ------------------------------------------------------------------------------------------------ handles and counters

// Objects of any library that must be destroyed before the end: an object never destroyed is a leak. `kind` as the API
// calls it: "cudnnHandle_t", "CUmodule".
void born(const void *object, const char *kind);
// Whether a live object of that kind; a finding (bad handle) where it isn't, which tells "destroyed by CALL" if it was.
bool check_(const void *object, const char *kind);
// Ends it. Reported where queued work or a live graph still needs it (Work::handles): freed while in use.
void died(const void *object);
// Ends it, and waits for nothing: work that is queued goes on without it.
void abandoned(const void *object);

void count(const std::string &counter, uint64_t amount = 1);

// A number from the schedule's seed, to shake what a library leaves open.
uint64_t chance();
uint64_t seed();  // of the schedule
// Whether optional behaviour named so is on: configuration "allow=NAME".
std::string option(const char *name, const char *otherwise);
int driverVersion();  // 12040: what cuDriverGetVersion says

// Has `hook` called by every simReset, with the lock held and the old machine gone, so that a library can drop what it
// kept of its own objects.
void onReset(void (*hook)());

#pragma GCC visibility pop

}  // namespace sim

// ----------------------------------------------------------------------------------------------------------- control

// How tests reach the machine. The configuration is read from the environment variable GPUTRAIN_SIM when the library is
// loaded, as "key=value" pairs split by commas or line ends:
//
//   seed=N            of the schedule (1)
//   schedule=late     work waits until it must run (default: random, from the seed); "eager": runs at once
//   devices=N         (1)          memory=BYTES   of each device (2147483648); K, M and G are understood
//   cc=8.0            compute capability       name=...  sms=N
//   driver=12040      cuDriverGetVersion
//   fault=CALL@N=STATUS  the Nth call (from 1) of CALL fails with STATUS (a number); may be given many times
//   oom=N             the Nth device allocation fails
//   timeout=N         the Nth kernel launch times out
//   lost=N            the device is lost at the Nth piece of work: its contexts answer CUDA_ERROR_UNKNOWN from then on,
//                     new ones CUDA_ERROR_DEVICE_UNAVAILABLE
//   async=N:STATUS    the Nth collective that is queued never ends by itself, and its communicator's asynchronous error
//                     becomes STATUS
//   patience=SECONDS  how long a wait for other ranks may take (60) until it is a finding and the context ends with
//                     CUDA_ERROR_LAUNCH_TIMEOUT
//   traffic=1         count the memory traffic of all work that runs, by NAME: "kernel bias_add",
//                     "cudnnConvolutionForward", "memcpy HtoD". "launches NAME" is how often it ran, "traffic read NAME"
//                     and "traffic written NAME" are bytes: each launch counts every sector of 32 bytes once
//   report=PATH       write the report there at exit (a process that ends without exit handlers, as Go's do, leaves the
//                     one of its last calls)
//   allow=NAME        or NAME:VALUE, for option(); likewise cudnn=N, cublas=N and nccl=N, versions of these
//                     libraries.
//                     cublaslt-without:N+M+...: cuBLASLt has no algorithm for the epilogues with these numbers
//                     nccl-mixed-capture: a collective may be captured on some ranks and not on others
//                     cublaslt-relu:max: the ReLU of cuBLASLt turns a NaN into 0, as fmaxf does
extern "C" {
// A fresh machine with this configuration over that of the environment; everything of the old one is gone, handles too.
// 0, or -1 for a configuration that can't be read (simError tells why).
SIM_SHARED int simReset(const char *configuration);
SIM_SHARED const char *simError(void);
// The report as JSON:
// {"findings":[{"check","call","message","count"}],"leaks":[{"kind","message"}],"counters":{"name":n}}.
// `final` != 0: everything that lives now is a leak. The text lives until the next simReport on any thread.
SIM_SHARED const char *simReport(int final);
// Changes keys that may change while it runs: fault, oom, timeout, lost, async. Ns count from now.
SIM_SHARED int simSet(const char *configuration);
}

#endif
