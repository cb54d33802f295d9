// Texts, right and wrong: what a module tells of itself, and errors that name line and instruction.
#include "harness.h"

namespace {

void wrong(const std::string &text, const std::string &line, const std::string &says) {
  std::string error;
  const auto module = ptx::Module::parse(text, error);
  CHECK(module == nullptr, "accepted: " + text);
  CHECK(error.find("line " + line + ":") == 0 && error.find(says) != std::string::npos, "error \"" + error + "\" where \"" + says + "\" is wanted, line " + line);
}
// One statement on line 7 of a kernel.
void wrongStatement(const std::string &statement, const std::string &says, const std::string &target = "sm_75") {
  wrong(".version 7.8\n.target " + target + "\n.address_size 64\n.visible .entry k(.param .u64 p)\n{\n.reg .pred %p<4>; .reg .b16 %h<4>; .reg .b32 %r<8>; .reg .f32 %f<4>; .reg .b64 %d<4>;\n" +
            statement + "\n}\n", "7", says);
}

// The same for the first target that has bf16 and cp.async.
void wrongMatrixStatement(const std::string &statement, const std::string &says) { wrongStatement(statement, says, "sm_80"); }

}  // namespace

void testText() {
  wrong("", "1", ".version is missing");
  wrong(".version 7.8\n", "1", ".target is missing");
  wrong(".version 7.8\n.target sm_75\n.address_size 32\n", "3", "64-bit");
  wrong(".version 7.8\n.target sm_30\n", "2", "sm_70");
  wrong(".version 7.8\n.target sm_75\n.address_size 64\n.visible .entry k()\n{\n", "5", "no end");
  wrong(".version 7.8\n.target sm_75\n/* open", "3", "comment without an end");
  wrong(".version 7.8\n.target sm_75\n.extern .func f();\n.entry k()\n{\ncall f, ();\n}\n", "3", "defined nowhere");
  wrong(".version 7.8\n.target sm_75\n.global .u32 a;\n.global .u32 a;\n", "4", "declared twice");
  wrong(".version 7.8\n.target sm_75\n.global .u32 a[2] = {1, 2, 3};\n", "3", "too many initialisers");
  wrongStatement("frobnicate.u32 %r1, %r2;", "unknown instruction");
  wrongStatement("frobnicate.u32 %r1, %r2;", "frobnicate.u32 %r1, %r2;");
  wrongStatement("add.q32 %r1, %r2, %r3;", "no type");
  wrongStatement("add.u32.wild %r1, %r2, %r3;", "unknown modifier .wild");
  wrongStatement("add.u32 %r1, %r2;", "operands");
  wrongStatement("add.u32 %r1, %r2, %nothing;", "unknown name %nothing");
  wrongStatement("add.u32 %r1, %r2, %d1;", "register %d1 of type .b64");
  wrongStatement("add.u32 %r99, %r2, %r3;", "unknown name %r99");
  wrongStatement("add.u32 1, %r2, %r3;", "a register is wanted");
  wrongStatement("mul.u32 %r1, %r2, %r3;", ".lo, .hi or .wide");
  wrongStatement("div.f32 %f1, %f2, %f3;", "rounding");
  wrongStatement("fma.f32 %f1, %f2, %f3, %f0;", "rounding");
  wrongStatement("cvt.s32.f32 %r1, %f2;", "needs .rni");
  wrongStatement("cvt.f32.s32 %f1, %r2;", "needs .rn");
  wrongStatement("cvt.rn.f64.f32 %d1, %f1;", "no rounding");
  wrongStatement("cvt.sat.u64.u32 %d1, %r1;", "every value fits");
  wrongStatement("ld.global.u32 %r1, [%r2];", "64-bit address");
  wrongStatement("ld.global.u32 %r1, %d2;", "in brackets");
  wrongStatement("ld.global.v2.u32 %r1, [%d2];", "2 values");
  wrongStatement("ld.global.v4.u64 {%d0, %d1, %d2, %d3}, [%d2];", "16 bytes");
  wrongStatement("st.const.u32 [%d1], %r1;", "can't be stored");
  wrongStatement("bra NOWHERE;", "no label NOWHERE");
  wrongStatement("shfl.bfly.b32 %r1, %r2, 1, 31;", "needs .sync");
  wrongStatement("atom.global.add.b32 %r1, [%d1], %r2;", "not for type .b32");
  wrongStatement("setp.ltu.s32 %p1, %r1, %r2;", "doesn't suit");
  wrongStatement("@%r1 mov.u32 %r1, 1;", "not a predicate");
  wrongStatement("mov.u32 %r1, 1", "';' is wanted after mov");
  wrongStatement("call %d1, ();", "indirect");
  wrongStatement("tex.2d.v4.f32.f32 {%f0, %f1, %f2, %f3}, [%d1, {%f0, %f1}];", "tex");
  wrongStatement("wmma.load.a.sync.aligned.row.m16n16k16.global.f16 {%r1}, [%d1];", "unknown instruction");
  wrongStatement("mov.u32 %r1, 0x;", "number without digits");
  const std::string four = "{%f0, %f1, %f2, %f3}";
  wrongMatrixStatement("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 " + four + ", {%r0, %r1}, {%r2, %r3}, " + four + ";", "operand 2 has to be {...} of 4");
  wrongMatrixStatement("mma.sync.aligned.m16n8k4.row.col.f32.bf16.bf16.f32 " + four + ", {%r0, %r1}, {%r2}, " + four + ";", "no such shape for .bf16");
  wrongMatrixStatement("mma.sync.aligned.m16n8k16.row.col.f32.tf32.tf32.f32 " + four + ", {%r0, %r1}, {%r2}, " + four + ";", "no such shape for .tf32");
  wrongMatrixStatement("mma.sync.aligned.m16n8k8.col.col.f32.tf32.tf32.f32 " + four + ", {%r0, %r1}, {%r2}, " + four + ";", "needs .row.col");
  wrongMatrixStatement("mma.sync.aligned.m16n8k8.row.col.f16.f16.f16.f16 {%r0, %r1}, {%r0, %r1}, {%r2}, {%r0, %r1};", "needs .f32.A.A.f32");
  wrongMatrixStatement("mma.sync.m16n8k8.row.col.f32.bf16.bf16.f32 " + four + ", {%r0, %r1}, {%r2}, " + four + ";", "needs .sync.aligned");
  wrongStatement("mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 " + four + ", {%r0, %r1}, {%r2}, " + four + ";", "needs .target sm_80");
  wrongStatement("cp.async.wait_all;", "needs .target sm_80");
  wrongMatrixStatement("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r0, %r1}, [%r2];", "operand 1 has to be {...} of 4");
  wrongMatrixStatement("ldmatrix.sync.aligned.m8n8.x1.global.b16 {%r0}, [%d2];", "shared memory only");
  wrongMatrixStatement("cp.async.cg.shared.global [%r0], [%d0], 8;", "copies 16 bytes");
  wrongMatrixStatement("cp.async.ca.shared.global [%r0], [%d0], 12;", "copies 4, 8 or 16 bytes");
  wrongMatrixStatement("cp.async.ca.shared.global [%r0], [%r1], 4;", "64-bit address");
  wrongMatrixStatement("cp.async.ca.global.shared [%d0], [%r1], 4;", "needs a 64-bit address");
  wrongMatrixStatement("cp.async.wait_group %r1;", "has to be a constant");
  wrongMatrixStatement("cp.async.bulk.wait_all;", "unknown modifier .bulk");
  wrongStatement(".reg .b32 %r1; add.u32 %r1, 99999999999999999999999, 1;", "more than 64 bits");

  std::string error;
  const auto module = ptx::Module::parse(
      "// a comment\n.version 8.3\n.target sm_90a, debug\n.address_size 64\n"
      ".global .align 8 .u64 table[3] = {first, generic(first)+4, 7};\n", error);
  CHECK(module == nullptr && error.find("no variable first") != std::string::npos, "a variable used before it is declared: " + error);

  const std::string text =
      "// a comment\n.version 8.3\n.target sm_90a, debug\n.address_size 64 /* another\none */\n"
      ".visible .global .align 4 .b8 first[6] = {1, 2, 3};\n"
      ".const .f32 pi = 0f40490FDB;\n"
      ".global .align 8 .u64 table[4] = {first, generic(first)+4, 3*(2+5)-1, -1};\n"
      ".shared .align 8 .b8 used[24];\n.shared .b8 unused[1000];\n"
      ".visible .entry k(.param .u8 a, .param .align 16 .b8 b[20], .param .u64 .ptr .global .align 4 c)\n.maxntid 64, 2\n.minnctapersm 3\n"
      "{\n .reg .b32 %r<3>; .local .align 4 .b8 depot[40];\n mov.u32 %r1, used;\n ret;\n}\n"
      ".entry l() .reqntid 32 { exit; }\n";
  const auto good = ptx::Module::parse(text, error);
  if (!CHECK(good != nullptr, error)) return;
  CHECK(good->version() == 83 && good->target() == 90 && good->kernels().size() == 2, "version, target, kernels");
  const ptx::Kernel *k = good->kernel("k"), *l = good->kernel("l");
  if (!CHECK(k != nullptr && l != nullptr && good->kernel("m") == nullptr, "kernels by name")) return;
  CHECK(k->params.size() == 3 && k->params[0].offset == 0 && k->params[0].size == 1 && k->params[1].offset == 16 && k->params[1].size == 20 &&
            k->params[1].alignment == 16 && k->params[2].offset == 40 && k->paramBytes == 48, "parameters");
  CHECK(k->maxntid.x == 64 && k->maxntid.y == 2 && k->maxntid.z == 1 && k->minnctapersm == 3 && k->reqntid.x == 0 && l->reqntid.x == 32, "bounds");
  CHECK(k->sharedBytes == 24 && k->localBytes == 40 && l->sharedBytes == 0 && k->registers > 0, "sizes");
  CHECK(good->symbols().size() == 3 && good->symbol("pi") == 1 && good->symbol("none") == -1 && good->symbols()[0].visible && !good->symbols()[1].visible &&
            good->symbols()[1].space == ptx::Space::Const && good->constBytes() == 4, "symbols");
  good->place(0, 0x1000);
  const std::vector<uint8_t> first = good->image(0), pi = good->image(1), table = good->image(2);
  CHECK((first == std::vector<uint8_t>{1, 2, 3, 0, 0, 0}) && (pi == std::vector<uint8_t>{0xdb, 0x0f, 0x49, 0x40}), "images");
  uint64_t values[4];
  CHECK(table.size() == 32, "table's size");
  if (table.size() == 32) {
    std::memcpy(values, table.data(), 32);
    CHECK(values[0] == 0x1000 && values[1] == 0x1004 && values[2] == 20 && values[3] == UINT64_MAX, "addresses and expressions");
  }

  // Registers as parameters, and printf and assertions of the device.
  const std::string functions =
      ".extern .func (.param .b32 r) vprintf(.param .b64 f, .param .b64 v);\n"
      ".extern .func __assertfail(.param .b64 a, .param .b64 b, .param .b32 c, .param .b64 d, .param .b64 e);\n"
      ".global .align 1 .b8 text[15] = {110, 61, 37, 100, 32, 120, 61, 37, 46, 50, 102, 10, 0};\n"
      ".func (.reg .u32 r) twice(.reg .u32 a, .reg .pred q) { @q add.u32 r, a, a; @!q mov.u32 r, 0; ret; }\n";
  Machine m(kernelText(".reg .b32 %r<4>; .reg .pred %p; .reg .b64 %d<4>; .local .align 8 .b8 v[16];\n"
                       "mov.u32 %r1, %tid.x; setp.ne.u32 %p, %r1, 1; call (%r2), twice, (%r1, %p);\n"
                       "mov.u64 %d1, v; cvta.local.u64 %d1, %d1; st.u32 [%d1], %r2; st.f64 [%d1+8], 0d3FF8000000000000;\n"
                       "mov.u64 %d2, text; cvta.global.u64 %d2, %d2;\n"
                       "{ .param .b64 a; st.param.b64 [a], %d2; .param .b64 b; st.param.b64 [b], %d1; .param .b32 c; call (c), vprintf, (a, b); ld.param.b32 %r3, [c]; }\n"
                       "setp.eq.u32 %p, %r1, 7; @%p trap;\n", 1, functions));
  if (!m.ok()) return;
  const auto result = m.launch("k", {1}, {3}, Params().add(uint64_t{0}));
  CLEAN(result);
  CHECK(result.output == "n=0 x=1.50\nn=0 x=1.50\nn=4 x=1.50\n", "printf: " + result.output);
}
