// What a cuDNN library says of descriptors: which it accepts, what it gives back, sizes and output dimensions. None of
// that needs a GPU, so the real library can say it anywhere. Run with the library's path; prints a line per question:
// what was called with what, a tab, the answer. `make check-descriptors` compares the lines of several libraries.
#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "cudnn.h"

namespace {

void *library;

void *symbol(const char *name) {
  void *address = dlsym(library, name);
  if (address == nullptr) {
    printf("symbol %s\tmissing\n", name);
    _exit(0);
  }
  return address;
}

#define CUDNN(name) (*reinterpret_cast<decltype(&name)>(symbol(#name)))

template <typename... T>
std::string join(const T &...value) {
  std::ostringstream text;
  const char *comma = "";
  ((text << comma << value, comma = ","), ...);
  return text.str();
}

std::string join(const std::vector<int> &values) {
  std::string text;
  for (int v : values) text += (text.empty() ? "" : ",") + std::to_string(v);
  return text;
}

// Codes differ from version to version, names don't.
std::string name(cudnnStatus_t status) {
  const std::string text = CUDNN(cudnnGetErrorString)(status), prefix = "CUDNN_STATUS_";
  return text.compare(0, prefix.size(), prefix) == 0 ? text.substr(prefix.size()) : text;
}

// One line. What a call gives back is part of its answer if it succeeded.
void answer(const char *question, const std::string &arguments, cudnnStatus_t status, const std::string &result = "") {
  const bool gives = status == CUDNN_STATUS_SUCCESS && !result.empty();
  printf("%s %s\t%s%s\n", question, arguments.c_str(), name(status).c_str(), gives ? (" " + result).c_str() : "");
}

// An object that lives as long as one question. Asking a new one each time keeps a failed call from leaving traces.
template <typename Handle>
class Owned {
 public:
  Owned(cudnnStatus_t (*create)(Handle *), cudnnStatus_t (*destroy)(Handle)) : destroy_(destroy) {
    if (create(&handle_) != CUDNN_STATUS_SUCCESS) abort();
  }
  ~Owned() { destroy_(handle_); }
  Owned(const Owned &) = delete;
  Owned &operator=(const Owned &) = delete;
  operator Handle() const { return handle_; }

