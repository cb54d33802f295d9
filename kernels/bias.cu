// Adding a bias: y[n][c][i] += bias[c] in place, for y of N x C x I floats (NCHW with I = H*W; I = 1 after a dense
// layer) and C biases.
//
// The limit is memory: 4*N*C*I bytes read and as many written, one addition for each eight of them. So y is moved 16
// bytes at a time wherever it begins and whatever I is: up to three elements before its first multiple of 16 bytes and
// up to three after its last go one by one. A float4 may hold the end of one channel and the start of the next.
#include "grid.cuh"

constexpr unsigned vectorWidth = 4;  // floats in a float4

// Which channel an element belongs to, and its place in it. A thread divides once and walks on by additions: a division
// of 64 bits for each float4 would cost more than moving it. Extents of at most 2^31 keep the sums within 32 bits.
class Place {
 public:
  __device__ Place(uint64_t element, uint32_t channels, uint32_t extent)
      : channel_(static_cast<uint32_t>(element / extent % channels)),
        inner_(static_cast<uint32_t>(element % extent)) {}

  __device__ uint32_t channel() const { return channel_; }

  __device__ void next(uint32_t channels, uint32_t extent) {
    if (++inner_ < extent) return;
    inner_ = 0;
    if (++channel_ == channels) channel_ = 0;
  }

  __device__ void advance(const Place &step, uint32_t channels, uint32_t extent) {
    inner_ += step.inner_;
    channel_ += step.channel_;
    if (inner_ >= extent) {
      inner_ -= extent;
      channel_++;
    }
    if (channel_ >= channels) channel_ -= channels;
  }

 private:
  uint32_t channel_, inner_;
};

// Floats before the first multiple of 16 bytes.
__device__ inline unsigned misalignment(const float *y) {
  return static_cast<unsigned>(-(reinterpret_cast<uintptr_t>(y) / sizeof(float)) % vectorWidth);
}

// n >= 1; c and i from 1 to 2^31; y of any address that is a multiple of 4; bias is not in y. A one-dimensional grid of
// any size is right, as long as a block has the three threads that the elements at y's ends need.
extern "C" __global__ void __launch_bounds__(256)
    bias_add(float *__restrict__ y, const float *__restrict__ bias, uint64_t n, uint32_t c, uint32_t i) {
  const uint64_t total = n * c * i;
  const uint64_t head = min(static_cast<uint64_t>(misalignment(y)), total);
  const uint64_t vectors = (total - head) / vectorWidth;
  const uint64_t tail = head + vectors * vectorWidth;
  const uint64_t thread = gridThread();
  if (thread < head) y[thread] += bias[Place(thread, c, i).channel()];
  if (thread < total - tail) y[tail + thread] += bias[Place(tail + thread, c, i).channel()];
  if (thread >= vectors) return;

  float4 *const body = reinterpret_cast<float4 *>(y + head);
  const Place step(gridThreads() * vectorWidth, c, i);
  Place place(head + thread * vectorWidth, c, i);
  for (uint64_t at = thread; at < vectors; at += gridThreads()) {
    float4 v = body[at];
    Place lane = place;
    v.x += bias[lane.channel()];
    lane.next(c, i);
    v.y += bias[lane.channel()];
    lane.next(c, i);
    v.z += bias[lane.channel()];
    lane.next(c, i);
    v.w += bias[lane.channel()];
    body[at] = v;
    place.advance(step, c, i);
  }
}
