// The sums of what the loss kernel finds.
#include "step.cuh"

// Adds a mini-batch's losses and hits to the sums, in a fixed order, by one block, and goes on to the next slot, and to
// the next step if there were updates: everything before it in the stream has read the state.
extern "C" __global__ void __launch_bounds__(256)
    add_metrics(Sums *__restrict__ sums, StepState *__restrict__ state, const float *__restrict__ losses,
                const int32_t *__restrict__ hits, uint32_t batch, int32_t training, uint32_t updates) {
  __shared__ double doubles[32];
  __shared__ int ints[32];
  double loss = 0;
  int hit = 0;
  for (uint32_t n = threadIdx.x; n < batch; n += blockDim.x) {
    loss += losses[n];
    hit += hits[n];
  }
  loss = blockSum(loss, doubles);
  hit = blockSum(hit, ints);
  if (threadIdx.x != 0) return;
  sums->loss += loss;
  sums->hits += hit;
  sums->samples += batch;
  if (training && sums->firstBad == 0 && !isfinite(loss)) sums->firstBad = state->step + 1;
  state->step += updates;
  state->slot++;
}
