// Operations on the elements of tensors: sums, products, scaling, filling, changes of layout.
#include <algorithm>

#include "internal.h"

namespace dnn {
namespace {

constexpr char kOpTensor[] = "cudnnOpTensorDescriptor_t";
constexpr int kMostDims = 5;

const OpTensor &use(cudnnOpTensorDescriptor_t descriptor) {
  demand(descriptor, kOpTensor, "opTensorDesc");
  if (!descriptor->set) wrong(kBadParam, sim::check::descriptor, "opTensorDesc was never set");
  return *descriptor;
}

void checkRank(const char *what, const Layout &layout) {
  if (layout.rank <= kMostDims) return;
  wrong(kNotSupported, sim::check::descriptor,
        std::string(what) + ", " + layout.text() + ", has more than 5 dimensions");
}

// A layout with the dimensions of c in which a's dimensions of one element repeat it.
Layout repeated(const char *aName, const Layout &a, const char *cName, const Layout &c) {
  Layout layout = a;
  bool fits = a.rank == c.rank;
  for (int i = 0; fits && i < a.rank; i++) {
    fits = a.dim[i] == c.dim[i] || a.dim[i] == 1;
    if (a.dim[i] != c.dim[i]) layout.stride[i] = 0;
    layout.dim[i] = c.dim[i];
  }
  if (fits) return layout;
  wrong(kBadParam, sim::check::descriptor, both(aName, a, cName, c) + " differ in a dimension that isn't 1");
}

bool isUnary(cudnnOpTensorOp_t op) { return op == CUDNN_OP_TENSOR_SQRT || op == CUDNN_OP_TENSOR_NOT; }

// A NaN among the two is the result only where it is to be propagated.
double select(double a, double b, bool greater, cudnnNanPropagation_t nan) {
  if (std::isnan(a) || std::isnan(b)) {
    if (nan == CUDNN_PROPAGATE_NAN) return std::nan("");
    return std::isnan(a) ? b : a;
  }
  return greater ? std::max(a, b) : std::min(a, b);
}

double combine(const OpTensor &op, double a, double b) {
  switch (op.op) {
    case CUDNN_OP_TENSOR_ADD: return a + b;
    case CUDNN_OP_TENSOR_MUL: return a * b;
    case CUDNN_OP_TENSOR_MIN: return select(a, b, false, op.nan);
    case CUDNN_OP_TENSOR_MAX: return select(a, b, true, op.nan);
    case CUDNN_OP_TENSOR_SQRT: return std::sqrt(a);
    case CUDNN_OP_TENSOR_NOT: return 1 - a;
  }
  return a;
}

void checkCompute(const OpTensor &op, const Layout &a, const Layout &c) {
  checkFloating("A", a);
  checkFloating("C", c);
  const bool wide = isDouble(a.type) || isDouble(c.type);
  if (op.compute != (wide ? CUDNN_DATA_DOUBLE : CUDNN_DATA_FLOAT) || (wide && a.type != c.type)) {
    wrong(kNotSupportedDataType, sim::check::descriptor,
          both("A", a, "C", c) + " can't be computed in " + nameOf(op.compute));
  }
}

}  // namespace
}  // namespace dnn

using namespace dnn;

