// The functions that libnccl exports.
#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <random>
#include <vector>

#include "nccl/communicator.h"

using namespace sim;
using nccl::Board;
using nccl::Communicator;
using nccl::Request;

namespace {

constexpr char kMagic[] = "gputrain-sim:";  // a unique identifier is this and the path of the file where ranks meet
constexpr char kPrefix[] = "gputrain-nccl-";  // of the file's name, before the number of the process that made it
constexpr time_t kOld = 60;                 // seconds after which a file of a process that is gone is of no use
constexpr unsigned kPause = 500;            // microseconds between two looks for ranks that haven't joined

// Kept until a reset, so that a destroyed communicator's address is not given out again.
std::vector<std::shared_ptr<Communicator>> &communicators() {
  static std::vector<std::shared_ptr<Communicator>> all;
  return all;
}

// The files of the identifiers that this process has made. Those that are still there go with the machine.
struct Made {
  ~Made() { remove(); }
  void remove() {
    for (const std::string &path : paths) {
      if (process == getpid()) unlink(path.c_str());
    }
    paths.clear();
  }
  std::vector<std::string> paths;
  pid_t process = 0;
};

Made &made() {
  static Made files;
  return files;
}

const bool hooked = [] {
  onReset([] {
    communicators().clear();
    made().remove();
  });
  return true;
}();

uint64_t addressOf(const void *pointer) { return reinterpret_cast<uint64_t>(pointer); }

ncclResult_t refuse(const char *check, const std::string &message, ncclResult_t status = ncclInvalidArgument) {
  report(check, message);
  nccl::setLastError(message);
  return status;
}

// A call of CUDA that failed, which has told why.
ncclResult_t cudaFailed(CUresult status) {
  nccl::setLastError("Cuda failure " + std::to_string(int(status)));
  return status == CUDA_ERROR_INVALID_VALUE ? ncclInvalidArgument : ncclUnhandledCudaError;
}

// The live communicator of a handle; null, a finding and `status` otherwise.
std::shared_ptr<Communicator> use(ncclComm_t comm, ncclResult_t &status) {
  status = ncclInvalidArgument;
  if (!check_(comm, nccl::kKind)) {
    nccl::setLastError("comm argument is no live communicator");
    return nullptr;
  }
  for (const auto &communicator : communicators()) {
    if (static_cast<void *>(communicator.get()) != comm) continue;
    status = ncclSuccess;
    return communicator;
  }
  return nullptr;
}

// The folder for a path that must fit into the identifier.
std::string temporaryFolder() {
  const char *folder = std::getenv("TMPDIR");
  return folder == nullptr || *folder != '/' || std::strlen(folder) > 60 ? "/tmp" : folder;
}

// Removes files of processes that were killed before all ranks had joined.
void removeOldFiles(const std::string &folder) {
  DIR *all = opendir(folder.c_str());
  if (all == nullptr) return;
  while (const dirent *entry = readdir(all)) {
    if (std::strncmp(entry->d_name, kPrefix, std::strlen(kPrefix)) != 0) continue;
    const long process = std::strtol(entry->d_name + std::strlen(kPrefix), nullptr, 10);
    const std::string path = folder + "/" + entry->d_name;
    struct stat about = {};
    if (process <= 0 || lstat(path.c_str(), &about) != 0 || !S_ISREG(about.st_mode)) continue;
    const bool dead = ::kill(pid_t(process), 0) != 0 && errno == ESRCH;
    if (dead && std::time(nullptr) - about.st_mtime > kOld) unlink(path.c_str());
  }
  closedir(all);
}

// Waits until no graph holds a collective of the communicator any more, as NCCL does: only then it can free what their
// launches need. Other threads may destroy the graphs meanwhile. False, with a finding: that took too long.
bool waitForGraphs(const Communicator &communicator) {
  const auto begin = std::chrono::steady_clock::now();
  for (;;) {
    const std::string graph = graphThatNeeds(&communicator);
    if (graph.empty()) return true;
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    if (taken.count() > patience()) {
      report(check::neededByGraphs, communicator.name + " waits for " + graph +
                                        " to be destroyed, which holds collectives of it, and nobody does that");
      return false;
    }
    if (!letOthersRun(kPause)) return false;
  }
}

// Waits until all ranks have joined.
ncclResult_t waitForAll(Communicator &communicator) {
  Board &board = *communicator.board;
  const auto begin = std::chrono::steady_clock::now();
  while (!board.absent().empty()) {
    if (board.refused() != ncclSuccess) {
      nccl::setLastError(communicator.name + ": another rank could not join");
      board.giveUp();
      return board.refused();
    }
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    if (taken.count() > patience()) {
      board.giveUp();
      return refuse(check::missingRank,
                    nccl::listed(board.absent()) + " of " + std::to_string(communicator.ranks) + " did not join " +
                        communicator.name + ", which rank " + std::to_string(communicator.rank) + " waits for",
                    ncclSystemError);
    }
    if (letOthersRun(kPause)) continue;
    board.giveUp();
    return ncclSystemError;
  }
  return ncclSuccess;
}

ncclResult_t checkBuffers(const Communicator &communicator, const Request &request, uint64_t send, uint64_t receive) {
  const size_t size = nccl::sizeOf(int(request.type));
  if (size == 0) return refuse(check::badValue, "datatype is " + std::to_string(request.type));
  if (request.op > ncclMin) return refuse(check::badValue, "op is " + std::to_string(request.op));
  if (request.root < 0 || request.root >= communicator.ranks) {
    return refuse(check::badValue, "root is " + std::to_string(request.root) + ", and there are " +
                                       std::to_string(communicator.ranks) + " ranks");
  }
  if (request.count > nccl::kRoom / size) {
    return refuse(check::badValue, "count is " + std::to_string(request.count) + ", more than the simulator takes");
  }
  const bool brings = request.kind != Request::Broadcast || request.root == communicator.rank;
  for (const uint64_t address : {brings ? send : receive, receive}) {
    if (address % size == 0) continue;
    return refuse(check::misaligned, describe(address) + " is not aligned to elements of " + std::to_string(size) +
                                         " bytes");
  }
  return ncclSuccess;
}

ncclResult_t start(const std::shared_ptr<Communicator> &communicator, Request request, const void *sendbuff,
                   void *recvbuff, cudaStream_t stream) {
  CUresult bound = CUDA_SUCCESS;
  Context *context = need(bound);
  if (context == nullptr) return cudaFailed(bound);
  if (context != communicator->context) {
    return refuse(check::wrongContext, communicator->name + " was made in another context than the one that is current",
                  ncclInvalidUsage);
  }
  Stream *on = resolve(stream, bound);
  if (on == nullptr) return cudaFailed(bound);
  if (communicator->error != ncclSuccess) return communicator->error;
  const uint64_t send = addressOf(sendbuff), receive = addressOf(recvbuff);
  const ncclResult_t status = checkBuffers(*communicator, request, send, receive);
  if (status != ncclSuccess || request.count == 0) return status;
  uint64_t capture = 0;
  request.captured = captureStatus(*on, capture) != CU_STREAM_CAPTURE_STATUS_NONE;
  const CUresult queued = enqueue(*on, nccl::collectiveWork(communicator, request, send, receive));
  return queued == CUDA_SUCCESS ? ncclSuccess : cudaFailed(queued);
}

}  // namespace

