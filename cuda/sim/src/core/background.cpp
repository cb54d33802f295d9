// What goes on while the program makes no call: host functions and collectives run, since this program or another one may
// wait for them by its own means, and the report's file is brought up to date.
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "core/state.h"

namespace sim {

namespace {

constexpr useconds_t kPause = 10000;  // microseconds
constexpr int kLate = 100;            // milliseconds after which a collective arrives, whoever waits for it

void tidy() {
  std::unique_lock<std::recursive_mutex> guard(machineLock(), std::try_to_lock);
  if (!guard.owns_lock()) return;
  const auto late = std::chrono::steady_clock::now() - std::chrono::milliseconds(kLate);
  const auto due = [&](const Op &op) {
    if (op.work == nullptr) return false;
    return op.work->hostFunction || (op.work->collective != nullptr && op.since < late);
  };
  forceWhere(due, Missing::Leave);
  writeStaleReport();
}

void *run(void *) {
  for (;;) {
    usleep(kPause);
    tidy();
  }
}

}  // namespace

// Signals stay with the program's own threads.
void startBackground() {
  static bool started = false;  // guarded by the machine's lock
  if (started) return;
  started = true;
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  if (pthread_create(&thread, nullptr, run, nullptr) == 0) pthread_detach(thread);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace sim
