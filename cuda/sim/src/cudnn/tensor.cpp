// Descriptors of tensors and filters.
#include <algorithm>

#include "internal.h"

namespace dnn {
namespace {

constexpr char kTensor[] = "cudnnTensorDescriptor_t", kFilter[] = "cudnnFilterDescriptor_t";
constexpr int kLeastDims = 3;
constexpr int64_t kMostElements = int64_t(1) << 31;

// Checks what all setters share.
void check(const Layout &layout) {
  if (sizeOf(layout.type) == 0) {
    refuse(kNotSupportedDataType, "data type " + std::to_string(static_cast<int>(layout.type)) + " isn't simulated");
  }
  for (int i = 0; i < layout.rank; i++) {
    if (layout.dim[i] <= 0) {
      wrong(kBadParam, sim::check::badValue,
            "dimension " + std::to_string(i) + " of " + std::to_string(layout.rank) + " is " +
                std::to_string(layout.dim[i]));
    }
    if (layout.stride[i] <= 0) {
      wrong(kBadParam, sim::check::badValue,
            "the stride of dimension " + std::to_string(i) + " is " + std::to_string(layout.stride[i]));
    }
  }
  int64_t count = 1;
  for (int i = 0; i < layout.rank; i++) {
    count *= layout.dim[i];
    if (count >= kMostElements) refuse(kNotSupported, "the tensor has 2^31 elements or more");
  }
  if (layout.extent() >= kMostElements) refuse(kNotSupported, "the tensor spans 2^31 elements or more");
}

Layout fromArrays(cudnnDataType_t type, int nbDims, const int *dims) {
  if (nbDims < kLeastDims || nbDims > CUDNN_DIM_MAX) {
    wrong(kNotSupported, sim::check::badValue, "nbDims is " + std::to_string(nbDims) + ", not 3 to 8");
  }
  Layout layout;
  layout.type = type;
  layout.rank = nbDims;
  result(dims, "dimA");
  std::copy(dims, dims + nbDims, layout.dim);
  return layout;
}

void checkFormat(cudnnTensorFormat_t format) {
  inRange(format, CUDNN_TENSOR_NCHW, CUDNN_TENSOR_NCHW_VECT_C, "format");
  if (format == CUDNN_TENSOR_NCHW_VECT_C) refuse(kNotSupportedLayout, "NCHW_VECT_C isn't simulated");
}

// Fills strides of positive dimensions that may be too large for an int: check() sees to those.
void formatStrides(Layout &layout, cudnnTensorFormat_t format) {
  checkFormat(format);
  int64_t count = 1;
  for (int i = 0; i < layout.rank; i++) {
    if (layout.dim[i] <= 0) break;
    count *= layout.dim[i];
    if (count >= kMostElements) refuse(kNotSupported, "the tensor has 2^31 elements or more");
  }
  if (std::all_of(layout.dim, layout.dim + layout.rank, [](int d) { return d > 0; })) setStrides(layout, format);
}

void set(cudnnTensorDescriptor_t descriptor, const Layout &layout) {
  check(layout);
  static_cast<Layout &>(*descriptor) = layout;
}

void set(cudnnFilterDescriptor_t descriptor, Layout layout, cudnnTensorFormat_t format) {
  if (layout.type == CUDNN_DATA_INT32) wrong(kBadParam, sim::check::badValue, "a filter can't be of int32");
  formatStrides(layout, format);
  check(layout);
  static_cast<Layout &>(*descriptor) = layout;
  descriptor->format = format;
}

}  // namespace

const Layout &use(cudnnTensorDescriptor_t descriptor, const char *what) {
  demand(descriptor, kTensor, what);
  if (descriptor->rank == 0) wrong(kBadParam, sim::check::descriptor, std::string(what) + " was never set");
  return *descriptor;
}

const Filter &use(cudnnFilterDescriptor_t descriptor, const char *what) {
  demand(descriptor, kFilter, what);
  if (descriptor->rank == 0) wrong(kBadParam, sim::check::descriptor, std::string(what) + " was never set");
  return *descriptor;
}

}  // namespace dnn

