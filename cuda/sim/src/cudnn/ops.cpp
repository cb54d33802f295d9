// Sums and scaling of tensors: the simplest work that there is, for tests of handles and streams. The product has kernels
// of its own.
#include "internal.h"

namespace dnn {
namespace {

constexpr int kMostDims = 5;

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

}  // extern "C"
