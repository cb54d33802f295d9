#include "programs/kernels.h"

namespace programs {

const char kKernels[] = R"ptx(
.version 7.8
.target sm_75
.address_size 64

.visible .entry scale(
	.param .u64 x,
	.param .u64 y,
	.param .f32 a,
	.param .u32 n
)
{
	.reg .pred 	%p<4>;
	.reg .f32 	%f<8>;
	.reg .b32 	%r<16>;
	.reg .b64 	%d<16>;
	mov.u32 	%r1, %ctaid.x;
	mov.u32 	%r2, %ntid.x;
	mov.u32 	%r3, %tid.x;
	mad.lo.s32 	%r4, %r1, %r2, %r3;
	ld.param.u32 	%r5, [n];
	setp.ge.s32 	%p1, %r4, %r5;
	@%p1 bra 	done;
	mul.wide.s32 	%d9, %r4, 4;
	ld.param.u64 	%d1, [x];
	cvta.to.global.u64 	%d1, %d1;
	ld.param.u64 	%d2, [y];
	cvta.to.global.u64 	%d2, %d2;
	add.s64 	%d1, %d1, %d9;
	add.s64 	%d2, %d2, %d9;
	ld.param.f32 	%f1, [a];
	ld.global.f32 	%f2, [%d1];
	mul.f32 	%f3, %f1, %f2;
	st.global.f32 	[%d2], %f3;
done:
	ret;
}

.visible .entry add(
	.param .u64 x,
	.param .u64 y,
	.param .u64 z,
	.param .u32 n
)
{
	.reg .pred 	%p<4>;
	.reg .f32 	%f<8>;
	.reg .b32 	%r<16>;
	.reg .b64 	%d<16>;
	mov.u32 	%r1, %ctaid.x;
	mov.u32 	%r2, %ntid.x;
	mov.u32 	%r3, %tid.x;
	mad.lo.s32 	%r4, %r1, %r2, %r3;
	ld.param.u32 	%r5, [n];
	setp.ge.s32 	%p1, %r4, %r5;
	@%p1 bra 	done;
	mul.wide.s32 	%d9, %r4, 4;
	ld.param.u64 	%d1, [x];
	cvta.to.global.u64 	%d1, %d1;
	ld.param.u64 	%d2, [y];
	cvta.to.global.u64 	%d2, %d2;
	ld.param.u64 	%d3, [z];
	cvta.to.global.u64 	%d3, %d3;
	add.s64 	%d1, %d1, %d9;
	add.s64 	%d2, %d2, %d9;
	add.s64 	%d3, %d3, %d9;
	ld.global.f32 	%f1, [%d1];
	ld.global.f32 	%f2, [%d2];
	add.f32 	%f3, %f1, %f2;
	st.global.f32 	[%d3], %f3;
done:
	ret;
}

.visible .entry block_sum(
	.param .u64 x,
	.param .u64 sum,
	.param .u32 n
)
{
	.reg .pred 	%p<4>;
	.reg .f32 	%f<8>;
	.reg .b32 	%r<16>;
	.reg .b64 	%d<16>;
	.shared .align 4 .b8 	partial[128];
	mov.u32 	%r1, %ctaid.x;
	mov.u32 	%r2, %ntid.x;
	mov.u32 	%r3, %tid.x;
	mad.lo.s32 	%r4, %r1, %r2, %r3;
	ld.param.u32 	%r5, [n];
	setp.ge.s32 	%p1, %r4, %r5;
	mov.f32 	%f1, 0f00000000;
	@%p1 bra 	loaded;
	ld.param.u64 	%d1, [x];
	cvta.to.global.u64 	%d1, %d1;
	mul.wide.s32 	%d9, %r4, 4;
	add.s64 	%d1, %d1, %d9;
	ld.global.f32 	%f1, [%d1];
loaded:
	shfl.sync.down.b32 	%f2, %f1, 16, 31, -1;
	add.f32 	%f1, %f1, %f2;
	shfl.sync.down.b32 	%f2, %f1, 8, 31, -1;
	add.f32 	%f1, %f1, %f2;
	shfl.sync.down.b32 	%f2, %f1, 4, 31, -1;
	add.f32 	%f1, %f1, %f2;
	shfl.sync.down.b32 	%f2, %f1, 2, 31, -1;
	add.f32 	%f1, %f1, %f2;
	shfl.sync.down.b32 	%f2, %f1, 1, 31, -1;
	add.f32 	%f1, %f1, %f2;
	and.b32 	%r6, %r3, 31;
	shr.u32 	%r7, %r3, 5;
	mov.u32 	%r8, partial;
	setp.ne.u32 	%p1, %r6, 0;
	@%p1 bra 	written;
	shl.b32 	%r9, %r7, 2;
	add.s32 	%r9, %r8, %r9;
	st.shared.f32 	[%r9], %f1;
written:
	bar.sync 	0;
	setp.ne.u32 	%p2, %r7, 0;
	@%p2 bra 	done;
	shr.u32 	%r10, %r2, 5;
	setp.ge.u32 	%p3, %r6, %r10;
	mov.f32 	%f1, 0f00000000;
	@%p3 bra 	fetched;
	shl.b32 	%r9, %r6, 2;
	add.s32 	%r9, %r8, %r9;
	ld.shared.f32 	%f1, [%r9];
fetched:
	shfl.sync.down.b32 	%f2, %f1, 16, 31, -1;
	add.f32 	%f1, %f1, %f2;
	shfl.sync.down.b32 	%f2, %f1, 8, 31, -1;
	add.f32 	%f1, %f1, %f2;
	shfl.sync.down.b32 	%f2, %f1, 4, 31, -1;
	add.f32 	%f1, %f1, %f2;
	shfl.sync.down.b32 	%f2, %f1, 2, 31, -1;
	add.f32 	%f1, %f1, %f2;
	shfl.sync.down.b32 	%f2, %f1, 1, 31, -1;
	add.f32 	%f1, %f1, %f2;
	@%p1 bra 	done;
	ld.param.u64 	%d2, [sum];
	cvta.to.global.u64 	%d2, %d2;
	red.global.add.f32 	[%d2], %f1;
done:
	ret;
}

.visible .entry histogram(
	.param .u64 keys,
	.param .u64 counts,
	.param .u32 n
)
{
	.reg .pred 	%p<4>;
	.reg .f32 	%f<8>;
	.reg .b32 	%r<16>;
	.reg .b64 	%d<16>;
	.shared .align 4 .b8 	bins[64];
	mov.u32 	%r1, %ctaid.x;
	mov.u32 	%r2, %ntid.x;
	mov.u32 	%r3, %tid.x;
	mov.u32 	%r8, bins;
	shl.b32 	%r9, %r3, 2;
	add.s32 	%r9, %r8, %r9;
	setp.ge.u32 	%p1, %r3, 16;
	@!%p1 st.shared.u32 	[%r9], 0;
	bar.sync 	0;
	mad.lo.s32 	%r4, %r1, %r2, %r3;
	ld.param.u32 	%r5, [n];
	setp.ge.s32 	%p2, %r4, %r5;
	@%p2 bra 	counted;
	ld.param.u64 	%d1, [keys];
	cvta.to.global.u64 	%d1, %d1;
	mul.wide.s32 	%d9, %r4, 4;
	add.s64 	%d1, %d1, %d9;
	ld.global.u32 	%r6, [%d1];
	shl.b32 	%r6, %r6, 2;
	add.s32 	%r6, %r8, %r6;
	atom.shared.add.u32 	%r7, [%r6], 1;
counted:
	bar.sync 	0;
	@%p1 bra 	done;
	ld.shared.u32 	%r10, [%r9];
	ld.param.u64 	%d2, [counts];
	cvta.to.global.u64 	%d2, %d2;
	mul.wide.u32 	%d9, %r3, 4;
	add.s64 	%d2, %d2, %d9;
	red.global.add.u32 	[%d2], %r10;
done:
	ret;
}

.extern .shared .align 4 .b8 exchange[];

.visible .entry reverse(
	.param .u64 x,
	.param .u64 y
)
{
	.reg .pred 	%p<4>;
	.reg .f32 	%f<8>;
	.reg .b32 	%r<16>;
	.reg .b64 	%d<16>;
	mov.u32 	%r2, %ntid.x;
	mov.u32 	%r3, %tid.x;
	ld.param.u64 	%d1, [x];
	cvta.to.global.u64 	%d1, %d1;
	ld.param.u64 	%d2, [y];
	cvta.to.global.u64 	%d2, %d2;
	mul.wide.u32 	%d9, %r3, 4;
	add.s64 	%d1, %d1, %d9;
	add.s64 	%d2, %d2, %d9;
	ld.global.f32 	%f1, [%d1];
	mov.u32 	%r8, exchange;
	shl.b32 	%r9, %r3, 2;
	add.s32 	%r9, %r8, %r9;
	st.shared.f32 	[%r9], %f1;
	bar.sync 	0;
	sub.s32 	%r10, %r2, %r3;
	shl.b32 	%r10, %r10, 2;
	add.s32 	%r10, %r8, %r10;
	ld.shared.f32 	%f2, [%r10+-4];
	st.global.f32 	[%d2], %f2;
	ret;
}

.visible .entry reverse_racy(
	.param .u64 x,
	.param .u64 y
)
{
	.reg .pred 	%p<4>;
	.reg .f32 	%f<8>;
	.reg .b32 	%r<16>;
	.reg .b64 	%d<16>;
	mov.u32 	%r2, %ntid.x;
	mov.u32 	%r3, %tid.x;
	ld.param.u64 	%d1, [x];
	cvta.to.global.u64 	%d1, %d1;
	ld.param.u64 	%d2, [y];
	cvta.to.global.u64 	%d2, %d2;
	mul.wide.u32 	%d9, %r3, 4;
	add.s64 	%d1, %d1, %d9;
	add.s64 	%d2, %d2, %d9;
	ld.global.f32 	%f1, [%d1];
	mov.u32 	%r8, exchange;
	shl.b32 	%r9, %r3, 2;
	add.s32 	%r9, %r8, %r9;
	st.shared.f32 	[%r9], %f1;
	sub.s32 	%r10, %r2, %r3;
	shl.b32 	%r10, %r10, 2;
	add.s32 	%r10, %r8, %r10;
	ld.shared.f32 	%f2, [%r10+-4];
	st.global.f32 	[%d2], %f2;
	ret;
}

.visible .entry half_barrier(
	.param .u64 y
)
{
	.reg .pred 	%p<4>;
	.reg .f32 	%f<8>;
	.reg .b32 	%r<16>;
	.reg .b64 	%d<16>;
	ld.param.u64 	%d1, [y];
	cvta.to.global.u64 	%d1, %d1;
	mov.u32 	%r3, %tid.x;
	mul.wide.u32 	%d9, %r3, 4;
	add.s64 	%d1, %d1, %d9;
	setp.lt.u32 	%p1, %r3, 32;
	@%p1 bra 	joined;
	bar.sync 	1;
joined:
	bar.sync 	0;
	st.global.u32 	[%d1], %r3;
	ret;
}

.visible .entry missing_lanes(
	.param .u64 y
)
{
	.reg .pred 	%p<4>;
	.reg .f32 	%f<8>;
	.reg .b32 	%r<16>;
	.reg .b64 	%d<16>;
	ld.param.u64 	%d1, [y];
	cvta.to.global.u64 	%d1, %d1;
	mov.u32 	%r3, %tid.x;
	mul.wide.u32 	%d9, %r3, 4;
	add.s64 	%d1, %d1, %d9;
	setp.lt.u32 	%p1, %r3, 16;
	@%p1 bra 	apart;
	shfl.sync.bfly.b32 	%r4, %r3, 1, 31, -1;
	bra 	joined;
apart:
	bar.warp.sync 	-1;
	mov.u32 	%r4, %r3;
joined:
	st.global.u32 	[%d1], %r4;
	ret;
}

.visible .entry copy4(
	.param .u64 x,
	.param .u64 y
)
{
	.reg .pred 	%p<4>;
	.reg .f32 	%f<8>;
	.reg .b32 	%r<16>;
	.reg .b64 	%d<16>;
	ld.param.u64 	%d1, [x];
	cvta.to.global.u64 	%d1, %d1;
	ld.param.u64 	%d2, [y];
	cvta.to.global.u64 	%d2, %d2;
	mov.u32 	%r3, %tid.x;
	mul.wide.u32 	%d9, %r3, 16;
	add.s64 	%d1, %d1, %d9;
	add.s64 	%d2, %d2, %d9;
	ld.global.v4.f32 	{%f1, %f2, %f3, %f4}, [%d1];
	st.global.v4.f32 	[%d2], {%f1, %f2, %f3, %f4};
	ret;
}

.visible .entry last_block(
	.param .u64 y
)
{
	.reg .pred 	%p<4>;
	.reg .f32 	%f<8>;
	.reg .b32 	%r<16>;
	.reg .b64 	%d<16>;
	ld.param.u64 	%d1, [y];
	cvta.to.global.u64 	%d1, %d1;
	mov.u32 	%r1, %ctaid.x;
	st.global.u32 	[%d1], %r1;
	ret;
}

.visible .entry undefined_register(
	.param .u64 y
)
{
	.reg .pred 	%p<4>;
	.reg .f32 	%f<8>;
	.reg .b32 	%r<16>;
	.reg .b64 	%d<16>;
	ld.param.u64 	%d1, [y];
	cvta.to.global.u64 	%d1, %d1;
	st.global.u32 	[%d1], %r5;
	ret;
}

.visible .entry trapped(
	.param .u64 y
)
{
	.reg .pred 	%p<4>;
	.reg .f32 	%f<8>;
	.reg .b32 	%r<16>;
	.reg .b64 	%d<16>;
	trap;
	ret;
}

.visible .global .align 4 .f32 factor = 0f3F800000;
.visible .const .align 4 .b8 table[16];

.visible .entry by_factor(
	.param .u64 x,
	.param .u64 y,
	.param .u32 n
)
{
	.reg .pred 	%p<4>;
	.reg .f32 	%f<8>;
	.reg .b32 	%r<16>;
	.reg .b64 	%d<16>;
	mov.u32 	%r1, %ctaid.x;
	mov.u32 	%r2, %ntid.x;
	mov.u32 	%r3, %tid.x;
	mad.lo.s32 	%r4, %r1, %r2, %r3;
	ld.param.u32 	%r5, [n];
	setp.ge.s32 	%p1, %r4, %r5;
	@%p1 bra 	done;
	mul.wide.s32 	%d9, %r4, 4;
	ld.param.u64 	%d1, [x];
	cvta.to.global.u64 	%d1, %d1;
	ld.param.u64 	%d2, [y];
	cvta.to.global.u64 	%d2, %d2;
	add.s64 	%d1, %d1, %d9;
	add.s64 	%d2, %d2, %d9;
	ld.global.f32 	%f1, [factor];
	and.b32 	%r6, %r4, 3;
	mul.wide.u32 	%d3, %r6, 4;
	mov.u64 	%d4, table;
	add.s64 	%d4, %d4, %d3;
	ld.const.f32 	%f2, [%d4];
	ld.global.f32 	%f3, [%d1];
	mul.f32 	%f4, %f1, %f2;
	mul.f32 	%f5, %f4, %f3;
	st.global.f32 	[%d2], %f5;
done:
	ret;
}

.visible .entry sgd(
	.param .u64 w,
	.param .u64 g,
	.param .u64 rate,
	.param .u32 n
)
{
	.reg .pred 	%p<4>;
	.reg .f32 	%f<8>;
	.reg .b32 	%r<16>;
	.reg .b64 	%d<16>;
	mov.u32 	%r1, %ctaid.x;
	mov.u32 	%r2, %ntid.x;
	mov.u32 	%r3, %tid.x;
	mad.lo.s32 	%r4, %r1, %r2, %r3;
	ld.param.u32 	%r5, [n];
	setp.ge.s32 	%p1, %r4, %r5;
	@%p1 bra 	done;
	mul.wide.s32 	%d9, %r4, 4;
	ld.param.u64 	%d1, [w];
	cvta.to.global.u64 	%d1, %d1;
	ld.param.u64 	%d2, [g];
	cvta.to.global.u64 	%d2, %d2;
	ld.param.u64 	%d3, [rate];
	cvta.to.global.u64 	%d3, %d3;
	add.s64 	%d1, %d1, %d9;
	add.s64 	%d2, %d2, %d9;
	ld.global.f32 	%f1, [%d1];
	ld.global.f32 	%f2, [%d2];
	ld.global.f32 	%f3, [%d3];
	mul.f32 	%f4, %f2, %f3;
	sub.f32 	%f5, %f1, %f4;
	st.global.f32 	[%d1], %f5;
done:
	ret;
}

.visible .entry gather(
	.param .u64 x,
	.param .u64 rows,
	.param .u64 y,
	.param .u32 columns,
	.param .u32 n
)
{
	.reg .pred 	%p<4>;
	.reg .f32 	%f<8>;
	.reg .b32 	%r<16>;
	.reg .b64 	%d<16>;
	mov.u32 	%r1, %ctaid.x;
	mov.u32 	%r2, %ntid.x;
	mov.u32 	%r3, %tid.x;
	mad.lo.s32 	%r4, %r1, %r2, %r3;
	ld.param.u32 	%r5, [n];
	setp.ge.s32 	%p1, %r4, %r5;
	@%p1 bra 	done;
	mul.wide.s32 	%d9, %r4, 4;
	ld.param.u64 	%d1, [x];
	cvta.to.global.u64 	%d1, %d1;
	ld.param.u64 	%d2, [rows];
	cvta.to.global.u64 	%d2, %d2;
	ld.param.u64 	%d3, [y];
	cvta.to.global.u64 	%d3, %d3;
	ld.param.u32 	%r6, [columns];
	div.s32 	%r7, %r4, %r6;
	rem.s32 	%r8, %r4, %r6;
	mul.wide.s32 	%d4, %r7, 4;
	add.s64 	%d2, %d2, %d4;
	ld.global.u32 	%r9, [%d2];
	mad.lo.s32 	%r10, %r9, %r6, %r8;
	mul.wide.s32 	%d5, %r10, 4;
	add.s64 	%d1, %d1, %d5;
	ld.global.f32 	%f1, [%d1];
	add.s64 	%d3, %d3, %d9;
	st.global.f32 	[%d3], %f1;
done:
	ret;
}

.visible .entry subtract_one_hot(
	.param .u64 p,
	.param .u64 labels,
	.param .u32 classes,
	.param .f32 a,
	.param .u32 n
)
{
	.reg .pred 	%p<4>;
	.reg .f32 	%f<8>;
	.reg .b32 	%r<16>;
	.reg .b64 	%d<16>;
	mov.u32 	%r1, %ctaid.x;
	mov.u32 	%r2, %ntid.x;
	mov.u32 	%r3, %tid.x;
	mad.lo.s32 	%r4, %r1, %r2, %r3;
	ld.param.u32 	%r5, [n];
	setp.ge.s32 	%p1, %r4, %r5;
	@%p1 bra 	done;
	mul.wide.s32 	%d9, %r4, 4;
	ld.param.u64 	%d1, [p];
	cvta.to.global.u64 	%d1, %d1;
	ld.param.u64 	%d2, [labels];
	cvta.to.global.u64 	%d2, %d2;
	ld.param.u32 	%r6, [classes];
	ld.param.f32 	%f1, [a];
	div.s32 	%r7, %r4, %r6;
	rem.s32 	%r8, %r4, %r6;
	mul.wide.s32 	%d4, %r7, 4;
	add.s64 	%d2, %d2, %d4;
	ld.global.u32 	%r9, [%d2];
	add.s64 	%d1, %d1, %d9;
	ld.global.f32 	%f2, [%d1];
	setp.eq.s32 	%p2, %r8, %r9;
	selp.f32 	%f3, 0f3F800000, 0f00000000, %p2;
	sub.f32 	%f4, %f2, %f3;
	mul.f32 	%f5, %f1, %f4;
	st.global.f32 	[%d1], %f5;
done:
	ret;
}

.visible .entry advance(
	.param .u64 step,
	.param .u64 rate
)
{
	.reg .pred 	%p<4>;
	.reg .f32 	%f<8>;
	.reg .b32 	%r<16>;
	.reg .b64 	%d<16>;
	ld.param.u64 	%d1, [step];
	cvta.to.global.u64 	%d1, %d1;
	ld.param.u64 	%d2, [rate];
	cvta.to.global.u64 	%d2, %d2;
	ld.global.u32 	%r1, [%d1];
	add.s32 	%r2, %r1, 1;
	st.global.u32 	[%d1], %r2;
	cvt.rn.f32.u32 	%f1, %r2;
	add.f32 	%f2, %f1, 0f3F800000;
	rcp.rn.f32 	%f3, %f2;
	st.global.f32 	[%d2], %f3;
	ret;
}
)ptx";

}  // namespace programs