using namespace dnn;

extern "C" {

SIM_SHARED cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t *tensorDesc) {
  return createObject(__func__, tensorDesc, kTensor);
}

SIM_SHARED cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t tensorDesc) {
  return destroyObject(__func__, tensorDesc, kTensor);
}

SIM_SHARED cudnnStatus_t cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t tensorDesc, cudnnTensorFormat_t format,
                                                    cudnnDataType_t dataType, int n, int c, int h, int w) {
  return answer(__func__, [&] {
    demand(tensorDesc, kTensor, "tensorDesc");
    const int dims[] = {n, c, h, w};
    Layout layout = fromArrays(dataType, 4, dims);
    formatStrides(layout, format);
    set(tensorDesc, layout);
  });
}

SIM_SHARED cudnnStatus_t cudnnSetTensor4dDescriptorEx(cudnnTensorDescriptor_t tensorDesc, cudnnDataType_t dataType,
                                                      int n, int c, int h, int w, int nStride, int cStride, int hStride,
                                                      int wStride) {
  return answer(__func__, [&] {
    demand(tensorDesc, kTensor, "tensorDesc");
    const int dims[] = {n, c, h, w}, strides[] = {nStride, cStride, hStride, wStride};
    Layout layout = fromArrays(dataType, 4, dims);
    std::copy(strides, strides + 4, layout.stride);
    set(tensorDesc, layout);
  });
}

SIM_SHARED cudnnStatus_t cudnnSetTensorNdDescriptor(cudnnTensorDescriptor_t tensorDesc, cudnnDataType_t dataType,
                                                    int nbDims, const int dimA[], const int strideA[]) {
  return answer(__func__, [&] {
    demand(tensorDesc, kTensor, "tensorDesc");
    Layout layout = fromArrays(dataType, nbDims, dimA);
    result(strideA, "strideA");
    std::copy(strideA, strideA + nbDims, layout.stride);
    set(tensorDesc, layout);
  });
}

SIM_SHARED cudnnStatus_t cudnnSetTensorNdDescriptorEx(cudnnTensorDescriptor_t tensorDesc, cudnnTensorFormat_t format,
                                                      cudnnDataType_t dataType, int nbDims, const int dimA[]) {
  return answer(__func__, [&] {
    demand(tensorDesc, kTensor, "tensorDesc");
    Layout layout = fromArrays(dataType, nbDims, dimA);
    formatStrides(layout, format);
    set(tensorDesc, layout);
  });
}

SIM_SHARED cudnnStatus_t cudnnGetTensor4dDescriptor(const cudnnTensorDescriptor_t tensorDesc, cudnnDataType_t *dataType,
                                                    int *n, int *c, int *h, int *w, int *nStride, int *cStride,
                                                    int *hStride, int *wStride) {
  return answer(__func__, [&] {
    const Layout &layout = use(tensorDesc, "tensorDesc");
    if (layout.rank != 4) wrong(kBadParam, sim::check::descriptor, "tensorDesc, " + layout.text() + ", isn't 4d");
    give(dataType, layout.type);
    int *dims[] = {n, c, h, w}, *strides[] = {nStride, cStride, hStride, wStride};
    for (int i = 0; i < 4; i++) {
      give(dims[i], layout.dim[i]);
      give(strides[i], layout.stride[i]);
    }
  });
}

SIM_SHARED cudnnStatus_t cudnnGetTensorNdDescriptor(const cudnnTensorDescriptor_t tensorDesc, int nbDimsRequested,
                                                    cudnnDataType_t *dataType, int *nbDims, int dimA[], int strideA[]) {
  return answer(__func__, [&] {
    const Layout &layout = use(tensorDesc, "tensorDesc");
    inRange(nbDimsRequested, 0, CUDNN_DIM_MAX, "nbDimsRequested");
    give(dataType, layout.type);
    give(nbDims, layout.rank);
    for (int i = 0; i < std::min(layout.rank, nbDimsRequested); i++) {
      if (dimA) dimA[i] = layout.dim[i];
      if (strideA) strideA[i] = layout.stride[i];
    }
  });
}

