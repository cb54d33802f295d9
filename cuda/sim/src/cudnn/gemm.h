// Products of matrices for convolutions. The order of summation is part of an algorithm: it is what makes results of
// two algorithms differ in their last bits.
#ifndef GPUTRAIN_SIM_CUDNN_GEMM_H
#define GPUTRAIN_SIM_CUDNN_GEMM_H

#include <algorithm>
#include <cstddef>
#include <vector>

namespace dnn {

// A row-major matrix whose rows are padded with zeros to a multiple of kWidth elements.
template <class T>
class Matrix {
 public:
  static constexpr size_t kWidth = 8;
  Matrix(size_t rows, size_t columns)
      : rows_(rows), columns_(columns), pitch_((columns + kWidth - 1) / kWidth * kWidth), values_(rows * pitch_) {}
  size_t rows() const { return rows_; }
  size_t columns() const { return columns_; }
  size_t pitch() const { return pitch_; }
  T *row(size_t i) { return values_.data() + i * pitch_; }
  const T *row(size_t i) const { return values_.data() + i * pitch_; }
  void clear() { std::fill(values_.begin(), values_.end(), T(0)); }

 private:
  size_t rows_, columns_, pitch_;
  std::vector<T> values_;
};

template <class T>
Matrix<T> transposed(const Matrix<T> &a) {
  Matrix<T> t(a.columns(), a.rows());
  for (size_t i = 0; i < a.rows(); i++) {
    for (size_t j = 0; j < a.columns(); j++) t.row(j)[i] = a.row(i)[j];
  }
  return t;
}

template <class T>
struct Vector {
  typedef T Type __attribute__((vector_size(16)));
  static constexpr size_t kLanes = 16 / sizeof(T);
};

// Adds to kRows rows of c, kWidth columns from `column` on, the products of rows of a with a packed panel of b over
// [begin, end).
template <class T, size_t kRows>
void multiplyTile(const Matrix<T> &a, size_t row, const T *panel, size_t begin, size_t end, Matrix<T> &c,
                  size_t column) {
  using V = typename Vector<T>::Type;
  constexpr size_t kWidth = Matrix<T>::kWidth, kLanes = Vector<T>::kLanes, kVectors = kWidth / kLanes;
  V sums[kRows][kVectors] = {};
  const T *rows[kRows];
  for (size_t r = 0; r < kRows; r++) rows[r] = a.row(row + r);
  for (size_t k = begin; k < end; k++) {
    V b[kVectors];
    __builtin_memcpy(b, panel + k * kWidth, sizeof b);
    for (size_t r = 0; r < kRows; r++) {
      for (size_t v = 0; v < kVectors; v++) sums[r][v] += rows[r][k] * b[v];
    }
  }
  for (size_t r = 0; r < kRows; r++) {
    T *to = c.row(row + r) + column;
    for (size_t v = 0; v < kVectors; v++) {
      for (size_t l = 0; l < kLanes; l++) to[v * kLanes + l] += sums[r][v][l];
    }
  }
}

// c += a * b over the inner indices [begin, end), whose products are summed in blocks of `block` first.
template <class T>
void multiply(const Matrix<T> &a, const Matrix<T> &b, Matrix<T> &c, size_t begin, size_t end, size_t block) {
  constexpr size_t kWidth = Matrix<T>::kWidth, kRows = sizeof(T) == 4 ? 4 : 2;
  std::vector<T> panel(b.rows() * kWidth);
  for (size_t column = 0; column < b.columns(); column += kWidth) {
    for (size_t k = begin; k < end; k++) std::copy_n(b.row(k) + column, kWidth, panel.data() + k * kWidth);
    for (size_t first = begin; first < end; first += block) {
      const size_t last = std::min(end, first + block);
      size_t row = 0;
      for (; row + kRows <= a.rows(); row += kRows)
        multiplyTile<T, kRows>(a, row, panel.data(), first, last, c, column);
      for (; row < a.rows(); row++) multiplyTile<T, 1>(a, row, panel.data(), first, last, c, column);
    }
  }
}

}  // namespace dnn

#endif
