// Queued work: what must be done before what, and when it is done.
//
// Only a synchronisation makes work run, and then no more of it than that needs, in an order drawn from the seed among
// those that streams and events allow. Unless told otherwise, chance runs some more, at any call.
#include <unistd.h>

#include <algorithm>

#include "core/state.h"

namespace sim {

namespace {

constexpr size_t kBacklog = 2048;  // pieces of work that may wait; drivers have such a limit too

void addNeed(std::vector<OpPtr> &needs, const OpPtr &op) {
  if (!finished(op)) needs.push_back(op);
}

// Simulated durations: some for the launch, the rest for the bytes of a copy.
double duration(const Op &op) {
  if (op.work == nullptr) return 0;
  return 0.005 + double(op.work->counterBytes) / 1e7;
}

CUresult perform(Op &op) {
  Machine &m = machine();
  const Work &work = *op.work;
  if (work.runAndTell != nullptr) {
    std::vector<Access> touched;
    const CUresult status = work.runAndTell(touched);
    orderAccesses(op, touched);
    if (status == CUDA_SUCCESS) countTraffic(op, touched);
    return status;
  }
  if (work.collective != nullptr) {
    const CUresult status = work.collective->run(op.number);
    if (status == CUDA_SUCCESS) countTraffic(op, {});
    return status;
  }
  if (work.run == nullptr) return CUDA_SUCCESS;
  m.inHostFunction = work.hostFunction;
  const CUresult status = work.run();
  m.inHostFunction = false;
  if (status == CUDA_SUCCESS) countTraffic(op, {});
  return status;
}

// The checks before it does anything. False: it must not run.
bool begin(Op &op) {
  if (!checkLife(*op.work)) return false;
  beforeRun(op);
  beforeHostUse(op);
  return true;
}

CUresult execute(Op &op) {
  if (op.losesDevice) {
    loseDevice(op.context->device);
    return CUDA_ERROR_UNKNOWN;
  }
  if (op.fails != CUDA_SUCCESS) return op.fails;
  if (!op.arrived && !begin(op)) return CUDA_ERROR_ILLEGAL_ADDRESS;
  const CUresult status = perform(op);
  afterRun(op);
  afterHostUse(op);
  return status;
}

void complete(const OpPtr &op) {
  Machine &m = machine();
  op->done = true;
  op->time = m.time;
  for (Op *dependent : op->dependents) {
    if (--dependent->unmet == 0) m.ready.push_back(dependent);
  }
  op->dependents.clear();
  op->needs.clear();
  m.pending.erase(op->sequence);
  m.completed++;
}

// Whether a collective can run, which needs its other ranks. One that fails doesn't arrive, but ends.
bool canRun(Op &op) {
  if (op.context->error != CUDA_SUCCESS || op.losesDevice || op.fails != CUDA_SUCCESS) return true;
  Machine &m = machine();
  const Op *outer = m.running;
  m.running = &op;
  const bool first = !op.arrived;
  if (first && !begin(op)) op.fails = CUDA_ERROR_ILLEGAL_ADDRESS;
  op.arrived = true;
  const bool can = op.fails != CUDA_SUCCESS || op.work->collective->arrives(op.number, first);
  m.running = outer;
  return can;
}

// Moves collectives that wait and whose other ranks have come to m.ready.
void meet() {
  Machine &m = machine();
  for (size_t i = 0; i < m.waiting.size();) {
    if (!canRun(*m.waiting[i])) {
      i++;
      continue;
    }
    m.ready.push_back(m.waiting[i]);
    m.waiting[i] = m.waiting.back();
    m.waiting.pop_back();
  }
}

// Runs one of m.ready, or false: it is a collective, which now waits. After a context's fatal error its work counts as
// done, without being done.
bool runReady(size_t index) {
  Machine &m = machine();
  const OpPtr op = m.pending.at(m.ready[index]->sequence);
  m.ready[index] = m.ready.back();
  m.ready.pop_back();
  if (op->work != nullptr && op->work->collective != nullptr && !canRun(*op)) {
    m.waiting.push_back(op.get());
    return false;
  }
  const Op *outer = m.running;
  if (op->work != nullptr && op->context->error == CUDA_SUCCESS) {
    m.running = op.get();
    const CUresult status = execute(*op);
    m.running = outer;
    if (status != CUDA_SUCCESS) fail(*op->context, status);
  }
  m.time += duration(*op);
  complete(op);
  if (op->work != nullptr && op->work->hostFunction) hostSees(op->clock);  // it may have told the host anything
  op->work.reset();
  return true;
}

// Marks what the targets need, themselves included, as wanted. Returns how much of it is pending.
size_t want(const std::vector<OpPtr> &targets, uint64_t mark) {
  size_t count = 0;
  std::vector<Op *> stack;
  const auto visit = [&](const OpPtr &op) {
    if (finished(op) || op->wanted == mark) return;
    op->wanted = mark;
    count++;
    stack.push_back(op.get());
  };
  for (const OpPtr &target : targets) visit(target);
  while (!stack.empty()) {
    const Op *op = stack.back();
    stack.pop_back();
    for (const OpPtr &need : op->needs) visit(need);
  }
  return count;
}

// The place in m.ready of something that is wanted, or of anything where nothing is.
size_t pickWanted(uint64_t mark) {
  const std::vector<Op *> &ready = machine().ready;
  const size_t start = chance() % ready.size();
  for (size_t i = 0; i < ready.size(); i++) {
    const size_t index = (start + i) % ready.size();
    if (ready[index]->wanted == mark) return index;
  }
  return start;
}

// A wait for other ranks: ever longer pauses.
class Wait {
 public:
  void restart() { *this = Wait(); }
  // Something goes on elsewhere, so it isn't too long yet.
  void extend() { begin_ = std::chrono::steady_clock::now(); }
  // False: it has been too long, or the machine ends.
  bool pause() {
    const auto now = std::chrono::steady_clock::now();
    if (pause_ == 0) begin_ = now;
    pause_ = std::min(std::max(2 * pause_, 50u), 1000u);
    return std::chrono::duration<double>(now - begin_).count() < patience() && letOthersRun(pause_);
  }

