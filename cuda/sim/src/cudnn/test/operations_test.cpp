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

void tryScale(Rig &rig, Random &random) {
  const cudnnDataType_t type = randomType(random);
  const Dims dims = randomDims(random);
  Tensor x(type, dims, anyStrides(dims, random));
  Values xs = x.fill(random);
  for (double &v : xs) v *= -0.5;
  MUST(cudnnScaleTensor(rig.handle, x, x.data(), Scalar(-0.5, type)));
  checkClose(x.get(), xs, tolerance(type), "ScaleTensor");
}

}  // namespace

void testOperations(uint64_t seed) {
  Rig rig("seed=" + std::to_string(seed));
  Random random(seed);
  for (int i = 0; i < 60; i++) {
    tryAdd(rig, random);
    tryScale(rig, random);
  }
  checkNoFindings("operations");
}

}  // namespace test
