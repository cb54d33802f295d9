// The arithmetic of collectives.
#ifndef GPUTRAIN_SIM_NCCL_REDUCE_H
#define GPUTRAIN_SIM_NCCL_REDUCE_H

#include <cstdint>
#include <functional>

#include "nccl.h"

namespace sim::nccl {

// Gets bytes of what a rank brings; false: they can't be read.
using Source = std::function<bool(int rank, uint64_t offset, uint8_t *to, uint64_t bytes)>;

// Reduces `count` elements of all ranks. The order is that of the ranks, so each rank gets the same bits. Small floats are
// added as float and rounded once, at the end. Maximum and minimum pass over NaN, as fmaxf does.
bool reduce(ncclDataType_t type, ncclRedOp_t op, int ranks, uint64_t count, const Source &source, uint8_t *result);

}  // namespace sim::nccl

#endif
