// A convolution that was checked: its sizes, and its algorithms.
#ifndef GPUTRAIN_SIM_CUDNN_CONVOLUTION_H
#define GPUTRAIN_SIM_CUDNN_CONVOLUTION_H

#include <string>

#include "internal.h"

namespace dnn {

enum class Direction : uint8_t { Forward, Data, Filter };

// Whether a call asks, or executes: only what is executed and not supported is a finding.
enum class Purpose : uint8_t { Query, Execution };

struct Problem {
  Layout x, y;  // or dx, dy
  Filter w;     // or dw
  Convolution convolution;
  int capability = 80;  // of the device, times ten
  // Spatial sizes, always three: what is missing in front is of size 1.
  int in[3], out[3], filter[3], pad[3], stride[3], dilation[3];

  int n() const { return x.dim[0]; }
  int c() const { return x.dim[1]; }
  int k() const { return y.dim[1]; }
  int groups() const { return convolution.groups; }
  int groupC() const { return c() / groups(); }
  int groupK() const { return k() / groups(); }
  int64_t positions() const { return int64_t(out[0]) * out[1] * out[2]; }
  int64_t inputs() const { return int64_t(in[0]) * in[1] * in[2]; }
  int64_t taps() const { return int64_t(filter[0]) * filter[1] * filter[2]; }
  std::string text() const;
};

// Checks that the descriptors make a convolution.
Problem problemOf(cudnnHandle_t handle, const Layout &x, const Filter &w, const Convolution &convolution,
                  const Layout &y, Purpose purpose);
// The sizes of y that x, w and the convolution make. `out` has x's rank.
void outputDims(const Layout &x, const Filter &w, const Convolution &convolution, int *out);

// ---------------------------------------------------------------------------------------------------------- algorithms

struct Algorithm {
  Status status = kSuccess;  // or why it can't do the problem
  std::string reason;
  uint64_t workspace = 0;
  bool deterministic = true;
  bool tensorCores = false;  // has a variant that uses them
};

Algorithm algorithmOf(const Problem &problem, Direction direction, int algorithm);
int algorithmCount(Direction direction);
// The algorithm for an execution: a finding where it can't do the problem.
Algorithm algorithmFor(const Problem &problem, Direction direction, int algorithm);

}  // namespace dnn

#endif
