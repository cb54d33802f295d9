// Reductions of tensors along any of their dimensions.
#include <algorithm>

#include "internal.h"

namespace dnn {
namespace {

constexpr char kReduction[] = "cudnnReduceTensorDescriptor_t";

const Reduction &use(cudnnReduceTensorDescriptor_t descriptor) {
  demand(descriptor, kReduction, "reduceTensorDesc");
  if (!descriptor->set) wrong(kBadParam, sim::check::descriptor, "reduceTensorDesc was never set");
  return *descriptor;
}

void check(const Reduction &reduction, const Layout &a, const Layout &c) {
  bool fits = a.rank == c.rank;
  for (int i = 0; fits && i < a.rank; i++) fits = c.dim[i] == a.dim[i] || c.dim[i] == 1;
  if (!fits)
    wrong(kBadParam, sim::check::descriptor, both("A", a, "C", c) + " differ in a dimension that isn't 1 in C");
  checkFloating("A", a);
  checkFloating("C", c);
  const bool wide = isDouble(a.type) || isDouble(c.type);
  if (reduction.compute != (wide ? CUDNN_DATA_DOUBLE : CUDNN_DATA_FLOAT) || (wide && a.type != c.type)) {
    wrong(kNotSupportedDataType, sim::check::descriptor,
          both("A", a, "C", c) + " can't be computed in " + nameOf(reduction.compute));
  }
}

bool wantsIndices(const Reduction &reduction) {
  const bool extreme = reduction.op == CUDNN_REDUCE_TENSOR_MIN || reduction.op == CUDNN_REDUCE_TENSOR_MAX ||
                       reduction.op == CUDNN_REDUCE_TENSOR_AMAX;
  return extreme && reduction.indices == CUDNN_REDUCE_TENSOR_FLATTENED_INDICES;
}

uint64_t indexBytes(const Reduction &reduction, const Layout &c) {
  return wantsIndices(reduction) ? static_cast<uint64_t>(c.count()) * sizeof(uint32_t) : 0;
}

// Room for partial sums, as a reduction in two passes needs it.
uint64_t workspaceBytes(const Layout &a, const Layout &c) {
  if (a.sameDims(c)) return 0;
  return (static_cast<uint64_t>(c.count()) * 16 * sizeof(double) + 255) / 256 * 256;
}

// One result while its elements come in.
struct Partial {
  double value;
  uint32_t at = 0;
  bool empty = true;
};

// Whether an extreme value gives way to the next; NaN wins or loses against all as the reduction wants it.
bool givesWay(const Reduction &reduction, double value, double next) {
  if (std::isnan(next)) return reduction.nan == CUDNN_PROPAGATE_NAN && !std::isnan(value);
  if (std::isnan(value)) return reduction.nan == CUDNN_NOT_PROPAGATE_NAN;
  return reduction.op == CUDNN_REDUCE_TENSOR_MIN ? next < value : next > value;
}

void take(const Reduction &reduction, Partial &partial, double x, uint32_t at) {
  switch (reduction.op) {
    case CUDNN_REDUCE_TENSOR_ADD:
    case CUDNN_REDUCE_TENSOR_AVG: partial.value += x; break;
    case CUDNN_REDUCE_TENSOR_NORM1: partial.value += std::fabs(x); break;
    case CUDNN_REDUCE_TENSOR_NORM2: partial.value += x * x; break;
    case CUDNN_REDUCE_TENSOR_MUL: partial.value *= x; break;
    case CUDNN_REDUCE_TENSOR_MUL_NO_ZEROS:
      if (x != 0) partial.value *= x;
      break;
    case CUDNN_REDUCE_TENSOR_AMAX: x = std::fabs(x); [[fallthrough]];
    case CUDNN_REDUCE_TENSOR_MIN:
    case CUDNN_REDUCE_TENSOR_MAX:
      if (partial.empty || givesWay(reduction, partial.value, x)) {
        partial.value = x;
        partial.at = at;
      }
      break;
  }
  partial.empty = false;
}

std::vector<Partial> reduce(const Reduction &reduction, const Layout &a, const Layout &c,
                            const std::vector<double> &values) {
  const bool product = reduction.op == CUDNN_REDUCE_TENSOR_MUL || reduction.op == CUDNN_REDUCE_TENSOR_MUL_NO_ZEROS;
  Partial start;
  start.value = product ? 1 : 0;
  std::vector<Partial> partials(static_cast<size_t>(c.count()), start);
  for (size_t i = 0; i < values.size(); i++) {
    size_t rest = i, to = 0, toStep = 1, within = 0, withinStep = 1;
    for (int d = a.rank - 1; d >= 0; d--) {
      const size_t at = rest % static_cast<size_t>(a.dim[d]);
      rest /= static_cast<size_t>(a.dim[d]);
      if (c.dim[d] == a.dim[d]) {
        to += at * toStep;
        toStep *= static_cast<size_t>(a.dim[d]);
      } else {
        within += at * withinStep;
        withinStep *= static_cast<size_t>(a.dim[d]);
      }
    }
    take(reduction, partials[to], values[i], static_cast<uint32_t>(within));
  }
  const double each = static_cast<double>(a.count() / c.count());
  for (Partial &partial : partials) {
    if (reduction.op == CUDNN_REDUCE_TENSOR_AVG) partial.value /= each;
    if (reduction.op == CUDNN_REDUCE_TENSOR_NORM2) partial.value = std::sqrt(partial.value);
  }
  return partials;
}

}  // namespace
}  // namespace dnn

