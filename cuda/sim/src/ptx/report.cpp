// Findings: what is wrong, in one sentence.
#include "machine.h"

namespace ptx {

const char *name(Space space) {
  switch (space) {
    case Space::Global: return "global";
    case Space::Shared: return "shared";
    case Space::Local: return "local";
    case Space::Param: return "param";
    case Space::Const: return "const";
    default: return "generic";
  }
}

const char *name(Kind kind) {
  switch (kind) {
    case Kind::BadConfiguration: return "bad launch configuration";
    case Kind::OutOfBounds: return "out of bounds";
    case Kind::UseAfterFree: return "use after free";
    case Kind::ReadOnly: return "write to read-only memory";
    case Kind::Misaligned: return "misaligned address";
    case Kind::UninitialisedMemory: return "read of uninitialised memory";
    case Kind::UninitialisedRegister: return "read of an uninitialised register";
    case Kind::SharedRace: return "shared-memory race";
    case Kind::GlobalRace: return "global-memory race";
    case Kind::InFlight: return "access during an asynchronous copy";
    case Kind::BarrierDivergence: return "barrier divergence";
    case Kind::WarpDivergence: return "warp divergence";
    case Kind::Timeout: return "timeout";
    case Kind::Trap: return "trap";
    case Kind::Assert: return "assertion failed";
    case Kind::StackOverflow: return "stack overflow";
  }
  return "";
}

namespace {

bool endsLaunch(Kind kind) {
  return kind != Kind::UninitialisedMemory && kind != Kind::UninitialisedRegister && kind != Kind::SharedRace &&
         kind != Kind::GlobalRace && kind != Kind::InFlight;
}

Status statusOf(Kind kind) {
  switch (kind) {
    case Kind::BadConfiguration: return Status::BadConfiguration;
    case Kind::OutOfBounds:
    case Kind::UseAfterFree:
    case Kind::ReadOnly: return Status::IllegalAddress;
    case Kind::Misaligned: return Status::MisalignedAddress;
    case Kind::Timeout: return Status::Timeout;
    case Kind::Assert: return Status::Assert;
    case Kind::BarrierDivergence:
    case Kind::WarpDivergence:
    case Kind::Trap:
    case Kind::StackOverflow: return Status::Failed;
    default: return Status::Ok;
  }
}

std::string shown(Dim3 d) {
  return "(" + std::to_string(d.x) + "," + std::to_string(d.y) + "," + std::to_string(d.z) + ")";
}

std::string hexadecimal(uint64_t value) {
  static const char digits[] = "0123456789abcdef";
  std::string out;
  do out.insert(out.begin(), digits[value & 15]);
  while (value >>= 4);
  return "0x" + out;
}

std::string place(const Program &program, uint32_t pc) {
  const std::string source = program.source(pc);
  return "line " + std::to_string(program.origins[pc].line) + (source.empty() ? "" : " (" + source + ")") + ": " +
         program.instruction(pc);
}

}  // namespace

Dim3 threadOf(const Running &running, uint32_t linear) {
  const Dim3 block = running.launch->block;
  return {linear % block.x, linear / block.x % block.y, linear / block.x / block.y};
}

void report(Exec &x, const Trouble &trouble) {
  report(*x.running, x.warp, trouble);
  if (x.running->over) x.stop = 0;
}

void report(Running &running, const Warp *warp, const Trouble &trouble) {
  LaunchResult &result = *running.result;
  const Program &program = *running.program;
  const bool fatal = endsLaunch(trouble.kind);
  if (running.over) return;
  const uint32_t pc = trouble.pc < program.origins.size() ? trouble.pc : kNone;
  const uint32_t other = trouble.otherPc < program.origins.size() ? trouble.otherPc : kNone;
  const uint64_t key = static_cast<uint64_t>(trouble.kind) << 56 ^ static_cast<uint64_t>(pc) << 28 ^ other;
  auto [at, fresh] = running.findingAt.try_emplace(key, SIZE_MAX);
  if (!fresh) {
    if (at->second == SIZE_MAX) {
      result.findingsDropped++;
    } else {
      result.findings[at->second].count++;
    }
    return;
  }
  if (fatal) {
    result.status = statusOf(trouble.kind);
    running.over = true;
  }
  if (result.findings.size() >= running.launch->limits.findings && !fatal) {
    result.findingsDropped++;
    return;
  }
  Finding finding;
  finding.kind = trouble.kind;
  finding.space = trouble.space;
  finding.address = trouble.address;
  finding.size = trouble.size;
  finding.block = running.block.index;
  if (warp != nullptr) finding.thread = threadOf(running, warp->index * kLanes + trouble.lane);
  if (pc != kNone) {
    finding.line = program.origins[pc].line;
    finding.instruction = program.instruction(pc);
    finding.source = program.source(pc);
  }
  if (other != kNone) finding.otherLine = program.origins[other].line;
  finding.otherBlock = trouble.otherBlock;
  finding.otherThread = trouble.otherThread;

  std::string m = std::string(name(trouble.kind)) + " in kernel " + running.kernel->name;
  if (warp != nullptr) m += ", block " + shown(finding.block) + " thread " + shown(finding.thread);
  if (pc != kNone) m += ", " + place(program, pc);
  switch (trouble.kind) {
    case Kind::OutOfBounds:
    case Kind::UseAfterFree:
    case Kind::ReadOnly:
    case Kind::Misaligned:
    case Kind::UninitialisedMemory:
    case Kind::SharedRace:
    case Kind::GlobalRace:
    case Kind::InFlight:
      m += "; " + std::to_string(trouble.size) + " bytes at " + name(trouble.space) + " address " + hexadecimal(trouble.address);
      break;
    default: break;
  }
  if (trouble.kind == Kind::SharedRace || trouble.kind == Kind::GlobalRace) {
    m += ", " + trouble.detail;
    if (trouble.hasOther) m += " by block " + shown(trouble.otherBlock) + " thread " + shown(trouble.otherThread);
    if (other != kNone) m += " at " + place(program, other);
    m += " with nothing between that orders the two";
    if (trouble.kind == Kind::GlobalRace) m += " (" + running.memory->describe(trouble.address) + ")";
  } else {
    if (!trouble.detail.empty()) m += "; " + trouble.detail;
    if (trouble.kind == Kind::Misaligned && trouble.space == Space::Global) {
      m += "; " + running.memory->describe(trouble.address);
    }
    if (other != kNone) {
      m += "; the other at " + place(program, other);
      if (trouble.hasOther) m += ", thread " + shown(trouble.otherThread);
    }
  }
  finding.message = std::move(m);
  at->second = result.findings.size();
  result.findings.push_back(std::move(finding));
}

}  // namespace ptx
