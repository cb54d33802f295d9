#include "nccl/board.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace sim::nccl {

namespace {

constexpr uint64_t kMagic = 0x6c63636e6d6973;  // "simnccl"

// Processes can share these alone.
static_assert(std::atomic<uint64_t>::is_always_lock_free && std::atomic<uint32_t>::is_always_lock_free);

enum State : uint32_t { Absent, Joined, Left, Aborted };

struct Post {
  std::atomic<uint64_t> number;  // what was posted last; 0: nothing
  uint32_t kind, type, op;
  int32_t root;
  uint32_t captured;
  uint64_t count;
};

struct Member {
  std::atomic<uint32_t> state;
  int32_t process, device;
  uint64_t started;  // when the process was: another one may get its number
  Post posts[2];
};

// Whether a process lives and when it was started, as /proc tells.
bool process(int number, uint64_t &started) {
  char path[32], text[1024];
  std::snprintf(path, sizeof path, "/proc/%d/stat", number);
  FILE *file = std::fopen(path, "r");
  if (file == nullptr) return false;
  const size_t size = std::fread(text, 1, sizeof text - 1, file);
  std::fclose(file);
  text[size] = 0;
  const char *at = std::strrchr(text, ')');  // the end of its name, which may hold anything
  char state = 0;
  unsigned long long start = 0;
  const char *format = ") %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu";
  if (at == nullptr || std::sscanf(at, format, &state, &start) != 2) return false;
  started = start;
  return state != 'Z' && state != 'X';
}

bool lives(const Member &member) {
  if (member.process == getpid()) return true;
  uint64_t started = 0;
  return process(member.process, started) && started == member.started;
}

// While one lives, no other rank joins.
class Exclusive {
 public:
  explicit Exclusive(int file) : file_(file) {
    while (flock(file, LOCK_EX) != 0 && errno == EINTR) continue;
  }
  ~Exclusive() { flock(file_, LOCK_UN); }
  Exclusive(const Exclusive &) = delete;
  Exclusive &operator=(const Exclusive &) = delete;

 private:
  int file_;
};

const char *nameOf(uint32_t type) {
  constexpr const char *kNames[] = {"ncclInt8",    "ncclUint8",   "ncclInt32",   "ncclUint32",  "ncclInt64",
                                    "ncclUint64",  "ncclFloat16", "ncclFloat32", "ncclFloat64", "ncclBfloat16"};
  return type < 10 ? kNames[type] : "of an unknown type";
}

const char *nameOfOp(uint32_t op) {
  constexpr const char *kNames[] = {"ncclSum", "ncclProd", "ncclMax", "ncclMin"};
  return op < 4 ? kNames[op] : "an unknown operation";
}

}  // namespace

struct Board::Shared {
  uint64_t magic;
  int32_t ranks, joined;
  std::atomic<uint32_t> refused;
  std::atomic<uint32_t> closed;  // a rank has given up
  Member members[kRanks];
};

size_t sizeOf(int type) {
  constexpr size_t kSizes[] = {1, 1, 4, 4, 8, 8, 2, 4, 8, 2};
  return type >= 0 && type < 10 ? kSizes[type] : 0;
}

std::string Request::text() const {
  const std::string what = std::to_string(count) + " " + nameOf(type);
  if (kind == Broadcast) return "ncclBroadcast of " + what + " from rank " + std::to_string(root);
  return "ncclAllReduce of " + what + ", " + nameOfOp(op);
}

bool Request::operator==(const Request &other) const {
  return kind == other.kind && type == other.type && op == other.op && root == other.root && count == other.count;
}

bool Board::create(const std::string &path, std::string &error) {
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) error = path + ": " + std::strerror(errno);
  if (file >= 0) close(file);
  return file >= 0;
}

