// Dropout. Its generator lives in the program's device memory: Philox4x32-10 of a seed and a count of elements drawn.
#include <algorithm>

#include "internal.h"

namespace dnn {
namespace {

constexpr char kDropout[] = "cudnnDropoutDescriptor_t";

// What lies at the start of the states; the rest of them is filled but means nothing.
struct State {
  uint64_t seed, drawn;
};

uint64_t stateBytes(sim::Context &context) {
  return static_cast<uint64_t>(sim::properties(sim::deviceOf(context)).multiprocessors) * 2048;
}

// One bit an element, in words of four bytes.
uint64_t reserveBytes(const Layout &x) { return (static_cast<uint64_t>(x.count()) + 31) / 32 * 4; }

// The i-th number of a seed, in [0, 1).
double uniform(uint64_t seed, uint64_t i) {
  uint32_t key[2] = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
  uint32_t x[4] = {static_cast<uint32_t>(i / 4), static_cast<uint32_t>(i / 4 >> 32), 0, 0};
  for (int round = 0; round < 10; round++) {
    const uint64_t a = uint64_t(0xD2511F53) * x[0], b = uint64_t(0xCD9E8D57) * x[2];
    const uint32_t next[4] = {static_cast<uint32_t>(b >> 32) ^ x[1] ^ key[0], static_cast<uint32_t>(b),
                              static_cast<uint32_t>(a >> 32) ^ x[3] ^ key[1], static_cast<uint32_t>(a)};
    std::copy(next, next + 4, x);
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return static_cast<double>(x[i % 4]) / 4294967296.0;
}

const Dropout &use(cudnnDropoutDescriptor_t descriptor) {
  demand(descriptor, kDropout, "dropoutDesc");
  if (!descriptor->set) wrong(kBadParam, sim::check::descriptor, "dropoutDesc was never set");
  return *descriptor;
}

void checkRate(float dropout) {
  if (dropout >= 0 && dropout <= 1) return;
  wrong(kBadParam, sim::check::badValue, "dropout is " + std::to_string(dropout));
}

void checkStates(sim::Context &context, const void *states, uint64_t bytes) {
  const uint64_t needed = stateBytes(context);
  if (!states) wrong(kNullPointer, sim::check::badValue, "states is null");
  if (bytes < needed) {
    wrong(kInvalidValue, sim::check::workspace,
          "states has " + std::to_string(bytes) + " bytes, the generator needs " + std::to_string(needed));
  }
}

void checkReserve(const Layout &x, uint64_t given) {
  if (given >= reserveBytes(x)) return;
  wrong(kBadParam, sim::check::workspace,
        "reserveSpace has " + std::to_string(given) + " bytes, " + x.text() + " needs " +
            std::to_string(reserveBytes(x)));
}

double keptScale(const Dropout &dropout) { return dropout.rate < 1 ? 1 / (1 - static_cast<double>(dropout.rate)) : 0; }

}  // namespace
}  // namespace dnn

using namespace dnn;

extern "C" {

SIM_SHARED cudnnStatus_t cudnnCreateDropoutDescriptor(cudnnDropoutDescriptor_t *dropoutDesc) {
  return createObject(__func__, dropoutDesc, kDropout);
}

SIM_SHARED cudnnStatus_t cudnnDestroyDropoutDescriptor(cudnnDropoutDescriptor_t dropoutDesc) {
  return destroyObject(__func__, dropoutDesc, kDropout);
}

SIM_SHARED cudnnStatus_t cudnnDropoutGetStatesSize(cudnnHandle_t handle, size_t *sizeInBytes) {
  return answer(__func__, [&] { result(sizeInBytes, "sizeInBytes") = stateBytes(contextOf(handle)); });
}

SIM_SHARED cudnnStatus_t cudnnDropoutGetReserveSpaceSize(cudnnTensorDescriptor_t xdesc, size_t *sizeInBytes) {
  return answer(__func__, [&] { result(sizeInBytes, "sizeInBytes") = reserveBytes(use(xdesc, "xdesc")); });
}

// Null states of no size make a descriptor for a rate of 0.
SIM_SHARED cudnnStatus_t cudnnSetDropoutDescriptor(cudnnDropoutDescriptor_t dropoutDesc, cudnnHandle_t handle,
                                                   float dropout, void *states, size_t stateSizeInBytes,
                                                   unsigned long long seed) {
  return answer(__func__, [&] {
    demand(dropoutDesc, kDropout, "dropoutDesc");
    checkRate(dropout);
    sim::Context &context = contextOf(handle);
    if (states || stateSizeInBytes || dropout > 0) {
      checkStates(context, states, stateSizeInBytes);
      const uint64_t bytes = stateBytes(context);
      Launch launch(handle);
      launch.bytes(states, bytes, sim::Mode::Write, "states");
      launch.run("states of " + std::to_string(bytes) + " bytes", [=] {
        uint8_t *memory = sim::data(addressOf(states));
        std::fill(memory, memory + bytes, uint8_t(0x5a));
        const State state{seed, 0};
        std::memcpy(memory, &state, sizeof state);
      });
    }
    static_cast<Dropout &>(*dropoutDesc) = {true, dropout, states, stateSizeInBytes, seed};
  });
}

SIM_SHARED cudnnStatus_t cudnnRestoreDropoutDescriptor(cudnnDropoutDescriptor_t dropoutDesc, cudnnHandle_t handle,
                                                       float dropout, void *states, size_t stateSizeInBytes,
                                                       unsigned long long seed) {
  return answer(__func__, [&] {
    demand(dropoutDesc, kDropout, "dropoutDesc");
    checkRate(dropout);
    checkStates(contextOf(handle), states, stateSizeInBytes);
    static_cast<Dropout &>(*dropoutDesc) = {true, dropout, states, stateSizeInBytes, seed};
  });
}

SIM_SHARED cudnnStatus_t cudnnGetDropoutDescriptor(cudnnDropoutDescriptor_t dropoutDesc, cudnnHandle_t handle,
                                                   float *dropout, void **states, unsigned long long *seed) {
  return answer(__func__, [&] {
    const Dropout &d = use(dropoutDesc);
    contextOf(handle);
    give(dropout, d.rate);
    if (states) *states = d.states;
    give(seed, d.seed);
  });
}

SIM_SHARED cudnnStatus_t cudnnDropoutForward(cudnnHandle_t handle, const cudnnDropoutDescriptor_t dropoutDesc,
                                             const cudnnTensorDescriptor_t xdesc, const void *x,
                                             const cudnnTensorDescriptor_t ydesc, void *y, void *reserveSpace,
                                             size_t reserveSpaceSizeInBytes) {
  return answer(__func__, [&] {
    const Dropout dropout = use(dropoutDesc);
    const Layout xLayout = use(xdesc, "xdesc"), yLayout = use(ydesc, "ydesc");
    checkSame("x", xLayout, "y", yLayout);
    checkFloating("x", xLayout);
    checkReserve(xLayout, reserveSpaceSizeInBytes);
    Launch launch(handle);
    launch.allowInPlace();
    launch.read(xLayout, x, "x");
    launch.write(yLayout, y, "y");
    if (dropout.states) {
      launch.bytes(dropout.states, stateBytes(contextOf(handle)), sim::Mode::Update, "states");
    }
    launch.bytes(reserveSpace, reserveBytes(xLayout), sim::Mode::Write, "reserveSpace", 1);
    launch.run("x " + xLayout.text(), [=] {
      std::vector<double> values = load<double>(xLayout, x);
      State state{};
      if (dropout.states) std::memcpy(&state, sim::data(addressOf(dropout.states)), sizeof state);
      uint8_t *mask = sim::data(addressOf(reserveSpace));
      std::fill(mask, mask + reserveBytes(xLayout), uint8_t(0));
      for (size_t i = 0; i < values.size(); i++) {
        const bool kept = uniform(state.seed, state.drawn + i) >= static_cast<double>(dropout.rate);
        if (kept) mask[i / 8] = static_cast<uint8_t>(mask[i / 8] | 1u << i % 8);
        values[i] = kept ? values[i] * keptScale(dropout) : 0;
      }
      state.drawn += values.size();
      if (dropout.states) std::memcpy(sim::data(addressOf(dropout.states)), &state, sizeof state);
      store(yLayout, y, values.data(), 1, 0);
    });
  });
}

SIM_SHARED cudnnStatus_t cudnnDropoutBackward(cudnnHandle_t handle, const cudnnDropoutDescriptor_t dropoutDesc,
                                              const cudnnTensorDescriptor_t dydesc, const void *dy,
                                              const cudnnTensorDescriptor_t dxdesc, void *dx, void *reserveSpace,
                                              size_t reserveSpaceSizeInBytes) {
  return answer(__func__, [&] {
    const Dropout dropout = use(dropoutDesc);
    const Layout dyLayout = use(dydesc, "dydesc"), dxLayout = use(dxdesc, "dxdesc");
    checkSame("dy", dyLayout, "dx", dxLayout);
    checkFloating("dy", dyLayout);
    checkReserve(dyLayout, reserveSpaceSizeInBytes);
    Launch launch(handle);
    launch.allowInPlace();
    launch.read(dyLayout, dy, "dy");
    launch.write(dxLayout, dx, "dx");
    launch.bytes(reserveSpace, reserveBytes(dyLayout), sim::Mode::Read, "reserveSpace", 1);
    launch.run("dy " + dyLayout.text(), [=] {
      std::vector<double> values = load<double>(dyLayout, dy);
      const uint8_t *mask = sim::data(addressOf(reserveSpace));
      for (size_t i = 0; i < values.size(); i++) {
        values[i] = mask[i / 8] >> i % 8 & 1 ? values[i] * keptScale(dropout) : 0;
      }
      store(dxLayout, dx, values.data(), 1, 0);
    });
  });
}

}  // extern "C"
