// Which registers may be read before they are written, and how many are live at once.
//
// A forward analysis finds reads that some path reaches without a write. Only those registers are watched while the
// kernel runs: a mask of written lanes for each, set by its writers and asked by its readers. Everything else costs
// nothing.
#include <algorithm>
#include <unordered_map>

#include "machine.h"

namespace ptx {
namespace {

using Bits = std::vector<uint64_t>;
bool has(const Bits &b, uint32_t i) { return b[i / 64] >> i % 64 & 1; }
void set(Bits &b, uint32_t i) { b[i / 64] |= 1ull << i % 64; }
void clear(Bits &b, uint32_t i) { b[i / 64] &= ~(1ull << i % 64); }

struct Span {
  uint32_t begin, end;  // instructions
  std::vector<uint32_t> next;
  Bits in, out;
};

void runWatched(Exec &x, const Inst &i) {
  const Program &program = *x.running->program;
  const uint32_t pc = static_cast<uint32_t>(&i - program.code.data());
  const Watched &watched = program.watched[program.watchedAt[pc]];
  const bool check = x.running->launch->checks.uninitialisedRegisters;
  auto complain = [&](uint32_t lanes, const char *what) {
    Trouble trouble;
    trouble.kind = Kind::UninitialisedRegister;
    trouble.pc = pc;
    trouble.lane = static_cast<unsigned>(__builtin_ctz(lanes));
    trouble.detail = what;
    report(x, trouble);
  };
  if (watched.guardMask != kNone) {
    const uint32_t missing = x.mask & ~x.predicate(watched.guardMask);
    if (missing && check) complain(missing, "its guard");
    x.mask &= x.predicate(watched.guard) ^ watched.guardFlip;
    if (x.mask == 0) return;
  }
  uint32_t defined = x.mask;
  for (uint32_t mask : watched.reads) defined &= x.predicate(mask);
  const uint32_t lanes = x.mask;
  if (defined != lanes && check && !watched.copies) complain(lanes & ~defined, "an operand");
  uint8_t *registers = x.registers;
  // A call's results are marked when it is made: the callee watches its own.
  watched.run(x, i);
  for (uint32_t mask : watched.writes) {
    uint32_t &m = *reinterpret_cast<uint32_t *>(registers + mask);
    m = watched.copies ? (m & ~lanes) | defined : m | lanes;
  }
}

}  // namespace

void analyseRegisters(Program &program, Function &function, const std::vector<std::vector<uint32_t>> &reads,
                      const std::vector<std::vector<uint32_t>> &writes) {
  std::unordered_map<uint32_t, uint32_t> number;
  for (const RegisterSlot &slot : function.slots) number.emplace(slot.offset, static_cast<uint32_t>(number.size()));
  const uint32_t registers = static_cast<uint32_t>(number.size());
  const uint32_t count = function.end - function.begin;
  const size_t words = (registers + 63) / 64;
  if (registers == 0 || count == 0) return;
  auto inst = [&](uint32_t k) -> Inst & { return program.code[function.begin + k]; };
  auto guarded = [&](uint32_t k) { return std::find(reads[k].begin(), reads[k].end(), inst(k).guard) != reads[k].end(); };

  // Straight runs of instructions.
  std::vector<bool> leads(count + 1, false);
  leads[0] = true;
  for (uint32_t k = 0; k < count; k++) {
    const Inst &i = inst(k);
    if (i.flow == Flow::Branch) leads[static_cast<uint32_t>(i.imm) - function.begin] = true;
    if (i.flow == Flow::Table)
      for (uint32_t target : program.tables[i.side].targets) leads[target - function.begin] = true;
    if (i.flow == Flow::Branch || i.flow == Flow::Table || i.flow == Flow::End) leads[k + 1] = true;
  }
  std::vector<Span> spans;
  std::vector<uint32_t> spanOf(count + 1, 0);
  for (uint32_t k = 0; k < count; k++) {
    if (leads[k]) spans.push_back({k, k, {}, Bits(words, 0), Bits(words, UINT64_MAX)});
    spanOf[k] = static_cast<uint32_t>(spans.size()) - 1;
    spans.back().end = k + 1;
  }
  for (Span &span : spans) {
    const Inst &last = inst(span.end - 1);
    const bool conditional = guarded(span.end - 1);
    if (last.flow == Flow::Branch) span.next.push_back(spanOf[static_cast<uint32_t>(last.imm) - function.begin]);
    if (last.flow == Flow::Table)
      for (uint32_t target : program.tables[last.side].targets) span.next.push_back(spanOf[target - function.begin]);
    const bool leaves = last.flow == Flow::Branch || last.flow == Flow::Table || last.flow == Flow::End;
    if ((!leaves || conditional) && span.end < count) span.next.push_back(spanOf[span.end]);
  }

  // Forward: what is written on every path.
  auto step = [&](Bits &defined, uint32_t k) {
    const Inst &i = inst(k);
    const bool certain = !guarded(k);
    for (uint32_t w : writes[k]) {
      const uint32_t r = number[w];
      if (i.flow == Flow::Copy && reads[k].size() == (certain ? 1u : 2u) && !has(defined, number[reads[k].back()])) {
        if (certain) clear(defined, r);
        continue;
      }
      if (certain) set(defined, r);
    }
  };
  std::vector<bool> reached(spans.size(), false);
  for (const FormalParameter &formal : function.parameters)
    if (formal.inRegister) set(spans[0].in, number[formal.offset]);
  std::vector<uint32_t> work{0};
  reached[0] = true;
  while (!work.empty()) {
    Span &span = spans[work.back()];
    work.pop_back();
    Bits defined = span.in;
    for (uint32_t k = span.begin; k < span.end; k++) step(defined, k);
    span.out = defined;
    for (uint32_t n : span.next) {
      Span &next = spans[n];
      if (!reached[n]) {
        reached[n] = true;
        next.in = defined;
        work.push_back(n);
        continue;
      }
      bool changed = false;
      for (size_t w = 0; w < words; w++) {
        const uint64_t both = next.in[w] & defined[w];
        changed |= both != next.in[w];
        next.in[w] = both;
      }
      if (changed) work.push_back(n);
    }
  }
  Bits watch(words, 0);
  bool any = false;
  for (size_t s = 0; s < spans.size(); s++) {
    if (!reached[s]) continue;
    Bits defined = spans[s].in;
    for (uint32_t k = spans[s].begin; k < spans[s].end; k++) {
      for (uint32_t r : reads[k])
        if (!has(defined, number[r])) {
          set(watch, number[r]);
          any = true;
        }
      step(defined, k);
    }
  }

  // Backward: what is still read later.
  {
    std::vector<Bits> liveIn(spans.size(), Bits(words, 0));
    std::vector<uint32_t> weight(registers);
    for (const RegisterSlot &slot : function.slots) weight[number[slot.offset]] = slot.bytes == 0 ? 0 : std::max(slot.bytes / 4, 1);
    auto back = [&](Bits &live, uint32_t k) {
      if (!guarded(k))
        for (uint32_t w : writes[k]) clear(live, number[w]);
      for (uint32_t r : reads[k]) set(live, number[r]);
    };
    bool changed = true;
    for (int round = 0; changed && round < 1000; round++) {
      changed = false;
      for (size_t s = spans.size(); s-- > 0;) {
        Bits live(words, 0);
        for (uint32_t n : spans[s].next)
          for (size_t w = 0; w < words; w++) live[w] |= liveIn[n][w];
        for (uint32_t k = spans[s].end; k-- > spans[s].begin;) back(live, k);
        if (live != liveIn[s]) {
          liveIn[s] = live;
          changed = true;
        }
      }
    }
    for (const Span &span : spans) {
      Bits live(words, 0);
      for (uint32_t n : span.next)
        for (size_t w = 0; w < words; w++) live[w] |= liveIn[n][w];
      uint32_t now = 0;
      for (uint32_t r = 0; r < registers; r++) now += has(live, r) ? weight[r] : 0;
      function.peak = std::max(function.peak, now);
      for (uint32_t k = span.end; k-- > span.begin;) {
        if (!guarded(k))
          for (uint32_t w : writes[k]) {
            const uint32_t r = number[w];
            if (has(live, r)) now -= weight[r];
            clear(live, r);
          }
        for (uint32_t o : reads[k]) {
          const uint32_t r = number[o];
          if (!has(live, r)) now += weight[r];
          set(live, r);
        }
        function.peak = std::max(function.peak, now);
      }
    }
  }
  if (!any) return;

  std::unordered_map<uint32_t, uint32_t> maskOf;  // by register offset
  for (const RegisterSlot &slot : function.slots) {
    if (!has(watch, number[slot.offset])) continue;
    function.registerBytes = (function.registerBytes + 3) / 4 * 4;
    maskOf[slot.offset] = function.registerBytes;
    function.definedMasks.push_back(function.registerBytes);
    function.registerBytes += 4;
  }
  program.watchedAt.resize(program.code.size(), kNone);
  for (uint32_t k = 0; k < count; k++) {
    Watched watched;
    Inst &i = inst(k);
    const bool isGuarded = guarded(k);
    bool wanted = false;
    for (size_t n = 0; n < reads[k].size(); n++) {
      auto found = maskOf.find(reads[k][n]);
      if (found == maskOf.end()) continue;
      wanted = true;
      if (isGuarded && reads[k][n] == i.guard && watched.guardMask == kNone) {
        watched.guardMask = found->second;
        watched.guard = i.guard;
        watched.guardFlip = i.guardFlip;
      } else {
        watched.reads.push_back(found->second);
      }
    }
    for (uint32_t w : writes[k]) {
      auto found = maskOf.find(w);
      if (found == maskOf.end()) continue;
      wanted = true;
      watched.writes.push_back(found->second);
    }
    if (!wanted) continue;
    watched.run = i.run;
    watched.copies = i.flow == Flow::Copy;
    if (watched.guardMask != kNone) {
      // The handler looks at the guard itself, so that it sees a guard that nobody wrote.
      i.guard = function.constants.front().offset;
      i.guardFlip = 0;
    }
    i.run = runWatched;
    program.watchedAt[function.begin + k] = static_cast<uint32_t>(program.watched.size());
    program.watched.push_back(std::move(watched));
  }
}

}  // namespace ptx
