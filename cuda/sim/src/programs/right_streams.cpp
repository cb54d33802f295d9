// Right programs: memory, streams, events and threads.
#include <thread>

#include "programs/machine.h"
#include "programs/registry.h"

namespace programs {

namespace {

constexpr int kCount = 512;
const Shape kShape{2, 256, 0};

std::vector<float> times(float factor, std::vector<float> values) {
  for (float &value : values) value *= factor;
  return values;
}

CUresult scale(const Kernels &kernels, CUstream stream, const Memory &x, const Memory &y, float factor,
               int count = kCount) {
  return launch(kernels["scale"], kShape, stream, x.address, y.address, factor, count);
}

// To the device on one stream, on by a second, back by a third.
void roundTrip() {
  Session session;
  const std::vector<float> sent = randomNumbers(kCount, 1);
  Pinned<float> out(kCount), back(kCount);
  out.fill(sent);
  Buffer<float> x(kCount), y(kCount);
  Stream up, across, down;
  Event uploaded, copied;
  MUST(cuMemcpyHtoDAsync(x.address, out.data, out.bytes(), up));
  uploaded.record(up);
  uploaded.blocks(across);
  MUST(cuMemcpyDtoDAsync(y.address, x.address, x.bytes(), across));
  copied.record(across);
  copied.blocks(down);
  MUST(cuMemcpyDtoHAsync(back.data, y.address, y.bytes(), down));
  down.synchronize();
  expectEqual(back.values(), sent, "what came back");
}

// Copies and fills that wait, on the default stream.
void plainCopies() {
  Session session;
  Buffer<float> x(kCount), y(kCount);
  std::vector<float> values = counting(kCount), back(kCount);
  MUST(cuMemcpyHtoD(x.address, values.data(), x.bytes()));
  values.assign(kCount, -1);  // pageable memory is the caller's again
  MUST(cuMemsetD32(y.address, 0x3f800000, kCount));
  MUST(cuMemcpyDtoD(y.address + 4, x.address + 4, x.bytes() - 4));
  MUST(cuMemsetD8(y.address + y.bytes() - 4, 0, 4));
  MUST(cuMemcpyDtoH(back.data(), y.address, y.bytes()));
  std::vector<float> want = counting(kCount);
  want.front() = 1;
  want.back() = 0;
  expectEqual(back, want, "y");
}

// Chunks through two pinned buffers: one is filled while the other one travels.
void doubleBuffering() {
  Session session;
  Kernels kernels;
  constexpr int kChunks = 9;
  Stream copies, work;
  Buffer<float> sums(std::vector<float>(1, 0)), first(kCount), second(kCount);
  const Buffer<float> *landing[] = {&first, &second};
  Pinned<float> one(kCount), two(kCount);
  Pinned<float> *staging[] = {&one, &two};
  Event arrived[2], used[2];
  float want = 0;
  for (int chunk = 0; chunk < kChunks; chunk++) {
    const int side = chunk % 2;
    if (chunk >= 2) {
      MUST(cuEventSynchronize(arrived[side]));  // the pinned buffer has been read
      used[side].blocks(copies);                // and the landing place been used
    }
    staging[side]->fill(std::vector<float>(kCount, float(chunk + 1)));
    MUST(cuMemcpyHtoDAsync(landing[side]->address, staging[side]->data, staging[side]->bytes(), copies));
    arrived[side].record(copies);
    arrived[side].blocks(work);
    MUST(launch(kernels["block_sum"], kShape, work, landing[side]->address, sums.address, kCount));
    used[side].record(work);
    want += float(kCount * (chunk + 1));
  }
  work.synchronize();
  expectEqual(sums.get(), {want}, "the sum of all chunks");
}

void forkAndJoin() {
  Session session;
  Kernels kernels;
  Buffer<float> x(counting(kCount)), y(kCount), a(kCount), b(kCount), z(kCount);
  Stream first, left, right;
  Event forked, leftDone, rightDone;
  MUST(scale(kernels, first, x, y, 2));
  forked.record(first);
  forked.blocks(left);
  forked.blocks(right);
  MUST(scale(kernels, left, y, a, 3));
  MUST(scale(kernels, right, y, b, 5));
  leftDone.record(left);
  rightDone.record(right);
  leftDone.blocks(first);
  rightDone.blocks(first);
  MUST(launch(kernels["add"], kShape, first, a.address, b.address, z.address, kCount));
  first.synchronize();
  expectEqual(z.get(), times(16, counting(kCount)), "z");
}

// Blocking streams and the legacy default stream wait for each other.
void legacyDefaultStream() {
  Session session;
  Kernels kernels;
  Buffer<float> x(counting(kCount)), y(kCount), z(kCount), w(kCount);
  Stream before(CU_STREAM_DEFAULT), after(CU_STREAM_DEFAULT);
  MUST(scale(kernels, before, x, y, 2));
  MUST(scale(kernels, nullptr, y, z, 3));
  MUST(scale(kernels, after, z, w, 5));
  expectEqual(w.get(), times(30, counting(kCount)), "w");
}

// Every thread has a default stream of its own, which the legacy one waits for.
void perThreadDefaultStream() {
  Session session;
  Kernels kernels;
  Buffer<float> x(counting(kCount)), y(kCount), z(kCount), sum(kCount);
  std::string complaint[2];
  const auto work = [&](const Buffer<float> &to, float factor, std::string &failed) {
    try {
      MUST(cuCtxSetCurrent(session.context));
      MUST(scale(kernels, CU_STREAM_PER_THREAD, x, to, factor));
      MUST(cuStreamSynchronize(CU_STREAM_PER_THREAD));
      MUST(cuCtxSetCurrent(nullptr));
    } catch (const Failed &failure) {
      failed = failure.what();
    }
  };
  std::thread one(work, std::cref(y), 2.0f, std::ref(complaint[0]));
  std::thread two(work, std::cref(z), 3.0f, std::ref(complaint[1]));
  one.join();
  two.join();
  for (const std::string &failed : complaint) expect(failed.empty(), failed);
  MUST(launch(kernels["add"], kShape, CU_STREAM_PER_THREAD, y.address, z.address, sum.address, kCount));
  expectEqual(sum.get(), times(5, counting(kCount)), "the sum");
}

void pinnedReuse() {
  Session session;
  Pinned<float> staging(kCount);
  Buffer<float> x(kCount), y(kCount);
  Stream stream;
  Event read;
  staging.fill(counting(kCount));
  MUST(cuMemcpyHtoDAsync(x.address, staging.data, staging.bytes(), stream));
  read.record(stream);
  MUST(cuEventSynchronize(read));
  staging.fill(counting(kCount, 1000));
  MUST(cuMemcpyHtoDAsync(y.address, staging.data, staging.bytes(), stream));
  stream.synchronize();
  expectEqual(x.get(), counting(kCount), "x");
  expectEqual(y.get(), counting(kCount, 1000), "y");
}

// Several threads share the primary context, each with its own stream and memory.
void manyThreads() {
  Session session;
  Kernels kernels;
  constexpr int kThreads = 4;
  std::vector<std::string> complaints(kThreads);
  const auto work = [&](int thread) {
    try {
      MUST(cuCtxPushCurrent(session.context));
      {
        Stream stream;
        Buffer<float> x(counting(kCount, float(thread))), y(kCount);
        for (int i = 0; i < 3; i++) MUST(scale(kernels, stream, x, y, float(thread + i)));
        stream.synchronize();
        expectEqual(y.get(), times(float(thread + 2), counting(kCount, float(thread))), "y");
      }
      CUcontext popped = nullptr;
      MUST(cuCtxPopCurrent(&popped));
      expect(popped == session.context, "another context was popped");
    } catch (const Failed &failed) {
      complaints[thread] = failed.what();
    }
  };
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; thread++) threads.emplace_back(work, thread);
  for (std::thread &thread : threads) thread.join();
  for (const std::string &complaint : complaints) expect(complaint.empty(), complaint);
}

void eventTiming() {
  Session session;
  Kernels kernels;
  Buffer<float> x(counting(kCount)), y(kCount);
  Stream stream;
  Event start(CU_EVENT_DEFAULT), middle(CU_EVENT_DEFAULT), end(CU_EVENT_BLOCKING_SYNC);
  start.record(stream);
  MUST(scale(kernels, stream, x, y, 2));
  middle.record(stream);
  MUST(scale(kernels, stream, y, x, 2));
  end.record(stream);
  MUST(cuEventSynchronize(end));
  expect(cuEventQuery(middle) == CUDA_SUCCESS, "an earlier event of the stream isn't complete");
  float first = -1, whole = -1;
  MUST(cuEventElapsedTime(&first, start, middle));
  MUST(cuEventElapsedTime(&whole, start, end));
  expect(first >= 0 && whole >= first, "times run backwards");
  expectEqual(x.get(), times(4, counting(kCount)), "x");
}

// Parts of one buffer, handed from stream to stream: whoever takes one waits for the last use.
void memoryPool() {
  Session session;
  Kernels kernels;
  constexpr int kParts = 3, kRounds = 8;
  Buffer<float> x(counting(kCount)), pool(kParts * kCount), sum(std::vector<float>(1, 0));
  Stream streams[2], totals;
  Event lastUse[kParts], filled[kParts];
  float want = 0;
  for (int round = 0; round < kRounds; round++) {
    const int part = round % kParts;
    const CUstream stream = streams[round % 2];
    const CUdeviceptr address = pool.address + part * kCount * sizeof(float);
    if (round >= kParts) lastUse[part].blocks(stream);
    MUST(launch(kernels["scale"], kShape, stream, x.address, address, float(round), kCount));
    filled[part].record(stream);
    filled[part].blocks(totals);
    MUST(launch(kernels["block_sum"], kShape, totals, address, sum.address, kCount));
    lastUse[part].record(totals);
    want += float(round) * kCount * (kCount - 1) / 2;
  }
  totals.synchronize();
  expectEqual(sum.get(), {want}, "the sum of all parts");
}

// A loop that asks instead of waiting.
void polling() {
  Session session;
  Kernels kernels;
  Buffer<float> x(counting(kCount)), y(kCount);
  Pinned<float> back(kCount);
  Stream stream;
  Event done;
  MUST(scale(kernels, stream, x, y, 3));
  MUST(cuMemcpyDtoHAsync(back.data, y.address, y.bytes(), stream));
  done.record(stream);
  CUresult status = CUDA_ERROR_NOT_READY;
  for (int i = 0; i < 100000 && status == CUDA_ERROR_NOT_READY; i++) status = cuEventQuery(done);
  expect(status == CUDA_SUCCESS, "the event never completes");
  expectEqual(back.values(), times(3, counting(kCount)), "y");
}

void CUDAAPI addOne(void *number) { ++*static_cast<int *>(number); }

// Host functions run in order with the stream's other work, and call nothing of CUDA.
void hostFunctions() {
  Session session;
  Kernels kernels;
  Buffer<float> x(counting(kCount)), y(kCount);
  Stream stream;
  int number = 0;
  for (int i = 0; i < 3; i++) {
    MUST(scale(kernels, stream, x, y, 2));
    MUST(cuLaunchHostFunc(stream, addOne, &number));
  }
  stream.synchronize();
  expectEqual<int>({number}, {3}, "calls of the host function");
}

}  // namespace

std::vector<Program> rightStreams() {
  return {
      {"round-trip-over-streams", roundTrip},
      {"plain-copies", plainCopies},
      {"double-buffering", doubleBuffering},
      {"fork-and-join", forkAndJoin},
      {"legacy-default-stream", legacyDefaultStream},
      {"per-thread-default-stream", perThreadDefaultStream},
      {"pinned-reuse-after-event", pinnedReuse},
      {"many-threads", manyThreads},
      {"event-timing", eventTiming},
      {"memory-pool", memoryPool},
      {"polling", polling},
      {"host-functions", hostFunctions},
  };
}

}  // namespace programs
