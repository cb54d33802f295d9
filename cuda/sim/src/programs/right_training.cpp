// A right program like the product: linear regression on the classes trained by a captured graph, one replay a step.
#include <cmath>
#include <cstring>

#include "programs/machine.h"
#include "programs/reference.h"
#include "programs/registry.h"

namespace programs {

namespace {

constexpr int kExamples = 24, kFeatures = 8, kClasses = 4, kBatch = 6, kSteps = 10;

// The rows of a step's batch.
int rowOf(int step, int i) { return (step * 5 + i * 7) % kExamples; }

// The same training in double.
Numbers trained(const Numbers &x, const std::vector<uint32_t> &labels, Numbers w) {
  for (int step = 0; step < kSteps; step++) {
    Numbers gradient(w.size());
    for (int i = 0; i < kBatch; i++) {
      const int row = rowOf(step, i);
      Numbers p(kClasses);
      for (int c = 0; c < kClasses; c++) {
        for (int f = 0; f < kFeatures; f++) p[c] += w[c * kFeatures + f] * x[row * kFeatures + f];
      }
      for (int c = 0; c < kClasses; c++) {
        const double dy = (p[c] - (labels[row] == uint32_t(c))) / kBatch;
        for (int f = 0; f < kFeatures; f++) gradient[c * kFeatures + f] += dy * x[row * kFeatures + f];
      }
    }
    for (size_t i = 0; i < w.size(); i++) w[i] -= gradient[i] / (2 + step);
  }
  return w;
}

// The device's side: the data set, one batch, the weights and what changes from step to step.
struct Trainer {
  Trainer(const std::vector<float> &data, const std::vector<uint32_t> &marks, const std::vector<float> &weights)
      : x(data), w(weights), labels(marks) {}

  void captureStep() {
    MUST(cublasSetWorkspace(blas, space.pointer(), 64 << 10));
    const Shape shape{1, 64, 0};
    const float share = 1.0f / kBatch;
    graph.begin(stream);
    MUST(launch(kernels["advance"], {1, 1, 0}, stream, step.address, rate.address));
    MUST(launch(kernels["gather"], shape, stream, x.address, rows.address, batch.address, kFeatures,
                kBatch * kFeatures));
    MUST(launch(kernels["gather"], shape, stream, labels.address, rows.address, batchLabels.address, 1, kBatch));
    MUST(cublasSgemm(blas, CUBLAS_OP_T, CUBLAS_OP_N, kClasses, kBatch, kFeatures, &kOne, w.typed(), kFeatures,
                     batch.typed(), kFeatures, &kZero, p.typed(), kClasses));
    MUST(launch(kernels["subtract_one_hot"], shape, stream, p.address, batchLabels.address, kClasses, share,
                kBatch * kClasses));
    MUST(cublasSgemm(blas, CUBLAS_OP_N, CUBLAS_OP_T, kFeatures, kClasses, kBatch, &kOne, batch.typed(), kFeatures,
                     p.typed(), kClasses, &kZero, gradient.typed(), kFeatures));
    MUST(launch(kernels["sgd"], shape, stream, w.address, gradient.address, rate.address, kFeatures * kClasses));
    graph.end();
  }

  Kernels kernels;
  Stream stream;
  Blas blas{stream};
  Memory space{64 << 10};
  Buffer<float> x, w;
  Buffer<uint32_t> labels, rows{kBatch}, batchLabels{kBatch}, step{std::vector<uint32_t>{0}};
  Buffer<float> batch{kBatch * kFeatures}, p{kBatch * kClasses},
      gradient{kFeatures * kClasses}, rate{1};
  Captured graph;
};

void training() {
  Session session;
  const std::vector<float> x = randomNumbers(kExamples * kFeatures, 1), w = randomNumbers(kFeatures * kClasses, 2);
  std::vector<uint32_t> labels(kExamples);
  for (int i = 0; i < kExamples; i++) labels[i] = uint32_t(i) % kClasses;
  Trainer trainer(x, labels, w);
  trainer.captureStep();
  std::vector<uint32_t> rows;
  for (int i = 0; i < kSteps * kBatch; i++) rows.push_back(uint32_t(rowOf(i / kBatch, i % kBatch)));
  Buffer<uint32_t> schedule(rows);
  for (int step = 0; step < kSteps; step++) {
    MUST(cuMemcpyDtoDAsync(trainer.rows.address, schedule.address + step * kBatch * 4, kBatch * 4, trainer.stream));
    trainer.graph.launch(trainer.stream);
  }
  trainer.stream.synchronize();
  const std::vector<float> got = trainer.w.get();
  expectClose(got, trained(widened(x), labels, widened(w)), 1e-5, "weights");
  static const std::vector<float> first = got;  // of the first schedule that this process ran
  expect(std::memcmp(got.data(), first.data(), got.size() * sizeof(float)) == 0,
         "the weights depend on the schedule");
}

}  // namespace

std::vector<Program> rightTraining() { return {{"captured-training", training}}; }

}  // namespace programs
