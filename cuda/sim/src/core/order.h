// Who comes after whom: vector clocks over lanes, and the history of accesses to one buffer.
//
// A lane is something that does one thing after another: a stream, or a chain of nodes in an executable graph. The
// host has a clock but no lane: it waits for lanes and lets what it queues afterwards come after them. All threads of
// the host share it, because how they order each other can't be seen from here.
#ifndef GPUTRAIN_SIM_CORE_ORDER_H
#define GPUTRAIN_SIM_CORE_ORDER_H

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace sim {

// How far each lane had come.
class Clock {
 public:
  uint64_t at(uint32_t lane) const { return lane < ticks_.size() ? ticks_[lane] : 0; }
  void set(uint32_t lane, uint64_t tick) {
    if (lane >= ticks_.size()) ticks_.resize(lane + 1);
    ticks_[lane] = tick;
  }
  void join(const Clock &other) {
    if (other.ticks_.size() > ticks_.size()) ticks_.resize(other.ticks_.size());
    for (size_t i = 0; i < other.ticks_.size(); i++) {
      if (other.ticks_[i] > ticks_[i]) ticks_[i] = other.ticks_[i];
    }
  }

 private:
  std::vector<uint64_t> ticks_;
};

// One piece of work as history remembers it.
struct Doer {
  uint64_t sequence = 0;  // the order of queueing
  uint32_t lane = 0;
  uint64_t tick = 0;  // of the lane
  std::string title;  // "cuLaunchKernel bias_add<<<...>>>"
  std::string where;  // "stream #2"
};

inline bool ordered(const Doer &before, const Clock &after) { return after.at(before.lane) >= before.tick; }

struct Touch {
  std::shared_ptr<const Doer> doer;  // null: nobody
  std::string what;                  // the parameter's name
};

// Two accesses of which neither comes after the other.
struct Conflict {
  Touch earlier;  // the one already in the history
  bool earlierWrites = false;
  uint64_t begin = 0, end = 0;  // bytes in common
};

// For each byte of a buffer, who wrote it last and who has read it since.
class History {
 public:
  // Adds an access to [begin, end) by work whose clock is `clock`. Returns the conflicts with what is there, one for
  // each other piece of work.
  std::vector<Conflict> access(uint64_t begin, uint64_t end, bool writes, const Touch &touch, const Clock &clock);
  // An access that doesn't come before `clock`; its doer is null where there is none.
  Touch unfinished(const Clock &clock) const;
  size_t segments() const { return segments_.size(); }

 private:
  struct Segment {
    uint64_t end = 0;
    Touch writer;
    std::vector<Touch> readers;
  };
  using Segments = std::map<uint64_t, Segment>;
  void split(uint64_t at);
  void write(uint64_t begin, uint64_t end, const Touch &touch);
  void read(uint64_t begin, uint64_t end, const Touch &touch, const Clock &clock);
  void merge(uint64_t begin, uint64_t end);

  Segments segments_;
};

}  // namespace sim

#endif
