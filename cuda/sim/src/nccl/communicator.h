// Communicators, and what runs when a collective does.
#ifndef GPUTRAIN_SIM_NCCL_COMMUNICATOR_H
#define GPUTRAIN_SIM_NCCL_COMMUNICATOR_H

#include <cstdint>
#include <memory>
#include <string>

#include "core/core.h"
#include "nccl/board.h"

namespace sim::nccl {

constexpr char kKind[] = "ncclComm_t";

// One rank's. Shared with its collectives that are queued, which may outlive it.
struct Communicator {
  std::string name;            // the same on all ranks: "communicator 1f03ab"
  Context *context = nullptr;  // current where it was made: its streams and memory must be that one's
  int rank = 0, ranks = 1;
  std::unique_ptr<Board> board;  // null: destroyed or aborted
  uint64_t queued = 0;           // collectives so far
  uint64_t stuckAt = 0;          // the collective from which on none ends; 0: they all do
  ncclResult_t error = ncclSuccess;  // the asynchronous one
};

// Sets the asynchronous error, if it is the first.
void fail(Communicator &communicator, ncclResult_t error, const std::string &why);

// What ncclGetLastError returns.
void setLastError(const std::string &text);
const char *lastError();

// The work of a collective on the communicator's device. `send` and `receive` are device addresses.
Work collectiveWork(const std::shared_ptr<Communicator> &communicator, const Request &request, uint64_t send,
                    uint64_t receive);

std::string listed(const std::vector<int> &ranks);  // "rank 1", "ranks 1 and 3"

}  // namespace sim::nccl

#endif
