// Device memory: addresses, bounds, lives, and what of it was written.
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "core/test/harness.h"

using namespace sim;

namespace {

void bounds() {
  Fresh fresh;
  Stream *s = stream(fresh);
  const uint64_t x = buffer(fresh, 1000), y = buffer(fresh, 24);
  CHECK(x % 256 == 0 && y % 256 == 0);
  CHECK(y >= x + 1000 + 512);
  CHECK(isDeviceAddress(x) && !isDeviceAddress(reinterpret_cast<uint64_t>(&fresh)));
  CHECK(find(x + 999) != nullptr && find(x + 1000) == nullptr && find(x - 1) == nullptr);
  CHECK(fill(*s, x, 1000, 1) == CUDA_SUCCESS);
  CHECK(fill(*s, x, 1001, 1) == CUDA_ERROR_INVALID_VALUE);
  CHECK(told(check::outOfBounds, "buffer #1 (1000 bytes, cuMemAlloc_v2) and goes 1 byte past its end"));
  CHECK(fill(*s, x + 1004, 4, 1) == CUDA_ERROR_INVALID_VALUE);
  CHECK(told(check::outOfBounds, "4 bytes past the end of buffer #1"));
  CHECK(fill(*s, y - 8, 4, 1) == CUDA_ERROR_INVALID_VALUE);
  CHECK(told(check::outOfBounds, "8 bytes before buffer #2"));
  CHECK(fill(*s, reinterpret_cast<uint64_t>(&fresh), 4, 1) == CUDA_ERROR_INVALID_VALUE);
  CHECK(findings(check::hostPointer) == 1);
  CHECK(fill(*s, 0, 4, 1) == CUDA_ERROR_INVALID_VALUE);
  CHECK(findings(check::badValue) == 1);
  CHECK(findings() == 5);
}

void lives() {
  Fresh fresh;
  Stream *s = stream(fresh);
  const uint64_t x = buffer(fresh, 100);
  CHECK(callRelease(x + 16) == CUDA_ERROR_INVALID_VALUE);
  CHECK(findings(check::badFree) == 1);
  CHECK(callRelease(0) == CUDA_SUCCESS);
  CHECK(callRelease(x) == CUDA_SUCCESS);
  CHECK(callRelease(x) == CUDA_ERROR_INVALID_VALUE);
  CHECK(findings(check::doubleFree) == 1);
  CHECK(fill(*s, x, 4, 1) == CUDA_ERROR_INVALID_VALUE);
  CHECK(told(check::useAfterFree, "freed by cuMemFree_v2"));
  CHECK(buffer(fresh, 100) != x);
}

void written() {
  Fresh fresh;
  Stream *s = stream(fresh);
  const uint64_t x = buffer(fresh, 100), w = buffer(fresh, 100);
  touch(*s, "writes a part", {{x, 60, Mode::Write, "x"}, {w, 100, Mode::Scratch, "w"}});
  touch(*s, "reads that", {{x, 60, Mode::Read, "x"}});
  touch(*s, "updates it", {{x, 60, Mode::Update, "x"}});
  callSynchronize(*s);
  CHECK(findings() == 0);
  const uint8_t *noise = data(x);
  CHECK(noise[0] == 0xa5 && noise[1] == 0xff && noise[59] == 0xff);
  touch(*s, "reads more", {{x, 100, Mode::Read, "x"}});
  touch(*s, "reads scratch", {{w + 8, 4, Mode::Read, "w"}});
  callSynchronize(*s);
  CHECK(findings(check::uninitialised) == 2);
  CHECK(told(check::uninitialised, "40 bytes of it, from byte 60 on, were never written"));
  CHECK(told(check::uninitialised, "cudnnTouch reads scratch (queued on stream #1)"));
}

void overlaps() {
  Fresh fresh;
  Stream *s = stream(fresh);
  const uint64_t x = buffer(fresh, 100);
  fill(*s, x, 100, 0);
  touch(*s, "in place", {{x, 50, Mode::Read, "x"}, {x, 50, Mode::Write, "y"}});
  touch(*s, "side by side", {{x, 50, Mode::Read, "x"}, {x + 50, 50, Mode::Write, "y"}});
  touch(*s, "reads", {{x, 50, Mode::Read, "x"}, {x + 10, 50, Mode::Read, "y"}});
  CHECK(findings() == 0);
  touch(*s, "partly", {{x, 50, Mode::Read, "x"}, {x + 10, 50, Mode::Write, "y"}});
  CHECK(findings(check::overlap) == 1);
  touch(*s, "two outputs", {{x, 50, Mode::Write, "x"}, {x, 50, Mode::Write, "y"}});
  touch(*s, "scratch", {{x, 50, Mode::Read, "x"}, {x, 50, Mode::Scratch, "y"}});
  CHECK(findings(check::overlap) == 3);
}

// What lies in place keeps its contents while outputs get noise.
void inPlace() {
  Fresh fresh;
  Stream *s = stream(fresh);
  const uint64_t x = buffer(fresh, 8), y = buffer(fresh, 8);
  fill(*s, x, 8, 3);
  Call call(Library::Driver, "cuAdd");
  Work work;
  work.accesses = {{x, 8, Mode::Read, "x"}, {x, 8, Mode::Write, "out"}, {y, 8, Mode::Write, "y"}};
  work.run = [=] {
    CHECK(*data(x) == 3);
    CHECK(*data(y) == 0xa5);
    *data(x) += 1;
    return CUDA_SUCCESS;
  };
  enqueue(*s, std::move(work));
  callSynchronize(*s);
  CHECK(*data(x) == 4);
}

void accounts() {
  Fresh fresh("memory=1M");
  uint64_t free = 0, total = 0, address = 0;
  const uint64_t x = buffer(fresh, 500);
  memoryInfo(*fresh.context, free, total);
  CHECK(total == 1 << 20 && free == (1 << 20) - 512);
  Call call(Library::Driver, "cuMemAlloc_v2");
  CHECK(allocate(*fresh.context, 1 << 20, address) == CUDA_ERROR_OUT_OF_MEMORY && address == 0);
  CHECK(allocate(*fresh.context, UINT64_MAX, address) == CUDA_ERROR_OUT_OF_MEMORY);
  CHECK(allocate(*fresh.context, (1 << 20) - 512, address) == CUDA_SUCCESS);
  CHECK(allocate(*fresh.context, 1, address) == CUDA_ERROR_OUT_OF_MEMORY);
  CHECK(findings() == 0);
  callRelease(x);
  CHECK(allocate(*fresh.context, 1, address) == CUDA_SUCCESS);
  CHECK(counted("peak bytes") == 500 + (1 << 20) - 512);
  CHECK(counted("allocations") == 6);
}

// Nothing of the range can be touched, so a device pointer that the host follows faults.
void outOfReach() {
  Fresh fresh;
  const uint64_t x = buffer(fresh, 64);
  int pipe[2];
  CHECK(::pipe(pipe) == 0);
  CHECK(write(pipe[1], reinterpret_cast<const void *>(x), 8) == -1);
  close(pipe[0]);
  close(pipe[1]);
}

void ofModules() {
  Fresh fresh;
  Call call(Library::Driver, "cuModuleLoadData");
  Allocation *made = allocateForModule(*fresh.context, 12, false, "table of module #1");
  CHECK(made != nullptr && !made->writable);
  CHECK(release(made->address) == CUDA_ERROR_INVALID_VALUE && findings(check::badFree) == 1);
  CHECK(describe(made->address + 4) == "buffer #1 (12 bytes, table of module #1) + 4");
  CHECK(!leaked("device memory"));
  releaseForModule(made);
  CHECK(made->data == nullptr);
}

}  // namespace

void testMemory() {
  withSchedules(bounds);
  withSchedules(lives);
  withSchedules(written);
  withSchedules(overlaps);
  withSchedules(inPlace);
  accounts();
  outOfReach();
  ofModules();
}
