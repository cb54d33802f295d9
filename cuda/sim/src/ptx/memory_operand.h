// How memory instructions decode their state space and address.
#ifndef GPUTRAIN_SIM_PTX_MEMORY_OPERAND_H
#define GPUTRAIN_SIM_PTX_MEMORY_OPERAND_H

#include "decode.h"

namespace ptx {

// Generic where none is given.
Space takeMemorySpace(Decoder &d);

// Sets o[0], imm, side, space and flags of the instruction for an operand in brackets.
void memoryOperand(Decoder &d, const Operand &operand);

}  // namespace ptx

#endif
