// Instructions by which a warp multiplies matrices on tensor cores: mma, and ldmatrix, which fetches their operands.
//
// Lane l of a warp belongs to group l / 4 and is number l % 4 in it. The manual's "fragments" say which elements it holds.
#include "access.h"
#include "decode.h"
#include "memory_operand.h"
#include "tensorcore.h"

namespace ptx {
namespace {

// Fragments of mma.m16n8k*, by register r of the group g's lane number t:
//   a: row g + 8 (r % 2), columns of chunk r / 2;   b: rows of chunk r, column g;
//   c, d: row g + 8 (r / 2), column 2 t + r % 2.
// A chunk is what four lanes hold side by side: eight 16-bit elements, two a lane, or four of .tf32.
void multiplyAccumulate(Exec &x, const Inst &i) {
  if (!wholeWarp(x)) return;
  const MatrixOperands &operands = x.running->program->matrixOperands[i.side];
  MatrixProduct product = {};
  product.factor = static_cast<Factor>(i.mode);
  product.inner = i.count;
  const unsigned wide = product.factor == Factor::Tensor ? 1 : 2;  // elements of a register
  const unsigned chunks = product.inner / (4 * wide);
  auto unpack = [&](uint32_t value, unsigned h) { return wide == 1 ? value : value >> 16 * h & 0xffff; };
  for (unsigned r = 0; r < 2 * chunks; r++) {
    const uint32_t *a = x.lanes<uint32_t>(operands.a[r]);
    for (unsigned l = 0; l < kLanes; l++)
      for (unsigned h = 0; h < wide; h++)
        product.a[l / 4 + 8 * (r % 2)][4 * wide * (r / 2) + wide * (l % 4) + h] = unpack(a[l], h);
  }
  for (unsigned r = 0; r < chunks; r++) {
    const uint32_t *b = x.lanes<uint32_t>(operands.b[r]);
    for (unsigned l = 0; l < kLanes; l++)
      for (unsigned h = 0; h < wide; h++) product.b[4 * wide * r + wide * (l % 4) + h][l / 4] = unpack(b[l], h);
  }
  for (unsigned r = 0; r < 4; r++) {
    const uint32_t *c = x.lanes<uint32_t>(operands.c[r]);
    for (unsigned l = 0; l < kLanes; l++) product.c[l / 4 + 8 * (r / 2)][2 * (l % 4) + r % 2] = c[l];
  }
  multiplyMatrices(product, x.running->launch->architecture);
  for (unsigned r = 0; r < 4; r++) {
    uint32_t *d = x.lanes<uint32_t>(operands.d[r]);
    for (unsigned l = 0; l < kLanes; l++) d[l] = product.c[l / 4 + 8 * (r / 2)][2 * (l % 4) + r % 2];
  }
}

// ldmatrix: i.count matrices of 8x8 16-bit elements. Lane 8 m + r has the address of row r of matrix m; lane l receives
// elements 2 (l % 4) and the next of row l / 4, or, transposed, of column l / 4. mode 1: transposed.
void loadMatrices(Exec &x, const Inst &i) {
  constexpr unsigned kRowBytes = 16;
  if (!wholeWarp(x)) return;
  const unsigned rows = 8 * i.count;
  uint64_t address[kLanes];
  addresses(x, i, address);
  uint16_t elements[kLanes][8];
  forAreasOf(x, i, rows == kLanes ? UINT32_MAX : (1u << rows) - 1, address, kRowBytes, false, [&](const Reach &reach) {
    if (reach.area->space != Space::Shared) {
      Trouble trouble;
      trouble.kind = Kind::OutOfBounds;
      trouble.pc = x.pc - 1;
      trouble.lane = static_cast<unsigned>(__builtin_ctz(reach.mask));
      trouble.space = reach.area->space;
      trouble.address = address[trouble.lane];
      trouble.size = kRowBytes;
      trouble.detail = "ldmatrix reads shared memory only";
      report(x, trouble);
      return;
    }
    checkRead(x, i, reach, kRowBytes, Readers::Warp);
    forLanes(reach.mask, [&](unsigned l) { std::memcpy(elements[l], reach.area->data + reach.offset[l], kRowBytes); });
  });
  if (x.running->over) return;
  for (unsigned m = 0; m < i.count; m++) {
    uint32_t *d = x.lanes<uint32_t>(i.o[1 + m]);
    const uint16_t(*matrix)[8] = elements + 8 * m;
    for (unsigned l = 0; l < kLanes; l++) {
      const unsigned major = l / 4, minor = 2 * (l % 4);
      const uint16_t first = i.mode ? matrix[minor][major] : matrix[major][minor];
      const uint16_t second = i.mode ? matrix[minor + 1][major] : matrix[major][minor + 1];
      d[l] = static_cast<uint32_t>(second) << 16 | first;
    }
  }
}

// ------------------------------------------------------------------------------------------------------------ decoding

void wantSyncAligned(Decoder &d) {
  if (!d.take("sync") || !d.take("aligned")) d.fail("needs .sync.aligned");
}

const std::vector<Operand> &fragment(Decoder &d, size_t operand, size_t registers) {
  const Operand &o = d.statement.operands[operand];
  if (o.kind != Operand::Vector || o.parts.size() != registers)
    d.fail("operand " + std::to_string(operand + 1) + " has to be {...} of " + std::to_string(registers));
  return o.parts;
}

void decodeMultiplyAccumulate(Decoder &d) {
  wantSyncAligned(d);
  static constexpr unsigned kInner[] = {4, 8, 16};
  const int shape = d.takeOne({"m16n8k4", "m16n8k8", "m16n8k16"});
  if (shape < 0) d.fail("needs .m16n8k4, .m16n8k8 or .m16n8k16");
  const unsigned inner = kInner[shape];
  if (!d.take("row") || !d.take("col")) d.fail("needs .row.col");
  // The types of d, a, b, c.
  std::vector<std::string_view> types;
  while (!d.peek().empty()) {
    types.push_back(d.peek());
    d.take(types.back());
  }
  if (types.size() != 4 || types[0] != "f32" || types[3] != "f32" || types[1] != types[2])
    d.fail("needs .f32.A.A.f32, where A is f16, bf16 or tf32");
  Factor factor;
  if (types[1] == "f16") {
    factor = Factor::Half;
  } else if (types[1] == "bf16") {
    factor = Factor::Brain;
  } else if (types[1] == "tf32") {
    factor = Factor::Tensor;
  } else {
    d.fail("not for type ." + std::string(types[1]));
  }
  if (factor == Factor::Tensor ? inner == 16 : inner == 4) d.fail("there is no such shape for ." + std::string(types[1]));
  d.wantTarget(factor == Factor::Half && inner == 8 ? 75 : 80);
  d.wantOperands(4);
  const size_t chunks = inner / (factor == Factor::Tensor ? 4 : 8);
  MatrixOperands operands;
  const auto &a = fragment(d, 1, 2 * chunks), &c = fragment(d, 3, 4), &result = fragment(d, 0, 4);
  // A single register may stand without braces.
  const Operand &b = d.statement.operands[2];
  if (chunks == 1 && b.kind != Operand::Vector) {
    operands.b[0] = d.source(b, Type::B32, false);
  } else {
    const auto &parts = fragment(d, 2, chunks);
    for (size_t r = 0; r < chunks; r++) operands.b[r] = d.source(parts[r], Type::B32, false);
  }
  for (size_t r = 0; r < 2 * chunks; r++) operands.a[r] = d.source(a[r], Type::B32, false);
  for (size_t r = 0; r < 4; r++) operands.c[r] = d.source(c[r], Type::F32, false);
  for (size_t r = 0; r < 4; r++) operands.d[r] = d.destination(result[r], Type::F32, false);
  Program &program = d.builder.program();
  d.inst.side = static_cast<uint32_t>(program.matrixOperands.size());
  program.matrixOperands.push_back(operands);
  d.inst.mode = static_cast<uint8_t>(factor);
  d.inst.count = static_cast<uint8_t>(inner);
  d.inst.run = multiplyAccumulate;
}

void decodeLoadMatrices(Decoder &d) {
  wantSyncAligned(d);
  if (!d.take("m8n8")) d.fail("needs .m8n8");
  const int number = d.takeOne({"x1", "x2", "x4"});
  if (number < 0) d.fail("needs .x1, .x2 or .x4");
  d.inst.count = static_cast<uint8_t>(1 << number);
  d.inst.mode = d.take("trans");
  d.inst.space = takeMemorySpace(d);
  if (d.inst.space != Space::Shared && d.inst.space != Space::Generic) d.fail("reads shared memory only");
  if (d.takeType() != Type::B16) d.fail("is for .b16");
  d.finish();
  // Before sm_80 the addresses of all lanes have to be valid, which is not looked at here.
  d.wantTarget(80);
  d.wantOperands(2);
  memoryOperand(d, d.statement.operands[1]);
  const Operand &result = d.statement.operands[0];
  if (d.inst.count == 1 && result.kind != Operand::Vector) {
    d.inst.o[1] = d.destination(result, Type::B32, false);
  } else {
    const auto &parts = fragment(d, 0, d.inst.count);
    for (size_t k = 0; k < parts.size(); k++) d.inst.o[1 + k] = d.destination(parts[k], Type::B32, false);
  }
  d.inst.size = 16;
  d.inst.run = loadMatrices;
}

}  // namespace

std::vector<OpcodeEntry> matrixOpcodes() {
  return {{"mma", decodeMultiplyAccumulate}, {"ldmatrix", decodeLoadMatrices}};
}

}  // namespace ptx
