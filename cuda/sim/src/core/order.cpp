#include "core/order.h"

#include <algorithm>

namespace sim {

namespace {

bool same(const Touch &a, const Touch &b) { return a.doer == b.doer && a.what == b.what; }

bool same(const std::vector<Touch> &a, const std::vector<Touch> &b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Touch &x, const Touch &y) { return same(x, y); });
}

// Adds a conflict, or widens the one with the same piece of work.
void add(std::vector<Conflict> &conflicts, const Touch &earlier, bool writes, uint64_t begin, uint64_t end) {
  for (Conflict &known : conflicts) {
    if (known.earlier.doer != earlier.doer || known.earlierWrites != writes) continue;
    known.begin = std::min(known.begin, begin);
    known.end = std::max(known.end, end);
    return;
  }
  conflicts.push_back({earlier, writes, begin, end});
}

}  // namespace

// Makes `at` a border between segments where it lies inside of one.
void History::split(uint64_t at) {
  auto after = segments_.upper_bound(at);
  if (after == segments_.begin()) return;
  auto holder = std::prev(after);
  if (holder->first == at || holder->second.end <= at) return;
  Segment tail = holder->second;
  holder->second.end = at;
  segments_.emplace_hint(after, at, std::move(tail));
}

std::vector<Conflict> History::access(uint64_t begin, uint64_t end, bool writes, const Touch &touch,
                                      const Clock &clock) {
  std::vector<Conflict> conflicts;
  if (begin >= end) return conflicts;
  split(begin);
  split(end);
  for (auto at = segments_.lower_bound(begin); at != segments_.end() && at->first < end; ++at) {
    const Segment &segment = at->second;
    if (segment.writer.doer && !ordered(*segment.writer.doer, clock)) {
      add(conflicts, segment.writer, true, at->first, segment.end);
    }
    if (!writes) continue;
    for (const Touch &reader : segment.readers) {
      if (!ordered(*reader.doer, clock)) add(conflicts, reader, false, at->first, segment.end);
    }
  }
  if (writes) {
    write(begin, end, touch);
  } else {
    read(begin, end, touch, clock);
  }
  merge(begin, end);
  return conflicts;
}

void History::write(uint64_t begin, uint64_t end, const Touch &touch) {
  segments_.erase(segments_.lower_bound(begin), segments_.lower_bound(end));
  Segment segment;
  segment.end = end;
  segment.writer = touch;
  segments_.emplace(begin, std::move(segment));
}

// Readers that come before the new one are dropped: whoever comes after it comes after them.
void History::read(uint64_t begin, uint64_t end, const Touch &touch, const Clock &clock) {
  uint64_t position = begin;
  auto at = segments_.lower_bound(begin);
  while (position < end) {
    if (at == segments_.end() || at->first > position) {
      Segment fresh;
      fresh.end = at == segments_.end() ? end : std::min(end, at->first);
      at = segments_.emplace_hint(at, position, std::move(fresh));
    }
    std::vector<Touch> &readers = at->second.readers;
    readers.erase(std::remove_if(readers.begin(), readers.end(),
                                 [&](const Touch &reader) { return ordered(*reader.doer, clock); }),
                  readers.end());
    readers.push_back(touch);
    position = at->second.end;
    ++at;
  }
}

void History::merge(uint64_t begin, uint64_t end) {
  auto at = segments_.lower_bound(begin);
  if (at != segments_.begin()) --at;
  while (at != segments_.end()) {
    auto next = std::next(at);
    if (next == segments_.end() || next->first > end) return;
    const bool joins = at->second.end == next->first && same(at->second.writer, next->second.writer) &&
                       same(at->second.readers, next->second.readers);
    if (joins) {
      at->second.end = next->second.end;
      segments_.erase(next);
    } else {
      at = next;
    }
  }
}

Touch History::unfinished(const Clock &clock) const {
  for (const auto &[begin, segment] : segments_) {
    if (segment.writer.doer && !ordered(*segment.writer.doer, clock)) return segment.writer;
    for (const Touch &reader : segment.readers) {
      if (!ordered(*reader.doer, clock)) return reader;
    }
  }
  return {};
}

}  // namespace sim