 private:
  Handle handle_ = nullptr;
  cudnnStatus_t (*destroy_)(Handle);
};

#define OWNED(type, variable)                                                        \
  Owned<cudnn##type##Descriptor_t> variable(&CUDNN(cudnnCreate##type##Descriptor), \
                                            &CUDNN(cudnnDestroy##type##Descriptor))

// A question that ends the process must not keep the others from being asked.
template <typename Ask>
void apart(const char *question, Ask ask) {
  const pid_t child = fork();
  if (child == 0) {
    ask();
    _exit(0);
  }
  int end = 0;
  waitpid(child, &end, 0);
  if (WIFSIGNALED(end)) printf("%s\tkilled by signal %d\n", question, WTERMSIG(end));
  if (WIFEXITED(end) && WEXITSTATUS(end) != 0) printf("%s\texit status %d\n", question, WEXITSTATUS(end));
}

const cudnnDataType_t types[] = {CUDNN_DATA_FLOAT, CUDNN_DATA_DOUBLE,  CUDNN_DATA_HALF,    CUDNN_DATA_BFLOAT16,
                                 CUDNN_DATA_INT8,  CUDNN_DATA_INT32,   CUDNN_DATA_INT8x4,  CUDNN_DATA_UINT8,
                                 CUDNN_DATA_INT64, CUDNN_DATA_BOOLEAN, cudnnDataType_t(99)};
const cudnnTensorFormat_t formats[] = {CUDNN_TENSOR_NCHW, CUDNN_TENSOR_NHWC, CUDNN_TENSOR_NCHW_VECT_C};
const std::vector<int> shapes[] = {{8, 1, 28, 28}, {1, 1, 1, 1}, {3, 5, 7, 9}, {128, 64, 3, 3}, {2, 32, 1, 6},
                                   {0, 1, 2, 3}, {1, 0, 2, 3}, {1, 2, -3, 4}, {1, 1, 46341, 46341}, {2, 4, 4, INT_MAX}};

// What a tensor says of itself.
std::string describe(cudnnTensorDescriptor_t tensor) {
  cudnnDataType_t type{};
  int dimensions = 0;
  std::vector<int> shape(CUDNN_DIM_MAX), stride(CUDNN_DIM_MAX);
  size_t bytes = 0;
  const cudnnStatus_t got = CUDNN(cudnnGetTensorNdDescriptor)(tensor, CUDNN_DIM_MAX, &type, &dimensions, shape.data(),
                                                             stride.data());
  const cudnnStatus_t sized = CUDNN(cudnnGetTensorSizeInBytes)(tensor, &bytes);
  if (got != CUDNN_STATUS_SUCCESS) return name(got);
  shape.resize(dimensions), stride.resize(dimensions);
  return join("type " + std::to_string(type), "shape " + join(shape), "strides " + join(stride),
              sized == CUDNN_STATUS_SUCCESS ? std::to_string(bytes) + " bytes" : name(sized));
}

void tensor4d() {
  for (auto format : formats)
    for (auto type : types)
      for (const auto &s : shapes) {
        OWNED(Tensor, tensor);
        const auto status = CUDNN(cudnnSetTensor4dDescriptor)(tensor, format, type, s[0], s[1], s[2], s[3]);
        answer("tensor4d", join(format, type, join(s)), status, status == CUDNN_STATUS_SUCCESS ? describe(tensor) : "");
      }
}

void tensor4dStrides() {
  const std::vector<int> strides[] = {{60, 20, 5, 1}, {60, 1, 15, 3}, {1000, 200, 10, 2}, {0, 20, 5, 1}, {60, 20, 5, 0},
                                      {1, 1, 1, 1}, {60, 20, 4, 1}, {20, 60, 5, 1}, {60, 20, 5, -1}};
  for (auto type : {CUDNN_DATA_FLOAT, CUDNN_DATA_HALF, CUDNN_DATA_INT8x4, CUDNN_DATA_INT64})
    for (const auto &s : strides)
      for (int n : {2, 1}) {
        OWNED(Tensor, tensor);
        const auto status = CUDNN(cudnnSetTensor4dDescriptorEx)(tensor, type, n, 3, 4, 5, s[0], s[1], s[2], s[3]);
        answer("tensor4dStrides", join(type, n, 3, 4, 5, join(s)), status,
               status == CUDNN_STATUS_SUCCESS ? describe(tensor) : "");
      }
}

void tensorNd() {
  for (int dimensions = 0; dimensions <= CUDNN_DIM_MAX + 1; dimensions++)
    for (int first : {2, 0, -1}) {
      std::vector<int> shape(CUDNN_DIM_MAX + 2, 3), stride(CUDNN_DIM_MAX + 2, 1);
      shape[0] = first;
      for (int i = dimensions - 2; i >= 0; i--) stride[i] = stride[i + 1] * shape[i + 1];
      OWNED(Tensor, strided);
      auto status =
          CUDNN(cudnnSetTensorNdDescriptor)(strided, CUDNN_DATA_FLOAT, dimensions, shape.data(), stride.data());
      answer("tensorNd", join(dimensions, first), status, status == CUDNN_STATUS_SUCCESS ? describe(strided) : "");
      for (auto format : formats) {
        OWNED(Tensor, packed);
        status = CUDNN(cudnnSetTensorNdDescriptorEx)(packed, format, CUDNN_DATA_HALF, dimensions, shape.data());
        answer("tensorNdFormat", join(format, dimensions, first), status,
               status == CUDNN_STATUS_SUCCESS ? describe(packed) : "");
      }
    }
}

// Asking for fewer dimensions than there are, or as four that there aren't.
void tensorGet() {
  for (int dimensions : {3, 4, 5}) {
    const int shape[] = {2, 3, 4, 5, 6}, stride[] = {360, 120, 30, 6, 1};
    OWNED(Tensor, tensor);
    CUDNN(cudnnSetTensorNdDescriptor)(tensor, CUDNN_DATA_FLOAT, dimensions, shape, stride);
    cudnnDataType_t type{};
    int n = -1, c = -1, h = -1, w = -1, ns = -1, cs = -1, hs = -1, ws = -1;
    auto status = CUDNN(cudnnGetTensor4dDescriptor)(tensor, &type, &n, &c, &h, &w, &ns, &cs, &hs, &ws);
    answer("tensorGet4d", join(dimensions), status, join(n, c, h, w, ns, cs, hs, ws));
    for (int asked : {0, 2, 8, 9}) {
      std::vector<int> had(10, -1), strides(10, -1);
      int have = -1;
      status = CUDNN(cudnnGetTensorNdDescriptor)(tensor, asked, &type, &have, had.data(), strides.data());
      answer("tensorGetNd", join(dimensions, asked), status, join(have, join(had), join(strides)));
    }
  }
  OWNED(Tensor, unset);
  cudnnDataType_t type{};
  int have = -1, shape[CUDNN_DIM_MAX], stride[CUDNN_DIM_MAX];
  const auto status = CUDNN(cudnnGetTensorNdDescriptor)(unset, CUDNN_DIM_MAX, &type, &have, shape, stride);
  answer("tensorGetNd", "unset", status, join(have));
}

void filter() {
  for (auto format : formats)
    for (auto type : types)
      for (const auto &s : shapes) {
        OWNED(Filter, filter);
        auto status = CUDNN(cudnnSetFilter4dDescriptor)(filter, type, format, s[0], s[1], s[2], s[3]);
        std::string result;
        if (status == CUDNN_STATUS_SUCCESS) {
          cudnnDataType_t t{};
          cudnnTensorFormat_t f{};
          int k = -1, c = -1, h = -1, w = -1;
          size_t bytes = 0;
          const auto got = CUDNN(cudnnGetFilter4dDescriptor)(filter, &t, &f, &k, &c, &h, &w);
          const auto sized = CUDNN(cudnnGetFilterSizeInBytes)(filter, &bytes);
          result = join(name(got), t, f, k, c, h, w, name(sized), bytes);
        }
        answer("filter4d", join(format, type, join(s)), status, result);
      }
  for (int dimensions = 0; dimensions <= CUDNN_DIM_MAX + 1; dimensions++) {
    const std::vector<int> shape(CUDNN_DIM_MAX + 2, 3);
    OWNED(Filter, filter);
    const auto status =
        CUDNN(cudnnSetFilterNdDescriptor)(filter, CUDNN_DATA_FLOAT, CUDNN_TENSOR_NCHW, dimensions, shape.data());
    std::string result;
    if (status == CUDNN_STATUS_SUCCESS) {
      cudnnDataType_t type{};
      cudnnTensorFormat_t format{};
      int have = -1;
      std::vector<int> had(CUDNN_DIM_MAX, -1);
      const auto got = CUDNN(cudnnGetFilterNdDescriptor)(filter, CUDNN_DIM_MAX, &type, &format, &have, had.data());
      had.resize(std::max(have, 0));
      result = join(name(got), type, format, have, join(had));
    }
    answer("filterNd", join(dimensions), status, result);
  }
}

void convolution() {
  const std::vector<int> settings[] = {{0, 0, 1, 1, 1, 1}, {2, 3, 2, 1, 1, 2}, {-1, 0, 1, 1, 1, 1}, {0, 0, 0, 1, 1, 1},
                                       {0, 0, 1, -1, 1, 1}, {0, 0, 1, 1, 0, 1}, {0, 0, 1, 1, 1, -1},
                                       {100, 100, 50, 50, 9, 9}};
  for (const auto &s : settings)
    for (int mode : {0, 1, 2})
      for (auto type : types) {
        OWNED(Convolution, c);
        const auto status = CUDNN(cudnnSetConvolution2dDescriptor)(c, s[0], s[1], s[2], s[3], s[4], s[5],
                                                                   cudnnConvolutionMode_t(mode), type);
        std::string result;
        if (status == CUDNN_STATUS_SUCCESS) {
          int ph, pw, sh, sw, dh, dw, groups = -1;
          cudnnConvolutionMode_t m{};
          cudnnDataType_t t{};
          cudnnMathType_t math{};
          CUDNN(cudnnGetConvolution2dDescriptor)(c, &ph, &pw, &sh, &sw, &dh, &dw, &m, &t);
          CUDNN(cudnnGetConvolutionMathType)(c, &math);
          CUDNN(cudnnGetConvolutionGroupCount)(c, &groups);
          result = join(ph, pw, sh, sw, dh, dw, m, t, "math " + std::to_string(math),
                        "groups " + std::to_string(groups));
        }
        answer("convolution2d", join(join(s), mode, type), status, result);
      }
  for (int length = 0; length <= CUDNN_DIM_MAX; length++) {
    const std::vector<int> pads(CUDNN_DIM_MAX, 1), strides(CUDNN_DIM_MAX, 2), dilations(CUDNN_DIM_MAX, 1);
    OWNED(Convolution, c);
    answer("convolutionNd", join(length),
           CUDNN(cudnnSetConvolutionNdDescriptor)(c, length, pads.data(), strides.data(), dilations.data(),
                                                  CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT));
  }
  for (int value : {-1, 0, 1, 2, 3, 4}) {
    OWNED(Convolution, c);
    CUDNN(cudnnSetConvolution2dDescriptor)(c, 0, 0, 1, 1, 1, 1, CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT);
    answer("convolutionMath", join(value), CUDNN(cudnnSetConvolutionMathType)(c, cudnnMathType_t(value)));
    answer("convolutionGroups", join(value), CUDNN(cudnnSetConvolutionGroupCount)(c, value));
  }
  // Is the math type kept when the descriptor is set again?
  OWNED(Convolution, c);
  cudnnMathType_t math{};
  int groups = 0;
  CUDNN(cudnnSetConvolutionMathType)(c, CUDNN_FMA_MATH);
  CUDNN(cudnnSetConvolutionGroupCount)(c, 2);
  CUDNN(cudnnSetConvolution2dDescriptor)(c, 0, 0, 1, 1, 1, 1, CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT);
  CUDNN(cudnnGetConvolutionMathType)(c, &math);
  CUDNN(cudnnGetConvolutionGroupCount)(c, &groups);
  answer("convolutionSetAgain", "math,groups", CUDNN_STATUS_SUCCESS, join(math, groups));
}

void convolutionOutput() {
  for (int size : {1, 2, 5, 28, 31})
    for (int window : {1, 2, 3, 5})
      for (int pad : {0, 1, 2})
        for (int stride : {1, 2, 3})
          for (int dilation : {1, 2}) {
            OWNED(Tensor, x);
            OWNED(Filter, w);
            OWNED(Convolution, c);
            CUDNN(cudnnSetTensor4dDescriptor)(x, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, 8, 3, size, 28);
            CUDNN(cudnnSetFilter4dDescriptor)(w, CUDNN_DATA_FLOAT, CUDNN_TENSOR_NCHW, 16, 3, window, 3);
            CUDNN(cudnnSetConvolution2dDescriptor)(c, pad, 1, stride, 1, dilation, 1, CUDNN_CROSS_CORRELATION,
                                                   CUDNN_DATA_FLOAT);
            int n = -1, k = -1, h = -1, wide = -1;
            auto status = CUDNN(cudnnGetConvolution2dForwardOutputDim)(c, x, w, &n, &k, &h, &wide);
            answer("convolutionOutput", join(size, window, pad, stride, dilation), status, join(n, k, h, wide));
            std::vector<int> y(4, -1);
            status = CUDNN(cudnnGetConvolutionNdForwardOutputDim)(c, x, w, 4, y.data());
            answer("convolutionOutputNd", join(size, window, pad, stride, dilation), status, join(y));
          }
  // What doesn't fit: channels, groups, types, formats, numbers of dimensions.
  for (int channels : {3, 4, 6, 2, 1})
    for (int groups : {1, 2, 3})
      for (auto xType : {CUDNN_DATA_FLOAT, CUDNN_DATA_HALF})
        for (auto format : {CUDNN_TENSOR_NCHW, CUDNN_TENSOR_NHWC}) {
          OWNED(Tensor, x);
          OWNED(Filter, w);
          OWNED(Convolution, c);
          CUDNN(cudnnSetTensor4dDescriptor)(x, CUDNN_TENSOR_NCHW, xType, 8, 6, 12, 12);
          CUDNN(cudnnSetFilter4dDescriptor)(w, CUDNN_DATA_FLOAT, format, 16, channels, 3, 3);
          CUDNN(cudnnSetConvolution2dDescriptor)(c, 1, 1, 1, 1, 1, 1, CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT);
          CUDNN(cudnnSetConvolutionGroupCount)(c, groups);
          int n = -1, k = -1, h = -1, wide = -1;
          const auto status = CUDNN(cudnnGetConvolution2dForwardOutputDim)(c, x, w, &n, &k, &h, &wide);
          answer("convolutionFits", join(channels, groups, xType, format), status, join(n, k, h, wide));
        }
  for (int asked : {3, 4, 5}) {
    OWNED(Tensor, x);
    OWNED(Filter, w);
    OWNED(Convolution, c);
    CUDNN(cudnnSetTensor4dDescriptor)(x, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, 8, 3, 12, 12);
    CUDNN(cudnnSetFilter4dDescriptor)(w, CUDNN_DATA_FLOAT, CUDNN_TENSOR_NCHW, 16, 3, 3, 3);
    CUDNN(cudnnSetConvolution2dDescriptor)(c, 1, 1, 1, 1, 1, 1, CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT);
    std::vector<int> y(CUDNN_DIM_MAX, -1);
    const auto status = CUDNN(cudnnGetConvolutionNdForwardOutputDim)(c, x, w, asked, y.data());
    answer("convolutionOutputDimensions", join(asked), status, join(y));
  }
}

void pooling() {
  const std::vector<int> settings[] = {{2, 2, 0, 0, 2, 2}, {3, 2, 1, 1, 2, 1},  {2, 2, 2, 2, 1, 1},  {2, 2, 3, 0, 1, 1},
                                       {0, 2, 0, 0, 1, 1}, {2, -1, 0, 0, 1, 1}, {2, 2, -1, 0, 1, 1}, {2, 2, 0, 0, 0, 1},
                                       {2, 2, 0, 0, 1, -1}};
  for (const auto &s : settings)
    for (int mode : {0, 1, 2, 3, 4})
      for (int nan : {0, 1, 2}) {
        OWNED(Pooling, p);
        const auto status = CUDNN(cudnnSetPooling2dDescriptor)(
            p, cudnnPoolingMode_t(mode), cudnnNanPropagation_t(nan), s[0], s[1], s[2], s[3], s[4], s[5]);
        std::string result;
        if (status == CUDNN_STATUS_SUCCESS) {
          cudnnPoolingMode_t m{};
          cudnnNanPropagation_t n{};
          int wh, ww, ph, pw, sh, sw;
          CUDNN(cudnnGetPooling2dDescriptor)(p, &m, &n, &wh, &ww, &ph, &pw, &sh, &sw);
          result = join(m, n, wh, ww, ph, pw, sh, sw);
        }
        answer("pooling2d", join(join(s), mode, nan), status, result);
      }
  for (int dimensions = 0; dimensions <= CUDNN_DIM_MAX; dimensions++) {
    const std::vector<int> window(CUDNN_DIM_MAX, 2), pad(CUDNN_DIM_MAX, 0), stride(CUDNN_DIM_MAX, 2);
    OWNED(Pooling, p);
    answer("poolingNd", join(dimensions),
           CUDNN(cudnnSetPoolingNdDescriptor)(p, CUDNN_POOLING_MAX, CUDNN_NOT_PROPAGATE_NAN, dimensions, window.data(),
                                              pad.data(), stride.data()));
  }
}

void poolingOutput() {
  for (int size : {1, 2, 5, 28, 31})
    for (int window : {1, 2, 3, 5})
      for (int pad : {0, 1, 2})
        for (int stride : {1, 2, 3}) {
          OWNED(Tensor, x);
          OWNED(Pooling, p);
          CUDNN(cudnnSetTensor4dDescriptor)(x, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, 8, 3, size, 28);
          auto status = CUDNN(cudnnSetPooling2dDescriptor)(p, CUDNN_POOLING_MAX, CUDNN_NOT_PROPAGATE_NAN, window, 2,
                                                           pad, 0, stride, 2);
          if (status != CUDNN_STATUS_SUCCESS) {
            answer("poolingOutput", join(size, window, pad, stride), status);
            answer("poolingOutputNd", join(size, window, pad, stride), status);
            continue;
          }
          int n = -1, c = -1, h = -1, w = -1;
          status = CUDNN(cudnnGetPooling2dForwardOutputDim)(p, x, &n, &c, &h, &w);
          answer("poolingOutput", join(size, window, pad, stride), status, join(n, c, h, w));
          std::vector<int> y(4, -1);
          status = CUDNN(cudnnGetPoolingNdForwardOutputDim)(p, x, 4, y.data());
          answer("poolingOutputNd", join(size, window, pad, stride), status, join(y));
        }
}

// What a tensor, a filter and a convolution that fit are worth without a handle, or one of them without the others. A
// library may end the process over each of these.
template <typename Call>
void without(const char *question, const char *function, Call call) {
  apart((std::string(question) + " " + function).c_str(), [&] {
    OWNED(Tensor, x);
    OWNED(Filter, w);
    OWNED(Convolution, c);
    CUDNN(cudnnSetTensor4dDescriptor)(x, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, 8, 6, 12, 12);
    CUDNN(cudnnSetFilter4dDescriptor)(w, CUDNN_DATA_FLOAT, CUDNN_TENSOR_NCHW, 6, 6, 3, 3);
    CUDNN(cudnnSetConvolution2dDescriptor)(c, 1, 1, 1, 1, 1, 1, CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT);
    size_t bytes = 0;
    answer(question, function, call(x, w, c, &bytes));
  });
}

void missing() {
  using X = cudnnTensorDescriptor_t;
  using W = cudnnFilterDescriptor_t;
  using C = cudnnConvolutionDescriptor_t;
  without("noHandle", "cudnnGetConvolutionForwardWorkspaceSize", [](X x, W w, C c, size_t *bytes) {
    return CUDNN(cudnnGetConvolutionForwardWorkspaceSize)(nullptr, x, w, c, x, CUDNN_CONVOLUTION_FWD_ALGO_GEMM, bytes);
  });
  without("noHandle", "cudnnSetStream", [](X, W, C, size_t *) { return CUDNN(cudnnSetStream)(nullptr, nullptr); });
  without("noHandle", "cudnnDestroy", [](X, W, C, size_t *) { return CUDNN(cudnnDestroy)(nullptr); });
  without("noDescriptor", "cudnnSetTensor4dDescriptor", [](X, W, C, size_t *) {
    return CUDNN(cudnnSetTensor4dDescriptor)(nullptr, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, 1, 1, 1, 1);
  });
  without("noDescriptor", "cudnnGetTensorSizeInBytes",
          [](X, W, C, size_t *bytes) { return CUDNN(cudnnGetTensorSizeInBytes)(nullptr, bytes); });
  without("noDescriptor", "cudnnGetConvolution2dForwardOutputDim", [](X x, W w, C, size_t *) {
    int n, c, h, wide;
    return CUDNN(cudnnGetConvolution2dForwardOutputDim)(nullptr, x, w, &n, &c, &h, &wide);
  });
  without("noDescriptor", "cudnnDestroyTensorDescriptor",
          [](X, W, C, size_t *) { return CUDNN(cudnnDestroyTensorDescriptor)(nullptr); });
  without("noDescriptor", "cudnnDestroyPoolingDescriptor",
          [](X, W, C, size_t *) { return CUDNN(cudnnDestroyPoolingDescriptor)(nullptr); });
  without("noResult", "cudnnCreateTensorDescriptor",
          [](X, W, C, size_t *) { return CUDNN(cudnnCreateTensorDescriptor)(nullptr); });
  without("noResult", "cudnnGetTensorSizeInBytes",
          [](X x, W, C, size_t *) { return CUDNN(cudnnGetTensorSizeInBytes)(x, nullptr); });
}

void statusNames() {
  std::vector<int> codes;
  for (int code = -1; code <= 15; code++) codes.push_back(code);
  for (int thousand = 1000; thousand <= 5000; thousand += 1000)
    for (int code = 0; code <= 15; code++) codes.push_back(thousand + code);
  for (int code : codes)
    printf("statusName %d\t%s\n", code, CUDNN(cudnnGetErrorString)(cudnnStatus_t(code)));
}

}  // namespace

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: descriptors LIBRARY\n");
    return 2;
  }
  setvbuf(stdout, nullptr, _IOLBF, 0);  // nothing is left in it at a fork
  library = dlopen(argv[1], RTLD_NOW);
  if (library == nullptr) {
    fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  const struct {
    const char *name;
    void (*ask)();
  } groups[] = {
      {"tensor4d", tensor4d},     {"tensor4dStrides", tensor4dStrides},
      {"tensorNd", tensorNd},     {"tensorGet", tensorGet},
      {"filter", filter},         {"convolution", convolution},
      {"pooling", pooling},       {"convolutionOutput", convolutionOutput},
      {"poolingOutput", poolingOutput}, {"missing", missing},
      {"statusNames", statusNames},
  };
  for (const auto &g : groups) apart((std::string("group ") + g.name).c_str(), g.ask);
}
