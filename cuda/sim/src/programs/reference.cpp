#include "programs/reference.h"

#include <algorithm>

namespace programs {

namespace {

size_t place(const Tensor &shape, int n, int c, int h, int w) {
  return ((size_t(n) * shape.c + c) * shape.h + h) * shape.w + w;
}

size_t place(const Filter &shape, int k, int c, int h, int w) {
  return ((size_t(k) * shape.c + c) * shape.h + h) * shape.w + w;
}

// Calls visit(x index, w index, y index) for every product that a convolution adds up.
template <class Visit>
void everyProduct(const Tensor &xShape, const Filter &wShape, const Tensor &yShape, int padding, Visit visit) {
  for (int n = 0; n < yShape.n; n++) {
    for (int k = 0; k < yShape.c; k++) {
      for (int i = 0; i < yShape.h * yShape.w; i++) {
        const int row = i / yShape.w, column = i % yShape.w;
        for (int j = 0; j < wShape.c * wShape.h * wShape.w; j++) {
          const int c = j / (wShape.h * wShape.w), r = j / wShape.w % wShape.h, s = j % wShape.w;
          const int h = row + r - padding, w = column + s - padding;
          if (h < 0 || h >= xShape.h || w < 0 || w >= xShape.w) continue;
          visit(place(xShape, n, c, h, w), place(wShape, k, c, r, s), place(yShape, n, k, row, column));
        }
      }
    }
  }
}

}  // namespace

Numbers widened(const std::vector<float> &values) { return Numbers(values.begin(), values.end()); }

Numbers convolved(const Tensor &xShape, const Numbers &x, const Filter &wShape, const Numbers &w, const Tensor &yShape,
                  int padding) {
  Numbers y(yShape.count());
  everyProduct(xShape, wShape, yShape, padding, [&](size_t i, size_t j, size_t k) { y[k] += x[i] * w[j]; });
  return y;
}

Numbers dataGradient(const Tensor &xShape, const Filter &wShape, const Numbers &w, const Tensor &yShape,
                     const Numbers &dy, int padding) {
  Numbers dx(xShape.count());
  everyProduct(xShape, wShape, yShape, padding, [&](size_t i, size_t j, size_t k) { dx[i] += dy[k] * w[j]; });
  return dx;
}

Numbers filterGradient(const Tensor &xShape, const Numbers &x, const Filter &wShape, const Tensor &yShape,
                       const Numbers &dy, int padding) {
  Numbers dw(wShape.count());
  everyProduct(xShape, wShape, yShape, padding, [&](size_t i, size_t j, size_t k) { dw[j] += dy[k] * x[i]; });
  return dw;
}

void addBias(const Tensor &yShape, Numbers &y, const Numbers &bias) {
  for (size_t i = 0; i < y.size(); i++) y[i] += bias[i / (yShape.h * yShape.w) % yShape.c];
}

Numbers pooled(const Tensor &xShape, const Numbers &x, const Tensor &yShape, std::vector<size_t> &from) {
  Numbers y(yShape.count());
  from.assign(yShape.count(), 0);
  for (size_t i = 0; i < y.size(); i++) {
    const int w = int(i) % yShape.w, h = int(i) / yShape.w % yShape.h, image = int(i) / (yShape.w * yShape.h);
    for (int j = 0; j < 4; j++) {
      const size_t at = (size_t(image) * xShape.h + 2 * h + j / 2) * xShape.w + 2 * w + j % 2;
      if (j > 0 && x[at] <= y[i]) continue;
      y[i] = x[at];
      from[i] = at;
    }
  }
  return y;
}

Numbers product(bool transposeA, bool transposeB, int m, int n, int k, const Numbers &a, const Numbers &b) {
  Numbers c(size_t(m) * n);
  for (int j = 0; j < n; j++) {
    for (int i = 0; i < m; i++) {
      for (int l = 0; l < k; l++) {
        c[size_t(j) * m + i] += a[transposeA ? i * k + l : l * m + i] * b[transposeB ? l * n + j : j * k + l];
      }
    }
  }
  return c;
}

}  // namespace programs
