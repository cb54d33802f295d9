// libcublasLt against plain loops in double, on random shapes, and its answers to wrong arguments.
//
//   test_cublaslt [SEED]
#include <cmath>
#include <string>
#include <vector>

#include "cublas/test/rig.h"
#include "cublasLt.h"

namespace {

// A fresh machine with a handle and a stream.
struct Rig {
  explicit Rig(const std::string &configuration) {
    simReset(configuration.c_str());
    MUST(cuInit(0));
    MUST(cuDeviceGet(&device, 0));
    MUST(cuDevicePrimaryCtxRetain(&context, device));
    MUST(cuCtxSetCurrent(context));
    MUST(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    MUST(cublasLtCreate(&lt));
  }
  ~Rig() {
    MUST(cublasLtDestroy(lt));
    MUST(cuStreamDestroy(stream));
    MUST(cuCtxSetCurrent(nullptr));
    MUST(cuDevicePrimaryCtxRelease(device));
    check(std::string(simReport(1)).find("\"leaks\":[]") != std::string::npos, "something leaks");
  }
  CUdevice device = 0;
  CUcontext context = nullptr;
  CUstream stream = nullptr;
  cublasLtHandle_t lt = nullptr;
};

struct Kind {
  const char *name;
  cudaDataType in, out;
  cublasComputeType_t compute;
  double tolerance;
};

const Kind kKinds[] = {{"float, pedantic", CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F_PEDANTIC, 1e-5},
                       {"TF32", CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F_FAST_TF32, 1e-5},  // of values that it holds
                       {"bfloat16 to float", CUDA_R_16BF, CUDA_R_32F, CUBLAS_COMPUTE_32F, 1e-5},
                       {"bfloat16", CUDA_R_16BF, CUDA_R_16BF, CUBLAS_COMPUTE_32F, 8e-3}};

struct Shape {
  bool ta = false, tb = false;
  int m = 2, n = 2, k = 2;
  int gap = 0;  // between columns
  int rowsA() const { return ta ? k : m; }
  int rowsB() const { return tb ? n : k; }
  int columnsA() const { return ta ? m : k; }
  int columnsB() const { return tb ? k : n; }
  double a(const Values &a, int i, int l) const { return a[ta ? i * (k + gap) + l : l * (m + gap) + i]; }
  double b(const Values &b, int l, int j) const { return b[tb ? l * (n + gap) + j : j * (k + gap) + l]; }
  int64_t auxLd() const { return (m + 127) / 128 * 128; }
  std::string text() const {
    return std::string(ta ? "T" : "N") + (tb ? "T" : "N") + " " + std::to_string(m) + "x" + std::to_string(n) + "x" +
           std::to_string(k);
  }
};

Shape anyShape(Random &random) {
  Shape shape;
  shape.ta = random.whole(0, 1);
  shape.tb = random.whole(0, 1);
  shape.m = random.whole(1, 150);
  shape.n = random.whole(1, 40);
  shape.k = random.whole(1, 60);
  shape.gap = random.whole(0, 3);
  return shape;
}

// The descriptors of a product.
struct Matmul {
  Matmul(const Kind &kind, const Shape &s, uint32_t epilogue) {
    MUST(cublasLtMatmulDescCreate(&operation, kind.compute, CUDA_R_32F));
    const int32_t ta = s.ta ? CUBLAS_OP_T : CUBLAS_OP_N, tb = s.tb ? CUBLAS_OP_T : CUBLAS_OP_N;
    set(CUBLASLT_MATMUL_DESC_TRANSA, ta);
    set(CUBLASLT_MATMUL_DESC_TRANSB, tb);
    set(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue);
    MUST(cublasLtMatrixLayoutCreate(&a, kind.in, s.rowsA(), s.columnsA(), s.rowsA() + s.gap));
    MUST(cublasLtMatrixLayoutCreate(&b, kind.in, s.rowsB(), s.columnsB(), s.rowsB() + s.gap));
    MUST(cublasLtMatrixLayoutCreate(&d, kind.out, s.m, s.n, s.m + s.gap));
    MUST(cublasLtMatmulPreferenceCreate(&preference));
    prefer<uint64_t>(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, 1 << 20);
    prefer<uint32_t>(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE);
    for (const auto attribute : {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                                 CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
                                 CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
      prefer<uint32_t>(attribute, 16);
    }
  }
  ~Matmul() {
    MUST(cublasLtMatmulPreferenceDestroy(preference));
    for (const cublasLtMatrixLayout_t layout : {a, b, d}) MUST(cublasLtMatrixLayoutDestroy(layout));
    MUST(cublasLtMatmulDescDestroy(operation));
  }
  Matmul(const Matmul &) = delete;
  Matmul &operator=(const Matmul &) = delete;

  template <class T>
  void set(cublasLtMatmulDescAttributes_t attribute, T value) {
    MUST(cublasLtMatmulDescSetAttribute(operation, attribute, &value, sizeof value));
  }
  template <class T>
  void prefer(cublasLtMatmulPreferenceAttributes_t attribute, T value) {
    MUST(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value));
  }
  void setBias(const Array &bias) { set<const void *>(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias.pointer()); }
  void setAux(const Array &aux, int64_t ld) {
    set<const void *>(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, aux.pointer());
    set<int64_t>(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, ld);
  }

