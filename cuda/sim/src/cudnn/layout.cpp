// Layouts of tensors, and their elements as vectors of float or double in the order of the dimensions.
#include <algorithm>
#include <limits>

#include "internal.h"
#include "ptx/smallfloat.h"

namespace dnn {

size_t sizeOf(cudnnDataType_t type) {
  switch (static_cast<int>(type)) {
    case CUDNN_DATA_DOUBLE: return 8;
    case CUDNN_DATA_FLOAT:
    case CUDNN_DATA_INT32: return 4;
    case CUDNN_DATA_HALF:
    case CUDNN_DATA_BFLOAT16: return 2;
    case CUDNN_DATA_INT8:
    case CUDNN_DATA_UINT8: return 1;
  }
  return 0;
}

const char *nameOf(cudnnDataType_t type) {
  switch (static_cast<int>(type)) {
    case CUDNN_DATA_DOUBLE: return "double";
    case CUDNN_DATA_FLOAT: return "float";
    case CUDNN_DATA_HALF: return "half";
    case CUDNN_DATA_BFLOAT16: return "bfloat16";
    case CUDNN_DATA_INT32: return "int32";
    case CUDNN_DATA_INT8: return "int8";
    case CUDNN_DATA_UINT8: return "uint8";
  }
  return "an unknown type";
}

bool isFloating(cudnnDataType_t type) {
  return type == CUDNN_DATA_FLOAT || type == CUDNN_DATA_DOUBLE || type == CUDNN_DATA_HALF ||
         type == CUDNN_DATA_BFLOAT16;
}

int64_t Layout::count() const {
  int64_t n = 1;
  for (int i = 0; i < rank; i++) n *= dim[i];
  return n;
}

int64_t Layout::extent() const {
  int64_t last = 0;
  for (int i = 0; i < rank; i++) last += static_cast<int64_t>(dim[i] - 1) * stride[i];
  return last + 1;
}

bool Layout::packed() const {
  int64_t next = 1;
  for (int i = rank - 1; i >= 0; i--) {
    if (dim[i] != 1 && stride[i] != next) return false;
    next *= dim[i];
  }
  return true;
}

namespace {

struct Axis {
  int64_t dim, stride;
};

// The dimensions of more than one element, the widest stride first.
std::vector<Axis> axesOf(const Layout &layout) {
  std::vector<Axis> axes;
  for (int i = 0; i < layout.rank; i++) {
    if (layout.dim[i] > 1) axes.push_back({layout.dim[i], layout.stride[i]});
  }
  std::stable_sort(axes.begin(), axes.end(), [](const Axis &a, const Axis &b) { return a.stride > b.stride; });
  return axes;
}

}  // namespace

bool Layout::overlapping() const {
  const std::vector<Axis> axes = axesOf(*this);
  int64_t reach = 0;  // from the first to the last element of the dimensions inside
  for (size_t i = axes.size(); i-- > 0;) {
    if (axes[i].stride <= reach) return true;
    reach += (axes[i].dim - 1) * axes[i].stride;
  }
  return false;
}

bool Layout::sameDims(const Layout &other) const {
  return rank == other.rank && std::equal(dim, dim + rank, other.dim);
}

bool Layout::sameStrides(const Layout &other) const {
  if (rank != other.rank) return false;
  for (int i = 0; i < rank; i++) {
    if ((dim[i] != 1 || other.dim[i] != 1) && stride[i] != other.stride[i]) return false;
  }
  return true;
}

std::string Layout::text() const {
  std::string s;
  for (int i = 0; i < rank; i++) s += (i ? "x" : "") + std::to_string(dim[i]);
  s += std::string(" ") + nameOf(type);
  if (packed()) return s;
  s += " with strides ";
  for (int i = 0; i < rank; i++) s += (i ? "," : "") + std::to_string(stride[i]);
  return s;
}

std::string both(const char *aName, const Layout &a, const char *bName, const Layout &b) {
  return std::string(aName) + ", " + a.text() + ", and " + bName + ", " + b.text() + ",";
}

void checkSame(const char *aName, const Layout &a, const char *bName, const Layout &b) {
  if (a.type == b.type && a.sameDims(b)) return;
  wrong(kBadParam, sim::check::descriptor, both(aName, a, bName, b) + " differ");
}

void checkFloating(const char *what, const Layout &layout) {
  if (isFloating(layout.type)) return;
  wrong(kNotSupportedDataType, sim::check::descriptor,
        std::string(what) + ", " + layout.text() + ", is of a type that isn't supported");
}

Layout packedLayout(cudnnDataType_t type, const std::vector<int> &dims) {
  Layout layout;
  layout.type = type;
  layout.rank = static_cast<int>(dims.size());
  std::copy(dims.begin(), dims.end(), layout.dim);
  setStrides(layout, CUDNN_TENSOR_NCHW);
  return layout;
}

void setStrides(Layout &layout, cudnnTensorFormat_t format) {
  int64_t next = 1;
  auto set = [&](int i) {
    layout.stride[i] = static_cast<int>(next);
    next *= layout.dim[i];
  };
  if (format == CUDNN_TENSOR_NHWC && layout.rank > 1) {
    set(1);
    for (int i = layout.rank - 1; i > 1; i--) set(i);
    set(0);
  } else {
    for (int i = layout.rank - 1; i >= 0; i--) set(i);
  }
}

double scalar(const void *pointer, cudnnDataType_t type, const char *what) {
  if (!pointer) wrong(kNullPointer, sim::check::badValue, std::string(what) + " is null");
  if (sim::isDeviceAddress(addressOf(pointer))) {
    wrong(kBadParam, sim::check::devicePointer, std::string(what) + " must point to host memory");
  }
  if (isDouble(type)) {
    double value;
    std::memcpy(&value, pointer, sizeof value);
    return value;
  }
  float value;
  std::memcpy(&value, pointer, sizeof value);
  return static_cast<double>(value);
}

namespace {

// How a type is stored, and its value.
template <class Stored>
struct Plain {
  using Type = Stored;
  static double value(Stored s) { return static_cast<double>(s); }
  static Stored stored(double x) { return static_cast<Stored>(x); }
};

template <class Stored>
struct Integer {
  using Type = Stored;
  static double value(Stored s) { return static_cast<double>(s); }
  static Stored stored(double x) {
    const double low = static_cast<double>(std::numeric_limits<Stored>::min());
    const double high = static_cast<double>(std::numeric_limits<Stored>::max());
    if (!(x > low)) return std::numeric_limits<Stored>::min();
    return x >= high ? std::numeric_limits<Stored>::max() : static_cast<Stored>(std::nearbyint(x));
  }
};

struct Half {
  using Type = uint16_t;
  static double value(uint16_t s) { return ptx::valueOf(ptx::kHalf, s); }
  static uint16_t stored(double x) {
    return static_cast<uint16_t>(ptx::roundTo(ptx::kHalf, x, ptx::Rounding::Nearest));
  }
};

struct Brain {
  using Type = uint16_t;
  static double value(uint16_t s) { return static_cast<double>(ptx::brainToFloat(s)); }
  static uint16_t stored(double x) {
    return static_cast<uint16_t>(ptx::roundTo(ptx::kBrain, x, ptx::Rounding::Nearest));
  }
};

template <class Body>
void withType(cudnnDataType_t type, Body body) {
  switch (static_cast<int>(type)) {
    case CUDNN_DATA_FLOAT: return body(Plain<float>());
    case CUDNN_DATA_DOUBLE: return body(Plain<double>());
    case CUDNN_DATA_HALF: return body(Half());
    case CUDNN_DATA_BFLOAT16: return body(Brain());
    case CUDNN_DATA_INT32: return body(Integer<int32_t>());
    case CUDNN_DATA_INT8: return body(Integer<int8_t>());
    case CUDNN_DATA_UINT8: return body(Integer<uint8_t>());
  }
}

// Calls row(first element's offset) for each row along the last dimension, in the order of the dimensions.
template <class Row>
void eachRow(const Layout &layout, Row row) {
  int at[CUDNN_DIM_MAX] = {};
  int64_t offset = 0;
  for (;;) {
    row(offset);
    int i = layout.rank - 2;
    for (; i >= 0; i--) {
      offset += layout.stride[i];
      if (++at[i] < layout.dim[i]) break;
      offset -= static_cast<int64_t>(layout.dim[i]) * layout.stride[i];
      at[i] = 0;
    }
    if (i < 0) return;
  }
}

}  // namespace

template <class T>
std::vector<T> load(const Layout &layout, const void *address) {
  std::vector<T> values(static_cast<size_t>(layout.count()));
  T *to = values.data();
  withType(layout.type, [&](auto as) {
    const auto *from = sim::at<typename decltype(as)::Type>(addressOf(address));
    const int length = layout.dim[layout.rank - 1];
    const int64_t step = layout.stride[layout.rank - 1];
    eachRow(layout, [&](int64_t offset) {
      for (int i = 0; i < length; i++) *to++ = static_cast<T>(as.value(from[offset + i * step]));
    });
  });
  return values;
}

template <class T>
void store(const Layout &layout, void *address, const T *values, double alpha, double beta) {
  withType(layout.type, [&](auto as) {
    auto *memory = sim::at<typename decltype(as)::Type>(addressOf(address));
    const int length = layout.dim[layout.rank - 1];
    const int64_t step = layout.stride[layout.rank - 1];
    eachRow(layout, [&](int64_t offset) {
      for (int i = 0; i < length; i++) {
        auto &element = memory[offset + i * step];
        double x = alpha * static_cast<double>(*values++);
        if (beta != 0) x += beta * as.value(element);
        element = as.stored(x);
      }
    });
  });
}

template std::vector<float> load<float>(const Layout &, const void *);
template std::vector<double> load<double>(const Layout &, const void *);
template void store<float>(const Layout &, void *, const float *, double, double);
template void store<double>(const Layout &, void *, const double *, double, double);

float roundToTensorFloat(float x) {
  uint32_t raw = ptx::bits<uint32_t>(x);
  if ((raw & 0x7f800000u) == 0x7f800000u) return x;
  return ptx::bits<float>((raw + 0x1000u) & ~0x1fffu);
}

}  // namespace dnn
