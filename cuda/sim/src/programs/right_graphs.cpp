// Right programs: captured graphs.
#include "programs/machine.h"
#include "programs/registry.h"

namespace programs {

namespace {

constexpr int kCount = 256;
const Shape kShape{1, kCount, 0};

// A fork and a join within a capture, replayed with other contents of the same memory.
void forkAndReplay() {
  Session session;
  Kernels kernels;
  Buffer<float> x(kCount), a(kCount), b(kCount), z(kCount);
  Stream stream, side;
  Event forked, joined;
  Captured graph(stream);
  forked.record(stream);
  forked.blocks(side);
  MUST(launch(kernels["scale"], kShape, stream, x.address, a.address, 2.0f, kCount));
  MUST(launch(kernels["scale"], kShape, side, x.address, b.address, 3.0f, kCount));
  joined.record(side);
  joined.blocks(stream);
  MUST(launch(kernels["add"], kShape, stream, a.address, b.address, z.address, kCount));
  graph.end();
  expect(graph.nodes() == 3, "the graph has " + std::to_string(graph.nodes()) + " nodes, not 3");
  for (int replay = 0; replay < 4; replay++) {
    x.put(counting(kCount, float(replay)));
    graph.launch(stream);
    stream.synchronize();
    std::vector<float> want = counting(kCount, float(replay));
    for (float &value : want) value *= 5;
    expectEqual(z.get(), want, "z");
  }
}

// A pinned buffer is read anew by each replay, and may change once the last one has read it.
void copiesInGraph() {
  Session session;
  Pinned<float> in(kCount), out(kCount);
  Buffer<float> x(kCount);
  Stream stream;
  Captured graph(stream);
  MUST(cuMemcpyHtoDAsync(x.address, in.data, in.bytes(), stream));
  MUST(cuMemsetD32Async(x.address, 0, 1, stream));
  MUST(cuMemcpyDtoHAsync(out.data, x.address, x.bytes(), stream));
  graph.end();
  for (int replay = 1; replay <= 3; replay++) {
    in.fill(counting(kCount, float(replay)));
    graph.launch(stream);
    stream.synchronize();
    std::vector<float> want = counting(kCount, float(replay));
    want[0] = 0;
    expectEqual(out.values(), want, "what came back");
  }
}

// Nothing runs while it is captured, and a replay needs no waiting between launches on one stream.
void backToBack() {
  Session session;
  Kernels kernels;
  Buffer<float> x(std::vector<float>(kCount, 1)), y(kCount);
  Stream stream;
  Captured graph(stream);
  MUST(launch(kernels["add"], kShape, stream, x.address, x.address, y.address, kCount));
  MUST(cuMemcpyDtoDAsync(x.address, y.address, x.bytes(), stream));
  graph.end();
  expectEqual(x.get(), std::vector<float>(kCount, 1), "x after the capture");
  for (int i = 0; i < 10; i++) graph.launch(stream);
  stream.synchronize();
  expectEqual(x.get(), std::vector<float>(kCount, 1024), "x after ten replays");
}

// Libraries in a capture, cuBLAS with a workspace of its own; alpha in host memory is captured by value.
void librariesInGraph() {
  Session session;
  Stream stream;
  Blas blas(stream);
  Memory space(1 << 20);
  MUST(cublasSetWorkspace(blas, space.pointer(), 1 << 20));
  Buffer<float> a(counting(4)), b(counting(4)), c(std::vector<float>(4, 0));
  Captured graph(stream);
  {
    float alpha = 2;
    MUST(cublasSgemm(blas, CUBLAS_OP_N, CUBLAS_OP_T, 2, 2, 2, &alpha, a.typed(), 2, b.typed(), 2, &kOne, c.typed(),
                     2));
    alpha = 100;
  }
  graph.end();
  for (int i = 0; i < 3; i++) graph.launch(stream);
  stream.synchronize();
  expectEqual(c.get(), {24, 36, 36, 60}, "c");
}

// Two graphs on two streams, ordered by an event.
void graphsOnTwoStreams() {
  Session session;
  Kernels kernels;
  Buffer<float> x(counting(kCount)), y(kCount), z(kCount);
  Stream one, two;
  Captured first(one);
  MUST(launch(kernels["scale"], kShape, one, x.address, y.address, 2.0f, kCount));
  first.end();
  Captured second(two);
  MUST(launch(kernels["scale"], kShape, two, y.address, z.address, 3.0f, kCount));
  second.end();
  Event done;
  first.launch(one);
  done.record(one);
  done.blocks(two);
  second.launch(two);
  two.synchronize();
  std::vector<float> want = counting(kCount);
  for (float &value : want) value *= 6;
  expectEqual(z.get(), want, "z");
}

}  // namespace

std::vector<Program> rightGraphs() {
  return {
      {"graph-fork-and-replay", forkAndReplay},
      {"graph-with-copies", copiesInGraph},
      {"graph-back-to-back", backToBack},
      {"graph-with-libraries", librariesInGraph},
      {"graphs-on-two-streams", graphsOnTwoStreams},
  };
}

}  // namespace programs
