#include <algorithm>

#include "rig.h"

namespace test {
namespace {

Dims randomDims(Random &random) {
  Dims dims(static_cast<size_t>(random.whole(3, 5)));
  for (int &d : dims) d = random.whole(1, 4);
  return dims;
}

// The same dimensions, some of them 1.
Dims shrunk(const Dims &dims, Random &random) {
  Dims small = dims;
  for (int &d : small) d = random.coin() ? d : 1;
  return small;
}

// For each element of `dims`, the element of `small` that stands for it.
std::vector<size_t> mapping(const Dims &dims, const Dims &small) {
  std::vector<size_t> map(count(dims));
  for (size_t i = 0; i < map.size(); i++) {
    size_t rest = i, step = 1;
    for (size_t d = dims.size(); d-- > 0;) {
      const size_t place = rest % static_cast<size_t>(dims[d]);
      rest /= static_cast<size_t>(dims[d]);
      if (small[d] != 1) map[i] += place * step;
      step *= static_cast<size_t>(small[d]);
    }
  }
  return map;
}

cudnnDataType_t randomType(Random &random) {
  return random.one<cudnnDataType_t>({CUDNN_DATA_FLOAT, CUDNN_DATA_DOUBLE, CUDNN_DATA_HALF, CUDNN_DATA_BFLOAT16});
}

void tryAdd(Rig &rig, Random &random) {
  const cudnnDataType_t type = randomType(random);
  const Dims dims = randomDims(random), small = shrunk(dims, random);
  Tensor a(type, small, anyStrides(small, random)), c(type, dims, anyStrides(dims, random));
  const Values as = a.fill(random);
  Values want = c.fill(random);
  const double alpha = random.one<double>({1, 0.5}), beta = random.one<double>({0, 1, -0.5});
  const std::vector<size_t> map = mapping(dims, small);
  for (size_t i = 0; i < want.size(); i++) want[i] = alpha * as[map[i]] + beta * want[i];
  MUST(cudnnAddTensor(rig.handle, Scalar(alpha, type), a, a.data(), Scalar(beta, type), c, c.data()));
  checkClose(c.get(), want, tolerance(type), "AddTensor");
}

void trySimple(Rig &rig, Random &random) {
  const cudnnDataType_t type = randomType(random);
  const Dims dims = randomDims(random);
  Tensor x(type, dims, anyStrides(dims, random)), y(type, dims, anyStrides(dims, random));
  Values xs = x.fill(random), ys = y.fill(random);
  for (size_t i = 0; i < xs.size(); i++) ys[i] = 0.5 * xs[i] - ys[i];
  MUST(cudnnTransformTensor(rig.handle, Scalar(0.5, type), x, x.data(), Scalar(-1, type), y, y.data()));
  checkClose(y.get(), ys, tolerance(type), "TransformTensor");
  for (double &v : xs) v *= -0.5;
  MUST(cudnnScaleTensor(rig.handle, x, x.data(), Scalar(-0.5, type)));
  checkClose(x.get(), xs, tolerance(type), "ScaleTensor");
  Tensor fresh(type, dims, y.strides);
  if (type == CUDNN_DATA_FLOAT || type == CUDNN_DATA_DOUBLE) {
    MUST(cudnnSetTensor(rig.handle, fresh, fresh.data(), Scalar(1.25, type)));
    checkClose(fresh.get(), Values(xs.size(), 1.25), 0, "SetTensor");
  } else {
    const uint16_t three = type == CUDNN_DATA_HALF ? 0x4200 : 0x4040;
    MUST(cudnnSetTensor(rig.handle, fresh, fresh.data(), &three));
    checkClose(fresh.get(), Values(xs.size(), 3), 0, "SetTensor of 16 bits");
  }
}

double combined(cudnnOpTensorOp_t op, double a, double b) {
  switch (op) {
    case CUDNN_OP_TENSOR_ADD: return a + b;
    case CUDNN_OP_TENSOR_MUL: return a * b;
    case CUDNN_OP_TENSOR_MIN: return std::min(a, b);
    case CUDNN_OP_TENSOR_MAX: return std::max(a, b);
    case CUDNN_OP_TENSOR_SQRT: return std::sqrt(a);
    default: return 1 - a;
  }
}

void tryOperation(Rig &rig, cudnnOpTensorOp_t op, Random &random) {
  const cudnnDataType_t type = randomType(random);
  const cudnnDataType_t compute = type == CUDNN_DATA_DOUBLE ? type : CUDNN_DATA_FLOAT;
  cudnnOpTensorDescriptor_t descriptor;
  MUST(cudnnCreateOpTensorDescriptor(&descriptor));
  MUST(cudnnSetOpTensorDescriptor(descriptor, op, compute, CUDNN_PROPAGATE_NAN));
  const Dims dims = randomDims(random), small = shrunk(dims, random);
  Tensor a(type, dims, anyStrides(dims, random)), b(type, small, anyStrides(small, random));
  Tensor c(type, dims, anyStrides(dims, random));
  Values as = a.fill(random);
  const Values bs = b.fill(random), before = c.fill(random);
  for (double &v : as) v = op == CUDNN_OP_TENSOR_SQRT ? std::fabs(v) : v;
  a.put(as);
  const double alpha1 = 0.5, alpha2 = -2, beta = random.one<double>({0, 1});
  const std::vector<size_t> map = mapping(dims, small);
  Values want(as.size());
  for (size_t i = 0; i < want.size(); i++) {
    want[i] = combined(op, alpha1 * as[i], alpha2 * bs[map[i]]) + beta * before[i];
  }
  MUST(cudnnOpTensor(rig.handle, descriptor, Scalar(alpha1, type), a, a.data(), Scalar(alpha2, type), b, b.data(),
                     Scalar(beta, type), c, c.data()));
  checkClose(c.get(), want, tolerance(type), "OpTensor " + std::to_string(static_cast<int>(op)));
  MUST(cudnnDestroyOpTensorDescriptor(descriptor));
}

double reduced(cudnnReduceTensorOp_t op, const Values &values) {
  double sum = 0, product = 1, low = values[0], high = values[0], amax = 0, norm1 = 0, norm2 = 0, noZeros = 1;
  for (double v : values) {
    sum += v;
    product *= v;
    low = std::min(low, v);
    high = std::max(high, v);
    amax = std::max(amax, std::fabs(v));
    norm1 += std::fabs(v);
    norm2 += v * v;
    noZeros *= v == 0 ? 1 : v;
  }
  switch (op) {
    case CUDNN_REDUCE_TENSOR_ADD: return sum;
    case CUDNN_REDUCE_TENSOR_MUL: return product;
    case CUDNN_REDUCE_TENSOR_MIN: return low;
    case CUDNN_REDUCE_TENSOR_MAX: return high;
    case CUDNN_REDUCE_TENSOR_AMAX: return amax;
    case CUDNN_REDUCE_TENSOR_AVG: return sum / static_cast<double>(values.size());
    case CUDNN_REDUCE_TENSOR_NORM1: return norm1;
    case CUDNN_REDUCE_TENSOR_NORM2: return std::sqrt(norm2);
    default: return noZeros;
  }
}

void tryReduction(Rig &rig, cudnnReduceTensorOp_t op, Random &random) {
  const std::string what = "ReduceTensor " + std::to_string(static_cast<int>(op));
  const auto type = random.one<cudnnDataType_t>({CUDNN_DATA_FLOAT, CUDNN_DATA_DOUBLE});
  const bool extreme = op == CUDNN_REDUCE_TENSOR_MIN || op == CUDNN_REDUCE_TENSOR_MAX || op == CUDNN_REDUCE_TENSOR_AMAX;
  const bool indexed = extreme && random.coin();
  cudnnReduceTensorDescriptor_t descriptor;
  MUST(cudnnCreateReduceTensorDescriptor(&descriptor));
  MUST(cudnnSetReduceTensorDescriptor(descriptor, op, type, CUDNN_PROPAGATE_NAN,
                                      indexed ? CUDNN_REDUCE_TENSOR_FLATTENED_INDICES : CUDNN_REDUCE_TENSOR_NO_INDICES,
                                      CUDNN_32BIT_INDICES));
  const Dims dims = randomDims(random), small = shrunk(dims, random);
  Tensor a(type, dims, anyStrides(dims, random)), c(type, small, anyStrides(small, random));
  const Values as = a.fill(random), before = c.fill(random);
  size_t workspaceBytes = 0, indexBytes = 0;
  MUST(cudnnGetReductionWorkspaceSize(rig.handle, descriptor, a, c, &workspaceBytes));
  MUST(cudnnGetReductionIndicesSize(rig.handle, descriptor, a, c, &indexBytes));
  check(indexBytes == (indexed ? before.size() * 4 : 0), what + ": size of the indices");
  Memory workspace(workspaceBytes), indices(indexBytes);
  const double alpha = 0.5, beta = random.one<double>({0, 1});
  std::vector<Values> members(before.size());
  const std::vector<size_t> map = mapping(dims, small);
  for (size_t i = 0; i < as.size(); i++) members[map[i]].push_back(as[i]);  // in the order of their flattened indices
  Values want(before.size());
  for (size_t i = 0; i < want.size(); i++) want[i] = alpha * reduced(op, members[i]) + beta * before[i];
  MUST(cudnnReduceTensor(rig.handle, descriptor, indices.pointer(), indexBytes, workspace.pointer(), workspaceBytes,
                         Scalar(alpha, type), a, a.data(), Scalar(beta, type), c, c.data()));
  checkClose(c.get(), want, tolerance(type, 100), what);
  if (indexed) {
    std::vector<uint32_t> got(before.size());
    MUST(cuMemcpyDtoH(got.data(), indices.address, indexBytes));
    for (size_t i = 0; i < got.size(); i++) {
      const bool inside = got[i] < members[i].size();
      check(inside, what + ": index " + std::to_string(got[i]));
      if (!inside) continue;
      const double value = members[i][got[i]];
      check((op == CUDNN_REDUCE_TENSOR_AMAX ? std::fabs(value) : value) == reduced(op, members[i]), what + ": indices");
    }
  }
  MUST(cudnnDestroyReduceTensorDescriptor(descriptor));
}

}  // namespace

void testOperations(uint64_t seed) {
  Rig rig("seed=" + std::to_string(seed));
  Random random(seed);
  for (int i = 0; i < 60; i++) {
    tryAdd(rig, random);
    trySimple(rig, random);
    tryOperation(rig, static_cast<cudnnOpTensorOp_t>(i % 6), random);
  }
  checkNoFindings("operations");
}

void testReduction(uint64_t seed) {
  Rig rig("seed=" + std::to_string(seed));
  Random random(seed);
  for (int i = 0; i < 90; i++) tryReduction(rig, static_cast<cudnnReduceTensorOp_t>(i % 9), random);
  checkNoFindings("reductions");
}

}  // namespace test