// Opens a function: counts the call, injects faults.
#define SIM_NCCL_ENTER()                        \
  sim::Call call(sim::Library::Nccl, __func__); \
  if (call.fault()) return static_cast<ncclResult_t>(call.fault())

// The same, and finds the communicator as `state`.
#define SIM_NCCL_ENTER_WITH(comm)                               \
  SIM_NCCL_ENTER();                                             \
  ncclResult_t entered = ncclSuccess;                           \
  const std::shared_ptr<Communicator> state = use(comm, entered); \
  if (state == nullptr) return entered

extern "C" {

SIM_SHARED ncclResult_t ncclGetVersion(int *version) {
  SIM_NCCL_ENTER();
  if (version == nullptr) return refuse(check::badValue, "version is NULL");
  *version = int(std::strtol(option("nccl", "22103").c_str(), nullptr, 10));
  return ncclSuccess;
}

SIM_SHARED ncclResult_t ncclGetUniqueId(ncclUniqueId *uniqueId) {
  SIM_NCCL_ENTER();
  if (uniqueId == nullptr) return refuse(check::badValue, "uniqueId is NULL");
  std::random_device random;
  const std::string folder = temporaryFolder();
  removeOldFiles(folder);
  std::memset(uniqueId, 0, sizeof *uniqueId);
  std::snprintf(uniqueId->internal, sizeof uniqueId->internal, "%s%s/%s%d-%08x%08x", kMagic, folder.c_str(), kPrefix,
                int(getpid()), unsigned(random()), unsigned(random()));
  const std::string path = uniqueId->internal + std::strlen(kMagic);
  std::string error;
  if (!Board::create(path, error)) {
    nccl::setLastError(error);
    return ncclSystemError;
  }
  made().paths.push_back(path);
  made().process = getpid();
  return ncclSuccess;
}

SIM_SHARED ncclResult_t ncclCommInitRank(ncclComm_t *comm, int nranks, ncclUniqueId commId, int rank) {
  SIM_NCCL_ENTER();
  if (comm == nullptr) return refuse(check::badValue, "comm is NULL");
  *comm = nullptr;
  CUresult bound = CUDA_SUCCESS;
  Context *context = need(bound);
  if (context == nullptr) return cudaFailed(bound);
  if (bound = allowedDuringCapture(); bound != CUDA_SUCCESS) return cudaFailed(bound);
  if (nranks < 1 || nranks > nccl::kRanks) {
    return refuse(check::badValue, "nranks is " + std::to_string(nranks) + ", not 1 to " + std::to_string(nccl::kRanks));
  }
  if (rank < 0 || rank >= nranks) {
    return refuse(check::badValue, "rank is " + std::to_string(rank) + ", and there are " + std::to_string(nranks));
  }
  const std::string id(commId.internal, strnlen(commId.internal, sizeof commId.internal));
  if (id.rfind(kMagic, 0) != 0) return refuse(check::badValue, "commId is none that ncclGetUniqueId has made");
  auto communicator = std::make_shared<Communicator>();
  communicator->name = "communicator " + id.substr(id.size() - 6);
  communicator->context = context;
  communicator->rank = rank;
  communicator->ranks = nranks;
  ncclResult_t status = ncclSuccess;
  std::string error;
  communicator->board = Board::join(id.substr(std::strlen(kMagic)), nranks, rank, deviceOf(*context), status, error);
  if (communicator->board == nullptr) {
    const std::string message = communicator->name + ": " + error;
    nccl::setLastError(message);
    return status == ncclSystemError ? status : refuse(check::badValue, message, status);
  }
  if (status = waitForAll(*communicator); status != ncclSuccess) return status;
  communicators().push_back(communicator);
  born(communicator.get(), nccl::kKind);
  *comm = reinterpret_cast<ncclComm_t>(communicator.get());
  return ncclSuccess;
}

// Waits for what is queued, and for the end of all graphs with collectives of it, as NCCL's does.
SIM_SHARED ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  SIM_NCCL_ENTER_WITH(comm);
  if (const CUresult allowed = allowedDuringCapture(); allowed != CUDA_SUCCESS) return cudaFailed(allowed);
  const CUresult status = finishCollectives(state.get());
  if (waitForGraphs(*state)) {
    died(state.get());
  } else {
    abandoned(state.get());
  }
  if (state->board != nullptr) state->board->leave();
  state->board.reset();
  return status == CUDA_SUCCESS ? ncclSuccess : cudaFailed(status);
}

