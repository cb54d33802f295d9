// How long the kernels of one training step take (batch 8, three million parameters), and a matrix product on tensor cores:
// all checks on.
#include <chrono>

#include "harness.h"

void testSpeed() {
  Machine m(readText("train.ptx"));
  if (!m.ok()) return;
  double total = 0;
  auto timed = [&](const char *what, const char *kernel, ptx::Dim3 grid, ptx::Dim3 block, const Params &p) {
    const auto start = std::chrono::steady_clock::now();
    const auto result = m.launch(kernel, grid, block, p);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    CLEAN(result);
    std::printf("     %-28s %7.1f ms, %5.1f ns an instruction of a warp\n", what, seconds * 1e3, seconds * 1e9 / static_cast<double>(result.warpInstructions));
    total += seconds;
  };
  const int n = 3000000;
  const std::vector<float> some(n, 0.25f);
  const uint64_t w = m.memory.upload(some), mm = m.memory.upload(some), v = m.memory.upload(some), g = m.memory.upload(some);
  const Params adam = Params().add(w).add(mm).add(v).add(g).add(m.memory.upload<float>({3})).add(n).add(1e-3f).add(0.9f).add(0.999f).add(1e-8f);
  timed("adam, 3M parameters", "adam", {256}, {256}, adam);
  timed("adam, again", "adam", {256}, {256}, adam);
  timed("sgd4, 3M parameters", "sgd4", {n / 1024 + 1}, {256}, Params().add(w).add(g).add(n / 4).add(0.1f));
  const int channels = 32, h = 56, width = 56, total4 = 8 * channels * h * width / 4;
  const uint64_t y = m.memory.allocate(total4 * 4), place = m.memory.allocate(total4);
  timed("bias + ReLU + pool, 800k", "bias_relu_pool", {(total4 + 255) / 256}, {256}, Params().add(y).add(place).add(w).add(g).add(channels).add(h).add(width).add(total4));
  const std::vector<uint8_t> images(20 * 3072, 7);
  timed("gather, 8 images", "gather", {8}, {256}, Params().add(m.memory.allocate(8 * 3072 * 4)).add(m.memory.upload(images)).add(m.memory.upload<int>({0, 3, 5, 7, 1, 19, 4, 2})).add(3072).add(1.0f).add(0.0f));
  timed("softmax, 8 x 1000", "softmax_loss", {2}, {128}, Params().add(m.memory.allocate(32000)).add(m.memory.upload<float>({0})).add(m.memory.upload<int>({0})).add(w).add(m.memory.upload(std::vector<int>(8, 3))).add(8).add(1000));
  std::printf("     all of it %.2f s\n", total);

  Machine tensor(readText("matrix.ptx"));
  if (!tensor.ok()) return;
  const int side = 256;
  const std::vector<uint16_t> ones(side * side, 0x3f80);
  const auto start = std::chrono::steady_clock::now();
  const auto result = tensor.launch("gemm", {side / 64, side / 64}, {128},
                                    Params().add(tensor.memory.allocate(side * side * 4)).add(tensor.memory.upload(ones)).add(tensor.memory.upload(ones)).add(side).add(side).add(side), 24576);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  CLEAN(result);
  const double products = static_cast<double>(side) * side * side;
  std::printf("     256x256x256 in bfloat16, mma with its copies and loads: %.1f ms, %.2f ns a product of two numbers\n", seconds * 1e3, seconds * 1e9 / products);
}
