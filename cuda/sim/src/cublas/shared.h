// What functions of cuBLAS and of cuBLASLt need alike: statuses, checks of arguments, and matrices in device memory. Each of
// the libraries has a copy.
#ifndef GPUTRAIN_SIM_CUBLAS_SHARED_H
#define GPUTRAIN_SIM_CUBLAS_SHARED_H

#include <cstdint>
#include <string>
#include <vector>

#include "core/core.h"
#include "cublas_v2.h"

namespace sim::blas {

cublasStatus_t statusOf(CUresult result);

// A function's checks of its arguments. Each failed one is a finding that names the argument; `status` is then
// CUBLAS_STATUS_INVALID_VALUE.
class Arguments {
 public:
  bool ok() const { return status == CUBLAS_STATUS_SUCCESS; }
  void atLeast(const char *name, long long value, long long least);
  void leading(const char *name, int value, int rows);  // at least max(1, rows)
  void increment(const char *name, int value);          // not 0
  void operation(const char *name, cublasOperation_t value);
  void pointer(const char *name, const void *value);    // not null
  void aligned(const char *name, const void *value, size_t bytes);  // not null and a multiple of bytes
  void fail(const char *check, const std::string &message);

  cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
};

inline uint64_t addressOf(const void *pointer) { return reinterpret_cast<uint64_t>(pointer); }
size_t sizeOf(cudaDataType type);  // of an element in bytes; 0: not supported

// A column-major matrix in device memory.
struct Matrix {
  const char *name;
  uint64_t address;
  int rows, columns, ld;
  cudaDataType type;
};

// Adds what a pass over all elements touches: a column at a time where there are gaps between columns.
void access(const Matrix &matrix, Mode mode, std::vector<Access> &accesses);

// A finding for what the accesses read of memory that nobody has written: for those that depend on a scalar which is
// known only when the work runs. Inside of Work::run.
void checkWritten(const std::vector<Access> &accesses);

// A finding for output that overlaps input, of which the documentation says that results are undefined.
void checkOverlap(const std::vector<Access> &accesses);

}  // namespace sim::blas

#endif