using namespace dnn;

extern "C" {

SIM_SHARED cudnnStatus_t cudnnCreateReduceTensorDescriptor(cudnnReduceTensorDescriptor_t *reduceTensorDesc) {
  return createObject(__func__, reduceTensorDesc, kReduction);
}

SIM_SHARED cudnnStatus_t cudnnDestroyReduceTensorDescriptor(cudnnReduceTensorDescriptor_t reduceTensorDesc) {
  return destroyObject(__func__, reduceTensorDesc, kReduction);
}

SIM_SHARED cudnnStatus_t cudnnSetReduceTensorDescriptor(cudnnReduceTensorDescriptor_t reduceTensorDesc,
                                                        cudnnReduceTensorOp_t reduceTensorOp,
                                                        cudnnDataType_t reduceTensorCompType,
                                                        cudnnNanPropagation_t reduceTensorNanOpt,
                                                        cudnnReduceTensorIndices_t reduceTensorIndices,
                                                        cudnnIndicesType_t reduceTensorIndicesType) {
  return answer(__func__, [&] {
    demand(reduceTensorDesc, kReduction, "reduceTensorDesc");
    inRange(reduceTensorOp, CUDNN_REDUCE_TENSOR_ADD, CUDNN_REDUCE_TENSOR_MUL_NO_ZEROS, "reduceTensorOp");
    inRange(reduceTensorCompType, CUDNN_DATA_FLOAT, CUDNN_DATA_DOUBLE, "reduceTensorCompType");
    inRange(reduceTensorNanOpt, CUDNN_NOT_PROPAGATE_NAN, CUDNN_PROPAGATE_NAN, "reduceTensorNanOpt");
    inRange(reduceTensorIndices, CUDNN_REDUCE_TENSOR_NO_INDICES, CUDNN_REDUCE_TENSOR_FLATTENED_INDICES,
            "reduceTensorIndices");
    inRange(reduceTensorIndicesType, CUDNN_32BIT_INDICES, CUDNN_8BIT_INDICES, "reduceTensorIndicesType");
    static_cast<Reduction &>(*reduceTensorDesc) = {
        true, reduceTensorOp, reduceTensorCompType, reduceTensorNanOpt, reduceTensorIndices, reduceTensorIndicesType};
  });
}

SIM_SHARED cudnnStatus_t cudnnGetReduceTensorDescriptor(const cudnnReduceTensorDescriptor_t reduceTensorDesc,
                                                        cudnnReduceTensorOp_t *reduceTensorOp,
                                                        cudnnDataType_t *reduceTensorCompType,
                                                        cudnnNanPropagation_t *reduceTensorNanOpt,
                                                        cudnnReduceTensorIndices_t *reduceTensorIndices,
                                                        cudnnIndicesType_t *reduceTensorIndicesType) {
  return answer(__func__, [&] {
    const Reduction &reduction = use(reduceTensorDesc);
    give(reduceTensorOp, reduction.op);
    give(reduceTensorCompType, reduction.compute);
    give(reduceTensorNanOpt, reduction.nan);
    give(reduceTensorIndices, reduction.indices);
    give(reduceTensorIndicesType, reduction.indexType);
  });
}

SIM_SHARED cudnnStatus_t cudnnGetReductionIndicesSize(cudnnHandle_t handle,
                                                      const cudnnReduceTensorDescriptor_t reduceTensorDesc,
                                                      const cudnnTensorDescriptor_t aDesc,
                                                      const cudnnTensorDescriptor_t cDesc, size_t *sizeInBytes) {
  return answer(__func__, [&] {
    contextOf(handle);
    const Reduction &reduction = use(reduceTensorDesc);
    const Layout &a = use(aDesc, "aDesc"), &c = use(cDesc, "cDesc");
    dnn::check(reduction, a, c);
    result(sizeInBytes, "sizeInBytes") = indexBytes(reduction, c);
  });
}

SIM_SHARED cudnnStatus_t cudnnGetReductionWorkspaceSize(cudnnHandle_t handle,
                                                        const cudnnReduceTensorDescriptor_t reduceTensorDesc,
                                                        const cudnnTensorDescriptor_t aDesc,
                                                        const cudnnTensorDescriptor_t cDesc, size_t *sizeInBytes) {
  return answer(__func__, [&] {
    contextOf(handle);
    const Layout &a = use(aDesc, "aDesc"), &c = use(cDesc, "cDesc");
    dnn::check(use(reduceTensorDesc), a, c);
    result(sizeInBytes, "sizeInBytes") = workspaceBytes(a, c);
  });
}

SIM_SHARED cudnnStatus_t cudnnReduceTensor(cudnnHandle_t handle, const cudnnReduceTensorDescriptor_t reduceTensorDesc,
                                           void *indices, size_t indicesSizeInBytes, void *workspace,
                                           size_t workspaceSizeInBytes, const void *alpha,
                                           const cudnnTensorDescriptor_t aDesc, const void *A, const void *beta,
                                           const cudnnTensorDescriptor_t cDesc, void *C) {
  return answer(__func__, [&] {
    const Reduction reduction = use(reduceTensorDesc);
    const Layout aLayout = use(aDesc, "aDesc"), cLayout = use(cDesc, "cDesc");
    dnn::check(reduction, aLayout, cLayout);
    const uint64_t wanted = indexBytes(reduction, cLayout);
    if (wanted && reduction.indexType != CUDNN_32BIT_INDICES) {
      wrong(kNotSupported, sim::check::descriptor, "only indices of 32 bits are supported");
    }
    if (indicesSizeInBytes < wanted) {
      wrong(kInvalidValue, sim::check::workspace,
            "indices has " + std::to_string(indicesSizeInBytes) + " bytes, the reduction needs " +
                std::to_string(wanted));
    }
    const double a = scalar(alpha, reduction.compute, "alpha"), b = scalar(beta, reduction.compute, "beta");
    Launch launch(handle);
    launch.read(aLayout, A, "A");
    launch.workspace(workspace, workspaceSizeInBytes, workspaceBytes(aLayout, cLayout), kInvalidValue);
    launch.bytes(indices, wanted, sim::Mode::Write, "indices", sizeof(uint32_t));
    launch.write(cLayout, C, "C", b != 0);
    launch.run(both("A", aLayout, "C", cLayout), [=] {
      const std::vector<Partial> partials = reduce(reduction, aLayout, cLayout, load<double>(aLayout, A));
      std::vector<double> values;
      for (const Partial &partial : partials) values.push_back(partial.value);
      store(cLayout, C, values.data(), a, b);
      if (!wanted) return;
      uint32_t *to = sim::at<uint32_t>(addressOf(indices));
      for (const Partial &partial : partials) *to++ = partial.at;
    });
  });
}

}  // extern "C"
