// What goes on while the program makes no call: host functions run, since a program may wait for them by its own means,
// and the report's file is brought up to date.
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "core/state.h"

namespace sim {

namespace {

constexpr useconds_t kPause = 10000;  // microseconds

void tidy() {
  std::unique_lock<std::recursive_mutex> guard(machineLock(), std::try_to_lock);
  if (!guard.owns_lock()) return;
  forceWhere([](const Op &op) { return op.work != nullptr && op.work->hostFunction; });
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
