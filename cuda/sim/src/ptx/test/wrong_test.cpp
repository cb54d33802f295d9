// Wrong kernels: each has to be caught, with the right kind, line and status. And right ones that look alike are not.
#include "harness.h"

namespace {

using ptx::Kind;
using ptx::Status;

uint32_t lineOf(const std::string &text, const std::string &marker) {
  const size_t at = text.find(marker);
  if (!CHECK(at != std::string::npos, "no marker " + marker)) return 0;
  uint32_t line = 1;
  for (size_t i = 0; i < at; i++) line += text[i] == '\n';
  return line;
}

const char *kHead =
    ".reg .pred %p<8>;\n.reg .b16 %h<8>;\n.reg .b32 %r<32>;\n.reg .f32 %f<16>;\n.reg .b64 %d<16>;\n"
    ".shared .align 4 .b8 s[256];\n.shared .align 4 .b8 s2[64];\n"
    "ld.param.u64 %d1, [p0];\nmov.u32 %r1, %tid.x;\nmov.u32 %r2, %ctaid.x;\n"
    "mul.wide.u32 %d2, %r1, 4;\nadd.s64 %d3, %d1, %d2;\nmov.u32 %r3, s;\nshl.b32 %r4, %r1, 2;\nadd.s32 %r5, %r3, %r4;\n";

struct Case {
  const char *name;
  const char *body;       // "// here" marks the finding's line, "// other" the other one
  Kind kind;
  Status status;
  unsigned blocks = 1, threads = 64;
  bool clean = false;     // nothing is to be found
  unsigned bytes = 256;   // of the buffer
  const char *says = "";  // part of the message
};

const Case kCases[] = {
    {"out of bounds by one element", "st.global.u32 [%d3], %r1; // here\n", Kind::OutOfBounds, Status::IllegalAddress, 1, 65},
    {"a buffer filled to its end", "st.global.u32 [%d3], %r1;\n", Kind::OutOfBounds, Status::Ok, 1, 64, true},
    {"out of bounds before the start", "ld.global.u32 %r6, [%d3+-4]; // here\n", Kind::OutOfBounds, Status::IllegalAddress},
    {"half out of bounds", "add.s64 %d3, %d3, 4;\nld.global.v2.u32 {%r6, %r7}, [%d1+252]; // here\n", Kind::Misaligned, Status::MisalignedAddress, 1, 1},
    {"vector over the end", "ld.global.v4.u32 {%r6, %r7, %r8, %r9}, [%d1+256]; // here\n", Kind::OutOfBounds, Status::IllegalAddress, 1, 1},
    {"null pointer", "mov.u64 %d4, 0;\nld.global.u32 %r6, [%d4]; // here\n", Kind::OutOfBounds, Status::IllegalAddress},
    {"misaligned", "ld.global.u32 %r6, [%d3+2]; // here\n", Kind::Misaligned, Status::MisalignedAddress, 1, 1},
    {"shared memory by one element", "shl.b32 %r6, %r1, 2;\nadd.s32 %r6, %r3, %r6;\nst.shared.u32 [%r6+4], %r1; // here\n", Kind::OutOfBounds, Status::IllegalAddress},
    {"uninitialised global read", "ld.global.u32 %r6, [%d3]; // here\n", Kind::UninitialisedMemory, Status::Ok},
    {"uninitialised shared read", "ld.shared.u32 %r6, [%r5]; // here\n", Kind::UninitialisedMemory, Status::Ok},
    {"half initialised word", "st.shared.u16 [%r5], 1;\nld.shared.u32 %r6, [%r5]; // here\n", Kind::UninitialisedMemory, Status::Ok},
    {"initialised word", "st.shared.u32 [%r5], 1;\nld.shared.u32 %r6, [%r5];\n", Kind::UninitialisedMemory, Status::Ok, 1, 64, true},
    {"uninitialised register", "add.s32 %r6, %r7, 1; // here\n", Kind::UninitialisedRegister, Status::Ok},
    {"register written on one path only", "setp.lt.u32 %p1, %r1, 5;\n@%p1 bra A;\nmov.u32 %r6, 1;\nA: add.s32 %r7, %r6, 1; // here\n", Kind::UninitialisedRegister, Status::Ok},
    {"register written on both paths", "setp.lt.u32 %p1, %r1, 5;\n@%p1 bra A;\nmov.u32 %r6, 1;\nbra B;\nA: mov.u32 %r6, 2;\nB: add.s32 %r7, %r6, 1;\n", Kind::UninitialisedRegister, Status::Ok, 1, 64, true},
    {"register written and read under one condition", "setp.lt.u32 %p1, %r1, 5;\n@%p1 mov.u32 %r6, 1;\n@%p1 add.s32 %r7, %r6, 1;\n", Kind::UninitialisedRegister, Status::Ok, 1, 64, true},
    {"copy of an undefined register that is never used", "setp.lt.u32 %p1, %r1, 5;\n@%p1 bra A;\nmov.u32 %r6, 1;\nA: mov.u32 %r7, %r6;\n@%p1 bra B;\nadd.s32 %r8, %r7, 1;\nB:\n", Kind::UninitialisedRegister, Status::Ok, 1, 64, true},
    {"uninitialised guard", "@%p3 mov.u32 %r6, 1; // here\n", Kind::UninitialisedRegister, Status::Ok},
    {"shared race, write and read", "st.shared.u32 [%r5], %r1; // other\nxor.b32 %r6, %r1, 32;\nshl.b32 %r6, %r6, 2;\nadd.s32 %r6, %r3, %r6;\nbar.warp.sync -1;\nld.shared.u32 %r7, [%r6]; // here\n", Kind::SharedRace, Status::Ok},
    {"shared race within a warp", "st.shared.u32 [%r5], %r1; // other\nxor.b32 %r6, %r1, 1;\nshl.b32 %r6, %r6, 2;\nadd.s32 %r6, %r3, %r6;\nld.shared.u32 %r7, [%r6]; // here\n", Kind::SharedRace, Status::Ok, 1, 32},
    {"no race after bar.warp.sync", "st.shared.u32 [%r5], %r1;\nxor.b32 %r6, %r1, 1;\nshl.b32 %r6, %r6, 2;\nadd.s32 %r6, %r3, %r6;\nbar.warp.sync -1;\nld.shared.u32 %r7, [%r6];\n", Kind::SharedRace, Status::Ok, 1, 32, true},
    {"no race after bar.sync", "st.shared.u32 [%r5], %r1;\nxor.b32 %r6, %r1, 33;\nshl.b32 %r6, %r6, 2;\nadd.s32 %r6, %r3, %r6;\nbar.sync 0;\nld.shared.u32 %r7, [%r6];\nbar.sync 0;\nst.shared.u32 [%r5], %r7;\n", Kind::SharedRace, Status::Ok, 1, 64, true},
    {"a missing second barrier", "st.shared.u32 [%r5], %r1;\nxor.b32 %r6, %r1, 32;\nshl.b32 %r6, %r6, 2;\nadd.s32 %r6, %r3, %r6;\nbar.sync 0;\nld.shared.u32 %r7, [%r6];\nst.shared.u32 [%r5], 7;\n", Kind::SharedRace, Status::Ok},
    {"shared race of two writes", "st.shared.u32 [%r3], %r1; // here\n", Kind::SharedRace, Status::Ok},
    {"two writes of one value", "st.shared.u32 [%r3], 5;\n", Kind::SharedRace, Status::Ok, 1, 64, true},
    {"bytes beside each other", "add.s32 %r6, %r3, %r1;\nst.shared.u8 [%r6], %r1;\n", Kind::SharedRace, Status::Ok, 1, 64, true},
    {"bytes over each other", "shr.u32 %r6, %r1, 1;\nadd.s32 %r6, %r3, %r6;\nst.shared.u8 [%r6], %r1; // here\n", Kind::SharedRace, Status::Ok},
    {"atomics on shared memory", "setp.ne.u32 %p1, %r1, 0;\n@!%p1 st.shared.u32 [%r3], 0;\nbar.sync 0;\natom.shared.add.u32 %r6, [%r3], 1;\n", Kind::SharedRace, Status::Ok, 1, 64, true},
    {"an atomic and a plain read", "setp.ne.u32 %p1, %r1, 0;\n@!%p1 st.shared.u32 [%r3], 0;\nbar.sync 0;\nred.shared.add.u32 [%r3], 1;\nld.shared.u32 %r6, [%r3];\n", Kind::SharedRace, Status::Ok},
    {"global race between blocks", "st.global.u32 [%d1], %r2; // here\n", Kind::GlobalRace, Status::Ok, 4, 1},
    {"global race between blocks, read and write", "mul.wide.u32 %d4, %r2, 4;\nadd.s64 %d4, %d1, %d4;\nst.global.u32 [%d4], %r2;\nmembar.cta;\nsetp.eq.u32 %p1, %r2, 3;\n@%p1 bra A;\nld.global.u32 %r6, [%d4+4];\nA:\n", Kind::GlobalRace, Status::Ok, 4, 1},
    {"global race between threads", "st.global.u32 [%d3], %r1; // other\nxor.b32 %r6, %r1, 32;\nmul.wide.u32 %d4, %r6, 4;\nadd.s64 %d4, %d1, %d4;\nld.global.u32 %r7, [%d4]; // here\n", Kind::GlobalRace, Status::Ok},
    {"global memory ordered by a barrier", "st.global.u32 [%d3], %r1;\nxor.b32 %r6, %r1, 32;\nmul.wide.u32 %d4, %r6, 4;\nadd.s64 %d4, %d1, %d4;\nbar.sync 0;\nld.global.u32 %r7, [%d4];\n", Kind::GlobalRace, Status::Ok, 1, 64, true},
    {"relaxed flags", "st.relaxed.gpu.global.u32 [%d1], %r2;\nld.relaxed.gpu.global.u32 %r6, [%d1];\n", Kind::GlobalRace, Status::Ok, 4, 1, true},
    {"barrier that half a warp misses", "setp.lt.u32 %p1, %r1, 16;\n@%p1 bra A;\nbar.sync 0; // here\nA: mov.u32 %r6, 0;\nbar.sync 0; // other\n", Kind::BarrierDivergence, Status::Failed},
    {"barriers that differ between warps", "setp.lt.u32 %p1, %r1, 32;\n@%p1 bra A;\nbar.sync 0;\nbra B;\nA: bar.sync 0;\nB:\n", Kind::BarrierDivergence, Status::Failed},
    {"barrier that one warp never reaches", "setp.lt.u32 %p1, %r1, 32;\n@%p1 bra A;\nbar.sync 1; // here\nA: bar.sync 0; // other\n", Kind::BarrierDivergence, Status::Failed},
    {"barrier after some threads left", "setp.lt.u32 %p1, %r1, 5;\n@%p1 exit;\nbar.sync 0;\n", Kind::BarrierDivergence, Status::Ok, 1, 64, true},
    {"barrier count that nobody fills", "bar.sync 1, 96; // here\n", Kind::BarrierDivergence, Status::Failed},
    {"shuffle that names a missing lane", "setp.lt.u32 %p1, %r1, 16;\n@%p1 bra A;\nshfl.sync.bfly.b32 %r6, %r1, 1, 31, -1; // here\nbra B;\nA: shfl.sync.up.b32 %r7, %r1, 1, 0, -1; // other\nB:\n", Kind::WarpDivergence, Status::Failed, 1, 32, false, 256, ""},
    {"shuffle from outside its mask", "setp.lt.u32 %p1, %r1, 16;\n@%p1 bra A;\nshfl.sync.idx.b32 %r6, %r1, 0, 31, 0xffff0000; // here\nA:\n", Kind::WarpDivergence, Status::Failed, 1, 32, false, 256, "lane 0"},
    {"mask without the caller", "setp.lt.u32 %p1, %r1, 5;\nvote.sync.ballot.b32 %r6, %p1, 1; // here\n", Kind::WarpDivergence, Status::Failed, 1, 32},
    {"shuffles in both branches", "setp.lt.u32 %p1, %r1, 16;\n@%p1 bra A;\nshfl.sync.bfly.b32 %r6, %r1, 1, 31, 0xffff0000;\nbra B;\nA: shfl.sync.bfly.b32 %r6, %r1, 1, 31, 0x0000ffff;\nB:\n", Kind::WarpDivergence, Status::Ok, 1, 32, true},
    {"bar.warp.sync in both branches", "setp.lt.u32 %p1, %r1, 16;\n@%p1 bra A;\nbar.warp.sync -1;\nbra B;\nA: bar.warp.sync -1;\nB:\n", Kind::WarpDivergence, Status::Ok, 1, 32, true},
    // Asynchronous copies: each thread copies its word of global memory to shared memory.
#define FILL "st.global.u32 [%d3], %r1;\n"
#define COPY "cp.async.ca.shared.global [%r5], [%d3], 4;"
#define OTHER "xor.b32 %r6, %r1, 32;\nshl.b32 %r6, %r6, 2;\nadd.s32 %r6, %r3, %r6;\n"
    {"copy, wait, own word", FILL COPY "\ncp.async.wait_all;\nld.shared.u32 %r7, [%r5];\n", Kind::InFlight, Status::Ok, 1, 64, true},
    {"copy read before the wait", FILL COPY " // other\nld.shared.u32 %r7, [%r5]; // here\n", Kind::InFlight, Status::Ok, 1, 64, false, 256, "read before"},
    {"copy that no group has", FILL COPY " // other\ncp.async.wait_group 0;\nld.shared.u32 %r7, [%r5]; // here\n", Kind::InFlight, Status::Ok},
    {"group waited for", FILL COPY "\ncp.async.commit_group;\ncp.async.wait_group 0;\nld.shared.u32 %r7, [%r5];\n", Kind::InFlight, Status::Ok, 1, 64, true},
    {"group that the wait leaves in flight", FILL COPY " // other\ncp.async.commit_group;\ncp.async.wait_group 1;\nld.shared.u32 %r7, [%r5]; // here\n", Kind::InFlight, Status::Ok},
    {"the older of two groups", FILL COPY "\ncp.async.commit_group;\ncp.async.commit_group;\ncp.async.wait_group 1;\nld.shared.u32 %r7, [%r5];\n", Kind::InFlight, Status::Ok, 1, 64, true},
    {"lanes with other numbers of groups", FILL COPY " // other\nsetp.lt.u32 %p1, %r1, 7;\n@%p1 bra A;\ncp.async.commit_group;\nA: cp.async.commit_group;\ncp.async.wait_group 1;\n@%p1 bra B;\nld.shared.u32 %r7, [%r5];\nbra C;\nB: ld.shared.u32 %r7, [%r5]; // here\nC:\n", Kind::InFlight, Status::Ok},
    {"a barrier instead of a wait", FILL COPY " // other\nbar.sync 0;\n" OTHER "ld.shared.u32 %r7, [%r6]; // here\n", Kind::InFlight, Status::Ok},
    {"a wait without a barrier", FILL COPY " // other\ncp.async.wait_all;\n" OTHER "ld.shared.u32 %r7, [%r6]; // here\n", Kind::SharedRace, Status::Ok},
    {"a barrier before the wait", FILL COPY "\nbar.sync 0;\ncp.async.wait_all;\n" OTHER "ld.shared.u32 %r7, [%r6]; // here\n", Kind::SharedRace, Status::Ok},
    {"a wait and a barrier", FILL COPY "\ncp.async.wait_all;\nbar.sync 0;\n" OTHER "ld.shared.u32 %r7, [%r6];\n", Kind::InFlight, Status::Ok, 1, 64, true},
    {"a wait and a barrier of the warp", FILL COPY "\ncp.async.wait_all;\nbar.warp.sync -1;\nxor.b32 %r6, %r5, 4;\nld.shared.u32 %r7, [%r6];\n", Kind::InFlight, Status::Ok, 1, 32, true},
    {"a copy over what others read before", FILL "st.shared.u32 [%r5], 1;\nbar.sync 0;\n" OTHER "ld.shared.u32 %r7, [%r6]; // other\n" COPY " // here\ncp.async.wait_all;\n", Kind::SharedRace, Status::Ok},
    {"a copy over what another lane read before", FILL "st.shared.u32 [%r5], 1;\nbar.sync 0;\nxor.b32 %r6, %r5, 4;\nld.shared.u32 %r7, [%r6]; // other\n" COPY " // here\ncp.async.wait_all;\n", Kind::SharedRace, Status::Ok, 1, 32},
    {"a copy over what others read before, ordered", FILL "st.shared.u32 [%r5], 1;\nbar.sync 0;\n" OTHER "ld.shared.u32 %r7, [%r6];\nbar.sync 0;\n" COPY "\ncp.async.wait_all;\n", Kind::SharedRace, Status::Ok, 1, 64, true},
    {"a store over a copy", FILL COPY " // other\nst.shared.u32 [%r5], 1; // here\ncp.async.wait_all;\n", Kind::InFlight, Status::Ok, 1, 64, false, 256, "written before"},
    {"an atomic over a copy", FILL "st.shared.u32 [%r5], 1;\n" COPY " // other\nred.shared.add.u32 [%r5], 1; // here\ncp.async.wait_all;\n", Kind::InFlight, Status::Ok},
    {"a copy over a copy", FILL COPY " // other\ncp.async.ca.shared.global [%r5], [%d3], 4; // here\ncp.async.wait_all;\n", Kind::InFlight, Status::Ok},
    {"lanes that copy to one place", FILL "cp.async.ca.shared.global [%r3], [%d3], 4; // here\ncp.async.wait_all;\n", Kind::InFlight, Status::Ok, 1, 32},
    {"a source that changes meanwhile", FILL COPY " // here\nst.global.u32 [%d3], 99;\ncp.async.wait_all;\n", Kind::InFlight, Status::Ok, 1, 64, false, 256, "source"},
    {"a source that changes after the wait", FILL COPY "\ncp.async.wait_all;\nst.global.u32 [%d3], 99;\n", Kind::InFlight, Status::Ok, 1, 64, true},
    {"a source that nobody wrote", COPY " // here\n", Kind::UninitialisedMemory, Status::Ok},
    {"a source beyond its buffer", FILL "cp.async.ca.shared.global [%r5], [%d3+4], 4; // here\n", Kind::OutOfBounds, Status::IllegalAddress},
    {"nothing read beyond the buffer", FILL "mov.u32 %r6, 0;\ncp.async.ca.shared.global [%r5], [%d3+512], 4, %r6;\ncp.async.wait_all;\nld.shared.u32 %r7, [%r5];\n", Kind::OutOfBounds, Status::Ok, 1, 64, true},
    {"a source ignored beyond the buffer", FILL "setp.lt.u32 %p1, %r1, 64;\ncp.async.ca.shared.global [%r5], [%d3+512], 4, %p1;\ncp.async.wait_all;\nld.shared.u32 %r7, [%r5];\n", Kind::OutOfBounds, Status::Ok, 1, 64, true},
    {"more source than copy", FILL "mov.u32 %r6, 8;\ncp.async.ca.shared.global [%r5], [%d1], 4, %r6; // here\n", Kind::OutOfBounds, Status::IllegalAddress},
    {"a destination beyond its variable", FILL "cp.async.ca.shared.global [%r5+4], [%d3], 4; // here\n", Kind::OutOfBounds, Status::IllegalAddress},
    {"a misaligned destination", FILL "cp.async.cg.shared.global [%r3+8], [%d1], 16; // here\n", Kind::Misaligned, Status::MisalignedAddress, 1, 1},
    {"a source misaligned for the copy, not for what is read of it", FILL "mov.u32 %r6, 4;\ncp.async.ca.shared.global [%r3], [%d1+4], 8, %r6; // here\n", Kind::Misaligned, Status::MisalignedAddress, 1, 1},
    {"a misaligned source", FILL "cp.async.ca.shared.global [%r3], [%d1+4], 8; // here\n", Kind::Misaligned, Status::MisalignedAddress, 1, 1},
#undef FILL
#undef COPY
#undef OTHER
    // Matrices: sixteen rows of sixteen bytes, whose addresses are in %r7; a thread's own word is %r5.
#define ROWS "and.b32 %r7, %r1, 15;\nshl.b32 %r7, %r7, 4;\nadd.s32 %r7, %r3, %r7;\n"
#define LOAD "ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%r8, %r9}, [%r7];"
#define MMA "mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 {%f1, %f2, %f3, %f4}, {%r1, %r1}, {%r1}, {0f00000000, 0f00000000, 0f00000000, 0f00000000};"
    {"matrices after a barrier", ROWS "st.shared.u32 [%r5], %r1;\nbar.sync 0;\n" LOAD "\nbar.sync 0;\nst.shared.u32 [%r5], %r8;\n", Kind::SharedRace, Status::Ok, 1, 64, true},
    {"matrices after a barrier of the warp", ROWS "st.shared.u32 [%r5], %r1;\nst.shared.u32 [%r5+128], %r1;\nbar.warp.sync -1;\n" LOAD "\nbar.warp.sync -1;\nst.shared.u32 [%r5], %r8;\n", Kind::SharedRace, Status::Ok, 1, 32, true},
    {"matrices that other warps write", ROWS "st.shared.u32 [%r5], %r1; // other\nbar.warp.sync -1;\n" LOAD " // here\n", Kind::SharedRace, Status::Ok},
    {"rows that each lane has written itself", ROWS "setp.lt.u32 %p1, %r1, 16;\n@%p1 st.shared.v4.u32 [%r7], {%r1, %r1, %r1, %r1}; // other\n" LOAD " // here\n", Kind::SharedRace, Status::Ok, 1, 32},
    {"a store over matrices", ROWS "st.shared.u32 [%r5], %r1;\nst.shared.u32 [%r5+128], %r1;\nbar.sync 0;\n" LOAD " // other\nst.shared.u32 [%r5], %r8; // here\n", Kind::SharedRace, Status::Ok, 1, 32},
    {"a misaligned row", ROWS "st.shared.u32 [%r5], %r1;\nbar.sync 0;\nxor.b32 %r7, %r7, 8;\n" LOAD " // here\n", Kind::Misaligned, Status::MisalignedAddress},
    {"a row beyond its variable", ROWS "st.shared.u32 [%r5], %r1;\nbar.sync 0;\nadd.s32 %r7, %r7, 16;\n" LOAD " // here\n", Kind::OutOfBounds, Status::IllegalAddress},
    {"a row that nobody wrote", ROWS "setp.lt.u32 %p1, %r1, 63;\n@%p1 st.shared.u32 [%r5], %r1;\nbar.sync 0;\n" LOAD " // here\n", Kind::UninitialisedMemory, Status::Ok},
    {"a row in global memory", "ldmatrix.sync.aligned.m8n8.x1.b16 {%r8}, [%d1]; // here\n", Kind::OutOfBounds, Status::IllegalAddress, 1, 32, false, 256, "shared memory only"},
    {"matrices that cp.async is writing", ROWS "st.global.u32 [%d3], %r1;\ncp.async.ca.shared.global [%r5], [%d3], 4; // other\nbar.sync 0;\n" LOAD " // here\n", Kind::InFlight, Status::Ok},
    {"mma", MMA "\n", Kind::WarpDivergence, Status::Ok, 1, 64, true},
    {"mma in a branch that a warp takes as a whole", "setp.lt.u32 %p1, %r1, 32;\n@%p1 bra A;\n" MMA "\nA:\n", Kind::WarpDivergence, Status::Ok, 1, 64, true},
    {"mma after a branch", "setp.lt.u32 %p1, %r1, 5;\n@%p1 bra A;\nmov.u32 %r6, 1;\nA: " MMA "\n", Kind::WarpDivergence, Status::Ok, 1, 64, true},
    {"mma that half a warp passes by", "setp.lt.u32 %p1, %r1, 16;\n@%p1 bra A;\n" MMA " // here\nA:\n", Kind::WarpDivergence, Status::Failed, 1, 64, false, 256, "32 lanes"},
    {"mma under a guard that differs", "setp.lt.u32 %p1, %r1, 40;\n@%p1 " MMA " // here\n", Kind::WarpDivergence, Status::Failed},
    {"mma in both branches", "setp.lt.u32 %p1, %r1, 16;\n@%p1 bra A;\n" MMA " // here\nbra B;\nA: mov.u32 %r6, 0;\n" MMA " // other\nB:\n", Kind::WarpDivergence, Status::Failed, 1, 32},
    {"mma after lanes have left", "setp.eq.u32 %p1, %r1, 31;\n@%p1 exit;\n" MMA " // here\n", Kind::WarpDivergence, Status::Failed, 1, 64, false, 256, "lane 31 has exited"},
    {"mma of less than a warp", MMA " // here\n", Kind::WarpDivergence, Status::Failed, 1, 48, false, 256, "lane 16 is beyond"},
    {"ldmatrix that half a warp passes by", ROWS "st.shared.u32 [%r5], %r1;\nbar.sync 0;\nsetp.lt.u32 %p1, %r1, 16;\n@%p1 bra A;\n" LOAD " // here\nA:\n", Kind::WarpDivergence, Status::Failed},
    {"mma of a register that nobody wrote", "mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 {%f1, %f2, %f3, %f4}, {%r1, %r9}, {%r1}, {0f00000000, 0f00000000, 0f00000000, 0f00000000}; // here\n", Kind::UninitialisedRegister, Status::Ok},
#undef ROWS
#undef LOAD
#undef MMA
    {"endless loop", "A: add.s32 %r2, %r2, 1;\nbra A;\n", Kind::Timeout, Status::Timeout, 1, 32},
    {"trap", "setp.eq.u32 %p1, %r1, 3;\n@%p1 trap; // here\n", Kind::Trap, Status::Failed},
    {"spin on another lane of the warp", "setp.eq.u32 %p1, %r1, 0;\n@%p1 st.shared.u32 [%r3], 0;\nbar.sync 0;\n@%p1 bra B;\nA: ld.volatile.shared.u32 %r6, [%r3];\nsetp.eq.u32 %p2, %r6, 0;\n@%p2 bra A;\nbra C;\nB: st.volatile.shared.u32 [%r3], 1;\nC:\n", Kind::Timeout, Status::Ok, 1, 64, true},
};

void runCase(const Case &c, uint64_t seed) {
  const std::string text = kernelText(std::string(kHead) + c.body, 1);
  Machine m(text);
  if (!m.ok()) return;
  const uint64_t buffer = m.memory.allocate(c.bytes);
  const ptx::LaunchResult result = m.launch("k", {c.blocks}, {c.threads}, Params().add(buffer), 0, [&](ptx::Launch &launch) {
    launch.limits.instructions = 200000;
    launch.seed = seed;
  });
  const std::string where = std::string(c.name) + ", seed " + std::to_string(seed) + ": ";
  if (c.clean) {
    std::string found;
    for (const ptx::Finding &finding : result.findings) found += "\n     " + finding.message;
    CHECK(result.status == Status::Ok && result.findings.empty(), where + "found" + found);
    return;
  }
  if (!CHECK(!result.findings.empty(), where + "nothing found")) return;
  // A race may come with a read of what is not written yet; that depends on the schedule.
  const ptx::Finding *found = nullptr;
  for (const ptx::Finding &finding : result.findings)
    if (finding.kind == c.kind && found == nullptr) found = &finding;
  if (!CHECK(found != nullptr, where + result.findings.front().message)) return;
  const ptx::Finding &f = *found;
  CHECK(result.status == c.status, where + "status " + std::to_string(static_cast<int>(result.status)));
  const std::string body = c.body;
  const bool here = body.find("// here") != std::string::npos, other = body.find("// other") != std::string::npos;
  if (here) {
    const uint32_t line = lineOf(text, "// here");
    const uint32_t otherLine = other ? lineOf(text, "// other") : 0;
    // The order of the two in a race, and which of two barriers is named first, depend on the schedule.
    CHECK((f.line == line && (!other || f.otherLine == otherLine)) || (other && f.line == otherLine && f.otherLine == line),
          where + "lines " + std::to_string(f.line) + ", " + std::to_string(f.otherLine) + " in " + f.message);
    CHECK(!f.instruction.empty() && f.message.find(f.instruction) != std::string::npos, where + "message without instruction: " + f.message);
  }
  CHECK(f.message.find(c.says) != std::string::npos, where + f.message);
  CHECK(f.message.find("kernel k") != std::string::npos, where + f.message);
}

void moreKinds() {
  {
    Machine m(kernelText(std::string(kHead) + "ld.global.u32 %r6, [%d3];\n", 1));
    const uint64_t buffer = m.memory.upload(std::vector<uint32_t>(64, 1));
    CLEAN(m.launch("k", {1}, {64}, Params().add(buffer)));
    m.memory.release(buffer);
    const auto result = m.launch("k", {1}, {64}, Params().add(buffer));
    CHECK(result.status == Status::IllegalAddress && result.findings.size() == 1 && result.findings[0].kind == Kind::UseAfterFree, "use after free");
  }
  {
    Machine m(kernelText(std::string(kHead) + "mov.u64 %d5, c;\nst.global.u32 [%d5], %r1;\n", 1, ".const .u32 c = 5;\n"));
    const auto result = m.launch("k", {1}, {1}, Params().add(uint64_t{0}));
    CHECK(result.status == Status::IllegalAddress && result.findings[0].kind == Kind::ReadOnly, "write to constant memory");
  }
  {
    // A local array of four words, read at the fifth.
    Machine m(kernelText(".local .align 4 .b8 a[16];\n.reg .b32 %r<4>;\nmov.u32 %r1, a;\nst.local.u32 [%r1+12], 1;\nld.local.u32 %r2, [%r1+16];\n", 1));
    const auto result = m.launch("k", {1}, {1}, Params().add(uint64_t{0}));
    CHECK(result.status == Status::IllegalAddress && result.findings[0].kind == Kind::OutOfBounds && result.findings[0].space == ptx::Space::Local, "local array out of bounds");
  }
  {
    const std::string endless = ".func f(.param .u32 a)\n{\n.reg .b32 %r<3>;\nld.param.u32 %r1, [a];\n{ .param .b32 q; st.param.b32 [q], %r1; call.uni f, (q); }\nret;\n}\n";
    Machine m(kernelText(".reg .b32 %r<2>;\nmov.u32 %r1, 1;\n{ .param .b32 q; st.param.b32 [q], %r1; call.uni f, (q); }\n", 1, endless));
    if (m.ok()) {
      const auto result = m.launch("k", {1}, {32}, Params().add(uint64_t{0}));
      CHECK(result.status == Status::Failed && result.findings[0].kind == Kind::StackOverflow, "stack overflow");
    }
  }
  {
    Machine m(kernelText("", 1));
    CHECK(m.launch("k", {0}, {1}, Params().add(uint64_t{0})).status == Status::BadConfiguration, "empty grid");
    CHECK(m.launch("k", {1}, {1025}, Params().add(uint64_t{0})).status == Status::BadConfiguration, "block too large");
    CHECK(m.launch("k", {1}, {32, 32, 2}, Params().add(uint64_t{0})).status == Status::BadConfiguration, "block too large in all");
    CHECK(m.launch("k", {1}, {1}, Params()).status == Status::BadConfiguration, "parameters missing");
    CHECK(m.launch("k", {1}, {1}, Params().add(uint64_t{0}), 49153).status == Status::OutOfResources, "too much shared memory");
  }
  {
    // A kernel with line information names its source.
    Machine m(readText("train.ptx"));
    const uint64_t x = m.memory.upload(std::vector<float>(10, 1.0f)), y = m.memory.allocate(40);
    const auto result = m.launch("bias_add", {1}, {32}, Params().add(y).add(x).add(x).add(11).add(1).add(1));
    CHECK(result.status == Status::IllegalAddress && result.findings.size() == 1 && result.findings[0].source.find("train.cu:") == 0 &&
              result.findings[0].thread.x == 10, "a finding's source");
  }
  {
    // What a launch touched, to the word.
    Machine m(kernelText(std::string(kHead) + "ld.global.u32 %r6, [%d3];\nst.global.u32 [%d3+256], %r6;\nst.global.u8 [%d1+600], %r1;\n", 1));
    const uint64_t buffer = m.memory.allocate(700);
    m.memory.write(buffer, std::vector<uint8_t>(256).data(), 256);
    const auto result = m.launch("k", {1}, {40}, Params().add(buffer), 0, [](ptx::Launch &l) { l.checks.globalRaces = false; });
    CLEAN(result);
    CHECK(result.read.size() == 1 && result.read[0].begin == buffer && result.read[0].end == buffer + 160, "what was read");
    CHECK(result.written.size() == 2 && result.written[0].begin == buffer + 256 && result.written[0].end == buffer + 416 &&
              result.written[1].begin == buffer + 600 && result.written[1].end == buffer + 604, "what was written");
  }
}

}  // namespace

void testWrongKernels() {
  for (const Case &c : kCases)
    for (uint64_t seed = 1; seed <= 8; seed++) runCase(c, baseSeed() + seed * 1000003);
  moreKinds();
}
