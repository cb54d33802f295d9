// Handles of cuBLAS and what every one of its functions needs: the handle's state, scalars that live on the host or on the
// device, and the way to a stream.
#ifndef GPUTRAIN_SIM_CUBLAS_HANDLE_H
#define GPUTRAIN_SIM_CUBLAS_HANDLE_H

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cublas/shared.h"

namespace sim::blas {

constexpr char kHandleKind[] = "cublasHandle_t";

struct Handle {
  Context *context = nullptr;  // current where it was created; a handle works there alone
  int major = 0;               // of the device's compute capability
  CUstream stream = nullptr;
  cublasPointerMode_t pointers = CUBLAS_POINTER_MODE_HOST;
  int math = CUBLAS_DEFAULT_MATH;  // a cublasMath_t with flags
  cublasAtomicsMode_t atomics = CUBLAS_ATOMICS_NOT_ALLOWED;
  uint64_t workspace = 0;  // the user's; 0: the library's own pool
  uint64_t workspaceBytes = 0;
  bool ownWorkspace = true;  // the library's
};

// The live handle behind the API's pointer, usable on the calling thread; null, a finding and `status` where it isn't.
Handle *use(cublasHandle_t handle, cublasStatus_t &status);

// alpha or beta: its value is copied in the call (host pointer mode) or read when the work runs (device pointer mode).
class Scalar {
 public:
  Scalar(const Handle &handle, const char *name, const void *pointer, cudaDataType type, Arguments &arguments);
  double value() const;                        // device pointer mode: inside of Work::run alone
  bool isZero() const { return !device_ && host_ == 0; }  // known to be
  bool onDevice() const { return device_; }
  void access(std::vector<Access> &accesses) const;

 private:
  std::string name_;
  cudaDataType type_;
  uint64_t device_ = 0;
  double host_ = 0;
};

template <class T>
constexpr cudaDataType typeOf() {
  return sizeof(T) == sizeof(double) ? CUDA_R_64F : CUDA_R_32F;
}

// A vector in device memory; a negative increment walks it from its end, as in BLAS.
struct Vector {
  const char *name;
  uint64_t address;
  int n, increment;
  size_t size;  // of an element
  int64_t index(int i) const;  // of element i, in elements from the address
};
void access(const Vector &vector, Mode mode, std::vector<Access> &accesses);

// Gives the work its run. Where only a scalar in device memory says whether the output is read as well, the machine
// must leave the output alone before: kernels are treated so.
// Only `run` knows then what of the output it reads, and adds that to `touched`.
void setRun(Work &work, bool mayReadOutput, std::function<CUresult(std::vector<Access> &touched)> run);

// Queues work on the handle's stream. `workspace`: bytes that a real library might use; 0: none.
cublasStatus_t submit(Handle &handle, Work work, uint64_t workspace);
// The same, then waits: for results that go to host memory.
cublasStatus_t submitAndWait(Handle &handle, Work work);

}  // namespace sim::blas

// Opens a function: counts the call, injects faults, finds the handle as `state`.
#define SIM_BLAS_ENTER(handle)                                                            \
  sim::Call call(sim::Library::Blas, __func__);                                           \
  if (call.fault()) return static_cast<cublasStatus_t>(call.fault());                     \
  cublasStatus_t entered = CUBLAS_STATUS_SUCCESS;                                         \
  sim::blas::Handle *state = sim::blas::use(handle, entered);                             \
  if (!state) return entered

#endif
