// A launch: checks its configuration, lays out memory, and runs the blocks one after another.
#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <new>
#include <numeric>

#include "machine.h"

namespace ptx {
namespace {

struct FreeAligned {
  void operator()(uint8_t *p) const { std::free(p); }
};

}  // namespace

struct Interpreter::State {
  std::map<uint64_t, Area> areas;
  uint64_t serialNumber = 0;
  uint32_t serial = 1;              // of the clock, ever growing
  std::unique_ptr<uint8_t, FreeAligned> registers;
  size_t registerBytes = 0;
  std::vector<uint8_t> shared, sharedShadow, local, localShadow;

  uint8_t *file(size_t bytes) {
    if (bytes > registerBytes) {
      const size_t rounded = (bytes + 4095) / 4096 * 4096;
      registers.reset(static_cast<uint8_t *>(std::aligned_alloc(4096, rounded)));
      if (registers == nullptr) {
        registerBytes = 0;
        throw std::bad_alloc();
      }
      registerBytes = rounded;
      std::memset(registers.get(), 0, rounded);
    }
    return registers.get();
  }
};

namespace {

// What the race cells may take between launches before they are given back.
constexpr uint64_t kMostCellBytes = 1ull << 30;

std::string shown(Dim3 d) {
  return std::to_string(d.x) + "x" + std::to_string(d.y) + "x" + std::to_string(d.z);
}

bool refuse(LaunchResult &result, const Launch &launch, Status status, const std::string &why) {
  Finding finding;
  finding.kind = Kind::BadConfiguration;
  finding.message = std::string(name(finding.kind)) + (launch.kernel ? " of kernel " + launch.kernel->name : "") + ": " + why;
  result.findings.push_back(std::move(finding));
  result.status = status;
  return false;
}

bool configurationFits(const Launch &launch, LaunchResult &result) {
  const Limits &limits = launch.limits;
  const Kernel &kernel = *launch.kernel;
  auto bad = [&](const std::string &why) { return refuse(result, launch, Status::BadConfiguration, why); };
  const Dim3 g = launch.grid, b = launch.block;
  if (g.x == 0 || g.y == 0 || g.z == 0) return bad("a grid of " + shown(g));
  if (b.x == 0 || b.y == 0 || b.z == 0) return bad("blocks of " + shown(b));
  if (g.x > limits.grid.x || g.y > limits.grid.y || g.z > limits.grid.z) return bad("a grid of " + shown(g) + " is too large");
  if (b.x > limits.block.x || b.y > limits.block.y || b.z > limits.block.z) return bad("blocks of " + shown(b) + " are too large");
  const uint64_t threads = static_cast<uint64_t>(b.x) * b.y * b.z;
  if (threads > std::min(limits.threadsPerBlock, 1024u)) return bad("blocks of " + std::to_string(threads) + " threads");
  const uint64_t blocks = static_cast<uint64_t>(g.x) * g.y;
  if (blocks > UINT32_MAX / g.z) return bad("a grid of " + shown(g) + " is too large");
  if (launch.params.size() != kernel.paramBytes)
    return bad(std::to_string(launch.params.size()) + " bytes of parameters where the kernel has " + std::to_string(kernel.paramBytes));
  if (kernel.maxntid.x != 0 && threads > static_cast<uint64_t>(kernel.maxntid.x) * kernel.maxntid.y * kernel.maxntid.z)
    return refuse(result, launch, Status::OutOfResources, "blocks of " + std::to_string(threads) + " threads, more than .maxntid " + shown(kernel.maxntid));
  if (kernel.reqntid.x != 0 && (b.x != kernel.reqntid.x || b.y != kernel.reqntid.y || b.z != kernel.reqntid.z))
    return bad("blocks of " + shown(b) + " where .reqntid is " + shown(kernel.reqntid));
  if (static_cast<uint64_t>(kernel.sharedBytes) + launch.dynamicShared > limits.sharedBytes)
    return refuse(result, launch, Status::OutOfResources, std::to_string(static_cast<uint64_t>(kernel.sharedBytes) + launch.dynamicShared) +
                  " bytes of shared memory, more than " + std::to_string(limits.sharedBytes));
  return true;
}

// Lays the shared variables that the kernel names one after another, a guard zone after each.
struct SharedLayout {
  uint32_t end = kSharedBase;
  std::vector<std::pair<uint32_t, uint32_t>> ranges;  // offset, bytes of each variable
};
SharedLayout layoutShared(Running &running) {
  const Program &program = *running.program;
  SharedLayout layout;
  running.sharedOffset.assign(program.shared.size(), 0);
  std::vector<bool> used(program.shared.size(), false);
  bool dynamic = false;
  uint32_t dynamicAlignment = 16;
  for (uint32_t f : running.kernel->reachable)
    for (uint32_t v : program.functions[f].shared) used[v] = true;
  uint64_t at = kSharedBase;
  for (size_t v = 0; v < used.size(); v++) {
    const SharedVariable &variable = program.shared[v];
    if (!used[v]) continue;
    if (variable.dynamic) {
      dynamic = true;
      dynamicAlignment = std::max(dynamicAlignment, variable.alignment);
      continue;
    }
    at = (at + variable.alignment - 1) / variable.alignment * variable.alignment;
    running.sharedOffset[v] = static_cast<uint32_t>(at);
    layout.ranges.emplace_back(static_cast<uint32_t>(at), static_cast<uint32_t>(variable.size));
    at += variable.size + 32;
  }
  if (dynamic) {
    at = (at + dynamicAlignment - 1) / dynamicAlignment * dynamicAlignment;
    for (size_t v = 0; v < used.size(); v++)
      if (used[v] && program.shared[v].dynamic) running.sharedOffset[v] = static_cast<uint32_t>(at);
    layout.ranges.emplace_back(static_cast<uint32_t>(at), running.launch->dynamicShared);
    at += running.launch->dynamicShared + 32;
  }
  layout.end = static_cast<uint32_t>(at);
  return layout;
}

// Local memory for the deepest chain of calls below a function; `known` holds what has been worked out.
uint64_t stackBytes(const Program &program, uint32_t index, std::vector<uint64_t> &known, bool &recursive) {
  if (known[index] != UINT64_MAX) return known[index];
  const Function &function = program.functions[index];
  recursive |= function.recursive;
  uint64_t below = 0;
  if (!recursive)
    for (uint32_t called : function.calls) below = std::max(below, stackBytes(program, called, known, recursive));
  return known[index] = (static_cast<uint64_t>(function.frameBytes) + 15) / 16 * 16 + below;
}

void fillConstant(Running &running, uint8_t *registers, const Constant &constant) {
  uint64_t value = constant.value;
  if (constant.source == Constant::Global) value += running.program->initials[constant.index].address;
  if (constant.source == Constant::Shared) value += running.sharedOffset[constant.index];
  uint8_t *at = registers + constant.offset;
  if (constant.bytes == 0) {
    const uint32_t p = static_cast<uint32_t>(value);
    std::memcpy(at, &p, 4);
    return;
  }
  for (unsigned l = 0; l < kLanes; l++) std::memcpy(at + l * constant.bytes, &value, constant.bytes);
}

uint64_t specialValue(const Running &running, Special special, const Warp &warp, unsigned lane) {
  const Launch &launch = *running.launch;
  const Dim3 thread = threadOf(running, warp.index * kLanes + lane);
  switch (special) {
    case Special::TidX: return thread.x;
    case Special::TidY: return thread.y;
    case Special::TidZ: return thread.z;
    case Special::NtidX: return launch.block.x;
    case Special::NtidY: return launch.block.y;
    case Special::NtidZ: return launch.block.z;
    case Special::CtaidX: return running.block.index.x;
    case Special::CtaidY: return running.block.index.y;
    case Special::CtaidZ: return running.block.index.z;
    case Special::NctaidX: return launch.grid.x;
    case Special::NctaidY: return launch.grid.y;
    case Special::NctaidZ: return launch.grid.z;
    case Special::LaneId: return lane;
    case Special::WarpId: return warp.index;
    case Special::NWarpId: return (running.threads + kLanes - 1) / kLanes;
    case Special::SmId: return 0;
    case Special::NSmId: return 1;
    case Special::GridId: return running.serialNumber;
    case Special::LaneMaskEq: return 1u << lane;
    case Special::LaneMaskLe: return UINT32_MAX >> (31 - lane);
    case Special::LaneMaskLt: return (1u << lane) - 1;
    case Special::LaneMaskGe: return UINT32_MAX << lane;
    case Special::LaneMaskGt: return lane == 31 ? 0 : UINT32_MAX << (lane + 1);
    case Special::DynamicSharedSize: return launch.dynamicShared;
    case Special::TotalSharedSize: return launch.dynamicShared + launch.kernel->sharedBytes;
    default: return 0;
  }
}

void fillSpecials(Running &running, Warp &warp, bool blockOnly) {
  for (uint32_t f : running.kernel->reachable) {
    for (const SpecialUse &use : running.program->functions[f].specials) {
      const bool ofBlock = use.special >= Special::CtaidX && use.special <= Special::CtaidZ;
      if (blockOnly != ofBlock) continue;
      uint8_t *at = warp.file + running.functionBase[f] + use.offset;
      for (unsigned l = 0; l < kLanes; l++) {
        const uint64_t value = specialValue(running, use.special, warp, l);
        std::memcpy(at + l * use.bytes, &value, use.bytes);
      }
    }
  }
}

// All that is left waits: lanes for lanes, threads for threads. Says who waits where.
void reportDeadlock(Running &running) {
  const Warp *warp = nullptr;
  const Group *first = nullptr;
  for (Waiting kind : {Waiting::Lanes, Waiting::Aligned, Waiting::Barrier}) {
    for (const Warp &w : *running.warps)
      for (uint32_t g = 0; g < w.groupCount && first == nullptr; g++)
        if (w.groups[g].waiting == kind) {
          warp = &w;
          first = &w.groups[g];
        }
    if (first != nullptr) break;
  }
  Trouble trouble;
  if (first == nullptr) return;
  trouble.kind = first->waiting == Waiting::Lanes ? Kind::WarpDivergence : Kind::BarrierDivergence;
  trouble.pc = first->pc;
  trouble.lane = static_cast<unsigned>(__builtin_ctz(first->mask));
  // Somebody who waits elsewhere: the same warp's lanes first.
  const Warp *otherWarp = nullptr;
  const Group *other = nullptr;
  for (int pass = 0; pass < 2 && other == nullptr; pass++)
    for (const Warp &w : *running.warps)
      for (uint32_t g = 0; g < w.groupCount && other == nullptr; g++)
        if (&w.groups[g] != first && w.groups[g].pc != first->pc && (pass == 1 || &w == warp)) {
          otherWarp = &w;
          other = &w.groups[g];
        }
  if (other != nullptr) {
    trouble.otherPc = other->pc;
    trouble.hasOther = true;
    trouble.otherBlock = running.block.index;
    trouble.otherThread = threadOf(running, otherWarp->index * kLanes + static_cast<unsigned>(__builtin_ctz(other->mask)));
    trouble.detail = "other threads wait elsewhere and never come here";
  } else if (first->waiting == Waiting::Barrier) {
    const Barrier &barrier = running.block.barriers[first->barrier];
    trouble.detail = std::to_string(barrier.arrived) + " of " + std::to_string(barrier.expected ? barrier.expected : running.block.liveThreads) +
                     " threads have come to barrier " + std::to_string(first->barrier) + ", and no more can";
  } else {
    trouble.detail = "lanes that it waits for never come";
  }
  report(running, warp, trouble);
}

// Lanes that wait at different bar.warp.sync with one mask may go on together. True if any did.
bool releaseWarpBarriers(Running &running) {
  bool any = false;
  for (Warp &warp : *running.warps) {
    for (uint32_t a = 0; a < warp.groupCount; a++) {
      const Group &group = warp.groups[a];
      if (group.waiting != Waiting::Lanes || running.program->code[group.pc].flow != Flow::WarpBarrier) continue;
      const uint32_t wanted = group.wanted;
      uint32_t here = 0;
      auto belongs = [&](const Group &g) {
        return g.waiting == Waiting::Lanes && g.wanted == wanted && running.program->code[g.pc].flow == Flow::WarpBarrier;
      };
      for (uint32_t b = 0; b < warp.groupCount; b++)
        if (belongs(warp.groups[b])) here |= warp.groups[b].mask;
      if (here != (wanted & warp.live)) continue;
      for (uint32_t b = 0; b < warp.groupCount; b++) {
        if (!belongs(warp.groups[b])) continue;
        warp.groups[b].waiting = Waiting::No;
        warp.groups[b].pc++;
      }
      warp.syncs++;
      running.tick();
      any = true;
    }
  }
  return any;
}

void runBlock(Running &running, uint32_t linear, const SharedLayout &layout) {
  const Launch &launch = *running.launch;
  LaunchResult &result = *running.result;
  Block &block = running.block;
  block = Block();
  block.linear = linear;
  block.index = {linear % launch.grid.x, linear / launch.grid.x % launch.grid.y, linear / launch.grid.x / launch.grid.y};
  block.liveThreads = running.threads;

  running.tick();
  Clock &clock = running.clock;
  clock.blockFirst = clock.now;
  running.sharedClock.blockFirst = running.sharedClock.launchFirst = clock.now;
  clock.blocks.emplace_back(clock.now, linear);
  clock.acquired.clear();

  if (layout.end > kSharedBase) {
    // What the block before left is not this one's to read.
    std::memset(running.shared.data, static_cast<int>(running.random.next() & 0xff), layout.end - kSharedBase);
    std::memset(running.shared.shadow, kGuard, layout.end - kSharedBase);
    for (auto [offset, bytes] : layout.ranges) std::memset(running.shared.shadow + (offset - kSharedBase), kUnwritten, bytes);
  }
  for (Warp &warp : *running.warps) {
    warp.live = warp.start;
    warp.groupCount = 1;
    warp.groups[0] = Group();
    warp.groups[0].pc = running.kernel->begin;
    warp.groups[0].mask = warp.start;
    warp.groups[0].frame = &warp.root;
    warp.carry = 0;
    warp.syncs = 0;
    warp.bypassed = 0;
    warp.copies.clear();
    std::fill(std::begin(warp.copyGroups), std::end(warp.copyGroups), 0);
    for (std::vector<uint8_t> &saved : warp.saved) saved.clear();
    fillSpecials(running, warp, true);
    for (uint32_t mask : running.kernel->definedMasks)
      std::memset(warp.root.registers + mask, 0, 4);
    if (running.localBytes > 0) {
      const size_t stride = running.localBytes;
      std::memset(warp.local.shadow, kGuard, stride * kLanes);
      for (const FrameVariable &variable : running.kernel->frame)
        for (unsigned l = 0; l < kLanes; l++)
          std::memset(warp.local.shadow + l * stride + variable.offset, kUnwritten, variable.size);
    }
  }

  std::vector<uint32_t> ready;
  while (block.liveThreads > 0 && !running.over) {
    ready.clear();
    for (Warp &warp : *running.warps)
      if (warp.ready()) ready.push_back(warp.index);
    if (ready.empty()) {
      if (releaseWarpBarriers(running)) continue;
      reportDeadlock(running);
      running.over = true;
      break;
    }
    Warp &warp = (*running.warps)[ready[ready.size() == 1 ? 0 : running.random.below(static_cast<uint32_t>(ready.size()))]];
    // Mostly long turns, now and then a short one.
    uint64_t budget = ready.size() == 1 ? 4096 : uint64_t{1} << (2 + running.random.below(10));
    const uint64_t left = launch.limits.instructions > result.warpInstructions ? launch.limits.instructions - result.warpInstructions : 0;
    if (left == 0) {
      Trouble trouble;
      trouble.kind = Kind::Timeout;
      for (uint32_t g = 0; g < warp.groupCount; g++)
        if (warp.groups[g].waiting == Waiting::No) {
          trouble.pc = warp.groups[g].pc;
          trouble.lane = static_cast<unsigned>(__builtin_ctz(warp.groups[g].mask));
        }
      trouble.detail = "not done after " + std::to_string(result.warpInstructions) + " instructions of warps";
      report(running, &warp, trouble);
      break;
    }
    runWarp(running, warp, std::min(budget, left));
  }
}

void collect(const Area &area, const std::vector<uint64_t> &words, std::vector<Range> &ranges) {
  for (size_t w = 0; w < words.size(); w++) {
    uint64_t bits = words[w];
    while (bits) {
      const unsigned first = static_cast<unsigned>(__builtin_ctzll(bits));
      const uint64_t rest = ~(bits >> first);
      const unsigned length = rest == 0 ? 64 - first : std::min(static_cast<unsigned>(__builtin_ctzll(rest)), 64 - first);
      const uint64_t begin = area.begin + (w * 64 + first) * 4;
      const uint64_t end = std::min<uint64_t>(begin + length * 4ull, area.end);
      if (!ranges.empty() && ranges.back().end == begin) {
        ranges.back().end = end;
      } else {
        ranges.push_back({begin, end});
      }
      if (first + length == 64) break;
      bits &= UINT64_MAX << (first + length);
    }
  }
}

}  // namespace

Interpreter::Interpreter() : state_(std::make_unique<State>()) {}
Interpreter::~Interpreter() = default;

LaunchResult Interpreter::launch(const Module &module, const Launch &launch, Memory &memory) {
  LaunchResult result;
  State &state = *state_;
  const Program &program = module.program();
  size_t index = 0;
  while (index < program.kernels.size() && &program.kernels[index] != launch.kernel) index++;
  if (launch.kernel == nullptr || index == program.kernels.size()) {
    Launch nameless;
    refuse(result, nameless, Status::BadConfiguration, "the kernel is not of this module");
    return result;
  }
  if (!configurationFits(launch, result)) return result;
  try {
    Running running;
    running.program = &program;
    running.launch = &launch;
    running.memory = &memory;
    running.result = &result;
    running.kernel = &program.functions[program.kernelFunctions[index]];
    running.random.state = launch.seed;
    running.threads = launch.block.x * launch.block.y * launch.block.z;
    running.areas = &state.areas;
    running.cache.assign(program.cacheSlots, nullptr);
    running.serialNumber = ++state.serialNumber;
    if (state.serial > 3u << 30) {  // long before serials run out: forget everything
      state.areas.clear();
      state.serial = 1;
    }
    running.clock.now = running.clock.launchFirst = state.serial + 1;
    running.sharedClock = running.clock;

    bool recursive = false;
    std::vector<uint64_t> known(program.functions.size(), UINT64_MAX);
    uint64_t stack = stackBytes(program, running.kernel->index, known, recursive);
    stack = recursive ? std::min<uint64_t>(launch.limits.localBytes, 16384) : stack;
    if (stack > launch.limits.localBytes) {
      refuse(result, launch, Status::OutOfResources, std::to_string(stack) + " bytes of local memory a thread, more than " +
             std::to_string(launch.limits.localBytes));
      return result;
    }
    // A last guard zone behind the deepest frame.
    running.localBytes = stack == 0 && running.kernel->calls.empty() ? 0 : static_cast<uint32_t>((stack + 16 + 15) / 16 * 16 + 16);

    running.functionBase.assign(program.functions.size(), 0);
    running.numberBase.assign(program.functions.size(), 0);
    uint32_t numbers = 0;
    uint64_t fileBytes = 0;
    for (uint32_t f : running.kernel->reachable) {
      const Function &function = program.functions[f];
      running.functionBase[f] = static_cast<uint32_t>(fileBytes);
      running.numberBase[f] = numbers;
      numbers += function.end - function.begin;
      fileBytes += (static_cast<uint64_t>(function.registerBytes) + 63) / 64 * 64;
      running.fences |= function.fences;
    }
    fileBytes = std::max<uint64_t>(fileBytes, 64);
    const uint32_t warpCount = (running.threads + kLanes - 1) / kLanes;
    uint8_t *file = state.file(fileBytes * warpCount);

    const SharedLayout layout = layoutShared(running);
    state.shared.resize(std::max<size_t>(layout.end - kSharedBase, 1));
    state.sharedShadow.resize(state.shared.size());
    running.shared.begin = kSharedBase;
    running.shared.end = layout.end;
    running.shared.data = state.shared.data();
    running.shared.shadow = state.sharedShadow.data();
    running.shared.space = Space::Shared;
    running.shared.guarded = true;
    if (launch.checks.sharedRaces && layout.end > kSharedBase) {
      running.shared.ownCells = std::make_unique<Cells>(layout.end - kSharedBase);
      running.shared.cells = running.shared.ownCells.get();
    }
    std::vector<uint8_t> params = launch.params;
    params.resize(params.size() + 16);
    running.params.begin = 0;
    running.params.end = launch.params.size();
    running.params.data = params.data();
    running.params.space = Space::Param;
    running.params.writable = false;

    const size_t localOfWarp = static_cast<size_t>(running.localBytes) * kLanes;
    state.local.resize(std::max<size_t>(localOfWarp * warpCount, 1));
    state.localShadow.resize(state.local.size());
    std::vector<Warp> warps(warpCount);
    running.warps = &warps;
    for (uint32_t w = 0; w < warpCount; w++) {
      Warp &warp = warps[w];
      warp.index = w;
      const uint32_t lanes = std::min(kLanes, running.threads - w * kLanes);
      warp.start = lanes == kLanes ? UINT32_MAX : (1u << lanes) - 1;
      warp.file = file + w * fileBytes;
      warp.root.function = running.kernel;
      warp.root.registers = warp.file + running.functionBase[running.kernel->index];
      warp.local.begin = 0;
      warp.local.end = localOfWarp;
      warp.local.data = state.local.data() + w * localOfWarp;
      warp.local.shadow = state.localShadow.data() + w * localOfWarp;
      warp.local.space = Space::Local;
      warp.local.guarded = true;
      warp.saved.resize(kLanes);
      for (uint32_t f : running.kernel->reachable)
        for (const Constant &constant : program.functions[f].constants)
          fillConstant(running, warp.file + running.functionBase[f], constant);
      fillSpecials(running, warp, false);
    }

    // Blocks in an order that visits each once and keeps no neighbours together.
    const uint32_t blocks = launch.grid.x * launch.grid.y * launch.grid.z;
    uint32_t stride = blocks <= 2 ? 1 : 1 + running.random.below(blocks - 1);
    while (std::gcd(stride, blocks) != 1) stride = stride % (blocks - 1) + 1;
    uint32_t at = running.random.below(blocks);
    for (uint32_t k = 0; k < blocks && !running.over; k++) {
      runBlock(running, at, layout);
      at = static_cast<uint32_t>((static_cast<uint64_t>(at) + stride) % blocks);
    }
    state.serial = running.clock.now + 1;

    uint64_t cellBytes = 0;
    for (auto &[end, area] : state.areas) {
      if (area.ownCells != nullptr) cellBytes += area.ownCells->memory();
      if (area.usedIn != running.serialNumber) continue;
      collect(area, area.readWords, result.read);
      collect(area, area.writtenWords, result.written);
    }
    if (cellBytes > kMostCellBytes) state.areas.clear();
  } catch (const std::bad_alloc &) {
    state.areas.clear();
    refuse(result, launch, Status::OutOfResources, "the host's memory is used up");
  }
  return result;
}

}  // namespace ptx