 private:
  unsigned pause_ = 0;  // microseconds
  std::chrono::steady_clock::time_point begin_{};
};

// Ends the contexts of wanted collectives that wait. False: there are none.
bool giveUp(uint64_t mark) {
  Machine &m = machine();
  bool any = false;
  for (Op *op : m.waiting) {
    if (op->wanted != mark) continue;
    any = true;
    const Doer &doer = *op->doer;
    if (!m.ending) {
      reportFor(doer.title + " (queued on " + doer.where + ")", check::missingRank,
                op->work->collective->missing(op->number));
    }
    fail(*op->context, CUDA_ERROR_LAUNCH_TIMEOUT);
  }
  return any;
}

void limitBacklog() {
  Machine &m = machine();
  if (m.pending.size() <= kBacklog) return;
  auto middle = m.pending.begin();
  std::advance(middle, long(kBacklog / 4));
  // It may wait for a rank that is another thread of this process, and that one for the call that is open.
  force({middle->second}, Missing::Leave);
  while (m.pending.size() > kBacklog && !m.ready.empty()) runReady(chance() % m.ready.size());
}

// Faults on demand that count work.
void addFaults(Op &op) {
  Machine &m = machine();
  const bool kernel = std::string(op.work->counter) == "kernel";
  if (kernel && ++m.kernels == m.configuration.timeout) op.fails = CUDA_ERROR_LAUNCH_TIMEOUT;
  if (++m.works == m.configuration.lost) op.losesDevice = true;
}

// Gives a collective its number. Returns the one before it, of the same communicator.
OpPtr joinCommunicator(const OpPtr &op) {
  Machine &m = machine();
  Collective &collective = *op->work->collective;
  op->since = std::chrono::steady_clock::now();
  op->number = collective.queued(++m.collectives == m.configuration.async ? m.configuration.asyncStatus : 0);
  startBackground();
  OpPtr before = op;
  std::swap(before, m.lastOf[collective.communicator()]);
  return before;
}

// Kernels are counted by their names too, and what libraries compute by the calls that asked for it.
void countWork(const Work &work, const std::string &title) {
  if (*work.counter == 0) return;
  count(work.counter);
  const std::string kind = work.counter;
  if (kind == "kernel") count("ran." + work.detail.substr(0, work.detail.find("<<<")));
  if (kind == "dnn" || kind == "blas" || kind == "nccl") count("ran." + title.substr(0, title.find(" ")));
  if (work.counterBytes != 0) count(std::string(work.counter) + ".bytes", work.counterBytes);
}

}  // namespace

bool finished(const OpPtr &op) { return op == nullptr || op->done; }

uint32_t newLane() {
  Machine &m = machine();
  m.ticks.push_back(0);
  return m.lanes++;
}

OpPtr newOp(Context &context, std::shared_ptr<const Work> work, const std::string &title, const std::string &where,
            uint32_t lane, Clock clock, std::vector<OpPtr> needs) {
  Machine &m = machine();
  auto op = std::make_shared<Op>();
  auto doer = std::make_shared<Doer>();
  doer->sequence = op->sequence = ++m.sequence;
  doer->lane = lane;
  doer->tick = ++m.ticks[lane];
  doer->title = title;
  doer->where = where;
  clock.set(lane, doer->tick);
  op->doer = doer;
  op->context = &context;
  op->clock = std::move(clock);
  op->work = std::move(work);
  if (op->work != nullptr && op->work->collective != nullptr) needs.push_back(joinCommunicator(op));
  for (const OpPtr &need : needs) {
    if (finished(need)) continue;
    need->dependents.push_back(op.get());
    op->needs.push_back(need);
    op->unmet++;
  }
  if (op->work != nullptr) {
    countWork(*op->work, title);
    addFaults(*op);
    useHost(op);
    useHandles(op);
  }
  m.pending.emplace(op->sequence, op);
  if (op->unmet == 0) m.ready.push_back(op.get());
  return op;
}

// The legacy stream comes after all that the context's other streams hold, unless they opted out, and they after it.
OpPtr queue(Stream &stream, std::shared_ptr<const Work> work, const std::string &title, const std::vector<OpPtr> &needs,
            const Clock *after) {
  Context &context = *stream.context;
  Clock clock = stream.clock;
  clock.join(machine().host);
  std::vector<OpPtr> all = needs;
  addNeed(all, stream.last);
  if (stream.kind == Stream::Kind::Legacy) {
    for (const Stream *other : context.streams) {
      if (!other->synchronisesWithLegacy()) continue;
      clock.join(other->clock);
      addNeed(all, other->last);
    }
    clock.join(context.retiredBlocking);
    for (const auto &left : context.retiredWork) {
      if (left.second) addNeed(all, left.first);
    }
  } else if (stream.synchronisesWithLegacy()) {
    clock.join(context.legacy->clock);
    addNeed(all, context.legacy->last);
  }
  if (after != nullptr) clock.join(*after);
  OpPtr op = newOp(context, std::move(work), title, stream.name(), stream.lane, std::move(clock), std::move(all));
  stream.clock = op->clock;
  stream.last = op;
  stream.polls = 0;
  limitBacklog();
  return op;
}

// Where all that is wanted waits for other ranks, and is waited for, other work goes on, as it does on a GPU.
void force(const std::vector<OpPtr> &targets, Missing missing) {
  Machine &m = machine();
  uint64_t mark = ++m.wants;
  const bool more = m.configuration.schedule == Schedule::Random;
  size_t left = want(targets, mark);
  Wait wait;
  while (left > 0) {
    if (!m.waiting.empty()) meet();
    if (!m.ready.empty()) {
      const size_t next = pickWanted(mark);
      if (missing == Missing::Leave && m.ready[next]->wanted != mark) return;
      const size_t index = more && oneIn(8) ? chance() % m.ready.size() : next;
      const bool wanted = m.ready[index]->wanted == mark;
      if (!runReady(index) || !wanted) continue;
      left--;
      wait.restart();
      continue;
    }
    if (m.waiting.empty() || missing == Missing::Leave) return;
    const uint64_t completed = m.completed;
    if (!wait.pause() && !giveUp(mark)) return;
    mark = ++m.wants;  // other threads may have run some of it, and wanted other things
    left = want(targets, mark);
    if (m.completed != completed) wait.extend();
  }
}

bool letOthersRun(unsigned microseconds) {
  Machine &m = machine();
  if (m.calls.empty() || m.ending) return false;
  std::vector<const char *> calls;
  std::string detail;
  const Op *running = nullptr;
  bool silent = false;
  calls.swap(m.calls);
  detail.swap(m.detail);
  std::swap(running, m.running);
  std::swap(silent, m.silent);
  m.sleepers++;  // so that the machine stays
  for (size_t i = 0; i < calls.size(); i++) machineLock().unlock();
  usleep(microseconds);
  for (size_t i = 0; i < calls.size(); i++) machineLock().lock();
  m.sleepers--;
  m.calls.swap(calls);
  m.detail.swap(detail);
  m.running = running;
  m.silent = silent;
  return !m.ending;
}

void forceWhere(const std::function<bool(const Op &)> &wanted, Missing missing) {
  std::vector<OpPtr> targets;
  for (const auto &entry : machine().pending) {
    if (wanted(*entry.second)) targets.push_back(entry.second);
  }
  force(targets, missing);
}

void stir() {
  Machine &m = machine();
  if (!m.waiting.empty()) meet();
  if (m.configuration.schedule != Schedule::Random || m.ready.empty() || !oneIn(3)) return;
  for (uint64_t n = 1 + chance() % 3; n > 0 && !m.ready.empty(); n--) runReady(chance() % m.ready.size());
}

void settle() {
  if (machine().configuration.schedule == Schedule::Eager) forceWhere([](const Op &) { return true; }, Missing::Leave);
}

CUresult enqueue(Stream &stream, Work work) {
  if (stream.context->error != CUDA_SUCCESS) return stream.context->error;
  const Detail detail(work.detail);
  CUresult status = captureStanding(stream);
  if (status != CUDA_SUCCESS) return status;
  status = checkAccesses(work.accesses, stream.context);
  if (status == CUDA_SUCCESS) status = checkHostRange(work);
  if (status != CUDA_SUCCESS) return status;
  checkOverlaps(work.accesses);
  const std::string title = callName();
  auto shared = std::make_shared<const Work>(std::move(work));
  if (stream.capture != nullptr) {
    Node node;
    node.work = std::move(shared);
    node.title = title;
    addCaptured(stream, std::move(node));
    return CUDA_SUCCESS;
  }
  if (shared->hostFunction) startBackground();
  queue(stream, std::move(shared), title, {}, nullptr);
  settle();
  return CUDA_SUCCESS;
}

}  // namespace sim
