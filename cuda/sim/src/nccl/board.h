// Where the ranks of a communicator meet: a file that all of them have mapped, whether they are threads or processes.
//
// It tells who has joined and who is gone. Each rank has two places to post what it brings to a collective: the one with
// an even number, and the one with an odd number. Two are enough. A rank posts number N+2 after its own N+1 has run. So
// all ranks have posted N+1, and have read what was posted for N.
#ifndef GPUTRAIN_SIM_NCCL_BOARD_H
#define GPUTRAIN_SIM_NCCL_BOARD_H

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "nccl.h"

namespace sim::nccl {

// What a rank asks for in a collective. All ranks must ask for the same.
struct Request {
  enum Kind : uint32_t { AllReduce, Broadcast };
  uint32_t kind = AllReduce, type = 0, op = 0;
  int32_t root = 0;
  uint64_t count = 0;
  bool captured = false;       // launched by a graph; ranks that differ in it still compute the same
  std::string text() const;  // "ncclAllReduce of 5 ncclFloat32, ncclSum"
  bool operator==(const Request &other) const;  // all but `captured`
};

size_t sizeOf(int type);  // of an element in bytes; 0: no type

constexpr int kRanks = 256;                      // at most
constexpr uint64_t kRoom = uint64_t(4) << 30;    // bytes at most that one rank brings to a collective

class Board {
 public:
  struct Shared;

  // Makes the file where ranks meet. It goes when all of them have joined, or when one gives up; then nobody can join.
  static bool create(const std::string &path, std::string &error);
  // Joins. Null where that isn't possible: `status` and `error` tell why. What is wrong with this rank is wrong for all
  // of them, so the others' refused() tells it too.
  static std::unique_ptr<Board> join(const std::string &path, int ranks, int rank, int device, ncclResult_t &status,
                                     std::string &error);
  ~Board();
  Board(const Board &) = delete;
  Board &operator=(const Board &) = delete;

  std::vector<int> absent() const;   // that haven't joined
  ncclResult_t refused() const;      // ncclSuccess: nothing was wrong
  void giveUp();                     // nobody can join any more
  bool post(uint64_t number, const Request &request, const uint8_t *data, uint64_t bytes);  // false: no room
  std::vector<int> missing(uint64_t number) const;  // that haven't posted
  Request request(int rank, uint64_t number) const;
  bool read(int rank, uint64_t number, uint64_t offset, uint8_t *to, uint64_t bytes) const;
  void leave();         // in peace
  int lost() const;     // a rank that has aborted or whose process is dead; -1: none

 private:
  Board() = default;
  uint64_t placeOf(int rank, uint64_t number) const;

  std::string path_;
  int file_ = -1, rank_ = 0;
  Shared *shared_ = nullptr;
};

}  // namespace sim::nccl

#endif