// From any thread, also while another one waits: what is queued ends, and nobody may use its results. Then it waits for
// the end of all graphs with collectives of it.
SIM_SHARED ncclResult_t ncclCommAbort(ncclComm_t comm) {
  SIM_NCCL_ENTER_WITH(comm);
  state->board.reset();  // so the other ranks see that this one is gone
  abandoned(state.get());
  waitForGraphs(*state);
  return ncclSuccess;
}

SIM_SHARED ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *asyncError) {
  SIM_NCCL_ENTER_WITH(comm);
  if (asyncError == nullptr) return refuse(check::badValue, "asyncError is NULL");
  const int lost = state->error == ncclSuccess ? state->board->lost() : -1;
  if (lost >= 0) nccl::fail(*state, ncclRemoteError, "rank " + std::to_string(lost) + " is gone");
  *asyncError = state->error;
  return ncclSuccess;
}

SIM_SHARED const char *ncclGetLastError(ncclComm_t) {
  const Call call(Library::Nccl, __func__);
  thread_local std::string text;  // what other threads' calls set later doesn't change it
  text = nccl::lastError();
  return text.c_str();
}

SIM_SHARED ncclResult_t ncclAllReduce(const void *sendbuff, void *recvbuff, size_t count, ncclDataType_t datatype,
                                      ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream) {
  SIM_NCCL_ENTER_WITH(comm);
  Request request;
  request.kind = Request::AllReduce;
  request.type = uint32_t(datatype);
  request.op = uint32_t(op);
  request.count = count;
  return start(state, request, sendbuff, recvbuff, stream);
}

SIM_SHARED ncclResult_t ncclBroadcast(const void *sendbuff, void *recvbuff, size_t count, ncclDataType_t datatype,
                                      int root, ncclComm_t comm, cudaStream_t stream) {
  SIM_NCCL_ENTER_WITH(comm);
  Request request;
  request.kind = Request::Broadcast;
  request.type = uint32_t(datatype);
  request.root = root;
  request.count = count;
  return start(state, request, sendbuff, recvbuff, stream);
}

}  // extern "C"
