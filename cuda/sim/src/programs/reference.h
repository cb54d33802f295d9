// What the libraries' results are compared with: plain loops in double.
#ifndef GPUTRAIN_SIM_PROGRAMS_REFERENCE_H
#define GPUTRAIN_SIM_PROGRAMS_REFERENCE_H

#include <vector>

#include "programs/machine.h"

namespace programs {

using Numbers = std::vector<double>;

Numbers widened(const std::vector<float> &values);

// Convolution with stride 1 of NCHW by KCRS, and two of its gradients.
Numbers convolved(const Tensor &xShape, const Numbers &x, const Filter &wShape, const Numbers &w, const Tensor &yShape,
                  int padding);
Numbers dataGradient(const Tensor &xShape, const Filter &wShape, const Numbers &w, const Tensor &yShape,
                     const Numbers &dy, int padding);
Numbers filterGradient(const Tensor &xShape, const Numbers &x, const Filter &wShape, const Tensor &yShape,
                       const Numbers &dy, int padding);

void addBias(const Tensor &yShape, Numbers &y, const Numbers &bias);
// Maximum over windows of 2x2; `from` gets the index of each maximum.
Numbers pooled(const Tensor &xShape, const Numbers &x, const Tensor &yShape, std::vector<size_t> &from);

// Column-major a (m x k) times b (k x n), either of them stored transposed.
Numbers product(bool transposeA, bool transposeB, int m, int n, int k, const Numbers &a, const Numbers &b);

}  // namespace programs

#endif