SIM_SHARED cudnnStatus_t cudnnGetTensorSizeInBytes(const cudnnTensorDescriptor_t tensorDesc, size_t *size) {
  return answer(__func__, [&] {
    const Layout &layout = use(tensorDesc, "tensorDesc");
    result(size, "size") = static_cast<size_t>(layout.extent()) * sizeOf(layout.type);
  });
}

SIM_SHARED cudnnStatus_t cudnnCreateFilterDescriptor(cudnnFilterDescriptor_t *filterDesc) {
  return createObject(__func__, filterDesc, kFilter);
}

SIM_SHARED cudnnStatus_t cudnnDestroyFilterDescriptor(cudnnFilterDescriptor_t filterDesc) {
  return destroyObject(__func__, filterDesc, kFilter);
}

SIM_SHARED cudnnStatus_t cudnnSetFilter4dDescriptor(cudnnFilterDescriptor_t filterDesc, cudnnDataType_t dataType,
                                                    cudnnTensorFormat_t format, int k, int c, int h, int w) {
  return answer(__func__, [&] {
    demand(filterDesc, kFilter, "filterDesc");
    const int dims[] = {k, c, h, w};
    set(filterDesc, fromArrays(dataType, 4, dims), format);
  });
}

SIM_SHARED cudnnStatus_t cudnnSetFilterNdDescriptor(cudnnFilterDescriptor_t filterDesc, cudnnDataType_t dataType,
                                                    cudnnTensorFormat_t format, int nbDims, const int filterDimA[]) {
  return answer(__func__, [&] {
    demand(filterDesc, kFilter, "filterDesc");
    set(filterDesc, fromArrays(dataType, nbDims, filterDimA), format);
  });
}

SIM_SHARED cudnnStatus_t cudnnGetFilter4dDescriptor(const cudnnFilterDescriptor_t filterDesc, cudnnDataType_t *dataType,
                                                    cudnnTensorFormat_t *format, int *k, int *c, int *h, int *w) {
  return answer(__func__, [&] {
    const Filter &filter = use(filterDesc, "filterDesc");
    if (filter.rank != 4) wrong(kBadParam, sim::check::descriptor, "filterDesc, " + filter.text() + ", isn't 4d");
    give(dataType, filter.type);
    give(format, filter.format);
    int *dims[] = {k, c, h, w};
    for (int i = 0; i < 4; i++) give(dims[i], filter.dim[i]);
  });
}

SIM_SHARED cudnnStatus_t cudnnGetFilterNdDescriptor(const cudnnFilterDescriptor_t filterDesc, int nbDimsRequested,
                                                    cudnnDataType_t *dataType, cudnnTensorFormat_t *format, int *nbDims,
                                                    int filterDimA[]) {
  return answer(__func__, [&] {
    const Filter &filter = use(filterDesc, "filterDesc");
    inRange(nbDimsRequested, 0, CUDNN_DIM_MAX, "nbDimsRequested");
    give(dataType, filter.type);
    give(format, filter.format);
    give(nbDims, filter.rank);
    for (int i = 0; filterDimA && i < std::min(filter.rank, nbDimsRequested); i++) filterDimA[i] = filter.dim[i];
  });
}

SIM_SHARED cudnnStatus_t cudnnGetFilterSizeInBytes(const cudnnFilterDescriptor_t filterDesc, size_t *size) {
  return answer(__func__, [&] {
    const Filter &filter = use(filterDesc, "filterDesc");
    result(size, "size") = static_cast<size_t>(filter.count()) * sizeOf(filter.type);
  });
}

}  // extern "C"