extern "C" {

SIM_SHARED cudnnStatus_t cudnnAddTensor(cudnnHandle_t handle, const void *alpha, const cudnnTensorDescriptor_t aDesc,
                                        const void *A, const void *beta, const cudnnTensorDescriptor_t cDesc, void *C) {
  return answer(__func__, [&] {
    const Layout aLayout = use(aDesc, "aDesc"), cLayout = use(cDesc, "cDesc");
    const Layout from = repeated("A", aLayout, "C", cLayout);
    if (aLayout.type != cLayout.type) {
      wrong(kBadParam, sim::check::descriptor, both("A", aLayout, "C", cLayout) + " differ in their data types");
    }
    checkFloating("A", aLayout);
    checkRank("C", cLayout);
    const double a = scalar(alpha, cLayout.type, "alpha"), b = scalar(beta, cLayout.type, "beta");
    Launch launch(handle);
    launch.allowInPlace();
    launch.read(aLayout, A, "A");
    launch.write(cLayout, C, "C", b != 0);
    launch.run(both("A", aLayout, "C", cLayout), [=] { store(cLayout, C, load<double>(from, A).data(), a, b); });
  });
}

SIM_SHARED cudnnStatus_t cudnnScaleTensor(cudnnHandle_t handle, const cudnnTensorDescriptor_t yDesc, void *y,
                                          const void *alpha) {
  return answer(__func__, [&] {
    const Layout layout = use(yDesc, "yDesc");
    const double a = scalar(alpha, layout.type, "alpha");
    Launch launch(handle);
    launch.write(layout, y, "y", true);
    launch.run("y " + layout.text(), [=] { store(layout, y, load<double>(layout, y).data(), a, 0); });
  });
}

SIM_SHARED cudnnStatus_t cudnnSetTensor(cudnnHandle_t handle, const cudnnTensorDescriptor_t yDesc, void *y,
                                        const void *valuePtr) {
  return answer(__func__, [&] {
    const Layout layout = use(yDesc, "yDesc");
    if (!valuePtr) wrong(kNullPointer, sim::check::badValue, "valuePtr is null");
    if (sim::isDeviceAddress(addressOf(valuePtr))) {
      wrong(kBadParam, sim::check::devicePointer, "valuePtr must point to host memory");
    }
    const double value = elementAt(valuePtr, layout.type);
    Launch launch(handle);
    launch.write(layout, y, "y");
    launch.run("y " + layout.text(), [=] {
      const std::vector<double> values(static_cast<size_t>(layout.count()), value);
      store(layout, y, values.data(), 1, 0);
    });
  });
}

SIM_SHARED cudnnStatus_t cudnnTransformTensor(cudnnHandle_t handle, const void *alpha,
                                              const cudnnTensorDescriptor_t xDesc, const void *x, const void *beta,
                                              const cudnnTensorDescriptor_t yDesc, void *y) {
  return answer(__func__, [&] {
    const Layout xLayout = use(xDesc, "xDesc"), yLayout = use(yDesc, "yDesc");
    checkSame("x", xLayout, "y", yLayout);
    checkFloating("x", xLayout);
    const double a = scalar(alpha, yLayout.type, "alpha"), b = scalar(beta, yLayout.type, "beta");
    Launch launch(handle);
    launch.read(xLayout, x, "x");
    launch.write(yLayout, y, "y", b != 0);
    launch.run(both("x", xLayout, "y", yLayout), [=] { store(yLayout, y, load<double>(xLayout, x).data(), a, b); });
  });
}

SIM_SHARED cudnnStatus_t cudnnCreateOpTensorDescriptor(cudnnOpTensorDescriptor_t *opTensorDesc) {
  return createObject(__func__, opTensorDesc, kOpTensor);
}

SIM_SHARED cudnnStatus_t cudnnDestroyOpTensorDescriptor(cudnnOpTensorDescriptor_t opTensorDesc) {
  return destroyObject(__func__, opTensorDesc, kOpTensor);
}

SIM_SHARED cudnnStatus_t cudnnSetOpTensorDescriptor(cudnnOpTensorDescriptor_t opTensorDesc,
                                                    cudnnOpTensorOp_t opTensorOp, cudnnDataType_t opTensorCompType,
                                                    cudnnNanPropagation_t opTensorNanOpt) {
  return answer(__func__, [&] {
    demand(opTensorDesc, kOpTensor, "opTensorDesc");
    inRange(opTensorOp, CUDNN_OP_TENSOR_ADD, CUDNN_OP_TENSOR_NOT, "opTensorOp");
    inRange(opTensorCompType, CUDNN_DATA_FLOAT, CUDNN_DATA_DOUBLE, "opTensorCompType");
    inRange(opTensorNanOpt, CUDNN_NOT_PROPAGATE_NAN, CUDNN_PROPAGATE_NAN, "opTensorNanOpt");
    static_cast<OpTensor &>(*opTensorDesc) = {true, opTensorOp, opTensorCompType, opTensorNanOpt};
  });
}

SIM_SHARED cudnnStatus_t cudnnGetOpTensorDescriptor(const cudnnOpTensorDescriptor_t opTensorDesc,
                                                    cudnnOpTensorOp_t *opTensorOp, cudnnDataType_t *opTensorCompType,
                                                    cudnnNanPropagation_t *opTensorNanOpt) {
  return answer(__func__, [&] {
    const OpTensor &op = use(opTensorDesc);
    give(opTensorOp, op.op);
    give(opTensorCompType, op.compute);
    give(opTensorNanOpt, op.nan);
  });
}

SIM_SHARED cudnnStatus_t cudnnOpTensor(cudnnHandle_t handle, const cudnnOpTensorDescriptor_t opTensorDesc,
                                       const void *alpha1, const cudnnTensorDescriptor_t aDesc, const void *A,
                                       const void *alpha2, const cudnnTensorDescriptor_t bDesc, const void *B,
                                       const void *beta, const cudnnTensorDescriptor_t cDesc, void *C) {
  return answer(__func__, [&] {
    const OpTensor op = use(opTensorDesc);
    const Layout aLayout = use(aDesc, "aDesc"), cLayout = use(cDesc, "cDesc");
    const bool unary = isUnary(op.op);
    const Layout bLayout = unary ? aLayout : use(bDesc, "bDesc");
    if (!aLayout.sameDims(cLayout)) {
      wrong(kBadParam, sim::check::descriptor, both("A", aLayout, "C", cLayout) + " differ in their dimensions");
    }
    const Layout second = repeated("B", bLayout, "C", cLayout);
    checkCompute(op, aLayout, cLayout);
    if (bLayout.type != aLayout.type) {
      wrong(kNotSupportedDataType, sim::check::descriptor, both("A", aLayout, "B", bLayout) + " differ in their types");
    }
    checkRank("C", cLayout);
    if (!unary && B == C && A != C) wrong(kBadParam, sim::check::overlap, "B is C, so A has to be C too");
    const double a1 = scalar(alpha1, op.compute, "alpha1"), b = scalar(beta, op.compute, "beta");
    const double a2 = unary ? 0 : scalar(alpha2, op.compute, "alpha2");
    Launch launch(handle);
    launch.allowInPlace();
    launch.read(aLayout, A, "A");
    if (!unary) launch.read(bLayout, B, "B");
    launch.write(cLayout, C, "C", b != 0);
    launch.run(both("A", aLayout, "B", bLayout), [=] {
      std::vector<double> values = load<double>(aLayout, A), others;
      if (!unary) others = load<double>(second, B);
      for (size_t i = 0; i < values.size(); i++) {
        values[i] = combine(op, a1 * values[i], unary ? 0 : a2 * others[i]);
      }
      store(cLayout, C, values.data(), 1, b);
    });
  });
}

}  // extern "C"
