// What functions of cuBLAS and of cuBLASLt need alike.
#include "cublas/shared.h"

#include <algorithm>

namespace sim::blas {

namespace {

bool overlap(const Access &a, const Access &b) {
  return a.address < b.address + b.bytes && b.address < a.address + a.bytes;
}

bool writes(const Access &access) { return access.mode == Mode::Write || access.mode == Mode::Update; }

}  // namespace

cublasStatus_t statusOf(CUresult result) {
  switch (result) {
    case CUDA_SUCCESS: return CUBLAS_STATUS_SUCCESS;
    case CUDA_ERROR_OUT_OF_MEMORY: return CUBLAS_STATUS_ALLOC_FAILED;
    case CUDA_ERROR_NOT_INITIALIZED:
    case CUDA_ERROR_INVALID_CONTEXT: return CUBLAS_STATUS_NOT_INITIALIZED;
    default: return CUBLAS_STATUS_EXECUTION_FAILED;
  }
}

void Arguments::fail(const char *check, const std::string &message) {
  report(check, message);
  status = CUBLAS_STATUS_INVALID_VALUE;
}

void Arguments::atLeast(const char *name, long long value, long long least) {
  if (value >= least) return;
  fail(check::badValue, std::string(name) + " is " + std::to_string(value) + ", must be at least " +
                            std::to_string(least));
}

void Arguments::leading(const char *name, int value, int rows) { atLeast(name, value, std::max(1, rows)); }

void Arguments::increment(const char *name, int value) {
  if (value == 0) fail(check::badValue, std::string(name) + " is 0");
}

void Arguments::operation(const char *name, cublasOperation_t value) {
  if (value == CUBLAS_OP_N || value == CUBLAS_OP_T || value == CUBLAS_OP_C) return;
  fail(check::badValue, std::string(name) + " is " + std::to_string(static_cast<int>(value)) +
                            ", none of CUBLAS_OP_N, CUBLAS_OP_T, CUBLAS_OP_C");
}

void Arguments::pointer(const char *name, const void *value) {
  if (!value) fail(check::badValue, std::string(name) + " is NULL");
}

void Arguments::aligned(const char *name, const void *value, size_t bytes) {
  pointer(name, value);
  if (value && bytes && addressOf(value) % bytes != 0) {
    fail(check::misaligned, std::string(name) + " (" + describe(addressOf(value)) + ") is not a multiple of its " +
                                "elements' " + std::to_string(bytes) + " bytes");
  }
}

size_t sizeOf(cudaDataType type) {
  switch (type) {
    case CUDA_R_64F: return 8;
    case CUDA_R_32F: return 4;
    case CUDA_R_16F:
    case CUDA_R_16BF: return 2;
    default: return 0;
  }
}

void access(const Matrix &matrix, Mode mode, std::vector<Access> &accesses) {
  const uint64_t size = sizeOf(matrix.type), column = matrix.rows * size;
  if (matrix.rows == 0 || matrix.columns == 0) return;
  if (matrix.ld == matrix.rows || matrix.columns == 1) {
    accesses.push_back({matrix.address, column * matrix.columns, mode, matrix.name});
    return;
  }
  const uint64_t last = matrix.address + (matrix.columns - 1) * (matrix.ld * size);
  if (find(last) != find(matrix.address)) {  // columns in two buffers: one access over all of it is out of bounds
    accesses.push_back({matrix.address, last + column - matrix.address, mode, matrix.name});
    return;
  }
  for (int j = 0; j < matrix.columns; j++) {
    accesses.push_back({matrix.address + j * (matrix.ld * size), column, mode, matrix.name});
  }
}

void checkWritten(const std::vector<Access> &accesses) {
  for (const Access &access : accesses) {
    const Allocation *allocation = find(access.address);
    if (!allocation || !allocation->shadow) return;
    const uint8_t *shadow = allocation->shadow + (access.address - allocation->address);
    for (uint64_t i = 0; i < access.bytes; i++) {
      if (shadow[i] & 1) continue;
      report(check::uninitialised, access.what + " is read, but nobody has written " + describe(access.address + i));
      return;
    }
  }
}

void checkOverlap(const std::vector<Access> &accesses) {
  std::vector<const Access *> sorted;
  for (const Access &access : accesses) sorted.push_back(&access);
  std::sort(sorted.begin(), sorted.end(), [](const Access *a, const Access *b) { return a->address < b->address; });
  const Access *furthest = nullptr, *furthestWrite = nullptr;  // whose end is greatest so far
  for (const Access *access : sorted) {
    const Access *other = writes(*access) ? furthest : furthestWrite;
    if (other && overlap(*access, *other)) {
      const Access &output = writes(*access) ? *access : *other, &input = writes(*access) ? *other : *access;
      report(check::overlap, output.what + " (" + describe(output.address) + ") is written and overlaps " + input.what +
                                 " (" + describe(input.address) + ")");
      return;
    }
    const auto end = [](const Access *a) { return a ? a->address + a->bytes : 0; };
    if (end(access) > end(furthest)) furthest = access;
    if (writes(*access) && end(access) > end(furthestWrite)) furthestWrite = access;
  }
}

}  // namespace sim::blas