std::unique_ptr<Board> Board::join(const std::string &path, int ranks, int rank, int device, ncclResult_t &status,
                                   std::string &error) {
  std::unique_ptr<Board> board(new Board);
  board->path_ = path;
  board->rank_ = rank;
  status = ncclSystemError;
  board->file_ = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (board->file_ < 0) {
    error = errno == ENOENT ? "all ranks have joined, or one has given up" : path + ": " + std::strerror(errno);
    return nullptr;
  }
  const Exclusive exclusive(board->file_);
  struct stat about = {};
  fstat(board->file_, &about);
  const bool first = about.st_size == 0;
  const std::string zeros(sizeof(Shared), '\0');  // written, so that the disk has room for them
  if (first && pwrite(board->file_, zeros.data(), zeros.size(), 0) != ssize_t(zeros.size())) {
    error = path + ": no room";
    unlink(path.c_str());
    return nullptr;
  }
  void *at = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, board->file_, 0);
  if (at == MAP_FAILED) {
    error = path + ": " + std::strerror(errno);
    return nullptr;
  }
  Shared &shared = *static_cast<Shared *>(at);
  if (first) {
    shared.magic = kMagic;
    shared.ranks = ranks;
  }
  if (shared.closed != 0) {
    error = "another rank has given up";
    munmap(at, sizeof(Shared));
    return nullptr;
  }
  const std::string me = "rank " + std::to_string(rank);
  status = ncclInvalidArgument;
  if (shared.magic != kMagic) {
    error = path + " is something else";
  } else if (shared.ranks != ranks) {
    error = me + " says that there are " + std::to_string(ranks) + " ranks, and others say " +
            std::to_string(shared.ranks);
  } else if (shared.members[rank].state != Absent) {
    error = "there are two with the number of " + me;
  }
  for (int other = 0; error.empty() && other < ranks; other++) {
    const Member &member = shared.members[other];
    if (member.state == Absent || member.process != getpid() || member.device != device) continue;
    status = ncclInvalidUsage;
    error = "Duplicate GPU detected : rank " + std::to_string(other) + " and " + me + " both on device " +
            std::to_string(device);
  }
  if (!error.empty()) {
    if (shared.magic == kMagic) shared.refused = uint32_t(status);
    munmap(at, sizeof(Shared));
    return nullptr;
  }
  status = ncclSuccess;
  board->shared_ = &shared;
  Member &member = shared.members[rank];
  member.process = getpid();
  member.device = device;
  process(member.process, member.started);
  member.state = Joined;
  if (++shared.joined == ranks) unlink(path.c_str());  // from now on a process that is killed leaves no file behind
  return board;
}

Board::~Board() {
  if (shared_ != nullptr) {
    uint32_t joined = Joined;
    shared_->members[rank_].state.compare_exchange_strong(joined, Aborted);
    munmap(shared_, sizeof(Shared));
  }
  if (file_ >= 0) close(file_);
}

std::vector<int> Board::absent() const {
  std::vector<int> ranks;
  for (int rank = 0; rank < shared_->ranks; rank++) {
    if (shared_->members[rank].state == Absent) ranks.push_back(rank);
  }
  return ranks;
}

ncclResult_t Board::refused() const { return static_cast<ncclResult_t>(shared_->refused.load()); }

void Board::giveUp() {
  shared_->closed = 1;
  unlink(path_.c_str());
}

uint64_t Board::placeOf(int rank, uint64_t number) const {
  return (uint64_t(1) << 20) + (uint64_t(rank) * 2 + number % 2) * kRoom;
}

bool Board::post(uint64_t number, const Request &request, const uint8_t *data, uint64_t bytes) {
  for (uint64_t done = 0; done < bytes;) {
    const ssize_t written = pwrite(file_, data + done, bytes - done, off_t(placeOf(rank_, number) + done));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    done += uint64_t(written);
  }
  Post &post = shared_->members[rank_].posts[number % 2];
  post.kind = request.kind;
  post.type = request.type;
  post.op = request.op;
  post.root = request.root;
  post.count = request.count;
  post.captured = request.captured;
  post.number.store(number, std::memory_order_release);
  return true;
}

std::vector<int> Board::missing(uint64_t number) const {
  std::vector<int> ranks;
  for (int rank = 0; rank < shared_->ranks; rank++) {
    if (shared_->members[rank].posts[number % 2].number.load(std::memory_order_acquire) < number) ranks.push_back(rank);
  }
  return ranks;
}

Request Board::request(int rank, uint64_t number) const {
  const Post &post = shared_->members[rank].posts[number % 2];
  Request request;
  request.kind = post.kind;
  request.type = post.type;
  request.op = post.op;
  request.root = post.root;
  request.count = post.count;
  request.captured = post.captured != 0;
  return request;
}

bool Board::read(int rank, uint64_t number, uint64_t offset, uint8_t *to, uint64_t bytes) const {
  for (uint64_t done = 0; done < bytes;) {
    const ssize_t got = pread(file_, to + done, bytes - done, off_t(placeOf(rank, number) + offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    done += uint64_t(got);
  }
  return true;
}

void Board::leave() { shared_->members[rank_].state = Left; }

int Board::lost() const {
  for (int rank = 0; rank < shared_->ranks; rank++) {
    const Member &member = shared_->members[rank];
    if (rank == rank_ || member.state == Left) continue;
    if (member.state == Aborted || (member.state == Joined && !lives(member))) return rank;
  }
  return -1;
}

}  // namespace sim::nccl