  // The algorithms that can be used; `status` is the heuristic's.
  std::vector<cublasLtMatmulHeuristicResult_t> algorithms(const Rig &rig, int most = 8) {
    std::vector<cublasLtMatmulHeuristicResult_t> results(most), good;
    int got = 0;
    status = cublasLtMatmulAlgoGetHeuristic(rig.lt, operation, a, b, d, d, preference, most, results.data(), &got);
    for (int i = 0; i < got && status == CUBLAS_STATUS_SUCCESS; i++) {
      if (results[i].state == CUBLAS_STATUS_SUCCESS) good.push_back(results[i]);
    }
    return good;
  }
  cublasStatus_t run(const Rig &rig, const cublasLtMatmulHeuristicResult_t &by, const Array &left, const Array &right,
                     const Array &to, float beta, const Array &space, size_t bytes) {
    const float one = 1;
    return cublasLtMatmul(rig.lt, operation, &one, left.pointer(), a, right.pointer(), b, &beta, to.pointer(), d,
                          to.pointer(), d, &by.algo, space.pointer(), bytes, rig.stream);
  }

  cublasLtMatmulDesc_t operation = nullptr;
  cublasLtMatrixLayout_t a = nullptr, b = nullptr, d = nullptr;
  cublasLtMatmulPreference_t preference = nullptr;
  cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
};

constexpr size_t kSpace = 1 << 20;

// What a product by plain loops is.
struct Want {
  Values d, bias;
  std::vector<bool> positive;
};

// `mask` is of the ReLU whose gradient it is.
Want reference(const Shape &s, uint32_t epilogue, const Values &a, const Values &b, const Values &c, double beta,
               const Values &bias, const std::vector<bool> &mask) {
  Want want{c, bias, std::vector<bool>(size_t(s.m) * s.n)};
  if (epilogue == CUBLASLT_EPILOGUE_DRELU_BGRAD) want.bias.assign(s.m, 0);
  for (int j = 0; j < s.n; j++) {
    for (int i = 0; i < s.m; i++) {
      const size_t at = size_t(j) * (s.m + s.gap) + i, bit = size_t(j) * s.m + i;
      double value = beta * c[at];
      for (int l = 0; l < s.k; l++) value += s.a(a, i, l) * s.b(b, l, j);
      switch (epilogue) {
        case CUBLASLT_EPILOGUE_BIAS: value += bias[i]; break;
        case CUBLASLT_EPILOGUE_RELU:
        case CUBLASLT_EPILOGUE_RELU_AUX: value = std::max(value, 0.0); break;
        case CUBLASLT_EPILOGUE_RELU_BIAS:
        case CUBLASLT_EPILOGUE_RELU_AUX_BIAS: value = std::max(value + bias[i], 0.0); break;
        case CUBLASLT_EPILOGUE_DRELU:
        case CUBLASLT_EPILOGUE_DRELU_BGRAD: value = mask[bit] ? value : 0; break;
        default: break;
      }
      want.positive[bit] = value > 0;
      want.d[at] = value;
      if (epilogue == CUBLASLT_EPILOGUE_DRELU_BGRAD) want.bias[i] += value;
    }
  }
  if (epilogue == CUBLASLT_EPILOGUE_BGRADA || epilogue == CUBLASLT_EPILOGUE_BGRADB) {
    const bool ofA = epilogue == CUBLASLT_EPILOGUE_BGRADA;
    want.bias.assign(ofA ? s.m : s.n, 0);
    for (size_t i = 0; i < want.bias.size(); i++) {
      for (int l = 0; l < s.k; l++) want.bias[i] += ofA ? s.a(a, int(i), l) : s.b(b, l, int(i));
    }
  }
  return want;
}

Values factorOf(Random &random, int ld, int columns) { return random.values(size_t(ld) * columns); }

// Every epilogue, by every algorithm that the heuristic names.
void epilogues(Random &random) {
  const uint32_t all[] = {CUBLASLT_EPILOGUE_DEFAULT,   CUBLASLT_EPILOGUE_BIAS,          CUBLASLT_EPILOGUE_RELU,
                          CUBLASLT_EPILOGUE_RELU_BIAS, CUBLASLT_EPILOGUE_RELU_AUX,      CUBLASLT_EPILOGUE_RELU_AUX_BIAS,
                          CUBLASLT_EPILOGUE_DRELU,     CUBLASLT_EPILOGUE_DRELU_BGRAD,   CUBLASLT_EPILOGUE_BGRADA,
                          CUBLASLT_EPILOGUE_BGRADB};
  int round = 0;
  for (const Kind &kind : kKinds) {
    for (const uint32_t epilogue : all) {
      const Shape s = anyShape(random);
      Rig rig("seed=" + std::to_string(++round));
      const std::string what = std::string(kind.name) + ", epilogue " + std::to_string(epilogue) + ", " + s.text();
      const Values a = factorOf(random, s.rowsA() + s.gap, s.columnsA()), b = factorOf(random, s.rowsB() + s.gap, s.columnsB());
      const Values c = random.values(size_t(s.m + s.gap) * s.n), bias = random.values(std::max(s.m, s.n));
      const double beta = round % 2;
      Array da(a, kind.in), db(b, kind.in), space(Values(kSpace / 8), CUDA_R_64F);
      // The mask of a ReLU comes from the product that computed it.
      Array mask(Values(size_t(s.auxLd()) * s.n / 64), CUDA_R_64F), y(c, kind.out), forwardBias(bias, kind.out);
      Matmul forward(kind, s, CUBLASLT_EPILOGUE_RELU_AUX_BIAS);
      forward.setBias(forwardBias);
      forward.setAux(mask, s.auxLd());
      const auto forwardWays = forward.algorithms(rig);
      if (!check(!forwardWays.empty(), what + ": no algorithm for ReLU")) continue;
      MUST(forward.run(rig, forwardWays[0], da, db, y, 0, space, kSpace));
      const Want relu = reference(s, CUBLASLT_EPILOGUE_RELU_AUX_BIAS, a, b, c, 0, bias, {});
      Matmul matmul(kind, s, epilogue);
      Array made(bias, kind.out);
      matmul.setBias(made);
      matmul.setAux(mask, s.auxLd());
      const auto ways = matmul.algorithms(rig);
      check(!ways.empty(), what + ": no algorithm");
      const Want want = reference(s, epilogue, a, b, c, beta, bias, relu.positive);
      for (const auto &way : ways) {
        Array d(c, kind.out);
        const cublasStatus_t status = matmul.run(rig, way, da, db, d, float(beta), space, kSpace);
        if (!check(status == CUBLAS_STATUS_SUCCESS, what + ": status " + std::to_string(status))) continue;
        checkClose(d.get(), want.d, kind.tolerance, what + ": D");
        checkClose(made.get(), want.bias, kind.tolerance, what + ": the bias");
      }
      check(nothingFound(), what + ": " + simReport(0));
    }
  }
}

// Split sums are named only where the mask allows them, and what needs more workspace than there may be is not named.
void preferences() {
  Rig rig("");
  const Kind &kind = kKinds[3];
  Shape s;
  s.k = 8;
  const auto count = [&](uint32_t reductions, uint64_t workspace, int most) {
    Matmul matmul(kind, s, CUBLASLT_EPILOGUE_DEFAULT);
    matmul.prefer<uint32_t>(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, reductions);
    matmul.prefer<uint64_t>(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace);
    size_t largest = 0;
    const auto ways = matmul.algorithms(rig, most);
    for (const auto &way : ways) largest = std::max(largest, way.workspaceSize);
    check(largest <= workspace, "an algorithm needs " + std::to_string(largest) + " bytes");
    return ways.size();
  };
  check(count(CUBLASLT_REDUCTION_SCHEME_MASK, kSpace, 20) == 5, "all algorithms");
  check(count(CUBLASLT_REDUCTION_SCHEME_NONE, kSpace, 20) == 2, "those that don't split");
  check(count(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, kSpace, 20) == 3, "those with sums in float32");
  check(count(CUBLASLT_REDUCTION_SCHEME_MASK, 0, 20) == 1, "those without a workspace");
  check(count(CUBLASLT_REDUCTION_SCHEME_MASK, kSpace, 2) <= 2, "two are asked for");
  check(nothingFound(), simReport(0));
}

// What a device or the library can't do is a status, not a finding: programs may ask.
void notSupported() {
  const Shape s;
  const auto refuses = [&](const char *configuration, const Kind &kind, uint32_t epilogue, int32_t biasType) {
    Rig rig(configuration);
    Matmul matmul(kind, s, epilogue);
    Array bias(Values(8), CUDA_R_32F);
    matmul.setBias(bias);
    matmul.set<int32_t>(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, biasType);
    matmul.algorithms(rig);
    check(nothingFound(), std::string("NOT_SUPPORTED is a finding: ") + simReport(0));
    return matmul.status == CUBLAS_STATUS_NOT_SUPPORTED;
  };
  check(refuses("cc=7.5", kKinds[3], CUBLASLT_EPILOGUE_DEFAULT, -1), "bfloat16 on compute capability 7.5");
  check(refuses("", kKinds[3], CUBLASLT_EPILOGUE_BIAS, CUDA_R_32F), "a float32 bias for bfloat16");
  check(!refuses("", kKinds[3], CUBLASLT_EPILOGUE_BIAS, CUDA_R_16BF), "a bfloat16 bias for bfloat16");
  check(refuses("allow=cublaslt-without:4", kKinds[0], CUBLASLT_EPILOGUE_BIAS, -1), "an epilogue that is left out");
  check(!refuses("allow=cublaslt-without:4", kKinds[0], CUBLASLT_EPILOGUE_DEFAULT, -1), "an epilogue that is there");
}

// What is wrong is a finding that names the argument.
void wrongArguments() {
  struct Case {
    const char *name, *says;
    void (*spoil)(Matmul &matmul, const Array &memory);
    uint32_t epilogue;
    Shape shape;
  };
  Shape deep;
  deep.k = 3;
  const Case cases[] = {
      {"no bias", "CUBLASLT_MATMUL_DESC_BIAS_POINTER is NULL",
       [](Matmul &m, const Array &) { m.set<const void *>(CUBLASLT_MATMUL_DESC_BIAS_POINTER, nullptr); },
       CUBLASLT_EPILOGUE_BIAS, {}},
      {"a bias that isn't aligned", "CUBLASLT_MATMUL_DESC_BIAS_POINTER (",
       [](Matmul &m, const Array &memory) {
         m.set<const void *>(CUBLASLT_MATMUL_DESC_BIAS_POINTER, static_cast<char *>(memory.pointer()) + 8);
       },
       CUBLASLT_EPILOGUE_BIAS, {}},
      {"no mask", "AUX_POINTER is NULL",
       [](Matmul &m, const Array &) { m.set<const void *>(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, nullptr); },
       CUBLASLT_EPILOGUE_RELU_AUX, {}},
      {"a mask's odd leading dimension", "AUX_LD is 64",
       [](Matmul &m, const Array &) { m.set<int64_t>(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, 64); },
       CUBLASLT_EPILOGUE_DRELU, {}},
      {"other inner dimensions", "op(A) has 3 columns and op(B) 2 rows",
       [](Matmul &m, const Array &) {
         MUST(cublasLtMatrixLayoutDestroy(m.b));
         MUST(cublasLtMatrixLayoutCreate(&m.b, CUDA_R_32F, 2, 2, 2));
       },
       CUBLASLT_EPILOGUE_DEFAULT, deep},
      {"another output", "D is 3x2",
       [](Matmul &m, const Array &) {
         MUST(cublasLtMatrixLayoutDestroy(m.d));
         MUST(cublasLtMatrixLayoutCreate(&m.d, CUDA_R_32F, 3, 2, 3));
       },
       CUBLASLT_EPILOGUE_DEFAULT, {}},
  };
  for (const Case &c : cases) {
    Rig rig("");
    Array memory(Values(64), CUDA_R_64F);
    Matmul matmul(kKinds[0], c.shape, c.epilogue);
    matmul.setBias(memory);
    matmul.setAux(memory, 128);
    c.spoil(matmul, memory);
    matmul.algorithms(rig);
    check(matmul.status == CUBLAS_STATUS_INVALID_VALUE, std::string(c.name) + ": status " + std::to_string(matmul.status));
    check(found(c.says), std::string(c.name) + ": not reported: " + simReport(0));
  }
}

// What is wrong with attributes and layouts.
void wrongDescriptors() {
  Rig rig("");
  Matmul matmul(kKinds[0], {}, CUBLASLT_EPILOGUE_DEFAULT);
  const int32_t seven = 7;
  const uint32_t three = 3;
  check(cublasLtMatmulDescSetAttribute(matmul.operation, CUBLASLT_MATMUL_DESC_TRANSA, &seven, sizeof seven) ==
            CUBLAS_STATUS_INVALID_VALUE, "operation 7");
  check(cublasLtMatmulDescSetAttribute(matmul.operation, CUBLASLT_MATMUL_DESC_EPILOGUE, &three, sizeof three) ==
            CUBLAS_STATUS_INVALID_VALUE, "epilogue 3");
  check(cublasLtMatmulDescSetAttribute(matmul.operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &three, sizeof three) ==
            CUBLAS_STATUS_INVALID_VALUE, "a pointer of four bytes");
  check(cublasLtMatmulPreferenceSetAttribute(matmul.preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &three,
                                             sizeof three) == CUBLAS_STATUS_INVALID_VALUE, "an alignment of 3");
  cublasLtMatrixLayout_t layout = nullptr;
  check(cublasLtMatrixLayoutCreate(&layout, CUDA_R_32F, 4, 2, 3) == CUBLAS_STATUS_INVALID_VALUE, "a short ld");
  for (const char *says : {"TRANSA is 7", "EPILOGUE is 3", "sizeInBytes is 4", "an alignment is 3", "ld is 3"}) {
    check(found(says), std::string(says) + ": not reported");
  }
  cublasLtMatmulDesc_t gone = nullptr;
  MUST(cublasLtMatmulDescCreate(&gone, CUBLAS_COMPUTE_32F, CUDA_R_32F));
  MUST(cublasLtMatmulDescDestroy(gone));
  check(cublasLtMatmulDescDestroy(gone) == CUBLAS_STATUS_INVALID_VALUE && found("bad handle"), "destroyed twice");
}

// What is wrong with the call that computes.
void wrongCalls() {
  const auto says = [](const char *what, const char *text, auto spoiled) {
    Rig rig("");
    const Kind &kind = kKinds[0];
    Shape s;
    Matmul matmul(kind, s, CUBLASLT_EPILOGUE_DEFAULT);
    Array a(Values(16), kind.in), b(Values(16), kind.in), d(Values(16), kind.out), space(Values(1024), CUDA_R_64F);
    auto ways = matmul.algorithms(rig);
    for (auto &way : ways) {
      if (way.workspaceSize > 0) ways[0] = way;  // one with a workspace
    }
    const cublasStatus_t status = spoiled(rig, matmul, ways[0], a, b, d, space);
    check(status == CUBLAS_STATUS_INVALID_VALUE, std::string(what) + ": status " + std::to_string(status));
    check(found(text), std::string(what) + ": not reported: " + simReport(0));
  };
  using Way = cublasLtMatmulHeuristicResult_t;
  says("a small workspace", "workspace too small",
       [](Rig &rig, Matmul &m, Way &way, Array &a, Array &b, Array &d, Array &space) {
         return m.run(rig, way, a, b, d, 0, space, way.workspaceSize - 1);
       });
  says("another product's algorithm", "for another product",
       [](Rig &rig, Matmul &m, Way &way, Array &a, Array &b, Array &d, Array &space) {
         m.set<uint32_t>(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_RELU);
         return m.run(rig, way, a, b, d, 0, space, 8192);
       });
  says("no algorithm", "none that the heuristic gave",
       [](Rig &rig, Matmul &m, Way &way, Array &a, Array &b, Array &d, Array &space) {
         way.algo.data[0] = 0;
         return m.run(rig, way, a, b, d, 0, space, 8192);
       });
  says("an operand that isn't aligned", "misaligned address",
       [](Rig &rig, Matmul &m, Way &way, Array &a, Array &b, Array &d, Array &space) {
         const float one = 1, zero = 0;
         return cublasLtMatmul(rig.lt, m.operation, &one, static_cast<float *>(a.pointer()) + 1, m.a, b.pointer(), m.b,
                               &zero, d.pointer(), m.d, d.pointer(), m.d, &way.algo, space.pointer(), 8192, rig.stream);
       });
}

// Buffers that are too small, and results that overwrite factors, are found by the machine.
void wrongMemory() {
  for (const bool overlaps : {false, true}) {
    Rig rig("");
    const Kind &kind = kKinds[0];
    Shape s;
    s.m = s.n = s.k = 16;
    Matmul matmul(kind, s, CUBLASLT_EPILOGUE_BGRADB);
    Array a(Values(256), kind.in), b(Values(256), kind.in), d(Values(256), kind.out), space(Values(1024), CUDA_R_64F);
    Array bias(Values(overlaps ? 16 : 15), CUDA_R_32F);
    matmul.setBias(bias);
    const auto ways = matmul.algorithms(rig);
    const cublasStatus_t status = matmul.run(rig, ways[0], a, b, overlaps ? a : d, 0, space, 8192);
    check(overlaps || status != CUBLAS_STATUS_SUCCESS, "a short bias gradient");
    check(found(overlaps ? "overlapping buffers" : "out of bounds"), std::string("not found: ") + simReport(0));
    MUST(cuCtxSynchronize());
  }
}

// A product that is captured runs with the graph, and handles can't be made meanwhile.
void capture() {
  Rig rig("");
  const Kind &kind = kKinds[0];
  Shape s;
  Matmul matmul(kind, s, CUBLASLT_EPILOGUE_DEFAULT);
  Array a({1, 0, 0, 1}, kind.in), b({1, 2, 3, 4}, kind.in), d(Values(4), kind.out), space(Values(1024), CUDA_R_64F);
  const auto ways = matmul.algorithms(rig);
  MUST(cuStreamBeginCapture(rig.stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
  MUST(matmul.run(rig, ways[0], a, b, d, 1, space, 8192));
  CUgraph graph = nullptr;
  CUgraphExec exec = nullptr;
  MUST(cuStreamEndCapture(rig.stream, &graph));
  MUST(cuGraphInstantiateWithFlags(&exec, graph, 0));
  for (int i = 0; i < 2; i++) MUST(cuGraphLaunch(exec, rig.stream));
  checkClose(d.get(), {2, 4, 6, 8}, 0, "a product that ran twice");
  MUST(cuGraphExecDestroy(exec));
  MUST(cuGraphDestroy(graph));
  check(nothingFound(), simReport(0));
  MUST(cuStreamBeginCapture(rig.stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
  cublasLtHandle_t another = nullptr;
  check(cublasLtCreate(&another) != CUBLAS_STATUS_SUCCESS && found("illegal call during capture"), "a handle in a capture");
  if (cuStreamEndCapture(rig.stream, &graph) == CUDA_SUCCESS && graph) MUST(cuGraphDestroy(graph));
}

void faults() {
  Rig rig("fault=cublasLtMatmul@2=14");
  const Kind &kind = kKinds[0];
  Shape s;
  Matmul matmul(kind, s, CUBLASLT_EPILOGUE_DEFAULT);
  Array a({1, 0, 0, 1}, kind.in), b({1, 2, 3, 4}, kind.in), d(Values(4), kind.out), space(Values(1024), CUDA_R_64F);
  const auto ways = matmul.algorithms(rig);
  MUST(matmul.run(rig, ways[0], a, b, d, 1, space, 8192));
  check(matmul.run(rig, ways[0], a, b, d, 1, space, 8192) == CUBLAS_STATUS_INTERNAL_ERROR, "the fault on demand");
  checkClose(d.get(), {1, 2, 3, 4}, 0, "D after a call that failed");
}

// Memory traffic: factors, biases and the mask are read, the output is written; without the workspace.
void traffic() {
  Rig rig("traffic=1");
  const Kind &kind = kKinds[0];
  Shape s;
  s.m = s.n = s.k = 8;
  const uint64_t matrix = 256, bias = 32, mask = 128 / 8 * 8;
  uint64_t read = 0, written = 0;
  const Values zeros(64);
  Array masks(Values(mask / 8), CUDA_R_64F);
  for (const uint32_t epilogue : {CUBLASLT_EPILOGUE_RELU_AUX_BIAS, CUBLASLT_EPILOGUE_DRELU, CUBLASLT_EPILOGUE_BGRADB}) {
    Array a(zeros, kind.in), b(zeros, kind.in), d(zeros, kind.out), space(Values(1024), CUDA_R_64F), biases(Values(8), CUDA_R_32F);
    Matmul matmul(kind, s, epilogue);
    matmul.setBias(biases);
    matmul.setAux(masks, 128);
    MUST(matmul.run(rig, matmul.algorithms(rig)[0], a, b, d, 0, space, 8192));
    MUST(cuStreamSynchronize(rig.stream));
    read += 2 * matrix + (epilogue == CUBLASLT_EPILOGUE_RELU_AUX_BIAS ? bias : 0) + (epilogue == CUBLASLT_EPILOGUE_DRELU ? mask : 0);
    written += matrix + (epilogue == CUBLASLT_EPILOGUE_RELU_AUX_BIAS ? mask : 0) + (epilogue == CUBLASLT_EPILOGUE_BGRADB ? bias : 0);
    const std::string what = "epilogue " + std::to_string(epilogue);
    check(counter("traffic read cublasLtMatmul") == read, what + " has read " + std::to_string(counter("traffic read cublasLtMatmul")) +
          " bytes, not " + std::to_string(read));
    check(counter("traffic written cublasLtMatmul") == written, what + " writes other bytes");
  }
  check(nothingFound(), simReport(0));
}

}  // namespace

int main(int count, char **words) {
  const uint64_t seed = count > 1 ? std::strtoull(words[1], nullptr, 10) : 1;
  Random random(seed);
  for (int round = 0; round < 3; round++) epilogues(random);
  preferences();
  notSupported();
  wrongArguments();
  wrongDescriptors();
  wrongCalls();
  wrongMemory();
  capture();
  faults();
  traffic();
  std::printf("seed %llu: %d checks, %d failures\n", static_cast<unsigned long long>(seed), checks, failures);
  return failures > 0 ? 1 : 0;
}
