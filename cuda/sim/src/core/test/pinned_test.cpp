// Pinned memory between the call that queues a copy and the host's knowledge that it is done.
#include <cstring>

#include "core/test/harness.h"

using namespace sim;

namespace {

CUresult releasePinned(void *address) {
  Call call(Library::Driver, "cuMemFreeHost");
  return releaseHost(address);
}

void rightUse() {
  Fresh fresh;
  Stream *s = stream(fresh);
  const uint64_t x = buffer(fresh, 5000);
  uint8_t *in = pinned(fresh, 5000), *out = pinned(fresh, 5000);
  for (uint8_t round = 1; round < 4; round++) {
    std::memset(in, round, 5000);
    upload(*s, x, in, 5000);
    download(*s, out, x, 5000);
    callSynchronize(*s);
    CHECK(out[0] == round && out[4999] == round);
  }
  CHECK(findings() == 0);
  CHECK(releasePinned(in) == CUDA_SUCCESS && releasePinned(out) == CUDA_SUCCESS);
  CHECK(findings() == 0);
  CHECK(releasePinned(in) == CUDA_ERROR_INVALID_VALUE && findings(check::doubleFree) == 1);
}

// Whether or not the copy happened to run before the host wrote again.
void reusedEarly() {
  Fresh fresh;
  Stream *s = stream(fresh), *other = stream(fresh);
  const uint64_t x = buffer(fresh, 10000);
  uint8_t *in = pinned(fresh, 10000);
  upload(*s, x, in, 10000);
  callSynchronize(*other);
  in[9000] ^= 1;
  callSynchronize(*s);
  CHECK(findings(check::pinnedReuse) == 1);
  CHECK(told(check::pinnedReuse, "10000 bytes at 0 of pinned memory #1"));
  CHECK(told(check::pinnedReuse, "at or after byte 8192"));
  upload(*s, x, in, 10000);
  callSynchronize(*s);
  in[0] ^= 1;
  CHECK(findings() == 1);
}

void writtenEarly() {
  Fresh fresh;
  Stream *s = stream(fresh);
  const uint64_t x = buffer(fresh, 100);
  uint8_t *out = pinned(fresh, 100);
  fill(*s, x, 100, 1);
  download(*s, out, x, 100);
  out[5] = 77;
  callSynchronize(*s);
  CHECK(findings(check::pinnedReuse) == 1);
  CHECK(told(check::pinnedReuse, "cuMemcpyDtoHAsync_v2 (queued on stream #1) writes"));
}

// The same bytes down and up again: the second copy reads what the first wrote, and nobody is to blame.
void downAndUp() {
  Fresh fresh;
  Stream *s = stream(fresh), *t = stream(fresh);
  const uint64_t x = buffer(fresh, 100), y = buffer(fresh, 100), z = buffer(fresh, 100);
  uint8_t *host = pinned(fresh, 100);
  fill(*s, x, 100, 9);
  download(*s, host, x, 100);
  upload(*s, y, host, 100);
  fill(*s, x, 100, 8);
  download(*s, host, x, 100);
  callSynchronize(*s);
  CHECK(findings() == 0);
  CHECK(*data(y) == 9 && host[0] == 8);
  upload(*s, y, host, 100);
  fill(*t, z, 100, 4);
  download(*t, host + 50, z, 50);
  callSynchronize(fresh);
  CHECK(findings(check::streamRace) == 1);
  CHECK(told(check::streamRace, "bytes 50 to 99 of pinned memory #1"));
}

// Bytes that a copy has yet to read keep what they hold until then.
void upAndDown() {
  Fresh fresh;
  Stream *s = stream(fresh);
  const uint64_t x = buffer(fresh, 100), y = buffer(fresh, 100);
  uint8_t *host = pinned(fresh, 100);
  std::memset(host, 5, 100);
  fill(*s, y, 100, 6);
  upload(*s, x, host, 100);
  download(*s, host, y, 100);
  callSynchronize(*s);
  CHECK(*data(x) == 5 && host[99] == 6);
  CHECK(findings() == 0);
}

void lateSchedule() {
  Fresh fresh("schedule=late");
  Stream *s = stream(fresh);
  const uint64_t x = buffer(fresh, 8);
  uint8_t *out = pinned(fresh, 8);
  std::memset(out, 1, 8);
  fill(*s, x, 8, 2);
  download(*s, out, x, 8);
  CHECK(out[0] == 0xa5 && out[1] == 0xff);
  callSynchronize(*s);
  CHECK(out[0] == 2);
}

void releasedEarly() {
  Fresh fresh;
  Stream *s = stream(fresh);
  const uint64_t x = buffer(fresh, 100);
  uint8_t *in = pinned(fresh, 100);
  upload(*s, x, in, 100);
  CHECK(releasePinned(in) == CUDA_SUCCESS);
  CHECK(findings(check::freeInUse) == 1);
  callSynchronize(*s);
  CHECK(findings() == 1);
}

void pastTheEnd() {
  Fresh fresh;
  Stream *s = stream(fresh);
  const uint64_t x = buffer(fresh, 200);
  uint8_t *in = pinned(fresh, 100);
  CHECK(upload(*s, x, in + 50, 51) == CUDA_ERROR_INVALID_VALUE);
  CHECK(told(check::outOfBounds, "51 bytes at 50 of pinned memory #1"));
  in[100] = 1;
  releasePinned(in);
  CHECK(told(check::outOfBounds, "1 bytes past the end of pinned memory #1"));
  CHECK(upload(*s, x, in, 10) == CUDA_ERROR_INVALID_VALUE);
  CHECK(findings(check::useAfterFree) == 1);
}

void registered() {
  Fresh fresh;
  std::vector<uint8_t> own(4096, 3);
  {
    Call call(Library::Driver, "cuMemHostRegister_v2");
    CHECK(registerHost(*fresh.context, own.data(), 4096, 0) == CUDA_SUCCESS);
    CHECK(registerHost(*fresh.context, own.data() + 100, 8, 0) == CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
    CHECK(findHost(own.data() + 4095) != nullptr && findHost(own.data() + 4096) == nullptr);
    CHECK(findHost(own.data())->registered);
  }
  CHECK(leaked("pinned memory"));
  Call call(Library::Driver, "cuMemHostUnregister");
  CHECK(releaseHost(own.data()) == CUDA_ERROR_INVALID_VALUE);
  CHECK(unregisterHost(own.data()) == CUDA_SUCCESS);
  CHECK(own[0] == 3);
  CHECK(registerHost(*fresh.context, own.data(), 4096, 0) == CUDA_SUCCESS);
  CHECK(unregisterHost(own.data()) == CUDA_SUCCESS);
  CHECK(unregisterHost(own.data()) == CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
  CHECK(registerHost(*fresh.context, own.data() + 100, 8, 0) == CUDA_SUCCESS);
  CHECK(unregisterHost(own.data() + 100) == CUDA_SUCCESS);
  CHECK(registerHost(*fresh.context, own.data(), 4096, 0) == CUDA_SUCCESS);
  CHECK(findHost(own.data() + 104) != nullptr);
}

}  // namespace

void testPinned() {
  withSchedules(rightUse);
  withSchedules(reusedEarly);
  withSchedules(writtenEarly);
  withSchedules(downAndUp);
  withSchedules(upAndDown);
  lateSchedule();
  withSchedules(releasedEarly);
  withSchedules(pastTheEnd);
  registered();
}
